import type { OtlpKind } from "#formats/otlp/otlp";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { PermanentError, RetryableError } from "#pipeline/errors";
import type { Judgement } from "#pipeline/flow";
import { asConsumerError, Delivery, type DeliveryOptions } from "./delivery.ts";
import type { ExporterInstruments } from "./metrics.ts";
import { merge, type Queued, split, type Taken, withAllAcknowledgements } from "./queued.ts";
import type { QueueArguments } from "./schema.ts";
import type { SenderHealth } from "./sender-health.ts";
import { StoredQueue } from "./stored-queue.ts";

/**
 * Whatever `queue_size` says in requests or items, a queue in memory holds no more than this, so that an outage cannot
 * take all of the memory.
 */
export const MAX_QUEUE_BYTES = 64 << 20;

export interface SenderOptions extends DeliveryOptions {
  readonly queue: QueueArguments;
  /** For messages: where the data goes. */
  readonly destination: string;
  /** `send` hands on to other queues: it may keep references of its request's acknowledgement. */
  readonly handsOn?: boolean;
  /** What becomes of data while the queue is full and the backend takes nothing; dropped and counted if not given. */
  readonly whenFull?: "drop" | "refuse";
}

export type SenderContext = Pick<
  ComponentContext,
  "id" | "clock" | "log" | "flow" | "queue" | "rule" | "run" | "signal"
>;

/** From this part of a queue on the status tells of it. */
const NEARLY_FULL = 0.8;

/** At a stop, what is left is given up when the backend has taken nothing for this long. */
const DRAIN_PATIENCE_MS = 10_000;
/** … or for this long if it is safe on disk. So long requests under way may take when another storage takes over. */
const STORED_PATIENCE_MS = 2_000;

/** The queue of one signal. */
export class KindQueue {
  readonly #kind: OtlpKind;
  readonly #ctx: SenderContext;
  readonly #instruments: ExporterInstruments;
  #options: SenderOptions;
  readonly #health: SenderHealth;
  readonly #delivery: Delivery;
  #store: StoredQueue | undefined;
  /** When the queues on disk before the present one are closed. */
  #retired: Promise<void> = Promise.resolve();
  /** Ready to be sent, from `#first` on. */
  #ready: (Queued | undefined)[] = [];
  #first = 0;
  /** Waiting for more, when batches are made. */
  #gathering: Queued[] = [];
  #gatheredSize = 0;
  #flushTimer: NodeJS.Timeout | undefined;
  /** Everything that was taken and not finished, in units of the sizer and in bytes. */
  #size = 0;
  #bytes = 0;
  #active = 0;
  readonly #taken = new Set<Taken>();
  /** Senders that wait for room, in order. */
  readonly #blocked: (() => void)[] = [];
  readonly #idle: (() => void)[] = [];
  #draining = false;
  #closed = false;

  constructor(
    kind: OtlpKind,
    ctx: SenderContext,
    instruments: ExporterInstruments,
    options: SenderOptions,
    health: SenderHealth,
  ) {
    this.#kind = kind;
    this.#ctx = ctx;
    this.#instruments = instruments;
    this.#options = options;
    this.#health = health;
    this.#delivery = new Delivery(kind, ctx, instruments, health, options);
    this.#useStorage();
    this.#showQueue();
  }

