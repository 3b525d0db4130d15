import type { EntryStateJson, LiveItem, Pairs } from "../api/json.ts";
import type { ShownEvent } from "./print.ts";

/** Live events as lines of `key=value`, for `grep` and the like. Labels are `label.NAME`, and so on for the other groups. */
export function logfmtEvent(event: ShownEvent): readonly string[] {
  if (event.event === "item") {
    const { time, component, direction, peer, item } = event;
    const head = pairsText([
      ["time", time],
      ["component", component],
      ["direction", direction],
      ["to", peer],
      ["type", item.type],
    ]);
    return [`${head} ${itemText(item)}`];
  }
  const { before, steps, outcome } = event.trace;
  const head = pairsText([
    ["time", event.time],
    ["component", event.component],
    ["type", "trace"],
  ]);
  const line = (stage: string, outcome: string, reason: string, state: EntryStateJson | null) =>
    `${head} ${pairsText([
      ["stage", stage],
      ["outcome", outcome],
      ["reason", reason],
    ])}${state === null ? "" : ` ${stateText(state)}`}`;
  return [
    line("", outcome, "", before),
    ...steps.map((step) => line(step.stage, step.outcome, step.reason, step.after)),
  ];
}

function itemText(item: LiveItem): string {
  const parts: [string, string][] = [];
  for (const [name, value] of Object.entries(item)) {
    if (name === "type") continue;
    if (name === "exports") parts.push([name, JSON.stringify(value)]);
    else if (typeof value !== "object") parts.push([SHORT.get(name) ?? name, String(value)]);
    else
      for (const [key, text] of Object.entries(value as Pairs)) parts.push([`${SHORT.get(name) ?? name}.${key}`, text]);
  }
  return pairsText(parts);
}

const SHORT: ReadonlyMap<string, string> = new Map([
  ["labels", "label"],
  ["attributes", "attribute"],
  ["traceId", "trace_id"],
  ["spanId", "span_id"],
  ["parentId", "parent_id"],
  ["durationMs", "duration_ms"],
]);

function stateText({ timestamp, line, labels, metadata, extracted }: EntryStateJson): string {
  const group = (name: string, values: EntryStateJson["extracted"]): [string, string][] =>
    Object.entries(values).map(([key, value]) => [`${name}.${key}`, String(value)]);
  return pairsText([
    ["timestamp", timestamp],
    ["line", line],
    ...group("label", labels),
    ...group("metadata", metadata),
    ...group("extracted", extracted),
  ]);
}

/** Empty values are left out. */
export function pairsText(pairs: readonly (readonly [string, string])[]): string {
  return pairs
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name.replace(/[\s="\p{Cc}]/gu, "_")}=${valueText(value)}`)
    .join(" ");
}

/** What JSON leaves as it is although a terminal would act on it: control characters beyond ASCII, changes of direction. */
const UNSAFE = /[\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function valueText(value: string): string {
  if (!/[\s="\\\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(value)) return value;
  return JSON.stringify(value).replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
