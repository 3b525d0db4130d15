import { abortable } from "#base/abortable";
import { errorText } from "#base/log";
import { joinParts, type OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { type DiskQueue, MAX_RECORD_BYTES, type QueueReader, type QueueRecord } from "#pipeline/disk-queue";
import { PermanentError, RetryableError } from "#pipeline/errors";
import type { Judgement } from "#pipeline/flow";
import { Backoff } from "../backoff.ts";
import type { SenderHealth } from "./sender-health.ts";
import type { StorageHandler } from "./storage.ts";

/** What is read from the disk and not finished, counted from the oldest of it that is not. */
const WINDOW_BYTES = 32 << 20;
const WINDOW_RECORDS = 10_000;
const READ_BYTES = 1 << 20;
const FIRST_REOPEN_MS = 500;
const LAST_REOPEN_MS = 10_000;

type Context = Pick<ComponentContext, "id" | "clock" | "log" | "flow" | "run">;
export type Sizer = "requests" | "items" | "bytes";

export interface StoredQueueEvents {
  /** A batch from the disk, in order. It leaves the disk once its acknowledgement fires. */
  readonly onBatch: (batch: OtlpBatch) => void;
  /** No more batches come until some of those that came are finished. */
  readonly onFullWindow: () => void;
  /** Some are finished: there is room. */
  readonly onRoom: () => void;
}

/**
 * The sending queue of one signal on disk: a batch is accepted and acknowledged once it is written, read back in order,
 * and forgotten once it is delivered or dropped for a counted reason. What was not is read again after a restart.
 * A record is the request's bytes behind the client's metadata as JSON, whose length is the record's tag.
 */
export class StoredQueue {
  readonly handler: StorageHandler;
  readonly #kind: OtlpKind;
  readonly #ctx: Context;
  readonly #health: SenderHealth;
  readonly #events: StoredQueueEvents;
  readonly #opened = Promise.withResolvers<DiskQueue>();
  readonly #ending = new AbortController();
  readonly #ended = Promise.withResolvers<void>();
  #hasBegun = false;
  #queue: DiskQueue | undefined;
  #reader: QueueReader | undefined;
  #problem: Judgement;
  /** Everything accepted, or about to be, and not finished. */
  readonly #used: Record<Sizer, number> = { requests: 0, items: 0, bytes: 0 };
  /** What was handed out since the oldest that is not finished, by sequence. */
  readonly #window = new Map<number, { readonly bytes: number; isDone: boolean }>();
  #windowBytes = 0;
  #continue: (() => void) | undefined;

  /** Opens the folder once `before`, which may hold it, is closed. */
  constructor(
    handler: StorageHandler,
    kind: OtlpKind,
    ctx: Context,
    health: SenderHealth,
    events: StoredQueueEvents,
    before: Promise<void>,
  ) {
    this.handler = handler;
    this.#kind = kind;
    this.#ctx = ctx;
    this.#health = health;
    this.#events = events;
    this.#opened.promise.catch(() => {});
    ctx.run(async (signal) => {
      this.#hasBegun = true;
      const stop = () => this.#end(signal.reason);
      signal.addEventListener("abort", stop, { once: true });
      if (signal.aborted) stop();
      try {
        await before;
        await this.#run();
      } finally {
        signal.removeEventListener("abort", stop);
        this.#ended.resolve();
      }
    });
  }

  /** What of `queue_size` is taken. */
  used(sizer: Sizer): number {
    return this.#used[sizer];
  }
  /** Epoch milliseconds since when the oldest data waits. */
  get oldest(): number | undefined {
    return this.#reader?.pending.oldest;
  }
  /** What the disk does not take. */
  get problem(): Judgement {
    return this.#problem;
  }

  /** Resolves once the batch is on disk, or delivered while the disk takes nothing. Releases its acknowledgement. */
  async append(batch: OtlpBatch, signal: AbortSignal): Promise<void> {
    const { clientMetadata, items } = batch;
    const head = clientMetadata === undefined ? [] : [Buffer.from(JSON.stringify([...clientMetadata]))];
    const parts = [...head, ...batch.parts];
    const bytes = joinParts(parts);
    if (bytes.length > MAX_RECORD_BYTES) {
      throw new PermanentError(
        "larger_than_queue",
        `a request of ${bytes.length} bytes does not fit a queue on disk, whose records have at most ${MAX_RECORD_BYTES}`,
      );
    }
    this.#count(items, bytes.length, 1);
    try {
      const queue = this.#queue ?? (await abortable(this.#opened.promise, signal));
      await queue.append([{ bytes, items, tag: head[0]?.length ?? 0 }], signal);
    } catch (error) {
      this.#count(items, bytes.length, -1);
      this.#events.onRoom();
      if (signal.aborted) throw signal.reason;
      if (this.#ending.signal.aborted) throw new RetryableError(`${this.#ctx.id} is stopping`, { cause: error });
      throw error;
    }
    batch.acknowledgement.release();
  }

  /** Reads no more; what was handed out may still be finished. */
  stopReading(): void {
    this.#end(new Error("the queue is closing"));
  }

  /** Ends, and lets go of the folder. What is left stays on disk. */
  async close(): Promise<void> {
    this.stopReading();
    // A component that is thrown away before its tasks begin has opened nothing.
    if (this.#hasBegun) await this.#ended.promise;
    const queue = this.#queue;
    this.#queue = undefined;
    this.#reader = undefined;
    await queue?.close().catch((error) => this.#ctx.log.error("cannot close the queue on disk", { error }));
  }

  #end(reason: unknown): void {
    this.#ending.abort(reason);
    this.#continue?.();
    this.#opened.reject(new RetryableError(`${this.#ctx.id} is stopping`));
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    try {
      const queue = await this.#open(signal);
      const reader = queue.reader(this.#kind);
      this.#queue = queue;
      this.#reader = reader;
      const { items, bytes } = reader.pending;
      this.#used.requests += reader.pendingRecords;
      this.#used.items += items;
      this.#used.bytes += bytes;
      if (items > 0) this.#ctx.log.info("data of before waits on disk", { signal: this.#kind, items, bytes });
      this.#opened.resolve(queue);
      for (;;) {
        for (const record of await reader.next(READ_BYTES, signal)) this.#handOut(record);
        while (this.#windowBytes >= WINDOW_BYTES || this.#window.size >= WINDOW_RECORDS) {
          signal.throwIfAborted();
          const { promise, resolve } = Promise.withResolvers<void>();
          this.#continue = resolve;
          this.#events.onFullWindow();
          await promise;
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Tries until the disk takes the queue; rejects only when `signal` is aborted. */
  async #open(signal: AbortSignal): Promise<DiskQueue> {
    const { id, clock, log } = this.#ctx;
    const backoff = new Backoff(FIRST_REOPEN_MS, LAST_REOPEN_MS);
    for (;;) {
      try {
        const queue = await this.handler.open(id, this.#kind, clock, {
          onDrop: (_reader, reason, items, bytes, records) => {
            this.#used.requests -= records;
            this.#used.items -= items;
            this.#used.bytes -= bytes;
            this.#health.lost(
              reason,
              items,
              `a part of the queue in ${this.handler.folder(id, this.#kind)} is damaged`,
            );
          },
          onStatus: ({ state, cause }) => this.#diskSays(state === "ok" ? undefined : { state: "degraded", cause }),
          onNotice: (message) => log.info(message),
        });
        if (signal.aborted) {
          await queue.close();
          throw signal.reason;
        }
        if (this.#problem !== undefined) log.info("the queue on disk is open");
        this.#diskSays(undefined);
        const old = await this.handler.alloyFile(id, this.#kind);
        if (old !== undefined) {
          log.warn("the queue that Alloy left cannot be read: let Alloy send it, or delete it", { file: old });
        }
        return queue;
      } catch (error) {
        signal.throwIfAborted();
        const cause = errorText(error);
        if (this.#problem?.cause !== cause) log.error("cannot open the queue on disk, trying again", { error: cause });
        this.#diskSays({ state: "failing", cause });
        await clock.sleep(backoff.next(), signal);
      }
    }
  }

  #handOut(record: QueueRecord): void {
    const { sequence, tag } = record;
    const body = tag === 0 ? record.bytes : record.bytes.subarray(tag);
    const batch: OtlpBatch = {
      signal: "otlp",
      kind: this.#kind,
      parts: [body],
      items: record.items,
      bytes: body.length,
      clientMetadata:
        tag === 0 ? undefined : new Map(JSON.parse(Buffer.from(record.bytes.subarray(0, tag)).toString())),
      acknowledgement: new Acknowledgement(() => this.#finished(record)),
    };
    this.#window.set(sequence, { bytes: record.bytes.length, isDone: false });
    this.#windowBytes += record.bytes.length;
    this.#events.onBatch(batch);
  }

  #finished(record: QueueRecord): void {
    // The next life of the queue reads it again.
    if (this.#reader === undefined) return;
    this.#reader.ack(record);
    this.#window.get(record.sequence)!.isDone = true;
    for (const [sequence, { bytes, isDone }] of this.#window) {
      if (!isDone) break;
      this.#window.delete(sequence);
      this.#windowBytes -= bytes;
    }
    this.#count(record.items, record.bytes.length, -1);
    this.#continue?.();
    this.#events.onRoom();
  }

  /** Bytes are those of records, metadata included, so that what is on disk has the same size after a restart. */
  #count(items: number, bytes: number, sign: 1 | -1): void {
    this.#used.requests += sign;
    this.#used.items += sign * items;
    this.#used.bytes += sign * bytes;
  }

  #diskSays(problem: Judgement): void {
    this.#problem = problem;
    this.#ctx.flow.judge();
  }
}
