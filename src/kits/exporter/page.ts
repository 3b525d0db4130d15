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
    const { labelNames } = metric;
    const labels: string[] = [];
    for (let i = 0; i < labelNames.length; i++) labels.push(labelNames[i]!, labelValues[i]!);
    this.addSample(metric, { name: metric.name, labels, value });
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
    return [...this.#families.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
