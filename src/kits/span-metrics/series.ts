import type { KeyBuffer } from "./key.ts";

/**
 * Series of metrics made of spans, in columns: a series is a small number, its key and its encoded attributes lie in one
 * arena, what is counted lies in typed arrays of other classes under the same number.
 */

/** Bounds what the series of one component take together. */
export class MemoryBudget {
  readonly limit: number;
  used = 0;
  constructor(limit: number) {
    this.limit = limit;
  }
  /** Whether so many bytes were still there to take. */
  take(bytes: number): boolean {
    if (this.used + bytes > this.limit) return false;
    this.used += bytes;
    return true;
  }
  giveBack(bytes: number): void {
    this.used -= bytes;
  }
}

/** Columns that are kept beside a table's series. */
export interface SeriesColumns {
  /** Bytes of one series, for the budget. */
  readonly bytesPerSeries: number;
  /** Makes room for so many series. */
  reserve(capacity: number): void;
  /** A series begins, with the number of one that may have been there before. */
  begin(id: number): void;
  /** A series is gone. */
  end(id: number): void;
}

/** The series has no room: the budget of the component is spent. */
export const NO_ROOM = -2;
const UNKNOWN = -1;
const FIRST_CAPACITY = 8;
/** Places in the hash table and numbers in this class's columns, in bytes a series. */
const OWN_BYTES = 48;
/** Less waste than this is not worth a new arena. */
const LITTLE_WASTE = 64 * 1024;

export class SeriesTable {
  /** Live series. */
  size = 0;
  /** Epoch milliseconds when a series was made, and when it last counted something. */
  start: Float64Array = new Float64Array(FIRST_CAPACITY);
  lastSeen: Float64Array = new Float64Array(FIRST_CAPACITY);
  readonly #budget: MemoryBudget;
  readonly #columns: readonly SeriesColumns[];
  readonly #bytesPerSeries: number;
  #capacity = FIRST_CAPACITY;
  /** Numbers given out so far, and those of them that are free again. */
  #given = 0;
  readonly #free: number[] = [];
  #hash = new Int32Array(FIRST_CAPACITY);
  /** Key and attributes of a series begin here in the arena; −1 for a free number. */
  #at = new Int32Array(FIRST_CAPACITY);
  #keyLength = new Int32Array(FIRST_CAPACITY);
  #attributesLength = new Int32Array(FIRST_CAPACITY);
  /** Series numbers by hash, 0 for none and else one more than the number; linear probing. */
  #places = new Int32Array(FIRST_CAPACITY * 2);
  #arena: Buffer = Buffer.alloc(1024);
  #arenaUsed = 0;
  #arenaWaste = 0;

