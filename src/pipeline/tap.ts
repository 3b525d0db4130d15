import type { Value } from "#lang/value";
import type { Batch } from "./batch.ts";

/**
 * Sees a batch on its way in or out; `peer` is the consumer's component for `out`, empty for `in`. It must render or copy
 * what it wants to keep before it returns, since batches are lent.
 */
export type TapListener = (direction: "in" | "out", peer: string, batch: Batch) => void;

/** Sees new exports of a component that has targets or other values to give, as they are published. */
export type ExportListener = (exports: Value) => void;

/** A log entry as one stage leaves it to the next. */
export interface EntryState {
  readonly line: string;
  /** Flat name-value pairs, sorted by name. */
  readonly labels: readonly string[];
  readonly metadata: readonly string[];
  /** Epoch milliseconds, and the nanoseconds beyond them. */
  readonly ms: number;
  readonly ns: number;
  readonly extracted: readonly (readonly [name: string, value: string | number | boolean | null])[];
}

/** What one stage did to an entry. */
export interface EntryStep {
  /** The stage's place and kind, such as `2.json` or `3.match.0.regex`. */
  readonly stage: string;
  /** `kept`: the stage holds the entry back (multiline, cri, pack) and may send it, or another, later. */
  readonly outcome: "passed" | "dropped" | "kept";
  /** Why it was dropped or kept, or what the stage could not do. */
  readonly reason?: string;
  /** Missing for what was dropped or kept. */
  readonly after?: EntryState;
}

/** An entry's way through all stages of a component. */
export interface EntryTrace {
  /** The entry that came in; missing for one that a stage put together and sent later. */
  readonly before: EntryState;
  readonly steps: readonly EntryStep[];
  readonly outcome: EntryStep["outcome"];
}

/** Somebody who wants to see the way of single entries. */
export interface TraceListener {
  /** Asked before each entry; a trace costs a hundred times what the entry itself does. */
  wants(): boolean;
  show(trace: EntryTrace): void;
}

/** The place where a component's traffic can be watched. Costs one check of `active` a batch while nobody does. */
export class Tap {
  readonly #listeners = new Set<TapListener>();
  readonly #exportListeners = new Set<ExportListener>();
  readonly #traceListeners = new Set<TraceListener>();
  active = false;
  /** Whether somebody watches single entries. */
  tracing = false;

  /** Watches batches until the returned function is called. */
  watch(listener: TapListener): () => void {
    this.#listeners.add(listener);
    this.active = true;
    return () => {
      this.#listeners.delete(listener);
      this.active = this.#listeners.size > 0;
    };
  }
  show(direction: "in" | "out", peer: string, batch: Batch): void {
    for (const listener of this.#listeners) listener(direction, peer, batch);
  }

  /** Watches new exports until the returned function is called. */
  watchExports(listener: ExportListener): () => void {
    this.#exportListeners.add(listener);
    return () => void this.#exportListeners.delete(listener);
  }
  showExports(exports: Value): void {
    for (const listener of this.#exportListeners) listener(exports);
  }

  /** Watches the way of single entries through a component's stages until the returned function is called. */
  watchTraces(listener: TraceListener): () => void {
    this.#traceListeners.add(listener);
    this.tracing = true;
    return () => {
      this.#traceListeners.delete(listener);
      this.tracing = this.#traceListeners.size > 0;
    };
  }
  wantsTrace(): boolean {
    let wanted = false;
    for (const listener of this.#traceListeners) if (listener.wants()) wanted = true;
    return wanted;
  }
  showTrace(trace: EntryTrace): void {
    for (const listener of this.#traceListeners) listener.show(trace);
  }
}
