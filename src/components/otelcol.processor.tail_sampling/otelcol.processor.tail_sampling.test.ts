import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { ManualClock } from "#base/manual-clock.testing";
import { decodeRequest, type OtlpObject } from "#formats/otlp/decode";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { RetryableError } from "#pipeline/errors";
import { acknowledged, decodeArguments, recordOtlp, refusals, startComponent } from "#pipeline/testing";
import definition from "./otelcol.processor.tail_sampling.ts";

const ALL = 'policy {\n name = "all"\n type = "always_sample"\n}\n';
const ERRORS = 'policy {\n name = "errors"\n type = "status_code"\n status_code {\n status_codes = ["ERROR"]\n }\n}\n';
const OUTPUT = "output {\n traces = [sink]\n}\n";

interface GivenSpan {
  readonly trace: number;
  readonly error?: boolean;
  readonly root?: boolean;
  readonly name?: string;
}
function batch(spans: readonly GivenSpan[], acknowledgement = Acknowledgement.none): OtlpBatch {
  const scopeSpans = [
    {
      scope: { name: "http" },
      spans: spans.map(({ trace, error, root = false, name = "GET /" }, i) => ({
        traceId: Buffer.alloc(16, trace),
        spanId: Buffer.alloc(8, i + 1),
        ...(root ? {} : { parentSpanId: Buffer.alloc(8, 0xee) }),
        name,
        ...(error ? { status: { code: 2 } } : {}),
      })),
      schemaUrl: "https://example.com/scope",
    },
  ];
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
  const part = oracleEncode("traces", {
    resourceSpans: [{ resource, scopeSpans, schemaUrl: "https://example.com/r" }],
  });
  const items = spans.length;
  return {
    signal: "otlp",
    kind: "traces",
    parts: [part],
    items,
    bytes: part.length,
    clientMetadata: undefined,
    acknowledgement,
  };
}

async function start(t: TestContext, config: string) {
  const out = recordOtlp();
  const clock = new ManualClock();
  const component = await startComponent(definition, `${config}\n${OUTPUT}`, { scope: { sink: out.value }, clock });
  cleanUp(t, () => component.stop());
  const { signal } = new AbortController();
  const send = (...spans: GivenSpan[]) => component.exports.input.consume(batch(spans), signal);
  /** `trace name` of all spans that came out. */
  const came = () =>
    out.items
      .flatMap(({ parts }) => spansOf(decodeRequest("traces", parts)))
      .map(({ traceId }) => parseInt(String(traceId).slice(0, 2), 16));
  const dropped = (reason: string) => component.flow.dropped.get("otlp")?.get(reason) ?? 0;
  const metric = (name: string, labels?: Record<string, string>) =>
    component.metric(`otelcol_processor_tail_sampling_${name}`, labels);
  return { component, out, clock, send, came, dropped, metric, signal };
}
function spansOf({ resourceSpans }: OtlpObject): OtlpObject[] {
  return (resourceSpans as OtlpObject[]).flatMap(({ scopeSpans }) =>
    (scopeSpans as OtlpObject[]).flatMap(({ spans }) => spans as OtlpObject[]),
  );
}
const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);

