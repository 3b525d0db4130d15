import { DATA, GAUGE, METRIC, NO_RECORDED_VALUE, POINT, SUM, SUMMARY, TEMPORALITY } from "#formats/otlp-fields";
import type { OtlpRecord } from "#formats/otlp-record";
import { unsigned } from "#kits/otlp-metric-exponential";
import { MetricWalk, scopeIdentity, type VisitedMetric } from "#kits/otlp-metric-walk";
import { isReset, type Reading, readPoint, subtract, weightOf } from "./readings.ts";

export type Strategy = "true_reset_point" | "subtract_initial_point" | "start_time_metric";

const MILLISECOND = 1_000_000n;

/** What is known of a series. */
export class Series {
  /** Nanoseconds since 1970. */
  start: bigint;
  previous: Reading;
  /** What is subtracted from each point; undefined for nothing. */
  initial: Reading | undefined;
  constructor(start: bigint, previous: Reading) {
    this.start = start;
    this.previous = previous;
  }
}

/**
 * Gives start times to cumulative points that have none. Matches processor/metricstarttimeprocessor; it differs in that
 * delta metrics stay as they are with each strategy, scopes are told apart, and points without a value change nothing.
 */
export class Adjuster {
  readonly walk: MetricWalk<Series>;
  readonly #strategy: Strategy;

  constructor(strategy: Strategy, limit: number) {
    this.#strategy = strategy;
    this.walk = new MetricWalk(
      {
        scope: scopeIdentity,
        metric: (key, { metric, field, data }) =>
          void key
            .number(field)
            .text(metric.bytes(METRIC.name))
            .number(data.int32(DATA.temporality) & 0xff),
      },
      limit,
    );
  }

  isCumulative({ field, data }: VisitedMetric): boolean {
    if (field === 0 || field === GAUGE) return false;
    if (field === SUMMARY) return true;
    const temporality = data.int32(DATA.temporality);
    if (temporality === TEMPORALITY.cumulative) return true;
    // Sources that do not say what they send mostly send this.
    if (temporality === TEMPORALITY.delta || this.#strategy === "subtract_initial_point") return false;
    return field === SUM || this.#strategy === "start_time_metric";
  }

  /**
   * Adjusts a point of the walk's present metric. `processStart` is in nanoseconds, for the strategy `start_time_metric`.
   * `initial` points are not to be sent; `unknown` ones belong to a series that there is no memory for.
   */
  adjust(
    point: OtlpRecord,
    { kind }: VisitedMetric,
    processStart: bigint,
    nowMs: number,
  ): "adjusted" | "initial" | "unknown" {
    const given = unsigned(point.fixed64(POINT.start));
    const time = unsigned(point.fixed64(POINT.time));
    if (given !== 0n && given !== time) return "adjusted";
    const { table } = this.walk;
    const entry = this.walk.find(point);
    const series = entry === 0 ? undefined : table.state(entry);
    const now = readPoint(point, kind);
    if (series === undefined) {
      if (this.walk.isFull) return "unknown";
      const added = new Series(this.#strategy === "start_time_metric" ? processStart : time, now);
      if (this.#strategy === "subtract_initial_point") added.initial = now;
      table.put(this.walk.add(), added, nowMs, weightOf(now));
      if (added.initial !== undefined) return "initial";
      point.setFixed64(POINT.start, added.start);
      return "adjusted";
    }
    table.see(entry, nowMs);
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
  processStart(request: OtlpRecord, isStartTime: (name: string) => boolean): bigint | undefined {
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
