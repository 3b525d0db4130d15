import { POINT, type PointKind } from "#formats/otlp/fields";
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

/** What a point says, as far as it takes to see whether its series began anew. What its kind does not have is zero. */
export interface Reading {
  /** A whole number, in halves. */
  intLow: number;
  intHigh: number;
  double: number;
  readonly count: bigint;
  readonly sum: number;
  readonly bounds: readonly number[];
  readonly counts: readonly bigint[];
  readonly exponential: ExponentialPoint | undefined;
}

const NOTHING: Reading = {
  intLow: 0,
  intHigh: 0,
  double: 0,
  count: 0n,
  sum: 0,
  bounds: [],
  counts: [],
  exponential: undefined,
};

export function readPoint(point: OtlpRecord, kind: PointKind): Reading {
  if (kind === "number") {
    const int = point.fixed64(POINT.asInt);
    return { ...NOTHING, intLow: lowHalf(int), intHigh: highHalf(int), double: point.double(POINT.asDouble) };
  }
  if (kind === "exponential") {
    const exponential = readExponential(point);
    return { ...NOTHING, count: exponential.count, sum: exponential.sum ?? 0, exponential };
  }
  const count = unsigned(point.fixed64(POINT.count));
  const sum = point.double(POINT.sum);
  if (kind === "summary") return { ...NOTHING, count, sum };
  const counts = point.fixed64s(POINT.bucketCounts).map(unsigned);
  return { ...NOTHING, count, sum, bounds: point.doubles(POINT.explicitBounds), counts };
}

/** How much a reading holds beside itself (bytes). */
export function weightOf({ bounds, counts, exponential }: Reading): number {
  return (
    160 + bounds.length * 8 + counts.length * 32 + (exponential === undefined ? 0 : exponentialWeight(exponential))
  );
}

/**
 * Whether a series began anew between two of its points: something fell, or has other buckets. Matches
 * internal/datapointstorage, but for exponential histograms: those may get more or coarser buckets as values spread, which
 * there begins the series anew each time.
 */
export function isReset(now: Reading, before: Reading): boolean {
  if (now.double < before.double || isLess(now.intLow, now.intHigh, before.intLow, before.intHigh)) return true;
  if (now.count < before.count || now.sum < before.sum) return true;
  if (now.exponential !== undefined) {
    return before.exponential === undefined || exponentialSince(now.exponential, before.exponential) === undefined;
  }
  const { bounds, counts } = now;
  if (bounds.length !== before.bounds.length || counts.length !== before.counts.length) return true;
  return bounds.some((bound, i) => bound !== before.bounds[i]) || counts.some((count, i) => count < before.counts[i]!);
}

/** Takes from a point what its series had counted already when it was first seen. */
export function subtract(point: OtlpRecord, kind: PointKind, now: Reading, initial: Reading): void {
  if (kind === "number") {
    if (point.has(POINT.asDouble)) point.setDouble(POINT.asDouble, now.double - initial.double);
    else {
      const high = differenceHigh(now.intLow, now.intHigh, initial.intLow, initial.intHigh);
      point.setFixed64(POINT.asInt, wholeOf((now.intLow - initial.intLow) | 0, high));
    }
    return;
  }
  if (now.exponential !== undefined) {
    const since = exponentialSince(now.exponential, initial.exponential!);
    const { min, max } = now.exponential;
    if (since !== undefined) writeExponential(point, { ...since, min, max });
    return;
  }
  point.setFixed64(POINT.count, now.count - initial.count);
  if (point.has(POINT.sum)) point.setDouble(POINT.sum, now.sum - initial.sum);
  if (now.counts.length > 0) {
    point.setFixed64s(
      POINT.bucketCounts,
      now.counts.map((count, i) => count - initial.counts[i]!),
    );
  }
}
