import { gauge, memoize, type Page, untyped } from "#kits/exporter/page";
import { type CollectorDefinition, NoDataError } from "../collector.ts";
import { exists, listMatching, parseNumber, readLines, readText, words } from "../files.ts";

/** Files of spl/kstat/zfs and the subsystems that they are reported under. */
const FILES = [
  ["abdstats", "zfs_abd"],
  ["arcstats", "zfs_arc"],
  ["dbufstats", "zfs_dbuf"],
  ["dmu_tx", "zfs_dmu_tx"],
  ["dnodestats", "zfs_dnode"],
  ["fm", "zfs_fm"],
  ["vdev_cache_stats", "zfs_vdev_cache"],
  ["vdev_mirror_stats", "zfs_vdev_mirror"],
  ["xuio_stats", "zfs_xuio"],
  ["zfetchstats", "zfs_zfetch"],
  ["zil", "zfs_zil"],
] as const;

const STATES = ["online", "degraded", "faulted", "offline", "removed", "unavail", "suspended"];
const poolState = gauge("node_zfs_zpool_state", "kstat.zfs.misc.state", "zpool", "state");

/** `kstat.zfs.misc.FILE.FIELD` under a subsystem. */
const declare = (subsystem: string, file: string, ...labels: string[]) =>
  memoize((field) =>
    untyped(`node_${subsystem}_${field.replaceAll("-", "_")}`, `kstat.zfs.misc.${file}.${field}`, ...labels),
  );
const declareStatistic = new Map(FILES.map(([file, subsystem]) => [file, declare(subsystem, file)]));
const declarePool = declare("zfs_zpool", "io", "zpool");
const declareDataset = declare("zfs_zpool_dataset", "objset", "zpool", "dataset");

/** Types of kstat data; the others are strings and times. */
const INT64 = "3";
const UINT64 = "4";

export const zfs: CollectorDefinition = {
  name: "zfs",
  enabledByDefault: true,
  create({ files }) {
    return {
      collect(page) {
        const root = files.proc("spl/kstat/zfs");
        if (!exists(root)) throw new NoDataError("ZFS is not loaded");
        for (const [file] of FILES) {
          if (!exists(`${root}/${file}`)) continue;
          for (const [field, type, value] of readKstat(`${root}/${file}`)) {
            if (type === INT64 || type === UINT64) page.add(declareStatistic.get(file)!(field), parseNumber(value));
          }
        }
        for (const pool of listMatching(root, /./)) collectPool(page, `${root}/${pool}`, pool);
      },
    };
  },
};

function collectPool(page: Page, folder: string, pool: string): void {
  // The entries that are files are not pools.
  if (exists(`${folder}/io`)) {
    const lines = readLines(`${folder}/io`).map(words);
    const header = lines.findIndex((line) => line[0] === "nread" && line.length >= 12);
    for (const line of header < 0 ? [] : lines.slice(header + 1)) {
      for (const [i, field] of lines[header]!.entries()) {
        page.add(declarePool(field), parseNumber(line[i] ?? ""), pool);
      }
    }
  }
  if (!exists(`${folder}/state`)) return;
  for (const file of listMatching(folder, /^objset-/)) {
    let dataset = "";
    for (const [field, type, value] of readKstat(`${folder}/${file}`)) {
      if (field === "dataset_name") dataset = value;
      else if (type === UINT64) page.add(declareDataset(field), parseNumber(value), pool, dataset);
    }
  }
  const current = readText(`${folder}/state`).trim().toLowerCase();
  for (const state of STATES) page.add(poolState, state === current ? 1 : 0, pool, state);
}

/** Rows behind the heading `name type data`. A value may hold spaces. */
function readKstat(path: string): [field: string, type: string, value: string][] {
  const lines = readLines(path);
  const header = lines.findIndex((line) => /^name\s+type\s+data\s*$/.test(line));
  if (header < 0) throw new Error(`${path} has no line "name type data"`);
  const rows: [string, string, string][] = [];
  for (const line of lines.slice(header + 1)) {
    const match = /^(\S+)\s+(\S+)\s+(.+?)\s*$/.exec(line);
    if (match !== null) rows.push([match[1]!, match[2]!, match[3]!]);
  }
  return rows;
}
