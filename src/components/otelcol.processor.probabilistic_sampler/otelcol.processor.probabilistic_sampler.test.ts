import assert from "node:assert/strict";
import { test } from "node:test";
import { attributesOf, itemsIn, logsOf, startProcessor, tracesOf, valuesOf } from "#kits/otelcol/processor.testing";
import { decodeArguments } from "#pipeline/testing";
import definition from "./otelcol.processor.probabilistic_sampler.ts";

/** A trace id whose last 56 bits are these. */
const idOf = (randomness: string) => Buffer.from(`5b8efff798038103d2${randomness}`, "hex");
const [LOW, MIDDLE, HIGH] = ["00000000000001", "80000000000000", "ffffffffffff00"];

async function spansAfter(config: string, spans: readonly object[]) {
  await using processor = await startProcessor(definition, config);
  return itemsIn(await processor.run("traces", tracesOf(spans)));
}

test("proportional and equalizing go by the last 56 bits of the trace id, and write the threshold", async () => {
  const spans = [LOW, MIDDLE, HIGH].map((each) => ({ traceId: idOf(each), name: each }));
  const both = async (mode: string) =>
    (await spansAfter(`sampling_percentage = 50\n mode = "${mode}"`, spans)).map((span) => [
      span.name,
      span.traceState,
    ]);
  for (const mode of ["proportional", "equalizing"]) {
    assert.deepEqual(await both(mode), [
      [MIDDLE, "ot=th:8"],
      [HIGH, "ot=th:8"],
    ]);
  }
});

test("what was sampled before is sampled to one rate, or by that part again", async () => {
  const spans = [
    { traceId: idOf(HIGH), traceState: "ot=th:f,a=b" },
    { traceId: idOf(LOW), traceState: "ot=rv:ffffffffffffff;th:8" },
  ];
  const states = async (mode: string) =>
    (await spansAfter(`sampling_percentage = 25\n mode = "${mode}"`, spans)).map((span) => span.traceState);
  assert.deepEqual(await states("equalizing"), ["ot=th:f,a=b", "ot=rv:ffffffffffffff;th:c"]);
  assert.deepEqual(await states("proportional"), ["ot=th:fc,a=b", "ot=rv:ffffffffffffff;th:e"]);
});

test("hash_seed decides as the Collector does, and notes its randomness", async () => {
  const spans = Array.from({ length: 16 }, (_, i) => ({
    traceId: idOf((i * 0x1234567).toString(16).padStart(14, "0")),
    name: String(i),
  }));
  const kept = async (seed: number) =>
    (await spansAfter(`sampling_percentage = 30\n hash_seed = ${seed}`, spans)).map(
      ({ name, traceState }) => `${name} ${traceState}`,
    );
  // What the Collector gives at v0.158.0.
  assert.deepEqual(await kept(0), [
    "1 ot=rv:fb781788e34121;th:b334",
    "4 ot=rv:e420377ddc06f7;th:b334",
    "6 ot=rv:c5cc1b13c54e8c;th:b334",
    "8 ot=rv:cf283291a74c35;th:b334",
    "9 ot=rv:c7782bc3f24e21;th:b334",
    "10 ot=rv:ba4424661bd16e;th:b334",
    "15 ot=rv:c9e83cf73e0d85;th:b334",
  ]);
  assert.deepEqual(await kept(22), [
    "2 ot=rv:dfd03fc4f2c80b;th:b334",
    "5 ot=rv:c16c1b5fd64fa4;th:b334",
    "7 ot=rv:e7dc1908438608;th:b334",
    "8 ot=rv:e94015ac6a45af;th:b334",
    "12 ot=rv:c1500fb5ed8fab;th:b334",
    "13 ot=rv:dc3c23e7fbc8f0;th:b334",
  ]);
});

test("sampling.priority overrides, in whatever type it comes", async () => {
  const priorities = { zero: 0n, one: 1n, half: 0.5, text: "2", noText: "x", negative: -1n, off: "0.0" };
  const spans = Object.entries(priorities).map(([name, value]) => ({
    traceId: idOf(LOW),
    name,
    attributes: attributesOf({ "sampling.priority": value }),
  }));
  const names = async (percentage: number) =>
    (await spansAfter(`sampling_percentage = ${percentage}\n mode = "equalizing"`, spans)).map((span) => span.name);
  assert.deepEqual(await names(0), ["one", "half", "text"]);
  assert.deepEqual(await names(100), ["one", "half", "text", "noText", "negative"]);
});

