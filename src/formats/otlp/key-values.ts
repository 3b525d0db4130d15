import { Bytes, NO_BYTES } from "../bytes.ts";
import { FieldPlace } from "../field-place.ts";
import { ProtoReader, ProtoWriter, WIRE_BYTES } from "../protobuf.ts";
import type { AttributeKey } from "./attribute-key.ts";
import { type AnyValue, decodeAny, isChanged, isMutable, type RecordPart, writeAny, writeKeyValue } from "./values.ts";

const [KEY_TAG, VALUE_TAG, TEXT_TAG] = [10, 18, 10];
/** An empty value that is known. */
const NIL = Symbol("nil");
/**
 * Numbers that describe one entry: where its field begins and ends, where its key begins and its length, where its value
 * begins and ends. Places are −1 for what is not there.
 */
const STRIDE = 6;
/** In the place of a field's begin: the entry was edited. In that of a key's length: the key was given. */
const GIVEN = -1;
const ANY_LENGTH = -1;

const place = new FieldPlace();
const reader = new ProtoReader(NO_BYTES.buffer);

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
  #bytes = NO_BYTES;
  #count = 0;
  #ranges = new Int32Array(STRIDE * 8);
  /** A bit for each length that a key has, modulo 32, so that a key is mostly known to be missing at once. */
  #lengths = 0;
  /** Keys that were given, or decoded. */
  #keys: (string | AttributeKey | undefined)[] = [];
  /** Values that were given, or decoded; `undefined` for those that were not. */
  #values: (Exclude<AnyValue, undefined> | EncodedEntry | typeof NIL | undefined)[] = [];
  /** How many entries may have had something in `#keys` or `#values`. */
  #known = 0;
  #edited = false;
  /** Some value is a map or list that may have been edited itself. */
  #nested = false;

  /** Points at other bytes, without entries; `add` follows. */
  reset(bytes: Uint8Array): void {
    this.#bytes = Bytes.of(bytes);
    this.forget();
  }

  /** Adds the KeyValues of fields that follow each other from `from` to `to`. Throws ProtobufError for what is none. */
  addRun(from: number, to: number): void {
    for (let at = from; at < to; at = place.stop) {
      place.read(this.#bytes.buffer, at, to);
      this.add(at, place.body, place.stop);
    }
  }
  /** Adds the KeyValue at `bytes[body, stop)`, whose field begins at `at`. Throws ProtobufError for what is none. */
  add(at: number, body: number, stop: number): void {
    const base = this.#count * STRIDE;
    if (base + STRIDE > this.#ranges.length) this.#grow();
    this.#count += 1;
    const ranges = this.#ranges;
    ranges[base] = at;
    ranges[base + 1] = stop;
    // The common form first: key and value, each of a length of one byte, and nothing else.
    const bytes = this.#bytes.buffer;
    const keyLength = bytes[body + 1]!;
    const value = body + 4 + keyLength;
    if (value <= stop && keyLength < 0x80 && stop - value < 0x80 && bytes[body] === KEY_TAG) {
      if (bytes[value - 2] === VALUE_TAG && bytes[value - 1] === stop - value) {
        ranges[base + 2] = body + 2;
        ranges[base + 3] = keyLength;
        ranges[base + 4] = value;
        ranges[base + 5] = stop;
        this.#lengths |= 1 << keyLength;
        return;
      }
    }
    ranges[base + 2] = ranges[base + 4] = ranges[base + 5] = -1;
    ranges[base + 3] = 0;
    reader.reset(bytes, body, stop);
    while (!reader.done) {
      const tag = reader.tag();
      if (tag !== KEY_TAG && tag !== VALUE_TAG) {
        reader.skip(tag);
        continue;
      }
      const length = reader.length();
      const from = reader.position;
      reader.position = from + length;
      if (tag === KEY_TAG) {
        ranges[base + 2] = from;
        ranges[base + 3] = length;
      } else {
        ranges[base + 4] = from;
        ranges[base + 5] = from + length;
      }
    }
    this.#lengths |= 1 << ranges[base + 3]!;
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
    const { length } = key.bytes;
    if ((this.#lengths & (1 << length)) === 0) return -1;
    const { view } = this.#bytes;
    const ranges = this.#ranges;
    for (let i = 0, base = 0; i < this.#count; i++, base += STRIDE) {
      const found = ranges[base + 3]!;
      if (found === length) {
        if (key.isAt(view, ranges[base + 2]!)) return i;
      } else if (found === GIVEN) {
        const given = this.#keys[i]!;
        if (given === key || textOf(given) === key.text) return i;
      }
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
    const key = from < 0 ? "" : this.#bytes.buffer.utf8Slice(from, from + this.#ranges[i * STRIDE + 3]!);
    this.#know(i);
    this.#keys[i] = key;
    return key;
  }
  valueAt(i: number): AnyValue {
    const known = this.#values[i];
    if (known !== undefined) return known instanceof EncodedEntry ? known.value : known === NIL ? undefined : known;
    const from = this.#ranges[i * STRIDE + 4]!;
    const value = from < 0 ? undefined : decodeAny(this.#bytes.buffer, from, this.#ranges[i * STRIDE + 5]!);
    this.#setValue(i, value);
    return value;
  }
  /** Where the key and the value of entry i lie; false for an entry that was given or edited, or may have been. */
  rawAt(i: number, into: RawEntry): boolean {
    const base = i * STRIDE;
    if (this.#ranges[base] === GIVEN || typeof this.#values[i] === "object") return false;
    into.bytes = this.#bytes.buffer;
    into.keyStart = this.#ranges[base + 2]!;
    into.keyEnd = into.keyStart + this.#ranges[base + 3]!;
    into.valueStart = this.#ranges[base + 4]!;
    into.valueEnd = this.#ranges[base + 5]!;
    return true;
  }
  /** Whether entry i is this text; does not decode it. */
  textIs(i: number, text: AttributeKey): boolean {
    const known = this.#values[i];
    if (known !== undefined) return this.valueAt(i) === text.text;
    const from = this.#ranges[i * STRIDE + 4]!;
    const { length } = text.bytes;
    // The common form only: one field with a length of one byte.
    if (length > 0x7f || this.#ranges[i * STRIDE + 5]! - from !== length + 2 || this.#bytes.buffer[from] !== TEXT_TAG) {
      return this.valueAt(i) === text.text;
    }
    return text.isAt(this.#bytes.view, from + 2);
  }

  /** Replaces the value of the first entry with the key, or adds one. The value is the map's from then on. */
  set(key: AttributeKey, value: AnyValue): void {
    const i = this.find(key);
    if (i >= 0) this.setAt(i, value);
    else this.append(key, value);
  }
  /** An EncodedEntry must be of the key that is there. */
  setAt(i: number, value: AnyValue | EncodedEntry): void {
    this.#setValue(i, value);
    this.#ranges[i * STRIDE] = GIVEN;
    this.#edited = true;
  }
  setKeyAt(i: number, key: string): void {
    this.setAt(i, this.valueAt(i));
    this.#keys[i] = key;
    this.#ranges[i * STRIDE + 3] = GIVEN;
    this.#lengths = ANY_LENGTH;
  }
  /** Adds an entry whatever keys there are. */
  append(key: string | AttributeKey, value: AnyValue | EncodedEntry): void {
    const i = this.#count;
    const base = i * STRIDE;
    if (base + STRIDE > this.#ranges.length) this.#grow();
    this.#ranges[base + 3] = GIVEN;
    this.#lengths |= typeof key === "string" ? ANY_LENGTH : 1 << key.bytes.length;
    this.#count = i + 1;
    this.setAt(i, value);
    this.#keys[i] = key;
  }
  remove(key: AttributeKey): boolean {
    const i = this.find(key);
    if (i < 0) return false;
    this.#count -= 1;
    for (let k = i; k < this.#count; k++) this.#move(k + 1, k);
    this.#edited = true;
    return true;
  }
  /** Removes the entries for which `isUnwanted` is true; the others keep their order. */
  removeIf(isUnwanted: (i: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      if (isUnwanted(i)) continue;
      if (kept !== i) this.#move(i, kept);
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
    for (let i = 0; i < this.#known; i++) this.#keys[i] = this.#values[i] = undefined;
    this.#known = 0;
    this.#count = 0;
    this.#lengths = 0;
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
    this.#lengths = source.#lengths;
    this.#keys = source.#keys;
    this.#values = source.#values;
    this.#known = source.#known;
    this.#nested = source.#nested;
    this.#edited = true;
  }
  /** A map of its own with the same entries; the bytes are shared. */
  copy(): KeyValues {
    const copy = new KeyValues();
    const count = this.#count;
    copy.#bytes = this.#bytes;
    copy.#count = count;
    copy.#lengths = this.#lengths;
    copy.#ranges = this.#ranges.slice(0, Math.max(count, 4) * STRIDE);
    copy.#keys = this.#keys.slice(0, count);
    copy.#values = this.#values.slice(0, count).map((value) => (isMutable(value) ? value.copy() : value));
    copy.#known = Math.min(this.#known, count);
    copy.#edited = true;
    copy.#nested = this.#nested;
    return copy;
  }

  writeField(writer: ProtoWriter, field: number): void {
    const ranges = this.#ranges;
    const bytes = this.#bytes.buffer;
    // A copy of a map from elsewhere has another field number: the tag is one byte in all of OTLP's messages.
    const tag = (field << 3) | WIRE_BYTES;
    // Neighbours that nobody edited are copied in one go.
    let from = 0;
    let to = 0;
    for (let i = 0; i < this.#count; i++) {
      const base = i * STRIDE;
      const at = ranges[base]!;
      const isOriginal = at !== GIVEN && !(this.#nested && isChanged(this.#values[i]));
      if (!(isOriginal && at === to)) {
        writer.copy(this.#bytes, from, to);
        from = to = 0;
      }
      if (!isOriginal) this.#writeEntry(writer, field, i);
      else if (to !== 0 || bytes[at] === tag) {
        if (to === 0) from = at;
        to = ranges[base + 1]!;
      } else {
        writer.rawVarint(tag);
        writer.copy(this.#bytes, at + tagLength(bytes, at), ranges[base + 1]!);
      }
    }
    writer.copy(this.#bytes, from, to);
  }
  #writeEntry(writer: ProtoWriter, field: number, i: number): void {
    const value = this.#values[i];
    if (value instanceof EncodedEntry) {
      writer.tag(field, WIRE_BYTES);
      writer.copy(value.bytes, 0, value.bytes.buffer.length);
      return;
    }
    const keyLength = this.#ranges[i * STRIDE + 3]!;
    const mark = writer.begin(field);
    if (keyLength !== GIVEN) {
      const keyAt = this.#ranges[i * STRIDE + 2]!;
      if (keyAt >= 0) writer.bytes(1, this.#bytes.buffer, keyAt, keyAt + keyLength);
    } else {
      const key = this.#keys[i]!;
      if (typeof key !== "string") writer.copy(key.field, 0, key.field.buffer.length);
      else if (key !== "") writer.string(1, key);
    }
    const inner = writer.begin(2);
    writeAny(writer, this.valueAt(i));
    writer.end(inner);
    writer.end(mark);
  }

  #know(i: number): void {
    if (i >= this.#known) this.#known = i + 1;
  }
  #setValue(i: number, value: AnyValue | EncodedEntry): void {
    this.#know(i);
    this.#values[i] = value === undefined ? NIL : value;
    if (isMutable(value)) this.#nested = true;
  }
  /** Puts an entry in the place of another one. */
  #move(i: number, to: number): void {
    for (let k = 0; k < STRIDE; k++) this.#ranges[to * STRIDE + k] = this.#ranges[i * STRIDE + k]!;
    if (to >= this.#known) return;
    this.#keys[to] = this.#keys[i];
    this.#values[to] = this.#values[i];
  }
  #grow(): void {
    const larger = new Int32Array(this.#ranges.length * 2);
    larger.set(this.#ranges);
    this.#ranges = larger;
  }
}

/** An entry that is set again and again, with its bytes. Nobody must edit a map or list in it. */
export class EncodedEntry {
  readonly key: AttributeKey;
  readonly value: AnyValue;
  /** The entry from its length on. */
  readonly bytes: Bytes;
  /** Where in it the content of the value begins. */
  readonly valueAt: number;

  constructor(key: AttributeKey, value: AnyValue) {
    this.key = key;
    this.value = value;
    const writer = new ProtoWriter();
    writeAny(writer, value);
    const { length } = writer;
    writer.reset();
    writeKeyValue(writer, 1, key, value);
    this.bytes = new Bytes(writer.finish().subarray(1));
    this.valueAt = this.bytes.buffer.length - length;
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
