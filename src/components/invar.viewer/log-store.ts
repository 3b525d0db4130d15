import { type Filter, searchable } from "#base/filter";

export interface StoredLine {
  /** Ascending in order of arrival. */
  readonly id: number;
  /** Epoch milliseconds of arrival. */
  readonly arrived: number;
  /** Epoch milliseconds of the line itself. */
  readonly time: number;
  /** Flat; shared by the lines of a stream. */
  readonly labels: readonly string[];
  /** Structured metadata, flat. */
  readonly metadata: readonly string[];
  readonly line: string;
}

/** Bytes of a line beside its text. */
const OVERHEAD = 160;
/** Longer lines are shown with their beginning only. */
const MAX_LINE = 16 * 1024;

/** The latest log lines, bounded by age and by memory; the oldest go first. */
export class LogStore {
  readonly #maxBytes: number;
  #lines: (StoredLine | undefined)[] = [];
  #first = 0;
  #nextId = 1;
  bytes = 0;
  /** Lines that came in, and those that were forgotten for lack of memory. */
  received = 0;
  evicted = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#lines.length - this.#first;
  }

  add(now: number, time: number, labels: readonly string[], metadata: readonly string[], text: string): void {
    // A slice would keep all of a long text alive.
    const line = text.length > MAX_LINE ? Buffer.from(`${text.slice(0, MAX_LINE)}…`).toString() : text;
    this.#lines.push({ id: this.#nextId++, arrived: now, time, labels, metadata, line });
    this.bytes += cost(line, metadata);
    this.received += 1;
    while (this.bytes > this.#maxBytes && this.size > 1) {
      this.#shift();
      this.evicted += 1;
    }
  }

  /** Forgets lines that arrived before `time`. */
  expire(time: number): void {
    while (this.size > 0 && this.#lines[this.#first]!.arrived < time) this.#shift();
  }

  /** The newest lines that match, newest first, and how many there are in all. */
  find(filter: Filter, limit: number): { readonly lines: readonly StoredLine[]; readonly matched: number } {
    const lines: StoredLine[] = [];
    let matched = 0;
    for (let i = this.#lines.length - 1; i >= this.#first; i--) {
      const stored = this.#lines[i]!;
      if (!filter.empty && !filter.matches(searchable([...stored.labels, ...stored.metadata], stored.line))) continue;
      matched += 1;
      if (lines.length < limit) lines.push(stored);
    }
    return { lines, matched };
  }

  #shift(): void {
    const { line, metadata } = this.#lines[this.#first]!;
    this.bytes -= cost(line, metadata);
    this.#lines[this.#first++] = undefined;
    if (this.#first > 1024 && this.#first * 2 > this.#lines.length) {
      this.#lines = this.#lines.slice(this.#first);
      this.#first = 0;
    }
  }
}

function cost(line: string, metadata: readonly string[]): number {
  return OVERHEAD + line.length + metadata.reduce((sum, text) => sum + text.length + 16, 0);
}
