import { readFileSync, statSync } from "node:fs";
import { ifThere, isAbsent, isDenied, listIfThere, numberAt, numberOf, readIfThere } from "#kits/proc-files";

/** Counters of processes, threads and groups, by their place in an array. */
export const COUNT = {
  user: 0,
  system: 1,
  readBytes: 2,
  writeBytes: 3,
  majorFaults: 4,
  minorFaults: 5,
  voluntary: 6,
  nonvoluntary: 7,
} as const;
export const COUNTS = 8;

export const STATES = ["Running", "Sleeping", "Waiting", "Zombie", "Other"] as const;
const STATE_OF: Readonly<Record<string, number>> = { R: 0, S: 1, D: 2, Z: 3 };
const OTHER_STATE = 4;

/** Ticks of the clock in a second, in all that the kernel tells users. */
const TICKS = 100;

/** What /proc/PID/stat says, as far as it is needed (proc_pid_stat(5)). */
export interface Stat {
  readonly command: string;
  /** Index into STATES. */
  readonly state: number;
  readonly parent: number;
  readonly minorFaults: number;
  readonly majorFaults: number;
  /** Seconds. */
  readonly user: number;
  readonly system: number;
  readonly threads: number;
  /** Ticks since the boot: with the number of the process, its identity. */
  readonly start: number;
  readonly virtualBytes: number;
  readonly residentPages: number;
}

/** Undefined for what is no such file. */
export function parseStat(text: string): Stat | undefined {
  // The command may hold anything, parentheses and spaces included.
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) return undefined;
  const fields: number[] = [];
  for (let at = text.indexOf(" ", close + 2); at >= 0 && fields.length < 21; at = text.indexOf(" ", at + 1)) {
    fields.push(numberAt(text, at + 1));
  }
  if (fields.length < 21) return undefined;
  // The first of them is field 4.
  const field = (number: number) => fields[number - 4]!;
  return {
    command: text.slice(open + 1, close),
    state: STATE_OF[text[close + 2]!] ?? OTHER_STATE,
    parent: field(4),
    minorFaults: field(10),
    majorFaults: field(12),
    user: field(14) / TICKS,
    system: field(15) / TICKS,
    threads: field(20),
    start: field(22),
    virtualBytes: field(23),
    residentPages: field(24),
  };
}

/** What does not change while a process runs, and what matchers and names go by. */
export interface Identity {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly controlGroups: readonly string[];
  readonly parent: number;
  /** Epoch milliseconds. */
  readonly started: number;
  /** The effective one. */
  readonly userId: number;
}

export interface ThreadReading {
  /** Number and start: numbers are used again. */
  readonly id: string;
  readonly name: string;
  readonly state: number;
  /** What it waits for in the kernel; empty for nothing. */
  readonly waitsFor: string;
  readonly counts: Float64Array;
}

/** The figures of one process at one moment. */
export interface Reading {
  readonly counts: Float64Array;
  readonly residentBytes: number;
  readonly virtualBytes: number;
  readonly swappedBytes: number;
  readonly proportionalBytes: number;
  readonly proportionalSwapBytes: number;
  /** -1 where unknown. */
  readonly openFiles: number;
  readonly openFilesLimit: number;
  readonly threadCount: number;
  readonly states: Int32Array;
  readonly waitsFor: string;
  /** None for a process with one thread. */
  readonly threads: readonly ThreadReading[];
  /** Files that could not be read, although the process was there; `denied` for want of permission. */
  readonly problems: number;
  readonly denied: string | undefined;
}

/** Reads the processes of one procfs, as process-exporter's proc/read.go does. */
export class ProcessFiles {
  readonly #path: string;
  readonly #pageSize: number;
  readonly #gatherSmaps: boolean;
  #bootTime: number | undefined;
  #problems = 0;
  #denied: string | undefined;

  constructor(path: string, pageSize: number, gatherSmaps: boolean) {
    this.#path = path;
    this.#pageSize = pageSize;
    this.#gatherSmaps = gatherSmaps;
  }

