import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  ALWAYS_SAMPLE,
  isSampled,
  NEVER_SAMPLE,
  parseRandomness,
  parseThreshold,
  probabilityOf,
  SamplingTraceState,
  thresholdOf,
  thresholdText,
} from "./sampling.ts";

const textOf = (probability: number, precision = 14) => thresholdText(thresholdOf(probability, precision) ?? "");

test("thresholds of probabilities, with the digits that count", () => {
  assert.equal(textOf(1), "0");
  assert.equal(textOf(0.5), "8");
  assert.equal(textOf(1 / 3), "aaaaaaaaaaaaac");
  assert.equal(textOf(2 / 3, 3), "555");
  assert.equal(textOf(1 / 3, 3), "aab");
  assert.equal(textOf(2 ** -56, 3), "ffffffffffffff");
  assert.equal(textOf(1 - 2 ** -8), "01");
  for (const beyond of [0, 2 ** -57, 1.1, -1, Number.NaN]) assert.equal(thresholdOf(beyond, 4), undefined);
});

test("thresholds and randomness as they are written", () => {
  assert.equal(parseThreshold("C"), "c0000000000000");
  assert.equal(parseThreshold("0"), ALWAYS_SAMPLE);
  for (const wrong of ["", "g", "-1", "123456789012345"]) assert.equal(parseThreshold(wrong), undefined);
  assert.equal(parseRandomness("ABCDEF01234567"), "abcdef01234567");
  for (const wrong of ["", "abcdef0123456", "abcdef012345678", "xbcdef01234567"]) {
    assert.equal(parseRandomness(wrong), undefined);
  }
});

test("a threshold lets the part of all randomness pass that its probability says", () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-9, max: 1, noNaN: true }), (probability) => {
      const threshold = thresholdOf(probability, 14)!;
      assert.ok(Math.abs(probabilityOf(threshold) - probability) <= 2 ** -52);
      assert.equal(parseThreshold(thresholdText(threshold)), threshold);
      assert.ok(isSampled(threshold, "ffffffffffffff"));
      assert.ok(!isSampled(NEVER_SAMPLE, "ffffffffffffff"));
    }),
  );
});

test("trace states keep what is not of sampling, and say what cannot be read", () => {
  const state = new SamplingTraceState();
  const parsed = (text: string) => [state.parse(text), state.rv, state.th, state.toString()];
  assert.deepEqual(parsed(""), [true, "", "", ""]);
  assert.deepEqual(parsed("a=b , ot=th:80;x:Y;rv:ABCDEF01234567,,t@s=1"), [
    true,
    "ABCDEF01234567",
    "80",
    "ot=rv:ABCDEF01234567;th:80;x:Y,a=b,t@s=1",
  ]);
  assert.deepEqual(parsed("ot=th:8;rv:1"), [false, "", "8", "ot=th:8"]);
  for (const wrong of [
    "ot=th:8;",
    "ot=th",
    "ot=",
    "A=1",
    "a=b,=c",
    "a=ü",
    `a=${"b".repeat(257)}`,
    `a=${"b,c=".repeat(300)}`,
  ]) {
    assert.equal(state.parse(wrong), false, wrong);
  }
  const many = (count: number) => Array.from({ length: count }, (_, i) => `k${i}=v`).join(",");
  assert.deepEqual([state.parse(many(31)), state.parse(many(32))], [true, false]);
});

test("any text is read without a throw, and what is read is written so that it is read again", () => {
  const member = fc.constantFrom("ot=th:8", "ot=rv:0123456789abcd;th:c", "a=b", " k=v ", "", "x", "t@s=1", "ot=x:y");
  const texts = fc.oneof(
    fc.string(),
    fc.array(member, { maxLength: 6 }).map((members) => members.join(",")),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const state = new SamplingTraceState();
      if (!state.parse(text)) return;
      const again = new SamplingTraceState();
      assert.ok(again.parse(state.toString()));
      assert.deepEqual([again.rv, again.th, again.toString()], [state.rv, state.th, state.toString()]);
    }),
  );
});
