import type { LogBatch } from "#pipeline/batch";
import { allocate, type SliceableBuffer } from "#pipeline/log-batch";

/**
 * How a batch lies in memory that a worker and the main thread share: the columns as they came, room for those that come
 * out, the lines, and room for new lines. What came in stays as it was until the slab is used again: should the worker
 * die, the batch is worked on once more.
 */
export interface SlabShape {
  /** Entries that came in. */
  readonly count: number;
  /** Entries that there is room for on the way out. */
  readonly capacity: number;
  /** Bytes of the lines that came in. */
  readonly bytes: number;
}

/** The columns of a LogBatch without its lines. */
export type Columns = Pick<LogBatch, "ms" | "start" | "end" | "ns" | "stream">;

/** Bytes that an entry takes in the columns. */
const ENTRY_BYTES = 24;
/** Entries that stages may add to a batch, beside a quarter of it, before it is sent back in memory of its own. */
const MORE_ENTRIES = 16;
const LEAST_ROOM = 4096;

export function shapeOf(count: number, bytes: number): SlabShape {
  return { count, capacity: count + (count >> 2) + MORE_ENTRIES, bytes };
}

/** Bytes of a slab for such a batch, with room for new lines half as long as those that came in. */
export function slabBytes({ count, capacity, bytes }: SlabShape): number {
  return ENTRY_BYTES * (count + capacity) + bytes + Math.max(LEAST_ROOM, bytes >> 1);
}

function columnsAt(memory: ArrayBufferLike, at: number, count: number): Columns {
  return {
    ms: new Float64Array(memory, at, count),
    start: new Int32Array(memory, at + 8 * count, count),
    end: new Int32Array(memory, at + 12 * count, count),
    ns: new Int32Array(memory, at + 16 * count, count),
    stream: new Int32Array(memory, at + 20 * count, count),
  };
}

export function inputColumns(memory: ArrayBufferLike, { count }: SlabShape): Columns {
  return columnsAt(memory, 0, count);
}
export function outputColumns(memory: ArrayBufferLike, { count, capacity }: SlabShape): Columns {
  return columnsAt(memory, ENTRY_BYTES * count, capacity);
}
/** `length` bytes of the lines. */
export function slabData(memory: ArrayBufferLike, shape: SlabShape, length = shape.bytes): SliceableBuffer {
  return Buffer.from(memory, dataAt(shape), length) as SliceableBuffer;
}
/** How many bytes of lines there is room for. */
function dataRoom(memory: ArrayBufferLike, shape: SlabShape): number {
  return memory.byteLength - dataAt(shape);
}

function dataAt({ count, capacity }: SlabShape): number {
  return ENTRY_BYTES * (count + capacity);
}

/** What the lines of a batch, or of some rows of it, take: as one range of its data, or each on its own. */
export interface LineExtent {
  readonly from: number;
  readonly to: number;
  /** Sum of the lines' lengths. */
  readonly sum: number;
}

export function extentOf({ count, start, end }: LogBatch, rows: readonly number[] | undefined): LineExtent {
  let from = Number.POSITIVE_INFINITY;
  let to = 0;
  let sum = 0;
  const n = rows === undefined ? count : rows.length;
  for (let k = 0; k < n; k++) {
    const i = rows === undefined ? k : rows[k]!;
    if (start[i]! < from) from = start[i]!;
    if (end[i]! > to) to = end[i]!;
    sum += end[i]! - start[i]!;
  }
  return { from: n === 0 ? 0 : from, to, sum };
}

/** Whether the range holds so much beside the lines that they are better copied one by one. */
export function isSparse({ from, to, sum }: LineExtent): boolean {
  return to - from > 2 * sum + LEAST_ROOM;
}

/** Writes a batch, or some rows of it, as what comes in. */
export function writeInput(
  memory: ArrayBufferLike,
  shape: SlabShape,
  batch: LogBatch,
  rows: readonly number[] | undefined,
  extent: LineExtent,
): void {
  const into = inputColumns(memory, shape);
  const data = slabData(memory, shape);
  const { count } = shape;
  if (rows === undefined) {
    into.ms.set(batch.ms.subarray(0, count));
    into.ns.set(batch.ns.subarray(0, count));
    into.stream.set(batch.stream.subarray(0, count));
  } else {
    for (let k = 0; k < count; k++) {
      const i = rows[k]!;
      into.ms[k] = batch.ms[i]!;
      into.ns[k] = batch.ns[i]!;
      into.stream[k] = batch.stream[i]!;
    }
  }
  const source = Buffer.from(batch.data.buffer, batch.data.byteOffset, batch.data.length);
  if (!isSparse(extent)) {
    source.copy(data, 0, extent.from, extent.to);
    for (let k = 0; k < count; k++) {
      const i = rows === undefined ? k : rows[k]!;
      into.start[k] = batch.start[i]! - extent.from;
      into.end[k] = batch.end[i]! - extent.from;
    }
    return;
  }
  let at = 0;
  for (let k = 0; k < count; k++) {
    const i = rows === undefined ? k : rows[k]!;
    into.start[k] = at;
    source.copy(data, at, batch.start[i]!, batch.end[i]!);
    into.end[k] = at += batch.end[i]! - batch.start[i]!;
  }
}

