import { errorText } from "#base/log";
import { joinParts, type OtlpKind } from "#formats/otlp";
import type { PartialSuccess } from "#formats/otlp-response";
import { type OtlpChunk, splitRequest } from "#formats/otlp-split";
import { ProtobufError } from "#formats/protobuf";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { PermanentError, RetryableError } from "#pipeline/errors";
import type { ExporterInstruments } from "./otelcol-metrics.ts";
import { Backoff, SendError } from "./otelcol-retry.ts";
import type { QueueArguments, RetryArguments } from "./otelcol-schema.ts";
import { SenderHealth } from "./otelcol-sender-health.ts";

/**
 * Whatever `queue_size` says in requests or items, a queue holds no more than this, so that an outage cannot take all
 * of the memory.
 */
const MAX_QUEUE_BYTES = 64 << 20;

/** One attempt to deliver. Rejects with a SendError, or with the signal's reason. */
export type SendRequest = (request: OtlpBatch, signal: AbortSignal) => Promise<PartialSuccess>;

export interface SenderOptions {
  readonly queue: QueueArguments;
  readonly retry: RetryArguments;
  readonly send: SendRequest;
  /** For messages: where the data goes. */
  readonly destination: string;
}

type Context = Pick<ComponentContext, "clock" | "log" | "flow" | "queue" | "signal">;

/** A batch that was taken over and holds its place in the queue until all of it is finished. */
interface Taken {
  readonly batch: OtlpBatch;
  readonly size: number;
  /** Epoch milliseconds. */
  readonly since: number;
  /** Requests that carry parts of it. */
  open: number;
  failure: unknown;
  /** For `wait_for_result`. */
  readonly settle: ((failure: unknown) => void) | undefined;
}

