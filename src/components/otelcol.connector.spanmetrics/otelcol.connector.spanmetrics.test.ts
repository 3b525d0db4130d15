import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { ManualClock } from "#base/manual-clock.testing";
import { until } from "#base/until.testing";
import { list } from "#formats/otlp/text";
import { batchOf, countsOf, pointsOf, type TestSpan, traces } from "#kits/span-metrics/span-metrics.testing";
import { DiagnosticError } from "#lang/diagnostic";
import type { OtlpBatch } from "#pipeline/batch";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import connector from "./otelcol.connector.spanmetrics.ts";

const { signal } = new AbortController();
const OUTPUT = "output {\n  metrics = [out]\n}";
const NO_HISTOGRAM = "histogram {\n  disable = true\n  explicit {}\n}";
const SHOP = { "service.name": "shop" };
const COMMON = "service.name=shop span.name=GET / span.kind=SPAN_KIND_SERVER status.code=STATUS_CODE_UNSET";

async function start(t: TestContext, config: string) {
  const sink = recordOtlp();
  const clock = new ManualClock();
  const component = await startComponent(connector, `${config}\n${OUTPUT}`, { scope: { out: sink.value }, clock });
  cleanUp(t, () => component.stop());
  const send = (...spans: readonly TestSpan[]) =>
    component.exports.input.consume(batchOf(traces({ resource: SHOP, spans })), signal);
  /** What the next flush hands on. */
  const flush = async (ms = 60_000): Promise<OtlpBatch[]> => {
    await clock.advance(ms);
    return sink.items.splice(0);
  };
  return { component, sink, clock, send, flush };
}

async function refusal(config: string): Promise<string> {
  const sink = recordOtlp();
  try {
    const component = await startComponent(connector, `${config}\n${OUTPUT}`, { scope: { out: sink.value } });
    await component.stop();
  } catch (error) {
    assert.ok(error instanceof DiagnosticError);
    return error.message;
  }
  return assert.fail("the configuration is taken");
}

test("calls begin at zero, durations at once, and both go on", async (t) => {
  const { clock, send, flush } = await start(t, "histogram {\n  explicit {}\n}");
  const began = clock.now();
  await send({ ms: 3, status: 2 }, { ms: 3, status: 2 }, { ms: 20_000, status: 2 });
  const labels = COMMON.replace("UNSET", "ERROR");
  const first = pointsOf(await flush());
  assert.deepEqual(
    first.map(({ metric, unit, temporality, scope, resource, count }) => [
      metric,
      unit,
      temporality,
      scope,
      resource,
      count,
    ]),
    [
      ["traces.span.metrics.calls", "", 2, "spanmetricsconnector", "service.name=shop", 0],
      ["traces.span.metrics.duration", "ms", 2, "spanmetricsconnector", "service.name=shop", 3],
    ],
  );
  assert.deepEqual(new Set(first.map((each) => each.labels)), new Set([labels]));
  const [calls, duration] = first.map(({ point }) => point);
  assert.equal(duration!.sum, 20_006);
  assert.deepEqual(duration!.bucketCounts, ["0", "2", ...Array(14).fill("0"), "1"]);
  assert.deepEqual((duration!.explicitBounds as number[]).slice(0, 3), [2, 4, 6]);
  for (const point of [calls!, duration!]) {
    assert.equal(point.startTimeUnixNano, `${began}000000`);
    assert.equal(point.timeUnixNano, `${began + 60_000}000000`);
  }
  await send({ ms: 1, status: 2 });
  const second = await flush();
  assert.deepEqual(countsOf(second), [
    `traces.span.metrics.calls{${labels}} 4`,
    `traces.span.metrics.duration{${labels}} 4`,
  ]);
  assert.equal(pointsOf(second)[0]!.point.startTimeUnixNano, `${began}000000`);
});

