import assert from "node:assert/strict";
import { test } from "node:test";
import { AdjustedCounts, sampledShare } from "./adjusted-count.ts";

const ALL = 2n ** 56n;

test("the threshold of a trace state says what share was sampled", () => {
  assert.equal(sampledShare("ot=th:8"), ALL / 2n);
  assert.equal(sampledShare("ot=th:c"), ALL / 4n);
  assert.equal(sampledShare("ot=th:0"), ALL);
  assert.equal(sampledShare("ot=th:C0"), ALL / 4n);
  assert.equal(sampledShare("ot=th:ffffffffffffff"), 1n);
  assert.equal(sampledShare("a=b, ot=rv:00000000000001;th:c;x:y\t,c@d=e,"), ALL / 4n);
});

test("a state without one, or with a syntax error anywhere, says nothing", () => {
  const many = (n: number) => `${Array.from({ length: n }, (_, i) => `a${i}=b`).join(",")},ot=th:8`;
  const states = ["", "a=b", "foot=th:8", "ot=rv:00000000000001", "ot=", "ot=th:", "ot=th:g", "ot=th:000000000000000"]
    .concat([
      "ot=th:8;",
      "ot=;th:8",
      "ot=th:8;rv:1",
      "ot=TH:8",
      "ot=th:8,=b",
      "ot=th:8,b",
      "ot=th:8,B=c",
      "ot=th:8,b=c=d",
    ])
    .concat([`ot=th:8,a=${"x".repeat(257)}`, `ot=th:8,${"a".repeat(257)}=b`, `ot=th:8,a@${"b".repeat(15)}=c`, many(31)])
    .concat([`ot=th:8;a:${"x".repeat(256)}`, `ot=th:8,a=${" ".repeat(1100)}b`, "ot=th:8,a=\u00e9"]);
  for (const state of states) assert.equal(sampledShare(state), undefined, state);
  assert.equal(sampledShare(many(30)), ALL / 2n);
});

test("counts are rounded so that sums are right", () => {
  const counts = new AdjustedCounts(() => 0.4);
  const of = (state: string) => counts.of(Buffer.from(`<${state}>`), 1, 1 + state.length);
  assert.equal(of(""), 1);
  assert.equal(of("ot=th:8"), 2);
  assert.equal(of("ot=th:8"), 2);
  assert.equal(of("nothing"), 1);
  // 2.67 is rounded up with a chance of two thirds, 1.33 with one of one third.
  assert.equal(of("ot=th:a"), 3);
  assert.equal(of("ot=th:4"), 1);
});
