import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import { gauge, type Page, untyped } from "#kits/exporter/page";
import type { Problems } from "#kits/exporter/problems";
import { type PostgresDataSource, withDatabase } from "#kits/postgres/data-source";
import type { CustomQuery } from "#kits/sql/query-file";
import { renderView, type SqlView, type ViewSamples } from "#kits/sql/view";
import { deadline } from "#pipeline/host";
import type { CollectorDefinition, CollectorOptions } from "./collector.ts";
import { DatabaseSession } from "./database-session.ts";
import { type ServerVersion, shortVersion } from "./server-version.ts";
import { addSettings, SETTINGS_QUERY } from "./settings.ts";
import { ViewCache } from "./view-cache.ts";
import { builtInViews } from "./views.ts";

/** How long all collectors of a scrape may take together, and any other query of this exporter's own. */
const LIMIT_MS = 10_000;

const DATABASES_QUERY =
  "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> current_database()";

const staticInfo = untyped("pg_static", "Version string as reported by postgres", "server", "version", "short_version");
const scrapeDuration = gauge(
  "pg_scrape_collector_duration_seconds",
  "postgres_exporter: Duration of a collector scrape.",
  "collector",
);
const scrapeSuccess = gauge(
  "pg_scrape_collector_success",
  "postgres_exporter: Whether a collector succeeded.",
  "collector",
);

export interface DataSourceOptions {
  readonly log: Logger;
  readonly clock: Clock;
  /** Where failed queries are noted; a custom query's columns are in `columns`. */
  readonly queries: Problems;
  readonly columns: Problems;
  readonly collectors: readonly CollectorDefinition[];
  readonly collectorOptions: CollectorOptions;
  /** Databases of the server that are asked too; undefined for none. */
  readonly discover: ((database: string) => boolean) | undefined;
}

/** What one scrape of a data source shall show. */
export interface DataSourceParts {
  readonly page: Page;
  /** The version and the built-in views. */
  readonly defaults: boolean;
  readonly settings: boolean;
  readonly collectors: boolean;
  readonly custom: readonly CustomQuery[];
}

/** One data source name: the database that it names, and those that are found beside it. */
export class DataSource {
  readonly #options: DataSourceOptions;
  readonly #session: DatabaseSession;
  readonly #cache: ViewCache;
  #failed = 0;
  #waitsFor: string | undefined;

  constructor(source: PostgresDataSource, options: DataSourceOptions) {
    this.#options = options;
    this.#session = new DatabaseSession(source);
    this.#cache = new ViewCache(options.clock);
  }

  /** What messages call it. */
  get name(): string {
    return this.#session.name;
  }
  get server(): string {
    return this.#session.source.server;
  }
  /** What is being asked at the moment, as a clause. */
  get waitsFor(): string | undefined {
    return this.#waitsFor;
  }

  /** Adds what the server tells; the number of queries that failed. Rejects if it cannot be reached. */
  async collect(parts: DataSourceParts, signal: AbortSignal): Promise<number> {
    this.#failed = 0;
    this.#waitsFor = `${this.name} had not answered at all: see whether it is PostgreSQL, and how busy it is`;
    try {
      await this.#collect(parts, signal);
    } finally {
      if (!signal.aborted) this.#waitsFor = undefined;
    }
    return this.#failed;
  }

