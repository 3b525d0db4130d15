import { asBuffer, ProtobufError, ProtoReader, type ProtoWriter } from "../protobuf.ts";

/**
 * Attributes and other AnyValues of OTLP as they lie in a request, decoded as late and as little as possible. Edits are
 * kept beside the bytes; whatever nobody edited is written as it came, byte for byte.
 */

/** `undefined` is the empty value; whole numbers are bigints, doubles are numbers. */
export type AnyValue = undefined | string | bigint | number | boolean | Uint8Array | KeyValues | ValueList;

/** What can be part of a record and writes itself when it was edited. */
export interface RecordPart {
  readonly changed: boolean;
  /** Writes all of the field's occurrences. */
  writeField(writer: ProtoWriter, field: number): void;
}

const EMPTY = Buffer.alloc(0);
const BYTES = 2;
/** In the place of a value that was not decoded yet. */
const RAW = Symbol("raw");
/** Numbers that describe one entry: its field with tag and length, its key, its value; −1 where there is none. */
const STRIDE = 6;

const reader = new ProtoReader(EMPTY);

/** A key to look for, with its bytes, so that no key of a request has to become a string for it. */
export class AttributeKey {
  readonly text: string;
  readonly bytes: Uint8Array;
  constructor(text: string) {
    this.text = text;
    this.bytes = Buffer.from(text);
  }
}

/** The place of an entry in the bytes that a map was read from; starts are −1 for what is not there. */
export interface RawEntry {
  bytes: Buffer;
  keyStart: number;
  keyEnd: number;
  /** The content of the AnyValue. */
  valueStart: number;
  valueEnd: number;
}

/** A list of KeyValue messages: attributes, or a map inside of a value. Keys are found from the front, as pdata does. */
export class KeyValues implements RecordPart {
  #bytes: Buffer = EMPTY;
  #count = 0;
  #ranges = new Int32Array(STRIDE * 4);
  /** Keys that were decoded, or given. */
  #keys: (string | AttributeKey | undefined)[] = [];
  #values: (AnyValue | typeof RAW)[] = [];
  /** Entries that are written from their key and value, by index. */
  #fresh: boolean[] = [];
  #edited = false;
  /** Some value is a map or list that may have been edited itself. */
  #nested = false;

  /** Points at other bytes, without entries; `add` follows. */
  reset(bytes: Uint8Array): void {
    this.#bytes = asBuffer(bytes);
    this.#count = 0;
    this.#edited = false;
    this.#nested = false;
  }

