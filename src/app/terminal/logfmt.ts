import type { LiveItem, Pairs } from "../api/json.ts";
import { escapeControls } from "./escape.ts";
import type { ItemWay } from "./trace-text.ts";

/** Lines of `key=value`, for `grep` and the like. Labels are `label.NAME`, and so on for the other groups. */

export type Field = readonly [name: string, value: string];

/** Empty values are left out. */
export function logfmtLine(fields: readonly Field[]): string {
  return fields
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name.replace(/[\s="\p{Cc}\p{Cs}]/gu, "_")}=${valueText(value)}`)
    .map(escapeControls)
    .join(" ");
}

function valueText(value: string): string {
  return /[\s="\\\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(value) ? JSON.stringify(value) : value;
}

const SHORT: ReadonlyMap<string, string> = new Map([
  ["labels", "label"],
  ["attributes", "attribute"],
  ["traceId", "trace_id"],
  ["spanId", "span_id"],
  ["parentId", "parent_id"],
  ["durationMs", "duration_ms"],
]);

/** What an item holds; its type comes first. */
export function itemFields(item: LiveItem): readonly Field[] {
  return [["type", item.type], ...fieldsOf(item)];
}

function fieldsOf(values: object): Field[] {
  const fields: Field[] = [];
  for (const [name, value] of Object.entries(values)) {
    const short = SHORT.get(name) ?? name;
    if (name === "type") continue;
    if (name === "exports") fields.push([name, JSON.stringify(value)]);
    else if (typeof value !== "object") fields.push([short, String(value)]);
    else for (const [key, text] of Object.entries(value as Pairs)) fields.push([`${short}.${key}`, String(text)]);
  }
  return fields;
}

/** A line for the item as it came in, and one for each stage with the item as it is behind it. `head` begins each. */
export function traceLines(head: readonly Field[], { before, outcome, steps }: ItemWay): readonly string[] {
  return [
    logfmtLine([...head, ["outcome", outcome], ...(before === null ? [] : fieldsOf(before))]),
    ...steps.map((step) => {
      const own: Field[] = [
        ["stage", step.stage],
        ["outcome", step.outcome],
        ["reason", step.reason],
      ];
      return logfmtLine([...head, ...own, ...(step.after === null ? [] : fieldsOf(step.after))]);
    }),
  ];
}
