import { availableParallelism, release } from "node:os";
import { listIfThere, numberAt, numberOf, readIfThere } from "#kits/proc-files";

/** What cAdvisor knows of a machine: machine/machine.go and utils/sysinfo/sysinfo.go. */
export interface Machine {
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly cores: number;
  readonly physicalCores: number;
  readonly sockets: number;
  /** Bytes. */
  readonly memory: number;
  readonly swap: number;
  readonly modules: ReadonlyMap<string, { count: number; bytes: number }>;
  readonly nodes: readonly MachineNode[];
  readonly kernel: string;
  readonly operatingSystem: string;
}
export interface MachineNode {
  readonly id: number;
  readonly memory: number;
  readonly cores: readonly MachineCore[];
  readonly caches: readonly MachineCache[];
  readonly hugePages: readonly { readonly kibibytes: number; readonly count: number }[];
  readonly distances: readonly number[];
}
export interface MachineCore {
  readonly id: number;
  readonly threads: number[];
  readonly caches: MachineCache[];
}
export interface MachineCache {
  readonly id: number;
  readonly type: string;
  readonly level: number;
  readonly bytes: number;
  readonly cpus: number;
}

/** Where the host's file systems are. */
export interface HostPaths {
  /** "" for here, /rootfs in a container that has the host's root there. */
  readonly root: string;
  readonly sysfs: string;
}

export function readMachine({ root, sysfs }: HostPaths): Machine {
  const proc = (path: string) => readIfThere(`${root}/proc/${path}`) ?? "";
  const cpus = proc("cpuinfo");
  const memory = proc("meminfo");
  const nodes = readNodes(sysfs);
  const threads = nodes.reduce((sum, { cores }) => sum + cores.reduce((all, core) => all + core.threads.length, 0), 0);
  const firstOf = (...paths: string[]) => paths.map((path) => readIfThere(path)?.trim()).find((text) => text) ?? "";
  const release_ = firstOf("/etc/os-release", "/usr/lib/os-release");
  return {
    machineId: firstOf(`${root}/etc/machine-id`, "/var/lib/dbus/machine-id"),
    systemUuid: firstOf(
      `${sysfs}/class/dmi/id/product_uuid`,
      "/proc/device-tree/system-id",
      "/proc/device-tree/vm,uuid",
      "/etc/machine-id",
    ),
    bootId: proc("sys/kernel/random/boot_id").trim(),
    cores: threads || availableParallelism(),
    physicalCores: distinct(cpus, "core id") || distinctFiles(sysfs, "core_id"),
    sockets: distinct(cpus, "physical id") || distinctFiles(sysfs, "physical_package_id"),
    memory: (numberOf(memory, "MemTotal:") ?? 0) * 1024,
    swap: (numberOf(memory, "SwapTotal:") ?? 0) * 1024,
    modules: readModules(`${sysfs}/devices/system/edac/mc`),
    nodes,
    kernel: release(),
    operatingSystem: /^PRETTY_NAME=(.*)$/m.exec(release_)?.[1]?.replace(/^"+|"+$/g, "") ?? "Linux",
  };
}

/** How many values `key` has in /proc/cpuinfo. */
function distinct(text: string, key: string): number {
  const values = new Set<string>();
  for (const line of text.split("\n")) if (line.startsWith(key)) values.add(line);
  return values.size;
}

function distinctFiles(sysfs: string, file: string): number {
  const folder = `${sysfs}/bus/cpu/devices`;
  const names = listIfThere(folder) ?? [];
  const values = names.map((name) => readIfThere(`${folder}/${name}/topology/${file}`));
  return new Set(values.filter((value) => value !== undefined)).size;
}

/** Memory modules by type, as far as error correction knows them. */
function readModules(folder: string): ReadonlyMap<string, { count: number; bytes: number }> {
  const types = new Map<string, { count: number; bytes: number }>();
  for (const controller of listIfThere(folder) ?? []) {
    if (!/^mc[0-9]+$/.test(controller)) continue;
    for (const module_ of listIfThere(`${folder}/${controller}`) ?? []) {
      if (!/^dimm[0-9]+$/.test(module_)) continue;
      const type = readIfThere(`${folder}/${controller}/${module_}/dimm_mem_type`)?.trim() ?? "";
      const megabytes = numberAt(readIfThere(`${folder}/${controller}/${module_}/size`) ?? "", 0) || 0;
      const known = types.get(type) ?? { count: 0, bytes: 0 };
      types.set(type, { count: known.count + 1, bytes: known.bytes + megabytes * 2 ** 20 });
    }
  }
  return types;
}

