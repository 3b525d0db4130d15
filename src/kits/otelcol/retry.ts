import type { RetryArguments } from "./schema.ts";

/** Why a request could not be delivered, and whether another attempt may help. */
export class SendError extends Error {
  override readonly name = "SendError";
  readonly retryable: boolean;
  /** The credentials are refused: another attempt helps once somebody has mended something. */
  readonly isRefusal: boolean;
  /** The reason under which items are counted if they are given up for it: snake_case, from a small set. */
  readonly reason: string;
  /** The backend asks for at least this pause. */
  readonly retryAfterMs: number | undefined;
  constructor(
    reason: string,
    message: string,
    options: { retryable: boolean; isRefusal?: boolean; retryAfterMs?: number | undefined; cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.retryable = options.retryable;
    this.isRefusal = options.isRefusal ?? false;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The pauses between attempts of one request. Matches the Collector's retry sender and cenkalti/backoff. */
export class Backoff {
  readonly #args: RetryArguments;
  readonly #random: () => number;
  readonly #deadline: number;
  #intervalMs: number;

  /** `now` is the monotonic time of the first attempt. */
  constructor(args: RetryArguments, now: number, random: () => number = Math.random) {
    this.#args = args;
    this.#random = random;
    this.#intervalMs = args.initial_interval;
    this.#deadline = args.max_elapsed_time > 0 ? now + args.max_elapsed_time : Infinity;
  }

  /** The pause before the next attempt; undefined when the time is over. */
  next(now: number, retryAfterMs: number | undefined): number | undefined {
    const { randomization_factor: factor, multiplier, max_interval: most } = this.#args;
    const pause = this.#intervalMs * (1 - factor + this.#random() * 2 * factor);
    this.#intervalMs = Math.min(most, this.#intervalMs * multiplier);
    const delay = Math.max(pause, retryAfterMs ?? 0);
    return now + delay > this.#deadline ? undefined : delay;
  }
}
