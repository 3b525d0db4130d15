import { counter, gauge, type Metric, type Page } from "#kits/exporter/page";
import { FIGURE, type FileSystemReading } from "./file-systems.ts";
import type { Kind, Kinds } from "./kinds.ts";
import type { ContainerLabels } from "./labels.ts";
import { ADVANCED_TCP, type Interface, TCP_STATES, UDP_FIGURES } from "./network.ts";
import type { ProcessCounts, Schedule } from "./process-counts.ts";
import type { DiskTable, Stats } from "./stats.ts";

/** Names, help and labels as in cAdvisor's metrics/prometheus.go. */

/** All that is known of one container at one moment. Network figures are undefined where it has no network of its own. */
export interface Reading {
  readonly stats: Stats;
  readonly isHealthy: boolean;
  readonly hasQuota: boolean;
  readonly fileSystems: readonly ContainerFileSystem[];
  readonly interfaces: readonly Interface[];
  readonly tcp: readonly number[] | undefined;
  readonly tcp6: readonly number[] | undefined;
  readonly udp: readonly number[] | undefined;
  readonly udp6: readonly number[] | undefined;
  readonly advancedTcp: readonly number[] | undefined;
  readonly processes: ProcessCounts | undefined;
  readonly schedule: Schedule | undefined;
  readonly referencedBytes: number;
  /** The name of a device; empty for one that is not known. */
  deviceName(major: number, minor: number): string;
}

/** A file system as far as a container uses it. */
export interface ContainerFileSystem {
  readonly device: string;
  readonly limit: number;
  readonly usage: number;
  readonly inodes: number;
  readonly inodesFree: number;
  readonly figures: FileSystemReading["figures"];
}

const cadvisor = (build: typeof gauge, name: string, help: string, ...labels: string[]) =>
  build(`container_${name}`, help, ...labels);
const NANOSECONDS = 1e9;
const MICROSECONDS = 1e6;

/** A figure that each container has once, or several times with labels that are always the same. */
type Figure = readonly [
  kind: Kind | undefined,
  metric: Metric,
  read: (reading: Reading) => number,
  labels?: readonly string[],
];

const failures = cadvisor(
  counter,
  "memory_failures_total",
  "Cumulative count of memory allocation failures.",
  ...["failure_type", "scope"],
);
const failure = (type: string, scope: string, read: (stats: Stats) => number): Figure => [
  "memory",
  failures,
  ({ stats }) => read(stats),
  ["failure_type", type, "scope", scope],
];
const memory = (name: string, help: string, read: (stats: Stats) => number, build = gauge): Figure => [
  "memory",
  cadvisor(build, `memory_${name}`, help),
  ({ stats }) => read(stats),
];
const pressure = (
  resource: string,
  words: string,
  read: (stats: Stats) => { some: number; full: number },
): Figure[] => [
  [
    "pressure",
    cadvisor(
      counter,
      `pressure_${resource}_stalled_seconds_total`,
      `Total time duration no tasks in the container could make progress due to ${words} congestion.`,
    ),
    ({ stats }) => read(stats).full / MICROSECONDS,
  ],
  [
    "pressure",
    cadvisor(
      counter,
      `pressure_${resource}_waiting_seconds_total`,
      `Total time duration tasks in the container have waited due to ${words} congestion.`,
    ),
    ({ stats }) => read(stats).some / MICROSECONDS,
  ],
];
const tasks = cadvisor(gauge, "tasks_state", "Number of tasks in given state", "state");

