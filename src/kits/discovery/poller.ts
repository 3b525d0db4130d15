import type { Labels } from "#base/labels";
import { type DiscoveryContext, DiscoveryTargets, type PartAnswer } from "./targets.ts";

export { discoveryExports, discoveryMetrics } from "./targets.ts";

/**
 * Gives all targets that there are now; of a source in parts, by the parts' names, with an error for each that cannot be
 * asked. Parts that are not there any more are forgotten. A rejection says why nothing is known, and what to do.
 */
export type Refresh = (signal: AbortSignal) => Promise<readonly Labels[] | ReadonlyMap<string, PartAnswer>>;

/** Asks for targets at once and then in intervals: prometheus/discovery/refresh. */
export class DiscoveryPoller {
  readonly #ctx: DiscoveryContext;
  readonly #targets: DiscoveryTargets;
  readonly #mechanism: string;
  #refresh: Refresh;
  #intervalMs: number;
  /** Ends the present request or pause after a change of arguments. */
  #again = new AbortController();
  /** Ends the present pause. */
  #pause = new AbortController();

  /** `mechanism` is Prometheus's name for this kind of discovery. */
  constructor(ctx: DiscoveryContext, mechanism: string, intervalMs: number, refresh: Refresh) {
    this.#ctx = ctx;
    this.#targets = new DiscoveryTargets(ctx);
    this.#mechanism = mechanism;
    this.#intervalMs = intervalMs;
    this.#refresh = refresh;
    ctx.metrics.failures.labels(mechanism, "");
    ctx.run((signal) => this.#run(signal));
  }

  /** Takes other arguments and asks anew at once; the targets so far stay until there is an answer. */
  update(intervalMs: number, refresh: Refresh): void {
    this.#intervalMs = intervalMs;
    this.#refresh = refresh;
    this.#again.abort(new Error("the arguments changed"));
  }

  /** Asks once more before the interval is over; after the present request, if there is one. */
  wake(): void {
    this.#pause.abort();
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ctx;
    while (!signal.aborted) {
      this.#again = new AbortController();
      this.#pause = new AbortController();
      const until = AbortSignal.any([signal, this.#again.signal]);
      const pause = AbortSignal.any([until, this.#pause.signal]);
      const began = clock.monotonic();
      await this.#look(until);
      if (pause.aborted) continue;
      await clock.sleep(Math.max(0, this.#intervalMs - (clock.monotonic() - began)), pause).catch(() => {});
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, metrics } = this.#ctx;
    const began = clock.monotonic();
    let isWhole = true;
    try {
      const found = await this.#refresh(signal);
      if (signal.aborted) return;
      const parts =
        found instanceof Map ? (found as ReadonlyMap<string, PartAnswer>) : new Map([["", found as PartAnswer]]);
      this.#targets.retain(new Set(parts.keys()));
      for (const [name, answer] of parts) {
        if (answer instanceof Error) isWhole = false;
        this.#targets.set(name, answer);
      }
    } catch (error) {
      if (signal.aborted) return;
      isWhole = false;
      this.#targets.fail(error as Error);
    }
    if (!isWhole) metrics.failures.labels(this.#mechanism, "").inc();
    const seconds = (clock.monotonic() - began) / 1_000;
    metrics.duration.labels(this.#mechanism, "").observe(seconds);
    metrics.durations.labels(this.#mechanism).observe(seconds);
    this.#targets.publish();
  }
}
