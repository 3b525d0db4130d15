import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntryStateJson, PipeEntryJson } from "../api/json.ts";
import { type PipeFormat, PipeRenderer } from "./render.ts";

const start: EntryStateJson = {
  line: '{"level":"info","ip":"10.0.0.1"}',
  labels: { app: "web", pod: "a" },
  metadata: { trace: "1" },
  timestamp: "2026-01-31T12:00:00.000Z",
  extracted: { app: "web" },
};
const parsed: EntryStateJson = { ...start, extracted: { ...start.extracted, level: "info", n: 3, none: null } };
const changed: EntryStateJson = {
  line: "first\nsecond\u001b[31m",
  labels: { app: "api", level: "info" },
  metadata: {},
  timestamp: "2026-01-31T12:00:01.000000005Z",
  extracted: { app: "web", level: "warn", n: 3 },
};
const passed: PipeEntryJson = {
  before: start,
  steps: [
    { stage: "0.json", outcome: "passed", reason: "", after: parsed },
    { stage: "1.cri", outcome: "passed", reason: "no match: the line is not in the CRI format", after: parsed },
    { stage: "2.decolorize", outcome: "passed", reason: "", after: parsed },
    { stage: "3.match.0.x", outcome: "passed", reason: "", after: changed },
  ],
  outcome: "passed",
  after: changed,
};
const dropped: PipeEntryJson = {
  before: start,
  steps: [{ stage: "0.drop", outcome: "dropped", reason: "drop_stage: the line matches `x`", after: null }],
  outcome: "dropped",
  after: null,
};

const PLAIN = { color: false, columns: undefined };

function rendered(
  format: PipeFormat,
  how: "output" | "trace",
  entries: readonly PipeEntryJson[],
  color = false,
): string {
  const renderer = new PipeRenderer(format, { color, columns: undefined });
  return entries.map((entry) => renderer[how]({ kind: "entry", entry })).join("");
}

test("a trace shows what each stage changed", () => {
  assert.equal(
    rendered("pretty", "trace", [passed, dropped]),
    `entry 1: passed
  2026-01-31T12:00:00.000Z {app="web", pod="a"} {"level":"info","ip":"10.0.0.1"} metadata {trace="1"}
  0.json        + level = "info"
                + n = 3
                + none = null
  1.cri         no match: the line is not in the CRI format
  2.decolorize  no change
  3.match.0.x   ~ level = "info" → "warn"
                - none = null
                label ~ app="web" → "api"
                label + level="info"
                label - pod="a"
                metadata - trace = "1"
                timestamp 2026-01-31T12:00:00.000Z → 2026-01-31T12:00:01.000000005Z
                line - {"level":"info","ip":"10.0.0.1"}
                line + first
                line + second\\x1b[31m
entry 2: dropped by 0.drop
  2026-01-31T12:00:00.000Z {app="web", pod="a"} {"level":"info","ip":"10.0.0.1"} metadata {trace="1"}
  0.drop  dropped: drop_stage: the line matches \`x\`
`,
  );
});

test("an entry that comes out is one line in each format", () => {
  assert.equal(
    rendered("pretty", "output", [passed, dropped]),
    '2026-01-31T12:00:01.000000005Z {app="api", level="info"} first\\nsecond\\x1b[31m\n',
  );
  const other: PipeEntryJson = { ...passed, after: { ...start, line: 'say "hi"' } };
  assert.equal(
    rendered("pretty", "output", [other]),
    '2026-01-31T12:00:00.000Z {app="web", pod="a"} say "hi" metadata {trace="1"}\n',
  );
  assert.equal(
    rendered("logfmt", "output", [other]),
    'type=log timestamp=2026-01-31T12:00:00.000Z line="say \\"hi\\"" label.app=web label.pod=a metadata.trace=1\n',
  );
  assert.deepEqual(JSON.parse(rendered("json", "output", [other])), {
    type: "log",
    timestamp: "2026-01-31T12:00:00.000Z",
    line: 'say "hi"',
    labels: { app: "web", pod: "a" },
    metadata: { trace: "1" },
  });
});

test("traces as JSON are the API's, as logfmt a line for each stage", () => {
  assert.deepEqual(JSON.parse(rendered("json", "trace", [passed])), passed);
  assert.equal(
    rendered("logfmt", "trace", [dropped, { ...passed, steps: passed.steps.slice(0, 2) }]),
    `type=trace entry=1 stage=0.drop outcome=dropped reason="drop_stage: the line matches \`x\`"
type=trace entry=2 stage=0.json outcome=passed extracted.level=info extracted.n=3 extracted.none=null
type=trace entry=2 stage=1.cri outcome=passed reason="no match: the line is not in the CRI format"
`,
  );
});

test("an entry without stages just passes, one without a beginning has none", () => {
  assert.equal(
    rendered("pretty", "trace", [{ before: start, steps: [], outcome: "passed", after: start }]),
    'entry 1: passed\n  2026-01-31T12:00:00.000Z {app="web", pod="a"} {"level":"info","ip":"10.0.0.1"} metadata {trace="1"}\n',
  );
  assert.equal(
    rendered("pretty", "trace", [{ before: null, steps: [], outcome: "passed", after: start }]),
    'entry 1: passed\n  2026-01-31T12:00:00.000Z {app="web", pod="a"} {"level":"info","ip":"10.0.0.1"} metadata {trace="1"}\n',
  );
});

test("colours are there only if asked for, and do not change the text", () => {
  const plain = rendered("pretty", "trace", [passed, dropped]);
  const painted = rendered("pretty", "trace", [passed, dropped], true);
  assert.ok(!plain.includes("\u001b"));
  assert.match(painted, /\u001b\[32m\+ level = "info"\u001b\[0m/);
  assert.match(painted, /\u001b\[31mdropped: /);
  assert.equal(painted.replaceAll(/\u001b\[\d+m/g, ""), plain);
});

test("samples look as on a metrics page", () => {
  const sample = {
    before: { timestamp: "2026-01-31T12:00:00.000Z", labels: { __name__: "up", job: "a" }, value: "1" },
    outcome: "passed" as const,
    reason: "",
    after: { timestamp: "2026-01-31T12:00:00.000Z", labels: { __name__: "up" }, value: "1" },
  };
  const pretty = new PipeRenderer("pretty", PLAIN);
  assert.equal(pretty.output({ kind: "sample", sample }), "2026-01-31T12:00:00.000Z up 1\n");
  assert.equal(
    pretty.trace({ kind: "sample", sample }),
    'sample 1: passed\n  2026-01-31T12:00:00.000Z up{job="a"} 1\n  label - job="a"\n',
  );
  const gone = { ...sample, outcome: "dropped" as const, reason: "relabel_rule", after: null };
  assert.equal(pretty.output({ kind: "sample", sample: gone }), "");
  assert.match(pretty.trace({ kind: "sample", sample: gone }), /^sample 2: dropped\n.*\n {2}dropped: relabel_rule\n$/);
  const logfmt = new PipeRenderer("logfmt", PLAIN).output({ kind: "sample", sample });
  assert.equal(logfmt, "type=sample timestamp=2026-01-31T12:00:00.000Z value=1 label.__name__=up\n");
});
