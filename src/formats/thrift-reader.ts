import { asBuffer } from "./protobuf.ts";

/**
 * Apache Thrift's binary and compact protocols, read without building anything: what is asked for is returned, the rest is
 * skipped. Counts and lengths are only believed as far as there are bytes: a list of 2^31 items takes no memory.
 *
 * Accepts and refuses what lib/go/thrift v0.24 (binary_protocol.go, compact_protocol.go, protocol.go: Skip) does.
 */

/** Types of fields and of the items of lists, the same numbers in both protocols. */
export const THRIFT = {
  stop: 0,
  bool: 2,
  byte: 3,
  double: 4,
  i16: 6,
  i32: 8,
  i64: 10,
  string: 11,
  struct: 12,
  map: 13,
  set: 14,
  list: 15,
  uuid: 16,
} as const;

/** What is skipped may not be nested more deeply. */
const MAX_DEPTH = 64;
const BINARY_VERSION = 0x8001;
const COMPACT_PROTOCOL = 0x82;
const COMPACT_VERSION = 1;
const COMPACT_TRUE = 1;
const COMPACT_FALSE = 2;
const MAX_VARINT_BYTES = 10;
/** Types of the compact protocol as those of `THRIFT`; −1 for none. */
const { bool, byte, i16, i32, i64, double, string, list, set, map, struct, uuid } = THRIFT;
const COMPACT_TYPES = [
  THRIFT.stop,
  bool,
  bool,
  byte,
  i16,
  i32,
  i64,
  double,
  string,
  list,
  set,
  map,
  struct,
  uuid,
  -1,
  -1,
];

/** The bytes are no message of this protocol. */
export class ThriftError extends Error {
  override readonly name = "ThriftError";
  constructor(message: string, offset: number) {
    super(`${message} at byte ${offset}`);
  }
}

/**
 * A cursor over one message. 64-bit numbers come as two halves: the low one is returned, unsigned, the high one is in `high`,
 * signed. Each method throws a ThriftError rather than read beyond the end.
 */
export abstract class ThriftReader {
  readonly bytes: Buffer;
  position = 0;
  /** Id of the field that `fieldBegin` read last. */
  field = 0;
  high = 0;
  /** Where the string is that `string` read last. */
  from = 0;
  to = 0;
  /** Of the list, set or map that began last; a map has two. */
  itemType = 0;
  keyType = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = asBuffer(bytes);
  }

  /** Reads the head of a call: the name of its method. The arguments follow as a struct. */
  abstract messageBegin(): string;
  abstract structBegin(): void;
  abstract structEnd(): void;
  /** The type of the next field, whose id is then in `field`; `THRIFT.stop` after the last one. */
  abstract fieldBegin(): number;
  /** The number of items of a list or set. */
  abstract listBegin(): number;
  abstract mapBegin(): number;
  abstract bool(): boolean;
  abstract i16(): number;
  abstract i32(): number;
  abstract i64(): number;
  /** The bits of a double, as halves. */
  abstract double(): number;
  protected abstract stringLength(): number;

  /** Reads a string or binary: `from` and `to` say where it is. */
  string(): void {
    const length = this.stringLength();
    this.from = this.take(this.checked(length));
    this.to = this.position;
  }
  /** The text of the string that was read last; what is no UTF-8 becomes U+FFFD. */
  text(): string {
    return this.bytes.toString("utf8", this.from, this.to);
  }

  /** Skips a value of this type. */
  skip(type: number, depth = MAX_DEPTH): void {
    if (depth <= 0) throw new ThriftError("values are nested too deeply", this.position);
    switch (type) {
      case THRIFT.bool:
        this.bool();
        return;
      case THRIFT.byte:
        this.take(1);
        return;
      case THRIFT.i16:
        this.i16();
        return;
      case THRIFT.i32:
        this.i32();
        return;
      case THRIFT.i64:
        this.i64();
        return;
      case THRIFT.double:
        this.take(8);
        return;
      case THRIFT.string:
        this.string();
        return;
      case THRIFT.uuid:
        this.take(16);
        return;
      case THRIFT.struct:
        this.structBegin();
        for (let inner = this.fieldBegin(); inner !== THRIFT.stop; inner = this.fieldBegin())
          this.skip(inner, depth - 1);
        this.structEnd();
        return;
      case THRIFT.list:
      case THRIFT.set: {
        const count = this.listBegin();
        const { itemType } = this;
        // Every item takes a byte at least, so that the end of the message ends this.
        for (let i = 0; i < count; i++) this.skip(itemType, depth - 1);
        return;
      }
      case THRIFT.map: {
        const count = this.mapBegin();
        const { keyType, itemType } = this;
        for (let i = 0; i < count; i++) {
          this.skip(keyType, depth - 1);
          this.skip(itemType, depth - 1);
        }
        return;
      }
      default:
        throw new ThriftError(`unknown type ${type}`, this.position);
    }
  }

  /** Goes on by so many bytes; returns where they begin. */
  protected take(count: number): number {
    const at = this.position;
    if (count > this.bytes.length - at) throw new ThriftError("the message is truncated", at);
    this.position = at + count;
    return at;
  }

  protected checked(size: number): number {
    if (size < 0) throw new ThriftError(`negative size ${size}`, this.position);
    return size;
  }
}