test("traces are decided once their time is over, and come out whole with resource and scope", async (t) => {
  const { component, out, clock, send, came, dropped, metric } = await start(t, `decision_wait = "5s"\n${ERRORS}`);
  await send({ trace: 1 }, { trace: 2 });
  assert.equal(component.flow.status.state, "ok", "traces that wait have come");
  await clock.advance(2000);
  await send({ trace: 2 }, { trace: 1, error: true, name: "last" }, { trace: 3, error: true });
  await clock.advance(3000);
  assert.deepEqual(came(), []);
  await clock.advance(1000);
  assert.deepEqual(came(), [1, 1]);
  const [group] = decodeRequest("traces", out.items[0]!.parts).resourceSpans as OtlpObject[];
  assert.equal(group!.schemaUrl, "https://example.com/r");
  const [scope] = group!.scopeSpans as OtlpObject[];
  assert.deepEqual([scope!.scope, scope!.schemaUrl], [{ name: "http" }, "https://example.com/scope"]);
  assert.deepEqual(scope!.spans, [
    { traceId: "01".repeat(16), spanId: "01".repeat(8), parentSpanId: "ee".repeat(8), name: "GET /" },
    {
      traceId: "01".repeat(16),
      spanId: "02".repeat(8),
      parentSpanId: "ee".repeat(8),
      name: "last",
      status: { code: 2 },
    },
  ]);
  assert.equal(dropped("not_sampled"), 2);
  const policy = `${component.id}.errors`;
  assert.equal(metric("count_traces_sampled_total", { policy, sampled: "true", decision: "sampled" }), 1);
  assert.equal(metric("count_traces_sampled_total", { policy, sampled: "false", decision: "not_sampled" }), 1);
  assert.equal(metric("global_count_traces_sampled_total", { decision: "sampled" }), 1);
  assert.equal(metric("sampling_policy_execution_count_total", { policy }), 2);
  assert.equal(metric("new_trace_id_received_total"), 3);
  assert.equal(metric("sampling_traces_on_memory"), 3);
  assert.equal(metric("sampling_decision_timer_latency_milliseconds_count"), 60);
});

test("late spans share the fate of their trace", async (t) => {
  const { clock, send, came, dropped, metric } = await start(t, `decision_wait = "1s"\n${ERRORS}`);
  await send({ trace: 1, error: true }, { trace: 2 });
  await clock.advance(5000);
  await send({ trace: 2, error: true }, { trace: 1 }, { trace: 3, error: true });
  assert.deepEqual(came(), [1, 1]);
  assert.equal(dropped("not_sampled"), 2);
  assert.equal(metric("sampling_late_span_age_seconds_count"), 2);
  assert.equal(metric("sampling_late_span_age_seconds_sum"), 6);
  await clock.advance(2000);
  assert.deepEqual(came(), [1, 1, 3]);
});

test("caches remember decisions beyond num_traces", async (t) => {
  const cache = "decision_cache = { sampled_cache_size = 10, non_sampled_cache_size = 10 }";
  const { clock, send, came, dropped, metric } = await start(
    t,
    `num_traces = 2\ndecision_wait = "1s"\n${cache}\n${ERRORS}`,
  );
  await send({ trace: 1, error: true }, { trace: 2 });
  await clock.advance(2000);
  assert.equal(metric("sampling_traces_on_memory"), 0);
  assert.equal(metric("sampling_trace_removal_age_seconds_count"), 2);
  await send({ trace: 3 }, { trace: 4 });
  await send({ trace: 2, error: true }, { trace: 1 });
  assert.deepEqual(came(), [1, 1]);
  assert.equal(dropped("not_sampled"), 2);
  assert.equal(metric("early_releases_from_cache_decision_total", { sampled: "true" }), 1);
  assert.equal(metric("early_releases_from_cache_decision_total", { sampled: "false" }), 1);
  assert.equal(dropped("num_traces"), 0);
});

test("a root span brings the decision forward", async (t) => {
  const config = `decision_wait = "10s"\ndecision_wait_after_root_received = "2s"\n${ALL}`;
  const { clock, send, came } = await start(t, config);
  await send({ trace: 1 }, { trace: 2 });
  await clock.advance(4000);
  await send({ trace: 1, root: true });
  await clock.advance(2000);
  assert.deepEqual(came(), []);
  await clock.advance(1000);
  assert.deepEqual(came(), [1, 1]);
  await clock.advance(4000);
  assert.deepEqual(came(), [1, 1, 2]);
});

test("traces that have no room go, are counted, and the status says what to do", async (t) => {
  const { component, clock, send, came, dropped, metric } = await start(
    t,
    `num_traces = 3\ndecision_wait = "2s"\n${ALL}`,
  );
  for (let trace = 1; trace <= 5; trace++) await send({ trace }, { trace });
  assert.equal(dropped("num_traces"), 4);
  assert.equal(metric("sampling_trace_dropped_too_early_total"), 2);
  component.flow.judge();
  assert.equal(component.flow.status.rule, "traces_dropped_early");
  assert.match(component.flow.status.cause, /2 traces as num_traces .*num_traces = 3 .* set it to \d+ or more/);
  assert.equal(component.logs.filter(({ message }) => /dropped before their decision/.test(message)).length, 1);
  await clock.advance(3000);
  assert.deepEqual(sorted(came()), [3, 3, 4, 4, 5, 5]);
});

