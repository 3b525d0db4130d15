import { listIfThere, numberAt, numberOf, readIfThere } from "#kits/proc-files";
import { BlkioTables } from "./disk-counts.ts";
import type { Kinds } from "./kinds.ts";
import {
  type CgroupPaths,
  type CgroupReader,
  type NodePages,
  newSpec,
  type Spec,
  type Stats,
  UNLIMITED,
} from "./stats.ts";

/** Nanoseconds in a tick of the clock. */
const TICK_NS = 10_000_000;

/** Which kinds of metrics want a controller; others are not looked at: container/libcontainer/helpers.go. */
const CONTROLLERS: ReadonlyMap<string, Parameters<Kinds["has"]>[0] | undefined> = new Map([
  ["cpu", "cpu"],
  ["cpuacct", "cpu"],
  ["memory", "memory"],
  ["hugetlb", "hugetlb"],
  ["pids", "process"],
  ["cpuset", "cpuset"],
  ["blkio", "diskIO"],
  ["devices", undefined],
  ["perf_event", "perf_event"],
] as const);

export function controllersFor(folders: ReadonlyMap<string, string>, kinds: Kinds): ReadonlyMap<string, string> {
  const wanted = [...folders].filter(([controller]) => {
    if (!CONTROLLERS.has(controller)) return false;
    const kind = CONTROLLERS.get(controller);
    return kind === undefined || kinds.has(kind);
  });
  return new Map(wanted);
}

/** Version 1 of control groups: libcontainer's fs/, and cAdvisor's container/libcontainer/handler.go. */
export class CgroupV1 implements CgroupReader {
  readonly #kinds: Kinds;
  readonly #hugePageSizes: readonly string[];
  readonly #blkio: BlkioTables | undefined;
  /** Whether groups count what is below them; all do since Linux 5.11. */
  readonly #isHierarchical: boolean;
  /** Files that the kernel does not have in any group. */
  readonly #absent = new Set<string>();

  constructor(folders: ReadonlyMap<string, string>, kinds: Kinds, hugePageSizes: readonly string[]) {
    this.#kinds = kinds;
    this.#hugePageSizes = hugePageSizes;
    const blkio = folders.get("blkio");
    this.#blkio = blkio === undefined || !kinds.has("diskIO") ? undefined : new BlkioTables(blkio);
    const memory = folders.get("memory");
    const files = new Set(memory === undefined ? [] : listIfThere(memory));
    this.#isHierarchical = memory === undefined || numberOr(readIfThere(`${memory}/memory.use_hierarchy`), 1) === 1;
    for (const file of ["memory.memsw.limit_in_bytes", "memory.kmem.usage_in_bytes"]) {
      if (!files.has(file)) this.#absent.add(file);
    }
  }

  refresh(): void {
    this.#blkio?.refresh();
  }

  readStats(paths: CgroupPaths, isRoot: boolean, hasQuota: boolean, stats: Stats): void {
    this.#readCpu(paths, hasQuota, stats);
    this.#readMemory(paths, stats);
    const blkio = paths.get("blkio");
    if (blkio !== undefined) this.#blkio?.read(blkio, stats);
    // The root has no pids.current.
    const pids = isRoot ? undefined : paths.get("pids");
    if (pids !== undefined) {
      stats.threads = number(pids, "pids.current");
      const maximum = readIfThere(`${pids}/pids.max`);
      stats.threadsMaximum = maximum === undefined || maximum.startsWith("max") ? 0 : numberAt(maximum, 0);
    }
    const cpuset = paths.get("cpuset");
    if (cpuset !== undefined) stats.memoryMigrate = number(cpuset, "cpuset.memory_migrate");
    const hugetlb = paths.get("hugetlb");
    if (hugetlb !== undefined) this.#readHugePages(hugetlb, stats);
  }

  readSpec(paths: CgroupPaths): Spec {
    const spec = newSpec();
    const cpu = paths.get("cpu");
    if (cpu !== undefined) {
      spec.hasCpu = true;
      spec.cpuShares = number(cpu, "cpu.shares");
      spec.cpuPeriod = number(cpu, "cpu.cfs_period_us");
      spec.cpuQuota = numberOr(readIfThere(`${cpu}/cpu.cfs_quota_us`), 0);
    }
    if (paths.has("cpuset")) spec.hasCpu = true;
    const memory = paths.get("memory");
    if (memory !== undefined) {
      spec.hasMemory = true;
      spec.memoryLimit = number(memory, "memory.limit_in_bytes");
      spec.swapLimit = this.#has("memory.memsw.limit_in_bytes") ? number(memory, "memory.memsw.limit_in_bytes") : 0;
      spec.memoryReservation = number(memory, "memory.soft_limit_in_bytes");
    }
    return spec;
  }

  processFolder(paths: CgroupPaths): string | undefined {
    return paths.get("cpu");
  }

