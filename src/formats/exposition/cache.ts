import { hashBytes } from "#pipeline/series-hash";

const INITIAL_ENTRIES = 16;
const INITIAL_RAW = 256;

/** Numbers of an entry: where its text lies in `raw`, … */
export const OFFSET = 0;
/** … and how long it is: 0 for an entry that is gone, and for entry 0, so that they never match. */
export const LENGTH = 1;
const HASH = 2;
/** What the entry stands for: a series ref. */
export const REF = 3;
/** The entry that followed this one last. */
export const NEXT = 4;
/** The page on which it was seen last. */
export const SEEN = 5;
/** The bits below. */
export const FLAGS = 6;
/** For `# TYPE` lines: the type's code. */
export const TYPE = 7;
/** From one entry to the next. */
export const ROW = 8;

export const ENTRY_COMMENT = 1;
/** The series has a sample downstream that is not stale: it gets a marker when it vanishes. */
export const ENTRY_EMITTED = 2;
/** Stands for several series, and for no text of the page. */
export const ENTRY_GROUP = 4;
/** A `_created` series that says when others began. */
export const ENTRY_CREATED = 8;
/** The series has had a sample downstream. */
export const ENTRY_KNOWN = 16;

/**
 * What a metrics page looked like the last time: the text of each series and each comment line, what it stands for, and
 * which line followed it. Pages hardly change between scrapes, so the next line is nearly always the one that followed
 * last time, and one comparison of bytes replaces its parsing.
 *
 * There is one for each target, so three arrays are all it has: an entry is the place of its numbers in `rows`
 * (`rows[entry + SEEN]`), a multiple of `ROW`, and takes 32 bytes there, its text, and about 12 bytes in the table.
 * Entry 0 is the beginning of the page. `raw` and `rows` are public since the parser's loop reads them; only the parser,
 * its groups and this class write them.
 */
export class ExpositionCache {
  /** Texts, one after the other. */
  raw: Buffer = Buffer.allocUnsafeSlow(INITIAL_RAW);
  rows: Int32Array = new Int32Array(INITIAL_ENTRIES * ROW);
  /** Entries that exist, comments included. */
  live = 0;
  /** Behind the last entry. */
  limit: number = ROW;
  /** Told the new place of each entry, by its number (`numberOf`), when entries move; 0 for those that are gone. */
  renumbered: ((to: Int32Array) => void) | undefined;
  #table = new Int32Array(INITIAL_ENTRIES * 2);
  #rawUsed = 0;
  #rawLive = 0;
  /** Entries that are gone and may be used again, each with the next of them in `NEXT`; 0 for none. */
  #free = 0;

  /** Bytes held off the heap. */
  get memoryBytes(): number {
    return this.raw.length + this.rows.byteLength + this.#table.byteLength;
  }

  /** Entries that there is room for, entry 0 included. */
  get capacity(): number {
    return numberOf(this.rows.length);
  }

  /** The text of an entry. */
  text(entry: number): string {
    const start = this.rows[entry + OFFSET]!;
    return this.raw.toString("utf8", start, start + this.rows[entry + LENGTH]!);
  }

