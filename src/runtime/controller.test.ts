import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { inspect } from "node:util";
import { createLogger, formatJson, type LogRecord } from "#base/log";
import { type Diagnostic, DiagnosticError } from "#lang/diagnostic";
import { s } from "#lang/schema";
import { Capsule, Secret, type Value } from "#lang/value";
import { type ComponentContext, type ComponentDefinition, defineComponent } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { testServices } from "#pipeline/testing";
import { ComponentNode } from "./component-node.ts";
import { testController } from "./controller.testing.ts";

/** What the test components did, in order. */
let events: string[] = [];
const contexts = new Map<string, ComponentContext<{ value: Value }>>();

const value = defineComponent({
  name: "test.value",
  stability: "generally-available",
  summary: "Exports what it is given.",
  example: 'test.value "a" {\n  input = 1\n}\n',
  args: s.object({
    input: s.any(),
    fail: s.bool().default(false),
    late: s.bool().default(false),
    pace: s.duration().default("1s").withoutEffect("nothing is paced"),
  }),
  exports: s.object({ value: s.any() }),
  start(ctx, args) {
    events.push(`start ${ctx.id}`);
    contexts.set(ctx.id, ctx);
    if (args.fail) throw new Error("told to fail");
    if (!args.late) ctx.export({ value: args.input });
    ctx.run(async (signal) => {
      events.push(`run ${ctx.id}`);
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      events.push(`end ${ctx.id}`);
    });
    ctx.stack.defer(() => void events.push(`dispose ${ctx.id}`));
    return {
      update(next) {
        events.push(`update ${ctx.id}`);
        if (next.fail) throw new Error("told to refuse");
        ctx.export({ value: next.input });
      },
      async drain() {
        events.push(`drain ${ctx.id}`);
      },
    };
  },
});

const restarting = defineComponent({
  name: "test.restarting",
  stability: "generally-available",
  summary: "Has no update.",
  example: 'test.restarting "a" {\n  input = 1\n}\n',
  args: s.object({ input: s.any() }),
  exports: s.object({ value: s.any() }),
  start(ctx, args) {
    events.push(`start ${ctx.id}`);
    ctx.export({ value: args.input });
    ctx.run(async () => void events.push(`run ${ctx.id} ${args.input}`));
    ctx.stack.defer(() => void events.push(`dispose ${ctx.id} ${args.input}`));
  },
});

const experimental = defineComponent({ ...restarting, name: "test.experimental", stability: "experimental" });
const community = defineComponent({ ...restarting, name: "test.community", community: true });

const sink = defineComponent({
  name: "test.sink",
  stability: "generally-available",
  summary: "Takes logs.",
  example: 'test.sink "a" { }\n',
  args: s.object({}),
  exports: s.object({ receiver: s.consumer("logs") }),
  start(ctx) {
    ctx.export({ receiver: ctx.receiver("logs", (batch) => batch.acknowledgement.release()) });
  },
});

const source = defineComponent({
  name: "test.source",
  stability: "generally-available",
  summary: "Has consumers.",
  example: 'test.source "a" {\n  forward_to = []\n}\n',
  args: s.object({ forward_to: s.list(s.consumer("logs")), password: s.secret().optional() }),
  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    return { update: (next) => out.set(next.forward_to) };
  },
});

const definitions = [value, restarting, experimental, community, sink, source] as unknown as ComponentDefinition[];

function makeController(t: TestContext, options: { minimumStability?: "experimental" | "generally-available" } = {}) {
  events = [];
  contexts.clear();
  const logs: LogRecord[] = [];
  const controller = testController(definitions, {
    log: createLogger({ enabled: () => true, write: (record) => void logs.push(record) }),
    services: testServices({ minimumStability: options.minimumStability ?? "experimental" }),
    missing: ["prometheus.exporter.kafka"],
    removed: ["prometheus.write.queue"],
    storagePath: join(tmpdir(), "invar-controller-test"),
  });
  t.after(() => controller.stop(1_000));
  const load = (text: string) => controller.load([{ name: "test.alloy", text }], "/etc/invar");
  const exported = (id: string) => {
    for (const { node, module } of controller.nodes()) {
      if (module.environment.idOf(node.localId) === id) return node.exports;
    }
    throw new Error(`no node ${id}`);
  };
  const exportedValue = (id: string) => (exported(id) as ReadonlyMap<string, Value>).get("value");
  return { controller, load, exported, exportedValue, logs };
}

