import assert from "node:assert/strict";
import { test } from "node:test";
import { createLogger, type LogRecord } from "#base/log";
import { Page } from "#kits/exporter/page";
import type { MysqlRows } from "#kits/mysql-connection";
import { DiagnosticError } from "#lang/diagnostic";
import { decodeArguments, startComponent } from "#pipeline/testing";
import { type Collector, type Scrape, versionNumber } from "./collector.ts";
import { COLLECTORS, selectCollectors } from "./collectors.ts";
import mysql from "./prometheus.exporter.mysql.ts";

const DSN = 'data_source_name = "exporter:top-secret@tcp(db:3307)/shop"';

test("the target is labelled as Alloy labels it, without the password", async () => {
  await using component = await startComponent(mysql, DSN);
  assert.equal(component.exports.targets[0]!.get("instance"), "tcp(db:3307)/shop");
  assert.equal(component.exports.targets[0]!.get("job"), "integrations/mysql");
  assert.equal(component.flow.status.state, "idle");
});

test("a bad data source name is refused without being shown", async () => {
  await assert.rejects(startComponent(mysql, 'data_source_name = "exporter:top-secret@tcp(db)"'), (error) => {
    assert.ok(error instanceof DiagnosticError);
    assert.match(error.message, /data_source_name/);
    assert.doesNotMatch(JSON.stringify(error.diagnostics.map(({ message }) => message)), /top-secret/);
    return true;
  });
});

test("without any server's name the component does not start", async () => {
  await assert.rejects(startComponent(mysql, ""), /set data_source_name, or the environment variable MYSQLD_EXPORTER/);
});

test("the collectors are those by default, set, disabled and enabled, in this order", () => {
  const records: LogRecord[] = [];
  const log = createLogger({ enabled: () => true, write: (record) => void records.push(record) });
  const selected = (config: string) =>
    selectCollectors(decodeArguments(mysql, `${DSN}\n${config}`), log)
      .map(({ name }) => name)
      .sort();
  const defaults = [
    ...["global_status", "global_variables", "info_schema.innodb_cmp", "info_schema.innodb_cmpmem"],
    ...["info_schema.query_response_time", "slave_status"],
  ];
  assert.deepEqual(selected(""), defaults);
  assert.deepEqual(selected('disable_collectors = ["slave_status"]'), defaults.slice(0, -1));
  assert.deepEqual(selected('set_collectors = ["heartbeat"]\nenable_collectors = ["mysql.user"]'), [
    "heartbeat",
    "mysql.user",
  ]);
  assert.deepEqual(
    selected('disable_collectors = ["heartbeat"]\nenable_collectors = ["heartbeat"]'),
    [...defaults, "heartbeat"].sort(),
  );
  assert.deepEqual(records, []);
  selected('set_collectors = ["heart_beat"]');
  assert.equal(records.length, 1);
  assert.equal(COLLECTORS.length, 35);
  assert.equal(new Set(COLLECTORS.map(({ name }) => name)).size, 35);
});

test("versions are compared as upstream compares them", () => {
  assert.equal(versionNumber({ isMariaDb: true, major: 10, minor: 11, patch: 6 }), 10.11);
});

/** What servers answer that Debian does not have: answers as their manuals show them. */
async function collect(
  name: string,
  answers: Readonly<Record<string, MysqlRows>>,
  config = "",
): Promise<readonly string[]> {
  const page = new Page();
  const version = { isMariaDb: false, major: 8, minor: 0, patch: 36 };
  const scrape: Scrape = {
    ...{ version, page, args: decodeArguments(mysql, `${DSN}\n${config}`) },
    query: async (sql) => {
      const found = Object.entries(answers).find(([part]) => sql.includes(part));
      if (found === undefined) throw Object.assign(new Error("syntax"), { errno: 1064, sqlMessage: "syntax" });
      return found[1];
    },
  };
  const collector: Collector = COLLECTORS.find((each) => each.name === name)!;
  await collector.collect(scrape);
  return page
    .families()
    .flatMap(({ samples }) =>
      samples.map((sample) => `${sample.name.replace(/^mysql_/, "")}{${sample.labels.join("|")}} ${sample.value}`),
    );
}
const rows = (columns: string, ...lines: readonly (readonly (string | null)[])[]): MysqlRows => ({
  columns: columns.split(" "),
  rows: lines,
  isCut: false,
});

