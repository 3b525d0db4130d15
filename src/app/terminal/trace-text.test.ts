import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntryStateJson } from "../api/json.ts";
import type { Paint } from "./table.ts";
import { type ItemWay, traceText } from "./trace-text.ts";

const plain: Paint = (_color, text) => text;
const marked: Paint = (color, text) => (color === undefined ? text : `<${color}>${text}</>`);

const start: EntryStateJson = {
  timestamp: "2026-01-31T12:00:00.000Z",
  line: '{"level":"info","ip":"10.0.0.1"}',
  labels: { app: "web", pod: "a" },
  metadata: { trace: "1" },
  extracted: { app: "web" },
};
const parsed: EntryStateJson = { ...start, extracted: { ...start.extracted, level: "info", n: 3, none: null } };
const changed: EntryStateJson = {
  timestamp: "2026-01-31T12:00:01.000000005Z",
  line: "first\nsecond\u001b[31m",
  labels: { app: "api", level: "info" },
  metadata: {},
  extracted: { app: "web", level: "warn", n: 3 },
};
const passed: ItemWay = {
  before: start,
  steps: [
    { stage: "0.json", outcome: "passed", reason: "", after: parsed },
    { stage: "1.cri", outcome: "passed", reason: "no match: the line is not in the CRI format", after: parsed },
    { stage: "2.decolorize", outcome: "passed", reason: "", after: parsed },
    { stage: "3.match.0.x", outcome: "passed", reason: "", after: changed },
  ],
  outcome: "passed",
};
const dropped: ItemWay = {
  before: start,
  steps: [{ stage: "0.drop", outcome: "dropped", reason: "drop_stage: the line matches `x`", after: null }],
  outcome: "dropped",
};
const START = '2026-01-31T12:00:00.000Z  {"level":"info","ip":"10.0.0.1"}  {app="web", pod="a"}  trace=1';

test("what each stage changed", () => {
  assert.equal(
    traceText("entry 1: ", passed, plain),
    `entry 1: passed
  ${START}
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
                line + second\\u001b[31m`,
  );
});

test("where and why an entry ended", () => {
  assert.equal(
    traceText("", dropped, plain),
    `dropped by 0.drop\n  ${START}\n  0.drop  dropped: drop_stage: the line matches \`x\``,
  );
  const steps = [{ stage: "0.multiline", outcome: "kept", reason: "", after: null }] as const;
  assert.equal(
    traceText("", { before: null, steps, outcome: "kept" }, plain),
    "kept by 0.multiline\n  0.multiline  kept",
  );
});

test("an entry without stages just passes", () => {
  assert.equal(traceText("", { before: start, steps: [], outcome: "passed" }, plain), `passed\n  ${START}`);
});

test("samples look as on a metrics page", () => {
  const before = { timestamp: "2026-01-31T12:00:00.000Z", labels: { __name__: "up", job: "a" }, value: "1" };
  const after = { ...before, labels: { __name__: "up" }, value: "2" };
  const steps = [{ stage: "prometheus.relabel.r", outcome: "passed", reason: "", after }] as const;
  assert.equal(
    traceText("", { before, steps, outcome: "passed" }, plain),
    `passed
  2026-01-31T12:00:00.000Z  up{job="a"}  1
  prometheus.relabel.r  label - job="a"
                        value 1 → 2`,
  );
});

test("names from outside are just names", () => {
  const after = { ...start, labels: JSON.parse('{"app":"web","constructor":"x","__proto__":"y"}') };
  const steps = [{ stage: "0.x", outcome: "passed", reason: "", after }] as const;
  const text = traceText("", { before: start, steps, outcome: "passed" }, plain);
  assert.deepEqual(text.split("\n").slice(2), [
    '  0.x  label + __proto__="y"',
    '       label + constructor="x"',
    '       label - pod="a"',
  ]);
});

test("colours say how it went, and do not change the text", () => {
  const painted = traceText("", passed, marked);
  assert.match(painted, /^<green>passed<\/>\n/);
  assert.match(painted, /<green>\+ level = "info"<\/>/);
  assert.match(traceText("", dropped, marked), /^<red>dropped by 0\.drop<\/>\n.*\n.*<red>dropped: drop_stage/);
  assert.equal(painted.replace(/<\/?\w*>/g, ""), traceText("", passed, plain));
});
