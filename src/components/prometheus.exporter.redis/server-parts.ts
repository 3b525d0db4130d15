import { parseGoFloat } from "#formats/go-number";
import { addField } from "./info.ts";
import { accepted, ask, fields, integer, list, type Scrape, text } from "./scrape.ts";

/** Parts of a scrape that ask the server itself, and nothing about keys. Each matches the file of redis_exporter it names. */

const CONFIG_NUMBERS = new Set(["io-threads", "maxclients", "maxmemory", "repl-backlog-size"]);

/** CONFIG GET: gives the number of databases, undefined if the server does not say. `exporter.go`, extractConfigMetrics. */
export async function addConfig(scrape: Scrape): Promise<number | undefined> {
  const { page, args } = scrape;
  if (args.config_command === "-") return undefined;
  const hint = '; allow it, or set config_command = "-" to do without';
  const config = fields(await ask(scrape, "CONFIG", [args.config_command, "GET", "*"], hint));
  for (const [key, reply] of config) {
    const value = parseGoFloat(text(reply));
    if (CONFIG_NUMBERS.has(key) && value !== undefined) page.gauge(`config_${key.replaceAll("-", "_")}`, value);
  }
  addBufferLimits(scrape, text(config.get("client-output-buffer-limit")));
  return integer(config.get("databases"));
}

/** `normal 0 0 0 slave 1610612736 1610612736 0 pubsub 33554432 8388608 60` */
function addBufferLimits({ page }: Scrape, limits: string): void {
  const words = limits.split(" ");
  for (let i = 0; i + 3 < words.length; i += 4) {
    const [hard, soft, seconds] = words.slice(i + 1, i + 4).map(parseGoFloat);
    if (hard !== undefined) page.gauge("config_client_output_buffer_limit_bytes", hard, words[i]!, "hard");
    if (soft !== undefined) page.gauge("config_client_output_buffer_limit_bytes", soft, words[i]!, "soft");
    if (seconds !== undefined) {
      page.gauge("config_client_output_buffer_limit_overcome_seconds", seconds, words[i]!, "soft");
    }
  }
}

/** LATENCY LATEST and HISTOGRAM: `latency.go`. The time of each command, which the latter lacks, is INFO's. */
export async function addLatency(scrape: Scrape, info: string): Promise<void> {
  const { page } = scrape;
  const [latest, histogram] = await scrape.server.pipeline([
    ["LATENCY", "LATEST"],
    ["LATENCY", "HISTOGRAM"],
  ]);
  for (const each of list(accepted(scrape, "LATENCY LATEST", latest!))) {
    const [event, last, duration] = list(each);
    const time = integer(last);
    const ms = integer(duration);
    if (time === undefined || ms === undefined) continue;
    page.gauge("latency_spike_last", time, text(event));
    page.gauge("latency_spike_duration_seconds", ms / 1000, text(event));
  }
  const histograms = fields(accepted(scrape, "LATENCY HISTOGRAM", histogram!));
  if (histograms.size === 0) return;
  const usecs = commandMicroseconds(info);
  for (const [command, reply] of histograms) {
    const details = fields(reply);
    const calls = integer(details.get("calls"));
    if (calls === undefined) continue;
    const buckets: [number, number][] = [];
    for (const [bound, count] of fields(details.get("histogram_usec")))
      buckets.push([Number(bound), integer(count) ?? 0]);
    page.histogram("commands_latencies_usec", calls, usecs.get(command) ?? 0, buckets, command);
  }
}

/** Microseconds by command, those of subcommands (`config|get`) added to their command's. */
function commandMicroseconds(info: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const [, command, usec] of info.matchAll(/^cmdstat_([^:\s]+):[^\r\n]*?\busec=(\d+)/gm)) {
    const names = command!.includes("|") ? [command!, command!.slice(0, command!.indexOf("|"))] : [command!];
    for (const name of names) sums.set(name, (sums.get(name) ?? 0) + Number(usec));
  }
  return sums;
}