const FIGURES: readonly Figure[] = [
  [
    undefined,
    cadvisor(gauge, "last_seen", "Last time a container was seen by the exporter"),
    () => Math.floor(Date.now() / 1000),
  ],
  [
    undefined,
    cadvisor(gauge, "health_state", "The result of the container's health check"),
    ({ isHealthy }) => (isHealthy ? 1 : 0),
  ],
  [
    "cpu",
    cadvisor(counter, "cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds."),
    ({ stats }) => stats.cpuUser / NANOSECONDS,
  ],
  [
    "cpu",
    cadvisor(counter, "cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds."),
    ({ stats }) => stats.cpuSystem / NANOSECONDS,
  ],
  // cAdvisor asks the kernel for these only when told to, which Alloy does not do: they are zero.
  [
    "cpuLoad",
    cadvisor(gauge, "cpu_load_average_10s", "Value of container cpu load average over the last 10 seconds."),
    () => 0,
  ],
  [
    "cpuLoad",
    cadvisor(gauge, "cpu_load_d_average_10s", "Value of container cpu load.d average over the last 10 seconds."),
    () => 0,
  ],
  ...["sleeping", "running", "stopped", "uninterruptible", "iowaiting"].map(
    (state): Figure => ["cpuLoad", tasks, () => 0, ["state", state]],
  ),
  memory("cache", "Number of bytes of page cache memory.", (stats) => stats.cache),
  memory("rss", "Size of RSS in bytes.", (stats) => stats.rss),
  memory("kernel_usage", "Size of kernel memory allocated in bytes.", (stats) => stats.kernelMemory),
  memory("mapped_file", "Size of memory mapped files in bytes.", (stats) => stats.mappedFile),
  memory("swap", "Container swap usage in bytes.", (stats) => stats.swap),
  memory("failcnt", "Number of memory usage hits limits", (stats) => stats.memoryFailures, counter),
  memory(
    "usage_bytes",
    "Current memory usage in bytes, including all memory regardless of when it was accessed",
    (stats) => stats.memoryUsage,
  ),
  memory("max_usage_bytes", "Maximum memory usage recorded in bytes", (stats) => stats.memoryMaximum),
  memory("working_set_bytes", "Current working set in bytes.", (stats) => stats.workingSet),
  memory("total_active_file_bytes", "Current total active file in bytes.", (stats) => stats.activeFile),
  memory("total_inactive_file_bytes", "Current total inactive file in bytes.", (stats) => stats.inactiveFile),
  failure("pgfault", "container", (stats) => stats.pageFaults),
  failure("pgmajfault", "container", (stats) => stats.majorPageFaults),
  failure("pgfault", "hierarchy", (stats) => stats.pageFaults),
  failure("pgmajfault", "hierarchy", (stats) => stats.majorPageFaults),
  ["cpuset", cadvisor(gauge, "memory_migrate", "Memory migrate status."), ({ stats }) => stats.memoryMigrate],
  [
    "sched",
    cadvisor(
      counter,
      "cpu_schedstat_run_seconds_total",
      "Time duration the processes of the container have run on the CPU.",
    ),
    ({ schedule }) => (schedule?.[0] ?? 0) / NANOSECONDS,
  ],
  [
    "sched",
    cadvisor(
      counter,
      "cpu_schedstat_runqueue_seconds_total",
      "Time duration processes of the container have been waiting on a runqueue.",
    ),
    ({ schedule }) => (schedule?.[1] ?? 0) / NANOSECONDS,
  ],
  [
    "sched",
    cadvisor(counter, "cpu_schedstat_run_periods_total", "Number of times processes of the cgroup have run on the cpu"),
    ({ schedule }) => schedule?.[2] ?? 0,
  ],
  [
    "process",
    cadvisor(gauge, "processes", "Number of processes running inside the container."),
    ({ processes }) => processes?.processes ?? 0,
  ],
  [
    "process",
    cadvisor(gauge, "file_descriptors", "Number of open file descriptors for the container."),
    ({ processes }) => processes?.files ?? 0,
  ],
  [
    "process",
    cadvisor(gauge, "sockets", "Number of open sockets for the container."),
    ({ processes }) => processes?.sockets ?? 0,
  ],
  [
    "process",
    cadvisor(gauge, "threads_max", "Maximum number of threads allowed inside the container, infinity if value is zero"),
    ({ stats }) => stats.threadsMaximum,
  ],
  [
    "process",
    cadvisor(gauge, "threads", "Number of threads running inside the container"),
    ({ stats }) => stats.threads,
  ],
  [
    "referenced_memory",
    cadvisor(gauge, "referenced_bytes", "Container referenced bytes during last measurements cycle"),
    ({ referencedBytes }) => referencedBytes,
  ],
  [
    "oom_event",
    cadvisor(counter, "oom_events_total", "Count of out of memory events observed for the container"),
    ({ stats }) => stats.oomKills,
  ],
  ...pressure("cpu", "CPU", (stats) => stats.cpuPressure),
  ...pressure("memory", "memory", (stats) => stats.memoryPressure),
  ...pressure("io", "IO", (stats) => stats.ioPressure),
];

