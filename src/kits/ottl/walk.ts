import { DATA, dataField, POINT, type PointKind, pointKindOf } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import type { OttlContext } from "./context.ts";

/** Records to lend to data points: one for each kind, since a field is of another type in another kind. */
export type LentPoints = Readonly<Record<PointKind, OtlpRecord>>;
export function lentPoints(): LentPoints {
  return {
    number: new OtlpRecord(),
    histogram: new OtlpRecord(),
    exponential: new OtlpRecord(),
    summary: new OtlpRecord(),
  };
}

/** The data points of the metric that the context is at, and their kind; undefined for a metric without data. */
export function pointsOf(c: OttlContext): RecordList | undefined {
  const field = dataField(c.metric);
  if (field === 0) return undefined;
  c.pointKind = pointKindOf(field);
  return c.metric.record(field).list(DATA.points);
}
export function exemplarsOf(c: OttlContext): RecordList | undefined {
  const field = POINT.exemplars[c.pointKind];
  return field === 0 ? undefined : c.point.list(field);
}
