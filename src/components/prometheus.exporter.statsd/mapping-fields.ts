import { formatDuration, parseDuration } from "#base/duration";
import { isObjectValue, type ObjectValue, type Value } from "#lang/value";

export type Quantile = readonly [quantile: number, error: number];

const NATIVE = ["native_histogram_bucket_factor", "native_histogram_max_buckets"];

/** The fields of one map in a mapping file, which know which of them were asked for. Throw an Error for other values. */
export class Fields {
  readonly place: string;
  readonly #values: ObjectValue;
  readonly #known = new Set<string>();
  readonly #warnings: string[];

  constructor(values: ObjectValue, place: string, warnings: string[]) {
    this.#values = values;
    this.place = place;
    this.#warnings = warnings;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** Fields that nobody asked for are passed over, as statsd_exporter does, but not in silence. */
  finish(): void {
    for (const name of this.#values.keys()) {
      if (!this.#known.has(name)) this.#warnings.push(`${this.place}: \`${name}\` is unknown and has no effect`);
    }
  }
  native(): void {
    for (const name of NATIVE) {
      if (this.number(name) === undefined) continue;
      this.#warnings.push(`${this.place}: \`${name}\` has no effect: the page is text, which has classic buckets only`);
    }
  }

  section(name: string): Fields | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!isObjectValue(value)) throw this.#wrong(name, "a map");
    return new Fields(value as ObjectValue, `${this.place}, ${name}`, this.#warnings);
  }
  list(name: string): readonly Value[] {
    const value = this.#get(name) ?? [];
    if (!Array.isArray(value)) throw this.#wrong(name, "a list");
    return value;
  }
  text(name: string): string {
    return this.#textOf(name, this.#get(name) ?? "");
  }
  texts(name: string): ReadonlyMap<string, string> {
    const value = this.#get(name) ?? new Map();
    if (!isObjectValue(value)) throw this.#wrong(name, "a map of texts");
    const pairs = [...(value as ObjectValue)];
    return new Map(pairs.map(([key, each]) => [key, this.#textOf(name, each ?? "")]));
  }
  flag(name: string): boolean {
    const value = this.#get(name) ?? false;
    if (typeof value !== "boolean") throw this.#wrong(name, "true or false");
    return value;
  }
  number(name: string): number | undefined {
    const value = this.#get(name);
    return value === undefined ? undefined : this.#numberOf(name, value);
  }
  buckets(name: string): readonly number[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw this.#wrong(name, "a list of numbers");
    const bounds = value.map((each) => this.#numberOf(name, each));
    if (bounds.at(-1) === Infinity) bounds.pop();
    const isAscending = bounds.every((bound, i) => i === 0 || bound > bounds[i - 1]!);
    if (!isAscending) throw this.#wrong(name, "numbers in ascending order");
    return bounds;
  }
  quantiles(name: string): readonly Quantile[] | undefined {
    const value = this.#get(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) throw this.#wrong(name, "a list of quantiles");
    return value.map((each) => {
      if (!isObjectValue(each)) throw this.#wrong(name, "a list of maps with `quantile` and `error`");
      const row = new Fields(each as ObjectValue, `${this.place}, ${name}`, this.#warnings);
      const pair = [row.number("quantile") ?? 0, row.number("error") ?? 0] as const;
      row.finish();
      return pair;
    });
  }
  /** Milliseconds. */
  duration(name: string): number {
    const value = this.#get(name);
    if (value === undefined) return 0;
    if (typeof value !== "string") return this.#numberOf(name, value) / 1e6; // Go counts in nanoseconds
    try {
      return parseDuration(value);
    } catch {
      throw this.#wrong(name, `a duration such as ${formatDuration(60_000)}`);
    }
  }

  #get(name: string): Value | undefined {
    this.#known.add(name);
    const value = this.#values.get(name);
    return value === null ? undefined : value;
  }
  #textOf(name: string, value: Value): string {
    if (typeof value === "string") return value;
    if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
    throw this.#wrong(name, "text");
  }
  #numberOf(name: string, value: Value): number {
    const number = typeof value === "bigint" ? Number(value) : value;
    if (typeof number !== "number") throw this.#wrong(name, "a number");
    return number;
  }
  #wrong(name: string, wanted: string): Error {
    return new Error(`${this.place}: \`${name}\` must be ${wanted}`);
  }
}
