import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { OtlpRecord } from "#formats/otlp/record";
import { assertSameWays } from "#kits/otlp/metric-ways.testing";
import {
  at,
  attribute,
  batchOf,
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
import type { OtlpBatch } from "#pipeline/batch";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import processor from "./otelcol.processor.cumulativetodelta.ts";
import { Tracker } from "./tracker.ts";

const signal = new AbortController().signal;

async function start(config = "") {
  const sink = recordOtlp();
  const clock = new ManualClock();
  const text = `${config}\noutput {\nmetrics = [out]\ntraces = [out]\n}`;
  const component = await startComponent(processor, text, { scope: { out: sink.value }, clock });
  /** The points that come out for a batch. */
  async function send(batch: OtlpBatch): Promise<Plain[]> {
    sink.items.length = 0;
    await component.exports.input.consume(batch, signal);
    return pointsOf(sink.items);
  }
  return { component, sink, clock, send };
}
const drops = (component: { flow: { dropped: ReadonlyMap<string, ReadonlyMap<string, number>> } }) =>
  Object.fromEntries(component.flow.dropped.get("otlp") ?? []);

test("a client whose points are counted is not sent away to bring them again", async () => {
  const { component, sink } = await start('initial_value = "keep"');
  const waiting = { sendAway: () => {} };
  const metrics = metricsBatch([sum([{ asInt: "1", ...at(1) }])]);
  for (const batch of [metrics, { ...metrics, kind: "traces", parts: [] } as const]) {
    await component.exports.input.consume({ ...batch, waiting }, signal);
  }
  assert.deepEqual(
    sink.items.map((each) => [each.kind, each.waiting]),
    [
      ["metrics", undefined],
      ["traces", waiting],
    ],
  );
  await component.stop();
});

test("sends the difference to the point before, of each series by itself", async () => {
  const { component, send } = await start('initial_value = "drop"');
  const points = (a: number, b: number) => [
    { ...attribute("a"), asInt: String(a) },
    { ...attribute("b"), asDouble: b },
  ];
  const request = (time: number, a: number, b: number) =>
    metricsBatch([sum(points(a, b).map((each) => ({ ...each, ...at(time) })))]);
  assert.deepEqual(await send(request(1, 10, 1.5)), []);
  assert.deepEqual(await send(request(2, 13, 1.5)), [
    { ...from(1), ...at(2), asInt: "3" },
    { ...from(1), ...at(2), asDouble: 0 },
  ]);
  assert.deepEqual(await send(request(3, 20, 4)), [
    { ...from(2), ...at(3), asInt: "7" },
    { ...from(2), ...at(3), asDouble: 2.5 },
  ]);
  assert.deepEqual(drops(component), { initial_value: 2 });
  const labels = { metric_type: "sum" };
  assert.equal(component.metric("otelcol_cumulativetodelta_datapoints_total", labels), 4);
  assert.equal(
    component.metric("otelcol_cumulativetodelta_datapoints_dropped_total", { ...labels, reason: "initial" }),
    2,
  );
  assert.equal(component.metric("otelcol_cumulativetodelta_streams_tracked"), 2);
  await component.stop();
});

test("first points are sent, or not, as initial_value says", async () => {
  const now = 1_700_000_000; // when ManualClock begins
  for (const [value, start_, time, expected] of [
    ["auto", 0, now + 5, undefined],
    ["auto", now - 1, now + 5, undefined],
    ["auto", now + 5, now + 5, undefined],
    ["auto", now + 1, now + 5, now + 1],
    ["keep", 0, now + 5, 0],
    ["keep", now - 1, now + 5, 0],
    ["drop", now + 1, now + 5, undefined],
  ] as const) {
    const { component, send } = await start(`initial_value = "${value}"`);
    const sent = await send(metricsBatch([sum([{ ...from(start_), ...at(time), asInt: "5" }])]));
    // A start time of 0 says that it is not known.
    const begin = expected === 0 ? {} : from(expected ?? 0);
    assert.deepEqual(
      sent,
      expected === undefined ? [] : [{ ...begin, ...at(time), asInt: "5" }],
      `${value} ${start_} ${time}`,
    );
    await component.stop();
  }
});

test("a value that falls is dropped, and the next one is told from it", async () => {
  const { component, send } = await start('initial_value = "drop"');
  const number = (time: number, value: string) => metricsBatch([sum([{ ...at(time), asInt: value }])]);
  await send(number(1, "10"));
  assert.deepEqual(await send(number(2, "4")), []);
  assert.deepEqual(await send(number(3, "9")), [{ ...from(2), ...at(3), asInt: "5" }]);

  const buckets = (time: number, ...counts: number[]) => {
    const count = String(counts.reduce((total, each) => total + each, 0));
    const point = { ...at(time), count, sum: counts[1]! * 2, bucketCounts: counts.map(String), explicitBounds: [1] };
    return metricsBatch([histogram([{ ...point, min: 0.5, max: 3 }])]);
  };
  await send(buckets(1, 5, 5));
  assert.deepEqual(await send(buckets(2, 1, 2)), []);
  // The Collector drops this one too, and all until the old counts are reached.
  assert.deepEqual(await send(buckets(3, 2, 4)), [
    { ...from(2), ...at(3), count: "3", sum: 4, bucketCounts: ["1", "2"], explicitBounds: [1] },
  ]);
  assert.deepEqual(drops(component), { initial_value: 2, counter_reset: 2 });
  await component.stop();
});

test("a start time of its own begins a series", async () => {
  const { component, send } = await start('initial_value = "keep"');
  await send(metricsBatch([sum([{ ...from(1), ...at(5), asInt: "10" }])]));
  assert.deepEqual(await send(metricsBatch([sum([{ ...from(6), ...at(7), asInt: "3" }])])), [{ ...at(7), asInt: "3" }]);
  assert.deepEqual(drops(component), {});
  await component.stop();
});

test("histograms with other buckets are dropped, exponential ones may get coarser", async () => {
  const { component, send } = await start('initial_value = "drop"');
  const explicit = (time: number, bounds: number[], ...bucketCounts: string[]) =>
    metricsBatch([histogram([{ ...at(time), count: "9", bucketCounts, explicitBounds: bounds }])]);
  await send(explicit(1, [1], "4", "5"));
  assert.deepEqual(await send(explicit(2, [2], "4", "5")), []);
  assert.deepEqual(await send(explicit(3, [1, 2], "4", "5", "0")), []);
  assert.deepEqual(drops(component), { initial_value: 1, bucket_mismatch: 2 });

  const point = (
    time: number,
    scale: number,
    count: string,
    zeroCount: string,
    offset: number,
    ...counts: string[]
  ) => {
    const positive = { offset, bucketCounts: counts };
    return metricsBatch([exponential([{ ...at(time), scale, count, zeroCount, sum: Number(count), positive }])]);
  };
  await send(point(1, 1, "4", "1", 2, "1", "0", "1", "1"));
  assert.deepEqual(await send(point(2, 0, "8", "2", 1, "3", "3")), [
    {
      ...from(1),
      ...at(2),
      count: "4",
      sum: 4,
      zeroCount: "1",
      positive: { offset: 1, bucketCounts: ["2", "1"] },
      negative: {},
    },
  ]);
  await component.stop();
});

test("what cannot be subtracted or need not be stays as it is, byte for byte", async () => {
  const { component, sink, send } = await start('exclude {\nmetrics = ["^not_"]\nmatch_type = "regexp"\n}');
  const point = [{ ...at(1), asInt: "1" }];
  const batch = metricsBatch([
    { name: "gauge", gauge: { dataPoints: point } },
    { name: "summary", summary: { dataPoints: [{ ...at(1), count: "1" }] } },
    sum(point, { aggregationTemporality: DELTA }),
    sum(point, { isMonotonic: false }),
    { ...sum(point), name: "not_this" },
    { name: "nothing" },
  ]);
  await send(batch);
  assert.equal(sink.items[0]!.parts[0], batch.parts[0]);
  const traces = { ...batchOf({}), kind: "traces" } as const;
  await send(traces);
  assert.equal(sink.items[0], traces);
  await component.stop();
});

test("points without a value are dropped, NaN passes", async () => {
  const { component, send } = await start('initial_value = "keep"');
  const batch = metricsBatch([
    sum([
      { ...attribute("a"), ...at(1), flags: 1 },
      { ...attribute("b"), ...at(1), asDouble: Number.NaN },
    ]),
  ]);
  assert.deepEqual(await send(batch), [{ ...at(1), asDouble: Number.NaN }]);
  assert.deepEqual(drops(component), { no_recorded_value: 1 });
  await component.stop();
});

test("include and exclude choose by name and type", async () => {
  const { component, sink, send } = await start(
    'initial_value = "keep"\ninclude {\nmetrics = ["sum", "histogram"]\nmatch_type = "strict"\nmetric_types = ["sum"]\n}',
  );
  await send(
    metricsBatch([
      sum([{ ...at(1), asInt: "1" }]),
      { ...sum([{ ...at(1), asInt: "1" }]), name: "sums" },
      histogram([{ ...at(1), count: "1" }]),
    ]),
  );
  const temporalities = metricsOf(sink.items[0]!).map(
    (metric) => ((metric.sum ?? metric.histogram) as Plain).aggregationTemporality,
  );
  assert.deepEqual(temporalities, [DELTA, CUMULATIVE, CUMULATIVE]);
  await component.stop();
});

test("series are forgotten max_staleness after their last point, and a batch of which nothing is left is acknowledged", async () => {
  const { component, clock, send } = await start('initial_value = "drop"\nmax_staleness = "10s"');
  const now = () => Math.floor(clock.now() / 1000);
  const point = (value: string) => metricsBatch([sum([{ ...at(now()), asInt: value }])]);
  const first = acknowledged();
  await send({ ...point("1"), acknowledgement: first.acknowledgement });
  assert.equal(first.fired, true);
  await clock.advance(9_000);
  assert.equal((await send(point("2"))).length, 1);
  await clock.advance(25_000);
  assert.equal(component.metric("otelcol_cumulativetodelta_streams_tracked"), 0);
  assert.equal((await send(point("3"))).length, 0);
  await component.stop();
});

test("memory is bounded: new series are dropped, known ones go on", () => {
  const tracker = new Tracker("keep", 0, 1_000_000, () => true);
  const convert = (series: number, value: number) => {
    const batch = metricsBatch([sum([{ ...attribute(`series ${series}`), ...at(value), asInt: String(value) }])]);
    let reason: string | undefined;
    tracker.walk.keepMetrics(new OtlpRecord().reset(batch.parts[0]!), ({ kind }) => {
      tracker.walk.keepPoints((point) => {
        reason = tracker.convert(point, kind);
        return true;
      });
      return true;
    });
    return reason;
  };
  let known = 0;
  while (convert(known, 1) === undefined) known += 1;
  assert.ok(known > 100 && known < 5_000, `${known} series fit`);
  assert.equal(convert(known + 1, 1), "too_many_series");
  assert.equal(convert(0, 2), undefined);
  assert.equal(tracker.walk.table.series, known);
});

test("says what is wrong with arguments", async () => {
  for (const [config, message] of [
    ['initial_value = "never"', /initial_value/],
    ['max_staleness = "-1s"', /max_staleness/],
    ['include {\nmetrics = ["a"]\n}', /must be set if `metrics` are supplied/],
    ['include {\nmatch_type = "strict"\n}', /must be supplied if `match_type` is set/],
    ['exclude {\nmetrics = ["a"]\nmatch_type = "glob"\n}', /`match_type` cannot be "glob"/],
    ['exclude {\nmetrics = ["("]\nmatch_type = "regexp"\n}', /missing closing \)/],
    ['include {\nmetric_types = ["gauge"]\n}', /`metric_types\[0\]` cannot be "gauge"/],
  ] as const) {
    await assert.rejects(start(config), message, config);
  }
});

test("numbers of known series become the same the short way and the long way", async () => {
  await assertSameWays(processor, 'initial_value = "keep"', CUMULATIVE);
});
