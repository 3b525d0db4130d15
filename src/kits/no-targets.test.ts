import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { NoTargets } from "./no-targets.ts";

test("says for how long there have been no targets, and who should have given some", () => {
  let now = 0;
  const clock = { ...systemClock, now: () => now };
  const sources: string[] = [];
  const watch = new NoTargets({ clock, references: () => sources });
  watch.update(0);
  now += 40_000;
  watch.update(0);
  assert.deepEqual(watch.judge(), {
    state: "idle",
    cause: "`targets` is empty, and has been for 40 s since the start: nothing is configured to give any",
  });
  sources.push("discovery.dns.web");
  assert.match(watch.judge()!.cause, /: discovery\.dns\.web gives none; look at its status$/);
  watch.update(3);
  assert.equal(watch.judge(), undefined);
  watch.update(0);
  now += 180_000;
  sources.push("discovery.relabel.db");
  assert.equal(
    watch.judge()!.cause,
    "`targets` has been empty for 3 min: discovery.dns.web and discovery.relabel.db give none; look at their status",
  );
});
