import { basename } from "node:path";
import type { Logger } from "#base/log";
import { counter, gauge, type Page } from "#kits/exporter/page";
import type { Mount } from "#kits/mounts";
import { type BtrfsDevice, type BtrfsDevices, readBtrfsDevices } from "../btrfs-devices.ts";
import type { Collector, CollectorDefinition } from "../collector.ts";
import { errorCode, type HostFiles, listFolder, listMatching, parseNumber, readIfAny } from "../files.ts";
import { hostMounts } from "../host-mounts.ts";
import { openLibc } from "../libc.ts";

const info = gauge("node_btrfs_info", "Filesystem information", "uuid", "label");
const reserve = gauge("node_btrfs_global_rsv_size_bytes", "Size of global reserve.", "uuid");
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
const deviceLabels = ["uuid", "device", "btrfs_dev_uuid"];
const declareSize = (...labels: readonly string[]) =>
  gauge("node_btrfs_device_size_bytes", "Size of a device that is part of the filesystem.", ...labels);
const deviceSize = declareSize(...deviceLabels);
/** As sysfs tells it, which does not name the device's identity. */
const plainDeviceSize = declareSize("uuid", "device");
const deviceUnused = gauge(
  "node_btrfs_device_unused_bytes",
  "Unused bytes unused on a device that is part of the filesystem.",
  ...deviceLabels,
);
const deviceErrors = counter(
  "node_btrfs_device_errors_total",
  "Errors reported for the device",
  ...["uuid", "type", "device", "btrfs_dev_uuid"],
);

const SECTOR_BYTES = 512;
/** In the kernel's order (`enum btrfs_dev_stat_values`). */
const ERROR_TYPES = ["write", "read", "flush", "corruption", "generation"];

/** What sysfs says about mounted btrfs file systems, and what the kernel says of their devices where it can be asked. */
export const btrfs: CollectorDefinition = {
  name: "btrfs",
  enabledByDefault: true,
  create: ({ files, log }) => {
    const libc = openLibc();
    return createBtrfs(files, libc && ((mountPoint) => readBtrfsDevices(libc, mountPoint)), log);
  },
};

/** Asks for the devices of the file system that is mounted there; replaced in tests. */
export type AskBtrfs = (mountPoint: string) => BtrfsDevices;

export function createBtrfs(files: HostFiles, ask: AskBtrfs | undefined, log: Logger): Collector {
  return {
    collect(page) {
      const names = listMatching(files.sys("fs/btrfs"), /-/);
      if (names.length === 0) return;
      const devices = ask === undefined ? new Map<string, readonly BtrfsDevice[]>() : askAll(files, ask, log);
      for (const name of names) {
        const root = files.sys(`fs/btrfs/${name}`);
        const uuid = readIfAny(`${root}/metadata_uuid`) || name;
        collectFilesystem(page, root, uuid, devices.get(name));
      }
    },
  };
}

/** The devices of all mounted file systems, by the identity of each. */
function askAll(files: HostFiles, ask: AskBtrfs, log: Logger): Map<string, readonly BtrfsDevice[]> {
  const found = new Map<string, readonly BtrfsDevice[]>();
  const asked = new Set<string>();
  for (const { type, device, mountPoint } of mountsIfAny(files)) {
    if (type !== "btrfs" || asked.has(device)) continue;
    try {
      const { filesystem, devices } = ask(files.root(mountPoint));
      found.set(filesystem, devices);
      asked.add(device);
    } catch (error) {
      // Another mount of the same file system may be open to the agent's user; without any, sysfs has the sizes.
      if (errorCode(error) === undefined) throw error;
      log.debug("cannot ask a btrfs file system for its devices", { mountPoint, error });
    }
  }
  return found;
}

/** None where the agent's user may not see mounts: sysfs has the sizes of the devices. */
function mountsIfAny(files: HostFiles): readonly Mount[] {
  try {
    return hostMounts(files);
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return [];
  }
}

function collectFilesystem(page: Page, root: string, uuid: string, asked: readonly BtrfsDevice[] | undefined): void {
  const devices = listFolder(`${root}/devices`);
  page.add(info, 1, uuid, readIfAny(`${root}/label`) ?? "");
  page.add(reserve, number(`${root}/allocation/global_rsv_size`), uuid);

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
  if (asked === undefined) {
    for (const device of devices) {
      page.add(plainDeviceSize, SECTOR_BYTES * number(`${root}/devices/${device}/size`), uuid, device);
    }
    return;
  }
  for (const { path, uuid: deviceUuid, totalBytes, usedBytes, errors } of asked) {
    const device = basename(path);
    page.add(deviceSize, totalBytes, uuid, device, deviceUuid);
    page.add(deviceUnused, totalBytes - usedBytes, uuid, device, deviceUuid);
    for (const [i, type] of ERROR_TYPES.entries()) page.add(deviceErrors, errors[i]!, uuid, type, device, deviceUuid);
  }
}

function number(path: string): number {
  const text = readIfAny(path);
  return text === undefined || text === "" ? 0 : parseNumber(text);
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
