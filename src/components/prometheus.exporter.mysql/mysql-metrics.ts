import type { Clock } from "#base/clock";
import type { Counter, MetricFamily } from "#base/metrics";
import { addBuildInfo } from "#kits/exporter/build-info";
import { withoutDuplicates } from "#kits/exporter/duplicates";
import { gauge, Page } from "#kits/exporter/page";
import type { Problems } from "#kits/exporter/problems";
import { MysqlConnection } from "#kits/mysql-connection";
import type { MysqlDsn } from "#kits/mysql-dsn";
import type { Judgement } from "#pipeline/flow";
import type { MysqlArguments } from "./arguments.ts";
import { type Collector, CollectorError, type Scrape, type ServerVersion, versionNumber } from "./collector.ts";
import { explainConnection, explainGivenUp, explainQuery } from "./mysql-problem.ts";

const up = gauge("mysql_up", "Whether the MySQL server is up.");
const success = gauge(
  "mysql_exporter_collector_success",
  "mysqld_exporter: Whether a collector succeeded.",
  "collector",
);
const duration = gauge("mysql_exporter_collector_duration_seconds", "Collector time duration.", "collector");

export interface MysqlMetricsOptions {
  readonly args: MysqlArguments;
  readonly dsn: MysqlDsn;
  readonly collectors: readonly Collector[];
  readonly clock: Clock;
  readonly version: string;
  /** What is wrong with each collector. */
  readonly problems: Problems;
  /** Counts failures by collector. */
  readonly failures: Counter;
}

/** Scrapes one server. Matches mysqld_exporter's `collector/exporter.go`. */
export class MysqlMetrics {
  readonly #options: MysqlMetricsOptions;
  /** The name with what the arguments set for the session. */
  readonly #dsn: MysqlDsn;
  /** Why the last scrape got nothing from the server. */
  #down: string | undefined;
  /** The server has let the present scrape in. */
  #isConnected = false;

  constructor(options: MysqlMetricsOptions) {
    this.#options = options;
    const { enable_lock_wait_timeout, lock_wait_timeout, log_slow_filter } = options.args;
    const variables = new Map(options.dsn.variables);
    if (enable_lock_wait_timeout) variables.set("lock_wait_timeout", String(lock_wait_timeout));
    if (log_slow_filter) variables.set("log_slow_filter", "'tmp_table_on_disk,filesort_on_disk'");
    this.#dsn = { ...options.dsn, variables };
  }

  /** All families of one scrape: a page also when the server cannot be reached, as upstream. */
  async collect(signal: AbortSignal): Promise<readonly MetricFamily[]> {
    const { failures, version } = this.#options;
    const page = new Page();
    let isUp = true;
    try {
      await this.#scrape(page, signal);
      this.#down = undefined;
    } catch (error) {
      this.#down = signal.aborted ? explainGivenUp(this.#dsn, this.#isConnected) : explainConnection(error, this.#dsn);
      failures.labels("connection").inc();
      isUp = false;
    }
    page.add(up, isUp ? 1 : 0);
    addBuildInfo(page, "mysqld_exporter", version);
    const { families, dropped, example } = withoutDuplicates(page.families());
    const problem = `${dropped} series are there twice, such as ${example}, and the first is shown`;
    this.#options.problems.note("duplicate series", dropped === 0 ? undefined : problem);
    return families;
  }

  /** Rule `connection`: nothing comes from the server. */
  judgeConnection(): Judgement {
    return this.#down === undefined ? undefined : { state: "failing", cause: this.#down };
  }

  /** Rule `collectors`: some of them fail. */
  judgeCollectors(): Judgement {
    return this.#options.problems.judge();
  }

  async #scrape(page: Page, signal: AbortSignal): Promise<void> {
    const { clock, collectors, args } = this.#options;
    const took = (since: number) => (clock.monotonic() - since) / 1000;
    const start = clock.monotonic();
    this.#isConnected = false;
    let server = await MysqlConnection.open(this.#dsn, signal);
    this.#isConnected = true;
    try {
      const version = parseVersion((await server.query("SELECT @@version")).rows[0]?.[0] ?? "");
      page.add(duration, took(start), "connection");
      for (const collector of collectors) {
        if (versionNumber(version) < collector.since) continue;
        const label = `collect.${collector.name}`;
        const before = clock.monotonic();
        const isFine = await this.#run(collector, { version, args, page, query: queryOf(server) }, signal);
        page.add(success, isFine ? 1 : 0, label);
        page.add(duration, took(before), label);
        if (!server.isLost) continue;
        // One query that the server, or the time for it, has ended does not take the others away.
        server[Symbol.dispose]();
        server = await MysqlConnection.open(this.#dsn, signal);
      }
    } finally {
      server[Symbol.dispose]();
    }
  }

  /** Whether a collector succeeded. Rejects when the scrape was given up. */
  async #run(collector: Collector, scrape: Scrape, signal: AbortSignal): Promise<boolean> {
    const { problems, failures } = this.#options;
    try {
      await collector.collect(scrape);
      problems.note(collector.name, undefined);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      failures.labels(collector.name).inc();
      problems.note(collector.name, explainQuery(error));
      return false;
    }
  }
}

function queryOf(server: MysqlConnection): Scrape["query"] {
  return async (sql, values) => {
    const answer = await server.query(sql, values);
    if (answer.isCut) throw new CollectorError(`the answer has more than ${answer.rows.length} rows`);
    return answer;
  };
}

/** `10.11.6-MariaDB-0+deb12u1`, `8.0.36`. */
function parseVersion(text: string): ServerVersion {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
  if (major === undefined) throw new Error(`the server says that its version is "${text}", which is none`);
  const isMariaDb = text.toLowerCase().includes("mariadb");
  return { isMariaDb, major: Number(major), minor: Number(minor), patch: Number(patch) };
}
