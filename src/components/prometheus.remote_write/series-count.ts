import type { Counter, Gauge } from "#base/metrics";
import type { MetricBatch } from "#pipeline/batch";
import type { SeriesRegistry } from "#pipeline/series";

interface SeriesInstruments {
  readonly walActiveSeries: Gauge;
  readonly walCreatedSeries: Counter;
  readonly walRemovedSeries: Counter;
}

/** Counts the series that come by: those that are known, those that are new, those that are gone. */
export class SeriesCount {
  #known = new Uint8Array(1024);
  #active = 0;
  readonly #metrics: SeriesInstruments;
  readonly #unwatch: () => void;

  constructor(registry: SeriesRegistry, metrics: SeriesInstruments) {
    this.#metrics = metrics;
    metrics.walActiveSeries.read = () => this.#active;
    this.#unwatch = registry.onFreed((ref) => {
      if (this.#known[ref] !== 1) return;
      this.#known[ref] = 0;
      this.#active -= 1;
      metrics.walRemovedSeries.inc();
    });
  }

  add(batch: MetricBatch): void {
    const { ref, count, registry } = batch;
    if (registry.refLimit > this.#known.length) {
      const larger = new Uint8Array(Math.ceil(registry.refLimit * 1.5));
      larger.set(this.#known);
      this.#known = larger;
    }
    const known = this.#known;
    let created = 0;
    for (let i = 0; i < count; i++) {
      if (known[ref[i]!] === 1) continue;
      known[ref[i]!] = 1;
      created += 1;
    }
    this.#active += created;
    this.#metrics.walCreatedSeries.inc(created);
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }
}
