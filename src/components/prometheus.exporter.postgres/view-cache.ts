import type { Clock } from "#base/clock";
import type { ViewSamples } from "#kits/sql/view";

/** Answers of custom queries that may be shown again. */
export class ViewCache {
  readonly #clock: Clock;
  readonly #entries = new Map<string, { readonly time: number; readonly rendered: ViewSamples }>();
  #used = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What was put in no longer than `ms` ago. */
  get(key: string, ms: number): ViewSamples | undefined {
    this.#used.add(key);
    const entry = this.#entries.get(key);
    return entry === undefined || this.#clock.monotonic() - entry.time > ms ? undefined : entry.rendered;
  }

  put(key: string, rendered: ViewSamples): void {
    this.#entries.set(key, { time: this.#clock.monotonic(), rendered });
  }

  /** Forgets what was not asked for since the last time: queries and databases that are gone. */
  sweep(): void {
    for (const key of this.#entries.keys()) if (!this.#used.has(key)) this.#entries.delete(key);
    this.#used = new Set();
  }
}
