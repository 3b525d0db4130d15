import { setImmediate } from "node:timers/promises";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Fanout } from "#pipeline/fanout";
import { attempt } from "../otelcol/processor.ts";
import type { SpanLosses } from "./status.ts";

/** What makes metrics of traces. Times are in epoch milliseconds. */
export interface SpanCounter {
  /** Whether something was counted that no flush has told of. */
  readonly isPending: boolean;
  /** Spans that could not be counted as they should, by reason, until somebody takes them out. */
  readonly losses: Map<string, number>;
  /** Counts the spans of a request. Throws ProtobufError for what is none. */
  add(request: Uint8Array, now: number): void;
  /** The metrics as they are, one request at a time. Only one flush is under way at any time. */
  flush(now: number): Iterable<OtlpBatch>;
}

/** What a connector does by the clock (ms). */
export interface SpanConnectorLoops<C> {
  /** Time between flushes; 0 or less to flush after each batch. */
  readonly flushMs: number;
  readonly others: readonly { readonly everyMs: number; run(counter: C): void }[];
}

type Context = Pick<ComponentContext, "clock" | "flow" | "id" | "log" | "run">;

/** Counts of a first flush are 0, so that the last ones need a second. */
const FLUSHES_AT_END = 2;

/** Takes traces, counts their spans, and hands on metrics now and then and at the end. */
export class SpanConnector<C extends SpanCounter> {
  #counter: C;
  #loops: SpanConnectorLoops<C>;
  readonly #ctx: Context;
  readonly #out: Fanout<"otlp">;
  readonly #losses: SpanLosses;
  #period = new AbortController();
  /** The times of two flushes differ. */
  #lastFlush = 0;
  #flushing: Promise<void> = Promise.resolve();

  constructor(ctx: Context, out: Fanout<"otlp">, losses: SpanLosses, counter: C, loops: SpanConnectorLoops<C>) {
    this.#ctx = ctx;
    this.#out = out;
    this.#losses = losses;
    this.#counter = counter;
    this.#loops = loops;
    this.#begin();
  }

  get counter(): C {
    return this.#counter;
  }

  /** Counts a batch of traces. What it held is in the metrics from then on, and in no other place. */
  take(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
    const now = this.#ctx.clock.now();
    attempt(() => {
      for (const part of batch.parts) this.#counter.add(part, now);
    });
    this.#losses.take(this.#counter.losses);
    batch.acknowledgement.release();
    if (this.#loops.flushMs <= 0) return this.flush(signal);
    this.#ctx.flow.took(); // the first metrics may be a minute away
  }

  /** Hands on the metrics as they are. */
  async flush(signal: AbortSignal): Promise<void> {
    await this.#flush(this.#counter, signal);
  }

  /** Hands on what was counted and not told yet, before the counter goes. */
  async end(signal: AbortSignal): Promise<void> {
    this.#period.abort();
    await this.#flushRest(this.#counter, signal);
  }

  /** Goes on with another counter; what the one before has counted is handed on. */
  async replace(counter: C, loops: SpanConnectorLoops<C>, signal: AbortSignal): Promise<void> {
    const before = this.#counter;
    this.#counter = counter;
    this.#loops = loops;
    this.#period.abort();
    await this.#flushRest(before, signal);
    this.#begin();
  }

  async #flushRest(counter: C, signal: AbortSignal): Promise<void> {
    for (let i = 0; i < FLUSHES_AT_END && counter.isPending; i++) await this.#flush(counter, signal);
  }
  /** One at a time. What is not handed on before `signal` is aborted is lost. */
  async #flush(counter: C, signal: AbortSignal): Promise<void> {
    const before = this.#flushing;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#flushing = promise;
    await before;
    try {
      await this.#handOn(counter, signal);
    } finally {
      resolve();
    }
  }

  async #handOn(counter: C, signal: AbortSignal): Promise<void> {
    let lost = 0;
    this.#lastFlush = Math.max(this.#ctx.clock.now(), this.#lastFlush + 1);
    for (const batch of counter.flush(this.#lastFlush)) {
      if (signal.aborted) {
        lost += batch.items;
        continue;
      }
      try {
        await this.#out.consume(batch, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        lost += batch.items;
      }
      // Between two requests of many series the next traces get in.
      await setImmediate();
    }
    if (lost === 0) return;
    this.#ctx.flow.drop("otlp", "shutdown", lost);
    this.#ctx.log.error("metrics could not be handed on before the stop and are lost", { data_points: lost });
  }

  #begin(): void {
    this.#period = new AbortController();
    const { flushMs, others } = this.#loops;
    if (flushMs > 0) this.#every(flushMs, (signal) => this.flush(signal));
    for (const { everyMs, run } of others) this.#every(everyMs, () => run(this.#counter));
  }

  /** Does something now and then until the counter is another one. */
  #every(ms: number, step: (signal: AbortSignal) => void | Promise<void>): void {
    const { signal: period } = this.#period;
    this.#ctx.run(async (signal) => {
      const until = AbortSignal.any([signal, period]);
      while (await this.#sleep(ms, until)) await step(signal);
    });
  }

  /** Whether the time passed. */
  async #sleep(ms: number, until: AbortSignal): Promise<boolean> {
    try {
      await this.#ctx.clock.sleep(ms, until);
      return true;
    } catch (error) {
      if (until.aborted) return false;
      throw error;
    }
  }
}
