import { Bytes, copyRun, putVarint } from "./bytes.ts";
import { WIRE_BYTES, WIRE_FIXED32, WIRE_FIXED64, WIRE_VARINT } from "./protobuf-wire.ts";

const TWO_32 = 2 ** 32;
/** So few bytes are copied faster one by one than by a call. */
const SHORT = 32;

/** The number of bytes that `value` (0 … 2^53) takes as a varint. */
export function varintLength(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  let length = 5;
  for (let rest = Math.floor(value / 2 ** 35); rest > 0; rest = Math.floor(rest / 128)) length += 1;
  return length;
}

/**
 * Writes messages into one growing buffer. Fields come out in the order of the calls and always, so the caller leaves
 * out defaults; lengths and varints are of minimal length. Reuse a writer with `reset`.
 */
export class ProtoWriter {
  #target: Bytes;
  #capacity: number;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#capacity = Math.max(16, initialBytes);
    this.#target = new Bytes(Buffer.allocUnsafeSlow(this.#capacity));
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Forgets what was written; keeps the buffer. */
  reset(): void {
    this.#length = 0;
  }

  /** What was written, valid until the next write or reset. */
  view(): Uint8Array {
    return this.#target.buffer.subarray(0, this.#length);
  }

  /** What was written and more, behind `length`. Stays as it is up to there, unless `reset`. */
  get buffer(): Buffer {
    return this.#target.buffer;
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    const copy = Buffer.allocUnsafeSlow(this.#length);
    this.#target.buffer.copy(copy, 0, 0, this.#length);
    return copy;
  }

  tag(field: number, wireType: number): void {
    this.rawVarint(((field << 3) | wireType) >>> 0);
  }

  /** A varint without a tag; `value` is 0 … 2^53. */
  rawVarint(value: number): void {
    this.#reserve(10);
    if (value < 0x80) {
      this.#target.buffer[this.#length++] = value;
      return;
    }
    const bytes = this.#target.buffer;
    let at = this.#length;
    let rest = value;
    while (rest >= 0x80) {
      bytes[at++] = (rest % 128) | 0x80;
      rest = rest < TWO_32 ? rest >>> 7 : Math.floor(rest / 128);
    }
    bytes[at++] = rest;
    this.#length = at;
  }
  /** A varint of 64 bits in two halves, without a tag. */
  rawVarint64(low: number, high: number): void {
    this.#reserve(10);
    const bytes = this.#target.buffer;
    let at = this.#length;
    let lower = low >>> 0;
    let upper = high >>> 0;
    while (upper !== 0) {
      bytes[at++] = (lower & 0x7f) | 0x80;
      lower = ((lower >>> 7) | (upper << 25)) >>> 0;
      upper >>>= 7;
    }
    while (lower >= 0x80) {
      bytes[at++] = (lower & 0x7f) | 0x80;
      lower >>>= 7;
    }
    bytes[at++] = lower;
    this.#length = at;
  }
  /** 64 bits, little-endian, without a tag. */
  rawFixed64(low: number, high: number): void {
    const at = this.#grow(8);
    this.#target.view.setUint32(at, low >>> 0, true);
    this.#target.view.setUint32(at + 4, high >>> 0, true);
  }
  rawDouble(value: number): void {
    const at = this.#grow(8);
    this.#target.view.setFloat64(at, value, true);
  }
  /** Bytes as they are, such as a message that is already encoded. */
  raw(source: Uint8Array, start = 0, end = source.length): void {
    const at = this.#grow(end - start);
    const target = this.#target.buffer;
    const length = end - start;
    if (length <= SHORT) for (let i = 0; i < length; i++) target[at + i] = source[start + i]!;
    else if (Buffer.isBuffer(source)) source.copy(target, at, start, end);
    else target.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
  }
  /** The same of bytes that much is copied from, which is faster for short pieces. */
  copy(source: Bytes, start: number, end: number): void {
    const at = this.#grow(end - start);
    copyRun(source, start, end, this.#target, at);
  }
  /**
   * Room for so many bytes more, for those who put them there themselves: they go from `length` on into the buffer that is
   * returned, and `advance` says where they end.
   */
  reserve(count: number): Bytes {
    this.#reserve(count);
    return this.#target;
  }
  advance(length: number): void {
    this.#length = length;
  }

  uint32(field: number, value: number): void {
    this.tag(field, WIRE_VARINT);
    this.rawVarint(value >>> 0);
  }
  /** `int32` and enums. Negative values take ten bytes, as the format wants. */
  int32(field: number, value: number): void {
    this.tag(field, WIRE_VARINT);
    if (value >= 0) this.rawVarint(value);
    else this.rawVarint64(value, 0xffffffff);
  }
  sint32(field: number, value: number): void {
    this.tag(field, WIRE_VARINT);
    this.rawVarint(((value << 1) ^ (value >> 31)) >>> 0);
  }
  bool(field: number, value: boolean): void {
    this.tag(field, WIRE_VARINT);
    this.rawVarint(value ? 1 : 0);
  }
  /** `int64` and `uint64`: a bigint, or a whole number whose magnitude is at most 2^53. */
  int64(field: number, value: bigint | number): void {
    this.tag(field, WIRE_VARINT);
    if (typeof value === "number" && value >= 0) this.rawVarint(value);
    else {
      const big = BigInt.asUintN(64, BigInt(value));
      this.rawVarint64(Number(big & 0xffffffffn), Number(big >> 32n));
    }
  }
  sint64(field: number, value: bigint): void {
    this.int64(field, BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)));
  }
  fixed32(field: number, value: number): void {
    this.tag(field, WIRE_FIXED32);
    const at = this.#grow(4);
    this.#target.view.setUint32(at, value >>> 0, true);
  }
  /** `fixed64` and `sfixed64` in two halves. */
  fixed64(field: number, low: number, high: number): void {
    this.tag(field, WIRE_FIXED64);
    this.rawFixed64(low, high);
  }
  fixed64Big(field: number, value: bigint): void {
    const big = BigInt.asUintN(64, value);
    this.fixed64(field, Number(big & 0xffffffffn), Number(big >> 32n));
  }
  float(field: number, value: number): void {
    this.tag(field, WIRE_FIXED32);
    const at = this.#grow(4);
    this.#target.view.setFloat32(at, value, true);
  }
  double(field: number, value: number): void {
    this.tag(field, WIRE_FIXED64);
    this.rawDouble(value);
  }
  bytes(field: number, source: Uint8Array, start = 0, end = source.length): void {
    this.tag(field, WIRE_BYTES);
    this.rawVarint(end - start);
    this.raw(source, start, end);
  }
  string(field: number, text: string): void {
    this.tag(field, WIRE_BYTES);
    if (text.length <= SHORT && this.#shortAscii(text)) return;
    // A UTF-16 unit takes at most three bytes. Written behind the longest length prefix, then moved if that was too long.
    const most = text.length * 3;
    const prefix = varintLength(most);
    this.#reserve(prefix + most);
    const at = this.#length;
    const written = this.#target.buffer.write(text, at + prefix, "utf8");
    const needed = varintLength(written);
    if (needed !== prefix) this.#target.buffer.copyWithin(at + needed, at + prefix, at + prefix + written);
    putVarint(this.#target.buffer, at, written);
    this.#length = at + needed + written;
  }

  /** Most texts are short and plain, and calling into the engine costs more than their characters do. */
  #shortAscii(text: string): boolean {
    const { length } = text;
    this.#reserve(length + 1);
    const bytes = this.#target.buffer;
    const at = this.#length;
    bytes[at] = length;
    for (let i = 0; i < length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) return false;
      bytes[at + 1 + i] = code;
    }
    this.#length = at + 1 + length;
    return true;
  }