/** NUMA nodes; packages of CPUs where the kernel knows no nodes. */
function readNodes(sysfs: string): MachineNode[] {
  const system = `${sysfs}/devices/system`;
  const nodes: MachineNode[] = [];
  for (const name of numbered(`${system}/node`, "node")) {
    const folder = `${system}/node/${name}`;
    const cores = readCores(numbered(folder, "cpu").map((cpu) => `${folder}/${cpu}`));
    const memory = /MemTotal:\s*(\d+) kB/.exec(readIfThere(`${folder}/meminfo`) ?? "")?.[1];
    nodes.push({
      id: Number(name.slice("node".length)),
      memory: Number(memory ?? 0) * 1024,
      cores,
      caches: addCaches(system, cores),
      hugePages: readHugePages(`${folder}/hugepages`),
      distances: (readIfThere(`${folder}/distance`)?.trim() ?? "").split(" ").filter(Boolean).map(Number),
    });
  }
  if (nodes.length > 0) return nodes;
  const packages = new Map<number, string[]>();
  for (const cpu of numbered(`${system}/cpu`, "cpu")) {
    const folder = `${system}/cpu/${cpu}`;
    const id = numberAt(readIfThere(`${folder}/topology/physical_package_id`) ?? "", 0);
    if (!Number.isNaN(id)) packages.set(id, [...(packages.get(id) ?? []), folder]);
  }
  for (const [id, folders] of packages) {
    const cores = readCores(folders);
    nodes.push({ id, memory: 0, cores, caches: addCaches(system, cores), hugePages: [], distances: [] });
  }
  return nodes;
}

function numbered(folder: string, prefix: string): string[] {
  return (listIfThere(folder) ?? []).filter(
    (name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)),
  );
}

/** CPUs that are off have no core. */
function readCores(folders: readonly string[]): MachineCore[] {
  const cores = new Map<string, MachineCore>();
  for (const folder of folders) {
    const id = readIfThere(`${folder}/topology/core_id`)?.trim();
    const socket = readIfThere(`${folder}/topology/physical_package_id`)?.trim();
    if (id === undefined || socket === undefined) continue;
    const key = `${socket} ${id}`;
    let core = cores.get(key);
    if (core === undefined) cores.set(key, (core = { id: Number(id), threads: [], caches: [] }));
    core.threads.push(Number(/cpu(\d+)$/.exec(folder)![1]));
  }
  return [...cores.values()];
}

/** Gives cores their caches, and returns those that all cores of a node share. */
function addCaches(system: string, cores: readonly MachineCore[]): MachineCache[] {
  const shared: MachineCache[] = [];
  for (const core of cores) {
    const perCore = core.threads.length;
    for (const cache of readCaches(`${system}/cpu/cpu${core.threads[0]}/cache`)) {
      const isSame = (each: MachineCache) =>
        each.id === cache.id && each.level === cache.level && each.type === cache.type;
      if (cache.level > 2) {
        const owner = cache.cpus === cores.length * perCore ? shared : core.caches;
        if (!owner.some(isSame)) owner.push(cache);
      } else if (cache.cpus === perCore) {
        core.caches.push(cache);
      }
    }
  }
  return shared;
}

function readCaches(folder: string): MachineCache[] {
  const caches: MachineCache[] = [];
  for (const name of numbered(folder, "index")) {
    const read = (file: string) => readIfThere(`${folder}/${name}/${file}`)?.trim() ?? "";
    const size = read("size");
    const bits = read("shared_cpu_map").replaceAll(",", "");
    let cpus = 0;
    for (const digit of bits) cpus += Number.parseInt(digit, 16).toString(2).replaceAll("0", "").length;
    caches.push({
      id: numberAt(read("id"), 0) || 0,
      type: read("type"),
      level: numberAt(read("level"), 0),
      bytes: numberAt(size, 0) * (size.endsWith("K") ? 1024 : size.endsWith("M") ? 2 ** 20 : 1),
      cpus,
    });
  }
  return caches;
}

function readHugePages(folder: string): { kibibytes: number; count: number }[] {
  return (listIfThere(folder) ?? []).map((name) => ({
    kibibytes: numberAt(name, "hugepages-".length),
    count: numberAt(readIfThere(`${folder}/${name}/nr_hugepages`) ?? "", 0) || 0,
  }));
}

/** The sizes of huge pages as files of control groups name them: `2MB`, `1GB`. */
export function hugePageSizes(sysfs: string): string[] {
  const sizes = (listIfThere(`${sysfs}/kernel/mm/hugepages`) ?? []).map((name) => numberAt(name, "hugepages-".length));
  return sizes.map((size) => {
    if (size >= 2 ** 20) return `${size / 2 ** 20}GB`;
    return size >= 1024 ? `${size / 1024}MB` : `${size}KB`;
  });
}