const cpuUsage = cadvisor(counter, "cpu_usage_seconds_total", "Cumulative cpu time consumed in seconds.", "cpu");
const THROTTLING = [
  [
    cadvisor(counter, "cpu_cfs_periods_total", "Number of elapsed enforcement period intervals."),
    (stats: Stats) => stats.throttlePeriods,
  ],
  [
    cadvisor(counter, "cpu_cfs_throttled_periods_total", "Number of throttled period intervals."),
    (stats: Stats) => stats.throttledPeriods,
  ],
  [
    cadvisor(counter, "cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled."),
    (stats: Stats) => stats.throttledTime / NANOSECONDS,
  ],
] as const;

const FILE_SYSTEM = [
  [
    cadvisor(gauge, "fs_inodes_free", "Number of available Inodes", "device"),
    (fs: ContainerFileSystem) => fs.inodesFree,
  ],
  [cadvisor(gauge, "fs_inodes_total", "Number of Inodes", "device"), (fs: ContainerFileSystem) => fs.inodes],
  [
    cadvisor(
      gauge,
      "fs_limit_bytes",
      "Number of bytes that can be consumed by the container on this filesystem.",
      "device",
    ),
    (fs: ContainerFileSystem) => fs.limit,
  ],
  [
    cadvisor(
      gauge,
      "fs_usage_bytes",
      "Number of bytes that are consumed by the container on this filesystem.",
      "device",
    ),
    (fs: ContainerFileSystem) => fs.usage,
  ],
] as const;

/** From a table of the control group, and from a column of /proc/diskstats; each with what its unit is divided by. */
interface DiskColumn {
  readonly metric: Metric;
  readonly table?: readonly [name: DiskTable, operation: string, divisor: number];
  readonly figure?: readonly [index: number, divisor: number];
}
const disk = (build: typeof gauge, name: string, help: string, columns: Omit<DiskColumn, "metric">): DiskColumn => ({
  metric: cadvisor(build, `fs_${name}`, help, "device"),
  ...columns,
});
// Columns of time in /proc/diskstats are in milliseconds; cAdvisor takes them for nanoseconds.
const MILLISECONDS = 1e3;
const DISK: readonly DiskColumn[] = [
  disk(counter, "reads_bytes_total", "Cumulative count of bytes read", { table: ["serviceBytes", "Read", 1] }),
  disk(counter, "reads_total", "Cumulative count of reads completed", {
    table: ["serviced", "Read", 1],
    figure: [FIGURE.reads, 1],
  }),
  disk(counter, "sector_reads_total", "Cumulative count of sector reads completed", {
    table: ["sectors", "Read", 1],
    figure: [FIGURE.sectorsRead, 1],
  }),
  disk(counter, "reads_merged_total", "Cumulative count of reads merged", {
    table: ["merged", "Read", 1],
    figure: [FIGURE.readsMerged, 1],
  }),
  disk(counter, "read_seconds_total", "Cumulative count of seconds spent reading", {
    table: ["serviceTime", "Read", NANOSECONDS],
    figure: [FIGURE.readMs, MILLISECONDS],
  }),
  disk(counter, "writes_bytes_total", "Cumulative count of bytes written", { table: ["serviceBytes", "Write", 1] }),
  disk(counter, "writes_total", "Cumulative count of writes completed", {
    table: ["serviced", "Write", 1],
    figure: [FIGURE.writes, 1],
  }),
  disk(counter, "sector_writes_total", "Cumulative count of sector writes completed", {
    table: ["sectors", "Write", 1],
    figure: [FIGURE.sectorsWritten, 1],
  }),
  disk(counter, "writes_merged_total", "Cumulative count of writes merged", {
    table: ["merged", "Write", 1],
    figure: [FIGURE.writesMerged, 1],
  }),
  disk(counter, "write_seconds_total", "Cumulative count of seconds spent writing", {
    table: ["serviceTime", "Write", NANOSECONDS],
    figure: [FIGURE.writeMs, MILLISECONDS],
  }),
  disk(gauge, "io_current", "Number of I/Os currently in progress", {
    table: ["queued", "Total", 1],
    figure: [FIGURE.inProgress, 1],
  }),
  disk(counter, "io_time_seconds_total", "Cumulative count of seconds spent doing I/Os", {
    table: ["serviceTime", "Total", NANOSECONDS],
    figure: [FIGURE.ioMs, MILLISECONDS],
  }),
  disk(counter, "io_time_weighted_seconds_total", "Cumulative weighted I/O time in seconds", {
    figure: [FIGURE.weightedMs, MILLISECONDS],
  }),
];
const deviceUsage = cadvisor(
  counter,
  "blkio_device_usage_total",
  "Blkio Device bytes usage",
  ...["device", "major", "minor", "operation"],
);

