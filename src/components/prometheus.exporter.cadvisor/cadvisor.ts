import { setImmediate } from "node:timers/promises";
import type { Clock } from "#base/clock";
import type { Logger } from "#base/log";
import { errorText } from "#base/log";
import type { MetricFamily } from "#base/metrics";
import { addBuildInfo } from "#kits/exporter/build-info";
import { gauge, Page } from "#kits/exporter/page";
import { Problems } from "#kits/exporter/problems";
import type { Judgement } from "#pipeline/flow";
import type { CgroupTree } from "./cgroup-tree.ts";
import { addReading, type ContainerFileSystem, type Reading } from "./container-metrics.ts";
import type { Container, Containers } from "./containers.ts";
import type { FileSystemReading, FileSystems } from "./file-systems.ts";
import type { Kinds } from "./kinds.ts";
import { type HostPaths, type Machine, readMachine } from "./machine.ts";
import { addMachine, addMachineError } from "./machine-metrics.ts";
import { readAdvancedTcp, readInterfaces, readTcpStates, readUdp } from "./network.ts";
import { countProcesses, processesIn, referencedBytes } from "./process-counts.ts";
import { type CgroupPaths, type CgroupReader, clearStats, newStats, type Spec } from "./stats.ts";

/** Time that reading may take in one go before others get their turn. */
const SLICE_MS = 2;
/** As often as cAdvisor looks what the machine has. */
const MACHINE_MS = 5 * 60_000;
const LIMITS_MS = 60_000;
/** From here on a limit of memory is none: the kernel rounds what stands for it. */
const NO_LIMIT_BYTES = 2 ** 62;

const versionInfo = gauge(
  "cadvisor_version_info",
  "A metric with a constant '1' value labeled by kernel version, OS version, docker version, cadvisor version & cadvisor revision.",
  ...["kernelVersion", "osVersion", "dockerVersion", "cadvisorVersion", "cadvisorRevision"],
);
const scrapeError = gauge(
  "container_scrape_error",
  "1 if there was an error while getting container metrics, 0 otherwise",
);
const spec = (name: string, help: string) => gauge(`container_${name}`, help);
const startTime = spec("start_time_seconds", "Start time of the container since unix epoch in seconds.");
const cpuPeriod = spec("spec_cpu_period", "CPU period of the container.");
const cpuQuota = spec("spec_cpu_quota", "CPU quota of the container.");
const cpuShares = spec("spec_cpu_shares", "CPU share of the container.");
const memoryLimit = spec("spec_memory_limit_bytes", "Memory limit for the container.");
const swapLimit = spec("spec_memory_swap_limit_bytes", "Memory swap limit for the container.");
const reservation = spec("spec_memory_reservation_limit_bytes", "Memory reservation limit for the container.");

export interface CadvisorOptions {
  readonly kinds: Kinds;
  readonly paths: HostPaths;
  readonly tree: CgroupTree;
  readonly reader: CgroupReader;
  readonly containers: Containers;
  readonly fileSystems: FileSystems;
  readonly clock: Clock;
  readonly log: Logger;
  readonly version: string;
}

