import type { ComponentStatusJson } from "../../agent.ts";
import { severity, stateOf } from "./problems.ts";

/** What the list of components shows, and in which order. */

/** Words that ask for a state, and nothing else: `ok` is part of many names. */
const STATE_WORDS: ReadonlySet<string> = new Set([
  "failing",
  "degraded",
  "idle",
  "ok",
  "healthy",
  "unhealthy",
  "unknown",
  "exited",
]);

/** The components that all words fit: states by name, and other words anywhere in the id or cause; `-word` turns it round. */
export function filterComponents(
  components: readonly ComponentStatusJson[],
  filter: string,
): readonly ComponentStatusJson[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return components;
  return components.filter((component) =>
    words.every((word) =>
      word.length > 1 && word.startsWith("-") ? !fits(component, word.slice(1)) : fits(component, word),
    ),
  );
}

function fits(component: ComponentStatusJson, word: string): boolean {
  const { id, health, flow } = component;
  if (STATE_WORDS.has(word)) return word === stateOf(component) || word === flow.state || word === health.state;
  const message = health.state === "healthy" ? "" : health.message;
  return `${id}\n${flow.cause}\n${message}`.toLowerCase().includes(word);
}

const COLUMNS = ["id", "module", "health", "state", "in", "out", "dropped", "queue", "success"] as const;
export type Column = (typeof COLUMNS)[number];

const VALUES: Readonly<Record<Column, (component: ComponentStatusJson) => number | string>> = {
  id: ({ id }) => id,
  module: ({ moduleId }) => moduleId,
  health: ({ health }) => health.state,
  state: (component) => severity(stateOf(component)),
  in: ({ flow }) => -flow.rates.received,
  out: ({ flow }) => -flow.rates.sent,
  dropped: ({ flow }) => -droppedItems(flow),
  queue: ({ flow }) => -(flow.queue?.bytes ?? 0),
  success: ({ flow }) => -(flow.lastSuccess === null ? 0 : Date.parse(flow.lastSuccess)),
};

/** `sort` is a column, with a minus for the other way round; worst, most and newest come first. Default: the worst state. */
export function sortComponents(
  components: readonly ComponentStatusJson[],
  sort: string,
): readonly ComponentStatusJson[] {
  const { column, isReversed } = parseSort(sort);
  const value = VALUES[column];
  const sign = isReversed ? -1 : 1;
  return [...components].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    const order =
      typeof left === "number" && typeof right === "number" ? left - right : compareText(String(left), String(right));
    return sign * order || compareText(a.id, b.id);
  });
}

export function parseSort(sort: string): { readonly column: Column; readonly isReversed: boolean } {
  const name = sort.replace(/^-/, "");
  const column = COLUMNS.find((each) => each === name);
  return column === undefined ? { column: "state", isReversed: false } : { column, isReversed: sort.startsWith("-") };
}

export function droppedItems({ dropped }: ComponentStatusJson["flow"]): number {
  return dropped.reduce((sum, { items }) => sum + items, 0);
}

const order = new Intl.Collator("en", { numeric: true });

function compareText(a: string, b: string): number {
  return order.compare(a, b);
}
