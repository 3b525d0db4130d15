import { Labels } from "#base/labels";
import type { PageExemplar } from "#formats/exposition/columns";
import { ExpositionError } from "#formats/exposition/error";
import type { ExpositionParser } from "#formats/exposition/exposition";
import { checkHistogram, largestSchema, limitHistogram } from "#formats/exposition/histogram";
import type { KnownPage } from "#formats/exposition/known-page";
import type { LabelBytes } from "#formats/exposition/labels";
import type { ExpositionMetadata } from "#formats/exposition/metadata";
import { translateProtobuf } from "#formats/exposition/protobuf";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { type Exemplar, type MetricBatch, type NativeHistogram, SAMPLE_STALE } from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import type { NewSeries } from "../new-series.ts";
import { ScrapeExemplars } from "./exemplars.ts";
import { type LabelRules, ScrapeLabels } from "./labels.ts";
import type { PageSyntax } from "./protocol.ts";
import type { ScrapeTarget } from "./target.ts";

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
  readonly nativeHistograms: boolean;
  /** Classic series of histograms that are native as well, or converted. */
  readonly classicHistograms: boolean;
  /** Classic histograms become native ones with custom buckets. */
  readonly convertHistograms: boolean;
  /** Buckets beyond which those of a native histogram are merged; 0 stands for no limit. */
  readonly bucketLimit: number;
  /** Growth from bucket to bucket below which those of a native histogram are merged. */
  readonly minBucketFactor: number;
  /** Type and unit of a family become labels of its series. */
  readonly typeAndUnitLabels: boolean;
  /** A zero is added where a counter, histogram or summary says that it began. */
  readonly startTimestamps: boolean;
  /** Epoch milliseconds. What began before is taken to be known downstream, such as from before a restart of the agent. */
  readonly startsAfter: number;
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
  /** Samples on the page, and those whose labels were fine. */
  readonly scraped: number;
  readonly relabelled: number;
  /** Series that were not on the page before. */
  readonly added: number;
  readonly duplicates: number;
  readonly outOfBounds: number;
  /** Samples of classic histograms that could not be converted, and why the first could not. */
  readonly unconverted: number;
  readonly conversionError: string;
  /** Exemplars that break the rules for their labels, and those that are older than the last of their series. */
  readonly invalidExemplars: number;
  readonly oldExemplars: number;
}

/** What of a page is not in the columns of its parser. */
interface PageSides {
  readonly histograms: readonly NativeHistogram[];
  readonly exemplars: readonly PageExemplar[];
  readonly starts: Float64Array | undefined;
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

/** What the series of all targets of a pool share. */
export interface SeriesEnvironment {
  readonly registry: SeriesRegistry;
  readonly parser: ExpositionParser;
  readonly batches: BatchColumns;
  /** Told of series that pages after a target's first one add. */
  readonly newSeries: NewSeries;
}

const NO_REFS: readonly SeriesRef[] = [];

/**
 * The series of one target: turns its pages into samples with stale markers for what has vanished, and owns the series
 * that it has emitted. One page at a time: `page` or `nothing`, then `report`, and `settle` once the samples were taken.
 */
export class ScrapeSeries {
  readonly #shared: SeriesEnvironment;
  readonly #known: KnownPage;
  readonly #rules: PageRules;
  readonly #reports: SeriesRef[];
  /** Undefined until there is one. */
  #exemplars: ScrapeExemplars | undefined;
  /** When series of the target got a sample or a stale marker last. */
  #lastTime: number;
  /** Whether there was a page before: all series of the first are new, and no sign of anything. */
  #hasHadPage = false;
  #reported = false;
  /** Series that have vanished, and whose stale markers are on their way. */
  #forgotten = NO_REFS;

  constructor(shared: SeriesEnvironment, target: Labels, rules: PageRules, extraMetrics: boolean) {
    this.#shared = shared;
    this.#known = shared.parser.know(rules);
    this.#rules = rules;
    this.#lastTime = rules.startsAfter;
    const names = extraMetrics ? [...REPORT_NAMES, ...EXTRA_REPORT_NAMES] : REPORT_NAMES;
    this.#reports = names.map((name) => shared.registry.intern(target.merge(Labels.from([["__name__", name]]))));
  }

  /** What is known of the families of the target, and bytes held off the heap. */
  get metadata(): ExpositionMetadata {
    return this.#known.metadata;
  }
  get memoryBytes(): number {
    return this.#known.cache.memoryBytes;
  }

