import { isUtf8 } from "node:buffer";
import type { Labels } from "#base/labels";
import { ENTRY_COMMENT, ENTRY_EMITTED, ExpositionCache, hashText } from "./exposition-cache.ts";
import { ExpositionError, quoteBytes, unexpected } from "./exposition-error.ts";
import { LabelBytes } from "./exposition-labels.ts";
import { ExpositionMetadata } from "./exposition-metadata.ts";
import { SeriesTextParser, seriesTextEnd } from "./exposition-series.ts";
import { readExemplar, readTimestamp } from "./exposition-tail.ts";
import { TYPES, type TypeCode, typeCode } from "./exposition-types.ts";
import { EXACT_DIGITS, isNaNText, POWERS_OF_TEN, parseFloatBytes } from "./float.ts";

export type ExpositionSyntax = "text" | "openmetrics";

const SPACE = 32;
const TAB = 9;
const NEWLINE = 10;
const HASH = 35;

/** An exemplar of a page; `timestamp` is NaN where the page gives none. */
export interface PageExemplar {
  readonly sample: number;
  readonly labels: Labels;
  readonly value: number;
  readonly timestamp: number;
}

/** The samples of one page, and what is needed while it is read. */
export class ExpositionColumns {
  readonly labels = new LabelBytes();
  readonly textParser = new SeriesTextParser(false);
  readonly openMetricsParser = new SeriesTextParser(true);
  /** The entry in the parser's cache. */
  entry: Int32Array = new Int32Array(64);
  value: Float64Array = new Float64Array(64);
  /** Epoch milliseconds; NaN where the page gives none. */
  timestamp: Float64Array = new Float64Array(64);

  grow(): void {
    const capacity = this.entry.length * 2;
    const { entry, value, timestamp } = this;
    this.entry = new Int32Array(capacity);
    this.entry.set(entry);
    this.value = new Float64Array(capacity);
    this.value.set(value);
    this.timestamp = new Float64Array(capacity);
    this.timestamp.set(timestamp);
  }
}

/** What a new series is: called once for each text that the cache does not know. Throws what fails the page. */
export type ResolveSeries = (labels: LabelBytes, quotedNames: boolean) => number;

/**
 * Reads metrics pages of one target into columns: Prometheus's text format 0.0.4 and 1.0.0, OpenMetrics 0.0.1 and 1.0.0.
 *
 * A page is read as a whole or not at all: `parse` throws an ExpositionError with Prometheus's wording, and then the
 * columns mean nothing; `commit` must follow a parse whose samples were accepted, `abandon` any other.
 * The expected case, a page with the same lines in the same order as the last, costs one comparison and one number a line.
 */
export class ExpositionParser {
  /** Shared by parsers whose pages are not used beside one another. */
  readonly columns: ExpositionColumns;
  readonly cache = new ExpositionCache();
  readonly metadata = new ExpositionMetadata();
  /** Samples of the page, duplicates included. */
  count = 0;
  /** Whether timestamps of the page count; they are checked in any case. */
  honorTimestamps = true;
  /** Whether `columns.timestamp` holds anything. */
  hasTimestamps = false;
  exemplars: PageExemplar[] = [];
  /** Entries of series whose text was not known before this page, until it is committed. */
  added: number[] = [];
  /** Samples that repeat a series of the same page without a timestamp of their own, by index. */
  duplicates: number[] = [];

  #page = 0;
  #newSeriesLimit = Infinity;
  #distinct = 0;
  #type: TypeCode = "unknown";
  #openMetrics = false;
  #ended = false;
  #resolve: ResolveSeries = () => 0;

  constructor(columns: ExpositionColumns = new ExpositionColumns()) {
    this.columns = columns;
  }

  /** The number of the page that was parsed last: `cache.seen` of the entries on it. */
  get page(): number {
    return this.#page;
  }

