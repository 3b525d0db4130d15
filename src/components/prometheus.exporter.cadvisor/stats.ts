/** Input and output of a device by operation (`Read`, `Write`, `Sync`, …). */
export interface DeviceCounts {
  readonly major: number;
  readonly minor: number;
  readonly operations: Map<string, number>;
}

/** The table of a file such as blkio.throttle.io_serviced; cAdvisor's names for them. */
const DISK_TABLES = ["serviceBytes", "serviced", "queued", "sectors", "serviceTime", "merged"] as const;
export type DiskTable = (typeof DISK_TABLES)[number];

export interface HugePages {
  readonly size: string;
  readonly usage: number;
  readonly maximum: number;
  readonly failures: number;
}

/** Pages of a node by kind: container and hierarchy. */
export interface NodePages {
  readonly type: "file" | "anon" | "unevictable";
  readonly scope: "container" | "hierarchy";
  readonly node: string;
  readonly pages: number;
}

/** Microseconds that tasks waited: some of them, and all of them at once. */
export interface Pressure {
  some: number;
  full: number;
}

/** What a limit says that is none. */
export const UNLIMITED = 2 ** 64;

/**
 * The figures of one control group. One object serves all of them in turn, so that a scrape of hundreds of groups makes
 * no garbage; `clearStats` comes before each.
 */
export interface Stats {
  /** Nanoseconds. */
  cpuUser: number;
  cpuSystem: number;
  cpuTotal: number;
  cpuEach: number[];
  throttlePeriods: number;
  throttledPeriods: number;
  throttledTime: number;
  memoryUsage: number;
  memoryMaximum: number;
  memoryFailures: number;
  kernelMemory: number;
  cache: number;
  rss: number;
  swap: number;
  mappedFile: number;
  pageFaults: number;
  majorPageFaults: number;
  activeFile: number;
  inactiveFile: number;
  workingSet: number;
  memoryMigrate: number;
  nodePages: NodePages[];
  hugePages: HugePages[];
  disk: Record<DiskTable, DeviceCounts[]>;
  threads: number;
  threadsMaximum: number;
  oomKills: number;
  readonly cpuPressure: Pressure;
  readonly memoryPressure: Pressure;
  readonly ioPressure: Pressure;
}

export function newStats(): Stats {
  const stats = {
    cpuPressure: { some: 0, full: 0 },
    memoryPressure: { some: 0, full: 0 },
    ioPressure: { some: 0, full: 0 },
  } as Stats;
  clearStats(stats);
  return stats;
}

export function clearStats(stats: Stats): void {
  stats.cpuUser = 0;
  stats.cpuSystem = 0;
  stats.cpuTotal = 0;
  stats.cpuEach = [];
  stats.throttlePeriods = 0;
  stats.throttledPeriods = 0;
  stats.throttledTime = 0;
  stats.memoryUsage = 0;
  stats.memoryMaximum = 0;
  stats.memoryFailures = 0;
  stats.kernelMemory = 0;
  stats.cache = 0;
  stats.rss = 0;
  stats.swap = 0;
  stats.mappedFile = 0;
  stats.pageFaults = 0;
  stats.majorPageFaults = 0;
  stats.activeFile = 0;
  stats.inactiveFile = 0;
  stats.workingSet = 0;
  stats.memoryMigrate = 0;
  stats.nodePages = [];
  stats.hugePages = [];
  stats.disk = { serviceBytes: [], serviced: [], queued: [], sectors: [], serviceTime: [], merged: [] };
  stats.threads = 0;
  stats.threadsMaximum = 0;
  stats.oomKills = 0;
  for (const pressure of [stats.cpuPressure, stats.memoryPressure, stats.ioPressure]) {
    pressure.some = 0;
    pressure.full = 0;
  }
}

/** What a control group is allowed. */
export interface Spec {
  hasCpu: boolean;
  cpuShares: number;
  /** Microseconds. */
  cpuPeriod: number;
  /** 0 for none. */
  cpuQuota: number;
  hasMemory: boolean;
  memoryLimit: number;
  swapLimit: number;
  memoryReservation: number;
}

export function newSpec(): Spec {
  return {
    hasCpu: false,
    cpuShares: 0,
    cpuPeriod: 0,
    cpuQuota: 0,
    hasMemory: false,
    memoryLimit: 0,
    swapLimit: 0,
    memoryReservation: 0,
  };
}

/** Reads control groups of one version of the kernel's interface. `paths` are a group's folders by controller. */
export interface CgroupReader {
  /** Before each round of reading. */
  refresh(): void;
  /** `hasQuota` as its specification says: without one nothing is throttled. */
  readStats(paths: CgroupPaths, isRoot: boolean, hasQuota: boolean, stats: Stats): void;
  readSpec(paths: CgroupPaths): Spec;
  /** The folder whose `cgroup.procs` lists a group's processes. */
  processFolder(paths: CgroupPaths): string | undefined;
}

/** By controller; version 2 has one folder, under "". */
export type CgroupPaths = ReadonlyMap<string, string>;
