import { setImmediate } from "node:timers/promises";
import type { Clock } from "#base/clock";
import type { Namer } from "./matcher.ts";
import { COUNTS, type Identity, type ProcessFiles, type Reading, type Stat } from "./process-files.ts";

/** Time that reading may take in one go before others get their turn. */
const SLICE_MS = 2;

interface TrackedThread {
  readonly name: string;
  readonly waitsFor: string;
  readonly counts: Float64Array;
  /** By how much the counters grew since the last round. */
  readonly growth: Float64Array;
}

/** A process that belongs to a group, with its last figures. */
export interface TrackedProcess {
  readonly group: string;
  readonly started: number;
  reading: Reading;
  /** By how much its counters grew since the last round. */
  growth: Float64Array;
  threads: ReadonlyMap<string, TrackedThread>;
}

interface Known {
  readonly start: number;
  /** The round in which it was last seen. */
  round: number;
  tracked: TrackedProcess | undefined;
  /** Belongs to no group and is not asked again. */
  isIgnored: boolean;
}

/** A process that belongs to no group by its own name. */
interface Stray {
  readonly known: Known;
  readonly stat: Stat;
  readonly identity: Identity;
}

export interface TrackerOptions {
  readonly files: ProcessFiles;
  readonly namer: Namer;
  readonly trackChildren: boolean;
  readonly recheck: boolean;
  readonly clock: Clock;
  /** Asked once for each user. */
  userName(id: number): string;
}

export interface RoundProblems {
  /** Tracked processes that could be read in part only. */
  partial: number;
  /** A file of them that the agent's user may not read. */
  denied: string | undefined;
  readonly deniedProcesses: Set<number>;
}

/** Knows which process belongs to which group, and by how much its counters grew: process-exporter's proc/tracker.go. */
export class Tracker {
  readonly #options: TrackerOptions;
  readonly #known = new Map<number, Known>();
  readonly #userNames = new Map<number, string>();
  #round = 0;
  /** When the first round was (ticks since the boot): what a process did that began later all belongs to its group. */
  #firstRound: number | undefined;
  #sliceStart = 0;

  constructor(options: TrackerOptions) {
    this.#options = options;
  }

  /** Reads all processes once. Throws where they cannot be listed. */
  async update(): Promise<{ processes: TrackedProcess[]; problems: RoundProblems }> {
    const { clock, files } = this.#options;
    this.#round++;
    this.#firstRound ??= files.uptime();
    this.#sliceStart = clock.monotonic();
    const problems: RoundProblems = { partial: 0, denied: undefined, deniedProcesses: new Set() };
    const strays = new Map<number, Stray>();
    for (const pid of files.list()) {
      this.#see(pid, strays, problems);
      if (clock.monotonic() - this.#sliceStart >= SLICE_MS) {
        await setImmediate();
        this.#sliceStart = clock.monotonic();
      }
    }
    for (const [pid, known] of this.#known) if (known.round !== this.#round) this.#known.delete(pid);
    if (this.#options.trackChildren) for (const pid of strays.keys()) this.#adopt(pid, strays, problems);

    const processes: TrackedProcess[] = [];
    for (const { tracked } of this.#known.values()) if (tracked !== undefined) processes.push(tracked);
    return { processes, problems };
  }

  #see(pid: number, strays: Map<number, Stray>, problems: RoundProblems): void {
    const { files } = this.#options;
    const stat = files.stat(pid);
    if (stat === undefined) return;
    let known = this.#known.get(pid);
    // A process with the number of one that ended is another process.
    if (known !== undefined && known.start !== stat.start) known = undefined;
    if (known?.isIgnored) {
      known.round = this.#round;
      return;
    }
    if (known?.tracked !== undefined) {
      const reading = this.#read(pid, stat, problems);
      if (reading === undefined) return;
      known.round = this.#round;
      refresh(known.tracked, reading);
      return;
    }
    const identity = files.identity(pid, stat);
    if (identity === undefined) return;
    known ??= { start: stat.start, round: 0, tracked: undefined, isIgnored: false };
    known.round = this.#round;
    this.#known.set(pid, known);
    const userName = () => this.#userName(identity.userId);
    const group = this.#options.namer({ pid, identity, userName });
    if (group === undefined) strays.set(pid, { known, stat, identity });
    else this.#track(pid, { known, stat, identity }, group, problems);
  }

  /** Gives a process the group of its nearest ancestor that has one, and all between them as well. */
  #adopt(pid: number, strays: ReadonlyMap<number, Stray>, problems: RoundProblems): void {
    const line: number[] = [];
    let group: string | undefined;
    for (let at = pid; ; ) {
      const known = this.#known.get(at);
      if (known === undefined || known.isIgnored || line.includes(at)) break;
      if (known.tracked !== undefined) {
        group = known.tracked.group;
        break;
      }
      const stray = strays.get(at);
      if (stray === undefined) break;
      line.push(at);
      at = stray.identity.parent;
    }
    for (const each of line) {
      const stray = strays.get(each)!;
      if (group !== undefined) this.#track(each, stray, group, problems);
      else if (!this.#options.recheck) stray.known.isIgnored = true;
    }
  }

  #track(pid: number, { known, stat, identity }: Stray, group: string, problems: RoundProblems): void {
    const reading = this.#read(pid, stat, problems);
    if (reading === undefined) return;
    const isNew = stat.start > this.#firstRound!;
    known.tracked = {
      group,
      started: identity.started,
      reading,
      growth: isNew ? reading.counts : new Float64Array(COUNTS),
      threads: threadsOf(reading, new Map()),
    };
  }

  #read(pid: number, stat: Stat, problems: RoundProblems): Reading | undefined {
    const reading = this.#options.files.read(pid, stat);
    if (reading === undefined) return undefined;
    if (reading.problems > 0) problems.partial++;
    if (reading.denied !== undefined) {
      problems.denied ??= reading.denied;
      problems.deniedProcesses.add(pid);
    }
    return reading;
  }

  #userName(id: number): string {
    let name = this.#userNames.get(id);
    if (name === undefined) this.#userNames.set(id, (name = this.#options.userName(id)));
    return name;
  }
}

function refresh(tracked: TrackedProcess, reading: Reading): void {
  tracked.growth = growth(reading.counts, tracked.reading.counts);
  tracked.reading = reading;
  tracked.threads = threadsOf(reading, tracked.threads);
}

function threadsOf(reading: Reading, before: ReadonlyMap<string, TrackedThread>): ReadonlyMap<string, TrackedThread> {
  const threads = new Map<string, TrackedThread>();
  for (const { id, name, waitsFor, counts } of reading.threads) {
    const old = before.get(id);
    const grown = old === undefined ? new Float64Array(COUNTS) : growth(counts, old.counts);
    threads.set(id, { name, waitsFor, counts, growth: grown });
  }
  return threads;
}

/**
 * Never below zero: context switches are those of the threads that are there, and so fall when one of them ends, which
 * must not make the counter of the group fall.
 */
function growth(now: Float64Array, before: Float64Array): Float64Array {
  const grown = new Float64Array(COUNTS);
  for (let i = 0; i < COUNTS; i++) grown[i] = Math.max(0, now[i]! - before[i]!);
  return grown;
}
