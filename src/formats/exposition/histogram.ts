import type { NativeHistogram } from "#pipeline/batch";
import { ExpositionError } from "./error.ts";

/** A native histogram that is not in a batch yet. */
export type Histogram = Omit<NativeHistogram, "sample">;
type Spans = NativeHistogram["positiveSpans"];
/** Buckets that lie at known indices: absolute counts, in ascending order of indices. */
interface Indexed {
  readonly index: number[];
  readonly count: number[];
}

/** What Prometheus calls a schema with bounds of its own. */
export const CUSTOM_BUCKETS_SCHEMA = -53;
export const MAX_SCHEMA = 8;
const MIN_SCHEMA = -4;
/** Schemas that are set aside for exponential buckets, known or not. */
const MAX_RESERVED_SCHEMA = 52;
const MIN_RESERVED_SCHEMA = -9;
/** Empty buckets in a row that an integer histogram from classic buckets keeps: shorter than another span. */
const EMPTY_IN_A_ROW = 2;

/** More buckets than `native_histogram_bucket_limit`, and no coarser schema left. */
export class BucketLimitError extends ExpositionError {
  constructor() {
    super("histogram bucket limit exceeded");
  }
}

/** The schema that `native_histogram_min_bucket_factor` allows at most (prometheus/scrape/scrape.go, pickSchema). */
export function largestSchema(minBucketFactor: number): number {
  const factor = minBucketFactor <= 1 ? 1.00271 : minBucketFactor;
  return Math.min(MAX_SCHEMA, Math.max(MIN_SCHEMA, Math.floor(0 - Math.log2(Math.log2(factor)))));
}

/**
 * Merges buckets until the schema is at most `maxSchema` and there are at most `bucketLimit` (0 for any number) of them.
 * Throws a BucketLimitError if that cannot be. Matches maxSchemaAppender and bucketLimitAppender of prometheus/scrape/target.go.
 */
export function limitHistogram(histogram: Histogram, maxSchema: number, bucketLimit: number): Histogram {
  let { schema } = histogram;
  const isExponential = schema >= MIN_RESERVED_SCHEMA && schema <= MAX_RESERVED_SCHEMA;
  let limited = histogram;
  if (maxSchema < MAX_SCHEMA && isExponential && schema > maxSchema) {
    schema = maxSchema;
    limited = reduceResolution(histogram, schema);
  }
  while (bucketLimit > 0 && limited.positive.length + limited.negative.length > bucketLimit) {
    if (schema <= MIN_SCHEMA || schema > MAX_SCHEMA) throw new BucketLimitError();
    schema -= 1;
    limited = reduceResolution(limited, schema);
  }
  return limited;
}

/** Joins neighbouring buckets so that they grow by the factor of a coarser schema. */
export function reduceResolution(histogram: Histogram, schema: number): Histogram {
  const { isFloat } = histogram;
  const joins = 2 ** (histogram.schema - schema);
  const join = (spans: Spans, counts: readonly number[]) => {
    const joined: Indexed = { index: [], count: [] };
    const fine = indexed(spans, counts, isFloat);
    for (let i = 0; i < fine.index.length; i++) {
      const index = Math.floor((fine.index[i]! - 1) / joins) + 1;
      const last = joined.index.length - 1;
      if (last >= 0 && joined.index[last] === index) joined.count[last]! += fine.count[i]!;
      else {
        joined.index.push(index);
        joined.count.push(fine.count[i]!);
      }
    }
    return spelt(joined, isFloat);
  };
  const [positiveSpans, positive] = join(histogram.positiveSpans, histogram.positive);
  const [negativeSpans, negative] = join(histogram.negativeSpans, histogram.negative);
  return { ...histogram, schema, positiveSpans, positive, negativeSpans, negative };
}

