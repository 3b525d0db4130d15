import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { assertSameWays } from "#kits/otlp/metric-ways.testing";
import {
  at,
  attribute,
  CUMULATIVE,
  DELTA,
  exponential,
  from,
  histogram,
  metricsBatch,
  metricsOf,
  type Plain,
  pointsOf,
  sum,
} from "#kits/otlp/metrics.testing";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import processor from "./otelcol.processor.deltatocumulative.ts";

const signal = new AbortController().signal;
const delta = { aggregationTemporality: DELTA };

async function start(config = "") {
  const sink = recordOtlp();
  const clock = new ManualClock();
  const text = `${config}\noutput {\nmetrics = [out]\n}`;
  const component = await startComponent(processor, text, { scope: { out: sink.value }, clock });
  async function send(...metrics: Plain[]): Promise<Plain[]> {
    sink.items.length = 0;
    await component.exports.input.consume(metricsBatch(metrics), signal);
    return pointsOf(sink.items);
  }
  const points = (error: string) => component.metric("otelcol_deltatocumulative_datapoints_total", { error });
  return { component, sink, clock, send, points };
}

test("adds up points from the start of the first one, of each series by itself", async () => {
  const { component, sink, send, points } = await start();
  const batch = (time: number, int: string, double: number) =>
    send(
      sum(
        [
          { ...attribute("a"), ...from(time - 1), ...at(time), asInt: int },
          { ...attribute("b"), ...from(time - 1), ...at(time), asDouble: double },
        ],
        delta,
      ),
    );
  await batch(2, "3", 1.5);
  assert.equal((metricsOf(sink.items[0]!)[0]!.sum as Plain).aggregationTemporality, CUMULATIVE);
  await batch(3, "4", 1);
  assert.deepEqual(await batch(4, "0", 0.25), [
    { ...from(1), ...at(4), asInt: "7" },
    { ...from(1), ...at(4), asDouble: 2.75 },
  ]);
  assert.equal(points(""), 6);
  assert.equal(component.metric("otelcol_deltatocumulative_streams_tracked"), 2);
  assert.equal(component.metric("otelcol_deltatocumulative_streams_max_stale_seconds"), 300);
  await component.stop();
});

test("drops points that are late, and those of an older start", async () => {
  const { component, send, points } = await start();
  const point = (start_: number, time: number) => sum([{ ...from(start_), ...at(time), asInt: "1" }], delta);
  await send(point(5, 10));
  assert.deepEqual(await send(point(5, 10)), []);
  assert.deepEqual(await send(point(5, 9)), []);
  assert.deepEqual(await send(point(4, 11)), []);
  assert.deepEqual(await send(point(10, 12)), [{ ...from(5), ...at(12), asInt: "2" }]);
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("otlp")!), { out_of_order: 2, older_start: 1 });
  assert.equal(points("delta.ErrOutOfOrder"), 2);
  assert.equal(points("delta.ErrOlderStart"), 1);
  await component.stop();
});

test("adds histograms of the same buckets, and starts again with others", async () => {
  const { component, send } = await start();
  const point = (time: number, bounds: number[], bucketCounts: string[], more: Plain) =>
    send(histogram([{ ...from(time - 1), ...at(time), bucketCounts, explicitBounds: bounds, ...more }], delta));
  await point(2, [1], ["1", "2"], { count: "3", sum: 5, min: 0.5, max: 2 });
  assert.deepEqual(await point(3, [1], ["1", "0"], { count: "1", sum: 0.25, min: 0.25, max: 0.25 }), [
    { ...from(1), ...at(3), count: "4", sum: 5.25, bucketCounts: ["2", "2"], explicitBounds: [1], min: 0.25, max: 2 },
  ]);
  // What one of them does not have, the sum does not have.
  assert.deepEqual(await point(4, [1], ["0", "1"], { count: "1", max: 9 }), [
    { ...from(1), ...at(4), count: "5", bucketCounts: ["2", "3"], explicitBounds: [1], max: 9 },
  ]);
  assert.deepEqual(await point(5, [3], ["1", "0"], { count: "1" }), [
    { ...from(4), ...at(5), count: "1", bucketCounts: ["1", "0"], explicitBounds: [3] },
  ]);
  await component.stop();
});

