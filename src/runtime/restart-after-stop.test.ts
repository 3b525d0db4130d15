import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "#base/clock";
import { s } from "#lang/schema";
import { type ComponentDefinition, defineComponent } from "#pipeline/component";
import { testController } from "./controller.testing.ts";

test("a component that waits for its next attempt to start is not started once the agent stops", async () => {
  let starts = 0;
  const failing = defineComponent({
    name: "test.failing",
    stability: "generally-available",
    summary: "Starts once, fails, and cannot be built again for a while.",
    example: 'test.failing "a" { }\n',
    args: s.object({}),
    start(ctx) {
      starts += 1;
      if (starts === 2) throw new Error("cannot be built");
      ctx.run(async () => {
        throw new Error("no luck");
      });
    },
  });
  const slow = defineComponent({
    name: "test.slow",
    stability: "generally-available",
    summary: "Takes its time to stop.",
    example: 'test.slow "a" { }\n',
    args: s.object({ after: s.any().default(null) }),
    start: () => ({ drain: () => new Promise((resolve) => setTimeout(resolve, 2_500)) }),
  });
  const controller = testController([failing, slow] as unknown as ComponentDefinition[]);
  // The last block stops first, and while it does the pause of the other one ends.
  await controller.load([{ name: "a", text: 'test.failing "a" { }\ntest.slow "a" { }\n' }], "/");
  while (starts < 2) await systemClock.sleep(20);
  await controller.stop(10_000);
  await systemClock.sleep(100);
  assert.equal(starts, 2);
});
