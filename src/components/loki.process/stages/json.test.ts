import assert from "node:assert/strict";
import { test } from "node:test";
import { runStages, startStages } from "../pipeline-testing.ts";
import { plainPath } from "./json.ts";

const labels = (names: string) => `stage.labels {\n values = { ${names} }\n}`;

for (const [what, expressions, line, names, expected] of [
  ["a top-level field", 'level = ""', '{"level":"info"}', "level", '{level="info"}'],
  ["another name", 'a = "level"', '{"level":"info"}', "a", '{a="info"}'],
  ["a nested field", 'u = "req.user.name"', '{"req":{"user":{"id":1,"name":"x"}}}', "u", '{u="x"}'],
  ["a quoted key", 'u = "\\"a.b\\""', '{"a.b":"x","a":{"b":"y"}}', "u", '{u="x"}'],
  ["escapes in the value", 'u = ""', String.raw`{"u":"a\"\u00e9\n\ud83d\ude00"}`, "u", '{u="a\\"é\\n😀"}'],
  ["escapes in the key", 'u = ""', String.raw`{"\u0075":"x"}`, "u", '{u="x"}'],
  ["the last of repeated keys", 'u = ""', '{"u":"1","v":0,"u":"2"}', "u", '{u="2"}'],
  ["a nested field that a repeated key removes", 'u = "a.b"', '{"a":{"b":"1"},"a":{"c":1}}', "u", "{}"],
  ["an integer", 'u = ""', '{"u":12}', "u", '{u="12"}'],
  [
    "numbers as Go writes them",
    'u = "", v = "", w = "", x = ""',
    '{"u":1.50,"v":1e3,"w":1e-7,"x":12345678901234567890}',
    "u v w x",
    '{u="1.5", v="1000", w="0.0000001", x="12345678901234567000"}',
  ],
  ["large exponents without exponent", 'u = ""', '{"u":1.5e21}', "u", '{u="1500000000000000000000"}'],
  ["booleans", 'u = "", v = ""', '{"u":true,"v":false}', "u v", '{u="true", v="false"}'],
  ["null leaves the label", 'u = ""', '{"u":null}', "u", "{}"],
  ["an object as JSON", 'u = ""', '{"u":{ "a" : [1, "<x>"] }}', "u", '{u="{\\"a\\":[1,\\"\\\\u003cx\\\\u003e\\"]}"}'],
  [
    "JMESPath functions",
    'u = "length(items)", v = "items[0].n", w = "join(\',\', keys)"',
    '{"items":[{"n":"q"},{}],"keys":["a","b"]}',
    "u v w",
    '{u="2", v="q", w="a,b"}',
  ],
  ["JMESPath that fails on the line", 'u = "abs(s)", v = "s"', '{"s":"x"}', "u v", '{v="x"}'],
  ["white space", 'u = ""', ' \t{ "u" :\r\n"x" } ', "u", '{u="x"}'],
  ["keys of Object.prototype", 'u = "__proto__", v = "constructor"', '{"__proto__":"p"}', "u v", '{u="p"}'],
] as const) {
  test(`json: ${what}`, async () => {
    const wanted = names
      .split(" ")
      .map((name) => `${name} = ""`)
      .join(", ");
    const out = await runStages(`stage.json {\n expressions = { ${expressions} }\n}\n${labels(wanted)}`, [line]);
    assert.deepEqual(out, [`${expected} ${line}`]);
  });
}

for (const line of [
  "",
  "text",
  "[1]",
  '"x"',
  '{"u":"x"',
  '{"u":"x"} {}',
  '{"u":"x",}',
  '{"u" "x"}',
  '{"u":"x","v":01}',
  '{"u":"x","v":1.}',
  '{"u":"x","v":tru}',
  '{"u":"x","v":"\u0001"}',
  String.raw`{"u":"x","v":"\q"}`,
  String.raw`{"u":"x","v":"\u12g4"}`,
  '{"u":"x","v":[1,]}',
  '{"u":"x","v":[1}',
]) {
  test(`json: malformed ${JSON.stringify(line)} extracts nothing and passes, or is dropped`, async () => {
    const json = (more: string) => `stage.json {\n expressions = { u = "" }\n ${more}\n}\n${labels('u = ""')}`;
    await using keeps = await startStages(json(""));
    await keeps.send([line]);
    assert.deepEqual(
      keeps.items.map((each) => [each.labels, each.line]),
      [["{}", line]],
    );
    assert.equal(keeps.component.metric("loki_process_unmatched_lines_total", { stage: "0.json" }), 1);
    assert.equal(keeps.component.logs.filter((record) => record.level === "info").length, 1);
    await using drops = await startStages(json("drop_malformed = true"));
    await drops.send([line, '{"u":"y"}']);
    assert.deepEqual(
      drops.items.map((each) => each.labels),
      ['{u="y"}'],
    );
    assert.equal(drops.component.flow.dropped.get("logs")?.get("json_malformed"), 1);
  });
}

test("json: from an extracted value, and by regex", async () => {
  const config = `
    stage.json {\n expressions = { inner = "" }\n}
    stage.json {\n source = "inner"\n expressions = { a = "", n = "" }\n regex = "^x_"\n}
    stage.structured_metadata {\n regex = "^x_"\n}
    stage.labels {\n values = { a = "", n = "" }\n}`;
  await using run = await startStages(config);
  await run.send([
    { line: JSON.stringify({ inner: JSON.stringify({ a: "é", n: 5, x_1: "q", x_2: [1], y: "no" }) }) },
    '{"other":1}',
  ]);
  assert.equal(run.items[0]!.labels, '{a="é", n="5"}');
  assert.deepEqual(run.items[0]!.metadata?.toSorted(), ["[1]", "q", "x_1", "x_2"]);
  assert.equal(run.items[1]!.labels, "{}");
});

test("json: what is missing is extracted as null, which drop sees", async () => {
  const config = `stage.json {\n expressions = { gone = "" }\n}\nstage.drop {\n source = "gone"\n}`;
  assert.deepEqual(await runStages(config, ['{"a":1}', "no json"]), ["{} no json"]);
});

test("json: bad configurations", async () => {
  await assert.rejects(runStages("stage.json { }", []), /is required: say what to extract/);
  await assert.rejects(
    runStages('stage.json {\n expressions = { a = "b[" }\n}', []),
    /could not compile the JMESPath expression/,
  );
});

test("json: which expressions are plain paths", () => {
  assert.deepEqual(plainPath("a"), ["a"]);
  assert.deepEqual(plainPath(' a . "b c" '), ["a", "b c"]);
  for (const text of ["a[0]", "a||b", "@", "a.*", '"\\u0061"', "length(a)", "a.", "1a", "-a"])
    assert.equal(plainPath(text), undefined);
});
