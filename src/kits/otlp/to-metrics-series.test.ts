import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KnownParts, SeriesTimes } from "./to-metrics-series.ts";

test("parts are found by their bytes, kind and parent, and live for as long as they are used", () => {
  type Step = readonly ["find", parent: number, kind: number, text: string] | readonly ["sweep", age: number];
  const steps: fc.Arbitrary<Step[]> = fc.array(
    fc.oneof(
      {
        weight: 5,
        arbitrary: fc.tuple(fc.constant("find" as const), fc.nat(5), fc.nat(2), fc.constantFrom("", "a", "b", "ab")),
      },
      { weight: 1, arbitrary: fc.tuple(fc.constant("sweep" as const), fc.nat(6)) },
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      /** The model: parts by their key, with their parents and when they were last found. */
      const model = new Map<string, { part: number; seen: number }>();
      const forgotten: number[] = [];
      const parts = new KnownParts((part) => forgotten.push(part));
      let now = 1;
      for (const step of all) {
        now += 1;
        if (step[0] === "sweep") {
          const time = now - step[1];
          parts.sweep(time);
          for (const [key, { part, seen }] of model) {
            if (seen >= time) continue;
            model.delete(key);
            assert.ok(forgotten.includes(part));
          }
          forgotten.length = 0;
        } else {
          const [, parent, kind, text] = step;
          // A child is never found without its parent, which is a part without one.
          const above = parent === 0 ? 0 : parts.find(0, 9, Buffer.from(String(parent)), 0, 1, now);
          if (parent !== 0) model.set(`root ${parent}`, { part: above, seen: now });
          const part = parts.find(above, kind, Buffer.from(text), 0, text.length, now);
          const key = JSON.stringify([parent, kind, text]);
          const known = model.get(key);
          if (known !== undefined) assert.equal(part, known.part);
          else assert.ok(![...model.values()].some((each) => each.part === part));
          model.set(key, { part, seen: now });
        }
        assert.equal(parts.size, model.size);
      }
      parts.clear();
      assert.equal(parts.size, 0);
    }),
  );
});

test("samples and exemplars that are older than the last ones are not in order", () => {
  const times = new SeriesTimes(1000);
  const ref = 5000;
  assert.deepEqual([times.begins(ref, 1000), times.begins(ref, 1001)], [false, true]);
  assert.ok(times.admit(ref, 2000.5));
  assert.deepEqual([times.admit(ref, 2000.4), times.admit(ref, 2000.5)], [false, true]);
  assert.deepEqual([times.begins(ref, 2000), times.begins(ref, 2001)], [false, true]);
  assert.deepEqual(
    [times.admitExemplar(ref, 7), times.admitExemplar(ref, 6), times.admitExemplar(1, 6)],
    [true, false, true],
  );
  times.forget(ref);
  assert.deepEqual([times.admit(ref, 1), times.admitExemplar(ref, 1)], [true, true]);
});
