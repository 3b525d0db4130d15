import type { Counter, Gauge } from "#base/metrics";
import type { NewSeries } from "#kits/new-series";
import type { MetricBatch } from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import { forEachLabel } from "#pipeline/series-labels";

const JOB = Buffer.from("job");

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
  readonly #newSeries: NewSeries;
  readonly #unwatch: () => void;
  #scratch = Buffer.allocUnsafe(1024);

  /** New series are also shown to `newSeries`. */
  constructor(registry: SeriesRegistry, metrics: SeriesInstruments, newSeries: NewSeries) {
    this.#metrics = metrics;
    this.#newSeries = newSeries;
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
      if (this.#newSeries.begin()) this.#show(registry, ref[i]!);
    }
    this.#active += created;
    this.#metrics.walCreatedSeries.inc(created);
  }

  #show(registry: SeriesRegistry, ref: SeriesRef): void {
    const length = registry.encodedLength(ref);
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(length * 2);
    const scratch = this.#scratch;
    registry.copyEncoded(ref, scratch, 0);
    const newSeries = this.#newSeries;
    newSeries.source = "series without a job";
    forEachLabel(scratch, 0, length, (nameStart, nameEnd, valueStart, valueEnd) => {
      if (nameEnd - nameStart !== JOB.length || scratch.compare(JOB, 0, JOB.length, nameStart, nameEnd) !== 0) return;
      newSeries.source = `the job ${scratch.toString("utf8", valueStart, valueEnd)}`;
    });
    forEachLabel(scratch, 0, length, (nameStart, nameEnd, valueStart, valueEnd) =>
      newSeries.label(scratch, nameStart, nameEnd, valueStart, valueEnd),
    );
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }
}
