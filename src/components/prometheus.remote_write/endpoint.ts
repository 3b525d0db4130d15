import { createHash } from "node:crypto";
import { join } from "node:path";
import { abortable } from "#base/abortable";
import { errorText } from "#base/log";
import type { WriteVersion } from "#formats/remote-write/2-parts";
import { Backoff } from "#kits/backoff";
import type { ComponentContext } from "#pipeline/component";
import { DiskQueue, type QueueInput, type QueueReader, type QueueRecord } from "#pipeline/disk-queue";
import { RetryableError } from "#pipeline/errors";
import type { EndpointArguments, QueueArguments } from "./arguments.ts";
import { Delivery } from "./delivery.ts";
import { EndpointStatus } from "./endpoint-status.ts";
import { tagLane, tagShards } from "./fragment-tag.ts";
import { Bell, Lane } from "./lanes.ts";
import { type EndpointMetrics, endpointMetrics, type RemoteWriteMetrics, type remoteWriteMetrics } from "./metrics.ts";
import type { Outcome, WriteRequestBody } from "./request.ts";
import { ringOrTime, Sender } from "./sender.ts";
import { ShardCalculation } from "./shards.ts";

const READER = "endpoint";
/** Largest size of an endpoint's queue. Alloy's WAL is bounded by age alone, which fills a disk. */
export const QUEUE_BYTES: number = 4 * 1024 ** 3;
/** Fragments read ahead of the requests. */
const READ_AHEAD_BYTES = 8 * 1024 ** 2;
const READ_BYTES = 512 * 1024;
const FIRST_REOPEN_MS = 500;
const LAST_REOPEN_MS = 10_000;
export type RemoteWriteContext = ComponentContext<unknown, typeof remoteWriteMetrics>;

/** The folder of an endpoint's queue under that of the component. */
export function queueFolder(dataPath: string, endpoint: string): string {
  return join(dataPath, `queue-${createHash("sha256").update(endpoint).digest("hex").slice(0, 16)}`);
}

/** One endpoint: its queue on disk and the requests that empty it. */
export class Endpoint {
  /** By it the endpoint is known across reloads and restarts; may hold credentials, see `title`. */
  readonly name: string;
  /** What messages call it. */
  readonly title: string;
  readonly metrics: EndpointMetrics;
  readonly shards: ShardCalculation;
  readonly #ctx: RemoteWriteContext;
  readonly #sender: Sender;
  readonly #delivery: Delivery;
  #args: EndpointArguments;
  #config: QueueArguments;
  #maxAgeMs: number;
  #queue: DiskQueue | undefined;
  #reader: QueueReader | undefined;
  readonly #opened = Promise.withResolvers<DiskQueue>();
  readonly #stopping = new AbortController();
  readonly #lanes = new Map<number, Lane>();
  readonly #tasks = new Set<Promise<void>>();
  /** Rung when records were delivered or dropped. */
  readonly #progress = new Bell();
  #inHand = 0;
  #inHandBytes = 0;
  /** Send what there is, without waiting for more. */
  #hurry = false;
  readonly status: EndpointStatus;
  #running: Promise<void> = Promise.resolve();
  readonly #forward: () => void;

