import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { runStages, startStages } from "../pipeline-testing.ts";

const JSON_STAGE = 'stage.json {\n expressions = { level = "", n = "" }\n}\n';
const level = (value: unknown) => JSON.stringify({ level: value });

for (const [what, config, lines, kept] of [
  ["by value", 'source = "level"\n value = "debug"', [level("debug"), level("debugger"), "text"], [1, 2]],
  ["a value is no pattern", 'source = "level"\n value = "d.*"', [level("debug"), level("d.*")], [0]],
  ["by a source's presence", 'source = "level"', [level("x"), level(null), "text"], [2]],
  ["by several sources' presence", 'source = "level,n"', [level("x"), "text"], [1]],
  [
    "by a source's pattern",
    'source = "level"\n expression = "^(debug|trace)$"',
    [level("debug"), level("trace"), level("info"), "t"],
    [2, 3],
  ],
  ["an absent source is empty text", 'source = "none"\n expression = "^$"', ["x"], []],
  ["null cannot match", 'source = "level"\n expression = ".*"', [level(null), level("x")], [0]],
  [
    "several sources joined",
    'source = "level,n"\n separator = "#"\n expression = "^a#1$"',
    ['{"level":"a","n":1}', '{"level":"a","n":2}'],
    [1],
  ],
  ["by the line", 'expression = ".*health.*"', ["GET /health", "GET /"], [1]],
  ["by length in bytes", 'longer_than = "5B"', ["12345", "123456", "éé1", "ééé"], [0, 2]],
  ["all conditions must hold", 'longer_than = "3B"\n expression = "a"', ["a", "bbbbb", "aaaaa"], [0, 1]],
] as const) {
  test(`drop: ${what}`, async () => {
    const out = await runStages(`${JSON_STAGE}stage.drop {\n ${config}\n}`, lines);
    assert.deepEqual(
      out,
      kept.map((i) => `{} ${lines[i]}`),
    );
  });
}

test("drop: by age, with its own reason", async () => {
  const clock = new ManualClock(100_000);
  await using run = await startStages('stage.drop {\n older_than = "10s"\n drop_counter_reason = "old"\n}', { clock });
  await run.send([
    { line: "old", ms: 89_999 },
    { line: "edge", ms: 90_000 },
    { line: "new", ms: 99_000 },
  ]);
  assert.deepEqual(
    run.items.map((each) => each.line),
    ["edge", "new"],
  );
  assert.equal(run.component.metric("loki_process_dropped_lines_total", { reason: "old" }), 1);
  assert.equal(run.component.flow.dropped.get("logs")?.get("old"), 1);
});

test("drop: a batch of which nothing is left is acknowledged and not handed on", async () => {
  await using run = await startStages('stage.drop {\n expression = "x"\n}');
  let fired = false;
  await run.send(["x", "xx"], new Acknowledgement(() => void (fired = true)));
  assert.equal(fired, true);
  assert.equal(run.items.length, 0);
});

test("drop: bad configurations", async () => {
  for (const [config, message] of [
    ["stage.drop { }", /is required/],
    ['stage.drop {\n source = "a"\n value = "b"\n expression = "c"\n}', /exclude each other/],
    ['stage.drop {\n value = "b"\n older_than = "1s"\n}', /needs `source`/],
  ] as const) {
    await assert.rejects(runStages(config, []), message);
  }
});

