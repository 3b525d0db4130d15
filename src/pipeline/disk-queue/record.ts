import { crc32 } from "node:zlib";
import type { QueueRecord } from "./types.ts";
import { MAX_RECORD_BYTES } from "./types.ts";

/**
 * The form of a segment file: the magic line, then records, then, in a segment that was closed in good order, a footer
 * with its totals. Numbers are little-endian.
 *
 *     record: marker u32 · crc32 u32 · length u32 · items u32 · tag u32 · time u48 (epoch ms) · sequence u48 · payload
 *     footer: the same with another marker; payload: seven float64 (see SegmentTotals)
 *
 * The checksum starts from the segment's number, so that a record which lies inside another one's payload (a queue file
 * that was collected as a log, say) is never taken for one of the segment's own.
 */
export const SEGMENT_MAGIC = Buffer.from("INVARQ1\n", "latin1");
export const HEADER_BYTES = 32;

const RECORD_MARKER = 0x015251f1;
const FOOTER_MARKER = 0x014651f1;
const FOOTER_FIELDS = 7;
export const FOOTER_BYTES = HEADER_BYTES + FOOTER_FIELDS * 8;

/** What a segment holds. `bytes` are payload bytes. */
export interface SegmentTotals {
  records: number;
  items: number;
  bytes: number;
  firstSequence: number;
  lastSequence: number;
  firstTime: number;
  lastTime: number;
}

export function emptyTotals(): SegmentTotals {
  return { records: 0, items: 0, bytes: 0, firstSequence: 0, lastSequence: 0, firstTime: 0, lastTime: 0 };
}

export function addToTotals(totals: SegmentTotals, record: QueueRecord): void {
  if (totals.records === 0) {
    totals.firstSequence = record.sequence;
    totals.firstTime = record.time;
  }
  totals.records += 1;
  totals.items += record.items;
  totals.bytes += record.bytes.length;
  totals.lastSequence = record.sequence;
  totals.lastTime = Math.max(totals.lastTime, record.time);
}

/** The start value of a segment's checksums. */
export function checksumSeed(segment: number): number {
  return crc32(String(segment));
}

/** The header in front of the record's payload. */
export function encodeHeader(record: QueueRecord, seed: number): Buffer {
  return header(RECORD_MARKER, record, seed);
}

function header(marker: number, record: QueueRecord, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes.writeUInt32LE(marker, 0);
  bytes.writeUInt32LE(record.bytes.length, 8);
  bytes.writeUInt32LE(record.items, 12);
  bytes.writeUInt32LE(record.tag, 16);
  bytes.writeUIntLE(record.time, 20, 6);
  bytes.writeUIntLE(record.sequence, 26, 6);
  bytes.writeUInt32LE(crc32(record.bytes, crc32(bytes.subarray(8), seed)), 4);
  return bytes;
}

export function encodeFooter(totals: SegmentTotals, seed: number): Buffer {
  const { records, items, bytes, firstSequence, lastSequence, firstTime, lastTime } = totals;
  const fields = Float64Array.of(records, items, bytes, firstSequence, lastSequence, firstTime, lastTime);
  const payload = new Uint8Array(fields.buffer);
  const frame = { sequence: 0, bytes: payload, items: 0, tag: 0, time: 0 };
  return Buffer.concat([header(FOOTER_MARKER, frame, seed), payload]);
}

/** The totals from the last FOOTER_BYTES of a segment, if it has a footer. */
export function decodeFooter(tail: Buffer, seed: number): SegmentTotals | undefined {
  const parsed = parseAt(tail, 0, tail.length, seed);
  if (parsed.kind !== "footer" || parsed.end !== tail.length) return undefined;
  const field = (index: number) => tail.readDoubleLE(HEADER_BYTES + index * 8);
  return {
    records: field(0),
    items: field(1),
    bytes: field(2),
    firstSequence: field(3),
    lastSequence: field(4),
    firstTime: field(5),
    lastTime: field(6),
  };
}

export type Parsed =
  | { readonly kind: "record"; readonly record: QueueRecord; readonly end: number }
  | { readonly kind: "footer"; readonly end: number }
  /** The bytes end before the record does; `needed` counts from its start. */
  | { readonly kind: "short"; readonly needed: number }
  | { readonly kind: "damaged" };

/** The record at `offset` of `data[0, limit)`. Its bytes are a view of `data`. */
export function parseAt(data: Buffer, offset: number, limit: number, seed: number): Parsed {
  if (offset + HEADER_BYTES > limit) return { kind: "short", needed: HEADER_BYTES };
  const marker = data.readUInt32LE(offset);
  const length = data.readUInt32LE(offset + 8);
  if ((marker !== RECORD_MARKER && marker !== FOOTER_MARKER) || length > MAX_RECORD_BYTES) return { kind: "damaged" };
  const end = offset + HEADER_BYTES + length;
  if (end > limit) return { kind: "short", needed: HEADER_BYTES + length };
  if (crc32(data.subarray(offset + 8, end), seed) !== data.readUInt32LE(offset + 4)) return { kind: "damaged" };
  if (marker === FOOTER_MARKER) return { kind: "footer", end };
  const record: QueueRecord = {
    sequence: data.readUIntLE(offset + 26, 6),
    bytes: data.subarray(offset + HEADER_BYTES, end),
    items: data.readUInt32LE(offset + 12),
    tag: data.readUInt32LE(offset + 16),
    time: data.readUIntLE(offset + 20, 6),
  };
  return { kind: "record", record, end };
}

/** Where the next good record or footer begins in `data[from, limit)`; −1 if nowhere. */
export function findNext(data: Buffer, from: number, limit: number, seed: number): number {
  const suffix = Buffer.from([0xf1, 0x51]);
  // Payloads may be full of false markers with huge lengths; checking them all would take quadratic time.
  let budget = 4 * (limit - from) + 4096;
  for (let at = data.indexOf(suffix, from); at >= 0 && at < limit && budget > 0; at = data.indexOf(suffix, at + 1)) {
    if (at + HEADER_BYTES > limit) return -1;
    budget -= Math.min(data.readUInt32LE(at + 8), limit - at);
    const parsed = parseAt(data, at, limit, seed);
    if (parsed.kind === "record" || parsed.kind === "footer") return at;
  }
  return -1;
}
