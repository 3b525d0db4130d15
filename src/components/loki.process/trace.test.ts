import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import type { EntryTrace } from "#pipeline/tap";
import { type Line, type StageRun, startStages } from "./pipeline-testing.ts";

/** The traces of some lines, and of what stages give back at the end. */
async function traceLines(config: string, lines: readonly (string | Line)[], clock = new ManualClock()) {
  const traces: EntryTrace[] = [];
  const run = await startStages(config, { clock });
  run.component.tap.watchTraces({ wants: () => true, show: (trace) => void traces.push(trace) });
  await run.send(lines);
  await run[Symbol.asyncDispose]();
  return traces;
}

/** Steps in short: `0.json passed`, `1.drop dropped: reason`. */
function shown({ steps }: EntryTrace): string[] {
  return steps.map(({ stage, outcome, reason }) => `${stage} ${outcome}${reason === undefined ? "" : `: ${reason}`}`);
}

function extractedAfter(trace: EntryTrace, step: number) {
  return Object.fromEntries(trace.steps[step]!.after!.extracted);
}

test("each stage is a step with the entry as it leaves it", async () => {
  const [trace] = await traceLines(
    `stage.json { expressions = { level = "", n = "count", ok = "", none = "" } }
     stage.labels { values = { level = "" } }
     stage.structured_metadata { values = { count = "n" } }
     stage.timestamp {
       source = "time"
       format = "RFC3339"
     }
     stage.template {
       source   = "out"
       template = "{{ .level }}!"
     }
     stage.output { source = "out" }`,
    [{ line: '{"level":"warn","count":3,"ok":true}', labels: { app: "web" }, ms: 1_000, ns: 5 }],
  );
  assert.deepEqual(shown(trace!), [
    "0.json passed",
    "1.labels passed",
    "2.structured_metadata passed",
    "3.timestamp passed: no match: `time` holds no time that fits the format",
    "4.template passed",
    "5.output passed",
  ]);
  assert.equal(trace!.outcome, "passed");
  const { before, steps } = trace!;
  assert.deepEqual(
    { ...before, extracted: Object.fromEntries(before.extracted) },
    {
      line: '{"level":"warn","count":3,"ok":true}',
      labels: ["app", "web"],
      metadata: [],
      ms: 1_000,
      ns: 5,
      extracted: { app: "web" },
    },
  );
  assert.deepEqual(extractedAfter(trace!, 0), { app: "web", level: "warn", n: 3, ok: true, none: null });
  assert.deepEqual(steps[0]!.after!.labels, ["app", "web"]);
  assert.deepEqual(steps[1]!.after!.labels, ["app", "web", "level", "warn"]);
  assert.deepEqual(steps[2]!.after!.metadata, ["count", "3"]);
  assert.equal(steps[4]!.after!.line, before.line);
  assert.equal(steps[5]!.after!.line, "warn!");
});

test("values that no stage looks at are shown while somebody looks, and not kept otherwise", async () => {
  const traces: EntryTrace[] = [];
  await using run = await startStages(`stage.logfmt { regex = ".*" }`);
  await run.send(["a=1"]);
  const stop = run.component.tap.watchTraces({ wants: () => true, show: (trace) => void traces.push(trace) });
  await run.send([{ line: "a=1 b=two", labels: { app: "x" } }]);
  stop();
  await run.send(["c=3"]);
  assert.equal(run.items.length, 3);
  assert.equal(traces.length, 1);
  assert.deepEqual(extractedAfter(traces[0]!, 0), { app: "x", a: "1", b: "two" });
});

const LATE = 1_700_000_000_000;

