import { listIfThere, numberAt, numberOf, readIfThere } from "#kits/proc-files";
import { readIoStat } from "./disk-counts.ts";
import type { Kinds } from "./kinds.ts";
import {
  type CgroupPaths,
  type CgroupReader,
  newSpec,
  type Pressure,
  type Spec,
  type Stats,
  UNLIMITED,
} from "./stats.ts";

/** Nanoseconds in a microsecond. */
const US_NS = 1_000;

/** Version 2 of control groups: libcontainer's fs2/, and cAdvisor's container/libcontainer/handler.go. */
export class CgroupV2 implements CgroupReader {
  readonly #kinds: Kinds;
  readonly #hugePageSizes: readonly string[];
  readonly #memoryInfo: string;
  /** Files of a group below the root that the kernel has; undefined until there is such a group. */
  #files: ReadonlySet<string> | undefined;

  /** `memoryInfo` is the path of /proc/meminfo. */
  constructor(kinds: Kinds, hugePageSizes: readonly string[], memoryInfo: string) {
    this.#kinds = kinds;
    this.#hugePageSizes = hugePageSizes;
    this.#memoryInfo = memoryInfo;
  }

  refresh(): void {}

  readStats(paths: CgroupPaths, isRoot: boolean, _: boolean, stats: Stats): void {
    const folder = paths.get("");
    if (folder === undefined) return;
    const cpu = readIfThere(`${folder}/cpu.stat`) ?? "";
    stats.cpuTotal = (numberOf(cpu, "usage_usec ") ?? 0) * US_NS;
    stats.cpuUser = (numberOf(cpu, "user_usec ") ?? 0) * US_NS;
    stats.cpuSystem = (numberOf(cpu, "system_usec ") ?? 0) * US_NS;
    stats.throttlePeriods = numberOf(cpu, "nr_periods ") ?? 0;
    stats.throttledPeriods = numberOf(cpu, "nr_throttled ") ?? 0;
    stats.throttledTime = (numberOf(cpu, "throttled_usec ") ?? 0) * US_NS;
    this.#readMemory(folder, isRoot, stats);
    if (this.#kinds.has("diskIO")) readIoStat(readIfThere(`${folder}/io.stat`) ?? "", stats);
    if (this.#kinds.has("pressure")) {
      readPressure(`${folder}/cpu.pressure`, stats.cpuPressure);
      readPressure(`${folder}/memory.pressure`, stats.memoryPressure);
      readPressure(`${folder}/io.pressure`, stats.ioPressure);
    }
    if (this.#kinds.has("process")) readThreads(folder, stats);
    if (this.#kinds.has("hugetlb")) this.#readHugePages(folder, stats);
  }

  readSpec(paths: CgroupPaths): Spec {
    const spec = newSpec();
    const folder = paths.get("");
    if (folder === undefined) return spec;
    spec.hasCpu = true;
    const weight = limitOf(readIfThere(`${folder}/cpu.weight`));
    // From 1…10000 to the 2…262144 of shares.
    if (weight >= 1 && weight <= 10_000) spec.cpuShares = 2 + Math.floor(((weight - 1) * 262_142) / 9_999);
    const maximum = readIfThere(`${folder}/cpu.max`);
    if (maximum !== undefined) {
      if (!maximum.startsWith("max")) spec.cpuQuota = numberAt(maximum, 0);
      spec.cpuPeriod = limitOf(maximum.slice(maximum.indexOf(" ") + 1));
    }
    const memory = readIfThere(`${folder}/memory.max`);
    if (memory !== undefined) {
      spec.hasMemory = true;
      spec.memoryLimit = limitOf(memory);
      spec.swapLimit = limitOf(readIfThere(`${folder}/memory.swap.max`));
      spec.memoryReservation = limitOf(readIfThere(`${folder}/memory.min`));
    }
    return spec;
  }

  processFolder(paths: CgroupPaths): string | undefined {
    return paths.get("");
  }

  #readMemory(folder: string, isRoot: boolean, stats: Stats): void {
    const stat = readIfThere(`${folder}/memory.stat`);
    if (stat === undefined) return;
    stats.cache = numberOf(stat, "file ") ?? 0;
    stats.rss = numberOf(stat, "anon ") ?? 0;
    stats.mappedFile = numberOf(stat, "file_mapped ") ?? 0;
    stats.pageFaults = numberOf(stat, "pgfault ") ?? 0;
    stats.majorPageFaults = numberOf(stat, "pgmajfault ") ?? 0;
    stats.activeFile = numberOf(stat, "active_file ") ?? 0;
    stats.inactiveFile = numberOf(stat, "inactive_file ") ?? 0;
    if (isRoot) {
      // The root has no memory.current.
      stats.memoryUsage = stats.rss + stats.cache;
      const info = readIfThere(this.#memoryInfo) ?? "";
      stats.swap = ((numberOf(info, "SwapTotal:") ?? 0) - (numberOf(info, "SwapFree:") ?? 0)) * 1024;
    } else {
      this.#files ??= new Set(listIfThere(folder));
      stats.memoryUsage = limitOf(readIfThere(`${folder}/memory.current`));
      if (this.#files.has("memory.peak")) stats.memoryMaximum = limitOf(readIfThere(`${folder}/memory.peak`));
      if (this.#files.has("memory.swap.current")) stats.swap = limitOf(readIfThere(`${folder}/memory.swap.current`));
      if (this.#kinds.has("oom_event")) {
        // What was killed in the group itself, as the kernel's log names it, and not below it.
        const file = this.#files.has("memory.events.local") ? "memory.events.local" : "memory.events";
        stats.oomKills = numberOf(readIfThere(`${folder}/${file}`) ?? "", "oom_kill ") ?? 0;
      }
    }
    stats.workingSet = Math.max(0, stats.memoryUsage - stats.inactiveFile);
  }

  #readHugePages(folder: string, stats: Stats): void {
    for (const size of this.#hugePageSizes) {
      const usage =
        readIfThere(`${folder}/hugetlb.${size}.rsvd.current`) ?? readIfThere(`${folder}/hugetlb.${size}.current`);
      if (usage === undefined) continue;
      const failures = numberOf(readIfThere(`${folder}/hugetlb.${size}.events`) ?? "", "max ") ?? 0;
      stats.hugePages.push({ size, usage: limitOf(usage), maximum: 0, failures });
    }
  }
}

/** Microseconds behind `total=` in the lines that begin with `some` and `full`. */
export function readPressure(path: string, into: Pressure): void {
  const text = readIfThere(path);
  if (text === undefined) return;
  for (const kind of ["some", "full"] as const) {
    const line = text.startsWith(kind) ? 0 : text.indexOf(`\n${kind}`);
    const total = line < 0 ? -1 : text.indexOf("total=", line);
    if (total >= 0) into[kind] = numberAt(text, total + "total=".length);
  }
}

function readThreads(folder: string, stats: Stats): void {
  const current = readIfThere(`${folder}/pids.current`);
  if (current === undefined) {
    // The controller is off here: the processes of the group itself are counted.
    const processes = readIfThere(`${folder}/cgroup.procs`) ?? readIfThere(`${folder}/cgroup.threads`) ?? "";
    stats.threads = processes.split("\n").length - 1;
    return;
  }
  stats.threads = numberAt(current, 0);
  const maximum = limitOf(readIfThere(`${folder}/pids.max`));
  stats.threadsMaximum = maximum === UNLIMITED ? 0 : maximum;
}

/** A number or `max`; 0 where there is none. */
function limitOf(text: string | undefined): number {
  if (text === undefined) return 0;
  if (text.startsWith("max")) return UNLIMITED;
  return numberAt(text, 0) || 0;
}
