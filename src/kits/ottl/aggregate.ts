import { DATA, EXPONENTIAL, HISTOGRAM, POINT, type PointKind, TEMPORALITY } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { attributesOf, emptyData, type MetricData } from "./metrics.ts";
import { json, OttlError, truncate } from "./value.ts";

/** Merging data points whose attributes have become the same. Matches internal/coreinternal/aggregateutil. */

const AGGREGATIONS = ["sum", "mean", "min", "max", "median", "count"] as const;
export type Aggregation = (typeof AGGREGATIONS)[number];

/** Throws OttlError for a name that is none. */
export function aggregationOf(name: string): Aggregation {
  const found = AGGREGATIONS.find((each) => each === name);
  if (found === undefined)
    throw OttlError.of(`the aggregation is one of ${AGGREGATIONS.join(", ")}, not ${JSON.stringify(name)}`);
  return found;
}

/** Puts the points with equal attributes and times into one each. Metadata and unknown fields of the metric go. */
export function mergePoints(metric: OtlpRecord, data: MetricData, aggregation: Aggregation): void {
  const { field, kind, points, record } = data;
  const temporality = record.int32(DATA.temporality);
  const groups = new Map<string, OtlpRecord[]>();
  for (let i = 0; i < points.length; i++) {
    const point = points.at(i);
    const key = keyOf(point, kind, temporality === TEMPORALITY.delta && (kind !== "number" || field === 7));
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [point]);
    else known.push(point);
  }
  const merged = new OtlpRecord();
  if (field !== 5 && temporality !== 0) merged.setVarint(DATA.temporality, temporality);
  if (field === 7 && record.bool(DATA.isMonotonic)) merged.setBool(DATA.isMonotonic, true);
  const list = merged.list(1);
  for (const group of groups.values()) {
    const target = list.append();
    target.replace(group[0]!.encode());
    if (field === HISTOGRAM) mergeHistograms(target, group);
    else if (field === EXPONENTIAL) mergeExponentials(target, group);
    else mergeNumbers(target, group, aggregation);
    for (const point of group.slice(1)) {
      if ((field === HISTOGRAM || field === EXPONENTIAL) && point.fixed64(POINT.count) === 0n) continue;
      const start = BigInt.asUintN(64, point.fixed64(POINT.start));
      if (start < BigInt.asUintN(64, target.fixed64(POINT.start))) target.setFixed64(POINT.start, start);
    }
  }
  const bytes = merged.encode();
  emptyData(metric, field).replace(bytes);
  metric.remove(12);
}

/** Points with the same key are merged. */
function keyOf(point: OtlpRecord, kind: PointKind, byStart: boolean): string {
  const parts: unknown[] = [json(attributesOf(point, kind)), point.fixed64(POINT.time)];
  if (byStart) parts.push(point.fixed64(POINT.start));
  if (kind === "histogram" || kind === "exponential") {
    parts.push(kind === "histogram" ? point.doubles(POINT.explicitBounds) : point.sint32(POINT.scale));
    parts.push(point.has(POINT.min[kind]), point.has(POINT.max[kind]), point.int64(POINT.flags[kind]));
  }
  return parts.map(String).join("\0");
}

function intOf(point: OtlpRecord): bigint {
  return point.has(POINT.asInt) ? point.fixed64(POINT.asInt) : truncate(point.double(POINT.asDouble));
}
function doubleOf(point: OtlpRecord): number {
  return point.has(POINT.asInt) ? Number(point.fixed64(POINT.asInt)) : point.double(POINT.asDouble);
}

