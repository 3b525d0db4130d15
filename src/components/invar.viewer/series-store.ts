import { type Filter, searchable } from "#base/filter";

export interface StoredSeries {
  readonly name: string;
  /** Flat, without the name. */
  readonly labels: readonly string[];
  /** What it is called in the filter: name and labels. */
  readonly key: string;
  /** The last points; a ring of MAX_POINTS. Epoch milliseconds and values, NaN for the end of a series. */
  times: Float64Array;
  values: Float64Array;
  /** Points written so far. */
  count: number;
  /** Epoch milliseconds of the last arrival. */
  arrived: number;
}

/** Points kept of a series: half an hour at one in 15 s. */
const MAX_POINTS = 128;
const FIRST_POINTS = 16;
const OVERHEAD = 400;

/** The latest points of the series that were seen lately, bounded by age, memory and points per series. */
export class SeriesStore {
  readonly #maxBytes: number;
  readonly #series = new Map<string, StoredSeries>();
  /** Type by name of the family. */
  readonly #types = new Map<string, string>();
  bytes = 0;
  received = 0;
  /** Samples of series for which there was no memory left. */
  refused = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#series.size;
  }

  /** `labels` is flat and sorted, without the name. False when a new series finds no memory. */
  add(now: number, name: string, labels: readonly string[], time: number, value: number): boolean {
    this.received += 1;
    const key = `${name}\xff${labels.join("\xff")}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      const bytes = OVERHEAD + key.length * 3 + FIRST_POINTS * 16;
      if (this.bytes + bytes > this.#maxBytes) {
        this.refused += 1;
        return false;
      }
      const times = new Float64Array(FIRST_POINTS);
      series = { name, labels, key, times, values: new Float64Array(FIRST_POINTS), count: 0, arrived: now };
      this.#series.set(key, series);
      this.bytes += bytes;
    }
    if (series.count === series.times.length && series.count < MAX_POINTS) this.#grow(series);
    const at = series.count % series.times.length;
    series.times[at] = time;
    series.values[at] = value;
    series.count += 1;
    series.arrived = now;
    return true;
  }

  setType(family: string, type: string): void {
    if (this.#types.size < 10_000) this.#types.set(family, type);
  }

  typeOf(name: string): string {
    const base = name.replace(/_(?:total|bucket|sum|count)$/, "");
    return this.#types.get(name) ?? this.#types.get(base) ?? "";
  }

  /** Forgets series of which nothing arrived since `time`. */
  expire(time: number): void {
    for (const [key, series] of this.#series) {
      if (series.arrived >= time) continue;
      this.#series.delete(key);
      this.bytes -= OVERHEAD + key.length * 3 + series.times.length * 16;
    }
  }

  /** The first series that match, by name, and how many there are in all. */
  find(filter: Filter, limit: number): { readonly series: readonly StoredSeries[]; readonly matched: number } {
    const found = [...this.#series.values()].filter(
      ({ name, labels }) => filter.empty || filter.matches(searchable(labels, name)),
    );
    found.sort((a, b) => (a.key < b.key ? -1 : 1));
    return { series: found.slice(0, limit), matched: found.length };
  }

  #grow(series: StoredSeries): void {
    const length = series.times.length * 2;
    if (this.bytes + series.times.length * 16 > this.#maxBytes) return; // the ring stays as short as it is
    this.bytes += series.times.length * 16;
    for (const column of ["times", "values"] as const) {
      const larger = new Float64Array(length);
      larger.set(series[column]);
      series[column] = larger;
    }
  }
}

/** A series' points in order of arrival. */
export function pointsOf({ times, values, count }: StoredSeries): [time: number, value: number][] {
  const points: [number, number][] = [];
  for (let i = Math.max(0, count - times.length); i < count; i++) {
    points.push([times[i % times.length]!, values[i % times.length]!]);
  }
  return points;
}
