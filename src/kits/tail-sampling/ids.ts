/** The bytes of a trace id. */
export const TRACE_ID_BYTES = 16;
/** Tables for more than this begin with room for so many, and grow. */
export const MOST_AT_FIRST = 2 ** 20;
const WORDS = 4;
/** What is hashed comes from outside: without a seed of the process somebody could choose ids that all fall together. */
export const HASH_SEED = (Math.random() * 2 ** 32) | 0;

/**
 * Trace ids and the number (slot) of each: a hash table with open addressing in typed arrays, so that a million traces cost
 * no object and no text. Slots of removed ids are used again; columns of the owner go by slot and grow with `capacity`.
 */
export class TraceIdTable {
  /** Slots there is room for; the owner's columns are as long. */
  capacity: number;
  #size = 0;
  /** Slots that were ever used; those after it are new. */
  #used = 0;
  /** The last slot that became free, plus 1; the first word of a free slot has the next one. */
  #free = 0;
  #words: Uint32Array;
  /** Slots plus 1 by hash; 0 for none. */
  #places: Uint32Array;

  /** Room costs no memory before it is used, and growing leaves garbage behind: ask for what there may be at most. */
  constructor(capacity: number) {
    this.capacity = Math.max(1, capacity);
    this.#words = new Uint32Array(this.capacity * WORDS);
    this.#places = new Uint32Array(placesFor(this.capacity));
  }

  get size(): number {
    return this.#size;
  }

  /** The slot of the id at `bytes[at, at + 16)`; −1 if it is not there. */
  find(bytes: Uint8Array, at: number): number {
    const a = wordAt(bytes, at);
    const b = wordAt(bytes, at + 4);
    const c = wordAt(bytes, at + 8);
    const d = wordAt(bytes, at + 12);
    const words = this.#words;
    const places = this.#places;
    const mask = places.length - 1;
    for (let place = hash(a, b, c, d) & mask; ; place = (place + 1) & mask) {
      const found = places[place]!;
      if (found === 0) return -1;
      const at = (found - 1) * WORDS;
      if (words[at] === a && words[at + 1] === b && words[at + 2] === c && words[at + 3] === d) return found - 1;
    }
  }

  /** Adds an id that is not there; returns its slot. */
  add(bytes: Uint8Array, at: number): number {
    return this.#add(wordAt(bytes, at), wordAt(bytes, at + 4), wordAt(bytes, at + 8), wordAt(bytes, at + 12));
  }
  /** Adds the id that another table has in a slot. */
  addFrom(other: TraceIdTable, slot: number): number {
    const words = other.#words;
    const at = slot * WORDS;
    return this.#add(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
  }
  /** The slot of the id that another table has in a slot; −1 if it is not there. */
  findFrom(other: TraceIdTable, slot: number): number {
    other.copyId(slot, scratch, 0);
    return this.find(scratch, 0);
  }

  remove(slot: number): void {
    const words = this.#words;
    const places = this.#places;
    const mask = places.length - 1;
    let hole = this.#home(slot) & mask;
    while (places[hole] !== slot + 1) hole = (hole + 1) & mask;
    // Those after it that would not be found across the hole move up.
    for (let place = (hole + 1) & mask; places[place] !== 0; place = (place + 1) & mask) {
      const home = this.#home(places[place]! - 1) & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      places[hole] = places[place]!;
      hole = place;
    }
    places[hole] = 0;
    words[slot * WORDS] = this.#free;
    this.#free = slot + 1;
    this.#size -= 1;
  }

  /** Writes the id of a slot. */
  copyId(slot: number, target: Uint8Array, at: number): void {
    for (let w = 0; w < WORDS; w++) {
      const word = this.#words[slot * WORDS + w]!;
      target[at + w * 4] = word;
      target[at + w * 4 + 1] = word >>> 8;
      target[at + w * 4 + 2] = word >>> 16;
      target[at + w * 4 + 3] = word >>> 24;
    }
  }

  #add(a: number, b: number, c: number, d: number): number {
    let slot: number;
    if (this.#free !== 0) {
      slot = this.#free - 1;
      this.#free = this.#words[slot * WORDS]!;
    } else {
      if (this.#used === this.capacity) this.#grow();
      slot = this.#used++;
    }
    const words = this.#words;
    const at = slot * WORDS;
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = c;
    words[at + 3] = d;
    this.#place(slot);
    this.#size += 1;
    return slot;
  }

  #home(slot: number): number {
    const words = this.#words;
    const at = slot * WORDS;
    return hash(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
  }
  #place(slot: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    let place = this.#home(slot) & mask;
    while (places[place] !== 0) place = (place + 1) & mask;
    places[place] = slot + 1;
  }
  /** All slots are in use. */
  #grow(): void {
    this.capacity *= 2;
    this.#words = grown(this.#words, this.capacity * WORDS);
    this.#places = new Uint32Array(placesFor(this.capacity));
    for (let slot = 0; slot < this.#used; slot++) this.#place(slot);
  }
}

const scratch = new Uint8Array(TRACE_ID_BYTES);

/** A power of two, of which at most half is ever used. */
function placesFor(capacity: number): number {
  return 2 ** Math.ceil(Math.log2(capacity * 2));
}

/** A column with its content and room for more. */
export function grown<T extends Uint8Array | Uint16Array | Uint32Array>(column: T, length: number): T {
  const larger = new (column.constructor as new (length: number) => T)(length);
  larger.set(column);
  return larger;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function hash(a: number, b: number, c: number, d: number): number {
  let mixed = Math.imul(a ^ HASH_SEED, 0x85ebca6b);
  mixed = Math.imul((mixed ^ (mixed >>> 15) ^ b) | 0, 0xc2b2ae35);
  mixed = Math.imul((mixed ^ (mixed >>> 13) ^ c) | 0, 0x27d4eb2f);
  mixed = Math.imul((mixed ^ (mixed >>> 16) ^ d) | 0, 0x165667b1);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
