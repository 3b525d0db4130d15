import { roughDuration } from "#base/duration";
import type { Labels } from "#base/labels";
import { errorText } from "#base/log";
import { counter, histogram, summary } from "#base/metrics";
import { s } from "#lang/schema";
import type { ComponentContext } from "#pipeline/component";
import type { Judgement } from "#pipeline/flow";

/** What components that ask for targets now and then share: prometheus/discovery/refresh. */

export const discoveryExports = s.object({ targets: s.targets().doc("The targets that were found.") });

const LABELS = ["mechanism", "config"];
export const discoveryMetrics = {
  failures: counter(
    "prometheus_sd_refresh_failures_total",
    "Number of refresh failures for the given SD mechanism.",
    LABELS,
  ),
  duration: summary(
    "prometheus_sd_refresh_duration_seconds",
    "The duration of a refresh in seconds for the given SD mechanism.",
    [0.5, 0.9, 0.99],
    LABELS,
  ),
  durations: histogram(
    "prometheus_sd_refresh_duration_histogram_seconds",
    "The duration of a refresh for the given SD mechanism.",
    [0.01, 0.1, 1, 10],
    ["mechanism"],
  ),
};

export type DiscoveryContext = ComponentContext<{ readonly targets: readonly Labels[] }, typeof discoveryMetrics>;

/** Gives all targets that there are now. A rejection says why they are not known, and what to do. */
export type Refresh = (signal: AbortSignal) => Promise<readonly Labels[]>;

/**
 * Asks for targets at once and then in intervals, and exports them when they changed. While they cannot be had the last
 * ones stay: an outage of what knows the targets must not look as if there were none.
 */
export class DiscoveryPoller {
  readonly #ctx: DiscoveryContext;
  readonly #mechanism: string;
  #refresh: Refresh;
  #intervalMs: number;
  #shown = "";
  #targets = 0;
  #found = false;
  #failure: { readonly since: number; readonly cause: string } | undefined;
  /** Ends the present request or pause after a change of arguments. */
  #again = new AbortController();

  /** `mechanism` is Prometheus's name for this kind of discovery. */
  constructor(ctx: DiscoveryContext, mechanism: string, intervalMs: number, refresh: Refresh) {
    this.#ctx = ctx;
    this.#mechanism = mechanism;
    this.#intervalMs = intervalMs;
    this.#refresh = refresh;
    ctx.metrics.failures.labels(mechanism, "");
    ctx.rule("refresh_failed", () => this.#judge());
    ctx.rule("nothing_found", () => {
      if (!this.#found || this.#targets > 0) return undefined;
      return { state: "idle", cause: "the last look found no targets" };
    });
    ctx.export({ targets: [] });
    ctx.run((signal) => this.#run(signal));
  }

  /** Takes other arguments and asks anew at once; the targets so far stay until there is an answer. */
  update(intervalMs: number, refresh: Refresh): void {
    this.#intervalMs = intervalMs;
    this.#refresh = refresh;
    this.#again.abort(new Error("the arguments changed"));
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#ctx;
    while (!signal.aborted) {
      this.#again = new AbortController();
      const until = AbortSignal.any([signal, this.#again.signal]);
      const began = clock.monotonic();
      await this.#look(until);
      if (until.aborted) continue;
      await clock.sleep(Math.max(0, this.#intervalMs - (clock.monotonic() - began)), until).catch(() => {});
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock, metrics, flow, log } = this.#ctx;
    const began = clock.monotonic();
    try {
      const targets = await this.#refresh(signal);
      if (signal.aborted) return;
      if (this.#failure !== undefined) log.info("targets are found again", { targets: targets.length });
      this.#failure = undefined;
      this.#publish(targets);
      flow.ok();
    } catch (error) {
      if (signal.aborted) return;
      metrics.failures.labels(this.#mechanism, "").inc();
      const cause = errorText(error);
      if (this.#failure?.cause !== cause) log.error("cannot look for targets", { error: cause });
      this.#failure = { since: this.#failure?.since ?? clock.now(), cause };
      flow.failed(cause);
    }
    const seconds = (clock.monotonic() - began) / 1_000;
    metrics.duration.labels(this.#mechanism, "").observe(seconds);
    metrics.durations.labels(this.#mechanism).observe(seconds);
    flow.judge();
  }

  #publish(targets: readonly Labels[]): void {
    const byText = new Map(targets.map((each) => [each.toString(), each]));
    const texts = [...byText.keys()].sort();
    const shown = texts.join("\n");
    this.#found = true;
    this.#targets = texts.length;
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#ctx.export({ targets: texts.map((text) => byText.get(text)!) });
  }

  #judge(): Judgement {
    if (this.#failure === undefined) return undefined;
    const { cause, since } = this.#failure;
    if (!this.#found) return { state: "failing", cause: `no targets yet: ${cause}` };
    const age = roughDuration(this.#ctx.clock.now() - since);
    return { state: "degraded", cause: `the ${this.#targets} targets are as of ${age} ago: ${cause}` };
  }
}