  /** `onVersion` is called when the version that is sent may have changed. */
  constructor(
    ctx: RemoteWriteContext,
    metrics: RemoteWriteMetrics,
    name: string,
    args: EndpointArguments,
    config: QueueArguments,
    maxAgeMs: number,
    onVersion: () => void,
  ) {
    this.#ctx = ctx;
    this.name = name;
    this.title = args.name || shownUrl(args.url);
    this.#args = args;
    this.#config = config;
    this.#maxAgeMs = maxAgeMs;
    this.metrics = endpointMetrics(metrics, args.name || queueFolder("", name).slice(6), args.url);
    this.status = new EndpointStatus(ctx, this.title, this.metrics);
    this.shards = new ShardCalculation(config.min_shards, config.max_shards);
    this.#sender = new Sender(ctx, this.title, this.status, this.metrics, this.shards, args, config, () => {
      this.#progress.ring();
      onVersion();
    });
    const source = {
      fresh: (records: readonly QueueRecord[]) => this.#dropOld(records),
      done: (records: readonly QueueRecord[]) => this.#done(records),
      damaged: (record: QueueRecord, error: unknown) => {
        ctx.log.error("a part of the queue cannot be read and is dropped", { endpoint: this.title, error });
        this.#countDrop("queue_damaged", record.items);
        this.#done([record]);
      },
    };
    this.#delivery = new Delivery(this.#sender, this.status, this.metrics, source, () => ctx.clock.monotonic());
    this.metrics.pending.read = () => this.pending.items;
    this.#showConfig();
    this.#forward = () => this.#stopping.abort();
    ctx.signal.addEventListener("abort", this.#forward);
    this.#opened.promise.catch(() => {});
  }

  get args(): EndpointArguments {
    return this.#args;
  }
  get pending(): { readonly items: number; readonly bytes: number; readonly oldest: number | undefined } {
    return this.#reader?.pending ?? { items: 0, bytes: 0, oldest: undefined };
  }
  get failing(): boolean {
    return this.status.failing;
  }
  /** The version of the protocol in which new samples are to be written. */
  get version(): WriteVersion {
    return this.#sender.version;
  }

  /** Opens the queue, again and again if need be, and sends until the endpoint is closed. */
  run(): Promise<void> {
    this.#running = this.#run();
    return this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    const { clock, log, dataPath } = this.#ctx;
    const pauses = new Backoff(FIRST_REOPEN_MS, LAST_REOPEN_MS);
    while (this.#queue === undefined && !signal.aborted) {
      try {
        this.#queue = await DiskQueue.open(queueFolder(dataPath, this.name), {
          readers: [READER],
          maxBytes: QUEUE_BYTES,
          maxAgeMs: this.#maxAgeMs,
          clock,
          onDrop: (_, reason, items) => this.#countDrop(reason, items),
          onStatus: ({ state, cause }) => {
            this.#setDiskProblem(state === "ok" ? undefined : cause);
          },
          onNotice: (message) => log.warn(message, { endpoint: this.title }),
        });
      } catch (error) {
        const cause = errorText(error);
        if (cause !== this.status.diskProblem) {
          log.error("cannot open the queue, trying again", { endpoint: this.title, error: cause });
        }
        this.#setDiskProblem(cause);
        await clock.sleep(pauses.next(), signal).catch(() => {});
      }
    }
    const queue = this.#queue;
    if (queue === undefined) return this.#opened.reject(new RetryableError("the endpoint is closed"));
    if (signal.aborted) {
      this.#opened.reject(new RetryableError("the endpoint is closed"));
      return queue.close();
    }
    if (this.status.diskProblem !== undefined) log.info("the queue is open", { endpoint: this.title });
    this.#setDiskProblem(undefined);
    this.#reader = queue.reader(READER);
    this.#opened.resolve(queue);
    if (this.pending.items > 0) {
      log.info("going on with what was not delivered before", { endpoint: this.title, samples: this.pending.items });
    }
    try {
      await this.#pump(this.#reader, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#stopping.abort();
      await Promise.all(this.#tasks);
      await queue.close();
    }
  }

  /** Resolves once the records are safe. */
  async append(records: readonly QueueInput[], signal: AbortSignal): Promise<void> {
    const queue =
      this.#queue !== undefined && this.#reader !== undefined
        ? this.#queue
        : await abortable(this.#opened.promise, signal);
    try {
      await queue.append(records, signal);
    } catch (error) {
      // The sender tries again, with the component's next life.
      if (!signal.aborted && this.#stopping.signal.aborted) {
        throw new RetryableError("the endpoint is closed", { cause: error });
      }
      throw error;
    }
  }

  /** Takes changed arguments; requests under way end with the old ones. */
  configure(args: EndpointArguments, config: QueueArguments, maxAgeMs: number): void {
    this.#maxAgeMs = maxAgeMs;
    this.#queue?.setMaxAge(maxAgeMs);
    this.#sender.configure(args, config);
    this.#args = args;
    this.#config = config;
    this.shards.minimum = config.min_shards;
    this.shards.maximum = config.max_shards;
    this.#showConfig();
  }

  /** Ends an interval of the calculation of shards. */
  adapt(seconds: number): void {
    this.shards.adapt(seconds, this.pending.items, this.failing);
    this.metrics.shardsDesired.set(this.shards.desired);
  }

  /** Sends what is pending at once. Resolves when all is delivered, when requests fail, or when `deadline` is aborted. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#hurry = true;
    for (const lane of this.#lanes.values()) lane.bell.ring();
    while (this.pending.items > 0 && !this.failing && !deadline.aborted) await this.#progress.next(deadline);
  }

  /** Ends the sending; what is not delivered stays on disk. */
  async close(): Promise<void> {
    this.#ctx.signal.removeEventListener("abort", this.#forward);
    this.#stopping.abort();
    this.#progress.ring();
    await this.#running.catch(() => {});
    await this.#sender.close();
    this.metrics.remove();
  }

  /** Sends a request that is not from the queue, such as metadata, once. */
  send(request: WriteRequestBody, attempt: number, signal: AbortSignal): Promise<Outcome> {
    return this.#sender.sendOnce(request, attempt, signal);
  }

  async #pump(reader: QueueReader, signal: AbortSignal): Promise<void> {
    let shards = 0;
    for (;;) {
      while (this.#inHand >= this.#config.capacity * Math.max(1, shards) || this.#inHandBytes >= READ_AHEAD_BYTES) {
        await this.#progress.next(signal);
        signal.throwIfAborted();
      }
      const records = await reader.next(READ_BYTES, signal);
      const now = this.#ctx.clock.monotonic();
      for (const record of records) {
        const wanted = tagShards(record.tag);
        if (wanted !== shards) {
          // With another number of lanes a series may change its lane: what is under way comes first.
          await this.#settleLanes(signal);
          shards = wanted;
          this.metrics.shards.set(shards);
        }
        this.#inHand += record.items;
        this.#inHandBytes += record.bytes.length;
        this.#lane(tagLane(record.tag)).push(record, now, this.#config.max_samples_per_send);
      }
    }
  }

  async #settleLanes(signal: AbortSignal): Promise<void> {
    const hurried = this.#hurry;
    this.#hurry = true;
    for (const lane of this.#lanes.values()) lane.bell.ring();
    while ([...this.#lanes.values()].some((lane) => lane.busy)) {
      await this.#progress.next(signal);
      signal.throwIfAborted();
    }
    this.#hurry = hurried;
  }

  #lane(number: number): Lane {
    let lane = this.#lanes.get(number);
    if (lane === undefined) {
      this.#lanes.set(number, (lane = new Lane()));
      const task: Promise<void> = this.#serve(lane, this.#stopping.signal)
        .catch((error) => {
          if (!this.#stopping.signal.aborted) this.#ctx.log.error("sending stopped", { endpoint: this.title, error });
        })
        .finally(() => this.#tasks.delete(task));
      this.#tasks.add(task);
    }
    return lane;
  }

  async #serve(lane: Lane, signal: AbortSignal): Promise<void> {
    const { clock } = this.#ctx;
    while (!signal.aborted) {
      if (lane.empty) {
        lane.busy = false;
        this.#progress.ring();
        await lane.bell.next(signal);
        continue;
      }
      const waitMs = lane.since + this.#config.batch_send_deadline - clock.monotonic();
      if (lane.items < this.#config.max_samples_per_send && waitMs > 0 && !this.#hurry) {
        await ringOrTime(clock, lane.bell, waitMs, signal);
        continue;
      }
      await this.#delivery.deliver(lane.take(this.#config.max_samples_per_send, clock.monotonic()), signal);
    }
  }

  #setDiskProblem(problem: string | undefined): void {
    this.status.diskProblem = problem;
    this.#ctx.flow.judge();
  }

  #dropOld(records: readonly QueueRecord[]): readonly QueueRecord[] {
    const now = this.#ctx.clock.now();
    const limit = this.#config.sample_age_limit || Infinity;
    const isOld = (record: QueueRecord) => now - record.time > Math.min(limit, this.#maxAgeMs);
    const old = records.filter(isOld);
    if (old.length === 0) return records;
    for (const record of old) this.#countDrop(now - record.time > limit ? "too_old" : "queue_age", record.items);
    this.#done(old);
    return records.filter((record) => !isOld(record));
  }

  #done(records: readonly QueueRecord[]): void {
    for (const record of records) {
      this.#inHand -= record.items;
      this.#inHandBytes -= record.bytes.length;
    }
    this.#reader!.ack(...records);
    this.#progress.ring();
  }

  #countDrop(reason: string, items: number): void {
    this.metrics.dropped("samples", reason, items);
    this.#ctx.flow.drop("metrics", reason, items);
  }

  #showConfig(): void {
    const { min_shards, max_shards, capacity, max_samples_per_send } = this.#config;
    this.metrics.shardsMin.set(min_shards);
    this.metrics.shardsMax.set(max_shards);
    this.metrics.shardCapacity.set(capacity);
    this.metrics.maxSamplesPerSend.set(max_samples_per_send);
    this.metrics.shards.set(this.shards.current);
  }
}

function shownUrl(text: string): string {
  const { host, pathname } = new URL(text);
  return host + pathname;
}
