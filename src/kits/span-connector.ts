import type { ComponentContext, ComponentInstance, DebugValue } from "#pipeline/component";
import type { Consumer } from "#pipeline/consumer";
import { SpanConnector, type SpanConnectorLoops, type SpanCounter } from "./span-metrics/flush.ts";
import type { MemoryBudget } from "./span-metrics/series.ts";
import { type LossKind, SpanLosses } from "./span-metrics/status.ts";

/** What components that make metrics of spans have in common. */

/** What all series of one component may take together, and whatever else it keeps. */
export const SPAN_CONNECTOR_MEMORY = 128 * 1024 * 1024;
/** Upper bounds of latency buckets without others. */
export const LATENCY_BUCKETS: readonly string[] =
  "2ms 4ms 6ms 8ms 10ms 50ms 100ms 200ms 400ms 800ms 1s 1.4s 2s 5s 10s 15s".split(" ");

interface BudgetedCounter extends SpanCounter {
  readonly budget: Pick<MemoryBudget, "used" | "limit">;
}

/** How one of these components differs from the others; `A` are its arguments. */
export interface SpanConnectorPlan<A, C> {
  /** By reason. */
  readonly losses: Readonly<Record<string, LossKind>>;
  counterOf(given: A): C;
  loopsOf(given: A): SpanConnectorLoops<C>;
  /** What the debug info shows beside memory and losses. */
  figures(counter: C): Readonly<Record<string, DebugValue>>;
}

/**
 * Starts counting. Of the instance, an update makes another counter, unless only the consumers of the metrics are others:
 * what is counted goes on then.
 */
export function startSpanConnector<
  A extends { readonly output: { readonly metrics: readonly Consumer<"otlp">[] } },
  C extends BudgetedCounter,
>(
  ctx: Pick<ComponentContext, "clock" | "fanout" | "flow" | "id" | "log" | "rule" | "run" | "signal">,
  first: A,
  { losses: kinds, counterOf, loopsOf, figures }: SpanConnectorPlan<A, C>,
): { readonly connector: SpanConnector<C>; readonly instance: ComponentInstance<A> } {
  const out = ctx.fanout("otlp", first.output.metrics);
  let settings = settingsOf(first);
  const losses = new SpanLosses(ctx, kinds);
  const connector = new SpanConnector(ctx, out, losses, counterOf(first), loopsOf(first));
  const instance: ComponentInstance<A> = {
    async update(next) {
      const fresh = counterOf(next);
      out.set(next.output.metrics);
      if (settingsOf(next) === settings) return;
      settings = settingsOf(next);
      await connector.replace(fresh, loopsOf(next), ctx.signal);
    },
    drain: (deadline) => connector.end(deadline),
    debugInfo: () => {
      const { counter } = connector;
      return {
        ...figures(counter),
        memory_bytes: counter.budget.used,
        memory_limit_bytes: counter.budget.limit,
        not_as_usual: Object.fromEntries(losses.totals),
      };
    },
  };
  return { connector, instance };
}

/** All that the counts depend on. */
function settingsOf(given: { readonly output: unknown }): string {
  return JSON.stringify({ ...given, output: undefined });
}
