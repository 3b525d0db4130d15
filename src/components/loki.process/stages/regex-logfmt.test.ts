import assert from "node:assert/strict";
import { test } from "node:test";
import { runStages, startStages } from "../pipeline-testing.ts";

const labels = (...names: string[]) =>
  `stage.labels {\n values = { ${names.map((name) => `${name} = ""`).join(", ")} }\n}`;

for (const [what, expression, line, names, expected] of [
  [
    "named groups",
    String.raw`^(?P<ip>\\S+) (?P<code>\\d{3})$`,
    "10.0.0.1 200",
    ["ip", "code"],
    '{code="200", ip="10.0.0.1"}',
  ],
  ["Go's other spelling", "(?<a>x+)", "axxb", ["a"], '{a="xx"}'],
  ["groups that took no part are empty", "(?P<a>x)|(?P<b>y)", "y", ["a", "b"], '{a="", b="y"}'],
  ["unnamed groups are not extracted", "(x)(?P<a>y)", "xy", ["a"], '{a="y"}'],
  ["no match", "(?P<a>z)", "xy", ["a"], "{}"],
  ["an empty line", "^(?P<a>)$", "", ["a"], '{a=""}'],
  ["characters beyond ASCII", "(?P<a>[é✓]+)", "né✓x", ["a"], '{a="é✓"}'],
  ["case folding", "(?i)(?P<a>LEVEL)", "the level", ["a"], '{a="level"}'],
  ["leftmost, first alternative", "(?P<a>a|ab)", "ab", ["a"], '{a="a"}'],
] as const) {
  test(`regex: ${what}`, async () => {
    const out = await runStages(`stage.regex {\n expression = "${expression}"\n}\n${labels(...names)}`, [line]);
    assert.deepEqual(out, [`${expected} ${line}`]);
  });
}

test("regex: labels from groups override, and sources chain", async () => {
  const config = `
    stage.regex {\n expression = "(?P<rest>\\\\w+=.*)"\n}
    stage.regex {\n source = "rest"\n expression = "(?P<app>\\\\w+)=(?P<v>.*)"\n labels_from_groups = true\n}
    stage.regex {\n source = "none"\n expression = "(?P<x>.*)"\n labels_from_groups = true\n}`;
  assert.deepEqual(await runStages(config, [{ line: "-- k=v w", labels: { app: "old" } }, "nothing"]), [
    '{app="k", v="v w"} -- k=v w',
    "{} nothing",
  ]);
});

test("regex: lines that do not match are counted and reported once", async () => {
  await using run = await startStages('stage.regex {\n expression = "(?P<a>z)"\n}');
  await run.send(["a", "b", "z"]);
  await run.send(["c"]);
  assert.equal(run.component.metric("loki_process_unmatched_lines_total", { stage: "0.regex" }), 3);
  const reports = run.component.logs.filter((record) => record.level === "info");
  assert.deepEqual(
    reports.map((record) => record.fields),
    [
      [
        ["stage", "0.regex"],
        ["lines", 2],
      ],
    ],
  );
});

test("regex: bad configurations", async () => {
  await assert.rejects(runStages('stage.regex {\n expression = ""\n}', []), /must not be empty/);
  await assert.rejects(runStages('stage.regex {\n expression = "("\n}', []), /missing closing \)/);
});

for (const [what, mapping, line, names, expected] of [
  ["plain pairs", 'a = "", b = "c"', "a=1 c=two d=3", ["a", "b"], '{a="1", b="two"}'],
  ["quotes", 'a = ""', 'a="x y" b', ["a"], '{a="x y"}'],
  ["escapes", 'a = ""', String.raw`a="x\"\u00e9\n" b`, ["a"], '{a="x\\"é\\n"}'],
  ["bare keys and empty values", 'a = "", b = "", c = ""', "a b= c", ["a", "b", "c"], '{a="", b="", c=""}'],
  ["the last of repeated keys", 'a = ""', "a=1 a=2", ["a"], '{a="2"}'],
  ["what comes before an error counts", 'a = "", b = ""', "a=1 =x b=2", ["a", "b"], '{a="1"}'],
  ["an open quote ends it", 'a = "", b = ""', 'a=1 b="x', ["a", "b"], '{a="1"}'],
  ["several records", 'a = "", b = ""', "a=1\nb=2", ["a", "b"], '{a="1", b="2"}'],
  ["an error in the first record ends all", 'a = "", b = ""', 'a=1 "\nb=2', ["a", "b"], '{a="1"}'],
  ["a quote within a value is an error", 'a = "", b = ""', 'b=1 a=x"y"', ["a", "b"], '{b="1"}'],
  ["keys beyond ASCII", 'a = "ключ"', "ключ=v", ["a"], '{a="v"}'],
] as const) {
  test(`logfmt: ${what}`, async () => {
    const out = await runStages(`stage.logfmt {\n mapping = { ${mapping} }\n}\n${labels(...names)}`, [line]);
    assert.deepEqual(out, [`${expected} ${line}`]);
  });
}

test("logfmt: from an extracted value, by regex, and bad configurations", async () => {
  const config = `
    stage.json {\n expressions = { msg = "" }\n}
    stage.logfmt {\n source = "msg"\n regex = "^u"\n mapping = { a = "" }\n}
    ${labels("a", "user", "unit")}`;
  assert.deepEqual(await runStages(config, ['{"msg":"a=1 user=\\"x y\\" unit=ms other=o"}', "{}"]), [
    '{a="1", unit="ms", user="x y"} {"msg":"a=1 user=\\"x y\\" unit=ms other=o"}',
    "{} {}",
  ]);
  await assert.rejects(runStages("stage.logfmt { }", []), /is required: say what to extract/);
});

for (const [what, pattern, line, expected] of [
  ["captures", "<ip> - <_> [<time>] <rest>", "1.2.3.4 - x [now] a b", '{ip="1.2.3.4", rest="a b", time="now"}'],
  ["a prefix", "at=<a>;", "at=1;more", '{a="1"}'],
  ["another prefix", "at=<a>;", "xat=1;", "{}"],
  ["a missing literal takes the rest", "<a>: <b>;<c>", "k: v", '{a="k", b="v"}'],
  ["an empty line", "<a>", "", "{}"],
  ["an empty capture", "<a>=<b>", "=", '{a="", b=""}'],
  ["brackets that are no captures", "<a> <1> <b>", "x <1> y", '{a="x", b="y"}'],
  ["a literal that does not fit the prefix's length", "long prefix <a>", "long", "{}"],
] as const) {
  test(`pattern: ${what}`, async () => {
    const config = `stage.pattern {\n pattern = "${pattern}"\n labels_from_groups = true\n}`;
    assert.deepEqual(await runStages(config, [line]), [`${expected} ${line}`]);
  });
}

test("pattern: bad configurations", async () => {
  for (const [pattern, message] of [
    ["text", /at least one capture/],
    ["<a><b>", /no text between/],
    ["<a> <a>", /two captures named a/],
  ] as const) {
    await assert.rejects(runStages(`stage.pattern {\n pattern = "${pattern}"\n}`, []), message);
  }
});
