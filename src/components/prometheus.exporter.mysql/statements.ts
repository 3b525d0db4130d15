import { parseGoFloat } from "#formats/go-number";
import { counter, type Page } from "#kits/exporter/page";
import { type Collector, isAtLeast } from "./collector.ts";
import { PICOSECONDS } from "./table-collector.ts";

/** Metrics of each statement: mysqld_exporter's `collector/perf_schema_events_statements.go`. */
const METRICS = (
  [
    ["total", "count_star", "The total count of events statements by digest."],
    ["seconds_total", "sum_timer_wait", "The total time of events statements by digest.", PICOSECONDS],
    ["lock_time_seconds_total", "sum_lock_time", "The total lock time of events statements by digest.", PICOSECONDS],
    ["cpu_time_seconds_total", "sum_cpu_time", "The total cpu time of events statements by digest.", PICOSECONDS],
    ["errors_total", "sum_errors", "The errors of events statements by digest."],
    ["warnings_total", "sum_warnings", "The warnings of events statements by digest."],
    ["rows_affected_total", "sum_rows_affected", "The total rows affected of events statements by digest."],
    ["rows_sent_total", "sum_rows_sent", "The total rows sent of events statements by digest."],
    ["rows_examined_total", "sum_rows_examined", "The total rows examined of events statements by digest."],
    ["tmp_tables_total", "sum_created_tmp_tables", "The total tmp tables of events statements by digest."],
    [
      "tmp_disk_tables_total",
      "sum_created_tmp_disk_tables",
      "The total tmp disk tables of events statements by digest.",
    ],
    [
      "sort_merge_passes_total",
      "sum_sort_merge_passes",
      "The total number of merge passes by the sort algorithm performed by digest.",
    ],
    ["sort_rows_total", "sum_sort_rows", "The total number of sorted rows by digest."],
    [
      "no_index_used_total",
      "sum_no_index_used",
      "The total number of statements that used full table scans by digest.",
    ],
  ] as readonly (readonly [name: string, column: string, help: string, divisor?: number])[]
).map(([name, column, help, divisor = 1]) => ({
  metric: counter(`mysql_perf_schema_events_statements_${name}`, help, "schema", "digest", "digest_text"),
  ...{ column, divisor },
}));

const latency = {
  name: "mysql_perf_schema_events_statements_latency",
  help: "A summary of statement latency by digest",
  type: "summary",
} as const;
/** The quantiles as upstream writes them, by their columns. */
const QUANTILES: readonly (readonly [quantile: number, column: string])[] = [
  [95, "quantile_95"],
  [99, "quantile_99"],
  [999, "quantile_999"],
];

/** Columns that only newer MySQL has; upstream reports them as 0 for others. */
const NEWER = ["sum_lock_time", "sum_cpu_time", ...QUANTILES.map(([, column]) => column)];
const OWN_SCHEMAS = ["mysql", "performance_schema", "information_schema"];

export const statements: Collector = {
  name: "perf_schema.eventsstatements",
  since: 5.6,
  async collect({ page, query, version, args }) {
    const { limit, time_limit, text_limit, exclude_schemas } = args["perf_schema.eventsstatements"];
    const isNew = !version.isMariaDb && isAtLeast(version, 8, 0, 28);
    const columns = METRICS.map(({ column }) => column).filter((column) => !NEWER.includes(column));
    if (isNew) columns.push(...NEWER);
    const schemas = [...new Set([...OWN_SCHEMAS, ...exclude_schemas])];
    const { rows } = await query(
      `SELECT schema_name, digest, LEFT(digest_text, ?), ${columns.join()}
        FROM performance_schema.events_statements_summary_by_digest
        WHERE schema_name NOT IN (${schemas.map(() => "?").join()}) AND last_seen > DATE_SUB(NOW(), INTERVAL ? SECOND)
        ORDER BY sum_timer_wait DESC LIMIT ?`,
      [text_limit, ...schemas, time_limit, limit],
    );
    for (const [schema, digest, text, ...numbers] of rows) {
      const values = new Map(columns.map((column, i) => [column, parseGoFloat(numbers[i] ?? "") ?? 0]));
      addStatement(page, [schema ?? "NONE", digest ?? "", text ?? ""], (column) => values.get(column) ?? 0);
    }
  },
};

function addStatement(page: Page, labelValues: readonly string[], value: (column: string) => number): void {
  for (const { metric, column, divisor } of METRICS) page.add(metric, value(column) / divisor, ...labelValues);
  const labels = ["schema", "digest", "digest_text"].flatMap((name, i) => [name, labelValues[i]!]);
  const { name } = latency;
  for (const [quantile, column] of QUANTILES) {
    const own = [...labels, "quantile", String(quantile)];
    page.addSample(latency, { name, labels: own, value: value(column) / PICOSECONDS });
  }
  page.addSample(latency, { name: `${name}_sum`, labels, value: value("sum_timer_wait") / PICOSECONDS });
  page.addSample(latency, { name: `${name}_count`, labels, value: value("count_star") });
}
