import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "#base/manual-clock.testing";
import { compileRegex } from "#base/regex";
import { runStages, startStages } from "../pipeline-testing.ts";
import { type LuhnOptions, redactLuhn } from "./luhn.ts";
import { splitArray } from "./split-json.ts";

test("pack: labels and extracted values go into the line", async () => {
  const clock = new ManualClock(5_000);
  const config =
    'stage.json {\n expressions = { n = "", gone = "" }\n}\nstage.pack {\n labels = ["pod", "n", "gone", "none"]\n}';
  await using run = await startStages(config, { clock });
  await run.send([
    { line: '{"n":5,"q":"<\\""}', labels: { pod: "p", app: "a" }, ms: 1 },
    { line: "text", labels: { app: "a" } },
  ]);
  assert.deepEqual(
    run.items.map(({ line, labels, ms }) => [labels, line, ms]),
    [
      ['{app="a"}', String.raw`{"n":"5","pod":"p","_entry":"{\"n\":5,\"q\":\"\u003c\\\"\"}"}`, 5_000],
      ['{app="a"}', '{"_entry":"text"}', 5_000],
    ],
  );
  await using keeps = await startStages("stage.pack {\n labels = []\n ingest_timestamp = false\n}", { clock });
  await keeps.send([{ line: "", ms: 1 }]);
  assert.deepEqual(
    keeps.items.map(({ line, ms }) => [line, ms]),
    [['{"_entry":""}', 1]],
  );
});

test("sampling: none, all, and about half", async () => {
  const lines = Array.from({ length: 2_000 }, (_, i) => String(i));
  assert.equal((await runStages("stage.sampling {\n rate = 0\n}", lines)).length, 0);
  assert.equal((await runStages("stage.sampling {\n rate = 1\n}", lines)).length, 2_000);
  await using run = await startStages('stage.sampling {\n rate = 0.5\n drop_counter_reason = "half"\n}');
  await run.send(lines);
  assert.ok(run.items.length > 800 && run.items.length < 1_200);
  assert.equal(run.component.metric("loki_process_dropped_lines_total", { reason: "half" }), 2_000 - run.items.length);
  await assert.rejects(runStages("stage.sampling {\n rate = 1.1\n}", []), /1/);
});

for (const [what, rules, expected, metadata, fields] of [
  ["the line", 'rule {\n limit = "5B"\n}', '{app="long app"} 12345', ["m", "long metadata"], "line"],
  [
    "the line with a suffix",
    'rule {\n limit = "5B"\n suffix = ".."\n}',
    '{app="long app"} 123..',
    ["m", "long metadata"],
    "line",
  ],
  ["nothing", 'rule {\n limit = "50B"\n}', '{app="long app"} 1234567890', ["m", "long metadata"], ""],
  [
    "labels",
    'rule {\n limit = "4B"\n source_type = "label"\n}',
    '{app="long"} 1234567890',
    ["m", "long metadata"],
    "label",
  ],
  [
    "labels by name",
    'rule {\n limit = "4B"\n source_type = "label"\n sources = ["other"]\n}',
    '{app="long app"} 1234567890',
    ["m", "long metadata"],
    "",
  ],
  [
    "metadata",
    'rule {\n limit = "4B"\n source_type = "structured_metadata"\n sources = ["m"]\n}',
    '{app="long app"} 1234567890',
    ["m", "long"],
    "structured_metadata",
  ],
  [
    "several",
    'rule {\n limit = "4B"\n}\n rule {\n limit = "4B"\n source_type = "label"\n}',
    '{app="long"} 1234',
    ["m", "long metadata"],
    "label,line",
  ],
] as const) {
  test(`truncate: ${what}`, async () => {
    await using run = await startStages(
      `stage.truncate {\n ${rules}\n}\nstage.structured_metadata {\n values = { cut = "truncated" }\n}`,
    );
    await run.send([{ line: "1234567890", labels: { app: "long app" }, metadata: ["m", "long metadata"] }]);
    const [entry] = run.items;
    assert.equal(`${entry!.labels} ${entry!.line}`, expected);
    assert.deepEqual(entry!.metadata, [...metadata, ...(fields === "" ? [] : ["cut", fields])]);
    for (const field of fields.split(",").filter(Boolean)) {
      assert.equal(run.component.metric("loki_process_truncated_fields_total", { field }), 1);
    }
  });
}

