import {
  DATA,
  dataField,
  GAUGE,
  METRIC,
  POINT,
  type PointKind,
  pointKindOf,
  SUM,
  TEMPORALITY,
} from "#formats/otlp/fields";
import type { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import { METRIC_DATA_FIELDS } from "#formats/otlp/schema";
import type { KeyValues } from "#formats/otlp/values";
import type { OttlContext } from "./context.ts";
import { OttlError } from "./value.ts";

/** What functions of metrics have in common: data of metrics as a whole. */

/** The data of a metric: which field it is, its record and its points. */
export interface MetricData {
  readonly field: number;
  readonly kind: PointKind;
  readonly record: OtlpRecord;
  readonly points: RecordList;
}

export function dataOf(metric: OtlpRecord): MetricData | undefined {
  const field = dataField(metric);
  if (field === 0) return undefined;
  const record = metric.record(field);
  return { field, kind: pointKindOf(field), record, points: record.list(DATA.points) };
}

/** Adds a metric with the name of another and a suffix, to be given data. */
export function addMetric(c: OttlContext, suffix: string, unit: string, description?: string): OtlpRecord {
  const { metric } = c;
  const added = c.metrics!.append();
  added.setText(METRIC.name, metric.text(METRIC.name) + suffix);
  const text = description ?? metric.text(METRIC.description);
  if (text !== "") added.setText(METRIC.description, text);
  if (unit !== "") added.setText(METRIC.unit, unit);
  return added;
}

/** Gives a metric empty data of another kind. */
export function emptyData(metric: OtlpRecord, field: number): OtlpRecord {
  for (const each of METRIC_DATA_FIELDS) if (each !== field) metric.remove(each);
  const record = metric.record(field);
  record.replace(new Uint8Array(0));
  return record;
}

/** A sum with points to be added. */
export function addSum(metric: OtlpRecord, temporality: number, monotonic: boolean): RecordList {
  const sum = emptyData(metric, SUM);
  sum.setVarint(DATA.temporality, temporality);
  if (monotonic) sum.setBool(DATA.isMonotonic, true);
  return sum.list(DATA.points);
}
export function addGauge(metric: OtlpRecord): RecordList {
  return emptyData(metric, GAUGE).list(DATA.points);
}

/** Adds a point with number's fields, with times and attributes of another. */
export function addNumberPoint(to: RecordList, from: OtlpRecord, kind: PointKind): OtlpRecord {
  const point = to.append();
  for (const field of [POINT.start, POINT.time]) {
    const time = from.fixed64(field);
    if (time !== 0n) point.setFixed64(field, time);
  }
  attributesOf(point, "number").assign(attributesOf(from, kind));
  return point;
}

export function attributesOf(point: OtlpRecord, kind: PointKind): KeyValues {
  return point.map(POINT.attributes[kind]);
}

export function temporalityOf(name: string): number {
  if (name === "delta") return TEMPORALITY.delta;
  if (name === "cumulative") return TEMPORALITY.cumulative;
  throw OttlError.of(`the temporality is "delta" or "cumulative", not ${JSON.stringify(name)}`);
}

/** Each point in turn. */
export function forPoints({ points }: MetricData, step: (point: OtlpRecord) => void): void {
  for (let i = 0; i < points.length; i++) step(points.at(i));
}
