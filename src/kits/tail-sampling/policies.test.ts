import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { fnv1a64 } from "#formats/hashes";
import {
  always,
  composite,
  condition,
  type Decide,
  DROPPED,
  every,
  FAILED,
  limited,
  NOT_SAMPLED,
  not,
  probabilistic,
  SAMPLED,
  spanCount,
  type TraceFacts,
} from "./policies.ts";

function facts(given: Partial<TraceFacts> = {}): TraceFacts {
  return { holds: () => false, fails: () => false, spans: 1, bytes: 100, id: Buffer.alloc(16), now: 0, ...given };
}
const yes = always;
const no = not(always);
const fails: Decide = () => FAILED;

test("policies of policies", () => {
  assert.equal(every([yes, yes])(facts()), SAMPLED);
  assert.equal(every([yes, no, fails])(facts()), NOT_SAMPLED);
  assert.equal(every([yes, fails, no])(facts()), FAILED);
  assert.equal(every([yes, yes], DROPPED)(facts()), DROPPED);
  assert.equal(every([yes, no], DROPPED)(facts()), NOT_SAMPLED);
  assert.equal(not(no)(facts()), SAMPLED);
  assert.equal(not(fails)(facts()), FAILED);
  const third = facts({ holds: (number) => number === 3 });
  assert.equal(condition(3)(third), SAMPLED);
  assert.equal(condition(2)(third), NOT_SAMPLED);
  assert.equal(condition(3, true)(third), NOT_SAMPLED);
  assert.equal(condition(2, true)(third), SAMPLED);
  assert.equal(condition(3)(facts({ fails: () => true })), FAILED);
});

test("numbers of spans", () => {
  const outcome = (least: number, most: number, spans: number) => spanCount(least, most)(facts({ spans }));
  assert.equal(outcome(2, 0, 2), SAMPLED);
  assert.equal(outcome(2, 0, 1), NOT_SAMPLED);
  assert.equal(outcome(2, 3, 3), SAMPLED);
  assert.equal(outcome(2, 3, 4), NOT_SAMPLED);
});

test("a part of all traces is that of their hashes", () => {
  for (const [percent, salt] of [
    [33.3, ""],
    [50, "salt"],
    [0.1, "ä"],
    [99.99, "x"],
  ] as const) {
    const decide = probabilistic(percent, salt);
    const most = BigInt(Math.floor((percent / 100) * 2 ** 52)) << 12n;
    for (let i = 0; i < 200; i++) {
      const id = randomBytes(16);
      const hash = fnv1a64(Buffer.concat([Buffer.from(salt === "" ? "default-hash-seed" : salt), id]));
      // Not near enough to the bound for its last bits to matter.
      assert.equal(decide(facts({ id })), hash <= most ? SAMPLED : NOT_SAMPLED);
    }
  }
  for (const id of [Buffer.alloc(16), randomBytes(16)]) {
    assert.equal(probabilistic(100, "")(facts({ id })), SAMPLED);
    assert.equal(probabilistic(250, "")(facts({ id })), SAMPLED);
    assert.equal(probabilistic(0, "")(facts({ id })), NOT_SAMPLED);
    assert.equal(probabilistic(-1, "")(facts({ id })), NOT_SAMPLED);
  }
});

test("a rate lets a burst through and fills up again", () => {
  const decide = limited(10, 20, ({ spans }) => spans);
  assert.equal(decide(facts({ spans: 21 })), NOT_SAMPLED, "more than the burst never passes");
  assert.equal(decide(facts({ spans: 15 })), SAMPLED);
  assert.equal(decide(facts({ spans: 6 })), NOT_SAMPLED);
  assert.equal(decide(facts({ spans: 5 })), SAMPLED);
  assert.equal(decide(facts({ spans: 6, now: 500 })), NOT_SAMPLED, "a refusal takes nothing");
  assert.equal(decide(facts({ spans: 5, now: 500 })), SAMPLED);
  assert.equal(decide(facts({ spans: 20, now: 60_000 })), SAMPLED);
  assert.equal(decide(facts({ spans: 1, now: 50_000 })), NOT_SAMPLED, "a clock that is set back gives nothing");
  assert.equal(limited(0, 10, () => 1)(facts()), NOT_SAMPLED, "a rate of 0 has no burst either");
});

test("the first part of a composite that samples decides, within its rate for the second", () => {
  const parts = [
    { decide: condition(0), spansPerSecond: 3 },
    { decide: yes, spansPerSecond: 2 },
  ];
  const decide = composite(parts, 10);
  const first = { holds: (number: number) => number === 0 };
  assert.equal(decide(facts({ ...first, spans: 2 })), SAMPLED);
  assert.equal(decide(facts({ ...first, spans: 2 })), NOT_SAMPLED, "the second part is not asked");
  assert.equal(decide(facts({ ...first, spans: 1 })), SAMPLED);
  assert.equal(decide(facts({ spans: 2 })), SAMPLED);
  assert.equal(decide(facts({ spans: 1, now: 999 })), NOT_SAMPLED);
  assert.equal(decide(facts({ spans: 1, now: 1000 })), SAMPLED);
  assert.equal(composite([{ decide: fails, spansPerSecond: 5 }, ...parts], 10)(facts()), FAILED);
  assert.equal(composite([{ decide: yes, spansPerSecond: 5 }], 1)(facts({ spans: 2 })), NOT_SAMPLED);
});
