import assert from "node:assert/strict";
import { test } from "node:test";
import { Acknowledgement } from "./acknowledgement.ts";
import type { OtlpBatch } from "./batch.ts";
import { Flow, type FlowQueue, fullestQueue, type Judgement } from "./flow.ts";

function flowAt(start = 1_000) {
  let now = start;
  const changes: string[] = [];
  const failures: number[] = [];
  const flow = new Flow(
    () => now,
    (status, previous) => {
      changes.push(`${previous.state}>${status.state}`);
      failures.push(flow.failures);
    },
  );
  return { flow, changes, failures, pass: (ms: number) => void (now += ms) };
}

function spans(items: number, bytes: number): OtlpBatch {
  return {
    signal: "otlp",
    kind: "traces",
    parts: [new Uint8Array(bytes)],
    items,
    bytes,
    clientMetadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
}

test("starts idle, says since when and tells each change of state once", () => {
  const { flow, changes, pass } = flowAt();
  assert.deepEqual(flow.status, { state: "idle", cause: "nothing has flowed yet", rule: "", since: 1_000 });
  pass(10);
  flow.ok();
  pass(10);
  flow.ok();
  assert.deepEqual(flow.status, { state: "ok", cause: "", rule: "", since: 1_010 });
  assert.equal(flow.lastSuccess, 1_020);
  pass(10);
  flow.failing("no route");
  assert.deepEqual(changes, ["idle>ok", "ok>failing"]);
});

test("data that is kept or counted ends that there is none, and no failure", () => {
  const { flow, changes, pass } = flowAt();
  flow.took();
  assert.deepEqual([flow.status.state, flow.lastSuccess], ["ok", 1_000]);
  pass(10);
  flow.failing("no route");
  flow.took();
  assert.equal(flow.status.state, "failing");
  flow.restarted();
  flow.took();
  assert.deepEqual(changes, ["idle>ok", "ok>failing", "failing>idle", "idle>ok"]);
});

test("another cause of the same state keeps the time since when it holds", () => {
  const { flow, changes, pass } = flowAt();
  flow.degraded("a");
  pass(500);
  flow.degraded("b");
  assert.deepEqual(flow.status, { state: "degraded", cause: "b", rule: "", since: 1_000 });
  assert.deepEqual(flow.lastError, { time: 1_500, message: "b" });
  assert.deepEqual(changes, ["idle>degraded"]);
});

test("what a rule finds is not hidden by data that flows past it, and ends with its cause", () => {
  const { flow, pass } = flowAt();
  let problem: Judgement = { state: "failing", cause: "2 of 2 targets are down" };
  const remove = flow.rule({ name: "targets", judge: () => problem });
  flow.ok();
  assert.deepEqual(flow.status, { state: "failing", cause: "2 of 2 targets are down", rule: "targets", since: 1_000 });
  assert.equal(flow.lastError?.message, "2 of 2 targets are down");
  problem = undefined;
  flow.ok(); // judged a moment ago
  assert.equal(flow.status.state, "failing");
  pass(1_000);
  flow.ok();
  assert.equal(flow.status.state, "ok");
  problem = { state: "idle", cause: "no targets" };
  flow.judge();
  assert.equal(flow.status.cause, "no targets");
  remove();
  assert.equal(flow.status.state, "ok");
});

test("the worst rule is the status, and a rule says more than that nothing has flowed yet", () => {
  const { flow } = flowAt();
  flow.rule({ name: "targets", judge: () => ({ state: "idle", cause: "no targets" }) });
  flow.judge();
  assert.equal(flow.status.cause, "no targets");
  flow.rule({ name: "disk", judge: () => ({ state: "degraded", cause: "disk is slow" }) });
  flow.judge();
  assert.equal(flow.status.rule, "disk");
  flow.failing("no route");
  assert.deepEqual([flow.status.rule, flow.status.cause], ["", "no route"]);
});

test("what was read and is not safe yet is counted, with its age", () => {
  const { flow, pass } = flowAt();
  let safe = 0;
  const first = flow.acknowledgement(3, 300, () => safe++);
  pass(10);
  const second = flow.acknowledgement(2, 50, () => safe++);
  assert.deepEqual(flow.unacknowledged, { items: 5, bytes: 350, oldest: 1_000 });
  first.release();
  assert.deepEqual(flow.unacknowledged, { items: 2, bytes: 50, oldest: 1_010 });
  second.release();
  assert.deepEqual(flow.unacknowledged, { items: 0, bytes: 0, oldest: undefined });
  assert.equal(safe, 2);
  assert.ok(flow.readsAgain);
});

test("what was taken back, or belongs to an earlier life, does not count as unacknowledged for ever", () => {
  const { flow } = flowAt();
  let safe = 0;
  const takenBack = flow.acknowledgement(3, 300, () => safe++);
  flow.acknowledgement(2, 50, () => {});
  flow.forget(takenBack);
  assert.equal(flow.unacknowledged.items, 2);
  takenBack.release();
  assert.equal(safe, 1, "its source still hears of it");
  flow.forgetUnacknowledged();
  assert.deepEqual(flow.unacknowledged, { items: 0, bytes: 0, oldest: undefined });
});

test("edges are there from the beginning, and go with the last who uses them", () => {
  const { flow } = flowAt();
  flow.connect("a", "logs");
  assert.deepEqual([flow.edge("a").signal, flow.edge("a").items], ["logs", 0]);
  flow.connect("a", "logs");
  flow.edge("a").add(spans(3, 100), 5);
  flow.disconnect("a");
  assert.equal(flow.edge("a").items, 3, "another fanout still hands on to it");
  flow.disconnect("a");
  assert.deepEqual([...flow.sent.keys()], []);
});

test("what comes in is counted by signal and in sum", () => {
  const { flow } = flowAt();
  assert.deepEqual([flow.received.items, flow.received.signal], [0, undefined]);
  flow.receiving("otlp").add(spans(3, 100), 7);
  assert.deepEqual([flow.received.items, flow.received.bytes, flow.received.signal], [3, 100, "otlp"]);
  const logs = flow.receiving("logs");
  logs.items += 2;
  logs.last = 9;
  const { items, bytes, batches, last, signal } = flow.received;
  assert.deepEqual(
    { items, bytes, batches, last, signal },
    { items: 5, bytes: 100, batches: 1, last: 9, signal: undefined },
  );
  assert.deepEqual(
    [...flow.receivedBySignal].map(([signal, counts]) => [signal, counts.items]),
    [
      ["otlp", 3],
      ["logs", 2],
    ],
  );
});

test("failures are counted until the state is ok again, which the listener hears before they are forgotten", () => {
  const { flow, changes, failures } = flowAt();
  flow.failing("no route");
  flow.failing("no route");
  flow.failed("no route");
  flow.ok();
  assert.deepEqual([changes, failures, flow.failures], [["idle>failing", "failing>ok"], [1, 3], 0]);
});

test("a rule's cause with other figures is no further failure; what the component counts is", () => {
  const { flow } = flowAt();
  let down = 1;
  flow.rule({ name: "targets", judge: () => ({ state: "degraded", cause: `${down} targets are down` }) });
  flow.judge();
  down = 2;
  flow.judge();
  assert.deepEqual([flow.failures, flow.lastError?.message], [1, "2 targets are down"]);
  flow.failed("timed out");
  assert.deepEqual([flow.failures, flow.lastError?.message], [2, "timed out"]);
});

test("all rules and what they find can be listed, and a rule that throws stops nothing", () => {
  const { flow } = flowAt();
  flow.rule({ name: "targets", judge: () => undefined });
  flow.rule({ name: "disk", judge: () => ({ state: "degraded", cause: "disk is slow" }) });
  const remove = flow.rule({
    name: "broken",
    judge: () => {
      throw new Error("oops");
    },
  });
  flow.ok();
  assert.deepEqual([...flow.rules], ["targets", "disk", "broken"]);
  assert.deepEqual(flow.findings, [
    { rule: "disk", state: "degraded", cause: "disk is slow" },
    { rule: "broken", state: "degraded", cause: "the rule broken fails, which is a bug: oops" },
  ]);
  remove();
  assert.deepEqual(
    flow.findings.map((each) => each.rule),
    ["disk"],
  );
});

test("another life does not answer for the failures of the one before", () => {
  const { flow } = flowAt();
  assert.ok(flow.untouched);
  flow.restarted();
  assert.ok(flow.untouched);
  flow.failing("no route to old.example");
  flow.restarted();
  assert.deepEqual(
    [flow.status.state, flow.status.cause],
    ["idle", "nothing has flowed since the component started again"],
  );
  flow.ok();
  flow.restarted();
  assert.equal(flow.status.state, "ok");
});

test("of several queues the one nearest to its bound is told of, with the oldest data of all", () => {
  const queues: FlowQueue[] = [
    { bytes: 100, oldest: 7, limitBytes: 1_000, whenFull: "drop" },
    { bytes: 90, oldest: undefined, limitBytes: 100, whenFull: "block" },
    { bytes: 10_000, oldest: 5 },
  ];
  assert.deepEqual(fullestQueue(queues), { bytes: 90, oldest: 5, limitBytes: 100, whenFull: "block" });
  assert.deepEqual(fullestQueue(queues.slice(0, 1)), queues[0]);
  assert.deepEqual(fullestQueue([]), { bytes: 0, oldest: undefined });
});

test("drops add up by signal and reason, edges by consumer", () => {
  const { flow, pass } = flowAt();
  flow.drop("logs", "line_too_long", 2);
  flow.drop("logs", "line_too_long", 3);
  flow.drop("logs", "queue_full", 1);
  flow.drop("metrics", "queue_full", 7);
  assert.deepEqual(
    [...flow.dropped].map(([signal, reasons]) => [signal, [...reasons]]),
    [
      [
        "logs",
        [
          ["line_too_long", 5],
          ["queue_full", 1],
        ],
      ],
      ["metrics", [["queue_full", 7]]],
    ],
  );
  flow.edge("a").add(spans(3, 100), 5);
  pass(1);
  flow.edge("a").add(spans(4, 50), 6);
  assert.deepEqual(
    { ...flow.edge("a") },
    {
      signal: "otlp",
      batches: 2,
      items: 7,
      bytes: 150,
      last: 6,
      dropped: 0,
      waiting: 0,
      waitingSince: 0,
      lastError: undefined,
    },
  );
  assert.equal(flow.edge("b").items, 0);
  assert.equal(flow.droppedItems, 13);
});
