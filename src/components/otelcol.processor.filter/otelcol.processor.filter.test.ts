import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRequest, type OtlpObject } from "#formats/otlp/decode";
import { requestFromJson } from "#formats/otlp/json";
import type { OtlpBatch } from "#pipeline/batch";
import { PermanentError } from "#pipeline/errors";
import { acknowledged, recordOtlp, refusals, startComponent } from "#pipeline/testing";
import component from "./otelcol.processor.filter.ts";

const signal = new AbortController().signal;

function spans(...names: readonly string[]): { batch: OtlpBatch; safe: { readonly fired: boolean } } {
  const part = requestFromJson(
    "traces",
    JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: names.map((name) => ({ name })) }] }] }),
  );
  const safe = acknowledged();
  const { acknowledgement } = safe;
  const base = { signal: "otlp", kind: "traces", clientMetadata: undefined } as const;
  return { batch: { ...base, parts: [part], items: names.length, bytes: part.length, acknowledgement }, safe };
}

async function start(config: string) {
  const sink = recordOtlp();
  const options = { scope: { out: sink.value } };
  const started = await startComponent(component, `${config}\noutput {\ntraces = [out]\nlogs = [out]\n}`, options);
  const names = () =>
    sink.items.flatMap(({ parts }) => {
      const { resourceSpans } = decodeRequest("traces", parts) as { resourceSpans: OtlpObject[] };
      return resourceSpans.flatMap((group) =>
        (group.scopeSpans as OtlpObject[]).flatMap((scope) => (scope.spans as OtlpObject[]).map((span) => span.name)),
      );
    });
  return { component: started, sink, names };
}

test("what a condition holds for is dropped and counted, the rest goes on", async () => {
  const {
    component: started,
    names,
    sink,
  } = await start('trace_conditions {\nconditions = ["span.name == \\"a\\"", "IsMatch(span.name, \\"^b\\")"]\n}');
  await using _ = started;
  const mixed = spans("a", "keep", "b1");
  await started.exports.input.consume(mixed.batch, signal);
  assert.deepEqual(names(), ["keep"]);
  assert.equal(sink.items[0]!.items, 1);
  assert.ok(mixed.safe.fired);
  assert.equal(started.metric("otelcol_processor_filter_spans_filtered_total"), 2);

  const nothing = spans("a", "b");
  await started.exports.input.consume(nothing.batch, signal);
  assert.equal(sink.items.length, 1);
  assert.ok(nothing.safe.fired, "a batch of which nothing is left is done with");
});

test("data flows also where all of it is dropped, and counts only once all of a batch was judged", async () => {
  const drops = await start(
    'error_mode = "propagate"\ntrace_conditions {\nconditions = ["ParseInt(span.name, 10) == 2"]\n}',
  );
  await using _ = drops.component;
  const two = spans("2");
  const bad = spans("x");
  const both = { ...two.batch, parts: [...two.batch.parts, ...bad.batch.parts], items: 2 };
  await assert.rejects(async () => drops.component.exports.input.consume(both, signal), PermanentError);
  assert.equal(drops.component.flow.droppedItems, 0);
  assert.equal(drops.component.flow.status.state, "idle");
  await drops.component.exports.input.consume(two.batch, signal);
  assert.equal(drops.component.flow.droppedItems, 1);
  assert.equal(drops.component.flow.status.state, "ok");
});

test("a batch that nothing is dropped of goes on as it is, and so does a signal without conditions", async () => {
  const { component: started, sink } = await start('traces {\nspan = ["name == \\"a\\""]\n}');
  await using _ = started;
  const { batch } = spans("keep");
  await started.exports.input.consume(batch, signal);
  assert.equal(sink.items[0]!.parts, batch.parts);
  const logs: OtlpBatch = { ...spans("x").batch, kind: "logs" };
  await started.exports.input.consume(logs, signal);
  assert.equal(sink.items[1], logs);
});

test("a condition that fails is passed over, or refuses the data", async () => {
  const conditions = 'trace_conditions {\nconditions = ["ParseInt(span.name, 10) == 1"]\n}';
  const lenient = await start(conditions);
  await using _ = lenient.component;
  await lenient.component.exports.input.consume(spans("x").batch, signal);
  assert.deepEqual(lenient.names(), ["x"]);
  assert.ok(lenient.component.logs.some((each) => /failed and was passed over/.test(each.message)));

  const strict = await start(`error_mode = "propagate"\n${conditions}`);
  await using __ = strict.component;
  const { batch, safe } = spans("x");
  await assert.rejects(
    async () => strict.component.exports.input.consume(batch, signal),
    (error) => error instanceof PermanentError && error.reason === "statement_error",
  );
  assert.equal(safe.fired, false);
});

test("mistakes are refused with their place", async () => {
  for (const [config, message] of [
    ['trace_conditions {\nconditions = ["span.nam == 1"]\n}', /no path nam; did you mean name\? at character 6/],
    [
      'trace_conditions {\ncontext = "log"\nconditions = []\n}',
      /`trace_conditions\[0\].context` cannot be "log": the contexts of traces are resource, scope, span, spanevent/,
    ],
    ['traces {\nspan = ["name =="]\n}', /found the end/],
    ['traces {\nspan = ["true"]\n}\ntrace_conditions {\nconditions = ["true"]\n}', /cannot be used together/],
    ['logs {\nlog_record = ["kind == 1"]\n}', /log has no path kind/],
  ] as const) {
    await assert.rejects(start(config), message, config);
  }
});

test("mistakes are told at the block and the condition that have them", () => {
  const scope = { out: recordOtlp().value };
  const found = (config: string) => refusals(component, `${config}\noutput {\nlogs = [out]\n}`, { scope });
  const good = 'log_conditions {\nconditions = ["true"]\n}\n';
  const wrong = 'conditions = ["log.body == nil", "log.bdy == nil"]';
  const [first, second, ...others] = found(
    `${good.replace("true", "log.flags == 1")}log_conditions {\n${wrong}\n}\nlog_conditions {\ncontext = "x"\n${wrong}\n}`,
  );
  assert.match(first!, /^5 "log\.bdy == nil": `log_conditions\[1\]\.conditions\[1\]` has an error: /);
  assert.match(second!, /^8 "x": `log_conditions\[2\]\.context` cannot be "x"/);
  assert.deepEqual(others, []);
  const [older] = found('metrics {\nmetric = ["true"]\ndatapoint = ["true", "nam"]\n}');
  assert.match(older!, /^3 "nam": `metrics\.datapoint\[1\]` has an error: /);
});
