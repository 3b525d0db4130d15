import assert from "node:assert/strict";
import { test } from "node:test";
import { addClusterInfo, addField, addInfo } from "./info.ts";
import { RedisPage } from "./redis-page.ts";

function lines(add: (page: RedisPage) => void): string[] {
  const page = new RedisPage("r");
  add(page);
  return page
    .families()
    .flatMap(({ type, samples }) =>
      samples.map(({ name, labels, value }) => `${type} ${name}{${labels.join("|")}} ${value}`),
    );
}
const info = (text: string, inclSystemMetrics = false) =>
  lines((page) => addInfo(page, text, { inclSystemMetrics, now: 1_000.7 })).filter(
    (line) => !line.includes("instance_info"),
  );

test("a replica, its masters and old fields", () => {
  const text = `# Replication\r
role:slave\r
master_host:10.0.0.1\r
master_port:6379\r
master_link_status:down\r
master_last_io_seconds_ago:-1\r
master_sync_in_progress:0\r
slave_repl_offset:555\r
master_1_host:10.0.0.2\r
master_1_port:6380\r
master_1_link_status:up\r
slave_read_only:1\r
`;
  assert.deepEqual(info(text), [
    "gauge r_master_last_io_seconds_ago{master_host|10.0.0.1|master_port|6379} -1",
    "gauge r_master_link_up{master_host|10.0.0.1|master_port|6379} 0",
    "gauge r_master_link_up{master_host|10.0.0.2|master_port|6380} 1",
    "gauge r_master_sync_in_progress{master_host|10.0.0.1|master_port|6379} 0",
    "gauge r_slave_info{master_host|10.0.0.1|master_port|6379|read_only|1} 1",
    "gauge r_slave_repl_offset{master_host|10.0.0.1|master_port|6379} 555",
  ]);
});

test("replicas of a master, with a lag where the version has it", () => {
  const text = `# Replication
connected_slaves:2
slave0:ip=10.0.0.2,port=6379,state=online,offset=100,lag=1
slave1:ip=10.0.0.3,port=6380,state=wait_bgsave,offset=0
slave2:broken
`;
  assert.deepEqual(info(text), [
    "gauge r_connected_slave_lag_seconds{slave_ip|10.0.0.2|slave_port|6379|slave_state|online} 1",
    "gauge r_connected_slave_offset_bytes{slave_ip|10.0.0.2|slave_port|6379|slave_state|online} 100",
    "gauge r_connected_slave_offset_bytes{slave_ip|10.0.0.3|slave_port|6380|slave_state|wait_bgsave} 0",
    "gauge r_connected_slaves{} 2",
  ]);
});

test("commands of old and new versions, their quantiles, and errors", () => {
  const text = `# Commandstats
cmdstat_get:calls=21,usec=1000000,usec_per_call=8.33
cmdstat_set:calls=2,usec=500000,usec_per_call=8.33,rejected_calls=1,failed_calls=3
cmdstat_odd:calls=x,usec=1,usec_per_call=1
# Errorstats
errorstat_NOAUTH:count=3
# Latencystats
latency_percentiles_usec_set:p99.9=4.015,p50=0.001
latency_percentiles_usec_del:p50=0.001
`;
  assert.deepEqual(info(text), [
    "counter r_commands_duration_seconds_total{cmd|get} 1",
    "counter r_commands_duration_seconds_total{cmd|set} 0.5",
    "counter r_commands_failed_calls_total{cmd|set} 3",
    "counter r_commands_rejected_calls_total{cmd|set} 1",
    "counter r_commands_total{cmd|get} 21",
    "counter r_commands_total{cmd|set} 2",
    "counter r_errors_total{err|NOAUTH} 3",
    "summary r_latency_percentiles_usec{cmd|set|quantile|50} 0.001",
    "summary r_latency_percentiles_usec{cmd|set|quantile|99.9} 4.015",
    "summary r_latency_percentiles_usec_sum{cmd|set} 500000",
    "summary r_latency_percentiles_usec_count{cmd|set} 2",
  ]);
});

test("databases, and fields by what they are", () => {
  const text = `# Keyspace
db0:keys=4,expires=2,avg_ttl=1500
db1:keys=1,expires=0,avg_ttl=0,cached_keys=7
# Memory
total_system_memory:1024
latest_fork_usec:500000
used_memory:10
used_memory:11
aof_last_write_status:ok
rdb_last_bgsave_status:err
expired_keys:5
maxmemory_policy:noeviction
# Server
uptime_in_seconds:100
hz:10
`;
  const expected = [
    "gauge r_aof_last_write_status{} 1",
    "gauge r_db_avg_ttl_seconds{db|db0} 1.5",
    "gauge r_db_avg_ttl_seconds{db|db1} 0",
    "gauge r_db_keys{db|db0} 4",
    "gauge r_db_keys{db|db1} 1",
    "gauge r_db_keys_cached{db|db1} 7",
    "gauge r_db_keys_expiring{db|db0} 2",
    "gauge r_db_keys_expiring{db|db1} 0",
    "counter r_expired_keys_total{} 5",
    "gauge r_hz{} 10",
    "gauge r_latest_fork_seconds{} 0.5",
    "gauge r_memory_used_bytes{} 10",
    "gauge r_rdb_last_bgsave_status{} 0",
    "gauge r_start_time_seconds{} 900",
    "gauge r_uptime_in_seconds{} 100",
  ];
  assert.deepEqual(info(text), expected);
  assert.ok(info(text, true).includes("gauge r_total_system_memory_bytes{} 1024"));
});

test("Valkey names itself", () => {
  const [line] = lines((page) =>
    addInfo(page, "role:master\nredis_version:7.2.4\nvalkey_version:8.0.1\n", { inclSystemMetrics: false, now: 0 }),
  );
  assert.match(line!, /^gauge r_instance_info\{role\|master\|redis_version\|7\.2\.4\|.*\|valkey_version\|8\.0\.1\} 1$/);
});

test("Sentinel's masters", () => {
  const text = `# Sentinel
sentinel_masters:1
sentinel_tilt:0
master0:name=main,status=sdown,address=10.0.0.1:6379,slaves=1,sentinels=3
`;
  assert.deepEqual(info(text), [
    "gauge r_sentinel_master_sentinels{master_name|main|master_address|10.0.0.1:6379} 3",
    "gauge r_sentinel_master_slaves{master_name|main|master_address|10.0.0.1:6379} 1",
    "gauge r_sentinel_master_status{master_name|main|master_address|10.0.0.1:6379|master_status|sdown} 0",
    "gauge r_sentinel_masters{} 1",
    "gauge r_sentinel_tilt{} 0",
  ]);
});

test("a cluster's fields, and Tile38's", () => {
  assert.deepEqual(
    lines((page) => {
      addClusterInfo(page, "cluster_enabled:1\r\ncluster_state:fail\r\ncluster_stats_messages_sent:9\r\nodd:1:2\r\n");
      addField(page, "tile38_aof_size", "12");
      addField(page, "tile38_unknown", "12");
    }),
    [
      "gauge r_cluster_enabled{} 1",
      "gauge r_cluster_messages_sent_total{} 9",
      "gauge r_cluster_state{} 0",
      "gauge r_tile38_aof_size_bytes{} 12",
    ],
  );
});
