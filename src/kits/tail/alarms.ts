/** Who keeps in which slot its alarm is. */
export interface Sleeper {
  /** Monotonic time of the next look, in milliseconds. */
  readonly dueMs: number;
  /** The slot of its alarm; 0 for none. */
  alarmSlot: number;
}

/** Wakes many sleepers with one timer: a tick costs as much as there are due, not as there are all in all. */
export class Alarms<T extends Sleeper> {
  readonly #tickMs: number;
  readonly #slots = new Map<number, T[]>();
  /** The first slot that was not taken yet. */
  #next: number;

  constructor(tickMs: number, nowMs: number) {
    this.#tickMs = tickMs;
    this.#next = Math.max(1, Math.floor(nowMs / tickMs));
  }

  /** Has `sleeper` handed out once it is due. One that has an earlier alarm keeps it, and gets another one then. */
  set(sleeper: T): void {
    const slot = Math.max(Math.floor(sleeper.dueMs / this.#tickMs), this.#next);
    if (sleeper.alarmSlot !== 0 && sleeper.alarmSlot <= slot) return;
    sleeper.alarmSlot = slot;
    const others = this.#slots.get(slot);
    if (others === undefined) this.#slots.set(slot, [sleeper]);
    else others.push(sleeper);
  }

  /** Those that are due, each once. */
  take(nowMs: number): T[] {
    const due: T[] = [];
    const last = Math.floor(nowMs / this.#tickMs);
    const early: T[] = [];
    for (; this.#next <= last; this.#next++) {
      const sleepers = this.#slots.get(this.#next);
      if (sleepers === undefined) continue;
      this.#slots.delete(this.#next);
      for (const sleeper of sleepers) {
        if (sleeper.alarmSlot !== this.#next) continue; // it has got an earlier one since
        sleeper.alarmSlot = 0;
        (sleeper.dueMs <= nowMs ? due : early).push(sleeper);
      }
    }
    for (const sleeper of early) this.set(sleeper);
    return due;
  }
}
