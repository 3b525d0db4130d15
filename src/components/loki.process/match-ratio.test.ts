import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { hintFor, sampleOf } from "./line-looks.ts";
import { type StageRun, startStages } from "./pipeline-testing.ts";

const JSON_STAGE = 'stage.json {\n expressions = { level = "" }\n}\n';
const CRI_LINE = '2026-01-02T03:04:05.678901234Z stdout F {"level":"info"}';
const DOCKER_LINE = '{"log":"{\\"level\\":\\"info\\"}\\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}';

async function feed(run: StageRun, count: number, line: (i: number) => string, perBatch = 100) {
  for (let sent = 0; sent < count; sent += perBatch) {
    await run.send(
      Array.from({ length: Math.min(perBatch, count - sent) }, (_, i) => ({
        line: line(sent + i),
        labels: { app: "a" },
      })),
    );
  }
}

/** The judgement after the lines, and after one more batch, from which a sample can be taken. */
async function judged(config: string, line: (i: number) => string, count = 1_000) {
  await using run = await startStages(config, { clock: new ManualClock() });
  await feed(run, count, line);
  run.component.flow.judge();
  await feed(run, 100, line);
  run.component.flow.judge();
  const { state, rule, cause } = run.component.flow.status;
  return { state, rule, cause, seen: run.component.metric("loki_process_stage_lines_total", { stage: "0.json" }) };
}

test("a stage that can read hardly any line is named, with why, what to do and a sample", async () => {
  const cri = await judged(JSON_STAGE, () => CRI_LINE);
  assert.deepEqual([cri.state, cri.rule], ["degraded", "lines_not_parsed"]);
  assert.equal(
    cri.cause,
    "stage 0.json: 100 % of the last 1000 lines and more are not JSON objects: the lines begin with a CRI prefix " +
      `(Kubernetes): add stage.cri before it. Such as: ${CRI_LINE.slice(0, 120)}`,
  );
  assert.equal(cri.seen, 1_100);
  assert.equal((await judged(`stage.cri {}\n${JSON_STAGE}`, () => CRI_LINE)).state, "ok");
  assert.equal(
    (await judged(JSON_STAGE, (i) => (i % 10 === 0 ? '{"level":"info"}' : "x"))).state,
    "ok",
    "10 % are read",
  );
  assert.equal((await judged(JSON_STAGE, () => CRI_LINE, 90)).state, "ok", "too few to tell");
  const dropped = await judged(JSON_STAGE.replace("{\n", "{\n drop_malformed = true\n"), () => CRI_LINE);
  assert.match(dropped.cause, /are not JSON objects and are dropped: .*add stage\.cri/);
});

for (const [title, config, line, says] of [
  ["Docker's lines under stage.cri", "stage.cri {}", DOCKER_LINE, /^stage 0\.cri: .*use stage\.docker instead/],
  ["CRI lines under stage.docker", "stage.docker {}", CRI_LINE, /^stage 0\.docker: .*use stage\.cri instead/],
  [
    "JSON under a regular expression",
    'stage.regex {\n expression = "^(?P<ip>[0-9.]+) "\n}',
    '{"level":"info"}',
    /^stage 0\.regex: .*do not match the regular expression: the lines are JSON: read them with stage\.json/,
  ],
  [
    "JSON under logfmt",
    'stage.logfmt {\n mapping = { level = "" }\n}',
    '{"level": "in fo"}',
    /^stage 0\.logfmt: .*with stage\.json/,
  ],
  ["logfmt under JSON", JSON_STAGE, 'level=info msg="a b"', /^stage 0\.json: .*with stage\.logfmt/],
  ["text before JSON", JSON_STAGE, 'Jan 2 app[1]: {"level":"info"}', /something stands before the JSON/],
  [
    "a time that never fits",
    `${JSON_STAGE}stage.timestamp {\n source = "level"\n format = "RFC3339"\n}`,
    '{"level":"info"}',
    /^stage 1\.timestamp: 100 % .* have no time in `level` that fits the format/,
  ],
  [
    "a time that nobody extracts",
    'stage.timestamp {\n source = "time"\n format = "RFC3339"\n}',
    "plain",
    /^stage 0\.timestamp: 100 % .* have no time in `time`/,
  ],
  [
    "inside of a match, and only the lines that come there",
    `stage.match {\n selector = "{app=\\"a\\"} |= \\"odd\\""\n ${JSON_STAGE}\n}`,
    "odd",
    /^stage 0\.match\.0\.json: 100 %/,
  ],
] as const) {
  test(`${title}: says so`, async () => {
    const { rule, cause } = await judged(config, () => line);
    assert.equal(rule, "lines_not_parsed", cause);
    assert.match(cause, says);
  });
}

