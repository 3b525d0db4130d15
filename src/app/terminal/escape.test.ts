import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { escapeControls } from "./escape.ts";

test("what a terminal would act on is shown", () => {
  assert.equal(escapeControls("a\tb\r\n\u001b[31m\u0085\u202e"), "a\tb\\r\\n\\u001b[31m\\u0085\\u202e");
  assert.equal(escapeControls("half \ud800, whole 😀"), "half \\ud800, whole 😀");
});

test("nothing else is touched", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const escaped = escapeControls(text);
      assert.doesNotMatch(escaped, /[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
      assert.equal(escapeControls(escaped), escaped);
    }),
  );
  fc.assert(fc.property(fc.string({ unit: "grapheme-ascii" }), (text) => assert.equal(escapeControls(text), text)));
});