  /** Numbers of all processes. Throws where the folder cannot be read or is no procfs. */
  list(): number[] {
    const pids: number[] = [];
    for (const name of listIfThere(this.#path) ?? []) {
      const c = name.charCodeAt(0);
      if (c >= 0x31 && c <= 0x39) pids.push(Number(name));
    }
    if (this.#bootTime === undefined) {
      const seconds = numberOf(readFileSync(`${this.#path}/stat`, "utf8"), "btime ");
      if (seconds === undefined) throw new Error(`${this.#path}/stat does not say when the machine was started`);
      this.#bootTime = seconds * 1000;
    }
    return pids;
  }

  /** Ticks since the boot. Throws where it cannot be read. */
  uptime(): number {
    return Number.parseFloat(readFileSync(`${this.#path}/uptime`, "utf8")) * TICKS;
  }

  /** Undefined for a process that has ended. */
  stat(pid: number): Stat | undefined {
    const text = this.#text(`${pid}/stat`);
    return text === undefined ? undefined : parseStat(text);
  }

  /** Undefined for a process that has ended. */
  identity(pid: number, stat: Stat): Identity | undefined {
    const line = this.#text(`${pid}/cmdline`);
    const status = this.#text(`${pid}/status`);
    if (line === undefined || status === undefined) return undefined;
    const uids = status.indexOf("\nUid:\t");
    return {
      command: stat.command,
      arguments: line === "" ? [] : line.replace(/\0+$/, "").split("\0"),
      controlGroups: parseControlGroups(this.#text(`${pid}/cgroup`) ?? ""),
      parent: stat.parent,
      started: this.#bootTime! + (stat.start / TICKS) * 1000,
      userId: uids < 0 ? Number.NaN : numberAt(status, status.indexOf("\t", uids + 6) + 1),
    };
  }

  /** Undefined for a process that has ended meanwhile. */
  read(pid: number, stat: Stat): Reading | undefined {
    this.#problems = 0;
    this.#denied = undefined;
    const status = this.#text(`${pid}/status`);
    const limits = this.#text(`${pid}/limits`);
    if (status === undefined || limits === undefined) return undefined;
    const counts = this.#counts(`${pid}`, stat, status);
    const openFiles = this.#openFiles(pid);
    const waitsFor = this.#waitsFor(`${pid}`);
    const [proportionalBytes, proportionalSwapBytes] = this.#gatherSmaps ? this.#proportional(pid) : [0, 0];
    const states = new Int32Array(STATES.length);
    states[stat.state]!++;
    const threads = stat.threads > 1 ? this.#threads(pid) : [];
    if (threads.length > 0) {
      counts[COUNT.voluntary] = 0;
      counts[COUNT.nonvoluntary] = 0;
      for (const thread of threads) {
        counts[COUNT.voluntary]! += thread.counts[COUNT.voluntary]!;
        counts[COUNT.nonvoluntary]! += thread.counts[COUNT.nonvoluntary]!;
        states[thread.state]!++;
      }
    }
    return {
      counts,
      residentBytes: stat.residentPages * this.#pageSize,
      virtualBytes: stat.virtualBytes,
      swappedBytes: (numberOf(status, "VmSwap:") ?? 0) * 1024,
      proportionalBytes,
      proportionalSwapBytes,
      openFiles,
      openFilesLimit: parseOpenFilesLimit(limits),
      threadCount: stat.threads,
      states,
      waitsFor,
      threads,
      problems: this.#problems,
      denied: this.#denied,
    };
  }

  /** `at` is `PID` or `PID/task/TID`. */
  #counts(at: string, stat: Stat, status: string): Float64Array {
    const counts = new Float64Array(COUNTS);
    counts[COUNT.user] = stat.user;
    counts[COUNT.system] = stat.system;
    counts[COUNT.majorFaults] = stat.majorFaults;
    counts[COUNT.minorFaults] = stat.minorFaults;
    counts[COUNT.voluntary] = numberOf(status, "voluntary_ctxt_switches:") ?? 0;
    counts[COUNT.nonvoluntary] = numberOf(status, "nonvoluntary_ctxt_switches:") ?? 0;
    const io = this.#attempt(`${at}/io`, (path) => readFileSync(path, "utf8"));
    if (io !== undefined) {
      counts[COUNT.readBytes] = numberOf(io, "read_bytes:") ?? 0;
      counts[COUNT.writeBytes] = numberOf(io, "write_bytes:") ?? 0;
    }
    return counts;
  }

  #openFiles(pid: number): number {
    // The size of the folder is the number of open files since Linux 6.2, and 0 before.
    const count = this.#attempt(`${pid}/fd`, (path) => statSync(path).size || (listIfThere(path) ?? []).length);
    return count ?? -1;
  }

