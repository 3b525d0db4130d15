import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { itemsOf } from "#formats/otlp/oracle.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { MetricBatch, MetricMetadata, NativeHistogram } from "#pipeline/batch";
import { SAMPLE_STALE } from "#pipeline/batch";
import { SeriesRegistry } from "#pipeline/series";
import { acknowledged, recordOtlp, startComponent, testServices } from "#pipeline/testing";
import definition from "./otelcol.receiver.prometheus.ts";

const TIME = 1_721_000_000_000;
const NANOS = "1721000000000000000";

/** `name{label="value"} value` in parts; `"stale"` for a stale marker. */
type Sample = readonly [
  name: string,
  labels: Readonly<Record<string, string>>,
  value: number | "stale",
  native?: Omit<NativeHistogram, "sample">,
];

interface Extras {
  readonly metadata?: readonly MetricMetadata[];
  readonly start?: readonly number[];
  readonly exemplars?: MetricBatch["exemplars"];
  readonly discovered?: Readonly<Record<string, string>>;
  /** No origin: not scraped. */
  readonly isPushed?: boolean;
  readonly times?: readonly number[];
}

const IDENTITY = { job: "shop", instance: "web-1:80" };
const describe = (family: string, type: MetricMetadata["type"], help = "", unit = "") => ({ family, type, help, unit });

async function setUp() {
  const out = recordOtlp();
  const series = new SeriesRegistry();
  const component = await startComponent(definition, "output {\n metrics = [out]\n}", {
    scope: { out: out.value },
    services: testServices({ series, version: "1.2.3" }),
  });
  const send = async (samples: readonly Sample[], extras: Extras = {}, ack = Acknowledgement.none) => {
    const refs = samples.map(([name, labels]) =>
      series.intern(Labels.from(Object.entries({ __name__: name, ...IDENTITY, ...labels }))),
    );
    const { metadata = [], start, exemplars, discovered = {}, isPushed = false, times } = extras;
    const byFamily = new Map(metadata.map((each) => [each.family, each]));
    const histograms = samples.flatMap(([, , , native], sample) =>
      native === undefined ? [] : [{ ...native, sample }],
    );
    const batch: MetricBatch = {
      signal: "metrics",
      count: samples.length,
      registry: series,
      ref: Int32Array.from(refs),
      timestamp: Float64Array.from(samples, (_, i) => times?.[i] ?? TIME),
      value: Float64Array.from(samples, ([, , value]) => (value === "stale" ? Number.NaN : value)),
      flags: Uint8Array.from(samples, ([, , value]) => (value === "stale" ? SAMPLE_STALE : 0)),
      start: start === undefined ? undefined : Float64Array.from(start),
      exemplars,
      histograms: histograms.length > 0 ? histograms : undefined,
      metadata: metadata.length > 0 ? metadata : undefined,
      origin: isPushed
        ? undefined
        : { discovered: Labels.from(Object.entries(discovered)), metadata: (family) => byFamily.get(family) },
      acknowledgement: ack,
    };
    out.items.length = 0;
    await component.exports.receiver!.consume(batch, new AbortController().signal);
    for (const ref of refs) held.push(ref);
    return out.items.flatMap(({ parts, items }) => {
      const points = parts.flatMap((part) => itemsOf("metrics", part)).map((text) => parsed(text));
      assert.equal(points.length, items);
      return points;
    });
  };
  const held: number[] = [];
  return { component, send, series, held, [Symbol.asyncDispose]: () => component.stop() };
}

interface Decoded {
  readonly resource: Readonly<Record<string, string>>;
  readonly scope: Readonly<Record<string, unknown>>;
  readonly schemaUrl: unknown;
  readonly metric: Readonly<Record<string, unknown>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly point: Readonly<Record<string, unknown>>;
}
type Attribute = { readonly key: string; readonly value: { readonly stringValue: string } };
const flat = (list: readonly Attribute[] = []) =>
  Object.fromEntries(list.map(({ key, value }) => [key, value.stringValue]));

