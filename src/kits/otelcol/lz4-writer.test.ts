import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { readLz4Frames } from "./lz4.ts";
import { writeLz4Frame } from "./lz4-writer.ts";

const back = (bytes: Uint8Array) => Buffer.from(readLz4Frames(writeLz4Frame(bytes), 1 << 24));

test("any bytes come back", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assert.deepEqual(back(bytes), Buffer.from(bytes))),
  );
  const repeating = fc.array(fc.constantFrom("a", "bb", "abcabc", "the same again and again, "), {
    maxLength: 2_000,
    size: "max",
  });
  fc.assert(
    fc.property(repeating, (parts) => {
      const bytes = Buffer.from(parts.join(""));
      assert.deepEqual(back(bytes), bytes);
    }),
  );
});

test("large and random input comes back, and what repeats becomes small", () => {
  for (const size of [0, 1, 12, 13, 65_535, 65_536, 65_537, 300_000]) {
    for (const bytes of [Buffer.alloc(size, "x"), randomBytes(size), Buffer.from("span name ".repeat(size / 10))]) {
      assert.deepEqual(back(bytes), bytes);
    }
  }
  assert.ok(writeLz4Frame(Buffer.from("span name ".repeat(30_000))).length < 3_000);
});