  #waitsFor(at: string): string {
    const symbol = this.#attempt(`${at}/wchan`, (path) => readFileSync(path, "utf8"));
    return symbol === undefined || symbol === "0" ? "" : symbol;
  }

  /** Bytes in memory and in swap, each page that several processes share divided by their number. */
  #proportional(pid: number): [memory: number, swap: number] {
    const read = (path: string) => readIfThere(path) ?? readFileSync(`${this.#path}/${pid}/smaps`, "utf8");
    const text = this.#attempt(`${pid}/smaps_rollup`, read);
    return text === undefined ? [0, 0] : [sumOf(text, "\nPss:") * 1024, sumOf(text, "\nSwapPss:") * 1024];
  }

  #threads(pid: number): ThreadReading[] {
    const threads: ThreadReading[] = [];
    for (const tid of this.#attempt(`${pid}/task`, listIfThere) ?? []) {
      const at = `${pid}/task/${tid}`;
      const text = this.#text(`${at}/stat`);
      const status = this.#text(`${at}/status`);
      const stat = text === undefined ? undefined : parseStat(text);
      if (stat === undefined || status === undefined) continue;
      threads.push({
        id: `${tid} ${stat.start}`,
        name: stat.command,
        state: stat.state,
        waitsFor: this.#waitsFor(at),
        counts: this.#counts(at, stat, status),
      });
    }
    return threads.length > 1 ? threads : [];
  }

  #text(path: string): string | undefined {
    return readIfThere(`${this.#path}/${path}`);
  }

  /** What a file says that may be unreadable while the rest of the process can be read. */
  #attempt<T>(path: string, read: (path: string) => T): T | undefined {
    try {
      return read(`${this.#path}/${path}`);
    } catch (error) {
      if (isDenied(error)) this.#denied ??= path;
      else if (!isAbsent(error)) throw error;
      this.#problems++;
      return undefined;
    }
  }
}

/** The paths in /proc/PID/cgroup: lines of `number:controllers:path`. */
function parseControlGroups(text: string): string[] {
  const paths: string[] = [];
  for (const line of text.split("\n")) {
    const second = line.indexOf(":", line.indexOf(":") + 1);
    if (second > 0) paths.push(line.slice(second + 1));
  }
  return paths;
}

/** The soft limit of open files in /proc/PID/limits; none is the largest number, as in procfs's proc_limits.go. */
function parseOpenFilesLimit(text: string): number {
  const limit = numberOf(text, "Max open files");
  return limit === undefined ? 0 : Number.isNaN(limit) ? 2 ** 64 : limit;
}

/** smaps_rollup has a line once, smaps once for each mapping. */
function sumOf(text: string, key: string): number {
  let sum = 0;
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + 1)) sum += numberAt(text, at + key.length);
  return sum;
}

/** The names of users by number, from a file such as /etc/passwd; undefined when it cannot be read. */
export function readUserNames(path: string): ReadonlyMap<number, string> | undefined {
  const text = ifThere(() => readFileSync(path, "utf8"));
  if (text === undefined) return undefined;
  const names = new Map<number, string>();
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    if (name === undefined || id === undefined || names.has(Number(id))) continue;
    names.set(Number(id), name);
  }
  return names;
}
