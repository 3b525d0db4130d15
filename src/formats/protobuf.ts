/**
 * Protobuf's wire format, read and written by hand: no schema objects, no allocation per field.
 *
 * A tag is the number on the wire, `field << 3 | wire type`; a `switch` over tags checks field and wire type at once.
 */

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_GROUP_START = 3;
export const WIRE_GROUP_END = 4;
export const WIRE_FIXED32 = 5;

/** Groups are a relic that unknown fields may still contain; nobody nests them deeper than this in good faith. */
const MAX_GROUP_DEPTH = 64;
const TWO_32 = 2 ** 32;
/** So few bytes are copied faster one by one than by a call. */
const SHORT = 32;

/** The bytes are no protobuf message. `offset` is where reading stopped, from the start of the reader's array. */
export class ProtobufError extends Error {
  override readonly name = "ProtobufError";
  readonly offset: number;
  constructor(message: string, offset: number) {
    super(`${message} at byte ${offset}`);
    this.offset = offset;
  }
}

/**
 * A cursor over `bytes[position, end)`. Each method throws ProtobufError rather than read beyond `end`. 64-bit numbers
 * come as two halves (the low one returned, the high one in `high`) or, for those who want one, as a bigint.
 */
export class ProtoReader {
  bytes: Uint8Array;
  position: number;
  end: number;
  /** The upper 32 bits, unsigned, of what `varint` or `fixed64Low` read last. */
  high = 0;
  #buffer: Buffer;
  #view: DataView | undefined;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.position = start;
    this.end = end;
    this.#buffer = asBuffer(bytes);
  }

  /** Points the reader at other bytes, so that one reader serves many messages. */
  reset(bytes: Uint8Array, start = 0, end = bytes.length): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.#buffer = asBuffer(bytes);
      this.#view = undefined;
    }
    this.position = start;
    this.end = end;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  /** The next field's tag. */
  tag(): number {
    const { bytes, position } = this;
    if (position < this.end) {
      const byte = bytes[position]!;
      if (byte < 0x80 && byte >= 8) {
        this.position = position + 1;
        return byte;
      }
    }
    const tag = this.varint();
    if (this.high !== 0 || tag >>> 3 === 0) throw new ProtobufError("invalid field number", position);
    return tag;
  }

  /** Any varint: the low half, unsigned, is returned, the high half is in `high`. */
  varint(): number {
    const { bytes, end } = this;
    let at = this.position;
    let low = 0;
    let byte = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= end) throw new ProtobufError("truncated varint", at);
      byte = bytes[at++]!;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.position = at;
        this.high = 0;
        return low;
      }
    }
    if (at >= end) throw new ProtobufError("truncated varint", at);
    byte = bytes[at++]!;
    low |= (byte & 0x0f) << 28;
    let high = (byte & 0x7f) >>> 4;
    for (let shift = 3; byte >= 0x80; shift += 7) {
      if (at >= end) throw new ProtobufError("truncated varint", at);
      byte = bytes[at++]!;
      // The tenth byte holds one bit; more would be beyond 64.
      if (shift === 31 && byte > 1) throw new ProtobufError("varint longer than 64 bits", at - 1);
      high |= (byte & 0x7f) << shift;
    }
    this.position = at;
    this.high = high >>> 0;
    return low >>> 0;
  }

  /** The low 32 bits of a varint, unsigned: `uint32`. */
  uint32(): number {
    return this.varint();
  }
  /** `int32` and enums: as Go does, all but the low 32 bits are ignored. */
  int32(): number {
    return this.varint() | 0;
  }
  sint32(): number {
    const value = this.varint();
    return (value >>> 1) ^ -(value & 1);
  }
  bool(): boolean {
    return (this.varint() | this.high) !== 0;
  }
  /** `uint64` as a double: exact up to 2^53. */
  uint64Number(): number {
    const low = this.varint();
    return this.high === 0 ? low : this.high * TWO_32 + low;
  }
  /** `int64` as a double: exact up to 2^53 either way. */
  int64Number(): number {
    const low = this.varint();
    return (this.high | 0) * TWO_32 + low;
  }
  uint64(): bigint {
    const low = this.varint();
    return (BigInt(this.high) << 32n) | BigInt(low);
  }
  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }
  sint64(): bigint {
    const value = this.uint64();
    return (value >> 1n) ^ -(value & 1n);
  }

  /** `fixed32`, unsigned. */
  fixed32(): number {
    const at = this.#take(4);
    const { bytes } = this;
    return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  }
  /** `sfixed32`. */
  sfixed32(): number {
    return this.fixed32() | 0;
  }
  /** `fixed64` or `sfixed64`: the low half, unsigned, is returned, the high half is in `high`. */
  fixed64Low(): number {
    const low = this.fixed32();
    this.high = this.fixed32();
    return low;
  }
  fixed64(): bigint {
    const low = this.fixed64Low();
    return (BigInt(this.high) << 32n) | BigInt(low);
  }
  sfixed64(): bigint {
    return BigInt.asIntN(64, this.fixed64());
  }
  float(): number {
    return this.#dataView().getFloat32(this.#take(4), true);
  }
  double(): number {
    return this.#dataView().getFloat64(this.#take(8), true);
  }

  /** Reads a length prefix, checks that so many bytes are there, and stops before them. */
  length(): number {
    const { position } = this;
    const length = this.varint();
    if (this.high !== 0 || length > this.end - this.position) {
      throw new ProtobufError("a length reaches beyond the end of its message", position);
    }
    return length;
  }

  /** A length-delimited field as a view of the reader's bytes. */
  lengthDelimited(): Uint8Array {
    const length = this.length();
    const start = this.position;
    this.position = start + length;
    return this.bytes.subarray(start, start + length);
  }

  /** A length-delimited field as text; invalid UTF-8 becomes U+FFFD. */
  string(): string {
    const length = this.length();
    const start = this.position;
    this.position = start + length;
    return this.#buffer.toString("utf8", start, start + length);
  }

  /**
   * Enters a submessage: reads its length and narrows the reader to it. Returns the outer end, to be handed to `leave`.
   */
  enter(): number {
    const length = this.length();
    const outerEnd = this.end;
    this.end = this.position + length;
    return outerEnd;
  }
  /** Leaves the submessage, wherever in it the reader stands. */
  leave(outerEnd: number): void {
    this.position = this.end;
    this.end = outerEnd;
  }

  /** Skips the value of the field whose tag was read. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WIRE_VARINT:
        this.varint();
        return;
      case WIRE_FIXED64:
        this.#take(8);
        return;
      case WIRE_BYTES: {
        const length = this.length();
        this.position += length;
        return;
      }
      case WIRE_GROUP_START:
        this.#skipGroup(tag);
        return;
      case WIRE_FIXED32:
        this.#take(4);
        return;
      default:
        throw new ProtobufError(`unexpected wire type ${tag & 7} of field ${tag >>> 3}`, this.position);
    }
  }

  #skipGroup(first: number): void {
    const open = [first >>> 3];
    while (open.length > 0) {
      const tag = this.tag();
      if ((tag & 7) === WIRE_GROUP_START) {
        if (open.length >= MAX_GROUP_DEPTH) throw new ProtobufError("groups are nested too deeply", this.position);
        open.push(tag >>> 3);
      } else if ((tag & 7) === WIRE_GROUP_END) {
        if (open.pop() !== tag >>> 3) throw new ProtobufError("a group ends that did not begin", this.position);
      } else this.skip(tag);
    }
  }

  #take(count: number): number {
    const at = this.position;
    if (this.end - at < count) throw new ProtobufError("truncated message", at);
    this.position = at + count;
    return at;
  }

  #dataView(): DataView {
    this.#view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    return this.#view;
  }
}

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
  #bytes: Buffer;
  #view: DataView;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(16, initialBytes));
    this.#view = viewOf(this.#bytes);
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
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    const copy = Buffer.allocUnsafeSlow(this.#length);
    this.#bytes.copy(copy, 0, 0, this.#length);
    return copy;
  }

  tag(field: number, wireType: number): void {
    this.rawVarint(((field << 3) | wireType) >>> 0);
  }

  /** A varint without a tag; `value` is 0 … 2^53. */
  rawVarint(value: number): void {
    this.#reserve(10);
    const bytes = this.#bytes;
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
    const bytes = this.#bytes;
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
    this.#view.setUint32(at, low >>> 0, true);
    this.#view.setUint32(at + 4, high >>> 0, true);
  }
  rawDouble(value: number): void {
    const at = this.#grow(8);
    this.#view.setFloat64(at, value, true);
  }
  /** Bytes as they are, such as a message that is already encoded. */
  raw(source: Uint8Array, start = 0, end = source.length): void {
    const at = this.#grow(end - start);
    if (end - start <= SHORT) for (let i = start; i < end; i++) this.#bytes[at + i - start] = source[i]!;
    else if (Buffer.isBuffer(source)) source.copy(this.#bytes, at, start, end);
    else this.#bytes.set(start === 0 && end === source.length ? source : source.subarray(start, end), at);
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
    this.#view.setUint32(at, value >>> 0, true);
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
    this.#view.setFloat32(at, value, true);
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
    const written = this.#bytes.write(text, at + prefix, "utf8");
    const needed = varintLength(written);
    if (needed !== prefix) this.#bytes.copyWithin(at + needed, at + prefix, at + prefix + written);
    this.#putLength(at, written);
    this.#length = at + needed + written;
  }

  /** Most texts are short and plain, and calling into the engine costs more than their characters do. */
  #shortAscii(text: string): boolean {
    const { length } = text;
    this.#reserve(length + 1);
    const bytes = this.#bytes;
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

  /** Begins a submessage; hand the result to `end` after its fields. */
  begin(field: number): number {
    this.tag(field, WIRE_BYTES);
    return this.#grow(1);
  }
  /** Ends a submessage: puts its length in front of it. */
  end(mark: number): void {
    const length = this.#length - mark - 1;
    const prefix = varintLength(length);
    if (prefix > 1) {
      this.#reserve(prefix - 1);
      this.#bytes.copyWithin(mark + prefix, mark + 1, this.#length);
    }
    this.#putLength(mark, length);
    this.#length = mark + prefix + length;
  }

  /** Puts a length prefix into room that is there already: growing now would lose what lies beyond `#length`. */
  #putLength(start: number, length: number): void {
    const bytes = this.#bytes;
    let at = start;
    let rest = length;
    while (rest >= 0x80) {
      bytes[at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at] = rest;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }

  #grow(count: number): number {
    this.#reserve(count);
    const at = this.#length;
    this.#length = at + count;
    return at;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The same memory as a Buffer, whose copies and text conversions are the fastest at hand. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
