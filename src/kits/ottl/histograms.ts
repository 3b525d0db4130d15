import { POINT, type PointKind } from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import { OttlError } from "./value.ts";

/** Arithmetic on histograms for extract_percentile_metric and convert_exponential_histogram_to_histogram. */

function linear(low: number, high: number, ratio: number): number {
  checkRatio(ratio);
  return low + ratio * (high - low);
}
function logarithmic(low: number, high: number, ratio: number): number {
  checkRatio(ratio);
  if (low <= 0 || high <= 0) throw OttlError.of("the bounds of a bucket are not positive");
  const from = Math.log2(low);
  return 2 ** (from + (Math.log2(high) - from) * ratio);
}
function checkRatio(ratio: number): void {
  if (!(ratio >= 0 && ratio <= 1)) throw OttlError.of("the counts of the histogram contradict each other");
}

/** The value below which a percentage of the counts lies; undefined for a point that cannot tell. */
export function percentileOf(point: OtlpRecord, kind: PointKind, percentile: number): number | undefined {
  const count = Number(BigInt.asUintN(64, point.fixed64(POINT.count)));
  if (count === 0) return undefined;
  const target = Math.ceil(count * (percentile / 100));
  return kind === "histogram" ? explicitPercentile(point, target) : exponentialPercentile(point, target);
}

function numbers(counts: readonly bigint[]): number[] {
  return counts.map((count) => Number(BigInt.asUintN(64, count)));
}

function explicitPercentile(point: OtlpRecord, target: number): number | undefined {
  const counts = numbers(point.fixed64s(POINT.bucketCounts));
  const bounds = point.doubles(POINT.explicitBounds);
  if (counts.length === 0) return undefined;
  if (counts.length !== bounds.length + 1) {
    throw OttlError.of(`the histogram has ${counts.length} buckets and ${bounds.length} bounds`);
  }
  const min = point.has(POINT.min.histogram) ? point.double(POINT.min.histogram) : undefined;
  const max = point.has(POINT.max.histogram) ? point.double(POINT.max.histogram) : undefined;
  if (bounds.length === 0) {
    return min === undefined || max === undefined ? undefined : linear(min, max, target / counts[0]!);
  }
  let below = 0;
  for (const [i, count] of counts.entries()) {
    if (below + count < target) {
      below += count;
      continue;
    }
    let low: number;
    let high: number;
    if (i === 0) {
      high = bounds[0]!;
      if (min !== undefined && min < high) low = min;
      else if (high < 0) return high;
      else low = 0;
    } else {
      low = bounds[i - 1]!;
      if (i < bounds.length) high = bounds[i]!;
      else if (max === undefined || max <= low) return low;
      else high = max;
    }
    return linear(low, high, (target - below) / count);
  }
  throw OttlError.of("the buckets hold less than the count of the histogram");
}

/** The lower bound of a bucket of an exponential histogram. */
function exponentialBound(index: number, scale: number): number {
  if (scale <= 0) return 2 ** (index * 2 ** -scale);
  return Math.exp(index * (Math.LN2 / 2 ** scale));
}

function exponentialPercentile(point: OtlpRecord, target: number): number | undefined {
  const scale = point.sint32(POINT.scale);
  const positive = point.record(POINT.positive);
  const negative = point.record(POINT.negative);
  const above = numbers(positive.varints(2));
  const under = numbers(negative.varints(2));
  const zeros = Number(BigInt.asUintN(64, point.fixed64(POINT.zeroCount)));
  if (above.length === 0 && under.length === 0 && zeros === 0) return undefined;
  let below = 0;
  for (let i = under.length - 1; i >= 0; i--) {
    const count = under[i]!;
    if (below + count >= target) {
      const index = negative.sint32(1) + i;
      const low = exponentialBound(index, scale);
      const high = exponentialBound(index + 1, scale);
      if (low >= high) throw OttlError.of("the bounds of a bucket are too close to tell apart");
      return -logarithmic(low, high, 1 - (target - below) / count);
    }
    below += count;
  }
  if (below + zeros >= target) {
    const threshold = point.double(POINT.zeroThreshold);
    const low = under.length === 0 && above.length > 0 ? 0 : -threshold;
    const high = above.length === 0 && under.length > 0 ? 0 : threshold;
    return linear(low, high, (target - below) / zeros);
  }
  below += zeros;
  for (const [i, count] of above.entries()) {
    if (below + count >= target) {
      const index = positive.sint32(1) + i;
      return logarithmic(exponentialBound(index, scale), exponentialBound(index + 1, scale), (target - below) / count);
    }
    below += count;
  }
  throw OttlError.of("the buckets hold less than the count of the histogram");
}

