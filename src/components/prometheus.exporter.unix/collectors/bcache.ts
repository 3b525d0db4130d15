import { basename } from "node:path";
import { counter, gauge, type Metric, type Page } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { isMissing, listMatching, readLines, readText, words } from "../files.ts";

type Table = readonly (readonly [file: string, metric: Metric, scale?: number])[];

const backing = ["uuid", "backing_device"];
const caching = ["uuid", "cache_device"];

const SET: Table = [
  [
    "average_key_size",
    gauge("node_bcache_average_key_size_sectors", "Average data per key in the btree (sectors).", "uuid"),
  ],
  [
    "btree_cache_size",
    gauge("node_bcache_btree_cache_size_bytes", "Amount of memory currently used by the btree cache.", "uuid"),
  ],
  [
    "cache_available_percent",
    gauge(
      "node_bcache_cache_available_percent",
      "Percentage of cache device without dirty data, usable for writeback (may contain clean cached data).",
      "uuid",
    ),
  ],
  ["congested", gauge("node_bcache_congested", "Congestion.", "uuid")],
  [
    "root_usage_percent",
    gauge(
      "node_bcache_root_usage_percent",
      "Percentage of the root btree node in use (tree depth increases if too high).",
      "uuid",
    ),
  ],
  ["tree_depth", gauge("node_bcache_tree_depth", "Depth of the btree.", "uuid")],
  [
    "internal/active_journal_entries",
    gauge("node_bcache_active_journal_entries", "Number of journal entries that are newer than the index.", "uuid"),
  ],
  ["internal/btree_nodes", gauge("node_bcache_btree_nodes", "Total nodes in the btree.", "uuid")],
  [
    // node_exporter takes the microseconds of this file for nanoseconds; its dashboards expect that.
    "internal/btree_read_average_duration_us",
    gauge("node_bcache_btree_read_average_duration_seconds", "Average btree read duration.", "uuid"),
    1e-9,
  ],
  [
    "internal/cache_read_races",
    counter(
      "node_bcache_cache_read_races_total",
      "Counts instances where while data was being read from the cache, the bucket was reused and invalidated - i.e. where the pointer was stale after the read completed.",
      "uuid",
    ),
  ],
];

const BACKING: Table = [
  [
    "dirty_data",
    gauge("node_bcache_dirty_data_bytes", "Amount of dirty data for this backing device in the cache.", ...backing),
  ],
];

const RATE: ReadonlyMap<string, Metric> = new Map([
  [
    "target:",
    gauge(
      "node_bcache_dirty_target_bytes",
      "Current dirty data target threshold for this backing device in bytes.",
      ...backing,
    ),
  ],
  [
    "rate:",
    gauge("node_bcache_writeback_rate", "Current writeback rate for this backing device in bytes.", ...backing),
  ],
  [
    "proportional:",
    gauge(
      "node_bcache_writeback_rate_proportional_term",
      "Current result of proportional controller, part of writeback rate",
      ...backing,
    ),
  ],
  [
    "integral:",
    gauge(
      "node_bcache_writeback_rate_integral_term",
      "Current result of integral controller, part of writeback rate",
      ...backing,
    ),
  ],
  [
    "change:",
    gauge("node_bcache_writeback_change", "Last writeback rate change step for this backing device.", ...backing),
  ],
]);

const TOTALS: Table = [
  [
    "bypassed",
    counter(
      "node_bcache_bypassed_bytes_total",
      "Amount of IO (both reads and writes) that has bypassed the cache.",
      ...backing,
    ),
  ],
  [
    "cache_hits",
    counter("node_bcache_cache_hits_total", "Hits counted per individual IO as bcache sees them.", ...backing),
  ],
  [
    "cache_misses",
    counter("node_bcache_cache_misses_total", "Misses counted per individual IO as bcache sees them.", ...backing),
  ],
  [
    "cache_bypass_hits",
    counter("node_bcache_cache_bypass_hits_total", "Hits for IO intended to skip the cache.", ...backing),
  ],
  [
    "cache_bypass_misses",
    counter("node_bcache_cache_bypass_misses_total", "Misses for IO intended to skip the cache.", ...backing),
  ],
  [
    "cache_miss_collisions",
    counter(
      "node_bcache_cache_miss_collisions_total",
      "Instances where data insertion from cache miss raced with write (data already present).",
      ...backing,
    ),
  ],
];
const readaheads = counter("node_bcache_cache_readaheads_total", "Count of times readahead occurred.", ...backing);

