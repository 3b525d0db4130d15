import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Buckets,
  coarsen,
  cutBelow,
  type ExponentialPoint,
  exponentialSince,
  mergeBuckets,
  scaleWithin,
  widenZero,
} from "./metric-exponential.ts";

const buckets: fc.Arbitrary<Buckets> = fc.record({
  offset: fc.integer({ min: -300, max: 300 }),
  counts: fc.array(
    fc.integer({ min: 0, max: 3 }).map((each) => BigInt(each)),
    { maxLength: 40 },
  ),
});
const copy = ({ offset, counts }: Buckets): Buckets => ({ offset, counts: [...counts] });
/** Counts by index, without zeros. */
function counted({ offset, counts }: Buckets): Map<number, bigint> {
  return new Map(counts.map((count, i) => [offset + i, count] as const).filter(([, count]) => count > 0n));
}
function point(more: Partial<ExponentialPoint>): ExponentialPoint {
  const none = { offset: 0, counts: [] };
  const base = { count: 0n, sum: 0, min: undefined, max: undefined, scale: 0, zeroCount: 0n, zeroThreshold: 0 };
  return { ...base, positive: none, negative: none, ...more };
}

test("coarser buckets hold what the finer ones held", () => {
  fc.assert(
    fc.property(buckets, fc.integer({ min: 0, max: 70 }), (given, shifts) => {
      const expected = new Map<number, bigint>();
      for (const [index, count] of counted(given)) {
        const at = Number(BigInt(index) >> BigInt(shifts));
        expected.set(at, (expected.get(at) ?? 0n) + count);
      }
      assert.deepEqual(counted(coarsen(given, shifts)), expected);
    }),
  );
});

test("a sum of buckets has the counts of both, and the scale keeps it small", () => {
  fc.assert(
    fc.property(buckets, buckets, fc.integer({ min: 4, max: 200 }), (a, b, most) => {
      const expected = counted(a);
      for (const [index, count] of counted(b)) expected.set(index, (expected.get(index) ?? 0n) + count);
      assert.deepEqual(counted(mergeBuckets(copy(a), copy(b))), new Map([...expected].sort(([x], [y]) => x - y)));
      const scale = scaleWithin(most, 5, a, b);
      const merged = counted(mergeBuckets(coarsen(a, 5 - scale), coarsen(b, 5 - scale)));
      const indices = [...merged.keys()];
      // Two more than asked for: the Collector rounds towards zero when it looks for the scale.
      if (indices.length > 0) assert.ok(Math.max(...indices) - Math.min(...indices) + 1 <= most + 2);
    }),
  );
});

test("what was added since is what was added", () => {
  fc.assert(
    fc.property(buckets, buckets, fc.integer({ min: 0, max: 4 }), (before, added, shifts) => {
      const first = point({ count: 5n, sum: 2, scale: 4, positive: before });
      const fine = mergeBuckets(copy(before), copy(added));
      const now = point({ count: 9n, sum: 5, scale: 4 - shifts, positive: coarsen(fine, shifts), zeroCount: 2n });
      const since = exponentialSince(now, first)!;
      assert.deepEqual(counted(since.positive), counted(coarsen(added, shifts)));
      assert.deepEqual([since.count, since.sum, since.zeroCount, since.scale], [4n, 3, 2n, 4 - shifts]);
    }),
  );
});

test("a series that lost counts or got finer began anew", () => {
  const before = point({
    count: 4n,
    zeroCount: 1n,
    zeroThreshold: 0.5,
    scale: 2,
    positive: { offset: 3, counts: [1n, 2n] },
  });
  const grown = { ...before, count: 6n, positive: { offset: 2, counts: [1n, 1n, 3n] } };
  assert.deepEqual(exponentialSince(grown, before)!.positive, { offset: 2, counts: [1n, 0n, 1n] });
  const fewer: Partial<ExponentialPoint>[] = [
    { count: 3n },
    { zeroCount: 0n },
    { zeroThreshold: 0.25 },
    { scale: 3 },
    { positive: { offset: 3, counts: [1n, 1n, 5n] } },
  ];
  for (const each of fewer)
    assert.equal(exponentialSince({ ...grown, ...each }, before), undefined, JSON.stringify(Object.keys(each)));
});

test("a wider zero bucket takes in the buckets within it", () => {
  const narrow = () =>
    point({
      scale: 0,
      zeroCount: 1n,
      positive: { offset: -2, counts: [1n, 2n, 4n] },
      negative: { offset: 0, counts: [8n] },
    });
  // At scale 0 the buckets end at 0.5, 1 and 2.
  const to = (width: number) => {
    const widened = narrow();
    widenZero(widened, width);
    return [widened.zeroCount, widened.zeroThreshold, widened.positive, widened.negative.counts];
  };
  assert.deepEqual(to(1), [4n, 1, { offset: 0, counts: [4n] }, [8n]]);
  assert.deepEqual(to(0.75), [4n, 1, { offset: 0, counts: [4n] }, [8n]]);
  assert.deepEqual(to(2), [16n, 2, { offset: 1, counts: [] }, []]);
  for (const useless of [0, -1, Number.NaN, Infinity])
    assert.deepEqual(to(useless), [1n, 0, { offset: -2, counts: [1n, 2n, 4n] }, [8n]]);
  const coarse = point({ scale: -3, positive: { offset: 0, counts: [5n] } });
  widenZero(coarse, 256); // the Collector panics at scales below 0
  assert.deepEqual([coarse.zeroCount, coarse.zeroThreshold], [5n, 256]);
});

test("ranges that a request merely names cost no time", () => {
  const far = { offset: 2_000_000_000, counts: [1n] };
  const near = { offset: -2_000_000_000, counts: [1n] };
  const scale = scaleWithin(160, 0, far, near);
  assert.ok(mergeBuckets(coarsen(far, -scale), coarsen(near, -scale)).counts.length <= 161);
  assert.equal(cutBelow(copy(far), 2 ** 40), 1n);
  const widened = point({ scale: 20, positive: { offset: -5, counts: [1n, 1n] } });
  widenZero(widened, 1e300);
  assert.equal(widened.zeroCount, 2n);
});
