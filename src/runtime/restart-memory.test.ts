import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemClock } from "#base/clock";
import { s } from "#lang/schema";
import { type ComponentDefinition, defineComponent } from "#pipeline/component";
import { testController } from "./controller.testing.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

test("a component that a reload restarts leaves nothing of its earlier lives in memory", async () => {
  const lives: WeakRef<object>[] = [];
  const definition = defineComponent({
    name: "test.held",
    stability: "generally-available",
    summary: "Holds something.",
    example: 'test.held "a" { value = 1 }\n',
    args: s.object({ value: s.int() }),
    exports: s.object({ value: s.int() }),
    start(ctx, { value }) {
      const held = { value };
      lives.push(new WeakRef(held));
      ctx.export({ value });
      return { debugInfo: () => held };
    },
  });
  const controller = testController([definition] as unknown as ComponentDefinition[]);
  for (let value = 0; value < 10; value++) {
    await controller.load([{ name: "a", text: `test.held "a" { value = ${value} }\n` }], "/");
  }
  await systemClock.sleep(10);
  collectGarbage();
  assert.equal(lives.length, 10);
  assert.equal(lives.filter((life) => life.deref() !== undefined).length, 1);
  await controller.stop(1_000);
});
