import type { Regex } from "#base/regex";
import { counter, gauge, type Page } from "#kits/exporter/page";
import type { Collector, CollectorDefinition, CollectorOptions } from "../collector.ts";
import { exists, listMatching, parseRanges, readIfAny, readNumberIfAny, readText, words } from "../files.ts";

const seconds = counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", "cpu", "mode");
const guestSeconds = counter(
  "node_cpu_guest_seconds_total",
  "Seconds the CPUs spent in guests (VMs) for each mode.",
  "cpu",
  "mode",
);
const info = gauge(
  "node_cpu_info",
  "CPU information from /proc/cpuinfo.",
  ...["package", "core", "cpu", "vendor", "family", "model", "model_name", "microcode", "stepping", "cachesize"],
);
const frequency = gauge(
  "node_cpu_frequency_hertz",
  "CPU frequency in hertz from /proc/cpuinfo.",
  "package",
  "core",
  "cpu",
);
const flagInfo = gauge(
  "node_cpu_flag_info",
  "The `flags` field of CPU information from /proc/cpuinfo taken from the first core.",
  "flag",
);
const bugInfo = gauge(
  "node_cpu_bug_info",
  "The `bugs` field of CPU information from /proc/cpuinfo taken from the first core.",
  "bug",
);
const coreThrottles = counter(
  "node_cpu_core_throttles_total",
  "Number of times this CPU core has been throttled.",
  "package",
  "core",
);
const packageThrottles = counter(
  "node_cpu_package_throttles_total",
  "Number of times this CPU package has been throttled.",
  "package",
);
const isolated = gauge(
  "node_cpu_isolated",
  "Whether each core is isolated, information from /sys/devices/system/cpu/isolated.",
  "cpu",
);

/** Columns of a `cpu` line of /proc/stat. */
const MODES = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"] as const;
const IDLE = 3;
const GUEST = 8;
const GUEST_NICE = 9;
/** Ticks a second in what the kernel tells user space, on every architecture that Node runs on. */
const USER_HZ = 100;
/** A jump back of the idle time by more than this is a CPU that was unplugged and came back. */
const JUMP_BACK_SECONDS = 3;

export const cpu: CollectorDefinition = {
  name: "cpu",
  enabledByDefault: true,
  create: (options) => new CpuCollector(options),
};

class CpuCollector implements Collector {
  readonly #options: CollectorOptions;
  readonly #isolated: readonly number[];
  /** By CPU, the highest value seen of each column: the kernel's idle and iowait times sometimes step back. */
  readonly #highest = new Map<string, Float64Array>();

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#isolated = parseRanges(readIfAny(options.files.sys("devices/system/cpu/isolated")) ?? "");
  }

  collect(page: Page): void {
    const { args, files } = this.#options;
    if (args.cpu.info || args.cpu.flags_include.source !== "" || args.cpu.bugs_include.source !== "") {
      this.#collectInfo(page);
    }
    this.#collectTimes(page);
    for (const number of this.#isolated) page.add(isolated, 1, String(number));
    const folder = files.sys("devices/system/cpu");
    const cpus = listMatching(folder, /^cpu[0-9]/);
    collectThrottles(page, folder, cpus);
  }

  #collectTimes(page: Page): void {
    const seen = new Set<string>();
    for (const line of readText(this.#options.files.proc("stat")).split("\n")) {
      if (!line.startsWith("cpu")) break;
      if (line.startsWith("cpu ")) continue;
      const fields = line.split(" ");
      const name = fields[0]!.slice(3);
      seen.add(name);
      const times = this.#raise(name, fields);
      for (let i = 0; i < MODES.length; i++) page.add(seconds, times[i]!, name, MODES[i]!);
      if (this.#options.args.cpu.guest) {
        page.add(guestSeconds, times[GUEST]!, name, "user");
        page.add(guestSeconds, times[GUEST_NICE]!, name, "nice");
      }
    }
    for (const name of this.#highest.keys()) if (!seen.has(name)) this.#highest.delete(name);
  }

  #raise(name: string, fields: readonly string[]): Float64Array {
    let times = this.#highest.get(name);
    const idle = Number(fields[IDLE + 1]) / USER_HZ;
    if (times === undefined || times[IDLE]! - idle >= JUMP_BACK_SECONDS) {
      times = new Float64Array(GUEST_NICE + 1);
      this.#highest.set(name, times);
    }
    for (let i = 0; i < times.length && i + 1 < fields.length; i++) {
      const value = Number(fields[i + 1]) / USER_HZ;
      if (value > times[i]!) times[i] = value;
    }
    return times;
  }

  #collectInfo(page: Page): void {
    const { args, files, isEnabled } = this.#options;
    const cpus = parseCpuInfo(readText(files.proc("cpuinfo")));
    for (const fields of cpus) {
      const get = (name: string) => fields.get(name) ?? "";
      const place = [get("physical id"), get("core id"), get("processor")];
      const vendor = fields.get("vendor_id") ?? get("vendor");
      const rest = ["cpu family", "model", "model name", "microcode", "stepping", "cache size"].map(get);
      page.add(info, 1, ...place, vendor, ...rest);
      // Where it runs, that collector has better ones.
      if (!isEnabled("cpufreq")) page.add(frequency, Number(get("cpu MHz")) * 1e6, ...place);
    }
    const first = cpus[0];
    if (first === undefined) return;
    addWords(page, flagInfo, args.cpu.flags_include, first.get("flags") ?? first.get("Features"));
    addWords(page, bugInfo, args.cpu.bugs_include, first.get("bugs"));
  }
}

function addWords(page: Page, metric: typeof flagInfo, filter: Regex, text: string | undefined): void {
  if (filter.source === "") return;
  for (const word of words(text ?? "")) if (filter.test(word)) page.add(metric, 1, word);
}

/** One map of fields for each `processor` line of /proc/cpuinfo. */
function parseCpuInfo(text: string): Map<string, string>[] {
  const cpus: Map<string, string>[] = [];
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon).trim();
    if (name === "processor") cpus.push(new Map());
    cpus.at(-1)?.set(name, line.slice(colon + 1).trim());
  }
  return cpus;
}

/** Cores of several threads and packages of several cores are counted once. */
function collectThrottles(page: Page, folder: string, cpus: readonly string[]): void {
  const packages = new Set<string>();
  const cores = new Set<string>();
  for (const name of cpus) {
    const throttle = `${folder}/${name}/thermal_throttle`;
    if (!exists(throttle)) continue;
    const packageId = readIfAny(`${folder}/${name}/topology/physical_package_id`);
    const coreId = readIfAny(`${folder}/${name}/topology/core_id`);
    if (packageId === undefined || coreId === undefined) continue;
    if (!cores.has(`${packageId} ${coreId}`)) {
      const count = readNumberIfAny(`${throttle}/core_throttle_count`);
      if (count !== undefined) {
        cores.add(`${packageId} ${coreId}`);
        page.add(coreThrottles, count, packageId, coreId);
      }
    }
    if (!packages.has(packageId)) {
      const count = readNumberIfAny(`${throttle}/package_throttle_count`);
      if (count !== undefined) {
        packages.add(packageId);
        page.add(packageThrottles, count, packageId);
      }
    }
  }
}
