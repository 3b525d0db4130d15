import { parseGoFloat } from "#formats/go-number";
import type { RedisConnection } from "#kits/redis-connection";
import type { RedisReply } from "#kits/redis-protocol";
import type { KeySpace } from "./key-space.ts";
import { findKeys } from "./keys.ts";
import { accepted, fields, integer, list, type Scrape, text } from "./scrape.ts";

type Row = readonly [metric: string, field: string, read: (reply: RedisReply | undefined) => number];

const number = (reply: RedisReply | undefined) => integer(reply) ?? 0;
/** The time in an entry's id, such as `1526919030474-55`. */
const time = (reply: RedisReply | undefined) => parseGoFloat(text(reply).split("-")[0]!) ?? 0;
/** That of the entry itself: a list of its id and its fields. */
const timeOfEntry = (reply: RedisReply | undefined) => time(list(reply)[0]);
const seconds = (reply: RedisReply | undefined) => number(reply) / 1000;

/** Fields of XINFO STREAM, GROUPS and CONSUMERS, by the metric they are: redis_exporter's `exporter/streams.go`. */
const STREAM: readonly Row[] = [
  ["stream_length", "length", number],
  ["stream_radix_tree_keys", "radix-tree-keys", number],
  ["stream_radix_tree_nodes", "radix-tree-nodes", number],
  ["stream_last_generated_id", "last-generated-id", time],
  ["stream_groups", "groups", number],
  ["stream_max_deleted_entry_id", "max-deleted-entry-id", time],
  ["stream_first_entry_id", "first-entry", timeOfEntry],
  ["stream_last_entry_id", "last-entry", timeOfEntry],
];
const GROUP: readonly Row[] = [
  ["stream_group_consumers", "consumers", number],
  ["stream_group_messages_pending", "pending", number],
  ["stream_group_last_delivered_id", "last-delivered-id", time],
  ["stream_group_entries_read", "entries-read", number],
  ["stream_group_lag", "lag", number],
];
const CONSUMER: readonly Row[] = [
  ["stream_group_consumer_messages_pending", "pending", number],
  ["stream_group_consumer_idle_seconds", "idle", seconds],
];

/** Streams, their groups and the consumers of these. */
export async function addStreams(scrape: Scrape, space: KeySpace): Promise<void> {
  const { check_single_streams, check_streams } = scrape.args;
  for (const [node, databases] of await findKeys(scrape, space, "check_streams", check_single_streams, check_streams)) {
    for (const [database, keys] of databases) {
      if (!(await space.select(node, database, "check_streams"))) continue;
      for (const key of keys) await addStream(scrape, node, `db${database}`, key);
    }
  }
}

async function addStream(scrape: Scrape, node: RedisConnection, database: string, key: string): Promise<void> {
  const [stream, groups] = await node.pipeline([
    ["XINFO", "STREAM", key],
    ["XINFO", "GROUPS", key],
  ]);
  const hint = ` (the stream ${key})`;
  const found = accepted(scrape, "XINFO", stream!, hint);
  if (found === undefined) return;
  add(scrape, STREAM, found, database, key);
  for (const group of list(accepted(scrape, "XINFO", groups!, hint))) {
    const name = text(fields(group).get("name"));
    add(scrape, GROUP, group, database, key, name);
    const [consumers] = await node.pipeline([["XINFO", "CONSUMERS", key, name]]);
    for (const consumer of list(accepted(scrape, "XINFO", consumers!, hint))) {
      add(scrape, CONSUMER, consumer, database, key, name, text(fields(consumer).get("name")));
    }
  }
}

function add({ page }: Scrape, rows: readonly Row[], reply: RedisReply, ...labels: string[]): void {
  const values = fields(reply);
  for (const [metric, field, read] of rows) page.gauge(metric, read(values.get(field)), ...labels);
}