test("truncate: extracted values, characters stay whole, bad configurations", async () => {
  const config = `stage.json {\n expressions = { a = "", n = "" }\n}
    stage.truncate {\n rule {\n limit = "3B"\n source_type = "extracted"\n}\n}
    stage.labels {\n values = { a = "", n = "" }\n}`;
  assert.deepEqual(await runStages(config, ['{"a":"éé","n":12345}']), ['{a="é", n="12345"} {"a":"éé","n":12345}']);
  assert.deepEqual(await runStages('stage.truncate {\n rule {\n limit = "5B"\n}\n}', ["a😀😀"]), ["{} a😀"]);
  for (const [rule, message] of [
    ['limit = "0B"', /greater than 0/],
    ['limit = "3B"\n suffix = "..."', /must be shorter/],
    ['limit = "3B"\n sources = ["a"]', /cannot be set/],
  ] as const) {
    await assert.rejects(runStages(`stage.truncate {\n rule {\n ${rule}\n}\n}`, []), message);
  }
});

test("decolorize", async () => {
  const esc = "\u001b";
  const cases = [
    [`${esc}[31mred${esc}[0m plain`, "red plain"],
    [`${esc}[1;32;40mx${esc}[m`, "x"],
    ["\u009b4mx", "x"],
    [`${esc}]0;title\u0007after`, "after"],
    ["nothing é", "nothing é"],
    [`${esc}`, `${esc}`],
    ["", ""],
    ["\u00db", "\u00db"],
  ];
  assert.deepEqual(
    await runStages(
      "stage.decolorize { }",
      cases.map(([line]) => line!),
    ),
    cases.map(([, plain]) => `{} ${plain}`),
  );
  const before = process.threadCpuUsage();
  await runStages("stage.decolorize { }", [`${esc}${";".repeat(200_000)}!`]);
  const microseconds = process.threadCpuUsage(before).user;
  assert.ok(microseconds < 1e6, `a long run of punctuation takes ${microseconds} µs`);
});

const LUHN: LuhnOptions = { replacement: "#", minLength: 13, delimiters: "", skip: undefined };
for (const [text, expected, more] of [
  ["card 4539578763621486 end", "card # end", {}],
  ["4539578763621487", "4539578763621487", {}],
  ["4539578763621486 and 4539578763621486", "# and #", {}],
  ["79927398713", "79927398713", {}],
  ["79927398713", "#", { minLength: 11 }],
  ["4539-5787-6362-1486.", "#.", { delimiters: "-" }],
  ["4539 5787 6362 1486 x", "# x", { delimiters: " -" }],
  ["4539-5787-6362-1487 x", "4539-5787-6362-1487 x", { delimiters: "-" }],
  ["4539-5787-6362-1486", "4539-5787-6362-1486", {}],
  ["id=4539578763621486 4539578763621486", "id=4539578763621486 #", { skip: compileRegex("id=\\d+") }],
  ["99999999999999999999999999", "99999999999999999999999999", {}],
  ["", "", {}],
] as const) {
  test(`luhn: ${text} ${JSON.stringify(more)}`, () => {
    assert.equal(redactLuhn(text, { ...LUHN, ...more }), expected);
  });
}

test("luhn: the stage, with a source the result becomes the line", async () => {
  assert.deepEqual(await runStages("stage.luhn { }", ["4539578763621486"]), ["{} **REDACTED**"]);
  const config =
    'stage.json {\n expressions = { card = "", n = "" }\n}\nstage.luhn {\n source = "card"\n replacement = "x"\n}';
  const numeric = '{"card":4539578763621486}';
  assert.deepEqual(await runStages(config, ['{"card":"a 4539578763621486"}', numeric]), ["{} a x", `{} ${numeric}`]);
});

