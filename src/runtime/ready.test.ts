import assert from "node:assert/strict";
import { test } from "node:test";
import { s } from "#lang/schema";
import { type ComponentDefinition, defineComponent } from "#pipeline/component";
import { testController } from "./controller.testing.ts";

/** A component that has its export a moment after its start, and one that uses it. */
function setUp(inert: boolean) {
  const state = { asked: 0, failure: undefined as Error | undefined, disposed: 0, used: [] as string[] };
  const late = defineComponent({
    name: "test.late",
    stability: "generally-available",
    summary: "Has its export a moment after its start.",
    example: 'test.late "a" { }\n',
    args: s.object({}),
    exports: s.object({ content: s.string().doc("What came.") }),
    start(ctx) {
      ctx.export({ content: "nothing" });
      ctx.stack.defer(() => void (state.disposed += 1));
      return {
        async ready(signal) {
          state.asked += 1;
          await ctx.clock.sleep(10, signal);
          if (state.failure !== undefined) throw state.failure;
          ctx.export({ content: "the answer" });
        },
      };
    },
  });
  const user = defineComponent({
    name: "test.user",
    stability: "generally-available",
    summary: "Uses a text.",
    example: 'test.user "a" { text = "x" }\n',
    args: s.object({ text: s.string() }),
    start: (_, { text }) => void state.used.push(text),
  });
  const controller = testController([late, user] as unknown as ComponentDefinition[], { inert });
  const load = () =>
    controller.load(
      [{ name: "a", text: 'test.user "u" {\n  text = test.late.l.content\n}\ntest.late "l" { }\n' }],
      "/",
    );
  return { state, controller, load };
}

test("what is only there after a moment is waited for before anything that refers to it is evaluated", async () => {
  const { state, controller, load } = setUp(false);
  await load();
  assert.deepEqual(state.used, ["the answer"]);
  await controller.stop(1_000);
  assert.equal(state.disposed, 1);
});

test("if it does not come, the load fails as if the component could not be built", async () => {
  const { state, controller, load } = setUp(false);
  state.failure = new Error("nobody answers");
  await assert.rejects(load(), /Failed to build component: nobody answers/);
  assert.deepEqual([state.used, state.disposed], [[], 1]);
  state.failure = undefined;
  await load();
  assert.deepEqual([state.used, state.asked], [["the answer"], 2]);
  await controller.stop(1_000);
});

test("where nothing runs nothing is asked for", async () => {
  const { state, controller, load } = setUp(true);
  await load();
  assert.deepEqual([state.used, state.asked], [["nothing"], 0]);
  await controller.stop(1_000);
});