/** Takes out empty buckets, other than at most `maxEmpty` in a row between two others. */
export function compact(histogram: Histogram, maxEmpty: number): Histogram {
  const { isFloat } = histogram;
  const shrink = (spans: Spans, counts: readonly number[]) => {
    const all = indexed(spans, counts, isFloat);
    const kept: Indexed = { index: [], count: [] };
    for (let i = 0; i < all.index.length; i++) {
      if (all.count[i] === 0) continue;
      const last = kept.index.at(-1);
      if (last !== undefined && all.index[i]! - last - 1 <= maxEmpty) {
        for (let empty = last + 1; empty < all.index[i]!; empty++) {
          kept.index.push(empty);
          kept.count.push(0);
        }
      }
      kept.index.push(all.index[i]!);
      kept.count.push(all.count[i]!);
    }
    return spelt(kept, isFloat);
  };
  const [positiveSpans, positive] = shrink(histogram.positiveSpans, histogram.positive);
  const [negativeSpans, negative] = shrink(histogram.negativeSpans, histogram.negative);
  return { ...histogram, positiveSpans, positive, negativeSpans, negative };
}

/** Throws what Prometheus says of a histogram that contradicts itself (model/histogram/histogram.go, Validate). */
export function checkHistogram(histogram: Histogram): void {
  const { schema, isFloat, count, sum, zeroCount } = histogram;
  if (schema !== CUSTOM_BUCKETS_SCHEMA && (schema < MIN_SCHEMA || schema > MAX_SCHEMA)) {
    throw new ExpositionError(
      `histogram has an invalid schema, which must be between ${MIN_SCHEMA} and ${MAX_SCHEMA} for exponential buckets, or ${CUSTOM_BUCKETS_SCHEMA} for custom buckets, got schema ${schema}`,
    );
  }
  if (schema === CUSTOM_BUCKETS_SCHEMA) checkCustomBuckets(histogram);
  const negative = observations(histogram.negativeSpans, histogram.negative, isFloat, "negative");
  const positive = observations(histogram.positiveSpans, histogram.positive, isFloat, "positive");
  if (isFloat) {
    if (zeroCount < 0) throw negativeCount("zero bucket", zeroCount);
    if (count < 0) {
      throw new ExpositionError(`observation count is ${count}: histogram's observation count is negative`);
    }
    return;
  }
  const found = negative + positive + zeroCount;
  if (Number.isNaN(sum) ? found > count : found !== count) {
    const why = Number.isNaN(sum)
      ? "histogram's observation count should be at least the number of observations found in the buckets"
      : "histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)";
    throw new ExpositionError(`${found} observations found in buckets, but the Count field is ${count}: ${why}`);
  }
}

function checkCustomBuckets({ customBounds = [], positiveSpans, ...histogram }: Histogram): void {
  const covered = positiveSpans.reduce((sum, { offset, length }) => sum + offset + length, 0);
  const fault =
    customBounds.length + 1 < covered
      ? `only ${customBounds.length} custom bounds defined which is insufficient to cover total span length of ${covered}: histogram custom bounds are too few`
      : histogram.zeroCount !== 0
        ? "must have zero count of 0"
        : histogram.zeroThreshold !== 0
          ? "must have zero threshold of 0"
          : histogram.negativeSpans.length > 0
            ? "must not have negative spans"
            : "";
  if (fault !== "") throw new ExpositionError(`custom buckets: ${fault}`);
}

function observations(spans: Spans, counts: readonly number[], isFloat: boolean, side: string): number {
  let sum = 0;
  for (const [i, count] of indexed(spans, counts, isFloat).count.entries()) {
    if (count < 0) throw negativeCount(`${side} side: bucket number ${i + 1}`, count);
    sum += count;
  }
  return sum;
}

function negativeCount(where: string, count: number): ExpositionError {
  return new ExpositionError(
    `${where} has observation count of ${count}: histogram has a bucket whose observation count is negative`,
  );
}

function indexed(spans: Spans, counts: readonly number[], isFloat: boolean): Indexed {
  const index: number[] = [];
  const count: number[] = [];
  let at = 0;
  let absolute = 0;
  for (const [number, { offset, length }] of spans.entries()) {
    if (number > 0 && offset < 0) {
      throw new ExpositionError(
        `span number ${number + 1} with offset ${offset}: histogram has a span whose offset is negative`,
      );
    }
    at += offset;
    for (let i = 0; i < length; i++) {
      if (index.length >= counts.length) throw spansMismatch(spans, counts);
      const given = counts[index.length]!;
      absolute = isFloat ? given : absolute + given;
      index.push(at);
      count.push(absolute);
      at += 1;
    }
  }
  if (index.length !== counts.length) throw spansMismatch(spans, counts);
  return { index, count };
}

