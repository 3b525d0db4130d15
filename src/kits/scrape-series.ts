import { Labels } from "#base/labels";
import { type ExpositionColumns, ExpositionParser } from "#formats/exposition";
import { ExpositionError } from "#formats/exposition-error";
import type { LabelBytes } from "#formats/exposition-labels";
import { translateProtobuf } from "#formats/exposition-protobuf";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { type Exemplar, type MetricBatch, type NativeHistogram, SAMPLE_STALE } from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import type { NewSeries } from "./new-series.ts";
import { type LabelRules, ScrapeLabels } from "./scrape-labels.ts";
import type { PageSyntax } from "./scrape-protocol.ts";

/** Samples further ahead than this are dropped, as in Prometheus. */
const MAX_AHEAD_MS = 600_000;

/** The series that every scrape reports beside those of the page, and those of `extra_metrics`. */
const REPORT_NAMES = [
  "up",
  "scrape_duration_seconds",
  "scrape_samples_scraped",
  "scrape_samples_post_metric_relabeling",
  "scrape_series_added",
] as const;
const EXTRA_REPORT_NAMES = ["scrape_timeout_seconds", "scrape_sample_limit", "scrape_body_size_bytes"] as const;

export interface PageRules {
  readonly labels: LabelRules;
  readonly honorTimestamps: boolean;
  readonly trackTimestampsStaleness: boolean;
  /** 0 stands for no limit. */
  readonly sampleLimit: number;
  readonly nativeHistograms: boolean;
  /** Classic buckets of histograms that are native as well. */
  readonly classicHistograms: boolean;
}

/** More samples than `sample_limit`. */
export class SampleLimitError extends ExpositionError {
  constructor() {
    super("sample limit exceeded");
  }
}

/** What one page came to. */
export interface PageResult {
  readonly error: Error | undefined;
  /** Samples on the page. */
  readonly scraped: number;
  /** Series that were not on the page before. */
  readonly added: number;
  readonly duplicates: number;
  readonly outOfBounds: number;
}

/** Columns of batches, used again once a batch was accepted. */
export class BatchColumns {
  readonly #free: MetricBatch[] = [];
  readonly #registry: SeriesRegistry;

  constructor(registry: SeriesRegistry) {
    this.#registry = registry;
  }

  /** An empty batch with room for `capacity` samples. */
  take(capacity: number): MetricBatch {
    const fit = this.#free.findIndex((each) => each.ref.length >= capacity && each.ref.length <= capacity * 4 + 64);
    const [known] = fit < 0 ? [] : this.#free.splice(fit, 1);
    const length = Math.ceil(capacity * 1.1);
    const columns = known ?? {
      ref: new Int32Array(length),
      timestamp: new Float64Array(length),
      value: new Float64Array(length),
      flags: new Uint8Array(length),
    };
    return {
      signal: "metrics",
      count: 0,
      registry: this.#registry,
      ref: columns.ref,
      timestamp: columns.timestamp,
      value: columns.value,
      flags: columns.flags,
      exemplars: undefined,
      histograms: undefined,
      metadata: undefined,
      acknowledgement: Acknowledgement.none,
    };
  }

  give(batch: MetricBatch): void {
    if (this.#free.length < 8) this.#free.push(batch);
  }
}

/**
 * The series of one target: turns its pages into samples with stale markers for what has vanished, and owns the series
 * that it has emitted. One page at a time: `page` or `nothing`, then `report`, and `settle` once the samples were taken.
 */
export class ScrapeSeries {
  readonly #registry: SeriesRegistry;
  readonly #parser: ExpositionParser;
  readonly #labels: ScrapeLabels;
  readonly #rules: PageRules;
  readonly #reports: SeriesRef[];
  readonly #newSeries: NewSeries;
  /** Whether there was a page before: all series of the first are new, and no sign of anything. */
  #hasHadPage = false;
  #reported = false;
  #stale: number[] = [];
  #forgotten: number[] = [];