test("with block_on_overflow senders wait for a decision, and nothing goes", async (t) => {
  const config = `num_traces = 2\nblock_on_overflow = true\ndecision_wait = "1s"\n${ALL}`;
  const { component, clock, send, came, signal } = await start(t, config);
  await send({ trace: 1 }, { trace: 2 });
  let isAccepted = false;
  const third = Promise.resolve(send({ trace: 3 })).then(() => {
    isAccepted = true;
  });
  const gone = AbortSignal.abort(new RetryableError("the client is gone"));
  await assert.rejects(async () => component.exports.input.consume(batch([{ trace: 4 }]), gone), /gone/);
  await clock.advance(1000);
  assert.ok(!isAccepted);
  await clock.advance(1000);
  await third;
  await component.exports.input.consume(batch([{ trace: 1 }]), signal);
  await clock.advance(2000);
  assert.deepEqual(sorted(came()), [1, 1, 2, 3]);
  assert.equal(component.flow.droppedItems, 0);
});

test("a trace beyond maximum_trace_size_bytes goes at once, with all that comes later", async (t) => {
  const { component, clock, send, came, dropped, metric } = await start(
    t,
    `maximum_trace_size_bytes = 400\ndecision_wait = "1s"\n${ALL}`,
  );
  await send({ trace: 1 }, { trace: 2, name: "n".repeat(300) });
  await send({ trace: 2 });
  await send({ trace: 2 });
  assert.equal(dropped("trace_too_large") + dropped("not_sampled"), 3);
  assert.equal(metric("traces_dropped_too_large_total"), 1);
  component.flow.judge();
  assert.equal(component.flow.status.rule, "traces_too_large");
  await clock.advance(2000);
  assert.deepEqual(came(), [1]);
});

test("at the stop what waits is decided by what is there, or dropped if that is wanted", async (t) => {
  const decided = await start(t, ERRORS);
  await decided.send({ trace: 1, error: true }, { trace: 2 });
  await decided.component.stop();
  assert.deepEqual(decided.came(), [1]);
  assert.equal(decided.dropped("not_sampled"), 1);
  const forgotten = await start(t, `drop_pending_traces_on_shutdown = true\n${ERRORS}`);
  await forgotten.send({ trace: 1, error: true }, { trace: 2 });
  await forgotten.component.stop();
  assert.deepEqual(forgotten.came(), []);
  assert.equal(forgotten.dropped("pending_at_shutdown"), 2);
});

