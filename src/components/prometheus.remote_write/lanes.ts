import type { QueueRecord } from "#pipeline/disk-queue";

/** Wakes whoever waits for something to change. */
export class Bell {
  #waiting: (() => void)[] = [];

  ring(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves at the next ring or when `signal` is aborted. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener("abort", done);
        resolve();
      };
      if (signal.aborted) return resolve();
      signal.addEventListener("abort", done);
      this.#waiting.push(done);
    });
  }
}

/** Fragments that must be sent one after the other, because they may hold the same series. */
export class Lane {
  readonly #records: QueueRecord[] = [];
  #items = 0;
  readonly bell = new Bell();
  /** Whether a request is under way or records wait. */
  busy = false;
  /** Monotonic time at which the first of the records came. */
  since = 0;

  get items(): number {
    return this.#items;
  }
  get empty(): boolean {
    return this.#records.length === 0;
  }

  /** Rings the bell for the first record, and once there are `enough` items for a request. */
  push(record: QueueRecord, now: number, enough: number): void {
    const first = this.#records.length === 0;
    if (first) this.since = now;
    this.#records.push(record);
    this.#items += record.items;
    this.busy = true;
    if (first || this.#items >= enough) this.bell.ring();
  }

  /** The next records, together at most `maxItems` items, but at least one record. */
  take(maxItems: number, now: number): QueueRecord[] {
    let count = 0;
    let items = 0;
    for (const record of this.#records) {
      if (count > 0 && items + record.items > maxItems) break;
      items += record.items;
      count += 1;
      if (items >= maxItems) break;
    }
    this.#items -= items;
    this.since = now;
    return this.#records.splice(0, count);
  }
}
