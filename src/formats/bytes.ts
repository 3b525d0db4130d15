import { type SliceableBuffer, sliceable } from "#pipeline/log-batch";

/** Runs up to this length are copied four bytes at a time; beyond it a call into the engine is faster. */
const SHORT = 96;

/** Bytes with a view of them as numbers, through which short runs are copied and compared four at a time. */
export class Bytes {
  readonly buffer: SliceableBuffer;
  readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.buffer = sliceable(bytes);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Made once for a request, although all of its parts ask for it in turn. */
  static of(bytes: Uint8Array): Bytes {
    if (bytes.length === 0) return NO_BYTES;
    if (bytes !== latest.buffer) latest = new Bytes(bytes);
    return latest;
  }
}
export const NO_BYTES = new Bytes(Buffer.alloc(0));
let latest = NO_BYTES;

/** Copies `source[start, end)` to `target` from `at` on, where there must be room. Returns where the copy ends. */
export function copyRun(source: Bytes, start: number, end: number, target: Bytes, at: number): number {
  const length = end - start;
  if (length > SHORT) source.buffer.copy(target.buffer, at, start, end);
  else if (length < 4) for (let i = 0; i < length; i++) target.buffer[at + i] = source.buffer[start + i]!;
  else {
    const { view: from } = source;
    const { view: to } = target;
    // The last four may overlap those before.
    const last = length - 4;
    for (let i = 0; i < last; i += 4) to.setInt32(at + i, from.getInt32(start + i, true), true);
    to.setInt32(at + last, from.getInt32(start + last, true), true);
  }
  return at + length;
}

/** Puts a varint of 32 bits into room that is there already. Returns where it ends. */
export function putVarint(target: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[at++] = rest;
  return at;
}

/** The same memory as a Buffer, whose copies and text conversions are the fastest at hand. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
