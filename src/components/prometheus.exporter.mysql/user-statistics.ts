import { parseGoFloat } from "#formats/go-number";
import type { Metric } from "#kits/exporter/page";
import type { Collector } from "./collector.ts";
import { hasUserStatistics } from "./table-collector.ts";

type Row = readonly [
  column: string,
  type: "counter" | "gauge",
  name: string,
  help: string,
  /** Upstream writes this text with another apostrophe for users than for clients. */
  apostrophe?: "plain",
];

/**
 * Columns of user_statistics and client_statistics: data from mysqld_exporter's `collector/info_schema_userstats.go` and
 * `collector/info_schema_clientstats.go`, whose help differs in SUBJECT.
 */
const COLUMNS: readonly Row[] = [
  ["TOTAL_CONNECTIONS", "counter", "total_connections", "The number of connections created for this SUBJECT."],
  [
    "CONCURRENT_CONNECTIONS",
    "gauge",
    "concurrent_connections",
    "The number of concurrent connections for this SUBJECT.",
  ],
  [
    "CONNECTED_TIME",
    "counter",
    "connected_time_seconds_total",
    "The cumulative number of seconds elapsed while there were connections from this SUBJECT.",
  ],
  [
    "BUSY_TIME",
    "counter",
    "busy_seconds_total",
    "The cumulative number of seconds there was activity on connections from this SUBJECT.",
  ],
  [
    "CPU_TIME",
    "counter",
    "cpu_time_seconds_total",
    "The cumulative CPU time elapsed, in seconds, while servicing this SUBJECT's connections.",
  ],
  [
    "BYTES_RECEIVED",
    "counter",
    "bytes_received_total",
    "The number of bytes received from this SUBJECT’s connections.",
  ],
  ["BYTES_SENT", "counter", "bytes_sent_total", "The number of bytes sent to this SUBJECT’s connections."],
  [
    "BINLOG_BYTES_WRITTEN",
    "counter",
    "binlog_bytes_written_total",
    "The number of bytes written to the binary log from this SUBJECT’s connections.",
  ],
  ["ROWS_READ", "counter", "rows_read_total", "The number of rows read by this SUBJECT’s connections.", "plain"],
  ["ROWS_SENT", "counter", "rows_sent_total", "The number of rows sent by this SUBJECT’s connections.", "plain"],
  [
    "ROWS_DELETED",
    "counter",
    "rows_deleted_total",
    "The number of rows deleted by this SUBJECT’s connections.",
    "plain",
  ],
  [
    "ROWS_INSERTED",
    "counter",
    "rows_inserted_total",
    "The number of rows inserted by this SUBJECT’s connections.",
    "plain",
  ],
  ["ROWS_FETCHED", "counter", "rows_fetched_total", "The number of rows fetched by this SUBJECT’s connections."],
  ["ROWS_UPDATED", "counter", "rows_updated_total", "The number of rows updated by this SUBJECT’s connections."],
  [
    "TABLE_ROWS_READ",
    "counter",
    "table_rows_read_total",
    "The number of rows read from tables by this SUBJECT’s connections. (It may be different from ROWS_FETCHED.)",
  ],
  [
    "SELECT_COMMANDS",
    "counter",
    "select_commands_total",
    "The number of SELECT commands executed from this SUBJECT’s connections.",
  ],
  [
    "UPDATE_COMMANDS",
    "counter",
    "update_commands_total",
    "The number of UPDATE commands executed from this SUBJECT’s connections.",
  ],
  [
    "OTHER_COMMANDS",
    "counter",
    "other_commands_total",
    "The number of other commands executed from this SUBJECT’s connections.",
  ],
  [
    "COMMIT_TRANSACTIONS",
    "counter",
    "commit_transactions_total",
    "The number of COMMIT commands issued by this SUBJECT’s connections.",
  ],
  [
    "ROLLBACK_TRANSACTIONS",
    "counter",
    "rollback_transactions_total",
    "The number of ROLLBACK commands issued by this SUBJECT’s connections.",
  ],
  ["DENIED_CONNECTIONS", "counter", "denied_connections_total", "The number of connections denied to this SUBJECT."],
  [
    "LOST_CONNECTIONS",
    "counter",
    "lost_connections_total",
    "The number of this SUBJECT’s connections that were terminated uncleanly.",
  ],
  [
    "ACCESS_DENIED",
    "counter",
    "access_denied_total",
    "The number of times this SUBJECT’s connections issued commands that were denied.",
  ],
  [
    "EMPTY_QUERIES",
    "counter",
    "empty_queries_total",
    "The number of times this SUBJECT’s connections sent empty queries to the server.",
  ],
  [
    "TOTAL_SSL_CONNECTIONS",
    "counter",
    "total_ssl_connections_total",
    "The number of times this SUBJECT’s connections connected using SSL to the server.",
  ],
  [
    "MAX_STATEMENT_TIME_EXCEEDED",
    "counter",
    "max_statement_time_exceeded_total",
    "The number of times a statement was aborted, because it was executed longer than its MAX_STATEMENT_TIME threshold.",
  ],
];

/** Has no description for users. */
const CLIENT_ONLY = "MAX_STATEMENT_TIME_EXCEEDED";

function statisticsCollector(name: string, since: number, subject: "user" | "client"): Collector {
  const metrics = new Map<string, Metric>();
  for (const [column, type, suffix, text, apostrophe] of COLUMNS) {
    if (subject === "user" && column === CLIENT_ONLY) continue;
    const written = apostrophe === "plain" && subject === "user" ? text.replaceAll("’", "'") : text;
    const help = written.replaceAll("SUBJECT", subject);
    const full = `mysql_info_schema_${subject}_statistics_${suffix}`;
    metrics.set(column, { name: full, help, type, labelNames: [subject] });
  }
  const metricOf = (column: string): Metric =>
    metrics.get(column.toUpperCase()) ?? {
      name: `mysql_info_schema_${subject}_statistics_${column.toLowerCase()}`,
      help: `Unsupported metric from column ${column}`,
      type: "untyped",
      labelNames: [subject],
    };
  return {
    name,
    since,
    async collect(scrape) {
      if (!(await hasUserStatistics(scrape))) return;
      const { columns, rows } = await scrape.query(`SELECT * FROM information_schema.${subject}_statistics`);
      const [, ...numbers] = columns.map(metricOf);
      for (const [who, ...values] of rows) {
        for (const [i, metric] of numbers.entries()) {
          const value = parseGoFloat(values[i] ?? "");
          if (value !== undefined) scrape.page.add(metric, value, who ?? "");
        }
      }
    },
  };
}

export const USER_STATISTICS: readonly Collector[] = [
  statisticsCollector("info_schema.userstats", 5.1, "user"),
  statisticsCollector("info_schema.clientstats", 5.5, "client"),
];
