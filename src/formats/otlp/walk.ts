import { ProtoWriter } from "../protobuf.ts";
import { DATA, dataField, GROUP } from "./fields.ts";
import { OtlpRecord } from "./record.ts";
import type { RecordList } from "./record-list.ts";
import type { OtlpKind } from "./schema.ts";

/** Going through requests: resource groups, scope groups, and the spans, metrics or log records in them. */

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

/** The ResourceSpans, ResourceMetrics or ResourceLogs of a request. */
export function resourceGroups(request: OtlpRecord): RecordList {
  return request.list(1);
}
/** The scope groups of a resource group, or the entries of a scope group. */
export function members(group: OtlpRecord): RecordList {
  return group.list(GROUP.members);
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
    if (field !== 0) points += metric.record(field).list(DATA.points).length;
  }
  return points;
}

/** Runs a step on each message of a list in turn, with edits kept. The list may grow meanwhile. */
export function eachOf(list: RecordList, lent: OtlpRecord, step: (record: OtlpRecord, i: number) => void): void {
  for (let i = 0; i < list.length; i++) {
    const record = list.borrow(i, lent);
    step(record, i);
    list.giveBack(i, record);
  }
}

/** Removes messages of a list. All are judged before any is removed: judging may keep edits under a message's number. */
export function removeIf(list: RecordList, isUnwanted: (i: number) => boolean): void {
  let unwanted: Set<number> | undefined;
  for (let i = 0; i < list.length; i++) if (isUnwanted(i)) (unwanted ??= new Set()).add(i);
  if (unwanted !== undefined) list.removeIf((i) => unwanted.has(i));
}
