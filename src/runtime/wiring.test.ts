import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { s } from "#lang/schema";
import { type ComponentDefinition, defineComponent } from "#pipeline/component";
import { testController } from "./controller.testing.ts";
import type { Controller } from "./controller.ts";
import { wiringProblems } from "./wiring.ts";

const forwardTo = s.list(s.consumer("logs"));

const sink = defineComponent({
  name: "test.write",
  stability: "generally-available",
  summary: "Takes logs.",
  example: 'test.write "a" { }\n',
  args: s.object({ handler: s.capsule<object>("test.Handler").optional() }),
  exports: s.object({ receiver: s.consumer("logs") }),
  start(ctx) {
    ctx.export({ receiver: ctx.receiver("logs", (batch) => batch.acknowledgement.release()) });
  },
});

const processor = defineComponent({
  name: "test.process",
  stability: "generally-available",
  summary: "Hands logs on.",
  example: 'test.process "a" {\n  forward_to = []\n}\n',
  args: s.object({ forward_to: forwardTo, "stage.metrics": s.blocks(s.object({})) }),
  exports: s.object({ receiver: s.consumer("logs"), rules: s.capsule<object>("test.Rules") }),
  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    ctx.export({ receiver: ctx.receiver("logs", (batch, signal) => out.consume(batch, signal)), rules: {} });
  },
});

const source = defineComponent({
  name: "test.source",
  stability: "generally-available",
  summary: "Makes logs.",
  example: 'test.source "a" {\n  output { }\n}\n',
  args: s.object({
    targets: s.targets().default([]),
    rules: s.capsule<object>("test.Rules").optional(),
    output: s.block(s.object({ logs: forwardTo.default([]) })).required(),
  }),
  start(ctx, args) {
    ctx.fanout("logs", args.output.logs);
  },
});

const targets = defineComponent({
  name: "test.targets",
  stability: "generally-available",
  summary: "Finds targets.",
  example: 'test.targets "a" { }\n',
  args: s.object({ targets: s.targets().default([]) }),
  exports: s.object({ output: s.targets() }),
  start(ctx) {
    ctx.export({ output: [] });
  },
});

const auth = defineComponent({
  name: "test.auth",
  stability: "generally-available",
  summary: "Has credentials.",
  example: 'test.auth "a" { }\n',
  args: s.object({}),
  exports: s.object({ handler: s.capsule<object>("test.Handler") }),
  start(ctx) {
    ctx.export({ handler: {} });
  },
});

/** Of use without anybody in the configuration: it listens, and its address is for others to know. */
const page = defineComponent({
  name: "test.page",
  stability: "generally-available",
  summary: "Has an address.",
  example: 'test.page "a" { }\n',
  args: s.object({}),
  exports: s.object({ url: s.string() }),
  start(ctx) {
    ctx.export({ url: "http://127.0.0.1:1" });
  },
});

const definitions = [sink, processor, source, targets, auth, page] as unknown as ComponentDefinition[];

async function load(t: TestContext, text: string): Promise<Controller> {
  const controller = testController(definitions, { inert: true });
  t.after(() => controller.stop(0));
  await controller.load([{ name: "test.alloy", text }], "/etc/invar");
  return controller;
}

async function problems(t: TestContext, text: string): Promise<Record<string, string>> {
  return Object.fromEntries(wiringProblems(await load(t, text)));
}

const WRITE = 'test.write "w" { }\n';
const FEED = 'test.source "s" {\n  output {\n    logs = [test.write.w.receiver]\n  }\n}\n';