function parsed(text: string): Decoded {
  const [{ resource }, { scope, schemaUrl }, { point, ...metric }] = JSON.parse(text);
  const { attributes, ...rest } = point;
  const shown = scope.attributes === undefined ? scope : { ...scope, attributes: flat(scope.attributes) };
  return {
    resource: flat(resource.attributes),
    scope: shown,
    schemaUrl,
    metric,
    labels: flat(attributes),
    point: rest,
  };
}

test("a counter and a gauge with their metadata", async () => {
  await using it = await setUp();
  const points = await it.send(
    [
      ["requests_total", { code: "200", empty: "" }, 7],
      ["requests_total", { code: "500" }, 0],
      ["temperature", {}, -1.5],
      ["odd_count", {}, 3],
    ],
    { metadata: [describe("requests", "counter", "Requests.", "seconds"), describe("temperature", "gauge")] },
  );
  const [first, second, third, fourth] = points;
  assert.deepEqual(first!.metric, {
    name: "requests_total",
    description: "Requests.",
    unit: "s",
    metadata: [{ key: "prometheus.type", value: { stringValue: "counter" } }],
    sum: { aggregationTemporality: 2, isMonotonic: true },
  });
  assert.deepEqual([first!.labels, first!.point], [{ code: "200" }, { timeUnixNano: NANOS, asDouble: 7 }]);
  assert.deepEqual([second!.labels, second!.point], [{ code: "500" }, { timeUnixNano: NANOS, asDouble: 0 }]);
  assert.ok("gauge" in third!.metric);
  assert.deepEqual(fourth!.metric, {
    name: "odd_count",
    metadata: [{ key: "prometheus.type", value: { stringValue: "unknown" } }],
    gauge: {},
  });
  assert.deepEqual(first!.scope, { name: "otelcol/prometheusreceiver", version: "1.2.3" });
  assert.equal(first!.resource["service.name"], "shop");
});

test("series of a histogram make one point, whatever their order", async () => {
  await using it = await setUp();
  const [point, ...others] = await it.send(
    [
      ["lat_count", { path: "/" }, 6],
      ["lat_bucket", { path: "/", le: "+Inf" }, 6],
      ["lat_bucket", { path: "/", le: "2.5" }, 5],
      ["lat_created", { path: "/" }, 1_720_000_000.5],
      ["lat_bucket", { path: "/", le: "0.5" }, 2],
      ["lat_sum", { path: "/" }, 7.25],
    ],
    { metadata: [describe("lat", "histogram")] },
  );
  assert.deepEqual(others, []);
  assert.deepEqual(point!.labels, { path: "/" });
  assert.deepEqual(point!.point, {
    startTimeUnixNano: "1720000000500000000",
    timeUnixNano: NANOS,
    count: "6",
    sum: 7.25,
    bucketCounts: ["2", "3", "1"],
    explicitBounds: [0.5, 2.5],
  });
  assert.deepEqual(point!.metric.histogram, { aggregationTemporality: 2 });
});

test("a histogram may have any number of buckets", async () => {
  await using it = await setUp();
  const explicitBounds = Array.from({ length: 200 }, (_, i) => i + 1);
  const [point] = await it.send(
    [...explicitBounds.map((le): Sample => ["h_bucket", { le: `${le}` }, le]), ["h_count", {}, 200], ["h_sum", {}, 1]],
    { metadata: [describe("h", "histogram")] },
  );
  const bucketCounts = [...explicitBounds.map(() => "1"), "0"];
  assert.deepEqual(point!.point, { timeUnixNano: NANOS, count: "200", sum: 1, bucketCounts, explicitBounds });
});

