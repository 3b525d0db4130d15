import { NO_RECORDED_VALUE, POINT, type PointKind, SCOPE, TEMPORALITY } from "#formats/otlp/fields";
import type { NumberPointScan } from "#formats/otlp/number-scan";
import type { OtlpRecord } from "#formats/otlp/record";
import { differenceHigh, highHalf, isLess, lowHalf, wholeOf } from "#kits/otlp/halves";
import {
  type ExponentialPoint,
  exponentialSince,
  exponentialWeight,
  readExponential,
  unsigned,
  writeExponential,
} from "#kits/otlp/metric-exponential";
import {
  addScopeText,
  type IdentityLevels,
  type MetricHeader,
  MetricWalk,
  type NumberStep,
} from "#kits/otlp/metric-walk";

/** Why a point is dropped: `initial_value` on purpose, as the first of its series. */
export type DropReason =
  | "initial_value"
  | "counter_reset"
  | "bucket_mismatch"
  | "no_recorded_value"
  | "too_many_series";
export type InitialValue = "auto" | "keep" | "drop";

interface ExplicitPoint {
  readonly count: bigint;
  sum: number;
  readonly bounds: readonly number[];
  readonly counts: readonly bigint[];
}
/** The last point of a series. Which of the values it has, its kind says; those of 64 bits are in halves. */
export class LastPoint {
  timeLow = 0;
  timeHigh = 0;
  intLow = 0;
  intHigh = 0;
  double = 0;
  explicit: ExplicitPoint | undefined;
  exponential: ExponentialPoint | undefined;

  /** Nanoseconds since 1970. */
  get time(): bigint {
    return unsigned(wholeOf(this.timeLow, this.timeHigh));
  }
  set time(time: bigint) {
    this.timeLow = lowHalf(time);
    this.timeHigh = highHalf(time);
  }
  get int(): bigint {
    return wholeOf(this.intLow, this.intHigh);
  }
  set int(value: bigint) {
    this.intLow = lowHalf(value);
    this.intHigh = highHalf(value);
  }
}

/**
 * As internal/tracking/identity.go: the start time tells series apart, so that a restart that says so begins a new one. A
 * series of whole numbers is another than one of fractions.
 */
const IDENTITY: IdentityLevels = {
  scope: (key, scope) => {
    addScopeText(key, scope, SCOPE.name);
    addScopeText(key, scope, SCOPE.version);
  },
  metric: (key, metric) => void key.number(metric.field).text(metric.nameRange).text(metric.unitRange),
  point: (key, type, startLow, startHigh) => void key.number(type).fixed64(startLow, startHigh),
};

/**
 * Turns cumulative points into the difference to the point before, series by series.
 *
 * Matches processor/cumulativetodeltaprocessor, but that a histogram whose counts fall is remembered like a sum that falls:
 * there, every point of the series is dropped until the old counts are reached again.
 */
export class Tracker implements NumberStep {
  readonly keepsPoints = true;
  readonly temporality = TEMPORALITY.delta;
  readonly walk: MetricWalk<LastPoint>;
  readonly #initialValue: InitialValue;
  /** Nanoseconds since 1970. */
  readonly #startTime: bigint;
  readonly #isToConvert: (metric: MetricHeader) => boolean;

  constructor(
    initialValue: InitialValue,
    startMs: number,
    limit: number,
    isToConvert: (metric: MetricHeader) => boolean,
  ) {
    this.#isToConvert = isToConvert;
    this.walk = new MetricWalk(IDENTITY, limit);
    this.#initialValue = initialValue;
    this.#startTime = BigInt(Math.floor(startMs)) * 1_000_000n;
  }

  concerns(metric: MetricHeader): boolean {
    return this.#isToConvert(metric);
  }
  /** The same as `convert`, for a point of a known series that rose. */
  point(point: NumberPointScan): boolean {
    if ((point.flags & NO_RECORDED_VALUE) !== 0) return false;
    const before = this.walk.table.state(this.walk.entryOf(point));
    if (before === undefined) return false;
    if (point.isDouble) {
      const value = point.double;
      if (!(value >= before.double)) return false;
      point.double = value - before.double;
      before.double = value;
    } else {
      const { intLow: low, intHigh: high } = point;
      const { intLow, intHigh } = before;
      if (isLess(low, high, intLow, intHigh)) return false;
      point.setInt((low - intLow) | 0, differenceHigh(low, high, intLow, intHigh));
      before.intLow = low;
      before.intHigh = high;
    }
    this.walk.setStart(point, before.timeLow, before.timeHigh);
    before.timeLow = point.timeLow;
    before.timeHigh = point.timeHigh;
    return true;
  }

