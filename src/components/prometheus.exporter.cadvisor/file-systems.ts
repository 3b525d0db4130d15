import { statSync } from "node:fs";
import { type Mount, type MountUsage, type MountUsages, parseMount } from "#kits/mounts";
import { listIfThere, numberAt, readIfThere } from "#kits/proc-files";

/** One of the machine's file systems, by the name of its device: cAdvisor's fs/fs.go. */
export interface FileSystem {
  readonly device: string;
  readonly mountPoint: string;
  readonly type: string;
  readonly major: number;
  readonly minor: number;
}

/** The figures of a device in /proc/diskstats, in the order of its columns, from reads completed on. */
export type DeviceFigures = readonly number[];

export const FIGURE = {
  reads: 0,
  readsMerged: 1,
  sectorsRead: 2,
  readMs: 3,
  writes: 4,
  writesMerged: 5,
  sectorsWritten: 6,
  writeMs: 7,
  inProgress: 8,
  ioMs: 9,
  weightedMs: 10,
} as const;
const FIGURES = 11;

export interface FileSystemReading {
  readonly fileSystem: FileSystem;
  readonly usage: Extract<MountUsage, { size: number }>;
  /** Undefined for a file system on no disk. */
  readonly figures: DeviceFigures | undefined;
}

const TYPES: ReadonlySet<string> = new Set(["btrfs", "overlay", "tmpfs", "xfs", "zfs"]);

/** The file systems among the mounts, each device once but tmpfs, which has no device. */
export function findFileSystems(mounts: readonly Mount[]): FileSystem[] {
  const found = new Map<string, FileSystem>();
  for (const { device, mountPoint, type, major, minor } of mounts) {
    const isRoot = mountPoint === "/";
    if (!isRoot && !type.startsWith("ext") && !type.startsWith("nfs") && !TYPES.has(type)) continue;
    const name = type === "tmpfs" ? mountPoint : type === "overlay" ? `${device}_${major}-${minor}` : device;
    if (found.has(name) && type !== "tmpfs" && !isRoot) continue;
    found.set(name, { device: name, mountPoint, type, major: Number(major), minor: Number(minor) });
  }
  return [...found.values()];
}

/** Reads the machine's file systems and disks. */
export class FileSystems {
  readonly #procfs: string;
  readonly #sysfs: string;
  readonly #usages: MountUsages;
  #fileSystems: readonly FileSystem[] = [];
  /** Names of devices by `MAJOR:MINOR`. */
  #disks: ReadonlyMap<string, string> = new Map();

  constructor(procfs: string, sysfs: string, usages: MountUsages) {
    this.#procfs = procfs;
    this.#sysfs = sysfs;
    this.#usages = usages;
  }

  /** Looks which file systems and disks there are. */
  refresh(): void {
    const lines = (readIfThere(`${this.#procfs}/self/mountinfo`) ?? "").split("\n");
    this.#fileSystems = findFileSystems(lines.filter((line) => line !== "").map(parseMount));
    const disks = new Map<string, string>();
    for (const name of listIfThere(`${this.#sysfs}/block`) ?? []) {
      if (/^(loop|ram|sr)/.test(name)) continue;
      const numbers = readIfThere(`${this.#sysfs}/block/${name}/dev`)?.trim();
      if (numbers !== undefined) disks.set(numbers, `/dev/${name}`);
    }
    this.#disks = disks;
  }

  /** The name of a device; empty for one that is not known. */
  deviceName(major: number, minor: number): string {
    const byNumbers = (each: FileSystem) => each.major === major && each.minor === minor;
    return this.#disks.get(`${major}:${minor}`) ?? this.#fileSystems.find(byNumbers)?.device ?? "";
  }

  /** The file system that a folder is on; undefined for one that is not there. */
  holding(folder: string): FileSystem | undefined {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const major = (stat.dev >> 8) & 0xfff;
    const minor = (stat.dev & 0xff) | ((stat.dev >> 12) & 0xfff00);
    return this.#fileSystems.find((each) => each.major === major && each.minor === minor);
  }

  /** All file systems that answer, with what is known of their disks. */
  async read(): Promise<FileSystemReading[]> {
    const figures = this.readFigures();
    const readings: FileSystemReading[] = [];
    for (const [fileSystem, usage] of await this.#usages.ask(this.#fileSystems)) {
      if ("error" in usage) continue;
      readings.push({ fileSystem, usage, figures: figures.get(`${fileSystem.major}:${fileSystem.minor}`) });
    }
    return readings;
  }

  /** By `MAJOR:MINOR`. */
  readFigures(): ReadonlyMap<string, DeviceFigures> {
    const devices = new Map<string, DeviceFigures>();
    for (const line of (readIfThere(`${this.#procfs}/diskstats`) ?? "").split("\n")) {
      const columns = line.split(" ").filter((column) => column !== "");
      if (columns.length < 3 + FIGURES || /^(loop|ram|sr|zram)/.test(columns[2]!)) continue;
      const figures = columns.slice(3, 3 + FIGURES).map((column) => numberAt(column, 0));
      devices.set(`${columns[0]}:${columns[1]}`, figures);
    }
    return devices;
  }
}
