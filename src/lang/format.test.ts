import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { calmFileText, expressionText, fileText, hostileFileText } from "./arbitrary.ts";
import { formatExpression, formatFile, formatValue } from "./format.ts";
import { parseExpression, parseFile } from "./parser.ts";
import { Capsule, Secret, type Value } from "./value.ts";

function format(text: string): string {
  return formatFile(parseFile({ name: "", text }).file);
}

/** A tree without its places, for comparison. */
function treeOf(node: unknown): unknown {
  const places = new Set(["span", "open", "close"]);
  return JSON.parse(JSON.stringify(node, (key, value) => (places.has(key) ? undefined : value)));
}

const directory = new URL("testdata/format/", import.meta.url);
for (const name of readdirSync(directory)) {
  test(`formats ${name} like Alloy`, (t) => {
    const formatted = format(readFileSync(new URL(name, directory), "utf8"));
    const path = fileURLToPath(new URL(`../format.expected/${name}`, directory));
    t.assert.fileSnapshot(formatted, path, { serializers: [(text) => text] });
  });
}

test("an empty file is a newline, and so is one of white space", () => {
  assert.equal(format(""), "\n");
  assert.equal(format(" \n\t\n"), "\n");
});

test("formatting keeps the tree and the comments, whatever the layout", () => {
  fc.assert(
    fc.property(fc.oneof(fileText, hostileFileText, calmFileText), (text) => {
      const before = parseFile({ name: "", text });
      fc.pre(before.diagnostics.length === 0);
      const after = parseFile({ name: "", text: formatFile(before.file) });
      assert.deepEqual(after.diagnostics, []);
      assert.deepEqual(treeOf(after.file.body), treeOf(before.file.body));
      const texts = (file: typeof before.file) => file.comments.map((comment) => comment.text.replaceAll("\r", ""));
      assert.deepEqual(texts(after.file), texts(before.file));
    }),
    { numRuns: 300 },
  );
});

// As with Alloy, a value that moves to one line can make its neighbours align when it is formatted again.
test("formatting comes to rest", () => {
  fc.assert(
    fc.property(calmFileText, (text) => {
      fc.pre(parseFile({ name: "", text }).diagnostics.length === 0);
      const twice = format(format(text));
      assert.equal(format(twice), twice);
    }),
    { numRuns: 300 },
  );
});

test("expressions keep their tree, and are formatted once for all", () => {
  fc.assert(
    fc.property(expressionText, (text) => {
      const { expression } = parseExpression({ name: "", text });
      fc.pre(expression !== undefined);
      const after = parseExpression({ name: "", text: formatExpression(expression) });
      assert.deepEqual(after.diagnostics, []);
      assert.deepEqual(treeOf(after.expression), treeOf(expression));
    }),
    { numRuns: 300 },
  );
});

test("what a string means is kept where Alloy would change it", () => {
  const kept = [
    "very_long_name = `x\n\t\tindented twice`\n",
    "a = `one\ttwo`\n",
    "a = `trailing  \nblanks`\n",
    'a = {"b\\n" = 1}\n',
    "a = {`b\\d` = 1}\n",
  ];
  for (const text of kept) assert.equal(format(text), text);
});

test("no commas are made that cannot be read", () => {
  assert.equal(format("a = f(\n)\n"), "a = f()\n");
  assert.equal(format("a = f(\n  // none\n)\n"), "a = f()\n// none\n");
});

test("a file with errors comes back as it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]()=.,"`\n /*a1', "//", "\udcff", "\udc09") }), (text) => {
      const { file, diagnostics } = parseFile({ name: "", text });
      fc.pre(diagnostics.length > 0);
      assert.equal(formatFile(file), text.endsWith("\n") ? text : `${text}\n`);
    }),
  );
});

test("values are written as literals", () => {
  const cases: readonly (readonly [Value, string])[] = [
    [null, "null"],
    [true, "true"],
    [-1.5, "-1.5"],
    [-0, "-0"],
    [1e21, "1000000000000000000000"],
    [1.2345e25, "12345000000000000000000000"],
    [1.5e-7, "0.00000015"],
    [18446744073709551615n, "18446744073709551615"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "+Inf"],
    ['a"\n', '"a\\"\\n"'],
    [new Secret("hush"), "(secret)"],
    [new Capsule("loki.LogsReceiver", {}), 'capsule("loki.LogsReceiver")'],
    [{ kind: "function", name: "f", call: () => null }, "function"],
    [[], "[]"],
    [[1, "a", [new Secret("hush")]], '[1, "a", [(secret)]]'],
    [new Map(), "{}"],
    [
      Labels.from([
        ["job", "x"],
        ["instance", "y"],
      ]),
      '{\n\tinstance = "y",\n\tjob      = "x",\n}',
    ],
    [
      new Map<string, Value>([
        ["b c", 1],
        ["a", [new Map([["x", null]])]],
        ["true", false],
      ]),
      '{\n\ta = [{\n\t\tx = null,\n\t}],\n\t"b c"  = 1,\n\t"true" = false,\n}',
    ],
  ];
  for (const [value, text] of cases) assert.equal(formatValue(value), text);
});

test("values nested without end are cut", () => {
  let value: Value = 1;
  for (let depth = 0; depth < 100_000; depth++) value = [value];
  assert.match(formatValue(value), /…/);
});
