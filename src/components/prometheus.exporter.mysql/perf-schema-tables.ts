import { counter, gauge } from "#kits/exporter/page";
import { PICOSECONDS, type TableDefinition } from "./table-collector.ts";

/**
 * Collectors that are a query and a table, of performance_schema. Names, help and types are those of mysqld_exporter's
 * files `collector/perf_schema_*.go`.
 */

const NOT_OF_THE_SERVER = "WHERE object_schema NOT IN ('mysql', 'performance_schema')";

const fileEvents = counter(
  "mysql_perf_schema_file_events_total",
  "The total file events by event name/mode.",
  "event_name",
  "mode",
);
const fileSeconds = counter(
  "mysql_perf_schema_file_events_seconds_total",
  "The total seconds of file events by event name/mode.",
  "event_name",
  "mode",
);
const fileBytes = counter(
  "mysql_perf_schema_file_events_bytes_total",
  "The total bytes of file events by event name/mode.",
  "event_name",
  "mode",
);
const instanceCount = counter(
  "mysql_perf_schema_file_instances_total",
  "The total number of file read/write operations.",
  "file_name",
  "event_name",
  "mode",
);
const instanceBytes = counter(
  "mysql_perf_schema_file_instances_bytes",
  "The number of bytes processed by file read/write operations.",
  "file_name",
  "event_name",
  "mode",
);
const indexWaits = counter(
  "mysql_perf_schema_index_io_waits_total",
  "The total number of index I/O wait events for each index and operation.",
  "schema",
  "name",
  "index",
  "operation",
);
const indexSeconds = counter(
  "mysql_perf_schema_index_io_waits_seconds_total",
  "The total time of index I/O wait events for each index and operation.",
  "schema",
  "name",
  "index",
  "operation",
);
const tableWaits = counter(
  "mysql_perf_schema_table_io_waits_total",
  "The total number of table I/O wait events for each table and operation.",
  "schema",
  "name",
  "operation",
);
const tableSeconds = counter(
  "mysql_perf_schema_table_io_waits_seconds_total",
  "The total time of table I/O wait events for each table and operation.",
  "schema",
  "name",
  "operation",
);
const sqlLocks = counter(
  "mysql_perf_schema_sql_lock_waits_total",
  "The total number of SQL lock wait events for each table and operation.",
  "schema",
  "name",
  "operation",
);
const sqlLockSeconds = counter(
  "mysql_perf_schema_sql_lock_waits_seconds_total",
  "The total time of SQL lock wait events for each table and operation.",
  "schema",
  "name",
  "operation",
);
const externalLocks = counter(
  "mysql_perf_schema_external_lock_waits_total",
  "The total number of external lock wait events for each table and operation.",
  "schema",
  "name",
  "operation",
);
const externalLockSeconds = counter(
  "mysql_perf_schema_external_lock_waits_seconds_total",
  "The total time of external lock wait events for each table and operation.",
  "schema",
  "name",
  "operation",
);

const OPERATIONS = ["fetch", "insert", "update", "delete"];
const LOCKS = [
  ...["read_normal", "read_with_shared_locks", "read_high_priority", "read_no_insert"],
  ...["write_normal", "write_allow_write", "write_concurrent_insert", "write_low_priority"],
];

/** Columns that are summed up over all statements. */
const STATEMENT_SUMS: readonly (readonly [column: string, help: string, divisor?: number])[] = [
  ["sum_created_tmp_disk_tables", "The number of on-disk temporary tables created."],
  ["sum_created_tmp_tables", "The number of temporary tables created."],
  ["sum_errors", "Number of errors."],
  ["sum_lock_time", "Time in picoseconds spent waiting for locks."],
  ["sum_no_good_index_used", "Number of times no good index was found."],
  ["sum_no_index_used", "Number of times no index was found."],
  ["sum_rows_affected", "Number of rows affected by statements."],
  ["sum_rows_examined", "Number of rows read during statements' execution."],
  ["sum_rows_sent", "Number of rows returned."],
  ["sum_select_full_join", "Number of joins performed by statements which did not use an index."],
  [
    "sum_select_full_range_join",
    "Number of joins performed by statements which used a range search of the first table.",
  ],
  ["sum_select_range", "Number of joins performed by statements which used a range of the first table."],
  [
    "sum_select_range_check",
    "Number of joins without keys performed by statements that check for key usage after each row.",
  ],
  ["sum_select_scan", "Number of joins performed by statements which used a full scan of the first table."],
  ["sum_sort_merge_passes", "Number of merge passes by the sort algorithm performed by statements."],
  ["sum_sort_range", "Number of sorts performed by statements which used a range."],
  ["sum_sort_rows", "Number of rows sorted."],
  ["sum_sort_scan", "Number of sorts performed by statements which used a full table scan."],
  ["sum_timer_wait", "Total wait time of the summarized events that are timed.", PICOSECONDS],
  ["sum_warnings", "Number of warnings."],
];

