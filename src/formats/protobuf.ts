import { asBuffer } from "./bytes.ts";
import {
  WIRE_BYTES,
  WIRE_FIXED32,
  WIRE_FIXED64,
  WIRE_GROUP_END,
  WIRE_GROUP_START,
  WIRE_VARINT,
} from "./protobuf-wire.ts";

export { asBuffer } from "./bytes.ts";
export * from "./protobuf-wire.ts";
export { ProtoWriter, varintLength } from "./protobuf-writer.ts";

/** Protobuf's wire format, read and written by hand: no schema objects, no allocation per field. */

/** Groups are a relic that unknown fields may still contain; nobody nests them deeper than this in good faith. */
const MAX_GROUP_DEPTH = 64;
const TWO_32 = 2 ** 32;

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