  constructor(budget: MemoryBudget, columns: readonly SeriesColumns[]) {
    this.#budget = budget;
    this.#columns = columns;
    this.#bytesPerSeries = columns.reduce((sum, each) => sum + each.bytesPerSeries, OWN_BYTES);
    for (const each of columns) each.reserve(this.#capacity);
  }

  /** One more than the largest number in use. */
  get limit(): number {
    return this.#given;
  }
  has(id: number): boolean {
    return this.#at[id]! >= 0;
  }

  /** The number of the series with this key; −1 for none. */
  find(key: KeyBuffer, hash: number): number {
    const mask = this.#places.length - 1;
    const { bytes, length } = key;
    const arena = this.#arena;
    search: for (let place = hash & mask; ; place = (place + 1) & mask) {
      const id = this.#places[place]! - 1;
      if (id < 0) return UNKNOWN;
      if (this.#hash[id] !== hash || this.#keyLength[id] !== length) continue;
      const at = this.#at[id]!;
      for (let i = 0; i < length; i++) if (arena[at + i] !== bytes[i]) continue search;
      return id;
    }
  }

  /**
   * Adds a series that `find` did not find; `attributes` are encoded. NO_ROOM if the budget does not allow it, unless
   * `isReserved`: for the few series for which there has to be room.
   */
  add(key: KeyBuffer, hash: number, attributes: Uint8Array, now: number, isReserved: boolean): number {
    const bytes = this.#bytesPerSeries + key.length + attributes.length;
    if (!this.#budget.take(bytes)) {
      if (!isReserved) return NO_ROOM;
      this.#budget.used += bytes;
    }
    const id = this.#free.pop() ?? this.#given++;
    if (id >= this.#capacity) this.#grow();
    const at = this.#reserveArena(key.length + attributes.length);
    key.bytes.copy(this.#arena, at, 0, key.length);
    this.#arena.set(attributes, at + key.length);
    this.#at[id] = at;
    this.#keyLength[id] = key.length;
    this.#attributesLength[id] = attributes.length;
    this.#hash[id] = hash;
    this.start[id] = now;
    this.lastSeen[id] = now;
    this.size += 1;
    for (const each of this.#columns) each.begin(id);
    this.#place(id);
    return id;
  }

  /** Holds keys and attributes; it is another one when series were added. */
  get arena(): Buffer {
    return this.#arena;
  }
  /** A series' encoded attributes are `arena[attributesFrom(id), attributesTo(id))`. */
  attributesFrom(id: number): number {
    return this.#at[id]! + this.#keyLength[id]!;
  }
  attributesTo(id: number): number {
    return this.attributesFrom(id) + this.#attributesLength[id]!;
  }
  /** The first byte of a series' key. */
  keyStart(id: number): number {
    return this.#arena[this.#at[id]!]!;
  }
  /** A view of a series' key, valid until the next change. */
  key(id: number): Buffer {
    const from = this.#at[id]!;
    return this.#arena.subarray(from, from + this.#keyLength[id]!);
  }

  /** Removes the series for which `isOver` is true; returns how many. The others keep their numbers. */
  removeIf(isOver: (id: number) => boolean): number {
    let removed = 0;
    for (let id = 0; id < this.#given; id++) {
      if (this.#at[id]! < 0 || !isOver(id)) continue;
      const bytes = this.#keyLength[id]! + this.#attributesLength[id]!;
      this.#arenaWaste += bytes;
      this.#budget.giveBack(this.#bytesPerSeries + bytes);
      this.#at[id] = -1;
      this.#free.push(id);
      for (const each of this.#columns) each.end(id);
      removed += 1;
    }
    if (removed > 0) {
      this.size -= removed;
      this.#rehash(this.#places.length);
    }
    return removed;
  }

  /** Gives everything back to the budget; the table is of no use any more. */
  close(): void {
    this.removeIf(() => true);
  }

  #grow(): void {
    this.#capacity *= 2;
    this.#hash = doubled(this.#hash);
    this.#at = doubled(this.#at);
    this.#keyLength = doubled(this.#keyLength);
    this.#attributesLength = doubled(this.#attributesLength);
    this.start = grownDoubles(this.start, this.#capacity);
    this.lastSeen = grownDoubles(this.lastSeen, this.#capacity);
    for (const each of this.#columns) each.reserve(this.#capacity);
    this.#rehash(this.#capacity * 2);
  }

  #rehash(places: number): void {
    if (this.#places.length === places) this.#places.fill(0);
    else this.#places = new Int32Array(places);
    for (let id = 0; id < this.#given; id++) if (this.#at[id]! >= 0) this.#place(id);
  }

  #place(id: number): void {
    const mask = this.#places.length - 1;
    let place = this.#hash[id]! & mask;
    while (this.#places[place] !== 0) place = (place + 1) & mask;
    this.#places[place] = id + 1;
  }

  /** Room for so many bytes at the end of the arena, which may move what is in it. */
  #reserveArena(bytes: number): number {
    if (this.#arenaUsed + bytes > this.#arena.length) {
      const live = this.#arenaUsed - this.#arenaWaste;
      const isWasteful = this.#arenaWaste > LITTLE_WASTE && this.#arenaWaste > live;
      const size = isWasteful ? Math.max(1024, live + bytes) : Math.max(this.#arena.length, this.#arenaUsed + bytes);
      this.#moveArena(Buffer.allocUnsafeSlow(Math.ceil(size * (size > 1 << 20 ? 1.5 : 2))));
    }
    const at = this.#arenaUsed;
    this.#arenaUsed += bytes;
    return at;
  }

  #moveArena(next: Buffer): void {
    if (this.#arenaWaste <= LITTLE_WASTE) {
      this.#arena.copy(next, 0, 0, this.#arenaUsed);
      this.#arena = next;
      return;
    }
    let used = 0;
    for (let id = 0; id < this.#given; id++) {
      const at = this.#at[id]!;
      if (at < 0) continue;
      this.#at[id] = used;
      used += this.#arena.copy(next, used, at, at + this.#keyLength[id]! + this.#attributesLength[id]!);
    }
    this.#arena = next;
    this.#arenaUsed = used;
    this.#arenaWaste = 0;
  }
}

/** A column of twice the length. */
export function doubled<T extends Int32Array | Float64Array | Uint8Array>(column: T): T {
  const larger = new (column.constructor as new (length: number) => T)(column.length * 2);
  larger.set(column);
  return larger;
}

/** A column of doubles with room for `capacity` rows of so many. */
export function grownDoubles(column: Float64Array, capacity: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(capacity);
  larger.set(column);
  return larger;
}
