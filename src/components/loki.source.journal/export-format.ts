import type { SliceableBuffer } from "#pipeline/log-batch";
import { allocate } from "#pipeline/log-batch";

/** Fields beyond this size of their entry are left out: core dumps of some systems are in the journal. */
const MAX_ENTRY_BYTES = 16 * 1024 * 1024;
const FIRST_BYTES = 128 * 1024;
const KEEP_BYTES = 1024 * 1024;
const NEWLINE = 10;
const EQUALS = 61;
const SIZE_BYTES = 8;

/** One entry of the journal, lent until the callback that gets it returns. */
export interface JournalEntry {
  /** The bytes that the offsets are of. */
  readonly data: SliceableBuffer;
  readonly count: number;
  /** Whether the field `MESSAGE` was too large to be kept. */
  readonly messageTooLarge: boolean;
  name(field: number): string;
  start(field: number): number;
  end(field: number): number;
  value(field: number): string;
}

/**
 * Reads the journal's export format (`journalctl -o export`), which has every byte of every field, from chunks that end
 * anywhere. Memory is bounded: of an entry's fields only so much is kept, what is beyond is passed over unread.
 */
export class ExportReader implements JournalEntry {
  data = allocate(FIRST_BYTES);
  #length = 0;
  /** Where the entry begins; field offsets are from here. */
  #begin = 0;
  /** Where the next field begins, … */
  #scan = 0;
  /** … and how far it was searched for the end of its line. */
  #searched = 0;
  readonly #names: string[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  /** Bytes of a field that is passed over; Infinity: up to the end of the line. */
  #skip = 0;
  messageTooLarge = false;

  get count(): number {
    return this.#names.length;
  }
  name(field: number): string {
    return this.#names[field]!;
  }
  start(field: number): number {
    return this.#begin + this.#starts[field]!;
  }
  end(field: number): number {
    return this.#begin + this.#ends[field]!;
  }
  value(field: number): string {
    return this.data.utf8Slice(this.start(field), this.end(field));
  }

  /** Forgets an entry that was cut short. */
  reset(): void {
    this.#length = 0;
    this.#skip = 0;
    this.#next(0);
  }

  /** Takes a chunk and gives each entry that is complete. */
  push(chunk: Uint8Array, onEntry: (entry: JournalEntry) => void): void {
    let from = 0;
    if (this.#skip > 0) {
      from = this.#passOver(chunk);
      if (from < 0) return;
    }
    this.#append(chunk, from);
    while (this.#field(onEntry)) {}
  }

  /** Where in the chunk the field that is passed over ends; −1 if it does not. */
  #passOver(chunk: Uint8Array): number {
    if (this.#skip === Infinity) {
      const newline = chunk.indexOf(NEWLINE);
      if (newline < 0) return -1;
      this.#skip = 0;
      return newline + 1;
    }
    const take = Math.min(this.#skip, chunk.length);
    this.#skip -= take;
    return this.#skip > 0 ? -1 : take;
  }

  #append(chunk: Uint8Array, from: number): void {
    if (this.#begin > 0) {
      this.data.copyWithin(0, this.#begin, this.#length);
      this.#length -= this.#begin;
      this.#scan -= this.#begin;
      this.#searched -= this.#begin;
      this.#begin = 0;
    }
    const needed = this.#length + chunk.length - from;
    const tooLarge = this.data.length > KEEP_BYTES && needed <= FIRST_BYTES;
    if (needed > this.data.length || tooLarge) {
      const other = allocate(tooLarge ? FIRST_BYTES : Math.max(needed, this.data.length * 2));
      this.data.copy(other, 0, 0, this.#length);
      this.data = other;
    }
    this.data.set(from === 0 ? chunk : chunk.subarray(from), this.#length);
    this.#length = needed;
  }

  /** Reads one field or the end of an entry; false if more bytes are needed. */
  #field(onEntry: (entry: JournalEntry) => void): boolean {
    const { data } = this;
    const at = this.#scan;
    if (at >= this.#length) return false;
    if (data[at] === NEWLINE) {
      if (this.count > 0) onEntry(this);
      this.#next(at + 1);
      return true;
    }
    let newline = data.indexOf(NEWLINE, Math.max(at, this.#searched));
    if (newline >= this.#length) newline = -1;
    const equals = data.indexOf(EQUALS, at);
    const isText = equals >= 0 && equals < (newline < 0 ? this.#length : newline);
    if (newline < 0) {
      this.#searched = this.#length;
      if (this.#length - this.#begin <= MAX_ENTRY_BYTES) return false;
      this.#leaveOut(isText ? data.latin1Slice(at, equals) : "");
      this.#skip = Infinity;
      this.#length = at;
      this.#searched = at;
      return false;
    }
    if (isText) {
      this.#add(at, equals, equals + 1, newline);
      this.#scan = newline + 1;
      return true;
    }
    const value = newline + 1 + SIZE_BYTES;
    if (value > this.#length) return false;
    const size = data.readUInt32LE(newline + 1) + data.readUInt32LE(newline + 5) * 2 ** 32;
    if (at - this.#begin + size > MAX_ENTRY_BYTES) {
      this.#leaveOut(data.latin1Slice(at, newline));
      const there = Math.min(size + 1, this.#length - value);
      this.#skip = size + 1 - there;
      data.copyWithin(at, value + there, this.#length);
      this.#length -= value + there - at;
      return this.#skip === 0;
    }
    if (value + size + 1 > this.#length) return false;
    this.#add(at, newline, value, value + size);
    this.#scan = value + size + 1;
    return true;
  }

  #add(name: number, nameEnd: number, start: number, end: number): void {
    this.#names.push(this.data.latin1Slice(name, nameEnd));
    this.#starts.push(start - this.#begin);
    this.#ends.push(end - this.#begin);
  }
  #leaveOut(name: string): void {
    if (name === "MESSAGE") this.messageTooLarge = true;
  }

  #next(begin: number): void {
    this.#begin = begin;
    this.#scan = begin;
    this.#searched = begin;
    this.#names.length = 0;
    this.#starts.length = 0;
    this.#ends.length = 0;
    this.messageTooLarge = false;
  }
}
