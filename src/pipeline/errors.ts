/**
 * Why a consumer did not accept a batch.
 *
 * Retryable: the same batch may pass later (a queue is full, a backend is away). Permanent: it never will (malformed,
 * too large). Whoever holds the batch decides: sources that can re-read retry, push receivers answer with a status
 * (`503` with Retry-After, `400`).
 */
export class RetryableError extends Error {
  override readonly name = "RetryableError";
  /** Milliseconds that the refuser asked to be left alone for. */
  readonly retryAfterMs: number | undefined;
  constructor(message: string, options: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}

export class PermanentError extends Error {
  override readonly name = "PermanentError";
  /** The reason under which dropped items are counted, such as `line_too_long`. */
  readonly reason: string;
  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
