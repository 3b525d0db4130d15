import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockSkew } from "./clock-skew.ts";

const NOW = Date.parse("2026-01-02T03:04:05Z");
const header = (ms: number) => new Date(ms).toUTCString();

test("clocks that agree, answers without a date, and dates that are none say nothing", () => {
  const skew = new ClockSkew("b:1");
  for (const date of [header(NOW), header(NOW + 55_000), undefined, "yesterday"]) skew.observe(date, NOW, NOW + 20);
  assert.equal(skew.problem, undefined);
});

test("a clock that is wrong is told of after two answers that agree, with the side and how much", () => {
  const skew = new ClockSkew("b:1");
  skew.observe(header(NOW + 7 * 60_000), NOW, NOW + 20);
  assert.equal(skew.problem, undefined);
  skew.observe(header(NOW + 7 * 60_000), NOW, NOW + 20);
  assert.match(skew.problem!, /^this machine's clock is 7 min behind that of b:1: .* set the clock that is wrong/);
  skew.observe(header(NOW), NOW, NOW + 20);
  assert.equal(skew.problem, undefined);
  for (let i = 0; i < 2; i++) skew.observe(header(NOW - 5 * 3_600_000), NOW, NOW + 20);
  assert.match(skew.problem!, /clock is 5 h ahead of that of b:1/);
});

test("answers that took long and servers that contradict each other are no wrong clock", () => {
  const slow = new ClockSkew("b:1");
  for (let i = 0; i < 3; i++) slow.observe(header(NOW), NOW, NOW + 90_000);
  assert.equal(slow.problem, undefined);
  const balanced = new ClockSkew("b:1");
  for (const side of [1, -1, 1, -1]) balanced.observe(header(NOW + side * 600_000), NOW, NOW);
  assert.equal(balanced.problem, undefined);
});