/** What ends an entry or lets it pass without effect: the stage, the line, the step that shall be last. */
const REASONS: readonly (readonly [config: string, lines: readonly (string | Line)[], last: string])[] = [
  [`stage.drop { expression = "^de.*g" }`, ["debug"], "0.drop dropped: drop_stage: the line matches `^de.*g`"],
  [
    `stage.logfmt { mapping = { level = "" } }
     stage.drop {
       source              = "level"
       value               = "debug"
       drop_counter_reason = "too_noisy"
     }`,
    ["level=debug"],
    '1.drop dropped: too_noisy: `level` is "debug"',
  ],
  [
    `stage.logfmt { mapping = { level = "" } }
     stage.drop {
       source      = "level"
       longer_than = "4B"
     }`,
    ["level=debug"],
    "1.drop dropped: drop_stage: `level` was extracted and the line is longer than 4 bytes",
  ],
  [
    `stage.drop { older_than = "1h" }`,
    [{ line: "x", ms: LATE - 3_600_001 }],
    "0.drop dropped: drop_stage: the entry is older than 1h0m0s",
  ],
  [
    `stage.match {
       selector = "{app=\\"web\\"} |= \\"debug\\""
       action   = "drop"
     }`,
    [{ line: "debug", labels: { app: "web" } }],
    '0.match dropped: match_stage: the selector {app="web"} |= "debug" matches',
  ],
  [
    `stage.match {
       selector = "{app=\\"web\\"}"
       action   = "drop"
     }`,
    ["debug"],
    '0.match passed: no match: the selector {app="web"} does not match',
  ],
  [`stage.sampling { rate = 0 }`, ["x"], "0.sampling dropped: sampling_stage: not in the sample (rate 0)"],
  [
    `stage.limit {
       rate  = 5
       burst = 1
       drop  = true
     }`,
    ["a", "b"],
    "0.limit dropped: ratelimit_drop_stage: more than 5 lines per second",
  ],
  [
    `stage.limit {
       rate          = 5
       burst         = 1
       drop          = true
       by_label_name = "app"
     }`,
    [
      { line: "a", labels: { app: "x" } },
      { line: "b", labels: { app: "x" } },
    ],
    "0.limit dropped: ratelimit_drop_stage: more than 5 lines per second with the same `app`",
  ],
  [
    `stage.json {
       expressions    = { a = "" }
       drop_malformed = true
     }`,
    ["no"],
    "0.json dropped: json_malformed: the line is not a JSON object",
  ],
  [`stage.json { expressions = { a = "" } }`, ["no"], "0.json passed: no match: the line is not a JSON object"],
  [
    `stage.json {
       expressions = { a = "" }
       source      = "body"
     }`,
    ["{}"],
    "0.json passed: no match: there is no extracted value `body`",
  ],
  [`stage.split_json {}`, ["[]"], "0.split_json dropped: empty_json_array: the line is an empty array"],
  [`stage.split_json {}`, ["x"], "0.split_json passed: no match: the line is not a JSON array"],
  [`stage.cri {}`, ["x"], "0.cri passed: no match: the line is not in the CRI format"],
  [`stage.docker {}`, ["x"], "0.docker passed: no match: the line is not in Docker's JSON format"],
  [
    `stage.regex { expression = "a(?P<b>c)" }`,
    ["x"],
    "0.regex passed: no match: the regular expression does not match",
  ],
  [
    `stage.regex {
       expression = "a(?P<b>c)"
       source     = "other"
     }`,
    ["ac"],
    "0.regex passed: no match: there is no extracted value `other`",
  ],
  [
    `stage.replace {
       expression = "(a)"
       replace    = "b"
     }`,
    ["x"],
    "0.replace passed: no match: the regular expression does not match",
  ],
  [`stage.pattern { pattern = "a <b>" }`, ["x"], "0.pattern passed: no match: the line does not fit the pattern"],
  [
    `stage.logfmt { mapping = { a = "" } }`,
    ['a="'],
    "0.logfmt passed: no match: the line is not logfmt, or not to its end",
  ],
  [`stage.output { source = "a" }`, ["x"], "0.output passed: no match: there is no extracted value `a`"],
  [`stage.luhn { source = "a" }`, ["x"], "0.luhn passed: no match: there is no extracted value `a`"],
  [`stage.tenant { label = "a" }`, ["x"], "0.tenant passed: no match: there is no tenant, or an empty one"],
  [`stage.labels { values = { a = "", b = "c" } }`, ["x"], "0.labels passed: no value for `a`, `c`"],
  [
    `stage.labels {
       values      = { a = "" }
       source_type = "structured_metadata"
     }`,
    ["x"],
    "0.labels passed: no value for `a`",
  ],
  [`stage.structured_metadata { values = { a = "" } }`, ["x"], "0.structured_metadata passed: no value for `a`"],
  [
    `stage.template {
       source   = "a"
       template = "{{ index .b 3 }}"
     }`,
    ["x"],
    "0.template passed: no match: the template fails",
  ],
  [
    `stage.multiline { firstline = "^\\\\S" }`,
    ["  at x"],
    "0.multiline passed: no match: the line begins no block, and none has begun",
  ],
];