test("seconds, a namespace and buckets in any order", async (t) => {
  const config = `namespace = ""
histogram {
  unit = "s"
  explicit {
    buckets = ["1s", "500ms", "1s"]
  }
}`;
  const { send, flush } = await start(t, config);
  await send({ ms: 750 });
  const [calls, duration] = pointsOf(await flush());
  assert.equal(calls!.metric, "calls");
  assert.deepEqual([duration!.metric, duration!.unit], ["duration", "s"]);
  assert.deepEqual(duration!.point.explicitBounds, [0.5, 1]);
  assert.deepEqual(duration!.point.bucketCounts, ["0", "1", "0"]);
  assert.equal(duration!.point.sum, 0.75);
});

test("exponential buckets keep to their number", async (t) => {
  const { send, flush } = await start(t, "histogram {\n  exponential {\n    max_size = 4\n  }\n}");
  await send({ ms: 0 }, { ms: 1 }, { ms: 2 }, { ms: 1000 });
  const { point } = pointsOf(await flush())[1]!;
  assert.equal(point.zeroCount, "1");
  assert.deepEqual([point.count, point.sum, point.min ?? 0, point.max], ["4", 1003, 0, 1000]);
  // 2^-2 is the finest scale at which 1 and 1000 are in four neighbouring buckets.
  assert.equal(point.scale, -2);
  assert.deepEqual(point.positive, { offset: -1, bucketCounts: ["1", "1", "0", "1"] });
});

test("dimensions come from the span, then the resource, then the default", async (t) => {
  const config = `dimension {
  name = "where"
}
dimension {
  name    = "method"
  default = "GET"
}
calls_dimension {
  name = "only.calls"
}
histogram {
  dimension {
    name = "only.durations"
  }
  explicit {}
}
exclude_dimensions = ["service.name", "span.kind", "status.code"]`;
  const { component, flush } = await start(t, config);
  const request = traces({
    resource: { ...SHOP, where: "resource", "only.durations": 5 },
    spans: [{ attributes: { where: "span", "only.calls": true } }, { attributes: { method: "POST" } }],
  });
  await component.exports.input.consume(batchOf(request), signal);
  await flush();
  assert.deepEqual(countsOf(await flush()), [
    "traces.span.metrics.calls{span.name=GET / where=resource method=POST} 1",
    "traces.span.metrics.calls{span.name=GET / where=span method=GET only.calls=true} 1",
    "traces.span.metrics.duration{span.name=GET / where=resource method=POST only.durations=5} 1",
    "traces.span.metrics.duration{span.name=GET / where=span method=GET only.durations=5} 1",
  ]);
});

test("values of different types with the same text are one series", async (t) => {
  const { send, flush } = await start(t, `dimension {\n  name = "code"\n}\n${NO_HISTOGRAM}`);
  await send({ attributes: { code: 200 } }, { attributes: { code: "200" } }, { attributes: { code: 0 } }, {});
  await flush();
  assert.deepEqual(countsOf(await flush()), [
    `traces.span.metrics.calls{${COMMON} code=0} 1`,
    `traces.span.metrics.calls{${COMMON} code=200} 2`,
    `traces.span.metrics.calls{${COMMON}} 1`,
  ]);
});

test("patterns find attributes by name, and stop at dots", async (t) => {
  const { send, flush } = await start(t, `dimension {\n  glob = "http.*"\n}\n${NO_HISTOGRAM}`);
  await send({ attributes: { "http.url": "/", "http.a": "1", "http.b.c": "2", other: "3" } });
  assert.deepEqual(
    pointsOf(await flush()).map((each) => each.labels),
    [`${COMMON} http.a=1 http.url=/`],
  );
});

test("exemplars are the first spans since the last flush, and only those with a trace", async (t) => {
  const { clock, send, flush } = await start(
    t,
    "exemplars {\n  enabled = true\n  max_per_data_point = 2\n}\nhistogram {\n  explicit {}\n}",
  );
  await send({ ms: 1 }, { ms: 2, trace: 7, span: 8 }, { ms: 3, trace: 9 }, { ms: 4, trace: 10, span: 1 });
  for (const { point } of pointsOf(await flush())) {
    const time = `${clock.now()}000000`;
    const traceId = (last: number) => Buffer.from([...Buffer.alloc(15), last]);
    const [first, second, ...others] = list(point.exemplars);
    assert.equal(others.length, 0);
    assert.deepEqual([first!.asDouble, first!.timeUnixNano], [2, time]);
    assert.equal(String(first!.traceId).toLowerCase(), traceId(7).toString("hex"));
    assert.equal(second!.asDouble, 3);
    assert.equal(second!.spanId, undefined);
  }
  for (const { point } of pointsOf(await flush())) assert.equal(point.exemplars, undefined);
});

