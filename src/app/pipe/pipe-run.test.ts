import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { Labels } from "#base/labels";
import process_ from "#components/loki.process/loki.process";
import relabel from "#components/prometheus.relabel/prometheus.relabel";
import { s } from "#lang/schema";
import { type ComponentDefinition, defineComponent } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { logBatch, logEntries } from "#pipeline/log-batch";
import { consumerValue, decodeArguments } from "#pipeline/testing";
import type { PipeEntryJson, PipeSampleJson } from "../api/json.ts";
import { type InputEntry, readSamples } from "./input.ts";
import { type PipeOptions, PipeRun } from "./pipe-run.ts";
import { type PipeSubject, pipedExport } from "./subject.ts";

function entries(...lines: string[]): InputEntry[] {
  return lines.map((line, i) => ({ line, labels: Labels.empty, ms: 1_000 + i, ns: 0, metadata: [] }));
}

function subject(definition: unknown, config: string, scope = {}): PipeSubject {
  const typed = definition as ComponentDefinition;
  const args = decodeArguments(typed, config, { scope });
  return { id: `${typed.name}.x`, label: "x", definition: typed, args, ...pipedExport(typed)! };
}

/** Pipes some lines; what was shown, and the run with its counts. */
async function pipeLines(
  of: PipeSubject,
  trace: boolean,
  lines: readonly InputEntry[],
  options: Partial<PipeOptions> = {},
) {
  const shown: PipeEntryJson[] = [];
  const run = new PipeRun(of, {
    trace,
    check: () => {},
    show: (result) => {
      if (result.kind === "entry") shown.push(result.entry);
    },
    ...options,
  });
  try {
    await run.feed(lines);
  } finally {
    await run.finish();
  }
  return { shown, run };
}

const PROCESS = `forward_to = []
stage.multiline { firstline = "^\\\\S" }
stage.drop { expression = "debug" }`;
const LINES = entries("one", "  more", "debug", "two");

test("without traces there is what comes out, and the counts", async () => {
  const { shown, run } = await pipeLines(subject(process_, PROCESS), false, LINES);
  assert.deepEqual(
    shown.map(({ before, steps, outcome, after }) => [before, steps, outcome, after?.line]),
    [
      [null, [], "passed", "one\n  more"],
      [null, [], "passed", "two"],
    ],
  );
  assert.equal(shown[0]!.after!.timestamp, "1970-01-01T00:00:01.000Z");
  assert.deepEqual([run.received, run.sent, run.dropped], [4, 2, { drop_stage: 1 }]);
});

test("with traces there is the way of each entry, and the same counts", async () => {
  const { shown, run } = await pipeLines(subject(process_, PROCESS), true, LINES);
  assert.deepEqual(
    shown.map(({ before, outcome, after }) => [before!.line, outcome, after?.line]),
    [
      ["one", "kept", undefined],
      ["  more", "kept", undefined],
      ["one\n  more", "passed", "one\n  more"],
      ["debug", "kept", undefined],
      ["debug", "dropped", undefined],
      ["two", "kept", undefined],
      ["two", "passed", "two"],
    ],
  );
  assert.deepEqual([run.received, run.sent, run.dropped], [4, 2, { drop_stage: 1 }]);
});

test("what time makes a stage give back is shown without further input", { timeout: 10_000 }, async () => {
  const config = `forward_to = []
    stage.multiline {
      firstline     = "^one"
      max_wait_time = "1ms"
    }`;
  for (const trace of [false, true]) {
    let shown = (_: string) => {};
    const came = new Promise((resolve) => (shown = resolve));
    const run = new PipeRun(subject(process_, config), {
      trace,
      check: () => {},
      show: (result) => result.kind === "entry" && result.entry.after !== null && shown(result.entry.after.line),
    });
    await run.feed(entries("one"));
    assert.equal(await came, "one");
    await run.finish();
  }
});

test("what the component hands on reaches nobody", async () => {
  let reached = 0;
  const consumer: Consumer<"logs"> = {
    signal: "logs",
    componentId: "loki.write.real",
    mutates: false,
    consume: () => void (reached += 1),
  };
  const of = subject(process_, "forward_to = [real]", { real: consumerValue(consumer) });
  const { run } = await pipeLines(of, false, LINES);
  assert.deepEqual([run.sent, reached], [4, 0]);
  assert.deepEqual((of.args as { forward_to: unknown[] }).forward_to, [consumer], "the component's own arguments stay");
});

test("a rate limit costs no time", async () => {
  const began = performance.now();
  const config = `forward_to = []
    stage.limit {
      rate  = 0.01
      burst = 1
    }`;
  const { run } = await pipeLines(subject(process_, config), false, LINES);
  assert.equal(run.sent, 4);
  assert.ok(performance.now() - began < 60_000, "three lines would wait for five minutes");
});

const bodyWithOutput = s.object({
  output: s.block(s.object({ logs: s.list(s.consumer("logs")) })).required(),
});

