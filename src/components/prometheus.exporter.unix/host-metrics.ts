import { arch, platform } from "node:os";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { MetricFamily } from "#base/metrics";
import { counter, gauge, Page } from "#kits/exporter/page";
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
const buildInfo = gauge(
  "node_exporter_build_info",
  "A metric with a constant '1' value labeled by version, revision, branch, goversion from which node_exporter was built, and the goos and goarch for the build.",
  ...["branch", "goarch", "goos", "goversion", "revision", "tags", "version"],
);
const handlerErrors = counter(
  "promhttp_metric_handler_errors_total",
  "Total number of internal errors encountered by the promhttp metric handler.",
  "cause",
);
const handlerRequests = counter(
  "promhttp_metric_handler_requests_total",
  "Total number of scrapes by HTTP status code.",
  "code",
);
const handlerInFlight = gauge("promhttp_metric_handler_requests_in_flight", "Current number of scrapes being served.");

/** Collectors that fail, as messages name them. */
const SHOWN_PROBLEMS = 3;

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
  /** By collector. */
  readonly #problems = new Map<string, string>();
  #scrapes = 0;
  #failures = 0;
  #inFlight = 0;

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
    this.#includeExporterMetrics = options.args.include_exporter_metrics;
    this.#version = options.version;
  }

  /** All families of one scrape, sorted by name. A collector that fails is reported by a metric and in the log. */
  async collect(): Promise<MetricFamily[]> {
    const page = new Page();
    this.#inFlight++;
    try {
      await this.#runAll(page);
      this.#addOwn(page);
      this.#scrapes++;
      return page.families();
    } catch (error) {
      this.#failures++;
      throw error;
    } finally {
      this.#inFlight--;
    }
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
    this.#note(name, error === undefined || error instanceof NoDataError ? problem : explain(error));
    page.add(scrapeDuration, (this.#clock.monotonic() - start) / 1000, name);
    page.add(scrapeSuccess, error === undefined ? 1 : 0, name);
  }

  /** Logs what is new: a collector that fails does so with each scrape. */
  #note(collector: string, problem: string | undefined): void {
    const before = this.#problems.get(collector);
    if (before === problem) return;
    if (problem === undefined) {
      this.#problems.delete(collector);
      this.#log.info("collector works again", { collector });
    } else {
      this.#problems.set(collector, problem);
      this.#log.error("collector failed", { collector, error: problem });
    }
  }

  /** The flow rule about collectors that fail. */
  judge(): Judgement {
    if (this.#problems.size === 0) return undefined;
    const all = [...this.#problems].map(([name, problem]) => `the collector ${name} fails: ${problem}`);
    const more = all.length > SHOWN_PROBLEMS ? `; and ${all.length - SHOWN_PROBLEMS} more` : "";
    const state = all.length === this.#collectors.length ? "failing" : "degraded";
    return { state, cause: all.slice(0, SHOWN_PROBLEMS).join("; ") + more };
  }

  #addOwn(page: Page): void {
    const goArch = { x64: "amd64" }[arch() as string] ?? arch();
    page.add(buildInfo, 1, "", goArch, platform(), process.version, "", "", this.#version);
    page.add(handlerErrors, 0, "encoding");
    page.add(handlerErrors, this.#failures, "gathering");
    if (!this.#includeExporterMetrics) return;
    page.add(handlerInFlight, this.#inFlight);
    page.add(handlerRequests, this.#scrapes, "200");
    page.add(handlerRequests, this.#failures, "500");
    page.add(handlerRequests, 0, "503");
  }
}
