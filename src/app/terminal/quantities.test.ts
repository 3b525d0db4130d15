import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { shortAge, shortBytes, shortNumber } from "./quantities.ts";

test("numbers", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [0.004, "<0.01"],
    [0.05, "0.05"],
    [0.5, "0.5"],
    [5, "5"],
    [9.4, "9.4"],
    [12.3, "12"],
    [999.4, "999"],
    [999.6, "1.0k"],
    [12_345, "12k"],
    [1_500_000, "1.5M"],
  ];
  for (const [value, text] of cases) assert.equal(shortNumber(value), text);
});

test("bytes", () => {
  const cases: [number, string][] = [
    [0, "0B"],
    [512, "512B"],
    [1023.9, "1.0KiB"],
    [1536, "1.5KiB"],
    [10 * 1024 * 1024, "10MiB"],
  ];
  for (const [value, text] of cases) assert.equal(shortBytes(value), text);
});

test("ages", () => {
  const cases: [number, string][] = [
    [-5, "0s"],
    [59_999, "59s"],
    [60_000, "1m"],
    [65_000, "1m5s"],
    [754_000, "12m"],
    [3 * 3_600_000 + 20 * 60_000, "3h20m"],
    [52 * 3_600_000, "2d4h"],
    [30 * 24 * 3_600_000, "30d"],
  ];
  for (const [ms, text] of cases) assert.equal(shortAge(ms), text);
});

test("whatever the value, the text is short", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e14, noNaN: true }), (value) => {
      assert.ok(shortNumber(value).length <= 5, shortNumber(value));
      assert.ok(shortBytes(value).length <= 7, shortBytes(value));
      assert.ok(shortAge(value).length <= 7 || value > 1e11, shortAge(value));
    }),
  );
});
