/** Reads LZ4 frames (lz4_Frame_format.md and lz4_Block_format.md of lz4/lz4), which some OTLP clients send. */

const MAGIC = 0x184d2204;
const SKIPPABLE = 0x184d2a50;
const BLOCK_SIZES = [0, 0, 0, 0, 64 << 10, 256 << 10, 1 << 20, 4 << 20];

/** The content of all frames. Throws for damage and for content of more than `limit` bytes. */
export function readLz4Frames(input: Uint8Array, limit: number): Uint8Array {
  const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const output = new Output(limit);
  let at = 0;
  while (at < source.length) {
    const magic = readUint32(source, at);
    if ((magic & ~15) >>> 0 === SKIPPABLE) at += 8 + readUint32(source, at + 4);
    else if (magic === MAGIC) at = readFrame(source, at, output);
    else throw new Error("no LZ4 frame");
  }
  if (at > source.length) throw new Error("a truncated LZ4 frame");
  return output.bytes();
}

function readFrame(source: Buffer, start: number, output: Output): number {
  let at = start + 4;
  const flags = readByte(source, at);
  const descriptor = readByte(source, at + 1);
  if (flags >> 6 !== 1) throw new Error("an unknown version of LZ4");
  const blockChecksums = (flags & 16) !== 0;
  const headerStart = at;
  at += 2 + ((flags & 8) !== 0 ? 8 : 0) + ((flags & 1) !== 0 ? 4 : 0);
  const blockBytes = BLOCK_SIZES[(descriptor >> 4) & 7]!;
  if (blockBytes === 0) throw new Error("an unknown LZ4 block size");
  if (((xxh32(source, headerStart, at) >>> 8) & 255) !== readByte(source, at))
    throw new Error("an LZ4 header with a wrong checksum");
  at += 1;
  const frameStart = output.length;
  for (;;) {
    const size = readUint32(source, at);
    at += 4;
    if (size === 0) break;
    const length = size & 0x7fffffff;
    const end = at + length;
    if (length > blockBytes || end > source.length) throw new Error("a truncated LZ4 block");
    if (size >>> 31 === 1) output.copyFrom(source, at, end);
    // Blocks may reach back into those before them, but not beyond the frame.
    else readBlock(source, at, end, output, (flags & 32) !== 0 ? output.length : frameStart);
    at = end;
    if (!blockChecksums) continue;
    if (readUint32(source, at) !== xxh32(source, at - length, at))
      throw new Error("an LZ4 block with a wrong checksum");
    at += 4;
  }
  if ((flags & 4) === 0) return at;
  const content = output.bytes();
  if (readUint32(source, at) !== xxh32(content, frameStart, content.length))
    throw new Error("LZ4 content with a wrong checksum");
  return at + 4;
}

function readBlock(source: Buffer, start: number, end: number, output: Output, earliest: number): void {
  const cursor = new Cursor(source, start, end);
  while (cursor.at < end) {
    const token = source[cursor.at++]!;
    const literals = cursor.length(token >> 4);
    const from = cursor.skip(literals);
    output.copyFrom(source, from, from + literals);
    if (cursor.at === end) return; // the last sequence has no match
    const low = cursor.skip(2);
    const distance = source[low]! | (source[low + 1]! << 8);
    if (distance === 0 || distance > output.length - earliest) {
      throw new Error("an LZ4 match from before the beginning");
    }
    output.repeat(distance, cursor.length(token & 15) + 4);
  }
}

/**
 * A position in a block. A field rather than a variable that a local function changes: Maglev's on-stack replacement in
 * Node 26.10 (V8 flag `maglev-osr`) keeps a stale copy of such a variable in a hot loop, and gives wrong results.
 */
class Cursor {
  readonly #source: Buffer;
  readonly #end: number;
  at: number;

  constructor(source: Buffer, start: number, end: number) {
    this.#source = source;
    this.#end = end;
    this.at = start;
  }

  /** A length whose first four bits were in the token. */
  length(nibble: number): number {
    if (nibble < 15) return nibble;
    let sum = nibble;
    for (;;) {
      const byte = this.#source[this.skip(1)]!;
      sum += byte;
      if (byte !== 255) return sum;
    }
  }

  /** Passes over so many bytes; returns where they begin. */
  skip(count: number): number {
    const from = this.at;
    if (count > this.#end - from) throw new Error("a truncated LZ4 sequence");
    this.at = from + count;
    return from;
  }
}

/** A buffer that grows up to a limit. */
class Output {
  readonly #limit: number;
  #bytes = Buffer.allocUnsafeSlow(4_096);
  length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  copyFrom(source: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    source.copy(this.#bytes, this.length, start, end);
    this.length += end - start;
  }

  /** Copies what was written `distance` bytes ago; the copy may run into itself. */
  repeat(distance: number, count: number): void {
    this.#reserve(count);
    const bytes = this.#bytes;
    for (let to = this.length, stop = to + count; to < stop; to++) bytes[to] = bytes[to - distance]!;
    this.length += count;
  }

  #reserve(count: number): void {
    const needed = this.length + count;
    if (needed > this.#limit) throw new Error(`content larger than ${this.#limit} bytes`);
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(
      Math.min(Math.max(needed, this.#bytes.length * 2), Math.max(needed, this.#limit)),
    );
    this.#bytes.copy(grown, 0, 0, this.length);
    this.#bytes = grown;
  }
}

function readByte(source: Buffer, at: number): number {
  if (at >= source.length) throw new Error("a truncated LZ4 frame");
  return source[at]!;
}

function readUint32(source: Buffer, at: number): number {
  if (at + 4 > source.length) throw new Error("a truncated LZ4 frame");
  return source.readUInt32LE(at);
}

const [P1, P2, P3, P4, P5] = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f, 0x165667b1];

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** xxHash32 with seed 0 of `bytes[start, end)`. */
export function xxh32(bytes: Buffer, start: number, end: number): number {
  let at = start;
  let hash: number;
  if (end - at >= 16) {
    const lanes = [(P1 + P2) | 0, P2 | 0, 0, -P1 | 0];
    for (; at + 16 <= end; at += 16) {
      for (let lane = 0; lane < 4; lane++) {
        const mixed = (lanes[lane]! + Math.imul(bytes.readInt32LE(at + lane * 4), P2)) | 0;
        lanes[lane] = Math.imul(rotate(mixed, 13), P1);
      }
    }
    hash = (rotate(lanes[0]!, 1) + rotate(lanes[1]!, 7) + rotate(lanes[2]!, 12) + rotate(lanes[3]!, 18)) | 0;
  } else hash = P5 | 0;
  hash = (hash + (end - start)) | 0;
  for (; at + 4 <= end; at += 4) hash = Math.imul(rotate((hash + Math.imul(bytes.readInt32LE(at), P3)) | 0, 17), P4);
  for (; at < end; at++) hash = Math.imul(rotate((hash + Math.imul(bytes[at]!, P5)) | 0, 11), P1);
  hash = Math.imul(hash ^ (hash >>> 15), P2);
  hash = Math.imul(hash ^ (hash >>> 13), P3);
  return (hash ^ (hash >>> 16)) >>> 0;
}
