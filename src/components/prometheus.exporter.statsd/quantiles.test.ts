import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { QuantileStream } from "./quantiles.ts";

const TARGETS = [
  [0.5, 0.05],
  [0.9, 0.01],
  [0.99, 0.001],
] as const;

test("estimates are within the errors that are asked for", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 5_000, size: "max" }),
      (values) => {
        const stream = new QuantileStream(TARGETS);
        for (const value of values) stream.insert(value, 1);
        const sorted = values.toSorted((a, b) => a - b);
        for (const [quantile, error] of TARGETS) {
          const found = stream.query(quantile);
          const first = sorted.indexOf(found);
          const last = sorted.lastIndexOf(found);
          assert.ok(first >= 0, `${found} was observed`);
          // The buffer that is merged at once adds to the error of the algorithm.
          const slack = error * values.length + 1 + values.length * 0.02;
          const wanted = quantile * values.length;
          assert.ok(
            first - slack <= wanted && wanted <= last + 1 + slack,
            `${quantile}: rank ${first}, wanted ${wanted}`,
          );
        }
      },
    ),
    { numRuns: 50 },
  );
});

test("a hundred thousand observations take little room, and a reset takes them away", () => {
  const stream = new QuantileStream(TARGETS);
  assert.equal(stream.query(0.5), Number.NaN);
  for (let i = 0; i < 100_000; i++) stream.insert((i * 7919) % 100_000, 1);
  assert.ok(Math.abs(stream.query(0.5) - 50_000) <= 5_000);
  assert.ok(Math.abs(stream.query(0.99) - 99_000) <= 200);
  stream.reset();
  assert.ok(stream.isEmpty);
});

test("an observation that counts a million times is a million observations", () => {
  const stream = new QuantileStream(TARGETS);
  stream.insert(1, 10);
  stream.insert(5, 1_000_000);
  assert.deepEqual([stream.query(0.5), stream.query(0.000001)], [5, 1]);
});
