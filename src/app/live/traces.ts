import type { Filter } from "#base/filter";
import type { EntryState, EntryTrace } from "#pipeline/tap";
import type { EntryStateJson, TraceJson } from "../api/json.ts";
import { ItemText } from "./item-text.ts";
import { isoTime, pairsOf, shownText } from "./shown.ts";

/** An entry's way through the stages of a component, as it is sent. */
export function traceJson({ before, steps, outcome }: EntryTrace): TraceJson {
  return {
    before: stateJson(before, shownText),
    steps: steps.map((step) => ({
      stage: step.stage,
      outcome: step.outcome,
      reason: step.reason ?? "",
      after: step.after === undefined ? null : stateJson(step.after, shownText),
    })),
    outcome,
  };
}

/** Whether the entry matches as it came in or as it went out. Extracted values count as fields. */
export function matchesTrace({ before, steps }: EntryTrace, filter: Filter): boolean {
  const last = steps.findLast((step) => step.after !== undefined)?.after;
  return filter.matches(stateText(before)) || (last !== undefined && filter.matches(stateText(last)));
}

/** `shown` may cut lines and extracted texts. */
export function stateJson(
  { line, labels, metadata, ms, ns, extracted }: EntryState,
  shown: (text: string) => string,
): EntryStateJson {
  const values: Record<string, string | number | boolean | null> = Object.create(null);
  for (const [name, value] of extracted) values[name] = typeof value === "string" ? shown(value) : value;
  return {
    timestamp: isoTime(ms, ns),
    line: shown(line),
    labels: pairsOf(labels),
    metadata: pairsOf(metadata),
    extracted: values,
  };
}

function stateText({ line, labels, metadata, extracted }: EntryState): ItemText {
  const more = [...metadata, ...extracted.flatMap(([name, value]) => [name, String(value)])];
  return new ItemText({ type: "log", timestamp: "", line, labels: pairsOf(labels), metadata: pairsOf(more) });
}
