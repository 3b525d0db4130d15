import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseGoFloat, parseGoSeconds } from "./go-number.ts";

test("floats are those of Go's strconv.ParseFloat", () => {
  const cases: readonly (readonly [text: string, value: number | undefined])[] = [
    ["1.5", 1.5],
    ["+2", 2],
    ["-.5e1", -5],
    ["5.", 5],
    ["1_000", 1000],
    ["1__0", undefined],
    ["_1", undefined],
    ["1_", undefined],
    ["1_.5", undefined],
    ["0x10", undefined],
    ["0x1p4", 16],
    ["-0X1.8p1", -3],
    ["0x_1p0", 1],
    ["0x.p1", undefined],
    ["0x1p2000", undefined],
    ["0x1p-1074", 5e-324],
    ["1e400", undefined],
    ["1e-400", 0],
    ["Inf", Infinity],
    ["-infinity", -Infinity],
    ["nan", Number.NaN],
    ["+nan", undefined],
    ["", undefined],
    [".", undefined],
    ["e5", undefined],
    ["1e", undefined],
    [" 1", undefined],
    ["1,5", undefined],
  ];
  for (const [text, value] of cases) assert.deepEqual(parseGoFloat(text), value, text);
});

test("every finite number is read as it is written", () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      assert.equal(parseGoFloat(String(value)), value === 0 ? Number(String(value)) : value);
    }),
  );
});

test("durations are seconds without rounding errors of the unit", () => {
  assert.equal(parseGoSeconds("100ns"), 1e-7);
  assert.equal(parseGoSeconds("1h2m3.5s"), 3723.5);
  assert.equal(parseGoSeconds("-1.5h"), -5400);
  assert.equal(parseGoSeconds("1d"), undefined);
});