test("deltas follow one another without a gap, and only those that there are", async (t) => {
  const { clock, send, flush } = await start(t, `aggregation_temporality = "DELTA"\n${NO_HISTOGRAM}`);
  const began = clock.now();
  await send({}, {});
  const [first] = pointsOf(await flush());
  assert.deepEqual([first!.count, first!.temporality], [2, 1]);
  assert.equal(first!.point.startTimeUnixNano, `${began}000000`);
  assert.deepEqual(await flush(), []);
  await clock.advance(1000);
  await send({});
  const [next] = pointsOf(await flush());
  assert.equal(next!.count, 1);
  assert.equal(next!.point.startTimeUnixNano, first!.point.timeUnixNano);
});

test("a delta whose last end was forgotten starts with its first span", async (t) => {
  const config = `aggregation_temporality = "DELTA"\nmetric_timestamp_cache_size = 1\n${NO_HISTOGRAM}`;
  const { clock, send, flush } = await start(t, config);
  await send({ name: "a" }, { name: "b" });
  await flush();
  await clock.advance(1000);
  const again = clock.now();
  await send({ name: "a" }, { name: "b" });
  const starts = pointsOf(await flush()).map(({ labels, point }) => [
    labels.includes("span.name=a"),
    point.startTimeUnixNano,
  ]);
  assert.deepEqual(starts, [
    [true, `${again}000000`],
    [false, `${again - 1000}000000`],
  ]);
});

test("beyond the limit spans count as overflow, and the status says so", async (t) => {
  const { component, send, flush } = await start(t, `aggregation_cardinality_limit = 2\n${NO_HISTOGRAM}`);
  await send({ name: "a" }, { name: "b" }, { name: "c" }, { name: "d" }, { name: "a" });
  await flush();
  assert.deepEqual(
    pointsOf(await flush()).map(({ labels, count }) => [labels.replace(/ span.kind.*/, ""), count]),
    [
      ["service.name=shop span.name=a", 2],
      ["service.name=shop span.name=b", 1],
      ["otel.metric.overflow=true", 2],
    ],
  );
  component.flow.judge();
  assert.equal(component.flow.status.rule, "series_overflow");
  assert.match(component.flow.status.cause, /^2 items .* otel\.metric\.overflow/);
  assert.deepEqual(component.flow.dropped.size, 0);
});

test("sampled spans count for those that were not kept", async (t) => {
  const { send, flush } = await start(t, "histogram {\n  explicit {}\n}");
  await send({ ms: 1, traceState: "ot=th:c" }, { ms: 1 });
  await flush();
  assert.deepEqual(
    pointsOf(await flush()).map((each) => each.count),
    [5, 5],
  );
});

test("events have a metric of their own", async (t) => {
  const config = `events {\n  enabled = true\n  dimension {\n    name = "exception.type"\n  }\n}\n${NO_HISTOGRAM}`;
  const { send, flush } = await start(t, config);
  await send({ events: [{ "exception.type": "A" }, { "exception.type": "A" }, {}] });
  await flush();
  assert.deepEqual(countsOf(await flush()), [
    `traces.span.metrics.calls{${COMMON}} 1`,
    `traces.span.metrics.events{${COMMON} exception.type=A} 2`,
    `traces.span.metrics.events{${COMMON}} 1`,
  ]);
});

test("an instrumentation scope that is wanted tells spans apart", async (t) => {
  const { component, flush } = await start(t, `include_instrumentation_scope = ["express"]\n${NO_HISTOGRAM}`);
  const group = (name: string, version: string) => ({ resource: SHOP, scope: { name, version }, spans: [{}] });
  const request = traces(group("express", "1.2"), group("express", ""), group("other", "1"), group("other", "2"));
  await component.exports.input.consume(batchOf(request), signal);
  await flush();
  assert.deepEqual(countsOf(await flush()), [
    `traces.span.metrics.calls{${COMMON} span.instrumentation.scope.name=express span.instrumentation.scope.version=1.2} 1`,
    `traces.span.metrics.calls{${COMMON} span.instrumentation.scope.name=express} 1`,
    `traces.span.metrics.calls{${COMMON}} 2`,
  ]);
});