  constructor(
    registry: SeriesRegistry,
    columns: ExpositionColumns,
    target: Labels,
    rules: PageRules,
    extraMetrics: boolean,
    newSeries: NewSeries,
  ) {
    this.#registry = registry;
    this.#parser = new ExpositionParser(columns);
    this.#parser.honorTimestamps = rules.honorTimestamps;
    this.#labels = new ScrapeLabels(registry, target, rules.labels);
    this.#rules = rules;
    this.#newSeries = newSeries;
    const names = extraMetrics ? [...REPORT_NAMES, ...EXTRA_REPORT_NAMES] : REPORT_NAMES;
    this.#reports = names.map((name) => registry.intern(target.merge(Labels.from([["__name__", name]]))));
  }

  /** Families of which metadata is known, and bytes held off the heap. */
  get families(): number {
    return this.#parser.metadata.size;
  }
  get memoryBytes(): number {
    return this.#parser.cache.memoryBytes;
  }

  /**
   * Reads a page into a batch from `batches`; a page that fails gives stale markers for everything. `source` is what
   * messages about its new series call the target.
   */
  page(bytes: Buffer, length: number, syntax: PageSyntax, now: number, batches: BatchColumns, source: string) {
    const parser = this.#parser;
    const { sampleLimit } = this.#rules;
    this.#newSeries.source = source;
    let error: Error | undefined;
    let histograms: readonly NativeHistogram[] = [];
    try {
      let text = { bytes, length, syntax: syntax === "openmetrics" ? syntax : ("text" as const) } as const;
      if (syntax === "protobuf") {
        const translated = translateProtobuf(bytes, length, this.#rules);
        histograms = translated.histograms;
        text = { bytes: translated.text, length: translated.text.length, syntax: "openmetrics" };
      }
      const limit = sampleLimit > 0 ? sampleLimit : Infinity;
      parser.parse(
        text.bytes,
        text.length,
        text.syntax,
        (labels, quoted) => {
          if (this.#hasHadPage && this.#newSeries.begin()) this.#lookAt(labels);
          return this.#labels.resolve(labels, quoted);
        },
        limit,
      );
      if (parser.count - parser.duplicates.length > limit) error = new SampleLimitError();
    } catch (cause) {
      if (!(cause instanceof ExpositionError)) throw cause;
      error = cause;
    }
    const scraped = parser.count;
    const added = parser.added.length;
    if (error !== undefined) {
      return { batch: this.nothing(now, batches), result: { error, scraped, added, duplicates: 0, outOfBounds: 0 } };
    }
    this.#hasHadPage = true;
    const { timestamp } = parser.columns;
    const tracked =
      !parser.hasTimestamps || this.#rules.trackTimestampsStaleness
        ? undefined
        : (sample: number) => Number.isNaN(timestamp[sample]);
    const refs = parser.cache.ref;
    const batch = batches.take(scraped + this.#reports.length);
    const outOfBounds = this.#copySamples(batch, refs, histograms, now);
    parser.commit(this.#stale, this.#forgotten, tracked);
    const metadata = parser.metadata.takeChanged();
    if (metadata.length > 0) batch.metadata = metadata;
    const result: PageResult = { error, scraped, added, duplicates: parser.duplicates.length, outOfBounds };
    return { batch: this.#withStale(batch, now, batches), result };
  }

  /** What is emitted when there is no page: stale markers for all. */
  nothing(now: number, batches: BatchColumns): MetricBatch {
    this.#parser.abandon(this.#stale, this.#forgotten);
    return this.#withStale(batches.take(this.#stale.length + this.#reports.length), now, batches);
  }

  /** Adds the report's values, in the order of their names, or stale markers for them if there are none. */
  report(batch: MetricBatch, now: number, values: readonly number[] | undefined): void {
    if (values === undefined && !this.#reported) return;
    this.#reported = values !== undefined;
    for (const [i, ref] of this.#reports.entries()) append(batch, ref, now, values?.[i]);
  }

  /** The refs that would get a stale marker now. */
  emitted(): Set<SeriesRef> {
    const refs = new Set(this.#reported ? this.#reports : []);
    this.#parser.forEachEmitted((ref) => refs.add(ref));
    return refs;
  }

  /** After the batch of a page was taken: lets go of the series that have vanished. */
  settle(): void {
    for (const ref of this.#forgotten) this.#registry.release(ref);
    this.#forgotten = [];
  }

  /** Lets go of all series. */
  close(): void {
    this.settle();
    this.#parser.clear((ref) => this.#registry.release(ref));
    for (const ref of this.#reports.splice(0)) this.#registry.release(ref);
  }

  #lookAt(labels: LabelBytes): void {
    const { text } = labels;
    for (let i = 0; i < labels.count; i++) {
      this.#newSeries.label(text, labels.nameStart(i), labels.nameEnd(i), labels.valueStart(i), labels.valueEnd(i));
    }
  }

  /** Fills the batch with the page's samples; returns how many lie too far ahead. */
  #copySamples(batch: MetricBatch, refs: Int32Array, histograms: readonly NativeHistogram[], now: number): number {
    const { count, columns, duplicates, exemplars, hasTimestamps } = this.#parser;
    const { entry, value, timestamp } = columns;
    if (duplicates.length === 0 && !hasTimestamps && histograms.length === 0) {
      for (let i = 0; i < count; i++) batch.ref[i] = refs[entry[i]!]!;
      batch.value.set(value.subarray(0, count));
      batch.timestamp.fill(now, 0, count);
      batch.flags.fill(0, 0, count);
      batch.count = count;
      if (exemplars.length > 0) batch.exemplars = exemplars.map((each) => withTime(each, each.sample, now));
      return 0;
    }
    const kept: Exemplar[] = [];
    let duplicate = 0;
    let exemplar = 0;
    let histogram = 0;
    const keptHistograms: NativeHistogram[] = [];
    let outOfBounds = 0;
    for (let i = 0; i < count; i++) {
      const own = hasTimestamps ? timestamp[i]! : NaN;
      const time = Number.isNaN(own) ? now : own;
      const isDuplicate = duplicates[duplicate] === i;
      if (isDuplicate) duplicate += 1;
      const isAhead = time > now + MAX_AHEAD_MS;
      if (isAhead) outOfBounds += 1;
      const keep = !isDuplicate && !isAhead;
      for (; exemplar < exemplars.length && exemplars[exemplar]!.sample === i; exemplar++) {
        if (keep) kept.push(withTime(exemplars[exemplar]!, batch.count, time));
      }
      if (histograms[histogram]?.sample === i) {
        if (keep) keptHistograms.push({ ...histograms[histogram]!, sample: batch.count });
        histogram += 1;
      }
      if (keep) append(batch, refs[entry[i]!]!, time, value[i]!);
    }
    if (kept.length > 0) batch.exemplars = kept;
    if (keptHistograms.length > 0) batch.histograms = keptHistograms;
    return outOfBounds;
  }

  #withStale(batch: MetricBatch, now: number, batches: BatchColumns): MetricBatch {
    const stale = this.#stale;
    this.#stale = [];
    const needed = batch.count + stale.length + this.#reports.length;
    let target = batch;
    const { exemplars, histograms, metadata } = batch;
    if (needed > batch.ref.length) {
      target = { ...batches.take(needed), exemplars, histograms, metadata, count: batch.count };
      target.ref.set(batch.ref.subarray(0, batch.count));
      target.timestamp.set(batch.timestamp.subarray(0, batch.count));
      target.value.set(batch.value.subarray(0, batch.count));
      target.flags.set(batch.flags.subarray(0, batch.count));
      batches.give(batch);
    }
    for (const ref of stale) append(target, ref, now, undefined);
    return target;
  }
}

function withTime(exemplar: Exemplar, sample: number, time: number): Exemplar {
  const timestamp = Number.isNaN(exemplar.timestamp) ? time : exemplar.timestamp;
  return { sample, labels: exemplar.labels, value: exemplar.value, timestamp };
}

/** Adds a sample, or a stale marker if it has no value; there must be room for it. */
function append(batch: MetricBatch, ref: SeriesRef, timestamp: number, value: number | undefined): void {
  const i = batch.count++;
  batch.ref[i] = ref;
  batch.timestamp[i] = timestamp;
  batch.value[i] = value ?? NaN;
  batch.flags[i] = value === undefined ? SAMPLE_STALE : 0;
}