/** Drops lines with `x`, sends those with `2` twice, keeps those with `k`, and fails at `!`. */
const plain = defineComponent({
  name: "test.plain",
  stability: "generally-available",
  summary: "",
  example: "",
  args: bodyWithOutput,
  exports: s.object({ receiver: s.consumer("logs") }),
  start(ctx, args) {
    const out = ctx.fanout("logs", args.output.logs);
    const kept: InputEntry[] = [];
    let fail = (_: Error) => {};
    ctx.run((signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      fail = reject;
      return promise;
    });
    ctx.export({
      receiver: ctx.receiver("logs", async (batch, signal) => {
        for (const entry of logEntries(batch)) {
          if (entry.line.includes("!")) {
            fail(new Error("no more"));
            await new Promise((resolve) => setImmediate(resolve));
          }
          if (entry.line.includes("x")) ctx.flow.drop("logs", "has_x", 1);
          else if (entry.line.includes("k")) kept.push(entry);
          else {
            const copies = entry.line.includes("2") ? [entry, entry] : [entry];
            await out.consume(logBatch(copies.map((each) => ({ ...each, line: each.line.toUpperCase() }))), signal);
          }
        }
      }),
    });
    return {
      async drain(deadline) {
        await out.consume(logBatch(kept), deadline);
      },
    };
  },
});
const PLAIN = "output {\n logs = []\n}";

test("a component that shows no ways is a single stage", async () => {
  const { shown, run } = await pipeLines(subject(plain, PLAIN), true, entries("a", "x", "b2", "k"));
  assert.deepEqual(
    shown.map(({ before, steps, outcome, after }) => [
      before?.line,
      steps.map((step) => [step.stage, step.outcome, step.reason, step.after?.line]),
      outcome,
      after?.line,
    ]),
    [
      ["a", [["test.plain", "passed", "", "A"]], "passed", "A"],
      ["x", [["test.plain", "dropped", "has_x", undefined]], "dropped", undefined],
      ["b2", [["test.plain", "passed", "", "B2"]], "passed", "B2"],
      [undefined, [], "passed", "B2"],
      ["k", [["test.plain", "kept", "", undefined]], "kept", undefined],
      [undefined, [], "passed", "k"],
    ],
  );
  assert.deepEqual([run.received, run.sent, run.dropped], [4, 4, { has_x: 1 }]);
});

test("a component that fails says so", async () => {
  await assert.rejects(pipeLines(subject(plain, PLAIN), false, entries("a", "!")), /the component failed: no more/);
});

test("whoever runs it can give up, between batches and in a trace", async () => {
  const enough = new Error("enough");
  let asked = 0;
  const check = () => {
    if (++asked > 1) throw enough;
  };
  await assert.rejects(pipeLines(subject(process_, PROCESS), true, LINES, { check }), enough);
  const show = () => {
    throw enough;
  };
  for (const trace of [true, false]) {
    await assert.rejects(pipeLines(subject(process_, PROCESS), trace, LINES, { show }), enough);
  }
});

test("nothing is left behind", async () => {
  const before = process.getActiveResourcesInfo().filter((each) => each === "Timeout").length;
  let path = "";
  const nosy = {
    ...plain,
    start: (ctx: never, args: never) => ((path = (ctx as { dataPath: string }).dataPath), plain.start(ctx, args)),
  };
  await pipeLines(subject(nosy, PLAIN), false, entries("a"));
  assert.notEqual(path, "");
  assert.ok(!existsSync(path));
  assert.equal(process.getActiveResourcesInfo().filter((each) => each === "Timeout").length, before);
});

const RELABEL = `forward_to = []
rule {
  source_labels = ["__name__"]
  regex         = "go_.*"
  action        = "drop"
}
rule {
  target_label = "env"
  replacement  = "dev"
}`;

test("samples are relabelled; with traces it is known which became what", async () => {
  for (const trace of [false, true]) {
    const shown: PipeSampleJson[] = [];
    const run = new PipeRun(subject(relabel, RELABEL), {
      trace,
      check: () => {},
      show: (result) => void (result.kind === "sample" && shown.push(result.sample)),
    });
    await run.feedSamples(readSamples(Buffer.from("go_x 1\nup 2 5\n"), "lines", Labels.empty, run.series, 7));
    await run.finish();
    const up = { timestamp: "1970-01-01T00:00:00.005Z", labels: { __name__: "up", env: "dev" }, value: "2" };
    const expected = [
      {
        before: { timestamp: "1970-01-01T00:00:00.007Z", labels: { __name__: "go_x" }, value: "1" },
        outcome: "dropped",
        reason: "relabel_rule",
        after: null,
      },
      { before: { ...up, labels: { __name__: "up" } }, outcome: "passed", reason: "", after: up },
    ];
    const without = [{ before: null, outcome: "passed", reason: "", after: up }];
    assert.deepEqual(JSON.parse(JSON.stringify(shown)), trace ? expected : without);
    assert.deepEqual([run.received, run.sent, run.dropped], [2, 1, { relabel_rule: 1 }]);
  }
});

test("what takes a signal and hands the same on can be piped", () => {
  assert.deepEqual(pipedExport(process_), { signal: "logs", receiver: "receiver" });
  assert.deepEqual(pipedExport(relabel), { signal: "metrics", receiver: "receiver" });
  const other = (args: Parameters<typeof s.object>[0]) =>
    pipedExport({ args: s.object(args), exports: s.object({ receiver: s.consumer("logs") }) });
  assert.equal(other({}), undefined, "nothing comes out");
  assert.equal(other({ forward_to: s.list(s.consumer("metrics")) }), undefined, "something else comes out");
  assert.equal(pipedExport({ args: bodyWithOutput }), undefined, "nothing goes in");
  assert.ok(other({ forward_to: s.list(s.consumer("logs")), failed: s.consumer("logs").optional() }));
});