for (const [config, lines, expected] of REASONS) {
  test(`a trace says why: ${expected}`, async () => {
    const traces = await traceLines(config, lines, new ManualClock(LATE));
    const last = traces.at(-1)!;
    assert.equal(shown(last).at(-1), expected);
    const { outcome, after } = last.steps.at(-1)!;
    assert.equal(last.outcome, outcome);
    assert.equal(after === undefined, outcome !== "passed");
  });
}

test("stages that do their work have nothing to say", async () => {
  const traces = await traceLines(
    `stage.decolorize {}
     stage.static_labels { values = { b = "2" } }
     stage.label_drop { values = ["a"] }
     stage.label_keep { values = ["b"] }
     stage.pack { labels = ["a"] }
     stage.truncate {
       rule { limit = "8B" }
     }
     stage.structured_metadata_drop { values = ["m"] }
     stage.metrics {
       metric.counter {
         name      = "n"
         action    = "inc"
         match_all = true
       }
     }
     stage.limit {
       rate  = 100
       burst = 100
     }`,
    [{ line: "\u001b[31mred\u001b[0m", labels: { a: "1" }, metadata: ["m", "1"] }],
  );
  const { steps } = traces[0]!;
  assert.ok(steps.every(({ outcome, reason }) => outcome === "passed" && reason === undefined));
  assert.equal(steps[0]!.after!.line, "red");
  assert.deepEqual(steps[2]!.after!.labels, ["b", "2"]);
  assert.equal(steps[4]!.after!.line, '{"a":"1","_entry":"red"}');
  assert.equal(steps[5]!.after!.line, '{"a":"1"');
  assert.deepEqual(steps[6]!.after!.metadata, []);
});

test("the stages inside of a match are steps of their own", async () => {
  const config = `
    stage.static_labels { values = { seen = "yes" } }
    stage.match {
      selector = "{app=\\"web\\"}"
      stage.regex { expression = "(?P<level>\\\\w+)" }
      stage.match {
        selector = "{none=\\"\\"} |= \\"debug\\""
        stage.drop { expression = ".*" }
      }
    }
    stage.labels { values = { level = "" } }`;
  const labels = { app: "web" };
  const traces = await traceLines(config, [{ line: "info x", labels }, { line: "debug x", labels }, "other"]);
  assert.deepEqual(traces.map(shown), [
    [
      "0.static_labels passed",
      "1.match passed: the selector matches",
      "1.match.0.regex passed",
      '1.match.1.match passed: no match: the selector {none=""} |= "debug" does not match',
      "2.labels passed",
    ],
    [
      "0.static_labels passed",
      "1.match passed: the selector matches",
      "1.match.0.regex passed",
      "1.match.1.match passed: the selector matches",
      "1.match.1.match.0.drop dropped: drop_stage: the line matches `.*`",
    ],
    [
      "0.static_labels passed",
      '1.match passed: no match: the selector {app="web"} does not match',
      "2.labels passed: no value for `level`",
    ],
  ]);
  // The labels as they are at the match become extracted values again.
  assert.deepEqual(extractedAfter(traces[0]!, 0), { app: "web" });
  assert.deepEqual(extractedAfter(traces[0]!, 1), { app: "web", seen: "yes" });
});

