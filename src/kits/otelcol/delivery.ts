import { errorText } from "#base/log";
import type { OtlpKind } from "#formats/otlp/otlp";
import type { PartialSuccess } from "#formats/otlp/response";
import type { OtlpBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import { PermanentError, RetryableError } from "#pipeline/errors";
import type { ExporterInstruments } from "./metrics.ts";
import { Backoff, SendError } from "./retry.ts";
import type { RetryArguments } from "./schema.ts";
import type { SenderHealth } from "./sender-health.ts";

/** Longest pause between attempts while credentials are refused, and the time after which what is refused is given up. */
const REFUSED_PAUSE_MS = 30_000;
const REFUSED_PATIENCE_MS = 3_600_000;

/** What became of a request: `reason` says under what the items count that were rejected, if not `rejected_by_backend`. */
export interface SendResult extends PartialSuccess {
  readonly reason?: string;
}

/** One attempt to deliver. Rejects with a SendError, or with the signal's reason. */
export type SendRequest = (request: OtlpBatch, signal: AbortSignal) => Promise<SendResult>;

export interface DeliveryOptions {
  readonly retry: RetryArguments;
  readonly send: SendRequest;
}

export interface DeliveryFate {
  /** Whether data that is given up counts as dropped here, and not where it came from. */
  readonly countDrops: boolean;
  /** Whether nobody wants the data delivered any more, since it will be sent again. */
  readonly isAbandoned: () => boolean;
  /** Whether the data is safe on disk, so that an outage of any length need not end in its loss. */
  readonly isDurable: boolean;
}

/** The attempts to deliver requests of one signal, and what is counted of them. */
export class Delivery {
  readonly #kind: OtlpKind;
  readonly #ctx: Pick<ComponentContext, "clock" | "log">;
  readonly #instruments: ExporterInstruments;
  readonly #health: SenderHealth;
  #options: DeliveryOptions;
  /** Requests that wait for their next attempt. */
  readonly #sleepers = new Set<() => void>();
  /** Requests that the backend took. */
  count = 0;

  constructor(
    kind: OtlpKind,
    ctx: Pick<ComponentContext, "clock" | "log">,
    instruments: ExporterInstruments,
    health: SenderHealth,
    options: DeliveryOptions,
  ) {
    this.#kind = kind;
    this.#ctx = ctx;
    this.#instruments = instruments;
    this.#health = health;
    this.#options = options;
  }

  /** Takes changed settings; what waits for another attempt is tried at once. */
  configure(options: DeliveryOptions): void {
    this.#options = options;
    for (const wake of [...this.#sleepers]) wake();
  }

  /**
   * Sends until it succeeds, is refused for good, or the time for retries is over. Counts what it drops, then rejects.
   * The time for retries of data on disk begins anew while the backend takes nothing at all.
   */
  async deliver(batch: OtlpBatch, signal: AbortSignal, fate: DeliveryFate): Promise<void> {
    const { countDrops, isAbandoned, isDurable } = fate;
    const { clock } = this.#ctx;
    let began = clock.monotonic();
    let deliveredBefore = this.count;
    let backoff = new Backoff(this.#options.retry, began);
    for (let attempt = 0; ; attempt++) {
      const { retry, send } = this.#options;
      let error: unknown;
      try {
        this.#delivered(batch, await send(batch, signal));
        return;
      } catch (cause) {
        error = cause;
      }
      if (signal.aborted) throw signal.reason;
      if (isAbandoned()) throw error;
      const mayRepeat = retry.enabled && error instanceof SendError && error.retryable;
      let pause = mayRepeat ? this.#pause(error as SendError, backoff, attempt, began) : undefined;
      if (pause === undefined && mayRepeat && isDurable) {
        if (this.count === deliveredBefore) pause = retry.max_interval;
        began = clock.monotonic();
        deliveredBefore = this.count;
        backoff = new Backoff(retry, began);
      }
      if (pause === undefined) {
        this.#giveUp(batch, error, countDrops);
        throw error;
      }
      this.#health.failed(error as SendError, pause);
      await this.#sleep(pause, signal);
      if (isAbandoned()) throw error;
      if (this.#options.retry !== retry) backoff = new Backoff(this.#options.retry, clock.monotonic());
    }
  }

  /** The pause before the next attempt; undefined when there will be none. */
  #pause(error: SendError, backoff: Backoff, attempt: number, began: number): number | undefined {
    const now = this.#ctx.clock.monotonic();
    if (!error.isRefusal) return backoff.next(now, error.retryAfterMs);
    // Somebody has to mend something, which takes longer than `max_elapsed_time`.
    if (now - began >= REFUSED_PATIENCE_MS) return undefined;
    return Math.min(REFUSED_PAUSE_MS, this.#options.retry.initial_interval * 2 ** Math.min(attempt, 20));
  }

  #giveUp({ items }: OtlpBatch, error: unknown, countDrops: boolean): void {
    this.#instruments.failed[this.#kind].inc(items);
    const retryable = error instanceof SendError && error.retryable;
    if (retryable) this.#health.failed(error, 0);
    if (!countDrops) return;
    if (!(error instanceof SendError)) this.#health.lost("internal_error", items, errorText(error));
    else if (error.isRefusal) this.#health.rejected(error.reason, items, error.message);
    else if (retryable) this.#health.lost("retries_exhausted", items, error.message);
    else this.#health.rejected(error.reason, items, error.message);
  }

  #delivered(batch: OtlpBatch, { rejected, message, reason = "rejected_by_backend" }: SendResult): void {
    const lost = Math.min(rejected, batch.items);
    this.#instruments.sent[this.#kind].inc(batch.items - lost);
    this.count += 1;
    this.#health.delivered();
    if (lost > 0) {
      this.#instruments.failed[this.#kind].inc(lost);
      const why = message === "" ? "the backend gave no reason" : message;
      this.#health.rejected(reason, lost, why);
    } else if (message !== "") this.#ctx.log.warn("the backend took the data with a warning", { message });
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const wake = () => over.abort();
    this.#sleepers.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    await this.#ctx.clock.sleep(ms, over.signal).catch(() => {});
    this.#sleepers.delete(wake);
    signal.removeEventListener("abort", wake);
    if (signal.aborted) throw signal.reason;
  }
}

/** The failure of a delivery as consumers tell it to those before them. */
export function asConsumerError(error: unknown): Error {
  if (!(error instanceof SendError)) return new PermanentError("internal_error", errorText(error), { cause: error });
  if (!error.retryable) return new PermanentError(error.reason, error.message, { cause: error });
  const { retryAfterMs } = error;
  return new RetryableError(
    error.message,
    retryAfterMs === undefined ? { cause: error } : { retryAfterMs, cause: error },
  );
}
