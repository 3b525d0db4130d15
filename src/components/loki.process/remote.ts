import type { Clock } from "#base/clock";
import type { Labels } from "#base/labels";
import type { Logger } from "#base/log";
import type { InstrumentsOf } from "#base/metrics";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { LogBatch } from "#pipeline/batch";
import { LogBatchBuilder } from "#pipeline/log-batch";
import type { Tap } from "#pipeline/tap";
import type { WorkerPool } from "#pipeline/worker-pool";
import type { Pipeline } from "./pipeline.ts";
import type { HeldLine } from "./remote-held.ts";
import { Lane, type LaneTask } from "./remote-lane.ts";
import type { RemotePlan } from "./remote-plan.ts";
import type { PipelineSetup, TaskResult } from "./remote-protocol.ts";
import { DeliveryQueue, type Outcome, type Slot } from "./remote-queue.ts";
import {
  extentOf,
  inputColumns,
  isSparse,
  outputColumns,
  type Slab,
  SlabPool,
  shapeOf,
  slabBytes,
  slabData,
  unpackBatch,
  writeInput,
} from "./remote-slab.ts";
import { StreamLanes } from "./remote-streams.ts";
import type { PROCESS_METRICS } from "./stage.ts";

/** Tasks that a worker may have: one to work on, and some so that it never waits. */
const MAX_TASKS = 3;
/** Batches for each worker that may wait for those before them, and bytes of memory in use. */
const MAX_SLOTS = 6;
const MAX_BYTES = 8 * 1024 * 1024;
/** After so many deaths of threads in this time the main thread does the work. */
const MAX_DEATHS = 3;
const DEATHS_WITHIN_MS = 60_000;
/** Entries of a batch that are traced while somebody watches. */
const TRACES = 32;

