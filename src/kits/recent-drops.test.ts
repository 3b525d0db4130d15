import assert from "node:assert/strict";
import { test } from "node:test";
import { describeDrops, RECENT_DROPS_MS, RecentDrops } from "./recent-drops.ts";

const NOW = Date.UTC(2026, 0, 1);
const MINUTE_MS = 60_000;

test("drops of the last minutes, by reason, the most frequent first", () => {
  const drops = new RecentDrops();
  drops.add("too_old", 2, "b", NOW);
  drops.add("out_of_order", 30, "first", NOW);
  drops.add("out_of_order", 8, "latest", NOW + MINUTE_MS);
  const recent = drops.recent(NOW + 2 * MINUTE_MS);
  assert.deepEqual(recent, [
    { reason: "out_of_order", items: 38, text: "latest" },
    { reason: "too_old", items: 2, text: "b" },
  ]);
  assert.equal(describeDrops(recent, "samples"), "38 samples as out_of_order and 2 as too_old in the last 5 min");
  assert.deepEqual(drops.recent(NOW + RECENT_DROPS_MS), [{ reason: "out_of_order", items: 8, text: "latest" }]);
  assert.deepEqual(drops.recent(NOW + RECENT_DROPS_MS + MINUTE_MS), []);
});

test("since when there have been drops without a pause", () => {
  const drops = new RecentDrops();
  drops.add("a", 1, "", NOW);
  drops.add("a", 1, "", NOW + RECENT_DROPS_MS);
  assert.equal(drops.since, NOW);
  drops.add("a", 1, "", NOW + 3 * RECENT_DROPS_MS);
  assert.equal(drops.since, NOW + 3 * RECENT_DROPS_MS);
});

test("the log is told at once, and then once a minute of all since", () => {
  const drops = new RecentDrops();
  assert.equal(drops.add("a", 3, "", NOW), 3);
  assert.equal(drops.add("a", 4, "", NOW + 1_000), undefined);
  assert.equal(drops.add("b", 1, "", NOW + 1_000), 1);
  assert.equal(drops.add("a", 5, "", NOW + MINUTE_MS), 9);
});
