import type { Labels } from "#base/labels";
import type { MetricMetadata, NativeHistogram } from "#pipeline/batch";
import { SAMPLE_STALE } from "#pipeline/batch";
import type { SeriesRef } from "#pipeline/series";
import { acceptedHistogram, type ReadHistogram, readHistogram } from "./native-histogram-reader.ts";
import type { ProtoReader } from "./protobuf.ts";

/** Samples of one batch at most; a request with more becomes several. */
const MAX_SAMPLES = 10_000;
/** Memory beside the columns at which a batch is handed on. */
const MAX_WEIGHT = 4 * 1024 * 1024;
/** Larger ones are nobody's histogram, and cost forty times as much to read as to send. */
const MAX_HISTOGRAM_BYTES = 1024 * 1024;
/** What a histogram in memory takes for each byte of the message. */
const HISTOGRAM_WEIGHT = 20;
const EXEMPLAR_WEIGHT = 400;
/** Bytes of a TimeSeries with a single sample, at least. */
const LEAST_SERIES_BYTES = 16;

const STALE_LOW = 2;
const STALE_HIGH = 0x7ff00000;

/** Why items of a request are not handed on. */
export type RejectReason = "invalid_labels" | "too_far_in_future" | "invalid_histogram" | "invalid_exemplar";

/** What readers of remote write requests ask for and tell of. */
export interface WriteIntake {
  /** Epoch milliseconds beyond which a timestamp is an error. */
  readonly latest: number;
  /**
   * The series with the labels in `bytes[start, end)`: `Label` messages as in field 1 of TimeSeries, in any order and not
   * judged yet. 0 if there can be none, for the reason in `problem`. `fresh` bytes were taken for it until the batch ends.
   */
  series(bytes: Buffer, start: number, end: number): SeriesRef;
  readonly problem: string;
  readonly fresh: number;
  /** Items that are left out, and why. Exemplars count as items as well, but are no reason to refuse a request. */
  reject(reason: RejectReason, items: number, message: string): void;
  /** Whether this metadata of a series is news; `hash` stands for its content. */
  isNews(ref: SeriesRef, hash: number): boolean;
}

export interface ReadExemplar {
  readonly ref: SeriesRef;
  readonly labels: Labels;
  readonly value: number;
  readonly timestamp: number;
}

/** The columns of a batch under construction, and what stands beside them. Readers write, the receiver takes. */
export class WriteColumns {
  readonly ref: Int32Array;
  readonly timestamp: Float64Array;
  readonly value: Float64Array;
  readonly flags: Uint8Array;
  readonly #intake: WriteIntake;
  count = 0;
  histograms: NativeHistogram[] = [];
  exemplars: ReadExemplar[] = [];
  metadata: MetricMetadata[] = [];
  /** Bytes of histograms, exemplars and metadata, which live until the batch ends. */
  weight = 0;

  /** For a request of `bytes` bytes. */
  constructor(intake: WriteIntake, bytes: number) {
    const capacity = Math.min(MAX_SAMPLES, Math.max(16, Math.ceil(bytes / LEAST_SERIES_BYTES)));
    this.#intake = intake;
    this.ref = new Int32Array(capacity);
    this.timestamp = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
    this.flags = new Uint8Array(capacity);
  }

  /** Whether the batch is to be handed on before anything is added. */
  get isFull(): boolean {
    return this.count === this.ref.length || this.weight + this.#intake.fresh > MAX_WEIGHT;
  }
  get isEmpty(): boolean {
    return this.count === 0 && this.exemplars.length === 0 && this.metadata.length === 0;
  }

  clear(): void {
    this.count = 0;
    this.weight = 0;
    this.histograms = [];
    this.exemplars = [];
    this.metadata = [];
  }

  /** Reads a `Sample` message behind its tag. */
  addSample(reader: ProtoReader, ref: SeriesRef): void {
    const outer = reader.enter();
    const { count } = this;
    this.value[count] = 0;
    this.timestamp[count] = 0;
    this.flags[count] = 0;
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 0x09) {
        const at = reader.position;
        this.value[count] = reader.double();
        if (Number.isNaN(this.value[count])) {
          reader.position = at;
          this.flags[count] = reader.fixed64Low() === STALE_LOW && reader.high === STALE_HIGH ? SAMPLE_STALE : 0;
        } else this.flags[count] = 0;
      } else if (tag === 0x10) this.timestamp[count] = reader.int64Number();
      else reader.skip(tag);
    }
    reader.leave(outer);
    if (this.timestamp[count]! > this.#intake.latest) {
      this.#intake.reject("too_far_in_future", 1, `the timestamp ${this.timestamp[count]} is too far in the future`);
      return;
    }
    this.ref[count] = ref;
    this.count = count + 1;
  }

  /** Reads a `Histogram` message behind its tag. */
  addHistogram(reader: ProtoReader, ref: SeriesRef): void {
    const outer = reader.enter();
    const bytes = reader.end - reader.position;
    if (bytes > MAX_HISTOGRAM_BYTES) {
      this.#intake.reject("invalid_histogram", 1, `a native histogram of ${bytes} bytes is too large`);
    } else this.#add(readHistogram(reader), ref, bytes);
    reader.leave(outer);
  }

  #add(read: ReadHistogram, ref: SeriesRef, bytes: number): void {
    const { timestamp, stale } = read;
    const histogram = acceptedHistogram(read.histogram);
    if (typeof histogram === "string") this.#intake.reject("invalid_histogram", 1, `native histogram: ${histogram}`);
    else if (timestamp > this.#intake.latest) {
      this.#intake.reject("too_far_in_future", 1, `the timestamp ${timestamp} is too far in the future`);
    } else {
      this.histograms.push({ ...histogram, sample: this.count });
      this.weight += bytes * HISTOGRAM_WEIGHT;
      this.ref[this.count] = ref;
      this.timestamp[this.count] = timestamp;
      this.value[this.count] = histogram.count;
      this.flags[this.count] = stale ? SAMPLE_STALE : 0;
      this.count += 1;
    }
  }

  addExemplar(exemplar: ReadExemplar): void {
    if (exemplar.timestamp > this.#intake.latest) {
      const message = `an exemplar's timestamp ${exemplar.timestamp} is too far in the future`;
      this.#intake.reject("invalid_exemplar", 1, message);
      return;
    }
    this.weight += EXEMPLAR_WEIGHT;
    this.exemplars.push(exemplar);
  }

  addMetadata(metadata: MetricMetadata): void {
    this.weight += metadata.help.length + metadata.unit.length + metadata.family.length + 100;
    this.metadata.push(metadata);
  }
}
