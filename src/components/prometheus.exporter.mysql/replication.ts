import { parseGoFloat } from "#formats/go-number";
import { counter, gauge, type Metric, untyped } from "#kits/exporter/page";
import type { MysqlRows } from "#kits/mysql-connection";
import { type Collector, CollectorError, type Scrape } from "./collector.ts";
import { parseStatusValue } from "./status-value.ts";

/** Collectors of replication. Each matches the file of mysqld_exporter that it names. */

const STATUS_LABELS = ["master_host", "master_uuid", "channel_name", "connection_name"];

/** The first of some statements that the server understands. Rejects with the error of the last. */
async function firstAnswer({ query }: Scrape, statements: readonly string[]): Promise<MysqlRows> {
  for (const sql of statements.slice(0, -1)) {
    try {
      return await query(sql);
    } catch (error) {
      if (!isSyntaxError(error)) throw error;
    }
  }
  return query(statements.at(-1)!);
}

/** The server does not know the statement, as one of another kind or version. */
function isSyntaxError(error: unknown): boolean {
  const { errno } = error as { readonly errno?: number };
  return errno === 1064 || errno === 1149 || errno === 1235;
}

/** `collector/slave_status.go`; the second word keeps the statement from waiting for a replica that stops. */
export const slaveStatus: Collector = {
  name: "slave_status",
  isDefault: true,
  since: 5.1,
  async collect(scrape) {
    const { columns, rows } = await firstAnswer(scrape, [
      "SHOW ALL SLAVES STATUS",
      ...["SHOW SLAVE STATUS NONBLOCKING", "SHOW SLAVE STATUS NOLOCK", "SHOW SLAVE STATUS", "SHOW REPLICA STATUS"],
    ]);
    const { page } = scrape;
    for (const row of rows) {
      const text = (name: string) => row[columns.indexOf(name)] ?? "";
      const labels = [
        ...[text("Master_Host") || text("Source_Host"), text("Master_UUID") || text("Source_UUID")],
        ...[text("Channel_Name"), text("Connection_name")],
      ];
      for (const [i, column] of columns.entries()) {
        const value = parseStatusValue(row[i] ?? "");
        if (value === undefined) continue;
        const name = `mysql_slave_status_${column.toLowerCase()}`;
        page.add(untyped(name, "Generic metric from SHOW SLAVE STATUS.", ...STATUS_LABELS), value, ...labels);
      }
      for (const column of ["Gtid_IO_Pos", "Gtid_Slave_Pos"]) addGtids(scrape, column, text(column), labels);
    }
  },
};

/** Positions of MariaDB, such as `0-1-42,1-2-7`: domain, server and number. */
function addGtids({ page }: Scrape, column: string, text: string, labels: readonly string[]): void {
  const name = `mysql_slave_status_${column.toLowerCase()}`;
  const names = [...STATUS_LABELS, "domain_id", "server_id"];
  const metric = gauge(name, `${column} metric from SHOW SLAVE STATUS.`, ...names);
  for (const [, domain, server, number] of text.matchAll(/(?:^|,)([^-,]*)-([^-,]*)-(\d+)(?=,|$)/g)) {
    page.add(metric, Number(number), ...labels, domain!, server!);
  }
}

const slaveHostsInfo = gauge(
  "mysql_heartbeat_mysql_slave_hosts_info",
  "Information about running slaves",
  "server_id",
  "slave_host",
  "port",
  "master_id",
  "slave_uuid",
);

/**
 * `collector/slave_hosts.go`. MySQL has Server_id, Host, Port, Master_id and Slave_UUID; before 5.6
 * Rpl_recovery_rank came before the Master_id, which was the last; MariaDB has no fifth column.
 */
export const slaveHosts: Collector = {
  name: "slave_hosts",
  since: 5.1,
  async collect(scrape) {
    const { rows } = await firstAnswer(scrape, ["SHOW SLAVE HOSTS", "SHOW REPLICAS"]);
    for (const row of rows) {
      const [id, host, port, fourth, fifth] = row.map((value) => value ?? "");
      const isUuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(fifth ?? "");
      const master = fifth === undefined || isUuid ? fourth : fifth;
      scrape.page.add(slaveHostsInfo, 1, id!, host!, port!, master!, isUuid ? fifth! : "");
    }
  },
};

const binlogSize = gauge("mysql_binlog_size_bytes", "Combined size of all registered binlog files.");
const binlogFiles = gauge("mysql_binlog_files", "Number of registered binlog files.");
const binlogNumber = gauge("mysql_binlog_file_number", "The last binlog file number.");

/** `collector/binlog.go` */
export const binlogSizes: Collector = {
  name: "binlog_size",
  since: 5.1,
  async collect({ page, query }) {
    const enabled = await query("SELECT @@log_bin");
    if (enabled.rows[0]?.[0] !== "1") return; // SHOW BINARY LOGS would be an error
    const { rows } = await query("SHOW BINARY LOGS");
    let bytes = 0;
    for (const [, size] of rows) bytes += Number(size);
    page.add(binlogSize, bytes);
    page.add(binlogFiles, rows.length);
    page.add(binlogNumber, parseGoFloat(rows.at(-1)?.[0]?.split(".")[1] ?? "") ?? 0);
  },
};