async function problems(loading: Promise<unknown>): Promise<readonly Diagnostic[]> {
  try {
    await loading;
  } catch (error) {
    if (error instanceof DiagnosticError) return error.diagnostics;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

async function eventually(check: () => boolean): Promise<void> {
  for (const end = performance.now() + 60_000; !check(); ) {
    if (performance.now() > end) throw new Error("did not come about");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("new exports are shown to whoever watches them, as long as somebody does", async (t) => {
  const { controller, load } = makeController(t);
  await load('test.value "a" {\n  input = 1\n}\n');
  const seen: Value[] = [];
  const stop = controller.component("test.value.a")!.tap.watchExports((exports) => void seen.push(exports));
  await load('test.value "a" {\n  input = 2\n}\n');
  assert.deepEqual(seen, [new Map([["value", 2]])]);
  stop();
  await load('test.value "a" {\n  input = 3\n}\n');
  assert.equal(seen.length, 1);
});

test("blocks are evaluated in the order of their references and run when all are built", async (t) => {
  const { load, exportedValue } = makeController(t);
  const report = await load(`
    test.value "b" { input = test.value.a.value + 1 }
    test.value "a" { input = 1 }
  `);
  assert.equal(exportedValue("test.value.b"), 2);
  assert.deepEqual(report.added, ["test.value.a", "test.value.b"]);
  assert.deepEqual(events, ["start test.value.a", "start test.value.b", "run test.value.a", "run test.value.b"]);
});

test("a warning of a component is logged once, however often its arguments are evaluated", async (t) => {
  const { load, logs, exportedValue } = makeController(t);
  const text = 'test.value "a" { input = 1 }\ntest.value "b" {\n  input = test.value.a.value\n  pace = "5s"\n}';
  await load(text);
  contexts.get("test.value.a")!.export({ value: 7 });
  await eventually(() => exportedValue("test.value.b") === 7);
  await load(text);
  const warnings = logs.filter(({ level }) => level === "warn").map(({ message }) => message);
  assert.deepEqual(warnings, ['"pace" has no effect: nothing is paced']);
});

test("a reload touches only what changed, and reports it", async (t) => {
  const { load, exportedValue } = makeController(t);
  await load(`
    test.value "a" { input = 1 }
    test.value "same" { input = "x" }
    test.restarting "r" { input = test.value.a.value }
    test.value "gone" { input = 0 }
  `);
  events = [];
  const report = await load(`
    test.value "a" { input = 2 }
    test.value "same" { input = "x" }
    test.restarting "r" { input = 5 }
    test.value "new" { input = 3 }
  `);
  assert.deepEqual(report, {
    added: ["test.value.new"],
    updated: ["test.value.a"],
    restarted: ["test.restarting.r"],
    removed: ["test.value.gone"],
  });
  assert.equal(exportedValue("test.value.a"), 2);
  assert.equal(exportedValue("test.restarting.r"), 5);
  assert.ok(!events.some((event) => event.includes("test.value.same")));
  assert.ok(events.indexOf("dispose test.restarting.r 1") < events.indexOf("run test.restarting.r 5"));
  assert.ok(events.includes("dispose test.value.gone"));
});

test("a reload that fails anywhere changes nothing", async (t) => {
  const { load, exportedValue, controller } = makeController(t);
  await load('test.value "a" { input = 1 }\ntest.value "b" { input = 10 }');
  events = [];
  const [problem] = await problems(
    load(
      'test.value "a" { input = 2 }\ntest.value "b" {\n  input = 11\n  fail = true\n}\ntest.value "c" { input = 1 }',
    ),
  );
  assert.match(problem!.message, /told to refuse/);
  assert.equal(exportedValue("test.value.a"), 1, "the update of a was undone");
  assert.equal(exportedValue("test.value.b"), 10);
  assert.equal(controller.component("test.value.c"), undefined);
  assert.ok(!events.includes("run test.value.c"));
  assert.deepEqual(
    (await problems(load('test.value "a" { input = 2 }\ntest.value "z" { input = 1, }'))).length > 0,
    true,
  );
  assert.equal(exportedValue("test.value.a"), 1);
});

test("every problem of a configuration is reported, with its place", async (t) => {
  const { load } = makeController(t, { minimumStability: "generally-available" });
  const text = `
    test.valu "typo" { input = 1 }
    prometheus.exporter.kafka "k" { }
    prometheus.write.queue "q" { }
    test.value "twice" { input = 1 }
    test.value "twice" { input = 2 }
    test.value { input = 1 }
    test.value "ref" { input = test.value.twise.value }
    test.source "s" { forward_to = [test.valu.typo.receiver] }
    test.value "attribute" { inptu = 1 }
    test.experimental "e" { input = 1 }
    test.community "c" { input = 1 }
    remotecfg { }
    stray = 1
  `;
  const found = await problems(load(text));
  const codes = found.map((each) => each.code).sort();
  assert.deepEqual(codes, [
    "config.attribute_at_top",
    "config.community",
    "config.duplicate_block",
    "config.missing_argument",
    "config.missing_label",
    "config.removed_component",
    "config.stability",
    "config.unknown_argument",
    "config.unknown_component",
    "config.unknown_reference",
    "config.unsupported",
    "config.unsupported_component",
  ]);
  for (const each of found) assert.ok(each.span !== undefined, each.message);
  assert.equal(found.find((each) => each.code === "config.unknown_component")!.hint, 'did you mean "test.value"?');
  assert.equal(
    found.find((each) => each.code === "config.unknown_reference")!.hint,
    "did you mean test.value.twice.value?",
  );
});

test("a cycle is printed", async (t) => {
  const { load } = makeController(t);
  const [problem] = await problems(
    load('test.value "a" { input = test.value.b.value }\ntest.value "b" { input = test.value.a.value }'),
  );
  assert.equal(problem!.message, "cycle: test.value.a → test.value.b → test.value.a");
});

test("changed exports reach dependants, once for many changes", async (t) => {
  const { load, exportedValue } = makeController(t);
  await load(
    'test.value "a" { input = 0 }\ntest.value "b" { input = test.value.a.value }\ntest.value "c" { input = test.value.b.value }',
  );
  events = [];
  for (let i = 1; i <= 100; i++) contexts.get("test.value.a")!.export({ value: i });
  await eventually(() => exportedValue("test.value.c") === 100);
  const updates = events.filter((event) => event === "update test.value.c").length;
  assert.ok(updates <= 3, `${updates} updates for 100 changes`);
});

test("a component whose task fails is unhealthy and starts again; its neighbours go on", async (t) => {
  const { load, controller } = makeController(t);
  let failures = 0;
  definitions.push(
    defineComponent({
      name: "test.failing",
      stability: "generally-available",
      summary: "Fails once.",
      example: 'test.failing "a" { }\n',
      args: s.object({}),
      start(ctx) {
        ctx.run(async () => {
          if (failures++ === 0) throw new Error("no luck");
        });
      },
    }) as unknown as ComponentDefinition,
  );
  t.after(() => void definitions.pop());
  await load('test.failing "a" { }\ntest.value "b" { input = 1 }');
  await eventually(() => controller.component("test.failing.a")!.health.state === "unhealthy");
  assert.match(controller.component("test.failing.a")!.health.message, /no luck/);
  assert.equal(controller.component("test.value.b")!.health.state, "healthy");
  await eventually(() => controller.component("test.failing.a")!.health.state === "healthy");
  assert.equal(failures, 2);
});

test("a component that cannot even be built again is tried again, and a reload may put it right", async (t) => {
  const { load, controller } = makeController(t);
  let starts = 0;
  definitions.push(
    defineComponent({
      name: "test.fragile",
      stability: "generally-available",
      summary: "Cannot be built the second time.",
      example: 'test.fragile "a" { }\n',
      args: s.object({ n: s.int().default(0) }),
      start(ctx) {
        starts += 1;
        if (starts === 2) throw new Error("not now");
        if (starts === 1) ctx.run(async () => Promise.reject(new Error("no luck")));
        ctx.stack.defer(() => void events.push(`dispose ${starts}`));
      },
    }) as unknown as ComponentDefinition,
  );
  t.after(() => void definitions.pop());
  await load('test.fragile "a" { }');
  const health = () => controller.component("test.fragile.a")!.health;
  await eventually(() => health().message.includes("not now"));
  assert.deepEqual(events, ["dispose 1"]);
  await load('test.fragile "a" { n = 1 }');
  assert.equal(starts, 3);
  assert.equal(health().state, "healthy");
  await new Promise((resolve) => setTimeout(resolve, 2_100)); // the pause of the second failure
  assert.equal(starts, 3, "the reload took the place of the restart");
});

test("custom components: arguments, exports, changes in both directions", async (t) => {
  const { load, exported, exportedValue, controller } = makeController(t);
  const text = (b: number) => `
    declare "add" {
      argument "a" { }
      argument "b" {
        optional = true
        default  = 100
      }
      test.value "inner" { input = argument.a.value + argument.b.value }
      export "sum" { value = test.value.inner.value }
    }
    test.value "in" { input = 1 }
    add "x" {
      a = test.value.in.value
      b = ${b}
    }
    add "default" { a = 1 }
    test.value "out" { input = add.x.sum }
  `;
  await load(text(10));
  assert.equal(exportedValue("test.value.out"), 11);
  assert.deepEqual(exported("add.default"), new Map([["sum", 101]]));
  assert.ok(controller.component("add.x/test.value.inner") instanceof ComponentNode);
  events = [];
  await load(text(20));
  await eventually(() => exportedValue("test.value.out") === 21);
  assert.ok(!events.some((event) => event.includes("add.default")));
  contexts.get("test.value.in")!.export({ value: 5 });
  await eventually(() => exportedValue("test.value.out") === 25);
  contexts.get("add.x/test.value.inner")!.export({ value: 1000 });
  await eventually(() => exportedValue("test.value.out") === 1000);
});

test("a failed reload leaves custom components as they were, also when exports change later", async (t) => {
  const { load, exportedValue } = makeController(t);
  const text = (factor: number, rest: string) => `
    declare "times" {
      argument "x" { }
      export "result" { value = argument.x.value * ${factor} }
    }
    test.value "in" { input = 2 }
    times "t" { x = test.value.in.value + ${factor} }
    test.value "out" { input = times.t.result }
    ${rest}
  `;
  await load(text(10, ""));
  assert.equal(exportedValue("test.value.out"), 120);
  await problems(load(text(1000, 'test.value "broken" {\n  input = 1\n  fail = true\n}')));
  contexts.get("test.value.in")!.export({ value: 3 });
  await eventually(() => exportedValue("test.value.out") !== 120);
  assert.equal(exportedValue("test.value.out"), 130);
});

test("misuse of a custom component is reported whole", async (t) => {
  const { load } = makeController(t);
  const found = await problems(
    load(
      'declare "c" {\n  argument "name" { }\n}\nc "x" {\n  nam = 1\n  block { }\n}\ndeclare "d" {\n  logging { }\n}\nd "y" { }',
    ),
  );
  assert.deepEqual(found.map((each) => each.message).sort(), [
    "logging block not allowed inside a declare block",
    'missing required attribute "name"',
    'unrecognized attribute name "nam"',
    'unrecognized block name "block"',
  ]);
});

test("experimental functions need the user's leave in the arguments of custom components too", async (t) => {
  const { load } = makeController(t, { minimumStability: "generally-available" });
  const text = 'declare "c" {\n  argument "x" { }\n}\nc "a" { x = array.group_by([{a = "1"}], "a", true) }';
  const [problem] = await problems(load(text));
  assert.match(problem!.message, /array\.group_by/);
  await makeController(t).load(text);
});

test("foreach runs its template for each item and keeps the others when one goes", async (t) => {
  const { load, controller } = makeController(t);
  const text = (items: string) => `
    test.value "outer" { input = 7 }
    foreach "f" {
      collection = ${items}
      var        = "each"
      template {
        test.value "v" { input = [each, test.value.outer.value] }
      }
    }
  `;
  await load(text('["a", "b", "a"]'));
  const ids = () => [...controller.nodes()].flatMap(({ node }) => (node instanceof ComponentNode ? [node.id] : []));
  assert.deepEqual(ids(), [
    "test.value.outer",
    "foreach.f/foreach_a_1/test.value.v",
    "foreach.f/foreach_b_1/test.value.v",
    "foreach.f/foreach_a_2/test.value.v",
  ]);
  assert.deepEqual(controller.component("foreach.f/foreach_b_1/test.value.v")!.exports, new Map([["value", ["b", 7]]]));
  events = [];
  await load(text('["b"]'));
  assert.deepEqual(ids(), ["test.value.outer", "foreach.f/foreach_b_1/test.value.v"]);
  assert.ok(!events.some((event) => event.includes("foreach_b_1")));
});

test("import.string and import.file; a changed file is taken up", async (t) => {
  const { load, exportedValue } = makeController(t);
  const folder = mkdtempSync(join(tmpdir(), "invar-import-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "m.alloy");
  const module = (factor: number) => `declare "times" {
    argument "x" { }
    export "result" { value = argument.x.value * ${factor} }
  }`;
  writeFileSync(path, module(3));
  await load(`
    import.file "math" { filename = "${path}" }
    import.string "text" { content = "declare \\"id\\" { argument \\"x\\" { }\\n export \\"same\\" { value = argument.x.value } }" }
    math.times "t" { x = 5 }
    text.id "i" { x = math.times.t.result }
    test.value "out" { input = text.id.i.same }
  `);
  assert.equal(exportedValue("test.value.out"), 15);
  writeFileSync(path, module(4));
  await eventually(() => exportedValue("test.value.out") === 20);
});

test("a reference to an unknown import or a broken module says so", async (t) => {
  const { load } = makeController(t);
  const [missing] = await problems(load('import.file "m" { filename = "/nonexistent/m.alloy" }\nm.x "a" { }'));
  assert.equal(missing!.code, "import.unreadable");
  const [unknown] = await problems(load('import.string "m" { content = "declare \\"abc\\" { }" }\nm.abd "a" { }'));
  assert.equal(unknown!.hint, 'did you mean "m.abc"?');
});

test("consumers are edges, and a sink stops after its source", async (t) => {
  const { load, controller } = makeController(t);
  await load('test.source "s" { forward_to = [test.sink.k.receiver] }\ntest.sink "k" { }');
  const receiver = (controller.component("test.sink.k")!.exports as ReadonlyMap<string, Value>).get("receiver");
  assert.ok(receiver instanceof Capsule);
  assert.equal((receiver.value as Consumer).componentId, "test.sink.k");
});

test("stopping drains and ends sources first, and disposes of sinks first", async (t) => {
  const { load, controller } = makeController(t);
  await load('test.value "sink" { input = 1 }\ntest.value "source" { input = test.value.sink.value }');
  events = [];
  await controller.stop(1_000);
  assert.deepEqual(events, [
    "drain test.value.source",
    "end test.value.source",
    "drain test.value.sink",
    "end test.value.sink",
    "dispose test.value.sink",
    "dispose test.value.source",
  ]);
});

test("a secret stays one through expressions, custom components and their exports", async (t) => {
  const { load, controller, exported, logs } = makeController(t);
  await load(`
    declare "wrap" {
      argument "password" { }
      test.source "s" {
        forward_to = []
        password   = argument.password.value
      }
      export "password" { value = argument.password.value + "!" }
    }
    test.value "secret" { input = "not yet" }
    wrap "w" { password = test.value.secret.value }
    test.value "shown" { input = [wrap.w.password, {key = wrap.w.password}] }
  `);
  contexts.get("test.value.secret")!.export({ value: new Secret("hunter2") });
  const password = () => (exported("wrap.w") as ReadonlyMap<string, Value>).get("password");
  await eventually(() => password() instanceof Secret);
  assert.equal((password() as Secret).reveal(), "hunter2!");
  await eventually(() => controller.component("test.value.shown")!.exports?.toString() !== undefined);
  const source = controller.component("wrap.w/test.source.s")!;
  const shown = [...controller.nodes()].map(({ node }) => [
    node.health.message,
    inspect(node.exports, { depth: 10 }),
    node instanceof ComponentNode ? inspect(node.argumentValues, { depth: 10 }) : "",
  ]);
  const text = JSON.stringify([shown, logs.map((record) => formatJson(record))]);
  assert.ok(!text.includes("hunter2"), text);
  assert.equal((source.args as { password: Secret }).password.reveal(), "hunter2");
});
