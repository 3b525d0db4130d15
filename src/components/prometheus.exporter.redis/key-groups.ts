import type { RedisConnection } from "#kits/redis-connection";
import { RedisError } from "#kits/redis-protocol";
import type { KeySpace } from "./key-space.ts";
import { accepted, integer, list, type Scrape, text } from "./scrape.ts";

/** Groups of one database that are kept while its keys are gone through. */
const MAX_GROUPS = 100_000;

/**
 * Looks at one batch of keys: ARGV has the cursor, the size of the batch and the patterns. A key belongs to the group
 * that the captures of the first matching pattern spell; answers with the next cursor and {group, keys, bytes}.
 */
const SCRIPT = `
local function group_of(key)
  for p = 3, #ARGV do
    local found = {pcall(string.find, key, ARGV[p])}
    if not found[1] then
      local problem = string.gsub(found[2], '^user_script:%d+: ', '')
      return nil, 'ERR the pattern ' .. ARGV[p] .. ' is not valid: ' .. problem
    end
    if found[2] then return table.concat(found, '', 4) end
  end
  return 'unclassified'
end
local scanned = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local counts, bytes = {}, {}
for _, key in ipairs(scanned[2]) do
  local group, problem = group_of(key)
  if problem then return redis.error_reply(problem) end
  local usage = redis.pcall('MEMORY', 'USAGE', key)
  if type(usage) ~= 'number' then usage = 0 end
  counts[group] = (counts[group] or 0) + 1
  bytes[group] = (bytes[group] or 0) + usage
end
local answer = {}
for group, count in pairs(counts) do answer[#answer + 1] = {group, count, bytes[group]} end
return {scanned[1], answer}
`;

interface KeyGroup {
  readonly name: string;
  count: number;
  bytes: number;
}

/** Groups of keys by what patterns capture. Matches redis_exporter's `exporter/key_groups.go`. */
export async function addKeyGroups(scrape: Scrape, space: KeySpace, databases: number): Promise<void> {
  const start = scrape.now();
  const patterns = splitPatterns(scrape.args.check_key_groups);
  for (let database = 0; patterns.length > 0 && database < databases; database++) {
    const groups = new Map<string, KeyGroup>();
    let isComplete = true;
    for (const node of await space.all()) {
      isComplete &&= await space.select(node, database, "check_key_groups");
      isComplete &&= await gather(scrape, node, patterns, groups);
    }
    if (!isComplete) break; // what one database refuses, the others refuse as well
    addDatabase(scrape, `db${database}`, groups);
  }
  scrape.page.gauge("last_key_groups_scrape_duration_milliseconds", Math.floor((scrape.now() - start) * 1000));
}

async function gather(
  scrape: Scrape,
  node: RedisConnection,
  patterns: readonly string[],
  groups: Map<string, KeyGroup>,
): Promise<boolean> {
  let cursor = "0";
  do {
    const batch = scrape.args.check_key_groups_batch_size;
    const [reply] = await node.pipeline([["EVAL", SCRIPT, 0, cursor, batch, ...patterns]]);
    if (reply instanceof RedisError) {
      accepted(scrape, "check_key_groups", reply);
      return false;
    }
    const [next, found] = list(reply);
    for (const each of list(found)) {
      const [name, count, bytes] = list(each);
      let group = groups.get(text(name));
      if (group === undefined) groups.set(text(name), (group = { name: text(name), count: 0, bytes: 0 }));
      group.count += integer(count) ?? 0;
      group.bytes += integer(bytes) ?? 0;
    }
    if (groups.size > MAX_GROUPS) {
      const what = `it makes more than ${MAX_GROUPS} groups of one database`;
      scrape.note("check_key_groups", `${what}, which is too many to keep; capture less of the keys`);
      return false;
    }
    cursor = text(next);
  } while (cursor !== "0");
  return true;
}

/** The groups with the most memory, and one for the rest. */
function addDatabase({ page, args }: Scrape, database: string, groups: ReadonlyMap<string, KeyGroup>): void {
  const sorted = [...groups.values()].sort(
    (a, b) => b.bytes - a.bytes || a.count - b.count || (a.name < b.name ? -1 : 1),
  );
  const shown = sorted.slice(0, args.max_distinct_key_groups);
  const rest = sorted.slice(shown.length);
  if (rest.length > 0) {
    const sum = (of: (group: KeyGroup) => number) => rest.reduce((total, group) => total + of(group), 0);
    shown.push({ name: "overflow", count: sum(({ count }) => count), bytes: sum(({ bytes }) => bytes) });
  }
  for (const { name, count, bytes } of shown) {
    page.gauge("key_group_count", count, database, name);
    page.gauge("key_group_memory_usage_bytes", bytes, database, name);
  }
  page.gauge("number_of_distinct_key_groups", groups.size, database);
}

/**
 * Alloy joins the list with commas and redis_exporter reads that as a line of CSV, so that one string may hold several
 * patterns, and one with a comma stands in double quotes.
 */
export function splitPatterns(texts: readonly string[]): string[] {
  const line = texts.join(",");
  const patterns: string[] = [];
  for (const [, quoted, plain] of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    patterns.push((quoted?.replaceAll('""', '"') ?? plain ?? "").trim());
  }
  return patterns.filter((pattern) => pattern !== "");
}
