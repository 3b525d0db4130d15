import assert from "node:assert/strict";
import { test } from "node:test";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { acknowledged, recordOtlp, startComponent } from "#pipeline/testing";
import definition from "./otelcol.connector.spanlogs.ts";

const text = (key: string, stringValue: string) => ({ key, value: { stringValue } });
const TRACES = [1, 2].map((n) => Buffer.alloc(16, n).toString("base64"));
const [FIRST, SECOND] = ["01".repeat(16), "02".repeat(16)];

const span = (name: string, trace: number, isRoot: boolean, rest: object = {}) => ({
  name,
  traceId: TRACES[trace],
  spanId: Buffer.alloc(8, 3).toString("base64"),
  parentSpanId: isRoot ? "" : Buffer.alloc(8, 4).toString("base64"),
  startTimeUnixNano: "1721000000000000000",
  endTimeUnixNano: "1721000000000001500",
  ...rest,
});

async function setUp(config: string) {
  const out = recordOtlp();
  const component = await startComponent(definition, `${config}\noutput {\n logs = [out]\n}`, {
    scope: { out: out.value },
  });
  const send = async (spans: readonly object[], acknowledgement = Acknowledgement.none, kind: OtlpKind = "traces") => {
    const resource = { attributes: [text("service.name", "shop"), text("host", "node-7")] };
    const bytes = oracleEncode("traces", { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
    out.items.length = 0;
    const batch = { signal: "otlp", kind, parts: [bytes], items: spans.length, bytes: bytes.length } as const;
    await component.exports.input!.consume(
      { ...batch, clientMetadata: undefined, acknowledgement },
      new AbortController().signal,
    );
    return out.items.flatMap((each) => {
      assert.equal(each.kind, "logs");
      const items = each.parts.flatMap((part) => itemsOf("logs", part)).map((item) => JSON.parse(item)[2]);
      assert.equal(items.length, each.items);
      return items.map(({ body, attributes }) => {
        const labels = attributes.map((pair: ReturnType<typeof text>) => `${pair.key}=${pair.value.stringValue}`);
        return `${labels.join(",")}: ${body.stringValue}`;
      });
    });
  };
  return { component, send, [Symbol.asyncDispose]: () => component.stop() };
}

test("a line for each span, with attributes and labels", async () => {
  await using it = await setUp(
    'spans = true\nspan_attributes = ["http.method", "missing"]\nprocess_attributes = ["host"]\nlabels = ["svc", "http.method"]',
  );
  const rest = { attributes: [text("http.method", "GET it"), text("other", "x")], status: { code: 2 } };
  assert.deepEqual(await it.send([span("GET /", 0, false, rest), span("b", 0, true)]), [
    `traces=span,http.method=GET it,svc=shop: span="GET /" dur=1500ns status=Error http.method="GET it" svc=shop host=node-7 tid=${FIRST}`,
    `traces=span,svc=shop: span=b dur=1500ns svc=shop host=node-7 tid=${FIRST}`,
  ]);
});

test("roots, also after spans that are none", async () => {
  await using it = await setUp("roots = true");
  assert.deepEqual(await it.send([span("child", 0, false), span("root", 0, true)]), [
    `traces=root: span=root dur=1500ns svc=shop tid=${FIRST}`,
  ]);
});

test("a line for each process of a trace", async () => {
  await using it = await setUp("processes = true");
  const spans = [span("a", 0, true), span("b", 0, false), span("c", 1, false)];
  assert.deepEqual(await it.send(spans), [
    `traces=process: svc=shop tid=${FIRST}`,
    `traces=process: svc=shop tid=${SECOND}`,
  ]);
});

test("a line for each event, with what the span has", async () => {
  await using it = await setUp(`events = true
event_attributes = ["what"]
overrides {
  logs_instance_tag = "kind"
  service_key = "service"
  span_name_key = "name"
  status_key = "code"
  duration_key = "took"
  trace_id_key = "trace"
}`);
  const rest = { events: [{ name: "e", attributes: [text("what", "boom")] }, { name: "f" }], status: { code: 1 } };
  assert.deepEqual(await it.send([span("a", 0, true, rest)]), [
    `kind=event: name=a took=1500ns code=Ok service=shop trace=${FIRST} what=boom`,
    `kind=event: name=a took=1500ns code=Ok service=shop trace=${FIRST}`,
  ]);
});

test("nothing to log is acknowledged; other signals are counted", async () => {
  await using it = await setUp("roots = true");
  const nothing = acknowledged();
  assert.deepEqual(await it.send([span("child", 0, false)], nothing.acknowledgement), []);
  assert.ok(nothing.fired);
  const other = acknowledged();
  await it.send([span("x", 0, true)], other.acknowledgement, "metrics");
  assert.ok(other.fired);
  assert.equal(it.component.flow.dropped.get("otlp")!.get("unsupported_signal"), 1);
  it.component.flow.judge();
  assert.equal(it.component.flow.status.rule, "unsupported_signal");
  assert.match(
    it.component.flow.status.cause,
    /^1 items as unsupported_signal .* takes .* came; take it out of `output\./,
  );
});

test("a key that logfmt cannot have is refused with its name", async () => {
  await using it = await setUp('spans = true\noverrides {\n service_key = "="\n}');
  await assert.rejects(it.send([span("a", 0, true)]), /the key "=" has no character that logfmt allows.*overrides/);
});

test("changed arguments count at once", async () => {
  await using it = await setUp("spans = true");
  await it.component.update("roots = true\noutput {\n logs = [out]\n}");
  assert.deepEqual(await it.send([span("child", 0, false)]), []);
});
