import { hashBytes } from "#pipeline/series-hash";

const INITIAL_ENTRIES = 64;
/** Bits of `flags`. */
export const ENTRY_COMMENT = 1;
/** The series has a sample downstream that is not stale: it gets a marker when it vanishes. */
export const ENTRY_EMITTED = 2;
/** Stands for several series, and for no text of the page. */
export const ENTRY_GROUP = 4;
/** The series has had a sample downstream. */
export const ENTRY_KNOWN = 16;
/** A `_created` series that says when others began. */
export const ENTRY_CREATED = 8;

/**
 * What a metrics page looked like the last time: the text of each series and each comment line, what it stands for, and
 * which line followed it. Pages hardly change between scrapes, so the next line is nearly always the one that followed
 * last time, and one comparison of bytes replaces its parsing.
 *
 * Off the heap: the text and about 40 bytes an entry. Entry 0 is the beginning of the page. The columns are public since
 * the parser's loop reads them; only the parser and this class write them.
 */
export class ExpositionCache {
  /** Texts, one after the other. */
  raw: Buffer = Buffer.allocUnsafeSlow(1024);
  offset: Int32Array = new Int32Array(INITIAL_ENTRIES);
  /** 0 for an entry that is gone, and for entry 0: never a match. */
  length: Int32Array = new Int32Array(INITIAL_ENTRIES);
  hash: Int32Array = new Int32Array(INITIAL_ENTRIES);
  /** What the entry stands for: a series ref. */
  ref: Int32Array = new Int32Array(INITIAL_ENTRIES);
  /** The entry that followed this one last. */
  next: Int32Array = new Int32Array(INITIAL_ENTRIES);
  /** The page on which it was seen last. */
  seen: Int32Array = new Int32Array(INITIAL_ENTRIES);
  flags: Uint8Array = new Uint8Array(INITIAL_ENTRIES);
  /** For `# TYPE` lines: the type's code. */
  type: Uint8Array = new Uint8Array(INITIAL_ENTRIES);
  /** Entries that exist, comments included. */
  live = 0;
  /** One more than the largest entry. */
  limit = 1;
  /** Told the new number of each entry when entries get new ones, 0 for those that are gone. */
  renumbered: ((to: Int32Array) => void) | undefined;
  #table = new Int32Array(INITIAL_ENTRIES * 2);
  #rawUsed = 0;
  #rawLive = 0;
  #free: number[] = [];

  /** Bytes held off the heap. */
  get memoryBytes(): number {
    return this.raw.length + this.offset.length * 26 + this.#table.byteLength;
  }

