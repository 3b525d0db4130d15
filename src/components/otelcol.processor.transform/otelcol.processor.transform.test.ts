import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRequest } from "#formats/otlp/decode";
import { requestFromJson } from "#formats/otlp/json";
import type { OtlpBatch } from "#pipeline/batch";
import { acknowledged, recordOtlp, refusals, startComponent } from "#pipeline/testing";
import component from "./otelcol.processor.transform.ts";

const signal = new AbortController().signal;

const METRIC = { name: "a", gauge: { dataPoints: [{ asInt: "1" }, { asInt: "2" }] } };

function metrics(): { batch: OtlpBatch; safe: { readonly fired: boolean } } {
  const json = { resourceMetrics: [{ scopeMetrics: [{ metrics: [METRIC] }] }] };
  const part = requestFromJson("metrics", JSON.stringify(json));
  const safe = acknowledged();
  const { acknowledgement } = safe;
  const clientAttributes = new Map([["username", "blue"]]);
  const base = { signal: "otlp", kind: "metrics", clientMetadata: undefined, clientAttributes } as const;
  return { batch: { ...base, parts: [part], items: 2, bytes: part.length, acknowledgement }, safe };
}

async function run(config: string) {
  const sink = recordOtlp();
  const options = { scope: { out: sink.value } };
  await using started = await startComponent(component, `${config}\noutput {\nmetrics = [out]\n}`, options);
  const { batch, safe } = metrics();
  await started.exports.input.consume(batch, signal);
  assert.ok(safe.fired);
  return { sent: batch, out: sink.items[0]!, logs: started.logs };
}

test("statements change the data in their order, and what is new is counted", async () => {
  const { out } = await run(`metric_statements {
    context = "metric"
    statements = [\`copy_metric(name = "b") where name == "a"\`, \`set(unit, "1") where name == "b"\`]
  }
  statements {
    metric = [\`set(datapoint.attributes["from"], metric.name)\`]
  }`);
  const text = JSON.stringify(decodeRequest("metrics", out.parts));
  assert.match(text, /"name":"b".*"unit":"1"/);
  assert.equal(text.split('"from"').length - 1, 4);
  assert.equal(out.items, 4);
});

test("statements see what authentication told of the client", async () => {
  const { out } = await run(`statements {
    metric = [
      \`set(metric.unit, otelcol.client.auth.attributes["username"])\`,
      \`set(metric.description, "nobody") where otelcol.client.auth.attributes["subject"] == nil\`,
      \`set(metric.name, "all") where otelcol.client.auth.attributes == {"username": "blue"}\`,
    ]
  }`);
  const text = JSON.stringify(decodeRequest("metrics", out.parts));
  assert.match(text, /"name":"all".*"description":"nobody".*"unit":"blue"/);
});

test("what no statement changes is the same batch", async () => {
  const { sent, out } = await run('statements {\nmetric = [`set(metric.unit, "1") where metric.name == "x"`]\n}');
  assert.equal(out, sent);
});

test("groups run only where one of their conditions holds", async () => {
  const group = (condition: string) => `metric_statements {
    context = "metric"
    conditions = [\`${condition}\`, \`name == "y"\`]
    statements = [\`set(description, "done")\`]
  }`;
  assert.match(JSON.stringify(decodeRequest("metrics", (await run(group('name == "a"'))).out.parts)), /done/);
  assert.doesNotMatch(JSON.stringify(decodeRequest("metrics", (await run(group('name == "x"'))).out.parts)), /done/);
});

test("an error mode of a group goes before that of the component", async () => {
  const failing = (mode: string) => `metric_statements {
    context = "metric"
    statements = [\`set(unit, ParseInt(name, 10))\`]
    ${mode}
  }`;
  const { logs } = await run(failing(""));
  assert.equal(logs.filter((each) => /passed over/.test(each.message)).length, 1);
  assert.equal((await run(failing('error_mode = "silent"'))).logs.length, 0);
  await assert.rejects(run(failing('error_mode = "propagate"')), /is no int in base 10/);
});

test("mistakes are refused with their place", async () => {
  for (const [config, message] of [
    ["statements {\nmetric = [`set(metric.unt, 1)`]\n}", /no path unt; did you mean unit\? at character 12/],
    ["statements {\nmetric = [`set(unit, 1)`]\n}", /no context can be told from the statements/],
    [
      'metric_statements {\ncontext = "span"\nstatements = []\n}',
      /`metric_statements\[0\].context` cannot be "span": the contexts of metrics are/,
    ],
    [
      'metric_statements {\ncontext = "metric"\nstatements = [`sett(unit, "1")`]\n}',
      /no function sett.*did you mean set\?/,
    ],
    [
      'metric_statements {\ncontext = "metric"\nstatements = [`set(unit)`]\n}',
      /set takes 2 arguments \(target, value\)/,
    ],
  ] as const) {
    await assert.rejects(run(config), message, config);
  }
});

test("mistakes are told at the block and the statement that have them", () => {
  const scope = { out: recordOtlp().value };
  const found = (config: string) => refusals(component, `${config}\noutput {\ntraces = [out]\n}`, { scope });
  const group = (statements: string, more = "") =>
    `trace_statements {\ncontext = "span"\n${more}statements = ${statements}\n}\n`;
  const good = group('["set(name, \\"x\\")"]');
  const [first, second, third, ...others] = found(
    `${good}${good}${group('["set(name, 1)", "sett(name)"]')}${group("[]", 'conditions = ["nam"]\n')}statements {\ntrace = ["set(span.name, nil)", "set(x, 1)", "set(span.name)"]\n}`,
  );
  assert.match(
    first!,
    /^11 "sett\(name\)": `trace_statements\[2\]\.statements\[1\]` has an error: there is no function/,
  );
  assert.match(second!, /^15 "nam": `trace_statements\[3\]\.conditions\[0\]` has an error: /);
  assert.match(third!, /^19 "set\(x, 1\)": `statements\.trace\[1\]` has an error: /);
  assert.deepEqual(others, []);
});