  /** The entry for `bytes[start, end)`, or 0. */
  find(bytes: Buffer, start: number, end: number, hash: number): number {
    const { rows } = this;
    const table = this.#table;
    const mask = table.length - 1;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const entry = table[place]!;
      if (entry === 0) return 0;
      const length = rows[entry + LENGTH]!;
      if (rows[entry + HASH] !== hash || length !== end - start) continue;
      const offset = rows[entry + OFFSET]!;
      if (bytes.compare(this.raw, offset, offset + length, start, end) === 0) return entry;
    }
  }

  /** Adds an entry for `bytes[start, end)`, which must not be there. */
  add(bytes: Buffer, start: number, end: number, hash: number, ref: number, flags: number): number {
    const length = end - start;
    if ((this.live + 1) * 2 > this.#table.length) this.#resize(this.#table.length * 2);
    if (this.#rawUsed + length > this.raw.length) this.#growRaw(length);
    let entry = this.#free;
    if (entry === 0) {
      if (this.limit === this.rows.length) this.#growRows();
      entry = this.limit;
      this.limit += ROW;
    } else this.#free = this.rows[entry + NEXT]!;
    const { rows } = this;
    bytes.copy(this.raw, this.#rawUsed, start, end);
    rows[entry + OFFSET] = this.#rawUsed;
    rows[entry + LENGTH] = length;
    rows[entry + HASH] = hash;
    rows[entry + REF] = ref;
    rows[entry + NEXT] = 0;
    rows[entry + SEEN] = 0;
    rows[entry + FLAGS] = flags;
    rows[entry + TYPE] = 0;
    this.#rawUsed += length;
    this.#rawLive += length;
    this.live += 1;
    this.#link(entry);
    return entry;
  }

  /** Removes an entry. The others keep their places until `compact`. */
  remove(entry: number): void {
    const { rows } = this;
    const table = this.#table;
    const mask = table.length - 1;
    let hole = rows[entry + HASH]! & mask;
    while (table[hole] !== entry) hole = (hole + 1) & mask;
    for (let place = (hole + 1) & mask; table[place] !== 0; place = (place + 1) & mask) {
      const home = rows[table[place]! + HASH]! & mask;
      if (((place - home) & mask) >= ((place - hole) & mask)) {
        table[hole] = table[place]!;
        hole = place;
      }
    }
    table[hole] = 0;
    this.#rawLive -= rows[entry + LENGTH]!;
    rows[entry + LENGTH] = 0;
    rows[entry + REF] = 0;
    rows[entry + FLAGS] = 0;
    rows[entry + NEXT] = this.#free;
    this.#free = entry;
    this.live -= 1;
  }

  /** Gives memory back when much of it is holes. Entries move. */
  compact(): void {
    const sparseText = this.raw.length > 65_536 && this.#rawLive < this.raw.length / 4;
    const sparseRows = this.capacity > INITIAL_ENTRIES && this.live + 1 < this.capacity / 4;
    if (!sparseText && !sparseRows) return;
    const { raw, rows: old, limit } = this;
    const moved = new Int32Array(numberOf(limit));
    let capacity = INITIAL_ENTRIES;
    while (capacity < (this.live + 1) * 1.5) capacity *= 2;
    this.raw = Buffer.allocUnsafeSlow(Math.max(INITIAL_RAW, Math.ceil(this.#rawLive * 1.25)));
    this.rows = new Int32Array(capacity * ROW);
    this.limit = ROW;
    this.#rawUsed = 0;
    this.#free = 0;
    this.#table = new Int32Array(capacity * 2);
    const { rows } = this;
    for (let from = ROW; from < limit; from += ROW) {
      const length = old[from + LENGTH]!;
      if (length === 0) continue;
      const entry = this.limit;
      this.limit += ROW;
      moved[numberOf(from)] = entry;
      rows.set(old.subarray(from, from + ROW), entry);
      raw.copy(this.raw, this.#rawUsed, old[from + OFFSET]!, old[from + OFFSET]! + length);
      rows[entry + OFFSET] = this.#rawUsed;
      this.#rawUsed += length;
      this.#link(entry);
    }
    rows[NEXT] = old[NEXT]!;
    for (let entry = 0; entry < this.limit; entry += ROW) rows[entry + NEXT] = moved[numberOf(rows[entry + NEXT]!)]!;
    this.renumbered?.(moved);
  }

  #link(entry: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let place = this.rows[entry + HASH]! & mask;
    while (table[place] !== 0) place = (place + 1) & mask;
    table[place] = entry;
  }

  #resize(places: number): void {
    this.#table = new Int32Array(places);
    for (let entry = ROW; entry < this.limit; entry += ROW) {
      if (this.rows[entry + LENGTH]! > 0) this.#link(entry);
    }
  }

  #growRaw(needed: number): void {
    const raw = Buffer.allocUnsafeSlow(Math.max(Math.ceil(this.raw.length * 1.5), this.#rawUsed + needed));
    this.raw.copy(raw, 0, 0, this.#rawUsed);
    this.raw = raw;
  }

  #growRows(): void {
    const rows = new Int32Array(Math.ceil(this.capacity * 1.5) * ROW);
    rows.set(this.rows);
    this.rows = rows;
  }
}

/** Entries counted from 0. */
export function numberOf(entry: number): number {
  return entry >> 3;
}

/** The hash that `find` and `add` expect. */
export const hashText = hashBytes;
