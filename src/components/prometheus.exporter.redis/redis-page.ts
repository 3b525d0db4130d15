import { formatFloat, type MetricFamily, type MetricSample, type MetricType } from "#base/metrics";
import { Page } from "#kits/exporter/page";
import { DESCRIPTIONS } from "./descriptions.ts";

/** The samples of one scrape, under the names that the configured namespace gives them. */
export class RedisPage {
  readonly #namespace: string;
  /** For metrics whose names the namespace does not change. */
  readonly samples = new Page();
  /** Metrics without labels that are there already: a server may say the same field twice, and the first counts. */
  readonly #single = new Set<string>();

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  gauge(name: string, value: number, ...labelValues: string[]): void {
    this.#add("gauge", name, value, labelValues);
  }
  counter(name: string, value: number, ...labelValues: string[]): void {
    this.#add("counter", name, value, labelValues);
  }

  /** A gauge whose labels differ from server to server; `labels` is flat. */
  labelled(name: string, value: number, labels: readonly string[]): void {
    this.#sample("gauge", name, "", labels, value);
  }

  /** `quantiles` as the server says them, such as 99.9. */
  summary(
    name: string,
    count: number,
    sum: number,
    quantiles: readonly (readonly [number, number])[],
    command: string,
  ) {
    const labels = command === "" ? [] : ["cmd", command];
    for (const [quantile, value] of [...quantiles].sort(([a], [b]) => a - b)) {
      this.#sample("summary", name, "", [...labels, "quantile", formatFloat(quantile)], value);
    }
    this.#sample("summary", name, "_sum", labels, sum);
    this.#sample("summary", name, "_count", labels, count);
  }

  /** `buckets` are upper bounds with the cumulative count up to each. */
  histogram(
    name: string,
    count: number,
    sum: number,
    buckets: readonly (readonly [number, number])[],
    command: string,
  ) {
    for (const [bound, below] of buckets) {
      this.#sample("histogram", name, "_bucket", ["cmd", command, "le", formatFloat(bound)], below);
    }
    this.#sample("histogram", name, "_bucket", ["cmd", command, "le", "+Inf"], count);
    this.#sample("histogram", name, "_sum", ["cmd", command], sum);
    this.#sample("histogram", name, "_count", ["cmd", command], count);
  }

  /** A counter that upstream's exporter has about itself. */
  own(name: string, help: string, value: number): void {
    const full = this.#fullName(name);
    this.samples.addSample({ name: full, help, type: "counter" }, { name: full, labels: [], value });
  }
  /** How long scrapes took, in seconds. */
  ownSummary(count: number, sum: number): void {
    const name = this.#fullName("exporter_scrape_duration_seconds");
    const metric = { name, help: "Durations of scrapes by the exporter", type: "summary" } as const;
    this.samples.addSample(metric, { name: `${name}_sum`, labels: [], value: sum });
    this.samples.addSample(metric, { name: `${name}_count`, labels: [], value: count });
  }

  families(): MetricFamily[] {
    return this.samples.families();
  }

  #add(type: MetricType, name: string, value: number, labelValues: readonly string[]): void {
    if (labelValues.length === 0) {
      if (this.#single.has(name)) return;
      this.#single.add(name);
    }
    const [, ...labelNames] = DESCRIPTIONS.get(name) ?? [""];
    const labels = labelValues.flatMap((labelValue, i) => [labelNames[i]!, labelValue]);
    this.#sample(type, name, "", labels, value);
  }

  #sample(type: MetricType, name: string, suffix: string, labels: readonly string[], value: number): void {
    const full = this.#fullName(name);
    const sample: MetricSample = { name: full + suffix, labels, value };
    this.samples.addSample({ name: full, help: DESCRIPTIONS.get(name)?.[0] ?? `${name} metric`, type }, sample);
  }

  #fullName(name: string): string {
    return this.#namespace === "" ? name : `${this.#namespace}_${name}`;
  }
}