const CACHE: Table = [
  [
    "io_errors",
    gauge("node_bcache_io_errors", "Number of errors that have occurred, decayed by io_error_halflife.", ...caching),
  ],
  [
    "metadata_written",
    counter(
      "node_bcache_metadata_written_bytes_total",
      "Sum of all non data writes (btree writes and all other metadata).",
      ...caching,
    ),
  ],
  [
    "written",
    counter("node_bcache_written_bytes_total", "Sum of all data that has been written to the cache.", ...caching),
  ],
];

const PRIORITY: ReadonlyMap<string, Metric> = new Map([
  [
    "Unused:",
    gauge(
      "node_bcache_priority_stats_unused_percent",
      "The percentage of the cache that doesn't contain any data.",
      ...caching,
    ),
  ],
  ["Metadata:", gauge("node_bcache_priority_stats_metadata_percent", "Bcache's metadata overhead.", ...caching)],
]);

export const bcache: CollectorDefinition = {
  name: "bcache",
  enabledByDefault: true,
  create({ args, files }) {
    return {
      collect(page) {
        const root = files.sys("fs/bcache");
        for (const uuid of listMatching(root, /-/)) {
          addTable(page, SET, `${root}/${uuid}`, uuid);
          for (const device of listMatching(`${root}/${uuid}`, /^bdev[0-9]/)) {
            const folder = `${root}/${uuid}/${device}`;
            addTable(page, BACKING, folder, uuid, device);
            addLines(page, RATE, `${folder}/writeback_rate_debug`, uuid, device);
            addTable(page, TOTALS, `${folder}/stats_total`, uuid, device);
            const ahead = readSize(`${folder}/stats_total/cache_readaheads`);
            if (ahead !== 0) page.add(readaheads, ahead, uuid, device);
          }
          for (const device of listMatching(`${root}/${uuid}`, /^cache[0-9]/)) {
            const folder = `${root}/${uuid}/${device}`;
            addTable(page, CACHE, folder, uuid, device);
            if (args.bcache.priority_stats) addLines(page, PRIORITY, `${folder}/priority_stats`, uuid, device);
          }
        }
      },
    };
  },
};

function addTable(page: Page, table: Table, folder: string, ...labels: string[]): void {
  for (const [file, metric, scale = 1] of table) page.add(metric, readSize(`${folder}/${file}`) * scale, ...labels);
}

/** Lines such as `rate:  1.1M/sec`. */
function addLines(page: Page, metrics: ReadonlyMap<string, Metric>, path: string, ...labels: string[]): void {
  for (const line of readLines(path)) {
    const fields = words(line);
    const metric = metrics.get(fields[0] ?? "");
    if (metric !== undefined) page.add(metric, parseSize(fields.at(-1)!.replace(/(\/sec|%)$/, "")), ...labels);
  }
}

/** Zero for a file that this version of the kernel does not have. */
function readSize(path: string): number {
  let text: string;
  try {
    text = readText(path);
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
  try {
    return parseSize(text.trim());
  } catch (error) {
    throw new Error(`${basename(path)}: ${(error as Error).message}`);
  }
}

const UNITS = "kMGTPEZY";

/** bcache's `1.3M`: the digit behind the point counts 1024ths of a hundred, not tenths. */
export function parseSize(text: string): number {
  const match = /^(-?)(\d+)(?:\.(\d+))?([kMGTPEZY]?)$/.exec(text);
  if (match === null) throw new Error(`expected a size such as 1.3M, found ${JSON.stringify(text)}`);
  const [, sign, whole, fraction = "0", unit = ""] = match;
  if (unit === "") return Number(text);
  const mantissa = Number(whole) + Number(fraction) / 10.24;
  const value = Math.trunc(mantissa * 1024 ** (UNITS.indexOf(unit) + 1));
  return sign === "-" ? -value : value;
}
