import { readFileSync, readlinkSync } from "node:fs";
import { ifThere, isDenied, listIfThere, numberAt, numberOf, readIfThere } from "#kits/proc-files";

/** What cAdvisor counts of the processes in a group: container/libcontainer/handler.go. */

export interface ProcessCounts {
  readonly processes: number;
  readonly files: number;
  readonly sockets: number;
  /** The soft limit of open files of the container's first process, -1 for none; undefined where it is not known. */
  readonly openFilesLimit: number | undefined;
}

/** Numbers of the processes in a group itself. */
export function processesIn(folder: string): number[] {
  const text = readIfThere(`${folder}/cgroup.procs`);
  if (text === undefined) return [];
  const pids: number[] = [];
  for (let at = 0; at < text.length; at = text.indexOf("\n", at) + 1 || text.length) pids.push(numberAt(text, at));
  return pids;
}

/** `firstProcess` is 0 where it is not known. */
export function countProcesses(procfs: string, folder: string, firstProcess: number): ProcessCounts {
  const pids = processesIn(folder);
  let files = 0;
  let sockets = 0;
  for (const pid of pids) {
    const fds = permitted(() => listIfThere(`${procfs}/${pid}/fd`)) ?? [];
    files += fds.length;
    for (const fd of fds) {
      const target = permitted(() => ifThere(() => readlinkSync(`${procfs}/${pid}/fd/${fd}`)));
      if (target?.startsWith("socket")) sockets++;
    }
  }
  const limits = firstProcess > 0 ? readIfThere(`${procfs}/${firstProcess}/limits`) : undefined;
  const limit = limits === undefined ? undefined : numberOf(limits, "Max open files");
  return { processes: pids.length, files, sockets, openFilesLimit: Number.isNaN(limit) ? -1 : limit };
}

/** Bytes of memory that processes have touched since somebody last cleared the kernel's marks; nobody does here. */
export function referencedBytes(procfs: string, pids: readonly number[]): number {
  const key = "\nReferenced:";
  let kibibytes = 0;
  for (const pid of pids) {
    const text = permitted(() => readIfThere(`${procfs}/${pid}/smaps`)) ?? "";
    for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + 1))
      kibibytes += numberAt(text, at + key.length);
  }
  return kibibytes * 1024;
}

/** Nanoseconds on a CPU and on the way to one, and how often. */
export type Schedule = readonly [run: number, wait: number, periods: number];

/** Adds up the schedules of processes, those included that have ended since it began to look. */
export class ScheduleCounts {
  readonly #alive = new Map<number, Schedule>();
  readonly #ended: [number, number, number] = [0, 0, 0];

  update(procfs: string, pids: readonly number[]): Schedule {
    const alive = new Set<number>();
    for (const pid of pids) {
      const text = ifThere(() => readFileSync(`${procfs}/${pid}/schedstat`, "utf8"));
      if (text === undefined) continue;
      const [run, wait, periods] = text.split(" ").map((value) => numberAt(value, 0));
      if (run === undefined || wait === undefined || periods === undefined) continue;
      alive.add(pid);
      this.#alive.set(pid, [run, wait, periods]);
    }
    const sum: [number, number, number] = [...this.#ended];
    for (const [pid, schedule] of this.#alive) {
      for (const i of [0, 1, 2] as const) sum[i] += schedule[i];
      if (alive.has(pid)) continue;
      for (const i of [0, 1, 2] as const) this.#ended[i] += schedule[i];
      this.#alive.delete(pid);
    }
    return sum;
  }
}

/** Undefined for what the agent's user may not read: the rest still counts, as in cAdvisor. */
function permitted<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (isDenied(error)) return undefined;
    throw error;
  }
}