test("series of a summary make one point; samples of several times make several", async () => {
  await using it = await setUp();
  const points = await it.send(
    [
      ["rt", { quantile: "0.5" }, 1],
      ["rt_sum", {}, 10],
      ["rt_count", {}, 4],
      ["rt", { quantile: "0.5" }, 2],
      ["rt_sum", {}, 20],
      ["rt_count", {}, 8],
    ],
    { metadata: [describe("rt", "summary")], times: [TIME, TIME, TIME, TIME + 1, TIME + 1, TIME + 1] },
  );
  assert.deepEqual(
    points.map(({ point }) => point),
    [
      { timeUnixNano: NANOS, count: "4", sum: 10, quantileValues: [{ quantile: 0.5, value: 1 }] },
      { timeUnixNano: "1721000000001000000", count: "8", sum: 20, quantileValues: [{ quantile: 0.5, value: 2 }] },
    ],
  );
});

test("stale markers become points without a value", async () => {
  await using it = await setUp();
  const points = await it.send(
    [
      ["c_total", {}, "stale"],
      ["h_bucket", { le: "1" }, "stale"],
      ["h_count", {}, "stale"],
      ["h_sum", {}, "stale"],
      ["native", {}, "stale"],
    ],
    { metadata: [describe("c", "counter"), describe("h", "histogram"), describe("native", "histogram")] },
  );
  const timeUnixNano = NANOS;
  assert.deepEqual(
    points.map(({ point }) => point),
    [
      { timeUnixNano, flags: 1 },
      { timeUnixNano, flags: 1, bucketCounts: ["0", "0"], explicitBounds: [1] },
      { timeUnixNano, flags: 1 },
    ],
  );
  assert.deepEqual(points[2]!.metric.exponentialHistogram, { aggregationTemporality: 2 });
});

const NATIVE: Omit<NativeHistogram, "sample"> = {
  schema: 2,
  zeroThreshold: 0.001,
  zeroCount: 2,
  count: 9,
  sum: 12.5,
  positiveSpans: [
    { offset: -3, length: 2 },
    { offset: 2, length: 1 },
  ],
  negativeSpans: [{ offset: 0, length: 1 }],
  positive: [1, 1, 2],
  negative: [3],
  isFloat: false,
  customBounds: undefined,
  resetHint: "unknown",
};

test("native histograms become exponential ones, and those with custom buckets have bounds", async () => {
  await using it = await setUp();
  const custom = {
    ...NATIVE,
    schema: -53,
    customBounds: [1, 2, 3],
    positiveSpans: [{ offset: 1, length: 2 }],
    positive: [4, -1],
  };
  const float = { ...NATIVE, isFloat: true, positive: [1.5, 2, 4], negative: [3.9] };
  const points = await it.send([
    ["a", {}, 9, NATIVE],
    ["b", { le: "no attribute" }, 9, float],
    ["c", {}, 9, { ...custom, negativeSpans: [], negative: [] }],
  ]);
  assert.deepEqual(points[0]!.point, {
    timeUnixNano: NANOS,
    count: "9",
    sum: 12.5,
    scale: 2,
    zeroCount: "2",
    zeroThreshold: 0.001,
    positive: { offset: -4, bucketCounts: ["1", "2", "0", "0", "4"] },
    negative: { offset: -1, bucketCounts: ["3"] },
  });
  assert.deepEqual(points[1]!.point.positive, { offset: -4, bucketCounts: ["1", "2", "0", "0", "4"] });
  assert.deepEqual(points[1]!.labels, {});
  assert.deepEqual(points[2]!.metric.histogram, { aggregationTemporality: 2 });
  assert.deepEqual(points[2]!.point, {
    timeUnixNano: NANOS,
    count: "9",
    sum: 12.5,
    bucketCounts: ["0", "4", "3", "0"],
    explicitBounds: [1, 2, 3],
  });
  const [beyond] = await it.send([
    ["d", {}, 9, { ...custom, customBounds: [1], positiveSpans: [{ offset: 0, length: 4 }], positive: [1, 1, 1, 1] }],
  ]);
  assert.deepEqual(beyond!.point.bucketCounts, ["1", "2"], "what has no bound is left out");
});

