import { COUNTS, STATES } from "./process-files.ts";
import type { TrackedProcess } from "./tracker.ts";

/**
 * Groups without a process whose counters are kept. A template with the number of the process makes a group for each
 * process that ever ran.
 */
const MAX_EMPTY_GROUPS = 5_000;

/** Of all threads of a group that have the same name. */
export interface ThreadGroup {
  count: number;
  readonly counts: Float64Array;
}

/** The figures of all processes of one name together. */
export interface Group {
  /** Never fall, except when the group is forgotten. */
  readonly counts: Float64Array;
  processes: number;
  residentBytes: number;
  virtualBytes: number;
  swappedBytes: number;
  proportionalBytes: number;
  proportionalSwapBytes: number;
  openFiles: number;
  worstOpenFilesRatio: number;
  threadCount: number;
  /** Epoch milliseconds; undefined for a group without a process. */
  oldestStart: number | undefined;
  readonly states: Int32Array;
  readonly waiting: Map<string, number>;
  threads: Map<string, ThreadGroup>;
}

/** Adds up processes by group: process-exporter's proc/grouper.go. */
export class Groups {
  readonly #removeEmpty: boolean;
  #groups = new Map<string, Group>();
  /** Groups that were forgotten in the last round because there were too many. */
  forgotten = 0;

  constructor(removeEmpty: boolean) {
    this.#removeEmpty = removeEmpty;
  }

  /** Takes the processes of one round. Groups whose processes have ended keep their counters and have no figures else. */
  update(processes: readonly TrackedProcess[]): ReadonlyMap<string, Group> {
    const groups = new Map<string, Group>();
    for (const process of processes) {
      let group = groups.get(process.group);
      if (group === undefined) groups.set(process.group, (group = this.#next(process.group)));
      addProcess(group, process);
    }
    for (const [name, group] of groups) keepThreads(group, this.#groups.get(name));
    this.forgotten = this.#removeEmpty ? 0 : this.#keepEmpty(groups);
    this.#groups = groups;
    return groups;
  }

  #next(name: string): Group {
    return emptyGroup(this.#groups.get(name)?.counts);
  }

  /** Gives the number of those that are too many. */
  #keepEmpty(groups: Map<string, Group>): number {
    // The last to end come last, so that it is the oldest that are forgotten.
    const names: string[] = [];
    for (const [name, group] of this.#groups) if (!groups.has(name) && group.processes === 0) names.push(name);
    for (const [name, group] of this.#groups) if (!groups.has(name) && group.processes > 0) names.push(name);
    const surplus = Math.max(0, names.length - MAX_EMPTY_GROUPS);
    for (const name of names.slice(surplus)) groups.set(name, emptyGroup(this.#groups.get(name)!.counts));
    return surplus;
  }
}

function emptyGroup(counts: Float64Array = new Float64Array(COUNTS)): Group {
  return {
    counts: counts.slice(),
    processes: 0,
    residentBytes: 0,
    virtualBytes: 0,
    swappedBytes: 0,
    proportionalBytes: 0,
    proportionalSwapBytes: 0,
    openFiles: 0,
    worstOpenFilesRatio: 0,
    threadCount: 0,
    oldestStart: undefined,
    states: new Int32Array(STATES.length),
    waiting: new Map(),
    threads: new Map(),
  };
}

function addProcess(group: Group, { reading, growth, started, threads }: TrackedProcess): void {
  group.processes++;
  group.residentBytes += reading.residentBytes;
  group.virtualBytes += reading.virtualBytes;
  group.swappedBytes += reading.swappedBytes;
  group.proportionalBytes += reading.proportionalBytes;
  group.proportionalSwapBytes += reading.proportionalSwapBytes;
  group.openFiles += Math.max(0, reading.openFiles);
  group.worstOpenFilesRatio = Math.max(group.worstOpenFilesRatio, reading.openFiles / reading.openFilesLimit);
  group.threadCount += reading.threadCount;
  group.oldestStart = Math.min(group.oldestStart ?? started, started);
  add(group.counts, growth);
  for (let i = 0; i < STATES.length; i++) group.states[i]! += reading.states[i]!;
  if (reading.waitsFor !== "") increase(group.waiting, reading.waitsFor);
  for (const thread of threads.values()) {
    if (thread.waitsFor !== "") increase(group.waiting, thread.waitsFor);
    let same = group.threads.get(thread.name);
    if (same === undefined) group.threads.set(thread.name, (same = { count: 0, counts: new Float64Array(COUNTS) }));
    same.count++;
    add(same.counts, thread.growth);
  }
}

/** Counters of threads go on as long as there is a thread of the name. */
function keepThreads(group: Group, before: Group | undefined): void {
  if (before === undefined) return;
  for (const [name, thread] of group.threads) {
    const old = before.threads.get(name);
    if (old !== undefined) add(thread.counts, old.counts);
  }
}

function add(sum: Float64Array, more: Float64Array): void {
  for (let i = 0; i < COUNTS; i++) sum[i]! += more[i]!;
}

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