test("only lines that come to a stage count for it", async () => {
  const clock = new ManualClock();
  const config = `stage.drop {\n expression = "^skip"\n}\nstage.match {\n selector = "{app=\\"a\\"} |= \\"odd\\""\n ${JSON_STAGE}\n}\n${JSON_STAGE}`;
  await using run = await startStages(config, { clock });
  await feed(run, 3_000, (i) => (i % 2 === 0 ? "skip" : i % 3 === 0 ? '{"odd":1}' : '{"even":1}'));
  const seen = (stage: string) => run.component.metric("loki_process_stage_lines_total", { stage });
  assert.deepEqual([seen("1.match.0.json"), seen("2.json")], [500, 1_500]);
  run.component.flow.judge();
  assert.equal(run.component.flow.status.state, "ok");
});

test("lines that a stage puts together or takes apart are counted behind it", async () => {
  await using run = await startStages(`stage.multiline {\n firstline = "^\\\\S"\n}\n${JSON_STAGE}`, {
    clock: new ManualClock(),
  });
  await feed(run, 300, (i) => (i % 3 === 0 ? '{"a":' : i % 3 === 1 ? " 1" : " }"));
  assert.equal(run.component.metric("loki_process_stage_lines_total", { stage: "1.json" }), 99);
});

test("a regular expression for something rare is none of the status's business, one that never matches is", async () => {
  const regex = 'stage.regex {\n expression = "took (?P<ms>[0-9]+) ms"\n}';
  assert.equal((await judged(regex, (i) => (i === 500 ? "took 5 ms" : "some words"), 5_000)).state, "ok");
  assert.equal((await judged(regex, () => "some words", 800)).state, "ok");
  const never = await judged(regex, () => "some words", 1_000);
  assert.match(never.cause, /^stage 0\.regex: 100 % .* do not match the regular expression\. Such as: some words$/);
  assert.equal(
    (await judged('stage.replace {\n expression = "x(y)"\n replace = "z"\n}', () => "some words", 5_000)).state,
    "ok",
  );
});

test("few lines are judged after a minute, and lines that can be read end it", async () => {
  const clock = new ManualClock();
  await using run = await startStages(JSON_STAGE, { clock });
  await feed(run, 150, () => "x");
  run.component.flow.judge();
  assert.equal(run.component.flow.status.state, "ok");
  await clock.advance(61_000);
  run.component.flow.judge();
  assert.match(
    run.component.flow.status.cause,
    /^stage 0\.json: 100 % of the last 100 lines and more are not JSON objects$/,
  );
  await feed(run, 2_000, () => "{}");
  run.component.flow.judge();
  assert.equal(run.component.flow.status.state, "ok");
});

test("samples are cut and show no secrets", () => {
  assert.equal(sampleOf("x ".repeat(100)), `${"x ".repeat(60)}…`);
  assert.equal(sampleOf("user=bob password=hunter2 ok"), "user=bob password=… ok");
  assert.equal(sampleOf('{"token": "abc", "n": 1}'), '{"token": "…", "n": 1}');
  assert.equal(sampleOf("Authorization: Bearer abc.def x"), "Authorization: Bearer … x");
  assert.equal(sampleOf("id 0123456789abcdef0123456789abcdef end"), "id … end");
  assert.equal(sampleOf(CRI_LINE), CRI_LINE);
});

test("plain words give no hint", () => {
  for (const kind of ["json", "regex", "cri", "logfmt"])
    assert.equal(hintFor(kind, "GET /index.html 200"), undefined, kind);
});
