import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BUCKETS, POINT } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { ProtoWriter } from "#formats/protobuf";
import { bucketIndex, ExponentialHistograms } from "./histogram.ts";
import { MemoryBudget } from "./series.ts";

function pointOf(histograms: ExponentialHistograms, id: number): OtlpRecord {
  const writer = new ProtoWriter();
  histograms.write(writer, id);
  return new OtlpRecord().reset(writer.finish());
}

test("buckets are those of go-expohisto", () => {
  // Powers of two are the upper bounds of their buckets.
  for (const scale of [20, 3, 1, 0, -1, -2]) assert.equal(bucketIndex(1, scale), -1, `${scale}`);
  assert.deepEqual(
    [20, 2, 1, 0, -1, -10].map((scale) => bucketIndex(4, scale)),
    [2 * 2 ** 20 - 1, 7, 3, 1, 0, 0],
  );
  assert.deepEqual(
    [1, 0, -1, -10].map((scale) => bucketIndex(5, scale)),
    [4, 2, 1, 0],
  );
  assert.deepEqual(
    [1, 0, -1, -10].map((scale) => bucketIndex(0.3, scale)),
    [-4, -2, -1, -1],
  );
});

test("the buckets hold what was observed, as finely as their number allows", () => {
  const value = fc.oneof(fc.double({ min: 1e-6, max: 1e7, noNaN: true }), fc.constantFrom(0, 1, 2, 4, 0.5));
  const observation = fc.tuple(value, fc.integer({ min: 1, max: 3 }));
  fc.assert(
    fc.property(
      fc.array(observation, { minLength: 1, maxLength: 80, size: "max" }),
      fc.constantFrom(2, 3, 10, 160),
      (all, size) => {
        const histograms = new ExponentialHistograms(size, new MemoryBudget(1e9));
        histograms.reserve(4);
        histograms.begin(3);
        for (const [each, times] of all) histograms.observe(3, each, times);
        const point = pointOf(histograms, 3);
        const count = all.reduce((sum, [, times]) => sum + times, 0);
        assert.equal(Number(point.fixed64(POINT.count)), count);
        assert.equal(point.double(POINT.min.exponential), Math.min(...all.map(([each]) => each)));
        assert.equal(point.double(POINT.max.exponential), Math.max(...all.map(([each]) => each)));
        const positive = all.filter(([each]) => each > 0);
        const zeros = all.filter(([each]) => each === 0).reduce((sum, [, times]) => sum + times, 0);
        assert.equal(Number(point.fixed64(POINT.zeroCount)), zeros);
        if (positive.length === 0) return;
        const scale = point.sint32(POINT.scale);
        const buckets = point.record(POINT.positive);
        const found = new Map<number, number>();
        for (const [i, each] of buckets.varints(BUCKETS.bucketCounts).entries()) {
          if (each > 0n) found.set(buckets.sint32(BUCKETS.offset) + i, Number(each));
        }
        // Buckets were made wider in steps, which must be as if all had been counted in the last ones.
        const wanted = new Map<number, number>();
        for (const [each, times] of positive) {
          const index = bucketIndex(each, 20) >> (20 - scale);
          wanted.set(index, (wanted.get(index) ?? 0) + times);
        }
        const sorted = (map: Map<number, number>) => [...map].sort(([a], [b]) => a - b);
        assert.deepEqual(sorted(found), sorted(wanted));
        const indexes = [...wanted.keys()];
        assert.ok(Math.max(...indexes) - Math.min(...indexes) < size);
        if (scale === 20) return;
        const finer = positive.map(([each]) => bucketIndex(each, 20) >> (19 - scale));
        assert.ok(Math.max(...finer) - Math.min(...finer) >= size, "a finer scale would do");
      },
    ),
    { numRuns: 200 },
  );
});

test("without memory for more buckets they become wider, and every value is still counted", () => {
  const budget = new MemoryBudget(64);
  const histograms = new ExponentialHistograms(160, budget);
  histograms.reserve(2);
  for (const id of [0, 1]) {
    histograms.begin(id);
    for (let i = 0; i < 100; i++) histograms.observe(id, 1.5 ** (i % 40), 1);
    const counts = pointOf(histograms, id).record(POINT.positive).varints(BUCKETS.bucketCounts);
    assert.ok(counts.length <= 8, `${counts.length} buckets`);
    assert.equal(Number(counts.reduce((sum, each) => sum + each)), 100);
  }
  histograms.end(0);
  histograms.end(1);
  assert.equal(budget.used, 0);
});