/** A request to be sent: a batch, several, or a piece of one. */
interface Queued {
  readonly batch: OtlpBatch;
  readonly taken: readonly Taken[];
}

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
  readonly #queues: Readonly<Record<OtlpKind, KindQueue>>;

  constructor(ctx: Context, instruments: ExporterInstruments, options: SenderOptions) {
    this.#ctx = ctx;
    this.#instruments = instruments;
    const health = new SenderHealth(ctx, options.destination);
    const queue = (kind: OtlpKind) => new KindQueue(kind, ctx, instruments, options, health);
    this.#queues = { traces: queue("traces"), metrics: queue("metrics"), logs: queue("logs") };
    const queues = Object.values(this.#queues);
    ctx.queue(() => {
      const oldest = queues.map((each) => each.oldest).filter((each) => each !== undefined);
      const bytes = queues.reduce((sum, each) => sum + each.bytes, 0);
      return { bytes, oldest: oldest.length === 0 ? undefined : Math.min(...oldest) };
    });
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
  readonly #options: SenderOptions;
  readonly #health: SenderHealth;
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
  /** Requests that the backend took. */
  #deliveries = 0;

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
    if (!options.queue.enabled) return;
    instruments.queueCapacity[kind].set(options.queue.queue_size);
    instruments.queueSize[kind].read = () => this.#size;
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
    this.#enqueue(batch, size, (failure) => (failure === undefined ? resolve() : reject(failure)));
    await promise;
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
    this.#health.dropped("queue_full", batch.items, "the sending queue is full and the backend takes nothing");
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

  #enqueue(batch: OtlpBatch, size: number, settle: Taken["settle"]): void {
    const taken: Taken = { batch, size, since: this.#ctx.clock.now(), open: 1, failure: undefined, settle };
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
      let failure: unknown;
      try {
        // With wait_for_result the failure is the sender's to count.
        await this.#deliver(queued.batch, signal, queued.taken[0]!.settle === undefined);
      } catch (error) {
        // What the stop cut off stays taken: `close` counts it, and nobody acknowledges it.
        if (signal.aborted) break;
        failure = error;
      }
      for (const taken of queued.taken) this.#finish(taken, failure);
    }
    this.#active -= 1;
    if (this.#active === 0 && this.#gathering.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
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
    if (taken.settle === undefined) taken.batch.acknowledgement.release();
    else if (taken.failure === undefined) {
      taken.batch.acknowledgement.release();
      taken.settle(undefined);
    } else taken.settle(asConsumerError(taken.failure)); // the reference stays with whoever sent it
    this.#wake();
  }

  async #deliverNow(batch: OtlpBatch, signal: AbortSignal): Promise<void> {
    try {
      await this.#deliver(batch, signal, false);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw asConsumerError(error);
    }
    batch.acknowledgement.release();
  }

  /** Sends until it succeeds, is refused for good, or the time for retries is over. Counts what it drops, then rejects. */
  async #deliver(batch: OtlpBatch, signal: AbortSignal, countDrops = true): Promise<void> {
    const { retry, send } = this.#options;
    const { clock } = this.#ctx;
    const { items } = batch;
    const backoff = new Backoff(retry, clock.monotonic());
    for (;;) {
      let error: unknown;
      try {
        this.#delivered(batch, await send(batch, signal));
        return;
      } catch (cause) {
        error = cause;
      }
      if (signal.aborted) throw signal.reason;
      const retryable = error instanceof SendError && error.retryable;
      const pause =
        retryable && retry.enabled ? backoff.next(clock.monotonic(), (error as SendError).retryAfterMs) : undefined;
      if (pause === undefined) {
        this.#instruments.failed[this.#kind].inc(items);
        if (retryable) this.#health.failed(error, 0);
        if (countDrops) {
          const reason = !(error instanceof SendError)
            ? "internal_error"
            : retryable
              ? "retries_exhausted"
              : error.reason;
          this.#health.dropped(reason, items, errorText(error));
        }
        throw error;
      }
      this.#health.failed(error, pause);
      await clock.sleep(pause, signal);
    }
  }

  #delivered(batch: OtlpBatch, { rejected, message }: PartialSuccess): void {
    const lost = Math.min(rejected, batch.items);
    this.#instruments.sent[this.#kind].inc(batch.items - lost);
    this.#deliveries += 1;
    this.#health.delivered();
    if (lost > 0) {
      this.#instruments.failed[this.#kind].inc(lost);
      this.#health.dropped("rejected_by_backend", lost, message === "" ? "the backend gave no reason" : message);
    } else if (message !== "") this.#ctx.log.warn("the backend took the data with a warning", { message });
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
      const before = this.#deliveries;
      await this.#ctx.clock.sleep(DRAIN_PATIENCE_MS, over.signal).catch(() => {});
      // A backend that takes nothing must not hold up the stop of the agent.
      if (this.#deliveries === before) break;
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

/** The failure of a delivery as consumers tell it to those before them. */
function asConsumerError(error: unknown): Error {
  if (!(error instanceof SendError)) return new PermanentError("internal_error", errorText(error), { cause: error });
  if (!error.retryable) return new PermanentError(error.reason, error.message, { cause: error });
  const { retryAfterMs } = error;
  return new RetryableError(
    error.message,
    retryAfterMs === undefined ? { cause: error } : { retryAfterMs, cause: error },
  );
}

/** Several requests as one. */
function merge(group: readonly Queued[]): Queued {
  if (group.length === 1) return group[0]!;
  const batches = group.map((each) => each.batch);
  const { clientMetadata } = batches[0]!;
  const batch: OtlpBatch = {
    ...batches[0]!,
    parts: batches.flatMap((each) => each.parts),
    items: batches.reduce((sum, each) => sum + each.items, 0),
    bytes: batches.reduce((sum, each) => sum + each.bytes, 0),
    clientMetadata: batches.every((each) => each.clientMetadata === clientMetadata) ? clientMetadata : undefined,
  };
  return { batch, taken: group.flatMap((each) => each.taken) };
}

/** A request in pieces, the first of at most `first`, the others of at most `rest`. */
function split(queued: Queued, first: number, rest: number, sizer: "items" | "bytes"): Queued[] {
  const { batch, taken } = queued;
  let chunks: OtlpChunk[];
  try {
    chunks = splitRequest(batch.kind, joinParts(batch.parts), Math.max(1, first), rest, sizer);
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    return [queued]; // the backend will say what it thinks of it
  }
  if (chunks.length <= 1) return [queued];
  for (const each of taken) each.open += chunks.length - 1;
  return chunks.map(({ bytes, items }) => ({ batch: { ...batch, parts: [bytes], items, bytes: bytes.length }, taken }));
}
