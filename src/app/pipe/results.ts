import { type LogBatch, type MetricBatch, SAMPLE_STALE } from "#pipeline/batch";
import { type LogEntry, logEntries } from "#pipeline/log-batch";
import type { EntryState, EntryTrace } from "#pipeline/tap";
import type { EntryStateJson, PipedSampleJson, PipeEntryJson, PipeSampleJson } from "../api/json.ts";
import { isoTime, numberText, pairsOf } from "../live/shown.ts";
import { stateJson } from "../live/traces.ts";

/** The forms in which results of a pipe are shown. Nothing is cut and nothing hidden: it is the user's own input. */

export type PipeResult =
  | { readonly kind: "entry"; readonly entry: PipeEntryJson }
  | { readonly kind: "sample"; readonly sample: PipeSampleJson };

/** The way of an entry, from a component that shows it. */
export function tracedEntry({ before, steps, outcome }: EntryTrace): PipeEntryJson {
  const first = wholeState(before);
  const shown = steps.map(({ stage, outcome: result, reason = "", after }) => ({
    stage,
    outcome: result,
    reason,
    after: after === undefined ? null : after === before ? first : wholeState(after),
  }));
  return { before: first, steps: shown, outcome, after: outcome === "passed" ? (shown.at(-1)?.after ?? first) : null };
}

function wholeState(state: EntryState): EntryStateJson {
  return stateJson(state, (text) => text);
}

export function entryJson({ line, labels, metadata, ms, ns }: LogEntry): EntryStateJson {
  return wholeState({ line, labels: labels.flat, metadata, ms, ns, extracted: [] });
}

export function entriesIn(batch: LogBatch): EntryStateJson[] {
  return [...logEntries(batch)].map(entryJson);
}

export function samplesIn(batch: MetricBatch): PipedSampleJson[] {
  return Array.from({ length: batch.count }, (_, i) => ({
    timestamp: isoTime(batch.timestamp[i]!),
    labels: pairsOf(batch.registry.labels(batch.ref[i]!).flat),
    value: (batch.flags[i]! & SAMPLE_STALE) !== 0 ? "stale" : numberText(batch.value[i]!),
  }));
}
