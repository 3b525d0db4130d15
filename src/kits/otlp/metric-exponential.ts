import { BUCKETS, POINT } from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";

/**
 * Arithmetic on exponential histograms: what the Collector's processors deltatocumulative (internal/data/expo) and
 * cumulativetodelta (internal/tracking) do with buckets. Loops go over buckets that are there, never over a range that a
 * request merely names.
 *
 * Bucket i of scale s holds values in (b^i, b^(i+1)] with b = 2^(2^−s). Counts are unsigned and wrap at 64 bits.
 */

export interface Buckets {
  offset: number;
  counts: bigint[];
}
export interface ExponentialPoint {
  count: bigint;
  /** Undefined where the point has none. */
  sum: number | undefined;
  min: number | undefined;
  max: number | undefined;
  scale: number;
  zeroCount: bigint;
  zeroThreshold: number;
  positive: Buckets;
  negative: Buckets;
}

/** More shifts than this leave no bucket index that is not 0 or −1. */
const MOST_SHIFTS = 62;

export function unsigned(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
export function optionalDouble(record: OtlpRecord, field: number): number | undefined {
  return record.has(field) ? record.double(field) : undefined;
}
export function setOptionalDouble(record: OtlpRecord, field: number, value: number | undefined): void {
  if (value !== undefined) record.setDouble(field, value);
  else if (record.has(field)) record.remove(field);
}

function readBuckets(record: OtlpRecord): Buckets {
  return { offset: record.sint32(BUCKETS.offset), counts: record.varints(BUCKETS.bucketCounts).map(unsigned) };
}
export function readExponential(point: OtlpRecord): ExponentialPoint {
  return {
    count: unsigned(point.fixed64(POINT.count)),
    sum: optionalDouble(point, POINT.sum),
    min: optionalDouble(point, POINT.min.exponential),
    max: optionalDouble(point, POINT.max.exponential),
    scale: point.sint32(POINT.scale),
    zeroCount: unsigned(point.fixed64(POINT.zeroCount)),
    zeroThreshold: point.double(POINT.zeroThreshold),
    positive: readBuckets(point.record(POINT.positive)),
    negative: readBuckets(point.record(POINT.negative)),
  };
}
function writeBuckets(record: OtlpRecord, { offset, counts }: Buckets): void {
  record.setSint32(BUCKETS.offset, offset);
  record.setVarints(BUCKETS.bucketCounts, counts);
}
export function writeExponential(point: OtlpRecord, value: ExponentialPoint): void {
  point.setFixed64(POINT.count, value.count);
  setOptionalDouble(point, POINT.sum, value.sum);
  setOptionalDouble(point, POINT.min.exponential, value.min);
  setOptionalDouble(point, POINT.max.exponential, value.max);
  point.setSint32(POINT.scale, value.scale);
  point.setFixed64(POINT.zeroCount, value.zeroCount);
  point.setDouble(POINT.zeroThreshold, value.zeroThreshold);
  writeBuckets(point.record(POINT.positive), value.positive);
  writeBuckets(point.record(POINT.negative), value.negative);
}

/** How much a point holds beside itself (bytes). */
export function exponentialWeight({ positive, negative }: ExponentialPoint): number {
  return 256 + (positive.counts.length + negative.counts.length) * 32;
}

/** Halves the resolution `shifts` times: neighbouring buckets become one. */
export function coarsen({ offset, counts }: Buckets, shifts: number): Buckets {
  const divisor = 2 ** Math.min(shifts, MOST_SHIFTS);
  const first = Math.floor(offset / divisor);
  if (counts.length === 0) return { offset: first, counts };
  const last = Math.floor((offset + counts.length - 1) / divisor);
  const merged = new Array<bigint>(last - first + 1).fill(0n);
  for (let i = 0; i < counts.length; i++) {
    const at = Math.floor((offset + i) / divisor) - first;
    merged[at] = unsigned(merged[at]! + counts[i]!);
  }
  return { offset: first, counts: merged };
}

/** Removes the buckets up to and with index `last`; returns what was in them. */
export function cutBelow(buckets: Buckets, last: number): bigint {
  const cut = Math.min(last - buckets.offset + 1, buckets.counts.length);
  if (!(cut > 0)) return 0n;
  let sum = 0n;
  for (let i = 0; i < cut; i++) sum += buckets.counts[i]!;
  buckets.counts = buckets.counts.slice(cut);
  buckets.offset += cut;
  return sum;
}

/**
 * What came to the buckets since they were `before`, at the same scale, without zeros around it; undefined if some bucket
 * has fewer than before.
 */
export function bucketsSince(now: Buckets, before: Buckets): Buckets | undefined {
  const since: Buckets = { offset: 0, counts: [] };
  for (let i = 0; i < now.counts.length; i++) {
    const count = now.counts[i]!;
    if (count === 0n) continue;
    const index = now.offset + i;
    const known = before.counts[index - before.offset] ?? 0n;
    if (count < known) return undefined;
    if (count === known) continue;
    if (since.counts.length === 0) since.offset = index;
    while (since.offset + since.counts.length < index) since.counts.push(0n);
    since.counts.push(count - known);
  }
  return since;
}

/** The range of indices [low, high) in which two sets of buckets have counts; an empty one where none has. */
function occupied(a: Buckets, b: Buckets): { low: number; high: number } {
  let low = Infinity;
  let high = -Infinity;
  for (const { offset, counts } of [a, b]) {
    const first = counts.findIndex((count) => count !== 0n);
    if (first < 0) continue;
    low = Math.min(low, offset + first);
    high = Math.max(high, offset + counts.findLastIndex((count) => count !== 0n) + 1);
  }
  if (low <= high) return { low, high };
  const end = Math.max(a.offset + a.counts.length, b.offset + b.counts.length);
  return { low: end, high: end };
}

/** The scale at which the sum of two sets of buckets needs at most `most` of them. */
export function scaleWithin(most: number, scale: number, a: Buckets, b: Buckets): number {
  let { low, high } = occupied(a, b);
  let within = scale;
  for (; high - low > most; within--) {
    low = Math.trunc(low / 2);
    high = Math.trunc(high / 2);
  }
  return within;
}

/** The sum of two sets of buckets of the same scale. Neither may be used afterwards. */
export function mergeBuckets(a: Buckets, b: Buckets): Buckets {
  if (b.counts.length === 0) return a;
  if (a.counts.length === 0) return b;
  const { low, high } = occupied(a, b);
  const counts: bigint[] = [];
  for (let at = low; at < high; at++) {
    counts.push(unsigned((a.counts[at - a.offset] ?? 0n) + (b.counts[at - b.offset] ?? 0n)));
  }
  return { offset: low, counts };
}

/** The last bucket that lies within a zero bucket of this width, and the width that it then has. */
function zeroBucket(scale: number, width: number): { last: number; threshold: number } {
  const power = Math.log2(width);
  // A power of two is the upper end of its bucket; the logarithm of others is not exact enough to tell.
  const isPower = Number.isInteger(power) && 2 ** power === width;
  const last = isPower ? Math.ceil(power * 2 ** scale) - 1 : Math.floor(Math.log(width) * Math.LOG2E * 2 ** scale);
  return { last, threshold: 2 ** ((last + 1) * 2 ** -scale) };
}

/** Makes the zero bucket of a point at least so wide, by whole buckets. Widths that are no positive number change nothing. */
export function widenZero(point: ExponentialPoint, width: number): void {
  if (!(width > point.zeroThreshold) || width === Infinity) return;
  const { last, threshold } = zeroBucket(point.scale, width);
  const gone = cutBelow(point.positive, last) + cutBelow(point.negative, last);
  point.zeroCount = unsigned(point.zeroCount + gone);
  point.zeroThreshold = threshold;
}

/** The bucket into which a zero threshold falls; buckets up to it are part of the zero bucket. */
function thresholdBucket(scale: number, threshold: number): number {
  return Math.ceil(Math.log(threshold) * Math.LOG2E * 2 ** scale) - 1;
}

/**
 * What a cumulative series counted between two of its points, without least and greatest value; undefined if it began anew
 * in between. A series may get coarser, with fewer buckets or a wider zero bucket, as SDKs do when values spread.
 */
export function exponentialSince(now: ExponentialPoint, before: ExponentialPoint): ExponentialPoint | undefined {
  if (now.count < before.count || now.zeroThreshold < before.zeroThreshold || now.scale > before.scale)
    return undefined;
  const old = { positive: { ...before.positive }, negative: { ...before.negative } };
  let zeroBefore = before.zeroCount;
  if (now.zeroThreshold > before.zeroThreshold) {
    const last = thresholdBucket(before.scale, now.zeroThreshold);
    zeroBefore = unsigned(zeroBefore + cutBelow(old.positive, last) + cutBelow(old.negative, last));
  }
  if (now.zeroCount < zeroBefore) return undefined;
  const shifts = before.scale - now.scale;
  const positive = bucketsSince(now.positive, coarsen(old.positive, shifts));
  const negative = bucketsSince(now.negative, coarsen(old.negative, shifts));
  if (positive === undefined || negative === undefined) return undefined;
  const hasNoSum = now.sum === undefined || Number.isNaN(now.sum);
  return {
    ...now,
    count: now.count - before.count,
    sum: hasNoSum ? now.sum : now.sum! - (before.sum ?? 0),
    min: undefined,
    max: undefined,
    zeroCount: now.zeroCount - zeroBefore,
    positive,
    negative,
  };
}
