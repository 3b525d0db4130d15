import type { LogBatch } from "#pipeline/batch";
import type { ComponentContext, DebugValue } from "#pipeline/component";
import type { WorkerPool } from "#pipeline/worker-pool";
import { Pipeline } from "./pipeline.ts";
import { RemotePipeline } from "./remote.ts";
import { EntryTracker, type HeldLine } from "./remote-held.ts";
import { packStages, planOf, type RemotePlan } from "./remote-plan.ts";
import type { PROCESS_METRICS, StageEnvironment } from "./stage.ts";
import type { StageConfig } from "./stages.ts";
import type { Tracer } from "./trace.ts";

/** Workers get the batches of a pipeline that takes this share of the main thread's time, … */
const BUSY_SHARE = 0.25;
/** … measured for so long, … */
const WINDOW_MS = 500;
/** … if each batch takes longer than it takes to hand it over and back. */
const LEAST_BATCH_MS = 0.2;
/** Batches of so few entries are not worth a hand-over as long as nothing is on its way. */
const FEW_ENTRIES = 16;

type ProcessContext = ComponentContext<unknown, typeof PROCESS_METRICS>;

export interface WorkerModeOptions {
  readonly ctx: ProcessContext;
  readonly pool: WorkerPool;
  readonly environment: StageEnvironment;
  /** Works on a batch in the main thread and hands it on. */
  inline(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
  deliver(batch: LogBatch, signal: AbortSignal): void | Promise<void>;
  /** Makes a pipeline the component's own. */
  replace(pipeline: Pipeline): void;
}

/** Decides who works on batches: the main thread, or worker threads once it has enough to do (`--workers`). */
export class WorkerMode {
  readonly #options: WorkerModeOptions;
  #stages: readonly StageConfig[] = [];
  #plan: RemotePlan = { kind: "any" };
  #tracker: EntryTracker | undefined;
  #pipeline!: Pipeline;
  #batches = 0;
  #window = { began: Number.NEGATIVE_INFINITY, busyMs: 0, batches: 0 };
  #isHeavy: boolean;
  #remote: RemotePipeline | undefined;
  /** Fulfilled when what was taken under an earlier configuration has been handed on. */
  #gate: Promise<void> | undefined;

  constructor(options: WorkerModeOptions) {
    this.#options = options;
    this.#isHeavy = options.pool.isEager;
  }

  get isRemote(): boolean {
    return this.#remote !== undefined;
  }