test("MySQL 8: replicas, their workers and the members of a group", async () => {
  const time = "2026-01-02 03:04:05.250000";
  const none = "0000-00-00 00:00:00.000000";
  const workers = await collect("perf_schema.replication_applier_status_by_worker", {
    applier: rows("channel_name worker_id a b c d e f g", ["ch", "1", time, none, none, none, none, none, none]),
  });
  assert.equal(workers.length, 7);
  assert.ok(
    workers.includes(
      "perf_schema_last_applied_transaction_original_commit_timestamp_seconds{channel_name|ch|member_id|1} 1767323045.25",
    ),
  );
  const members = rows("CHANNEL_NAME MEMBER_ID MEMBER_HOST MEMBER_ROLE", ["g", "id", "db1", "PRIMARY"]);
  assert.deepEqual(await collect("perf_schema.replication_group_members", { members }), [
    "perf_schema_replication_group_member_info{channel_name|g|member_id|id|member_host|db1|member_role|PRIMARY} 1",
  ]);
  const statistics = rows("CHANNEL_NAME COUNT_TRANSACTIONS_IN_QUEUE COUNT_CONFLICTS_DETECTED", ["g", "3", "1"]);
  assert.deepEqual(await collect("perf_schema.replication_group_member_stats", { member_stats: statistics }), [
    "perf_schema_conflicts_detected_total{} 1",
    "perf_schema_transactions_in_queue{} 3",
  ]);
  const status = rows("Source_Host Source_UUID Replica_IO_Running Seconds_Behind_Source Channel_Name", [
    "db1",
    "u",
    "Connecting",
    null,
    "c",
  ]);
  assert.deepEqual(await collect("slave_status", { "SHOW REPLICA STATUS": status }), [
    "slave_status_replica_io_running{master_host|db1|master_uuid|u|channel_name|c|connection_name|} 0",
  ]);
  const uuid = "8a94f357-aab4-11df-86ab-c80aa9429573";
  const hosts = rows("Server_Id Host Port Source_Id Replica_UUID", ["2", "db2", "3306", "1", uuid]);
  assert.deepEqual(await collect("slave_hosts", { "SHOW REPLICAS": hosts }), [
    `heartbeat_mysql_slave_hosts_info{server_id|2|slave_host|db2|port|3306|master_id|1|slave_uuid|${uuid}} 1`,
  ]);
});

test("MySQL 8: quantiles of statements, and the state of InnoDB's counters in words", async () => {
  // The columns that every version has, and then times in picoseconds.
  const numbers = Array.from({ length: 12 }, (_, i) => String(i + 1));
  const statement = [
    "shop",
    "d1",
    "SELECT ?",
    ...numbers,
    "2000000000000",
    "0",
    "1000000000000",
    "3000000000000",
    "9000000000000",
  ];
  const found = await collect("perf_schema.eventsstatements", { digest: rows("x", statement) });
  const own = "schema|shop|digest|d1|digest_text|SELECT ?";
  assert.ok(found.includes(`perf_schema_events_statements_lock_time_seconds_total{${own}} 2`));
  assert.ok(found.includes(`perf_schema_events_statements_latency{${own}|quantile|95} 1`));
  assert.ok(found.includes(`perf_schema_events_statements_latency{${own}|quantile|999} 9`));
  assert.ok(found.includes(`perf_schema_events_statements_latency_count{${own}} 1`));
  const counters = rows(
    "NAME SUBSYSTEM COUNT STATUS TYPE COMMENT",
    ["buffer_page_read_index_leaf", "buffer_page_io", "5", "enabled", "counter", "x"],
    ["buffer_pool_pages_dirty", "buffer", "2", "enabled", "value", "x"],
    ["buffer_pool_pages_total", "buffer", "9", "enabled", "value", "x"],
    ["dml_reads", "dml", "-1", "enabled", "status_counter", "x"],
    ["dml_inserts", "dml", "7", "disabled", "status_counter", "x"],
  );
  assert.deepEqual(await collect("info_schema.innodb_metrics", { innodb_metrics: counters }), [
    "info_schema_innodb_metrics_buffer_page_read_total{type|index_leaf} 5",
    "info_schema_innodb_metrics_buffer_pool_dirty_pages{} 2",
    "info_schema_innodb_metrics_dml_dml_reads{} -1",
  ]);
});