/** Puts the count of a bucket from `lower` to `upper` into the buckets of `bounds`. */
type Distribute = (count: bigint, upper: number, lower: number, bounds: readonly number[], into: bigint[]) => void;

function add(into: bigint[], at: number, count: bigint): void {
  into[at] = (into[at] ?? 0n) + count;
}
function last(bounds: readonly number[]): number {
  return bounds.length - 1;
}
function firstFrom(bounds: readonly number[], value: number, from = 0): number {
  for (let i = from; i < bounds.length; i++) if (value <= bounds[i]!) return i;
  return bounds.length;
}

const DISTRIBUTIONS: Readonly<Record<string, Distribute>> = {
  upper: (count, upper, _lower, bounds, into) => add(into, Math.min(firstFrom(bounds, upper), last(bounds)), count),
  midpoint: (count, upper, lower, bounds, into) => {
    const at = firstFrom(bounds, (upper + lower) / 2);
    add(into, at === bounds.length ? last(bounds) : Math.max(0, at - 1), count);
  },
  uniform: (count, upper, lower, bounds, into) => {
    const start = firstFrom(bounds, lower);
    const end = Math.min(firstFrom(bounds, upper, start), last(bounds));
    if (end <= start) {
      add(into, start, count);
      return;
    }
    const width = BigInt(end - start + 1);
    let rest = count % width;
    for (let i = start; i <= end; i++) {
      add(into, i, count / width + (rest > 0n ? 1n : 0n));
      if (rest > 0n) rest -= 1n;
    }
  },
  random: (count, upper, lower, bounds, into) => {
    const start = firstFrom(bounds, lower);
    const end = Math.min(firstFrom(bounds, upper, start), last(bounds));
    if (end <= start) {
      add(into, start, count);
      return;
    }
    let rest = count;
    for (let i = start; i <= end; i++) {
      const overlap = Math.min(bounds[i]!, upper) - Math.max(i === 0 ? lower : bounds[i - 1]!, lower);
      const share = Math.floor(Number(count) * (overlap / (upper - lower)));
      const given = BigInt(Math.floor(Math.random() * Math.max(0, share)));
      add(into, i, given);
      rest -= given;
    }
    spread(rest, start, end, into);
  },
};

/** Puts a rest into buckets at random. Large rests go in shares, where upstream counts to them one by one. */
function spread(rest: bigint, start: number, end: number, into: bigint[]): void {
  const width = end - start + 1;
  let left = rest;
  if (left > 10_000n) {
    const share = left / BigInt(width);
    for (let i = start; i <= end; i++) add(into, i, share);
    left -= share * BigInt(width);
  }
  for (; left > 0n; left--) add(into, start + Math.floor(Math.random() * width), 1n);
}

/** Throws OttlError for a name that is none of `upper`, `midpoint`, `uniform` and `random`. */
export function bucketsDistribution(name: string): Distribute {
  const found = Object.hasOwn(DISTRIBUTIONS, name) ? DISTRIBUTIONS[name] : undefined;
  if (found === undefined) {
    throw OttlError.of(`the distribution is "upper", "midpoint", "uniform" or "random", not ${JSON.stringify(name)}`);
  }
  return found;
}

/** The positive buckets of an exponential point as counts between bounds, one for each bound. */
export function explicitCounts(point: OtlpRecord, bounds: readonly number[], distribute: Distribute): bigint[] {
  const factor = Math.LN2 * 2 ** -point.sint32(POINT.scale);
  const positive = point.record(POINT.positive);
  const offset = positive.sint32(1);
  const into: bigint[] = new Array(bounds.length).fill(0n);
  const zeros = point.fixed64(POINT.zeroCount);
  if (zeros > 0n && bounds[0] === 0) add(into, 0, zeros);
  for (const [i, count] of positive.varints(2).entries()) {
    const upper = Math.exp((offset + i + 1) * factor);
    const lower = Math.exp((offset + i) * factor);
    if (lower > bounds[last(bounds)]!) {
      add(into, last(bounds), count);
      continue;
    }
    const within = bounds.findIndex((bound, b) => b > 0 && lower > bounds[b - 1]! && upper <= bound);
    if (within > 0) add(into, within - 1, count);
    else distribute(count, upper, lower, bounds, into);
  }
  return into;
}
