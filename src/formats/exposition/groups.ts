import { isNaNText, parseFloatBytes } from "../float.ts";
import { ENTRY_GROUP, type ExpositionCache, hashText, numberOf } from "./cache.ts";
import { LabelBytes } from "./labels.ts";
import type { TypeCode } from "./types.ts";

/** What a series is to its group. */
const ROLE_MEMBER = 1;
export const ROLE_BUCKET = 2;
export const ROLE_SUM = 3;
export const ROLE_COUNT = 4;
export const ROLE_CREATED = 5;

const CREATED = "_created";
const NAME = Buffer.from("__name__");
/** Begins the text of a group in the cache: no series on a page can. */
const NEWLINE = 10;

/** What may be made of a page beyond its samples. */
export interface ExpositionOptions {
  /** Classic histograms become native ones with custom buckets. */
  readonly convertHistograms: boolean;
  /** Classic series of histograms that are converted, or native as well, are kept. */
  readonly classicHistograms: boolean;
  /** `_created` series of OpenMetrics become the start of others. */
  readonly startTimestamps: boolean;
  /** Types and units of families become labels of their series. */
  readonly typeAndUnitLabels: boolean;
}

/**
 * Which series of a page belong together: those of a classic histogram, and those that a `_created` series tells the
 * start of. A group is an entry of the cache itself, by the labels that its series share; it is there as long as they are.
 * Nothing of this is looked at for pages that are read without it.
 */
export class SeriesGroups {
  readonly options: ExpositionOptions;
  readonly #cache: ExpositionCache;
  /** By the number of an entry (`numberOf`): the entry of its group, 0 for none. */
  #group = new Int32Array(64);
  #role = new Uint8Array(64);
  /** The upper bound of a bucket. */
  #bounds = new Float64Array(64);
  /** By the number of a group: how many entries belong to it. */
  #members = new Int32Array(64);
  /** Of the series that `classify` was asked about last. */
  readonly labels = new LabelBytes();
  #bound = 0;
  #key = Buffer.allocUnsafe(1024);

  constructor(cache: ExpositionCache, options: ExpositionOptions) {
    this.#cache = cache;
    this.options = options;
    cache.renumbered = (to) => this.#renumber(to);
  }

  /** The entry of the group that an entry belongs to, 0 for none. */
  groupOf(entry: number): number {
    return this.#group[numberOf(entry)]!;
  }
  roleOf(entry: number): number {
    return this.#role[numberOf(entry)]!;
  }
  /** Of the entry of a bucket. */
  boundOf(entry: number): number {
    return this.#bounds[numberOf(entry)]!;
  }

  /** Whether samples of this role go into the histogram of their group and nowhere else. */
  isSwallowed(role: number): boolean {
    return role === ROLE_CREATED || (isPart(role) && !this.options.classicHistograms);
  }

  /**
   * What a series is to a group, 0 for nothing; `labels` then has those of the group. `family` is the name in the TYPE
   * line above it. Matches handleClassicHistogramSeries and seriesHash of Prometheus's model/textparse.
   */
  classify(series: LabelBytes, type: TypeCode, family: string, openMetrics: boolean): number {
    const { convertHistograms, startTimestamps } = this.options;
    const at = series.find("__name__");
    if (at < 0) return 0;
    const name = series.value(at);
    let role = convertHistograms && type === "histogram" ? this.#part(series, name, family) : 0;
    let groupName = family;
    if (startTimestamps && openMetrics && (type === "counter" || type === "summary" || type === "histogram")) {
      if (name.endsWith(CREATED)) {
        role = ROLE_CREATED;
        groupName = name.slice(0, -CREATED.length);
      } else if (role === 0 && name.startsWith(family)) role = ROLE_MEMBER;
    }
    if (role === 0) return 0;
    const own = type === "histogram" ? "le" : type === "summary" ? "quantile" : "";
    const { labels } = this;
    labels.clear();
    labels.add(NAME, Buffer.from(groupName));
    for (let i = 0; i < series.count; i++) {
      if (i === at || (own !== "" && series.name(i) === own)) continue;
      const { text } = series;
      labels.addRanges(text, series.nameStart(i), series.nameEnd(i), series.valueStart(i), series.valueEnd(i));
    }
    return role;
  }