const DATA = ["gauge", "histogram", "exponentialHistogram"];

test("a series may change between native histogram and number", async () => {
  await using it = await setUp();
  const kinds = async (sample: Sample) =>
    (await it.send([sample])).map(({ metric }) => DATA.find((name) => name in metric));
  assert.deepEqual(await kinds(["x", {}, 9, NATIVE]), ["exponentialHistogram"]);
  assert.deepEqual(await kinds(["x", {}, "stale"]), ["exponentialHistogram"]);
  assert.deepEqual(await kinds(["x", {}, 1]), ["gauge"]);
  assert.deepEqual(await kinds(["x", {}, "stale"]), ["gauge"]);
  assert.deepEqual(await kinds(["x", {}, 9, { ...NATIVE, schema: -53, customBounds: [1], positive: [1, 1, 1] }]), [
    "histogram",
  ]);
  assert.deepEqual(await kinds(["x", {}, "stale"]), ["histogram"]);
});

test("exemplars keep their ids and labels", async () => {
  await using it = await setUp();
  const labels = Labels.from([
    ["Trace_ID", "0af7651916cd43dd8448eb211c80319c"],
    ["span_id", "b7ad6b7169203331ff"],
    ["user", "ada"],
  ]);
  const short = Labels.from([
    ["trace_id", "abcd"],
    ["span_id", "xyz"],
  ]);
  const [point] = await it.send([["c_total", {}, 1]], {
    metadata: [describe("c", "counter")],
    exemplars: [
      { sample: 0, labels, value: 0.5, timestamp: TIME - 1 },
      { sample: 0, labels: short, value: 2, timestamp: TIME },
    ],
  });
  assert.deepEqual(point!.point.exemplars, [
    {
      timeUnixNano: "1720999999999000000",
      asDouble: 0.5,
      traceId: Buffer.from("0af7651916cd43dd8448eb211c80319c", "hex").toString("base64"),
      spanId: Buffer.from("b7ad6b7169203331", "hex").toString("base64"),
      filteredAttributes: [{ key: "user", value: { stringValue: "ada" } }],
    },
    {
      timeUnixNano: NANOS,
      asDouble: 2,
      traceId: Buffer.from("0000000000000000000000000000abcd", "hex").toString("base64"),
      filteredAttributes: [{ key: "span_id", value: { stringValue: "xyz" } }],
    },
  ]);
});

test("start times come from the batch or from _created, which makes no metric of its own for counters", async () => {
  await using it = await setUp();
  const metadata = [describe("c", "counter"), describe("h", "histogram")];
  const points = await it.send(
    [
      ["c_total", { a: "1" }, 1],
      ["c_created", { a: "1" }, 1_720_000_000],
      ["c_total", { a: "2" }, 2],
      ["h_count", { a: "3" }, 2],
    ],
    { metadata, start: [0, 0, TIME - 1000, TIME - 2000] },
  );
  assert.deepEqual(
    points.map(({ labels, point }) => [labels.a, point.startTimeUnixNano]),
    [
      ["1", "1720000000000000000"],
      ["2", "1720999999000000000"],
      ["3", "1720999998000000000"],
    ],
  );
});

test("scopes and resources come from labels, info series and the target", async () => {
  await using it = await setUp();
  const scope = { otel_scope_name: "io.example", otel_scope_version: "2", otel_scope_schema_url: "http://s" };
  const samples: Sample[] = [
    ["a", scope, 1],
    ["otel_scope_info", { ...scope, library: "x" }, 1],
    ["target_info", { version: "1.2" }, 1],
    ["b", { job: "other" }, 1],
  ];
  const [a, b] = await it.send(samples, { discovered: { __scheme__: "https", __meta_kubernetes_pod_name: "web" } });
  assert.deepEqual(
    [a!.scope, a!.schemaUrl],
    [{ name: "io.example", version: "2", attributes: { library: "x" } }, "http://s"],
  );
  assert.deepEqual(a!.labels, {});
  const { version, "url.scheme": scheme, "k8s.pod.name": pod } = a!.resource;
  assert.deepEqual([version, scheme, pod], ["1.2", "https", "web"]);
  assert.deepEqual([b!.resource["service.name"], b!.resource.version], ["other", undefined]);
  // Without the info series what they said is gone.
  const [again] = await it.send([samples[0]!]);
  assert.deepEqual([again!.scope.attributes, again!.resource.version], [undefined, undefined]);
  assert.equal(again!.resource["url.scheme"], "");
});