/** The page of one exporter. Figures are read when it is asked for, not before. */
export class Cadvisor {
  readonly #options: CadvisorOptions;
  readonly #stats = newStats();
  #machine: Machine | undefined;
  #machineRead = -Infinity;
  readonly #problems: Problems;
  #shown = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CadvisorOptions) {
    this.#options = options;
    this.#problems = new Problems(options.log, "control group");
  }

  /** One scrape after the other: what is known of control groups goes from one to the next. */
  collect(signal: AbortSignal): Promise<MetricFamily[]> {
    const scrape = this.#last.then(
      () => this.#collect(signal),
      () => this.#collect(signal),
    );
    this.#last = scrape;
    return scrape;
  }

  async #collect(signal: AbortSignal): Promise<MetricFamily[]> {
    const { kinds, clock, tree, reader, containers, fileSystems, version } = this.#options;
    const page = new Page();
    const machine = this.#readMachine();
    addMachine(page, machine, kinds);
    addMachineError(page, false);
    page.add(versionInfo, 1, machine.kernel, machine.operatingSystem, "", "", "");
    addBuildInfo(page, "cadvisor", version);

    const shown = await containers.update(tree.scan(), clock.monotonic(), signal);
    const readsDisks = kinds.has("disk") || kinds.has("diskIO");
    if (readsDisks) fileSystems.refresh();
    const systems = readsDisks ? await fileSystems.read() : [];
    reader.refresh();
    let sliceStart = clock.monotonic();
    for (const container of shown) {
      let problem: string | undefined;
      try {
        this.#add(page, container, machine, systems);
      } catch (error) {
        problem = errorText(error);
      }
      this.#problems.note(container.group.name, problem);
      if (clock.monotonic() - sliceStart >= SLICE_MS) {
        await setImmediate();
        sliceStart = clock.monotonic();
      }
    }
    this.#problems.sweep();
    this.#shown = shown.length;
    page.add(scrapeError, this.#problems.size > 0 ? 1 : 0);
    return page.families();
  }

  /** The flow rule about control groups that cannot be read. */
  judge(): Judgement {
    return this.#problems.judge(this.#shown);
  }

  #readMachine(): Machine {
    const { clock, paths } = this.#options;
    const now = clock.monotonic();
    if (this.#machine === undefined || now - this.#machineRead >= MACHINE_MS) {
      this.#machine = readMachine(paths);
      this.#machineRead = now;
    }
    return this.#machine;
  }

  /** Reads and writes one container, without a pause in between: all of them share one object for their figures. */
  #add(page: Page, container: Container, machine: Machine, systems: readonly FileSystemReading[]): void {
    const { kinds, reader } = this.#options;
    const { group, isRoot, labels } = container;
    const limits = this.#limits(container, machine);
    clearStats(this.#stats);
    reader.readStats(group.paths, isRoot, limits.cpuQuota !== 0, this.#stats);
    const start = Math.floor((container.details?.created ?? group.created) / 1000);
    page.addSample(startTime, { name: startTime.name, labels: labels.base, value: start });
    addSpec(page, labels.base, limits);
    addReading(page, this.#read(container, limits, systems), labels, kinds);
  }

  /** Limits hardly ever change, and are a third of all files of a group: they are read now and then. */
  #limits(container: Container, machine: Machine): Spec {
    const now = this.#options.clock.monotonic();
    if (container.limits !== undefined && now - container.limitsRead < LIMITS_MS) return container.limits;
    const limits = this.#options.reader.readSpec(container.group.paths);
    if (container.isRoot) {
      limits.hasMemory = true;
      limits.memoryLimit = machine.memory;
      limits.swapLimit = machine.swap;
    } else if (limits.hasMemory && limits.memoryLimit === 0) {
      limits.memoryLimit = machine.memory;
    }
    container.limits = limits;
    container.limitsRead = now;
    return limits;
  }

  #read(container: Container, limits: Spec, systems: readonly FileSystemReading[]): Reading {
    const { kinds, paths, reader, fileSystems } = this.#options;
    const { group, isRoot, details, runtime, id } = container;
    const procfs = `${paths.root}/proc`;
    const pid = isRoot ? 1 : (details?.pid ?? 0);
    const network = pid > 0 && (isRoot || details?.ownsNetwork === true) ? `${procfs}/${pid}` : undefined;
    const ifNetwork = <T>(kind: "tcp" | "udp" | "advtcp" | "network", read: (folder: string) => T) =>
      network !== undefined && kinds.has(kind) ? read(network) : undefined;
    const folder = reader.processFolder(group.paths);
    const countsProcesses = kinds.has("process") && folder !== undefined;
    return {
      stats: this.#stats,
      isHealthy: runtime?.isHealthy(id) ?? false,
      hasQuota: limits.cpuQuota !== 0,
      fileSystems: isRoot ? systems.map(ofMachine) : this.#fileSystemsOf(container, systems),
      interfaces: ifNetwork("network", readInterfaces) ?? [],
      tcp: ifNetwork("tcp", (at) => readTcpStates(`${at}/net/tcp`)),
      tcp6: ifNetwork("tcp", (at) => readTcpStates(`${at}/net/tcp6`)),
      udp: ifNetwork("udp", (at) => readUdp(`${at}/net/udp`)),
      udp6: ifNetwork("udp", (at) => readUdp(`${at}/net/udp6`)),
      advancedTcp: ifNetwork("advtcp", readAdvancedTcp),
      processes: countsProcesses ? countProcesses(procfs, folder, pid) : undefined,
      schedule: kinds.has("sched") ? container.schedule.update(procfs, this.#allProcesses(container)) : undefined,
      referencedBytes: kinds.has("referenced_memory") ? referencedBytes(procfs, this.#ownProcesses(container)) : 0,
      deviceName: (major, minor) => fileSystems.deviceName(major, minor),
    };
  }

  /** What a container wrote, on the file system that holds it. */
  #fileSystemsOf({ details, usage }: Container, systems: readonly FileSystemReading[]): ContainerFileSystem[] {
    if (usage === undefined || details === undefined || !this.#options.kinds.has("disk")) return [];
    const held = usage.get(this.#options.clock.monotonic());
    const device = this.#options.fileSystems.holding(details.folders[0]!)?.device;
    const system = systems.find((each) => each.fileSystem.device === device);
    if (held === undefined || system === undefined) return [];
    const { usage: whole, figures } = system;
    return [{ device: device!, limit: whole.size, usage: held.bytes, inodes: held.inodes, inodesFree: 0, figures }];
  }

  #ownProcesses({ group }: Container): number[] {
    const folder = processFolder(group.paths);
    return folder === undefined ? [] : processesIn(folder);
  }

  /** Those of the groups below as well. */
  #allProcesses({ group }: Container): number[] {
    const pids: number[] = [];
    const below = group.name === "/" ? "/" : `${group.name}/`;
    for (const [name, { paths }] of this.#options.tree.groups) {
      if (name !== group.name && !name.startsWith(below)) continue;
      const folder = processFolder(paths);
      if (folder !== undefined) pids.push(...processesIn(folder));
    }
    return pids;
  }
}

/** Where the processes of a group are listed: cAdvisor takes the devices controller, which not all groups have. */
function processFolder(paths: CgroupPaths): string | undefined {
  return paths.get("devices") ?? paths.values().next().value;
}

function ofMachine({ fileSystem, usage, figures }: FileSystemReading): ContainerFileSystem {
  return {
    device: fileSystem.device,
    limit: usage.size,
    usage: usage.size - usage.free,
    inodes: usage.files,
    inodesFree: usage.filesFree,
    figures,
  };
}

function addSpec(page: Page, labels: readonly string[], limits: Spec): void {
  const add = (metric: typeof cpuPeriod, value: number) => page.addSample(metric, { name: metric.name, labels, value });
  if (limits.hasCpu) {
    add(cpuPeriod, limits.cpuPeriod);
    if (limits.cpuQuota !== 0) add(cpuQuota, limits.cpuQuota);
    add(cpuShares, limits.cpuShares);
  }
  if (limits.hasMemory) {
    add(memoryLimit, limited(limits.memoryLimit));
    add(swapLimit, limited(limits.swapLimit));
    add(reservation, limited(limits.memoryReservation));
  }
}

function limited(bytes: number): number {
  return bytes > NO_LIMIT_BYTES ? 0 : bytes;
}
