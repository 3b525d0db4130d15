import assert from "node:assert/strict";
import { test } from "node:test";
import { Flow } from "#pipeline/flow";
import { FlowHistory, HISTORY_POINTS } from "./flow-history.ts";

/** A flow and its history under a clock that only `pass` moves, looked at every five seconds of it. */
function setUp() {
  let seconds = 1_000;
  const flow = new Flow(() => 0);
  const now = () => seconds * 1_000;
  const epochMs = () => 1e12 + seconds * 1_000;
  const history = new FlowHistory(flow, now());
  return {
    flow,
    history,
    /** Counts so much in each second that passes. */
    pass(length: number, each: () => void = () => {}, queueBytes = 0) {
      for (let i = 0; i < length; i++) {
        seconds += 1;
        each();
        if (seconds % 5 === 0) history.take(now(), epochMs(), queueBytes);
      }
    },
    /** The machine sleeps. */
    sleep(length: number) {
      seconds += length;
    },
    rates: () => history.rates(now()),
    edgeRates: (to: string) => history.edgeRates(to, now()),
    points: (queueBytes = 0) => history.history(now(), epochMs(), queueBytes),
    epochMs,
  };
}

function flowing(flow: Flow) {
  flow.connect("a", "logs");
  flow.connect("b", "logs");
  return () => {
    flow.receiving("logs").items += 10;
    flow.edge("a").items += 4;
    flow.edge("a").bytes += 400;
    flow.edge("b").items += 2;
    flow.edge("b").bytes += 200;
    flow.drop("logs", "filtered", 3);
  };
}

test("rates show from the first second on, and follow the last half minute", () => {
  const { flow, pass, rates, edgeRates } = setUp();
  const each = flowing(flow);
  assert.deepEqual(rates(), { received: 0, sent: 0, sentBytes: 0, dropped: 0 });
  pass(2, each);
  const steady = { received: 10, sent: 6, sentBytes: 600, dropped: 3 };
  assert.deepEqual(rates(), steady);
  assert.deepEqual(
    [edgeRates("a"), edgeRates("b"), edgeRates("c")],
    [
      { items: 4, bytes: 400 },
      { items: 2, bytes: 200 },
      { items: 0, bytes: 0 },
    ],
  );
  pass(600, each);
  assert.deepEqual(rates(), steady);
  pass(15);
  assert.ok(rates().received > 3 && rates().received < 7, `${rates().received}`);
  pass(30);
  assert.deepEqual(rates(), { received: 0, sent: 0, sentBytes: 0, dropped: 0 });
});

test("an edge that goes takes nothing from the rates, and one that comes begins with nothing", () => {
  const { flow, pass, rates, edgeRates } = setUp();
  const each = flowing(flow);
  pass(60, each);
  flow.disconnect("b");
  pass(3);
  assert.ok(rates().sent > 4, `${rates().sent}`);
  assert.equal(edgeRates("b").items, 0);
  flow.connect("b", "logs");
  pass(10, () => void (flow.edge("b").items += 30));
  assert.ok(edgeRates("b").items > 5 && edgeRates("b").items <= 10, `${edgeRates("b").items}`);
  pass(60, () => void (flow.edge("b").items += 30));
  assert.deepEqual([edgeRates("b").items, rates().sent], [30, 30]);
});

test("what was counted before anybody looked is no rate", () => {
  const flow = new Flow(() => 0);
  const each = flowing(flow);
  for (let i = 0; i < 100; i++) each();
  const history = new FlowHistory(flow, 0);
  assert.deepEqual(history.rates(1_000), { received: 0, sent: 0, sentBytes: 0, dropped: 0 });
});

test("the history has a point for each ten seconds of the last quarter of an hour, and one at once", () => {
  const { flow, pass, points, epochMs } = setUp();
  const each = flowing(flow);
  pass(3, each);
  const young = points(77);
  assert.deepEqual([young.received, young.queueBytes, young.endMs, young.stepSeconds], [[10], [77], epochMs(), 10]);
  pass(7, each, 100);
  pass(10, () => {}, 200);
  const { received, sent, dropped, sentBytes, queueBytes, endMs } = points();
  assert.deepEqual(
    { received, sent, dropped, sentBytes, queueBytes, endMs },
    {
      received: [10, 0],
      sent: [6, 0],
      dropped: [3, 0],
      sentBytes: [600, 0],
      queueBytes: [100, 200],
      endMs: epochMs(),
    },
  );
  pass(3_000, each, 5);
  pass(10);
  const old = points();
  assert.equal(old.received.length, HISTORY_POINTS);
  assert.deepEqual(old.received.slice(-3), [10, 10, 0]);
  assert.equal(old.received.filter((rate) => rate === 10).length, HISTORY_POINTS - 1);
});

test("steps that nobody took have their points as well", () => {
  const { flow, pass, sleep, points } = setUp();
  const each = flowing(flow);
  pass(20, each);
  sleep(95);
  pass(5, each);
  const { received } = points();
  assert.equal(received.length, 12);
  assert.deepEqual(received.slice(0, 2), [10, 10]);
  assert.ok(
    received.slice(2).every((rate) => rate === 0.5),
    `${received}`,
  );
});
