import type { Labels } from "#base/labels";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import {
  type Exemplar,
  type MetricBatch,
  type MetricMetadata,
  type NativeHistogram,
  SAMPLE_STALE,
} from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";

/** Samples in the making, in columns that grow and are used again. */
export class SampleColumns {
  count = 0;
  #ref = new Int32Array(1024);
  #timestamp = new Float64Array(1024);
  #value = new Float64Array(1024);
  #flags = new Uint8Array(1024);
  #exemplars: Exemplar[] = [];
  #histograms: NativeHistogram[] = [];
  #metadata: MetricMetadata[] = [];

  reset(): void {
    this.count = 0;
    this.#exemplars = [];
    this.#histograms = [];
    this.#metadata = [];
  }

  /** Adds a sample at `timestamp` (epoch milliseconds). */
  add(ref: SeriesRef, timestamp: number, value: number, isStale: boolean): void {
    const i = this.count;
    if (i === this.#ref.length) this.#grow();
    this.#ref[i] = ref;
    this.#timestamp[i] = timestamp;
    this.#value[i] = isStale ? Number.NaN : value;
    this.#flags[i] = isStale ? SAMPLE_STALE : 0;
    this.count = i + 1;
  }
  /** Adds a native histogram as a sample. */
  addHistogram(ref: SeriesRef, timestamp: number, histogram: Omit<NativeHistogram, "sample">): void {
    this.#histograms.push({ ...histogram, sample: this.count });
    this.add(ref, timestamp, histogram.count, false);
  }
  /** Adds an exemplar to the sample that was added last. */
  addExemplar(labels: Labels, value: number, timestamp: number): void {
    this.#exemplars.push({ sample: this.count - 1, labels, value, timestamp });
  }
  addMetadata(metadata: MetricMetadata): void {
    this.#metadata.push(metadata);
  }

  /** The batch, lent until `reset`. */
  build(registry: SeriesRegistry, acknowledgement: Acknowledgement): MetricBatch {
    const orNothing = <T>(items: T[]) => (items.length > 0 ? items : undefined);
    return {
      signal: "metrics",
      count: this.count,
      registry,
      ref: this.#ref,
      timestamp: this.#timestamp,
      value: this.#value,
      flags: this.#flags,
      exemplars: orNothing(this.#exemplars),
      histograms: orNothing(this.#histograms),
      metadata: orNothing(this.#metadata),
      acknowledgement,
    };
  }

  #grow(): void {
    const length = this.#ref.length * 2;
    const larger = <A extends Int32Array | Float64Array | Uint8Array>(from: A, to: A): A => {
      to.set(from);
      return to;
    };
    this.#ref = larger(this.#ref, new Int32Array(length));
    this.#timestamp = larger(this.#timestamp, new Float64Array(length));
    this.#value = larger(this.#value, new Float64Array(length));
    this.#flags = larger(this.#flags, new Uint8Array(length));
  }
}
