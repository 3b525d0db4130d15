import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { acknowledged, recordLogs, startComponent } from "#pipeline/testing";
import definition from "./otelcol.exporter.loki.ts";

const NOW = 1_721_000_060_000;
const text = (stringValue: string) => ({ stringValue });
const int = (value: number) => ({ intValue: String(value) });
const list = (...values: object[]) => ({ arrayValue: { values } });
const map = (pairs: Values) => ({ kvlistValue: { values: attributes(pairs) } });
type Values = Readonly<Record<string, object>>;
function attributes(pairs: Values): object[] {
  return Object.entries(pairs).map(([key, value]) => ({ key, value }));
}

interface Record_ {
  readonly body?: object;
  readonly attributes?: Values;
  readonly rest?: object;
}

async function setUp(kind: OtlpKind = "logs") {
  const out = recordLogs();
  const component = await startComponent(definition, "forward_to = [out]", {
    scope: { out: out.value },
    clock: new ManualClock(NOW),
  });
  const send = async (
    records: readonly Record_[],
    resource: Values = {},
    scope: object = {},
    acknowledgement = Acknowledgement.none,
  ) => {
    const logRecords = records.map(({ body, attributes: own = {}, rest }) => ({
      body,
      attributes: attributes(own),
      ...rest,
    }));
    const bytes = oracleEncode("logs", {
      resourceLogs: [{ resource: { attributes: attributes(resource) }, scopeLogs: [{ scope, logRecords }] }],
    });
    out.items.length = 0;
    const batch = { signal: "otlp", kind, parts: [bytes], items: records.length, bytes: bytes.length } as const;
    const whole = { ...batch, clientMetadata: undefined, acknowledgement };
    await component.exports.input!.consume(whole, new AbortController().signal);
    return out.items.map(({ labels, line }) => `${labels} ${line}`);
  };
  return { component, out, send, [Symbol.asyncDispose]: () => component.stop() };
}

test("a record becomes JSON, with job and instance as labels", async () => {
  await using it = await setUp();
  const rest = {
    traceId: Buffer.alloc(16, 1).toString("base64"),
    spanId: Buffer.alloc(8, 2).toString("base64"),
    severityText: "Info",
    flags: 1,
  };
  const resource = {
    "service.namespace": text("shop"),
    "service.name": text("web"),
    "service.instance.id": int(7),
    z: text("<&>"),
  };
  const scope = { name: "lib", version: "1", attributes: attributes({ k: text("v") }) };
  const [entry] = await it.send(
    [{ body: text("It happened"), attributes: { b: int(2), a: list(text("x"), int(1)) }, rest }],
    resource,
    scope,
  );
  assert.equal(
    entry,
    '{exporter="OTLP", instance="7", job="shop/web"} ' +
      `{"body":"It happened","traceid":"${"01".repeat(16)}","spanid":"${"02".repeat(8)}","severity":"Info","flags":1,` +
      '"attributes":{"a":["x",1],"b":2},"resources":{"service.instance.id":7,"service.name":"web","service.namespace":"shop",' +
      '"z":"\\u003c\\u0026\\u003e"},"instrumentation_scope":{"name":"lib","version":"1","attributes":{"k":"v"}}}',
  );
  assert.deepEqual(await it.send([{}]), ['{exporter="OTLP"} {}']);
});

test("hints make labels of attributes, which are in the line no longer", async () => {
  await using it = await setUp();
  const resource = {
    "host.name": text("node-7"),
    "k8s.pod": map({ name: text("web-1") }),
    "loki.resource.labels": text("host.name"),
  };
  const own = {
    "event.domain": text("db"),
    deep: map({ "a.b": text("found") }),
    number: int(3),
    left: text("here"),
    "loki.attribute.labels": text("event.domain, deep.a.b,number,missing"),
    "loki.resource.labels": list(text("k8s.pod.name")),
    "loki.tenant": text("nobody"),
  };
  assert.deepEqual(await it.send([{ attributes: own }], resource), [
    '{deep_a_b="found", event_domain="db", exporter="OTLP", host_name="node-7", k8s_pod_name="web-1", number="3"} ' +
      '{"attributes":{"deep":{"a.b":"found"},"left":"here"},"resources":{"k8s.pod":{"name":"web-1"}}}',
  ]);
});

test("the severity becomes the label level, unless there is an attribute of that name", async () => {
  await using it = await setUp();
  const level = async (severityNumber: number, own: Values = {}) =>
    (await it.send([{ attributes: own, rest: { severityNumber } }]))[0]!;
  assert.equal(await level(9), '{exporter="OTLP", level="INFO"} {}');
  assert.equal(await level(20), '{exporter="OTLP", level="ERROR4"} {}');
  assert.equal(await level(9, { level: text("own") }), '{exporter="OTLP", level="own"} {}');
  const hints = [text("a"), list(text("a"))];
  for (const hint of hints) {
    const entry = await level(1, { a: text("x"), "loki.attribute.labels": hint });
    assert.equal(entry, '{a="x", exporter="OTLP", level="TRACE"} {}');
  }
  // A hint that is neither text nor list stays as it is.
  assert.equal(
    await level(1, { "loki.attribute.labels": int(5) }),
    '{exporter="OTLP"} {"attributes":{"level":"TRACE"}}',
  );
});