  /** The entry for `bytes[start, end)`, or 0. */
  find(bytes: Buffer, start: number, end: number, hash: number): number {
    const table = this.#table;
    const mask = table.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const entry = table[place]!;
      if (entry === 0) return 0;
      const length = this.length[entry]!;
      if (this.hash[entry] !== hash || length !== end - start) continue;
      const offset = this.offset[entry]!;
      if (bytes.compare(this.raw, offset, offset + length, start, end) === 0) return entry;
    }
  }

  /** Adds an entry for `bytes[start, end)`, which must not be there. */
  add(bytes: Buffer, start: number, end: number, hash: number, ref: number, flags: number): number {
    const length = end - start;
    if ((this.live + 1) * 2 > this.#table.length) this.#resize(this.#table.length * 2);
    if (this.#rawUsed + length > this.raw.length) this.#growRaw(length);
    let entry = this.#free.pop();
    if (entry === undefined) {
      if (this.limit === this.offset.length) this.#growColumns();
      entry = this.limit++;
    }
    bytes.copy(this.raw, this.#rawUsed, start, end);
    this.offset[entry] = this.#rawUsed;
    this.length[entry] = length;
    this.hash[entry] = hash;
    this.ref[entry] = ref;
    this.next[entry] = 0;
    this.seen[entry] = 0;
    this.flags[entry] = flags;
    this.type[entry] = 0;
    this.#rawUsed += length;
    this.#rawLive += length;
    this.live += 1;
    this.#link(this.#table, entry);
    return entry;
  }

  /** Removes an entry. Columns keep their places until `compact`. */
  remove(entry: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let hole = this.hash[entry]! & mask;
    while (table[hole] !== entry) hole = (hole + 1) & mask;
    for (let place = (hole + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      const home = this.hash[table[place]!]! & mask;
      if (((place - home) & mask) >= ((place - hole) & mask)) {
        table[hole] = table[place]!;
        hole = place;
      }
    }
    table[hole] = 0;
    this.#rawLive -= this.length[entry]!;
    this.length[entry] = 0;
    this.ref[entry] = 0;
    this.flags[entry] = 0;
    this.live -= 1;
    this.#free.push(entry);
  }

  /** Gives memory back when much of it is holes. Entries get new numbers. */
  compact(): void {
    const sparseText = this.raw.length > 65_536 && this.#rawLive < this.raw.length / 4;
    const sparseColumns = this.offset.length > INITIAL_ENTRIES && this.live + 1 < this.offset.length / 4;
    if (!sparseText && !sparseColumns) return;
    const old = { ...this.#columns(), raw: this.raw, limit: this.limit };
    const renumbered = new Int32Array(old.limit);
    let capacity = INITIAL_ENTRIES;
    while (capacity < (this.live + 1) * 1.5) capacity *= 2;
    this.raw = Buffer.allocUnsafeSlow(Math.max(1024, Math.ceil(this.#rawLive * 1.25)));
    this.#setColumns(capacity);
    this.limit = 1;
    this.#rawUsed = 0;
    this.#free = [];
    this.#table = new Int32Array(capacity * 2);
    for (let from = 1; from < old.limit; from++) {
      const length = old.length[from]!;
      if (length === 0) continue;
      const entry = this.limit++;
      renumbered[from] = entry;
      old.raw.copy(this.raw, this.#rawUsed, old.offset[from]!, old.offset[from]! + length);
      this.offset[entry] = this.#rawUsed;
      this.length[entry] = length;
      this.hash[entry] = old.hash[from]!;
      this.ref[entry] = old.ref[from]!;
      this.next[entry] = old.next[from]!;
      this.seen[entry] = old.seen[from]!;
      this.flags[entry] = old.flags[from]!;
      this.type[entry] = old.type[from]!;
      this.#rawUsed += length;
      this.#link(this.#table, entry);
    }
    this.next[0] = old.next[0]!;
    for (let entry = 0; entry < this.limit; entry++) this.next[entry] = renumbered[this.next[entry]!]!;
    this.renumbered?.(renumbered);
  }

  #link(table: Int32Array, entry: number): void {
    const mask = table.length - 1;
    let place = this.hash[entry]! & mask;
    while (table[place] !== 0) place = (place + 1) & mask;
    table[place] = entry;
  }

  #resize(places: number): void {
    const table = new Int32Array(places);
    for (let entry = 1; entry < this.limit; entry++) if (this.length[entry]! > 0) this.#link(table, entry);
    this.#table = table;
  }

  #growRaw(needed: number): void {
    const raw = Buffer.allocUnsafeSlow(Math.max(Math.ceil(this.raw.length * 1.5), this.#rawUsed + needed));
    this.raw.copy(raw, 0, 0, this.#rawUsed);
    this.raw = raw;
  }

  #columns() {
    const { offset, length, hash, ref, next, seen, flags, type } = this;
    return { offset, length, hash, ref, next, seen, flags, type };
  }

  #growColumns(): void {
    const old = this.#columns();
    this.#setColumns(Math.ceil(old.offset.length * 1.5));
    for (const [name, column] of Object.entries(old)) this[name as keyof typeof old].set(column);
  }

  #setColumns(capacity: number): void {
    this.offset = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.hash = new Int32Array(capacity);
    this.ref = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.seen = new Int32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.type = new Uint8Array(capacity);
  }
}

/** The hash that `find` and `add` expect. */
export const hashText = hashBytes;
