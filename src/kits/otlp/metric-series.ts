import { hashView } from "#pipeline/series-hash";
import { SeriesSlabs } from "#pipeline/series-slabs";
import type { SeriesKey } from "./series-identity.ts";

/** Forgetting series takes a look at all of them. */
export const SHORTEST_SWEEP_MS = 1_000;
const INITIAL_CAPACITY = 256;
/** Columns of an entry, beside its key: hash, parent, children, weight, two places of the table, and when it was seen. */
const COLUMN_BYTES = 4 * 4 + 2 * 4 + 8;
/** What a state costs beside its own weight: the object and its place in a list. */
const STATE_BYTES = 64;

/**
 * Series that a processor knows, each with a state: a tree of keys, so that the attributes of a resource are kept once for
 * all of its series. An entry is found by its parent and its key; `ROOT` is the parent of the first ones. Entries without a
 * state that nobody hangs on to any more (a resource whose last series went) go by themselves.
 *
 * Keys lie off the heap. A 32-bit hash finds them and their bytes are compared, so equal hashes do no harm.
 */
export class SeriesTable<S extends object> {
  static readonly ROOT = 0;

  #capacity = INITIAL_CAPACITY;
  #slabs = new SeriesSlabs(INITIAL_CAPACITY);
  #hashes = new Int32Array(INITIAL_CAPACITY);
  #parents = new Int32Array(INITIAL_CAPACITY);
  #children = new Int32Array(INITIAL_CAPACITY);
  #weights = new Int32Array(INITIAL_CAPACITY);
  #seen = new Float64Array(INITIAL_CAPACITY);
  readonly #states: (S | undefined)[] = [];
  /** Open addressing with linear probing; 0 is an empty place. */
  #table = new Int32Array(INITIAL_CAPACITY * 2);
  #next = 1;
  #free: number[] = [];
  #entries = 0;
  #series = 0;
  #stateBytes = 0;

  /** Entries with a state. */
  get series(): number {
    return this.#series;
  }
  /** About how much all of it takes, states included as far as their owner told their weight. */
  get memoryBytes(): number {
    return (
      this.#slabs.memoryBytes +
      this.#table.byteLength +
      this.#capacity * COLUMN_BYTES +
      this.#series * STATE_BYTES +
      this.#stateBytes
    );
  }

  /** The entry with this key below `parent`; 0 if there is none. */
  find(parent: number, key: SeriesKey): number {
    const hash = hashOf(parent, key);
    const mask = this.#table.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const entry = this.#table[place]!;
      if (entry === 0) return 0;
      if (
        this.#hashes[entry] === hash &&
        this.#parents[entry] === parent &&
        this.#slabs.equalsView(entry, key.view, key.length)
      ) {
        return entry;
      }
    }
  }
  /** Adds an entry that `find` did not find. Give it a state or children, or hand it to `prune`. */
  add(parent: number, key: SeriesKey): number {
    if ((this.#entries + 1) * 2 > this.#table.length) this.#rehash(this.#table.length * 2);
    const entry = this.#free.pop() ?? this.#next++;
    if (entry >= this.#capacity) this.#grow();
    this.#slabs.store(entry, key.bytes, 0, key.length);
    this.#hashes[entry] = hashOf(parent, key);
    this.#parents[entry] = parent;
    this.#children[entry] = 0;
    this.#children[parent]! += 1;
    this.#place(entry);
    this.#entries += 1;
    return entry;
  }
  findOrAdd(parent: number, key: SeriesKey): number {
    return this.find(parent, key) || this.add(parent, key);
  }

  state(entry: number): S | undefined {
    return this.#states[entry];
  }
  /** Gives an entry a state. `weight` is what the state holds beside itself, in bytes. */
  put(entry: number, state: S, now: number, weight = 0): void {
    if (this.#states[entry] === undefined) this.#series += 1;
    this.#states[entry] = state;
    this.#seen[entry] = now;
    this.weigh(entry, weight);
  }
  /** The state came to hold more or less. */
  weigh(entry: number, weight: number): void {
    this.#stateBytes += weight - this.#weights[entry]!;
    this.#weights[entry] = weight;
  }
  /** Notes that the series was there, for `sweep`. `now` is in any unit that `sweep` is asked in. */
  see(entry: number, now: number): void {
    this.#seen[entry] = now;
  }

  /** Removes the series for which nobody said `see` since `before`; returns how many. */
  sweep(before: number): number {
    return this.removeIf((entry) => this.#seen[entry]! < before);
  }
  removeIf(isUnwanted: (entry: number, state: S) => boolean): number {
    const { length } = this.#states;
    let removed = 0;
    for (let entry = 1; entry < length; entry++) {
      const state = this.#states[entry];
      if (state === undefined || !isUnwanted(entry, state)) continue;
      this.#states[entry] = undefined;
      this.#series -= 1;
      this.weigh(entry, 0);
      this.prune(entry);
      removed += 1;
    }
    return removed;
  }
  /** Removes an entry that has neither state nor children, and what thereby has none above it; false if it has some. */
  prune(entry: number): boolean {
    for (let at = entry; at !== SeriesTable.ROOT; ) {
      if (this.#states[at] !== undefined || this.#children[at]! > 0) return at !== entry;
      const parent = this.#parents[at]!;
      this.#unplace(at);
      this.#slabs.free(at);
      this.#free.push(at);
      this.#entries -= 1;
      this.#children[parent]! -= 1;
      at = parent;
    }
    return true;
  }

  #place(entry: number): void {
    const mask = this.#table.length - 1;
    let place = this.#hashes[entry]! & mask;
    while (this.#table[place] !== 0) place = (place + 1) & mask;
    this.#table[place] = entry;
  }
  /** Takes an entry out of the table and moves up what was placed behind it for want of its place. */
  #unplace(entry: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let hole = this.#hashes[entry]! & mask;
    while (table[hole] !== entry) hole = (hole + 1) & mask;
    for (let place = (hole + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      const home = this.#hashes[table[place]!]! & mask;
      if (((place - home) & mask) < ((place - hole) & mask)) continue;
      table[hole] = table[place]!;
      hole = place;
    }
    table[hole] = 0;
  }
  #rehash(size: number): void {
    const old = this.#table;
    this.#table = new Int32Array(size);
    for (const entry of old) if (entry !== 0) this.#place(entry);
  }
  #grow(): void {
    const capacity = this.#capacity * 2;
    this.#slabs.resize(capacity);
    this.#hashes = larger(this.#hashes, capacity);
    this.#parents = larger(this.#parents, capacity);
    this.#children = larger(this.#children, capacity);
    this.#weights = larger(this.#weights, capacity);
    const seen = new Float64Array(capacity);
    seen.set(this.#seen);
    this.#seen = seen;
    this.#capacity = capacity;
  }
}

function hashOf(parent: number, key: SeriesKey): number {
  return hashView(key.view, 0, key.length) ^ Math.imul(parent, 0x9e3779b1);
}
function larger(column: Int32Array<ArrayBuffer>, capacity: number): Int32Array<ArrayBuffer> {
  const copy = new Int32Array(capacity);
  copy.set(column);
  return copy;
}