test("adds exponential histograms at the coarser scale and with the wider zero bucket", async () => {
  const { component, send } = await start();
  const point = (time: number, more: Plain) =>
    send(exponential([{ ...from(time - 1), ...at(time), sum: 1, zeroCount: "1", ...more }], delta));
  await point(2, { scale: 1, count: "4", positive: { offset: 2, bucketCounts: ["1", "1", "1"] } });
  assert.deepEqual(
    await point(3, { scale: 0, count: "3", positive: { offset: 0, bucketCounts: ["1", "1"] }, zeroThreshold: 2 }),
    [
      {
        ...from(1),
        ...at(3),
        count: "7",
        sum: 2,
        zeroCount: "2",
        zeroThreshold: 2,
        positive: { bucketCounts: ["1", "3", "1"] },
        negative: {},
      },
    ],
  );
  // 400 buckets are more than fit: the scale falls until at most 160 are needed.
  const [wide] = await point(4, {
    scale: 0,
    count: "400",
    positive: { offset: -200, bucketCounts: Array.from({ length: 400 }, () => "1") },
  });
  const { bucketCounts } = wide!.positive as { bucketCounts: string[] };
  assert.equal(wide!.scale, -2);
  assert.equal(bucketCounts.length, 50);
  await component.stop();
});

test("points without a value pass and count nothing", async () => {
  const { component, send } = await start();
  const number = (time: number, more: Plain) => send(sum([{ ...from(1), ...at(time), ...more }], delta));
  assert.deepEqual(await number(2, { flags: 1 }), [{ ...from(1), ...at(2), flags: 1 }]);
  await number(3, { asInt: "2" });
  assert.deepEqual(await number(4, { flags: 1 }), [{ ...from(1), ...at(4), flags: 1 }]);
  assert.deepEqual(await number(5, { asInt: "3" }), [{ ...from(1), ...at(5), asInt: "5" }]);
  await component.stop();
});

test("max_streams bounds the series, and those that are stale make room", async () => {
  const { component, clock, send, points } = await start('max_streams = 2\nmax_stale = "2m"');
  const series = (name: string, time: number) =>
    send(sum([{ ...attribute(name), ...from(1), ...at(time), asInt: "1" }], delta));
  await series("a", 2);
  await series("b", 2);
  assert.deepEqual(await series("c", 2), []);
  assert.equal(points("limit"), 1);
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("otlp")!), { too_many_series: 1 });
  component.flow.judge();
  assert.equal(component.flow.status.rule, "too_many_series");
  assert.match(component.flow.status.cause, /there are 2 series already.*raise `max_streams`/);
  await clock.advance(100_000);
  await series("a", 3);
  await clock.advance(90_000);
  assert.equal(component.metric("otelcol_deltatocumulative_streams_tracked"), 1);
  assert.equal((await series("c", 4)).length, 1);
  assert.deepEqual(await series("a", 5), [{ ...from(1), ...at(5), asInt: "3" }]);
  await component.stop();
});

test("leaves what is no delta as it is, and acknowledges a batch of which nothing is left", async () => {
  const { component, sink } = await start();
  const same = metricsBatch([sum([{ ...at(1), asInt: "1" }]), { name: "g", gauge: { dataPoints: [{ ...at(1) }] } }]);
  await component.exports.input.consume(same, signal);
  assert.equal(sink.items[0], same);
  const point = () => metricsBatch([sum([{ ...from(1), ...at(2), asInt: "1" }], delta)]);
  await component.exports.input.consume(point(), signal);
  const again = acknowledged();
  await component.exports.input.consume({ ...point(), acknowledgement: again.acknowledgement }, signal);
  assert.equal(again.fired, true);
  await component.stop();
});

test("says what is wrong with arguments", async () => {
  await assert.rejects(start('max_stale = "0s"'), /must be a positive duration/);
  await assert.rejects(start("max_streams = -1"), /max_streams/);
});

test("numbers of known series become the same the short way and the long way", async () => {
  await assertSameWays(processor, "", DELTA);
});
