import { type AnyValue, KeyValues, type RawEntry, ValueList } from "#formats/otlp-values";
import { asBuffer } from "#formats/protobuf";

/**
 * What tells one series of OTLP from another, as bytes: attributes sorted by key, each value in one form only, every part
 * with its length in front. Equal content has equal bytes in whatever order and spelling it came, and other content has
 * others, so that no two series are ever taken for one, as hashes alone would.
 *
 * Two maps are the same here where pkg/pdatautil's MapHash of the Collector is the same: order does not matter, types of
 * values do, and of a key that comes twice the first value counts.
 */

const EMPTY = Buffer.alloc(0);
/** The first byte of a value that is written anew; those that are copied begin with their protobuf tag. */
const TEXT = 10;
const LIST = 42;
const MAP = 50;
const BYTES = 58;
const BOOL = 16;
const INT = 24;
const DOUBLE = 33;
const NOTHING = 0;
/** Maps with more entries than this are sorted by the engine: insertion would take quadratic time. */
const FEW = 24;

const entry: RawEntry = { bytes: EMPTY, keyStart: -1, keyEnd: -1, valueStart: -1, valueEnd: -1 };

/** A key in the making. One is reused for many series: `reset`, then its parts in a fixed order. */
export class SeriesKey {
  #bytes = Buffer.allocUnsafeSlow(1024);
  #length = 0;
  /** Entries of a map in their order, and where their keys lie in `#keyBytes`. */
  #order = new Int32Array(FEW);
  #starts = new Int32Array(FEW);
  #ends = new Int32Array(FEW);
  #keyBytes: Buffer = EMPTY;

  get bytes(): Buffer {
    return this.#bytes;
  }
  get length(): number {
    return this.#length;
  }

  reset(): this {
    this.#length = 0;
    return this;
  }
  /** A small number, 0 … 255. */
  number(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }
  /** 64 bits. */
  fixed64(value: bigint): this {
    this.#reserve(8);
    this.#length = this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), this.#length);
    return this;
  }
  text(bytes: Uint8Array): this {
    this.#text(asBuffer(bytes), 0, bytes.length);
    return this;
  }

  attributes(map: KeyValues): this {
    const count = map.size;
    if (!this.#locate(map, count)) {
      this.#map(map);
      return this;
    }
    this.#varint(count);
    this.#sort(count);
    for (let k = 0; k < count; k++) {
      const i = this.#order[k]!;
      const isRepeated = k > 0 && this.#compare(i, this.#order[k - 1]!) === 0;
      if (isRepeated) this.#order[k] = this.#order[k - 1]!; // the first value counts
      this.#text(this.#keyBytes, this.#starts[i]!, this.#ends[i]!);
      this.#value(map, this.#order[k]!);
    }
    return this;
  }