export interface RemoteOptions {
  readonly pool: WorkerPool;
  readonly setup: PipelineSetup;
  readonly plan: Exclude<RemotePlan, { kind: "none" }>;
  /** A pipeline of the same stages in the main thread, which reports what the others count. */
  readonly mirror: Pipeline;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tap: Tap;
  readonly metrics: InstrumentsOf<typeof PROCESS_METRICS>;
  /** The component's. */
  readonly signal: AbortSignal;
  deliver(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
  /** Counts entries that a bug has lost. */
  dropped(count: number): void;
  /** Where batches go that still wait when this ends. */
  again(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
  /** Threads keep dying: makes the pipeline that takes over in the main thread. */
  takeOver(): Pipeline;
}

/** A batch for which there is no room yet. */
interface Waiting {
  readonly batch: LogBatch;
  readonly signal: AbortSignal;
  resolve(result: void | Promise<void>): void;
}

/**
 * The pipeline of a component in worker threads. Batches are copied into shared memory, worked on, and handed on in the
 * order in which they came. A batch that can be read again is accepted as soon as it is copied: its source learns by the
 * acknowledgement when it is safe. For others `consume` resolves when the consumers have accepted what became of them.
 */
export class RemotePipeline {
  readonly #options: RemoteOptions;
  readonly #lanes: Lane[];
  readonly #streams: StreamLanes | undefined;
  readonly #queue: DeliveryQueue;
  readonly #slabs: SlabPool;
  readonly #interned = new Map<string, Labels>();
  readonly #deaths: number[] = [];
  #waiting: Waiting[] = [];
  #tasks = 0;
  #bytes = 0;
  /** Whether nothing more is taken. */
  #isRetired = false;
  /** Whether the main thread has taken over. */
  #isOver = false;
  #isClosed = false;

  /** Throws if no thread can be started. `held` is what stages of the pipeline before this one held back. */
  constructor(options: RemoteOptions, held: readonly HeldLine[]) {
    this.#options = options;
    const { pool, plan } = options;
    this.#slabs = new SlabPool(pool.size * MAX_SLOTS);
    this.#queue = new DeliveryQueue(
      options.deliver,
      (error) => options.log.error("a stage failed, and the batch is dropped: this is a bug", { error }),
      () => this.#resume(),
    );
    this.#lanes = Array.from({ length: pool.size }, (_, index) => new Lane(index, (labels) => this.#intern(labels)));
    try {
      for (const lane of this.#lanes) this.#connect(lane);
    } catch (error) {
      this.close();
      throw error;
    }
    this.#streams = plan.kind === "by_stream" ? new StreamLanes(pool.size, plan.key) : undefined;
    for (const lane of this.#lanes) {
      this.#replay(
        lane,
        held.filter(({ labels }) => this.#laneOf(labels) === lane.index),
      );
    }
  }

  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
    if (this.#waiting.length === 0 && this.#hasRoom(batch)) return this.#take(batch, signal);
    return new Promise<void>((resolve, reject) => {
      const abort = () => {
        this.#waiting = this.#waiting.filter((each) => each !== waiter);
        reject(signal.reason);
      };
      const waiter: Waiting = {
        batch,
        signal,
        resolve: (result) => {
          signal.removeEventListener("abort", abort);
          resolve(result);
        },
      };
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      this.#waiting.push(waiter);
    });
  }

  /** Takes nothing more, sends who waits away, and has stages give all that they hold. */
  retire(): void {
    this.flush(true);
    this.#isRetired = true;
    this.#sendAway();
  }

  /** Has stages give what they have held for long enough, or all that they hold. */
  flush(all: boolean): void {
    if (this.#isOver) return;
    for (const lane of this.#lanes) {
      if (lane.heldCount === 0 && (!all || lane.tasks.size === 0)) continue;
      // While nothing gets through, one that waits is enough.
      if (!all && (this.#queue.size >= MAX_SLOTS || lane.isFlushing)) continue;
      const slot: Slot = { parts: [undefined], open: 1, signal: this.#options.signal };
      this.#queue.add(slot);
      this.#post(lane, { id: ++this.#tasks, slot, part: 0, flush: all ? "all" : "due" });
    }
  }

  /** Whether everything that was taken has been handed on. */
  get isEmpty(): boolean {
    return this.#queue.size === 0;
  }
  /** Resolves when it is so. */
  empty(): Promise<void> {
    return this.#queue.empty();
  }

  close(): void {
    this.#isClosed = true;
    for (const lane of this.#lanes) lane.channel?.close();
  }

  #connect(lane: Lane): void {
    const { pool, setup } = this.#options;
    lane.open(pool, setup, {
      received: (body) => this.#answered(lane, body as TaskResult),
      died: (cause) => this.#died(lane, cause),
    });
  }

  #laneOf(labels: Labels): number {
    return this.#streams?.of(labels) ?? 0;
  }

  #hasRoom(batch: LogBatch): boolean {
    if (this.#queue.size >= MAX_SLOTS * this.#lanes.length) return false;
    if (this.#bytes > MAX_BYTES * this.#lanes.length) return false;
    const isFree = (lane: Lane) => lane.tasks.size < MAX_TASKS;
    if (this.#streams === undefined) return this.#lanes.some(isFree);
    return batch.streams.every((labels) => isFree(this.#lanes[this.#laneOf(labels)]!));
  }

  #resume(): void {
    if (this.#waiting.length === 0) return;
    const all = this.#waiting;
    this.#waiting = [];
    const left = all.filter((waiter) => {
      if (!this.#hasRoom(waiter.batch)) return true;
      waiter.resolve(this.#take(waiter.batch, waiter.signal));
      return false;
    });
    this.#waiting = [...left, ...this.#waiting];
  }

  #sendAway(): void {
    for (const { batch, signal, resolve } of this.#waiting.splice(0)) resolve(this.#options.again(batch, signal));
  }

  #take(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
    if (batch.count === 0) {
      batch.acknowledgement.release();
      return;
    }
    const parts = this.#partsOf(batch);
    const early = batch.acknowledgement !== Acknowledgement.none;
    let settled: Promise<void> | undefined;
    let settle: Slot["settle"];
    if (!early) {
      settled = new Promise<void>((accepted, refused) => {
        settle = { accepted, refused };
      });
    }
    const slot: Slot = {
      parts: new Array(parts.length).fill(undefined),
      open: parts.length,
      signal: early ? this.#options.signal : signal,
      ...(settle !== undefined && { settle }),
    };
    batch.acknowledgement.retain(parts.length - 1);
    this.#queue.add(slot);
    for (const [part, { lane, rows }] of parts.entries()) {
      const input = this.#write(batch, rows);
      const { acknowledgement } = batch;
      this.#post(lane, { id: ++this.#tasks, slot, part, ...input, acknowledgement });
    }
    return settled;
  }

  /** Copies a batch, or some rows of it, into shared memory. */
  #write(batch: LogBatch, rows: readonly number[] | undefined) {
    const extent = extentOf(batch, rows);
    const count = rows?.length ?? batch.count;
    const shape = shapeOf(count, isSparse(extent) ? extent.sum : extent.to - extent.from);
    const slab = this.#slabs.take(slabBytes(shape));
    this.#bytes += slab.memory.byteLength;
    writeInput(slab.memory, shape, batch, rows, extent);
    const { metadata } = batch;
    return {
      slab,
      shape,
      streams: batch.streams,
      metadata: rows === undefined ? metadata?.slice(0, count) : metadata && rows.map((row) => metadata[row]),
    };
  }

  #partsOf(batch: LogBatch): { readonly lane: Lane; readonly rows: readonly number[] | undefined }[] {
    const lanes = this.#lanes;
    if (this.#streams === undefined) {
      const lane = lanes.reduce((least, each) => (each.tasks.size < least.tasks.size ? each : least));
      return [{ lane, rows: undefined }];
    }
    const byStream = batch.streams.map((labels) => this.#laneOf(labels));
    const first = byStream[0]!;
    if (byStream.every((each) => each === first)) return [{ lane: lanes[first]!, rows: undefined }];
    const rows = lanes.map((): number[] => []);
    for (let i = 0; i < batch.count; i++) rows[byStream[batch.stream[i]!]!]!.push(i);
    return lanes.flatMap((lane, i) => (rows[i]!.length === 0 ? [] : [{ lane, rows: rows[i] }]));
  }

  /** Gives a worker held lines of an earlier life, so that its stages hold them again. */
  #replay(lane: Lane, held: readonly HeldLine[], isLater?: (slot: Slot) => boolean): void {
    if (held.length === 0) return;
    const batch = batchOf(held);
    const slot: Slot = { parts: [undefined], open: 1, signal: this.#options.signal };
    this.#queue.add(slot, isLater);
    this.#post(lane, { id: ++this.#tasks, slot, part: 0, ...this.#write(batch, undefined), replayed: held });
  }

  #post(lane: Lane, task: LaneTask): void {
    lane.post(task, {
      traces: this.#options.tap.tracing ? TRACES : undefined,
      samples: this.#options.mirror.samplesWanted,
    });
  }

  #answered(lane: Lane, result: TaskResult): void {
    const task = lane.tasks.get(result.task)!;
    lane.tasks.delete(result.task);
    this.#account(task, result);
    const acknowledgement = lane.account(task, result);
    const done = () => {
      if (task.slab !== undefined) this.#free(task.slab);
    };
    let outcome: Outcome;
    if (result.failed !== undefined) {
      const count = task.shape?.count ?? 0;
      // A source that waits is told, and counts it itself.
      if (task.slot.settle === undefined) this.#options.dropped(count);
      acknowledgement.release();
      outcome = { batch: undefined, failed: new Error(result.failed), done };
    } else if (result.count === 0) {
      acknowledgement.release();
      outcome = { batch: undefined, done };
    } else outcome = { batch: this.#output(lane, task, result, acknowledgement), done };
    this.#finish(task, outcome);
    this.#queue.pump();
    this.#resume();
  }

  #finish({ slot, part }: LaneTask, outcome: Outcome): void {
    slot.parts[part] = outcome;
    slot.open -= 1;
  }

  #output(lane: Lane, task: LaneTask, result: TaskResult, acknowledgement: Acknowledgement): LogBatch {
    const { count, packed, metadata, bytes } = result;
    const lines =
      packed !== undefined
        ? unpackBatch(packed, count)
        : { ...outputColumns(task.slab!.memory, task.shape!), data: slabData(task.slab!.memory, task.shape!, bytes) };
    return {
      signal: "logs",
      count,
      ...lines,
      streams: lane.streamsIn.of(result),
      metadata: metadata?.slice(),
      acknowledgement,
    };
  }

  /** Reports what was counted, logged and seen, once. */
  #account(task: LaneTask, { counts, metrics, logs, traces, samples }: TaskResult): void {
    const { mirror, log, tap, metrics: instruments } = this.#options;
    for (const [number, line] of samples) mirror.giveSample(number, line);
    if (task.replayed !== undefined) return;
    if (counts !== undefined) mirror.addCounts(counts);
    for (const [key, values, by] of metrics) {
      const counter = instruments[key as keyof typeof instruments];
      (values.length === 0 ? counter : counter.labels(...values)).inc(by);
    }
    for (const [level, message, fields] of logs) log[level](message, fields);
    for (const trace of traces) if (tap.wantsTrace()) tap.showTrace(trace);
  }

  #free(slab: Slab): void {
    this.#bytes -= slab.memory.byteLength;
    const dropped = this.#slabs.give(slab);
    if (dropped !== undefined) for (const lane of this.#lanes) lane.forgetSlab(dropped.id);
  }

  #died(lane: Lane, cause: string): void {
    if (this.#isClosed || this.#isOver) return;
    const { clock, log } = this.#options;
    const now = clock.monotonic();
    this.#deaths.push(now);
    while (this.#deaths[0]! < now - DEATHS_WITHIN_MS) this.#deaths.shift();
    const tasks = [...lane.tasks.values()];
    log.error("a worker thread died; what it had is processed again", { cause, batches: tasks.length });
    const held = lane.reset();
    if (this.#deaths.length >= MAX_DEATHS || !this.#reconnect(lane)) {
      this.#takeOver([[lane, held, tasks]]);
      return;
    }
    this.#replay(lane, held, (slot) => tasks.some((task) => task.slot === slot));
    for (const task of tasks) this.#post(lane, task);
  }

  /** False if no thread can be started. */
  #reconnect(lane: Lane): boolean {
    try {
      this.#connect(lane);
      return true;
    } catch (error) {
      this.#options.log.error("no worker thread can be started", { error });
      return false;
    }
  }

  /** The main thread does what the workers have not done, and everything from now on. */
  #takeOver(dead: [Lane, HeldLine[], LaneTask[]][]): void {
    const { log, takeOver } = this.#options;
    log.error("worker threads keep dying: the main thread does the work until the next change of the configuration", {
      deaths: this.#deaths.length,
    });
    const pipeline = takeOver();
    this.#isOver = true;
    this.#sendAway();
    const all = [...dead];
    for (const lane of this.#lanes) {
      if (dead.some(([each]) => each === lane)) continue;
      const tasks = [...lane.tasks.values()];
      lane.channel?.close();
      all.push([lane, lane.reset(), tasks]);
    }
    const slots = new Set(all.flatMap(([, , tasks]) => tasks.map(({ slot }) => slot)));
    for (const line of all.flatMap(([, held]) => held)) {
      const slot: Slot = { parts: [undefined], open: 1, signal: this.#options.signal };
      const task = { id: 0, slot, part: 0 };
      this.#queue.add(slot, (each) => slots.has(each));
      this.#here(task, () => pipeline.apply({ ...batchOf([line]), acknowledgement: line.acknowledgement }));
    }
    for (const task of all.flatMap(([, , tasks]) => tasks)) {
      this.#here(task, () => {
        if (task.flush !== undefined) return pipeline.flush(task.flush === "all");
        const acknowledgement = task.replayed
          ? Acknowledgement.merge(task.replayed.map((line) => line.acknowledgement))
          : task.acknowledgement!;
        return pipeline.apply({ ...inputOf(task), acknowledgement });
      });
    }
    if (this.#isRetired) {
      const slot: Slot = { parts: [undefined], open: 1, signal: this.#options.signal };
      this.#queue.add(slot);
      this.#here({ id: 0, slot, part: 0 }, () => pipeline.flush(true));
    }
    this.#queue.pump();
  }

  #here(task: LaneTask, work: () => LogBatch | undefined): void {
    const done = () => {};
    try {
      const batch = work();
      if (batch?.count === 0) batch.acknowledgement.release();
      this.#finish(task, { batch: batch?.count === 0 ? undefined : batch, done });
    } catch (error) {
      this.#options.dropped(task.shape?.count ?? 0);
      task.acknowledgement?.release();
      this.#finish(task, { batch: undefined, failed: error as Error, done });
    }
  }

  /** Equal label sets of several workers as one object: consumers know streams by it. */
  #intern(labels: Labels): Labels {
    const text = labels.toString();
    const known = this.#interned.get(text);
    if (known !== undefined) return known;
    if (this.#interned.size >= MAX_INTERNED) this.#interned.clear();
    this.#interned.set(text, labels);
    return labels;
  }
}

const MAX_INTERNED = 8_192;

function batchOf(lines: readonly HeldLine[]): LogBatch {
  const builder = new LogBatchBuilder();
  for (const { labels, ms, ns, line, metadata } of lines) {
    builder.add(builder.streamId(labels), ms, ns, line, 0, line.length, metadata);
  }
  return builder.take();
}

/** A batch as it came. Its memory is not used by anybody else any more. */
function inputOf({ slab, shape, streams, metadata }: LaneTask): LogBatch {
  return {
    signal: "logs",
    count: shape!.count,
    ...inputColumns(slab!.memory, shape!),
    data: slabData(slab!.memory, shape!),
    streams: [...streams!],
    metadata: metadata?.slice(),
    acknowledgement: Acknowledgement.none,
  };
}