  /**
   * Reads a page into a batch; a page that fails gives stale markers for everything. More samples than `sampleLimit` fail
   * it; 0 stands for no limit.
   */
  page(bytes: Buffer, length: number, syntax: PageSyntax, now: number, target: ScrapeTarget, sampleLimit: number) {
    const { registry, batches, newSeries } = this.#shared;
    const parser = this.#parser();
    parser.honorTimestamps = this.#rules.honorTimestamps;
    const limit = sampleLimit > 0 ? sampleLimit : Infinity;
    this.#exemplars?.begin();
    let error: Error | undefined;
    let sides: PageSides | undefined;
    let refused = 0;
    let wasRead = syntax !== "protobuf";
    let series: ScrapeLabels | undefined;
    const resolve = (labels: LabelBytes, quoted: boolean) => {
      if (series === undefined) {
        series = new ScrapeLabels(registry, target.labels, this.#rules.labels);
        newSeries.source = target.shownUrl;
      }
      if (this.#hasHadPage && newSeries.begin()) this.#lookAt(labels);
      refused = 1;
      const ref = series.resolve(labels, quoted);
      refused = 0;
      return ref;
    };
    try {
      if (syntax === "protobuf") {
        const translated = translateProtobuf(bytes, length, this.#rules);
        wasRead = true;
        parser.parse(translated.text, translated.text.length, "translated", resolve, limit);
        parser.columns.value.set(translated.values.subarray(0, parser.count));
        sides = translated;
      } else {
        parser.parse(bytes, length, syntax, resolve, limit);
        sides = parser;
      }
      if (parser.truncated || parser.count - parser.duplicates.length > limit) error = new SampleLimitError();
      if (sides.histograms.length > 0) sides = { ...sides, histograms: this.#limited(sides.histograms) };
    } catch (cause) {
      if (!(cause instanceof ExpositionError)) throw cause;
      error ??= cause;
    }
    const { newSeries: added, conversion, duplicates } = parser;
    const count = wasRead ? parser.count : 0;
    const result: PageResult = {
      error,
      scraped: count + (error === undefined ? 0 : refused),
      relabelled: count,
      added,
      duplicates: error === undefined ? duplicates.length : 0,
      outOfBounds: 0,
      unconverted: conversion?.lost ?? 0,
      conversionError: conversion?.reason ?? "",
      invalidExemplars: 0,
      oldExemplars: 0,
    };
    if (error !== undefined || sides === undefined) return { batch: this.nothing(now), result };
    this.#hasHadPage = true;
    const { timestamp } = parser.columns;
    const tracksAll = this.#rules.trackTimestampsStaleness;
    const tracked = !parser.hasTimestamps
      ? undefined
      : (i: number) => Number.isNaN(timestamp[i]) || (tracksAll && timestamp[i]! <= now + MAX_AHEAD_MS);
    const samples = sides.starts === undefined ? parser.count : parser.count * 2;
    const batch = batches.take(samples + this.#reports.length);
    const outOfBounds = this.#copySamples(batch, sides, now);
    const stale: SeriesRef[] = [];
    const forgotten: SeriesRef[] = [];
    parser.commit(stale, forgotten, tracked);
    this.#forget(forgotten);
    this.#lastTime = now;
    const metadata = parser.metadata.takeChanged();
    if (metadata.length > 0) batch.metadata = metadata;
    const { invalid = 0, outOfOrder = 0 } = this.#exemplars ?? {};
    return {
      batch: this.#withStale(batch, stale, now),
      result: { ...result, outOfBounds, invalidExemplars: invalid, oldExemplars: outOfOrder },
    };
  }

  /** What is emitted when there is no page: stale markers for all. */
  nothing(now: number): MetricBatch {
    const stale: SeriesRef[] = [];
    const forgotten: SeriesRef[] = [];
    this.#parser().abandon(stale, forgotten);
    this.#forget(forgotten);
    if (stale.length > 0) this.#lastTime = now;
    return this.#withStale(this.#shared.batches.take(stale.length + this.#reports.length), stale, now);
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
    this.#known.forEachEmitted((ref) => refs.add(ref));
    return refs;
  }

  /** After the batch of a page was taken: lets go of the series that have vanished. */
  settle(): void {
    for (const ref of this.#forgotten) {
      this.#exemplars?.forget(ref);
      this.#shared.registry.release(ref);
    }
    this.#forgotten = NO_REFS;
  }

  /** Lets go of all series. */
  close(): void {
    const { registry } = this.#shared;
    this.settle();
    this.#known.clear((ref) => registry.release(ref));
    for (const ref of this.#reports.splice(0)) registry.release(ref);
  }

  /** The parser of all targets, set to what is known of this one. */
  #parser(): ExpositionParser {
    const { parser } = this.#shared;
    parser.known = this.#known;
    return parser;
  }

  #forget(refs: readonly SeriesRef[]): void {
    if (refs.length > 0) this.#forgotten = [...this.#forgotten, ...refs];
  }

  #lookAt(labels: LabelBytes): void {
    const { newSeries } = this.#shared;
    const { text } = labels;
    for (let i = 0; i < labels.count; i++) {
      newSeries.label(text, labels.nameStart(i), labels.nameEnd(i), labels.valueStart(i), labels.valueEnd(i));
    }
  }

  /** Checks native histograms and merges their buckets as far as limits demand. Throws an ExpositionError. */
  #limited(histograms: readonly NativeHistogram[]): NativeHistogram[] {
    const { minBucketFactor, bucketLimit } = this.#rules;
    const maxSchema = largestSchema(minBucketFactor);
    return histograms.map((each) => {
      const limited = limitHistogram(each, maxSchema, bucketLimit);
      checkHistogram(limited);
      return { ...limited, sample: each.sample };
    });
  }

  /** Fills the batch with the page's samples; returns how many lie too far ahead. */
  #copySamples(batch: MetricBatch, { exemplars, histograms, starts }: PageSides, now: number): number {
    const { parser } = this.#shared;
    const { count, columns, duplicates, hasTimestamps } = parser;
    const { value, timestamp } = columns;
    const kept: Exemplar[] = [];
    let exemplar = 0;
    const keepExemplars = (i: number, sample: number, time: number) => {
      const first = exemplar;
      while (exemplars[exemplar]?.sample === i) exemplar += 1;
      if (sample < 0 || exemplar === first) return;
      this.#exemplars ??= new ScrapeExemplars();
      this.#exemplars.add(kept, exemplars.slice(first, exemplar), batch.ref[sample]!, sample, time);
    };
    if (duplicates.length === 0 && !hasTimestamps && histograms.length === 0 && starts === undefined) {
      parser.copyRefs(batch.ref);
      batch.value.set(value.subarray(0, count));
      batch.timestamp.fill(now, 0, count);
      batch.flags.fill(0, 0, count);
      batch.count = count;
      while (exemplar < exemplars.length) keepExemplars(exemplars[exemplar]!.sample, exemplars[exemplar]!.sample, now);
      if (kept.length > 0) batch.exemplars = kept;
      return 0;
    }
    let duplicate = 0;
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
      const native = histograms[histogram]?.sample === i ? histograms[histogram++] : undefined;
      const start = starts?.[i] ?? NaN;
      // One that is older was told of before, or its zero would come after later samples.
      if (keep && start < time && start > this.#lastTime) {
        if (native !== undefined) keptHistograms.push(emptied(native, batch.count));
        append(batch, parser.refOf(i), start, 0);
      }
      if (keep && native !== undefined) keptHistograms.push({ ...native, sample: batch.count });
      if (keep) append(batch, parser.refOf(i), time, value[i]!);
      keepExemplars(i, keep ? batch.count - 1 : -1, time);
    }
    if (kept.length > 0) batch.exemplars = kept;
    if (keptHistograms.length > 0) batch.histograms = keptHistograms;
    return outOfBounds;
  }

  #withStale(batch: MetricBatch, stale: readonly SeriesRef[], now: number): MetricBatch {
    const { batches } = this.#shared;
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

/** The histogram that it was before it counted anything. */
function emptied({ schema, zeroThreshold, customBounds, isFloat }: NativeHistogram, sample: number): NativeHistogram {
  const nothing = { zeroCount: 0, count: 0, sum: 0, positiveSpans: [], negativeSpans: [], positive: [], negative: [] };
  return { sample, schema, zeroThreshold, customBounds, isFloat, ...nothing, resetHint: "yes" };
}

/** Adds a sample, or a stale marker if it has no value; there must be room for it. */
function append(batch: MetricBatch, ref: SeriesRef, timestamp: number, value: number | undefined): void {
  const i = batch.count++;
  batch.ref[i] = ref;
  batch.timestamp[i] = timestamp;
  batch.value[i] = value ?? NaN;
  batch.flags[i] = value === undefined ? SAMPLE_STALE : 0;
}