test("Galera, TokuDB, Aurora and Percona Server", async () => {
  const status = rows(
    "Variable_name Value",
    ["wsrep_local_state_uuid", "u1"],
    ["wsrep_cluster_state_uuid", "u2"],
    ["wsrep_evs_repl_latency", "0.1/0.2/0.3/0.4/5"],
    ["wsrep_cluster_status", "Primary"],
  );
  const galera = await collect("global_status", { STATUS: status });
  assert.ok(
    galera.includes(
      "galera_status_info{wsrep_local_state_uuid|u1|wsrep_cluster_state_uuid|u2|wsrep_provider_version|} 1",
    ),
  );
  assert.ok(galera.includes("galera_evs_repl_latency_sample_size{} 5"));
  assert.ok(galera.includes("global_status_wsrep_cluster_status{} 1"));
  const variables = rows(
    "Variable_name Value",
    ["wsrep_cluster_name", "c"],
    ["wsrep_provider_options", "a = 1; gcache.size = 128M; b"],
  );
  const named = await collect("global_variables", { VARIABLES: variables });
  assert.ok(named.includes("galera_gcache_size_bytes{} 134217728"));
  assert.ok(named.includes("galera_variables_info{wsrep_cluster_name|c} 1"));
  const toku = rows(
    "Type Name Status",
    ["TokuDB", "cachetable: evictions (in +)", "3"],
    ["TokuDB", "db opens", "text"],
  );
  assert.deepEqual(await collect("engine_tokudb_status", { TOKUDB: toku }), [
    "engine_tokudb_cachetable_evictions_in_and{} 3",
  ]);
  const host = rows(
    "server_id session_id cpu master_slave_latency_in_microseconds replica_lag_in_milliseconds log_stream_speed_in_kib_per_second current_replay_latency_in_microseconds role",
    ["a1", "MASTER_SESSION_ID", "5.5", "2000000", "20", "3", "500000", "writer"],
  );
  assert.deepEqual(await collect("info_schema.replica_host", { replica_host_status: host }), [
    "info_schema_replica_host_cpu_percent{server_id|a1|role|writer} 5.5",
    "info_schema_replica_host_lag_seconds{server_id|a1|role|writer} 0.02",
    "info_schema_replica_host_log_stream_speed{server_id|a1|role|writer} 3",
    "info_schema_replica_host_replay_latency_seconds{server_id|a1|role|writer} 0.5",
    "info_schema_replica_host_replica_latency_seconds{server_id|a1|role|writer} 2",
  ]);
  const times = rows(
    "TIME COUNT TOTAL",
    ["  0.000001", "2", " 0.5"],
    ["1000000.0", "1", "0.25"],
    ["TOO LONG", "1", "TOO LONG"],
  );
  const response = await collect("info_schema.query_response_time", {
    query_response_time_stats: rows("Variable_name Value", ["query_response_time_stats", "ON"]),
    RESPONSE_TIME_WRITE: times,
  }).catch(String);
  assert.match(String(response), /syntax/); // the whole must be there
  const percona = await collect("info_schema.query_response_time", {
    query_response_time_stats: rows("Variable_name Value", ["query_response_time_stats", "ON"]),
    QUERY_RESPONSE_TIME: times,
  });
  assert.deepEqual(percona.slice(0, 5), [
    "info_schema_query_response_time_seconds_bucket{le|1e-06} 2",
    "info_schema_query_response_time_seconds_bucket{le|1e+06} 3",
    "info_schema_query_response_time_seconds_bucket{le|+Inf} 4",
    "info_schema_query_response_time_seconds_sum{} 0.75",
    "info_schema_query_response_time_seconds_count{} 4",
  ]);
  assert.equal(percona.length, 15);
});
