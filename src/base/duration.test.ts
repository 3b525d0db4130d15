import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  DurationError,
  formatDuration,
  formatPrometheusDuration,
  parseDuration,
  parsePrometheusDuration,
  roughDuration,
} from "./duration.ts";

test("reads Go's durations", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["-0", 0],
    ["5s", 5_000],
    ["1478s", 1_478_000],
    ["-5s", -5_000],
    ["+5.0s", 5_000],
    ["5.s", 5_000],
    [".5s", 500],
    ["100.00100s", 100_001],
    ["10ns", 1e-5],
    ["11us", 0.011],
    ["12\u00b5s", 0.012],
    ["12\u03bcs10ns", 0.01201],
    ["3h30m", 12_600_000],
    ["10.5s4m", 250_500],
    ["1h15m30.918273645s", 4_530_918.273645],
    ["0.3333333333333333333h", 1_200_000],
    ["0.100000000000000000000h", 360_000],
    ["9223372036.854775807s", 9_223_372_036_854.775807],
    ["-9223372036854775808ns", -9_223_372_036_854.775808],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms + 0 || 0, text);
});

test("rejects what Go rejects, with its words", () => {
  const cases: [string, string][] = [
    ["", 'time: invalid duration ""'],
    ["3", 'time: missing unit in duration "3"'],
    ["-", 'time: invalid duration "-"'],
    ["s", 'time: invalid duration "s"'],
    [".", 'time: invalid duration "."'],
    [".s", 'time: invalid duration ".s"'],
    ["+.s", 'time: invalid duration "+.s"'],
    ["1d", 'time: unknown unit "d" in duration "1d"'],
    ["1 s", 'time: unknown unit " s" in duration "1 s"'],
    ["\x85\x85", 'time: invalid duration "\\xc2\\x85\\xc2\\x85"'],
    ['hello "x"', 'time: invalid duration "hello \\"x\\""'],
    ["9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'],
    ["9223372036854775.808us", 'time: invalid duration "9223372036854775.808us"'],
    ["3000000h", 'time: invalid duration "3000000h"'],
  ];
  for (const [text, message] of cases) {
    assert.throws(
      () => parseDuration(text),
      (error) => error instanceof DurationError && error.message === message,
      text,
    );
  }
});

test("writes durations as Go does", () => {
  const cases: [number, string][] = [
    [0, "0s"],
    [1e-6, "1ns"],
    [1.1e-3, "1.1\u00b5s"],
    [2.2, "2.2ms"],
    [3_300, "3.3s"],
    [245_000, "4m5s"],
    [245_001, "4m5.001s"],
    [18_367_001, "5h6m7.001s"],
    [480_000.000001, "8m0.000000001s"],
    [-5_400_000, "-1h30m0s"],
  ];
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
});

test("a written duration reads back as the same number", () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 52), max: 2 ** 52 }), (nanoseconds) => {
      const ms = Math.trunc(nanoseconds / 1e6) + (nanoseconds % 1e6) / 1e6;
      assert.equal(parseDuration(formatDuration(ms)), ms + 0 || 0);
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 9_000_000_000_000 }), (ms) => {
      assert.equal(parsePrometheusDuration(formatPrometheusDuration(ms)), ms);
    }),
  );
});

test("any text gives a number or a DurationError", () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-+]?([0-9.]{0,22}(ns|us|ms|s|m|h|d|w|y)?){0,4}$/));
  fc.assert(
    fc.property(text, fc.constantFrom(parseDuration, parsePrometheusDuration), (input, parse) => {
      try {
        assert.ok(Number.isFinite(parse(input)));
      } catch (error) {
        assert.ok(error instanceof DurationError, String(error));
      }
    }),
  );
});

test("Prometheus's durations", () => {
  const good: [string, number][] = [
    ["0", 0],
    ["0w", 0],
    ["324ms", 324],
    ["5d10m", 432_600_000],
    ["1w2d", 777_600_000],
    ["3w2d1h", 1_990_800_000],
    ["10y", 315_360_000_000],
  ];
  for (const [text, ms] of good) assert.equal(parsePrometheusDuration(text), ms);
  const bad: [string, string][] = [
    ["", "empty duration string"],
    ["1", 'not a valid duration string: "1"'],
    ["-1w", 'not a valid duration string: "-1w"'],
    ["1.5d", 'unknown unit "." in duration "1.5d"'],
    ["1m1d", 'not a valid duration string: "1m1d"'],
    ["1d1d", 'not a valid duration string: "1d1d"'],
    ["294y", "duration out of range"],
    ["5x", 'unknown unit "x" in duration "5x"'],
  ];
  for (const [text, message] of bad) assert.throws(() => parsePrometheusDuration(text), { message });
  assert.equal(formatPrometheusDuration(90 * 86_400_000), "90d");
  assert.equal(formatPrometheusDuration(14 * 86_400_000), "2w");
  assert.equal(formatPrometheusDuration(365 * 86_400_000 + 1), "365d1ms");
});

test("says how long something took in words", () => {
  const shown = [400, 59_600, 119_000, 180_000, 7_000_000, 7_200_000, 19_800_000, 200_000_000, 300_000_000].map(
    roughDuration,
  );
  assert.deepEqual(shown, ["0 s", "60 s", "119 s", "3 min", "117 min", "2 h", "5.5 h", "55.5 h", "3 days"]);
});
