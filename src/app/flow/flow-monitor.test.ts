import assert from "node:assert/strict";
import { test } from "node:test";
import { contexts, PIPELINE, queues, send, setUp } from "./flow.testing.ts";

const MIB = 2 ** 20;

test("every component has rates from the load on, and a history", async (t) => {
  const { monitor, clock, pass } = await setUp(t, PIPELINE);
  clock.pass(2_000);
  send("test.source.a", 20);
  assert.deepEqual(monitor.rates("test.source.a"), { received: 0, sent: 10, sentBytes: 100, dropped: 0 });
  assert.deepEqual(monitor.rates("test.sink.b"), { received: 10, sent: 0, sentBytes: 0, dropped: 0 });
  assert.deepEqual(monitor.edgeRates("test.source.a", "test.sink.b"), { items: 10, bytes: 100 });
  clock.pass(3_000);
  pass(60, () => send("test.source.a", 50));
  assert.equal(monitor.rates("test.sink.b").received, 10);
  assert.deepEqual(monitor.history("test.sink.b")!.received.slice(-3), [10, 10, 10]);
  assert.equal(monitor.history("test.sink.c"), undefined);
  assert.deepEqual(monitor.rates("test.sink.c"), { received: 0, sent: 0, sentBytes: 0, dropped: 0 });
});

test("components that come are watched, those that go are forgotten", async (t) => {
  const { monitor, load, pass } = await setUp(t, PIPELINE);
  pass(30, () => send("test.source.a", 50));
  assert.equal(monitor.history("test.source.a")!.sent.length, 3);
  await load('test.sink "b" { }\ntest.sink "c" { }\n');
  pass(10);
  assert.equal(monitor.history("test.source.a"), undefined);
  assert.notEqual(monitor.history("test.sink.c"), undefined);
  await load(PIPELINE);
  assert.equal(monitor.history("test.source.a")!.sent.length, 1, "it begins anew");
});

test("a source that gets nothing is said with what it waits for, and when data come; what has no flow is not", async (t) => {
  const { pass } = await setUp(t, `${PIPELINE}\ntest.credentials "c" { }\n`);
  assert.deepEqual(pass(55), []);
  assert.deepEqual(pass(10), ["warn no data nobody has connected to port 4317"]);
  assert.deepEqual(pass(28 * 60), []);
  assert.deepEqual(pass(3 * 60), ["warn no data nobody has connected to port 4317"]);
  assert.deepEqual(
    pass(5, () => send("test.source.a", 1)),
    ["info data flow began"],
  );
});

test("rules are judged although nothing flows, and troubles are said again", async (t) => {
  const { pass, metric } = await setUp(t, PIPELINE);
  let problem: { readonly state: "failing"; readonly cause: string } | undefined;
  contexts.get("test.sink.b")!.rule("backend", () => problem);
  pass(5, () => send("test.source.a", 1));
  problem = { state: "failing", cause: "no route to host" };
  assert.deepEqual(pass(5), ["warn data flow failing no route to host"]);
  assert.equal(metric("alloy_component_flow_rule", "test.sink.b", "backend"), 1);
  assert.equal(metric("alloy_component_flow_status", "test.sink.b", "failing"), 1);
  assert.deepEqual(pass(11 * 60), [
    "warn data flow still failing no route to host",
    "warn data flow still failing no route to host",
  ]);
  problem = undefined;
  assert.deepEqual(pass(5), ["info data flow recovered"]);
  assert.equal(metric("alloy_component_flow_rule", "test.sink.b", "backend"), 0);
});

test("a queue that fills is foreseen, said and shown; one without a bound is not watched", async (t) => {
  const { monitor, pass, metric } = await setUp(t, PIPELINE);
  let bytes = 100 * MIB;
  const grow = () => {
    send("test.source.a", 1);
    bytes += 3 * MIB;
    queues.set("test.sink.b", { bytes, oldest: undefined, limitBytes: 512 * MIB, whenFull: "drop" });
  };
  const [line, ...others] = pass(120, grow);
  assert.match(
    line!,
    /^warn data flow degraded the queue will be full in about \d+ min \(\d+ MiB of 512 MiB\); then data/,
  );
  assert.deepEqual(others, []);
  assert.ok(Math.abs(monitor.queueFullInSeconds("test.sink.b")! - (512 - 172) / 0.6) < 1);
  assert.equal(contexts.get("test.sink.b")!.flow.status.rule, "queue");
  assert.equal(metric("alloy_component_queue_limit_bytes", "test.sink.b"), 512 * MIB);
  queues.set("test.sink.b", { bytes, oldest: undefined });
  assert.deepEqual(pass(5), ["info data flow recovered"]);
  assert.deepEqual([...contexts.get("test.sink.b")!.flow.rules], []);
  assert.equal(monitor.queueFullInSeconds("test.sink.b"), undefined);
  assert.equal(metric("alloy_component_queue_limit_bytes", "test.sink.b"), undefined);
});

test("one component that cannot be watched is said once and keeps no other from being watched", async (t) => {
  const { pass, monitor } = await setUp(t, `test.sink "x" { }\n${PIPELINE}`);
  queues.set("test.sink.x", () => {
    throw new Error("oops");
  });
  const lines = pass(30, () => send("test.source.a", 50));
  assert.deepEqual(lines, ["error a component's data flow cannot be watched, which is a bug"]);
  assert.equal(monitor.rates("test.sink.b").received, 10);
});

test("what is wrong with the wiring is said with each load that makes it so, once", async (t) => {
  const { load, logs } = await setUp(t, PIPELINE);
  const wiring = () => logs.filter((each) => each.message === "wiring").map(({ fields }) => Object.fromEntries(fields));
  assert.deepEqual(wiring(), []);
  const unwired = 'test.source "a" {\n  forward_to = []\n}\ntest.sink "b" { }\n';
  await load(unwired);
  const found = wiring();
  assert.deepEqual(
    found.map((each) => each.component_id),
    ["test.source.a", "test.sink.b"],
  );
  assert.ok(found.every((each) => typeof each.problem === "string"));
  await load(unwired.replace("[]", "[]\n  change = 1"));
  assert.equal(wiring().length, 2);
});

test("a restart with other arguments does not answer for the failure before it", async (t) => {
  const { load, pass } = await setUp(t, PIPELINE);
  const { flow } = contexts.get("test.source.a")!;
  pass(5, () => send("test.source.a", 1));
  flow.failing("cannot reach old.example");
  await load(PIPELINE.replace("forward_to", "change = 1\n  forward_to"));
  assert.deepEqual([flow.status.state, flow.sent.size], ["idle", 1]);
});

test("the timer has every component looked at", async (t) => {
  const { monitor } = await setUp(t, PIPELINE);
  const looked = new Promise<void>((resolve) => {
    contexts.get("test.sink.b")!.rule("looked", () => void resolve());
  });
  monitor.start(1);
  t.after(() => monitor.stop());
  const alive = setTimeout(() => {}, 60_000); // the monitor's own timer keeps no process alive
  await looked;
  clearTimeout(alive);
});