  configure(options: SenderOptions): void {
    this.#options = options;
    this.#size = 0;
    for (const taken of this.#taken) {
      taken.size = this.#sizeOf(taken.batch);
      this.#size += taken.size;
    }
    this.#useStorage();
    this.#showQueue();
    if (options.queue.batch === undefined && this.#gathering.length > 0) {
      clearTimeout(this.#flushTimer);
      this.#flushTimer = undefined;
      this.#gatheredSize = 0;
      for (const queued of this.#gathering.splice(0)) this.#push(queued);
    }
    this.#delivery.configure(options);
    for (let more = this.#active; more < options.queue.num_consumers && this.#hasReady; more++) void this.#work();
    this.#wake();
  }

  /** The flow rule about a queue that is nearly full. */
  judge(): Judgement {
    const { enabled, queue_size: limit, sizer, block_on_overflow: block, wait_for_result } = this.#options.queue;
    const used = this.#used;
    const isFull = used >= limit * NEARLY_FULL || (!this.#store && this.#bytes >= MAX_QUEUE_BYTES * NEARLY_FULL);
    if (!enabled || !isFull || used === 0 || limit === 1) return undefined;
    const held = `the queue of ${this.#kind} holds ${used} of ${limit} ${sizer}`;
    const next =
      block || wait_for_result
        ? "once it is full, senders have to wait"
        : "once it is full, senders wait, and data is dropped while the backend takes none";
    return { state: "degraded", cause: `${held}: ${next}; see whether the backend is slow, or raise queue_size` };
  }

  #showQueue(): void {
    const { enabled, queue_size } = this.#options.queue;
    if (!enabled) return;
    this.#instruments.queueCapacity[this.#kind].set(queue_size);
    this.#instruments.queueSize[this.#kind].read = () => this.#used;
  }

  /** What of `queue_size` is taken. */
  get #used(): number {
    return this.#store === undefined ? this.#size : this.#store.used(this.#options.queue.sizer);
  }

  get bytes(): number {
    return this.#store?.used("bytes") ?? this.#bytes;
  }

  /** Epoch milliseconds since when the oldest data waits. */
  get oldest(): number | undefined {
    return this.#store === undefined ? this.#taken.values().next().value?.since : this.#store.oldest;
  }

  /** What the disk does not take. */
  get diskProblem(): Judgement {
    return this.#store?.problem;
  }

  /** Resolves when the queues on disk are closed. */
  get closed(): Promise<void> {
    return this.#retired;
  }

  /** Goes over to the storage of the options. What is left in the one before stays there. */
  #useStorage(): void {
    const { enabled, storage } = this.#options.queue;
    const wanted = enabled ? storage : undefined;
    const before = this.#store;
    if (wanted === before?.handler) return;
    if (before !== undefined) this.#retired = this.#retire(before);
    const events = {
      onBatch: (batch: OtlpBatch) => void this.#enqueue(batch, this.#sizeOf(batch), undefined, true),
      onFullWindow: () => this.#flush(),
      onRoom: () => this.#wake(),
    };
    this.#store = wanted && new StoredQueue(wanted, this.#kind, this.#ctx, this.#health, events, this.#retired);
  }

  /** Gives requests under way a moment, so that little is sent twice. */
  async #retire(store: StoredQueue): Promise<void> {
    store.stopReading();
    this.#flush();
    const stored = () => [...this.#taken].filter((each) => each.isStored);
    const until = this.#ctx.clock.monotonic() + STORED_PATIENCE_MS;
    while (stored().length > 0 && this.#ctx.clock.monotonic() < until && !this.#ctx.signal.aborted) {
      await this.#ctx.clock.sleep(20, this.#ctx.signal).catch(() => {});
    }
    for (const each of stored()) each.abandoned = true;
    this.#delivery.configure(this.#options); // those that wait for another attempt give up
    const items = store.used("items");
    await store.close();
    const folder = store.handler.folder(this.#ctx.id, this.#kind);
    if (items > 0 && this.#store?.handler.folder(this.#ctx.id, this.#kind) !== folder) {
      this.#ctx.log.warn("data stays in the storage before: name it as `storage` again to have it sent", {
        folder,
        items,
      });
    }
  }

