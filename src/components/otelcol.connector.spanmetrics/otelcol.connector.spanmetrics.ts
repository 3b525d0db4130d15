import { randomUUID } from "node:crypto";
import { oneKindInput } from "#kits/otelcol/one-kind";
import { debugMetricsSchema, inputExports } from "#kits/otelcol/schema";
import { metricsOutputSchema } from "#kits/otlp/output";
import { LATENCY_BUCKETS, SPAN_CONNECTOR_MEMORY, startSpanConnector } from "#kits/span-connector";
import { SpanMetrics, type SpanMetricsLoss, type SpanMetricsOptions } from "#kits/span-metrics/aggregator";
import { dimensionFaults, dimensionSchema } from "#kits/span-metrics/dimensions";
import { commonLosses, type LossKind } from "#kits/span-metrics/status";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const LOSSES: Readonly<Record<SpanMetricsLoss | keyof typeof commonLosses, LossKind>> = {
  ...commonLosses,
  series_memory: {
    rule: "series_overflow",
    isDrop: true,
    text:
      "were not counted: the series take all of the memory that there is for them, and their resource is new; " +
      "name the attributes that tell resources apart in resource_metrics_key_attributes, or shorten metrics_flush_interval",
  },
  overflow_limit: {
    rule: "series_overflow",
    isDrop: false,
    text:
      "are in the series otel.metric.overflow: their resource has aggregation_cardinality_limit series already; " +
      "use fewer dimensions, span names without ids, or raise the limit",
  },
  overflow_memory: {
    rule: "series_overflow",
    isDrop: false,
    text:
      "are in the series otel.metric.overflow: the series take all of the memory that there is for them; " +
      "use fewer dimensions and span names without ids, or let series_expiration forget old ones",
  },
};

const histogramSchema = s
  .object({
    disable: s.bool().default(false).doc("Make no metric of durations."),
    unit: s.oneOf(["ms", "s"]).default("ms").doc("Unit of durations and buckets."),
    dimension: s.blocks(dimensionSchema).doc("Further labels of the metric of durations."),
    exponential: s
      .block(s.object({ max_size: s.int(1).default(160).doc("Most buckets of a data point.") }))
      .doc("Buckets that adapt to the values."),
    explicit: s
      .block(s.object({ buckets: s.list(s.duration()).default(LATENCY_BUCKETS).doc("Upper bounds of the buckets.") }))
      .doc("Buckets with given bounds."),
  })
  .rule("explicit", (a) => a.explicit === undefined || a.exponential === undefined, "excludes `exponential`")
  .rule(
    "exponential",
    (a) => a.explicit !== undefined || a.exponential !== undefined,
    "or `explicit` has to be there; write `explicit {}` for the usual buckets",
  )
  .refuse((a) => dimensionFaults("dimension", a.dimension));

