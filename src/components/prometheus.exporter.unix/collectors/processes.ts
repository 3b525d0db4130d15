import { setImmediate } from "node:timers/promises";
import { gauge } from "#kits/exporter/page";
import type { CollectorDefinition } from "../collector.ts";
import { errorCode, listMatching, readNumber, readText } from "../files.ts";

const threads = gauge("node_processes_threads", "Allocated threads in system");
const maxThreads = gauge("node_processes_max_threads", "Limit of threads in the system");
const threadStates = gauge("node_processes_threads_state", "Number of threads in each state.", "thread_state");
const states = gauge("node_processes_state", "Number of processes in each state.", "state");
const pids = gauge("node_processes_pids", "Number of PIDs");
const maxPids = gauge("node_processes_max_processes", "Number of max PIDs limit");

/** Processes looked at before others get their turn. */
const SLICE = 50;

export const processes: CollectorDefinition = {
  name: "processes",
  enabledByDefault: false,
  create({ files }) {
    return {
      async collect(page) {
        const byState = new Map<string, number>();
        const threadsByState = new Map<string, number>();
        let processCount = 0;
        let threadCount = 0;
        for (const [i, pid] of listMatching(files.proc(""), /^[0-9]+$/).entries()) {
          if (i % SLICE === SLICE - 1) await setImmediate();
          const process = readStat(files.proc(`${pid}/stat`));
          if (process === undefined) continue;
          processCount++;
          threadCount += process.threads;
          increase(byState, process.state);
          for (const thread of listTasks(files.proc(`${pid}/task`))) {
            const state = thread === pid ? process.state : readStat(files.proc(`${pid}/task/${thread}/stat`))?.state;
            if (state !== undefined) increase(threadsByState, state);
          }
        }
        page.add(threads, threadCount);
        page.add(maxThreads, readNumber(files.proc("sys/kernel/threads-max")));
        for (const [state, count] of byState) page.add(states, count, state);
        for (const [state, count] of threadsByState) page.add(threadStates, count, state);
        page.add(pids, processCount);
        page.add(maxPids, readNumber(files.proc("sys/kernel/pid_max")));
      },
    };
  },
};

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Undefined for a process that ended meanwhile. */
function readStat(path: string): { state: string; threads: number } | undefined {
  const text = orUndefined(() => readText(path));
  if (text === undefined) return undefined;
  // The command between the parentheses may hold anything, parentheses and spaces included.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", threads: Number(fields[17] ?? 0) };
}

function listTasks(path: string): string[] {
  return orUndefined(() => listMatching(path, /^[0-9]+$/)) ?? [];
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes(errorCode(error) ?? "")) return undefined;
    throw error;
  }
}
