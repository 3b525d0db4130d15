import {
  EXPONENTIAL,
  HISTOGRAM,
  NO_RECORDED_VALUE,
  POINT,
  type PointKind,
  SUM,
  TEMPORALITY,
} from "#formats/otlp/fields";
import type { NumberPointScan } from "#formats/otlp/number-scan";
import type { OtlpRecord } from "#formats/otlp/record";
import { highHalf, isBelow, lowHalf, sumHigh, wholeOf } from "#kits/otlp/halves";
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
} from "#kits/otlp/metric-exponential";
import { type MetricHeader, MetricWalk, metricIdentity, type NumberStep, scopeIdentity } from "#kits/otlp/metric-walk";

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
/** What the number of a series is: as the last point that had one. */
const NOTHING = 0;
const INT = 1;
const DOUBLE = 2;
type NumberType = typeof NOTHING | typeof INT | typeof DOUBLE;

/** The sum of a series so far. Which of the values it has, its kind says; those of 64 bits are in halves. */
export class Total {
  startLow = 0;
  startHigh = 0;
  timeLow = 0;
  timeHigh = 0;
  type: NumberType = NOTHING;
  double = 0;
  intLow = 0;
  intHigh = 0;
  explicit: ExplicitPoint | undefined;
  exponential: ExponentialPoint | undefined;

  /** Nanoseconds since 1970, of the first point … */
  get start(): bigint {
    return unsigned(wholeOf(this.startLow, this.startHigh));
  }
  set start(start: bigint) {
    this.startLow = lowHalf(start);
    this.startHigh = highHalf(start);
  }
  /** … and of the last one. */
  get time(): bigint {
    return unsigned(wholeOf(this.timeLow, this.timeHigh));
  }
  set time(time: bigint) {
    this.timeLow = lowHalf(time);
    this.timeHigh = highHalf(time);
  }
  /** Adds a whole number. Sums wrap at 64 bits. */
  addInt(low: number, high: number): void {
    this.intHigh = sumHigh(this.intLow, this.intHigh, low, high);
    this.intLow = (this.intLow + low) | 0;
  }
}

/** Adds up delta points, series by series. Matches processor/deltatocumulativeprocessor. */
export class Aggregator implements NumberStep {
  readonly keepsPoints = true;
  readonly temporality = TEMPORALITY.cumulative;
  readonly walk: MetricWalk<Total>;
  readonly #maxSeries: number;
  /** Milliseconds since 1970, of the present request. */
  now = 0;

  constructor(maxSeries: number, limit: number) {
    this.walk = new MetricWalk({ scope: scopeIdentity, metric: metricIdentity }, limit);
    this.#maxSeries = maxSeries;
  }

  concerns({ field, temporality }: MetricHeader): boolean {
    return (field === SUM || field === HISTOGRAM || field === EXPONENTIAL) && temporality === TEMPORALITY.delta;
  }
  /** The same as `add`, for a later point of a known series whose number is of the same type. */
  point(point: NumberPointScan): boolean {
    const entry = this.walk.entryOf(point);
    const total = this.walk.table.state(entry);
    if (total === undefined || (point.flags & NO_RECORDED_VALUE) !== 0) return false;
    if (total.type !== (point.isDouble ? DOUBLE : INT) || (total.timeLow | total.timeHigh) === 0) return false;
    if (isBelow(point.startLow, point.startHigh, total.startLow, total.startHigh)) return false;
    if (!isBelow(total.timeLow, total.timeHigh, point.timeLow, point.timeHigh)) return false;
    total.timeLow = point.timeLow;
    total.timeHigh = point.timeHigh;
    if (point.isDouble) point.double = total.double += point.double;
    else {
      total.addInt(point.intLow, point.intHigh);
      point.setInt(total.intLow, total.intHigh);
    }
    this.walk.setStart(point, total.startLow, total.startHigh);
    this.walk.table.see(entry, this.now);
    return true;
  }

  /** Makes a point of the walk's present metric cumulative; returns why it cannot be. */
  add(point: OtlpRecord, kind: PointKind): DropReason | undefined {
    const { table } = this.walk;
    const { now } = this;
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
  if (point.has(POINT.asDouble)) {
    total.double = (total.type === DOUBLE ? total.double : 0) + point.double(POINT.asDouble);
    total.type = DOUBLE;
  } else if (point.has(POINT.asInt)) {
    if (total.type !== INT) total.intLow = total.intHigh = 0;
    const value = point.fixed64(POINT.asInt);
    total.addInt(lowHalf(value), highHalf(value));
    total.type = INT;
  }
  if (total.type === INT) point.setFixed64(POINT.asInt, wholeOf(total.intLow, total.intHigh));
  else if (total.type === DOUBLE) point.setDouble(POINT.asDouble, total.double);
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
