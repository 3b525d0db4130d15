import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import type { MetricFamily } from "#base/metrics";
import { addBuildInfo } from "#kits/exporter/build-info";
import { withoutDuplicates } from "#kits/exporter/duplicates";
import { counter, gauge, Page } from "#kits/exporter/page";
import { Problems } from "#kits/exporter/problems";
import { type QueryFile, readQueryFile } from "#kits/sql/query-file";
import type { Judgement } from "#pipeline/flow";
import { deadline } from "#pipeline/host";
import type { DataSource, DataSourceParts } from "./data-source.ts";

const up = gauge(
  "pg_up",
  "Whether the last scrape of metrics from PostgreSQL was able to connect to the server (1 for yes, 0 for no).",
);
const lastDuration = gauge(
  "pg_exporter_last_scrape_duration_seconds",
  "Duration of the last scrape of metrics from PostgreSQL.",
);
const lastError = gauge(
  "pg_exporter_last_scrape_error",
  "Whether the last scrape of metrics from PostgreSQL resulted in an error (1 for error, 0 for success).",
);
const scrapes = counter("pg_exporter_scrapes_total", "Total number of times PostgreSQL was scraped for metrics.");
const queriesLoadError = gauge(
  "pg_exporter_user_queries_load_error",
  "Whether the user queries file was loaded and parsed successfully (1 for error, 0 for success).",
  ...["filename", "hashsum"],
);

/** Warnings about the file of custom queries that a message names. */
const SHOWN_WARNINGS = 3;

export interface PostgresMetricsOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly version: string;
  /** Data source names in their order; one that cannot be read has its problem in its place. */
  readonly sources: readonly (DataSource | { readonly name: string; readonly problem: string })[];
  readonly queries: Problems;
  readonly columns: Problems;
  readonly showDefaults: boolean;
  readonly showSettings: boolean;
  /** The file of custom queries; empty for none. */
  readonly queriesPath: string;
  /** Counts samples that came twice. */
  dropped(samples: number): void;
}