  /** Makes the pipeline of a configuration; `use` puts it in force. Throws StageError. */
  build(stages: readonly StageConfig[]): { readonly pipeline: Pipeline; use(): void } {
    const plan = planOf(stages);
    const keepsEntries = plan.kind === "by_stream" && plan.keepsEntries;
    const tracker = keepsEntries ? new EntryTracker(true) : undefined;
    const pipeline = new Pipeline(stages, this.#options.environment, { tracker });
    const use = () => {
      this.#retire();
      this.#stages = stages;
      this.#plan = plan;
      this.#tracker = tracker;
      this.#pipeline = pipeline;
      if (plan.kind === "none")
        this.#options.ctx.log.info("this pipeline stays in the main thread", { because: plan.because });
    };
    return { pipeline, use };
  }

  consume(batch: LogBatch, signal: AbortSignal): void | Promise<void> {
    if (this.#gate !== undefined) return this.#gate.then(() => this.consume(batch, signal));
    if (this.#remote === undefined && (!this.#isHeavy || this.#plan.kind === "none" || !this.#engage())) {
      return this.#options.inline(batch, signal);
    }
    const remote = this.#remote!;
    if (batch.count < FEW_ENTRIES && this.#plan.kind === "any" && remote.isEmpty && !this.#options.pool.isEager) {
      return this.#options.inline(batch, signal);
    }
    return remote.consume(batch, signal);
  }

  /** `pipeline.apply` in the main thread, measured. */
  apply(pipeline: Pipeline, batch: LogBatch, tracer: Tracer | undefined): LogBatch {
    if (this.#plan.kind === "none") return pipeline.apply(batch, tracer);
    const { clock } = this.#options.ctx;
    const began = clock.monotonic();
    this.#tracker?.begin(++this.#batches, batch.acknowledgement);
    const processed = pipeline.apply(batch, tracer);
    this.#tracker?.settle(batch.data);
    const now = clock.monotonic();
    if (began - this.#window.began > WINDOW_MS) this.#window = { began, busyMs: 0, batches: 0 };
    const window = this.#window;
    window.busyMs += now - began;
    window.batches += 1;
    const least = Math.max(WINDOW_MS, now - window.began) * BUSY_SHARE;
    if (window.busyMs >= least && window.busyMs >= window.batches * LEAST_BATCH_MS) this.#isHeavy = true;
    return processed;
  }

  /** `pipeline.flush` in the main thread. */
  flushHere(pipeline: Pipeline, all: boolean, tracer: Tracer | undefined): LogBatch | undefined {
    const flushed = pipeline.flush(all, tracer);
    this.#tracker?.settle(NOTHING);
    return flushed;
  }

  /** Has the workers' stages give what they have held for long enough. */
  flush(): void {
    this.#remote?.flush(false);
  }

  /** Resolves when everything that was taken has been handed on; rejects when `deadline` is aborted before. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#remote?.flush(true);
    const empty = Promise.all([this.#gate, this.#remote?.empty()]);
    await new Promise<void>((resolve, reject) => {
      const abort = () => reject(deadline.reason);
      if (deadline.aborted) return abort();
      deadline.addEventListener("abort", abort, { once: true });
      void empty.then(() => {
        deadline.removeEventListener("abort", abort);
        resolve();
      });
    });
  }

  close(): void {
    this.#remote?.close();
  }

  debugInfo(): DebugValue {
    const { size } = this.#options.pool;
    if (this.#plan.kind === "none") return { runs_in: "main thread", because: this.#plan.because };
    if (this.#remote !== undefined) return { runs_in: "worker threads", threads: size };
    return { runs_in: "main thread", because: "it has too little to do for worker threads" };
  }

  #engage(): boolean {
    const { ctx, pool } = this.#options;
    const plan = this.#plan as Exclude<RemotePlan, { kind: "none" }>;
    const held: HeldLine[] = this.#tracker?.take() ?? [];
    try {
      this.#remote = this.#start(plan, held);
    } catch (error) {
      // Only before anything was handed over: a thread that cannot be started later is a death of one.
      this.#stayHere("no worker thread can be started");
      ctx.log.error("no worker thread can be started; the main thread does the work", { error });
      return false;
    }
    ctx.log.info("worker threads take over this pipeline", { threads: pool.size });
    return true;
  }

  #start(plan: Exclude<RemotePlan, { kind: "none" }>, held: readonly HeldLine[]): RemotePipeline {
    const { ctx, pool, environment, deliver } = this.#options;
    const stages = this.#stages;
    const remote: RemotePipeline = new RemotePipeline(
      {
        pool,
        plan,
        setup: {
          stages: packStages(stages),
          keepsEntries: plan.kind === "by_stream" && plan.keepsEntries,
        },
        mirror: this.#pipeline,
        clock: ctx.clock,
        log: ctx.log,
        tap: ctx.tap,
        metrics: ctx.metrics,
        signal: ctx.signal,
        deliver,
        dropped: (count) => ctx.flow.drop("logs", "internal_error", count),
        again: (batch, signal) => this.consume(batch, signal),
        takeOver: () => {
          const fresh = new Pipeline(stages, environment);
          if (this.#remote !== remote) return fresh; // of an earlier configuration
          this.#stayHere("worker threads kept dying");
          this.#tracker = undefined;
          this.#options.replace(fresh);
          this.#remote = undefined;
          this.#waitFor(remote);
          return fresh;
        },
      },
      held,
    );
    return remote;
  }

  #stayHere(because: string): void {
    this.#plan = { kind: "none", because };
  }

  /** Ends the work under a configuration that is no longer in force. */
  #retire(): void {
    const remote = this.#remote;
    if (remote === undefined) return;
    this.#remote = undefined;
    this.#waitFor(remote);
    remote.retire();
  }

  /** Lets nothing pass until all that a pipeline has taken is handed on. */
  #waitFor(remote: RemotePipeline): void {
    const gate = Promise.all([this.#gate, remote.empty()]).then(() => {
      remote.close();
      if (this.#gate === gate) this.#gate = undefined;
    });
    this.#gate = gate;
  }
}

const NOTHING = new Uint8Array(0);