function spansMismatch(spans: Spans, counts: readonly number[]): ExpositionError {
  const needed = spans.reduce((sum, { length }) => sum + length, 0);
  return new ExpositionError(
    `spans need ${needed} buckets, have ${counts.length} buckets: histogram spans specify different number of buckets than provided`,
  );
}

/** Spans and counts, with deltas in place of counts unless they are floats. */
function spelt({ index, count }: Indexed, isFloat: boolean): [{ offset: number; length: number }[], number[]] {
  const spans: { offset: number; length: number }[] = [];
  let end = 0;
  for (const at of index) {
    const last = spans.at(-1);
    if (last !== undefined && at === end) last.length += 1;
    else spans.push({ offset: at - end, length: 1 });
    end = at + 1;
  }
  return [spans, isFloat ? count : count.map((each, i) => each - (i === 0 ? 0 : count[i - 1]!))];
}

/**
 * Collects what a classic histogram is spread over, its buckets in any order, and makes one native histogram with custom
 * buckets of it. Matches Prometheus's util/convertnhcb/convertnhcb.go.
 */
export class ClassicHistogram {
  #bounds: number[] = [];
  /** Cumulative. */
  #counts: number[] = [];
  #count = 0;
  #sum = 0;
  #hasCount = false;
  /** Why it is none, in Prometheus's words. */
  #error = "";

  reset(): void {
    this.#bounds = [];
    this.#counts = [];
    this.#count = 0;
    this.#sum = 0;
    this.#hasCount = false;
    this.#error = "";
  }

  set sum(sum: number) {
    this.#sum = sum;
  }

  set count(count: number) {
    if (this.#error !== "") return;
    if (count < 0) this.#error = `count must be non-negative: count=${count}`;
    this.#count = count;
    this.#hasCount = true;
  }

  bucket(bound: number, count: number): void {
    if (this.#error !== "") return;
    const bounds = this.#bounds;
    const counts = this.#counts;
    if (Number.isNaN(bound)) this.#error = "bucket boundary must not be NaN";
    else if (count < 0) this.#error = `bucket count must be non-negative: le=${bound}, count=${count}`;
    else {
      let at = bounds.length;
      while (at > 0 && bounds[at - 1]! > bound) at -= 1;
      if (at > 0 && bounds[at - 1] === bound) return; // a repetition
      if (at > 0 && count < counts[at - 1]!) this.#error = `count is not cumulative: ${count} < ${counts[at - 1]}`;
      else if (at < bounds.length && count > counts[at]!) {
        this.#error = `count is not cumulative: ${count} > ${counts[at]}`;
      } else {
        bounds.splice(at, 0, bound);
        counts.splice(at, 0, count);
      }
    }
  }

  /** The native histogram, or why there is none. What was collected is used up. */
  convert(resetHint: Histogram["resetHint"]): Histogram | string {
    if (this.#error !== "") return this.#error;
    const bounds = this.#bounds;
    const counts = this.#counts;
    const count = this.#hasCount ? this.#count : (counts.at(-1) ?? 0);
    if (bounds.at(-1) !== Infinity) {
      if (count < (counts.at(-1) ?? 0)) return `count is not cumulative: ${count} < ${counts.at(-1)}`;
      bounds.push(Infinity);
      counts.push(count);
    }
    if (count !== counts.at(-1)) return `count mismatch: count=${count} != le=+Inf count=${counts.at(-1)}`;
    const isFloat = !counts.every(Number.isInteger) || !Number.isInteger(count);
    const inBuckets = counts.map((each, i) => each - (i === 0 ? 0 : counts[i - 1]!));
    const [positiveSpans, positive] = spelt({ index: bounds.map((_, i) => i), count: inBuckets }, isFloat);
    const whole: Histogram = {
      schema: CUSTOM_BUCKETS_SCHEMA,
      zeroThreshold: 0,
      zeroCount: 0,
      count,
      sum: this.#sum,
      positiveSpans,
      negativeSpans: [],
      positive,
      negative: [],
      isFloat,
      customBounds: bounds.slice(0, -1),
      resetHint,
    };
    return compact(whole, isFloat ? 0 : EMPTY_IN_A_ROW);
  }
}
