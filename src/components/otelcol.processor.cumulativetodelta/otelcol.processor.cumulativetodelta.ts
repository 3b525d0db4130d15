import { counter, gauge } from "#base/metrics";
import { compileRegex } from "#base/regex";
import { EXPONENTIAL, HISTOGRAM, type PointKind, pointKindOf, SUM, TEMPORALITY } from "#formats/otlp/fields";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { pointEditingInput } from "#kits/otlp/metric-input";
import { SeriesLimit } from "#kits/otlp/metric-limit";
import { SHORTEST_SWEEP_MS } from "#kits/otlp/metric-series";
import { type MetricHeader, STATE_LIMIT } from "#kits/otlp/metric-walk";
import { regexFaults } from "#kits/regex-argument";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { type DropReason, Tracker } from "./tracker.ts";

const matchSchema = s
  .object({
    metrics: s.list(s.string()).default([]).doc("Names of metrics, or expressions that names contain a match of."),
    match_type: s.oneOf(["", "strict", "regexp"]).default("").doc("`strict` for names, `regexp` for expressions."),
    metric_types: s
      .list(s.oneOf(["sum", "histogram"]))
      .default([])
      .doc("Types of metrics: `sum`, `histogram`."),
  })
  .rule("match_type", (a) => a.metrics.length === 0 || a.match_type !== "", "must be set if `metrics` are supplied")
  .rule("metrics", (a) => a.match_type === "" || a.metrics.length > 0, "must be supplied if `match_type` is set")
  .refuse((a) => (a.match_type === "regexp" ? regexFaults("metrics", a.metrics) : []));
type Match = Infer<typeof matchSchema>;

const args = s.object({
  max_staleness: s.duration().min(0).default("0s").doc("Time after which a series is forgotten; 0 for never."),
  initial_value: s
    .oneOf(["auto", "keep", "drop"])
    .default("auto")
    .doc("What happens to the first point of a series: sent if it began after this component did, sent, or dropped."),
  include: s.block(matchSchema).presentByDefault().doc("The metrics to convert; all by default."),
  exclude: s.block(matchSchema).presentByDefault().doc("The metrics to leave as they are."),
  output: s.block(outputSchema).required().doc("Where the data goes."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
});

/** Types by what their points are. Other metrics are not converted. */
const TYPES: Readonly<Record<PointKind, string>> = {
  number: "sum",
  histogram: "histogram",
  exponential: "exponential_histogram",
  summary: "",
};
/** What the Collector calls its reasons; it does not count the others. */
const REASONS: Readonly<Partial<Record<DropReason, string>>> = {
  initial_value: "initial",
  counter_reset: "reset",
  bucket_mismatch: "bucket_mismatch",
};

export default defineComponent({
  name: "otelcol.processor.cumulativetodelta",
  stability: "public-preview",
  summary: "Turns metrics that count since a start into metrics that count since the last point.",
  example: `otelcol.processor.cumulativetodelta "default" {
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
      "otelcol_cumulativetodelta_datapoints_total",
      "Number of datapoints converted from cumulative to delta temporality.",
      ["metric_type"],
    ),
    dropped: counter(
      "otelcol_cumulativetodelta_datapoints_dropped_total",
      "Number of datapoints dropped instead of being converted.",
      ["metric_type", "reason"],
    ),
    streams: gauge(
      "otelcol_cumulativetodelta_streams_tracked",
      "Number of metric streams currently tracked in memory for cumulative-to-delta conversion.",
    ),
  },

  start(ctx, first) {
    const isIncluded = matcher(first.include);
    const isExcluded = matcher(first.exclude);

    function isToConvert(metric: MetricHeader): boolean {
      const { field } = metric;
      if (field !== SUM && field !== HISTOGRAM && field !== EXPONENTIAL) return false;
      if (metric.temporality !== TEMPORALITY.cumulative) return false;
      if (field === SUM && !metric.isMonotonic) return false;
      return isIncluded(metric, true) && !isExcluded(metric, false);
    }
    const tracker = new Tracker(first.initial_value, ctx.clock.now(), STATE_LIMIT, isToConvert);
    const limit = new SeriesLimit(
      ctx,
      "new series are dropped; set `max_staleness`, or drop attributes with ever new values",
    );
    ctx.metrics.streams.read = () => tracker.walk.table.series;

    if (first.max_staleness > 0) {
      ctx.every(Math.max(first.max_staleness, SHORTEST_SWEEP_MS), () => {
        const before = BigInt(Math.floor(ctx.clock.now() - first.max_staleness)) * 1_000_000n;
        tracker.walk.table.removeIf((_, { time }) => time < before);
      });
    }
    ctx.export({
      input: pointEditingInput(ctx, first.output, {
        walk: tracker.walk,
        step: tracker,
        edit: (point, { kind }) => tracker.convert(point, kind),
        limit,
        keepsEmpty: ({ field }) => field !== SUM, // as the Collector does
        edited: (points, kind) => ctx.metrics.datapoints.labels(TYPES[kind]).inc(points),
        dropped(reason, kind) {
          const known = REASONS[reason];
          if (known !== undefined) ctx.metrics.dropped.labels(TYPES[kind], known).inc();
        },
      }),
    });
  },
});

/** Whether a metric is what a block says; `otherwise` for what the block says nothing about. */
function matcher({ metrics, match_type, metric_types }: Match) {
  const names = new Set(match_type === "strict" ? metrics : []);
  const expressions = match_type === "regexp" ? metrics.map((each) => compileRegex(each)) : [];
  const types: ReadonlySet<string> = new Set(metric_types);
  return (metric: MetricHeader, forInclude: boolean): boolean => {
    const hasType = types.has(TYPES[pointKindOf(metric.field)]);
    const hasName = () => {
      const { name } = metric;
      return names.has(name) || expressions.some((each) => each.test(name));
    };
    if (forInclude) return (types.size === 0 || hasType) && (metrics.length === 0 || hasName());
    return hasType || (metrics.length > 0 && hasName());
  };
}