const args = s
  .object({
    dimension: s.blocks(dimensionSchema).doc("Further labels of all metrics."),
    calls_dimension: s.blocks(dimensionSchema).doc("Further labels of the metric of calls."),
    exclude_dimensions: s
      .list(s.string())
      .default([])
      .doc("Names of labels that are there by themselves to leave out."),
    dimensions_cache_size: s
      .int()
      .default(0)
      .doc("Has no effect.")
      .deprecated("it has no effect, as in Alloy; use `aggregation_cardinality_limit`"),
    resource_metrics_cache_size: s.int(1).default(1000).doc("Most resources that are kept from flush to flush."),
    resource_metrics_key_attributes: s
      .list(s.string())
      .default([])
      .doc("Attributes that tell resources apart, for resources that change at each restart; all without it."),
    aggregation_cardinality_limit: s
      .int(0)
      .default(0)
      .doc("Most series of one metric and resource; further spans count as `otel.metric.overflow`. 0 for no limit."),
    aggregation_temporality: s
      .oneOf(["CUMULATIVE", "DELTA"])
      .default("CUMULATIVE")
      .doc("Whether each flush tells of all spans so far or of those since the last one."),
    metrics_flush_interval: s.duration().default("1m").doc("Time between two flushes of the metrics."),
    metrics_expiration: s
      .duration()
      .default("0s")
      .doc("Time after which a resource without spans is forgotten; 0 for never."),
    series_expiration: s
      .duration()
      .default("0s")
      .doc("Time after which a series without spans is forgotten; 0 for never."),
    metric_timestamp_cache_size: s
      .int()
      .default(1000)
      .doc("Series whose last flush is remembered, so that a delta starts where the one before ended."),
    namespace: s.string().default("traces.span.metrics").doc("What the names of the metrics begin with."),
    include_instrumentation_scope: s
      .list(s.string())
      .default([])
      .doc("Names of instrumentation scopes that become labels, with their versions."),
    include_collector_instance_id: s
      .bool()
      .default(false)
      .doc(
        "Add `collector.instance.id`, another one after each start, for several agents that count the same services.",
      ),
    histogram: s.block(histogramSchema).required().doc("The metric of durations."),
    exemplars: s
      .block(
        s.object({
          enabled: s.bool().default(false).doc("Attach spans to data points as exemplars."),
          max_per_data_point: s.int().default(5).doc("Most exemplars of a data point."),
        }),
      )
      .presentByDefault()
      .doc("Exemplars of data points."),
    events: s
      .block(
        s.object({
          enabled: s.bool().default(false).doc("Count span events, such as exceptions, in a metric of their own."),
          dimension: s.blocks(dimensionSchema).doc("Labels that tell events apart, of which there has to be one."),
        }),
      )
      .presentByDefault()
      .doc("The metric of span events."),
    output: s.block(metricsOutputSchema).required().doc("Where metrics go."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("metrics_flush_interval", (a) => a.metrics_flush_interval > 0, "must be greater than 0")
  .rule("metrics_expiration", (a) => a.metrics_expiration >= 0, "must not be negative")
  .rule("series_expiration", (a) => a.series_expiration >= 0, "must not be negative")
  .rule(
    "metric_timestamp_cache_size",
    (a) => a.aggregation_temporality !== "DELTA" || a.metric_timestamp_cache_size > 0,
    "must be greater than 0 with DELTA temporality",
  )
  .rule(
    "exemplars.max_per_data_point",
    (a) => !a.exemplars.enabled || a.exemplars.max_per_data_point >= 0,
    "must not be negative",
  )
  .refuse((a) => dimensionFaults("dimension", a.dimension))
  .refuse((a) => dimensionFaults("calls_dimension", a.calls_dimension))
  .rule("events", (a) => !a.events.enabled || a.events.dimension.length > 0, "needs at least one `dimension`")
  .refuse((a) => (a.events.enabled ? dimensionFaults("events.dimension", a.events.dimension) : []));
type Arguments = Infer<typeof args>;

function optionsOf(given: Arguments, instanceId: string): SpanMetricsOptions {
  const { histogram, exemplars, events } = given;
  const excluded = new Set(given.exclude_dimensions);
  if (!given.include_collector_instance_id) excluded.add("collector.instance.id");
  const perUnit = histogram.unit === "s" ? 1000 : 1;
  const bounds = histogram.explicit?.buckets.map((ms) => ms / perUnit);
  return {
    dimensions: given.dimension,
    callsDimensions: given.calls_dimension,
    durationDimensions: histogram.dimension,
    eventDimensions: events.enabled ? events.dimension : undefined,
    excluded,
    instanceId,
    scopes: given.include_instrumentation_scope,
    resourceKeys: given.resource_metrics_key_attributes,
    maxResources: given.resource_metrics_cache_size,
    maxSeries: given.aggregation_cardinality_limit,
    isDelta: given.aggregation_temporality === "DELTA",
    histogram: histogram.disable
      ? undefined
      : // Bounds that do not rise make no histogram that a backend takes.
        { bounds: bounds && [...new Set(bounds)].sort((a, b) => a - b), maxSize: histogram.exponential?.max_size ?? 0 },
    unit: histogram.unit,
    maxExemplars: exemplars.enabled ? exemplars.max_per_data_point : 0,
    resourceExpirationMs: given.metrics_expiration,
    seriesExpirationMs: given.series_expiration,
    maxDeltaStarts: given.metric_timestamp_cache_size,
    namespace: given.namespace,
    memoryLimit: SPAN_CONNECTOR_MEMORY,
  };
}

export default defineComponent({
  name: "otelcol.connector.spanmetrics",
  stability: "generally-available",
  summary:
    "Makes metrics of spans: calls, durations and events by service, span name, kind, status and chosen attributes.",
  example: `otelcol.connector.spanmetrics "default" {
  dimension {
    name    = "http.request.method"
    default = "GET"
  }

  histogram {
    unit = "s"
    explicit {}
  }

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
    const instanceId = randomUUID();
    const { connector, instance } = startSpanConnector(ctx, first, {
      losses: LOSSES,
      counterOf: (given: Arguments) => new SpanMetrics(optionsOf(given, instanceId)),
      loopsOf: (given) => ({ flushMs: given.metrics_flush_interval, others: [] }),
      figures: ({ counted, sizes }) => ({ spans: counted, ...sizes }),
    });
    ctx.export({
      input: oneKindInput(ctx, "traces", (batch, signal) => connector.take(batch, signal)),
    });
    return instance;
  },
});
