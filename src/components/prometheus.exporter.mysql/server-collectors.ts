import { formatFloat } from "#base/metrics";
import { parseGoFloat } from "#formats/go-number";
import { gauge } from "#kits/exporter/page";
import { type Collector, CollectorError } from "./collector.ts";

/** Further collectors that are more than a table. Each matches the file of mysqld_exporter that it names. */

const tableVersion = gauge(
  "mysql_info_schema_table_version",
  "The version number of the table's .frm file",
  "schema",
  "table",
  "type",
  "engine",
  "row_format",
  "create_options",
);
const tableRows = gauge(
  "mysql_info_schema_table_rows",
  "The estimated number of rows in the table from information_schema.tables",
  "schema",
  "table",
);
const tableSize = gauge(
  "mysql_info_schema_table_size",
  "The size of the table components from information_schema.tables",
  "schema",
  "table",
  "component",
);

/** `collector/info_schema_tables.go` */
export const tables: Collector = {
  name: "info_schema.tables",
  since: 5.1,
  async collect({ page, query, args }) {
    const { databases } = args["info_schema.tables"];
    const isAll = databases === "*";
    const listed = isAll ? ["mysql", "performance_schema", "information_schema", "sys"] : databases.split(",");
    const { rows } = await query(
      `SELECT table_schema, table_name, table_type, IFNULL(engine, 'NONE'), IFNULL(row_format, 'NONE'),
          IFNULL(create_options, 'NONE'), version, table_rows, data_length, index_length, data_free
        FROM information_schema.tables WHERE table_schema ${isAll ? "NOT" : ""} IN (${listed.map(() => "?").join()})`,
      listed,
    );
    for (const row of rows) {
      const [schema, table, ...more] = row.slice(0, 6).map((value) => value ?? "");
      const [version, count, data, index, free] = row.slice(6).map((value) => parseGoFloat(value ?? "") ?? 0);
      const [type, engine, format, options] = more;
      page.add(tableVersion, version!, schema!, table!, type!, engine!, format!, options!);
      page.add(tableRows, count!, schema!, table!);
      page.add(tableSize, data!, schema!, table!, "data_length");
      page.add(tableSize, index!, schema!, table!, "index_length");
      page.add(tableSize, free!, schema!, table!, "data_free");
    }
  },
};

const threads = gauge(
  "mysql_info_schema_processlist_threads",
  "The number of threads split by current state.",
  "command",
  "state",
);
const threadSeconds = gauge(
  "mysql_info_schema_processlist_seconds",
  "The number of seconds threads have used split by current state.",
  "command",
  "state",
);
const byUser = gauge(
  "mysql_info_schema_processlist_processes_by_user",
  "The number of processes by user.",
  "mysql_user",
);
const byHost = gauge(
  "mysql_info_schema_processlist_processes_by_host",
  "The number of processes by host.",
  "client_host",
);

/** `collector/info_schema_processlist.go` */
export const processlist: Collector = {
  name: "info_schema.processlist",
  since: 5.1,
  async collect({ page, query, args }) {
    const { min_time, processes_by_user, processes_by_host } = args["info_schema.processlist"];
    const { rows } = await query(
      `SELECT user, SUBSTRING_INDEX(host, ':', 1) AS host, command, state, COUNT(*), SUM(time)
        FROM information_schema.processlist WHERE id != CONNECTION_ID() AND time >= ?
        GROUP BY user, host, command, state`,
      [min_time],
    );
    const states = new Map<string, { labels: readonly string[]; count: number; seconds: number }>();
    const users = new Map<string, number>();
    const hosts = new Map<string, number>();
    const add = (to: Map<string, number>, key: string, count: number) => void to.set(key, (to.get(key) ?? 0) + count);
    for (const [user, host, command, state, countText, secondsText] of rows) {
      const count = Number(countText);
      const labels = [sanitize(command ?? ""), sanitize(state ?? "")];
      const key = labels.join("/");
      let sum = states.get(key);
      if (sum === undefined) states.set(key, (sum = { labels, count: 0, seconds: 0 }));
      sum.count += count;
      sum.seconds += Number(secondsText ?? 0);
      add(users, user ?? "", count);
      add(hosts, host || "unknown", count);
    }
    for (const { labels, count, seconds } of states.values()) {
      page.add(threads, count, ...labels);
      page.add(threadSeconds, seconds, ...labels);
    }
    if (processes_by_host) for (const [host, count] of hosts) page.add(byHost, count, host);
    if (processes_by_user) for (const [user, count] of users) page.add(byUser, count, user);
  },
};

function sanitize(state: string): string {
  const word = state === "" ? "unknown" : state.toLowerCase();
  return word.replace(/[;,:.()]/g, "").replace(/[ -]/g, "_");
}

/** The whole, and what Percona Server 5.6 and 5.7 have beside it. */
const RESPONSE_TIMES: readonly (readonly [table: string, metric: string, help: string])[] = [
  ["", "", "The number of all queries by duration they took to execute."],
  ["_READ", "read_", "The number of read queries by duration they took to execute."],
  ["_WRITE", "write_", "The number of write queries by duration they took to execute."],
];

