import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import { hashBytes } from "#pipeline/series-hash";
import { writeVarint } from "#pipeline/series-labels";

const INITIAL_STRINGS = 1024;
const INITIAL_BYTES = 64 * 1024;
/** Of a string beside its bytes: the tag and the longest length. */
const OVERHEAD = 6;

/**
 * The strings of one `io.prometheus.write.v2.Request`, each once, as they are on the wire (field 4, repeated). The first is
 * the empty one, as the protocol wants. Used again after `reset`.
 */
export class SymbolTable {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #length = 0;
  #count = 0;
  /** Where the bytes of each string begin and end, and their hash. */
  #starts = new Int32Array(INITIAL_STRINGS);
  #ends = new Int32Array(INITIAL_STRINGS);
  #hashes = new Int32Array(INITIAL_STRINGS);
  /** Open addressing with linear probing: one more than the index; 0 is an empty place. */
  #table = new Int32Array(INITIAL_STRINGS * 2);
  #scratch = Buffer.allocUnsafeSlow(1024);

  constructor() {
    this.reset();
  }

  get count(): number {
    return this.#count;
  }
  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
    this.#count = 0;
    this.#table.fill(0);
    this.intern(this.#scratch, 0, 0);
  }

  /** All strings on the wire, valid until the next call of any method. */
  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** The index of the string `bytes[start, end)`. */
  intern(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    const at = this.#prepare(length);
    for (let i = 0; i < length; i++) this.#bytes[at + i] = bytes[start + i]!;
    return this.#take(at, length, hashBytes(bytes, start, end));
  }

  /** The index of a string that a registry of strings has. */
  internRef(strings: SeriesRegistry, ref: SeriesRef): number {
    const length = strings.encodedLength(ref);
    const at = this.#prepare(length);
    strings.copyEncoded(ref, this.#bytes, at);
    return this.#take(at, length, strings.hash(ref));
  }

  internText(text: string): number {
    if (text.length * 3 > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(text.length * 6);
    return this.intern(this.#scratch, 0, this.#scratch.write(text));
  }

  /** Writes what comes before a string behind the others; returns where its bytes belong. */
  #prepare(length: number): number {
    this.#reserve(length + OVERHEAD);
    this.#bytes[this.#length] = 0x22;
    return writeVarint(this.#bytes, this.#length + 1, length);
  }

  /** The index of the string that lies behind the others, which it joins if it is new. */
  #take(at: number, length: number, hash: number): number {
    const mask = this.#table.length - 1;
    let place = hash & mask;
    for (let found = this.#table[place]!; found !== 0; found = this.#table[place]!) {
      if (this.#hashes[found - 1] === hash && this.#equals(found - 1, at, length)) return found - 1;
      place = (place + 1) & mask;
    }
    const index = this.#count;
    if (index === this.#starts.length) this.#growIndex();
    this.#starts[index] = at;
    this.#ends[index] = this.#length = at + length;
    this.#hashes[index] = hash;
    this.#count += 1;
    if (this.#count * 2 > this.#table.length) this.#rehash();
    else this.#table[place] = index + 1;
    return index;
  }

  #equals(index: number, at: number, length: number): boolean {
    const own = this.#starts[index]!;
    if (this.#ends[index]! - own !== length) return false;
    const bytes = this.#bytes;
    for (let i = 0; i < length; i++) if (bytes[at + i] !== bytes[own + i]) return false;
    return true;
  }

  #rehash(): void {
    const table = new Int32Array(this.#table.length * 2);
    const mask = table.length - 1;
    for (let index = 0; index < this.#count; index++) {
      let place = this.#hashes[index]! & mask;
      while (table[place] !== 0) place = (place + 1) & mask;
      table[place] = index + 1;
    }
    this.#table = table;
  }

  #growIndex(): void {
    this.#starts = doubled(this.#starts);
    this.#ends = doubled(this.#ends);
    this.#hashes = doubled(this.#hashes);
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}
