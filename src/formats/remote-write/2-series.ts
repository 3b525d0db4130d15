import type { MetricMetadata } from "#pipeline/batch";
import { type SeriesRef, SeriesRegistry } from "#pipeline/series";
import { forEachLabel } from "#pipeline/series-labels";
import { familiesOf, METADATA_TYPES } from "./metadata.ts";

const INITIAL_SERIES = 1024;
/** Numbers of a family in `families`: its type, and the symbols of its help and unit (0 for none). */
export const FAMILY_FIELDS = 3;

/**
 * What each series is in remote write 2.0: the symbols of its labels, and the family whose metadata goes with it. Made once
 * for each series and kept until the registry frees it, so that no sample costs a look at a string.
 *
 * Symbols are refs of a registry of strings; the encoder turns them into the indexes of each request.
 */
export class SeriesSymbols {
  readonly #registry: SeriesRegistry;
  /** Not of series but of strings: it interns bytes of any kind, and gives back what nobody owns any more. */
  readonly strings: SeriesRegistry = new SeriesRegistry();
  readonly #unwatch: () => void;
  /** Runs of symbols: their number, then name, value, name, value …; place 0 is not used. */
  #runs = new Int32Array(4096);
  #used = 1;
  /** Places of freed runs by their number of symbols. */
  readonly #free = new Map<number, number[]>();
  #place = new Int32Array(INITIAL_SERIES);
  /** The family's index; 0: not looked for; −v: there was none at version v. */
  #family = new Int32Array(INITIAL_SERIES);
  readonly #byName = new Map<string, number>();
  /** FAMILY_FIELDS numbers each; family 0 has no metadata. */
  #families = new Int32Array(FAMILY_FIELDS * 64);
  #version = 1;
  #scratch = Buffer.allocUnsafe(1024);
  #run: number[] = [];

  constructor(registry: SeriesRegistry) {
    this.#registry = registry;
    this.#unwatch = registry.onFreed((ref) => this.#forget(ref));
  }

  /** Runs of symbols, for `place`; another array after a series was added. */
  get runs(): Int32Array {
    return this.#runs;
  }
  get families(): Int32Array {
    return this.#families;
  }

  /** Where the run of a series begins in `runs`. */
  place(ref: SeriesRef): number {
    const place = ref < this.#place.length ? this.#place[ref]! : 0;
    return place !== 0 ? place : this.#add(ref);
  }

  /** The index of the family of a series that has a place; times FAMILY_FIELDS it is where its numbers are in `families`. */
  family(ref: SeriesRef): number {
    const family = this.#family[ref]!;
    return family > 0 ? family : family === -this.#version ? 0 : this.#findFamily(ref);
  }

  /** Takes in metadata that is new or has changed. */
  describe({ family: name, type, help, unit }: MetricMetadata): void {
    let family = this.#byName.get(name);
    if (family === undefined) {
      family = this.#byName.size + 1;
      this.#byName.set(name, family);
      this.#version += 1;
      if ((family + 1) * FAMILY_FIELDS > this.#families.length) {
        const larger = new Int32Array(this.#families.length * 2);
        larger.set(this.#families);
        this.#families = larger;
      }
    }
    const at = family * FAMILY_FIELDS;
    const old = [this.#families[at + 1]!, this.#families[at + 2]!];
    this.#families[at] = METADATA_TYPES.indexOf(type);
    this.#families[at + 1] = this.#internText(help);
    this.#families[at + 2] = this.#internText(unit);
    for (const symbol of old) if (symbol !== 0) this.strings.release(symbol);
  }

  [Symbol.dispose](): void {
    this.#unwatch();
  }

  #add(ref: SeriesRef): number {
    if (ref >= this.#place.length) {
      const length = Math.ceil(Math.max(ref + 1, this.#registry.refLimit) * 1.25);
      const places = new Int32Array(length);
      places.set(this.#place);
      this.#place = places;
      const families = new Int32Array(length);
      families.set(this.#family);
      this.#family = families;
    }
    const length = this.#registry.encodedLength(ref);
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(length * 2);
    const scratch = this.#scratch;
    this.#registry.copyEncoded(ref, scratch, 0);
    const run = this.#run;
    run.length = 0;
    forEachLabel(scratch, 0, length, (nameStart, nameEnd, valueStart, valueEnd) => {
      run.push(this.strings.internEncoded(scratch, nameStart, nameEnd));
      run.push(this.strings.internEncoded(scratch, valueStart, valueEnd));
    });
    const place = this.#take(run.length);
    this.#runs[place] = run.length;
    for (let i = 0; i < run.length; i++) this.#runs[place + 1 + i] = run[i]!;
    this.#place[ref] = place;
    this.#family[ref] = 0;
    return place;
  }

  #take(count: number): number {
    const reused = this.#free.get(count)?.pop();
    if (reused !== undefined) return reused;
    const place = this.#used;
    this.#used += count + 1;
    if (this.#used > this.#runs.length) {
      const larger = new Int32Array(Math.max(this.#used, Math.ceil(this.#runs.length * 1.5)));
      larger.set(this.#runs);
      this.#runs = larger;
    }
    return place;
  }

  #forget(ref: SeriesRef): void {
    const place = ref < this.#place.length ? this.#place[ref]! : 0;
    if (place === 0) return;
    const count = this.#runs[place]!;
    for (let i = 1; i <= count; i++) this.strings.release(this.#runs[place + i]!);
    this.#place[ref] = 0;
    const free = this.#free.get(count);
    if (free === undefined) this.#free.set(count, [place]);
    else free.push(place);
  }

  #findFamily(ref: SeriesRef): number {
    const name = this.#registry.labels(ref).get("__name__") ?? "";
    for (const [family, types] of familiesOf(name)) {
      const found = this.#byName.get(family);
      if (found === undefined) continue;
      if (types === undefined || types.includes(METADATA_TYPES[this.#families[found * FAMILY_FIELDS]!]!)) {
        this.#family[ref] = found;
        return found;
      }
    }
    this.#family[ref] = -this.#version;
    return 0;
  }

  #internText(text: string): number {
    if (text === "") return 0;
    const bytes = Buffer.from(text);
    return this.strings.internEncoded(bytes, 0, bytes.length);
  }
}