/** `collector/info_schema_query_response_time.go` */
export const queryResponseTime: Collector = {
  name: "info_schema.query_response_time",
  isDefault: true,
  since: 5.5,
  async collect({ page, query }) {
    const enabled = await query("SHOW GLOBAL VARIABLES LIKE 'query_response_time_stats'");
    if (enabled.rows[0]?.[1] !== "ON") return;
    for (const [table, prefix, help] of RESPONSE_TIMES) {
      // Upper case: the server gives the whole for the parts otherwise.
      const answer = query(`SELECT TIME, COUNT, TOTAL FROM INFORMATION_SCHEMA.QUERY_RESPONSE_TIME${table}`);
      // Most servers have only the whole.
      const found = table === "" ? await answer : await answer.catch(() => undefined);
      if (found === undefined) continue;
      const name = `mysql_info_schema_${prefix}query_response_time_seconds`;
      const metric = { name, help, type: "histogram" } as const;
      let count = 0;
      let sum = 0;
      for (const [bound, queries, total] of found.rows) {
        count += Number(queries);
        sum += parseGoFloat((total ?? "").trim()) ?? 0;
        const limit = parseGoFloat((bound ?? "").trim());
        // "TOO LONG" is in the sum alone.
        if (limit === undefined || limit === 0) continue;
        page.addSample(metric, {
          name: `${name}_bucket`,
          labels: ["le", formatFloat(limit)],
          value: count,
        });
      }
      page.addSample(metric, { name: `${name}_bucket`, labels: ["le", "+Inf"], value: count });
      page.addSample(metric, { name: `${name}_sum`, labels: [], value: sum });
      page.addSample(metric, { name: `${name}_count`, labels: [], value: count });
    }
  },
};

const heartbeatStored = gauge(
  "mysql_heartbeat_stored_timestamp_seconds",
  "Timestamp stored in the heartbeat table.",
  "server_id",
);
const heartbeatNow = gauge("mysql_heartbeat_now_timestamp_seconds", "Timestamp of the current server.", "server_id");

/** `collector/heartbeat.go` */
export const heartbeat: Collector = {
  name: "heartbeat",
  since: 5.1,
  async collect({ page, query, args }) {
    const { database, table, utc } = args.heartbeat;
    const name = [database, table].map((part) => `\`${part.replaceAll("`", "``")}\``).join(".");
    const now = utc ? "UTC_TIMESTAMP(6)" : "NOW(6)";
    const { rows } = await query(`SELECT UNIX_TIMESTAMP(ts), UNIX_TIMESTAMP(${now}), server_id FROM ${name}`);
    for (const [stored, current, server] of rows) {
      const times = [current, stored].map((time) => parseGoFloat(time ?? ""));
      if (times.includes(undefined)) throw new CollectorError(`the heartbeat of server ${server} is no time`);
      page.add(heartbeatNow, times[0]!, server ?? "");
      page.add(heartbeatStored, times[1]!, server ?? "");
    }
  },
};

const USER_LABELS = ["mysql_user", "hostmask"];
const USER_LIMITS = ["max_questions", "max_updates", "max_connections", "max_user_connections"];
const PRIVILEGES = [
  ...["Select", "Insert", "Update", "Delete", "Create", "Drop", "Reload", "Shutdown", "Process", "File", "Grant"],
  ...["References", "Index", "Alter", "Show_db", "Super", "Create_tmp_table", "Lock_tables", "Execute", "Repl_slave"],
  ...["Repl_client", "Create_view", "Show_view", "Create_routine", "Alter_routine", "Create_user", "Event", "Trigger"],
  "Create_tablespace",
].map((name) => `${name}_priv`);

/** `collector/mysql_user.go` */
export const users: Collector = {
  name: "mysql.user",
  since: 5.1,
  async collect({ page, query, args }) {
    const privileges = args["mysql.user"].privileges ? PRIVILEGES : [];
    const { rows } = await query(`SELECT user, host, ${[...USER_LIMITS, ...privileges].join()} FROM mysql.user`);
    const limits = USER_LIMITS.map((name) =>
      gauge(`mysql_mysql_${name}`, `The number of ${name} by user.`, ...USER_LABELS),
    );
    const flags = privileges.map((name) =>
      gauge(`mysql_mysql_${name.toLowerCase()}`, `${name} by user.`, ...USER_LABELS),
    );
    for (const [user, host, ...values] of rows) {
      for (const [i, metric] of limits.entries()) page.add(metric, Number(values[i]), user ?? "", host ?? "");
      for (const [i, metric] of flags.entries()) {
        const flag = values[limits.length + i];
        if (flag === "Y" || flag === "N") page.add(metric, flag === "Y" ? 1 : 0, user ?? "", host ?? "");
      }
    }
  },
};
