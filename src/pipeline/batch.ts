import type { Labels } from "#base/labels";
import type { Acknowledgement } from "./acknowledgement.ts";
import type { RetryableError } from "./errors.ts";
import type { SeriesRegistry } from "./series.ts";

/**
 * What flows on edges: batches in columns. `performance.md`'s figures are why they look like this.
 *
 * Ownership. Log and metric batches are *lent*: columns and bytes are valid until the promise of `consume` settles;
 * who keeps data copies it (writers encode it at once), so that sources can reuse their buffers. A consumer with
 * `mutates` may change the columns of what it is handed (Fanout clones for it when others look on), never the bytes
 * of `data`. OTLP and profile bytes are immutable and may be kept.
 */

/** `otlp` carries traces, metrics and logs in OpenTelemetry's form; a consumer of it takes all three. */
export type Signal = "logs" | "metrics" | "otlp" | "profiles";

export interface LogBatch {
  readonly signal: "logs";
  /** The number of entries; columns may be longer. */
  count: number;
  /** Holds the bytes of all lines, in UTF-8 or whatever the source had, without newlines. */
  data: Uint8Array;
  /** Entry i's line is `data[start[i], end[i])`. */
  start: Int32Array;
  end: Int32Array;
  /** Entry i's time: whole milliseconds since 1970 in `ms`, and the nanoseconds within that millisecond (0 … 999,999) in `ns`. */
  ms: Float64Array;
  ns: Int32Array;
  /** Entry i belongs to `streams[stream[i]]`. The table is the batch's own; the label sets in it are shared. */
  stream: Int32Array;
  streams: Labels[];
  /** Structured metadata per entry, flat (`name, value, …`, in order of insertion), if any entry has some. */
  metadata: (readonly string[] | undefined)[] | undefined;
  acknowledgement: Acknowledgement;
}

/** Bits of `MetricBatch.flags`. */
export const SAMPLE_STALE = 1;

export interface Exemplar {
  /** Index of the sample in the batch. */
  readonly sample: number;
  readonly labels: Labels;
  readonly value: number;
  /** Epoch milliseconds. */
  readonly timestamp: number;
}

/** A native histogram, integer or float, exponential (`schema` −4 … 8) or with custom bounds (`schema` −53). */
export interface NativeHistogram {
  /** Index of the sample in the batch; the sample's value is the histogram's count. */
  readonly sample: number;
  readonly schema: number;
  readonly zeroThreshold: number;
  readonly zeroCount: number;
  readonly count: number;
  readonly sum: number;
  readonly positiveSpans: readonly { readonly offset: number; readonly length: number }[];
  readonly negativeSpans: readonly { readonly offset: number; readonly length: number }[];
  /** Deltas for integer histograms, absolute counts for float ones. */
  readonly positive: readonly number[];
  readonly negative: readonly number[];
  readonly isFloat: boolean;
  readonly customBounds: readonly number[] | undefined;
  readonly resetHint: "unknown" | "yes" | "no" | "gauge";
}

export interface MetricMetadata {
  readonly family: string;
  readonly type: "unknown" | "counter" | "gauge" | "histogram" | "gaugehistogram" | "summary" | "info" | "stateset";
  readonly help: string;
  readonly unit: string;
}

/** The target whose page the samples of a batch are from, for consumers that need more than the labels of series. */
export interface MetricOrigin {
  /** Of the labels that the target was discovered with, those that tell what it is: job, instance, scheme, Kubernetes. */
  readonly discovered: Labels;
  /** All that the target's pages said about a family, not only what changed lately. */
  metadata(family: string): MetricMetadata | undefined;
}

export interface MetricBatch {
  readonly signal: "metrics";
  /** The number of samples; columns may be longer. */
  count: number;
  /** Where the refs point to. One registry per process outside tests. */
  registry: SeriesRegistry;
  /** Sample i belongs to the series `ref[i]`. */
  ref: Int32Array;
  /** Epoch milliseconds, whole numbers. */
  timestamp: Float64Array;
  /** Meaningless where `flags[i] & SAMPLE_STALE`: a NaN's bits do not survive, encoders write the stale marker. */
  value: Float64Array;
  flags: Uint8Array;
  /** When the counter or histogram of each sample began to count (epoch milliseconds; 0: not known), if any is known. */
  start?: Float64Array | undefined;
  exemplars: readonly Exemplar[] | undefined;
  histograms: readonly NativeHistogram[] | undefined;
  /** Metadata of the families that changed since the source last sent it. */
  metadata: readonly MetricMetadata[] | undefined;
  /** Undefined for samples that were not scraped. */
  origin?: MetricOrigin | undefined;
  acknowledgement: Acknowledgement;
}

