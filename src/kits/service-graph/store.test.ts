import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryBudget } from "../span-metrics/series.ts";
import { CLIENT, Edge, FIRST_DIMENSION, PEER, SERVER } from "./edge.ts";
import { EdgeStore, KEY_BYTES } from "./store.ts";

const TTL = 50;
const MOST = 100;

function keyOf(n: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  key.writeUInt32LE(n, 0);
  return key;
}

test("a store is what a map in order of insertion would be", () => {
  const step = fc.record({
    key: fc.integer({ min: 1, max: 150 }),
    what: fc.constantFrom("add", "add", "change", "remove", "expire"),
    text: fc.string({ maxLength: 200 }),
    pause: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 500, size: "max" }), (steps) => {
      const budget = new MemoryBudget(1e9);
      const edge = new Edge(1);
      const store = new EdgeStore(MOST, TTL, edge.texts, budget);
      const model = new Map<number, { text: string; until: number }>();
      let now = 0;
      const write = (text: string) => {
        const bytes = Buffer.from(text);
        edge.set(CLIENT, bytes, 0, bytes.length);
        edge.set(FIRST_DIMENSION + 1, bytes, 0, Math.min(1, bytes.length));
        edge.clientSeconds = text.length;
      };
      for (const { key, what, text, pause } of steps) {
        now += pause;
        const id = store.find(keyOf(key));
        assert.equal(id >= 0, model.has(key));
        if (what === "add" && id < 0) {
          edge.clear();
          write(text);
          const isRoom = model.size < MOST;
          assert.equal(store.add(keyOf(key), edge, now), isRoom);
          if (isRoom) model.set(key, { text, until: now + TTL });
        } else if (what === "change" && id >= 0) {
          store.read(id, edge);
          edge.set(SERVER, edge.source(CLIENT), edge.from(CLIENT), edge.to(CLIENT));
          write(text);
          assert.ok(store.put(id, edge));
          model.get(key)!.text = text;
        } else if (what === "remove" && id >= 0) {
          store.remove(id);
          model.delete(key);
        } else if (what === "expire") {
          for (let over = store.overdue(now); over >= 0; over = store.overdue(now)) store.remove(over);
          for (const [each, { until }] of model) if (until < now) model.delete(each);
        }
        assert.equal(store.size, model.size);
      }
      for (const [key, { text }] of model) {
        store.read(store.find(keyOf(key)), edge);
        assert.equal(edge.source(CLIENT).toString("utf8", edge.from(CLIENT), edge.to(CLIENT)), text);
        assert.equal(edge.clientSeconds, text.length);
        assert.equal(edge.has(PEER), false);
        assert.equal(edge.has(FIRST_DIMENSION), false);
        assert.equal(edge.has(FIRST_DIMENSION + 1), true);
        store.remove(store.find(keyOf(key)));
      }
      assert.equal(budget.used, 0);
    }),
    { numRuns: 20 },
  );
});

test("an edge with long names needs memory, and is not taken without", () => {
  const edge = new Edge(0);
  const store = new EdgeStore(MOST, TTL, edge.texts, new MemoryBudget(1000));
  const long = Buffer.alloc(600, "x");
  const add = (n: number, length: number) => {
    edge.clear();
    edge.set(CLIENT, long, 0, length);
    return store.add(keyOf(n), edge, 0);
  };
  assert.deepEqual([add(1, 600), add(2, 600), add(3, 100), add(4, 300)], [true, false, true, true]);
  assert.equal(store.find(keyOf(2)), -1);
  store.remove(store.find(keyOf(1)));
  assert.equal(add(2, 600), true);
});