  consume(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
    const { queue } = this.#options;
    if (!queue.enabled) return this.#deliverNow(batch, signal);
    if (this.#closed) throw new RetryableError("the exporter is stopping");
    const size = this.#sizeOf(batch);
    if (size > queue.queue_size) {
      // It would never fit: the Collector refuses it as well.
      this.#instruments.enqueueFailed[this.#kind].inc(batch.items);
      throw new PermanentError(
        "larger_than_queue",
        `a request of ${size} ${queue.sizer} does not fit a queue of ${queue.queue_size}`,
      );
    }
    if (queue.wait_for_result) return this.#enqueueAndWait(batch, size, signal);
    if (this.#blocked.length === 0 && this.#hasRoom(size, batch.bytes)) return this.#accept(batch, size, signal);
    return this.#overflow(batch, size, signal);
  }

  async #enqueueAndWait(batch: OtlpBatch, size: number, signal: AbortSignal): Promise<void> {
    if (this.#blocked.length > 0 || !this.#hasRoom(size, batch.bytes)) await this.#room(size, batch.bytes, signal);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const taken = this.#enqueue(batch, size, (failure) => (failure === undefined ? resolve() : reject(failure)));
    const abandon = () => {
      taken.abandoned = true;
      reject(signal.reason);
    };
    signal.addEventListener("abort", abandon, { once: true });
    if (signal.aborted) abandon();
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", abandon);
    }
  }

  async #overflow(batch: OtlpBatch, size: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw signal.reason;
    const { block_on_overflow: block } = this.#options.queue;
    if (block || !this.#health.failing) {
      const gaveUp = Promise.withResolvers<"failing">();
      const forget = block ? undefined : this.#health.onFailing(() => gaveUp.resolve("failing"));
      const waiting = new AbortController();
      const forward = () => waiting.abort(signal.reason);
      signal.addEventListener("abort", forward, { once: true });
      try {
        const outcome = await Promise.race([this.#room(size, batch.bytes, waiting.signal), gaveUp.promise]);
        if (outcome !== "failing") return await this.#accept(batch, size, signal);
      } finally {
        forget?.();
        signal.removeEventListener("abort", forward);
        waiting.abort(new RetryableError("no longer waited for"));
      }
    }
    this.#instruments.enqueueFailed[this.#kind].inc(batch.items);
    if (this.#options.whenFull === "refuse") {
      throw new RetryableError(`the sending queue for ${this.#options.destination} is full`);
    }
    this.#health.lost("queue_full", batch.items, "the sending queue is full and the backend takes nothing");
    batch.acknowledgement.release();
  }

  /** Resolves when it is this caller's turn and there is room. */
  async #room(size: number, bytes: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw signal.reason;
    for (let first = true; first || !this.#hasRoom(size, bytes); first = false) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const abort = () => {
        const at = this.#blocked.indexOf(resolve);
        if (at >= 0) this.#blocked.splice(at, 1);
        else this.#wake(); // its turn had come: the next may go
        reject(signal.reason);
      };
      signal.addEventListener("abort", abort, { once: true });
      if (first) this.#blocked.push(resolve);
      else this.#blocked.unshift(resolve);
      try {
        await promise;
      } finally {
        signal.removeEventListener("abort", abort);
      }
      if (signal.aborted) throw signal.reason;
    }
  }

  #hasRoom(size: number, bytes: number): boolean {
    const used = this.#used;
    if (used === 0) return true;
    if (used + size > this.#options.queue.queue_size) return false;
    return this.#store !== undefined || this.#bytes + bytes <= MAX_QUEUE_BYTES;
  }

