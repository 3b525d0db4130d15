import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CommitQueue } from "./commit-queue.ts";

test("commits what was acknowledged without a gap, in whatever order", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }),
      fc.infiniteStream(fc.nat()),
      (sizes, random) => {
        const queue = new CommitQueue(() => {});
        let end = 0;
        const batches = sizes.map((size) => ({ end: (end += size), safe: false, ...queue.add(end) }));
        const left = [...batches];
        for (const choice of random) {
          if (left.length === 0) break;
          const [batch] = left.splice(choice % left.length, 1);
          batch!.safe = true;
          batch!.acknowledgement.release();
          const gap = batches.findIndex((each) => !each.safe);
          assert.equal(queue.committed, gap < 0 ? end : gap === 0 ? 0 : batches[gap - 1]!.end);
        }
        assert.equal(queue.outstanding, 0);
      },
    ),
  );
});

test("forgets batches at a reset and those that were taken back", () => {
  let commits = 0;
  const queue = new CommitQueue(() => commits++);
  const old = queue.add(10);
  queue.reset(0);
  old.acknowledgement.release();
  assert.deepEqual([queue.committed, commits], [0, 0]);
  queue.add(5).cancel();
  const again = queue.add(5);
  again.acknowledgement.release();
  assert.deepEqual([queue.committed, commits, queue.outstanding], [5, 1, 0]);
});