function mergeNumbers(target: OtlpRecord, group: readonly OtlpRecord[], aggregation: Aggregation): void {
  if (target.has(POINT.asInt)) target.setFixed64(POINT.asInt, mergedInt(group, aggregation));
  else if (target.has(POINT.asDouble)) target.setDouble(POINT.asDouble, mergedDouble(group, aggregation));
}
function mergedInt(group: readonly OtlpRecord[], aggregation: Aggregation): bigint {
  const own = group[0]!.fixed64(POINT.asInt);
  // Sums look at ints only, as upstream.
  const sum = () => group.slice(1).reduce((total, each) => BigInt.asIntN(64, total + each.fixed64(POINT.asInt)), own);
  const values = [own, ...group.slice(1).map(intOf)];
  switch (aggregation) {
    case "sum":
      return sum();
    case "mean":
      return sum() / BigInt(group.length);
    case "min":
      return values.toSorted(byValue)[0]!;
    case "max":
      return values.toSorted(byValue).at(-1)!;
    case "count":
      return group.length === 1 ? own : BigInt(group.length);
    case "median": {
      values.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
      const middle = values.length >> 1;
      return values.length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2n;
    }
  }
}
function mergedDouble(group: readonly OtlpRecord[], aggregation: Aggregation): number {
  const values = group.map(doubleOf);
  const sum = () => values.reduce((total, each) => total + each);
  switch (aggregation) {
    case "sum":
      return sum();
    case "mean":
      return sum() / values.length;
    case "min":
      return Math.min(...values);
    case "max":
      return Math.max(...values);
    case "count":
      return values.length === 1 ? values[0]! : values.length;
    case "median": {
      values.sort((a, b) => a - b);
      const middle = values.length >> 1;
      return values.length % 2 === 1 ? values[middle]! : (values[middle - 1]! + values[middle]!) / 2;
    }
  }
}

function addCountAndSum(target: OtlpRecord, point: OtlpRecord, kind: "histogram" | "exponential"): void {
  target.setFixed64(POINT.count, target.fixed64(POINT.count) + point.fixed64(POINT.count));
  target.setDouble(POINT.sum, target.double(POINT.sum) + point.double(POINT.sum));
  const min = POINT.min[kind];
  const max = POINT.max[kind];
  if (target.has(min) && point.double(min) < target.double(min)) target.setDouble(min, point.double(min));
  if (target.has(max) && point.double(max) > target.double(max)) target.setDouble(max, point.double(max));
  const exemplars = target.list(POINT.exemplars[kind]);
  const others = point.list(POINT.exemplars[kind]);
  for (let i = 0; i < others.length; i++) exemplars.append().replace(others.at(i).encode());
}

function mergeHistograms(target: OtlpRecord, group: readonly OtlpRecord[]): void {
  for (const point of group.slice(1)) {
    if (point.fixed64(POINT.count) === 0n) continue;
    addCountAndSum(target, point, "histogram");
    const counts = [...target.fixed64s(POINT.bucketCounts)];
    for (const [i, count] of point.fixed64s(POINT.bucketCounts).entries()) counts[i] = (counts[i] ?? 0n) + count;
    target.setFixed64s(POINT.bucketCounts, counts);
  }
}

function mergeExponentials(target: OtlpRecord, group: readonly OtlpRecord[]): void {
  for (const point of group.slice(1)) {
    if (point.fixed64(POINT.count) === 0n) continue;
    addCountAndSum(target, point, "exponential");
    target.setFixed64(POINT.zeroCount, target.fixed64(POINT.zeroCount) + point.fixed64(POINT.zeroCount));
    for (const field of [POINT.positive, POINT.negative]) {
      mergeBuckets(target.record(field), point.record(field));
    }
  }
}

/** Buckets lie side by side from the lower of the two offsets on. */
function mergeBuckets(target: OtlpRecord, other: OtlpRecord): void {
  const added = other.varints(2);
  if (added.length === 0) return;
  const own = target.varints(2);
  const ownOffset = target.sint32(1);
  const otherOffset = other.sint32(1);
  const offset = own.length === 0 ? otherOffset : Math.min(ownOffset, otherOffset);
  const length = Math.max(ownOffset + own.length, otherOffset + added.length) - offset;
  // Offsets that lie so far apart come from no real histogram, and the buckets between them would fill the memory.
  if (length > 100_000) throw OttlError.of("exponential histograms with offsets that far apart cannot be merged");
  const counts: bigint[] = new Array(length).fill(0n);
  for (const [i, count] of own.entries()) counts[ownOffset - offset + i]! += count;
  for (const [i, count] of added.entries()) counts[otherOffset - offset + i]! += count;
  target.setSint32(1, offset);
  target.setVarints(2, counts);
}

function byValue(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}
