import { compileRegex } from "#base/regex";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { pointEditingInput } from "#kits/otlp/metric-input";
import { SeriesLimit } from "#kits/otlp/metric-limit";
import { SHORTEST_SWEEP_MS } from "#kits/otlp/metric-series";
import { STATE_LIMIT } from "#kits/otlp/metric-walk";
import { regexArgument } from "#kits/regex-argument";
import { faultsOf, within } from "#lang/faults";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { Adjuster } from "./adjuster.ts";

const args = s
  .object({
    strategy: s
      .oneOf(["true_reset_point", "subtract_initial_point", "start_time_metric"])
      .default("true_reset_point")
      .doc("How start times are found: from the first point, by counting from the first point on, or from a metric."),
    gc_interval: s.duration().default("10m").doc("Time without points after which a series is forgotten."),
    start_time_metric_regex: s
      .string()
      .default("")
      .doc("Names of the metric with the start time; `process_start_time_seconds` by default."),
    output: s.block(outputSchema).required().doc("Where the data goes."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("gc_interval", (a) => a.gc_interval > 0, "must be greater than 0")
  .refuse((a) => faultsOf([() => within("start_time_metric_regex", () => regexArgument(a.start_time_metric_regex))]))
  .rule(
    "start_time_metric_regex",
    (a) => a.start_time_metric_regex === "" || a.strategy === "start_time_metric",
    "can only be used with the strategy `start_time_metric`",
  );

const START_TIME_METRIC = "process_start_time_seconds";

export default defineComponent({
  name: "otelcol.processor.metric_start_time",
  stability: "generally-available",
  summary: "Gives start times to cumulative metrics that have none.",
  example: `otelcol.processor.metric_start_time "default" {
  output {
    metrics = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,

  start(ctx, first) {
    const adjuster = new Adjuster(first.strategy, STATE_LIMIT);
    const { walk } = adjuster;
    const limit = new SeriesLimit(
      ctx,
      "new series get no start time; lower `gc_interval`, or drop attributes with ever new values",
    );
    const expression = first.start_time_metric_regex === "" ? undefined : compileRegex(first.start_time_metric_regex);
    const isStartTime = (name: string) => expression?.test(name) ?? name === START_TIME_METRIC;
    // Where no metric says it: a process that is as old as the agent is the Collector's guess.
    const agentStart = BigInt(Math.floor(performance.timeOrigin / 1000)) * 1_000_000_000n;

    let swept = ctx.clock.now();
    ctx.every(Math.max(first.gc_interval, SHORTEST_SWEEP_MS), () => {
      walk.table.sweep(swept);
      swept = ctx.clock.now();
    });
    ctx.export({
      input: pointEditingInput(ctx, first.output, {
        walk,
        step: adjuster,
        edit(point, metric) {
          const outcome = adjuster.adjust(point, metric);
          if (outcome === "unknown") limit.refused();
          return outcome === "initial" ? "initial_value" : undefined;
        },
        limit,
        keepsEmpty: () => true,
        begin(request) {
          adjuster.now = ctx.clock.now();
          if (first.strategy !== "start_time_metric") return;
          adjuster.processStart = adjuster.processStartOf(request, isStartTime) || agentStart;
        },
      }),
    });
  },
});
