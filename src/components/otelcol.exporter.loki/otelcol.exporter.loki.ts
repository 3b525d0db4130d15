import { counter } from "#base/metrics";
import { oneKindInput } from "#kits/otelcol/one-kind";
import { attempt } from "#kits/otelcol/processor";
import { inputExports } from "#kits/otelcol/schema";
import { LogsDecoder, type RecordDropReason } from "#kits/otlp/to-logs";
import { describeDrops, RecentDrops } from "#kits/recent-drops";
import { s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { LogBatchBuilder } from "#pipeline/log-batch";

/** Builders of batches that consumers are done with, kept for the next ones. */
const SPARE_BUILDERS = 4;

export default defineComponent({
  name: "otelcol.exporter.loki",
  stability: "generally-available",
  summary: "Turns OTLP logs into log entries for loki components.",
  example: `otelcol.exporter.loki "default" {
  forward_to = [loki.write.default.receiver]
}

loki.write "default" {
  endpoint {
    url = "http://localhost:3100/loki/api/v1/push"
  }
}`,
  args: s.object({ forward_to: s.list(s.consumer("logs")).doc("Where log entries go.") }),
  exports: inputExports,
  metrics: {
    total: counter("otelcol_exporter_loki_entries_total", "Total number of log entries passed through the converter"),
    failed: counter("otelcol_exporter_loki_entries_failed", "Total number of log entries failed to convert"),
    processed: counter("otelcol_exporter_loki_entries_processed", "Total number of log entries successfully converted"),
  },

  start(ctx, first) {
    const out = ctx.fanout("logs", first.forward_to);
    const decoder = new LogsDecoder();
    const spare: LogBatchBuilder[] = [];
    const drops = new RecentDrops();
    ctx.rule("records_dropped", () => {
      const recent = drops.recent(ctx.clock.now());
      if (recent.length === 0) return undefined;
      return { state: "degraded", cause: `${describeDrops(recent, "log records")}: ${recent[0]!.text}` };
    });
    function failed(reason: RecordDropReason, message: string): void {
      ctx.flow.drop("otlp", reason, 1);
      ctx.metrics.failed.inc();
      const toLog = drops.add(reason, 1, message, ctx.clock.now());
      if (toLog !== undefined)
        ctx.log.error("failed to convert log to loki entry", { reason, num_dropped: toLog, error: message });
    }

    async function handOn(builder: LogBatchBuilder, batch: OtlpBatch, signal: AbortSignal): Promise<void> {
      try {
        await out.consume(builder.build(batch.acknowledgement), signal);
      } finally {
        builder.reset();
        if (spare.length < SPARE_BUILDERS) spare.push(builder);
      }
    }

    function consume(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
      const builder = spare.pop() ?? new LogBatchBuilder();
      builder.reset();
      const now = ctx.clock.now();
      attempt(() => {
        for (const part of batch.parts) decoder.read(part, builder, now, failed);
      });
      ctx.metrics.total.inc(batch.items);
      ctx.metrics.processed.inc(builder.count);
      if (builder.count > 0) return handOn(builder, batch, signal);
      spare.push(builder);
      batch.acknowledgement.release();
    }
    ctx.export({ input: oneKindInput(ctx, "logs", consume) });
    return { update: (next) => out.set(next.forward_to) };
  },
});
