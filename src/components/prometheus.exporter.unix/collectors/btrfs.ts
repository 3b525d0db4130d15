import { counter, gauge, type Page } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { isMissing, listFolder, listMatching, parseNumber, readIfAny, readLines, words } from "../files.ts";

const info = gauge("node_btrfs_info", "Filesystem information", "uuid", "label");
const reserve = gauge("node_btrfs_global_rsv_size_bytes", "Size of global reserve.", "uuid");
const COMMITS = [
  ["commits", counter("node_btrfs_commits_total", "The total number of commits that have occurred.", "uuid"), 1],
  [
    "last_commit_ms",
    gauge("node_btrfs_last_commit_seconds", "Duration of the most recent commit, in seconds.", "uuid"),
    1e3,
  ],
  ["max_commit_ms", gauge("node_btrfs_max_commit_seconds", "Duration of the slowest commit, in seconds.", "uuid"), 1e3],
  [
    "total_commit_ms",
    counter("node_btrfs_commit_seconds_total", "Sum of the duration of all commits, in seconds.", "uuid"),
    1e3,
  ],
] as const;
const reserved = gauge(
  "node_btrfs_reserved_bytes",
  "Amount of space reserved for a data type",
  "uuid",
  "block_group_type",
);
const layoutLabels = ["uuid", "block_group_type", "mode"];
const used = gauge("node_btrfs_used_bytes", "Amount of used space by a layout/data type", ...layoutLabels);
const size = gauge("node_btrfs_size_bytes", "Amount of space allocated for a layout/data type", ...layoutLabels);
const ratio = gauge("node_btrfs_allocation_ratio", "Data allocation ratio for a layout/data type", ...layoutLabels);
const deviceSize = gauge(
  "node_btrfs_device_size_bytes",
  "Size of a device that is part of the filesystem.",
  "uuid",
  "device",
);

const SECTOR_BYTES = 512;

/**
 * What sysfs says about mounted btrfs file systems. node_exporter asks mounted ones by ioctl as well, which adds
 * `node_btrfs_device_unused_bytes` and `node_btrfs_device_errors_total`; without it, it reports what this does.
 */
export const btrfs: CollectorDefinition = {
  name: "btrfs",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        for (const name of listMatching(files.sys("fs/btrfs"), /-/)) {
          collectFilesystem(page, files.sys(`fs/btrfs/${name}`), name);
        }
      },
    };
  },
};

function collectFilesystem(page: Page, root: string, name: string): void {
  const uuid = readIfAny(`${root}/metadata_uuid`) || name;
  const devices = listFolder(`${root}/devices`);
  page.add(info, 1, uuid, readIfAny(`${root}/label`) ?? "");
  page.add(reserve, number(`${root}/allocation/global_rsv_size`), uuid);

  const commits = readCommits(`${root}/commit_stats`);
  for (const [key, metric, divisor] of COMMITS) page.add(metric, (commits.get(key) ?? 0) / divisor, uuid);

  for (const type of ["data", "metadata", "system"]) {
    const folder = `${root}/allocation/${type}`;
    page.add(reserved, number(`${folder}/bytes_reserved`), uuid, type);
    for (const mode of listFolder(folder)) {
      const total = readIfAny(`${folder}/${mode}/total_bytes`);
      if (total === undefined) continue;
      page.add(used, number(`${folder}/${mode}/used_bytes`), uuid, type, mode);
      page.add(size, parseNumber(total), uuid, type, mode);
      page.add(ratio, allocationRatio(mode, devices.length), uuid, type, mode);
    }
  }
  for (const device of devices) {
    page.add(deviceSize, SECTOR_BYTES * number(`${root}/devices/${device}/size`), uuid, device);
  }
}

function number(path: string): number {
  const text = readIfAny(path);
  return text === undefined || text === "" ? 0 : parseNumber(text);
}

/** Kernels before 5.19 do not have the file; its values are then zero, as in node_exporter. */
function readCommits(path: string): Map<string, number> {
  try {
    return new Map(readLines(path).map((line) => [words(line)[0] ?? "", parseNumber(words(line)[1] ?? "")]));
  } catch (error) {
    if (isMissing(error)) return new Map();
    throw error;
  }
}

/** How many bytes on disk one byte takes. */
export function allocationRatio(mode: string, devices: number): number {
  switch (mode) {
    case "single":
    case "raid0":
      return 1;
    case "dup":
    case "raid1":
    case "raid10":
      return 2;
    case "raid1c3":
      return 3;
    case "raid1c4":
      return 4;
    case "raid5":
      return devices / (devices - 1);
    case "raid6":
      return devices / (devices - 2);
    default:
      return 0;
  }
}
