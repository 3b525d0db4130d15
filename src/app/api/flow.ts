import type { EdgeCounts } from "#pipeline/flow";
import type { ComponentNode } from "#runtime/component-node";
import type { Health } from "#runtime/health";
import { dataRole } from "#runtime/topology";
import type { CountsJson, EdgeJson, FlowJson, HealthJson, HistoryJson, RatesJson } from "./json.ts";

/** What changes over time, from whoever watches the components. */
export interface FlowFigures {
  rates(id: string): RatesJson;
  edgeRates(from: string, to: string): EdgeRates;
  history(id: string): HistoryJson | undefined;
  /** Seconds until a component's queue is full at the pace of the last minutes. */
  queueFullInSeconds(id: string): number | undefined;
  /** What is wrong with the wiring, by the ids of nodes. */
  readonly wiring: ReadonlyMap<string, string>;
}

/** Per second. */
export interface EdgeRates {
  readonly items: number;
  readonly bytes: number;
}

export const NO_EDGE_RATES: EdgeRates = { items: 0, bytes: 0 };
export const NO_RATES: RatesJson = { received: 0, sent: 0, sentBytes: 0, dropped: 0 };

export function flowJson(node: ComponentNode, figures: FlowFigures): FlowJson {
  const { flow, id } = node;
  const { queue, status, unacknowledged } = flow;
  return {
    state: status.state,
    cause: hasFlow(node) ? status.cause : "",
    rule: status.rule,
    since: time(status.since),
    lastSuccess: flow.lastSuccess === 0 ? null : time(flow.lastSuccess),
    lastError:
      flow.lastError === undefined ? null : { time: time(flow.lastError.time), message: flow.lastError.message },
    received: countsJson(flow.received),
    sent: Array.from(flow.sent, ([to, edge]) => edgeJson(to, edge, figures.edgeRates(id, to))),
    dropped: [...flow.dropped].flatMap(([signal, reasons]) =>
      Array.from(reasons, ([reason, items]) => ({ signal, reason, items })),
    ),
    queue:
      queue === undefined
        ? null
        : {
            bytes: queue.bytes,
            oldest: queue.oldest === undefined ? null : time(queue.oldest),
            limitBytes: queue.limitBytes ?? null,
            fullInSeconds: figures.queueFullInSeconds(id) ?? null,
          },
    unacknowledged: {
      items: unacknowledged.items,
      bytes: unacknowledged.bytes,
      oldest: unacknowledged.oldest === undefined ? null : time(unacknowledged.oldest),
    },
    rates: figures.rates(id),
  };
}

function edgeJson(to: string, edge: EdgeCounts, rates: EdgeRates): EdgeJson {
  return {
    to,
    ...countsJson(edge),
    itemsPerSecond: rates.items,
    bytesPerSecond: rates.bytes,
    dropped: edge.dropped,
    waiting: edge.waiting,
    waitingSince: edge.waitingSince === 0 ? null : time(edge.waitingSince),
    lastError:
      edge.lastError === undefined ? null : { time: time(edge.lastError.time), message: edge.lastError.message },
  };
}

/** Components that only export values, such as credentials, have no flow unless they say something of one. */
export function hasFlow(node: ComponentNode): boolean {
  return !node.flow.untouched || dataRole(node) !== "value";
}

function countsJson(counts: ComponentNode["flow"]["received"]): CountsJson {
  const { signal, items, bytes, last } = counts;
  return { signal: signal ?? null, items, bytes, last: last === 0 ? null : time(last) };
}

export function healthJson({ state, message, updated }: Health): HealthJson {
  return { state, message, updatedTime: time(updated) };
}

/** Epoch milliseconds as ISO 8601. */
export function time(ms: number): string {
  return new Date(ms).toISOString();
}

/** For components that have never run. */
export const NO_FIGURES: FlowFigures = {
  rates: () => NO_RATES,
  edgeRates: () => NO_EDGE_RATES,
  history: () => undefined,
  queueFullInSeconds: () => undefined,
  wiring: new Map(),
};
