import { setImmediate } from "node:timers/promises";
import { counter, gauge, type Metric } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { readIfAny, readLines, words } from "../files.ts";
import { NameFilter } from "../filter.ts";

const SECTOR_BYTES = 512;
const MS = 1 / 1000;
const total = (name: string, help: string) => counter(`node_disk_${name}`, help, "device");

/** The columns of /proc/diskstats behind the name of the device; older kernels have fewer. */
const COLUMNS: readonly (readonly [metric: Metric, scale: number])[] = [
  [total("reads_completed_total", "The total number of reads completed successfully."), 1],
  [total("reads_merged_total", "The total number of reads merged."), 1],
  [total("read_bytes_total", "The total number of bytes read successfully."), SECTOR_BYTES],
  [total("read_time_seconds_total", "The total number of seconds spent by all reads."), MS],
  [total("writes_completed_total", "The total number of writes completed successfully."), 1],
  [total("writes_merged_total", "The number of writes merged."), 1],
  [total("written_bytes_total", "The total number of bytes written successfully."), SECTOR_BYTES],
  [total("write_time_seconds_total", "This is the total number of seconds spent by all writes."), MS],
  [gauge("node_disk_io_now", "The number of I/Os currently in progress.", "device"), 1],
  [total("io_time_seconds_total", "Total seconds spent doing I/Os."), MS],
  [total("io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os."), MS],
  [total("discards_completed_total", "The total number of discards completed successfully."), 1],
  [total("discards_merged_total", "The total number of discards merged."), 1],
  [total("discarded_sectors_total", "The total number of sectors discarded successfully."), 1],
  [total("discard_time_seconds_total", "This is the total number of seconds spent by all discards."), MS],
  [total("flush_requests_total", "The total number of flush requests completed successfully"), 1],
  [total("flush_requests_time_seconds_total", "This is the total number of seconds spent by all flush requests."), MS],
];
const info = gauge(
  "node_disk_info",
  "Info of /sys/block/<block_device>.",
  ...["device", "major", "minor", "path", "wwn", "model", "serial", "revision"],
);
const filesystemInfo = gauge(
  "node_disk_filesystem_info",
  "Info about disk filesystem.",
  ...["device", "type", "usage", "uuid", "version"],
);
const deviceMapperInfo = gauge(
  "node_disk_device_mapper_info",
  "Info about disk device mapper.",
  ...["device", "name", "uuid", "vg_name", "lv_name", "lv_layer"],
);
const ATA = [
  ["ID_ATA_WRITE_CACHE", gauge("node_disk_ata_write_cache", "ATA disk has a write cache.", "device")],
  [
    "ID_ATA_WRITE_CACHE_ENABLED",
    gauge("node_disk_ata_write_cache_enabled", "ATA disk has its write cache enabled.", "device"),
  ],
  [
    "ID_ATA_ROTATION_RATE_RPM",
    gauge("node_disk_ata_rotation_rate_rpm", "ATA disk rotation rate in RPMs (0 for SSDs).", "device"),
  ],
] as const;

/** Disks looked at before others get their turn. */
const SLICE = 64;

export const diskstats: CollectorDefinition = {
  name: "diskstats",
  enabledByDefault: true,
  create({ args, files }) {
    const { device_include, device_exclude } = args.disk;
    // Unlike elsewhere, a list of what to include replaces the one of what to exclude, which has a default.
    const filter =
      device_include.source === "" ? new NameFilter(device_exclude) : new NameFilter(undefined, device_include);
    return {
      async collect(page) {
        for (const [i, line] of readLines(files.proc("diskstats")).entries()) {
          if (i % SLICE === SLICE - 1) await setImmediate();
          const [major, minor, device, ...values] = words(line);
          if (device === undefined) throw new Error(`unexpected line in ${files.proc("diskstats")}: ${line}`);
          if (filter.ignores(device)) continue;
          const udev = parseUdev(readIfAny(files.udev(`b${major}:${minor}`)) ?? "");
          const get = (name: string) => udev.get(name) ?? "";
          const serial = get("SCSI_IDENT_SERIAL") || get("ID_SERIAL_SHORT");
          const identity = [get("ID_PATH"), get("ID_WWN"), get("ID_MODEL"), serial, get("ID_REVISION")];
          page.add(info, 1, device, major!, minor!, ...identity);
          for (let i = 0; i < COLUMNS.length && i < values.length; i++) {
            const [metric, scale] = COLUMNS[i]!;
            page.add(metric, Number(values[i]) * scale, device);
          }
          if (get("ID_FS_TYPE") !== "") {
            const labels = ["ID_FS_TYPE", "ID_FS_USAGE", "ID_FS_UUID", "ID_FS_VERSION"].map(get);
            page.add(filesystemInfo, 1, device, ...labels);
          }
          if (get("DM_NAME") !== "") {
            const labels = ["DM_NAME", "DM_UUID", "DM_VG_NAME", "DM_LV_NAME", "DM_LV_LAYER"].map(get);
            page.add(deviceMapperInfo, 1, device, ...labels);
          }
          if (get("ID_ATA") === "") continue;
          for (const [property, metric] of ATA) {
            const value = Number.parseFloat(get(property));
            if (!Number.isNaN(value)) page.add(metric, value, device);
          }
        }
      },
    };
  },
};

/** The properties (`E:NAME=value`) of a file of udev's database. */
function parseUdev(text: string): Map<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split("\n")) {
    const equals = line.indexOf("=");
    if (line.startsWith("E:") && equals > 0) properties.set(line.slice(2, equals), line.slice(equals + 1));
  }
  return properties;
}