  async #collect(parts: DataSourceParts, signal: AbortSignal): Promise<void> {
    const session = this.#session;
    const version = await session.begin(signal, LIMIT_MS);
    const { page, custom } = parts;
    if (parts.settings) {
      await this.#run(session, "pg_settings", signal, async () => {
        for (const problem of addSettings(page, await session.limited(SETTINGS_QUERY, signal, LIMIT_MS), this.server)) {
          this.#options.log.warn("a setting is left out", { server: this.server, reason: problem });
        }
      });
    }
    if (parts.defaults) {
      page.add(staticInfo, 1, this.server, version.text, shortVersion(version));
      const replaced = new Set(custom.map(({ name }) => name));
      for (const view of builtInViews(version)) {
        if (!replaced.has(view.name)) await this.#addBuiltIn(page, view, signal);
      }
    }
    await this.#addCustom(page, session, version, custom, signal);
    if (this.#options.discover !== undefined) {
      await this.#addFound(
        page,
        custom.filter(({ mainOnly }) => !mainOnly),
        signal,
      );
    }
    if (parts.collectors) await this.#addCollectors(page, version, signal);
    this.#cache.sweep();
  }

  close(): void {
    this.#session.close();
  }

  /** Runs one part; a failure is noted and takes nothing else away. */
  async #run(session: DatabaseSession, part: string, signal: AbortSignal, work: () => Promise<void>): Promise<boolean> {
    let problem: string | undefined;
    this.#waitsFor = `${session.name} had not answered ${part}: raise the scrape_timeout, or see why that is slow`;
    try {
      await work();
    } catch (error) {
      signal.throwIfAborted();
      problem = (error as Error).message; // which says all of its cause that helps
      this.#failed += 1;
    }
    this.#options.queries.note(`${part} on ${session.name}`, problem);
    return problem === undefined;
  }

  async #addBuiltIn(page: Page, view: SqlView, signal: AbortSignal): Promise<void> {
    await this.#run(this.#session, view.name, signal, async () => {
      const result = await this.#session.limited(view.query, signal, LIMIT_MS);
      for (const { family, sample } of renderView(view, result, ["server", this.server]).samples) {
        page.addSample(family, sample);
      }
    });
  }

  /** Custom queries may take as long as the scrape does. */
  async #addCustom(
    page: Page,
    session: DatabaseSession,
    version: ServerVersion | undefined,
    queries: readonly CustomQuery[],
    signal: AbortSignal,
  ): Promise<void> {
    let known = version;
    for (const query of queries) {
      if (query.query.trim() === "") continue; // how a file turns off a built-in view
      const key = JSON.stringify([session.source.database, query.name, query.query]);
      const cached = query.cacheMs > 0 ? this.#cache.get(key, query.cacheMs) : undefined;
      if (cached !== undefined) {
        this.#addRendered(page, session, query, cached);
        continue;
      }
      await this.#run(session, query.name, signal, async () => {
        known ??= await session.begin(signal, LIMIT_MS);
        if (!query.appliesTo(known.number)) return;
        const rendered = renderView(query, await session.query(query.query, signal), ["server", this.server]);
        this.#addRendered(page, session, query, rendered);
        if (query.cacheMs > 0) this.#cache.put(key, rendered);
      });
    }
  }

  #addRendered(page: Page, session: DatabaseSession, query: CustomQuery, rendered: ViewSamples): void {
    for (const { family, sample } of rendered.samples) page.addSample(family, sample);
    const problems = [...rendered.problems].map(([column, problem]) => `the column ${column}: ${problem}`);
    const part = `${query.name} on ${session.name}`;
    this.#options.columns.note(part, problems.length === 0 ? undefined : problems.join("; "));
    for (const column of rendered.unknownTexts) {
      this.#options.log.debug("a column that the file does not describe is no number", { query: part, column });
    }
  }

  /** Connections to databases that were found last for one scrape: there may be hundreds. */
  async #addFound(page: Page, queries: readonly CustomQuery[], signal: AbortSignal): Promise<void> {
    if (queries.length === 0) return;
    const names: string[] = [];
    await this.#run(this.#session, "autodiscovery", signal, async () => {
      const { rows } = await this.#session.limited(DATABASES_QUERY, signal, LIMIT_MS);
      for (const [name = null] of rows) if (name !== null && this.#options.discover!(name)) names.push(name);
    });
    for (const name of names) {
      const session = new DatabaseSession(withDatabase(this.#session.source, name));
      try {
        await this.#addCustom(page, session, undefined, queries, signal);
      } finally {
        session.close();
      }
    }
  }

  async #addCollectors(page: Page, version: ServerVersion, signal: AbortSignal): Promise<void> {
    const { clock, log, collectors, collectorOptions: options } = this.#options;
    using limit = deadline(LIMIT_MS, signal);
    const query = async (text: string) => {
      try {
        return await this.#session.query(text, limit.signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!limit.signal.aborted) throw error;
        throw new Error(`the collectors took longer than ${LIMIT_MS / 1000} s together`, { cause: error });
      }
    };
    for (const { name, collect } of collectors) {
      const start = clock.monotonic();
      const works = await this.#run(this.#session, `the collector ${name}`, signal, () =>
        collect({ page, version, options, log, query }),
      );
      page.add(scrapeDuration, (clock.monotonic() - start) / 1000, name);
      page.add(scrapeSuccess, works ? 1 : 0, name);
    }
  }
}
