import type { Logger } from "#base/log";
import type { Page } from "#kits/exporter/page";
import type { SqlResult } from "#kits/sql/result";
import { addTable, type SqlTable } from "#kits/sql/table";
import { isAtLeast, type ServerVersion } from "./server-version.ts";

/** What collectors may go by. */
export interface CollectorOptions {
  /** Databases that are left out (`autodiscovery.database_denylist`). */
  readonly excludedDatabases: readonly string[];
  readonly statements: StatementsOptions;
}

/** The arguments of the block `stat_statements`. */
export interface StatementsOptions {
  readonly include_query: boolean;
  readonly query_length: number;
  readonly limit: number;
  readonly exclude_databases: readonly string[];
  readonly exclude_users: readonly string[];
}

/** What a collector has for one scrape. */
export interface Collection {
  readonly page: Page;
  readonly version: ServerVersion;
  readonly options: CollectorOptions;
  readonly log: Logger;
  query(text: string): Promise<SqlResult>;
}

/**
 * One of the collectors that `enabled_collectors` chooses from; its metrics have no label `server`.
 * Names, help, types and labels are those of postgres_exporter's `collector/`.
 */
export interface CollectorDefinition {
  readonly name: string;
  readonly byDefault: boolean;
  /** Adds its samples. Rejects for what the server refuses, after it has added what there is. */
  collect(collection: Collection): Promise<void>;
}

/** A query and what its rows become, for some versions of the server. */
export interface VersionedTable extends SqlTable {
  /** The first and the last major version that it is for. */
  readonly since?: number;
  readonly until?: number;
  readonly query: string | ((options: CollectorOptions) => string);
}

/** A collector that is nothing but tables; the first that fits the version is asked. */
export function tableCollector(
  name: string,
  byDefault: boolean,
  ...tables: readonly VersionedTable[]
): CollectorDefinition {
  return {
    name,
    byDefault,
    async collect({ page, version, options, log, query }) {
      const table = tables.find(
        ({ since = 0, until = Infinity }) => isAtLeast(version, since) && !isAtLeast(version, until + 1),
      );
      if (table === undefined) {
        log.debug("this version of PostgreSQL has nothing for the collector", {
          collector: name,
          version: version.text,
        });
        return;
      }
      addTable(page, await query(typeof table.query === "string" ? table.query : table.query(options)), table);
    },
  };
}