test("what a stage keeps ends there, and what it sends later has a trace of its own", async () => {
  const config = `
    stage.multiline { firstline = "^\\\\S" }
    stage.static_labels { values = { a = "1" } }`;
  const traces = await traceLines(config, ["one", "  more", "two"]);
  const kept = "0.multiline kept: a line of a block, which waits for the rest";
  const sent = "0.multiline passed: the lines of a block";
  assert.deepEqual(traces.map(shown), [
    [kept],
    [kept],
    [sent, "1.static_labels passed"], // sent by the line that begins the next block
    [kept],
    [sent, "1.static_labels passed"], // sent when the component stops
  ]);
  assert.deepEqual(
    traces.map(({ outcome }) => outcome),
    ["kept", "kept", "passed", "kept", "passed"],
  );
  assert.equal(traces[2]!.before.line, "one\n  more");
  assert.deepEqual(traces[2]!.steps[0]!.after, traces[2]!.before);
  assert.deepEqual(traces[2]!.steps[1]!.after!.labels, ["a", "1"]);
  assert.equal(traces[4]!.before.line, "two");
});

test("an entry that is sent from inside of a match goes on behind it", async () => {
  const traces = await traceLines(
    `stage.match {
       selector = "{none=\\"\\"}"
       stage.multiline { firstline = "^\\\\S" }
       stage.decolorize {}
     }
     stage.drop { expression = "^one" }`,
    ["one", "two"],
  );
  assert.deepEqual(traces.map(shown), [
    ["0.match passed: the selector matches", "0.match.0.multiline kept: a line of a block, which waits for the rest"],
    [
      "0.match.0.multiline passed: the lines of a block",
      "0.match.1.decolorize passed",
      "1.drop dropped: drop_stage: the line matches `^one`",
    ],
    ["0.match passed: the selector matches", "0.match.0.multiline kept: a line of a block, which waits for the rest"],
    ["0.match.0.multiline passed: the lines of a block", "0.match.1.decolorize passed", "1.drop passed"],
  ]);
  assert.deepEqual(
    traces.map(({ outcome }) => outcome),
    ["kept", "dropped", "kept", "passed"],
  );
});

test("parts of CRI lines are kept, the last one has the whole line", async () => {
  const time = "2026-11-20T00:00:00.000000000Z stdout";
  const traces = await traceLines("stage.cri {}", [`${time} P one, `, `${time} F two`, `${time} P left`]);
  assert.deepEqual(traces.map(shown), [
    ["0.cri kept: a part of a line (flag P), which waits for the rest"],
    ["0.cri passed: put together with the parts before it"],
    ["0.cri kept: a part of a line (flag P), which waits for the rest"],
    ["0.cri passed: the parts of an unfinished line, without the rest"],
  ]);
  assert.equal(traces[1]!.steps[0]!.after!.line, "one, two");
  assert.equal(traces[3]!.before.line, "left");
});

test("each element of an array has a trace", async () => {
  const traces = await traceLines(
    `stage.split_json {}
     stage.drop { expression = "^2" }`,
    ["[1,2,3]"],
  );
  assert.deepEqual(traces.map(shown), [
    ["0.split_json passed: an element of the array", "1.drop passed"],
    ["0.split_json passed: an element of the array", "1.drop dropped: drop_stage: the line matches `^2`"],
    ["0.split_json passed", "1.drop passed"],
  ]);
  assert.deepEqual(
    traces.map(({ before }) => before.line),
    ["1", "2", "[1,2,3]"],
  );
});

test("only entries that somebody wants are traced, and a flush by time is traced too", async () => {
  const clock = new ManualClock();
  const traces: EntryTrace[] = [];
  let asked = 0;
  await using run: StageRun = await startStages(`stage.multiline { firstline = "^b" }`, { clock });
  run.component.tap.watchTraces({ wants: () => ++asked % 2 === 0, show: (trace) => void traces.push(trace) });
  await run.send(["1", "2", "3", "b"]);
  assert.deepEqual(
    traces.map(({ before }) => before.line),
    ["2", "b"],
  );
  asked += 1;
  for (let i = 0; i < 20; i++) await clock.advance(250);
  assert.equal(traces.length, 3);
  assert.deepEqual(shown(traces[2]!), ["0.multiline passed: the lines of a block"]);
  assert.equal(run.items.length, 4);
});
