import type { MetricFamily, MetricSample, MetricType } from "#base/metrics";

/** What a sample is declared to be. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
}

export function counter(name: string, help: string, ...labelNames: string[]): Metric {
  return { name, help, type: "counter", labelNames };
}
export function gauge(name: string, help: string, ...labelNames: string[]): Metric {
  return { name, help, type: "gauge", labelNames };
}
export function untyped(name: string, help: string, ...labelNames: string[]): Metric {
  return { name, help, type: "untyped", labelNames };
}

/** Remembers what `build` makes of a name, for metrics whose names come from the kernel. */
export function memoize<T>(build: (name: string) => T): (name: string) => T {
  const known = new Map<string, T>();
  return (name) => {
    let value = known.get(name);
    if (value === undefined) known.set(name, (value = build(name)));
    return value;
  };
}

/** The samples of one scrape. */
export class Page {
  readonly #families = new Map<string, MetricFamily & { readonly samples: MetricSample[] }>();

  /** Adds a sample; `labelValues` stand in the order of the metric's label names. */
  add(metric: Metric, value: number, ...labelValues: string[]): void {
    this.addSample(metric, { name: metric.name, labels: pairs(metric.labelNames, labelValues), value });
  }

  /** Adds a sample whose labels differ from one to the next; `labels` is flat. */
  addSample(metric: Omit<Metric, "labelNames">, sample: MetricSample): void {
    let family = this.#families.get(metric.name);
    if (family === undefined) {
      family = { name: metric.name, help: metric.help, type: metric.type, samples: [] };
      this.#families.set(metric.name, family);
    }
    family.samples.push(sample);
  }

  /** Sorted by name. */
  families(): MetricFamily[] {
    // The engine's own order of texts: a page is collected so seldom that a comparison of ours is never compiled.
    return [...this.#families.keys()].sort().map((name) => this.#families.get(name)!);
  }
}

const NO_LABELS: readonly string[] = [];

/** Most samples have no label or one. */
function pairs(names: readonly string[], values: readonly string[]): readonly string[] {
  if (names.length === 0) return NO_LABELS;
  if (names.length === 1) return [names[0]!, values[0]!];
  const labels: string[] = [];
  for (let i = 0; i < names.length; i++) labels.push(names[i]!, values[i]!);
  return labels;
}
