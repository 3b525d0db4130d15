import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RECENT_DROPS_MS, RecentDrops } from "./recent-drops.ts";

test("whatever comes when, exactly the last five minutes count, and the log is told of each item once", () => {
  const steps = fc.array(
    fc.record({
      pass: fc.integer({ min: 0, max: 400_000 }),
      reason: fc.constantFrom("a", "b"),
      items: fc.integer({ min: 1, max: 9 }),
    }),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (drops) => {
      const recent = new RecentDrops();
      let now = 1_700_000_000_000;
      const all: { reason: string; items: number; minute: number; now: number }[] = [];
      for (const { pass, reason, items } of drops) {
        now += pass;
        const logged = recent.add(reason, items, `because of ${now}`, now);
        assert.ok(logged === undefined || logged >= items);
        const minute = Math.floor(now / 60_000);
        all.push({ reason, items, minute, now });
        for (const each of ["a", "b"]) {
          const own = all.filter((one) => one.reason === each && minute - one.minute < 5);
          const found = recent.recent(now).find((one) => one.reason === each);
          assert.equal(
            found?.items ?? 0,
            own.reduce((sum, one) => sum + one.items, 0),
          );
          if (found !== undefined) assert.equal(found.text, `because of ${own.at(-1)!.now}`);
        }
      }
      assert.deepEqual(recent.recent(now + RECENT_DROPS_MS), []);
    }),
  );
});
