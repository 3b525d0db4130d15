import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeriesTable } from "./metric-series.ts";
import { SeriesKey } from "./series-identity.ts";

function key(text: string): SeriesKey {
  const bytes = Buffer.from(text);
  return new SeriesKey().text({ bytes, start: 0, end: bytes.length });
}

test("finds what was added and nothing else, whatever was removed in between", () => {
  const step = fc.record({
    parent: fc.integer({ min: 0, max: 3 }),
    name: fc.integer({ min: 0, max: 400 }),
    time: fc.integer({ min: 0, max: 1000 }),
    sweep: fc.integer({ min: 0, max: 40 }).map((each) => each === 0),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 1500, size: "max" }), (steps) => {
      const table = new SeriesTable<{ name: string }>();
      const model = new Map<string, { time: number }>();
      for (const { parent, name, time, sweep } of steps) {
        const [resource, series] = [`r${parent}`, `s${name}`];
        const above = table.findOrAdd(SeriesTable.ROOT, key(resource));
        const found = table.find(above, key(series));
        const known = model.get(`${resource} ${series}`);
        assert.equal(found !== 0, known !== undefined);
        if (known === undefined) table.put(table.add(above, key(series)), { name: `${resource} ${series}` }, time, 10);
        else {
          assert.equal(table.state(found)!.name, `${resource} ${series}`);
          table.see(found, time);
        }
        model.set(`${resource} ${series}`, { time });
        if (sweep) {
          const stale = [...model].filter(([, each]) => each.time < 500);
          assert.equal(table.sweep(500), stale.length);
          for (const [each] of stale) model.delete(each);
        }
        assert.equal(table.series, model.size);
      }
      table.sweep(Infinity);
      for (let parent = 0; parent < 4; parent++) {
        assert.equal(table.find(SeriesTable.ROOT, key(`r${parent}`)), 0, "a resource goes with its last series");
      }
    }),
    { numRuns: 12 },
  );
});

test("memory follows what is there", () => {
  const table = new SeriesTable<object>();
  const before = table.memoryBytes;
  for (let i = 0; i < 20_000; i++) table.put(table.add(SeriesTable.ROOT, key(`series number ${i}`)), {}, 0, 1000);
  const full = table.memoryBytes;
  assert.ok(full > 20_000 * 1000);
  assert.equal(table.sweep(1), 20_000);
  // The columns stay as large as they were.
  assert.ok(table.memoryBytes < before + 20_000 * 200, `${table.memoryBytes} bytes of ${full} are left`);
});

test("a parent without children is removed with prune, one with some is not", () => {
  const table = new SeriesTable<object>();
  const resource = table.add(SeriesTable.ROOT, key("r"));
  const scope = table.add(resource, key("s"));
  assert.equal(table.prune(resource), false);
  assert.equal(table.prune(scope), true);
  assert.equal(table.find(SeriesTable.ROOT, key("r")), 0);
});
