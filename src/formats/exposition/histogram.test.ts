import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  BucketLimitError,
  ClassicHistogram,
  checkHistogram,
  compact,
  type Histogram,
  largestSchema,
  limitHistogram,
  reduceResolution,
} from "./histogram.ts";

/** Numbers that JSON cannot hold are texts. */
type Json = number | string;
interface Given {
  readonly schema: number;
  readonly isFloat: boolean;
  readonly count: Json;
  readonly sum: Json;
  readonly positiveSpans: readonly [number, number][];
  readonly positive: readonly Json[];
  readonly negativeSpans: readonly [number, number][];
  readonly negative: readonly Json[];
  readonly customBounds: readonly Json[];
}

/** What Prometheus's own functions make of histograms. */
const { converted, reduced } = JSON.parse(
  readFileSync(new URL("../testdata/native-histograms.json", import.meta.url), "utf8"),
) as {
  readonly converted: readonly {
    buckets: [Json, Json][];
    count: Json | null;
    sum: Json | null;
    result: Given | null;
  }[];
  readonly reduced: readonly { from: Given; schema: number; to: Given; compact: Given }[];
};

const number = (text: Json) => (text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text));
const spans = (pairs: Given["positiveSpans"]) => pairs.map(([offset, length]) => ({ offset, length }));

function histogramOf(given: Given): Histogram {
  return {
    schema: given.schema,
    zeroThreshold: 0,
    zeroCount: 0,
    count: number(given.count),
    sum: number(given.sum),
    positiveSpans: spans(given.positiveSpans),
    positive: given.positive.map(number),
    negativeSpans: spans(given.negativeSpans),
    negative: given.negative.map(number),
    isFloat: given.isFloat,
    customBounds: given.schema === -53 ? given.customBounds.map(number) : undefined,
    resetHint: "unknown",
  };
}

test("classic histograms become what Prometheus makes of them", () => {
  const classic = new ClassicHistogram();
  for (const { buckets, count, sum, result } of converted) {
    classic.reset();
    for (const [bound, cumulative] of buckets) classic.bucket(number(bound), number(cumulative));
    if (count !== null) classic.count = number(count);
    if (sum !== null) classic.sum = number(sum);
    const made = classic.convert("unknown");
    const what = JSON.stringify({ buckets, count });
    if (result === null) assert.equal(typeof made, "string", what);
    else assert.deepEqual(made, histogramOf(result), what);
  }
});

test("buckets are joined and emptied as Prometheus does it", () => {
  for (const each of reduced) {
    assert.deepEqual(reduceResolution(histogramOf(each.from), each.schema), histogramOf(each.to));
    assert.deepEqual(compact(histogramOf(each.from), 0), histogramOf(each.compact));
  }
});

const side = fc.array(fc.tuple(fc.nat(6), fc.array(fc.nat(9), { maxLength: 5 })), { maxLength: 4 }).map((groups) => {
  const counts = groups.flatMap(([, each]) => each);
  return {
    spans: groups.map(([offset, each]) => ({ offset, length: each.length })),
    deltas: counts.map((each, i) => each - (i === 0 ? 0 : counts[i - 1]!)),
    sum: counts.reduce((sum, each) => sum + each, 0),
  };
});
const histogram = fc.record({ schema: fc.integer({ min: -4, max: 8 }), positive: side, negative: side }).map(
  ({ schema, positive, negative }): Histogram => ({
    schema,
    zeroThreshold: 0.001,
    zeroCount: 2,
    count: positive.sum + negative.sum + 2,
    sum: 1,
    positiveSpans: positive.spans,
    positive: positive.deltas,
    negativeSpans: negative.spans,
    negative: negative.deltas,
    isFloat: false,
    customBounds: undefined,
    resetHint: "unknown",
  }),
);

test("limits hold, and observations stay", () => {
  fc.assert(
    fc.property(histogram, fc.integer({ min: -4, max: 8 }), fc.integer({ min: 1, max: 20 }), (given, schema, limit) => {
      checkHistogram(given);
      let limited: Histogram;
      try {
        limited = limitHistogram(given, schema, limit);
      } catch (error) {
        assert.ok(error instanceof BucketLimitError);
        return;
      }
      checkHistogram(limited); // the observations in the buckets are still as many as the count says
      assert.equal(limited.count, given.count);
      assert.ok(limited.schema <= given.schema && (schema === 8 || limited.schema <= Math.max(schema, -4)));
      assert.ok(limited.positive.length + limited.negative.length <= limit);
      checkHistogram(compact(limited, 0));
      assert.deepEqual(compact(compact(limited, 0), 0), compact(limited, 0));
    }),
  );
});

test("the factor of growth chooses a schema", () => {
  assert.deepEqual([0, 1, 1.002, 1.1, 1.2, 2, 4, 65_536, 1e9].map(largestSchema), [8, 8, 8, 2, 1, 0, -1, -4, -4]);
});

test("what contradicts itself is told in Prometheus's words", () => {
  const nothing = {
    count: 0,
    sum: 1,
    positiveSpans: [],
    positive: [],
    negativeSpans: [],
    negative: [],
    customBounds: [],
  };
  const sound = histogramOf({ schema: 3, isFloat: false, ...nothing });
  const cases: [Partial<Histogram>, RegExp][] = [
    [{ schema: 9 }, /invalid schema, which must be between -4 and 8 .*, got schema 9/],
    [{ positiveSpans: [{ offset: 0, length: 2 }], positive: [1] }, /spans need 2 buckets, have 1 buckets/],
    [{ positiveSpans: [{ offset: 0, length: 1 }], positive: [-1] }, /bucket number 1 has observation count of -1/],
    [
      {
        positiveSpans: [
          { offset: 0, length: 1 },
          { offset: -1, length: 1 },
        ],
        positive: [1, 0],
      },
      /span number 2 with offset -1/,
    ],
    [{ count: 7 }, /0 observations found in buckets, but the Count field is 7/],
    [{ isFloat: true, count: -1 }, /observation count is -1/],
    [
      { schema: -53, customBounds: [], positiveSpans: [{ offset: 0, length: 2 }], positive: [1, 0] },
      /only 0 custom bounds defined/,
    ],
    [{ schema: -53, customBounds: [], zeroCount: 1 }, /must have zero count of 0/],
  ];
  for (const [change, message] of cases) assert.throws(() => checkHistogram({ ...sound, ...change }), message);
});