test("what cannot be handed on before the stop is counted", async (t) => {
  const { component, out, send, dropped } = await start(t, ALL);
  out.gate = (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await send({ trace: 1 }, { trace: 2 });
  await component.stop(50);
  assert.equal(dropped("shutdown"), 2);
});

test("data counts as safe once it waits, since it goes on from memory; late spans take the word along", async (t) => {
  const { component, out, clock, signal } = await start(t, `decision_wait = "1s"\n${ALL}`);
  const first = acknowledged();
  await component.exports.input.consume(batch([{ trace: 1 }], first.acknowledgement), signal);
  assert.ok(first.fired);
  await clock.advance(2000);
  const late = acknowledged();
  let wasFired: boolean | undefined;
  out.gate = () => {
    wasFired = late.fired;
  };
  await component.exports.input.consume(batch([{ trace: 1 }, { trace: 2 }], late.acknowledgement), signal);
  assert.deepEqual([wasFired, late.fired], [false, true]);
});

test("while the next component takes nothing, senders wait and decisions are made up for", async (t) => {
  const { out, clock, send, came } = await start(t, `decision_wait = "1s"\n${ALL}`);
  await send({ trace: 1 });
  let open = () => {};
  out.gate = () => new Promise<void>((resolve) => (open = resolve));
  await clock.advance(2000);
  let isAccepted = false;
  const second = Promise.resolve(send({ trace: 2 })).then(() => {
    isAccepted = true;
  });
  await clock.advance(5000);
  assert.ok(!isAccepted);
  out.gate = () => {};
  open();
  await clock.advance(0);
  await second;
  assert.deepEqual(came(), [1]);
  await clock.advance(2000);
  assert.deepEqual(came(), [1, 2]);
});

test("changed arguments are taken without a decision ahead of its time", async (t) => {
  const { component, clock, send, came } = await start(t, `decision_wait = "3s"\n${ERRORS}`);
  await send({ trace: 1 }, { trace: 2, error: true });
  await component.update(`decision_wait = "1s"\n${ALL}\n${OUTPUT}`);
  await send({ trace: 3 });
  await clock.advance(2000);
  assert.deepEqual(came(), [3]);
  await clock.advance(2000);
  assert.deepEqual(came(), [3, 2]);
  await assert.rejects(component.update(`num_traces = 0\n${ALL}\n${OUTPUT}`), /num_traces. must be greater than zero/);
});

test("metrics and logs pass as they are", async (t) => {
  const out = recordOtlp();
  const config = `${ALL}output {\n metrics = [sink]\n logs = [sink]\n}`;
  const component = await startComponent(definition, config, { scope: { sink: out.value } });
  cleanUp(t, () => component.stop());
  const given: OtlpBatch = { ...batch([]), kind: "logs" };
  await component.exports.input.consume(given, new AbortController().signal);
  assert.equal(out.items[0], given);
});

const CONDITION = (mode: string, text: string) =>
  `policy {\n name = "ottl"\n type = "ottl_condition"\n ottl_condition {\n error_mode = "${mode}"\n span = [${JSON.stringify(text)}]\n }\n}\n`;

test("a condition that fails is logged, or makes the policy say nothing, and the status tells of it", async (t) => {
  const text = 'ParseJSON(span.name)["a"] == 1';
  const ignoring = await start(t, `decision_wait = "1s"\n${CONDITION("ignore", text)}`);
  await ignoring.send({ trace: 1 }, { trace: 2, name: '{"a":1}' });
  await ignoring.clock.advance(2000);
  assert.deepEqual(ignoring.came(), [2]);
  ignoring.component.flow.judge();
  assert.equal(ignoring.component.flow.status.rule, "statements_fail");
  const both = CONDITION("ignore", "span.kind == 77").replace("\n }", '\n spanevent = ["true"]\n }');
  assert.ok(decodeArguments(definition, both + OUTPUT, { scope: { sink: ignoring.out.value } }), "one of each kind");
  const strict = await start(t, `decision_wait = "1s"\n${CONDITION("propagate", text)}`);
  await strict.send({ trace: 1 }, { trace: 1, name: '{"a":1}' }, { trace: 2, name: '{"a":1}' });
  await strict.clock.advance(2000);
  assert.deepEqual(strict.came(), [2]);
  assert.equal(strict.metric("sampling_policy_evaluation_error_total"), 1);
  strict.component.flow.judge();
  assert.equal(strict.component.flow.status.rule, "policies_fail");
});

const policy = (type: string, body: string) => `policy {\n name = "p"\n type = "${type}"\n ${body}\n}\n`;
const composite = (order: string, parts: string) =>
  policy("composite", `composite {\n max_total_spans_per_second = 10\n policy_order = ${order}\n ${parts}\n }`);
const part = (name: string, percent: number, body = 'type = "always_sample"') =>
  `composite_sub_policy {\n name = "${name}"\n ${body}\n }\n rate_allocation {\n policy = "${name}"\n percent = ${percent}\n }\n`;

test("a composite policy asks in the order of policy_order", async (t) => {
  const status = 'type = "status_code"\n status_code {\n status_codes = ["ERROR"]\n }';
  const config = composite('["errors", "rest"]', part("rest", 0) + part("errors", 100, status));
  const { clock, send, came } = await start(t, `decision_wait = "1s"\n${config}`);
  // The rest may be half of ten spans a second, errors all of them.
  await send(
    ...Array.from({ length: 6 }, () => ({ trace: 1, error: true })),
    ...Array.from({ length: 6 }, () => ({ trace: 2 })),
  );
  await clock.advance(2000);
  assert.deepEqual([...new Set(came())], [1]);
});

test("a block that means nothing to its policy is warned about", () => {
  const latency = "latency {\n threshold_ms = 1\n}";
  const given = decodeArguments(definition, `${policy("trace_flags", latency)}\n${OUTPUT}`, {
    scope: { sink: recordOtlp().value },
  });
  const [suspicion, ...others] = definition.args.suspicions.flatMap((find) => find(given));
  assert.deepEqual([suspicion!.field, others], ["policy[0]", []]);
  assert.match(suspicion!.message, /block `latency`, which means nothing to the type "trace_flags"/);
});

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ["", /missing required block "policy"/],
  [`decision_wait = "0s"\n${ALL}`, /`decision_wait` must be greater than zero/],
  [`num_traces = 0\n${ALL}`, /`num_traces` must be greater than zero/],
  [ALL + ALL, /`policy\[1\].name` is that of another policy: "all"/],
  [policy("bad_type", ""), /type/],
  ['policy {\n name = ""\n type = "always_sample"\n}\n', /`name` must not be empty/],
  [policy("latency", ""), /`policy\[0\].type` is "latency" and needs the block `latency`/],
  [policy("and", ""), /needs the block `and`/],
  [policy("not", ""), /needs the block `not`/],
  [policy("drop", ""), /needs the block `drop`/],
  [policy("composite", ""), /needs the block `composite`/],
  [policy("numeric_attribute", 'numeric_attribute {\n key = "a"\n min_value = 0\n max_value = 0\n}'), /other than 0/],
  [policy("status_code", "status_code {\n status_codes = []\n}"), /at least one status code/],
  [policy("status_code", 'status_code {\n status_codes = ["BAD"]\n}'), /cannot be "BAD"/],
  [
    policy("string_attribute", 'string_attribute {\n key = "a"\n values = ["("]\n enabled_regex_matching = true\n}'),
    /`policy\[0\].string_attribute.values\[0\]` is an invalid regular expression: .*missing closing \)/,
  ],
  [policy("ottl_condition", 'ottl_condition {\n error_mode = "ignore"\n}'), /at least one condition/],
  [CONDITION("maybe", "true"), /error_mode/],
  [CONDITION("ignore", "span.nam == 1"), /`policy\[0\].ottl_condition.span\[0\]` has an error: .*nam/s],
  [composite('["x"]', part("y", 1)), /names the sub-policy "x", which is not there; there is "y"/],
];
for (const [config, message] of REFUSED) {
  test(`refused: ${JSON.stringify(config).slice(0, 100)}`, async () => {
    const sink = recordOtlp().value;
    await assert.rejects(startComponent(definition, `${config}\n${OUTPUT}`, { scope: { sink } }), message);
  });
}

