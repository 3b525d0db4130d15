import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { tokenLines, tokens } from "./tokens.ts";

/** The highlighting of the configuration language on the page, which needs no browser to be tested. */

const WORDS = [
  "a.b",
  '"x"',
  "`y\nz`",
  "//",
  "/*",
  "*/",
  "=",
  "==",
  "{",
  "}",
  "\n",
  " ",
  "1.5e3",
  "true",
  "\\",
  '"',
  "`",
  "é",
];
const texts = fc
  .array(fc.oneof(fc.constantFrom(...WORDS), fc.string()), { maxLength: 20 })
  .map((parts) => parts.join(""));

test("every text comes out as it went in", () => {
  fc.assert(
    fc.property(texts, (text) => {
      assert.equal(
        tokens(text, ["a.b"])
          .map((each) => each.text)
          .join(""),
        text,
      );
      const lines = tokenLines(text, ["a.b"]).map((line) => line.map((each) => each.text).join(""));
      assert.equal(lines.join("\n"), text);
    }),
  );
});

test("names are told apart by where they stand, and references by the blocks there are", () => {
  const text = `// all
loki.write "x" {
  url  = mod.file.path + "a"  /* why */
  list = [loki.write.y.receiver, 5, true, env("HOME") == null]
}`;
  const found = tokens(text, ["m/loki.write.y"])
    .filter(({ kind }) => kind !== "plain")
    .map(({ kind, text, id }) => [kind, text, ...(id === undefined ? [] : [id])]);
  assert.deepEqual(found, [
    ["comment", "// all"],
    ["block", "loki.write"],
    ["string", '"x"'],
    ["attribute", "url"],
    ["string", '"a"'],
    ["comment", "/* why */"],
    ["attribute", "list"],
    ["reference", "loki.write.y", "m/loki.write.y"],
    ["number", "5"],
    ["keyword", "true"],
    ["string", '"HOME"'],
    ["keyword", "null"],
  ]);
});