test("job and instance of the target stand in for missing ones; without any the samples are dropped and counted", async () => {
  await using it = await setUp();
  const sample: Sample = ["a", { job: "", instance: "" }, 1];
  const done = acknowledged();
  assert.deepEqual(await it.send([sample], { isPushed: true }, done.acknowledgement), []);
  assert.ok(done.fired);
  assert.equal(it.component.flow.dropped.get("metrics")!.get("no_job_or_instance"), 1);
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "samples_dropped");
  assert.match(it.component.flow.status.cause, /^1 samples as no_job_or_instance .*\{__name__="a".*add both labels/s);
  await using other = await setUp();
  const [point] = await other.send([sample], { discovered: { job: "federation", instance: "p:9090" } });
  assert.equal(point!.resource["service.instance.id"], "p:9090");
});

test("each other sample that makes no point is dropped for a reason", async () => {
  await using it = await setUp();
  const metadata = [describe("h", "histogram"), describe("s", "summary")];
  const wide = {
    ...NATIVE,
    positiveSpans: [
      { offset: 0, length: 1 },
      { offset: 2_000_000_000, length: 1 },
    ],
    positive: [1, 1],
  };
  const points = await it.send(
    [
      ["h_bucket", { le: "x" }, 1],
      ["h_bucket", { le: "1" }, 1],
      ["h_sum", {}, 1],
      ["s", {}, 1],
      ["n", {}, 1, wide],
      ["", {}, 1],
      ["ok", {}, 1],
    ],
    { metadata },
  );
  assert.deepEqual(
    points.map(({ metric }) => metric.name),
    ["ok"],
  );
  assert.deepEqual(Object.fromEntries(it.component.flow.dropped.get("metrics")!), {
    invalid_boundary: 2,
    incomplete_histogram: 2,
    histogram_too_wide: 1,
    no_name: 1,
  });
});

test("metadata that comes later, or changes, counts from then on", async () => {
  await using it = await setUp();
  const type = async (extras: Extras) => (await it.send([["x", {}, 1]], { isPushed: true, ...extras }))[0]!.metric;
  assert.ok("gauge" in (await type({})));
  assert.ok("sum" in (await type({ metadata: [describe("x", "counter", "Help.")] })));
  assert.equal((await type({})).description, "Help.");
  assert.equal((await type({ metadata: [describe("x", "counter", "More help.")] })).description, "More help.");
});

test("what is known of series that are gone is forgotten", async () => {
  await using it = await setUp();
  const samples = (n: number): Sample[] => [
    ["h_bucket", { le: "1", n: String(n), job: `j${n % 7}` }, 1],
    ["h_count", { n: String(n), job: `j${n % 7}` }, 1],
    ["target_info", { n: String(n), job: `j${n % 7}` }, 1],
    ["g", { n: String(n), otel_scope_name: `s${n % 3}` }, 1],
  ];
  const metadata = [describe("h", "histogram")];
  for (let n = 0; n < 300; n++) {
    await it.send(samples(n), { metadata });
    for (const ref of it.held.splice(0)) it.series.release(ref);
  }
  assert.equal(it.series.size, 0);
  // A number of a series that is given to another one brings nothing along.
  const [point] = await it.send([["other", { job: "new" }, 1]]);
  assert.deepEqual([point!.resource["service.name"], point!.labels, point!.metric.name], ["new", {}, "other"]);
});
