import { NO_RECORDED_VALUE, POINT, type PointKind } from "#formats/otlp-fields";
import type { OtlpRecord } from "#formats/otlp-record";
import {
  coarsen,
  type ExponentialPoint,
  exponentialWeight,
  mergeBuckets,
  optionalDouble,
  readExponential,
  scaleWithin,
  setOptionalDouble,
  unsigned,
  widenZero,
  writeExponential,
} from "#kits/otlp-metric-exponential";
import { MetricWalk, metricIdentity, scopeIdentity } from "#kits/otlp-metric-walk";

export type DropReason = "older_start" | "out_of_order" | "too_many_series";

/** An exponential histogram is kept at a scale at which each sign needs at most so many buckets. */
const MOST_BUCKETS = 160;

interface ExplicitPoint {
  count: bigint;
  sum: number | undefined;
  min: number | undefined;
  max: number | undefined;
  readonly bounds: readonly number[];
  readonly counts: bigint[];
}
/** The sum of a series so far. Which of the values it has, its kind says. */
export class Total {
  /** Nanoseconds since 1970, of the first point … */
  start = 0n;
  /** … and of the last one. */
  time = 0n;
  /** A number is whole or not as the last point that had one; undefined before. */
  number: number | bigint | undefined;
  explicit: ExplicitPoint | undefined;
  exponential: ExponentialPoint | undefined;
}

/** Adds up delta points, series by series. Matches processor/deltatocumulativeprocessor. */
export class Aggregator {
  readonly walk: MetricWalk<Total>;
  readonly #maxSeries: number;

  constructor(maxSeries: number, limit: number) {
    this.walk = new MetricWalk({ scope: scopeIdentity, metric: metricIdentity }, limit);
    this.#maxSeries = maxSeries;
  }

  /** Makes a point of the walk's present metric cumulative; returns why it cannot be. `now` is in milliseconds. */
  add(point: OtlpRecord, kind: PointKind, now: number): DropReason | undefined {
    const { table } = this.walk;
    const isEmpty = (point.int32(POINT.flags[kind]) & NO_RECORDED_VALUE) !== 0;
    let entry = this.walk.find(point);
    let total = entry === 0 ? undefined : table.state(entry);
    if (total === undefined) {
      if (isEmpty) return undefined; // says that there is nothing, which is so for a sum too
      if (table.series >= this.#maxSeries || this.walk.isFull) return "too_many_series";
      entry = this.walk.add();
      total = new Total();
      table.put(entry, total, now);
    } else table.see(entry, now);
    const start = unsigned(point.fixed64(POINT.start));
    const time = unsigned(point.fixed64(POINT.time));
    const isFirst = total.time === 0n;
    if (!isFirst && start < total.start) return "older_start";
    if (!isFirst && time <= total.time) return "out_of_order";
    if (isFirst) total.start = start;
    total.time = time;
    if (isEmpty) {
      point.setFixed64(POINT.start, total.start);
      return undefined;
    }
    if (kind === "histogram") addExplicit(total, point, start);
    else if (kind === "exponential") addExponential(total, point);
    else addNumber(total, point);
    table.weigh(entry, weightOf(total));
    point.setFixed64(POINT.start, total.start);
    return undefined;
  }
}

function weightOf({ explicit, exponential }: Total): number {
  if (explicit !== undefined) return 256 + explicit.bounds.length * 8 + explicit.counts.length * 32;
  return exponential === undefined ? 96 : exponentialWeight(exponential);
}

/** A series whose points change from whole numbers to others, or back, begins to count anew: as there. */
function addNumber(total: Total, point: OtlpRecord): void {
  const { number } = total;
  if (point.has(POINT.asDouble)) {
    total.number = (typeof number === "number" ? number : 0) + point.double(POINT.asDouble);
  } else if (point.has(POINT.asInt)) {
    total.number = BigInt.asIntN(64, (typeof number === "bigint" ? number : 0n) + point.fixed64(POINT.asInt));
  } else if (number === undefined) return;
  if (typeof total.number === "bigint") point.setFixed64(POINT.asInt, total.number);
  else point.setDouble(POINT.asDouble, total.number!);
}

function sumOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}
function leastOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.min(a, b);
}
function greatestOf(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : Math.max(a, b);
}

/** Histograms with other bounds than before cannot be added: the series starts again. */
function addExplicit(total: Total, point: OtlpRecord, start: bigint): void {
  const added: ExplicitPoint = {
    count: unsigned(point.fixed64(POINT.count)),
    sum: optionalDouble(point, POINT.sum),
    min: optionalDouble(point, POINT.min.histogram),
    max: optionalDouble(point, POINT.max.histogram),
    bounds: point.doubles(POINT.explicitBounds),
    counts: point.fixed64s(POINT.bucketCounts).map(unsigned),
  };
  const before = total.explicit;
  const hasSameBounds =
    before !== undefined &&
    before.bounds.length === added.bounds.length &&
    before.bounds.every((bound, i) => bound === added.bounds[i]);
  if (!hasSameBounds) {
    total.explicit = added;
    total.start = start;
    return;
  }
  const { counts } = before;
  const common = Math.min(counts.length, added.counts.length);
  for (let i = 0; i < common; i++) counts[i] = unsigned(counts[i]! + added.counts[i]!);
  before.count = unsigned(before.count + added.count);
  before.sum = sumOf(before.sum, added.sum);
  before.min = leastOf(before.min, added.min);
  before.max = greatestOf(before.max, added.max);
  point.setFixed64(POINT.count, before.count);
  setOptionalDouble(point, POINT.sum, before.sum);
  setOptionalDouble(point, POINT.min.histogram, before.min);
  setOptionalDouble(point, POINT.max.histogram, before.max);
  point.setFixed64s(POINT.bucketCounts, counts);
}

function downscale(point: ExponentialPoint, scale: number): void {
  const shifts = point.scale - scale;
  if (shifts <= 0) return;
  point.positive = coarsen(point.positive, shifts);
  point.negative = coarsen(point.negative, shifts);
  point.scale = scale;
}

function addExponential(total: Total, point: OtlpRecord): void {
  const added = readExponential(point);
  const before = total.exponential;
  if (before === undefined) {
    total.exponential = added;
    return;
  }
  const common = Math.min(before.scale, added.scale);
  downscale(before, common);
  downscale(added, common);
  const within = Math.min(
    scaleWithin(MOST_BUCKETS, common, before.positive, added.positive),
    scaleWithin(MOST_BUCKETS, common, before.negative, added.negative),
  );
  downscale(before, within);
  downscale(added, within);
  if (before.zeroThreshold < added.zeroThreshold) widenZero(before, added.zeroThreshold);
  else widenZero(added, before.zeroThreshold);
  before.positive = mergeBuckets(before.positive, added.positive);
  before.negative = mergeBuckets(before.negative, added.negative);
  before.count = unsigned(before.count + added.count);
  before.zeroCount = unsigned(before.zeroCount + added.zeroCount);
  before.sum = sumOf(before.sum, added.sum);
  before.min = leastOf(before.min, added.min);
  before.max = greatestOf(before.max, added.max);
  writeExponential(point, before);
}
