import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { CollectAfterLoad } from "./collect-after-load.ts";

/** What nobody holds, in a function of its own so that no stack frame holds it either. */
function garbage(): WeakRef<object> {
  return new WeakRef({ garbage: Array.from({ length: 10_000 }, (_, i) => ({ i })) });
}

function start(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  /** Moves the time on. A reference that was looked at holds its object until the next turn of the event loop. */
  const pass = async (ms: number) => {
    await setImmediate();
    t.mock.timers.tick(ms);
  };
  return { collector: new CollectAfterLoad(100), pass };
}

test("what a load left behind is collected once, some time after the last load", async (t) => {
  const { collector, pass } = start(t);
  const left = garbage();
  collector.loaded();
  await pass(60);
  collector.loaded();
  await pass(60);
  assert.ok(left.deref() !== undefined, "the second load came before the time was over");
  await pass(60);
  assert.equal(left.deref(), undefined);
  const later = garbage();
  await pass(1_000);
  assert.ok(later.deref() !== undefined, "there is no second collection");
});

test("an agent that stops collects nothing", async (t) => {
  const { collector, pass } = start(t);
  const left = garbage();
  collector.loaded();
  collector[Symbol.dispose]();
  await pass(1_000);
  assert.ok(left.deref() !== undefined);
});