  /** Notes where all keys are; false if some entry has no place in the bytes. */
  #locate(map: KeyValues, count: number): boolean {
    if (count > this.#order.length) {
      const capacity = count * 2;
      this.#order = new Int32Array(capacity);
      this.#starts = new Int32Array(capacity);
      this.#ends = new Int32Array(capacity);
    }
    for (let i = 0; i < count; i++) {
      if (!map.rawAt(i, entry)) return false;
      this.#keyBytes = entry.bytes;
      this.#starts[i] = Math.max(0, entry.keyStart);
      this.#ends[i] = Math.max(0, entry.keyEnd);
      this.#order[i] = i;
    }
    return true;
  }

  #sort(count: number): void {
    const order = this.#order;
    if (count > FEW) {
      order.subarray(0, count).sort((a, b) => this.#compare(a, b) || a - b);
      return;
    }
    for (let k = 1; k < count; k++) {
      const i = order[k]!;
      let at = k;
      for (; at > 0 && this.#compare(order[at - 1]!, i) > 0; at--) order[at] = order[at - 1]!;
      order[at] = i;
    }
  }
  #compare(a: number, b: number): number {
    const bytes = this.#keyBytes;
    let i = this.#starts[a]!;
    let k = this.#starts[b]!;
    const endA = this.#ends[a]!;
    const endB = this.#ends[b]!;
    for (; i < endA && k < endB; i++, k++) {
      const difference = bytes[i]! - bytes[k]!;
      if (difference !== 0) return difference;
    }
    return endA - i - (endB - k);
  }

  /** A value is copied if its bytes are the shortest form, else written anew. */
  #value(map: KeyValues, i: number): void {
    if (!map.rawAt(i, entry)) {
      this.#any(map.valueAt(i));
      return;
    }
    const { bytes, valueStart: from, valueEnd: to } = entry;
    if (from < 0 || from === to) this.number(NOTHING);
    else if (isPlain(bytes, from, to)) this.#raw(bytes, from, to);
    else this.#any(map.valueAt(i));
  }
  #any(value: AnyValue): void {
    switch (typeof value) {
      case "undefined":
        this.number(NOTHING);
        return;
      case "string":
        this.number(TEXT).text(Buffer.from(value));
        return;
      case "boolean":
        this.number(BOOL).number(value ? 1 : 0);
        return;
      case "bigint":
        this.number(INT).#bigVarint(value);
        return;
      case "number":
        this.number(DOUBLE);
        this.#reserve(8);
        this.#length = this.#bytes.writeDoubleLE(value, this.#length);
        return;
    }
    if (value instanceof KeyValues) this.number(MAP).#map(value);
    else if (value instanceof ValueList) {
      this.number(LIST).#varint(value.items.length);
      for (const item of value.items) this.#any(item);
    } else this.number(BYTES).text(value);
  }
  /** Maps inside of values, and those that somebody edited. */
  #map(map: KeyValues): void {
    const keys = Array.from({ length: map.size }, (_, i) => ({ i, key: Buffer.from(map.keyAt(i)) }));
    keys.sort((a, b) => Buffer.compare(a.key, b.key) || a.i - b.i);
    this.#varint(keys.length);
    let first = 0;
    for (const [k, { i, key }] of keys.entries()) {
      if (k === 0 || Buffer.compare(key, keys[k - 1]!.key) !== 0) first = i;
      this.text(key).#any(map.valueAt(first));
    }
  }

  #text(bytes: Buffer, start: number, end: number): void {
    this.#varint(end - start);
    this.#raw(bytes, start, end);
  }
  #raw(bytes: Buffer, start: number, end: number): void {
    this.#reserve(end - start);
    if (end - start > 32) bytes.copy(this.#bytes, this.#length, start, end);
    else for (let i = start, to = this.#length; i < end; i++, to++) this.#bytes[to] = bytes[i]!;
    this.#length += end - start;
  }
  #varint(value: number): void {
    this.#reserve(5);
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#length++] = rest;
  }
  #bigVarint(value: bigint): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
    this.#bytes[this.#length++] = Number(rest);
  }
  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(needed * 2);
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

/** Whether the AnyValue at `bytes[from, to)` is one scalar in the shortest form, which is the only one of its value. */
function isPlain(bytes: Buffer, from: number, to: number): boolean {
  switch (bytes[from]) {
    case TEXT:
    case BYTES: {
      const end = varintEnd(bytes, from + 1, to);
      if (end < 0) return false;
      let length = 0;
      for (let i = end - 1; i > from; i--) length = length * 128 + (bytes[i]! & 0x7f);
      return end + length === to;
    }
    case INT:
      return varintEnd(bytes, from + 1, to) === to;
    case BOOL:
      return to - from === 2 && bytes[from + 1]! < 2;
    case DOUBLE:
      return to - from === 9;
    default:
      return false;
  }
}
/** Where a varint ends; −1 if it is longer than it need be. */
function varintEnd(bytes: Buffer, start: number, end: number): number {
  for (let i = start; i < end; i++) {
    if (bytes[i]! >= 0x80) continue;
    return bytes[i] === 0 && i > start ? -1 : i + 1;
  }
  return -1;
}
