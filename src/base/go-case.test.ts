import assert from "node:assert/strict";
import { test } from "node:test";
import { lower, upper } from "./go-case.ts";

test("each character is mapped by itself, as Go does", () => {
  for (const [text, large, small] of [
    ["aB1", "AB1", "ab1"],
    ["ß", "ß", "ß"],
    ["ŉ", "ŉ", "ŉ"],
    ["ﬀ", "ﬀ", "ﬀ"],
    ["İI", "İI", "ii"],
    ["ıi", "II", "ıi"],
    ["ΣΑΣ", "ΣΑΣ", "σασ"],
    ["ǅ", "Ǆ", "ǆ"],
    ["ᾀᾖᾧᾳῃῳ", "ᾈᾞᾯᾼῌῼ", "ᾀᾖᾧᾳῃῳ"],
    ["𐐨", "𐐀", "𐐨"],
    ["\ud800", "\ud800", "\ud800"],
  ] as const) {
    assert.deepEqual([upper(text), lower(text)], [large, small], text);
  }
});
