/**
 * The agent's own metrics. Instruments are declared as data (`counter(…)`), created per owner with constant labels
 * (`component_id`, `component_path`), and vanish from the registry with their owner.
 */

export type MetricType = "counter" | "gauge" | "histogram" | "summary" | "untyped";

/** One exposed sample; `labels` is flat: `name, value, …`, not necessarily sorted. */
export interface MetricSample {
  readonly name: string;
  readonly labels: readonly string[];
  readonly value: number;
  /** Epoch milliseconds; left out where the time of the scrape is meant. */
  readonly timestamp?: number;
}

/** A family as it appears on a metrics page. Exporters produce these too. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly samples: readonly MetricSample[];
}

/** A declared instrument, before it belongs to anybody. */
export interface MetricSpec<T extends Instrument = Instrument> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  create(): T;
}

export interface Instrument {
  /** Appends the current samples; `prefix` is the owner's constant labels. */
  collect(name: string, prefix: readonly string[], into: MetricSample[]): void;
}

/** A monotonic sum. `labels(...values)` gives the child for label values in the declared order; keep the child on hot paths. */
export class Counter implements Instrument {
  readonly #labelNames: readonly string[];
  /** Made when the first is asked for: children, of which there may be thousands, have none themselves. */
  #children: Map<string, { values: readonly string[]; child: Counter }> | undefined;
  value = 0;

