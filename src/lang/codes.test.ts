import assert from "node:assert/strict";
import { test } from "node:test";
import { codes } from "./codes.ts";

test("codes are dotted, sorted and explained", () => {
  const names = Object.keys(codes);
  for (const name of names) assert.match(name, /^[a-z]+(\.[a-z_]+)+$/);
  assert.deepEqual(names, names.toSorted());
  for (const [name, { title, meaning, remedy }] of Object.entries(codes)) {
    for (const text of [title, meaning, remedy]) assert.match(text, /^[A-Z`].*[^ ]$/, name);
    assert.match(meaning, /[.?]$/, name);
    assert.match(remedy, /[.?]$/, name);
  }
});