const NETWORK = [
  ["receive_bytes_total", "Cumulative count of bytes received"],
  ["receive_packets_total", "Cumulative count of packets received"],
  ["receive_errors_total", "Cumulative count of errors encountered while receiving"],
  ["receive_packets_dropped_total", "Cumulative count of packets dropped while receiving"],
  ["transmit_bytes_total", "Cumulative count of bytes transmitted"],
  ["transmit_packets_total", "Cumulative count of packets transmitted"],
  ["transmit_errors_total", "Cumulative count of errors encountered while transmitting"],
  ["transmit_packets_dropped_total", "Cumulative count of packets dropped while transmitting"],
].map(([name, help]) => cadvisor(counter, `network_${name}`, help!, "interface"));

/** Figures with one label, in the order of its values; all zero for a container without a network of its own. */
const SOCKETS: readonly {
  readonly kind: Kind;
  readonly metric: Metric;
  readonly label: string;
  readonly values: readonly string[];
  read(reading: Reading): readonly number[] | undefined;
}[] = [
  {
    kind: "tcp",
    metric: cadvisor(gauge, "network_tcp_usage_total", "tcp connection usage statistic for container", "tcp_state"),
    label: "tcp_state",
    values: TCP_STATES,
    read: ({ tcp }) => tcp,
  },
  {
    kind: "tcp",
    metric: cadvisor(gauge, "network_tcp6_usage_total", "tcp6 connection usage statistic for container", "tcp_state"),
    label: "tcp_state",
    values: TCP_STATES,
    read: ({ tcp6 }) => tcp6,
  },
  {
    kind: "udp",
    metric: cadvisor(gauge, "network_udp_usage_total", "udp connection usage statistic for container", "udp_state"),
    label: "udp_state",
    values: UDP_FIGURES,
    read: ({ udp }) => udp,
  },
  {
    kind: "udp",
    metric: cadvisor(gauge, "network_udp6_usage_total", "udp6 connection usage statistic for container", "udp_state"),
    label: "udp_state",
    values: UDP_FIGURES,
    read: ({ udp6 }) => udp6,
  },
  {
    kind: "advtcp",
    metric: cadvisor(
      gauge,
      "network_advance_tcp_stats_total",
      "advance tcp connections statistic for container",
      "tcp_state",
    ),
    label: "tcp_state",
    values: ADVANCED_TCP.map((name) => name.toLowerCase()),
    read: ({ advancedTcp }) => advancedTcp,
  },
];

