import { listIfThere, numberAt, readIfThere } from "#kits/proc-files";
import type { DeviceCounts, DiskTable, Stats } from "./stats.ts";

/** Files that have their figures together, the one first that tells whether they have any. */
type Tables = readonly (readonly [file: string, table: DiskTable])[];

const BFQ: Tables = [
  ["blkio.bfq.io_serviced_recursive", "serviced"],
  ["blkio.bfq.io_service_bytes_recursive", "serviceBytes"],
];
/**
 * The tables of the blkio controller, the most telling ones first: which there are depends on the kernel's scheduler for
 * disks. The first whose first file has an entry are read: libcontainer's fs/blkio.go.
 */
const GROUPS: readonly Tables[] = [
  [
    ["blkio.bfq.sectors_recursive", "sectors"],
    ["blkio.bfq.io_service_time_recursive", "serviceTime"],
    ["blkio.bfq.io_merged_recursive", "merged"],
    ["blkio.bfq.io_queued_recursive", "queued"],
    ...BFQ,
  ],
  BFQ,
  [
    ["blkio.sectors_recursive", "sectors"],
    ["blkio.io_service_time_recursive", "serviceTime"],
    ["blkio.io_merged_recursive", "merged"],
    ["blkio.io_queued_recursive", "queued"],
    ["blkio.io_serviced_recursive", "serviced"],
    ["blkio.io_service_bytes_recursive", "serviceBytes"],
  ],
  [
    ["blkio.throttle.io_serviced_recursive", "serviced"],
    ["blkio.throttle.io_service_bytes_recursive", "serviceBytes"],
  ],
  [
    ["blkio.throttle.io_serviced", "serviced"],
    ["blkio.throttle.io_service_bytes", "serviceBytes"],
  ],
];

/** Reads the blkio controller of many control groups, and looks only for what the kernel has. */
export class BlkioTables {
  readonly #root: string;
  readonly #groups: readonly Tables[];
  #used: readonly Tables[];

  /** `root` is the folder of the root. */
  constructor(root: string) {
    const files = new Set(listIfThere(root));
    this.#root = root;
    this.#groups = GROUPS.filter(([first]) => {
      // Where nothing was counted with what is below a group, nothing was counted in it either.
      return files.has(first![0]) && !(first![0] === THROTTLE && files.has(`${THROTTLE}_recursive`));
    });
    this.#used = this.#groups;
  }

  /** Before each round: a scheduler that no disk uses has counted nothing in the root, and so nowhere. */
  refresh(): void {
    this.#used = this.#groups.filter(([first]) => {
      const [file] = first!;
      return !file.startsWith("blkio.bfq.") || parseBlkio(readIfThere(`${this.#root}/${file}`) ?? "").length > 0;
    });
  }

  read(folder: string, stats: Stats): void {
    for (const group of this.#used) {
      for (const [i, [file, table]] of group.entries()) {
        const counts = parseBlkio(readIfThere(`${folder}/${file}`) ?? "");
        if (counts.length === 0) {
          if (i === 0) break;
          return;
        }
        stats.disk[table] = counts;
        if (i === group.length - 1) return;
      }
    }
  }
}
const THROTTLE = "blkio.throttle.io_serviced";

/** Lines of `MAJOR:MINOR OPERATION VALUE`, of `MAJOR:MINOR VALUE`, and `Total VALUE`, which is left out. */
export function parseBlkio(text: string): DeviceCounts[] {
  const devices: DeviceCounts[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at) < 0 ? text.length : text.indexOf("\n", at);
    const colon = text.indexOf(":", at);
    const space = text.indexOf(" ", at);
    if (colon > 0 && space > colon && space < end) {
      const second = text.indexOf(" ", space + 1);
      const hasOperation = second > 0 && second < end;
      const operation = hasOperation ? text.slice(space + 1, second) : "Count";
      const device = deviceOf(devices, numberAt(text, at), numberAt(text, colon + 1));
      device.operations.set(operation, numberAt(text, (hasOperation ? second : space) + 1));
    }
    at = end + 1;
  }
  return devices;
}

/** Lines of `MAJOR:MINOR rbytes=… wbytes=… rios=… wios=…` of io.stat, as the tables that version 1 has for them. */
export function readIoStat(text: string, stats: Stats): void {
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const [major, minor] = [numberAt(line, 0), numberAt(line, colon + 1)];
    for (const [key, table, operation] of IO_STAT) {
      const at = line.indexOf(key);
      if (at < 0) continue;
      deviceOf(stats.disk[table], major, minor).operations.set(operation, numberAt(line, at + key.length));
    }
  }
}
const IO_STAT: readonly (readonly [key: string, table: DiskTable, operation: string])[] = [
  [" rbytes=", "serviceBytes", "Read"],
  [" wbytes=", "serviceBytes", "Write"],
  [" rios=", "serviced", "Read"],
  [" wios=", "serviced", "Write"],
];

function deviceOf(devices: DeviceCounts[], major: number, minor: number): DeviceCounts {
  // The lines of one device follow one another.
  const last = devices.at(-1);
  if (last !== undefined && last.major === major && last.minor === minor) return last;
  let device = devices.find((each) => each.major === major && each.minor === minor);
  if (device === undefined) devices.push((device = { major, minor, operations: new Map() }));
  return device;
}
