import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Flow } from "#pipeline/flow";
import { CommitQueue } from "./commit-queue.ts";

test("commits what was acknowledged without a gap, in whatever order", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20, size: "max" }),
      fc.infiniteStream(fc.nat()),
      (sizes, random) => {
        const flow = new Flow(() => 7);
        const queue = new CommitQueue(flow, () => {});
        let end = 0;
        const batches = sizes.map((size) => ({ end: (end += size), size, safe: false, ...queue.add(end, 1, size) }));
        const left = [...batches];
        for (const choice of random) {
          if (left.length === 0) break;
          const [batch] = left.splice(choice % left.length, 1);
          batch!.safe = true;
          batch!.acknowledgement.release();
          const gap = batches.findIndex((each) => !each.safe);
          assert.equal(queue.committed, gap < 0 ? end : gap === 0 ? 0 : batches[gap - 1]!.end);
          const open = batches.filter((each) => !each.safe);
          assert.deepEqual(flow.unacknowledged, {
            items: open.length,
            bytes: open.reduce((sum, each) => sum + each.size, 0),
            oldest: open.length === 0 ? undefined : 7,
          });
        }
        assert.equal(queue.outstanding, 0);
      },
    ),
  );
});

test("forgets batches at a reset and those that were taken back", () => {
  let commits = 0;
  const flow = new Flow(() => 0);
  const queue = new CommitQueue(flow, () => commits++);
  const old = queue.add(10, 3, 10);
  assert.equal(flow.unacknowledged.items, 3);
  queue.reset(0);
  assert.equal(flow.unacknowledged.items, 0, "it will be read again, whatever becomes of it");
  old.acknowledgement.release();
  assert.deepEqual([queue.committed, commits], [0, 0]);
  queue.add(5, 2, 5).cancel();
  assert.equal(flow.unacknowledged.items, 0);
  const again = queue.add(5, 2, 5);
  assert.deepEqual(flow.unacknowledged, { items: 2, bytes: 5, oldest: 0 });
  again.acknowledgement.release();
  assert.deepEqual([queue.committed, commits, queue.outstanding], [5, 1, 0]);
  assert.equal(flow.unacknowledged.items, 0);
});