test("log records go by trace id, attribute, and a percentage of their own", async () => {
  const record = (name: string, fields: object, attributes: Readonly<Record<string, unknown>> = {}) => ({
    ...fields,
    severityText: name,
    attributes: attributesOf(attributes),
  });
  const run = async (config: string, ...records: object[]) => {
    await using processor = await startProcessor(definition, config);
    return itemsIn(await processor.run("logs", logsOf(records))).map((each) => [each.severityText, valuesOf(each)]);
  };
  assert.deepEqual(
    await run(
      'sampling_percentage = 50\n mode = "equalizing"',
      record("low", { traceId: idOf(LOW) }),
      record("high", { traceId: idOf(HIGH) }),
      record(
        "explicit",
        { traceId: idOf(LOW) },
        { "sampling.randomness": "ffffffffffffff", "sampling.threshold": "c" },
      ),
    ),
    [
      ["high", { "sampling.threshold": "8" }],
      ["explicit", { "sampling.randomness": "ffffffffffffff", "sampling.threshold": "c" }],
    ],
  );
  const bySource = await run(
    'sampling_percentage = 100\n attribute_source = "record"\n from_attribute = "id"',
    record("with", { traceId: idOf(LOW) }, { id: "x" }),
    record("without", { traceId: idOf(LOW) }),
  );
  assert.deepEqual(
    bySource.map(([name]) => name),
    ["with"],
  );
  assert.deepEqual(
    await run(
      'sampling_percentage = 0\n sampling_priority = "keep"',
      record("all", { traceId: idOf(LOW) }, { keep: 100n }),
      record("none", { traceId: idOf(HIGH) }, { keep: 0n }),
    ),
    [["all", { keep: "100n", "sampling.threshold": "0" }]],
  );
});

test("items that cannot be sampled are dropped or kept as fail_closed says, and the status tells of them", async () => {
  const spans = [
    { name: "no id" },
    { name: "used", traceId: idOf(HIGH), traceState: "ot=th:8" },
    { name: "malformed", traceId: idOf(HIGH), traceState: "ot=th:x" },
  ];
  await using closed = await startProcessor(definition, "sampling_percentage = 100");
  assert.equal(await closed.run("traces", tracesOf(spans)), undefined);
  const dropped = closed.component.flow.dropped.get("otlp");
  assert.deepEqual(Object.fromEntries(dropped ?? []), {
    missing_randomness: 1,
    threshold_in_use: 1,
    malformed_sampling_state: 1,
  });
  closed.component.flow.judge();
  assert.equal(closed.component.flow.status.state, "degraded");
  assert.equal(closed.component.flow.status.rule, "traces_without_decision");
  assert.match(
    closed.component.flow.status.cause,
    /`fail_closed` is true: 1 spans as .*; with `fail_closed = false` they/,
  );
  assert.equal(closed.component.logs.filter(({ level }) => level === "warn").length, 3);

  await using open = await startProcessor(definition, "sampling_percentage = 100\n fail_closed = false");
  assert.equal(itemsIn(await open.run("traces", tracesOf(spans))).length, 3);
});

test("what is not sampled is counted, empty groups go, metrics pass", async () => {
  await using processor = await startProcessor(definition, 'sampling_percentage = 50\n mode = "equalizing"');
  const low = { traceId: idOf(LOW) };
  const request = tracesOf([low, low]);
  const out = await processor.run("traces", {
    resourceSpans: [...request.resourceSpans, ...tracesOf([low, { traceId: idOf(HIGH) }]).resourceSpans],
  });
  assert.equal((out!.resourceSpans as object[]).length, 1);
  assert.equal(processor.component.flow.dropped.get("otlp")?.get("not_sampled"), 3);
  const name = "otelcol_processor_probabilistic_sampler_count_traces_sampled_total";
  assert.equal(processor.component.metric(name, { policy: "trace_id_w3c", sampled: "false" }), 3);
  assert.equal(processor.component.metric(name, { policy: "trace_id_w3c", sampled: "true" }), 1);
  processor.component.flow.judge();
  assert.equal(processor.component.flow.status.state, "ok");
  await processor.run("metrics", { resourceMetrics: [{ scopeMetrics: [{ metrics: [{ name: "m" }] }] }] });
  assert.ok(processor.isSame);
});

test("refuses settings that make no sense", () => {
  const refused = (config: string, message: RegExp) =>
    assert.throws(() => decodeArguments(definition, `${config}\noutput {}`), message);
  refused("sampling_percentage = -1", /must not be negative/);
  refused("sampling_percentage = 1e-30", /too small/);
  refused('mode = "random"', /mode.*cannot be "random"/);
  refused("sampling_precision = 0", /sampling_precision/);
  refused("sampling_precision = 15", /sampling_precision/);
  refused('attribute_source = "body"', /cannot be "body"/);
  refused("hash_seed = -1", /hash_seed/);
});

test("without a percentage everything is dropped, which is said, and flows", async () => {
  const given = decodeArguments(definition, "output {}");
  const [suspicion, ...others] = definition.args.suspicions.flatMap((find) => find(given));
  assert.deepEqual([suspicion?.field, others], ["sampling_percentage", []]);
  assert.match(suspicion!.message, /^is 0: all is dropped/);
  await using processor = await startProcessor(definition, "");
  assert.equal(processor.component.flow.status.state, "idle");
  assert.equal(await processor.run("traces", tracesOf([{ traceId: idOf(HIGH) }])), undefined);
  assert.equal(processor.component.flow.status.state, "ok");
  assert.equal(processor.component.flow.droppedItems, 1);
});
