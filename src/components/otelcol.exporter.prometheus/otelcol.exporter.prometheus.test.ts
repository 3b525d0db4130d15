import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { Exemplar, MetricMetadata, NativeHistogram, OtlpBatch } from "#pipeline/batch";
import { SeriesRegistry } from "#pipeline/series";
import { acknowledged, recordMetrics, startComponent, testServices } from "#pipeline/testing";
import definition from "./otelcol.exporter.prometheus.ts";

const NOW = 1_721_000_060_000;
const TIME = 1_721_000_000_000;

type Attributes = Readonly<Record<string, string | number>>;
const attributes = (pairs: Attributes) =>
  Object.entries(pairs).map(([key, value]) => ({
    key,
    value: typeof value === "string" ? { stringValue: value } : { intValue: String(value) },
  }));
/** The fields of a data point that all kinds have. */
const at = (ms: number, pairs: Attributes = {}, rest: object = {}) => ({
  timeUnixNano: `${ms}000000`,
  attributes: attributes(pairs),
  ...rest,
});
const gauge = (name: string, ...dataPoints: object[]) => ({ name, gauge: { dataPoints } });
const sum = (name: string, ...dataPoints: object[]) => ({
  name,
  sum: { dataPoints, aggregationTemporality: 2, isMonotonic: true },
});
const histogram = (name: string, ...dataPoints: object[]) => ({
  name,
  histogram: { dataPoints, aggregationTemporality: 2 },
});
const exponential = (name: string, ...dataPoints: object[]) => ({
  name,
  exponentialHistogram: { dataPoints, aggregationTemporality: 2 },
});

interface Where {
  readonly resource?: Attributes;
  readonly scope?: object;
}

async function setUp(config = "include_target_info = false", kind: OtlpKind = "metrics") {
  const out = recordMetrics();
  const sides: { exemplars: Exemplar[]; histograms: NativeHistogram[]; metadata: MetricMetadata[] } = {
    exemplars: [],
    histograms: [],
    metadata: [],
  };
  out.gate = ({ exemplars = [], histograms = [], metadata = [] }) => {
    sides.exemplars.push(...exemplars);
    sides.histograms.push(...histograms);
    sides.metadata.push(...metadata);
  };
  const clock = new ManualClock(NOW);
  const series = new SeriesRegistry();
  const component = await startComponent(definition, `forward_to = [out]\n${config}`, {
    scope: { out: out.value },
    clock,
    services: testServices({ series }),
  });
  const send = async (
    metrics: readonly object[],
    { resource = {}, scope = {} }: Where = {},
    ack = Acknowledgement.none,
  ) => {
    const bytes = oracleEncode("metrics", {
      resourceMetrics: [{ resource: { attributes: attributes(resource) }, scopeMetrics: [{ scope, metrics }] }],
    });
    const batch: OtlpBatch = {
      signal: "otlp",
      kind,
      parts: [bytes],
      items: 1,
      bytes: bytes.length,
      clientMetadata: undefined,
      acknowledgement: ack,
    };
    out.items.length = 0;
    await component.exports.input!.consume(batch, new AbortController().signal);
    return out.items.map(
      ({ labels, timestamp, value }) => `${labels} ${value}${timestamp === TIME ? "" : ` @${timestamp}`}`,
    );
  };
  return { component, send, sides, clock, series, out, [Symbol.asyncDispose]: () => component.stop() };
}

test("gauges and sums, with names as Prometheus has them", async () => {
  await using it = await setUp();
  const metrics = [
    { ...gauge("memory.usage", at(TIME, { "os.type": "linux" }, { asDouble: 12.5 })), unit: "By" },
    { ...gauge("memory.limit", at(TIME, { "os.type": "linux" }, { asDouble: 13 })), unit: "By" },
    sum("requests", at(TIME, { code: 200 }, { asInt: "-7" }), at(TIME, { code: 500 }, { asDouble: 0 })),
    { name: "level", sum: { dataPoints: [at(TIME, {}, { asInt: "3" })], aggregationTemporality: 2 } },
    histogram("level", at(TIME, {}, { count: "2" })),
  ];
  const resource = { "service.namespace": "shop", "service.name": "web", "service.instance.id": "i-1" };
  assert.deepEqual(await it.send(metrics, { resource }), [
    '{__name__="memory_usage_bytes", instance="i-1", job="shop/web", os_type="linux"} 12.5',
    '{__name__="memory_limit_bytes", instance="i-1", job="shop/web", os_type="linux"} 13',
    '{__name__="requests_total", code="200", instance="i-1", job="shop/web"} -7',
    '{__name__="requests_total", code="500", instance="i-1", job="shop/web"} 0',
    '{__name__="level", instance="i-1", job="shop/web"} 3',
    '{__name__="level_count", instance="i-1", job="shop/web"} 2',
    '{__name__="level_bucket", instance="i-1", job="shop/web", le="+Inf"} 2',
  ]);
  await using plain = await setUp("include_target_info = false\nadd_metric_suffixes = false");
  assert.deepEqual(
    (await plain.send(metrics.slice(0, 4))).map((text) => text.split('"')[1]),
    ["memory_usage", "memory_limit", "requests", "requests", "level"],
  );
});

