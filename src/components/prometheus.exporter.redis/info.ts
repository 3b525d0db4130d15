import { parseGoFloat } from "#formats/go-number";
import { COUNTERS, GAUGES } from "./fields.ts";
import type { RedisPage } from "./redis-page.ts";
import { addSentinelField } from "./sentinel.ts";

const MASTER_HOST = /^master(?:_[0-9]+)?_host/;
const MASTER_PORT = /^master(?:_[0-9]+)?_port/;
const MASTER_LINK_STATUS = /^master(?:_[0-9]+)?_link_status/;
const OF_MASTER = /^(?:master(?:_[0-9]+)?_(last_io_seconds_ago|sync_in_progress)|(slave_repl_offset))/;

/** Labels of `instance_info`, as INFO calls them; the last two only where the server is Valkey. */
const INSTANCE_LABELS = [
  ...["role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id"],
  ...["process_id", "master_replid"],
];
const VALKEY_LABELS = ["valkey_version", "valkey_release_stage"];

const VALUES: ReadonlyMap<string, number> = new Map([
  ["ok", 1],
  ["true", 1],
  ["err", 0],
  ["fail", 0],
  ["false", 0],
]);

/** What the parts of INFO say about commands, put together at its end. */
interface CommandLatencies {
  readonly counts: Map<string, readonly [calls: number, usec: number]>;
  readonly quantiles: Map<string, readonly (readonly [number, number])[]>;
}

/**
 * Adds what INFO says. Matches redis_exporter's `exporter/info.go`; `now` is Unix time in seconds.
 */
export function addInfo(page: RedisPage, info: string, options: { inclSystemMetrics: boolean; now: number }): void {
  const values = new Map<string, string>();
  const latencies: CommandLatencies = { counts: new Map(), quantiles: new Map() };
  let section = "";
  let masterHost = "";
  let masterPort = "";
  for (const each of info.split("\n")) {
    const line = each.trim();
    if (line.startsWith("# ")) {
      section = line.slice(2);
      continue;
    }
    const colon = line.indexOf(":");
    if (line.length < 2 || colon < 0) continue;
    const key = line.slice(0, colon);
    const value = line.slice(colon + 1);
    values.set(key, value);
    if (MASTER_HOST.test(key)) masterHost = value;
    if (MASTER_PORT.test(key)) masterPort = value;
    switch (section) {
      case "Replication":
        if (addReplication(page, key, value, [masterHost, masterPort])) continue;
        break;
      case "Server":
        addServer(page, key, value, options.now);
        break;
      case "Commandstats":
        addCommand(page, key, value, latencies);
        continue;
      case "Latencystats":
        readQuantiles(key, value, latencies);
        continue;
      case "Errorstats": {
        const count = pairValue(value);
        if (key.startsWith("errorstat_") && count !== undefined) {
          page.counter("errors_total", count, key.slice("errorstat_".length));
        }
        continue;
      }
      case "Keyspace":
        if (addDatabase(page, key, value)) continue;
        break;
      case "Sentinel":
        addSentinelField(page, key, value);
    }
    if (key === "total_system_memory" && options.inclSystemMetrics) {
      addValue(page, "total_system_memory_bytes", value);
    } else addField(page, key, value);
  }
  for (const [command, quantiles] of latencies.quantiles) {
    const count = latencies.counts.get(command);
    if (count !== undefined) page.summary("latency_percentiles_usec", ...count, quantiles, command);
  }
  const names = [...INSTANCE_LABELS, ...VALKEY_LABELS.filter((name) => values.has(name))];
  const labels = names.flatMap((name) => [name, values.get(name) ?? ""]);
  page.labelled("instance_info", 1, labels);
  if (values.get("role") === "slave") {
    const of = (name: string) => values.get(name) ?? "";
    page.gauge("slave_info", 1, of("master_host"), of("master_port"), of("slave_read_only"));
  }
}

/** Adds what CLUSTER INFO says. */
export function addClusterInfo(page: RedisPage, info: string): void {
  for (const line of info.split("\r\n")) {
    const [key, value, more] = line.split(":");
    if (key !== undefined && value !== undefined && more === undefined) addField(page, key, value);
  }
}

/** A field that is a metric by the tables or by the beginning of its name; others are left out. */
export function addField(page: RedisPage, key: string, value: string): void {
  const counter = GAUGES.has(key) ? undefined : COUNTERS.get(key);
  const gauge =
    GAUGES.get(key) ?? (/^(?:db|cmdstat_|cluster_)/.test(key) ? key.replace(/[^a-zA-Z0-9_]/g, "_") : undefined);
  const name = counter ?? gauge;
  if (name === undefined) return;
  const number = numberOf(value);
  if (number === undefined) return;
  if (counter !== undefined) page.counter(name, number);
  else if (name === "latest_fork_usec") page.gauge("latest_fork_seconds", number / 1e6);
  else page.gauge(name, number);
}

