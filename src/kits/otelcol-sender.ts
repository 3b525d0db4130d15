import type { OtlpKind } from "#formats/otlp";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { PermanentError, RetryableError } from "#pipeline/errors";
import { fullestQueue, type Judgement } from "#pipeline/flow";
import { asConsumerError, Delivery, type DeliveryOptions } from "./otelcol-delivery.ts";
import type { ExporterInstruments } from "./otelcol-metrics.ts";
import { merge, type Queued, split, type Taken } from "./otelcol-queued.ts";
import type { QueueArguments } from "./otelcol-schema.ts";
import { SenderHealth } from "./otelcol-sender-health.ts";

/**
 * Whatever `queue_size` says in requests or items, a queue holds no more than this, so that an outage cannot take all
 * of the memory.
 */
const MAX_QUEUE_BYTES = 64 << 20;

export interface SenderOptions extends DeliveryOptions {
  readonly queue: QueueArguments;
  /** For messages: where the data goes. */
  readonly destination: string;
}

type Context = Pick<ComponentContext, "clock" | "log" | "flow" | "queue" | "rule" | "signal">;

/** From this part of a queue on the status tells of it. */
const NEARLY_FULL = 0.8;

/** At a stop, what is left is given up when the backend has taken nothing for this long. */
const DRAIN_PATIENCE_MS = 10_000;

/**
 * The queue, batching and retries of an OTLP exporter: one bounded queue per signal, `num_consumers` requests under way
 * at once. Data is acknowledged when it is delivered or dropped for a counted reason.
 *
 * Matches exporter/exporterhelper of the OpenTelemetry Collector, except for a full queue without `block_on_overflow`:
 * while the backend takes data, senders wait for room; once it is failing, data is dropped and counted as `queue_full`,
 * so that one dead backend does not stop the others.
 */
export class OtlpSender {
  readonly #ctx: Context;
  readonly #instruments: ExporterInstruments;
  readonly #health: SenderHealth;
  readonly #queues: Readonly<Record<OtlpKind, KindQueue>>;
  #options: SenderOptions;