test("histograms and summaries become series", async () => {
  await using it = await setUp();
  const buckets = { explicitBounds: [0.5, 1, 1e21], bucketCounts: ["1", "2", "0", "4"], count: "7", sum: 12.25 };
  const quantiles = {
    count: "4",
    sum: 8,
    quantileValues: [
      { quantile: 0.5, value: 1.5 },
      { quantile: 1, value: 3 },
    ],
  };
  const samples = await it.send([
    histogram("lat", at(TIME, { path: "/" }, buckets)),
    { name: "rt", summary: { dataPoints: [at(TIME, {}, quantiles)] } },
    histogram("none", at(TIME, {}, { count: "3" })),
  ]);
  assert.deepEqual(samples, [
    '{__name__="lat_sum", path="/"} 12.25',
    '{__name__="lat_count", path="/"} 7',
    '{__name__="lat_bucket", le="0.5", path="/"} 1',
    '{__name__="lat_bucket", le="1", path="/"} 3',
    '{__name__="lat_bucket", le="1000000000000000000000", path="/"} 3',
    '{__name__="lat_bucket", le="+Inf", path="/"} 7',
    '{__name__="rt_sum"} 8',
    '{__name__="rt_count"} 4',
    '{__name__="rt", quantile="0.5"} 1.5',
    '{__name__="rt", quantile="1"} 3',
    '{__name__="none_count"} 3',
    '{__name__="none_bucket", le="+Inf"} 3',
  ]);
  // Other bounds are other series.
  const others = { explicitBounds: [2], bucketCounts: ["1", "2"], count: "3", sum: 1 };
  assert.deepEqual((await it.send([histogram("lat", at(TIME, { path: "/" }, others))])).slice(2), [
    '{__name__="lat_bucket", le="2", path="/"} 1',
    '{__name__="lat_bucket", le="+Inf", path="/"} 3',
  ]);
  const moved = { ...others, explicitBounds: [3] };
  const [, , bucket] = await it.send([histogram("lat", at(TIME, { path: "/" }, moved))]);
  assert.equal(bucket, '{__name__="lat_bucket", le="3", path="/"} 1');
});

test("exponential histograms become native ones", async () => {
  await using it = await setUp();
  const point = {
    scale: 9,
    count: "10",
    sum: 4.5,
    zeroCount: "1",
    positive: { offset: 2, bucketCounts: ["1", "2", "0", "4"] },
    negative: { offset: -1, bucketCounts: ["2"] },
  };
  assert.deepEqual(await it.send([exponential("e", at(TIME, {}, point))]), ['{__name__="e"} 10']);
  const [native] = it.sides.histograms;
  assert.deepEqual(native, {
    sample: 0,
    schema: 8,
    zeroThreshold: 1e-128,
    zeroCount: 1,
    count: 10,
    sum: 4.5,
    positiveSpans: [{ offset: 2, length: 2 }],
    positive: [3, 1],
    negativeSpans: [{ offset: 0, length: 1 }],
    negative: [2],
    isFloat: false,
    customBounds: undefined,
    resetHint: "unknown",
  });
});

test("histograms with bounds become native ones with custom buckets on request", async () => {
  await using it = await setUp("include_target_info = false\nconvert_classic_histograms_to_nhcb = true");
  const good = { explicitBounds: [1, 2, 3], bucketCounts: ["0", "2", "0", "4"], count: "6", sum: 9 };
  const bad = { explicitBounds: [1, 2], bucketCounts: ["1"], count: "1" };
  assert.deepEqual(await it.send([histogram("h", at(TIME, {}, good), at(TIME, { a: "b" }, bad))]), [
    '{__name__="h"} 6',
  ]);
  const { schema, customBounds, positiveSpans, positive } = it.sides.histograms[0]!;
  assert.deepEqual(
    [schema, customBounds, positiveSpans, positive],
    [-53, [1, 2, 3], [{ offset: 1, length: 3 }], [2, -2, 4]],
  );
  assert.equal(it.component.flow.dropped.get("otlp")!.get("inconsistent_buckets"), 1);
});

