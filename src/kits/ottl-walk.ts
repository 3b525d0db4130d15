import { OtlpRecord } from "#formats/otlp-record";
import type { RecordList } from "#formats/otlp-record-list";
import type { OtlpKind } from "#formats/otlp-schema";
import { ProtoWriter } from "#formats/protobuf";
import type { OttlContext } from "./ottl-context.ts";
import { dataField, POINT, pointKindOf } from "./ottl-fields-metric.ts";

/** Going through requests: resource groups, scope groups, and what is in them. Fields 1 and 2 of each level. */

const GROUPS = 1;
const MEMBERS = 2;

/** A buffer that grew beyond this is not kept. */
const LARGEST_KEPT = 8 * 1024 * 1024;
let writer = new ProtoWriter(64 * 1024);

/** The request after edits; the same bytes if there were none. */
export function encodeRequest(request: OtlpRecord, original: Uint8Array): Uint8Array {
  if (!request.changed) return original;
  writer.reset();
  request.write(writer);
  const bytes = writer.finish();
  if (writer.length > LARGEST_KEPT) writer = new ProtoWriter(64 * 1024);
  return bytes;
}

export function resourceGroups(request: OtlpRecord): RecordList {
  return request.list(GROUPS);
}
export function members(group: OtlpRecord): RecordList {
  return group.list(MEMBERS);
}

/** Spans, log records or data points in a request. */
export function countItems(kind: OtlpKind, request: OtlpRecord): number {
  let items = 0;
  const resources = resourceGroups(request);
  for (let r = 0; r < resources.length; r++) {
    const scopes = members(resources.at(r));
    for (let s = 0; s < scopes.length; s++) {
      const entries = members(scopes.at(s));
      if (kind === "metrics") items += countPoints(entries);
      else items += entries.length;
    }
  }
  return items;
}

const counted = new OtlpRecord();
function countPoints(metrics: RecordList): number {
  let points = 0;
  for (let m = 0; m < metrics.length; m++) {
    const metric = metrics.borrow(m, counted);
    const field = dataField(metric);
    if (field !== 0) points += metric.record(field).list(1).length;
  }
  return points;
}

/** The data points of the metric that the context is at, and their kind; undefined for a metric without data. */
export function pointsOf(c: OttlContext): RecordList | undefined {
  const field = dataField(c.metric);
  if (field === 0) return undefined;
  c.pointKind = pointKindOf(field);
  return c.metric.record(field).list(1);
}
export function exemplarsOf(c: OttlContext): RecordList | undefined {
  const field = POINT.exemplars[c.pointKind];
  return field === 0 ? undefined : c.point.list(field);
}

/** Runs a step on each message of a list in turn, with edits kept. The list may grow meanwhile, to `most` at most. */
export function eachOf(list: RecordList, lent: OtlpRecord, step: (record: OtlpRecord, i: number) => void): void {
  for (let i = 0; i < list.length; i++) {
    const record = list.borrow(i, lent);
    step(record, i);
    list.giveBack(i, record);
  }
}