  /** Makes a delta of a point of the walk's present metric; returns why it cannot be. */
  convert(point: OtlpRecord, kind: PointKind): DropReason | undefined {
    if ((point.int32(POINT.flags[kind]) & NO_RECORDED_VALUE) !== 0) return "no_recorded_value";
    // Some sources mark stale series so. There is nothing to subtract from.
    if (kind === "number" && Number.isNaN(point.double(POINT.asDouble))) return undefined;
    const { table } = this.walk;
    const time = unsigned(point.fixed64(POINT.time));
    const entry = this.walk.find(point);
    const before = entry === 0 ? undefined : table.state(entry);
    if (before === undefined) {
      if (this.walk.isFull) return "too_many_series";
      return this.#first(point, kind, time);
    }
    const start = before.time;
    const dropped = this.#difference(point, kind, before);
    before.time = time;
    if (before.exponential !== undefined) table.weigh(entry, exponentialWeight(before.exponential));
    if (before.explicit !== undefined) table.weigh(entry, explicitWeight(before.explicit));
    if (dropped === undefined) point.setFixed64(POINT.start, start);
    return dropped;
  }

  #first(point: OtlpRecord, kind: PointKind, time: bigint): DropReason | undefined {
    const state = new LastPoint();
    state.time = time;
    let weight = 64;
    if (kind === "histogram") weight += explicitWeight((state.explicit = readExplicit(point)));
    else if (kind === "exponential") weight += exponentialWeight((state.exponential = readExponential(point)));
    else if (point.has(POINT.asDouble)) state.double = point.double(POINT.asDouble);
    else state.int = point.fixed64(POINT.asInt);
    this.walk.table.put(this.walk.add(), state, 0, weight);
    if (this.#initialValue === "drop") return "initial_value";
    if (this.#initialValue === "auto") {
      const start = unsigned(point.fixed64(POINT.start));
      if (start < this.#startTime || start === time) return "initial_value";
    } else point.setFixed64(POINT.start, 0n);
    if (kind !== "number") withoutExtremes(point, kind);
    else if (!point.has(POINT.asDouble)) point.setFixed64(POINT.asInt, state.int);
    return undefined;
  }

  #difference(point: OtlpRecord, kind: PointKind, before: LastPoint): DropReason | undefined {
    if (kind === "histogram") return explicitDifference(point, before);
    if (kind === "exponential") return exponentialDifference(point, before);
    if (point.has(POINT.asDouble)) {
      const value = point.double(POINT.asDouble);
      const previous = before.double;
      before.double = value;
      if (value < previous) return "counter_reset";
      point.setDouble(POINT.asDouble, value - previous);
    } else {
      const value = point.fixed64(POINT.asInt);
      const previous = before.int;
      before.int = value;
      if (value < previous) return "counter_reset";
      point.setFixed64(POINT.asInt, value - previous);
    }
    return undefined;
  }
}

function readExplicit(point: OtlpRecord): ExplicitPoint {
  return {
    count: unsigned(point.fixed64(POINT.count)),
    sum: point.double(POINT.sum),
    bounds: point.doubles(POINT.explicitBounds),
    counts: point.fixed64s(POINT.bucketCounts).map(unsigned),
  };
}
function explicitWeight({ bounds, counts }: ExplicitPoint): number {
  return 128 + bounds.length * 8 + counts.length * 32;
}
/** The least and the greatest value since the start say nothing about those since the last point. */
function withoutExtremes(point: OtlpRecord, kind: PointKind): void {
  for (const field of [POINT.min[kind], POINT.max[kind]]) if (point.has(field)) point.remove(field);
}
function setSum(point: OtlpRecord, sum: number): void {
  if (point.has(POINT.sum) && !Number.isNaN(point.double(POINT.sum))) point.setDouble(POINT.sum, sum);
}

function explicitDifference(point: OtlpRecord, before: LastPoint): DropReason | undefined {
  const previous = before.explicit!;
  const now = readExplicit(point);
  if (Number.isNaN(now.sum)) now.sum = previous.sum;
  before.explicit = now;
  const { bounds, counts } = now;
  if (counts.length !== previous.counts.length || bounds.length !== previous.bounds.length) return "bucket_mismatch";
  for (let i = 0; i < bounds.length; i++) if (bounds[i] !== previous.bounds[i]) return "bucket_mismatch";
  if (now.count < previous.count) return "counter_reset";
  const since: bigint[] = [];
  for (let i = 0; i < counts.length; i++) {
    if (counts[i]! < previous.counts[i]!) return "counter_reset";
    since.push(counts[i]! - previous.counts[i]!);
  }
  point.setFixed64(POINT.count, now.count - previous.count);
  setSum(point, now.sum - previous.sum);
  if (counts.length > 0) point.setFixed64s(POINT.bucketCounts, since);
  withoutExtremes(point, "histogram");
  return undefined;
}

function exponentialDifference(point: OtlpRecord, before: LastPoint): DropReason | undefined {
  const now = readExponential(point);
  const since = exponentialSince(now, before.exponential!);
  before.exponential = now;
  if (since === undefined) return "counter_reset";
  writeExponential(point, since);
  return undefined;
}
