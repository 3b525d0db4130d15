import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type SparseBuckets, sparseBuckets } from "./metrics-histograms.ts";

/** Counts by number of bucket. */
function dense({ spans, deltas }: SparseBuckets): Map<number, number> {
  const counts = new Map<number, number>();
  let bucket = 0;
  let count = 0;
  let next = 0;
  for (const { offset, length } of spans) {
    bucket += offset;
    for (let k = 0; k < length; k++) {
      count += deltas[next++]!;
      if (count !== 0) counts.set(bucket, count);
      bucket += 1;
    }
  }
  return counts;
}

test("sparse buckets of dense ones", () => {
  assert.deepEqual(sparseBuckets([], 3, 0, 1), { spans: [], deltas: [] });
  assert.deepEqual(sparseBuckets([4, 3, 2, 1], 0, 0, 1), {
    spans: [{ offset: 1, length: 4 }],
    deltas: [4, -1, -1, -1],
  });
  // Up to two empty buckets are written out, more of them end a span.
  assert.deepEqual(sparseBuckets([1, 0, 0, 2, 0, 0, 0, 3], -2, 0, 1), {
    spans: [
      { offset: -1, length: 4 },
      { offset: 3, length: 1 },
    ],
    deltas: [1, -1, 0, 2, 1],
  });
  // One scale down: two buckets become one.
  assert.deepEqual(sparseBuckets([4, 3, 2, 1], 0, 1, 1), { spans: [{ offset: 1, length: 2 }], deltas: [7, -4] });
});

test("no count is lost or moved, at any scale", () => {
  const counts = fc.array(fc.oneof(fc.constant(0), fc.constant(0), fc.nat(9)), { maxLength: 40, size: "max" });
  fc.assert(
    fc.property(counts, fc.integer({ min: -50, max: 50 }), fc.nat(5), (given, offset, down) => {
      const wanted = new Map<number, number>();
      for (const [i, count] of given.entries()) {
        const bucket = ((i + offset) >> down) + 1;
        if (count > 0) wanted.set(bucket, (wanted.get(bucket) ?? 0) + count);
      }
      assert.deepEqual(new Map([...dense(sparseBuckets(given, offset, down, 1))].sort(([a], [b]) => a - b)), wanted);
    }),
  );
});
