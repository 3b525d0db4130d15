import { type Batch, cloneBatch, type Signal } from "./batch.ts";
import type { Consumer } from "./consumer.ts";
import { PermanentError, RetryableError } from "./errors.ts";
import type { Flow } from "./flow.ts";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;

/**
 * Hands each batch to every consumer of a `forward_to` list and accepts when all of them have. A consumer that is full
 * is asked again with growing pauses until `signal` is aborted; one that refuses for good has the batch counted as
 * dropped on that edge, and the others still get it. So `consume` rejects only when `signal` is aborted.
 */
export class Fanout<S extends Signal> {
  readonly #signal: S;
  readonly #flow: Flow;
  readonly #now: () => number;
  readonly #sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  #consumers: readonly Consumer<S>[] = [];

  constructor(
    kind: S,
    consumers: readonly Consumer<S>[],
    flow: Flow,
    clock: { now(): number; sleep(ms: number, signal?: AbortSignal): Promise<void> },
  ) {
    this.#signal = kind;
    this.#flow = flow;
    this.#now = () => clock.now();
    this.#sleep = (ms, signal) => clock.sleep(ms, signal);
    this.set(consumers);
  }

  /** Replaces the consumers; batches under way finish where they started. */
  set(consumers: readonly Consumer<S>[]): void {
    this.#consumers = [...consumers];
  }

  get consumers(): readonly Consumer<S>[] {
    return this.#consumers;
  }

  consume(batch: Batch<S>, signal: AbortSignal): void | Promise<void> {
    const consumers = this.#consumers;
    if (consumers.length === 1) return this.#deliver(consumers[0]!, batch, signal);
    if (consumers.length === 0) {
      this.#flow.drop(this.#signal, "no_consumer", batchCount(batch));
      batch.acknowledgement.release();
      return;
    }
    batch.acknowledgement.retain(consumers.length - 1);
    const pending: Promise<void>[] = [];
    // Those that only read go last, over the original: a mutator's clone is then made before anything can change it.
    const mutators = consumers.filter((each) => each.mutates);
    const readers = consumers.filter((each) => !each.mutates);
    const copies = mutators.map((_, i) => (i === 0 && readers.length === 0 ? batch : cloneBatch(batch)));
    for (const [i, consumer] of [...mutators, ...readers].entries()) {
      const result = this.#deliver(consumer, copies[i] ?? batch, signal);
      if (result !== undefined) pending.push(result);
    }
    if (pending.length === 0) return;
    return settleAll(pending);
  }

  #deliver(consumer: Consumer<S>, batch: Batch<S>, signal: AbortSignal): void | Promise<void> {
    // Counted before the hand-over, since the consumer may change the columns; taken back if it refuses for good.
    const edge = this.#flow.edge(consumer.componentId);
    const items = batchCount(batch);
    edge.add(batch, this.#now());
    let result: void | Promise<void>;
    try {
      result = consumer.consume(batch, signal);
    } catch (error) {
      return this.#refused(consumer, batch, items, error, signal, FIRST_RETRY_MS);
    }
    if (result === undefined) {
      this.#flow.ok();
      return;
    }
    return result.then(
      () => this.#flow.ok(),
      (error) => this.#refused(consumer, batch, items, error, signal, FIRST_RETRY_MS),
    );
  }

  async #refused(
    consumer: Consumer<S>,
    batch: Batch<S>,
    items: number,
    error: unknown,
    signal: AbortSignal,
    pauseMs: number,
  ): Promise<void> {
    for (let cause = error, pause = pauseMs; ; pause = Math.min(pause * 2, LAST_RETRY_MS)) {
      if (signal.aborted) throw signal.reason;
      if (!(cause instanceof RetryableError)) {
        const reason = cause instanceof PermanentError ? cause.reason : "internal_error";
        this.#flow.drop(this.#signal, reason, items);
        this.#flow.degraded(`${consumer.componentId} refused ${items} items: ${(cause as Error).message}`);
        batch.acknowledgement.release();
        return;
      }
      this.#flow.degraded(`${consumer.componentId} takes nothing: ${cause.message}`);
      await this.#sleep(cause.retryAfterMs ?? pause, signal);
      try {
        await consumer.consume(batch, signal);
        this.#flow.ok();
        return;
      } catch (again) {
        cause = again;
      }
    }
  }
}

/** Waits for all before it rejects with the first failure, so that no branch still reads a batch that its source reuses. */
async function settleAll(pending: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(pending)) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
}

function batchCount(batch: Batch): number {
  return batch.signal === "otlp" ? batch.items : batch.signal === "profiles" ? batch.profiles.length : batch.count;
}