  /** Adds the KeyValue at `bytes[body, stop)`, whose field begins at `at`. Throws ProtobufError for what is none. */
  add(at: number, body: number, stop: number): void {
    const i = this.#count;
    const base = i * STRIDE;
    if (base + STRIDE > this.#ranges.length) this.#grow();
    const ranges = this.#ranges;
    ranges[base] = at;
    ranges[base + 1] = stop;
    ranges[base + 2] = ranges[base + 3] = ranges[base + 4] = ranges[base + 5] = -1;
    const bytes = this.#bytes;
    for (let position = body; position < stop; ) {
      const tag = bytes[position]!;
      const length = position + 1 < stop ? bytes[position + 1]! : 0x80;
      let from: number;
      let to: number;
      if ((tag === 10 || tag === 18) && length < 0x80) {
        from = position + 2;
        to = from + length;
        if (to > stop) throw new ProtobufError("a length reaches beyond the end of its message", position);
      } else {
        reader.reset(bytes, position, stop);
        const long = reader.tag();
        if (long !== 10 && long !== 18) {
          reader.skip(long);
          position = reader.position;
          continue;
        }
        const size = reader.length();
        from = reader.position;
        to = from + size;
      }
      const slot = tag === 10 ? base + 2 : base + 4;
      ranges[slot] = from;
      ranges[slot + 1] = to;
      position = to;
    }
    this.#keys[i] = undefined;
    this.#values[i] = RAW;
    this.#fresh[i] = false;
    this.#count = i + 1;
  }

  get size(): number {
    return this.#count;
  }
  get changed(): boolean {
    if (this.#edited) return true;
    if (this.#nested) for (let i = 0; i < this.#count; i++) if (isChanged(this.#values[i])) return true;
    return false;
  }

  /** The index of the first entry with a key; −1 for none. */
  find(key: AttributeKey): number {
    const wanted = key.bytes;
    const length = wanted.length;
    const ranges = this.#ranges;
    const bytes = this.#bytes;
    search: for (let i = 0, base = 2; i < this.#count; i++, base += STRIDE) {
      const known = this.#keys[i];
      if (known !== undefined) {
        if (known === key || textOf(known) === key.text) return i;
        continue;
      }
      const from = ranges[base]!;
      if (ranges[base + 1]! - from !== length) continue;
      for (let k = length - 1; k >= 0; k--) if (bytes[from + k] !== wanted[k]) continue search;
      return i;
    }
    return -1;
  }
  has(key: AttributeKey): boolean {
    return this.find(key) >= 0;
  }
  get(key: AttributeKey): AnyValue {
    const i = this.find(key);
    return i < 0 ? undefined : this.valueAt(i);
  }

  keyAt(i: number): string {
    const known = this.#keys[i];
    if (known !== undefined) return textOf(known);
    const from = this.#ranges[i * STRIDE + 2]!;
    const key = from < 0 ? "" : this.#bytes.toString("utf8", from, this.#ranges[i * STRIDE + 3]!);
    this.#keys[i] = key;
    return key;
  }
  valueAt(i: number): AnyValue {
    const known = this.#values[i];
    if (known !== RAW) return known as AnyValue;
    const from = this.#ranges[i * STRIDE + 4]!;
    const value = from < 0 ? undefined : decodeAny(this.#bytes, from, this.#ranges[i * STRIDE + 5]!);
    this.#values[i] = value;
    if (typeof value === "object") this.#nested = true;
    return value;
  }
  /** Where the key and the value of entry i lie; false for an entry that was given or edited, or may have been. */
  rawAt(i: number, into: RawEntry): boolean {
    if (this.#fresh[i] || typeof this.#values[i] === "object") return false;
    const base = i * STRIDE;
    into.bytes = this.#bytes;
    into.keyStart = this.#ranges[base + 2]!;
    into.keyEnd = this.#ranges[base + 3]!;
    into.valueStart = this.#ranges[base + 4]!;
    into.valueEnd = this.#ranges[base + 5]!;
    return true;
  }
  /** Whether entry i is this text; does not decode it. */
  textIs(i: number, text: AttributeKey): boolean {
    const known = this.#values[i];
    if (known !== RAW) return known === text.text;
    const from = this.#ranges[i * STRIDE + 4]!;
    const wanted = text.bytes;
    const length = wanted.length;
    // The common form only: one field with a length of one byte.
    if (length > 0x7f || this.#ranges[i * STRIDE + 5]! - from !== length + 2 || this.#bytes[from] !== 10) {
      return this.valueAt(i) === text.text;
    }
    const bytes = this.#bytes;
    for (let k = length - 1; k >= 0; k--) if (bytes[from + 2 + k] !== wanted[k]) return false;
    return true;
  }

  /** Replaces the value of the first entry with the key, or adds one. The value is the map's from then on. */
  set(key: AttributeKey, value: AnyValue): void {
    const i = this.find(key);
    if (i >= 0) this.setAt(i, value);
    else this.append(key, value);
  }
  setAt(i: number, value: AnyValue): void {
    this.#values[i] = value;
    this.#fresh[i] = true;
    this.#edited = true;
    if (typeof value === "object") this.#nested = true;
  }
  setKeyAt(i: number, key: string): void {
    const value = this.valueAt(i);
    this.#keys[i] = key;
    this.setAt(i, value);
  }
  /** Adds an entry whatever keys there are. */
  append(key: string | AttributeKey, value: AnyValue): void {
    const i = this.#count;
    if ((i + 1) * STRIDE > this.#ranges.length) this.#grow();
    for (let k = i * STRIDE; k < (i + 1) * STRIDE; k++) this.#ranges[k] = -1;
    this.#keys[i] = key;
    this.#count = i + 1;
    this.setAt(i, value);
  }
  remove(key: AttributeKey): boolean {
    const i = this.find(key);
    if (i >= 0) this.removeIf((each) => each === i);
    return i >= 0;
  }
  /** Removes the entries for which `isUnwanted` is true; the others keep their order. */
  removeIf(isUnwanted: (i: number) => boolean): void {
    const ranges = this.#ranges;
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      if (isUnwanted(i)) continue;
      if (kept !== i) {
        const shift = (i - kept) * STRIDE;
        for (let k = kept * STRIDE; k < (kept + 1) * STRIDE; k++) ranges[k] = ranges[k + shift]!;
        this.#keys[kept] = this.#keys[i];
        this.#values[kept] = this.#values[i];
        this.#fresh[kept] = this.#fresh[i]!;
      }
      kept += 1;
    }
    if (kept !== this.#count) this.#edited = true;
    this.#count = kept;
  }
  clear(): void {
    if (this.#count > 0) this.#edited = true;
    this.#count = 0;
  }
  /** Forgets all entries, edits included: an empty map that nobody edited. */
  forget(): void {
    this.#count = 0;
    this.#edited = false;
    this.#nested = false;
  }
  /** Becomes a copy of another map. */
  assign(other: KeyValues): void {
    if (other === this) return;
    const source = other.copy();
    this.#bytes = source.#bytes;
    this.#count = source.#count;
    this.#ranges = source.#ranges;
    this.#keys = source.#keys;
    this.#values = source.#values;
    this.#fresh = source.#fresh;
    this.#nested = source.#nested;
    this.#edited = true;
  }
  /** A map of its own with the same entries; the bytes are shared. */
  copy(): KeyValues {
    const copy = new KeyValues();
    const count = this.#count;
    copy.#bytes = this.#bytes;
    copy.#count = count;
    copy.#ranges = this.#ranges.slice(0, Math.max(count, 4) * STRIDE);
    copy.#keys = this.#keys.slice(0, count);
    copy.#values = this.#values.slice(0, count).map((value) => (value === RAW ? RAW : copyValue(value as AnyValue)));
    copy.#fresh = this.#fresh.slice(0, count);
    copy.#edited = true;
    copy.#nested = this.#nested;
    return copy;
  }

  writeField(writer: ProtoWriter, field: number): void {
    const ranges = this.#ranges;
    // A copy of a map from elsewhere has another field number: the tag is one byte in all of OTLP's messages.
    const tag = (field << 3) | BYTES;
    // Neighbours that nobody edited are copied in one go.
    let from = 0;
    let to = 0;
    for (let i = 0; i < this.#count; i++) {
      const base = i * STRIDE;
      const value = this.#values[i];
      if (!this.#fresh[i] && !(this.#nested && isChanged(value))) {
        const at = ranges[base]!;
        const stop = ranges[base + 1]!;
        if (at !== to || this.#bytes[at] !== tag) {
          if (to > from) writer.raw(this.#bytes, from, to);
          from = at;
          if (this.#bytes[at] !== tag) {
            writer.rawVarint(tag);
            from += tagLength(this.#bytes, at);
          }
        }
        to = stop;
        continue;
      }
      if (to > from) writer.raw(this.#bytes, from, to);
      from = to = 0;
      const mark = writer.begin(field);
      const key = this.#keys[i];
      if (key !== undefined) {
        if (typeof key !== "string") writer.bytes(1, key.bytes);
        else if (key !== "") writer.string(1, key);
      } else if (ranges[base + 2]! >= 0) writer.bytes(1, this.#bytes, ranges[base + 2]!, ranges[base + 3]!);
      const inner = writer.begin(2);
      writeAny(writer, value === RAW ? this.valueAt(i) : (value as AnyValue));
      writer.end(inner);
      writer.end(mark);
    }
    if (to > from) writer.raw(this.#bytes, from, to);
  }

  #grow(): void {
    const larger = new Int32Array(this.#ranges.length * 2);
    larger.set(this.#ranges);
    this.#ranges = larger;
  }
}

function textOf(key: string | AttributeKey): string {
  return typeof key === "string" ? key : key.text;
}

/** Tags of KeyValue fields are one byte, unless somebody padded them. */
function tagLength(bytes: Buffer, at: number): number {
  let length = 1;
  while (bytes[at + length - 1]! >= 0x80) length += 1;
  return length;
}

/** A list inside of a value. Who edits `items` sets `edited`. */
export class ValueList {
  items: AnyValue[];
  edited: boolean;
  constructor(items: AnyValue[], edited = true) {
    this.items = items;
    this.edited = edited;
  }
  get changed(): boolean {
    return this.edited || this.items.some(isChanged);
  }
  copy(): ValueList {
    return new ValueList(this.items.map(copyValue));
  }
}

/** One AnyValue that is a field by itself: the body of a log record. */
export class AnyPart implements RecordPart {
  #value: AnyValue;
  #edited = false;

  reset(value: AnyValue): void {
    this.#value = value;
    this.#edited = false;
  }
  get value(): AnyValue {
    return this.#value;
  }
  set value(value: AnyValue) {
    this.#value = value;
    this.#edited = true;
  }
  get changed(): boolean {
    return this.#edited || isChanged(this.#value);
  }
  writeField(writer: ProtoWriter, field: number): void {
    const mark = writer.begin(field);
    writeAny(writer, this.#value);
    writer.end(mark);
  }
}

function isChanged(value: AnyValue | typeof RAW): boolean {
  return (value instanceof KeyValues || value instanceof ValueList) && value.changed;
}

/** Maps and lists as copies, all else as it is. */
export function copyValue(value: AnyValue): AnyValue {
  return value instanceof KeyValues || value instanceof ValueList ? value.copy() : value;
}

/** The AnyValue at `bytes[start, end)`; of several values the last counts. Throws ProtobufError. */
export function decodeAny(bytes: Buffer, start: number, end: number): AnyValue {
  // The common form first: a short string and nothing else.
  if (bytes[start] === 10 && end - start === bytes[start + 1]! + 2) return bytes.toString("utf8", start + 2, end);
  const source = new ProtoReader(bytes, start, end);
  let value: AnyValue;
  while (!source.done) {
    const tag = source.tag();
    switch (tag) {
      case 10:
        value = source.string();
        break;
      case 16:
        value = source.bool();
        break;
      case 24:
        value = source.int64();
        break;
      case 33:
        value = source.double();
        break;
      case 42:
        value = decodeList(source);
        break;
      case 50:
        value = decodeMap(source);
        break;
      case 58:
        value = source.lengthDelimited();
        break;
      default:
        source.skip(tag);
    }
  }
  return value;
}

function decodeMap(source: ProtoReader): KeyValues {
  const outer = source.enter();
  const map = new KeyValues();
  map.reset(source.bytes);
  while (!source.done) {
    const at = source.position;
    const tag = source.tag();
    if (tag !== 10) {
      source.skip(tag);
      continue;
    }
    const length = source.length();
    const body = source.position;
    map.add(at, body, body + length);
    source.position = body + length;
  }
  source.leave(outer);
  return map;
}

function decodeList(source: ProtoReader): ValueList {
  const outer = source.enter();
  const items: AnyValue[] = [];
  while (!source.done) {
    const tag = source.tag();
    if (tag !== 10) {
      source.skip(tag);
      continue;
    }
    const length = source.length();
    const body = source.position;
    items.push(decodeAny(asBuffer(source.bytes), body, body + length));
    source.position = body + length;
  }
  source.leave(outer);
  return new ValueList(items, false);
}

/** Writes the fields of an AnyValue. */
export function writeAny(writer: ProtoWriter, value: AnyValue): void {
  switch (typeof value) {
    case "string":
      writer.string(1, value);
      return;
    case "boolean":
      writer.bool(2, value);
      return;
    case "bigint":
      writer.int64(3, value);
      return;
    case "number":
      writer.double(4, value);
      return;
    case "undefined":
      return;
  }
  if (value instanceof KeyValues) {
    const mark = writer.begin(6);
    value.writeField(writer, 1);
    writer.end(mark);
  } else if (value instanceof ValueList) {
    const mark = writer.begin(5);
    for (const item of value.items) {
      const inner = writer.begin(1);
      writeAny(writer, item);
      writer.end(inner);
    }
    writer.end(mark);
  } else writer.bytes(7, value);
}

/** Writes a KeyValue as an occurrence of this field. */
export function writeKeyValue(writer: ProtoWriter, field: number, key: string | AttributeKey, value: AnyValue): void {
  const mark = writer.begin(field);
  if (typeof key === "string") writer.string(1, key);
  else writer.bytes(1, key.bytes);
  const inner = writer.begin(2);
  writeAny(writer, value);
  writer.end(inner);
  writer.end(mark);
}
