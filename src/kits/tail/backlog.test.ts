import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Backlog } from "./backlog.ts";

test("dates the oldest unread bytes by when the file was first seen with them", () => {
  const backlog = new Backlog();
  backlog.observe(1_000, 0, 0);
  assert.equal(backlog.oldest, undefined);
  backlog.observe(2_000, 0, 10);
  backlog.observe(3_000, 0, 20);
  backlog.observe(4_000, 5, 30);
  assert.deepEqual([backlog.oldest, backlog.bytes], [2_000, 25]);
  backlog.observe(5_000, 10, 30);
  assert.equal(backlog.oldest, 3_000);
  backlog.observe(6_000, 30, 30);
  assert.deepEqual([backlog.oldest, backlog.bytes], [undefined, 0]);
  backlog.observe(7_000, 30, 31);
  backlog.observe(8_000, 0, 7); // truncated
  assert.equal(backlog.oldest, 8_000);
});

test("is never later than it may be, and forgets nothing of a long backlog but its finer dates", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ written: fc.nat(50), read: fc.nat(50) }), { maxLength: 300, size: "max" }),
      (steps) => {
        const backlog = new Backlog();
        let size = 0;
        let offset = 0;
        /** When each byte was first seen. */
        const seen: number[] = [];
        for (const [now, { written, read }] of steps.entries()) {
          size += written;
          while (seen.length < size) seen.push(now);
          offset = Math.min(size, offset + read);
          backlog.observe(now, offset, size);
          assert.equal(backlog.bytes, size - offset);
          if (size === offset) assert.equal(backlog.oldest, undefined);
          else assert.ok(backlog.oldest! >= seen[offset]! && backlog.oldest! <= now);
        }
      },
    ),
  );
  const backlog = new Backlog();
  for (let now = 0; now < 10_000; now++) backlog.observe(now, 0, now + 1);
  assert.equal(backlog.oldest, 0);
});
