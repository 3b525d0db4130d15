import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntryStateJson, PipeEntryJson, PipeSampleJson } from "../api/json.ts";
import { type PipeFormat, PipeRenderer } from "./render.ts";

const start: EntryStateJson = {
  timestamp: "2026-01-31T12:00:00.000Z",
  line: 'say "hi"',
  labels: { app: "web", pod: "a" },
  metadata: { trace: "1" },
  extracted: { app: "web" },
};
const changed: EntryStateJson = { ...start, line: "first\nsecond\u001b[31m", labels: { app: "api" }, metadata: {} };
const passed: PipeEntryJson = {
  before: start,
  steps: [
    { stage: "0.json", outcome: "passed", reason: "no match: the line is not a JSON object", after: start },
    { stage: "1.match.0.x", outcome: "passed", reason: "", after: changed },
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
const relabelled: PipeSampleJson = {
  before: { timestamp: "2026-01-31T12:00:00.000Z", labels: { __name__: "up", job: "a" }, value: "1" },
  outcome: "passed",
  reason: "",
  after: { timestamp: "2026-01-31T12:00:00.000Z", labels: { __name__: "up" }, value: "1" },
};
const droppedSample: PipeSampleJson = { ...relabelled, outcome: "dropped", reason: "relabel_rule", after: null };

const STYLE = { color: false, columns: undefined };

function rendered(format: PipeFormat, how: "output" | "trace", entries: readonly PipeEntryJson[]): string {
  const renderer = new PipeRenderer(format, STYLE, "loki.process.a");
  return entries.map((entry) => renderer[how]({ kind: "entry", entry })).join("");
}
function renderedSamples(format: PipeFormat, how: "output" | "trace", samples: readonly PipeSampleJson[]): string {
  const renderer = new PipeRenderer(format, STYLE, "prometheus.relabel.r");
  return samples.map((sample) => renderer[how]({ kind: "sample", sample })).join("");
}

test("an entry that comes out is one line in each format", () => {
  assert.equal(
    rendered("pretty", "output", [passed, dropped]),
    '2026-01-31T12:00:00.000Z  first\\nsecond\\u001b[31m  {app="api"}\n',
  );
  const other: PipeEntryJson = { ...passed, after: start };
  assert.equal(
    rendered("pretty", "output", [other]),
    '2026-01-31T12:00:00.000Z  say "hi"  {app="web", pod="a"}  trace=1\n',
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

test("traces are numbered", () => {
  assert.equal(
    rendered("pretty", "trace", [passed, dropped]),
    `entry 1: passed
  2026-01-31T12:00:00.000Z  say "hi"  {app="web", pod="a"}  trace=1
  0.json       no match: the line is not a JSON object
  1.match.0.x  label ~ app="web" → "api"
               label - pod="a"
               metadata - trace = "1"
               line - say "hi"
               line + first
               line + second\\u001b[31m
entry 2: dropped by 0.drop
  2026-01-31T12:00:00.000Z  say "hi"  {app="web", pod="a"}  trace=1
  0.drop  dropped: drop_stage: the line matches \`x\`
`,
  );
});

test("an entry that a stage put together begins as it came out", () => {
  assert.equal(
    rendered("pretty", "trace", [{ before: null, steps: [], outcome: "passed", after: start }]),
    'entry 1: passed\n  2026-01-31T12:00:00.000Z  say "hi"  {app="web", pod="a"}  trace=1\n',
  );
});

test("traces as JSON are the API's, as logfmt a line for the entry and one for each stage", () => {
  assert.deepEqual(JSON.parse(rendered("json", "trace", [passed])), passed);
  const entry = 'timestamp=2026-01-31T12:00:00.000Z line="say \\"hi\\"" label.app=web label.pod=a metadata.trace=1';
  assert.equal(
    rendered("logfmt", "trace", [dropped, { ...passed, steps: passed.steps.slice(0, 1) }]),
    `type=trace entry=1 outcome=dropped ${entry} extracted.app=web
type=trace entry=1 stage=0.drop outcome=dropped reason="drop_stage: the line matches \`x\`"
type=trace entry=2 outcome=passed ${entry} extracted.app=web
type=trace entry=2 stage=0.json outcome=passed reason="no match: the line is not a JSON object" ${entry} extracted.app=web
`,
  );
});

test("samples go through one stage, the component", () => {
  assert.equal(renderedSamples("pretty", "output", [relabelled, droppedSample]), "2026-01-31T12:00:00.000Z  up  1\n");
  assert.equal(
    renderedSamples("logfmt", "output", [relabelled]),
    "type=sample timestamp=2026-01-31T12:00:00.000Z label.__name__=up value=1\n",
  );
  assert.equal(
    renderedSamples("pretty", "trace", [relabelled, droppedSample]),
    `sample 1: passed
  2026-01-31T12:00:00.000Z  up{job="a"}  1
  prometheus.relabel.r  label - job="a"
sample 2: dropped by prometheus.relabel.r
  2026-01-31T12:00:00.000Z  up{job="a"}  1
  prometheus.relabel.r  dropped: relabel_rule
`,
  );
});
