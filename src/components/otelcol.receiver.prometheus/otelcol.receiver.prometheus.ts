import { debugMetricsSchema } from "#kits/otelcol/schema";
import { MetricsEncoder } from "#kits/otlp/from-metrics";
import type { SampleDropReason } from "#kits/otlp/from-metrics-groups";
import { metricsOutputSchema } from "#kits/otlp/output";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { s } from "#lang/schema";
import type { MetricBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";

/** What the status and the log say of samples that make no data point. */
const REASONS: Readonly<Record<SampleDropReason, string>> = {
  no_job_or_instance:
    "OTLP has them as the resource; scrape the target with prometheus.scrape, or add both labels with prometheus.relabel",
  no_name: "a series without the label __name__ has no metric; see the rules of prometheus.relabel before",
  invalid_boundary:
    "a bucket or quantile needs a number in `le` or `quantile`; see the target's page, or the rules of prometheus.relabel before",
  incomplete_histogram:
    "a histogram or summary needs its `_count` in the same scrape; see the target's page, or the rules of prometheus.relabel before",
  histogram_too_wide: "its buckets lie further apart than any measurement's: see how the target makes its histogram",
};

export default defineComponent({
  name: "otelcol.receiver.prometheus",
  stability: "generally-available",
  summary: "Turns samples of prometheus components into OTLP metrics.",
  example: `prometheus.scrape "default" {
  targets    = [{ __address__ = "127.0.0.1:12345" }]
  forward_to = [otelcol.receiver.prometheus.default.receiver]
}

otelcol.receiver.prometheus "default" {
  output {
    metrics = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args: s.object({
    output: s.block(metricsOutputSchema).required().doc("Where the OTLP metrics go."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  }),
  exports: s.object({ receiver: s.consumer("metrics").doc("Takes samples.") }),

  start(ctx, first) {
    const out = ctx.fanout("otlp", first.output.metrics);
    const encoder = new MetricsEncoder(ctx.services.series, ctx.services.version);
    ctx.stack.use(encoder);
    const drops = new RecentDrops();
    ctx.rule("samples_dropped", () => {
      const recent = drops.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      return { state: "degraded", cause: `${describeDrops(recent, "samples")}, such as ${recent[0]!.text}` };
    });

    function lost(reason: SampleDropReason, samples: number, series: () => string): void {
      ctx.flow.drop("metrics", reason, samples);
      const text = `${series()}: ${REASONS[reason]}`;
      const toLog = drops.add(reason, samples, text, ctx.clock.now());
      if (toLog !== undefined) {
        ctx.log.warn("samples make no data point", {
          reason,
          num_dropped: toLog,
          series: series(),
          hint: REASONS[reason],
        });
      }
    }

    function consume(batch: MetricBatch, signal: AbortSignal): void | Promise<void> {
      const encoded = encoder.encode(batch, lost);
      const { acknowledgement } = batch;
      if (encoded === undefined) {
        acknowledgement.release();
        return;
      }
      const { bytes, items } = encoded;
      return out.consume(
        {
          signal: "otlp",
          kind: "metrics",
          parts: [bytes],
          items,
          bytes: bytes.length,
          clientMetadata: undefined,
          acknowledgement,
        },
        signal,
      );
    }
    ctx.export({ receiver: ctx.receiver("metrics", consume, { mutates: false }) });
    return { update: (next) => out.set(next.output.metrics) };
  },
});
