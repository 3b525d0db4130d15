import {
  ENTRY_COMMENT,
  ENTRY_CREATED,
  ENTRY_EMITTED,
  ENTRY_GROUP,
  ENTRY_KNOWN,
  ExpositionCache,
  FLAGS,
  LENGTH,
  REF,
  ROW,
  SEEN,
} from "./cache.ts";
import { type ExpositionOptions, SeriesGroups } from "./groups.ts";
import { ExpositionMetadata, type SharedMetadata } from "./metadata.ts";

/** The samples of a page that was accepted. */
export interface AcceptedPage {
  readonly count: number;
  readonly columns: { readonly entry: Int32Array };
  /** Entries on the page, each counted once. */
  readonly distinct: number;
}

/**
 * What is remembered of one target's page: its series, which of them have samples downstream, and what it said of their
 * families. There are as many of them as targets, so whatever is needed only while a page is read is in the parser.
 */
export class KnownPage {
  readonly cache = new ExpositionCache();
  readonly metadata: ExpositionMetadata;
  readonly groups: SeriesGroups | undefined;
  readonly typeAndUnitLabels: boolean;
  /** The number of the page that was read last: `SEEN` of the entries on it. */
  number = 0;

  constructor(shared: SharedMetadata, options?: ExpositionOptions) {
    this.metadata = new ExpositionMetadata(shared);
    const groups = options !== undefined && (options.convertHistograms || options.startTimestamps);
    this.groups = groups ? new SeriesGroups(this.cache, options) : undefined;
    this.typeAndUnitLabels = options?.typeAndUnitLabels ?? false;
  }

  /** Takes over a page: notes what has samples now, and forgets what has vanished, as the parser's `commit` says. */
  accept(page: AcceptedPage, stale: number[], forgotten: number[], tracked?: (sample: number) => boolean): void {
    const { cache } = this;
    const { rows } = cache;
    const { entry: entries } = page.columns;
    for (let i = 0; i < page.count; i++) {
      const flags = tracked === undefined || tracked(i) ? ENTRY_EMITTED | ENTRY_KNOWN : ENTRY_KNOWN;
      rows[entries[i]! + FLAGS]! |= flags;
    }
    if (this.groups === undefined && page.distinct === cache.live) return;
    const firstStale = stale.length;
    for (let entry = ROW; entry < cache.limit; entry += ROW) {
      if (rows[entry + LENGTH] === 0 || rows[entry + SEEN] === this.number) continue;
      const flags = rows[entry + FLAGS]!;
      if (flags & ENTRY_GROUP) {
        // Its series are there, but were not to be converted this time.
        if (flags & ENTRY_EMITTED) stale.push(rows[entry + REF]!);
        rows[entry + FLAGS]! &= ~ENTRY_EMITTED;
        continue;
      }
      if ((flags & (ENTRY_COMMENT | ENTRY_CREATED)) === ENTRY_COMMENT) this.metadata.forget(cache.text(entry));
      else if (flags & ENTRY_EMITTED) stale.push(rows[entry + REF]!);
      this.#remove(entry, stale, forgotten);
    }
    if (stale.length > firstStale) this.#unmarkRespelt(stale, firstStale);
    cache.compact();
  }

  /** Forgets the entries in `added`, and that anything has samples, as the parser's `abandon` says. */
  reject(added: readonly number[], stale: number[], forgotten: number[]): void {
    const { cache } = this;
    for (const entry of added) this.#remove(entry, stale, forgotten);
    const { rows } = cache;
    const emitted = new Set<number>(); // a series may be there in two spellings
    for (let entry = ROW; entry < cache.limit; entry += ROW) {
      if ((rows[entry + FLAGS]! & ENTRY_EMITTED) === 0) continue;
      rows[entry + FLAGS]! &= ~ENTRY_EMITTED;
      emitted.add(rows[entry + REF]!);
    }
    for (const ref of emitted) stale.push(ref);
  }

  /** Calls `visit` with the ref of each series that would get a stale marker if it vanished. */
  forEachEmitted(visit: (ref: number) => void): void {
    const { rows, limit } = this.cache;
    for (let entry = ROW; entry < limit; entry += ROW) {
      if (rows[entry + FLAGS]! & ENTRY_EMITTED) visit(rows[entry + REF]!);
    }
  }

  /** Forgets everything; `release` gets the ref of each known series. */
  clear(release: (ref: number) => void): void {
    const { cache } = this;
    const { rows } = cache;
    for (let entry = ROW; entry < cache.limit; entry += ROW) {
      if (rows[entry + LENGTH] === 0) continue;
      if (rows[entry + REF] !== 0) release(rows[entry + REF]!);
      cache.remove(entry);
    }
    cache.compact();
  }

  /** Removes an entry, and its group if nothing else belongs to it. */
  #remove(entry: number, stale: number[], forgotten: number[]): void {
    const { cache } = this;
    const { rows } = cache;
    if (rows[entry + REF] !== 0) forgotten.push(rows[entry + REF]!);
    const group = this.groups?.leave(entry) ?? 0;
    cache.remove(entry);
    if (group === 0) return;
    if (rows[group + FLAGS]! & ENTRY_EMITTED) stale.push(rows[group + REF]!);
    if (rows[group + REF] !== 0) forgotten.push(rows[group + REF]!);
    cache.remove(group);
  }

  /** Takes back the stale markers, from `from` on, of series that are on the page all the same, in another spelling. */
  #unmarkRespelt(stale: number[], from: number): void {
    const { rows, limit } = this.cache;
    const vanished = new Set(stale.slice(from));
    for (let entry = ROW; entry < limit; entry += ROW) {
      if (rows[entry + SEEN] === this.number && rows[entry + LENGTH] !== 0) vanished.delete(rows[entry + REF]!);
    }
    stale.length = from;
    for (const ref of vanished) stale.push(ref);
  }
}
