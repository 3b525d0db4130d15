import { type FileHandle, open, readdir, truncate, unlink } from "node:fs/promises";
import { join } from "node:path";
import {
  addToTotals,
  checksumSeed,
  decodeFooter,
  emptyTotals,
  FOOTER_BYTES,
  findNext,
  parseAt,
  SEGMENT_MAGIC,
  type SegmentTotals,
} from "./record.ts";
import type { QueueRecord } from "./types.ts";

/** One file of the queue. Only the newest of the running process is written to. */
export interface Segment {
  readonly number: number;
  readonly path: string;
  readonly seed: number;
  /** Bytes of the file that are valid to read. */
  size: number;
  totals: SegmentTotals;
}

const NAME = /^(\d{12})\.segment$/;
/** The usual size of a read; a larger record is read whole. */
const READ_BYTES = 512 * 1024;

export function segmentAt(dir: string, number: number): Segment {
  const path = join(dir, `${String(number).padStart(12, "0")}.segment`);
  return { number, path, seed: checksumSeed(number), size: SEGMENT_MAGIC.length, totals: emptyTotals() };
}

/**
 * The segments in `dir`, oldest first, as a previous process left them. Segments without a footer are read and repaired:
 * what follows the last good record is cut off, and a segment without any is deleted.
 */
export async function loadSegments(dir: string, notice: (message: string) => void): Promise<Segment[]> {
  const numbers = (await readdir(dir)).flatMap((name) => {
    const match = NAME.exec(name);
    return match === null ? [] : [Number(match[1])];
  });
  const segments: Segment[] = [];
  for (const number of numbers.sort((a, b) => a - b)) {
    const segment = segmentAt(dir, number);
    const handle = await open(segment.path, "r");
    try {
      segment.size = (await handle.stat()).size;
      const footer = await readFooter(handle, segment);
      if (footer !== undefined) segment.totals = footer;
      else await repair(handle, segment, notice);
    } finally {
      await handle.close();
    }
    if (segment.totals.records > 0) segments.push(segment);
    else await unlink(segment.path);
  }
  return segments;
}

async function readFooter(handle: FileHandle, segment: Segment): Promise<SegmentTotals | undefined> {
  if (segment.size < SEGMENT_MAGIC.length + FOOTER_BYTES) return undefined;
  const tail = Buffer.alloc(FOOTER_BYTES);
  await handle.read(tail, 0, FOOTER_BYTES, segment.size - FOOTER_BYTES);
  return decodeFooter(tail, segment.seed);
}

async function repair(handle: FileHandle, segment: Segment, notice: (message: string) => void): Promise<void> {
  const data = Buffer.alloc(segment.size);
  const { bytesRead } = await handle.read(data, 0, data.length, 0);
  let end = SEGMENT_MAGIC.length;
  let damaged = 0;
  for (let at = end; at < bytesRead; ) {
    const parsed = parseAt(data, at, bytesRead, segment.seed);
    if (parsed.kind === "record") {
      addToTotals(segment.totals, parsed.record);
      end = at = parsed.end;
    } else {
      const next = findNext(data, at + 1, bytesRead, segment.seed);
      if (next < 0) break;
      damaged += next - at;
      at = next;
    }
  }
  if (damaged > 0) notice(`${segment.path}: ${damaged} damaged bytes between good records are skipped`);
  if (end < segment.size && segment.totals.records > 0) {
    notice(`${segment.path}: cut off ${segment.size - end} bytes behind the last whole record`);
    await truncate(segment.path, end);
  }
  segment.size = end;
}

/** A read record with the place behind it. */
export interface Located {
  readonly record: QueueRecord;
  readonly segment: Segment;
  readonly end: number;
}

/** Reads a segment's records in order, in chunks, skipping what is damaged. */
export class SegmentReader {
  readonly segment: Segment;
  #offset: number;
  #handle: FileHandle | undefined;
  /** Bytes skipped because nothing good was in them. */
  damagedBytes = 0;

  constructor(segment: Segment, offset: number) {
    this.segment = segment;
    this.#offset = Math.max(offset, SEGMENT_MAGIC.length);
  }

  /** Whether everything that is in the segment now has been read. */
  get atEnd(): boolean {
    return this.#offset >= this.segment.size;
  }

  /** The next records: some of them, or none at the end or after damage. Rejects when the file cannot be read. */
  async read(): Promise<Located[]> {
    const { segment } = this;
    const found: Located[] = [];
    for (let size = READ_BYTES; found.length === 0 && !this.atEnd; ) {
      const data = await this.#readAt(this.#offset, Math.min(size, segment.size - this.#offset));
      let at = 0;
      let short = 0;
      while (at < data.length) {
        const parsed = parseAt(data, at, data.length, segment.seed);
        if (parsed.kind === "record") {
          at = parsed.end;
          found.push({ record: parsed.record, segment, end: this.#offset + at });
        } else if (parsed.kind === "footer") {
          at = segment.size - this.#offset;
          break;
        } else {
          short = parsed.kind === "short" && this.#offset + at + parsed.needed <= segment.size ? parsed.needed : 0;
          if (short === 0 && found.length === 0) await this.#skipDamage(this.#offset + at);
          break;
        }
      }
      // Damage behind good records waits for its turn; a skip has moved the offset itself.
      if (found.length > 0 || at > 0) this.#offset += at;
      if (short > 0) size = Math.max(short, READ_BYTES);
    }
    return found;
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async #skipDamage(from: number): Promise<void> {
    const data = await this.#readAt(from, this.segment.size - from);
    const next = findNext(data, 1, data.length, this.segment.seed);
    const skipped = next < 0 ? this.segment.size - from : next;
    this.damagedBytes += skipped;
    this.#offset = from + skipped;
  }

  async #readAt(position: number, length: number): Promise<Buffer> {
    this.#handle ??= await open(this.segment.path, "r");
    const data = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(data, filled, length - filled, position + filled);
      if (bytesRead === 0) throw new Error(`${this.segment.path} is shorter than it was`);
      filled += bytesRead;
    }
    return data;
  }
}
