import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import { type Counter, counter, type InstrumentsOf, type MetricRegistry } from "#base/metrics";
import type { Entry, SlotTable } from "./entry.ts";

/** One step of a pipeline. Works on one entry at a time, synchronously. */
export interface Stage {
  /** Changes the entry; false if it ends here: dropped and counted, or kept by the stage. */
  process(entry: Entry): boolean;
  /** Emits what was kept for longer than it may be, or everything that can still be emitted if `all`. */
  flush?(all: boolean): void;
  /** Releases what outlives the pipeline otherwise, such as metrics. */
  close?(): void;
  /** For traces: why an entry ends here that was not dropped. */
  readonly kept?: string;
  /** For traces: what the entries are that the stage emits. */
  readonly sent?: string;
  /** For traces: what there is to say of an entry that has just passed, beyond what tallies and the change itself tell. */
  explain?(entry: Entry): string | undefined;
}

/** Alloy's metrics of loki.process, and one of our own for lines that a stage could not read. */
export const PROCESS_METRICS = {
  dropped: counter(
    "loki_process_dropped_lines_total",
    "A count of all log lines dropped as a result of a pipeline stage",
    ["reason"],
  ),
  droppedByLabel: counter(
    "loki_process_dropped_lines_by_label_total",
    "A count of all log lines dropped as a result of a pipeline stage",
    ["label_name", "label_value"],
  ),
  truncated: counter(
    "loki_process_truncated_fields_total",
    "A count of all log lines, labels, extracted values, or structured_metadata truncated as a result of a pipeline stage",
    ["field"],
  ),
  partialLinesFlushed: counter(
    "loki_process_cri_partial_lines_flushed_total",
    "A count of partial lines that were flushed prematurely due to the max_partial_lines limit being exceeded",
  ),
  linesTruncated: counter(
    "loki_process_cri_lines_truncated_total",
    "A count of lines that were truncated due to the max_partial_line_size limit",
  ),
  unmatched: counter(
    "loki_process_unmatched_lines_total",
    "Lines that a stage could not parse and passed on unchanged; the stage is named by its place and kind.",
    ["stage"],
  ),
  stageLines: counter("loki_process_stage_lines_total", "Lines that came to a stage that may fail to parse them.", [
    "stage",
  ]),
} as const;

/** What stages need of the component around them. */
export interface StageEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: InstrumentsOf<typeof PROCESS_METRICS>;
  /** Where `stage.metrics` puts its own, with the component's constant labels (flat). */
  readonly registry: Pick<MetricRegistry, "registerCollector">;
  readonly metricLabels: readonly string[];
  /** Reports drops to the flow accounting. */
  dropped(reason: string, count: number): void;
  /** Uniform in [0, 1). */
  random(): number;
}

/** What a stage is built with. */
export interface StageContext extends StageEnvironment {
  readonly slots: SlotTable;
  /** The stage's place and kind, such as `2.json` or `3.match.0.regex`. */
  readonly path: string;
  /** A counter of dropped lines under a reason; `because` says what is true of each of them, for traces. */
  drop(reason: string, because: string): Tally;
  /** Counts lines that this stage could not read; `what` completes "lines …", `because` says the same of one line. */
  unmatched(what: string, because: string): Tally;
  /** Counts nothing that anybody sees: a trace of an entry for which it was added to has the text. */
  note(text: string): Tally;
  /** Sends an entry on to the stages behind this one. */
  emit(entry: Entry): void;
  /** Another entry object, for `emit`. */
  spare(): Entry;
  /** Asks that the batch be handed on no sooner than in `ms`. */
  delay(ms: number): void;
}

/** A count that is handed over once a batch, since counters by label are too slow for each entry. */
export class Tally {
  /** What it means for an entry to be counted here, for traces. */
  readonly text: string;
  readonly #counter: Counter | undefined;
  readonly #report: ((count: number) => void) | undefined;
  #count = 0;

  constructor(text: string, counter?: Counter, report?: (count: number) => void) {
    this.text = text;
    this.#counter = counter;
    this.#report = report;
  }
  /** What was added since the last flush. */
  get count(): number {
    return this.#count;
  }
  add(count = 1): void {
    this.#count += count;
  }
  /** Takes the count instead of reporting it. */
  take(): number {
    const count = this.#count;
    this.#count = 0;
    return count;
  }
  flush(): void {
    if (this.#count === 0) return;
    this.#counter?.inc(this.#count);
    this.#report?.(this.#count);
    this.#count = 0;
  }
}

/** A configuration that the schema cannot judge is wrong. */
export class StageError extends Error {
  override readonly name = "StageError";
}

const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;

/** Whether the name fits Prometheus's legacy rule for label names, the only ones that Loki takes for streams. */
export function isLabelName(name: string): boolean {
  return LABEL_NAME.test(name);
}

/**
 * Message of a rule about label names. Alloy lets UTF-8 names pass, and Loki then refuses the whole request.
 */
export function badLabelName(args: { readonly values: ReadonlyMap<string, unknown> }): string {
  const name = [...args.values.keys()].find((each) => !isLabelName(each));
  return `has the name "${name}", which Loki refuses for labels: use letters, digits and underscores, or \`stage.structured_metadata\`, where names are free`;
}
