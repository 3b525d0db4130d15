import { isUtf8 } from "node:buffer";
import type { NativeHistogram } from "#pipeline/batch";
import { hashView } from "#pipeline/series-hash";
import { EXACT_DIGITS, isNaNText, POWERS_OF_TEN, parseFloatBytes } from "../float.ts";
import {
  ENTRY_COMMENT,
  ENTRY_CREATED,
  type ExpositionCache,
  FLAGS,
  hashText,
  LENGTH,
  NEXT,
  OFFSET,
  REF,
  SEEN,
  TYPE,
} from "./cache.ts";
import { ExpositionColumns, type PageExemplar } from "./columns.ts";
import { type Conversion, convertHistograms } from "./convert.ts";
import { ExpositionError, quoteBytes, unexpected } from "./error.ts";
import { DeclaredFamily } from "./family.ts";
import { type ExpositionOptions, isPart, ROLE_COUNT, ROLE_CREATED, type SeriesGroups } from "./groups.ts";
import { KnownPage } from "./known-page.ts";
import type { LabelBytes } from "./labels.ts";
import { type ExpositionMetadata, SharedMetadata } from "./metadata.ts";
import { seriesTextEnd, textBeforeValue } from "./series.ts";
import { badFloat, readExemplar, readTimestamp } from "./tail.ts";
import { addTypeAndUnit, typeCode } from "./types.ts";

/** `translated` is OpenMetrics that was made of another format, and holds names and units that OpenMetrics cannot. */
export type ExpositionSyntax = "text" | "openmetrics" | "translated";

/** In the place of an entry: a piece of a histogram beyond the limit, which is no sample of its own. */
const BEYOND = -1;
/** After so many lines that did not come in the order of the last page, the next one is looked up at once. */
const MISSES = 4;
const NO_VIEW = new DataView(new ArrayBuffer(0));
const SPACE = 32;
const TAB = 9;
const NEWLINE = 10;
const HASH = 35;

/** What a new series is: called once for each text that the cache does not know. Throws what fails the page. */
export type ResolveSeries = (labels: LabelBytes, quotedNames: boolean) => number;

/**
 * Reads metrics pages into columns: Prometheus's text format 0.0.4 and 1.0.0, OpenMetrics 0.0.1 and 1.0.0. One parser
 * reads pages of many targets, one after the other, each against what is `known` of its target.
 *
 * A page is read as a whole or not at all: `parse` throws an ExpositionError with Prometheus's wording, and then the
 * columns mean nothing; `commit` must follow a parse whose samples were accepted, `abandon` any other.
 * The expected case, a page with the same lines in the same order as the last, costs one comparison and one number a line.
 */
export class ExpositionParser {
  readonly columns = new ExpositionColumns();
  readonly #shared = new SharedMetadata();
  /** Of the target whose page is read next. Not to be changed between a page and its `commit` or `abandon`. */
  known: KnownPage;
  /** Samples of the page, duplicates included. */
  count = 0;
  /** Whether timestamps of the page count; they are checked in any case. */
  honorTimestamps = true;
  /** Whether `columns.timestamp` holds anything. */
  hasTimestamps = false;
  exemplars: PageExemplar[] = [];
  /** Native histograms that were made of classic ones, by the indices of their samples. */
  histograms: NativeHistogram[] = [];
  conversion: Conversion | undefined;
  /** Epoch milliseconds at which the series of each sample began, NaN where it is not known; undefined if none is. */
  starts: Float64Array | undefined;
  /** Whether series were left out because of the limit. */
  truncated = false;
  /** Entries of series whose text was not known before this page, until it is committed. */
  added: number[] = [];
  /** Samples that repeat a series of the same page without a timestamp of their own, by index. */
  duplicates: number[] = [];

  /** Entries on the page, each counted once. */
  distinct = 0;
  #newSeriesLimit = Infinity;
  /** Series that were new on the page, where several of them may become one. */
  #resolved = 0;
  #family: DeclaredFamily;
  #openMetrics = false;
  #translated = false;
  #ended = false;
  #textEnd = 0;
  /** Over the bytes of the page, while it is read. */
  #view: DataView = NO_VIEW;
  /** Samples before this one have been given their start. */
  #startsFrom = 0;
  #resolve: ResolveSeries = () => 0;

