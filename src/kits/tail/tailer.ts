import { basename, dirname } from "node:path";
import type { Clock } from "#base/clock";
import type { Labels } from "#base/labels";
import type { Logger } from "#base/log";
import type { LogBatch } from "#pipeline/batch";
import { Alarms } from "./alarms.ts";
import type { BatchAccounts } from "./commit-queue.ts";
import { DirectoryInodes } from "./directory-inodes.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import type { FileEncoding } from "./encoding.ts";
import { Holders } from "./holders.ts";
import { LineColumns } from "./line-columns.ts";
import { linkChain } from "./link-chain.ts";
import { CHUNK_BYTES, type ReadSlot } from "./open-file.ts";
import type { PositionReset } from "./position-resets.ts";
import { PositionSweep } from "./position-sweep.ts";
import type { Position, Positions } from "./positions.ts";
import { isRemote } from "./remote-file-systems.ts";
import { Tail } from "./tail.ts";
import type { LossReason, PositionErrorAction, Rotation, TailEnvironment, TailTarget } from "./tail-environment.ts";

/** Files read at the same time. Each has a buffer while it is read; idle files have none. */
const WORKERS = 4;
/** The pause of the one timer behind all files. */
const TICK_MS = 100;
/** How often a file in a watched directory is looked at nevertheless, … */
const WATCHED_PAUSE_MS = 10_000;
/** … and with thousands of them, the mean time between two such looks at any of them. */
const WATCHED_LOOK_MS = 20;
/** Files that cannot be read and are named in the log, in each time of this length. */
const MAX_FAILURES = 10;
const FAILURES_EACH_MS = 60_000;

export interface TailerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly positions: Positions;
  readonly encoding: FileEncoding;
  readonly tailFromEnd: boolean;
  readonly onPositionError: PositionErrorAction;
  readonly legacy: boolean;
  /** Pauses between two looks at a file whose directory cannot be watched; they double from the first to the second. */
  readonly minPollMs: number;
  readonly maxPollMs: number;
  readonly accounts: BatchAccounts;
  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
  lost(path: string, bytes: number, reason: LossReason): void;
  rotated(rotation: Rotation): void;
}

/**
 * Follows any number of files with a few workers, one timer, and one watch for each directory. Files with something to
 * read take turns, a chunk each; the wait for the pipeline's acceptance is the back-pressure.
 */
export class Tailer {
  readonly #options: TailerOptions;
  readonly #tails = new Map<string, Tail>();
  /** Tails whose target is gone and that have something left to read. */
  readonly #retired = new Set<Tail>();
  readonly #queue: Tail[] = [];
  readonly #changed = new Set<Tail>();
  readonly #watch: DirectoryWatch;
  /** Tails by directory and name, under the path as given and, for links, as resolved. */
  readonly #byPlace = new Map<string, Map<string, readonly Tail[]>>();
  /** In the queue or worked on. */
  readonly #active = new Set<Tail>();
  readonly #alarms: Alarms<Tail>;
  readonly #environment: TailEnvironment;
  readonly #sweep: PositionSweep;
  #waiting: (() => void)[] = [];
  #signal: AbortSignal | undefined;
  #failuresLeft = 0;
  #nextFailures = 0;

  constructor(options: TailerOptions) {
    this.#options = options;
    this.#watch = new DirectoryWatch(
      (directory, name) => this.#happened(directory, name),
      () => options.clock.monotonic(),
      isRemote,
    );
    const { clock, log, positions, encoding, tailFromEnd, onPositionError, legacy, accounts, lost, rotated } = options;
    this.#environment = {
      ...{ clock, log, positions, encoding, tailFromEnd, onPositionError, legacy, accounts, lost, rotated },
      deliver: (batch) => options.consume(batch, this.#signal!),
      wake: (tail) => this.#wake(tail),
      failed: (path, problem) => this.#failed(path, problem),
      inodes: new DirectoryInodes(clock),
      holders: new Holders(),
      tailOf: (path, labels) => this.#tails.get(`${path}\0${labels}`),
      opened: (tail) => void linkChain(tail.target.path).then((names) => this.#place(tail, names)),
    };
    this.#alarms = new Alarms(TICK_MS, clock.monotonic());
    this.#sweep = new PositionSweep(positions, this.#environment.inodes, (position) => this.#isFollowed(position));
  }