test("resources and scopes have series of their own, and labels", async () => {
  const where = {
    resource: { "service.name": "web", "service.instance.id": "i-1", "host.name": "node-7", code: "resource" },
    scope: { name: "io.example", version: "2", attributes: attributes({ library: "x" }) },
  };
  const metrics = [gauge("g", at(TIME, { code: "own", empty: "" }, { asInt: "1" }))];
  await using plain = await setUp("");
  assert.deepEqual(await plain.send(metrics, where), [
    `{__name__="target_info", code="resource", host_name="node-7", instance="i-1", job="web"} 1 @${NOW}`,
    '{__name__="g", code="own", instance="i-1", job="web"} 1',
  ]);
  await using all = await setUp(
    `include_scope_info = true
include_scope_labels = true
keep_identifying_resource_attributes = true
resource_to_telemetry_conversion = true`,
  );
  assert.deepEqual(await all.send(metrics, where), [
    `{__name__="target_info", code="resource", host_name="node-7", instance="i-1", job="web", service_instance_id="i-1", service_name="web"} 1 @${NOW}`,
    `{__name__="otel_scope_info", instance="i-1", job="web", library="x", otel_scope_name="io.example", otel_scope_version="2"} 1 @${NOW}`,
    '{__name__="g", code="resource", host_name="node-7", instance="i-1", job="web", otel_scope_name="io.example", otel_scope_version="2", service_instance_id="i-1", service_name="web"} 1',
  ]);
});

test("points without a value become stale markers, and older ones are dropped", async () => {
  await using it = await setUp();
  assert.deepEqual(await it.send([gauge("g", at(TIME, {}, { flags: 1 }))]), ['{__name__="g"} stale']);
  assert.deepEqual(await it.send([exponential("e", at(TIME, {}, { flags: 1 }))]), ['{__name__="e"} stale']);
  assert.deepEqual(await it.send([gauge("g", at(TIME - 1, {}, { asInt: "1" }), at(TIME, {}, { asInt: "2" }))]), [
    '{__name__="g"} 2',
  ]);
  assert.equal(it.component.flow.dropped.get("otlp")!.get("out_of_order"), 1);
});

test("what Prometheus has no form for is dropped for a reason, and the status says what to do", async () => {
  await using it = await setUp();
  const done = acknowledged();
  const metrics = [
    { name: "d", sum: { dataPoints: [at(TIME), at(TIME)], aggregationTemporality: 1, isMonotonic: true } },
    { name: "u", histogram: { dataPoints: [at(TIME)] } },
    exponential("e", at(TIME, {}, { scale: -5 })),
    { name: "nothing" },
  ];
  assert.deepEqual(await it.send(metrics, {}, done.acknowledgement), []);
  assert.ok(done.fired);
  assert.deepEqual(Object.fromEntries(it.component.flow.dropped.get("otlp")!), {
    delta_temporality: 2,
    unspecified_temporality: 1,
    unsupported_scale: 1,
  });
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "points_dropped");
  assert.match(it.component.flow.status.cause, /^2 data points as delta_temporality .*"d": .*deltatocumulative/);
  await it.clock.advance(400_000);
  it.component.flow.judge();
  assert.notEqual(it.component.flow.status.rule, "points_dropped");
});

