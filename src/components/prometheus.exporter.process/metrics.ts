import { counter, gauge, type Metric, type Page } from "#kits/exporter/page";
import type { Group } from "./groups.ts";
import { COUNT, STATES } from "./process-files.ts";

/** Names, help and labels as in process-exporter's collector/process_collector.go. */

const NAMESPACE = "namedprocess_namegroup";
const ofGroup = (build: typeof gauge, name: string, help: string, ...labels: string[]) =>
  build(`${NAMESPACE}_${name}`, help, "groupname", ...labels);
const ofThreads = (build: typeof gauge, name: string, help: string, ...labels: string[]) =>
  build(`${NAMESPACE}_thread_${name}`, help, "groupname", "threadname", ...labels);

type Column = readonly [metric: Metric, read: (group: Group) => number, label?: string];

const memory = ofGroup(gauge, "memory_bytes", "number of bytes of memory in use", "memtype");
/** The start of a group without a process: Go's zero time. */
const NO_START_SECONDS = -62_135_596_800;

const GAUGES: readonly Column[] = [
  [ofGroup(gauge, "num_procs", "number of processes in this group"), (group) => group.processes],
  [memory, (group) => group.residentBytes, "resident"],
  [memory, (group) => group.virtualBytes, "virtual"],
  [memory, (group) => group.swappedBytes, "swapped"],
  [
    ofGroup(gauge, "oldest_start_time_seconds", "start time in seconds since 1970/01/01 of oldest process in group"),
    ({ oldestStart }) => (oldestStart === undefined ? NO_START_SECONDS : Math.floor(oldestStart / 1000)),
  ],
  [ofGroup(gauge, "open_filedesc", "number of open file descriptors for this group"), (group) => group.openFiles],
  [
    ofGroup(
      gauge,
      "worst_fd_ratio",
      "the worst (closest to 1) ratio between open fds and max fds among all procs in this group",
    ),
    (group) => group.worstOpenFilesRatio,
  ],
  [ofGroup(gauge, "num_threads", "Number of threads"), (group) => group.threadCount],
];
const PROPORTIONAL: readonly Column[] = [
  [memory, (group) => group.proportionalBytes, "proportionalResident"],
  [memory, (group) => group.proportionalSwapBytes, "proportionalSwapped"],
];
const states = ofGroup(
  gauge,
  "states",
  "Number of processes in states Running, Sleeping, Waiting, Zombie, or Other",
  "state",
);
const waiting = ofGroup(gauge, "threads_wchan", "Number of threads in this group waiting on each wchan", "wchan");

type CountColumn = readonly [metric: Metric, index: number, label?: string];

const cpu = ofGroup(counter, "cpu_seconds_total", "Cpu user usage in seconds", "mode");
const switches = ofGroup(counter, "context_switches_total", "Context switches", "ctxswitchtype");
const COUNTERS: readonly CountColumn[] = [
  [cpu, COUNT.user, "user"],
  [cpu, COUNT.system, "system"],
  [ofGroup(counter, "read_bytes_total", "number of bytes read by this group"), COUNT.readBytes],
  [ofGroup(counter, "write_bytes_total", "number of bytes written by this group"), COUNT.writeBytes],
  [ofGroup(counter, "major_page_faults_total", "Major page faults"), COUNT.majorFaults],
  [ofGroup(counter, "minor_page_faults_total", "Minor page faults"), COUNT.minorFaults],
  [switches, COUNT.voluntary, "voluntary"],
  [switches, COUNT.nonvoluntary, "nonvoluntary"],
];

const threadCount = ofThreads(gauge, "count", "Number of threads in this group with same threadname");
const threadCpu = ofThreads(counter, "cpu_seconds_total", "Cpu user/system usage in seconds", "mode");
const threadIo = ofThreads(counter, "io_bytes_total", "number of bytes read/written by these threads", "iomode");
const threadSwitches = ofThreads(
  counter,
  "context_switches_total",
  "Context switches for these threads",
  "ctxswitchtype",
);
const THREAD_COUNTERS: readonly CountColumn[] = [
  [threadCpu, COUNT.user, "user"],
  [threadCpu, COUNT.system, "system"],
  [threadIo, COUNT.readBytes, "read"],
  [threadIo, COUNT.writeBytes, "write"],
  [ofThreads(counter, "major_page_faults_total", "Major page faults for these threads"), COUNT.majorFaults],
  [ofThreads(counter, "minor_page_faults_total", "Minor page faults for these threads"), COUNT.minorFaults],
  [threadSwitches, COUNT.voluntary, "voluntary"],
  [threadSwitches, COUNT.nonvoluntary, "nonvoluntary"],
];

const scrapeErrors = counter(
  "namedprocess_scrape_errors",
  "general scrape errors: no proc metrics collected during a cycle",
);
const readErrors = counter(
  "namedprocess_scrape_procread_errors",
  "incremented each time a proc's metrics collection fails",
);
const partialErrors = counter(
  "namedprocess_scrape_partial_errors",
  "incremented each time a tracked proc's metrics collection fails partially, e.g. unreadable I/O stats",
);

export interface GroupsShown {
  readonly withSmaps: boolean;
  readonly withThreads: boolean;
}

export function addGroup(page: Page, name: string, group: Group, { withSmaps, withThreads }: GroupsShown): void {
  const add = ([metric, read, label]: Column) => page.add(metric, read(group), name, label ?? "");
  for (const column of GAUGES) add(column);
  if (withSmaps) for (const column of PROPORTIONAL) add(column);
  for (const [i, state] of STATES.entries()) page.add(states, group.states[i]!, name, state);
  for (const [symbol, count] of group.waiting) page.add(waiting, count, name, symbol);
  for (const [metric, index, label] of COUNTERS) page.add(metric, group.counts[index]!, name, label ?? "");
  if (!withThreads) return;
  for (const [thread, { count, counts }] of group.threads) {
    page.add(threadCount, count, name, thread);
    for (const [metric, index, label] of THREAD_COUNTERS) page.add(metric, counts[index]!, name, thread, label ?? "");
  }
}

export interface ErrorCounts {
  rounds: number;
  processes: number;
  partial: number;
}

export function addErrors(page: Page, errors: ErrorCounts): void {
  page.add(scrapeErrors, errors.rounds);
  page.add(readErrors, errors.processes);
  page.add(partialErrors, errors.partial);
}
