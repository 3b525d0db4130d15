import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels, quote } from "./labels.ts";

test("labels are sorted, unique, and safe for any name", () => {
  const labels = Labels.from([
    ["b", "2"],
    ["__proto__", "x"],
    ["a", "1"],
    ["b", "3"],
  ]);
  assert.equal(labels.toString(), '{__proto__="x", a="1", b="3"}');
  assert.equal(labels.get("b"), "3");
  assert.equal(labels.get("c"), undefined);
  assert.equal(labels.with("c", "").toString(), '{__proto__="x", a="1", b="3", c=""}');
  assert.equal(labels.filter((name) => !name.startsWith("__")).toString(), '{a="1", b="3"}');
  assert.equal(
    labels.filter(() => true),
    labels,
    "nothing is copied when all stay",
  );
});

test("values are quoted as Go quotes them", () => {
  assert.equal(quote('a"b\\c\n\t\r'), '"a\\"b\\\\c\\n\\t\\r"');
  assert.equal(quote("\x01\x7f\u0085é世"), '"\\x01\\x7f\\u0085é世"');
  assert.equal(quote("\ud800"), '"\ufffd"');
});

test("merge behaves like the spread of maps, and order of insertion never matters", () => {
  const pairs = fc.array(fc.tuple(fc.string({ maxLength: 4 }), fc.string({ maxLength: 4 })), { maxLength: 8 });
  fc.assert(
    fc.property(pairs, pairs, (one, two) => {
      const merged = Labels.from(one).merge(Labels.from(two));
      const expected = new Map([...one, ...two]);
      assert.equal(merged.size, expected.size);
      for (const [name, value] of expected) assert.equal(merged.get(name), value);
      assert.ok(merged.equals(Labels.from([...expected].reverse())));
    }),
  );
});
