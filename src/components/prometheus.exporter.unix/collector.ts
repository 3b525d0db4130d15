import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { MetricFamily, MetricSample, MetricType } from "#base/metrics";
import type { UnixArguments } from "./arguments.ts";
import type { HostFiles } from "./files.ts";

/** One source of host metrics, as `enable_collectors` names it. */
export interface CollectorDefinition {
  readonly name: string;
  /** Whether node_exporter runs it when nothing is said about it. */
  readonly enabledByDefault: boolean;
  /** Reads what cannot change while the host runs. Throws for arguments that the schema cannot judge. */
  create(options: CollectorOptions): Collector;
}

export interface CollectorOptions {
  readonly args: UnixArguments;
  readonly files: HostFiles;
  readonly log: Logger;
  readonly clock: Clock;
  /** Whether another collector runs too. */
  isEnabled(name: string): boolean;
}

export interface Collector {
  /**
   * Adds the current samples. Throws `NoDataError` where the host does not have the subject at all, any other error
   * where reading failed; samples that were added before count in both cases.
   */
  collect(page: Page): void | Promise<void>;
  /** What it could not read the last time although it went on; undefined if that was nothing. */
  readonly problem?: string | undefined;
}

/** The host has nothing to say about the collector's subject; not worth a line in the log. */
export class NoDataError extends Error {
  override readonly name = "NoDataError";
}

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
