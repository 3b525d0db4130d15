import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { differenceHigh, highHalf, isBelow, isLess, lowHalf, sumHigh, wholeOf } from "./halves.ts";

test("halves count like the whole", () => {
  const edges = [0n, 1n, -1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)];
  const whole = fc.oneof(fc.constantFrom(...edges), fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n));
  fc.assert(
    fc.property(whole, whole, (a, b) => {
      const [aLow, aHigh, bLow, bHigh] = [lowHalf(a), highHalf(a), lowHalf(b), highHalf(b)];
      assert.equal(wholeOf(aLow, aHigh), a);
      assert.equal(isLess(aLow, aHigh, bLow, bHigh), a < b);
      assert.equal(isBelow(aLow, aHigh, bLow, bHigh), BigInt.asUintN(64, a) < BigInt.asUintN(64, b));
      assert.equal(wholeOf((aLow + bLow) | 0, sumHigh(aLow, aHigh, bLow, bHigh)), BigInt.asIntN(64, a + b));
      assert.equal(wholeOf((aLow - bLow) | 0, differenceHigh(aLow, aHigh, bLow, bHigh)), BigInt.asIntN(64, a - b));
    }),
  );
});
