import { joinParts, type OtlpKind } from "#formats/otlp/otlp";
import { splitRequest } from "#formats/otlp/split";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";

export interface ShardOptions {
  readonly timeoutMs: number;
  /** 0: everything is sent as it comes. */
  readonly sendSize: number;
  /** 0 for no limit. */
  readonly maxSize: number;
}

export interface ShardEvents {
  /** Hands a batch on. Rejects only when the component stops. */
  send(batch: OtlpBatch): void | Promise<void>;
  sent(batch: OtlpBatch, trigger: "size" | "timeout"): void;
  /** The component stopped before the batch was accepted. */
  lost(items: number): void;
}

/**
 * Gathers the batches of one signal, and of one set of client metadata, until there are enough items or the time is up.
 * Holds at most about two batches: who brings more waits until the next component has taken one.
 *
 * Matches the shards of processor/batchprocessor of the OpenTelemetry Collector.
 */
export class Shard {
  readonly #kind: OtlpKind;
  readonly #metadata: ReadonlyMap<string, readonly string[]> | undefined;
  readonly #options: ShardOptions;
  readonly #events: ShardEvents;
  readonly #ctx: Pick<ComponentContext, "clock" | "signal">;
  #pending: OtlpBatch[] = [];
  #items = 0;
  /** A batch that the next component has not accepted yet. */
  #sending: Promise<void> | undefined;
  #timer: AbortController | undefined;
  /** What is pending is to be sent whatever its size. */
  #due = false;
  #draining = false;

  constructor(
    kind: OtlpKind,
    metadata: ReadonlyMap<string, readonly string[]> | undefined,
    options: ShardOptions,
    events: ShardEvents,
    ctx: Pick<ComponentContext, "clock" | "signal">,
  ) {
    this.#kind = kind;
    this.#metadata = metadata;
    this.#options = options;
    this.#events = events;
    this.#ctx = ctx;
  }

  add(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
    if (this.#sending !== undefined && this.#items >= Math.max(1, this.#options.sendSize))
      return this.#addLater(batch, signal);
    this.#add(batch);
  }

  async #addLater(batch: OtlpBatch, signal: AbortSignal): Promise<void> {
    while (this.#sending !== undefined && this.#items >= Math.max(1, this.#options.sendSize)) {
      await settled(this.#sending, signal);
    }
    this.#add(batch);
  }

  #add(batch: OtlpBatch): void {
    this.#pending.push(batch);
    this.#items += batch.items;
    if (this.#immediate) this.#due = true;
    this.#pump("size");
    if (this.#items > 0 && this.#timer === undefined && !this.#due) this.#startTimer();
  }

  get #immediate(): boolean {
    return this.#draining || this.#options.timeoutMs === 0 || this.#options.sendSize === 0;
  }

  /** Sends what is pending, and resolves when it has been accepted or `deadline` is aborted. */
  async drain(deadline: AbortSignal): Promise<void> {
    this.#draining = true;
    this.#due = true;
    this.#pump("timeout");
    while (this.#sending !== undefined && !deadline.aborted) await settled(this.#sending, deadline).catch(() => {});
  }

  /** Reports what was never sent. */
  close(): void {
    this.#timer?.abort();
    if (this.#items > 0) this.#events.lost(this.#items);
    this.#pending = [];
    this.#items = 0;
  }

  #startTimer(): void {
    const timer = new AbortController();
    this.#timer = timer;
    this.#ctx.clock.sleep(this.#options.timeoutMs, timer.signal).then(
      () => {
        this.#timer = undefined;
        this.#due = true;
        this.#pump("timeout");
      },
      () => {},
    );
  }

  #pump(trigger: "size" | "timeout"): void {
    const { sendSize } = this.#options;
    while (this.#sending === undefined && this.#items > 0 && (this.#due || this.#items >= sendSize)) {
      this.#timer?.abort();
      this.#timer = undefined;
      const batch = this.#take();
      if (this.#items === 0) this.#due = this.#immediate;
      const result = this.#events.send(batch);
      if (result === undefined) {
        this.#events.sent(batch, trigger);
        continue;
      }
      this.#sending = result.then(
        () => {
          this.#events.sent(batch, trigger);
          this.#sending = undefined;
          this.#pump(trigger);
          if (this.#items > 0 && this.#timer === undefined && !this.#due) this.#startTimer();
        },
        () => {
          this.#events.lost(batch.items);
          this.#sending = undefined;
        },
      );
    }
  }

  /** The next batch: everything, or as much as the largest size allows. */
  #take(): OtlpBatch {
    const limit = this.#options.maxSize === 0 ? Infinity : this.#options.maxSize;
    const taken: OtlpBatch[] = [];
    let items = 0;
    while (this.#pending.length > 0 && items < limit) {
      const next = this.#pending[0]!;
      if (items + next.items > limit) {
        this.#pending.splice(0, 1, ...split(next, limit - items, limit));
        if (this.#pending[0] === next) break; // it cannot be cut: it goes alone, whatever its size
        continue;
      }
      taken.push(next);
      items += next.items;
      this.#pending.shift();
    }
    if (taken.length === 0) {
      taken.push(this.#pending.shift()!);
      items = taken[0]!.items;
    }
    this.#items -= items;
    return {
      signal: "otlp",
      kind: this.#kind,
      parts: taken.length === 1 ? taken[0]!.parts : taken.flatMap((each) => each.parts),
      items,
      bytes: taken.reduce((sum, each) => sum + each.bytes, 0),
      clientMetadata: this.#metadata,
      acknowledgement: Acknowledgement.merge(taken.map((each) => each.acknowledgement)),
    };
  }
}

/** A batch in pieces, each with a reference of its acknowledgement. */
function split(batch: OtlpBatch, first: number, rest: number): OtlpBatch[] {
  const chunks = splitRequest(batch.kind, joinParts(batch.parts), first, rest);
  if (chunks.length < 2) return [batch];
  batch.acknowledgement.retain(chunks.length - 1);
  return chunks.map(({ bytes, items }) => ({ ...batch, parts: [bytes], items, bytes: bytes.length }));
}

/** Resolves when the promise has settled; rejects as soon as `signal` is aborted. */
function settled(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, resolve).finally(() => signal.removeEventListener("abort", abort));
  });
}
