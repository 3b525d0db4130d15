import { Bytes, NO_BYTES } from "../bytes.ts";
import { FieldPlace } from "../field-place.ts";
import { ProtoReader, ProtoWriter, WIRE_BYTES } from "../protobuf.ts";
import { RecordList } from "./record-list.ts";
import { AnyPart, decodeAny, KeyValues, type RecordPart } from "./values.ts";

/**
 * Numbers that describe a field of a record: its tag, where it begins, where its content begins, where it ends. Fields of
 * bytes that follow each other under one tag count as one, from the begin of the first, with the content of the last.
 */
const STRIDE = 4;
/** Fields beyond this are unknown to OTLP and only copied. */
const FIELDS = 32;
const MASK = (1n << 64n) - 1n;

/** What an edit puts in the place of a field. */
const NONE = 0;
const REMOVED = 1;
const TEXT = 2;
const BYTES = 3;
const VARINT = 4;
const FIXED64 = 5;
const FIXED32 = 6;
const DOUBLE = 7;
const SINT32 = 8;
const DOUBLES = 9;
const FIXED64S = 10;
const VARINTS = 11;
const PART = 12;

const place = new FieldPlace();
const reader = new ProtoReader(NO_BYTES.buffer);

/**
 * A message of a request: a resource, span, log record, metric, data point … Its fields are found on first use and
 * decoded one by one; edits are kept beside the bytes. A record that nobody edited is written as it came, and of an
 * edited one all other fields are, unknown ones included. Reused with `reset`, so that a pipeline needs few of them.
 *
 * Reading methods give proto3's default for what is missing; of several occurrences of a field the last one counts.
 */
export class OtlpRecord implements RecordPart {
  #bytes = NO_BYTES;
  #start = 0;
  #end = 0;
  /** −1 until the fields were looked for. */
  #count = -1;
  #fields = new Int32Array(STRIDE * 12);
  /** A bit for each field of which several follow each other. */
  #runs = 0;
  /** The content is not that of the field that the record came from. */
  #replaced = false;
  /** A bit for each field with an edit; a part counts as one although nobody may have edited it. */
  #dirty = 0;
  readonly #edits = new Uint8Array(FIELDS);
  readonly #values: unknown[] = new Array(FIELDS).fill(undefined);
  /** Parts of this record and of those before it, reused; those may have been of another kind of message. */
  readonly #parts: (AnyPart | KeyValues | OtlpRecord | RecordList | undefined)[] = new Array(FIELDS).fill(undefined);

  /** Points at the message `bytes[start, end)`, without edits. */
  reset(bytes: Uint8Array, start = 0, end = bytes.length): this {
    this.#bytes = Bytes.of(bytes);
    this.#start = start;
    this.#end = end;
    this.#count = -1;
    this.#replaced = false;
    for (let left = this.#dirty; left !== 0; left &= left - 1) {
      const field = lowestBit(left);
      this.#edits[field] = NONE;
      this.#values[field] = undefined;
    }
    this.#dirty = 0;
    return this;
  }
  /** Becomes a copy of another record. */
  assign(other: OtlpRecord): void {
    if (other === this) return;
    this.reset(other.encode());
    this.#replaced = true;
  }
  /** Becomes the message that these bytes hold. */
  replace(bytes: Uint8Array): void {
    this.reset(bytes);
    this.#replaced = true;
  }

