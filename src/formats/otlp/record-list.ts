import { asBuffer, ProtoWriter } from "../protobuf.ts";
import type { ByteRange } from "./number-scan.ts";
import type { OtlpRecord } from "./record.ts";
import type { RecordPart } from "./values.ts";

const EMPTY = Buffer.alloc(0);

/** Numbers that describe one message of a list: its field with tag and length, where its content begins, its end. */
const LIST_STRIDE = 3;
/** In the place of a field's begin: the content was edited and has no field around it. */
const PATCHED = -2;

/**
 * A repeated message: spans of a scope, events of a span, data points of a metric … A message becomes a record when it is
 * asked for, or is lent out in a record of the reader's (`borrow`), so that one record can serve a whole list.
 */
export class RecordList implements RecordPart {
  #bytes: Buffer = EMPTY;
  #count = 0;
  #ranges = new Int32Array(LIST_STRIDE * 4);
  #records: (OtlpRecord | undefined)[] = [];
  /** Contents that were given back; ranges that begin with PATCHED lie here. */
  #patches: ProtoWriter | undefined;
  #edited = false;
  readonly #spare: OtlpRecord[] = [];
  readonly #make: () => OtlpRecord;

  constructor(make: () => OtlpRecord) {
    this.#make = make;
  }

  reset(bytes: Uint8Array): void {
    this.#bytes = asBuffer(bytes);
    for (let i = 0; i < this.#count; i++) this.#recycle(i);
    this.#count = 0;
    this.#records.length = 0;
    this.#edited = false;
    this.#patches = undefined;
  }
  add(at: number, body: number, stop: number): void {
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
    this.#patches ??= new ProtoWriter(4096);
    const from = this.#patches.length;
    record.write(this.#patches);
    const base = i * LIST_STRIDE;
    this.#ranges[base] = PATCHED;
    this.#ranges[base + 1] = from;
    this.#ranges[base + 2] = this.#patches.length;
    this.#edited = true;
  }
  /**
   * Has message i written anew, from its bytes and without a record. `write` returns false, and writes nothing, for one
   * that stays as it is. Not for messages that somebody has as a record.
   */
  rewrite(i: number, write: (bytes: Buffer, start: number, end: number, out: ProtoWriter) => boolean): void {
    const ranges = this.#ranges;
    const base = i * LIST_STRIDE;
    // Room for all of the list, since most often all of it is written anew.
    this.#patches ??= new ProtoWriter(Math.max(0, ranges[(this.#count - 1) * LIST_STRIDE + 2]! - ranges[0]!) + 4096);
    const out = this.#patches;
    const from = out.length;
    const bytes = ranges[base] === PATCHED ? asBuffer(out.view()) : this.#bytes;
    if (!write(bytes, ranges[base + 1]!, ranges[base + 2]!, out)) return;
    ranges[base] = PATCHED;
    ranges[base + 1] = from;
    ranges[base + 2] = out.length;
    this.#edited = true;
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
    this.add(-1, -1, -1);
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
    this.reset(EMPTY);
    for (const message of messages) this.append().replace(message);
    this.#edited = true;
  }

  writeField(writer: ProtoWriter, field: number): void {
    const ranges = this.#ranges;
    const patches = this.#patches?.view() ?? EMPTY;
    // Neighbours that nobody edited are copied in one go.
    let from = 0;
    let to = 0;
    for (let i = 0; i < this.#count; i++) {
      const record = this.#records[i];
      const base = i * LIST_STRIDE;
      const isPatched = ranges[base] === PATCHED;
      if (!isPatched && !record?.changed) {
        if (ranges[base] !== to) {
          writer.raw(this.#bytes, from, to);
          from = ranges[base]!;
        }
        to = ranges[base + 2]!;
        continue;
      }
      writer.raw(this.#bytes, from, to);
      from = to = 0;
      if (record === undefined) writer.bytes(field, patches, ranges[base + 1]!, ranges[base + 2]!);
      else record.writeField(writer, field);
    }
    writer.raw(this.#bytes, from, to);
  }

  #point(i: number, record: OtlpRecord): void {
    const base = i * LIST_STRIDE;
    const bytes = this.#ranges[base] === PATCHED ? this.#patches!.view() : this.#bytes;
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
