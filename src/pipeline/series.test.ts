import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { REF_DROPPED, REF_UNKNOWN, RefMap } from "./ref-map.ts";
import { SeriesRegistry } from "./series.ts";

const series = (n: number) =>
  Labels.from([
    ["__name__", `metric_${n % 7}`],
    ["instance", `host-${n}`],
    ["text", "é€𐍈".repeat(n % 3)],
  ]);

test("a label set has one ref, its labels survive, and it is free after its last owner", () => {
  const registry = new SeriesRegistry();
  const a = registry.intern(series(1));
  assert.equal(registry.intern(series(1)), a);
  assert.equal(registry.size, 1);
  assert.equal(registry.labels(a).toString(), series(1).toString());
  const copy = Buffer.alloc(registry.encodedLength(a));
  assert.equal(registry.copyEncoded(a, copy, 0), copy.length);
  assert.equal(registry.internEncoded(copy, 0, copy.length), a);
  for (let owner = 0; owner < 3; owner++) registry.release(a);
  assert.equal(registry.size, 0);
  assert.throws(() => registry.release(a), /released more often/);
  assert.throws(() => registry.retain(a), /retained after it was freed/);
});

test("the hash depends on the labels alone", () => {
  const one = new SeriesRegistry();
  const other = new SeriesRegistry();
  other.intern(series(5));
  assert.equal(one.hash(one.intern(series(2))), other.hash(other.intern(series(2))));
});

test("a pin holds back the reuse of refs released while it lasts", () => {
  const registry = new SeriesRegistry();
  const a = registry.intern(series(1));
  const before = registry.pin();
  registry.release(a);
  const after = registry.pin();
  assert.equal(registry.size, 0);
  assert.equal(registry.labels(a).toString(), series(1).toString());
  const generation = registry.generation(a);
  const b = registry.intern(series(2));
  assert.notEqual(b, a);
  registry.unpin(before);
  assert.notEqual(registry.generation(a), generation);
  registry.unpin(after);
  assert.equal(registry.stored, 1);
  assert.throws(() => registry.unpin(after), /twice/);
});

test("a pinned series can find an owner again", () => {
  const registry = new SeriesRegistry();
  const a = registry.intern(series(1));
  const first = registry.pin();
  registry.release(a);
  assert.equal(registry.intern(series(1)), a);
  registry.release(a);
  const second = registry.pin();
  registry.release(registry.intern(series(1)));
  registry.unpin(first);
  assert.equal(registry.stored, 1, "the second pin is younger than the last release");
  registry.unpin(second);
  assert.equal(registry.stored, 0);
});

test("memory follows the number of series", () => {
  const registry = new SeriesRegistry();
  const empty = registry.memoryBytes;
  const refs = Array.from({ length: 20_000 }, (_, n) => registry.intern(series(n)));
  const full = registry.memoryBytes;
  assert.ok(full < 20_000 * 200, `${full / 20_000} bytes a series`);
  // Every hundredth stays, so that no chunk is empty and the largest refs are in use.
  for (const [n, ref] of refs.entries()) if (n % 100 !== 0) registry.release(ref);
  assert.ok(registry.memoryBytes < full / 2, `${registry.memoryBytes} of ${full}`);
  for (const [n, ref] of refs.entries()) {
    if (n % 100 === 0) assert.equal(registry.labels(ref).toString(), series(n).toString());
  }
  for (const [n, ref] of refs.entries()) if (n % 100 === 0) registry.release(ref);
  assert.ok(registry.memoryBytes <= empty + 300_000, `${registry.memoryBytes} of ${empty}`);
});

test("behaves as a map of reference counts, whatever is interned, released and pinned", () => {
  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("intern" as const), n: fc.nat(60) }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("release" as const), n: fc.nat(60) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("pin" as const), n: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("unpin" as const), n: fc.nat(5) }) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 400, size: "max" }), (operations) => {
      const registry = new SeriesRegistry();
      const model = new Map<number, { ref: number; owners: number }>();
      const freed = new Set<number>();
      registry.onFreed((ref) => freed.add(ref));
      const pins: { pin: number; held: Map<number, number> }[] = [];
      for (const { kind, n } of operations) {
        if (kind === "intern") {
          const ref = registry.intern(series(n));
          const known = model.get(n);
          if (known === undefined) model.set(n, { ref, owners: 1 });
          else {
            assert.equal(ref, known.ref);
            known.owners += 1;
          }
          freed.delete(ref);
        } else if (kind === "release") {
          const known = model.get(n);
          if (known === undefined) continue;
          registry.release(known.ref);
          if (--known.owners === 0) {
            model.delete(n);
            for (const { held } of pins) held.set(known.ref, n);
          }
        } else if (kind === "pin") pins.push({ pin: registry.pin(), held: new Map() });
        else {
          const [ended] = pins.splice(n % Math.max(1, pins.length), 1);
          if (ended !== undefined) registry.unpin(ended.pin);
        }
        assert.equal(registry.size, model.size);
        for (const [m, { ref }] of model) assert.equal(registry.labels(ref).toString(), series(m).toString());
        for (const { held } of pins) {
          for (const [ref, m] of held) assert.equal(registry.labels(ref).toString(), series(m).toString());
        }
      }
      for (const { pin } of pins) registry.unpin(pin);
      assert.equal(registry.stored, model.size);
    }),
    { numRuns: 30 },
  );
});

test("a RefMap forgets what its input series leave behind", () => {
  const registry = new SeriesRegistry();
  using map = new RefMap(registry);
  const input = registry.intern(series(1));
  assert.equal(map.get(input), REF_UNKNOWN);
  map.set(input, registry.intern(series(2)));
  const output = map.get(input);
  assert.equal(registry.labels(output).toString(), series(2).toString());
  const dropped = registry.intern(series(3));
  map.set(dropped, REF_DROPPED);
  assert.equal(map.get(dropped), REF_DROPPED);
  registry.release(input);
  assert.equal(map.size, 1);
  registry.release(dropped);
  assert.equal(map.size, 0);
  assert.equal(registry.stored, 0);
});

test("series that map to themselves or in a circle do not keep themselves alive", () => {
  const registry = new SeriesRegistry();
  using one = new RefMap(registry);
  using other = new RefMap(registry);
  const a = registry.intern(series(1));
  one.set(a, registry.intern(series(1)));
  assert.equal(one.get(a), a);
  registry.release(a);
  assert.equal(registry.stored, 0);

  const x = registry.intern(series(1));
  one.set(x, registry.intern(series(2)));
  const y = one.get(x);
  other.set(y, registry.intern(series(1)));
  registry.release(x);
  assert.equal(registry.stored, 2);
  for (const map of [one, other]) map.sweep();
  for (const map of [one, other]) map.sweep();
  assert.equal(registry.stored, 0);
});

test("a RefMap keeps to its limit and prefers to forget what is not used", () => {
  const registry = new SeriesRegistry();
  using map = new RefMap(registry, 3);
  const refs = Array.from({ length: 6 }, (_, n) => registry.intern(series(n)));
  for (const ref of refs.slice(0, 3)) map.set(ref, REF_DROPPED);
  map.set(refs[3]!, REF_DROPPED);
  assert.equal(map.size, 3);
  assert.equal(map.get(refs[3]!), REF_DROPPED);
  map.set(refs[4]!, REF_DROPPED);
  assert.equal(map.get(refs[3]!), REF_DROPPED);
  assert.equal(map.size, 3);
});
