import type { Clock } from "#base/clock";
import { errorText } from "#base/log";
import { type Batch, batchItems, cloneBatch, type Signal } from "./batch.ts";
import type { Consumer } from "./consumer.ts";
import { PermanentError, RetryableError } from "./errors.ts";
import type { EdgeCounts, Flow } from "./flow.ts";
import type { Tap } from "./tap.ts";

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;

/**
 * Hands each batch to every consumer of a `forward_to` list and accepts when all of them have. A consumer that is full
 * is asked again with growing pauses until `signal` is aborted; one that refuses for good has the batch counted as
 * dropped, and the others still get it. So `consume` rejects only when `signal` is aborted.
 */
export class Fanout<S extends Signal> {
  readonly #signal: S;
  readonly #flow: Flow;
  readonly #tap: Tap;
  readonly #clock: Clock;
  #consumers: readonly Consumer<S>[] = [];

  constructor(signal: S, consumers: readonly Consumer<S>[], flow: Flow, tap: Tap, clock: Clock) {
    this.#signal = signal;
    this.#flow = flow;
    this.#tap = tap;
    this.#clock = clock;
    this.set(consumers);
  }

  /** Replaces the consumers. A batch that waits for a consumer goes to the new one of the same component. */
  set(consumers: readonly Consumer<S>[]): void {
    const before = this.#consumers;
    this.#consumers = [...consumers];
    // Edges count from zero as soon as they are there, and those that stay keep their counts.
    for (const { componentId } of consumers) this.#flow.connect(componentId, this.#signal);
    for (const { componentId } of before) this.#flow.disconnect(componentId);
  }

  /** Takes its edges out of the accounts, at the end of the component. */
  close(): void {
    for (const { componentId } of this.#consumers) this.#flow.disconnect(componentId);
  }

  get consumers(): readonly Consumer<S>[] {
    return this.#consumers;
  }

  consume(batch: Batch<S>, signal: AbortSignal): void | Promise<void> {
    const consumers = this.#consumers;
    if (consumers.length === 1) return this.#deliver(consumers[0]!, batch, signal);
    if (consumers.length === 0) {
      this.#flow.drop(this.#signal, "no_consumer", batchItems(batch));
      // An empty forward_to is seen in the wiring; an `output` without one of its signals only here.
      if (batch.signal === "otlp") this.#flow.degraded(`${batch.kind} are dropped: \`output\` names nobody for them`);
      batch.acknowledgement.release();
      return;
    }
    batch.acknowledgement.retain(consumers.length - 1);
    if (batch.signal === "otlp") batch.refusals?.share();
    // Copies for those that mutate are made before anybody gets the batch; the last to get the original may be one of them.
    const mutators = consumers.filter((each) => each.mutates);
    const readers = consumers.filter((each) => !each.mutates);
    const handOver = [...readers.map((each) => ({ consumer: each, copy: batch }))];
    for (const [i, consumer] of mutators.entries()) {
      const mayHaveOriginal = i === 0 && readers.length === 0;
      handOver.push({ consumer, copy: mayHaveOriginal ? batch : cloneBatch(batch) });
    }
    const pending: Promise<void>[] = [];
    for (const { consumer, copy } of handOver) {
      const result = this.#deliver(consumer, copy, signal);
      if (result !== undefined) pending.push(result);
    }
    return pending.length === 0 ? undefined : settleAll(pending);
  }

  #deliver(consumer: Consumer<S>, batch: Batch<S>, signal: AbortSignal): void | Promise<void> {
    // Counted and shown before the hand-over, since the consumer may change the columns.
    const items = batchItems(batch);
    const edge = this.#flow.edge(consumer.componentId);
    edge.add(batch, this.#clock.now());
    if (this.#tap.active) this.#tap.show("out", consumer.componentId, batch);
    let result: void | Promise<void>;
    try {
      result = consumer.consume(batch, signal);
    } catch (error) {
      result = Promise.reject(error);
    }
    if (result === undefined) {
      this.#flow.ok();
      return;
    }
    edge.wait(items, this.#clock.now());
    return result
      .then(
        () => this.#flow.ok(),
        (error) => this.#refused(consumer, edge, batch, items, error, signal),
      )
      .finally(() => edge.accepted(items, this.#clock.now()));
  }

  async #refused(
    first: Consumer<S>,
    edge: EdgeCounts,
    batch: Batch<S>,
    items: number,
    error: unknown,
    signal: AbortSignal,
  ) {
    let cause = error;
    for (let pauseMs = FIRST_RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, LAST_RETRY_MS)) {
      if (signal.aborted) {
        // Whoever waited was sent away; where it is the end of the component, nothing is wrong.
        if (signal.reason instanceof RetryableError) this.#takesNothing(first, edge, signal.reason);
        throw signal.reason;
      }
      if (!(cause instanceof RetryableError)) {
        edge.lastError = { time: this.#clock.now(), message: errorText(cause) };
        const reason = cause instanceof PermanentError ? cause.reason : "internal_error";
        this.#giveUp(edge, batch, items, reason, `${first.componentId} refused ${items} items: ${errorText(cause)}`);
        return;
      }
      this.#takesNothing(first, edge, cause);
      await this.#clock.sleep(cause.retryAfterMs ?? pauseMs, signal);
      const consumer = this.#consumers.find((each) => each.componentId === first.componentId);
      if (consumer === undefined) {
        this.#giveUp(edge, batch, items, "consumer_removed", `${first.componentId} was taken out of forward_to`);
        return;
      }
      try {
        await consumer.consume(batch, signal);
        this.#flow.ok();
        return;
      } catch (again) {
        cause = again;
      }
    }
  }

  #takesNothing({ componentId }: Consumer<S>, edge: EdgeCounts, cause: RetryableError): void {
    edge.lastError = { time: this.#clock.now(), message: errorText(cause) };
    this.#flow.degraded(`${componentId} takes nothing: ${cause.message}`);
  }

  #giveUp(edge: EdgeCounts, batch: Batch<S>, items: number, reason: string, message: string): void {
    edge.dropped += items;
    this.#flow.drop(this.#signal, reason, items);
    this.#flow.degraded(message);
    if (batch.signal === "otlp") batch.refusals?.add(items, message);
    batch.acknowledgement.release();
  }
}

/** Waits for all before it rejects with the first failure, so that no branch still reads a batch that its source reuses. */
async function settleAll(pending: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(pending)) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
}