export const PERF_SCHEMA_TABLES: readonly TableDefinition[] = [
  {
    name: "perf_schema.eventswaits",
    since: 5.5,
    sql: "SELECT event_name, count_star, sum_timer_wait FROM performance_schema.events_waits_summary_global_by_event_name",
    labels: ["event_name"],
    metrics: [
      {
        metric: counter("mysql_perf_schema_events_waits_total", "The total events waits by event name.", "event_name"),
        column: "count_star",
      },
      {
        metric: counter(
          "mysql_perf_schema_events_waits_seconds_total",
          "The total seconds of events waits by event name.",
          "event_name",
        ),
        column: "sum_timer_wait",
        divisor: PICOSECONDS,
      },
    ],
  },
  {
    name: "perf_schema.file_events",
    since: 5.6,
    sql: "SELECT * FROM performance_schema.file_summary_by_event_name",
    labels: ["event_name"],
    metrics: [
      { metric: fileEvents, column: "count_read", labels: ["read"] },
      { metric: fileSeconds, column: "sum_timer_read", divisor: PICOSECONDS, labels: ["read"] },
      { metric: fileBytes, column: "sum_number_of_bytes_read", labels: ["read"] },
      { metric: fileEvents, column: "count_write", labels: ["write"] },
      { metric: fileSeconds, column: "sum_timer_write", divisor: PICOSECONDS, labels: ["write"] },
      { metric: fileBytes, column: "sum_number_of_bytes_write", labels: ["write"] },
      { metric: fileEvents, column: "count_misc", labels: ["misc"] },
      { metric: fileSeconds, column: "sum_timer_misc", divisor: PICOSECONDS, labels: ["misc"] },
    ],
  },
  {
    name: "perf_schema.file_instances",
    since: 5.5,
    sql: "SELECT * FROM performance_schema.file_summary_by_instance WHERE file_name REGEXP ?",
    labels: ["file_name", "event_name"],
    values: (args) => [args["perf_schema.file_instances"].filter],
    removePrefix: (args) => args["perf_schema.file_instances"].remove_prefix,
    metrics: [
      { metric: instanceCount, column: "count_read", labels: ["read"] },
      { metric: instanceBytes, column: "sum_number_of_bytes_read", labels: ["read"] },
      { metric: instanceCount, column: "count_write", labels: ["write"] },
      { metric: instanceBytes, column: "sum_number_of_bytes_write", labels: ["write"] },
    ],
  },
  {
    name: "perf_schema.memory_events",
    since: 5.7,
    sql: "SELECT * FROM performance_schema.memory_summary_global_by_event_name WHERE count_alloc > 0",
    labels: ["event_name"],
    removePrefix: (args) => args["perf_schema.memory_events"].remove_prefix,
    metrics: [
      {
        metric: counter(
          "mysql_perf_schema_memory_events_alloc_bytes_total",
          "The total number of bytes allocated by events.",
          "event_name",
        ),
        column: "sum_number_of_bytes_alloc",
      },
      {
        metric: counter(
          "mysql_perf_schema_memory_events_free_bytes_total",
          "The total number of bytes freed by events.",
          "event_name",
        ),
        column: "sum_number_of_bytes_free",
      },
      {
        metric: gauge(
          "mysql_perf_schema_memory_events_used_bytes",
          "The number of bytes currently allocated by events.",
          "event_name",
        ),
        column: "current_number_of_bytes_used",
      },
    ],
  },
  {
    name: "perf_schema.indexiowaits",
    since: 5.6,
    // Rows are inserted into the table, so that only the row without an index counts them.
    sql: `SELECT object_schema, object_name, IFNULL(index_name, 'NONE') AS index_name, count_fetch, count_update, count_delete,
        sum_timer_fetch, sum_timer_update, sum_timer_delete, IF(index_name IS NULL, count_insert, NULL) AS count_insert,
        IF(index_name IS NULL, sum_timer_insert, NULL) AS sum_timer_insert
      FROM performance_schema.table_io_waits_summary_by_index_usage ${NOT_OF_THE_SERVER}`,
    labels: ["object_schema", "object_name", "index_name"],
    metrics: OPERATIONS.flatMap((operation) => [
      { metric: indexWaits, column: `count_${operation}`, labels: [operation] },
      { metric: indexSeconds, column: `sum_timer_${operation}`, divisor: PICOSECONDS, labels: [operation] },
    ]),
  },
  {
    name: "perf_schema.tableiowaits",
    since: 5.6,
    sql: `SELECT * FROM performance_schema.table_io_waits_summary_by_table ${NOT_OF_THE_SERVER}`,
    labels: ["object_schema", "object_name"],
    metrics: OPERATIONS.flatMap((operation) => [
      { metric: tableWaits, column: `count_${operation}`, labels: [operation] },
      { metric: tableSeconds, column: `sum_timer_${operation}`, divisor: PICOSECONDS, labels: [operation] },
    ]),
  },
  {
    name: "perf_schema.tablelocks",
    since: 5.6,
    sql: `SELECT * FROM performance_schema.table_lock_waits_summary_by_table
      WHERE object_schema NOT IN ('mysql', 'performance_schema', 'information_schema')`,
    labels: ["object_schema", "object_name"],
    metrics: [
      ...LOCKS.flatMap((lock) => [
        { metric: sqlLocks, column: `count_${lock}`, labels: [lock] },
        { metric: sqlLockSeconds, column: `sum_timer_${lock}`, divisor: PICOSECONDS, labels: [lock] },
      ]),
      ...["read", "write"].flatMap((lock) => [
        { metric: externalLocks, column: `count_${lock}_external`, labels: [lock] },
        { metric: externalLockSeconds, column: `sum_timer_${lock}_external`, divisor: PICOSECONDS, labels: [lock] },
      ]),
    ],
  },
  {
    name: "perf_schema.eventsstatementssum",
    since: 5.7,
    sql: `SELECT SUM(count_star) AS count_star, ${STATEMENT_SUMS.map(([column]) => `SUM(${column}) AS ${column}`).join()}
      FROM performance_schema.events_statements_summary_by_digest`,
    labels: [],
    metrics: [
      {
        metric: counter("mysql_perf_schema_events_statements_sum_total", "The total count of events statements."),
        column: "count_star",
      },
      ...STATEMENT_SUMS.map(([column, help, divisor = 1]) => ({
        metric: counter(`mysql_perf_schema_events_statements_${column}`, help),
        ...{ column, divisor },
      })),
    ],
  },
];
