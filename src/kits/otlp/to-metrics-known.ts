import { Labels } from "#base/labels";
import { BUCKETS, EXEMPLAR, POINT, QUANTILE } from "#formats/otlp/fields";
import { sparseBuckets } from "#formats/otlp/metrics-histograms";
import type { OtlpRecord } from "#formats/otlp/record";
import { formatFloat } from "#lang/number";
import type { NativeHistogram } from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import { idText } from "./id-text.ts";
import type { SampleColumns } from "./to-metrics-columns.ts";
import type { DataPoint } from "./to-metrics-points.ts";
import type { SeriesTimes } from "./to-metrics-series.ts";

/** Series of data points that are more than one number. Matches convert.go and histograms.go of Alloy's converter. */

/** Why data points become no samples. */
export type PointDropReason =
  | "delta_temporality"
  | "unspecified_temporality"
  | "unsupported_scale"
  | "inconsistent_buckets"
  | "out_of_order";

/** The finest and coarsest scale of native histograms; the width of their zero bucket. */
const FINEST_SCALE = 8;
const COARSEST_SCALE = -4;
const ZERO_THRESHOLD = 1e-128;
const CUSTOM_SCHEMA = -53;

/** Makes series for the present data point: labels of its metric and attributes, with a suffix to the name and one label more. */
export interface SeriesMaker {
  make(suffix: string, extra?: readonly [name: string, value: string]): SeriesRef;
}

/** Where samples of the present data point go. */
export class SampleSink {
  readonly point: DataPoint;
  readonly times: SeriesTimes;
  columns!: SampleColumns;
  readonly #zeroSamples: boolean;

  constructor(point: DataPoint, times: SeriesTimes, zeroSamples: boolean) {
    this.point = point;
    this.times = times;
    this.#zeroSamples = zeroSamples;
  }

  /** Adds a sample at the point's time; false if the series has a later one. */
  add(ref: SeriesRef, value: number): boolean {
    const { time, timestamp, isStale } = this.point;
    if (!this.times.admit(ref, time)) return false;
    this.columns.add(ref, timestamp, value, isStale);
    return true;
  }
  addHistogram(ref: SeriesRef, histogram: Omit<NativeHistogram, "sample">): boolean {
    const { time, timestamp, isStale } = this.point;
    if (!this.times.admit(ref, time)) return false;
    if (isStale) this.columns.add(ref, timestamp, 0, true);
    else this.columns.addHistogram(ref, timestamp, histogram);
    return true;
  }

  /** Whether a sample of 0 is to go before this point's, for the series has begun since its last one. */
  begins(ref: SeriesRef): boolean {
    const { start, timestamp } = this.point;
    return this.#zeroSamples && start !== 0 && start < timestamp && this.times.begins(ref, start);
  }
  /** Adds that sample if it is to go there. */
  begin(ref: SeriesRef): void {
    if (this.begins(ref)) this.columns.add(ref, this.point.start, 0, false);
  }

  /** Adds an exemplar to the sample that was added last, unless the series has a later one. */
  exemplar(ref: SeriesRef, exemplar: OtlpRecord): void {
    const nanos = exemplar.fixed64(EXEMPLAR.time);
    if (!this.times.admitExemplar(ref, Number(nanos) / 1e6)) return;
    this.columns.addExemplar(exemplarLabels(exemplar), exemplarValue(exemplar), Number(nanos / 1_000_000n));
  }
  exemplars(ref: SeriesRef, field: number): void {
    const list = this.point.record().list(field);
    for (let i = 0; i < list.length; i++) this.exemplar(ref, list.at(i));
  }
}

function exemplarLabels(exemplar: OtlpRecord): Labels {
  const pairs: [string, string][] = [];
  const trace = idText(exemplar.bytes(EXEMPLAR.traceId));
  if (trace !== "") pairs.push(["trace_id", trace]);
  const span = idText(exemplar.bytes(EXEMPLAR.spanId));
  if (span !== "") pairs.push(["span_id", span]);
  return Labels.from(pairs);
}
function exemplarValue(exemplar: OtlpRecord): number {
  return exemplar.has(EXEMPLAR.asInt) ? Number(exemplar.fixed64(EXEMPLAR.asInt)) : exemplar.double(EXEMPLAR.asDouble);
}

/** The series of one data point's metric and attributes. */
export interface KnownSeries {
  /** Adds the present point's samples; a reason if it is dropped. */
  read(sink: SampleSink, maker: SeriesMaker): PointDropReason | undefined;
  /** All series that it holds, in the form of an owner of each. */
  refs(): readonly SeriesRef[];
}

