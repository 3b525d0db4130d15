import { setImmediate } from "node:timers/promises";
import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { MetricFamily } from "#base/metrics";
import { addBuildInfo } from "#kits/exporter/build-info";
import { HandlerMetrics } from "#kits/exporter/handler-metrics";
import { counter, gauge, Page } from "#kits/exporter/page";
import { Problems } from "#kits/exporter/problems";
import type { Judgement } from "#pipeline/flow";
import { type Collector, type CollectorDefinition, type CollectorOptions, NoDataError } from "./collector.ts";
import { explain } from "./files.ts";

const scrapeDuration = gauge(
  "node_scrape_collector_duration_seconds",
  "node_exporter: Duration of a collector scrape.",
  "collector",
);
const scrapeSuccess = gauge(
  "node_scrape_collector_success",
  "node_exporter: Whether a collector succeeded.",
  "collector",
);
const handlerErrors = counter(
  "promhttp_metric_handler_errors_total",
  "Total number of internal errors encountered by the promhttp metric handler.",
  "cause",
);
/** Time that collectors may take in one go before others get their turn. */
const SLICE_MS = 2;

export interface HostMetricsOptions extends Omit<CollectorOptions, "isEnabled"> {
  readonly collectors: readonly CollectorDefinition[];
  readonly version: string;
}

/** Runs the collectors of one exporter. */
export class HostMetrics {
  readonly #collectors: readonly { readonly name: string; readonly collector: Collector }[];
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #includeExporterMetrics: boolean;
  readonly #version: string;
  readonly #problems: Problems;
  readonly #handler = new HandlerMetrics();
  #failures = 0;

  /** Throws what a collector throws that cannot work with its arguments. */
  constructor(options: HostMetricsOptions) {
    const names = new Set(options.collectors.map(({ name }) => name));
    const isEnabled = (name: string) => names.has(name);
    this.#collectors = options.collectors.map(({ name, create }) => {
      const log = options.log.with({ collector: name });
      return { name, collector: create({ ...options, log, isEnabled }) };
    });
    this.#clock = options.clock;
    this.#log = options.log;
    this.#problems = new Problems(options.log, "collector");
    this.#includeExporterMetrics = options.args.include_exporter_metrics;
    this.#version = options.version;
  }

  /** All families of one scrape, sorted by name. A collector that fails is reported by a metric and in the log. */
  collect(): Promise<MetricFamily[]> {
    return this.#handler.count(async () => {
      const page = new Page();
      try {
        await this.#runAll(page);
        this.#addOwn(page);
        return page.families();
      } catch (error) {
        this.#failures++;
        throw error;
      }
    });
  }

  /** Gives back what collectors hold open. */
  close(): void {
    for (const { collector } of this.#collectors) collector.close?.();
  }

  async #runAll(page: Page): Promise<void> {
    const waiting: Promise<void>[] = [];
    let sliceStart = this.#clock.monotonic();
    for (const { name, collector } of this.#collectors) {
      const start = this.#clock.monotonic();
      try {
        const pending = collector.collect(page);
        if (pending === undefined) this.#report(page, name, start, undefined, collector.problem);
        else {
          waiting.push(
            pending.then(
              () => this.#report(page, name, start, undefined, collector.problem),
              (error) => this.#report(page, name, start, error),
            ),
          );
        }
      } catch (error) {
        this.#report(page, name, start, error);
      }
      if (this.#clock.monotonic() - sliceStart >= SLICE_MS) {
        await setImmediate();
        sliceStart = this.#clock.monotonic();
      }
    }
    await Promise.all(waiting);
  }

  #report(page: Page, name: string, start: number, error: unknown, problem?: string): void {
    if (error instanceof NoDataError) this.#log.debug("collector returned no data", { collector: name, error });
    this.#problems.note(name, error === undefined || error instanceof NoDataError ? problem : explain(error));
    page.add(scrapeDuration, (this.#clock.monotonic() - start) / 1000, name);
    page.add(scrapeSuccess, error === undefined ? 1 : 0, name);
  }

  /** The flow rule about collectors that fail. */
  judge(): Judgement {
    return this.#problems.judge(this.#collectors.length);
  }

  #addOwn(page: Page): void {
    addBuildInfo(page, "node_exporter", this.#version);
    page.add(handlerErrors, 0, "encoding");
    page.add(handlerErrors, this.#failures, "gathering");
    if (this.#includeExporterMetrics) this.#handler.addTo(page);
  }
}
