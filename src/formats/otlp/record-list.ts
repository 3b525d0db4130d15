import { FieldPlace } from "../field-place.ts";
import { asBuffer, ProtoWriter } from "../protobuf.ts";
import type { ByteRange } from "./number-scan.ts";
import type { OtlpRecord } from "./record.ts";
import type { RecordPart } from "./values.ts";

const EMPTY = Buffer.alloc(0);
const place = new FieldPlace();

/** For the next list of which messages are written anew: memory that was just in use is the fastest there is. */
let spareWriter: ProtoWriter | undefined;
/** A buffer that grew beyond this is not kept. */
const LARGEST_SPARE = 1024 * 1024;

/** Numbers that describe one message of a list: its field with tag and length, where its content begins, its end. */
const LIST_STRIDE = 3;
/** In the place of a field's begin: the message is a record, or was appended, and has no field yet. */
const NO_FIELD = -1;
/** A field that begins here or below was edited and lies in the patches, at `PATCHED - begin`. */
const PATCHED = -2;

/**
 * A repeated message: spans of a scope, events of a span, data points of a metric … A message becomes a record when it is
 * asked for, or is lent out in a record of the reader's (`borrow`), so that one record can serve a whole list.
 */
export class RecordList implements RecordPart {
  #bytes: Buffer = EMPTY;
  #field = 0;
  #count = 0;
  #ranges = new Int32Array(LIST_STRIDE * 4);
  #records: (OtlpRecord | undefined)[] = [];
  /** Fields that were written anew. */
  #patches: ProtoWriter | undefined;
  /** Some record was pointed at patches, so that there may be views of them still. */
  #isPatchSeen = false;
  #edited = false;
  readonly #spare: OtlpRecord[] = [];
  readonly #make: () => OtlpRecord;

  constructor(make: () => OtlpRecord) {
    this.#make = make;
  }

