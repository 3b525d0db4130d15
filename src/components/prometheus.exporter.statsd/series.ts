import { formatFloat, type MetricSample } from "#base/metrics";
import type { Page } from "#kits/exporter/page";
import type { SummaryOptions } from "./mapping-config.ts";
import type { Quantile } from "./mapping-fields.ts";
import { QuantileStream } from "./quantiles.ts";

type SeriesType = "counter" | "gauge" | "histogram" | "summary";

/** How observations are kept. */
export interface Shape {
  readonly buckets: readonly number[];
  readonly summary: SummaryOptions;
}

/** Series in all, however many names and tags clients send. */
const MAX_SERIES = 500_000;
/** Characters of their names and labels in all. Names stay when their series expire, for their types. */
const MAX_CHARACTERS = 200_000_000;
/** Observations of one sampled line that are inserted one by one; beyond it they are one that counts as many. */
const MAX_SINGLE = 1_000;
const SUFFIXES: Readonly<Record<SeriesType, readonly string[]>> = {
  counter: [],
  gauge: [],
  summary: ["_sum", "_count"],
  histogram: ["_sum", "_count", "_bucket"],
};
/** Labels that the parts of histograms and summaries have. */
const OWN_LABEL: Readonly<Partial<Record<SeriesType, string>>> = { histogram: "le", summary: "quantile" };

interface Series {
  /** Sorted by name, flat. */
  readonly labels: readonly string[];
  readonly value: SeriesValue;
  ttlMs: number;
  /** When it was last written to. */
  last: number;
}
interface Family {
  readonly type: SeriesType;
  readonly help: string;
  readonly series: Map<string, Series>;
  /** Sets of label names; each counts as a metric of its own, as in the original. */
  readonly labelSets: Set<string>;
}

interface SeriesValue {
  samples(name: string, labels: readonly string[], now: number): Iterable<MetricSample>;
}

/** Why a measurement finds no series. */
export type Refusal = "conflict" | "bad_label" | "too_many_series";

/** The metrics that events make, of which each name has one type: statsd_exporter's pkg/registry. */
export class SeriesStore {
  readonly #families = new Map<string, Family>();
  readonly #now: () => number;
  readonly #onMetric: (type: SeriesType) => void;
  #size = 0;
  #characters = 0;

  /** `now` is monotonic. `onMetric` hears of each new name with its label names. */
  constructor(now: () => number, onMetric: (type: SeriesType) => void) {
    this.#now = now;
    this.#onMetric = onMetric;
  }

  get size(): number {
    return this.#size;
  }
  get isFull(): boolean {
    return this.#size >= MAX_SERIES || this.#characters >= MAX_CHARACTERS;
  }

  count(
    name: string,
    labels: ReadonlyMap<string, string>,
    help: string,
    ttlMs: number,
    by: number,
  ): Refusal | undefined {
    const found = this.#find("counter", name, labels, help, ttlMs, () => new Plain(0));
    if (typeof found === "string") return found;
    (found.value as Plain).value += by;
    return undefined;
  }

  set(
    name: string,
    labels: ReadonlyMap<string, string>,
    help: string,
    ttlMs: number,
    value: number,
    relative: boolean,
  ): Refusal | undefined {
    const found = this.#find("gauge", name, labels, help, ttlMs, () => new Plain(0));
    if (typeof found === "string") return found;
    const gauge = found.value as Plain;
    gauge.value = relative ? gauge.value + value : value;
    return undefined;
  }

