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
  type Plain,
  pointsOf,
  sum,
} from "#kits/otlp/metrics.testing";
import { recordOtlp, startComponent } from "#pipeline/testing";
import processor from "./otelcol.processor.metric_start_time.ts";

const signal = new AbortController().signal;
/** A millisecond before a whole second. */
const before = (seconds: number) => ({ startTimeUnixNano: String(BigInt(seconds) * 1_000_000_000n - 1_000_000n) });

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
  return { component, sink, clock, send };
}
const summary = (points: readonly Plain[]) => ({ name: "summary", summary: { dataPoints: points } });

test("true_reset_point: a series begins with its first point, and anew where it falls", async () => {
  const { component, send } = await start();
  const all = (time: number, value: number) => {
    const counted = { ...at(time), count: String(value), sum: value };
    return send(
      sum([{ ...at(time), asInt: String(value) }]),
      { ...sum([{ ...at(time), asDouble: value }]), name: "double" },
      histogram([{ ...counted, bucketCounts: [String(value), "0"], explicitBounds: [1] }]),
      exponential([{ ...counted, positive: { bucketCounts: [String(value)] } }]),
      summary([counted]),
    );
  };
  const starts = (points: readonly Plain[]) => [...new Set(points.map((each) => each.startTimeUnixNano))];
  assert.deepEqual(starts(await all(10, 5)), ["10000000000"]);
  assert.deepEqual(starts(await all(20, 5)), ["10000000000"]);
  assert.deepEqual(starts(await all(30, 4)), ["29999000000"]);
  assert.deepEqual(starts(await all(40, 6)), ["29999000000"]);
  await component.stop();
});

test("subtract_initial_point: counts from the first point on, which is not sent", async () => {
  const { component, send } = await start('strategy = "subtract_initial_point"');
  const all = (time: number, value: number) => {
    const counted = { ...at(time), count: String(value), sum: value };
    return send(
      sum([{ ...at(time), asInt: String(value) }]),
      { ...sum([{ ...at(time), asDouble: value }]), name: "double" },
      histogram([{ ...counted, bucketCounts: [String(value - 1), "1"], explicitBounds: [1] }]),
      exponential([{ ...counted, zeroCount: "1", positive: { offset: 3, bucketCounts: [String(value - 1)] } }]),
      summary([counted]),
    );
  };
  assert.deepEqual(await all(10, 5), []);
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("otlp")!), { initial_value: 5 });
  assert.deepEqual(await all(20, 8), [
    { ...from(10), ...at(20), asInt: "3" },
    { ...from(10), ...at(20), asDouble: 3 },
    { ...from(10), ...at(20), count: "3", sum: 3, bucketCounts: ["3", "0"], explicitBounds: [1] },
    { ...from(10), ...at(20), count: "3", sum: 3, positive: { offset: 3, bucketCounts: ["3"] }, negative: {} },
    { ...from(10), ...at(20), count: "3", sum: 3 },
  ]);
  // After a reset there is nothing to subtract.
  assert.deepEqual((await all(30, 2))[0], { ...before(30), ...at(30), asInt: "2" });
  assert.deepEqual((await all(40, 4))[0], { ...before(30), ...at(40), asInt: "4" });
  await component.stop();
});

test("start_time_metric: the start is that of the process, as a metric says it", async () => {
  const { component, send } = await start('strategy = "start_time_metric"');
  const process = (point: Plain) => ({ name: "process_start_time_seconds", gauge: { dataPoints: [point] } });
  const starts = async (...metrics: Plain[]) => (await send(...metrics)).at(-1)!.startTimeUnixNano;
  const number = (name: string, time: number) => sum([{ ...attribute(name), ...at(time), asInt: String(time) }]);
  assert.equal(await starts(process({ asDouble: 1234.5 }), number("a", 2000)), "1234500000000");
  assert.equal(await starts(process({ asInt: "99" }), number("b", 2000)), "99000000000");
  assert.equal(await starts(number("a", 3000)), "1234500000000");
  assert.equal(await starts(number("a", 2500)), before(2500).startTimeUnixNano);
  const agent = String(BigInt(Math.floor(performance.timeOrigin / 1000)) * 1_000_000_000n);
  assert.equal(await starts(number("c", 2000)), agent);
  assert.equal(await starts({ name: "process_start_time_seconds", gauge: { dataPoints: [] } }, number("d", 1)), agent);
  await component.stop();

  const other = await start('strategy = "start_time_metric"\nstart_time_metric_regex = "^.+_boot$"');
  await other.send({ name: "my_boot", gauge: { dataPoints: [{ asDouble: 7 }] } }, number("a", 2000));
  assert.deepEqual((await other.send(number("a", 2001)))[0]!.startTimeUnixNano, "7000000000");
  await other.component.stop();
});