test("the format raw is the body alone", async () => {
  await using it = await setUp();
  const raw = { "loki.format": text("raw") };
  const bodies = [
    text("plain"),
    int(5),
    map({ b: int(1), a: text("x") }),
    list(text("y")),
    { bytesValue: "aGk=" },
    undefined,
  ];
  const entries = await it.send(
    bodies.map((body) => ({ ...(body && { body }), attributes: { left: text("out") } })),
    raw,
  );
  assert.deepEqual(
    entries.map((entry) => entry.slice('{exporter="OTLP"} '.length)),
    ["plain", "5", '{"a":"x","b":1}', '["y"]', "aGk=", ""],
  );
});

test("the format logfmt writes everything in pairs", async () => {
  await using it = await setUp();
  const logfmt = { "loki.format": text("logfmt") };
  const rest = { traceId: Buffer.alloc(16, 1).toString("base64"), severityText: "Info" };
  const entries = await it.send(
    [
      { body: text('msg="was logfmt" traceID=kept'), attributes: { a: map({ b: list(int(1), int(2)) }) }, rest },
      { body: text("not = logfmt"), attributes: { "bad key=": text('with "quotes"\n') } },
      { body: map({ severity: text("replaced"), n: { doubleValue: 1e8 } }), rest },
      { body: list(text("null"), { boolValue: true }) },
    ],
    logfmt,
    { name: "lib", attributes: attributes({ k: text("v"), l: int(2) }) },
  );
  const trace = "01".repeat(16);
  const scope = "instrumentation_scope_attribute_k=v instrumentation_scope_attribute_l=2";
  assert.deepEqual(
    entries.map((entry) => entry.slice('{exporter="OTLP"} '.length)),
    [
      `msg="was logfmt" traceID=kept traceID=${trace} severity=Info attribute_a_b_0=1 attribute_a_b_1=2 instrumentation_scope_name=lib ${scope}`,
      `msg="not = logfmt" attribute_badkey="with \\"quotes\\"\\n" instrumentation_scope_name=lib ${scope}`,
      `severity=Info n=1e+08 traceID=${trace} instrumentation_scope_name=lib ${scope}`,
      `body_0="null" body_1=true instrumentation_scope_name=lib ${scope}`,
    ],
  );
});

test("times: that of the record, or when it was observed, or now", async () => {
  await using it = await setUp();
  const observed = { observedTimeUnixNano: "1721000000000000002" };
  await it.send([{ rest: { timeUnixNano: "1721000000123456789", ...observed } }, { rest: observed }, {}]);
  assert.deepEqual(
    it.out.items.map(({ ms, ns }) => [ms, ns]),
    [
      [1_721_000_000_123, 456_789],
      [1_721_000_000_000, 2],
      [NOW, 0],
    ],
  );
});

test("records that become no entry are counted, and the others pass", async () => {
  await using it = await setUp();
  const done = acknowledged();
  const entries = await it.send(
    [
      { attributes: { "loki.format": text("xml") } },
      { attributes: { "//": text("x"), "loki.attribute.labels": text("//") } },
      { attributes: { "": text("x"), "loki.attribute.labels": text("") } },
      { body: { doubleValue: Number.NaN } },
      { body: map({ "==": text("x") }), attributes: { "loki.format": text("logfmt") } },
      { body: text("good") },
    ],
    {},
    {},
    done.acknowledgement,
  );
  assert.deepEqual(entries, ['{exporter="OTLP"} {"body":"good"}']);
  assert.ok(done.fired);
  assert.deepEqual(Object.fromEntries(it.component.flow.dropped.get("otlp")!), {
    invalid_format: 1,
    invalid_label: 2,
    not_finite: 1,
    invalid_key: 1,
  });
  const { metric } = it.component;
  const counts = ["total", "failed", "processed"].map((name) => metric(`otelcol_exporter_loki_entries_${name}`));
  assert.deepEqual(counts, [6, 5, 1]);
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "records_dropped");
  assert.match(it.component.flow.status.cause, /log records as invalid_label .*no letter or digit/);
});

test("other signals are dropped and counted", async () => {
  await using it = await setUp("metrics");
  const done = acknowledged();
  await it.send([{}], {}, {}, done.acknowledgement);
  assert.ok(done.fired);
  assert.equal(it.component.flow.dropped.get("otlp")!.get("unsupported_signal"), 1);
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "unsupported_signal");
  assert.match(
    it.component.flow.status.cause,
    /^1 items as unsupported_signal .* takes .* came; take it out of `output\./,
  );
});