  constructor(ctx: Context, instruments: ExporterInstruments, options: SenderOptions) {
    this.#ctx = ctx;
    this.#instruments = instruments;
    this.#options = options;
    this.#health = new SenderHealth(ctx, options.destination);
    const queue = (kind: OtlpKind) => new KindQueue(kind, ctx, instruments, options, this.#health);
    this.#queues = { traces: queue("traces"), metrics: queue("metrics"), logs: queue("logs") };
    const queues = Object.values(this.#queues);
    ctx.rule("queue_full", () => queues.map((each) => each.judge()).find((found) => found !== undefined));
    ctx.queue(() => {
      const { sizer, queue_size, block_on_overflow: block } = this.#options.queue;
      const bound = { limitBytes: Math.min(queue_size, MAX_QUEUE_BYTES), whenFull: block ? "block" : "drop" } as const;
      // Bounds in other units say nothing about bytes: `otelcol_exporter_queue_size` shows how full those queues are.
      if (sizer === "bytes") return fullestQueue(queues.map(({ bytes, oldest }) => ({ bytes, oldest, ...bound })));
      const { oldest } = fullestQueue(queues);
      return { bytes: queues.reduce((sum, each) => sum + each.bytes, 0), oldest };
    });
  }

  /** Takes changed settings and keeps what waits; what failed before is tried again at once. */
  configure(options: SenderOptions): void {
    this.#options = options;
    this.#health.destination = options.destination;
    for (const queue of Object.values(this.#queues)) queue.configure(options);
  }

  consume(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
    return this.#queues[batch.kind].consume(batch, signal);
  }

  /** Sends what waits until `deadline` is aborted or the backend takes nothing any more, without pauses for batching. */
  async drain(deadline: AbortSignal): Promise<void> {
    await Promise.all(Object.values(this.#queues).map((queue) => queue.drain(deadline)));
  }

  /** Counts what is left as dropped. It is not acknowledged: sources that can will read it again. */
  close(): void {
    for (const [kind, queue] of Object.entries(this.#queues)) {
      const items = queue.close();
      if (items === 0) continue;
      this.#ctx.flow.drop("otlp", "shutdown", items);
      this.#instruments.failed[kind as OtlpKind].inc(items);
      this.#ctx.log.error("data was still in the queue at the stop and is lost", { signal: kind, items });
    }
  }
}

/** The queue of one signal. */
class KindQueue {
  readonly #kind: OtlpKind;
  readonly #ctx: Context;
  readonly #instruments: ExporterInstruments;
  #options: SenderOptions;
  readonly #health: SenderHealth;
  readonly #delivery: Delivery;
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
    ctx: Context,
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
    this.#showQueue();
  }

  configure(options: SenderOptions): void {
    this.#options = options;
    this.#size = 0;
    for (const taken of this.#taken) {
      taken.size = this.#sizeOf(taken.batch);
      this.#size += taken.size;
    }
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
    const isFull = this.#size >= limit * NEARLY_FULL || this.#bytes >= MAX_QUEUE_BYTES * NEARLY_FULL;
    if (!enabled || !isFull || this.#size === 0 || limit === 1) return undefined;
    const held = `the queue of ${this.#kind} holds ${this.#size} of ${limit} ${sizer}`;
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
    this.#instruments.queueSize[this.#kind].read = () => this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Epoch milliseconds since when the oldest data waits. */
  get oldest(): number | undefined {
    return this.#taken.values().next().value?.since;
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
    if (this.#blocked.length === 0 && this.#hasRoom(size, batch.bytes)) {
      this.#enqueue(batch, size, undefined);
      return;
    }
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
        if (outcome !== "failing") {
          this.#enqueue(batch, size, undefined);
          return;
        }
      } finally {
        forget?.();
        signal.removeEventListener("abort", forward);
        waiting.abort(new RetryableError("no longer waited for"));
      }
    }
    this.#instruments.enqueueFailed[this.#kind].inc(batch.items);
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
    if (this.#size === 0) return true;
    return this.#size + size <= this.#options.queue.queue_size && this.#bytes + bytes <= MAX_QUEUE_BYTES;
  }

  #wake(): void {
    this.#blocked.shift()?.();
  }

  #sizeOf(batch: OtlpBatch, sizer = this.#options.queue.sizer): number {
    return sizer === "requests" ? 1 : batch[sizer];
  }

  #enqueue(batch: OtlpBatch, size: number, settle: Taken["settle"]): Taken {
    const since = this.#ctx.clock.now();
    const taken: Taken = { batch, size, since, open: 1, failure: undefined, settle, abandoned: false };
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
      let failure: unknown;
      try {
        // With wait_for_result the failure is the sender's to count.
        const countDrops = all[0]!.settle === undefined;
        if (!isAbandoned()) await this.#delivery.deliver(queued.batch, signal, { countDrops, isAbandoned });
      } catch (error) {
        // What the stop cut off stays taken: `close` counts it, and nobody acknowledges it.
        if (signal.aborted) break;
        failure = error;
      }
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
      await this.#delivery.deliver(batch, signal, { countDrops: false, isAbandoned: () => false });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw asConsumerError(error);
    }
    batch.acknowledgement.release();
  }

  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    this.#flush();
    if (this.#active === 0) return;
    const over = new AbortController();
    const end = () => over.abort(new Error("the drain is over"));
    this.#idle.push(end);
    deadline.addEventListener("abort", end, { once: true });
    if (deadline.aborted) end();
    while (!over.signal.aborted) {
      const before = this.#delivery.count;
      await this.#ctx.clock.sleep(DRAIN_PATIENCE_MS, over.signal).catch(() => {});
      // A backend that takes nothing must not hold up the stop of the agent.
      if (this.#delivery.count === before) break;
    }
    deadline.removeEventListener("abort", end);
  }

  /** Returns the number of items that were not delivered. */
  close(): number {
    this.#closed = true;
    clearTimeout(this.#flushTimer);
    this.#instruments.queueSize[this.#kind].read = undefined;
    let items = 0;
    for (const { batch } of this.#taken) items += batch.items;
    return items;
  }
}