export type OtlpKind = "traces" | "metrics" | "logs";

/** What consumers refused of a batch for good before it was accepted, so that its source can tell who sent it. */
export class Refusals {
  items = 0;
  /** Of the last one. */
  message = "";
  #isShared = false;

  /** Several consumers have the batch: what one of them refuses is worth a word, but the others have it. */
  share(): void {
    this.#isShared = true;
  }

  add(items: number, message: string): void {
    if (!this.#isShared) this.items += items;
    this.message = message;
  }
}

/** What a receiver knows of the client that sent the data; kept for as long as the data is what one client sent. */
export interface OtlpClient {
  /** What it sent beside the data (lower-case header → values), kept when a receiver has `include_metadata`. */
  readonly clientMetadata: ReadonlyMap<string, readonly string[]> | undefined;
  /** Its IP address. */
  readonly clientAddress?: string | undefined;
  /** What its authentication told, such as `username`; for receivers with `auth`. May hold secrets. */
  readonly clientAttributes?: ReadonlyMap<string, string> | undefined;
}

/** Of data that is not one client's any more. */
export const NO_CLIENT: OtlpClient = {
  clientMetadata: undefined,
  clientAddress: undefined,
  clientAttributes: undefined,
};

/** A client that waits for its data to be accepted and can send it again. */
export interface WaitingClient {
  /** Ends its waiting at once with a refusal for now. Nothing happens where the data was accepted already. */
  sendAway(why: RetryableError): void;
}

export interface OtlpBatch extends OtlpClient {
  readonly signal: "otlp";
  readonly kind: OtlpKind;
  /** Protobuf bodies of Export…ServiceRequest messages; together they are one request, since such messages concatenate. */
  readonly parts: readonly Uint8Array[];
  /** Spans, data points or log records in all parts. */
  readonly items: number;
  /** Sum of the parts' lengths. */
  readonly bytes: number;
  /** There if a client waits and may be sent away: not behind what would count the data twice if it came again. */
  readonly waiting?: WaitingClient | undefined;
  /** There if the source tells its sender. Lost where batches are merged or kept: what comes later comes too late. */
  readonly refusals?: Refusals | undefined;
  readonly acknowledgement: Acknowledgement;
}

export interface ProfileBatch {
  readonly signal: "profiles";
  readonly profiles: readonly { readonly labels: Labels; readonly pprof: Uint8Array }[];
  readonly acknowledgement: Acknowledgement;
}

export interface SignalBatches {
  logs: LogBatch;
  metrics: MetricBatch;
  otlp: OtlpBatch;
  profiles: ProfileBatch;
}
export type Batch<S extends Signal = Signal> = SignalBatches[S];

/** Entries, samples, items or profiles. */
export function batchItems(batch: Batch): number {
  switch (batch.signal) {
    case "otlp":
      return batch.items;
    case "profiles":
      return batch.profiles.length;
    default:
      return batch.count;
  }
}

/** Payload bytes, for rates and limits: lines, OTLP bodies, profiles; 16 for each sample. */
export function batchBytes(batch: Batch): number {
  switch (batch.signal) {
    case "otlp":
      return batch.bytes;
    case "metrics":
      return batch.count * 16;
    case "profiles":
      return batch.profiles.reduce((sum, each) => sum + each.pprof.length, 0);
    case "logs": {
      let sum = 0;
      for (let i = 0; i < batch.count; i++) sum += batch.end[i]! - batch.start[i]!;
      return sum;
    }
  }
}

/** A batch with columns of its own over the same bytes, for a consumer that mutates. Takes no reference of the acknowledgement. */
export function cloneBatch<S extends Signal>(batch: Batch<S>): Batch<S> {
  const any: Batch = batch;
  if (any.signal === "logs") {
    const { count } = any;
    const clone: LogBatch = {
      ...any,
      start: any.start.slice(0, count),
      end: any.end.slice(0, count),
      ms: any.ms.slice(0, count),
      ns: any.ns.slice(0, count),
      stream: any.stream.slice(0, count),
      streams: any.streams.slice(),
      metadata: any.metadata?.slice(0, count),
    };
    return clone as Batch<S>;
  }
  if (any.signal === "metrics") {
    const { count } = any;
    const clone: MetricBatch = {
      ...any,
      ref: any.ref.slice(0, count),
      timestamp: any.timestamp.slice(0, count),
      value: any.value.slice(0, count),
      flags: any.flags.slice(0, count),
      start: any.start?.slice(0, count),
    };
    return clone as Batch<S>;
  }
  return batch; // OTLP and profiles are immutable
}
