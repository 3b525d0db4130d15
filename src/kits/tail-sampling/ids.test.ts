import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecisionCache } from "./cache.ts";
import { TRACE_ID_BYTES, TraceIdTable } from "./ids.ts";

/** One of a few thousand ids, many of which share most of their bytes. */
function idOf(number: number): Buffer {
  const id = Buffer.alloc(TRACE_ID_BYTES);
  id.writeUInt16LE(number, [0, 14, 6][number % 3]!);
  return id;
}
const operations = fc.array(fc.record({ kind: fc.constantFrom("add", "add", "find", "remove"), number: fc.nat(500) }), {
  maxLength: 1500,
  size: "max",
});

test("the table of trace ids behaves as a map", () => {
  fc.assert(
    fc.property(operations, (list) => {
      const table = new TraceIdTable(16);
      const model = new Map<number, number>();
      for (const { kind, number } of list) {
        const id = idOf(number);
        const known = model.get(number);
        assert.equal(table.find(id, 0), known ?? -1);
        if (kind === "add" && known === undefined) {
          const slot = table.add(id, 0);
          assert.ok(slot < table.capacity && ![...model.values()].includes(slot));
          model.set(number, slot);
        } else if (kind === "remove" && known !== undefined) {
          table.remove(known);
          model.delete(number);
        }
        assert.equal(table.size, model.size);
      }
      const copy = Buffer.alloc(TRACE_ID_BYTES + 1);
      for (const [number, slot] of model) {
        table.copyId(slot, copy, 1);
        assert.deepEqual(copy.subarray(1), idOf(number));
        assert.equal(table.find(copy, 1), slot);
      }
    }),
    { numRuns: 25 },
  );
});

test("a table that grows keeps the slots, and uses those of removed ids again", () => {
  const table = new TraceIdTable(16);
  const slots = Array.from({ length: 5000 }, (_, i) => table.add(idOf(i * 3), 0));
  assert.deepEqual(
    slots,
    slots.map((_, i) => table.find(idOf(i * 3), 0)),
  );
  const { capacity } = table;
  for (const slot of slots) table.remove(slot);
  assert.equal(table.size, 0);
  for (let i = 0; i < 5000; i++) assert.ok(table.add(idOf(i * 3 + 1), 0) < 5000);
  assert.equal(table.capacity, capacity);
});

test("the cache of decisions forgets what was asked for least recently", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 }), fc.array(fc.tuple(fc.boolean(), fc.nat(9))), (limit, steps) => {
      const table = new TraceIdTable(16);
      const slots = Array.from({ length: 10 }, (_, i) => table.add(idOf(i), 0));
      const cache = new DecisionCache(limit);
      let model: number[] = [];
      for (const [isAdd, number] of steps) {
        const isKnown = model.includes(number);
        if (isAdd) assert.equal(cache.add(table, slots[number]!), limit > 0);
        else assert.equal(cache.has(idOf(number), 0), isKnown);
        if (isAdd || isKnown)
          model = [...model.filter((each) => each !== number), number].slice(-limit || model.length + 1);
        if (limit === 0) model = [];
        assert.equal(cache.size, model.length);
      }
      cache.limit = 2;
      assert.deepEqual(
        model.filter((each) => cache.has(idOf(each), 0)),
        model.slice(-2),
      );
    }),
  );
});
