import { counter, gauge } from "#kits/exporter/page";
import { PICOSECONDS, type TableDefinition } from "./table-collector.ts";

/**
 * Collectors that are a query and a table, of information_schema and sys. Names, help and types are those of
 * mysqld_exporter's files `collector/info_schema_*.go` and `collector/sys_user_summary.go`.
 */
export const INFO_SCHEMA_TABLES: readonly TableDefinition[] = [
  {
    name: "info_schema.innodb_cmp",
    isDefault: true,
    since: 5.5,
    sql: "SELECT * FROM information_schema.innodb_cmp",
    labels: ["page_size"],
    metrics: [
      {
        metric: counter(
          "mysql_info_schema_innodb_cmp_compress_ops_total",
          "Number of times a B-tree page of the size PAGE_SIZE has been compressed.",
          "page_size",
        ),
        column: "compress_ops",
      },
      {
        metric: counter(
          "mysql_info_schema_innodb_cmp_compress_ops_ok_total",
          "Number of times a B-tree page of the size PAGE_SIZE has been successfully compressed.",
          "page_size",
        ),
        column: "compress_ops_ok",
      },
      {
        metric: counter(
          "mysql_info_schema_innodb_cmp_compress_time_seconds_total",
          "Total time in seconds spent in attempts to compress B-tree pages.",
          "page_size",
        ),
        column: "compress_time",
      },
      {
        metric: counter(
          "mysql_info_schema_innodb_cmp_uncompress_ops_total",
          "Number of times a B-tree page of the size PAGE_SIZE has been uncompressed.",
          "page_size",
        ),
        column: "uncompress_ops",
      },
      {
        metric: counter(
          "mysql_info_schema_innodb_cmp_uncompress_time_seconds_total",
          "Total time in seconds spent in uncompressing B-tree pages.",
          "page_size",
        ),
        column: "uncompress_time",
      },
    ],
  },
  {
    name: "info_schema.innodb_cmpmem",
    isDefault: true,
    since: 5.5,
    sql: "SELECT * FROM information_schema.innodb_cmpmem",
    labels: ["page_size", "buffer_pool_instance"],
    metrics: [
      {
        metric: counter(
          "mysql_info_schema_innodb_cmpmem_pages_used_total",
          "Number of blocks of the size PAGE_SIZE that are currently in use.",
          "page_size",
          "buffer_pool",
        ),
        column: "pages_used",
      },
      {
        metric: counter(
          "mysql_info_schema_innodb_cmpmem_pages_free_total",
          "Number of blocks of the size PAGE_SIZE that are currently available for allocation.",
          "page_size",
          "buffer_pool",
        ),
        column: "pages_free",
      },
      {
        metric: counter(
          "mysql_info_schema_innodb_cmpmem_relocation_ops_total",
          "Number of times a block of the size PAGE_SIZE has been relocated.",
          "page_size",
          "buffer_pool",
        ),
        column: "relocation_ops",
      },
      {
        metric: counter(
          "mysql_info_schema_innodb_cmpmem_relocation_time_seconds_total",
          "Total time in seconds spent in relocating blocks.",
          "page_size",
          "buffer_pool",
        ),
        column: "relocation_time",
        divisor: 1000,
      },
    ],
  },
  {
    name: "auto_increment.columns",
    since: 5.1,
    sql: `SELECT c.table_schema, c.table_name, c.column_name, t.auto_increment,
        POW(2, CASE c.data_type WHEN 'tinyint' THEN 7 WHEN 'smallint' THEN 15 WHEN 'mediumint' THEN 23 WHEN 'int' THEN 31
          WHEN 'bigint' THEN 63 END + (c.column_type LIKE '% unsigned')) - 1 AS max_int
      FROM information_schema.columns c
      STRAIGHT_JOIN information_schema.tables t
        ON BINARY c.table_schema = t.table_schema AND BINARY c.table_name = t.table_name
      WHERE c.extra = 'auto_increment' AND t.auto_increment IS NOT NULL`,
    labels: ["table_schema", "table_name", "column_name"],
    metrics: [
      {
        metric: gauge(
          "mysql_info_schema_auto_increment_column",
          "The current value of an auto_increment column from information_schema.",
          "schema",
          "table",
          "column",
        ),
        column: "auto_increment",
      },
      {
        metric: gauge(
          "mysql_info_schema_auto_increment_column_max",
          "The max value of an auto_increment column from information_schema.",
          "schema",
          "table",
          "column",
        ),
        column: "max_int",
      },
    ],
  },
  {
    name: "info_schema.tablestats",
    since: 5.1,
    sql: "SELECT * FROM information_schema.table_statistics",
    labels: ["table_schema", "table_name"],
    needsUserStatistics: true,
    metrics: [
      {
        metric: counter(
          "mysql_info_schema_table_statistics_rows_read_total",
          "The number of rows read from the table.",
          "schema",
          "table",
        ),
        column: "rows_read",
      },
      {
        metric: counter(
          "mysql_info_schema_table_statistics_rows_changed_total",
          "The number of rows changed in the table.",
          "schema",
          "table",
        ),
        column: "rows_changed",
      },
      {
        metric: counter(
          "mysql_info_schema_table_statistics_rows_changed_x_indexes_total",
          "The number of rows changed in the table, multiplied by the number of indexes changed.",
          "schema",
          "table",
        ),
        column: "rows_changed_x_indexes",
      },
    ],
  },
  {
    name: "info_schema.schemastats",
    since: 5.1,
    sql: `SELECT table_schema, SUM(rows_read) AS rows_read, SUM(rows_changed) AS rows_changed,
        SUM(rows_changed_x_indexes) AS rows_changed_x_indexes
      FROM information_schema.table_statistics GROUP BY table_schema`,
    labels: ["table_schema"],
    needsUserStatistics: true,
    metrics: [
      {
        metric: counter(
          "mysql_info_schema_schema_statistics_rows_read_total",
          "The number of rows read from the schema.",
          "schema",
        ),
        column: "rows_read",
      },
      {
        metric: counter(
          "mysql_info_schema_schema_statistics_rows_changed_total",
          "The number of rows changed in the schema.",
          "schema",
        ),
        column: "rows_changed",
      },
      {
        metric: counter(
          "mysql_info_schema_schema_statistics_rows_changed_x_indexes_total",
          "The number of rows changed in the schema, multiplied by the number of indexes changed.",
          "schema",
        ),
        column: "rows_changed_x_indexes",
      },
    ],
  },
  {
    name: "info_schema.replica_host",
    since: 5.6,
    sql: `SELECT *, IF(session_id = 'MASTER_SESSION_ID', 'writer', 'reader') AS role
      FROM information_schema.replica_host_status`,
    labels: ["server_id", "role"],
    // Aurora has it, and nobody else.
    missingTableIsFine: true,
    metrics: [
      {
        metric: gauge(
          "mysql_info_schema_replica_host_cpu_percent",
          "The CPU usage as a percentage.",
          "server_id",
          "role",
        ),
        column: "cpu",
      },
      {
        metric: gauge(
          "mysql_info_schema_replica_host_replica_latency_seconds",
          "The source-replica latency in seconds.",
          "server_id",
          "role",
        ),
        column: "master_slave_latency_in_microseconds",
        divisor: 1e6,
      },
      {
        metric: gauge("mysql_info_schema_replica_host_lag_seconds", "The replica lag in seconds.", "server_id", "role"),
        column: "replica_lag_in_milliseconds",
        divisor: 1000,
      },
      {
        metric: gauge(
          "mysql_info_schema_replica_host_log_stream_speed",
          "The log stream speed in kilobytes per second.",
          "server_id",
          "role",
        ),
        column: "log_stream_speed_in_kib_per_second",
      },
      {
        metric: gauge(
          "mysql_info_schema_replica_host_replay_latency_seconds",
          "The current replay latency in seconds.",
          "server_id",
          "role",
        ),
        column: "current_replay_latency_in_microseconds",
        divisor: 1e6,
      },
    ],
  },
  {
    name: "sys.user_summary",
    since: 5.7,
    sql: "SELECT * FROM sys.x$user_summary",
    labels: ["user"],
    metrics: [
      {
        metric: counter("mysql_sys_statements_total", " The total number of statements for the user", "user"),
        column: "statements",
      },
      {
        metric: counter("mysql_sys_statement_latency", "The total wait time of timed statements for the user", "user"),
        column: "statement_latency",
        divisor: PICOSECONDS,
      },
      {
        metric: counter("mysql_sys_table_scans_total", "The total number of table scans for the user", "user"),
        column: "table_scans",
      },
      {
        metric: counter("mysql_sys_file_ios_total", "The total number of file I/O events for the user", "user"),
        column: "file_ios",
      },
      {
        metric: counter(
          "mysql_sys_file_io_seconds_total",
          "The total wait time of timed file I/O events for the user",
          "user",
        ),
        column: "file_io_latency",
        divisor: PICOSECONDS,
      },
      {
        metric: gauge("mysql_sys_current_connections", "The current number of connections for the user", "user"),
        column: "current_connections",
      },
      {
        metric: counter("mysql_sys_connections_total", "The total number of connections for the user", "user"),
        column: "total_connections",
      },
      {
        metric: counter(
          "mysql_sys_unique_hosts_total",
          "The number of distinct hosts from which connections for the user have originated",
          "user",
        ),
        column: "unique_hosts",
      },
      {
        metric: gauge("mysql_sys_current_memory_bytes", "The current amount of allocated memory for the user", "user"),
        column: "current_memory",
      },
      {
        metric: counter(
          "mysql_sys_memory_allocated_bytes_total",
          "The total amount of allocated memory for the user",
          "user",
        ),
        column: "total_memory_allocated",
      },
    ],
  },
];