const mark = 'stage.static_labels {\n values = { m = "1" }\n}';
for (const [selector, lines, matched] of [
  ['{app=\\"a\\"}', [{ line: "x", labels: { app: "a" } }, { line: "y", labels: { app: "b" } }, { line: "z" }], [0]],
  ['{app!=\\"a\\"}', [{ line: "x", labels: { app: "a" } }, { line: "y", labels: { app: "b" } }, { line: "z" }], [1, 2]],
  [
    '{app=~\\"a|b.*\\"}',
    [
      { line: "x", labels: { app: "a" } },
      { line: "y", labels: { app: "bcd" } },
      { line: "z", labels: { app: "ab" } },
    ],
    [0, 1],
  ],
  [
    '{app!~\\"a.*\\"}',
    [
      { line: "x", labels: { app: "ax" } },
      { line: "y", labels: { app: "b" } },
    ],
    [1],
  ],
  [
    '{app=\\"a\\"} |= \\"err\\"',
    [
      { line: "an error", labels: { app: "a" } },
      { line: "fine", labels: { app: "a" } },
    ],
    [0],
  ],
  ['{app=\\"\\"} != \\"err\\"', [{ line: "an error" }, { line: "fine" }], [1]],
  ['{app=\\"\\"} |~ \\"e.+r$\\" !~ \\"other\\"', [{ line: "an error" }, { line: "other error" }, { line: "x" }], [0]],
  ['{app=\\"\\"} |= \\"é\\" |= \\"\\"', [{ line: "né" }, { line: "ne" }], [0]],
] as const) {
  test(`match: ${selector}`, async () => {
    const config = `stage.match {\n selector = "${selector}"\n ${mark}\n}`;
    const out = await runStages(config, lines);
    assert.deepEqual(
      out.map((each) => each.includes('m="1"')),
      lines.map((_, i) => (matched as readonly number[]).includes(i)),
    );
  });
}

test("match: drops with a reason, nests, and sees labels that inner stages set", async () => {
  const config = `
    stage.match {
      selector = "{app=\\"a\\"}"
      stage.static_labels {\n values = { kind = "k" }\n}
      stage.match {
        selector = "{kind=\\"k\\"} |= \\"deep\\""
        stage.labels {\n values = { again = "kind" }\n}
      }
    }
    stage.match {
      selector = "{app=\\"b\\"}"
      action = "drop"
      drop_counter_reason = "b_is_noise"
    }
    stage.static_labels {\n values = { end = "1" }\n}`;
  await using run = await startStages(config);
  await run.send([
    { line: "deep", labels: { app: "a" } },
    { line: "flat", labels: { app: "a" } },
    { line: "deep", labels: { app: "b" } },
    "none",
  ]);
  assert.deepEqual(
    run.items.map(({ labels, line }) => `${labels} ${line}`),
    ['{again="k", app="a", end="1", kind="k"} deep', '{app="a", end="1", kind="k"} flat', '{end="1"} none'],
  );
  assert.equal(run.component.metric("loki_process_dropped_lines_total", { reason: "b_is_noise" }), 1);
});

test("match: bad configurations", async () => {
  for (const [config, message] of [
    [`stage.match {\n selector = "{app=}"\n ${mark}\n}`, /is not a valid selector: parse error at line 1, col 6/],
    [`stage.match {\n selector = "{app=~\\"(\\"}"\n ${mark}\n}`, /is not a valid selector/],
    ['stage.match {\n selector = "{a=\\"b\\"}"\n}', /is required unless/],
    [`stage.match {\n selector = "{a=\\"b\\"}"\n action = "drop"\n ${mark}\n}`, /must be left out/],
  ] as const) {
    await assert.rejects(runStages(config, []), message);
  }
});

test("output: strings, numbers, and what is not there", async () => {
  const config = 'stage.json {\n expressions = { msg = "", n = "", gone = "" }\n}\n';
  const line = '{"msg":"a\\"b","n":5}';
  for (const [source, expected] of [
    ["msg", 'a"b'],
    ["n", "5"],
    ["gone", line],
    ["never", line],
  ] as const) {
    assert.deepEqual(await runStages(`${config}stage.output {\n source = "${source}"\n}`, [line]), [`{} ${expected}`]);
  }
  const twice = `${config}stage.output {\n source = "msg"\n}\nstage.json {\n expressions = { inner = "" }\n}\nstage.output {\n source = "inner"\n}`;
  assert.deepEqual(await runStages(twice, [JSON.stringify({ msg: '{"inner":"x"}' }), '{"msg":""}']), ["{} x", "{} "]);
});
