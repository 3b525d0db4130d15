import { DATA, dataField, POINT, pointKindOf } from "#formats/otlp/fields";
import type { RecordList } from "#formats/otlp/record-list";
import type { OttlContext } from "./context.ts";

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
