import assert from "node:assert/strict";
import { test } from "node:test";
import { Acknowledgement } from "./acknowledgement.ts";
import type { OtlpBatch } from "./batch.ts";
import { Flow, type Judgement } from "./flow.ts";

function flowAt(start = 1_000) {
  let now = start;
  const changes: string[] = [];
  const flow = new Flow(
    () => now,
    (status, previous) => void changes.push(`${previous.state}>${status.state}`),
  );
  return { flow, changes, pass: (ms: number) => void (now += ms) };
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
});
