import { gauge, type Page } from "#kits/exporter/page";
import type { Kinds } from "./kinds.ts";
import type { Machine } from "./machine.ts";

/** Names, help and labels as in cAdvisor's metrics/prometheus_machine.go. */

const ofMachine = (name: string, help: string, ...labels: string[]) =>
  gauge(`machine_${name}`, help, "machine_id", "system_uuid", "boot_id", ...labels);

const FIGURES = [
  [ofMachine("cpu_physical_cores", "Number of physical CPU cores."), (machine: Machine) => machine.physicalCores],
  [ofMachine("cpu_cores", "Number of logical CPU cores."), (machine: Machine) => machine.cores],
  [ofMachine("cpu_sockets", "Number of CPU sockets."), (machine: Machine) => machine.sockets],
  [ofMachine("memory_bytes", "Amount of memory installed on the machine."), (machine: Machine) => machine.memory],
  [ofMachine("swap_bytes", "Amount of swap memory available on the machine."), (machine: Machine) => machine.swap],
  // As of builds without Intel's library for non-volatile memory, which Alloy's are.
  [ofMachine("nvm_avg_power_budget_watts", "NVM power budget."), () => 0],
] as const;
const nvmCapacity = ofMachine(
  "nvm_capacity",
  "NVM capacity value labeled by NVM mode (memory mode or app direct mode).",
  "mode",
);
const moduleCount = ofMachine(
  "dimm_count",
  "Number of RAM DIMM (all types memory modules) value labeled by dimm type.",
  "type",
);
const moduleBytes = ofMachine(
  "dimm_capacity_bytes",
  "Total RAM DIMM capacity (all types memory modules) value labeled by dimm type.",
  "type",
);
const cacheBytes = ofMachine(
  "cpu_cache_capacity_bytes",
  "Cache size in bytes assigned to NUMA node and CPU core.",
  ...["node_id", "core_id", "type", "level"],
);
const siblings = ofMachine(
  "thread_siblings_count",
  "Number of CPU thread siblings.",
  ...["node_id", "core_id", "thread_id"],
);
const nodeMemory = ofMachine("node_memory_capacity_bytes", "Amount of memory assigned to NUMA node.", "node_id");
const nodeHugePages = ofMachine(
  "node_hugepages_count",
  "Numer of hugepages assigned to NUMA node.",
  ...["node_id", "page_size"],
);
const nodeDistance = ofMachine(
  "node_distance",
  "Distance between NUMA node and target NUMA node.",
  ...["node_id", "target_node_id"],
);
const scrapeError = gauge(
  "machine_scrape_error",
  "1 if there was an error while getting machine metrics, 0 otherwise.",
);

export function addMachine(page: Page, machine: Machine, kinds: Kinds): void {
  const base = [machine.machineId, machine.systemUuid, machine.bootId] as const;
  for (const [metric, read] of FIGURES) page.add(metric, read(machine), ...base);
  for (const mode of ["memory_mode", "app_direct_mode"]) page.add(nvmCapacity, 0, ...base, mode);
  for (const [type, { count, bytes }] of machine.modules) {
    page.add(moduleCount, count, ...base, type);
    page.add(moduleBytes, bytes, ...base, type);
  }
  if (kinds.has("cpu_topology")) addTopology(page, machine, base);
}

export function addMachineError(page: Page, failed: boolean): void {
  page.add(scrapeError, failed ? 1 : 0);
}

function addTopology(page: Page, machine: Machine, base: readonly string[]): void {
  for (const { id, memory, cores, caches, hugePages, distances } of machine.nodes) {
    const node = String(id);
    for (const core of cores) {
      for (const { bytes, type, level } of core.caches) {
        page.add(cacheBytes, bytes, ...base, node, String(core.id), type, String(level));
      }
      for (const thread of core.threads) {
        page.add(siblings, core.threads.length, ...base, node, String(core.id), String(thread));
      }
    }
    for (const { bytes, type, level } of caches) page.add(cacheBytes, bytes, ...base, node, "", type, String(level));
    page.add(nodeMemory, memory, ...base, node);
    for (const { kibibytes, count } of hugePages) page.add(nodeHugePages, count, ...base, node, String(kibibytes));
    for (const [i, distance] of distances.entries()) page.add(nodeDistance, distance, ...base, node, String(i));
  }
}
