import { type ByteRange, type NumberPointScan, RANGE_STRIDE } from "#formats/otlp/number-scan";
import { type AnyValue, KeyValues, type RawEntry, ValueList } from "#formats/otlp/values";
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
  #view = viewOf(this.#bytes);
  #length = 0;
  /** Where keys and values of a map's entries lie in `#source`, `RANGE_STRIDE` numbers each; those of a scan, or `#own`. */
  #source: Buffer = EMPTY;
  #ranges: Int32Array;
  #own = new Int32Array(RANGE_STRIDE * FEW);
  /** The order of the last map with so many entries: mostly that of the next one too, so that nothing is to be sorted. */
  readonly #orders: Int32Array[] = [];

  constructor() {
    this.#ranges = this.#own;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }
  /** Of the same bytes. */
  get view(): DataView {
    return this.#view;
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
  /** 64 bits in two halves. */
  fixed64(low: number, high: number): this {
    this.#reserve(8);
    this.#view.setInt32(this.#length, low, true);
    this.#view.setInt32(this.#length + 4, high, true);
    this.#length += 8;
    return this;
  }
  text({ bytes, start, end }: ByteRange): this {
    this.#text(bytes, start, end);
    return this;
  }

  attributes(map: KeyValues): this {
    const count = map.size;
    if (this.#locate(map, count)) this.#entries(count, map);
    else this.#map(map);
    return this;
  }
  /** The same for the attributes of a point; false, with nothing added, if some value is not in the shortest form. */
  attributesOf({ bytes, count, ranges }: NumberPointScan): boolean {
    for (let at = 0; at < count * RANGE_STRIDE; at += RANGE_STRIDE) {
      const from = ranges[at + 2]!;
      const to = ranges[at + 3]!;
      if (from !== to && !isPlain(bytes, from, to)) return false;
    }
    this.#source = bytes;
    this.#ranges = ranges;
    this.#entries(count, undefined);
    return true;
  }

  /** Notes where keys and values are; false if some entry has no place in the bytes. */
  #locate(map: KeyValues, count: number): boolean {
    if (count * RANGE_STRIDE > this.#own.length) this.#own = new Int32Array(count * RANGE_STRIDE * 2);
    const ranges = this.#own;
    for (let i = 0, at = 0; i < count; i++, at += RANGE_STRIDE) {
      if (!map.rawAt(i, entry)) return false;
      this.#source = entry.bytes;
      ranges[at] = Math.max(0, entry.keyStart);
      ranges[at + 1] = Math.max(0, entry.keyEnd);
      ranges[at + 2] = Math.max(0, entry.valueStart);
      ranges[at + 3] = Math.max(0, entry.valueEnd);
    }
    this.#ranges = ranges;
    return true;
  }
  /** Without a map all values are in the shortest form. */
  #entries(count: number, map: KeyValues | undefined): void {
    this.#varint(count);
    const order = this.#sorted(count);
    const ranges = this.#ranges;
    let first = 0;
    for (let k = 0; k < count; k++) {
      const i = order[k]!;
      const isRepeated = k > 0 && this.#compare(i, order[k - 1]!) === 0;
      if (!isRepeated) first = i; // the first value counts
      this.#text(this.#source, ranges[i * RANGE_STRIDE]!, ranges[i * RANGE_STRIDE + 1]!);
      this.#value(map, first);
    }
  }

  #sorted(count: number): Int32Array {
    if (count > FEW)
      return Int32Array.from({ length: count }, (_, i) => i).sort((a, b) => this.#compare(a, b) || a - b);
    const order = (this.#orders[count] ??= Int32Array.from({ length: count }, (_, i) => i));
    for (let k = 1; k < count; k++) {
      const i = order[k]!;
      let at = k;
      for (; at > 0 && (this.#compare(order[at - 1]!, i) || order[at - 1]! - i) > 0; at--) order[at] = order[at - 1]!;
      order[at] = i;
    }
    return order;
  }
  #compare(a: number, b: number): number {
    const bytes = this.#source;
    const ranges = this.#ranges;
    let i = ranges[a * RANGE_STRIDE]!;
    let k = ranges[b * RANGE_STRIDE]!;
    const endA = ranges[a * RANGE_STRIDE + 1]!;
    const endB = ranges[b * RANGE_STRIDE + 1]!;
    for (; i < endA && k < endB; i++, k++) {
      const difference = bytes[i]! - bytes[k]!;
      if (difference !== 0) return difference;
    }
    return endA - i - (endB - k);
  }

  /** A value is copied if its bytes are the shortest form, else written anew. */
  #value(map: KeyValues | undefined, i: number): void {
    const from = this.#ranges[i * RANGE_STRIDE + 2]!;
    const to = this.#ranges[i * RANGE_STRIDE + 3]!;
    if (from === to) this.number(NOTHING);
    else if (map === undefined || isPlain(this.#source, from, to)) this.#raw(this.#source, from, to);
    else this.#any(map.valueAt(i));
  }
  #any(value: AnyValue): void {
    switch (typeof value) {
      case "undefined":
        this.number(NOTHING);
        return;
      case "string":
        this.number(TEXT).#whole(Buffer.from(value));
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
    } else this.number(BYTES).#whole(asBuffer(value));
  }
  /** Maps inside of values, and those that somebody edited. */
  #map(map: KeyValues): void {
    const keys = Array.from({ length: map.size }, (_, i) => ({ i, key: Buffer.from(map.keyAt(i)) }));
    keys.sort((a, b) => Buffer.compare(a.key, b.key) || a.i - b.i);
    this.#varint(keys.length);
    let first = 0;
    for (const [k, { i, key }] of keys.entries()) {
      if (k === 0 || Buffer.compare(key, keys[k - 1]!.key) !== 0) first = i;
      this.#whole(key).#any(map.valueAt(first));
    }
  }

  #whole(bytes: Buffer): this {
    this.#text(bytes, 0, bytes.length);
    return this;
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
    this.#view = viewOf(grown);
  }
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length);
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
