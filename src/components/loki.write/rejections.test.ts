import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readRefusal, readRejections } from "./rejections.ts";

test("counts what Loki says of several kinds, however it groups them", () => {
  const kinds = fc.constantFrom(
    ["too_old", "entry for stream '{a=\"timestamp too new\"}' has timestamp too old: 2020-01-01T00:00:00Z"] as const,
    ["line_too_long", "max entry size '100' bytes exceeded for stream '{a=\"; 3 errors like: x\"}'"] as const,
    ["invalid_metadata", "stream '{}' has too many structured metadata labels: '3', limit: '2'"] as const,
  );
  const groups = fc.array(fc.tuple(kinds, fc.integer({ min: 1, max: 1_000 })), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(groups, (input) => {
      const text = input.map(([[, message], count]) => `${count} errors like: ${message}`).join("; ");
      const expected = new Map<string, number>();
      for (const [[reason], count] of input) expected.set(reason, (expected.get(reason) ?? 0) + count);
      const found = readRejections(text);
      assert.deepEqual(new Map(found.map(({ reason, entries }) => [reason, entries])), expected);
      const counts = found.map(({ entries }) => entries);
      assert.deepEqual(
        counts,
        counts.toSorted((a, b) => b - a),
      );
    }),
  );
});

test("any text is read, and what is not known counts for the whole request", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const { entries, streams } of readRejections(text)) assert.ok(entries + streams.length > 0);
      assert.notEqual(readRefusal(text).reason, "");
    }),
  );
  assert.deepEqual(readRejections(""), []);
  assert.deepEqual(readRejections("2 errors like: something new; 1 errors like: timestamp too old"), []);
});
