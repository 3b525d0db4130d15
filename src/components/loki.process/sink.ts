import type { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";
import type { Entry, LineStore } from "./entry.ts";

/** How many entries room is made for when stages emit more than came in. */
const GAP = 256;

/**
 * Writes the entries that survive back into the columns of the batch that they came in. Writing stays behind reading;
 * should a stage emit more entries than it took, the unread ones are moved to make room.
 */
export class BatchSink {
  readonly #store: LineStore;
  #batch!: LogBatch;
  #streams: Labels[] = [];
  readonly #streamIds = new Map<Labels, number>();
  #lastLabels: Labels | undefined;
  #lastId = 0;
  #written = 0;
  #held: Acknowledgement[] = [];
  /** The entry being read; it may be overwritten. */
  reading = 0;
  /** One more than the last entry to read. */
  limit = 0;

  constructor(store: LineStore) {
    this.#store = store;
  }

  /** Starts on a batch, whose columns are changed from now on. */
  begin(batch: LogBatch): void {
    this.#batch = batch;
    this.#streams = [];
    this.#streamIds.clear();
    this.#lastLabels = undefined;
    this.#written = 0;
    this.#held = [];
    this.reading = 0;
    this.limit = batch.count;
  }

  push(entry: Entry): void {
    if (this.#written > this.reading) this.#makeRoom();
    const batch = this.#batch;
    const at = this.#written++;
    batch.start[at] = entry.start;
    batch.end[at] = entry.end;
    batch.ms[at] = entry.ms;
    batch.ns[at] = entry.ns;
    const { labels } = entry;
    if (labels !== this.#lastLabels) {
      let id = this.#streamIds.get(labels);
      if (id === undefined) {
        id = this.#streams.length;
        this.#streams.push(labels);
        this.#streamIds.set(labels, id);
      }
      this.#lastId = id;
      this.#lastLabels = labels;
    }
    batch.stream[at] = this.#lastId;
    if (entry.metadata !== undefined) (batch.metadata ??= [])[at] = entry.metadata;
    else if (batch.metadata !== undefined) batch.metadata[at] = undefined;
    if (entry.held !== undefined) this.#held.push(...entry.held);
  }

  /** What the entries that were pushed hold beside the batch's acknowledgement. */
  get held(): readonly Acknowledgement[] {
    return this.#held;
  }

  /** The batch of what was pushed. */
  finish(): LogBatch {
    const batch = this.#batch;
    batch.count = this.#written;
    batch.streams = this.#streams;
    if (this.#store.changed) batch.data = this.#store.data;
    if (this.#held.length > 0) {
      batch.acknowledgement = Acknowledgement.merge([batch.acknowledgement, ...this.#held]);
    }
    return batch;
  }

  #makeRoom(): void {
    const batch = this.#batch;
    const next = this.reading + 1;
    const shift = (column: Int32Array | Float64Array) => {
      const Column = column.constructor as { new (length: number): typeof column };
      const grown = new Column(this.limit + GAP);
      grown.set(column.subarray(0, next));
      grown.set(column.subarray(next, this.limit), next + GAP);
      return grown;
    };
    batch.start = shift(batch.start) as Int32Array;
    batch.end = shift(batch.end) as Int32Array;
    batch.ms = shift(batch.ms) as Float64Array;
    batch.ns = shift(batch.ns) as Int32Array;
    batch.stream = shift(batch.stream) as Int32Array;
    if (batch.metadata !== undefined) {
      batch.metadata = [...batch.metadata.slice(0, next), ...new Array(GAP), ...batch.metadata.slice(next)];
    }
    this.reading += GAP;
    this.limit += GAP;
  }
}

/** Collects entries that stages emit outside of any batch. */
export class TimerSink {
  readonly #builder = new LogBatchBuilder();
  #held: Acknowledgement[] = [];

  push(entry: Entry): void {
    const stream = this.#builder.streamId(entry.labels);
    this.#builder.add(stream, entry.ms, entry.ns, entry.store.data, entry.start, entry.end, entry.metadata);
    if (entry.held !== undefined) this.#held.push(...entry.held);
  }

  get held(): readonly Acknowledgement[] {
    return this.#held;
  }

  /** The batch of what was pushed, if anything was. */
  finish(): LogBatch | undefined {
    if (this.#builder.count === 0) return undefined;
    const batch = this.#builder.take(Acknowledgement.merge(this.#held));
    this.#held = [];
    return batch;
  }
}
