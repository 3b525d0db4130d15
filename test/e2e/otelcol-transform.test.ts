import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { decodeRequest, type OtlpObject } from "#formats/otlp/decode";
import { runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort } from "../kit/process.ts";
import { Sink } from "../kit/sink.ts";

/** Client → receiver → filter → transform → exporter → backend, in the real agent. */

const FILTER = "otelcol.processor.filter.checks";
const TRANSFORM = "otelcol.processor.transform.names";

interface Setup {
  readonly statements: readonly string[];
  readonly errorMode?: string;
}

async function prepare(t: TestContext, { statements, errorMode = "ignore" }: Setup) {
  const port = await freePort();
  const spans: OtlpObject[] = [];
  const sink = await Sink.start((_path, body) => {
    const { resourceSpans } = decodeRequest("traces", [body]) as { resourceSpans: OtlpObject[] };
    for (const { scopeSpans } of resourceSpans) {
      for (const scope of scopeSpans as OtlpObject[]) spans.push(...(scope.spans as OtlpObject[]));
    }
  });
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(t, configuration(port, sink.url, statements, errorMode));
  const send = async (...names: string[]) => {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: names.map(spanOf) }] }] }),
    });
    return { status: answer.status, text: await answer.text() };
  };
  return { agent, send, spans, names: () => spans.map((span) => span.name) };
}

const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
function spanOf(name: string) {
  const attributes = [
    { key: "url.path", value: { stringValue: name.replace(/^\S+ /, "") } },
    { key: "http.response.status_code", value: { intValue: "503" } },
  ];
  return { traceId: "5b8efff798038103d269b633813fc60c", spanId: "eee19b7ec3c1b174", name, kind: 2, attributes };
}

function configuration(port: number, url: string, statements: readonly string[], errorMode: string): string {
  return `otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    traces = [${FILTER}.input]
  }
}
otelcol.processor.filter "checks" {
  trace_conditions {
    conditions = [
      \`span.attributes["url.path"] == "/health"\`,
      \`resource.attributes["service.name"] == "other"\`,
    ]
  }
  output {
    traces = [${TRANSFORM}.input]
  }
}
otelcol.processor.transform "names" {
  error_mode = "${errorMode}"
  statements {
    trace = [
${statements.map((each) => `      \`${each}\`,`).join("\n")}
    ]
  }
  output {
    traces = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.exporter.otlphttp "out" {
  client {
    endpoint = "${url}"
  }
}
`;
}

test("spans are filtered and changed on their way", async (t) => {
  const statements = [
    'replace_pattern(span.name, "/\\\\d+", "/{id}")',
    'set(span.attributes["service"], Concat([resource.attributes["service.name"], span.kind.string], "/"))',
    'set(span.status.code, STATUS_CODE_ERROR) where span.attributes["http.response.status_code"] >= 500',
    'delete_key(span.attributes, "url.path")',
  ];
  const { agent, send, spans, names } = await prepare(t, { statements });
  assert.equal((await send("GET /health")).status, 200);
  assert.equal((await send("GET /health", "GET /items/17", "GET /items")).status, 200);
  await agent.until(() => spans.length === 2, "what is left arrives");
  assert.deepEqual(names(), ["GET /items/{id}", "GET /items"]);
  assert.deepEqual(spans[0], {
    traceId: "5b8efff798038103d269b633813fc60c",
    spanId: "eee19b7ec3c1b174",
    name: "GET /items/{id}",
    kind: 2,
    attributes: [
      { key: "http.response.status_code", value: { intValue: "503" } },
      { key: "service", value: { stringValue: "shop/Server" } },
    ],
    status: { code: 2 },
  });
  assert.equal(await agent.dropped(FILTER, "filter_condition"), 2);
  assert.equal(await agent.metric("otelcol_processor_filter_spans_filtered_total", { filter: `filter/${FILTER}` }), 2);
  const { flow } = await agent.component(TRANSFORM);
  assert.equal(flow.received.items, 2);
  assert.equal(flow.sent[0]!.items, 2);
  assert.equal(await agent.stop(), 0);
});

test("a statement that fails is logged and the rest goes on, until somebody wants to know", async (t) => {
  const statements = ['set(span.name, ParseJSON(span.attributes["url.path"]))', 'set(span.attributes["after"], true)'];
  const { agent, send, spans } = await prepare(t, { statements });
  for (let i = 0; i < 10; i++) assert.equal((await send("GET /a", "GET /b")).status, 200);
  await agent.until(() => spans.length === 20, "everything arrives");
  for (const span of spans) assert.ok((span.attributes as OtlpObject[]).some(({ key }) => key === "after"));
  await agent.untilLogged(/level=warn .*component_id=otelcol\.processor\.transform\.names .*ParseJSON/);
  assert.ok(agent.log.match(/ParseJSON/g)!.length < 10, "not once for every span");
  await agent.untilRule(TRANSFORM, "statements_fail", "degraded");
});

test("with error_mode = propagate a request on which a statement fails is dropped, counted and explained", async (t) => {
  const statements = ['set(span.attributes["n"], ParseJSON(span.attributes["url.path"]))'];
  const { agent, send, spans } = await prepare(t, { statements, errorMode: "propagate" });
  await send("GET /a", "GET {}");
  await agent.until(async () => (await agent.dropped(FILTER, "statement_error")) === 2, "both spans are dropped");
  assert.match((await agent.component(FILTER)).flow.cause, /transform\.names refused 2 items: .*ParseJSON/);
  await send("GET {}");
  await agent.until(() => spans.length === 1, "what works arrives");
});

test("a mistake in a statement is refused with its place", async (t) => {
  const path = join(temporaryFolder(t), "config.alloy");
  const statements = ['set(span.attributes["a"], "b"', 'set(span.attributes["a"], Lowercase(span.name))'];
  for (const [statement, message] of [
    [statements[0]!, /at character 30\n/],
    [statements[1]!, /there is no function Lowercase.*at character 27\n/s],
  ] as const) {
    writeFileSync(path, configuration(4318, "http://127.0.0.1:4319", [statement], "ignore"));
    const { code, stderr, stdout } = await runInvar(["validate", path]);
    assert.equal(code, 1);
    assert.match(stdout + stderr, message);
  }
});
