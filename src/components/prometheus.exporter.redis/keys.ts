import { parseGoFloat } from "#formats/go-number";
import type { RedisConnection } from "#kits/redis-connection";
import { RedisError, type RedisReply } from "#kits/redis-protocol";
import { isPattern, type KeyArgument, parseKeys } from "./key-arguments.ts";
import { type KeySpace, scan } from "./key-space.ts";
import { accepted, integer, type Scrape, text } from "./scrape.ts";

/** Keys that one argument may lead to: each is a handful of series. */
const MAX_KEYS = 100_000;
/** Keys that are asked about at once. */
const BATCH = 500;
/** A value longer than this is no label. */
const MAX_VALUE_BYTES = 16 * 1024;

/** How to ask for the size of a key, by its type; strings are asked in two ways. */
const SIZE_COMMANDS: ReadonlyMap<string, string> = new Map([
  ["list", "LLEN"],
  ["set", "SCARD"],
  ["zset", "ZCARD"],
  ["hash", "HLEN"],
  ["stream", "XLEN"],
  ["array", "ARCOUNT"],
]);

/** Keys by the connection and database to ask for them. */
export type FoundKeys = Map<RedisConnection, Map<number, Set<string>>>;

/** The keys that two arguments name: single keys as they are, patterns by SCAN. */
export async function findKeys(
  scrape: Scrape,
  space: KeySpace,
  part: string,
  singles: readonly string[],
  patterns: readonly string[],
): Promise<FoundKeys> {
  const found: FoundKeys = new Map();
  let count = 0;
  const add = (node: RedisConnection, { database }: KeyArgument, key: string) => {
    let databases = found.get(node);
    if (databases === undefined) found.set(node, (databases = new Map()));
    const known = databases.get(database);
    if (known?.has(key)) return;
    count += 1;
    if (known === undefined) databases.set(database, new Set([key]));
    else known.add(key);
  };
  const wanted = parseKeys(patterns);
  for (const each of [...parseKeys(singles), ...wanted.filter(({ key }) => !isPattern(key))]) {
    const node = await space.find(each.key);
    if (node !== undefined) add(node, each, each.key);
  }
  for (const each of wanted.filter(({ key }) => isPattern(key))) {
    await forEachMatch(scrape, space, part, each, (node, keys) => {
      for (const key of keys) {
        if (count >= MAX_KEYS) {
          scrape.note(part, `it leads to more than ${MAX_KEYS} keys, and the rest is left out; name fewer`);
          return false;
        }
        add(node, each, key);
      }
      return true;
    });
  }
  return found;
}

/** Hands on the keys that match a pattern, until `take` says no. */
async function forEachMatch(
  scrape: Scrape,
  space: KeySpace,
  part: string,
  { database, key }: KeyArgument,
  take: (node: RedisConnection, keys: readonly string[]) => boolean,
): Promise<void> {
  for (const node of await space.all()) {
    if (!(await space.select(node, database, part))) continue;
    try {
      for await (const keys of scan(node, key, scrape.args.check_key_groups_batch_size)) {
        if (!take(node, keys)) return;
      }
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      accepted(scrape, part, error);
    }
  }
}

/** Size, memory and value of keys. Matches redis_exporter's `exporter/keys.go`. */
export async function addKeys(scrape: Scrape, space: KeySpace): Promise<void> {
  const { check_single_keys, check_keys } = scrape.args;
  for (const [node, databases] of await findKeys(scrape, space, "check_keys", check_single_keys, check_keys)) {
    for (const [database, keys] of databases) {
      if (!(await space.select(node, database, "check_keys"))) continue;
      const all = [...keys];
      for (let i = 0; i < all.length; i += BATCH) {
        await addBatch(scrape, node, `db${database}`, all.slice(i, i + BATCH));
      }
    }
  }
}

async function addBatch(scrape: Scrape, node: RedisConnection, database: string, keys: readonly string[]) {
  const { page } = scrape;
  const facts = await node.pipeline(
    keys.flatMap((key) => [
      ["TYPE", key],
      ["MEMORY", "USAGE", key],
    ]),
  );
  const sized: { key: string; type: string }[] = [];
  for (const [i, key] of keys.entries()) {
    const type = text(accepted(scrape, "TYPE", facts[2 * i]!));
    const bytes = integer(accepted(scrape, "MEMORY USAGE", facts[2 * i + 1]!));
    if (bytes !== undefined) page.gauge("key_memory_usage_bytes", bytes, database, key);
    if (type === "none")
      page.gauge("key_size", 0, database, key); // a single key that is not there
    else if (type === "string" || SIZE_COMMANDS.has(type)) sized.push({ key, type });
  }
  const sizes = await node.pipeline(
    sized.flatMap(({ key, type }) =>
      type === "string"
        ? [
            ["PFCOUNT", key],
            ["STRLEN", key],
          ]
        : [[SIZE_COMMANDS.get(type)!, key]],
    ),
  );
  const strings: string[] = [];
  let at = 0;
  for (const { key, type } of sized) {
    if (type !== "string") {
      addSize(scrape, database, key, SIZE_COMMANDS.get(type)!, sizes[at++]!);
      continue;
    }
    // A HyperLogLog is a string to TYPE, and PFCOUNT is an error for every other string.
    const elements = sizes[at++]!;
    const bytes = sizes[at++]!;
    if (!(elements instanceof RedisError)) addSize(scrape, database, key, "PFCOUNT", elements);
    else {
      addSize(scrape, database, key, "STRLEN", bytes);
      const length = integer(bytes) ?? 0;
      if (length > MAX_VALUE_BYTES && scrape.args.export_key_values) {
        scrape.note(
          "check_keys",
          `values of more than ${MAX_VALUE_BYTES} bytes are left out; the first is that of ${key}`,
        );
      } else if (length > 0) strings.push(key);
    }
  }
  if (scrape.args.export_key_values) await addValues(scrape, node, database, strings);
}

function addSize(scrape: Scrape, database: string, key: string, command: string, reply: RedisReply): void {
  const size = integer(accepted(scrape, command, reply));
  if (size !== undefined) scrape.page.gauge("key_size", size, database, key);
}

async function addValues(scrape: Scrape, node: RedisConnection, database: string, keys: readonly string[]) {
  const values = await node.pipeline(keys.map((key) => ["GET", key]));
  for (const [i, key] of keys.entries()) {
    const value = text(accepted(scrape, "GET", values[i]!));
    if (value === "") continue;
    const number = parseGoFloat(value);
    if (number !== undefined) scrape.page.gauge("key_value", number, database, key);
    else scrape.page.gauge("key_value_as_string", 1, database, key, value);
  }
}

/** How many keys match each pattern of `count_keys`. */
export async function addKeyCounts(scrape: Scrape, space: KeySpace): Promise<void> {
  for (const each of parseKeys(scrape.args.count_keys)) {
    let count: number | undefined;
    await forEachMatch(scrape, space, "count_keys", each, (_node, keys) => {
      count = (count ?? 0) + keys.length;
      return true;
    });
    if (count !== undefined) scrape.page.gauge("keys_count", count, `db${each.database}`, each.key);
  }
}