test("points that say when they began, deltas, gauges and points without a value keep what they say", async () => {
  for (const strategy of ["true_reset_point", "subtract_initial_point", "start_time_metric"]) {
    const { component, sink } = await start(`strategy = "${strategy}"`);
    const batch = metricsBatch([
      sum([{ ...from(1), ...at(5), asInt: "1" }]),
      sum([{ ...at(5), asInt: "1" }], { aggregationTemporality: DELTA }),
      histogram([{ ...at(5), count: "1" }], { aggregationTemporality: DELTA }),
      { name: "gauge", gauge: { dataPoints: [{ ...at(5), asInt: "1" }] } },
    ]);
    await component.exports.input.consume(batch, signal);
    assert.equal(sink.items[0]!.parts[0], batch.parts[0], strategy);
    await component.stop();
  }
  const { component, send } = await start();
  await send(sum([{ ...at(1), asInt: "5" }]));
  assert.deepEqual(await send(sum([{ ...at(2), flags: 1 }])), [{ ...from(1), ...at(2), flags: 1 }]);
  assert.deepEqual(await send(sum([{ ...at(3), asInt: "5" }])), [{ ...from(1), ...at(3), asInt: "5" }]);
  await component.stop();
});

test("an exponential histogram that gets coarser or wider goes on, one with other bounds begins anew once", async () => {
  const { component, send } = await start();
  const coarser = (time: number, scale: number, offset: number, ...bucketCounts: string[]) =>
    send(exponential([{ ...at(time), count: "9", scale, positive: { offset, bucketCounts } }]));
  await coarser(1, 1, 4, "1", "2");
  assert.equal((await coarser(2, 1, 3, "1", "1", "2"))[0]!.startTimeUnixNano, "1000000000");
  assert.equal((await coarser(3, 0, 1, "1", "3"))[0]!.startTimeUnixNano, "1000000000");
  assert.equal((await coarser(4, 0, 2, "2"))[0]!.startTimeUnixNano, "3999000000");
  const bounds = (time: number, bound: number) =>
    send(histogram([{ ...at(time), count: "1", bucketCounts: ["1", "0"], explicitBounds: [bound] }]));
  await bounds(1, 1);
  assert.equal((await bounds(2, 3))[0]!.startTimeUnixNano, "1999000000");
  assert.equal((await bounds(3, 3))[0]!.startTimeUnixNano, "1999000000");
  await component.stop();
});

test("series are forgotten after one to two intervals without points", async () => {
  const { component, clock, send } = await start('gc_interval = "1m"');
  const point = (time: number) => send(sum([{ ...at(time), asInt: "1" }]));
  await point(1);
  await clock.advance(61_000);
  assert.equal((await point(2))[0]!.startTimeUnixNano, "1000000000");
  await clock.advance(125_000);
  assert.equal((await point(3))[0]!.startTimeUnixNano, "3000000000");
  await component.stop();
});

test("says what is wrong with arguments", async () => {
  for (const [config, message] of [
    ['strategy = "guess"', /strategy/],
    ['gc_interval = "0s"', /must be greater than 0/],
    ['strategy = "start_time_metric"\nstart_time_metric_regex = "("', /missing closing \)/],
    ['start_time_metric_regex = "a"', /can only be used with the strategy `start_time_metric`/],
  ] as const) {
    await assert.rejects(start(config), message, config);
  }
});

test("numbers of known series become the same the short way and the long way", async () => {
  await assertSameWays(processor, "", CUMULATIVE);
  await assertSameWays(processor, 'strategy = "subtract_initial_point"', CUMULATIVE);
});
