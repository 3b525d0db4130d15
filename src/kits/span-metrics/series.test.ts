import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { writeAny } from "#formats/otlp/values";
import { ProtoWriter } from "#formats/protobuf";
import { attributeText } from "../ottl/value.ts";
import { KeyBuffer } from "./key.ts";
import { SumColumns } from "./metric.ts";
import { MemoryBudget, NO_ROOM, SeriesTable } from "./series.ts";

function keyOf(...parts: readonly string[]): KeyBuffer {
  const key = new KeyBuffer();
  for (const each of parts) {
    const bytes = Buffer.from(each);
    key.part(bytes, 0, bytes.length);
  }
  return key;
}

/** Tests keep a text in place of attributes. */
function textOf(table: SeriesTable, id: number): string {
  return table.arena.toString("utf8", table.attributesFrom(id), table.attributesTo(id));
}

test("a table is what a map would be, with few numbers and within its budget", () => {
  const step = fc.record({ name: fc.integer({ min: 0, max: 300 }), remove: fc.integer({ min: 0, max: 60 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600, size: "max" }), (steps) => {
      const budget = new MemoryBudget(1e9);
      const sums = new SumColumns();
      const table = new SeriesTable(budget, [sums]);
      const model = new Map<string, number>();
      const starts = new Map<string, number>();
      for (const [now, { name, remove }] of steps.entries()) {
        if (remove === 0) {
          for (const each of model.keys()) if (each.length % 2 === 1) model.delete(each);
          table.removeIf((id) => textOf(table, id).length % 2 === 1);
        }
        const text = `series ${name}${"x".repeat(name)}`;
        const key = keyOf(text);
        let id = table.find(key, key.hash());
        assert.equal(id >= 0, model.has(text));
        if (id < 0) {
          id = table.add(key, key.hash(), Buffer.from(text), now, false);
          starts.set(text, now);
        }
        sums.add(id, 1);
        model.set(text, (model.get(text) ?? 0) + 1);
      }
      const writer = new ProtoWriter();
      const found = new Map<string, number>();
      for (let id = 0; id < table.limit; id++) {
        if (!table.has(id)) continue;
        writer.reset();
        sums.write(writer, id, false);
        found.set(textOf(table, id), writer.view()[1]!);
        assert.equal(table.start[id], starts.get(textOf(table, id)));
      }
      assert.deepEqual(new Map([...found].sort()), new Map([...model].sort()));
      assert.equal(table.size, model.size);
      assert.ok(table.limit <= 301);
      table.close();
      assert.equal(budget.used, 0);
    }),
    { numRuns: 60 },
  );
});

test("what removed series leave in memory is used again, and the others stay what they are", () => {
  const table = new SeriesTable(new MemoryBudget(1e9), []);
  const texts = Array.from({ length: 300 }, (_, i) => `${i % 4 === 0 ? "stays" : "goes"} ${i} ${"x".repeat(500)}`);
  const add = (text: string) => table.add(keyOf(text), keyOf(text).hash(), Buffer.from(text), 0, false);
  for (const text of texts) add(text);
  table.removeIf((id) => textOf(table, id).startsWith("goes"));
  const before = table.arena.length;
  for (let i = 0; i < 300; i++) add(`more ${i} ${"x".repeat(400)}`);
  assert.ok(table.arena.length <= before * 2, `${before} bytes became ${table.arena.length}`);
  for (const text of texts.filter((each) => each.startsWith("stays"))) {
    const id = table.find(keyOf(text), keyOf(text).hash());
    assert.equal(id >= 0 && textOf(table, id), text);
  }
});

test("a series for which there is no room is none, but for the one that is kept free", () => {
  const table = new SeriesTable(new MemoryBudget(200), []);
  const add = (name: string, isReserved = false) => {
    const key = keyOf(name);
    return table.add(key, key.hash(), Buffer.alloc(60), 0, isReserved);
  };
  assert.equal(add("a"), 0);
  assert.equal(add("b"), NO_ROOM);
  assert.equal(add("c", true), 1);
  assert.equal(table.size, 2);
});

test("parts of a key cannot be mistaken for others", () => {
  const parts = fc.array(fc.string({ maxLength: 400 }), { maxLength: 3 });
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const [left, right] = [keyOf(...a), keyOf(...b)];
      const isSame = left.bytes.subarray(0, left.length).equals(right.bytes.subarray(0, right.length));
      assert.equal(isSame, JSON.stringify(a) === JSON.stringify(b));
    }),
  );
});

test("values go by their text", () => {
  const value = fc.oneof(
    fc.string(),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.integer({ min: 0, max: 2 ** 29 }).map(BigInt),
    fc.double(),
    fc.uint8Array({ maxLength: 10 }),
  );
  fc.assert(
    fc.property(value, (any) => {
      const writer = new ProtoWriter();
      writeAny(writer, any);
      const source = Buffer.from(writer.view());
      const key = new KeyBuffer();
      key.value(source, 0, source.length);
      const wanted = keyOf(attributeText(any));
      assert.deepEqual(key.bytes.subarray(0, key.length), wanted.bytes.subarray(0, wanted.length));
    }),
  );
});
