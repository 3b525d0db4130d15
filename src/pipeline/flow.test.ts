import assert from "node:assert/strict";
import { test } from "node:test";
import { Acknowledgement } from "./acknowledgement.ts";
import type { OtlpBatch } from "./batch.ts";
import { Flow } from "./flow.ts";

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
  assert.deepEqual(flow.status, { state: "idle", cause: "nothing has flowed yet", since: 1_000 });
  pass(10);
  flow.ok();
  pass(10);
  flow.ok();
  assert.deepEqual(flow.status, { state: "ok", cause: "", since: 1_010 });
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
  assert.deepEqual(flow.status, { state: "degraded", cause: "b", since: 1_000 });
  assert.deepEqual(flow.lastError, { time: 1_500, message: "b" });
  assert.deepEqual(changes, ["idle>degraded"]);
});

test("a held problem is not hidden by data that flows past it, and ends with its cause", () => {
  const { flow } = flowAt();
  let problem: { state: "failing"; cause: string } | undefined = { state: "failing", cause: "2 of 2 targets are down" };
  flow.hold = () => problem;
  flow.ok();
  assert.equal(flow.status.state, "failing");
  assert.equal(flow.status.cause, "2 of 2 targets are down");
  problem = undefined;
  flow.ok();
  assert.equal(flow.status.state, "ok");
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
  assert.deepEqual({ ...flow.edge("a") }, { signal: "otlp", batches: 2, items: 7, bytes: 150, last: 6 });
  assert.equal(flow.edge("b").items, 0);
});
