import { counter, histogram, type InstrumentsOf } from "#base/metrics";
import type { MetricBatch } from "#pipeline/batch";
import type { ComponentContext } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import type { Fanout } from "#pipeline/fanout";

const LATENCY_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

/** The metrics that every component of Alloy has which forwards samples. */
export const metricFanoutMetrics = {
  fanoutLatency: histogram(
    "prometheus_fanout_latency",
    "Write latency for sending to direct and indirect components",
    LATENCY_BUCKETS,
  ),
  forwarded: counter("prometheus_forwarded_samples_total", "Total number of samples sent to downstream components."),
};

/** A component's `forward_to` for samples, with the metrics that Alloy keeps of it. */
export class MetricFanout {
  readonly #fanout: Fanout<"metrics">;
  readonly #metrics: InstrumentsOf<typeof metricFanoutMetrics>;
  readonly #now: () => number;

  constructor(
    ctx: Pick<ComponentContext<unknown, typeof metricFanoutMetrics>, "fanout" | "metrics" | "clock">,
    consumers: readonly Consumer<"metrics">[],
  ) {
    this.#fanout = ctx.fanout("metrics", consumers);
    this.#metrics = ctx.metrics;
    this.#now = () => ctx.clock.monotonic();
  }

  set(consumers: readonly Consumer<"metrics">[]): void {
    this.#fanout.set(consumers);
  }

  get consumers(): readonly Consumer<"metrics">[] {
    return this.#fanout.consumers;
  }

  consume(batch: MetricBatch, signal: AbortSignal): void | Promise<void> {
    const began = this.#now();
    const samples = batch.count * this.#fanout.consumers.length;
    const accepted = () => {
      this.#metrics.fanoutLatency.observe((this.#now() - began) / 1000);
      this.#metrics.forwarded.inc(samples);
    };
    const result = this.#fanout.consume(batch, signal);
    if (result === undefined) accepted();
    else return result.then(accepted);
  }
}