const numaPages = cadvisor(
  gauge,
  "memory_numa_pages",
  "Number of used pages per NUMA node",
  ...["type", "scope", "node"],
);
const HUGE_PAGES = [
  [
    cadvisor(counter, "hugetlb_failcnt", "Number of hugepage usage hits limits", "pagesize"),
    (pages: Stats["hugePages"][number]) => pages.failures,
  ],
  [
    cadvisor(gauge, "hugetlb_usage_bytes", "Current hugepage usage in bytes", "pagesize"),
    (pages: Stats["hugePages"][number]) => pages.usage,
  ],
  [
    cadvisor(gauge, "hugetlb_max_usage_bytes", "Maximum hugepage usage recorded in bytes", "pagesize"),
    (pages: Stats["hugePages"][number]) => pages.maximum,
  ],
] as const;
const ulimits = cadvisor(
  gauge,
  "ulimits_soft",
  "Soft ulimit values for the container root process. Unlimited if -1, except priority and nice",
  "ulimit",
);

/** Adds a container's figures; kinds that are off were not read either. */
export function addReading(page: Page, reading: Reading, labels: ContainerLabels, kinds: Kinds): void {
  const add = (metric: Metric, value: number, extra?: readonly string[]) =>
    page.addSample(metric, { name: metric.name, labels: labels.with(extra), value });
  const { stats } = reading;
  for (const [kind, metric, read, extra] of FIGURES) {
    if (kind === undefined || kinds.has(kind)) add(metric, read(reading), extra);
  }
  if (kinds.has("cpu")) addCpu(add, reading);
  if (kinds.has("memory_numa")) {
    for (const { type, scope, node, pages } of stats.nodePages) {
      add(numaPages, pages, ["type", type, "scope", scope, "node", node]);
    }
  }
  for (const pages of stats.hugePages) {
    for (const [metric, read] of HUGE_PAGES) add(metric, read(pages), ["pagesize", pages.size]);
  }
  if (kinds.has("disk")) {
    for (const fs of reading.fileSystems) {
      for (const [metric, read] of FILE_SYSTEM) add(metric, read(fs), ["device", fs.device]);
    }
  }
  if (kinds.has("diskIO")) addDisk(add, reading);
  for (const { name, counts } of reading.interfaces) {
    for (const [i, metric] of NETWORK.entries()) add(metric, counts[i]!, ["interface", name]);
  }
  for (const { kind, metric, label, values, read } of SOCKETS) {
    if (!kinds.has(kind)) continue;
    const counts = read(reading);
    for (const [i, value] of values.entries()) add(metric, counts?.[i] ?? 0, [label, value]);
  }
  const limit = reading.processes?.openFilesLimit;
  if (limit !== undefined) add(ulimits, limit, ["ulimit", "max_open_files"]);
}

type Add = (metric: Metric, value: number, extra?: readonly string[]) => void;

function addCpu(add: Add, { stats, hasQuota }: Reading): void {
  if (stats.cpuEach.length === 0 && stats.cpuTotal > 0) add(cpuUsage, stats.cpuTotal / NANOSECONDS, ["cpu", "total"]);
  for (let i = 0; i < stats.cpuEach.length; i++) {
    const used = stats.cpuEach[i]!;
    if (used > 0) add(cpuUsage, used / NANOSECONDS, ["cpu", `cpu${String(i).padStart(2, "0")}`]);
  }
  if (hasQuota) for (const [metric, read] of THROTTLING) add(metric, read(stats));
}

function addDisk(add: Add, { stats, fileSystems, deviceName }: Reading): void {
  for (const { metric, table, figure } of DISK) {
    // The first figure of a device counts: both sources may have one.
    const shown: string[] = [];
    if (table !== undefined) {
      const [name, operation, divisor] = table;
      for (const { major, minor, operations } of stats.disk[name]) {
        const device = deviceName(major, minor);
        if (shown.includes(device)) continue;
        shown.push(device);
        add(metric, (operations.get(operation) ?? 0) / divisor, ["device", device]);
      }
    }
    if (figure === undefined) continue;
    const [index, divisor] = figure;
    for (const { device, figures } of fileSystems) {
      if (!shown.includes(device)) add(metric, (figures?.[index] ?? 0) / divisor, ["device", device]);
    }
  }
  for (const { major, minor, operations } of stats.disk.serviceBytes) {
    const device = ["device", deviceName(major, minor), "major", String(major), "minor", String(minor)];
    for (const [operation, value] of operations) add(deviceUsage, value, [...device, "operation", operation]);
  }
}