/** The page of one exporter. */
export class PostgresMetrics {
  readonly #options: PostgresMetricsOptions;
  readonly #servers: Problems;
  #queryFile: QueryFile | undefined;
  #duplicates: { readonly count: number; readonly example: string } | undefined;
  #scrapes = 0;
  /** The scrape that is under way: connections answer one query at a time. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: PostgresMetricsOptions) {
    this.#options = options;
    this.#servers = new Problems(options.log, "server");
  }

  /**
   * All families of one scrape. What fails, or is not there within `limitMs`, is told by metrics and rules; rejects only
   * if the scraper goes away.
   */
  async collect(signal: AbortSignal, limitMs: number): Promise<readonly MetricFamily[]> {
    const end = this.#options.clock.monotonic() + limitMs;
    const before = this.#last;
    const work = before.then(() => this.#collect(signal, end));
    this.#last = work.catch(() => {});
    try {
      return await work;
    } catch (error) {
      if (!signal.aborted) throw error;
      const clauses = this.#options.sources.map((each) => ("waitsFor" in each ? each.waitsFor : undefined));
      const waiting = clauses.filter((each) => each !== undefined).join("; ") || "raise its scrape_timeout";
      throw new Error(`the scraper went away (scrape_timeout) before the page was complete: ${waiting}`);
    }
  }

  close(): void {
    for (const source of this.#options.sources) if ("close" in source) source.close();
  }

  async #collect(signal: AbortSignal, end: number): Promise<readonly MetricFamily[]> {
    const { clock, sources, queriesPath, version, queries, columns } = this.#options;
    signal.throwIfAborted();
    const began = clock.monotonic();
    const page = new Page();
    this.#scrapes += 1;
    if (queriesPath !== "") await this.#readQueries(page, queriesPath);

    // Servers side by side, for one that does not answer takes its time; databases of one server in their order.
    const byServer = Map.groupBy(sources.entries(), ([, source]) => ("server" in source ? source.server : ""));
    using limit = deadline(Math.max(1, end - began), signal);
    const servers = [...byServer.values()];
    const outcomes = await Promise.all(servers.map((each) => this.#collectServer(each, page, limit.signal, signal)));
    signal.throwIfAborted();
    queries.sweep();
    columns.sweep();
    const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
    const connected = outcomes.reduce((sum, outcome) => sum + outcome.connected, 0);

    page.add(up, connected > 0 ? 1 : 0);
    page.add(lastError, failed > 0 ? 1 : 0);
    page.add(scrapes, this.#scrapes);
    page.add(lastDuration, (clock.monotonic() - began) / 1000);
    addBuildInfo(page, "postgres_exporter", version);
    const { families, dropped, example = "" } = withoutDuplicates(page.families());
    this.#duplicates = dropped === 0 ? undefined : { count: dropped, example };
    if (dropped > 0) this.#options.dropped(dropped);
    return families;
  }

  /** Data sources of one server: what is the server's own is shown by the first that answers. */
  async #collectServer(
    sources: readonly (readonly [number, PostgresMetricsOptions["sources"][number]])[],
    page: Page,
    limit: AbortSignal,
    scraper: AbortSignal,
  ): Promise<{ readonly failed: number; readonly connected: number }> {
    const { showDefaults, showSettings } = this.#options;
    let failed = 0;
    let connected = 0;
    for (const [index, source] of sources) {
      const isFirst = connected === 0;
      const parts: DataSourceParts = {
        page,
        defaults: showDefaults && isFirst,
        settings: showSettings && isFirst,
        collectors: showDefaults && index === 0,
        custom: this.#queryFile?.queries ?? [],
      };
      try {
        if ("problem" in source) throw new Error(source.problem);
        if ((await source.collect(parts, limit)) > 0) failed += 1;
        connected += 1;
        this.#servers.note(source.name, undefined);
      } catch (error) {
        scraper.throwIfAborted();
        failed += 1;
        // One that hangs must not take the page of the others.
        const waitsFor = limit.aborted && "waitsFor" in source ? source.waitsFor : undefined;
        const isLate = waitsFor !== undefined;
        this.#servers.note(
          source.name,
          isLate ? `when the scrape's time was over, ${waitsFor}` : (error as Error).message,
        );
      }
    }
    return { failed, connected };
  }

  async #readQueries(page: Page, path: string): Promise<void> {
    const before = this.#queryFile;
    const file = await readQueryFile(path, before);
    page.add(queriesLoadError, file.problem === undefined ? 0 : 1, path, file.hash);
    if (file.problem !== before?.problem && file.problem !== undefined) {
      this.#options.log.error("the custom queries cannot be used", { error: file.problem });
    }
    if (file !== before) {
      for (const warning of file.warnings)
        this.#options.log.warn("part of the custom queries has no effect", { warning });
    }
    // A file that is being written, or has a slip in it, must not end what worked.
    this.#queryFile = file.problem === undefined ? file : { ...file, queries: before?.queries ?? [] };
  }

  /** The flow rules, by name. */
  get rules(): Readonly<Record<string, () => Judgement>> {
    const { queries, columns, sources } = this.#options;
    return {
      servers: () => this.#servers.judge(sources.length),
      custom_queries: () => this.#judgeFile() ?? columns.judge(),
      queries: () => queries.judge(),
      duplicate_series: () => this.#judgeDuplicates(),
    };
  }

  #judgeFile(): Judgement {
    const { problem, warnings = [], queries = [] } = this.#queryFile ?? {};
    if (problem !== undefined) {
      const meanwhile = queries.length > 0 ? "; the queries of before are still in use" : "";
      return { state: "degraded", cause: `the custom queries cannot be used: ${problem}${meanwhile}` };
    }
    if (warnings.length === 0) return undefined;
    const more = warnings.length > SHOWN_WARNINGS ? `; and ${warnings.length - SHOWN_WARNINGS} more` : "";
    return {
      state: "degraded",
      cause: `part of the custom queries has no effect: ${warnings.slice(0, SHOWN_WARNINGS).join("; ")}${more}`,
    };
  }

  #judgeDuplicates(): Judgement {
    if (this.#duplicates === undefined) return undefined;
    const { count, example } = this.#duplicates;
    return {
      state: "degraded",
      cause: `${count} samples, such as of ${example}, were left out, for there were others with the same labels: let the query give a label that tells its rows and databases apart, such as current_database() AS datname`,
    };
  }
}
