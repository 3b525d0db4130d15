import type { ReadExemplar } from "#formats/write-columns";
import type { Exemplar, MetricBatch } from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";

/** Exemplars that wait for a sample of their series, at most. */
const MAX_WAITING = 10_000;

/**
 * Puts exemplars to samples. In a batch each belongs to a sample, but Prometheus sends them as series without one, now and
 * then in another request than that of their sample: those wait for the next sample of their series.
 */
export class Exemplars {
  readonly #registry: SeriesRegistry;
  readonly #waiting = new Map<SeriesRef, ReadExemplar[]>();
  #count = 0;
  /** Those that have waited since before the last `expire`. */
  #old = new Set<SeriesRef>();

  constructor(registry: SeriesRegistry) {
    this.#registry = registry;
  }

  get waiting(): number {
    return this.#count;
  }

  /** Gives the batch its exemplars: the new ones, and those that waited. Returns how many there was no room for. */
  attach(batch: MetricBatch, exemplars: readonly ReadExemplar[]): number {
    let dropped = 0;
    for (const exemplar of exemplars) if (!this.#wait(exemplar)) dropped += 1;
    if (this.#count === 0) return dropped;
    const attached: Exemplar[] = [];
    for (let sample = batch.count - 1; sample >= 0 && this.#count > 0; sample--) {
      const ref = batch.ref[sample]!;
      const own = this.#waiting.get(ref);
      if (own === undefined) continue;
      for (const { labels, value, timestamp } of own.toReversed()) attached.push({ sample, labels, value, timestamp });
      this.#forget(ref, own);
    }
    if (attached.length > 0) batch.exemplars = attached.reverse();
    return dropped;
  }

  /** Gives up those that waited since before the last call; returns how many. */
  expire(): number {
    let expired = 0;
    for (const ref of this.#old) {
      const own = this.#waiting.get(ref);
      if (own === undefined) continue;
      expired += own.length;
      this.#forget(ref, own);
    }
    this.#old = new Set(this.#waiting.keys());
    return expired;
  }

  [Symbol.dispose](): void {
    for (const [ref, own] of this.#waiting) this.#forget(ref, own);
  }

  #wait(exemplar: ReadExemplar): boolean {
    if (this.#count >= MAX_WAITING) return false;
    const { ref } = exemplar;
    const own = this.#waiting.get(ref);
    if (own === undefined) {
      this.#registry.retain(ref);
      this.#waiting.set(ref, [exemplar]);
    } else own.push(exemplar);
    this.#count += 1;
    return true;
  }

  #forget(ref: SeriesRef, own: readonly ReadExemplar[]): void {
    this.#waiting.delete(ref);
    this.#old.delete(ref);
    this.#count -= own.length;
    this.#registry.release(ref);
  }
}