test("what is wrong with a policy is told where it is written", () => {
  const regexes =
    'type = "string_attribute"\n string_attribute {\n key = "a"\n values = ["(", "x"]\n enabled_regex_matching = true\n}';
  const found = (config: string) =>
    refusals(definition, `${config}\n${OUTPUT}`, { scope: { sink: recordOtlp().value } });
  const nested = policy(
    "and",
    `and {\n and_sub_policy {\n name = "x"\n type = "always_sample"\n}\n and_sub_policy {\n name = "y"\n ${regexes}\n}\n}`,
  );
  assert.deepEqual(found(`${ALL}${policy("latency", "")}${nested}`), [
    '11 "p": `policy[2].name` is that of another policy: "p"',
    '7 "latency": `policy[1].type` is "latency" and needs the block `latency`',
    '23 "(": `policy[2].and.and_sub_policy[1].string_attribute.values[0]` is an invalid regular expression: error parsing regexp: missing closing ): `(`',
  ]);
  assert.match(
    found(CONDITION("ignore", "true") + CONDITION("ignore", "nam").replace('"ottl"', '"other"'))[0]!,
    /^14 "nam": `policy\[1\]/,
  );
  assert.match(
    found(composite('["y", "x"]', part("y", 1)))[0]!,
    /^6 "x": `policy\[0\]\.composite\.policy_order\[1\]` names/,
  );
  const not = 'not {\n not_sub_policy {\n name = "x"\n type = "span_count"\n}\n}';
  assert.match(found(policy("not", not))[0]!, /^7 "span_count": `policy\[0\]\.not\.not_sub_policy\.type` is/);
});