  observe(
    type: "histogram" | "summary",
    name: string,
    labels: ReadonlyMap<string, string>,
    help: string,
    ttlMs: number,
    shape: Shape,
    value: number,
    times: number,
  ): Refusal | undefined {
    const found = this.#find(type, name, labels, help, ttlMs, () =>
      type === "histogram" ? new Histogram(shape.buckets) : new Summary(shape.summary, this.#now()),
    );
    if (typeof found === "string") return found;
    (found.value as Histogram | Summary).observe(value, times, this.#now());
    return undefined;
  }

  /** Takes out what nothing was written to for its time to live. */
  expire(): void {
    const now = this.#now();
    for (const { series } of this.#families.values()) {
      for (const [key, { ttlMs, last }] of series) {
        if (ttlMs > 0 && last + ttlMs < now) {
          series.delete(key);
          this.#size -= 1;
          this.#characters -= key.length;
        }
      }
    }
  }

  addTo(page: Page): void {
    const now = this.#now();
    for (const [name, { type, help, series }] of this.#families) {
      const metric = { name, help, type };
      const sorted = [...series.values()].sort((a, b) => compareLabels(a.labels, b.labels));
      for (const { labels, value } of sorted) {
        for (const sample of value.samples(name, labels, now)) page.addSample(metric, sample);
      }
    }
  }

  #find(
    type: SeriesType,
    name: string,
    labels: ReadonlyMap<string, string>,
    help: string,
    ttlMs: number,
    create: () => SeriesValue,
  ): Series | Refusal {
    const family = this.#families.get(name);
    if (family !== undefined && family.type !== type) return "conflict";
    const flat = [...labels.keys()].sort().flatMap((label) => [label, labels.get(label)!]);
    const key = JSON.stringify(flat);
    const known = family?.series.get(key);
    if (known !== undefined) {
      known.last = this.#now();
      return known;
    }
    if (this.#clashes(type, name)) return "conflict";
    for (const label of labels.keys()) if (label.startsWith("__") || label === OWN_LABEL[type]) return "bad_label";
    if (this.isFull) return "too_many_series";
    const into = family ?? this.#addFamily(type, name, help);
    const names = [...labels.keys()].sort().join("\0");
    if (!into.labelSets.has(names)) {
      into.labelSets.add(names);
      this.#characters += names.length;
      this.#onMetric(type);
    }
    const series: Series = { labels: flat, value: create(), ttlMs, last: this.#now() };
    into.series.set(key, series);
    this.#size += 1;
    this.#characters += key.length;
    return series;
  }

  #addFamily(type: SeriesType, name: string, help: string): Family {
    const family: Family = { type, help, series: new Map(), labelSets: new Set() };
    this.#families.set(name, family);
    this.#characters += name.length;
    return family;
  }

  /** Whether parts of one would have the name of the other. */
  #clashes(type: SeriesType, name: string): boolean {
    for (const suffix of SUFFIXES[type]) {
      const other = this.#families.get(name + suffix);
      if (other !== undefined && other.type !== type) return true;
    }
    if (type !== "counter" && type !== "gauge") return false;
    for (const suffix of ["_bucket", "_count", "_sum"]) {
      const other = name.endsWith(suffix) ? this.#families.get(name.slice(0, -suffix.length)) : undefined;
      // The original looks for anything but a counter, whatever this one is.
      if (other !== undefined && other.type !== "counter") return true;
    }
    return false;
  }
}

function compareLabels(a: readonly string[], b: readonly string[]): number {
  if (a.length !== b.length) return a.length - b.length;
  for (let i = 1; i < a.length; i += 2) if (a[i] !== b[i]) return a[i]! < b[i]! ? -1 : 1;
  return 0;
}

class Plain implements SeriesValue {
  value: number;
  constructor(value: number) {
    this.value = value;
  }
  samples(name: string, labels: readonly string[]): Iterable<MetricSample> {
    return [{ name, labels, value: this.value }];
  }
}

class Histogram implements SeriesValue {
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  #count = 0;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
  }

  observe(value: number, times: number): void {
    this.#count += times;
    this.#sum += value * times;
    const at = this.#bounds.findIndex((bound) => value <= bound);
    if (at >= 0) this.#counts[at]! += times;
  }

  *samples(name: string, labels: readonly string[]): Iterable<MetricSample> {
    let cumulative = 0;
    for (const [i, bound] of this.#bounds.entries()) {
      cumulative += this.#counts[i]!;
      yield { name: `${name}_bucket`, labels: [...labels, "le", formatFloat(bound)], value: cumulative };
    }
    yield { name: `${name}_bucket`, labels: [...labels, "le", "+Inf"], value: this.#count };
    yield { name: `${name}_sum`, labels, value: this.#sum };
    yield { name: `${name}_count`, labels, value: this.#count };
  }
}

/** Quantiles over a sliding window, which is made of streams that began one after the other. */
class Summary implements SeriesValue {
  readonly #quantiles: readonly Quantile[];
  readonly #streams: readonly QuantileStream[];
  readonly #streamMs: number;
  #head = 0;
  #headEnds: number;
  #count = 0;
  #sum = 0;

  constructor({ quantiles, maxAgeMs, ageBuckets }: SummaryOptions, now: number) {
    this.#quantiles = [...new Map(quantiles)].sort(([a], [b]) => a - b);
    this.#streams = Array.from({ length: ageBuckets }, () => new QuantileStream(this.#quantiles));
    this.#streamMs = maxAgeMs / ageBuckets;
    this.#headEnds = now + this.#streamMs;
  }

  observe(value: number, times: number, now: number): void {
    this.#rotate(now);
    this.#count += times;
    this.#sum += value * times;
    for (const stream of this.#streams) {
      if (times > MAX_SINGLE) stream.insert(value, times);
      else for (let i = 0; i < times; i++) stream.insert(value, 1);
    }
  }

  *samples(name: string, labels: readonly string[], now: number): Iterable<MetricSample> {
    this.#rotate(now);
    const head = this.#streams[this.#head]!;
    for (const [quantile] of this.#quantiles) {
      yield { name, labels: [...labels, "quantile", formatFloat(quantile)], value: head.query(quantile) };
    }
    yield { name: `${name}_sum`, labels, value: this.#sum };
    yield { name: `${name}_count`, labels, value: this.#count };
  }

  #rotate(now: number): void {
    // After a long silence all streams are old; more turns than there are streams change nothing.
    for (let turns = 0; now > this.#headEnds; turns++) {
      if (turns === this.#streams.length) {
        this.#headEnds = now + this.#streamMs;
        return;
      }
      this.#streams[this.#head]!.reset();
      this.#head = (this.#head + 1) % this.#streams.length;
      this.#headEnds += this.#streamMs;
    }
  }
}