/** `slowlog.go` */
export async function addSlowLog(scrape: Scrape): Promise<void> {
  const [length, entries] = await scrape.server.pipeline([
    ["SLOWLOG", "LEN"],
    ["SLOWLOG", "GET", 1],
  ]);
  const count = integer(accepted(scrape, "SLOWLOG", length!));
  if (count !== undefined) scrape.page.gauge("slowlog_length", count);
  const last = accepted(scrape, "SLOWLOG", entries!);
  if (last === undefined) return;
  const [id, , usec] = list(list(last)[0]);
  scrape.page.gauge("slowlog_last_id", integer(id) ?? 0);
  scrape.page.gauge("last_slow_execution_duration_seconds", (integer(usec) ?? 0) / 1e6);
}

/** `tile38.go` */
export async function addTile38(scrape: Scrape): Promise<void> {
  for (const [key, value] of fields(await ask(scrape, "SERVER EXT", ["SERVER", "EXT"]))) {
    addField(scrape.page, key.startsWith("tile38_") ? key : `tile38_${key}`, text(value));
  }
}

/** Fields of CLIENT LIST, by the metric they are; `age` and `idle` are turned into the time when it was so. */
const CLIENT_FIELDS: readonly (readonly [metric: string, field: string])[] = [
  ["output_buffer_memory_usage_bytes", "omem"],
  ["total_memory_consumed_bytes", "tot-mem"],
  ["created_at_timestamp", "age"],
  ["idle_since_timestamp", "idle"],
  ["channel_subscriptions_count", "sub"],
  ["pattern_matching_subscriptions_count", "psub"],
  ["query_buffer_length_bytes", "qbuf"],
  ["query_buffer_free_space_bytes", "qbuf-free"],
  ["output_buffer_length_bytes", "obl"],
  ["output_list_length", "oll"],
];
/** Fields that only newer servers have, and that are no metric where they are missing. */
const NEWER_CLIENT_FIELDS: readonly (readonly [metric: string, field: string])[] = [
  ["shard_channel_subscriptions_count", "ssub"],
  ["shard_channel_watched_keys", "watch"],
];

/** `clients.go` */
export async function addClients(scrape: Scrape): Promise<void> {
  const { page, args } = scrape;
  const now = Math.floor(scrape.now());
  for (const line of text(await ask(scrape, "CLIENT LIST", ["CLIENT", "LIST"])).split("\n")) {
    const client = parseClient(line);
    if (client === undefined) continue;
    const of = (field: string) => client.get(field) ?? "";
    const address = of("addr");
    const labels = ["id", of("id"), "name", of("name"), "flags", of("flags"), "db", of("db")];
    labels.push("host", address.slice(0, address.lastIndexOf(":")));
    if (args.export_client_port) labels.push("port", address.slice(address.lastIndexOf(":") + 1));
    for (const optional of ["user", "resp"]) if (of(optional) !== "") labels.push(optional, of(optional));
    page.labelled("connected_client_info", 1, labels);
    for (const [metric, field] of CLIENT_FIELDS) {
      const value = Number(of(field));
      const isAge = field === "age" || field === "idle";
      page.gauge(`connected_client_${metric}`, isAge ? now - value : value, of("id"), of("name"));
    }
    for (const [metric, field] of NEWER_CLIENT_FIELDS) {
      if (client.has(field)) page.gauge(`connected_client_${metric}`, Number(of(field)), of("id"), of("name"));
    }
  }
}

/** `id=11 addr=127.0.0.1:63508 fd=8 name= age=6321 …`; undefined for what is none. */
function parseClient(line: string): ReadonlyMap<string, string> | undefined {
  if (!/^id=\d+ addr=\S+:/.test(line)) return undefined;
  const pairs = line
    .trim()
    .split(" ")
    .map((pair) => pair.split("="));
  if (pairs.some((pair) => pair.length !== 2)) return undefined;
  const client = new Map(pairs as [string, string][]);
  return ["age", "idle"].every((field) => /^\d+$/.test(client.get(field) ?? "0")) ? client : undefined;
}
