import type { MetricFamily, MetricSample, MetricType } from "#base/metrics";
import { FLOW_STATES } from "#pipeline/flow";
import { ComponentNode } from "#runtime/component-node";
import type { ListedNode } from "#runtime/controller";
import { hasFlow } from "../api/flow.ts";

/** Every family with its type and help. Those that alerts and dashboards are built on: see docs/flow-status.md. */
const FAMILIES = {
  alloy_component_dropped_total: ["counter", "Items that will never be delivered, by reason."],
  alloy_component_received_items_total: ["counter", "Entries, samples, spans or profiles that came in."],
  alloy_component_received_bytes_total: ["counter", "Payload bytes that came in; 16 for each sample."],
  alloy_component_sent_items_total: ["counter", "Entries, samples, spans or profiles handed to each consumer."],
  alloy_component_sent_bytes_total: ["counter", "Payload bytes handed to each consumer; 16 for each sample."],
  alloy_component_edge_waiting_items: ["gauge", "Items handed to a consumer that has not accepted them yet."],
  alloy_component_edge_waiting_seconds: ["gauge", "For how long a consumer has accepted nothing of what waits for it."],
  alloy_component_edge_dropped_items_total: ["counter", "Items that a consumer refused for good."],
  alloy_component_flow_status: ["gauge", "1 for the state that the data flow is in, 0 for the other states."],
  alloy_component_flow_rule: ["gauge", "1 while a rule of the data flow finds something, else 0."],
  alloy_component_last_success_timestamp_seconds: ["gauge", "When data last got through, in seconds since 1970."],
  alloy_component_queue_bytes: ["gauge", "Bytes in the component's queue, of several the one nearest to its bound."],
  alloy_component_queue_limit_bytes: ["gauge", "Bytes at which that queue is full."],
  alloy_component_queue_oldest_seconds: ["gauge", "Age of the oldest data in the component's queues."],
  alloy_component_unacknowledged_items: ["gauge", "Items that a source has read and nobody has made safe yet."],
  alloy_component_unacknowledged_bytes: ["gauge", "Bytes that a source has read and nobody has made safe yet."],
  alloy_component_unacknowledged_oldest_seconds: ["gauge", "Age of the oldest data that nobody has made safe yet."],
} as const satisfies Readonly<Record<string, readonly [MetricType, string]>>;

type FamilyName = keyof typeof FAMILIES;

/** What flows and what is lost, per component. `now` is in epoch milliseconds. */
export function flowMetrics(nodes: Iterable<ListedNode>, now: number): MetricFamily[] {
  const samples = Object.fromEntries(Object.keys(FAMILIES).map((name) => [name, []])) as unknown as Record<
    FamilyName,
    MetricSample[]
  >;
  const add = (name: FamilyName, labels: readonly string[], value: number) =>
    void samples[name].push({ name, labels, value });
  for (const { node, module } of nodes) {
    if (!(node instanceof ComponentNode)) continue;
    const own = ["component_id", node.localId, "component_path", module.environment.path] as const;
    addCounts(node, own, now, add);
    addStatus(node, own, add);
    addWaiting(node, own, now, add);
  }
  return Object.entries(FAMILIES).map(([name, [type, help]]) => ({
    name,
    type,
    help,
    samples: samples[name as FamilyName],
  }));
}

type Add = (name: FamilyName, labels: readonly string[], value: number) => void;

function addCounts({ flow }: ComponentNode, own: readonly string[], now: number, add: Add): void {
  for (const [signal, reasons] of flow.dropped) {
    for (const [reason, items] of reasons) {
      add("alloy_component_dropped_total", [...own, "signal", signal, "reason", reason], items);
    }
  }
  for (const [signal, { items, bytes }] of flow.receivedBySignal) {
    const labels = [...own, "signal", signal];
    add("alloy_component_received_items_total", labels, items);
    add("alloy_component_received_bytes_total", labels, bytes);
  }
  for (const [to, edge] of flow.sent) {
    const labels = [...own, "to", to];
    add("alloy_component_sent_items_total", labels, edge.items);
    add("alloy_component_sent_bytes_total", labels, edge.bytes);
    add("alloy_component_edge_waiting_items", labels, edge.waiting);
    add("alloy_component_edge_waiting_seconds", labels, secondsSince(edge.waitingSince || undefined, now));
    add("alloy_component_edge_dropped_items_total", labels, edge.dropped);
  }
}

function addStatus(node: ComponentNode, own: readonly string[], add: Add): void {
  if (!hasFlow(node)) return;
  const { status, rules, findings, lastSuccess } = node.flow;
  for (const state of FLOW_STATES) {
    add("alloy_component_flow_status", [...own, "state", state], status.state === state ? 1 : 0);
  }
  for (const rule of rules) {
    const holds = findings.some((each) => each.rule === rule);
    add("alloy_component_flow_rule", [...own, "rule", rule], holds ? 1 : 0);
  }
  if (lastSuccess > 0) add("alloy_component_last_success_timestamp_seconds", own, lastSuccess / 1000);
}

function addWaiting({ flow }: ComponentNode, own: readonly string[], now: number, add: Add): void {
  const { queue } = flow;
  if (queue !== undefined) {
    add("alloy_component_queue_bytes", own, queue.bytes);
    add("alloy_component_queue_oldest_seconds", own, secondsSince(queue.oldest, now));
    if (queue.limitBytes !== undefined) add("alloy_component_queue_limit_bytes", own, queue.limitBytes);
  }
  if (!flow.readsAgain) return;
  const { items, bytes, oldest } = flow.unacknowledged;
  add("alloy_component_unacknowledged_items", own, items);
  add("alloy_component_unacknowledged_bytes", own, bytes);
  add("alloy_component_unacknowledged_oldest_seconds", own, secondsSince(oldest, now));
}

/** 0 for what is not there. */
function secondsSince(ms: number | undefined, now: number): number {
  return ms === undefined ? 0 : Math.max(0, now - ms) / 1000;
}
