import { parseGoFloat } from "#formats/go-number";
import { RedisError, type RedisReply } from "#kits/redis-protocol";
import type { RedisPage } from "./redis-page.ts";
import { ask, fields, list, type Scrape, text } from "./scrape.ts";

const COUNTS = new Set([
  ...["sentinel_masters", "sentinel_tilt", "sentinel_running_scripts", "sentinel_scripts_queue_length"],
  "sentinel_simulate_failure_flags",
]);

/** Numbers of SENTINEL MASTERS, by the metric they are. */
const SETTINGS: readonly (readonly [metric: string, field: string, divisor: number])[] = [
  ["sentinel_master_setting_ckquorum", "quorum", 1],
  ["sentinel_master_setting_failover_timeout", "failover-timeout", 1],
  ["sentinel_master_setting_parallel_syncs", "parallel-syncs", 1],
  ["sentinel_master_setting_down_after_milliseconds", "down-after-milliseconds", 1],
  ["sentinel_master_config_epoch", "config-epoch", 1],
  ["sentinel_master_last_ok_ping_reply_seconds", "last-ok-ping-reply", 1000],
];

/** A field of INFO's section Sentinel, such as `master0:name=user03,status=ok,address=10.0.0.1:6381,slaves=1,sentinels=5`. */
export function addSentinelField(page: RedisPage, key: string, value: string): void {
  if (COUNTS.has(key)) {
    page.gauge(key, /^[+-]?\d+$/.test(value) ? Number(value) : 0);
    return;
  }
  if (!/^master\d+/.test(key)) return;
  const pairs = value.split(",").map((pair) => pair.split("="));
  const values = new Map(pairs.filter((pair) => pair.length === 2) as [string, string][]);
  const of = (name: string) => values.get(name) ?? "";
  const slaves = parseGoFloat(of("slaves"));
  const sentinels = parseGoFloat(of("sentinels"));
  if (slaves === undefined || sentinels === undefined) return;
  page.gauge("sentinel_master_status", of("status") === "ok" ? 1 : 0, of("name"), of("address"), of("status"));
  page.gauge("sentinel_master_slaves", slaves, of("name"), of("address"));
  page.gauge("sentinel_master_sentinels", sentinels, of("name"), of("address"));
}

/** What a Sentinel says about the masters that it watches. Matches redis_exporter's `exporter/sentinels.go`. */
export async function addSentinel(scrape: Scrape): Promise<void> {
  const { page, server } = scrape;
  for (const each of list(await ask(scrape, "SENTINEL MASTERS", ["SENTINEL", "MASTERS"]))) {
    const master = fields(each);
    const name = text(master.get("name"));
    const address = `${text(master.get("ip"))}:${text(master.get("port"))}`;
    if (!["name", "ip", "port"].every((field) => master.has(field))) continue;
    const [quorum, sentinels, replicas] = await server.pipeline([
      ["SENTINEL", "CKQUORUM", name],
      ["SENTINEL", "SENTINELS", name],
      ["SENTINEL", "SLAVES", name],
    ]);
    // Too few Sentinels for a failover is an answer with an error, and what is measured here.
    const isReached = !(quorum instanceof RedisError);
    const message = isReached ? text(quorum) : (quorum as RedisError).message;
    page.gauge("sentinel_master_ckquorum_status", isReached ? 1 : 0, name, message);
    for (const [metric, field, divisor] of SETTINGS) {
      page.gauge(metric, (parseGoFloat(text(master.get(field))) ?? 0) / divisor, name, address);
    }
    // This Sentinel itself is not in the list.
    page.gauge("sentinel_master_ok_sentinels", 1 + countUp(sentinels), name, address);
    page.gauge("sentinel_master_ok_slaves", countUp(replicas), name, address);
  }
}

function countUp(reply: RedisReply | undefined): number {
  let count = 0;
  for (const each of list(reply)) {
    const flags = fields(each).get("flags");
    if (flags !== undefined && !/[os]_down/.test(text(flags))) count += 1;
  }
  return count;
}
