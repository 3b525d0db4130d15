import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { Counter, MetricFamily } from "#base/metrics";
import { addBuildInfo } from "#kits/exporter/build-info";
import { HandlerMetrics } from "#kits/exporter/handler-metrics";
import { Problems } from "#kits/exporter/problems";
import type { WatchedFiles } from "#kits/http/client-files";
import type { RedisConnection } from "#kits/redis-connection";
import { RedisError } from "#kits/redis-protocol";
import type { Judgement } from "#pipeline/flow";
import type { RedisTarget } from "./address.ts";
import type { RedisArguments } from "./arguments.ts";
import { Connector } from "./connect.ts";
import { addClusterInfo, addInfo } from "./info.ts";
import { addKeyGroups } from "./key-groups.ts";
import { KeySpace } from "./key-space.ts";
import { addKeyCounts, addKeys } from "./keys.ts";
import { RedisPage } from "./redis-page.ts";
import { ask, type Scrape, text } from "./scrape.ts";
import { addScripts } from "./scripts.ts";
import { addSentinel } from "./sentinel.ts";
import { addClients, addConfig, addLatency, addSlowLog, addTile38 } from "./server-parts.ts";
import { addStreams } from "./streams.ts";

/** What Redis has unless it is told otherwise, for servers that do not say. */
const DEFAULT_DATABASES = 16;
export interface RedisMetricsOptions {
  readonly args: RedisArguments;
  readonly target: RedisTarget;
  readonly files: WatchedFiles;
  readonly clock: Clock;
  readonly log: Logger;
  readonly version: string;
  /** Counts failures by part. */
  readonly failures: Counter;
}

/** Scrapes one server. Matches redis_exporter's `Collect` and `scrapeRedisHost` (`exporter/exporter.go`). */
export class RedisMetrics {
  readonly #options: RedisMetricsOptions;
  readonly #connector: Connector;
  #scrapes = 0;
  #finished = 0;
  #seconds = 0;
  readonly #handler = new HandlerMetrics();
  /** Why the last scrape got nothing from the server, … */
  #down: string | undefined;
  /** … and what of it failed although the server answers. */
  readonly #problems: Problems;
  #failedParts: ReadonlySet<string> = new Set();

  constructor(options: RedisMetricsOptions) {
    this.#options = options;
    this.#connector = new Connector(options.args, options.target, options.files);
    this.#problems = new Problems(options.log, "command");
  }

  /** All families of one scrape: a page also when the server cannot be reached, as upstream. */
  collect(signal: AbortSignal): Promise<MetricFamily[]> {
    return this.#handler.count(() => this.#collect(signal));
  }

  /** Rule `connection`: nothing comes from the server. */
  judgeConnection(): Judgement {
    return this.#down === undefined ? undefined : { state: "failing", cause: this.#down };
  }

  /** Rule `commands`: the server answers, and something that was asked for does not come. */
  judgeCommands(): Judgement {
    return this.#problems.judge();
  }

  async #collect(signal: AbortSignal): Promise<MetricFamily[]> {
    const { clock, args, failures } = this.#options;
    const page = new RedisPage(args.namespace);
    const problems = new Map<string, string>();
    this.#scrapes += 1;
    const start = clock.monotonic();
    let down: string | undefined;
    try {
      await this.#scrape(page, problems, signal);
    } catch (error) {
      down = signal.aborted ? this.#connector.givenUp : this.#connector.explain(error).message;
      failures.labels("connection").inc();
    }
    this.#report(down, problems);
    const failed = down ?? problems.get("script") ?? "";
    page.gauge("exporter_last_scrape_error", failed === "" ? 0 : 1, failed);
    page.gauge("up", down === undefined ? 1 : 0);
    const seconds = (clock.monotonic() - start) / 1000;
    page.gauge("exporter_last_scrape_duration_seconds", seconds);
    this.#finished += 1;
    this.#seconds += seconds;
    this.#addOwn(page);
    return page.families();
  }

  /** What upstream's exporter, and the agent around it, say about themselves. */
  #addOwn(page: RedisPage): void {
    const { args, version } = this.#options;
    page.own("exporter_scrapes_total", "Current total redis scrapes.", this.#scrapes);
    page.ownSummary(this.#finished, this.#seconds);
    page.own("target_scrape_request_errors_total", "Errors in requests to the exporter", 0);
    addBuildInfo(page.samples, "redis_exporter", version);
    if (args.include_exporter_metrics && !args.redis_metrics_only) this.#handler.addTo(page.samples);
  }

  async #scrape(page: RedisPage, problems: Map<string, string>, signal: AbortSignal): Promise<void> {
    const { args, clock, failures } = this.#options;
    const start = clock.monotonic();
    const took = (since: number) => (clock.monotonic() - since) / 1000;
    let server: RedisConnection;
    try {
      server = await this.#connector.open(signal);
    } finally {
      page.gauge("exporter_last_scrape_connect_time_seconds", took(start));
    }
    using _closing = server;
    const scrape: Scrape = {
      ...{ args, page, server },
      now: () => clock.now() / 1000,
      note: (part, problem) => {
        failures.labels(part).inc();
        if (!problems.has(part)) problems.set(part, problem);
      },
    };
    if (args.ping_on_connect) {
      const before = clock.monotonic();
      if ((await ask(scrape, "PING", ["PING"])) !== undefined) {
        page.gauge("exporter_last_scrape_ping_time_seconds", took(before));
      }
    }
    if (args.set_client_name) await ask(scrape, "CLIENT SETNAME", ["CLIENT", "SETNAME", "redis_exporter"]);
    const info = await this.#info(server);
    const databases = await addConfig(scrape);
    const isCluster = info.includes("cluster_enabled:1");
    if (isCluster) addClusterInfo(page, text(await ask(scrape, "CLUSTER INFO", ["CLUSTER", "INFO"])));
    addInfo(page, info, { inclSystemMetrics: args.incl_system_metrics, now: scrape.now() });
    await addLatency(scrape, info);
    await this.#keys(scrape, isCluster ? 1 : databases || DEFAULT_DATABASES, signal);
    await addSlowLog(scrape);
    if (info.includes("# Sentinel")) await addSentinel(scrape);
    if (args.export_client_list) await addClients(scrape);
    if (args.is_tile38) await addTile38(scrape);
    await addScripts(scrape, this.#options.target.database, this.#options.files);
  }

  /** Servers that look like Redis may not know ALL. */
  async #info(server: RedisConnection): Promise<string> {
    const [all] = await server.pipeline([["INFO", "ALL"]]);
    if (typeof all === "string" && all !== "") return all;
    if (all instanceof RedisError && all.code === "NOAUTH") throw all;
    return text(await server.command("INFO"));
  }

  async #keys(scrape: Scrape, databases: number, signal: AbortSignal): Promise<void> {
    using space = new KeySpace(scrape, this.#connector, signal);
    await addKeys(scrape, space);
    await addKeyCounts(scrape, space);
    await addStreams(scrape, space);
    await addKeyGroups(scrape, space, databases);
  }

  #report(down: string | undefined, problems: ReadonlyMap<string, string>): void {
    this.#down = down;
    if (down !== undefined) return; // what a server refuses that lets nobody in is no news
    for (const [part, problem] of problems) this.#problems.note(part, problem);
    for (const part of this.#failedParts) if (!problems.has(part)) this.#problems.note(part, undefined);
    this.#failedParts = new Set(problems.keys());
  }
}