test("what is wired as it should be gives no warning", async (t) => {
  const sound: Readonly<Record<string, string>> = {
    "a source and a sink": WRITE + FEED,
    "a chain": `${WRITE}test.process "p" { forward_to = [test.write.w.receiver] }
      test.source "s" { output { logs = [test.process.p.receiver] } }`,
    "a branch of which one arm ends": `${WRITE}test.process "counting" {
        stage.metrics { }
        forward_to = []
      }
      test.source "s" { output { logs = [test.process.counting.receiver, test.write.w.receiver] } }`,
    "a component that is there for its rules": `${WRITE}test.process "rules" { forward_to = [] }
      test.source "s" {
        rules = test.process.rules.rules
        output { logs = [test.write.w.receiver] }
      }`,
    "targets that are read": `${WRITE}test.targets "a" { }
      test.targets "b" { targets = test.targets.a.output }
      test.source "s" {
        targets = test.targets.b.output
        output { logs = [test.write.w.receiver] }
      }`,
    "a handler that is used": `test.auth "a" { }
      test.write "w" { handler = test.auth.a.handler }
      ${FEED}`,
    "an address that nobody refers to": 'test.page "p" { }',
    "the agent's own log": `${WRITE}logging { write_to = [test.write.w.receiver] }`,
    "a custom component with everything inside": `declare "all" {
        ${WRITE}${FEED}
        export "receiver" { value = test.write.w.receiver }
      }
      all "a" { }`,
    "data into and out of a custom component": `${WRITE}declare "middle" {
        argument "to" { }
        test.process "p" { forward_to = argument.to.value }
        export "receiver" { value = test.process.p.receiver }
      }
      middle "m" { to = [test.write.w.receiver] }
      test.source "s" { output { logs = [middle.m.receiver] } }`,
    "one of two exports": `declare "two" {
        test.write "a" { }
        test.write "b" { }
        export "a" { value = test.write.a.receiver }
        export "b" { value = test.write.b.receiver }
      }
      two "t" { }
      test.source "s" { output { logs = [two.t.a] } }`,
    "a custom component that is used in another's definition": `${WRITE}declare "inner" {
        argument "to" { }
        test.source "s" { output { logs = argument.to.value } }
      }
      declare "outer" {
        argument "to" { }
        inner "i" { to = argument.to.value }
      }
      outer "o" { to = [test.write.w.receiver] }`,
    "a foreach without items": `${WRITE}foreach "f" {
        collection = []
        var = "x"
        template {
          test.source "s" { output { logs = [test.write.w.receiver] } }
        }
      }`,
    "a foreach with items": `${WRITE}foreach "f" {
        collection = [1, 2]
        var = "x"
        template {
          test.source "s" { output { logs = [test.write.w.receiver] } }
        }
      }`,
    "imported definitions that nobody needs": `import.string "lib" {
        content = "declare \\"a\\" { argument \\"x\\" { optional = true } }\\ndeclare \\"b\\" { }"
      }
      lib.a "one" { }`,
    "a custom component that only computes": `declare "one" { export "value" { value = 1 } }\none "o" { }`,
  };
  for (const [name, text] of Object.entries(sound))
    await t.test(name, async (t) => assert.deepEqual(await problems(t, text), {}));
});

