import type { Clock } from "#base/clock";

interface Sleeper {
  /** In monotonic milliseconds. */
  readonly due: number;
  readonly timer: ReturnType<typeof setTimeout>;
  wake(): void;
}

/** The longest delay a timer takes. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The system's time, which jumps ahead when a piece of work only waits for it: a rate limit or a pause before another try
 * costs no time, and still all that goes by the clock sees it pass.
 */
export class SkippingClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #skippedMs = 0;

  now(): number {
    return Date.now() + this.#skippedMs;
  }
  monotonic(): number {
    return performance.now() + this.#skippedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const end = () => {
        clearTimeout(sleeper.timer);
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", abort);
      };
      const abort = () => {
        end();
        reject(signal!.reason);
      };
      const wake = () => {
        end();
        resolve();
      };
      const timer = setTimeout(wake, Math.min(Math.max(ms, 0), MAX_TIMER_MS));
      const sleeper: Sleeper = { due: this.monotonic() + ms, timer, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  /** Waits for `work`, and jumps to what is due next as long as it is not done. `check` may throw to give up. */
  async skipWhile<T>(work: Promise<T>, check: () => void): Promise<T> {
    let settled = false;
    const settle = () => {
      settled = true;
    };
    work.then(settle, settle);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (settled) return work;
      check();
      this.#jump();
    }
  }

  #jump(): void {
    let next: Sleeper | undefined;
    for (const sleeper of this.#sleepers) if (next === undefined || sleeper.due < next.due) next = sleeper;
    if (next === undefined) return;
    this.#skippedMs += Math.max(0, next.due - this.monotonic());
    next.wake();
  }
}
