import { counter, gauge, type Metric } from "#kits/exporter/page";
import { cellNumber } from "#kits/sql/result";
import { addTable, of, type TableMetric } from "#kits/sql/table";
import { type Collection, type CollectorDefinition, tableCollector } from "./collector.ts";

const connectionLimit = gauge("pg_database_connection_limit", "Connection limit set for the database", "datname");
const sizeBytes = gauge("pg_database_size_bytes", "Disk space used by the database", "datname");

/** Databases one by one, for the size of one that the role may not connect to cannot be had. */
async function collectDatabases({ page, options, query }: Collection): Promise<void> {
  const { columns, rows } = await query("SELECT datname, datconnlimit AS connection_limit, oid FROM pg_database");
  const wanted = rows.filter(([name]) => name !== null && !options.excludedDatabases.includes(name!));
  addTable(page, { columns, rows: wanted }, { metrics: [of("connection_limit", connectionLimit)] });
  const problems: string[] = [];
  let last: unknown;
  for (const [cell, , oid] of wanted) {
    const name = cell!;
    try {
      const size = await query(`SELECT pg_database_size(${oid}::oid)`);
      page.add(sizeBytes, cellNumber("integer", size.rows[0]?.[0] ?? "0")!, name);
    } catch (error) {
      problems.push(name);
      last = error;
    }
  }
  if (problems.length === 0) return;
  throw new Error(`no size for ${problems.join(", ")}: ${(last as Error).message}`, { cause: last });
}

function perDatabase(
  column: string,
  name: string,
  help: string,
  kind: (name: string, help: string, ...labels: string[]) => Metric = counter,
  whenNull: TableMetric["whenNull"] = "skip row",
): TableMetric {
  return of(column, kind(`pg_stat_database_${name}`, help, "datid", "datname"), whenNull);
}

const STAT_DATABASE: readonly TableMetric[] = [
  perDatabase(
    "numbackends",
    "numbackends",
    "Number of backends currently connected to this database. This is the only column in this view that returns a value reflecting current state; all other columns return the accumulated values since the last reset.",
    gauge,
  ),
  perDatabase("xact_commit", "xact_commit", "Number of transactions in this database that have been committed"),
  perDatabase("xact_rollback", "xact_rollback", "Number of transactions in this database that have been rolled back"),
  perDatabase("blks_read", "blks_read", "Number of disk blocks read in this database"),
  perDatabase(
    "blks_hit",
    "blks_hit",
    "Number of times disk blocks were found already in the buffer cache, so that a read was not necessary (this only includes hits in the PostgreSQL buffer cache, not the operating system's file system cache)",
  ),
  perDatabase("tup_returned", "tup_returned", "Number of rows returned by queries in this database"),
  perDatabase("tup_fetched", "tup_fetched", "Number of rows fetched by queries in this database"),
  perDatabase("tup_inserted", "tup_inserted", "Number of rows inserted by queries in this database"),
  perDatabase("tup_updated", "tup_updated", "Number of rows updated by queries in this database"),
  perDatabase("tup_deleted", "tup_deleted", "Number of rows deleted by queries in this database"),
  perDatabase(
    "conflicts",
    "conflicts",
    "Number of queries canceled due to conflicts with recovery in this database. (Conflicts occur only on standby servers; see pg_stat_database_conflicts for details.)",
  ),
  perDatabase(
    "temp_files",
    "temp_files",
    "Number of temporary files created by queries in this database. All temporary files are counted, regardless of why the temporary file was created (e.g., sorting or hashing), and regardless of the log_temp_files setting.",
  ),
  perDatabase(
    "temp_bytes",
    "temp_bytes",
    "Total amount of data written to temporary files by queries in this database. All temporary files are counted, regardless of why the temporary file was created, and regardless of the log_temp_files setting.",
  ),
  perDatabase("deadlocks", "deadlocks", "Number of deadlocks detected in this database"),
  perDatabase(
    "blk_read_time",
    "blk_read_time",
    "Time spent reading data file blocks by backends in this database, in milliseconds",
  ),
  perDatabase(
    "blk_write_time",
    "blk_write_time",
    "Time spent writing data file blocks by backends in this database, in milliseconds",
  ),
  perDatabase("stats_reset", "stats_reset", "Time at which these statistics were last reset", counter, "zero"),
];

const ACTIVE_TIME = perDatabase(
  "active_seconds",
  "active_time_seconds_total",
  "Time spent executing SQL statements in this database, in seconds",
);

const STAT_DATABASE_COLUMNS = ["datid", "datname", ...STAT_DATABASE.map(({ column }) => column)].join(", ");

export const databaseCollectors: readonly CollectorDefinition[] = [
  { name: "database", byDefault: true, collect: collectDatabases },
  tableCollector(
    "stat_database",
    true,
    {
      since: 14,
      query: `SELECT ${STAT_DATABASE_COLUMNS}, active_time / 1000.0 AS active_seconds FROM pg_stat_database`,
      metrics: [...STAT_DATABASE, ACTIVE_TIME],
      nullLabel: "skip row",
    },
    { query: `SELECT ${STAT_DATABASE_COLUMNS} FROM pg_stat_database`, metrics: STAT_DATABASE, nullLabel: "skip row" },
  ),
  tableCollector("database_wraparound", false, {
    query:
      "SELECT datname, age(datfrozenxid) AS xid_age, mxid_age(datminmxid) AS mxid_age FROM pg_database WHERE datallowconn",
    nullLabel: "skip row",
    metrics: [
      of(
        "xid_age",
        gauge(
          "pg_database_wraparound_age_datfrozenxid_seconds",
          "Age of the oldest transaction ID that has not been frozen.",
          "datname",
        ),
        "skip row",
      ),
      of(
        "mxid_age",
        gauge(
          "pg_database_wraparound_age_datminmxid_seconds",
          "Age of the oldest multi-transaction ID that has been replaced with a transaction ID.",
          "datname",
        ),
        "skip row",
      ),
    ],
  }),
];