  get changed(): boolean {
    if (this.#replaced) return true;
    for (let left = this.#dirty; left !== 0; left &= left - 1) if (this.#isEdited(lowestBit(left))) return true;
    return false;
  }

  /** Whether the field is there, for oneofs and optional fields. */
  has(field: number): boolean {
    const edit = this.#edits[field]!;
    if (edit === REMOVED) return false;
    return edit !== NONE || this.#anyOf(field);
  }
  text(field: number): string {
    if (this.#edits[field] === TEXT) return this.#values[field] as string;
    const i = this.#find(field, 2);
    return i < 0 ? "" : this.#bytes.buffer.utf8Slice(this.#fields[i + 2]!, this.#fields[i + 3]!);
  }
  bytes(field: number): Uint8Array {
    if (this.#edits[field] === BYTES) return this.#values[field] as Uint8Array;
    const i = this.#find(field, 2);
    return i < 0 ? NO_BYTES.buffer : this.#bytes.buffer.subarray(this.#fields[i + 2]!, this.#fields[i + 3]!);
  }
  /** The length of a field of bytes, without making a view of it. */
  byteLength(field: number): number {
    if (this.#edits[field] === BYTES) return (this.#values[field] as Uint8Array).length;
    const i = this.#find(field, 2);
    return i < 0 ? 0 : this.#fields[i + 3]! - this.#fields[i + 2]!;
  }
  /** `int32`, `uint32`, enums and bools, as a signed number of 32 bits. */
  int32(field: number): number {
    if (this.#edits[field] === VARINT) return Number(BigInt.asIntN(32, this.#values[field] as bigint));
    const i = this.#find(field, 0);
    return i < 0 ? 0 : this.#at(i).int32();
  }
  /** `int64` and `uint64`, signed. */
  int64(field: number): bigint {
    if (this.#edits[field] === VARINT) return BigInt.asIntN(64, this.#values[field] as bigint);
    const i = this.#find(field, 0);
    return i < 0 ? 0n : this.#at(i).int64();
  }
  bool(field: number): boolean {
    return this.int64(field) !== 0n;
  }
  sint32(field: number): number {
    if (this.#edits[field] === SINT32) return this.#values[field] as number;
    const i = this.#find(field, 0);
    return i < 0 ? 0 : this.#at(i).sint32();
  }
  /** `fixed64` and `sfixed64`, signed. */
  fixed64(field: number): bigint {
    if (this.#edits[field] === FIXED64) return this.#values[field] as bigint;
    const i = this.#find(field, 1);
    return i < 0 ? 0n : this.#at(i).sfixed64();
  }
  fixed32(field: number): number {
    if (this.#edits[field] === FIXED32) return this.#values[field] as number;
    const i = this.#find(field, 5);
    return i < 0 ? 0 : this.#at(i).fixed32();
  }
  double(field: number): number {
    if (this.#edits[field] === DOUBLE) return this.#values[field] as number;
    const i = this.#find(field, 1);
    return i < 0 ? 0 : this.#at(i).double();
  }
  /** A repeated double, packed or not. */
  doubles(field: number): readonly number[] {
    if (this.#edits[field] === DOUBLES) return this.#values[field] as number[];
    return this.#packed(field, 1, (from) => from.double());
  }
  fixed64s(field: number): readonly bigint[] {
    if (this.#edits[field] === FIXED64S) return this.#values[field] as bigint[];
    return this.#packed(field, 1, (from) => from.sfixed64());
  }
  varints(field: number): readonly bigint[] {
    if (this.#edits[field] === VARINTS) return this.#values[field] as bigint[];
    return this.#packed(field, 0, (from) => from.int64());
  }

  setText(field: number, value: string): void {
    this.#edit(field, TEXT, value);
  }
  setBytes(field: number, value: Uint8Array): void {
    this.#edit(field, BYTES, value);
  }
  /** Enums and all integers but the fixed and zigzag ones; `bits` is what the field holds. */
  setVarint(field: number, value: bigint | number, bits: 32 | 64 = 64): void {
    const big = BigInt(value);
    this.#edit(field, VARINT, bits === 32 ? BigInt.asIntN(32, big) : big);
  }
  setUint32(field: number, value: bigint): void {
    this.#edit(field, VARINT, BigInt.asUintN(32, value));
  }
  setBool(field: number, value: boolean): void {
    this.#edit(field, VARINT, value ? 1n : 0n);
  }
  setSint32(field: number, value: number): void {
    this.#edit(field, SINT32, value);
  }
  setFixed64(field: number, value: bigint): void {
    this.#edit(field, FIXED64, BigInt.asIntN(64, value));
  }
  setFixed32(field: number, value: number): void {
    this.#edit(field, FIXED32, value >>> 0);
  }
  setDouble(field: number, value: number): void {
    this.#edit(field, DOUBLE, value);
  }
  setDoubles(field: number, value: readonly number[]): void {
    this.#edit(field, DOUBLES, value);
  }
  setFixed64s(field: number, value: readonly bigint[]): void {
    this.#edit(field, FIXED64S, value);
  }
  setVarints(field: number, value: readonly bigint[]): void {
    this.#edit(field, VARINTS, value);
  }
  remove(field: number): void {
    this.#edit(field, REMOVED, undefined);
  }

  /** A repeated KeyValue. Its edits are this record's. */
  map(field: number): KeyValues {
    if (this.#edits[field] === PART) return this.#values[field] as KeyValues;
    let map = this.#parts[field];
    if (!(map instanceof KeyValues)) this.#parts[field] = map = new KeyValues();
    map.reset(this.#bytes.buffer);
    if (this.#edits[field] !== REMOVED) {
      this.#scan();
      const fields = this.#fields;
      const tag = (field << 3) | 2;
      for (let i = 0; i < this.#count * STRIDE; i += STRIDE) {
        if (fields[i] === tag) map.addRun(fields[i + 1]!, fields[i + 3]!);
      }
    }
    return this.#part(field, map);
  }
  /** An AnyValue. Its edits are this record's. */
  any(field: number): AnyPart {
    if (this.#edits[field] === PART) return this.#values[field] as AnyPart;
    let part = this.#parts[field];
    if (!(part instanceof AnyPart)) this.#parts[field] = part = new AnyPart();
    const i = this.#find(field, 2);
    part.reset(i < 0 ? undefined : decodeAny(this.#bytes.buffer, this.#fields[i + 2]!, this.#fields[i + 3]!));
    return this.#part(field, part);
  }
  /** A message inside of this one; an empty one where there is none, which appears once it is edited. */
  record(field: number): OtlpRecord {
    if (this.#edits[field] === PART) return this.#values[field] as OtlpRecord;
    let record = this.#parts[field];
    if (!(record instanceof OtlpRecord)) this.#parts[field] = record = new OtlpRecord();
    const i = this.#edits[field] === REMOVED ? -1 : this.#find(field, 2);
    if (i < 0) record.reset(NO_BYTES.buffer);
    else if (this.#isRepeated(field)) record.reset(this.#merged(field));
    else record.reset(this.#bytes.buffer, this.#fields[i + 2]!, this.#fields[i + 3]!);
    return this.#part(field, record);
  }
  /** A repeated message. Its edits are this record's. */
  list(field: number): RecordList {
    if (this.#edits[field] === PART) return this.#values[field] as RecordList;
    let list = this.#parts[field];
    if (!(list instanceof RecordList)) this.#parts[field] = list = new RecordList(newRecord);
    list.reset(this.#bytes.buffer, field);
    if (this.#edits[field] !== REMOVED) {
      this.#scan();
      const fields = this.#fields;
      const tag = (field << 3) | 2;
      for (let i = 0; i < this.#count * STRIDE; i += STRIDE) {
        if (fields[i] === tag) list.addRun(fields[i + 1]!, fields[i + 3]!);
      }
    }
    return this.#part(field, list);
  }

  /** Writes the content, without a tag. */
  write(writer: ProtoWriter): void {
    let edited = 0;
    for (let left = this.#dirty; left !== 0; left &= left - 1) {
      if (this.#isEdited(lowestBit(left))) edited |= left & -left;
    }
    if (edited === 0) {
      writer.copy(this.#bytes, this.#start, this.#end);
      return;
    }
    this.#scan();
    const fields = this.#fields;
    let left = edited;
    let from = this.#start;
    for (let i = 0; i < this.#count * STRIDE; i += STRIDE) {
      const field = fields[i]! >>> 3;
      if (field >= FIELDS || (edited & (1 << field)) === 0) continue;
      if (fields[i + 1]! > from) writer.copy(this.#bytes, from, fields[i + 1]!);
      from = fields[i + 3]!;
      if ((left & (1 << field)) !== 0) this.#writeEdit(writer, field);
      left &= ~(1 << field);
    }
    writer.copy(this.#bytes, from, this.#end);
    for (; left !== 0; left &= left - 1) this.#writeEdit(writer, lowestBit(left));
  }
  writeField(writer: ProtoWriter, field: number): void {
    const before = this.#end - this.#start;
    const mark = writer.begin(field, before);
    this.write(writer);
    writer.end(mark, before);
  }
  /** The content as bytes that will not change. */
  encode(): Uint8Array {
    if (this.#dirty === 0) return this.#bytes.buffer.subarray(this.#start, this.#end);
    const writer = new ProtoWriter(this.#end - this.#start + 256);
    this.write(writer);
    return writer.finish();
  }

  #isEdited(field: number): boolean {
    const edit = this.#edits[field]!;
    return edit === PART ? (this.#values[field] as RecordPart).changed : edit !== NONE;
  }

  #writeEdit(writer: ProtoWriter, field: number): void {
    const value = this.#values[field];
    switch (this.#edits[field]) {
      case TEXT:
        writer.string(field, value as string);
        break;
      case BYTES:
        writer.bytes(field, value as Uint8Array);
        break;
      case VARINT:
        writer.int64(field, value as bigint);
        break;
      case SINT32:
        writer.sint32(field, value as number);
        break;
      case FIXED64:
        writer.fixed64Big(field, value as bigint);
        break;
      case FIXED32:
        writer.fixed32(field, value as number);
        break;
      case DOUBLE:
        writer.double(field, value as number);
        break;
      case DOUBLES:
        writePacked(writer, field, value as number[], (each) => writer.rawDouble(each));
        break;
      case FIXED64S:
        writePacked(writer, field, value as bigint[], (each) => writer.rawFixed64(low(each), high(each)));
        break;
      case VARINTS:
        writePacked(writer, field, value as bigint[], (each) => writer.rawVarint64(low(each), high(each)));
        break;
      case PART:
        (value as RecordPart).writeField(writer, field);
    }
  }

  #edit(field: number, kind: number, value: unknown): void {
    this.#edits[field] = kind;
    this.#values[field] = value;
    this.#dirty |= 1 << field;
  }
  #part<P extends RecordPart>(field: number, part: P): P {
    this.#edit(field, PART, part);
    return part;
  }

  /** The place of a field's last occurrence in `#fields`; −1 for none. */
  #find(field: number, wire: number): number {
    if (this.#edits[field] === REMOVED) return -1;
    this.#scan();
    const tag = (field << 3) | wire;
    const fields = this.#fields;
    for (let i = (this.#count - 1) * STRIDE; i >= 0; i -= STRIDE) if (fields[i] === tag) return i;
    return -1;
  }
  #anyOf(field: number): boolean {
    return this.#countOf(field) > 0;
  }
  #isRepeated(field: number): boolean {
    return this.#countOf(field) > 1 || (this.#runs & (1 << field)) !== 0;
  }
  #countOf(field: number): number {
    this.#scan();
    let count = 0;
    for (let i = 0; i < this.#count * STRIDE; i += STRIDE) if (this.#fields[i]! >>> 3 === field) count += 1;
    return count;
  }
  #at(i: number): ProtoReader {
    reader.reset(this.#bytes.buffer, this.#fields[i + 2]!, this.#fields[i + 3]!);
    return reader;
  }
  /** A message that comes twice is merged, as protobuf wants: its contents one after the other. */
  #merged(field: number): Buffer {
    const pieces: Buffer[] = [];
    for (let i = 0; i < this.#count * STRIDE; i += STRIDE) {
      if (this.#fields[i] !== ((field << 3) | WIRE_BYTES)) continue;
      this.#eachOf(i, (body, stop) => pieces.push(this.#bytes.buffer.subarray(body, stop)));
    }
    return Buffer.concat(pieces);
  }
  #packed<T>(field: number, wire: number, one: (from: ProtoReader) => T): T[] {
    const values: T[] = [];
    if (this.#edits[field] === REMOVED) return values;
    this.#scan();
    for (let i = 0; i < this.#count * STRIDE; i += STRIDE) {
      const tag = this.#fields[i]!;
      if (tag >>> 3 !== field || ((tag & 7) !== wire && (tag & 7) !== WIRE_BYTES)) continue;
      this.#eachOf(i, (body, stop) => {
        reader.reset(this.#bytes.buffer, body, stop);
        while (!reader.done) values.push(one(reader));
      });
    }
    return values;
  }
  /** Runs a step on the content of each of the fields that count as one at this place in `#fields`. */
  #eachOf(i: number, step: (body: number, stop: number) => void): void {
    const end = this.#fields[i + 3]!;
    for (let at = this.#fields[i + 1]!; at < end; ) {
      place.read(this.#bytes.buffer, at, end);
      at = place.stop;
      step(place.body, at);
    }
  }

  #scan(): void {
    if (this.#count >= 0) return;
    const bytes = this.#bytes.buffer;
    const end = this.#end;
    let fields = this.#fields;
    let base = -STRIDE;
    let before = 0;
    this.#runs = 0;
    for (let at = this.#start; at < end; at = place.stop) {
      place.read(bytes, at, end);
      const { tag } = place;
      if (tag === before && (tag & 7) === WIRE_BYTES) {
        if (tag >>> 3 < FIELDS) this.#runs |= 1 << (tag >>> 3);
      } else {
        base += STRIDE;
        if (base + STRIDE > fields.length) fields = this.#grow();
        fields[base] = before = tag;
        fields[base + 1] = at;
      }
      fields[base + 2] = place.body;
      fields[base + 3] = place.stop;
    }
    this.#count = base / STRIDE + 1;
  }
  #grow(): Int32Array<ArrayBuffer> {
    const larger = new Int32Array(this.#fields.length * 2);
    larger.set(this.#fields);
    this.#fields = larger;
    return larger;
  }
}

function writePacked<T>(writer: ProtoWriter, field: number, values: readonly T[], one: (value: T) => void): void {
  if (values.length === 0) return;
  const mark = writer.begin(field);
  for (const value of values) one(value);
  writer.end(mark);
}
/** The number of the lowest bit that is set. */
function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
function low(value: bigint): number {
  return Number(value & 0xffffffffn);
}
function high(value: bigint): number {
  return Number((value & MASK) >> 32n);
}
function newRecord(): OtlpRecord {
  return new OtlpRecord();
}