test("other signals are dropped and counted", async () => {
  await using it = await setUp("", "logs");
  const done = acknowledged();
  assert.deepEqual(await it.send([], {}, done.acknowledgement), []);
  assert.ok(done.fired);
  assert.equal(it.component.flow.dropped.get("otlp")!.get("unsupported_signal"), 1);
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "unsupported_signal");
  assert.match(
    it.component.flow.status.cause,
    /^1 items as unsupported_signal .* takes .* came; take it out of `output\./,
  );
});

test("exemplars go to the series that they belong to", async () => {
  await using it = await setUp();
  const exemplar = (ms: number, value: object) => ({
    timeUnixNano: `${ms}000000`,
    traceId: Buffer.alloc(16, 0xab).toString("base64"),
    spanId: Buffer.alloc(8, 0xcd).toString("base64"),
    filteredAttributes: attributes({ left: "out" }),
    ...value,
  });
  const exemplars = [exemplar(TIME - 1, { asDouble: 3 }), exemplar(TIME - 2, { asDouble: 0.2 })];
  await it.send([
    sum(
      "c",
      at(TIME, {}, { asInt: "1", exemplars: [exemplar(TIME, { asInt: "5" }), exemplar(TIME - 1, { asInt: "6" })] }),
    ),
    gauge("g", at(TIME, {}, { asInt: "1", exemplars })),
    histogram("h", at(TIME, {}, { explicitBounds: [1], bucketCounts: ["1", "1"], count: "2", exemplars })),
  ]);
  const shown = it.sides.exemplars.map(({ sample, labels, value, timestamp }) => [
    sample,
    `${labels}`,
    value,
    timestamp - TIME,
  ]);
  const labels = `{span_id="${"cd".repeat(8)}", trace_id="${"ab".repeat(16)}"}`;
  // Samples: c_total, g, h_count, h_bucket 1, h_bucket +Inf. The second one of c is older than the first.
  assert.deepEqual(shown, [
    [0, labels, 5, 0],
    [3, labels, 0.2, -2],
    [4, labels, 3, -1],
  ]);
});

test("metadata is handed on once, and again after a reload", async () => {
  const config = "include_target_info = false\nhonor_metadata = true";
  await using it = await setUp(config);
  const metric = { ...sum("c", at(TIME, {}, { asInt: "1" })), unit: "s", description: "Help." };
  const known = { family: "c_seconds_total", type: "counter", unit: "s", help: "Help." };
  await it.send([metric]);
  await it.send([metric]);
  assert.deepEqual(it.sides.metadata, [known]);
  await it.send([{ ...metric, description: "Other." }]);
  assert.deepEqual(it.sides.metadata[1], { ...known, help: "Other." });
  await it.component.update(`forward_to = [out]\n${config}`);
  await it.send([metric]);
  assert.deepEqual(it.sides.metadata.slice(2), [known]);
});

test("a sample of 0 where a series began, once", async () => {
  await using it = await setUp("include_target_info = false\nstart_timestamp_zero_ingestion = true");
  const begun = (time: number, start: number) => at(time, {}, { asInt: "5", startTimeUnixNano: `${start}000000` });
  assert.deepEqual(await it.send([sum("c", begun(NOW + 2000, NOW + 1000))]), [
    `{__name__="c_total"} 0 @${NOW + 1000}`,
    `{__name__="c_total"} 5 @${NOW + 2000}`,
  ]);
  assert.deepEqual(await it.send([sum("c", begun(NOW + 3000, NOW + 1000))]), [`{__name__="c_total"} 5 @${NOW + 3000}`]);
  assert.equal((await it.send([sum("c", begun(NOW + 5000, NOW + 4000))])).length, 2);
  // Gauges do not begin, and what began before the agent did is known to the backend already.
  assert.equal((await it.send([gauge("g", begun(NOW + 2000, NOW + 1000))])).length, 1);
  assert.equal((await it.send([sum("old", begun(NOW + 2000, NOW - 1000))])).length, 1);
  const native = { count: "1", startTimeUnixNano: `${NOW + 1000}000000` };
  assert.equal((await it.send([exponential("e", at(NOW + 2000, {}, native))])).length, 2);
  assert.deepEqual(
    it.sides.histograms.map(({ count, resetHint }) => [count, resetHint]),
    [
      [0, "yes"],
      [1, "unknown"],
    ],
  );
});

test("series without samples are forgotten", async () => {
  await using it = await setUp('gc_frequency = "1m"');
  const buckets = { explicitBounds: [1], bucketCounts: ["1", "1"], count: "2", sum: 1 };
  await it.send([gauge("g", at(TIME, {}, { asInt: "1" })), histogram("h", at(TIME, {}, buckets))], {
    resource: { "service.name": "web" },
  });
  assert.equal(it.series.size, 6); // g, four of h and target_info
  await it.clock.advance(200_000);
  await it.send([gauge("g", at(TIME, {}, { asInt: "1" }))], { resource: { "service.name": "web" } });
  await it.clock.advance(200_000);
  assert.equal(it.series.size, 2);
  await it.clock.advance(400_000);
  assert.equal(it.series.size, 0);
});

test("a stop lets go of all series", async () => {
  const it = await setUp();
  await it.send([gauge("g", at(TIME, {}, { asInt: "1" }))]);
  assert.equal(it.series.size, 1);
  await it.component.stop();
  assert.equal(it.series.size, 0);
});

test("gc_frequency must be positive", async () => {
  await assert.rejects(setUp('gc_frequency = "0s"'), /must be greater than 0/);
});