function addValue(page: RedisPage, name: string, value: string): void {
  const number = numberOf(value);
  if (number !== undefined) page.gauge(name, number);
}

function numberOf(value: string): number | undefined {
  return VALUES.get(value) ?? parseGoFloat(value);
}

/** The number after the one `=` of `key=1`. */
function pairValue(pair: string | undefined): number | undefined {
  const parts = pair?.split("=");
  return parts?.length === 2 ? parseGoFloat(parts[1]!) : undefined;
}

function addReplication(page: RedisPage, key: string, value: string, master: [host: string, port: string]): boolean {
  if (MASTER_LINK_STATUS.test(key)) {
    page.gauge("master_link_up", value === "up" ? 1 : 0, ...master);
    return true;
  }
  const ofMaster = OF_MASTER.exec(key);
  if (ofMaster !== null) {
    const [, name, offset] = ofMaster;
    page.gauge(
      name === undefined ? offset! : `master_${name}`,
      /^[+-]?\d+$/.test(value) ? Number(value) : 0,
      ...master,
    );
    return true;
  }
  return /^slave\d+/.test(key) && addReplica(page, value);
}

/** `ip=10.254.11.1,port=6379,state=online,offset=1751844676,lag=0`; before Redis 3 there is no lag. */
function addReplica(page: RedisPage, text: string): boolean {
  const pairs = text.split(",").map((pair) => pair.split("="));
  if (pairs.some((pair) => pair.length !== 2)) return false;
  const values = new Map(pairs as [string, string][]);
  const offset = parseGoFloat(values.get("offset") ?? "");
  const lagText = values.get("lag");
  const lag = lagText === undefined ? undefined : parseGoFloat(lagText);
  if (offset === undefined || (lagText !== undefined && lag === undefined)) return false;
  const labels = ["ip", "port", "state"].map((name) => values.get(name) ?? "");
  page.gauge("connected_slave_offset_bytes", offset, ...labels);
  if (lag !== undefined && lag > -1) page.gauge("connected_slave_lag_seconds", lag, ...labels);
  return true;
}

function addServer(page: RedisPage, key: string, value: string, now: number): void {
  const number = parseGoFloat(value);
  if (number === undefined) return;
  if (key === "uptime_in_seconds") page.gauge("start_time_seconds", Math.floor(now) - number);
  else if (key === "configured_hz" || key === "hz") page.gauge(key, number);
}

/** `calls=21,usec=175,usec_per_call=8.33,rejected_calls=0,failed_calls=0`; the last two are there from Redis 6.2 on. */
function addCommand(page: RedisPage, key: string, text: string, latencies: CommandLatencies): void {
  const parts = text.split(",");
  const [calls, usec] = parts.map(pairValue);
  if (!key.startsWith("cmdstat_") || parts.length < 3 || calls === undefined || usec === undefined) return;
  const command = key.slice("cmdstat_".length);
  const isLong = parts.length >= 5;
  const rejected = pairValue(parts[3]);
  const failed = pairValue(parts[4]);
  if (isLong && (rejected === undefined || failed === undefined)) return;
  latencies.counts.set(command, [Math.trunc(calls), usec]);
  page.counter("commands_total", calls, command);
  page.counter("commands_duration_seconds_total", usec / 1e6, command);
  if (!isLong) return;
  page.counter("commands_rejected_calls_total", rejected!, command);
  page.counter("commands_failed_calls_total", failed!, command);
}

/** `latency_percentiles_usec_get:p50=0.001,p99=1.003,p99.9=3.007` */
function readQuantiles(key: string, text: string, { quantiles }: CommandLatencies): void {
  const prefix = "latency_percentiles_usec_";
  if (!key.startsWith(prefix)) return;
  const found: [number, number][] = [];
  for (const pair of text.split(",")) {
    const [name = "", value = ""] = pair.split("=");
    const quantile = parseGoFloat(name.slice(1));
    const number = parseGoFloat(value);
    if (quantile === undefined || number === undefined) return;
    found.push([quantile, number]);
  }
  quantiles.set(key.slice(prefix.length), found);
}

/** `db0:keys=1,expires=0,avg_ttl=0,cached_keys=0`; the last two are not everywhere. */
function addDatabase(page: RedisPage, name: string, text: string): boolean {
  const parts = text.split(",");
  if (!name.startsWith("db") || parts.length < 2) return false;
  const [keys, expiring, ttl, cached] = parts.map(pairValue);
  if (keys === undefined || expiring === undefined) return false;
  if ((parts.length > 2 && ttl === undefined) || (parts.length > 3 && cached === undefined)) return false;
  page.gauge("db_keys", keys, name);
  page.gauge("db_keys_expiring", expiring, name);
  if (cached !== undefined && cached > -1) page.gauge("db_keys_cached", cached, name);
  if (ttl !== undefined && ttl / 1000 > -1) page.gauge("db_avg_ttl_seconds", ttl / 1000, name);
  return true;
}
