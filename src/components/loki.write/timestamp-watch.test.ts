import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { logBatch } from "#pipeline/log-batch";
import { TimestampWatch } from "./timestamp-watch.ts";

const NOW = 1_700_000_000_000;
const HOUR_MS = 3_600_000;
const APP = Labels.from([["app", "a"]]);

/** Feeds a batch of two entries a second, `offset(second)` after the clock, and gives what is found at the end. */
function run(seconds: number, offset: (second: number) => number, watch = new TimestampWatch(NOW), begin = 0) {
  let found: ReturnType<TimestampWatch["judge"]>;
  for (let second = begin; second < begin + seconds; second++) {
    const now = NOW + second * 1_000;
    const ms = now + offset(second);
    watch.take(logBatch([ms, ms + 5].map((each) => ({ labels: APP, line: "x", ms: each }))), now);
    found = watch.judge(now);
  }
  return found;
}

test("most entries in the future: how far, in which stream, and what to set", () => {
  const found = run(15, () => 2 * HOUR_MS)!;
  assert.equal(found.state, "degraded");
  assert.match(found.cause, /^timestamps are 2 h in the future, such as in \{app="a"\}: .* set its location/);
  assert.equal(
    run(15, (second) => (second % 3 === 0 ? 2 * HOUR_MS : 0)),
    undefined,
    "they are few",
  );
  assert.equal(
    run(15, () => 4 * 60_000),
    undefined,
    "clocks differ",
  );
  assert.equal(
    run(5, () => 2 * HOUR_MS),
    undefined,
    "too early to tell",
  );
});

test("most entries older than Loki takes", () => {
  assert.match(run(15, () => -20 * 24 * HOUR_MS)!.cause, /^timestamps are 20 days old, such as in .* check its format/);
  assert.equal(
    run(15, () => -6 * 24 * HOUR_MS),
    undefined,
  );
});

test("all entries late by the offset of a time zone, and steadily so", () => {
  assert.match(
    run(65, (second) => -2 * HOUR_MS - (second % 30) * 1_000)!.cause,
    /^timestamps are always 2 h in the past/,
  );
  assert.match(run(65, () => -5.5 * HOUR_MS)!.cause, /always 5\.5 h in the past/);
  assert.equal(
    run(20, () => -2 * HOUR_MS),
    undefined,
    "it may be a backlog",
  );
  assert.equal(
    run(65, (second) => -2 * HOUR_MS + second * 9_000),
    undefined,
    "it is one, being caught up",
  );
  assert.equal(
    run(65, (second) => (second === 30 ? 0 : -2 * HOUR_MS)),
    undefined,
    "not all are late",
  );
  assert.equal(
    run(65, () => -100),
    undefined,
  );
});

test("a source with few entries is judged after a minute, and what is found ends with its cause", () => {
  const watch = new TimestampWatch(NOW);
  watch.take(logBatch([{ labels: APP, line: "x", ms: NOW + HOUR_MS }]), NOW);
  assert.equal(watch.judge(NOW + 59_000), undefined);
  assert.match(watch.judge(NOW + 61_000)!.cause, /60 min in the future/);
  assert.match(watch.judge(NOW + 500_000)!.cause, /60 min in the future/, "nothing has come since");
  assert.equal(
    run(15, () => 0, watch, 600),
    undefined,
  );
});