/** Times of what a worker applies: the column and the help of the metric. */
const WORKER_TIMES: readonly (readonly [column: string, help: string])[] = [
  [
    "last_applied_transaction_original_commit_timestamp",
    "A timestamp shows when the last transaction applied by this worker was committed on the original master.",
  ],
  [
    "last_applied_transaction_immediate_commit_timestamp",
    "A timestamp shows when the last transaction applied by this worker was committed on the immediate master.",
  ],
  [
    "last_applied_transaction_start_apply_timestamp",
    "A timestamp shows when this worker started applying the last applied transaction.",
  ],
  [
    "last_applied_transaction_end_apply_timestamp",
    "A shows when this worker finished applying the last applied transaction.",
  ],
  [
    "applying_transaction_original_commit_timestamp",
    "A timestamp that shows when the transaction this worker is currently applying was committed on the original master.",
  ],
  [
    "applying_transaction_immediate_commit_timestamp",
    "A timestamp shows when the transaction this worker is currently applying was committed on the immediate master.",
  ],
  [
    "applying_transaction_start_apply_timestamp",
    "A timestamp shows when this worker started its first attempt to apply the transaction that is currently being applied.",
  ],
];

/** `collector/perf_schema_replication_applier_status_by_worker.go`; MySQL 8 only. */
export const applierStatus: Collector = {
  name: "perf_schema.replication_applier_status_by_worker",
  since: 8.0,
  async collect({ page, query }) {
    const columns = WORKER_TIMES.map(([column]) => column).join();
    const { rows } = await query(
      `SELECT channel_name, worker_id, ${columns} FROM performance_schema.replication_applier_status_by_worker`,
    );
    const metrics = WORKER_TIMES.map(([column, help]) =>
      gauge(`mysql_perf_schema_${column}_seconds`, help, "channel_name", "member_id"),
    );
    for (const [channel, worker, ...times] of rows) {
      for (const [i, metric] of metrics.entries()) page.add(metric, unixSeconds(times[i]), channel ?? "", worker ?? "");
    }
  },
};

/** `2026-01-02 03:04:05.678901` as UTC; 0 for the time that is none. */
function unixSeconds(text: string | null | undefined): number {
  const [, date, time, fraction = "0"] = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?$/.exec(text ?? "") ?? [];
  const ms = Date.parse(`${date}T${time}Z`);
  return Number.isNaN(ms) ? 0 : ms / 1000 + Number(`0.${fraction}`);
}

/** Columns of replication_group_member_stats; MySQL 5.7 has half of them. */
const MEMBER_STATISTICS: ReadonlyMap<string, Metric> = new Map([
  [
    "COUNT_TRANSACTIONS_IN_QUEUE",
    gauge(
      "mysql_perf_schema_transactions_in_queue",
      "The number of transactions in the queue pending conflict detection checks.",
    ),
  ],
  [
    "COUNT_TRANSACTIONS_CHECKED",
    counter(
      "mysql_perf_schema_transactions_checked_total",
      "The number of transactions that have been checked for conflicts.",
    ),
  ],
  [
    "COUNT_CONFLICTS_DETECTED",
    counter(
      "mysql_perf_schema_conflicts_detected_total",
      "The number of transactions that have not passed the conflict detection check.",
    ),
  ],
  [
    "COUNT_TRANSACTIONS_ROWS_VALIDATING",
    counter(
      "mysql_perf_schema_transactions_rows_validating_total",
      "Number of transaction rows which can be used for certification, but have not been garbage collected.",
    ),
  ],
  [
    "COUNT_TRANSACTIONS_REMOTE_IN_APPLIER_QUEUE",
    gauge(
      "mysql_perf_schema_transactions_remote_in_applier_queue",
      "The number of transactions that this member has received from the replication group which are waiting to be applied.",
    ),
  ],
  [
    "COUNT_TRANSACTIONS_REMOTE_APPLIED",
    counter(
      "mysql_perf_schema_transactions_remote_applied_total",
      "Number of transactions this member has received from the group and applied.",
    ),
  ],
  [
    "COUNT_TRANSACTIONS_LOCAL_PROPOSED",
    counter(
      "mysql_perf_schema_transactions_local_proposed_total",
      "Number of transactions which originated on this member and were sent to the group.",
    ),
  ],
  [
    "COUNT_TRANSACTIONS_LOCAL_ROLLBACK",
    counter(
      "mysql_perf_schema_transactions_local_rollback_total",
      "Number of transactions which originated on this member and were rolled back by the group.",
    ),
  ],
]);

/** `collector/perf_schema_replication_group_member_stats.go` */
export const groupMemberStatistics: Collector = {
  name: "perf_schema.replication_group_member_stats",
  since: 5.7,
  async collect({ page, query }) {
    const { columns, rows } = await query(
      "SELECT * FROM performance_schema.replication_group_member_stats WHERE member_id = @@server_uuid",
    );
    for (const row of rows) {
      for (const [i, column] of columns.entries()) {
        const metric = MEMBER_STATISTICS.get(column);
        if (metric === undefined) continue;
        const value = parseGoFloat(row[i] ?? "");
        if (value === undefined) throw new CollectorError(`the column ${column} is no number: ${row[i]}`);
        page.add(metric, value);
      }
    }
  },
};

/** `collector/perf_schema_replication_group_members.go`: every column is a label. */
export const groupMembers: Collector = {
  name: "perf_schema.replication_group_members",
  since: 5.7,
  async collect({ page, query }) {
    const { columns, rows } = await query("SELECT * FROM performance_schema.replication_group_members");
    const metric = gauge(
      "mysql_perf_schema_replication_group_member_info",
      "Information about the replication group member: channel_name, member_id, member_host, member_port, member_state. (member_role and member_version where available)",
      ...columns.map((column) => column.toLowerCase()),
    );
    for (const row of rows) page.add(metric, 1, ...row.map((value) => value ?? ""));
  },
};
