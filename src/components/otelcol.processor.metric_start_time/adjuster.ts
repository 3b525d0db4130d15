import { GAUGE, METRIC, NO_RECORDED_VALUE, POINT, SUM, SUMMARY, TEMPORALITY } from "#formats/otlp/fields";
import type { NumberPointScan } from "#formats/otlp/number-scan";
import type { OtlpRecord } from "#formats/otlp/record";
import { differenceHigh, highHalf, isLess, lowHalf, wholeOf } from "#kits/otlp/halves";
import { unsigned } from "#kits/otlp/metric-exponential";
import {
  type MetricHeader,
  MetricWalk,
  type NumberStep,
  scopeIdentity,
  type VisitedMetric,
} from "#kits/otlp/metric-walk";
import { isReset, type Reading, readPoint, subtract, weightOf } from "./readings.ts";

export type Strategy = "true_reset_point" | "subtract_initial_point" | "start_time_metric";

const MILLISECOND = 1_000_000n;

/** What is known of a series. */
export class Series {
  startLow = 0;
  startHigh = 0;
  previous: Reading;
  /** What is subtracted from each point; undefined for nothing. */
  initial: Reading | undefined;
  constructor(start: bigint, previous: Reading) {
    this.start = start;
    this.previous = previous;
  }

  /** Nanoseconds since 1970. */
  get start(): bigint {
    return unsigned(wholeOf(this.startLow, this.startHigh));
  }
  set start(start: bigint) {
    this.startLow = lowHalf(start);
    this.startHigh = highHalf(start);
  }
}

/**
 * Gives start times to cumulative points that have none. Matches processor/metricstarttimeprocessor; it differs in that
 * delta metrics stay as they are with each strategy, scopes are told apart, and points without a value change nothing.
 */
export class Adjuster implements NumberStep {
  readonly keepsPoints = true;
  readonly temporality = undefined;
  readonly walk: MetricWalk<Series>;
  /** Milliseconds since 1970, of the present request … */
  now = 0;
  /** … and when the process began that it is about (ns), for the strategy `start_time_metric`. */
  processStart = 0n;
  readonly #strategy: Strategy;

  constructor(strategy: Strategy, limit: number) {
    this.#strategy = strategy;
    this.walk = new MetricWalk(
      {
        scope: scopeIdentity,
        metric: (key, { field, nameRange, temporality }) =>
          void key
            .number(field)
            .text(nameRange)
            .number(temporality & 0xff),
      },
      limit,
    );
  }

  concerns({ field, temporality }: MetricHeader): boolean {
    if (field === 0 || field === GAUGE) return false;
    if (field === SUMMARY) return true;
    if (temporality === TEMPORALITY.cumulative) return true;
    // Sources that do not say what they send mostly send this.
    if (temporality === TEMPORALITY.delta || this.#strategy === "subtract_initial_point") return false;
    return field === SUM || this.#strategy === "start_time_metric";
  }

  /** The same as `adjust`, for a point that has a start, or whose series is known and did not begin anew. */
  point(point: NumberPointScan): boolean {
    const { startLow, startHigh } = point;
    const isGiven = (startLow | startHigh) !== 0 && !(startLow === point.timeLow && startHigh === point.timeHigh);
    if (isGiven) return true;
    if ((point.flags & NO_RECORDED_VALUE) !== 0) return false;
    const entry = this.walk.entryOf(point);
    const series = this.walk.table.state(entry);
    if (series === undefined) return false;
    const { previous, initial } = series;
    const double = point.isDouble ? point.double : 0;
    const low = point.isDouble ? 0 : point.intLow;
    const high = point.isDouble ? 0 : point.intHigh;
    if (double < previous.double || isLess(low, high, previous.intLow, previous.intHigh)) return false;
    if (initial !== undefined) {
      if (point.isDouble) point.double = double - initial.double;
      else {
        const { intLow, intHigh } = initial;
        point.setInt((low - intLow) | 0, differenceHigh(low, high, intLow, intHigh));
      }
    }
    previous.double = double;
    previous.intLow = low;
    previous.intHigh = high;
    this.walk.setStart(point, series.startLow, series.startHigh);
    this.walk.table.see(entry, this.now);
    return true;
  }

  /**
   * Adjusts a point of the walk's present metric. `initial` points are not to be sent; `unknown` ones belong to a series that
   * there is no memory for.
   */
  adjust(point: OtlpRecord, { kind }: VisitedMetric): "adjusted" | "initial" | "unknown" {
    const given = unsigned(point.fixed64(POINT.start));
    const time = unsigned(point.fixed64(POINT.time));
    if (given !== 0n && given !== time) return "adjusted";
    const { table } = this.walk;
    const entry = this.walk.find(point);
    const series = entry === 0 ? undefined : table.state(entry);
    const now = readPoint(point, kind);
    if (series === undefined) {
      if (this.walk.isFull) return "unknown";
      const added = new Series(this.#strategy === "start_time_metric" ? this.processStart : time, now);
      if (this.#strategy === "subtract_initial_point") added.initial = { ...now };
      table.put(this.walk.add(), added, this.now, weightOf(now));
      if (added.initial !== undefined) return "initial";
      point.setFixed64(POINT.start, added.start);
      return "adjusted";
    }
    table.see(entry, this.now);
    if ((point.int32(POINT.flags[kind]) & NO_RECORDED_VALUE) === 0) {
      if (isReset(now, series.previous)) {
        series.start = unsigned(time - MILLISECOND);
        series.initial = undefined;
      } else if (series.initial !== undefined) subtract(point, kind, now, series.initial);
      series.previous = now;
      table.weigh(entry, weightOf(now));
    }
    point.setFixed64(POINT.start, series.start);
    return "adjusted";
  }

  /** When the process began that a request is about (ns), by a metric of it; undefined if it does not say. */
  processStartOf(request: OtlpRecord, isStartTime: (name: string) => boolean): bigint | undefined {
    let start: bigint | undefined;
    let isFound = false;
    this.walk.keepMetrics(request, ({ metric, field, points }) => {
      if (isFound || !isStartTime(metric.text(METRIC.name))) return true;
      isFound = true;
      if ((field === GAUGE || field === SUM) && points.length > 0) start = secondsOf(points.at(0));
      return true;
    });
    return start;
  }
}

function secondsOf(point: OtlpRecord): bigint | undefined {
  if (point.has(POINT.asInt)) return point.fixed64(POINT.asInt) * 1_000_000_000n;
  const seconds = point.double(POINT.asDouble);
  if (!Number.isFinite(seconds)) return undefined;
  const whole = Math.trunc(seconds);
  return BigInt(whole) * 1_000_000_000n + BigInt(Math.trunc((seconds - whole) * 1e9));
}