test("what goes nowhere or never comes is told, with what to do", async (t) => {
  const broken: Readonly<Record<string, readonly [text: string, expected: Readonly<Record<string, RegExp>>]>> = {
    "a sink that nothing feeds": [
      WRITE,
      {
        "test.write.w":
          /^nothing feeds it: no component forwards to test\.write\.w\.receiver; put that into a forward_to/,
      },
    ],
    "a source with nowhere to go": [
      'test.source "s" { output { } }',
      { "test.source.s": /^it forwards to nothing: output is empty, and its data is dropped/ },
    ],
    "a processor between nothing and nothing": [
      'test.process "p" { forward_to = [] }',
      { "test.process.p": /^nothing feeds it: .*; it forwards to nothing: forward_to is empty/ },
    ],
    "a chain that ends in nothing": [
      `test.process "b" { forward_to = [] }
       test.process "a" { forward_to = [test.process.b.receiver] }
       test.source "s" { output { logs = [test.process.a.receiver] } }`,
      {
        "test.process.b": /^it forwards to nothing/,
        "test.process.a": /^its data reaches no destination: it ends at test\.process\.b, which forwards to nothing/,
        "test.source.s": /^its data reaches no destination: it ends at test\.process\.b, /,
      },
    ],
    "a fork of which both arms end in nothing": [
      `test.process "a" { forward_to = [] }
       test.process "b" { forward_to = [] }
       test.source "s" { output { logs = [test.process.a.receiver, test.process.b.receiver] } }`,
      {
        "test.process.a": /^it forwards to nothing/,
        "test.process.b": /^it forwards to nothing/,
        "test.source.s": /ends at test\.process\.a and 1 more, which/,
      },
    ],
    "targets that nobody reads": [
      'test.targets "t" { }',
      { "test.targets.t": /^nothing reads its targets: give test\.targets\.t\.output to a component/ },
    ],
    "a handler that nobody uses": [
      'test.auth "a" { }',
      { "test.auth.a": /^nothing uses it: refer to test\.auth\.a\.handler/ },
    ],
    "a definition that nobody uses": [
      `declare "unused" { declare "inner" { } }`,
      { "declare.unused": /^nothing uses it: write unused "NAME" \{ … \} to run/ },
    ],
    "a definition inside of one, and an argument, that nobody uses": [
      `declare "outer" {
         argument "x" { optional = true }
         declare "inner" { }
       }
       outer "o" { }`,
      {
        "outer.o/argument.x": /^nothing uses it: no block of the custom component refers to argument\.x\.value/,
        "outer.o/declare.inner": /^nothing uses it: write inner "NAME"/,
      },
    ],
    "a custom component that nothing feeds": [
      `declare "out" {
         ${WRITE}
         export "receiver" { value = test.write.w.receiver }
       }
       out "o" { }`,
      { "out.o": /^nothing feeds it: no component forwards to out\.o\.receiver; put that into a forward_to/ },
    ],
    "a sink inside of a custom component that nothing feeds": [
      `declare "all" { ${WRITE} }\nall "a" { }`,
      { "all.a/test.write.w": /^nothing feeds it: no component forwards to test\.write\.w\.receiver/ },
    ],
    "a custom component whose argument leads nowhere": [
      `declare "in" {
         argument "to" {
           optional = true
           default = []
         }
         test.source "s" { output { logs = argument.to.value } }
       }
       in "i" { }`,
      { "in.i/test.source.s": /^it forwards to nothing/ },
    ],
    "targets of a custom component that nobody reads": [
      `declare "found" { export "targets" { value = [{ a = "b" }] } }\nfound "f" { }`,
      { "found.f": /^nothing reads its targets: give found\.f\.targets/ },
    ],
  };
  for (const [name, [text, expected]] of Object.entries(broken)) {
    await t.test(name, async (t) => {
      const found = await problems(t, text);
      assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
      for (const [id, pattern] of Object.entries(expected)) assert.match(found[id]!, pattern);
    });
  }
});

test("data cannot go in a circle, so no rule looks for one", async (t) => {
  const circle = `test.process "a" { forward_to = [test.process.b.receiver] }
    test.process "b" { forward_to = [test.process.a.receiver] }`;
  await assert.rejects(load(t, circle), /cycle: test\.process\.a → test\.process\.b → test\.process\.a/);
});

test("nothing begins in an inert controller", async (t) => {
  let began = false;
  const eager = defineComponent({
    name: "test.eager",
    stability: "generally-available",
    summary: "Begins at once.",
    example: 'test.eager "a" { }\n',
    args: s.object({}),
    start(ctx) {
      ctx.run(async () => void (began = true));
    },
  }) as unknown as ComponentDefinition;
  definitions.push(eager);
  t.after(() => void definitions.pop());
  const controller = await load(t, 'test.eager "a" { }');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(began, false);
  assert.equal(controller.component("test.eager.a")!.health.state, "unknown");
});