  constructor(labelNames: readonly string[] = []) {
    this.#labelNames = labelNames;
  }
  inc(by = 1): void {
    this.value += by;
  }
  labels(...values: string[]): Counter {
    return childOf((this.#children ??= new Map()), this.#labelNames, values, () => new Counter());
  }
  /** Forgets the child with these label values, for owners whose label values come and go. */
  remove(...values: string[]): void {
    this.#children?.delete(values.join("\xff"));
  }
  collect(name: string, prefix: readonly string[], into: MetricSample[]): void {
    if (this.#labelNames.length === 0) into.push({ name, labels: prefix, value: this.value });
    if (this.#children !== undefined) collectChildren(this.#children, this.#labelNames, name, prefix, into);
  }
}

/**
 * A value that goes up and down. `read` makes it a function of the moment, `readEach` the values of all its children: for
 * owners that know thousands of them anyway.
 */
export class Gauge implements Instrument {
  readonly #labelNames: readonly string[];
  /** Made when the first is asked for: children, of which there may be thousands, have none themselves. */
  #children: Map<string, { values: readonly string[]; child: Gauge }> | undefined;
  value = 0;
  read: (() => number) | undefined;
  readEach: (() => Iterable<readonly [labelValues: readonly string[], value: number]>) | undefined;

  constructor(labelNames: readonly string[] = []) {
    this.#labelNames = labelNames;
  }
  set(value: number): void {
    this.value = value;
  }
  inc(by = 1): void {
    this.value += by;
  }
  dec(by = 1): void {
    this.value -= by;
  }
  labels(...values: string[]): Gauge {
    return childOf((this.#children ??= new Map()), this.#labelNames, values, () => new Gauge());
  }
  remove(...values: string[]): void {
    this.#children?.delete(values.join("\xff"));
  }
  collect(name: string, prefix: readonly string[], into: MetricSample[]): void {
    if (this.#labelNames.length === 0) into.push({ name, labels: prefix, value: this.read ? this.read() : this.value });
    if (this.#children !== undefined) collectChildren(this.#children, this.#labelNames, name, prefix, into);
    for (const [values, value] of this.readEach?.() ?? []) {
      into.push({ name, labels: withOwn(prefix, this.#labelNames, values), value });
    }
  }
}

/** A classic histogram with fixed upper bounds. */
export class Histogram implements Instrument {
  readonly #labelNames: readonly string[];
  readonly #bounds: readonly number[];
  readonly #counts: Float64Array;
  readonly #children = new Map<string, { values: readonly string[]; child: Histogram }>();
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[], labelNames: readonly string[] = []) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length);
    this.#labelNames = labelNames;
  }
  /** Observes a value, `count` times. */
  observe(value: number, count = 1): void {
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value <= this.#bounds[i]!) {
        this.#counts[i]! += count;
        break;
      }
    }
    this.#sum += value * count;
    this.#count += count;
  }
  labels(...values: string[]): Histogram {
    return childOf(this.#children, this.#labelNames, values, () => new Histogram(this.#bounds));
  }
  remove(...values: string[]): void {
    this.#children.delete(values.join("\xff"));
  }
  collect(name: string, prefix: readonly string[], into: MetricSample[]): void {
    if (this.#labelNames.length === 0) {
      let cumulative = 0;
      for (let i = 0; i < this.#bounds.length; i++) {
        cumulative += this.#counts[i]!;
        into.push({
          name: `${name}_bucket`,
          labels: [...prefix, "le", formatFloat(this.#bounds[i]!)],
          value: cumulative,
        });
      }
      into.push({ name: `${name}_bucket`, labels: [...prefix, "le", "+Inf"], value: this.#count });
      into.push({ name: `${name}_sum`, labels: prefix, value: this.#sum });
      into.push({ name: `${name}_count`, labels: prefix, value: this.#count });
    }
    collectChildren(this.#children, this.#labelNames, name, prefix, into);
  }
}

/** Observations older than this no longer count for quantiles, as in Prometheus's Go client. */
const SUMMARY_AGE_MS = 600_000;
/** The latest observations that quantiles are worked out from; a bound for memory. */
const SUMMARY_WINDOW = 512;

/** Quantiles of the latest observations, and the sum and count of all. */
export class Summary implements Instrument {
  readonly #labelNames: readonly string[];
  readonly #quantiles: readonly number[];
  readonly #children = new Map<string, { values: readonly string[]; child: Summary }>();
  readonly #values: number[] = [];
  readonly #times: number[] = [];
  #next = 0;
  #sum = 0;
  #count = 0;

  constructor(quantiles: readonly number[], labelNames: readonly string[] = []) {
    this.#quantiles = quantiles;
    this.#labelNames = labelNames;
  }
  /** Observes a value, `count` times; for quantiles these are one. */
  observe(value: number, count = 1): void {
    this.#values[this.#next] = value;
    this.#times[this.#next] = performance.now();
    this.#next = (this.#next + 1) % SUMMARY_WINDOW;
    this.#sum += value * count;
    this.#count += count;
  }
  labels(...values: string[]): Summary {
    return childOf(this.#children, this.#labelNames, values, () => new Summary(this.#quantiles));
  }
  remove(...values: string[]): void {
    this.#children.delete(values.join("\xff"));
  }
  collect(name: string, prefix: readonly string[], into: MetricSample[]): void {
    if (this.#labelNames.length === 0) {
      const oldest = performance.now() - SUMMARY_AGE_MS;
      const recent = this.#values.filter((_, i) => this.#times[i]! >= oldest).sort((a, b) => a - b);
      for (const quantile of this.#quantiles) {
        const rank = Math.min(recent.length - 1, Math.ceil(quantile * recent.length) - 1);
        const labels = [...prefix, "quantile", formatFloat(quantile)];
        into.push({ name, labels, value: recent[Math.max(0, rank)] ?? Number.NaN });
      }
      into.push({ name: `${name}_sum`, labels: prefix, value: this.#sum });
      into.push({ name: `${name}_count`, labels: prefix, value: this.#count });
    }
    collectChildren(this.#children, this.#labelNames, name, prefix, into);
  }
}

/** The buckets that Prometheus clients use when none are given, in seconds. */
export const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const;

export function counter(name: string, help: string, labelNames: readonly string[] = []): MetricSpec<Counter> {
  return { name, help, type: "counter", labelNames, create: () => new Counter(labelNames) };
}
export function gauge(name: string, help: string, labelNames: readonly string[] = []): MetricSpec<Gauge> {
  return { name, help, type: "gauge", labelNames, create: () => new Gauge(labelNames) };
}
export function histogram(
  name: string,
  help: string,
  bounds: readonly number[] = DEFAULT_BUCKETS,
  labelNames: readonly string[] = [],
): MetricSpec<Histogram> {
  return { name, help, type: "histogram", labelNames, create: () => new Histogram(bounds, labelNames) };
}

export function summary(
  name: string,
  help: string,
  quantiles: readonly number[],
  labelNames: readonly string[] = [],
): MetricSpec<Summary> {
  return { name, help, type: "summary", labelNames, create: () => new Summary(quantiles, labelNames) };
}

export type MetricSpecs = Readonly<Record<string, MetricSpec>>;
export type InstrumentsOf<M extends MetricSpecs> = { readonly [K in keyof M]: ReturnType<M[K]["create"]> };

/** Collects families on request: those of instruments with an owner, and those that a callback computes. */
export class MetricRegistry {
  readonly #owners = new Set<() => Iterable<MetricFamily>>();

  /** Creates the declared instruments under constant labels (flat). `dispose` removes them from the page. */
  register<M extends MetricSpecs>(
    specs: M,
    constantLabels: readonly string[] = [],
  ): { readonly instruments: InstrumentsOf<M>; dispose(): void } {
    const entries = Object.entries(specs).map(([key, spec]) => ({ key, spec, instrument: spec.create() }));
    const dispose = this.registerCollector(() =>
      entries.map(({ spec, instrument }) => {
        const samples: MetricSample[] = [];
        instrument.collect(spec.name, constantLabels, samples);
        return { name: spec.name, help: spec.help, type: spec.type, samples };
      }),
    );
    const instruments = Object.fromEntries(entries.map(({ key, instrument }) => [key, instrument]));
    return { instruments: instruments as InstrumentsOf<M>, dispose };
  }

  /** Adds families that are computed when the page is read. Returns the function that removes them. */
  registerCollector(collect: () => Iterable<MetricFamily>): () => void {
    this.#owners.add(collect);
    return () => void this.#owners.delete(collect);
  }

  /** All families with at least one sample, sorted by name; families of the same name are merged. */
  collect(): MetricFamily[] {
    const byName = new Map<string, MetricFamily & { samples: MetricSample[] }>();
    for (const owner of this.#owners) {
      for (const family of owner()) {
        if (family.samples.length === 0) continue;
        const known = byName.get(family.name);
        if (known === undefined) byName.set(family.name, { ...family, samples: [...family.samples] });
        else for (const sample of family.samples) known.samples.push(sample);
      }
    }
    return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

/**
 * A float as Go's `%v` and `strconv.FormatFloat(v, 'g', -1, 64)` print it, in labels (`le`) too. On pages of metrics, where
 * only the number counts, exponents may come later.
 */
export function formatFloat(value: number, exponentFrom = 1e6): string {
  if (Number.isNaN(value)) return "NaN";
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  if (Object.is(value, -0)) return "-0";
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-4 || magnitude >= exponentFrom)) {
    const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
    const digits = exponent.slice(1);
    return `${mantissa}e${exponent[0]}${digits.length < 2 ? `0${digits}` : digits}`;
  }
  return String(value);
}

function childOf<T>(
  children: Map<string, { values: readonly string[]; child: T }>,
  labelNames: readonly string[],
  values: readonly string[],
  create: () => T,
): T {
  if (values.length !== labelNames.length) {
    throw new Error(`expected ${labelNames.length} label values (${labelNames.join(", ")}), got ${values.length}`);
  }
  const key = values.join("\xff");
  let entry = children.get(key);
  if (entry === undefined) children.set(key, (entry = { values, child: create() }));
  return entry.child;
}

function collectChildren(
  children: ReadonlyMap<string, { values: readonly string[]; child: Instrument }>,
  labelNames: readonly string[],
  name: string,
  prefix: readonly string[],
  into: MetricSample[],
): void {
  for (const { values, child } of children.values()) {
    child.collect(name, withOwn(prefix, labelNames, values), into);
  }
}

/** An array of just the length: a page has many. */
function withOwn(prefix: readonly string[], names: readonly string[], values: readonly string[]): readonly string[] {
  const own: string[] = [];
  for (let i = 0; i < values.length; i++) own.push(names[i]!, values[i]!);
  return prefix.concat(own);
}
