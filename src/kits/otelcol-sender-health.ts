import { errorText } from "#base/log";
import type { ComponentContext } from "#pipeline/component";

/** Between two messages about the same trouble. */
const LOG_INTERVAL_MS = 30_000;

type Context = Pick<ComponentContext, "clock" | "log" | "flow">;

/** What the attempts say about the backend, and the log's share of it. */
export class SenderHealth {
  readonly #ctx: Context;
  readonly #destination: string;
  failing = false;
  #failures = 0;
  #lastLog = -Infinity;
  readonly #waiting = new Set<() => void>();

  constructor(ctx: Context, destination: string) {
    this.#ctx = ctx;
    this.#destination = destination;
  }

  /** Calls `listener` once when the backend begins to fail. Returns the function that forgets it. */
  onFailing(listener: () => void): () => void {
    this.#waiting.add(listener);
    return () => void this.#waiting.delete(listener);
  }

  delivered(): void {
    this.#ctx.flow.ok();
    if (!this.failing) return;
    this.failing = false;
    this.#ctx.log.info("sending works again", { destination: this.#destination, failed_attempts: this.#failures });
    this.#failures = 0;
    this.#lastLog = -Infinity;
  }

  failed(error: unknown, pauseMs: number): void {
    const cause = `cannot send to ${this.#destination}: ${errorText(error)}`;
    this.#ctx.flow.failing(cause);
    this.failing = true;
    this.#failures += 1;
    for (const listener of [...this.#waiting]) listener();
    this.#logSometimes("sending failed, will try again", {
      error: errorText(error),
      next_attempt_ms: Math.round(pauseMs),
    });
  }

  /** A drop degrades the flow; it says nothing about whether the backend can be reached. */
  dropped(reason: string, items: number, why: string): void {
    this.#ctx.flow.drop("otlp", reason, items);
    if (!this.failing) this.#ctx.flow.degraded(`dropped ${items} items: ${why}`);
    this.#ctx.log.error("data was dropped", { reason, items, destination: this.#destination, error: why });
  }

  #logSometimes(message: string, fields: Readonly<Record<string, unknown>>): void {
    const now = this.#ctx.clock.monotonic();
    if (now - this.#lastLog < LOG_INTERVAL_MS) return;
    this.#lastLog = now;
    this.#ctx.log.warn(message, { destination: this.#destination, failed_attempts: this.#failures, ...fields });
  }
}
