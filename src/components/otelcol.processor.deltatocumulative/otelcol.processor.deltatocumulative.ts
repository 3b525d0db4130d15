import { counter, gauge } from "#base/metrics";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { pointEditingInput } from "#kits/otlp/metric-input";
import { SeriesLimit } from "#kits/otlp/metric-limit";
import { STATE_LIMIT } from "#kits/otlp/metric-walk";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { Aggregator, type DropReason } from "./aggregator.ts";

const args = s
  .object({
    max_stale: s.duration().default("5m").doc("Time without points after which a series is forgotten."),
    max_streams: s
      .int(0)
      .default(Number.MAX_SAFE_INTEGER)
      .doc("Most series; points of others are dropped. The default is no limit."),
    output: s.block(outputSchema).required().doc("Where the data goes."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("max_stale", (a) => a.max_stale > 0, "must be a positive duration");

/** What the Collector's metric calls its errors. */
const ERRORS: Readonly<Record<DropReason, string>> = {
  older_start: "delta.ErrOlderStart",
  out_of_order: "delta.ErrOutOfOrder",
  too_many_series: "limit",
};
const SWEEP_MS = 60_000;

export default defineComponent({
  name: "otelcol.processor.deltatocumulative",
  stability: "experimental",
  summary: "Turns metrics that count since the last point into metrics that count since a start.",
  example: `otelcol.processor.deltatocumulative "default" {
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
  metrics: {
    datapoints: counter(
      "otelcol_deltatocumulative_datapoints_total",
      "total number of datapoints processed. may have 'error' attribute, if processing failed",
      ["error"],
    ),
    limit: gauge("otelcol_deltatocumulative_streams_limit", "upper limit of tracked streams"),
    maxStale: gauge(
      "otelcol_deltatocumulative_streams_max_stale_seconds",
      "duration after which streams inactive streams are dropped",
    ),
    tracked: gauge("otelcol_deltatocumulative_streams_tracked", "number of streams tracked"),
  },

  start(ctx, first) {
    const aggregator = new Aggregator(first.max_streams, STATE_LIMIT);
    const { walk } = aggregator;
    const limit = new SeriesLimit(
      ctx,
      "raise `max_streams`, lower `max_stale`, or drop attributes with ever new values",
      () => `there are ${walk.table.series} series already`,
    );
    const accepted = ctx.metrics.datapoints.labels("");
    ctx.metrics.limit.set(first.max_streams);
    ctx.metrics.maxStale.set(Math.floor(first.max_stale / 1000));
    ctx.metrics.tracked.read = () => walk.table.series;

    ctx.every(SWEEP_MS, () => void walk.table.sweep(ctx.clock.now() - first.max_stale));
    ctx.export({
      input: pointEditingInput(ctx, first.output, {
        walk,
        step: aggregator,
        edit: (point, { kind }) => aggregator.add(point, kind),
        limit,
        keepsEmpty: () => false,
        begin() {
          aggregator.now = ctx.clock.now();
        },
        edited: (points) => accepted.inc(points),
        dropped: (reason) => ctx.metrics.datapoints.labels(ERRORS[reason]).inc(),
      }),
    });
  },
});
