import { MetricFanout, metricFanoutMetrics } from "#kits/metric-fanout";
import { oneKindInput } from "#kits/otelcol/one-kind";
import { attempt } from "#kits/otelcol/processor";
import { inputExports } from "#kits/otelcol/schema";
import { MetricsDecoder, type ToMetricsOptions } from "#kits/otlp/to-metrics";
import { SampleColumns } from "#kits/otlp/to-metrics-columns";
import type { PointDropReason } from "#kits/otlp/to-metrics-known";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

/** What was not heard of for so long is forgotten, as in Alloy, however often that is looked for. */
const STALE_MS = 300_000;
/** Columns of batches that consumers are done with, kept for the next ones. */
const SPARE_COLUMNS = 4;

const args = s
  .object({
    forward_to: s.list(s.consumer("metrics")).doc("Where samples go."),
    include_target_info: s.bool().default(true).doc("Add a `target_info` series for each resource."),
    include_scope_info: s.bool().default(false).doc("Add an `otel_scope_info` series for each scope."),
    include_scope_labels: s
      .bool()
      .optional()
      .doc(
        "Add the scope's name and version to each series, as `otel_scope_name` and `otel_scope_version`. Not done when left out: Alloy's default of true has no effect there, and series are to stay the same.",
      ),
    add_metric_suffixes: s.bool().default(true).doc("Add words for type and unit to names, such as `_seconds_total`."),
    resource_to_telemetry_conversion: s.bool().default(false).doc("Make labels of all resource attributes."),
    keep_identifying_resource_attributes: s
      .bool()
      .default(false)
      .doc("Keep `service.name`, `service.namespace` and `service.instance.id` as labels of `target_info`."),
    honor_metadata: s.bool().default(false).experimental().doc("Hand on type, unit and help of metrics."),
    convert_classic_histograms_to_nhcb: s
      .bool()
      .default(false)
      .experimental()
      .doc("Make native histograms with custom buckets of histograms with bounds."),
    start_timestamp_zero_ingestion: s
      .bool()
      .default(false)
      .experimental()
      .doc("Add a sample of 0 where a counter, histogram or summary began."),
    gc_frequency: s.duration().default("5m").doc("How often series without samples for five minutes are forgotten."),
  })
  .rule("gc_frequency", (a) => a.gc_frequency > 0, "must be greater than 0");
type Arguments = Infer<typeof args>;

/** What the status and the log say of what is dropped. */
const REASONS: Readonly<Record<PointDropReason, string>> = {
  delta_temporality:
    "Prometheus has cumulative counters and histograms only; put otelcol.processor.deltatocumulative before, or let the application export cumulative ones",
  unspecified_temporality:
    "sums and histograms without a temporality cannot be told from deltas; the application must set it",
  unsupported_scale: "native histograms have no scale below -4; let the application use a finer one",
  inconsistent_buckets: "a histogram with bounds needs one count more than bounds; see how the application makes it",
  out_of_order:
    "the series has a later sample; two senders with the same resource and attributes, or data that took different ways, are why",
};

export default defineComponent({
  name: "otelcol.exporter.prometheus",
  stability: "generally-available",
  summary: "Turns OTLP metrics into samples for prometheus components.",
  example: `otelcol.exporter.prometheus "default" {
  forward_to = [prometheus.remote_write.default.receiver]
}

prometheus.remote_write "default" {
  endpoint {
    url = "http://localhost:9009/api/v1/push"
  }
}`,
  args,
  exports: inputExports,
  metrics: metricFanoutMetrics,

  start(ctx, first) {
    const { series } = ctx.services;
    const out = new MetricFanout(ctx, first.forward_to);
    let current = first;
    let decoder = new MetricsDecoder(series, optionsOf(first), ctx.clock.now());
    ctx.stack.defer(() => decoder[Symbol.dispose]());
    const spare: SampleColumns[] = [];

    const drops = new RecentDrops();
    ctx.rule("points_dropped", () => {
      const recent = drops.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      return { state: "degraded", cause: `${describeDrops(recent, "data points")}, such as ${recent[0]!.text}` };
    });
    function dropped(reason: PointDropReason, points: number, metric: string): void {
      ctx.flow.drop("otlp", reason, points);
      const toLog = drops.add(reason, points, `${JSON.stringify(metric)}: ${REASONS[reason]}`, ctx.clock.now());
      if (toLog === undefined) return;
      ctx.log.warn("data points were dropped", { reason, num_dropped: toLog, metric, hint: REASONS[reason] });
    }

    async function handOn(columns: SampleColumns, batch: OtlpBatch, signal: AbortSignal): Promise<void> {
      // A sweep may forget series of this batch while the consumers still work on it.
      const pin = series.pin();
      try {
        await out.consume(columns.build(series, batch.acknowledgement), signal);
      } finally {
        series.unpin(pin);
        columns.reset();
        if (spare.length < SPARE_COLUMNS) spare.push(columns);
      }
    }

    function consume(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
      const columns = spare.pop() ?? new SampleColumns();
      columns.reset();
      const now = ctx.clock.now();
      attempt(() => {
        for (const part of batch.parts) decoder.read(part, columns, now, dropped);
      });
      decoder.bound();
      if (columns.count > 0) return handOn(columns, batch, signal);
      spare.push(columns);
      batch.acknowledgement.release();
    }
    ctx.export({ input: oneKindInput(ctx, "metrics", consume) });

    ctx.run(async (signal) => {
      while (!signal.aborted) {
        await ctx.clock.sleep(current.gc_frequency, signal).catch(() => {}); // rejects with the component's end
        decoder.sweep(ctx.clock.now() - STALE_MS);
      }
    });
    return {
      update(next) {
        const old = decoder;
        decoder = new MetricsDecoder(series, optionsOf(next), ctx.clock.now());
        old[Symbol.dispose]();
        current = next;
        out.set(next.forward_to);
      },
    };
  },
});

function optionsOf(given: Arguments): ToMetricsOptions {
  return {
    includeTargetInfo: given.include_target_info,
    includeScopeInfo: given.include_scope_info,
    includeScopeLabels: given.include_scope_labels ?? false,
    addMetricSuffixes: given.add_metric_suffixes,
    resourceToTelemetry: given.resource_to_telemetry_conversion,
    keepIdentity: given.keep_identifying_resource_attributes,
    honorMetadata: given.honor_metadata,
    toCustomBuckets: given.convert_classic_histograms_to_nhcb,
    zeroSamples: given.start_timestamp_zero_ingestion,
  };
}