  /**
   * Begins a submessage; hand the result to `end` after its fields. Where its length is about known, both take it: the
   * message then need not be moved once it is written.
   */
  begin(field: number, expected = 0): number {
    this.tag(field, WIRE_BYTES);
    return this.#grow(varintLength(expected));
  }
  /** Ends a submessage: puts its length in front of it. Returns where its content begins. */
  end(mark: number, expected = 0): number {
    const room = varintLength(expected);
    const length = this.#length - mark - room;
    if (length < 0x80 && room === 1) {
      this.#target.buffer[mark] = length;
      return mark + 1;
    }
    const prefix = varintLength(length);
    if (prefix !== room) {
      this.#reserve(Math.max(0, prefix - room));
      this.#target.buffer.copyWithin(mark + prefix, mark + room, this.#length);
    }
    putVarint(this.#target.buffer, mark, length);
    this.#length = mark + prefix + length;
    return mark + prefix;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed > this.#capacity) this.#enlarge(needed);
  }
  #enlarge(needed: number): void {
    this.#capacity = Math.max(needed, this.#capacity * 2);
    const grown = Buffer.allocUnsafeSlow(this.#capacity);
    this.#target.buffer.copy(grown, 0, 0, this.#length);
    this.#target = new Bytes(grown);
  }

  #grow(count: number): number {
    this.#reserve(count);
    const at = this.#length;
    this.#length = at + count;
    return at;
  }
}

/** Copies `source[start, end)` to `target` from `at` on. */
export function copyBytes(source: Uint8Array, start: number, end: number, target: Buffer, at: number): void {
  const length = end - start;
  if (length <= SHORT) for (let i = 0; i < length; i++) target[at + i] = source[start + i]!;
  else if (Buffer.isBuffer(source)) source.copy(target, at, start, end);
  else target.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
}
