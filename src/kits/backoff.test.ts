import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Backoff, parseRetryAfter } from "./backoff.ts";

test("pauses double from the minimum to the maximum, spread at random", () => {
  const low = new Backoff(30, 5000, () => 0);
  const high = new Backoff(30, 5000, () => 1);
  assert.deepEqual(
    Array.from({ length: 9 }, () => low.next()),
    [30, 60, 120, 240, 480, 960, 1920, 3840, 5000],
  );
  assert.deepEqual(
    Array.from({ length: 9 }, () => high.next()),
    [60, 120, 240, 480, 960, 1920, 3840, 5000, 5000],
  );
  low.reset();
  assert.equal(low.next(), 30);
  assert.equal(low.attempts, 1);
});

test("a pause is never outside its bounds, unless the server asked for longer", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1e4 }),
      fc.integer({ min: 0, max: 1e6 }),
      fc.nat(1e7),
      fc.nat(200),
      (least, more, asked, times) => {
        const backoff = new Backoff(least, least + more);
        for (let i = 0; i < times; i++) backoff.next();
        const pause = backoff.next(asked);
        assert.ok(pause >= Math.max(least, asked) && pause <= Math.max(least + more, asked));
      },
    ),
  );
});

test("Retry-After in seconds and as a date", () => {
  const now = Date.UTC(2026, 0, 1);
  assert.equal(parseRetryAfter("120", now), 120_000);
  assert.equal(parseRetryAfter("Thu, 01 Jan 2026 00:00:05 GMT", now), 5000);
  assert.equal(parseRetryAfter("Wed, 31 Dec 2025 00:00:05 GMT", now), 0);
  for (const nothing of [undefined, "", "soon", "-5"]) assert.equal(parseRetryAfter(nothing, now), 0);
});