/** The binary protocol: numbers have fixed lengths and the network's byte order. */
export class ThriftBinaryReader extends ThriftReader {
  messageBegin(): string {
    const at = this.position;
    const size = this.i32();
    if (size >= 0) {
      // The old head without a version: name, type, number.
      this.from = this.take(size);
      this.to = this.position;
      this.take(5);
      return this.text();
    }
    if (size >>> 16 !== BINARY_VERSION) {
      if (size >>> 24 === COMPACT_PROTOCOL) throw otherProtocol("compact", "binary");
      throw new ThriftError("no message of thrift's binary protocol", at);
    }
    this.string();
    this.take(4);
    return this.text();
  }

  structBegin(): void {}
  structEnd(): void {}

  fieldBegin(): number {
    const type = this.bytes[this.take(1)]!;
    if (type !== THRIFT.stop) this.field = this.i16();
    return type;
  }

  listBegin(): number {
    this.itemType = this.bytes[this.take(1)]!;
    return this.checked(this.i32());
  }

  mapBegin(): number {
    const at = this.take(2);
    this.keyType = this.bytes[at]!;
    this.itemType = this.bytes[at + 1]!;
    return this.checked(this.i32());
  }

  bool(): boolean {
    return this.bytes[this.take(1)] === 1;
  }
  i16(): number {
    return this.bytes.readInt16BE(this.take(2));
  }
  i32(): number {
    return this.bytes.readInt32BE(this.take(4));
  }
  i64(): number {
    const at = this.take(8);
    this.high = this.bytes.readInt32BE(at);
    return this.bytes.readUInt32BE(at + 4);
  }
  double(): number {
    return this.i64();
  }
  protected stringLength(): number {
    return this.i32();
  }
}

/** The compact protocol: numbers are zigzag varints, ids of fields are differences, booleans are in the field's type. */
export class ThriftCompactReader extends ThriftReader {
  /** Ids of the fields of the structs that are open; as deep as known structs and `skip` go. */
  readonly #outer: number[] = [];
  #last = 0;
  /** The boolean that the head of its field had; undefined for none. */
  #pending: boolean | undefined;

  messageBegin(): string {
    const at = this.take(2);
    const version = this.bytes[at + 1]! & 0x1f;
    if (this.bytes[at] !== COMPACT_PROTOCOL || version !== COMPACT_VERSION) {
      if (this.bytes.readUInt16BE(at) === BINARY_VERSION) throw otherProtocol("binary", "compact");
      throw new ThriftError("no message of thrift's compact protocol", at);
    }
    this.#varint();
    this.string();
    return this.text();
  }

  structBegin(): void {
    this.#outer.push(this.#last);
    this.#last = 0;
  }
  structEnd(): void {
    this.#last = this.#outer.pop()!;
  }

  fieldBegin(): number {
    const head = this.bytes[this.take(1)]!;
    const type = head & 0x0f;
    if (type === THRIFT.stop) return THRIFT.stop;
    const step = head >> 4;
    this.field = step === 0 ? this.i16() : ((this.#last + step) << 16) >> 16;
    this.#last = this.field;
    if (type === COMPACT_TRUE || type === COMPACT_FALSE) this.#pending = type === COMPACT_TRUE;
    return this.#type(type);
  }

  listBegin(): number {
    const head = this.bytes[this.take(1)]!;
    const short = head >> 4;
    const count = short === 15 ? this.#varint() | 0 : short;
    this.itemType = this.#type(head & 0x0f);
    return this.checked(count);
  }

  mapBegin(): number {
    const count = this.checked(this.#varint() | 0);
    const types = count === 0 ? 0 : this.bytes[this.take(1)]!;
    this.keyType = COMPACT_TYPES[types >> 4]!;
    this.itemType = COMPACT_TYPES[types & 0x0f]!;
    return count;
  }

  bool(): boolean {
    const pending = this.#pending;
    if (pending === undefined) return this.bytes[this.take(1)] === COMPACT_TRUE;
    this.#pending = undefined;
    return pending;
  }
  i16(): number {
    return (this.i32() << 16) >> 16;
  }
  i32(): number {
    const value = this.#varint();
    return (value >>> 1) ^ -(value & 1);
  }
  i64(): number {
    const low = this.#varint();
    const high = this.high;
    const sign = -(low & 1);
    this.high = (high >>> 1) ^ sign;
    return (((low >>> 1) | (high << 31)) ^ sign) >>> 0;
  }
  double(): number {
    const at = this.take(8);
    this.high = this.bytes.readInt32LE(at + 4);
    return this.bytes.readUInt32LE(at);
  }
  protected stringLength(): number {
    return this.#varint() | 0;
  }

  /** The low half, unsigned; the high one is in `high`. What is beyond 64 bits is lost. */
  #varint(): number {
    const { bytes } = this;
    let low = 0;
    let high = 0;
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const next = bytes[this.take(1)]!;
      const bits = next & 0x7f;
      if (i < 4) low |= bits << (7 * i);
      else if (i === 4) {
        low |= bits << 28;
        high = bits >> 4;
      } else high |= bits << (7 * i - 32);
      if (next < 0x80) {
        this.high = high;
        return low >>> 0;
      }
    }
    throw new ThriftError("a number of more than 10 bytes", this.position);
  }

  #type(compact: number): number {
    const type = COMPACT_TYPES[compact]!;
    if (type < 0) throw new ThriftError(`unknown type ${compact}`, this.position);
    return type;
  }
}

function otherProtocol(found: string, wanted: string): ThriftError {
  return new ThriftError(
    `thrift's ${found} protocol where the ${wanted} one is expected: the port of the other one is meant`,
    0,
  );
}