  /** `options` are for `known` as it is at first. */
  constructor(options?: ExpositionOptions) {
    this.known = this.know(options);
    this.#family = new DeclaredFamily(this.known, false);
  }

  /** What is known of one more target: nothing yet. */
  know(options?: ExpositionOptions): KnownPage {
    return new KnownPage(this.#shared, options);
  }

  get cache(): ExpositionCache {
    return this.known.cache;
  }
  get metadata(): ExpositionMetadata {
    return this.known.metadata;
  }
  /** The number of the page that was parsed last. */
  get number(): number {
    return this.known.number;
  }

  /** What the series of a sample of the page was resolved to. */
  refOf(sample: number): number {
    return this.cache.rows[this.columns.entry[sample]! + REF]!;
  }

  /** The same for all samples. */
  copyRefs(into: Int32Array): void {
    const { rows } = this.cache;
    const { entry } = this.columns;
    for (let i = 0; i < this.count; i++) into[i] = rows[entry[i]! + REF]!;
  }

  /** Series that were not known before this page; pieces of a histogram that is converted are one. */
  get newSeries(): number {
    if (this.known.groups === undefined) return this.added.length;
    const converted = this.conversion?.added ?? 0;
    const { rows } = this.cache;
    return this.added.reduce((sum, entry) => sum + (rows[entry + REF] === 0 ? 0 : 1), converted);
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
    this.known.number += 1;
    this.#newSeriesLimit = sampleLimit;
    this.#resolved = 0;
    this.#openMetrics = syntax !== "text";
    this.#translated = syntax === "translated";
    this.#resolve = resolve;
    this.#family = new DeclaredFamily(this.known, this.#translated);
    this.#ended = false;
    this.distinct = 0;
    this.count = 0;
    this.hasTimestamps = false;
    this.exemplars = [];
    this.added = [];
    this.duplicates = [];
    this.histograms = [];
    this.conversion = undefined;
    this.starts = undefined;
    this.#startsFrom = 0;
    this.truncated = false;
    this.metadata.begin();
    const groups = this.#grouping?.options.convertHistograms ? this.#grouping : undefined;
    try {
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      this.#read(bytes, end);
      if (this.#openMetrics && !this.#ended) throw new ExpositionError("data does not end with # EOF");
      if (groups !== undefined) this.conversion = convertHistograms(this, groups, true);
    } catch (error) {
      if (groups !== undefined) convertHistograms(this, groups, false); // for the count of samples
      throw error;
    } finally {
      this.#view = NO_VIEW;
    }
  }

  /**
   * Ends a page whose samples were accepted. `stale` gets the refs of series that have vanished and were emitted,
   * `forgotten` those of all series that have vanished: their owner releases them once the markers are delivered.
   * `tracked(sample)` says whether the series of a sample gets a marker when it vanishes; undefined stands for all.
   */
  commit(stale: number[], forgotten: number[], tracked?: (sample: number) => boolean): void {
    this.added = [];
    this.known.accept(this, stale, forgotten, tracked);
  }

  /**
   * After a page that failed, or when there is none: `stale` gets the refs of all series that were emitted, which stay
   * known; `forgotten` those of the series that were new on the page, which do not.
   */
  abandon(stale: number[], forgotten: number[]): void {
    const { added } = this;
    this.added = [];
    this.count = 0;
    this.known.reject(added, stale, forgotten);
  }

  /** Groups of series, if this page has any. */
  get #grouping(): SeriesGroups | undefined {
    return this.#translated ? undefined : this.known.groups;
  }

  #read(bytes: Buffer, end: number): void {
    const { cache } = this;
    const page = this.number;
    let i = 0;
    let previous = 0;
    let distinct = 0;
    let misses = 0;
    while (i < end) {
      if (this.count >= this.columns.entry.length) this.columns.grow();
      // These are replaced when they grow, which only a line that was not expected can cause.
      const { raw, rows } = cache;
      const { entry: entries, value: values, timestamp: timestamps } = this.columns;
      const capacity = entries.length;
      let n = this.count;
      let entry = 0;
      while (i < end && n < capacity) {
        entry = rows[previous + NEXT]!;
        if (misses > MISSES) break; // a page in another order: comparing costs more than it finds
        const textLength = rows[entry + LENGTH]!;
        const after = i + textLength;
        const separator = bytes[after];
        if (textLength === 0 || after >= end || (separator !== SPACE && separator !== NEWLINE)) break;
        const textOffset = rows[entry + OFFSET]!;
        if (bytes.compare(raw, textOffset, textOffset + textLength, i, after) !== 0) break;
        if (rows[entry + FLAGS]! & ENTRY_COMMENT) {
          if (separator !== NEWLINE) break;
          if (rows[entry + TYPE] !== 0) this.#family.declare(entry);
          if (rows[entry + SEEN] !== page) {
            rows[entry + SEEN] = page;
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
        if (rows[entry + SEEN] === page) this.#repeated(n);
        else {
          rows[entry + SEEN] = page;
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
        if (cache.rows[entry + SEEN] !== page) {
          cache.rows[entry + SEEN] = page;
          distinct += 1;
        }
        cache.rows[previous + NEXT] = entry;
        previous = entry;
        i = lineEnd + 1;
        continue;
      }
      entry = this.#series(bytes, i, end);
      misses = entry === cache.rows[previous + NEXT] ? 0 : misses + 1;
      i = this.#number(bytes, i, this.#textEnd, end);
      if (entry === BEYOND) continue;
      const isCreated = (cache.rows[entry + FLAGS]! & ENTRY_CREATED) !== 0;
      if (isCreated) this.#created(entry);
      else {
        this.columns.entry[this.count] = entry;
        this.count += 1;
      }
      if (entry === 0) continue; // beyond the limit
      if (cache.rows[entry + SEEN] === page) {
        if (!isCreated) this.#repeated(this.count - 1);
      } else {
        cache.rows[entry + SEEN] = page;
        distinct += 1;
      }
      cache.rows[previous + NEXT] = entry;
      previous = entry;
    }
    this.distinct = distinct;
  }

  #isEnd(bytes: Buffer, start: number, lineEnd: number): boolean {
    return lineEnd - start === 5 && bytes.toString("latin1", start, lineEnd) === "# EOF";
  }

  #repeated(sample: number): void {
    if (!this.hasTimestamps || Number.isNaN(this.columns.timestamp[sample])) this.duplicates.push(sample);
  }

  /** The entry of the series text at `start`, which is parsed if it is new. Leaves its end in `#textEnd`. */
  #series(bytes: Buffer, start: number, pageEnd: number): number {
    // Nearly all lines are a series, a space and a value: looking for them from the end is faster than reading labels.
    const likelyEnd = textBeforeValue(bytes, start);
    let hash = 0;
    if (likelyEnd !== 0) {
      hash = hashView(this.#view, start, likelyEnd);
      const known = this.cache.find(bytes, start, likelyEnd, hash);
      if (known !== 0) {
        this.#textEnd = likelyEnd;
        return known;
      }
    }
    this.#textEnd = seriesTextEnd(bytes, start, pageEnd, !this.#openMetrics);
    if (this.#textEnd !== likelyEnd) {
      hash = hashView(this.#view, start, this.#textEnd);
      const known = this.cache.find(bytes, start, this.#textEnd, hash);
      if (known !== 0) return known;
    }
    const parser = this.#openMetrics ? this.columns.openMetricsParser : this.columns.textParser;
    const { labels } = this.columns;
    const end = parser.parse(bytes, start, this.#family.type, labels);
    this.#textEnd = end;
    const { typeAndUnitLabels } = this.known;
    if (typeAndUnitLabels && !this.#translated) addTypeAndUnit(labels, this.#family.type, this.#family.unit);
    const groups = this.#grouping;
    if (groups !== undefined) return this.#grouped(bytes, start, end, hash, parser.quotedNames, groups);
    if (this.count >= this.#newSeriesLimit) {
      this.truncated = true;
      return 0;
    }
    const ref = this.#resolve(labels, parser.quotedNames);
    const entry = this.cache.add(bytes, start, end, hash, ref, 0);
    this.known.groups?.join(entry, 0, 0);
    this.added.push(entry);
    return entry;
  }

  /** Adds the entry of a new series, and that of the group that it belongs to. */
  #grouped(bytes: Buffer, start: number, end: number, hash: number, quoted: boolean, groups: SeriesGroups): number {
    const { cache } = this;
    const { labels } = this.columns;
    const role = groups.classify(labels, this.#family.type, this.#family.name, this.#openMetrics);
    const isKnown = role !== 0 && cache.rows[groups.find(false) + REF] !== 0;
    const needsSeries = !groups.isSwallowed(role) || (isPart(role) && !isKnown);
    // Series are not counted by samples here: several of them become one.
    if (needsSeries && this.#resolved >= this.#newSeriesLimit) {
      this.truncated = true;
      return role === ROLE_CREATED || (isPart(role) && role !== ROLE_COUNT) ? BEYOND : 0;
    }
    const flags = role === ROLE_CREATED ? ENTRY_COMMENT | ENTRY_CREATED : 0;
    const entry = cache.add(bytes, start, end, hash, 0, flags);
    const group = role === 0 ? 0 : groups.find(true);
    // Noted before labels are judged, which may end the page: then both are forgotten with it.
    groups.join(entry, group, role);
    this.added.push(entry);
    if (isPart(role) && cache.rows[group + REF] === 0) {
      cache.rows[group + REF] = this.#resolve(groups.labels, quoted);
      this.#resolved += 1;
    }
    if (!groups.isSwallowed(role)) {
      cache.rows[entry + REF] = this.#resolve(labels, quoted);
      this.#resolved += 1;
    }
    return entry;
  }

  /** A `_created` line, whose value was read: gives the start to the samples of its group before it. */
  #created(entry: number): void {
    const groups = this.known.groups!;
    const own = groups.groupOf(entry);
    const ms = Math.trunc(this.columns.value[this.count]! * 1000);
    while (this.exemplars.at(-1)?.sample === this.count) this.exemplars.pop();
    if (this.starts === undefined || this.starts.length < this.columns.entry.length) {
      const starts = new Float64Array(this.columns.entry.length).fill(NaN);
      if (this.starts !== undefined) starts.set(this.starts);
      this.starts = starts;
    }
    for (let i = this.#startsFrom; i < this.count; i++) {
      if (groups.groupOf(this.columns.entry[i]!) === own) this.starts[i] = ms;
    }
    this.#startsFrom = this.count;
  }

  /** Reads what follows the series at `start`: value, timestamp, exemplar. Returns the start of the next line. */
  #number(bytes: Buffer, start: number, after: number, end: number): number {
    const spaces = !this.#openMetrics;
    let from = after;
    if (spaces) while (bytes[from] === SPACE || bytes[from] === TAB) from += 1;
    else if (bytes[from] === SPACE) from += 1;
    let to = from;
    while (to < end && bytes[to] !== SPACE && bytes[to] !== NEWLINE && (!spaces || !endsValue(bytes[to]!))) to += 1;
    if (to === from || (!spaces && from === after) || bytes[from] === 0x7b) {
      throw unexpected("expected value after metric", bytes, start, to === from ? from : after);
    }
    const value = parseFloatBytes(bytes, from, to);
    if (Number.isNaN(value) && !isNaNText(bytes, from, to)) {
      throw badFloat(bytes, start, from, to);
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
      if (this.cache.rows[known + TYPE] !== 0) this.#family.declare(known);
      return known;
    }
    if (!isUtf8(bytes.subarray(start, lineEnd))) {
      throw new ExpositionError(`help text ${quoteBytes(bytes, start, lineEnd)} is not a valid utf8 string`);
    }
    const declared = this.metadata.declare(bytes, start, lineEnd, this.#openMetrics, this.#translated);
    const entry = this.cache.add(bytes, start, lineEnd, hash, 0, ENTRY_COMMENT);
    this.known.groups?.join(entry, 0, 0);
    if (declared !== undefined) {
      this.cache.rows[entry + TYPE] = typeCode(declared, this.#openMetrics);
      this.#family.declare(entry);
    }
    return entry;
  }
}

/** In the text format a value ends at these as well. */
function endsValue(code: number): boolean {
  return code === TAB || code === 0x7b;
}
