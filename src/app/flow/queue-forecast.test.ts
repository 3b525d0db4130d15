import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { QueueForecast } from "./queue-forecast.ts";

const MIB = 2 ** 20;

interface Queue {
  /** MiB by seconds. */
  readonly level: (seconds: number) => number;
  readonly limit: number;
  readonly whenFull?: "block" | "drop";
  /** Age in seconds of the oldest data, by seconds. */
  readonly age?: (seconds: number) => number;
}

/** What is foreseen after a queue was looked at every five seconds. */
function watch({ level, limit, whenFull = "block", age = () => 0 }: Queue, seconds: number) {
  const forecast = new QueueForecast();
  for (let at = 0; at <= seconds; at += 5) {
    const bytes = Math.round(level(at) * MIB);
    const oldest = 1e12 + (at - age(at)) * 1000;
    forecast.take({ bytes, oldest, limitBytes: limit * MIB, whenFull }, 7_000 + at * 1000, 1e12 + at * 1000);
  }
  return forecast;
}

test("a queue that grows will be full when the line of its growth meets the bound", () => {
  const forecast = watch({ level: (seconds) => 292 + seconds, limit: 832 }, 120);
  assert.ok(Math.abs(forecast.fullInSeconds! - 420) < 1, `${forecast.fullInSeconds}`);
  assert.deepEqual(forecast.judgement, {
    state: "degraded",
    cause: "the queue will be full in about 7 min (412 MiB of 832 MiB); then whoever sends has to wait",
  });
  const dropping = watch({ level: (seconds) => 292 + seconds, limit: 832, whenFull: "drop" }, 120);
  assert.match(dropping.judgement!.cause, /; then data is dropped$/);
});

test("any steady growth is foreseen, whatever the pace", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 50, max: 1000 }), (minutes, limit) => {
      fc.pre(minutes !== 15);
      // Half full at the start, full after so many minutes more.
      const forecast = watch(
        { level: (seconds) => limit / 2 + ((limit / 2) * seconds) / (minutes * 60 + 40), limit },
        40,
      );
      assert.ok(Math.abs(forecast.fullInSeconds! / (minutes * 60) - 1) < 0.01, `${forecast.fullInSeconds}`);
      assert.equal(forecast.judgement !== undefined, minutes < 15);
    }),
  );
});

test("nothing is foreseen of a queue that goes up and down, shrinks, rests, or was looked at too briefly", () => {
  assert.equal(watch({ level: (seconds) => 3 + ((seconds / 5) % 4), limit: 10 }, 300).fullInSeconds, undefined);
  assert.equal(watch({ level: (seconds) => 300 - seconds, limit: 400 }, 120).fullInSeconds, undefined);
  assert.equal(watch({ level: () => 300, limit: 400 }, 120).fullInSeconds, undefined);
  assert.equal(watch({ level: (seconds) => 100 + seconds, limit: 400 }, 25).fullInSeconds, undefined);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 2, noNaN: true }), { minLength: 25, maxLength: 25 }), (noise) => {
      const forecast = watch({ level: (seconds) => 4 + noise[seconds / 5]!, limit: 1_000 }, 120);
      assert.equal(forecast.judgement, undefined);
    }),
  );
});

test("what is nearly empty, or will be full in hours, is foreseen without an alarm", () => {
  const young = watch({ level: (seconds) => seconds / 10, limit: 200 }, 120);
  assert.ok(young.fullInSeconds! < 2_000);
  assert.equal(young.judgement, undefined);
  const slow = watch({ level: (seconds) => 500 + seconds / 10, limit: 1_000 }, 120);
  assert.ok(slow.fullInSeconds! > 4_000);
  assert.equal(slow.judgement, undefined);
});

test("growth counts from the last two minutes alone", () => {
  const forecast = watch({ level: (seconds) => (seconds < 600 ? 100 : 100 + (seconds - 600)), limit: 1_000 }, 720);
  assert.ok(Math.abs(forecast.fullInSeconds! - 780) < 1, `${forecast.fullInSeconds}`);
  assert.equal(watch({ level: (seconds) => Math.min(seconds, 600), limit: 1_000 }, 800).fullInSeconds, undefined);
});

test("a full queue is a trouble when it drops data, or lets it wait for a minute", () => {
  const dropping = watch({ level: () => 9.9, limit: 10, whenFull: "drop", age: () => 20 }, 10);
  assert.equal(dropping.fullInSeconds, 0);
  assert.equal(
    dropping.judgement?.cause,
    "the queue is full (9.9 MiB of 10 MiB), its oldest data came 20 s ago; data is dropped",
  );
  const busy = watch({ level: () => 10, limit: 10, age: () => 20 }, 10);
  assert.deepEqual([busy.fullInSeconds, busy.judgement], [0, undefined]);
  const stuck = watch({ level: () => 10, limit: 10, age: (seconds) => seconds }, 180);
  assert.equal(
    stuck.judgement?.cause,
    "the queue is full (10 MiB of 10 MiB), its oldest data came 3 min ago; whoever sends has to wait",
  );
});

test("another bound begins anew", () => {
  const forecast = watch({ level: (seconds) => 100 + seconds, limit: 1_000 }, 120);
  assert.notEqual(forecast.fullInSeconds, undefined);
  forecast.take({ bytes: 230 * MIB, oldest: undefined, limitBytes: 2_000 * MIB }, 132_000, 1e12);
  assert.equal(forecast.fullInSeconds, undefined);
});
