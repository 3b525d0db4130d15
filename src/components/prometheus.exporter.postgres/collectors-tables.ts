import { counter, gauge, type Metric } from "#kits/exporter/page";
import { addTable, of, type TableMetric } from "#kits/sql/table";
import { type Collection, type CollectorDefinition, tableCollector } from "./collector.ts";

type MetricKind = (name: string, help: string, ...labels: string[]) => Metric;

function perTable(kind: MetricKind, column: string, help: string, name = column): TableMetric {
  return of(column, kind(`pg_stat_user_tables_${name}`, help, "datname", "schemaname", "relname"));
}

const STAT_USER_TABLES: readonly TableMetric[] = [
  perTable(counter, "seq_scan", "Number of sequential scans initiated on this table"),
  perTable(counter, "seq_tup_read", "Number of live rows fetched by sequential scans"),
  perTable(counter, "idx_scan", "Number of index scans initiated on this table"),
  perTable(counter, "idx_tup_fetch", "Number of live rows fetched by index scans"),
  perTable(counter, "n_tup_ins", "Number of rows inserted"),
  perTable(counter, "n_tup_upd", "Number of rows updated"),
  perTable(counter, "n_tup_del", "Number of rows deleted"),
  perTable(counter, "n_tup_hot_upd", "Number of rows HOT updated (i.e., with no separate index update required)"),
  perTable(gauge, "n_live_tup", "Estimated number of live rows"),
  perTable(gauge, "n_dead_tup", "Estimated number of dead rows"),
  perTable(gauge, "n_mod_since_analyze", "Estimated number of rows changed since last analyze"),
  perTable(gauge, "last_vacuum", "Last time at which this table was manually vacuumed (not counting VACUUM FULL)"),
  perTable(gauge, "last_autovacuum", "Last time at which this table was vacuumed by the autovacuum daemon"),
  perTable(gauge, "last_analyze", "Last time at which this table was manually analyzed"),
  perTable(gauge, "last_autoanalyze", "Last time at which this table was analyzed by the autovacuum daemon"),
  perTable(counter, "vacuum_count", "Number of times this table has been manually vacuumed (not counting VACUUM FULL)"),
  perTable(counter, "autovacuum_count", "Number of times this table has been vacuumed by the autovacuum daemon"),
  perTable(counter, "analyze_count", "Number of times this table has been manually analyzed"),
  perTable(counter, "autoanalyze_count", "Number of times this table has been analyzed by the autovacuum daemon"),
];
const STAT_USER_TABLES_COLUMNS = STAT_USER_TABLES.map(({ column }) => column).join(", ");

function perTableIo(column: string, name: string, help: string): TableMetric {
  return of(column, counter(`pg_statio_user_tables_${name}`, help, "datname", "schemaname", "relname"));
}

const STATIO_USER_TABLES: readonly TableMetric[] = [
  perTableIo("heap_blks_read", "heap_blocks_read", "Number of disk blocks read from this table"),
  perTableIo("heap_blks_hit", "heap_blocks_hit", "Number of buffer hits in this table"),
  perTableIo("idx_blks_read", "idx_blocks_read", "Number of disk blocks read from all indexes on this table"),
  perTableIo("idx_blks_hit", "idx_blocks_hit", "Number of buffer hits in all indexes on this table"),
  perTableIo(
    "toast_blks_read",
    "toast_blocks_read",
    "Number of disk blocks read from this table's TOAST table (if any)",
  ),
  perTableIo("toast_blks_hit", "toast_blocks_hit", "Number of buffer hits in this table's TOAST table (if any)"),
  perTableIo(
    "tidx_blks_read",
    "tidx_blocks_read",
    "Number of disk blocks read from this table's TOAST table indexes (if any)",
  ),
  perTableIo("tidx_blks_hit", "tidx_blocks_hit", "Number of buffer hits in this table's TOAST table indexes (if any)"),
];
const STATIO_USER_TABLES_COLUMNS = STATIO_USER_TABLES.map(({ column }) => column).join(", ");

const VACUUM_PHASES = [
  "initializing",
  "scanning heap",
  "vacuuming indexes",
  "vacuuming heap",
  "cleaning up indexes",
  "truncating heap",
  "performing final cleanup",
];
const vacuumPhase = gauge(
  "pg_stat_progress_vacuum_phase",
  "Current vacuum phase (1 = active, 0 = inactive). Label 'phase' is human-readable.",
  ...["datname", "relname", "phase"],
);

function perVacuum(parameter: number, name: string, help: string): TableMetric {
  return of(`param${parameter}`, gauge(`pg_stat_progress_vacuum_${name}`, help, "datname", "relname"));
}

const VACUUM: readonly TableMetric[] = [
  perVacuum(2, "heap_blks", "Total number of heap blocks in the table being vacuumed."),
  perVacuum(3, "heap_blks_scanned", "Number of heap blocks scanned so far."),
  perVacuum(4, "heap_blks_vacuumed", "Number of heap blocks vacuumed so far."),
  perVacuum(5, "index_vacuums", "Number of completed index vacuum cycles."),
  perVacuum(6, "max_dead_tuples", "Maximum number of dead tuples that can be stored before cleanup is performed."),
  perVacuum(7, "num_dead_tuples", "Current number of dead tuples found so far."),
];

/** The function behind the view gives the phase as a number, whatever the version calls it. */
const VACUUM_QUERY = `SELECT datname, relid::regclass::text AS relname,
  param1, param2, param3, param4, param5, param6, param7
FROM pg_stat_get_progress_info('VACUUM') AS progress
LEFT JOIN pg_database ON pg_database.oid = progress.datid`;

async function collectVacuums({ page, query }: Collection): Promise<void> {
  const result = await query(VACUUM_QUERY);
  addTable(page, result, { metrics: VACUUM });
  for (const [datname = null, relname = null, phase] of result.rows) {
    for (const [number, name] of VACUUM_PHASES.entries()) {
      page.add(vacuumPhase, phase === String(number) ? 1 : 0, datname ?? "unknown", relname ?? "unknown", name);
    }
  }
}

function perIndexIo(column: string, help: string): TableMetric {
  const name = `pg_statio_user_indexes_${column}_total`;
  return of(column, counter(name, help, "schemaname", "relname", "indexrelname"));
}

export const tableCollectors: readonly CollectorDefinition[] = [
  tableCollector("stat_user_tables", true, {
    query: `SELECT current_database() AS datname, schemaname, relname, ${STAT_USER_TABLES_COLUMNS},
  pg_indexes_size(relid) AS indexes_size, pg_table_size(relid) AS table_size
FROM pg_stat_user_tables`,
    metrics: [
      ...STAT_USER_TABLES,
      perTable(gauge, "indexes_size", "Total disk space used by this index, in bytes", "index_size_bytes"),
      perTable(gauge, "table_size", "Total disk space used by this table, in bytes", "table_size_bytes"),
    ],
  }),
  tableCollector("statio_user_tables", true, {
    query: `SELECT current_database() AS datname, schemaname, relname, ${STATIO_USER_TABLES_COLUMNS} FROM pg_statio_user_tables`,
    metrics: STATIO_USER_TABLES,
  }),
  tableCollector("statio_user_indexes", false, {
    query: "SELECT schemaname, relname, indexrelname, idx_blks_read, idx_blks_hit FROM pg_statio_user_indexes",
    metrics: [
      perIndexIo("idx_blks_read", "Number of disk blocks read from this index"),
      perIndexIo("idx_blks_hit", "Number of buffer hits in this index"),
    ],
  }),
  { name: "stat_progress_vacuum", byDefault: true, collect: collectVacuums },
];
