import type { Clock } from "./clock.ts";

interface Sleeper {
  readonly due: number;
  wake(): void;
}

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  readonly #start: number;
  #now: number;
  readonly #sleepers = new Set<Sleeper>();

  /** `start` is in epoch milliseconds. */
  constructor(start = 1_700_000_000_000) {
    this.#start = start;
    this.#now = start;
  }
  now(): number {
    return this.#now;
  }
  monotonic(): number {
    return this.#now - this.#start;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper: Sleeper = { due: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  /** Wakes, in order, whoever is due within `ms`, and lets each do its work. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    for (;;) {
      let next: Sleeper | undefined;
      for (const sleeper of this.#sleepers) if (next === undefined || sleeper.due < next.due) next = sleeper;
      if (next === undefined || next.due > end) break;
      this.#now = Math.max(this.#now, next.due);
      this.#sleepers.delete(next);
      next.wake();
      await settled();
    }
    this.#now = end;
  }

  /** Moves the time on for as long as `work` needs it. */
  async until(work: Promise<unknown>): Promise<void> {
    let done = false;
    const finished = work.finally(() => {
      done = true;
    });
    await settled();
    while (!done) await this.advance(50);
    await finished;
  }
}

/** Work that waits for nothing but other work is over after some turns of the event loop. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}
