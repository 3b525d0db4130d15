import type { Clock } from "#base/clock";

/** What has turns at times of its own. */
export interface TurnTaker {
  /** Monotonic time of the next turn; NaN for none. Set it to NaN to take the turn back. */
  due: number;
  /** Takes the turn that was due then, and asks for the next one. Must not reject. */
  take(due: number): Promise<void>;
}

/** A turn that is due this soon is taken now: timers may be up to a millisecond early. */
const EARLY_MS = 1;

/**
 * Gives many their turns with one timer: tens of thousands of loops that sleep are not to be as many timers, promises and
 * listeners. A binary heap, the earliest turn first.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #times: number[] = [];
  readonly #takers: TurnTaker[] = [];
  readonly #taking = new Set<Promise<void>>();
  #sleep: AbortController | undefined;
  #sleepsUntil = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Gives `taker` a turn at the monotonic time `at`. It must not be waiting for one. */
  add(taker: TurnTaker, at: number): void {
    taker.due = at;
    this.#push(taker, at);
    if (at >= this.#sleepsUntil) return;
    this.#sleepsUntil = -Infinity; // once is enough, however many come now
    this.#sleep?.abort();
  }

  /** Gives turns until `signal` is aborted; resolves when all that were taken have ended. */
  async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    signal.addEventListener("abort", () => this.#sleep?.abort(), { once: true });
    for (;;) {
      this.#takeDue(this.#clock.monotonic() + EARLY_MS);
      if (signal.aborted) break;
      this.#sleep = new AbortController();
      this.#sleepsUntil = this.#times[0] ?? Infinity;
      const pause = Math.max(0, this.#sleepsUntil - this.#clock.monotonic());
      await this.#clock.sleep(pause, this.#sleep.signal).catch(() => {});
    }
    await Promise.all(this.#taking);
  }

  #takeDue(until: number): void {
    while (this.#times.length > 0 && this.#times[0]! < until) {
      const at = this.#times[0]!;
      const taker = this.#pop();
      if (taker.due !== at) continue; // taken back
      taker.due = NaN;
      const taking = taker.take(at).finally(() => this.#taking.delete(taking));
      this.#taking.add(taking);
    }
  }

  #push(taker: TurnTaker, at: number): void {
    const times = this.#times;
    const takers = this.#takers;
    let place = times.length;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (times[parent]! <= at) break;
      times[place] = times[parent]!;
      takers[place] = takers[parent]!;
      place = parent;
    }
    times[place] = at;
    takers[place] = taker;
  }

  /** Takes out the earliest. */
  #pop(): TurnTaker {
    const times = this.#times;
    const takers = this.#takers;
    const first = takers[0]!;
    const at = times.pop()!;
    const taker = takers.pop()!;
    const { length } = times;
    if (length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= length) break;
      if (child + 1 < length && times[child + 1]! < times[child]!) child += 1;
      if (times[child]! >= at) break;
      times[place] = times[child]!;
      takers[place] = takers[child]!;
      place = child;
    }
    times[place] = at;
    takers[place] = taker;
    return first;
  }
}