test("split_json", async () => {
  for (const [text, expected] of [
    ["[]", []],
    [' [1, "a,]\\"[" ,{"b":[1,2]} , null]\n', ["1", '"a,]\\"["', '{"b":[1,2]}', "null"]],
    ["[[1],[2]]", ["[1]", "[2]"]],
    ["{}", undefined],
    ["[1,]", undefined],
    ["[1] 2", undefined],
    ["", undefined],
    ["\u00a0[1]", undefined],
  ] as const) {
    assert.deepEqual(splitArray(text), expected);
  }
  const config =
    'stage.json {\n expressions = { list = "" }\n}\nstage.split_json {\n source = "list"\n}\nstage.json {\n expressions = { a = "" }\n}\nstage.labels {\n values = { a = "" }\n}';
  await using run = await startStages(config);
  const lines = Array.from({ length: 400 }, (_, i) => ({ line: `{"list":[{"a":"${i}"},{"a":"x"},3]}`, ms: i }));
  await run.send([...lines, "text"]);
  assert.equal(run.items.length, 1_201);
  assert.deepEqual(
    run.items.slice(1_197).map(({ labels, line, ms }) => `${ms} ${labels} ${line}`),
    ['399 {a="399"} {"a":"399"}', '399 {a="x"} {"a":"x"}', '399 {a="x"} 3'.replace('{a="x"}', "{}"), "0 {} text"],
  );
});

test("metrics: counters, gauges and histograms by stream, with expiry", async () => {
  const clock = new ManualClock();
  const config = `
    stage.json {\n expressions = { n = "", t = "" }\n}
    stage.metrics {
      metric.counter {\n name = "lines"\n action = "inc"\n match_all = true\n description = "All lines."\n}
      metric.counter {\n name = "bytes"\n action = "add"\n match_all = true\n count_entry_bytes = true\n}
      metric.counter {\n name = "sum"\n source = "n"\n action = "add"\n prefix = "my_"\n}
      metric.counter {\n name = "fives"\n source = "n"\n action = "inc"\n value = "5"\n}
      metric.gauge {\n name = "last"\n source = "n"\n action = "set"\n max_idle_duration = "10s"\n}
      metric.histogram {\n name = "t"\n buckets = [0.1, 1]\n}
    }`;
  const run = await startStages(config, { clock });
  const labels = { app: "a", __internal: "x" };
  await run.send([
    { line: '{"n":5,"t":"50ms"}', labels },
    { line: '{"n":2.5,"t":"2"}', labels },
    { line: '{"n":"x","t":true}' },
    "text",
  ]);
  const value = (name: string, by = {}) => run.component.metric(name, by);
  assert.equal(value("loki_process_custom_lines", { app: "a" }), 2);
  assert.equal(value("loki_process_custom_lines"), 4);
  assert.equal(value("loki_process_custom_bytes"), '{"n":5,"t":"50ms"}{"n":2.5,"t":"2"}{"n":"x","t":true}text'.length);
  assert.equal(value("my_sum"), 7.5);
  assert.equal(value("loki_process_custom_fives", { app: "a" }), 1);
  assert.equal(value("loki_process_custom_t_count"), 3);
  assert.equal(value("loki_process_custom_t_sum"), 3.05);
  assert.equal(value("loki_process_custom_t_bucket", { le: "0.1" }), 1);
  assert.equal(value("loki_process_custom_last", { app: "a" }), 2.5);
  assert.equal(value("loki_process_custom_lines", { __internal: "x" }), undefined);
  await clock.advance(10_000);
  assert.equal(value("loki_process_custom_last"), 2.5);
  assert.equal(value("loki_process_custom_last"), undefined);
  await run.component.stop();
  assert.equal(value("loki_process_custom_lines"), undefined);
});

test("metrics: bad configurations", async () => {
  for (const [config, message] of [
    ['metric.counter {\n name = "a"\n action = "dec"\n}', /action/],
    ['metric.counter {\n name = "a"\n action = "inc"\n match_all = true\n value = "x"\n}', /exclude each other/],
    ['metric.counter {\n name = "a"\n action = "inc"\n count_entry_bytes = true\n}', /needs `match_all/],
    ['metric.gauge {\n name = "a"\n action = "set"\n max_idle_duration = "10ms"\n}', /at least 1s/],
  ] as const) {
    await assert.rejects(runStages(`stage.metrics {\n ${config}\n}`, []), message);
  }
});