  /**
   * Reads `bytes[0, end)`, whose last byte must be a newline (append one to a page that lacks it). From the sample
   * `sampleLimit` on, samples are counted and new series are not resolved any more, so that an explosion costs no memory.
   */
  parse(
    bytes: Buffer,
    end: number,
    syntax: ExpositionSyntax,
    resolve: ResolveSeries,
    sampleLimit: number = Number.POSITIVE_INFINITY,
  ): void {
    this.#page += 1;
    this.#newSeriesLimit = sampleLimit;
    this.#openMetrics = syntax === "openmetrics";
    this.#resolve = resolve;
    this.#type = "unknown";
    this.#ended = false;
    this.#distinct = 0;
    this.count = 0;
    this.hasTimestamps = false;
    this.exemplars = [];
    this.added = [];
    this.duplicates = [];
    this.metadata.begin();
    this.#read(bytes, end);
    if (this.#openMetrics && !this.#ended) throw new ExpositionError("data does not end with # EOF");
  }

  /**
   * Ends a page whose samples were accepted. `stale` gets the refs of series that have vanished and were emitted,
   * `forgotten` those of all series that have vanished: their owner releases them once the markers are delivered.
   * `tracked(sample)` says whether the series of a sample gets a marker when it vanishes; undefined stands for all.
   */
  commit(stale: number[], forgotten: number[], tracked?: (sample: number) => boolean): void {
    const { cache } = this;
    this.added = [];
    for (let i = 0; i < this.count; i++) {
      const entry = this.columns.entry[i]!;
      if (tracked === undefined || tracked(i)) cache.flags[entry]! |= ENTRY_EMITTED;
    }
    if (this.#distinct === cache.live) return;
    for (let entry = 1; entry < cache.limit; entry++) {
      if (cache.length[entry] === 0 || cache.seen[entry] === this.#page) continue;
      if (cache.flags[entry]! & ENTRY_COMMENT) {
        const offset = cache.offset[entry]!;
        this.metadata.forget(cache.raw, offset, offset + cache.length[entry]!);
      } else {
        const ref = cache.ref[entry]!;
        if (cache.flags[entry]! & ENTRY_EMITTED) stale.push(ref);
        forgotten.push(ref);
      }
      cache.remove(entry);
    }
    cache.compact();
  }

  /**
   * After a page that failed: `stale` gets the refs of all series that were emitted, which stay known; `forgotten` those
   * of the series that were new on the page, which do not.
   */
  abandon(stale: number[], forgotten: number[]): void {
    const { cache } = this;
    for (const entry of this.added) {
      forgotten.push(cache.ref[entry]!);
      cache.remove(entry);
    }
    this.added = [];
    this.count = 0;
    for (let entry = 1; entry < cache.limit; entry++) {
      if ((cache.flags[entry]! & ENTRY_EMITTED) === 0) continue;
      cache.flags[entry]! &= ~ENTRY_EMITTED;
      stale.push(cache.ref[entry]!);
    }
  }

  /** Calls `visit` with the ref of each series that would get a stale marker if it vanished. */
  forEachEmitted(visit: (ref: number) => void): void {
    const { cache } = this;
    for (let entry = 1; entry < cache.limit; entry++) {
      if (cache.flags[entry]! & ENTRY_EMITTED) visit(cache.ref[entry]!);
    }
  }

  /** Forgets everything; `release` gets the ref of each known series. */
  clear(release: (ref: number) => void): void {
    const { cache } = this;
    for (let entry = 1; entry < cache.limit; entry++) {
      if (cache.length[entry] === 0) continue;
      if ((cache.flags[entry]! & ENTRY_COMMENT) === 0) release(cache.ref[entry]!);
      cache.remove(entry);
    }
    cache.compact();
  }

  #read(bytes: Buffer, end: number): void {
    const { cache } = this;
    const page = this.#page;
    let i = 0;
    let previous = 0;
    let distinct = 0;
    while (i < end) {
      if (this.count >= this.columns.entry.length) this.columns.grow();
      // Columns are replaced when they grow, which only a line that was not expected can cause.
      const { raw, offset, length, next, seen, flags, type } = cache;
      const { entry: entries, value: values, timestamp: timestamps } = this.columns;
      const capacity = entries.length;
      let n = this.count;
      let entry = 0;
      while (i < end && n < capacity) {
        entry = next[previous]!;
        const textLength = length[entry]!;
        const after = i + textLength;
        const separator = bytes[after];
        if (textLength === 0 || after >= end || (separator !== SPACE && separator !== NEWLINE)) break;
        const textOffset = offset[entry]!;
        if (bytes.compare(raw, textOffset, textOffset + textLength, i, after) !== 0) break;
        if (flags[entry]! & ENTRY_COMMENT) {
          if (separator !== NEWLINE) break;
          if (type[entry] !== 0) this.#type = TYPES[type[entry]!]!;
          if (seen[entry] !== page) {
            seen[entry] = page;
            distinct += 1;
          }
          previous = entry;
          i = after + 1;
          continue;
        }
        if (separator !== SPACE) break;

        // The number, if it is a plain one with nothing behind it.
        let at = after + 1;
        let code = bytes[at]!;
        const negative = code === 45;
        if (negative) code = bytes[++at]!;
        const first = at;
        let mantissa = 0;
        let digits = 0;
        let point = -1;
        for (;;) {
          const digit = code - 48;
          if (digit >= 0 && digit <= 9) {
            mantissa = mantissa * 10 + digit;
            if (mantissa !== 0) digits += 1;
          } else if (code === 46 && point < 0) point = at;
          else break;
          code = bytes[++at]!;
        }
        const decimals = point < 0 ? 0 : at - point - 1;
        if (code === NEWLINE && digits <= EXACT_DIGITS && decimals <= 22 && at - first > (point < 0 ? 0 : 1)) {
          const number = decimals === 0 ? mantissa : mantissa / POWERS_OF_TEN[decimals]!;
          values[n] = negative ? -number : number;
          if (this.hasTimestamps) timestamps[n] = NaN;
          i = at + 1;
        } else {
          this.count = n;
          i = this.#number(bytes, i, after, end);
        }
        entries[n] = entry;
        if (seen[entry] === page) this.#repeated(n);
        else {
          seen[entry] = page;
          distinct += 1;
        }
        n += 1;
        previous = entry;
      }
      this.count = n;
      if (i >= end) break;
      if (n >= capacity) continue;

      // A line that was not expected here: a blank one, a comment, a series in another place or a new one.
      const code = bytes[i]!;
      if (code === HASH || code === NEWLINE || code === SPACE || code === TAB) {
        if (this.#openMetrics && code !== HASH) throw unexpected("expected a valid start token", bytes, i, i);
        let start = i;
        while (bytes[start] === SPACE || bytes[start] === TAB) start += 1;
        if (bytes[start] === NEWLINE) {
          i = start + 1;
          continue;
        }
        if (bytes[start] !== HASH) {
          i = start;
          continue;
        }
        const lineEnd = bytes.indexOf(NEWLINE, start);
        if (this.#openMetrics && this.#isEnd(bytes, start, lineEnd)) {
          if (lineEnd + 1 < end) throw new ExpositionError("unexpected data after # EOF");
          this.#ended = true;
          break;
        }
        entry = this.#comment(bytes, start, lineEnd);
        if (cache.seen[entry] !== page) {
          cache.seen[entry] = page;
          distinct += 1;
        }
        cache.next[previous] = entry;
        previous = entry;
        i = lineEnd + 1;
        continue;
      }
      const textEnd = seriesTextEnd(bytes, i, end, !this.#openMetrics);
      entry = this.#series(bytes, i, textEnd);
      i = this.#number(bytes, i, textEnd, end);
      this.columns.entry[this.count] = entry;
      this.count += 1;
      if (entry === 0) continue; // beyond the limit
      if (cache.seen[entry] === page) this.#repeated(this.count - 1);
      else {
        cache.seen[entry] = page;
        distinct += 1;
      }
      cache.next[previous] = entry;
      previous = entry;
    }
    this.#distinct = distinct;
  }

  #isEnd(bytes: Buffer, start: number, lineEnd: number): boolean {
    return lineEnd - start === 5 && bytes.toString("latin1", start, lineEnd) === "# EOF";
  }

  #repeated(sample: number): void {
    if (!this.hasTimestamps || Number.isNaN(this.columns.timestamp[sample])) this.duplicates.push(sample);
  }

  /** The entry of the series text `bytes[start, textEnd)`, which is parsed if it is new. */
  #series(bytes: Buffer, start: number, textEnd: number): number {
    const hash = hashText(bytes, start, textEnd);
    const known = this.cache.find(bytes, start, textEnd, hash);
    if (known !== 0) return known;
    const parser = this.#openMetrics ? this.columns.openMetricsParser : this.columns.textParser;
    const end = parser.parse(bytes, start, this.#type, this.columns.labels);
    if (this.count >= this.#newSeriesLimit) return 0;
    const ref = this.#resolve(this.columns.labels, parser.quotedNames);
    const entry = this.cache.add(bytes, start, end, hash, ref, 0);
    this.added.push(entry);
    return entry;
  }

  /** Reads what follows the series at `start`: value, timestamp, exemplar. Returns the start of the next line. */
  #number(bytes: Buffer, start: number, after: number, end: number): number {
    const spaces = !this.#openMetrics;
    let from = after;
    if (spaces) while (bytes[from] === SPACE || bytes[from] === TAB) from += 1;
    else if (bytes[from] === SPACE) from += 1;
    let to = from;
    while (to < end && bytes[to] !== SPACE && bytes[to] !== NEWLINE && (bytes[to] !== TAB || !spaces)) to += 1;
    if (to === from || (!spaces && from === after) || bytes[from] === 0x7b) {
      throw unexpected("expected value after metric", bytes, start, to === from ? from : after);
    }
    const value = parseFloatBytes(bytes, from, to);
    if (Number.isNaN(value) && !isNaNText(bytes, from, to)) {
      const text = quoteBytes(bytes, from, to);
      throw new ExpositionError(
        `strconv.ParseFloat: parsing ${text}: invalid syntax while parsing: ${quoteBytes(bytes, start, to)}`,
      );
    }
    const n = this.count;
    this.columns.value[n] = value;
    if (this.hasTimestamps) this.columns.timestamp[n] = NaN;
    if (spaces) while (bytes[to] === SPACE || bytes[to] === TAB) to += 1;
    if (bytes[to] === NEWLINE) return to + 1;
    const isExemplar = !spaces && bytes[to] === SPACE && bytes[to + 1] === HASH;
    if (!isExemplar) {
      const timestamp = readTimestamp(bytes, start, spaces ? to : to + 1, end, this.#openMetrics);
      if (this.honorTimestamps) {
        if (!this.hasTimestamps) this.columns.timestamp.fill(NaN, 0, n);
        this.hasTimestamps = true;
        this.columns.timestamp[n] = timestamp.value;
      }
      to = timestamp.end;
      if (spaces) while (bytes[to] === SPACE || bytes[to] === TAB) to += 1;
      if (bytes[to] === NEWLINE) return to + 1;
      if (spaces || bytes[to] !== SPACE || bytes[to + 1] !== HASH) {
        throw unexpected("expected next entry after timestamp", bytes, start, to);
      }
    }
    const exemplar = readExemplar(bytes, start, to + 2, end, n, this.columns.openMetricsParser, this.columns.labels);
    this.exemplars.push(exemplar.exemplar);
    return exemplar.end;
  }

  /** The entry of a comment line. New ones are parsed: HELP, TYPE and UNIT change the metadata. */
  #comment(bytes: Buffer, start: number, lineEnd: number): number {
    const hash = hashText(bytes, start, lineEnd);
    const known = this.cache.find(bytes, start, lineEnd, hash);
    if (known !== 0) {
      if (this.cache.type[known] !== 0) this.#type = TYPES[this.cache.type[known]!]!;
      return known;
    }
    if (!isUtf8(bytes.subarray(start, lineEnd))) {
      throw new ExpositionError(`help text ${quoteBytes(bytes, start, lineEnd)} is not a valid utf8 string`);
    }
    const declared = this.metadata.declare(bytes, start, lineEnd, this.#openMetrics);
    const entry = this.cache.add(bytes, start, lineEnd, hash, 0, ENTRY_COMMENT);
    if (declared !== undefined) {
      const code = typeCode(declared, this.#openMetrics);
      this.cache.type[entry] = code;
      this.#type = TYPES[code]!;
    }
    return entry;
  }
}
