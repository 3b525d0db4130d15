import { parseGoFloat } from "#formats/go-number";
import { counter, gauge, untyped } from "#kits/exporter/page";
import { type Collector, CollectorError, isAtLeast } from "./collector.ts";
import { parseStatusValue } from "./status-value.ts";

/** Collectors of storage engines. Each matches the file of mysqld_exporter that it names. */

const queriesInside = gauge("mysql_engine_innodb_queries_inside_innodb", "Queries inside InnoDB.");
const queriesQueued = gauge("mysql_engine_innodb_queries_in_queue", "Queries in queue.");
const readViews = gauge("mysql_engine_innodb_read_views_open_inside_innodb", "Read views open inside InnoDB.");

/** `collector/engine_innodb.go` */
export const engineInnodbStatus: Collector = {
  name: "engine_innodb_status",
  since: 5.1,
  async collect({ page, query }) {
    const { rows } = await query("SHOW ENGINE INNODB STATUS");
    const status = rows[0]?.[2] ?? "";
    const queries = /(\d+) queries inside InnoDB, (\d+) queries in queue/.exec(status);
    if (queries !== null) {
      page.add(queriesInside, Number(queries[1]));
      page.add(queriesQueued, Number(queries[2]));
    }
    const views = /(\d+) read views open inside InnoDB/.exec(status);
    if (views !== null) page.add(readViews, Number(views[1]));
  },
};

/** `collector/engine_tokudb.go` */
export const engineTokudbStatus: Collector = {
  name: "engine_tokudb_status",
  since: 5.6,
  async collect({ page, query }) {
    const { rows } = await query("SHOW ENGINE TOKUDB STATUS");
    for (const [, name, text] of rows) {
      const value = parseStatusValue(text ?? "");
      const key = (name ?? "")
        .toLowerCase()
        .replace(/[>,:()]/g, "")
        .replace(/[ -]/g, "_")
        .replace(/[+/]/g, "and");
      if (value === undefined) continue;
      page.add(untyped(`mysql_engine_tokudb_${key}`, "Generic metric from SHOW ENGINE TOKUDB STATUS."), value);
    }
  },
};

const pagesRead = counter(
  "mysql_info_schema_innodb_metrics_buffer_page_read_total",
  "Total number of buffer pages read total.",
  "type",
);
const pagesWritten = counter(
  "mysql_info_schema_innodb_metrics_buffer_page_written_total",
  "Total number of buffer pages written total.",
  "type",
);
const poolPages = gauge(
  "mysql_info_schema_innodb_metrics_buffer_pool_pages",
  "Total number of buffer pool pages by state.",
  "state",
);
const dirtyPages = gauge(
  "mysql_info_schema_innodb_metrics_buffer_pool_dirty_pages",
  "Total number of dirty pages in the buffer pool.",
);

/** `collector/info_schema_innodb_metrics.go` */
export const innodbMetrics: Collector = {
  name: "info_schema.innodb_metrics",
  since: 5.6,
  async collect({ page, query }) {
    const { columns, rows } = await query("SELECT * FROM information_schema.innodb_metrics");
    const index = new Map(columns.map((name, i) => [name.toLowerCase(), i]));
    const at = (name: string) => index.get(name) ?? -1;
    if (at("status") < 0 && at("enabled") < 0) {
      throw new CollectorError("information_schema.innodb_metrics has neither a column STATUS nor ENABLED");
    }
    for (const row of rows) {
      const text = (name: string) => row[at(name)] ?? "";
      // MySQL says which counters run in words, MariaDB in numbers.
      if (at("status") >= 0 ? text("status") !== "enabled" : text("enabled") !== "1") continue;
      const value = parseGoFloat(text("count"));
      if (value === undefined) continue;
      const [name, subsystem] = [text("name"), text("subsystem")];
      const [, operation, kind] = /^buffer_page_(read|written)_(.*)$/.exec(name) ?? [];
      const state = subsystem === "buffer" ? /^buffer_pool_pages_(.*)$/.exec(name)?.[1] : undefined;
      if (subsystem === "buffer_page_io") {
        if (kind !== undefined) page.add(operation === "read" ? pagesRead : pagesWritten, value, kind);
      } else if (state === "dirty") page.add(dirtyPages, value);
      else if (state !== undefined) {
        if (state !== "total") page.add(poolPages, value, state); // the sum of the others
      } else {
        const full = `mysql_info_schema_innodb_metrics_${subsystem}_${name}`;
        // A counter below zero is a bug of MySQL's: https://bugs.mysql.com/bug.php?id=75966
        const isCounter = /^(?:status_)?counter$/.test(text("type")) && value >= 0;
        page.add(isCounter ? counter(`${full}_total`, text("comment")) : gauge(full, text("comment")), value);
      }
    }
  },
};

const spaceInfo = gauge(
  "mysql_info_schema_innodb_tablespace_space_info",
  "The Tablespace information and Space ID.",
  "tablespace_name",
  "file_format",
  "row_format",
  "space_type",
);
const fileSize = gauge(
  "mysql_info_schema_innodb_tablespace_file_size_bytes",
  "The apparent size of the file, which represents the maximum size of the file, uncompressed.",
  "tablespace_name",
);
const allocatedSize = gauge(
  "mysql_info_schema_innodb_tablespace_allocated_size_bytes",
  "The actual size of the file, which is the amount of space allocated on disk.",
  "tablespace_name",
);

/** `collector/info_schema_innodb_sys_tablespaces.go` */
export const innodbTablespaces: Collector = {
  name: "info_schema.innodb_tablespaces",
  since: 5.7,
  async collect({ page, query, version }) {
    const found = await query(
      `SELECT table_name FROM information_schema.tables WHERE table_schema = 'information_schema'
        AND table_name IN ('INNODB_SYS_TABLESPACES', 'INNODB_TABLESPACES')`,
    );
    const table = found.rows[0]?.[0];
    if (table === undefined || table === null) {
      throw new CollectorError("information_schema has neither INNODB_SYS_TABLESPACES nor INNODB_TABLESPACES");
    }
    const { columns, rows } = await query(`SELECT * FROM information_schema.${table}`);
    const index = new Map(columns.map((name, i) => [name.toLowerCase(), i]));
    // Upstream's query gives the name of the column in place of its value.
    const format = index.has("file_format") ? "FILE_FORMAT" : "NONE";
    const hasType = !(version.isMariaDb && isAtLeast(version, 10, 5));
    for (const row of rows) {
      const text = (name: string) => row[index.get(name) ?? -1] ?? "";
      const name = text("name");
      const type = hasType ? text("space_type") || "NONE" : "";
      page.add(spaceInfo, Number(text("space")), name, format, text("row_format") || "NONE", type);
      page.add(fileSize, Number(text("file_size")), name);
      page.add(allocatedSize, Number(text("allocated_size")), name);
    }
  },
};
