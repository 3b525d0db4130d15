import { parseGoFloat } from "#formats/go-number";
import { counter, gauge, type Metric, type Page, untyped } from "#kits/exporter/page";
import { type Collector, pairs } from "./collector.ts";
import { metricName, parseStatusValue } from "./status-value.ts";

/** Families of status variables whose last part is a label: mysqld_exporter's `collector/global_status.go`. */
const FAMILIES: ReadonlyMap<string, Metric> = new Map([
  ["com", counter("mysql_global_status_commands_total", "Total number of executed MySQL commands.", "command")],
  ["handler", counter("mysql_global_status_handlers_total", "Total number of executed MySQL handlers.", "handler")],
  [
    "connection_errors",
    counter("mysql_global_status_connection_errors_total", "Total number of MySQL connection errors.", "error"),
  ],
  [
    "innodb_rows",
    counter("mysql_global_status_innodb_row_ops_total", "Total number of MySQL InnoDB row operations.", "operation"),
  ],
  [
    "performance_schema",
    counter(
      "mysql_global_status_performance_schema_lost_total",
      "Total number of MySQL instrumentations that could not be loaded or created due to memory constraints.",
      "instrumentation",
    ),
  ],
]);
const FAMILY = /^(com|handler|connection_errors|innodb_buffer_pool_pages|innodb_rows|performance_schema)_(.*)$/;

const pages = gauge("mysql_global_status_buffer_pool_pages", "Innodb buffer pool pages by state.", "state");
const dirtyPages = gauge("mysql_global_status_buffer_pool_dirty_pages", "Innodb buffer pool dirty pages.");
const pageChanges = counter(
  "mysql_global_status_buffer_pool_page_changes_total",
  "Innodb buffer pool page state changes.",
  "operation",
);
const PAGE_STATES = new Set(["data", "free", "misc", "old"]);

const galeraStatus = gauge(
  "mysql_galera_status_info",
  "PXC/Galera status information.",
  ...["wsrep_local_state_uuid", "wsrep_cluster_state_uuid", "wsrep_provider_version"],
);
/** The parts of wsrep_evs_repl_latency, in its order. */
const GALERA_LATENCY = [
  ["min_seconds", "PXC/Galera group communication latency. Min value."],
  ["avg_seconds", "PXC/Galera group communication latency. Avg value."],
  ["max_seconds", "PXC/Galera group communication latency. Max value."],
  ["stdev", "PXC/Galera group communication latency. Standard Deviation."],
  ["sample_size", "PXC/Galera group communication latency. Sample Size."],
].map(([name, help]) => gauge(`mysql_galera_evs_repl_latency_${name}`, help!));

export const globalStatus: Collector = {
  name: "global_status",
  isDefault: true,
  since: 5.1,
  async collect({ page, query }) {
    const texts = new Map<string, string>();
    for (const [name, text] of pairs(await query("SHOW GLOBAL STATUS"))) {
      const key = metricName(name);
      const value = parseStatusValue(text);
      if (value === undefined) texts.set(key, text);
      else addStatus(page, key, value);
    }
    const text = (name: string) => texts.get(name) ?? "";
    const uuid = text("wsrep_local_state_uuid");
    if (uuid !== "") {
      page.add(galeraStatus, 1, uuid, text("wsrep_cluster_state_uuid"), text("wsrep_provider_version"));
    }
    const latency = text("wsrep_evs_repl_latency").split("/").map(parseGoFloat);
    if (latency.length !== GALERA_LATENCY.length || latency.includes(undefined)) return;
    for (const [i, metric] of GALERA_LATENCY.entries()) page.add(metric, latency[i]!);
  },
};

function addStatus(page: Page, key: string, value: number): void {
  const [, family, rest] = FAMILY.exec(key) ?? [];
  if (family === undefined) {
    page.add(untyped(`mysql_global_status_${key}`, "Generic metric from SHOW GLOBAL STATUS."), value);
  } else if (family !== "innodb_buffer_pool_pages") page.add(FAMILIES.get(family)!, value, rest!);
  else if (PAGE_STATES.has(rest!)) page.add(pages, value, rest!);
  else if (rest === "dirty") page.add(dirtyPages, value);
  else if (rest !== "total") page.add(pageChanges, value, rest!);
}
