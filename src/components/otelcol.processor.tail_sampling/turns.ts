/** Steps that run one after the other, and those who wait for the end of one. */
export class Turns {
  #last: Promise<void> = Promise.resolve();
  #running = 0;
  readonly #waiting = new Set<() => void>();

  /** Whether a step runs or is about to. */
  get isBusy(): boolean {
    return this.#running > 0;
  }

  /** Runs a step, which must not reject, once those before it are over. */
  take(step: () => Promise<void>): Promise<void> {
    this.#running += 1;
    this.#last = this.#last.then(step).finally(() => {
      this.#running -= 1;
      for (const wake of [...this.#waiting]) wake();
    });
    return this.#last;
  }

  /** Resolves at the end of the next step; rejects with the signal's reason as soon as it is aborted. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", abort);
      };
      const wake = () => {
        end();
        resolve();
      };
      const abort = () => {
        end();
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      this.#waiting.add(wake);
      signal.addEventListener("abort", abort, { once: true });
    });
  }
}
