import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { KafkaClaim } from "./claim.ts";

const accounts = {
  acknowledgement: (_items: number, _bytes: number, onSafe: () => void) => new Acknowledgement(onSafe),
  forget: () => {},
};

test("only what is safe is committed, in whatever order it becomes so", () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant("hand on" as const), messages: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant("refused" as const), messages: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant("nothing for users" as const), messages: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant("safe" as const), messages: fc.nat(20) }),
      fc.record({ kind: fc.constant("begin" as const), messages: fc.nat(20) }),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const claim = new KafkaClaim("t", 0, false, accounts, () => {});
      claim.begin(100);
      let waiting: { readonly from: number; readonly acknowledgement: Acknowledgement }[] = [];
      const stale: Acknowledgement[] = [];
      for (const { kind, messages } of all) {
        const next = claim.position + messages;
        if (kind === "hand on") {
          waiting.push({ from: claim.position, acknowledgement: claim.add(next, messages, 1).acknowledgement });
          claim.accepted(next);
        } else if (kind === "refused") {
          const before = claim.position;
          claim.add(next, messages, 1).cancel();
          assert.equal(claim.position, before);
        } else if (kind === "nothing for users") claim.skip(next);
        else if (kind === "begin") {
          stale.push(...waiting.map((each) => each.acknowledgement));
          waiting = [];
          claim.begin(1_000 + messages);
        } else if (messages < waiting.length) waiting.splice(messages, 1)[0]!.acknowledgement.release();
        else stale.splice(0).forEach((each) => void each.release()); // says nothing about where it began anew
        // Exactly what comes before the first message that is not safe.
        assert.equal(claim.committed, waiting[0]?.from ?? claim.position);
      }
    }),
  );
});

test("what is safe and not committed is what a crash would repeat, and it is told when there is more of it", () => {
  let told = 0;
  const claim = new KafkaClaim("t", 0, false, accounts, () => void (told += 1));
  assert.equal(claim.uncommitted, 0);
  claim.begin(100);
  claim.sent = 100;
  const first = claim.add(110, 10, 1);
  claim.accepted(110);
  const second = claim.add(130, 20, 1);
  claim.accepted(130);
  assert.deepEqual([claim.uncommitted, told], [0, 0]);
  second.acknowledgement.release();
  assert.deepEqual([claim.uncommitted, told], [0, 0]);
  first.acknowledgement.release();
  assert.deepEqual([claim.uncommitted, told], [30, 1]);
  claim.sent = 130;
  assert.equal(claim.uncommitted, 0);
});

test("pauses grow while a partition cannot be read, and the lag is what is not safe", () => {
  const claim = new KafkaClaim("t", 3, false, accounts, () => {});
  assert.equal(claim.lag, -1);
  claim.begin(10);
  claim.highWatermark = 30;
  const { acknowledgement } = claim.add(20, 10, 1);
  claim.accepted(20);
  assert.deepEqual([claim.lag, claim.outstanding], [20, 1]);
  acknowledgement.release();
  assert.deepEqual([claim.lag, claim.outstanding], [10, 0]);
  const pauses = Array.from({ length: 8 }, () => {
    claim.failed("why", 1_000);
    return claim.retryAt - 1_000;
  });
  assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
  claim.worked();
  assert.deepEqual([claim.problem, claim.retryAt], [undefined, 0]);
});