  /** Points at other bytes, of which this field holds the messages; `addRun` follows. */
  reset(bytes: Uint8Array, field: number): void {
    this.#bytes = asBuffer(bytes);
    this.#field = field;
    for (let i = 0; i < this.#count; i++) this.#recycle(i);
    this.#count = 0;
    this.#records.length = 0;
    this.#edited = false;
    this.#dropPatches();
  }
  /** Adds the messages of fields that follow each other from `from` to `to`. */
  addRun(from: number, to: number): void {
    for (let at = from; at < to; at = place.stop) {
      place.read(this.#bytes, at, to);
      this.#add(at, place.body, place.stop);
    }
  }
  #add(at: number, body: number, stop: number): void {
    const base = this.#count * LIST_STRIDE;
    if (base + LIST_STRIDE > this.#ranges.length) this.#grow();
    this.#ranges[base] = at;
    this.#ranges[base + 1] = body;
    this.#ranges[base + 2] = stop;
    this.#records[this.#count] = undefined;
    this.#count += 1;
  }

  get length(): number {
    return this.#count;
  }
  get changed(): boolean {
    if (this.#edited) return true;
    for (let i = 0; i < this.#count; i++) if (this.#records[i]?.changed) return true;
    return false;
  }

  /** Message i, to be read and edited. */
  at(i: number): OtlpRecord {
    const known = this.#records[i];
    if (known !== undefined) return known;
    const record = this.#spare.pop() ?? this.#make();
    this.#point(i, record);
    this.#records[i] = record;
    return record;
  }
  /**
   * Message i as a record to be handed back with `giveBack`: `lent`, pointed at it, so that one record serves all
   * messages, or the message's own if it has one.
   */
  borrow(i: number, lent: OtlpRecord): OtlpRecord {
    const known = this.#records[i];
    if (known !== undefined) return known;
    this.#point(i, lent);
    return lent;
  }
  /** Keeps the edits of a borrowed record. */
  giveBack(i: number, record: OtlpRecord): void {
    if (record === this.#records[i] || !record.changed) return;
    const patches = this.#patchWriter();
    const from = patches.length;
    const expected = this.#lengthOf(i);
    const mark = patches.begin(this.#field, expected);
    record.write(patches);
    this.#patched(i, from, patches.end(mark, expected), patches.length);
  }
  /**
   * Has message i written anew, from its bytes and without a record. `write` returns false, and writes nothing, for one
   * that stays as it is. Not for messages that somebody has as a record.
   */
  rewrite(i: number, write: (bytes: Buffer, start: number, end: number, out: ProtoWriter) => boolean): void {
    const base = i * LIST_STRIDE;
    const out = this.#patchWriter();
    const from = out.length;
    const isPatched = this.#ranges[base]! <= PATCHED;
    if (isPatched) this.#isPatchSeen = true;
    const bytes = isPatched ? out.buffer : this.#bytes;
    const expected = this.#lengthOf(i);
    const mark = out.begin(this.#field, expected);
    if (write(bytes, this.#ranges[base + 1]!, this.#ranges[base + 2]!, out)) {
      this.#patched(i, from, out.end(mark, expected), out.length);
    } else out.advance(from);
  }
  /** Where the content of message i lies; false for one that was edited, or that somebody has as a record. */
  rawAt(i: number, into: ByteRange): boolean {
    const base = i * LIST_STRIDE;
    if (this.#records[i] !== undefined || this.#ranges[base]! < 0) return false;
    into.bytes = this.#bytes;
    into.start = this.#ranges[base + 1]!;
    into.end = this.#ranges[base + 2]!;
    return true;
  }
  append(): OtlpRecord {
    const record = this.#spare.pop() ?? this.#make();
    record.replace(EMPTY);
    this.#add(NO_FIELD, -1, -1);
    this.#records[this.#count - 1] = record;
    this.#edited = true;
    return record;
  }
  /** Removes the messages for which `isUnwanted` is true. */
  removeIf(isUnwanted: (i: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      if (isUnwanted(i)) {
        this.#recycle(i);
        continue;
      }
      if (kept !== i) {
        this.#ranges.copyWithin(kept * LIST_STRIDE, i * LIST_STRIDE, (i + 1) * LIST_STRIDE);
        this.#records[kept] = this.#records[i];
      }
      kept += 1;
    }
    if (kept === this.#count) return;
    this.#edited = true;
    this.#count = kept;
    this.#records.length = kept;
  }
  /** Becomes a copy of another list. */
  assign(other: RecordList): void {
    if (other === this) return;
    const messages = Array.from({ length: other.length }, (_, i) => other.at(i).encode());
    this.reset(EMPTY, this.#field);
    for (const message of messages) this.append().replace(message);
    this.#edited = true;
  }

  writeField(writer: ProtoWriter, field: number): void {
    const ranges = this.#ranges;
    const patches = this.#patches?.buffer ?? EMPTY;
    // Neighbours are copied in one go.
    let source = this.#bytes;
    let from = 0;
    let to = 0;
    for (let i = 0; i < this.#count; i++) {
      const record = this.#records[i];
      const base = i * LIST_STRIDE;
      const begin = ranges[base]!;
      if (begin === NO_FIELD || record?.changed) {
        writer.raw(source, from, to);
        from = to = 0;
        this.at(i).writeField(writer, field);
        continue;
      }
      const isPatched = begin <= PATCHED;
      const at = isPatched ? PATCHED - begin : begin;
      if (at !== to || source !== (isPatched ? patches : this.#bytes)) {
        writer.raw(source, from, to);
        source = isPatched ? patches : this.#bytes;
        from = at;
      }
      to = ranges[base + 2]!;
    }
    writer.raw(source, from, to);
  }

  /** How long the content of message i is so far. */
  #lengthOf(i: number): number {
    return this.#ranges[i * LIST_STRIDE + 2]! - this.#ranges[i * LIST_STRIDE + 1]!;
  }
  #patchWriter(): ProtoWriter {
    if (this.#patches !== undefined) return this.#patches;
    // Room for all of the list and some more, since most often all of it is written anew.
    const listed = this.#ranges[(this.#count - 1) * LIST_STRIDE + 2]! - this.#ranges[0]!;
    const room = Math.max(0, listed + (listed >> 2)) + 1024;
    if (spareWriter !== undefined && spareWriter.buffer.length >= room) {
      this.#patches = spareWriter;
      spareWriter = undefined;
    } else this.#patches = new ProtoWriter(room);
    return this.#patches;
  }
  #dropPatches(): void {
    const writer = this.#patches;
    this.#patches = undefined;
    if (writer !== undefined && !this.#isPatchSeen && writer.buffer.length <= LARGEST_SPARE) {
      writer.reset();
      if (writer.buffer.length > (spareWriter?.buffer.length ?? 0)) spareWriter = writer;
    }
    this.#isPatchSeen = false;
  }
  /** Message i is the field `[begin, end)` of the patches, with its content from `body` on. */
  #patched(i: number, begin: number, body: number, end: number): void {
    const base = i * LIST_STRIDE;
    this.#ranges[base] = PATCHED - begin;
    this.#ranges[base + 1] = body;
    this.#ranges[base + 2] = end;
    this.#edited = true;
  }

  #point(i: number, record: OtlpRecord): void {
    const base = i * LIST_STRIDE;
    const isPatched = this.#ranges[base]! <= PATCHED;
    if (isPatched) this.#isPatchSeen = true;
    const bytes = isPatched ? this.#patches!.buffer : this.#bytes;
    record.reset(bytes, this.#ranges[base + 1]!, this.#ranges[base + 2]!);
  }
  #recycle(i: number): void {
    const record = this.#records[i];
    // Some are kept: more would hold the memory of the largest list there ever was.
    if (record !== undefined && this.#spare.length < 64) this.#spare.push(record);
  }
  #grow(): void {
    const larger = new Int32Array(this.#ranges.length * 2);
    larger.set(this.#ranges);
    this.#ranges = larger;
  }
}
