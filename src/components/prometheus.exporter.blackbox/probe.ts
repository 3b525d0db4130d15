import type { LogFields, Logger } from "#base/log";
import type { MetricFamily } from "#base/metrics";
import { type Metric, Page } from "#kits/exporter/page";
import type { WatchedFiles } from "#kits/http/client-files";
import type { Module } from "./modules.ts";

/** A probe that did not succeed: what failed, why, and what to do where that is known. */
export class ProbeFailure extends Error {
  override readonly name = "ProbeFailure";
}

/** What one probe is about, and what it says meanwhile. */
export interface Probe {
  readonly target: string;
  readonly module: Module;
  /** The parameter `hostname` of the scrape: the host to ask for; empty for that of the target. */
  readonly hostname: string;
  readonly metrics: ProbeMetrics;
  readonly log: ProbeLog;
  readonly files: WatchedFiles;
  /** The agent's version, for `User-Agent`. */
  readonly version: string;
  /** Aborted when the time of the probe is over, or nobody waits for it any more. */
  readonly signal: AbortSignal;
  /** How long the probe may take. */
  readonly timeoutMs: number;
  /** What it does now, for the message when the time is over: `connecting to …`. */
  stage: string;
}

/** Resolves when the probe succeeds; rejects with a ProbeFailure, or with whatever error, when it does not. */
export type Prober = (probe: Probe) => Promise<void>;

/** Lines that a log of one probe keeps. */
const MOST_LINES = 500;
const MOST_CHARACTERS = 500;

/** The log of one probe: at debug level as upstream's, and kept for `debug=true`. */
export class ProbeLog {
  readonly #log: Logger;
  readonly #started = performance.now();
  readonly lines: string[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  note(message: string, fields: LogFields = {}): void {
    this.#log.debug(message, fields);
    if (this.lines.length >= MOST_LINES) return;
    const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(String(value))}`);
    const time = (performance.now() - this.#started).toFixed(1).padStart(8);
    this.lines.push(`${time} ms  ${message}${rest.join("")}`.slice(0, MOST_CHARACTERS));
  }
}

/** The gauges of one probe. A gauge without labels is 0 from its registration on, as client_golang's. */
export class ProbeMetrics {
  readonly #values = new Map<Metric, Map<string, { labels: readonly string[]; value: number }>>();

  register(...metrics: readonly Metric[]): void {
    for (const metric of metrics) if (metric.labelNames.length === 0) this.add(metric, 0);
  }
  set(metric: Metric, value: number, ...labels: readonly string[]): void {
    this.#entry(metric, labels).value = value;
  }
  add(metric: Metric, value: number, ...labels: readonly string[]): void {
    this.#entry(metric, labels).value += value;
  }
  families(): readonly MetricFamily[] {
    const page = new Page();
    for (const [metric, values] of this.#values) {
      const sorted = [...values].sort(([a], [b]) => (a < b ? -1 : 1));
      for (const [, { labels, value }] of sorted) page.add(metric, value, ...labels);
    }
    return page.families();
  }

  #entry(metric: Metric, labels: readonly string[]) {
    let values = this.#values.get(metric);
    if (values === undefined) this.#values.set(metric, (values = new Map()));
    const key = labels.join("\xff");
    let entry = values.get(key);
    if (entry === undefined) values.set(key, (entry = { labels, value: 0 }));
    return entry;
  }
}

/** Seconds since a moment of `performance.now()`. */
export function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
