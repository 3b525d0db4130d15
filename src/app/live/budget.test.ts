import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EdgeBudget, LiveBudget, StreamBudget } from "./budget.ts";

/** Lets each edge have a batch every millisecond, which costs `costMs` a look and shows all it may, for `seconds`. */
function run(edges: number, rate: number, costMs: number, seconds: number, streams = 1) {
  const total = new LiveBudget(0);
  total.streams = streams;
  const all = Array.from({ length: streams }, () => {
    const stream = new StreamBudget(total, rate, 0);
    stream.edges = edges;
    return Array.from({ length: edges }, () => ({ budget: new EdgeBudget(stream, 0), spentMs: 0, shown: 0 }));
  }).flat();
  for (let now = 0; now < seconds * 1000; now++) {
    for (const edge of all) {
      edge.budget.update(now);
      const items = edge.budget.items(now);
      if (items < 1 || edge.budget.timeMs(now) <= 0) continue;
      edge.budget.take(items);
      edge.budget.spend(costMs);
      edge.spentMs += costMs;
      edge.shown += items;
    }
  }
  return all;
}

const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0);

test("all streams and edges together spend 3 % of the time, and a burst", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom(0.1, 1, 5),
      (edges, streams, costMs) => {
        const spent = sum(run(edges, 1e6, costMs, 20, streams).map((each) => each.spentMs));
        assert.ok(spent <= 20_000 * 0.03 + 30 + costMs, `${spent} ms`);
        assert.ok(spent >= 20_000 * 0.03 * 0.9, `${spent} ms: what may be spent is`);
      },
    ),
    { numRuns: 20 },
  );
});

test("a stream shows its rate, shared by the edges that have data", () => {
  for (const edges of [1, 3, 20]) {
    const shown = run(edges, 100, 0, 20).map((each) => each.shown);
    assert.ok(sum(shown) <= 100 + 2000 && sum(shown) >= 1950, `${sum(shown)} items`);
    assert.ok(Math.min(...shown) >= (Math.max(...shown) * 2) / 3, `none starves: ${shown}`);
  }
  assert.ok(sum(run(1, 1, 0, 10).map((each) => each.shown)) >= 10, "a rate of 1 gives one each second");
});