/** A histogram with bounds as series for its count, sum and buckets. */
export class KnownHistogram implements KnownSeries {
  readonly #registry: SeriesRegistry;
  #sum: SeriesRef = 0;
  #count: SeriesRef = 0;
  #infinite: SeriesRef = 0;
  #bounds: readonly number[] = [];
  #buckets: SeriesRef[] = [];

  constructor(registry: SeriesRegistry) {
    this.#registry = registry;
  }

  refs(): readonly SeriesRef[] {
    return [this.#sum, this.#count, this.#infinite, ...this.#buckets].filter((ref) => ref !== 0);
  }

  read(sink: SampleSink, maker: SeriesMaker): PointDropReason | undefined {
    const { point } = sink;
    const { counts, hasSum, hasExemplars } = point;
    if (this.#count === 0) {
      this.#count = maker.make("_count");
      this.#infinite = maker.make("_bucket", ["le", "+Inf"]);
    }
    if (hasSum) {
      if (this.#sum === 0) this.#sum = maker.make("_sum");
      sink.begin(this.#sum);
      sink.add(this.#sum, point.sum);
    }
    sink.begin(this.#count);
    const isInOrder = sink.add(this.#count, point.count);
    const shown = Math.min(point.bounds.length, counts.length);
    this.#bind(point.bounds, shown, maker);
    const upTo = shown > 0 ? cumulative(point.bounds, counts, shown) : [];
    const exemplars = hasExemplars ? sortedExemplars(point) : [];
    let next = 0;
    for (let i = 0; i < shown; i++) {
      const bucket = this.#buckets[i]!;
      sink.begin(bucket);
      sink.add(bucket, upTo[i]!);
      for (; next < exemplars.length && exemplars[next]!.double(EXEMPLAR.asDouble) < point.bounds[i]!; next++) {
        if (isInOrder) sink.exemplar(bucket, exemplars[next]!);
      }
    }
    sink.begin(this.#infinite);
    sink.add(this.#infinite, point.count);
    for (; next < exemplars.length; next++) if (isInOrder) sink.exemplar(this.#infinite, exemplars[next]!);
    return isInOrder ? undefined : "out_of_order";
  }

  /** Makes the series of buckets, if the point's bounds are not those of the one before. */
  #bind(bounds: readonly number[], count: number, maker: SeriesMaker): void {
    const known = this.#bounds;
    let isSame = known.length === count;
    for (let i = 0; isSame && i < count; i++) isSame = Object.is(known[i], bounds[i]);
    if (isSame) return;
    const old = this.#buckets;
    this.#bounds = bounds.slice(0, count);
    this.#buckets = this.#bounds.map((bound) => maker.make("_bucket", ["le", formatFloat(bound)]));
    for (const ref of old) this.#registry.release(ref);
  }
}

/** Counts up to each bound; bounds that are not in order count in theirs. */
function cumulative(bounds: readonly number[], counts: readonly number[], length: number): readonly number[] {
  let isOrdered = true;
  for (let i = 1; i < length; i++) if (!(bounds[i]! > bounds[i - 1]!)) isOrdered = false;
  let sum = 0;
  if (isOrdered) return bounds.slice(0, length).map((_, i) => (sum += counts[i]!));
  const byBound = new Map<number, number>();
  for (let i = 0; i < length; i++) byBound.set(bounds[i]!, counts[i]!);
  for (const bound of bounds.slice(0, length).sort((a, b) => a - b)) {
    sum += byBound.get(bound)!;
    byBound.set(bound, sum);
  }
  return bounds.slice(0, length).map((bound) => byBound.get(bound)!);
}

function sortedExemplars(point: DataPoint): OtlpRecord[] {
  const list = point.record().list(POINT.exemplars.histogram);
  const exemplars = Array.from({ length: list.length }, (_, i) => list.at(i));
  return exemplars.sort((a, b) => a.double(EXEMPLAR.asDouble) - b.double(EXEMPLAR.asDouble));
}

/** A summary as series for its count, sum and quantiles. */
export class KnownSummary implements KnownSeries {
  #sum: SeriesRef = 0;
  #count: SeriesRef = 0;
  readonly #quantiles = new Map<number, SeriesRef>();

  refs(): readonly SeriesRef[] {
    return [this.#sum, this.#count, ...this.#quantiles.values()].filter((ref) => ref !== 0);
  }

  read(sink: SampleSink, maker: SeriesMaker): PointDropReason | undefined {
    const { point } = sink;
    if (this.#count === 0) {
      this.#sum = maker.make("_sum");
      this.#count = maker.make("_count");
    }
    sink.begin(this.#sum);
    sink.add(this.#sum, point.sum);
    sink.begin(this.#count);
    const isInOrder = sink.add(this.#count, point.count);
    const list = point.record().list(POINT.quantiles);
    for (let i = 0; i < list.length; i++) {
      const quantile = list.at(i).double(QUANTILE.quantile);
      const value = list.at(i).double(QUANTILE.value);
      let ref = this.#quantiles.get(quantile);
      if (ref === undefined) {
        ref = maker.make("", ["quantile", formatFloat(quantile)]);
        this.#quantiles.set(quantile, ref);
      }
      sink.add(ref, value);
    }
    return isInOrder ? undefined : "out_of_order";
  }
}

/** A native histogram: of an exponential one, or with custom buckets of one with bounds. */
export class KnownNative implements KnownSeries {
  readonly #isCustom: boolean;
  #ref: SeriesRef = 0;

  constructor(isCustom: boolean) {
    this.#isCustom = isCustom;
  }

  refs(): readonly SeriesRef[] {
    return this.#ref === 0 ? [] : [this.#ref];
  }

  read(sink: SampleSink, maker: SeriesMaker): PointDropReason | undefined {
    const { point } = sink;
    if (this.#ref === 0) this.#ref = maker.make("");
    const ref = this.#ref;
    if (this.#isCustom && point.bounds.length + 1 !== point.counts.length) return "inconsistent_buckets";
    const record = point.record();
    if (!this.#isCustom && record.sint32(POINT.scale) < COARSEST_SCALE) return "unsupported_scale";
    const histogram = this.#isCustom ? customHistogram(point) : exponentialHistogram(point, record);
    if (sink.begins(ref)) sink.columns.addHistogram(ref, point.start, emptied(histogram));
    if (!sink.addHistogram(ref, histogram)) return "out_of_order";
    if (point.hasExemplars) sink.exemplars(ref, POINT.exemplars[this.#isCustom ? "histogram" : "exponential"]);
    return undefined;
  }
}

type Histogram = Omit<NativeHistogram, "sample">;

function exponentialHistogram(point: DataPoint, record: OtlpRecord): Histogram {
  const scale = record.sint32(POINT.scale);
  const schema = Math.min(scale, FINEST_SCALE);
  const buckets = (field: number) => {
    const sign = record.record(field);
    const counts = sign.varints(BUCKETS.bucketCounts).map((count) => Number(BigInt.asUintN(64, count)));
    // Number 0 of Prometheus ends where number 0 of OTLP begins.
    return sparseBuckets(counts, sign.sint32(BUCKETS.offset), scale - schema, 1);
  };
  const positive = buckets(POINT.positive);
  const negative = buckets(POINT.negative);
  return {
    schema,
    zeroThreshold: ZERO_THRESHOLD,
    zeroCount: Number(BigInt.asUintN(64, record.fixed64(POINT.zeroCount))),
    count: point.count,
    sum: point.sum,
    positiveSpans: positive.spans,
    negativeSpans: negative.spans,
    positive: positive.deltas,
    negative: negative.deltas,
    isFloat: false,
    customBounds: undefined,
    resetHint: "unknown",
  };
}

function customHistogram({ counts, bounds, count, sum }: DataPoint): Histogram {
  const first = counts.findIndex((each) => each !== 0);
  const { spans, deltas } = sparseBuckets(first < 0 ? [] : counts.slice(first), first, 0, 0);
  return {
    schema: CUSTOM_SCHEMA,
    zeroThreshold: 0,
    zeroCount: 0,
    count,
    sum,
    positiveSpans: spans,
    negativeSpans: [],
    positive: deltas,
    negative: [],
    isFloat: false,
    customBounds: bounds.slice(),
    resetHint: "unknown",
  };
}

/** The histogram that it was before it counted anything. */
function emptied({ schema, zeroThreshold, customBounds }: Histogram): Histogram {
  const nothing = { zeroCount: 0, count: 0, sum: 0, positiveSpans: [], negativeSpans: [], positive: [], negative: [] };
  return { schema, zeroThreshold, customBounds, isFloat: false, ...nothing, resetHint: "yes" };
}