  #wake(): void {
    this.#blocked.shift()?.();
  }

  #sizeOf(batch: OtlpBatch, sizer = this.#options.queue.sizer): number {
    return sizer === "requests" ? 1 : batch[sizer];
  }

  #accept(batch: OtlpBatch, size: number, signal: AbortSignal): void | Promise<void> {
    if (this.#store === undefined) void this.#enqueue(batch, size, undefined);
    else {
      const stored = this.#store.append(batch, signal);
      // Whoever comes next may fit as well.
      if (this.#blocked.length > 0 && this.#hasRoom(1, 1)) this.#wake();
      return stored;
    }
  }

  #enqueue(batch: OtlpBatch, size: number, settle: Taken["settle"], isStored = false): Taken {
    const since = this.#ctx.clock.now();
    const taken: Taken = { batch, size, since, open: 1, failure: undefined, settle, abandoned: false, isStored };
    this.#taken.add(taken);
    this.#size += size;
    this.#bytes += batch.bytes;
    const queued: Queued = { batch, taken: [taken] };
    // Whoever comes next may fit as well.
    if (this.#blocked.length > 0 && this.#hasRoom(1, 1)) this.#wake();
    const { batch: batching } = this.#options.queue;
    if (batching === undefined) this.#push(queued);
    else {
      this.#gathering.push(queued);
      this.#gatheredSize += queued.batch[batching.sizer];
      if (this.#gatheredSize >= batching.min_size || this.#draining) this.#flush();
      else this.#flushTimer ??= setTimeout(() => this.#flush(), batching.flush_timeout);
    }
    return taken;
  }

  /** Turns what was gathered into requests of at most the largest size. */
  #flush(): void {
    clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    const { batch: batching } = this.#options.queue;
    if (batching === undefined || this.#gathering.length === 0) return;
    const gathered = this.#gathering;
    this.#gathering = [];
    this.#gatheredSize = 0;
    const limit = batching.max_size === 0 ? Infinity : batching.max_size;
    let group: Queued[] = [];
    let groupSize = 0;
    for (const each of gathered) {
      const whole = groupSize + each.batch[batching.sizer] <= limit;
      for (const piece of whole ? [each] : split(each, limit - groupSize, limit, batching.sizer)) {
        const size = piece.batch[batching.sizer];
        if (group.length > 0 && groupSize + size > limit) {
          this.#push(merge(group));
          group = [];
          groupSize = 0;
        }
        group.push(piece);
        groupSize += size;
      }
    }
    this.#push(merge(group));
  }

  #push(queued: Queued): void {
    if (this.#options.queue.batch !== undefined) this.#instruments.batchSendSize.observe(queued.batch.items);
    this.#ready.push(queued);
    if (this.#active < this.#options.queue.num_consumers) void this.#work();
  }

  /** One consumer of the queue: sends until nothing is ready. */
  async #work(): Promise<void> {
    const { signal } = this.#ctx;
    this.#active += 1;
    for (let queued = this.#take(); queued !== undefined; queued = this.#take()) {
      const { taken: all } = queued;
      const isAbandoned = () => all.every((each) => each.abandoned);
      const request = this.#options.handsOn ? withAllAcknowledgements(queued) : queued.batch;
      let failure: unknown;
      try {
        // With wait_for_result the failure is the sender's to count.
        const countDrops = all[0]!.settle === undefined;
        const fate = { countDrops, isAbandoned, isDurable: all.every((each) => each.isStored) };
        if (!isAbandoned()) await this.#delivery.deliver(request, signal, fate);
      } catch (error) {
        // What the stop cut off stays taken: `close` counts it, and nobody acknowledges it.
        if (signal.aborted) break;
        failure = error;
      }
      if (request !== queued.batch) request.acknowledgement.release();
      for (const taken of all) this.#finish(taken, failure);
    }
    this.#active -= 1;
    if (this.#active === 0 && this.#gathering.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  get #hasReady(): boolean {
    return this.#ready[this.#first] !== undefined;
  }

  #take(): Queued | undefined {
    if (this.#closed || this.#ctx.signal.aborted) return undefined;
    const queued = this.#ready[this.#first];
    if (queued === undefined) return undefined;
    this.#ready[this.#first] = undefined; // the array must not keep what was sent
    this.#first += 1;
    if (this.#first > 1_000 && this.#first * 2 > this.#ready.length) {
      this.#ready = this.#ready.slice(this.#first);
      this.#first = 0;
    }
    return queued;
  }

  #finish(taken: Taken, failure: unknown): void {
    taken.failure ??= failure;
    taken.open -= 1;
    if (taken.open > 0) return;
    this.#taken.delete(taken);
    this.#size -= taken.size;
    this.#bytes -= taken.batch.bytes;
    const { settle, failure: why } = taken;
    // The reference stays with whoever waited for the result and did not get it.
    const keepsReference = taken.abandoned || (settle !== undefined && why !== undefined);
    if (!keepsReference) taken.batch.acknowledgement.release();
    if (!taken.abandoned) settle?.(why === undefined ? undefined : asConsumerError(why));
    this.#wake();
  }

  async #deliverNow(batch: OtlpBatch, signal: AbortSignal): Promise<void> {
    try {
      const fate = { countDrops: false, isAbandoned: () => false, isDurable: false };
      await this.#delivery.deliver(batch, signal, fate);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw asConsumerError(error);
    }
    batch.acknowledgement.release();
  }

  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    this.#store?.stopReading();
    this.#flush();
    if (this.#active === 0) return;
    const over = new AbortController();
    const end = () => over.abort(new Error("the drain is over"));
    this.#idle.push(end);
    deadline.addEventListener("abort", end, { once: true });
    if (deadline.aborted) end();
    while (!over.signal.aborted) {
      const before = this.#delivery.count;
      const isSafe = [...this.#taken].every((each) => each.isStored);
      const patience = isSafe ? STORED_PATIENCE_MS : DRAIN_PATIENCE_MS;
      await this.#ctx.clock.sleep(patience, over.signal).catch(() => {});
      // A backend that takes nothing must not hold up the stop of the agent.
      if (this.#delivery.count === before) break;
    }
    deadline.removeEventListener("abort", end);
  }

  /** Returns the number of items that were not delivered and are not on disk. */
  close(): number {
    this.#closed = true;
    clearTimeout(this.#flushTimer);
    this.#instruments.queueSize[this.#kind].read = undefined;
    let items = 0;
    for (const { batch, isStored } of this.#taken) if (!isStored) items += batch.items;
    const store = this.#store;
    if (store !== undefined) this.#retired = this.#retired.then(() => store.close());
    return items;
  }
}