  /** The entry of the group that was classified last; without one, 0 or, to `create`, a new one. */
  find(create: boolean): number {
    const { labels } = this;
    labels.sort();
    let length = 1;
    for (let i = 0; i < labels.count; i++) length += labels.encodedLength(i);
    if (length > this.#key.length) this.#key = Buffer.allocUnsafe(length * 2);
    const key = this.#key;
    key[0] = NEWLINE;
    let end = 1;
    for (let i = 0; i < labels.count; i++) end = labels.encode(i, key, end);
    const hash = hashText(key, 0, end);
    const known = this.#cache.find(key, 0, end, hash);
    if (known !== 0 || !create) return known;
    const entry = this.#cache.add(key, 0, end, hash, 0, ENTRY_GROUP);
    const number = this.#reserve(entry);
    this.#group[number] = 0;
    this.#role[number] = 0;
    this.#members[number] = 0;
    return entry;
  }

  /** Notes what a new entry is; `group` is 0 for one that belongs to none. */
  join(entry: number, group: number, role: number): void {
    const number = this.#reserve(entry);
    this.#group[number] = group;
    this.#role[number] = role;
    this.#bounds[number] = this.#bound;
    if (group !== 0) this.#members[numberOf(group)]! += 1;
  }

  /** Before an entry is removed; returns the entry of its group if that has no other left, and 0 otherwise. */
  leave(entry: number): number {
    const group = this.groupOf(entry);
    if (group === 0) return 0;
    this.#group[numberOf(entry)] = 0;
    this.#members[numberOf(group)]! -= 1;
    return this.#members[numberOf(group)] === 0 ? group : 0;
  }

  #part(series: LabelBytes, name: string, family: string): number {
    if (!name.startsWith(family)) return 0;
    switch (name.slice(family.length)) {
      case "_bucket": {
        const le = series.find("le");
        if (le < 0) return 0;
        const [start, end] = [series.valueStart(le), series.valueEnd(le)];
        this.#bound = parseFloatBytes(series.text, start, end);
        return Number.isNaN(this.#bound) || isNaNText(series.text, start, end) ? 0 : ROLE_BUCKET;
      }
      case "_sum":
        return ROLE_SUM;
      case "_count":
        return ROLE_COUNT;
      default:
        return 0;
    }
  }

  /** Makes room for an entry; returns its number. */
  #reserve(entry: number): number {
    const number = numberOf(entry);
    if (number < this.#group.length) return number;
    const length = Math.max(number + 1, this.#cache.capacity);
    this.#group = grown(this.#group, new Int32Array(length));
    this.#role = grown(this.#role, new Uint8Array(length));
    this.#bounds = grown(this.#bounds, new Float64Array(length));
    this.#members = grown(this.#members, new Int32Array(length));
    return number;
  }

  #renumber(to: Int32Array): void {
    const length = this.#cache.capacity;
    const [group, role, bounds, members] = [this.#group, this.#role, this.#bounds, this.#members];
    this.#group = new Int32Array(length);
    this.#role = new Uint8Array(length);
    this.#bounds = new Float64Array(length);
    this.#members = new Int32Array(length);
    for (let from = 1; from < Math.min(to.length, group.length); from++) {
      if (to[from] === 0) continue;
      const number = numberOf(to[from]!);
      this.#group[number] = to[numberOf(group[from]!)]!;
      this.#role[number] = role[from]!;
      this.#bounds[number] = bounds[from]!;
      this.#members[number] = members[from]!;
    }
  }
}

/** Whether a series of this role is a piece of a classic histogram. */
export function isPart(role: number): boolean {
  return role >= ROLE_BUCKET && role <= ROLE_COUNT;
}

function grown<T extends Int32Array | Uint8Array | Float64Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