  get tails(): Iterable<Tail> {
    return this.#tails.values();
  }

  get size(): number {
    return this.#tails.size;
  }

  /** Those of which there may be news since the last call: of thousands of files most rest. */
  takeChanged(): Iterable<Tail> {
    const changed = [...this.#changed];
    for (const tail of changed) {
      const isBusy = tail.queued || tail.draining || tail.lagBytes > 0 || tail.outstanding > 0;
      if (!isBusy || tail.retired) this.#changed.delete(tail);
    }
    return changed;
  }

  /** Batches that were handed on and are not safe yet. */
  get outstanding(): number {
    let count = 0;
    for (const tail of this.#tails.values()) count += tail.outstanding;
    for (const tail of this.#retired) count += tail.outstanding;
    return count;
  }

  follows(target: TailTarget): boolean {
    return this.#tails.has(keyOf(target));
  }

  /** Follows exactly these files from now on. Equal targets count once. */
  setTargets(targets: Iterable<TailTarget>): void {
    const wanted = new Map<string, TailTarget>();
    for (const target of targets) wanted.set(keyOf(target), target);
    for (const [key, tail] of this.#tails) {
      if (wanted.has(key)) continue;
      this.#tails.delete(key);
      tail.dismiss();
      this.#retired.add(tail);
      this.#wake(tail);
    }
    const fresh: Tail[] = [];
    for (const [key, target] of wanted) {
      if (this.#tails.has(key)) continue;
      const tail = new Tail(target, this.#environment);
      this.#tails.set(key, tail);
      fresh.push(tail);
    }
    for (const tail of fresh) {
      this.#place(tail, [tail.target.path]);
      this.#wake(tail);
    }
  }

  /** Has positions begin anew; those of files that nobody follows are changed where they are kept. */
  async reset(resets: readonly PositionReset[]): Promise<void> {
    const others: PositionReset[] = [];
    for (const reset of resets) {
      const tail = this.#tails.get(`${reset.path}\0${reset.labels}`);
      tail?.reset(reset.to);
      if (tail === undefined) others.push(reset);
      else this.#wake(tail);
    }
    for (const { path, labels, to } of others) await this.#options.positions.reset(path, labels, to);
  }

  /** Of many files that cannot be read a few are named; the component's flow status counts them all. */
  #failed(path: string, problem: string): void {
    const { clock, log } = this.#options;
    const now = clock.monotonic();
    if (now >= this.#nextFailures) {
      this.#nextFailures = now + FAILURES_EACH_MS;
      this.#failuresLeft = MAX_FAILURES;
    }
    this.#failuresLeft -= 1;
    if (this.#failuresLeft >= 0) log.error("failed to tail file", { path, error: problem });
  }

  /** Whether a position is that of a file that is held open, or belongs to a target whose file is away for the moment. */
  #isFollowed({ path, labels, file }: Position): boolean {
    const tails = [this.#tails.get(`${path}\0${labels}`), ...this.#retired].filter(
      (tail) => tail?.target.path === path && tail.labelText === labels,
    );
    const isHeld = file !== undefined && this.#environment.holders.has(file);
    return tails.some((tail) => isHeld || tail!.current === undefined);
  }

  /** Works until `signal` is aborted, then lets go of all files. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const release = () => {
      for (const wake of this.#waiting.splice(0)) wake();
    };
    signal.addEventListener("abort", release, { once: true });
    const workers = Array.from({ length: WORKERS }, () => this.#work(signal));
    try {
      await Promise.all([this.#ticks(signal), this.#sweep.run(this.#options.clock, signal), ...workers]);
    } finally {
      signal.removeEventListener("abort", release);
      this.#watch.close();
      for (const tail of [...this.#tails.values(), ...this.#retired]) await tail.close();
    }
  }

  async #ticks(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#options.clock.sleep(TICK_MS, signal);
      } catch {
        return;
      }
      const now = this.#options.clock.monotonic();
      for (const tail of this.#active) if (now >= tail.glanceMs) this.#glance(tail, now);
      for (const tail of this.#alarms.take(now)) {
        const isGone = tail.retired && !this.#retired.has(tail);
        if (!tail.queued && !isGone) this.#wake(tail);
      }
    }
  }

  async #work(signal: AbortSignal): Promise<void> {
    let slot: ReadSlot | undefined;
    while (!signal.aborted) {
      const tail = this.#queue.shift();
      if (tail === undefined) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        continue;
      }
      slot ??= { buffer: Buffer.allocUnsafeSlow(CHUNK_BYTES), columns: new LineColumns() };
      tail.woken = false;
      let more = false;
      try {
        if (this.#retired.has(tail)) await tail.retire();
        more = await tail.step(slot);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      if (more || tail.woken) {
        tail.pauseMs = 0;
        this.#queue.push(tail);
      } else {
        tail.queued = false;
        this.#active.delete(tail);
        this.#rest(tail);
      }
    }
  }

  /** Decides when to look at a file again that has nothing new. */
  #rest(tail: Tail): void {
    const { minPollMs, maxPollMs, clock } = this.#options;
    if (tail.retired && !tail.draining && tail.outstanding === 0) {
      this.#unplace(tail);
      this.#retired.delete(tail);
      return;
    }
    const watched = tail.names.length > 0 && tail.names.every((name) => this.#watch.isWatched(dirname(name)));
    if (tail.draining || (tail.state === "waiting" && tail.problem === undefined)) tail.pauseMs = minPollMs;
    else if (watched && tail.state === "running") {
      // By chance, so that those that were opened together are not all looked at together.
      const share = WATCHED_LOOK_MS * this.#tails.size * (0.5 + Math.random());
      tail.pauseMs = Math.max(WATCHED_PAUSE_MS, share);
    } else tail.pauseMs = Math.min(maxPollMs, Math.max(minPollMs, tail.pauseMs * 2));
    // A file that cannot be opened is tried again like Alloy does, at most each ten seconds.
    if (tail.state === "failed") tail.pauseMs = Math.max(1_000, tail.pauseMs);
    tail.dueMs = clock.monotonic() + tail.pauseMs;
    this.#alarms.set(tail);
  }

  /** Where many files are held up, each is looked at more rarely. */
  #glance(tail: Tail, now: number): void {
    tail.glanceMs = now + Math.max(this.#options.minPollMs, this.#queue.length);
    tail.glance();
  }

  #wake(tail: Tail): void {
    if (tail.queued) {
      tail.woken = true;
      return;
    }
    tail.queued = true;
    this.#active.add(tail);
    this.#changed.add(tail);
    tail.glanceMs = this.#options.clock.monotonic() + this.#options.minPollMs;
    this.#queue.push(tail);
    this.#waiting.shift()?.();
  }

  #happened(directory: string, name: string | null): void {
    const names = this.#byPlace.get(directory);
    if (names === undefined) return;
    if (name !== null) {
      for (const tail of names.get(name) ?? []) {
        this.#wake(tail);
        tail.glance();
      }
    } else {
      for (const tails of names.values()) for (const tail of tails) this.#wake(tail);
    }
  }

  /** Watches the directories in which something can happen to the file, whose names are its path and what links lead to. */
  #place(tail: Tail, names: readonly string[]): void {
    const before = tail.names;
    if (before.length === names.length && before.every((name, i) => name === names[i])) return;
    if (tail.retired) return;
    // What stays the same is added first, so that its watch is not closed in between.
    for (const path of names) {
      const directory = dirname(path);
      const name = basename(path);
      let known = this.#byPlace.get(directory);
      if (known === undefined) this.#byPlace.set(directory, (known = new Map()));
      const tails = known.get(name) ?? [];
      if (!tails.includes(tail)) known.set(name, [...tails, tail]);
      this.#watch.add(directory);
    }
    this.#unplace(tail, names);
    tail.names = names;
  }

  /** Takes a tail out of its places, but for those that it has from now on. */
  #unplace(tail: Tail, kept: readonly string[] = []): void {
    for (const path of tail.names) {
      const directory = dirname(path);
      const names = this.#byPlace.get(directory);
      if (names !== undefined && !kept.includes(path)) {
        const name = basename(path);
        const others = (names.get(name) ?? []).filter((each) => each !== tail);
        if (others.length > 0) names.set(name, others);
        else names.delete(name);
        if (names.size === 0) this.#byPlace.delete(directory);
      }
      this.#watch.release(directory);
    }
    tail.names = [];
  }
}

function keyOf(target: { readonly path: string; readonly labels: Labels }): string {
  return `${target.path}\0${target.labels}`;
}
