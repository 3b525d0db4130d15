import { quote } from "#base/labels";
import type { EntryStateJson, PipedSampleJson, TraceJson } from "../api/json.ts";
import { escapeControls } from "./escape.ts";
import { itemText } from "./item-view.ts";
import type { Color, Paint } from "./table.ts";

/** What stages did to an item, for people. */

export type ItemState = EntryStateJson | PipedSampleJson;

/** An item's way through a component. */
export interface ItemWay {
  /** Null where the item's beginning is not known. */
  readonly before: ItemState | null;
  readonly outcome: TraceJson["outcome"];
  readonly steps: readonly ItemStep[];
}
interface ItemStep {
  readonly stage: string;
  readonly outcome: TraceJson["outcome"];
  readonly reason: string;
  /** Null for what was dropped or kept. */
  readonly after: ItemState | null;
}

const OUTCOMES = { passed: "green", dropped: "red", kept: "yellow" } as const;

/** What became of the item, behind `head`; the item as it came in; and what each stage changed. Lines without their ends. */
export function traceText(head: string, { before, outcome, steps }: ItemWay, paint: Paint): string {
  const last = steps.at(-1);
  const how = outcome === "passed" || last === undefined ? outcome : `${outcome} by ${escapeControls(last.stage)}`;
  const lines = [head + paint(OUTCOMES[outcome], how)];
  if (before !== null) lines.push(`  ${stateText(before, paint)}`);
  const width = Math.max(...steps.map(({ stage }) => stage.length));
  let state = before;
  for (const step of steps) {
    for (const [i, row] of stepRows(state, step, paint).entries()) {
      lines.push(`  ${paint("strong", escapeControls(i === 0 ? step.stage : "").padEnd(width))}  ${row}`);
    }
    state = step.after ?? state;
  }
  return lines.join("\n");
}

/** An item on one line, with its own time. */
export function stateText(state: Omit<EntryStateJson, "extracted"> | PipedSampleJson, paint: Paint): string {
  const text = itemText("line" in state ? { type: "log", ...state } : { type: "sample", ...state }, paint);
  return `${paint("quiet", state.timestamp)}  ${text}`;
}

function stepRows(before: ItemState | null, { outcome, reason, after }: ItemStep, paint: Paint): readonly string[] {
  const changes = before === null || after === null ? [] : changesOf(before, after);
  const rows = changes.flatMap((change) => changeRows(change, paint));
  if (outcome !== "passed") {
    rows.push(paint(OUTCOMES[outcome], `${outcome}${reason === "" ? "" : `: ${escapeControls(reason)}`}`));
  } else if (reason !== "") rows.push(paint("quiet", escapeControls(reason)));
  return rows.length === 0 ? [paint("quiet", "no change")] : rows;
}

type Scalar = string | number | boolean | null;

/** A line, a time or a value that is another one now; or one of a group that came (no `before`), went (no `after`) or changed. */
interface Change {
  readonly what: "extracted" | "label" | "metadata" | "timestamp" | "line" | "value";
  readonly name: string;
  readonly before: Scalar | undefined;
  readonly after: Scalar | undefined;
}

function changesOf(before: ItemState, after: ItemState): readonly Change[] {
  const changes: Change[] = [];
  const own = (what: Change["what"], from: string, to: string) => {
    if (from !== to) changes.push({ what, name: "", before: from, after: to });
  };
  if ("line" in before && "line" in after) {
    changes.push(
      ...groupChanges("extracted", before.extracted, after.extracted),
      ...groupChanges("label", before.labels, after.labels),
      ...groupChanges("metadata", before.metadata, after.metadata),
    );
    own("timestamp", before.timestamp, after.timestamp);
    own("line", before.line, after.line);
  } else if ("value" in before && "value" in after) {
    changes.push(...groupChanges("label", before.labels, after.labels));
    own("timestamp", before.timestamp, after.timestamp);
    own("value", before.value, after.value);
  }
  return changes;
}

type Group = Readonly<Record<string, Scalar>>;

function groupChanges(what: Change["what"], before: Group, after: Group): readonly Change[] {
  const changes: Change[] = [];
  for (const name of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
    const old = Object.hasOwn(before, name) ? before[name] : undefined;
    const now = Object.hasOwn(after, name) ? after[name] : undefined;
    if (old !== now) changes.push({ what, name, before: old, after: now });
  }
  return changes;
}

function changeRows({ what, name, before, after }: Change, paint: Paint): readonly string[] {
  if (what === "line") return [...lineRows("red", "-", before, paint), ...lineRows("green", "+", after, paint)];
  if (what === "timestamp" || what === "value") {
    return [`${what} ${paint("red", String(before))} → ${paint("green", String(after))}`];
  }
  const place = what === "extracted" ? "" : `${what} `;
  const is = `${escapeControls(name)}${what === "label" ? "=" : " = "}`;
  if (before === undefined) return [`${place}${paint("green", `+ ${is}${scalarText(after)}`)}`];
  if (after === undefined) return [`${place}${paint("red", `- ${is}${scalarText(before)}`)}`];
  return [`${place}${paint("yellow", `~ ${is}${scalarText(before)} → ${scalarText(after)}`)}`];
}

/** Texts of several lines take a row for each. */
function lineRows(color: Color, sign: string, text: Scalar | undefined, paint: Paint): readonly string[] {
  return String(text)
    .split("\n")
    .map((row) => `line ${paint(color, `${sign} ${escapeControls(row)}`)}`);
}

function scalarText(value: Scalar | undefined): string {
  return typeof value === "string" ? escapeControls(quote(value)) : String(value);
}
