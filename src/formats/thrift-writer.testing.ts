import { THRIFT } from "./thrift-reader.ts";

/** For tests only: values of thrift as text-like trees, written in either protocol. */
export type ThriftValue =
  | { readonly bool: boolean }
  | { readonly byte: number }
  | { readonly i16: number }
  | { readonly i32: number }
  | { readonly i64: bigint }
  | { readonly double: number }
  | { readonly string: string | Uint8Array }
  | { readonly list: readonly ThriftValue[]; readonly of: keyof typeof THRIFT }
  | { readonly set: readonly ThriftValue[]; readonly of: keyof typeof THRIFT }
  | { readonly map: readonly (readonly [ThriftValue, ThriftValue])[] }
  | { readonly struct: ThriftStruct };
/** Fields by their ids, in the order in which they are written. */
export type ThriftStruct = readonly (readonly [number, ThriftValue])[];
export type ThriftProtocol = "binary" | "compact";

const COMPACT_TYPES: Readonly<Record<keyof typeof THRIFT, number>> = {
  stop: 0,
  bool: 2,
  byte: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  string: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
  uuid: 13,
};
const CALL = 1;
const ONEWAY = 4;

/** A value without a head, such as the struct that is the body of a post. */
export function thriftValue(value: ThriftValue, protocol: ThriftProtocol): Buffer {
  const writer = new Writer(protocol);
  writer.value(value);
  return Buffer.from(writer.bytes);
}

/** A call of a method with one struct as its arguments. */
export function thriftCall(method: string, args: ThriftStruct, protocol: ThriftProtocol, seq = 1): Buffer {
  const writer = new Writer(protocol);
  if (protocol === "compact") {
    writer.bytes.push(0x82, (ONEWAY << 5) | 1);
    writer.varint(BigInt(seq));
  } else writer.fixed(0x80010000n | BigInt(CALL), 4);
  writer.value({ string: method });
  if (protocol === "binary") writer.fixed(BigInt(seq), 4);
  writer.value({ struct: args });
  return Buffer.from(writer.bytes);
}

function typeOf(value: ThriftValue): keyof typeof THRIFT {
  return (Object.keys(value) as (keyof typeof THRIFT)[]).find((key) => key in THRIFT)!;
}

class Writer {
  readonly bytes: number[] = [];
  readonly #compact: boolean;
  constructor(protocol: ThriftProtocol) {
    this.#compact = protocol === "compact";
  }

  fixed(value: bigint, length: number): void {
    for (let i = length - 1; i >= 0; i--) this.bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
  }
  varint(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) this.bytes.push(Number(rest & 0x7fn) | 0x80);
    this.bytes.push(Number(rest));
  }
  #integer(value: bigint, length: number): void {
    if (this.#compact) this.varint((value << 1n) ^ (value < 0n ? -1n : 0n));
    else this.fixed(value, length);
  }
  #type(type: keyof typeof THRIFT): number {
    return this.#compact ? COMPACT_TYPES[type] : THRIFT[type];
  }

  value(value: ThriftValue): void {
    const { bytes } = this;
    if ("bool" in value) bytes.push(this.#compact ? (value.bool ? 1 : 2) : Number(value.bool));
    else if ("byte" in value) bytes.push(value.byte & 0xff);
    else if ("i16" in value) this.#integer(BigInt(value.i16), 2);
    else if ("i32" in value) this.#integer(BigInt(value.i32), 4);
    else if ("i64" in value) this.#integer(value.i64, 8);
    else if ("double" in value) {
      const bits = Buffer.alloc(8);
      if (this.#compact) bits.writeDoubleLE(value.double);
      else bits.writeDoubleBE(value.double);
      bytes.push(...bits);
    } else if ("string" in value) {
      const text = Buffer.from(value.string as string);
      if (this.#compact) this.varint(BigInt(text.length));
      else this.fixed(BigInt(text.length), 4);
      for (const byte of text) bytes.push(byte);
    } else if ("struct" in value) this.#struct(value.struct);
    else if ("map" in value) this.#map(value.map);
    else this.#list("list" in value ? value.list : value.set, value.of);
  }

  #list(items: readonly ThriftValue[], of: keyof typeof THRIFT): void {
    const type = this.#type(of);
    if (!this.#compact) {
      this.bytes.push(type);
      this.fixed(BigInt(items.length), 4);
    } else if (items.length < 15) this.bytes.push((items.length << 4) | type);
    else {
      this.bytes.push(0xf0 | type);
      this.varint(BigInt(items.length));
    }
    for (const item of items) this.value(item);
  }

  #map(entries: readonly (readonly [ThriftValue, ThriftValue])[]): void {
    const [key, value] = entries[0]?.map((each) => this.#type(typeOf(each))) ?? [0, 0];
    if (this.#compact) {
      this.varint(BigInt(entries.length));
      if (entries.length > 0) this.bytes.push((key! << 4) | value!);
    } else {
      this.bytes.push(key!, value!);
      this.fixed(BigInt(entries.length), 4);
    }
    for (const [name, item] of entries) {
      this.value(name);
      this.value(item);
    }
  }

  #struct(fields: ThriftStruct): void {
    let last = 0;
    for (const [id, value] of fields) {
      const type = typeOf(value);
      if (!this.#compact) {
        this.bytes.push(THRIFT[type]);
        this.fixed(BigInt(id), 2);
        this.value(value);
        continue;
      }
      const code = "bool" in value ? (value.bool ? 1 : 2) : COMPACT_TYPES[type];
      if (id > last && id - last <= 15) this.bytes.push(((id - last) << 4) | code);
      else {
        this.bytes.push(code);
        this.#integer(BigInt(id), 2);
      }
      last = id;
      if (!("bool" in value)) this.value(value);
    }
    this.bytes.push(0);
  }
}
