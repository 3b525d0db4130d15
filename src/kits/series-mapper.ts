import type { Labels } from "#base/labels";
import { type MetricBatch, SAMPLE_STALE } from "#pipeline/batch";
import { selectSamples } from "#pipeline/metric-batch";
import { REF_DROPPED, REF_UNKNOWN, RefMap } from "#pipeline/ref-map";
import type { SeriesRegistry } from "#pipeline/series";

/** What became of a batch's samples. */
export interface Mapped {
  /** Of series that were not known. */
  readonly misses: number;
  readonly dropped: number;
  /** The last ones of their series, which are remembered no longer. */
  readonly ended: number;
}

/** Labels of samples → other labels, or undefined for none: asked once for each series that is not known. */
export type MapLabels = (labels: Labels) => Labels | undefined;

/** Gives the samples of batches other series, and remembers which: known series cost no work on texts. */
export class SeriesMapper {
  readonly #registry: SeriesRegistry;
  #map: MapLabels;
  #cache: RefMap;

  /** Remembers at most `limit` series. */
  constructor(registry: SeriesRegistry, map: MapLabels, limit = Infinity) {
    this.#registry = registry;
    this.#map = map;
    this.#cache = new RefMap(registry, limit);
  }

  get size(): number {
    return this.#cache.size;
  }

  /** Forgets all, for other labels. */
  reset(map: MapLabels, limit = Infinity): void {
    const old = this.#cache;
    this.#map = map;
    this.#cache = new RefMap(this.#registry, limit);
    old[Symbol.dispose]();
  }

  /** Forgets the series that had no sample since the last sweep; returns how many. */
  sweep(): number {
    return this.#cache.sweep();
  }

  [Symbol.dispose](): void {
    this.#cache[Symbol.dispose]();
  }

  /** Changes the batch in place, then calls `handOn`, until whose end the new series live. */
  run(batch: MetricBatch, handOn: (mapped: Mapped) => void | Promise<void>): void | Promise<void> {
    const registry = this.#registry;
    // The cache may forget a series of this batch to make room, while the consumers still work on it.
    const pin = registry.pin();
    let result: void | Promise<void>;
    try {
      result = handOn(this.#apply(batch));
    } catch (error) {
      registry.unpin(pin);
      throw error;
    }
    if (result === undefined) registry.unpin(pin);
    else return result.finally(() => registry.unpin(pin));
  }

  #apply(batch: MetricBatch): Mapped {
    const { ref, flags, count } = batch;
    const registry = this.#registry;
    const cache = this.#cache;
    let misses = 0;
    let dropped = 0;
    let ended = 0;
    for (let i = 0; i < count; i++) {
      let to = cache.get(ref[i]!);
      if (to === REF_UNKNOWN) {
        misses += 1;
        const labels = this.#map(registry.labels(ref[i]!));
        cache.set(ref[i]!, labels === undefined ? REF_DROPPED : registry.intern(labels));
        to = cache.get(ref[i]!);
      }
      if (flags[i]! & SAMPLE_STALE) {
        cache.delete(ref[i]!);
        ended += 1;
      }
      ref[i] = to;
      if (to === REF_DROPPED) dropped += 1;
    }
    if (dropped > 0) selectSamples(batch, (i) => ref[i] !== REF_DROPPED);
    return { misses, dropped, ended };
  }
}
