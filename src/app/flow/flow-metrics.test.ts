import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetricFamily } from "#base/metrics";
import { contexts, PIPELINE, queues, send, setUp } from "./flow.testing.ts";
import { flowMetrics } from "./flow-metrics.ts";

/** `name{labels without id and path} value` of one component, sorted. */
function samplesOf(families: readonly MetricFamily[], id: string): string[] {
  const lines: string[] = [];
  for (const { samples } of families) {
    for (const { name, labels, value } of samples) {
      if (labels[1] !== id) continue;
      assert.deepEqual(labels.slice(0, 4), ["component_id", id, "component_path", "/"]);
      const own: string[] = [];
      for (let i = 4; i < labels.length; i += 2) own.push(`${labels[i]}=${labels[i + 1]}`);
      lines.push(`${name.replace("alloy_component_", "")}{${own.join(",")}} ${value}`);
    }
  }
  return lines.sort();
}

test("counts, states and rules are there from the start, so that no series appears with the first trouble", async (t) => {
  const { controller, clock } = await setUp(t, `${PIPELINE}\ntest.credentials "c" { }\n`);
  const families = flowMetrics(controller.nodes(), clock.now());
  assert.deepEqual(samplesOf(families, "test.source.a"), [
    "edge_dropped_items_total{to=test.sink.b} 0",
    "edge_waiting_items{to=test.sink.b} 0",
    "edge_waiting_seconds{to=test.sink.b} 0",
    "flow_rule{rule=blocked} 0",
    "flow_rule{rule=ports} 0",
    "flow_status{state=degraded} 0",
    "flow_status{state=failing} 0",
    "flow_status{state=idle} 1",
    "flow_status{state=ok} 0",
    "sent_bytes_total{to=test.sink.b} 0",
    "sent_items_total{to=test.sink.b} 0",
  ]);
  assert.deepEqual(samplesOf(families, "test.sink.b"), [
    "flow_status{state=degraded} 0",
    "flow_status{state=failing} 0",
    "flow_status{state=idle} 1",
    "flow_status{state=ok} 0",
    "queue_bytes{} 0",
    "queue_oldest_seconds{} 0",
    "received_bytes_total{signal=otlp} 0",
    "received_items_total{signal=otlp} 0",
  ]);
  assert.deepEqual(samplesOf(families, "test.credentials.c"), [], "there is no flow to speak of");
});

test("what flows, waits, is lost and is wrong is shown in base units", async (t) => {
  const { controller, clock } = await setUp(t, PIPELINE);
  send("test.source.a", 7);
  const source = contexts.get("test.source.a")!.flow;
  const sink = contexts.get("test.sink.b")!.flow;
  source.acknowledgement(5, 500, () => {});
  source.edge("test.sink.b").wait(3, clock.now());
  source.edge("test.sink.b").dropped = 2;
  sink.drop("otlp", "queue_full", 4);
  sink.drop("otlp", "too_old", 1);
  contexts.get("test.sink.b")!.rule("backend", () => ({ state: "degraded", cause: "slow" }));
  queues.set("test.sink.b", { bytes: 10, oldest: clock.now() - 500, limitBytes: 100, whenFull: "block" });
  sink.judge();
  clock.pass(1_500);
  const families = flowMetrics(controller.nodes(), clock.now());
  const sourceLines = samplesOf(families, "test.source.a");
  for (const line of [
    "edge_dropped_items_total{to=test.sink.b} 2",
    "edge_waiting_items{to=test.sink.b} 3",
    "edge_waiting_seconds{to=test.sink.b} 1.5",
    "flow_status{state=ok} 1",
    "last_success_timestamp_seconds{} 1767225600",
    "sent_bytes_total{to=test.sink.b} 70",
    "sent_items_total{to=test.sink.b} 7",
    "unacknowledged_bytes{} 500",
    "unacknowledged_items{} 5",
    "unacknowledged_oldest_seconds{} 1.5",
  ]) {
    assert.ok(sourceLines.includes(line), `${line} is not in\n${sourceLines.join("\n")}`);
  }
  assert.deepEqual(samplesOf(families, "test.sink.b"), [
    "dropped_total{signal=otlp,reason=queue_full} 4",
    "dropped_total{signal=otlp,reason=too_old} 1",
    "flow_rule{rule=backend} 1",
    "flow_status{state=degraded} 1",
    "flow_status{state=failing} 0",
    "flow_status{state=idle} 0",
    "flow_status{state=ok} 0",
    "last_success_timestamp_seconds{} 1767225600",
    "queue_bytes{} 10",
    "queue_limit_bytes{} 100",
    "queue_oldest_seconds{} 2",
    "received_bytes_total{signal=otlp} 70",
    "received_items_total{signal=otlp} 7",
  ]);
});

test("no series is there twice while a component has two lives at once", async (t) => {
  const { controller, clock } = await setUp(t, PIPELINE);
  contexts.get("test.sink.b")!.rule("backend", () => undefined);
  contexts.get("test.sink.b")!.rule("backend", () => ({ state: "degraded", cause: "slow" }));
  contexts.get("test.sink.b")!.flow.judge();
  const lines = samplesOf(flowMetrics(controller.nodes(), clock.now()), "test.sink.b");
  assert.equal(lines.filter((line) => line.startsWith("flow_rule")).join(), "flow_rule{rule=backend} 1");
});
