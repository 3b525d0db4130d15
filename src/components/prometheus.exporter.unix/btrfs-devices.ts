import { closeSync, openSync } from "node:fs";
import { errorCode } from "./files.ts";
import type { Libc } from "./libc.ts";
import { attributeText } from "./netlink.ts";

export interface BtrfsDevice {
  readonly path: string;
  readonly uuid: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
  /** Counts of errors of writing, reading, flushing, of corruptions and of generations. */
  readonly errors: readonly number[];
}

export interface BtrfsDevices {
  /** The identity of the file system, by which sysfs calls it. */
  readonly filesystem: string;
  readonly devices: readonly BtrfsDevice[];
}

const FS_INFO_BYTES = 1024;
const DEVICE_INFO_BYTES = 4096;
const DEVICE_STATISTICS_BYTES = 1032;
const PATH_AT = 3072;
const ERROR_COUNTS = 5;

/** The number of an ioctl of btrfs (`linux/btrfs.h`): direction, size of its struct, btrfs's letter, number. */
const request = (direction: bigint, size: number, number: number) =>
  (direction << 30n) | (BigInt(size) << 16n) | (0x94n << 8n) | BigInt(number);
const READ = 2n;
const READ_WRITE = 3n;
const FS_INFO = request(READ, FS_INFO_BYTES, 31);
const DEVICE_INFO = request(READ_WRITE, DEVICE_INFO_BYTES, 30);
const DEVICE_STATISTICS = request(READ_WRITE, DEVICE_STATISTICS_BYTES, 52);

/** Throws an error with a code where the user may not open the mount point. */
export function readBtrfsDevices(libc: Libc, mountPoint: string): BtrfsDevices {
  const folder = openSync(mountPoint, "r");
  try {
    const ask = (number: bigint, struct: Buffer) =>
      libc.check(libc.functions.ioctl(folder, number, struct), `btrfs on ${mountPoint}`);
    const info = Buffer.alloc(FS_INFO_BYTES);
    ask(FS_INFO, info);
    const maxId = info.readBigUInt64LE(0);
    const count = Number(info.readBigUInt64LE(8));
    const devices: BtrfsDevice[] = [];
    // Devices that were taken out leave gaps between the numbers.
    for (let id = 0n; id <= maxId && devices.length < count; id++) {
      const device = Buffer.alloc(DEVICE_INFO_BYTES);
      device.writeBigUInt64LE(id);
      try {
        ask(DEVICE_INFO, device);
      } catch (error) {
        if (errorCode(error) === "ENODEV") continue;
        throw error;
      }
      const statistics = Buffer.alloc(DEVICE_STATISTICS_BYTES);
      statistics.writeBigUInt64LE(id);
      statistics.writeBigUInt64LE(BigInt(ERROR_COUNTS), 8);
      ask(DEVICE_STATISTICS, statistics);
      devices.push({
        path: attributeText(device.subarray(PATH_AT)),
        uuid: identity(device, 8),
        usedBytes: Number(device.readBigUInt64LE(24)),
        totalBytes: Number(device.readBigUInt64LE(32)),
        errors: Array.from({ length: ERROR_COUNTS }, (_, i) => Number(statistics.readBigUInt64LE(24 + 8 * i))),
      });
    }
    return { filesystem: identity(info, 16), devices };
  } finally {
    closeSync(folder);
  }
}

/** Sixteen bytes, as identities are written. */
function identity(struct: Buffer, at: number): string {
  return struct.toString("hex", at, at + 16).replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
