import type { Clock } from "#base/clock";
import { roughDuration } from "#base/duration";
import type { Judgement } from "#pipeline/flow";

/** How long lines that took too long are worth a word. */
const REMEMBERED_MS = 600_000;

/** Remembers lines for which there was not enough time, for the flow status. */
export class TimeoutWatch {
  readonly #clock: Clock;
  #first = 0;
  #last = 0;
  #lines = 0;
  #drops = false;
  #limitMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(drops: boolean, limitMs: number): void {
    const now = this.#clock.now();
    if (this.#lines === 0 || now - this.#last > REMEMBERED_MS) {
      this.#lines = 0;
      this.#first = now;
    }
    this.#lines += 1;
    this.#last = now;
    this.#drops = drops;
    this.#limitMs = limitMs;
  }

  judge(): Judgement {
    const now = this.#clock.now();
    if (this.#lines === 0 || now - this.#last > REMEMBERED_MS) return undefined;
    const what = this.#drops ? "were dropped" : "passed with only those secrets redacted that had been found by then";
    const span = roughDuration(Math.max(1_000, now - this.#first));
    const cause = `${this.#lines} lines of the last ${span} took longer than \`processing_timeout\` (${this.#limitMs} ms) and ${what}: give it more time, or shorten lines before this component`;
    return { state: "degraded", cause };
  }
}