test("the collector's id is a label if it is wanted", async (t) => {
  const { send, flush } = await start(t, `include_collector_instance_id = true\n${NO_HISTOGRAM}`);
  await send({});
  assert.match(pointsOf(await flush())[0]!.labels, /collector\.instance\.id=[0-9a-f-]{36}$/);
});

test("attributes tell resources apart in any order, or only some of them", async (t) => {
  const all = await start(t, NO_HISTOGRAM);
  const some = await start(t, `resource_metrics_key_attributes = ["service.name"]\n${NO_HISTOGRAM}`);
  const spans = [{}];
  const request = traces(
    { resource: { ...SHOP, pod: "1" }, spans },
    { resource: { pod: "1", ...SHOP }, spans },
    { resource: { ...SHOP, pod: "2" }, spans },
  );
  const resources = async ({ component, flush }: typeof all) => {
    await component.exports.input.consume(batchOf(request), signal);
    await flush();
    return pointsOf(await flush()).map(({ resource, count }) => [resource, count]);
  };
  assert.deepEqual(await resources(all), [
    ["service.name=shop pod=1", 2],
    ["service.name=shop pod=2", 1],
  ]);
  assert.deepEqual(await resources(some), [["service.name=shop pod=1", 3]]);
});

test("series and resources without spans are forgotten", async (t) => {
  const { component, send, flush } = await start(
    t,
    `series_expiration = "90s"\nmetrics_expiration = "200s"\n${NO_HISTOGRAM}`,
  );
  const names = async () => pointsOf(await flush()).map(({ labels }) => labels.match(/span\.name=(\S+)/)![1]);
  await send({ name: "a" }, { name: "b" });
  assert.deepEqual(await names(), ["a", "b"]);
  await send({ name: "a" });
  assert.deepEqual(await names(), ["a", "b"]);
  assert.deepEqual(await names(), ["a"]);
  assert.deepEqual(await names(), []);
  for (let i = 0; i < 3; i++) await flush();
  assert.equal((component.instance.debugInfo!() as { resources: number }).resources, 0);
});

test("of more resources than the cache holds, the oldest is told of once more", async (t) => {
  const { component, flush } = await start(t, `resource_metrics_cache_size = 1\n${NO_HISTOGRAM}`);
  const resource = (pod: string) => ({ resource: { ...SHOP, pod }, spans: [{}] });
  await component.exports.input.consume(batchOf(traces(resource("1"), resource("2"))), signal);
  const pods = async () =>
    pointsOf(await flush())
      .map((each) => each.resource.slice(-1))
      .sort();
  assert.deepEqual(await pods(), ["1", "2"]);
  assert.deepEqual(await pods(), ["2"]);
});

test("spans without a service are dropped and the status says why", async (t) => {
  const { component } = await start(t, NO_HISTOGRAM);
  const state = acknowledged();
  const request = traces({ resource: {}, spans: [{}, {}] }, { resource: SHOP, spans: [{}] });
  await component.exports.input.consume(batchOf(request, "traces", state.acknowledgement), signal);
  assert.equal(state.fired, true);
  assert.equal(component.flow.dropped.get("otlp")!.get("no_service_name"), 2);
  component.flow.judge();
  assert.equal(component.flow.status.state, "degraded");
  assert.match(component.flow.status.cause, /^2 items .*OTEL_SERVICE_NAME/);
});

test("metrics and logs are dropped, and the status says so", async (t) => {
  const { component } = await start(t, NO_HISTOGRAM);
  const state = acknowledged();
  await component.exports.input.consume(batchOf(Buffer.alloc(0), "logs", state.acknowledgement), signal);
  assert.equal(state.fired, true);
  assert.equal(component.flow.dropped.get("otlp")!.get("unsupported_signal"), 1);
  component.flow.judge();
  assert.equal(component.flow.status.rule, "unsupported_signal");
});

