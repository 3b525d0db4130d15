import type { NativeHistogram } from "#pipeline/batch";
import { ENTRY_KNOWN, type ExpositionCache, FLAGS, SEEN } from "./cache.ts";
import type { ExpositionColumns, PageExemplar } from "./columns.ts";
import { isPart, ROLE_BUCKET, ROLE_SUM, type SeriesGroups } from "./groups.ts";
import { ClassicHistogram } from "./histogram.ts";

/** The samples of a page, as a parser has read them; those of classic histograms are taken out or joined by native ones. */
export interface ReadPage {
  readonly columns: ExpositionColumns;
  readonly cache: ExpositionCache;
  /** Of the page, as in `SEEN` of its entries. */
  readonly number: number;
  readonly hasTimestamps: boolean;
  count: number;
  exemplars: PageExemplar[];
  duplicates: number[];
  histograms: NativeHistogram[];
  starts: Float64Array | undefined;
}

/** What became of the histograms of a page. */
export interface Conversion {
  /** Samples of classic histograms that cannot be converted. */
  readonly lost: number;
  /** Why the first of them cannot be. */
  readonly reason: string;
  /** Native histograms that had none before. */
  readonly added: number;
}

const classic = new ClassicHistogram();

/**
 * Makes native histograms of the classic ones on a page. Series of one histogram must follow one another, as in
 * Prometheus's model/textparse/nhcbparse.go; their exemplars with a timestamp go to the native one. Of a page that is not
 * whole, what may go on behind its end is left out.
 */
export function convertHistograms(page: ReadPage, groups: SeriesGroups, isWhole: boolean): Conversion {
  const { columns, cache, count, hasTimestamps } = page;
  const { entry: entries, value: values, timestamp: timestamps } = columns;
  const { rows } = cache;
  const { options } = groups;
  const out = columns.spare(count * 2);
  const starts = page.starts === undefined ? undefined : new Float64Array(count * 2);
  const exemplars: PageExemplar[] = [];
  const duplicates: number[] = [];
  let nextExemplar = 0;
  let nextDuplicate = 0;
  let n = 0;
  let lost = 0;
  let reason = "";
  let added = 0;
  let group = 0;
  let pieces = 0;
  let time = NaN;
  let start = NaN;
  let collected: PageExemplar[] = [];

  const emit = () => {
    const histogram = classic.convert("unknown");
    classic.reset();
    if (typeof histogram === "string") {
      lost += pieces;
      reason ||= histogram;
    } else {
      page.histograms.push({ ...histogram, sample: n });
      for (const each of collected) exemplars.push({ ...each, sample: n });
      out.entry[n] = group;
      out.value[n] = histogram.count;
      out.timestamp[n] = time;
      if (starts !== undefined) starts[n] = start;
      if ((rows[group + FLAGS]! & ENTRY_KNOWN) === 0) added += 1;
      if (rows[group + SEEN] !== page.number) rows[group + SEEN] = page.number;
      else if (Number.isNaN(time)) duplicates.push(n);
      n += 1;
    }
    collected = [];
    pieces = 0;
  };

  for (let i = 0; i < count; i++) {
    const entry = entries[i]!;
    const role = groups.roleOf(entry);
    const part = isPart(role);
    const here = part ? groups.groupOf(entry) : 0;
    if (here !== group) {
      if (group !== 0) emit();
      group = here;
      start = page.starts?.[i] ?? NaN;
    }
    const isDuplicate = page.duplicates[nextDuplicate] === i;
    if (isDuplicate) nextDuplicate += 1;
    if (part) {
      if (role === ROLE_BUCKET) classic.bucket(groups.boundOf(entry), values[i]!);
      else if (role === ROLE_SUM) classic.sum = values[i]!;
      else classic.count = values[i]!;
      pieces += 1;
      time = hasTimestamps ? timestamps[i]! : NaN;
    }
    for (; page.exemplars[nextExemplar]?.sample === i; nextExemplar++) {
      const exemplar = page.exemplars[nextExemplar]!;
      if (!part) exemplars.push({ ...exemplar, sample: n });
      else if (!Number.isNaN(exemplar.timestamp)) collected.push(exemplar);
    }
    if (part && !options.classicHistograms) continue;
    out.entry[n] = entry;
    out.value[n] = values[i]!;
    if (hasTimestamps) out.timestamp[n] = timestamps[i]!;
    if (starts !== undefined) starts[n] = page.starts![i]!;
    if (isDuplicate) duplicates.push(n);
    n += 1;
  }
  if (group !== 0 && isWhole) emit();
  classic.reset();
  columns.swap();
  page.count = n;
  page.exemplars = exemplars;
  page.duplicates = duplicates;
  page.starts = starts;
  return { lost, reason, added };
}
