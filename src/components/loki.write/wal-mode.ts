import { join } from "node:path";
import { abortable } from "#base/abortable";
import { errorText } from "#base/log";
import { Backoff } from "#kits/backoff";
import type { LogBatch } from "#pipeline/batch";
import { DiskQueue } from "#pipeline/disk-queue";
import { RetryableError } from "#pipeline/errors";
import type { FlowQueue, Judgement } from "#pipeline/flow";
import type { WriteArguments } from "./arguments.ts";
import { allEndpointOptions, createEndpoint, type WriteContext } from "./create-endpoint.ts";
import type { Endpoint } from "./endpoint.ts";
import type { WriteMode, WriteStatus } from "./status.ts";
import type { StreamTable } from "./streams.ts";
import { encodeWalRecords, sendFromWal } from "./wal.ts";

const DRAIN_POLL_MS = 20;
const FIRST_REOPEN_MS = 500;
const LAST_REOPEN_MS = 10_000;
/** How long requests under way may take when the configuration changes. */
const GRACE_MS = 2_000;

/** Accepts and acknowledges once a batch is in the queue on disk, from which each endpoint reads at its own pace. */
export class WalMode implements WriteMode {
  readonly #ctx: WriteContext;
  readonly #status: WriteStatus;
  readonly #args: WriteArguments;
  readonly #streams: StreamTable;
  readonly #endpoints: readonly Endpoint[];
  /** Aborted first: requests under way may still be answered. */
  readonly #ending = new AbortController();
  readonly #stopping = new AbortController();
  readonly #opened = Promise.withResolvers<DiskQueue>();
  #queue: DiskQueue | undefined;
  #diskProblem: Judgement;
  #running: Promise<void> = Promise.resolve();

  constructor(ctx: WriteContext, args: WriteArguments, status: WriteStatus) {
    this.#ctx = ctx;
    this.#status = status;
    this.#args = args;
    this.#streams = status.streams(args.external_labels);
    const options = allEndpointOptions(args);
    this.#endpoints = args.endpoint.map((each, i) =>
      createEndpoint(ctx, each, options[i]!, this.#streams, this.#status),
    );
    this.#opened.promise.catch(() => {});
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }
  /** What the disk does not take. */
  get diskProblem(): Judgement {
    return this.#diskProblem;
  }

  start(): void {
    this.#ctx.run((signal) => (this.#running = this.#run(signal)));
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { metrics, log } = this.#ctx;
    const stop = () => {
      this.#ending.abort(signal.reason);
      this.#stopping.abort(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    try {
      const queue = await this.#open(this.#ending.signal);
      this.#queue = queue;
      this.#opened.resolve(queue);
      metrics.walRunning.inc(this.#endpoints.length);
      const { clock } = this.#ctx;
      await Promise.all(
        this.#endpoints.map((each) => sendFromWal(queue, each, clock, this.#ending.signal, this.#stopping.signal)),
      );
    } catch (error) {
      this.#opened.reject(new RetryableError(`${this.#ctx.id} is stopping or restarting`, { cause: error }));
      if (!this.#ending.signal.aborted) throw error;
    } finally {
      signal.removeEventListener("abort", stop);
      if (this.#queue !== undefined) {
        metrics.walRunning.dec(this.#endpoints.length);
        await this.#queue.close().catch((error) => log.error("cannot close the queue on disk", { error }));
      }
    }
  }

  /** Tries until the disk takes the queue; rejects only when `signal` is aborted. */
  async #open(signal: AbortSignal): Promise<DiskQueue> {
    const { clock, log, dataPath } = this.#ctx;
    const backoff = new Backoff(FIRST_REOPEN_MS, LAST_REOPEN_MS);
    for (;;) {
      try {
        const queue = await DiskQueue.open(join(dataPath, "wal"), {
          readers: this.#endpoints.map(({ options }) => options.name),
          maxAgeMs: this.#args.wal.max_segment_age,
          clock,
          onDrop: (reader, reason, items) => {
            const full = reason === "queue_full" ? `the queue on disk of endpoint ${reader} is full` : undefined;
            this.#status.dropped(reason, items, undefined, full);
          },
          // Endpoints that take data get it from memory.
          onStatus: ({ state, cause }) => this.#diskSays(state === "ok" ? undefined : { state: "degraded", cause }),
          onNotice: (message) => log.info(message),
        });
        if (this.#diskProblem !== undefined) log.info("the queue on disk is open");
        this.#diskSays(undefined);
        return queue;
      } catch (error) {
        signal.throwIfAborted();
        const cause = errorText(error);
        if (this.#diskProblem?.cause !== cause)
          log.error("cannot open the queue on disk, trying again", { error: cause });
        this.#diskSays({ state: "failing", cause });
        await clock.sleep(backoff.next(), signal);
      }
    }
  }

  /** Resolves once the batch is safe; waits while the disk takes nothing. */
  async consume(batch: LogBatch, signal: AbortSignal): Promise<void> {
    if (this.#endpoints.length === 0) {
      this.#status.dropped("no_endpoint", batch.count);
      return batch.acknowledgement.release();
    }
    const queue = this.#queue ?? (await abortable(this.#opened.promise, signal));
    try {
      await queue.append(encodeWalRecords(batch, this.#streams), signal);
    } catch (error) {
      if (signal.aborted || !this.#ending.signal.aborted) throw error;
      throw new RetryableError(`${this.#ctx.id} is stopping or restarting`, { cause: error });
    }
    this.#ctx.metrics.walLastWritten.set(Math.floor(batch.ms[batch.count - 1]! / 1000));
    batch.acknowledgement.release();
  }

  /** The queue is opened anew for changed arguments; what waits stays on disk. */
  update(): boolean {
    return false;
  }

  queue(): FlowQueue {
    const { bytes, oldest } = this.#pending();
    return { bytes, oldest, limitBytes: this.#queue?.maxBytes, whenFull: "drop" };
  }

  #pending() {
    const queue = this.#queue;
    const all = queue === undefined ? [] : this.#endpoints.map(({ options }) => queue.reader(options.name).pending);
    const oldest = all.map((each) => each.oldest).filter((each) => each !== undefined);
    return {
      items: all.reduce((sum, each) => sum + each.items, 0),
      bytes: Math.max(0, ...all.map((each) => each.bytes)),
      oldest: oldest.length === 0 ? undefined : Math.min(...oldest),
    };
  }

  async drain(deadline: AbortSignal): Promise<void> {
    const { clock } = this.#ctx;
    const until = clock.monotonic() + this.#args.wal.drain_timeout;
    while (this.#pending().items > 0 && clock.monotonic() < until) await clock.sleep(DRAIN_POLL_MS, deadline);
    await this.#queue?.flush();
  }

  /** Lets another mode take over, after the requests under way: who aborts them cannot know whether to repeat them. */
  async retire(): Promise<void> {
    this.#ending.abort(new Error("the queue is closed"));
    const timer = new AbortController();
    await Promise.race([this.#running, this.#ctx.clock.sleep(GRACE_MS, timer.signal)]).catch(() => {});
    timer.abort();
    await this.close();
  }

  async close(): Promise<void> {
    this.#ending.abort(new Error("the queue is closed"));
    this.#stopping.abort(this.#ending.signal.reason);
    this.#opened.reject(new RetryableError(`${this.#ctx.id} is stopping or restarting`));
    await this.#running.catch(() => {});
    this.#queue = undefined;
    await Promise.all(this.#endpoints.map((each) => each.close()));
  }

  #diskSays(problem: Judgement): void {
    this.#diskProblem = problem;
    this.#ctx.flow.judge();
  }
}
