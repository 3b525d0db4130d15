import type { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { ChannelEvents, WorkerChannel, WorkerPool } from "#pipeline/worker-pool";
import type { HeldLine } from "./remote-held.ts";
import {
  type BatchTask,
  type FlushTask,
  type PipelineSetup,
  PROCESS_CHANNEL,
  StreamNumbers,
  StreamTable,
  type TaskResult,
} from "./remote-protocol.ts";
import type { Slot } from "./remote-queue.ts";
import { inputColumns, type Slab, type SlabShape, slabData } from "./remote-slab.ts";

/** What a worker has to do: a batch in a slab, or a flush. */
export interface LaneTask {
  readonly id: number;
  readonly slot: Slot;
  readonly part: number;
  readonly flush?: "due" | "all";
  readonly slab?: Slab;
  readonly shape?: SlabShape;
  readonly streams?: readonly Labels[];
  readonly metadata?: readonly (readonly string[] | undefined)[] | undefined;
  /** One reference of it is the task's. */
  readonly acknowledgement?: Acknowledgement;
  /** The lines of which the batch consists, if they were held by a pipeline that is gone. */
  readonly replayed?: readonly HeldLine[];
}

/** One worker's side of a pipeline: what it has been given, and what its stages hold back. */
export class Lane {
  readonly index: number;
  channel: WorkerChannel | undefined;
  readonly tasks = new Map<number, LaneTask>();
  streamsIn: StreamTable;
  #streamsOut = new StreamNumbers();
  readonly #intern: (labels: Labels) => Labels;
  readonly #known = new Set<number>();
  #forget: number[] = [];
  /** By task and index. */
  readonly #held = new Map<number, Map<number, HeldLine>>();
  heldCount = 0;

  constructor(index: number, intern: (labels: Labels) => Labels) {
    this.index = index;
    this.#intern = intern;
    this.streamsIn = new StreamTable(intern);
  }

  open(pool: WorkerPool, setup: PipelineSetup, events: ChannelEvents): void {
    this.channel = pool.open(this.index, PROCESS_CHANNEL, setup, events);
  }

  /** Whether a flush is among the tasks. */
  get isFlushing(): boolean {
    for (const task of this.tasks.values()) if (task.flush !== undefined) return true;
    return false;
  }

  /** Begins anew, and gives what was held in the order in which it came. */
  reset(): HeldLine[] {
    const held = [...this.#held.values()].flatMap((lines) => [...lines.values()]);
    this.channel = undefined;
    this.tasks.clear();
    this.streamsIn = new StreamTable(this.#intern);
    this.#streamsOut = new StreamNumbers();
    this.#known.clear();
    this.#forget = [];
    this.#held.clear();
    this.heldCount = 0;
    return held;
  }

  post(task: LaneTask, watch: { readonly traces: number | undefined; readonly samples: readonly number[] }): void {
    this.tasks.set(task.id, task);
    if (task.flush !== undefined) {
      this.channel!.post({ task: task.id, flush: task.flush, traces: watch.traces } satisfies FlushTask);
      return;
    }
    const { slab, shape, streams, metadata } = task as Required<LaneTask>;
    const isNew = !this.#known.has(slab.id);
    if (isNew) this.#known.add(slab.id);
    const forget = this.#forget;
    if (forget.length > 0) this.#forget = [];
    this.channel!.post({
      task: task.id,
      slab: slab.id,
      memory: isNew ? slab.memory : undefined,
      forget,
      ...shape,
      ...this.#streamsOut.of(streams),
      metadata,
      ...watch,
    } satisfies BatchTask);
  }

  forgetSlab(id: number): void {
    if (this.#known.delete(id)) this.#forget.push(id);
  }

  /** Keeps what the worker's stages hold now. Returns the acknowledgement of what comes out of the task. */
  account(task: LaneTask, { held, freed }: TaskResult): Acknowledgement {
    const free: Acknowledgement[] = [];
    for (let i = 0; i < freed.length; i += 2) {
      const lines = this.#held.get(freed[i]!)!;
      free.push(lines.get(freed[i + 1]!)!.acknowledgement);
      lines.delete(freed[i + 1]!);
      if (lines.size === 0) this.#held.delete(freed[i]!);
    }
    this.heldCount += held.length - freed.length / 2;
    const { replayed, acknowledgement = Acknowledgement.none } = task;
    if (held.length > 0) {
      if (replayed === undefined) acknowledgement.retain(held.length);
      this.#held.set(task.id, new Map(held.map((row) => [row, replayed?.[row] ?? lineOf(task, row)])));
    }
    if (replayed !== undefined) {
      const kept = new Set(held);
      for (const [row, line] of replayed.entries()) if (!kept.has(row)) free.push(line.acknowledgement);
    }
    return free.length === 0 ? acknowledgement : Acknowledgement.merge([acknowledgement, ...free]);
  }
}

function lineOf(task: LaneTask, row: number): HeldLine {
  const { slab, shape, streams, metadata, acknowledgement } = task as Required<LaneTask>;
  const { ms, ns, start, end, stream } = inputColumns(slab.memory, shape);
  return {
    labels: streams[stream[row]!]!,
    ms: ms[row]!,
    ns: ns[row]!,
    metadata: metadata?.[row],
    line: new Uint8Array(slabData(slab.memory, shape).subarray(start[row], end[row])),
    acknowledgement,
  };
}