test("what was counted is handed on at the stop, zeros first", async (t) => {
  const { component, sink, send } = await start(t, NO_HISTOGRAM);
  await send({}, {});
  await component.stop();
  const points = pointsOf(sink.items);
  assert.deepEqual(
    points.map((each) => each.count),
    [0, 2],
  );
  assert.ok(BigInt(String(points[1]!.point.timeUnixNano)) > BigInt(String(points[0]!.point.timeUnixNano)));
});

test("what nobody takes before the end of a stop is counted as dropped", async (t) => {
  const { component, sink, send } = await start(t, NO_HISTOGRAM);
  sink.gate = (_batch, abort) =>
    new Promise((_resolve, reject) => abort.addEventListener("abort", () => reject(abort.reason), { once: true }));
  await send({}, {});
  await component.stop(20);
  // The zero, and the count that would have followed it.
  await until(() => component.flow.dropped.get("otlp")?.get("shutdown") === 2, "the drop is counted");
  assert.ok(component.logs.some(({ message }) => message.includes("lost")));
});

test("counts go on when only the consumers change, and begin anew with other labels", async (t) => {
  const { component, sink, clock, send, flush } = await start(t, NO_HISTOGRAM);
  await send({});
  await flush();
  await component.update(`${NO_HISTOGRAM}\n${OUTPUT}`);
  await send({});
  assert.deepEqual(countsOf(await flush()), [`traces.span.metrics.calls{${COMMON}} 2`]);
  await send({});
  await component.update(`namespace = "x"\n${NO_HISTOGRAM}\n${OUTPUT}`);
  assert.deepEqual(countsOf(sink.items.splice(0)), [`traces.span.metrics.calls{${COMMON}} 3`]);
  await send({});
  await clock.advance(60_000);
  assert.deepEqual(countsOf(await flush()).slice(0, 1), [`x.calls{${COMMON}} 0`]);
});

test("what is wrong with a configuration is said", async () => {
  const dimension = (inner: string) => `dimension {\n${inner}\n}\n${NO_HISTOGRAM}`;
  const cases: readonly (readonly [config: string, message: RegExp])[] = [
    ["", /histogram/],
    ["histogram {}", /`explicit \{\}`/],
    ["histogram {\n  explicit {}\n  exponential {}\n}", /excludes `exponential`/],
    ['histogram {\n  unit = "h"\n  explicit {}\n}', /`unit` cannot be "h"/],
    [
      `aggregation_temporality = "AGGREGATION_TEMPORALITY_DELTA"\n${NO_HISTOGRAM}`,
      /`aggregation_temporality` cannot be/,
    ],
    [`metrics_flush_interval = "0s"\n${NO_HISTOGRAM}`, /greater than 0/],
    [`metrics_expiration = "-1s"\n${NO_HISTOGRAM}`, /negative/],
    [`series_expiration = "-1s"\n${NO_HISTOGRAM}`, /negative/],
    [`aggregation_cardinality_limit = -1\n${NO_HISTOGRAM}`, /aggregation_cardinality_limit/],
    [`resource_metrics_cache_size = 0\n${NO_HISTOGRAM}`, /resource_metrics_cache_size/],
    [`aggregation_temporality = "DELTA"\nmetric_timestamp_cache_size = 0\n${NO_HISTOGRAM}`, /with DELTA/],
    [`exemplars {\n  enabled = true\n  max_per_data_point = -1\n}\n${NO_HISTOGRAM}`, /negative/],
    [`events {\n  enabled = true\n}\n${NO_HISTOGRAM}`, /at least one `dimension`/],
    [dimension(""), /one of `name` and `glob`/],
    [dimension('name = "a"\nglob = "b"'), /only one of/],
    [dimension('name = "span.name"'), /label by itself/],
    [dimension('name = "a"\n}\ndimension {\nname = "a"'), /`dimension\[1\].name` names a twice/],
    [dimension('glob = "a"\ndefault = "b"'), /`dimension\[0\].default` cannot be set together/],
    [dimension('glob = "["'), /cannot be used/],
    [dimension('glob = "span.*"'), /also finds span\./],
  ];
  for (const [config, message] of cases) assert.match(await refusal(config), message, config);
});
