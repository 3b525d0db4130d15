/** Pauses between attempts that grow from `minimumMs` to `maximumMs`. */
export class Backoff {
  readonly #minimumMs: number;
  readonly #maximumMs: number;
  readonly #random: () => number;
  #attempts = 0;

  constructor(minimumMs: number, maximumMs: number, random: () => number = Math.random) {
    this.#minimumMs = minimumMs;
    this.#maximumMs = maximumMs;
    this.#random = random;
  }

  /** Failures since the last `reset`. */
  get attempts(): number {
    return this.#attempts;
  }

  /**
   * The pause after one more failure in milliseconds: between one and two times the last step, doubled each time, so that
   * clients that failed together do not come back together. Matches dskit's backoff. What the server asked for is kept to.
   */
  next(retryAfterMs = 0): number {
    const low = Math.min(this.#maximumMs, this.#minimumMs * 2 ** Math.min(this.#attempts, 50));
    const high = Math.min(this.#maximumMs, low * 2);
    this.#attempts += 1;
    return Math.max(retryAfterMs, low + this.#random() * (high - low));
  }

  reset(): void {
    this.#attempts = 0;
  }
}

/** Milliseconds that a `Retry-After` header asks for: seconds or a date; 0 for none or nonsense. */
export function parseRetryAfter(header: string | undefined, now: number): number {
  const text = header?.trim() ?? "";
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}