  #has(file: string): boolean {
    return !this.#absent.has(file);
  }

  #readCpu(paths: CgroupPaths, hasQuota: boolean, stats: Stats): void {
    const account = paths.get("cpuacct");
    if (account !== undefined) {
      const stat = readIfThere(`${account}/cpuacct.stat`) ?? "";
      stats.cpuUser = (numberOf(stat, "user ") ?? 0) * TICK_NS;
      stats.cpuSystem = (numberOf(stat, "system ") ?? 0) * TICK_NS;
      if (this.#kinds.has("percpu")) {
        const each = readIfThere(`${account}/cpuacct.usage_percpu`)?.trim() ?? "";
        if (each !== "") for (const value of each.split(" ")) stats.cpuEach.push(numberAt(value, 0));
      }
      if (stats.cpuEach.length === 0) stats.cpuTotal = number(account, "cpuacct.usage");
    }
    const cpu = hasQuota ? paths.get("cpu") : undefined;
    if (cpu === undefined) return;
    const stat = readIfThere(`${cpu}/cpu.stat`) ?? "";
    stats.throttlePeriods = numberOf(stat, "nr_periods ") ?? 0;
    stats.throttledPeriods = numberOf(stat, "nr_throttled ") ?? 0;
    stats.throttledTime = numberOf(stat, "throttled_time ") ?? 0;
  }

  #readMemory(paths: CgroupPaths, stats: Stats): void {
    const memory = paths.get("memory");
    if (memory === undefined) return;
    const stat = readIfThere(`${memory}/memory.stat`);
    if (stat === undefined) return;
    stats.memoryUsage = number(memory, "memory.usage_in_bytes");
    stats.memoryMaximum = number(memory, "memory.max_usage_in_bytes");
    stats.memoryFailures = number(memory, "memory.failcnt");
    if (this.#has("memory.kmem.usage_in_bytes")) stats.kernelMemory = number(memory, "memory.kmem.usage_in_bytes");
    const prefix = this.#isHierarchical ? "total_" : "";
    stats.cache = numberOf(stat, `${prefix}cache `) ?? 0;
    stats.rss = numberOf(stat, `${prefix}rss `) ?? 0;
    stats.swap = numberOf(stat, `${prefix}swap `) ?? 0;
    stats.mappedFile = numberOf(stat, `${prefix}mapped_file `) ?? 0;
    stats.pageFaults = numberOf(stat, "pgfault ") ?? 0;
    stats.majorPageFaults = numberOf(stat, "pgmajfault ") ?? 0;
    stats.activeFile = numberOf(stat, "total_active_file ") ?? 0;
    stats.inactiveFile = numberOf(stat, "total_inactive_file ") ?? 0;
    stats.workingSet = Math.max(0, stats.memoryUsage - stats.inactiveFile);
    if (this.#kinds.has("oom_event")) {
      stats.oomKills = numberOf(readIfThere(`${memory}/memory.oom_control`) ?? "", "oom_kill ") ?? 0;
    }
    if (this.#kinds.has("memory_numa"))
      stats.nodePages = parseNodePages(readIfThere(`${memory}/memory.numa_stat`) ?? "");
  }

  #readHugePages(folder: string, stats: Stats): void {
    for (const size of this.#hugePageSizes) {
      const reserved = readIfThere(`${folder}/hugetlb.${size}.rsvd.usage_in_bytes`) !== undefined;
      const prefix = `hugetlb.${size}${reserved ? ".rsvd" : ""}`;
      stats.hugePages.push({
        size,
        usage: number(folder, `${prefix}.usage_in_bytes`),
        maximum: number(folder, `${prefix}.max_usage_in_bytes`),
        failures: number(folder, `${prefix}.failcnt`),
      });
    }
  }
}

/** Lines such as `file=3 N0=1 N1=2` and `hierarchical_file=3 N0=1 N1=2`. */
export function parseNodePages(text: string): NodePages[] {
  const found: NodePages[] = [];
  for (const line of text.split("\n")) {
    const [first = "", ...nodes] = line.split(" ");
    const name = first.slice(0, first.indexOf("="));
    const type = name.replace(/^hierarchical_/, "");
    if (type !== "file" && type !== "anon" && type !== "unevictable") continue;
    const scope = type === name ? "container" : "hierarchy";
    for (const node of nodes) {
      const equals = node.indexOf("=");
      if (node.startsWith("N") && equals > 0) {
        found.push({ type, scope, node: node.slice(1, equals), pages: numberAt(node, equals + 1) });
      }
    }
  }
  return found;
}

/** The number in a file; 0 where it is not there. */
function number(folder: string, file: string): number {
  const text = readIfThere(`${folder}/${file}`);
  return text?.startsWith("max") ? UNLIMITED : numberOr(text, 0);
}

/** -1, which stands for no limit, is no number here. */
function numberOr(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? Number.NaN : numberAt(text, 0);
  return Number.isNaN(value) ? otherwise : value;
}
