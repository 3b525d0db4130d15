import type { Clock } from "#base/clock";
import type { Labels } from "#base/labels";
import type { Counter } from "#base/metrics";
import type { LogBatch } from "#pipeline/batch";
import type { Detector, Findings } from "./detector.ts";
import { type RedactionStyle, replacements } from "./redaction.ts";
import { type ChangedLine, Rewriter } from "./rewriter.ts";

export interface FilterSettings {
  readonly style: RedactionStyle;
  readonly origin_label: string;
  /** From 0 to 1. */
  readonly rate: number;
  /** Milliseconds; 0 for no limit. */
  readonly processing_timeout: number;
  readonly drop_on_timeout: boolean;
  readonly label_timed_out: boolean;
}

export interface FilterReport {
  readonly redacted: Counter;
  readonly redactedByRule: Counter;
  readonly bypassed: Counter;
  lineTimedOut(drops: boolean): void;
}

/** Redacts the entries of batches. A line without secrets is not copied, and a batch without any keeps its bytes. */
export class EntryFilter {
  readonly #detector: Detector;
  readonly #settings: FilterSettings;
  readonly #clock: Clock;
  readonly #report: FilterReport;
  readonly #rewriter = new Rewriter();
  /** When the present entry's time is over, on the monotonic clock. */
  #deadline = 0;
  readonly #timeUp: (() => boolean) | undefined;

  constructor(detector: Detector, settings: FilterSettings, clock: Clock, report: FilterReport) {
    this.#detector = detector;
    this.#settings = settings;
    this.#clock = clock;
    this.#report = report;
    if (settings.processing_timeout > 0) this.#timeUp = () => this.#clock.monotonic() >= this.#deadline;
  }

  /** Changes the batch in place. Returns the bytes that it made for that, for `recycle`. */
  apply(batch: LogBatch): Uint8Array | undefined {
    const { rate, processing_timeout } = this.#settings;
    const { data, start, end, count } = batch;
    let changed: ChangedLine[] | undefined;
    let dropped: number[] | undefined;
    let bypassed = 0;
    for (let i = 0; i < count; i++) {
      if (rate < 1 && Math.random() >= rate) {
        bypassed += 1;
        continue;
      }
      if (this.#timeUp !== undefined) this.#deadline = this.#clock.monotonic() + processing_timeout;
      const findings = this.#detector.detect(data, start[i]!, end[i]!, this.#timeUp);
      if (findings === undefined) continue;
      if (findings.timedOut && this.#timeOut(batch, i)) (dropped ??= []).push(i);
      else if (findings.found.length > 0) {
        this.#count(findings, batch.streams[batch.stream[i]!]!);
        (changed ??= []).push({ entry: i, replacements: replacements(findings, data, this.#settings.style) });
      }
    }
    if (bypassed > 0) this.#report.bypassed.inc(bypassed);
    if (changed !== undefined) this.#rewriter.rewrite(batch, changed);
    if (dropped !== undefined) remove(batch, dropped);
    return changed === undefined ? undefined : batch.data;
  }

  /** Takes back bytes that `apply` made and nobody uses any more. */
  recycle(data: Uint8Array): void {
    this.#rewriter.recycle(data);
  }

  /** Whether the entry is to be dropped. */
  #timeOut(batch: LogBatch, entry: number): boolean {
    const { drop_on_timeout, label_timed_out } = this.#settings;
    this.#report.lineTimedOut(drop_on_timeout);
    if (!drop_on_timeout && label_timed_out) {
      const labels = batch.streams[batch.stream[entry]!]!;
      batch.stream[entry] = batch.streams.push(labels.with("secretfilter", "timed-out")) - 1;
    }
    return drop_on_timeout;
  }

  #count({ found }: Findings, labels: Labels): void {
    const { origin_label } = this.#settings;
    const origin = origin_label === "" ? "" : (labels.get(origin_label) ?? "");
    this.#report.redacted.inc(found.length);
    for (const { rule } of found) this.#report.redactedByRule.labels(rule.id, origin).inc();
  }
}

/** Takes entries out of a batch. `entries` is ascending. */
function remove(batch: LogBatch, entries: readonly number[]): void {
  const { start, end, ms, ns, stream, metadata } = batch;
  let kept = 0;
  let next = 0;
  for (let i = 0; i < batch.count; i++) {
    if (entries[next] === i) {
      next += 1;
      continue;
    }
    start[kept] = start[i]!;
    end[kept] = end[i]!;
    ms[kept] = ms[i]!;
    ns[kept] = ns[i]!;
    stream[kept] = stream[i]!;
    if (metadata !== undefined) metadata[kept] = metadata[i];
    kept += 1;
  }
  batch.count = kept;
}
