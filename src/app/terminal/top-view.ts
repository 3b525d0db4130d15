import type { ComponentStatusJson, EdgeJson, StatusJson } from "../api/json.ts";
import { byId, byState, droppedItems, shownState, stateColor } from "./component-view.ts";
import { shortAge, shortBytes, shortNumber } from "./quantities.ts";
import { type Cell, type Column, layOutTable, type OutputStyle } from "./table.ts";

/** What `invar top` shows. */

export const TOP_ORDERS = ["rate", "drops", "state", "name"] as const;
export type TopOrder = (typeof TOP_ORDERS)[number];

interface TopRow {
  readonly component: ComponentStatusJson;
  /** Per second: what was handed on, or what came in where nothing is. */
  readonly bytes: number;
  /** How long the oldest data has been waiting that is not safe yet; undefined for none. */
  readonly lagMs: number | undefined;
}

function topRows({ components, now }: StatusJson): readonly TopRow[] {
  const incoming = new Map<string, number>();
  for (const { flow } of components) {
    for (const { to, bytesPerSecond } of flow.sent) incoming.set(to, (incoming.get(to) ?? 0) + bytesPerSecond);
  }
  return components.map((component) => ({
    component,
    bytes: component.flow.sent.length > 0 ? component.flow.rates.sentBytes : (incoming.get(component.id) ?? 0),
    lagMs: lagOf(component, Date.parse(now)),
  }));
}

function lagOf({ flow }: ComponentStatusJson, now: number): number | undefined {
  const times = [flow.unacknowledged.oldest, flow.queue?.oldest ?? null].filter((time) => time !== null);
  return times.length === 0 ? undefined : Math.max(0, ...times.map((time) => now - Date.parse(time)));
}

function busiest({ component: { flow } }: TopRow): number {
  return Math.max(flow.rates.received, flow.rates.sent);
}

const ORDERS: Readonly<Record<TopOrder, (a: TopRow, b: TopRow) => number>> = {
  rate: (a, b) => busiest(b) - busiest(a),
  drops: (a, b) =>
    b.component.flow.rates.dropped - a.component.flow.rates.dropped ||
    droppedItems(b.component) - droppedItems(a.component),
  state: (a, b) => byState(a.component, b.component),
  name: () => 0,
};

const COLUMNS: readonly Column[] = [
  { title: "COMPONENT", align: "left" },
  { title: "STATE", align: "left" },
  { title: "IN/S", align: "right" },
  { title: "OUT/S", align: "right" },
  { title: "BYTES/S", align: "right" },
  { title: "DROPS/S", align: "right" },
  { title: "QUEUE", align: "right" },
  { title: "LAG", align: "right" },
  { title: "CAUSE", align: "left" },
];

/** The head of the table and its lines. Rates are the agent's, over the last half minute. */
export function topTable(
  status: StatusJson,
  order: TopOrder,
  withEdges: boolean,
  style: OutputStyle,
): readonly string[] {
  const rows = topRows(status).toSorted((a, b) => ORDERS[order](a, b) || byId(a.component, b.component));
  const now = Date.parse(status.now);
  const cells = rows.flatMap((row) => [
    componentCells(row),
    ...(withEdges ? row.component.flow.sent.map((edge) => edgeCells(edge, now)) : []),
  ]);
  return layOutTable(COLUMNS, cells, style);
}

function componentCells({ component, bytes, lagMs }: TopRow): readonly Cell[] {
  const { state, cause } = shownState(component);
  const { queue, rates } = component.flow;
  return [
    { text: component.id },
    { text: state, color: stateColor(state) },
    { text: shortNumber(rates.received) },
    { text: shortNumber(rates.sent) },
    { text: shortBytes(bytes) },
    { text: shortNumber(rates.dropped), color: rates.dropped > 0 ? "yellow" : undefined },
    { text: queue === null ? "-" : queueText(queue) },
    { text: lagMs === undefined ? "-" : shortAge(lagMs) },
    { text: cause },
  ];
}

function queueText({ bytes, fullInSeconds }: NonNullable<ComponentStatusJson["flow"]["queue"]>): string {
  return fullInSeconds === null ? shortBytes(bytes) : `${shortBytes(bytes)}, full in ${shortAge(fullInSeconds * 1000)}`;
}

function edgeCells(edge: EdgeJson, now: number): readonly Cell[] {
  const { to, signal, dropped, waiting, waitingSince, lastError } = edge;
  const notes = [
    dropped > 0 ? `${shortNumber(dropped)} dropped` : "",
    waiting > 0 ? `${shortNumber(waiting)} waiting` : "",
    lastError?.message ?? "",
  ];
  return [
    { text: `  → ${to}` },
    { text: signal ?? "", color: "quiet" },
    { text: "" },
    { text: shortNumber(edge.itemsPerSecond) },
    { text: shortBytes(edge.bytesPerSecond) },
    { text: "" },
    { text: "" },
    { text: waitingSince === null ? "" : shortAge(now - Date.parse(waitingSince)) },
    { text: notes.filter((note) => note !== "").join("; ") },
  ];
}