/**
 * Writes what stages made of a batch. `data` begins with the lines as they came in, new ones follow. Returns how many bytes
 * of lines there are now, or undefined if there is no room.
 */
export function writeOutput(memory: ArrayBufferLike, shape: SlabShape, batch: LogBatch): number | undefined {
  const { count } = batch;
  if (count > shape.capacity) return undefined;
  let used = shape.bytes;
  for (let i = 0; i < count; i++) if (batch.end[i]! > used) used = batch.end[i]!;
  if (used > dataRoom(memory, shape)) return undefined;
  const into = outputColumns(memory, shape);
  into.ms.set(batch.ms.subarray(0, count));
  into.start.set(batch.start.subarray(0, count));
  into.end.set(batch.end.subarray(0, count));
  into.ns.set(batch.ns.subarray(0, count));
  into.stream.set(batch.stream.subarray(0, count));
  if (used > shape.bytes) {
    slabData(memory, shape, used).set(batch.data.subarray(shape.bytes, used), shape.bytes);
  }
  return used;
}

/** A batch in memory of its own: its columns, then its lines. */
export function packBatch(batch: LogBatch): ArrayBuffer {
  const { count } = batch;
  const { sum } = extentOf(batch, undefined);
  const memory = new ArrayBuffer(ENTRY_BYTES * count + sum);
  const shape = { count, capacity: 0, bytes: sum };
  // Always line by line, so that nothing but lines is sent.
  writeInput(memory, shape, batch, undefined, { from: 0, to: Number.POSITIVE_INFINITY, sum });
  return memory;
}

/** The columns and lines that `packBatch` wrote. */
export function unpackBatch(memory: ArrayBuffer, count: number): Columns & { readonly data: SliceableBuffer } {
  return {
    ...columnsAt(memory, 0, count),
    data: Buffer.from(memory, ENTRY_BYTES * count) as SliceableBuffer,
  };
}

/** Memory of larger batches is not kept for later ones. */
const LARGEST_KEPT = 8 * 1024 * 1024;

/** Columns and lines of a thread's own, used for one batch after the other. */
export class LocalBatch {
  #columns: Columns = columnsAt(new ArrayBuffer(0), 0, 0);
  #data = allocate(0);

  /** Copies what came in; `data` has room behind its `bytes`. */
  load(memory: ArrayBufferLike, shape: SlabShape): Columns & { readonly data: SliceableBuffer } {
    const { count, bytes } = shape;
    if (this.#columns.ms.length < count) {
      const size = 2 ** Math.ceil(Math.log2(Math.max(count, 64)));
      this.#columns = columnsAt(new ArrayBuffer(ENTRY_BYTES * size), 0, size);
    }
    const room = bytes + Math.max(LEAST_ROOM, bytes >> 1);
    let data = this.#data;
    if (data.length < room) {
      data = allocate(2 ** Math.ceil(Math.log2(room)));
      if (data.length <= LARGEST_KEPT) this.#data = data;
    }
    const { ms, start, end, ns, stream } = this.#columns;
    const from = inputColumns(memory, shape);
    ms.set(from.ms);
    start.set(from.start);
    end.set(from.end);
    ns.set(from.ns);
    stream.set(from.stream);
    slabData(memory, shape).copy(data, 0);
    return { ms, start, end, ns, stream, data };
  }
}

/** A piece of shared memory with a number by which both sides know it. */
export interface Slab {
  readonly id: number;
  readonly memory: SharedArrayBuffer;
}

const LEAST_SLAB = 64 * 1024;

/** Slabs in powers of two, used again and again. */
export class SlabPool {
  readonly #free: Slab[] = [];
  readonly #most: number;
  #made = 0;

  /** At most `most` slabs are kept while nobody uses them. */
  constructor(most: number) {
    this.#most = most;
  }

  take(bytes: number): Slab {
    let best = -1;
    for (let i = 0; i < this.#free.length; i++) {
      const { byteLength } = this.#free[i]!.memory;
      if (byteLength >= bytes && (best < 0 || byteLength < this.#free[best]!.memory.byteLength)) best = i;
    }
    if (best >= 0) return this.#free.splice(best, 1)[0]!;
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, LEAST_SLAB)));
    return { id: ++this.#made, memory: new SharedArrayBuffer(size) };
  }

  /** Takes a slab back; returns one that is not kept, if there is one. */
  give(slab: Slab): Slab | undefined {
    if (slab.memory.byteLength > LARGEST_KEPT) return slab;
    this.#free.push(slab);
    return this.#free.length > this.#most ? this.#free.shift() : undefined;
  }
}
