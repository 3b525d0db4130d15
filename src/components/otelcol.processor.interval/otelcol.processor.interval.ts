import { EXPONENTIAL, GAUGE, HISTOGRAM, SUM, SUMMARY, TEMPORALITY } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { asBuffer } from "#formats/protobuf";
import { attempt, editedBatch, outputsOf, type PartEdit, restOf } from "#kits/otelcol/processor";
import { debugMetricsSchema, inputExports, outputSchema } from "#kits/otelcol/schema";
import { type MetricHeader, STATE_LIMIT } from "#kits/otlp/metric-walk";
import { s } from "#lang/schema";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { PendingPoints } from "./pending.ts";

const passthroughSchema = s.object({
  gauge: s.bool().default(false).doc("Whether gauges are sent as they come."),
  summary: s.bool().default(false).doc("Whether summaries are sent as they come."),
});

const args = s
  .object({
    interval: s.duration().default("1m").doc("Time between two exports."),
    passthrough: s.block(passthroughSchema).presentByDefault().doc("What is sent as it comes."),
    output: s.block(outputSchema).required().doc("Where the data goes."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule("interval", (a) => a.interval > 0, "must be greater than 0");

export default defineComponent({
  name: "otelcol.processor.interval",
  stability: "experimental",
  summary: "Sends the newest point of each series once an interval. Points that wait are lost in a crash.",
  example: `otelcol.processor.interval "default" {
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
    const outputs = outputsOf(ctx, first.output);
    const request = new OtlpRecord();
    let pending = new PendingPoints(STATE_LIMIT, waits);
    /** Of the batches that something is pending of; released once all of it was handed on. */
    let acknowledgements: Acknowledgement[] = [];
    let oldest: number | undefined;
    let exporting: Promise<void> | undefined;

    ctx.queue(() => ({ bytes: pending.bytes, oldest, limitBytes: STATE_LIMIT, whenFull: "block" }));

    function waits({ field, temporality, isMonotonic }: MetricHeader): boolean {
      if (field === GAUGE) return !first.passthrough.gauge;
      if (field === SUMMARY) return !first.passthrough.summary;
      if (field !== SUM && field !== HISTOGRAM && field !== EXPONENTIAL) return false;
      if (temporality !== TEMPORALITY.cumulative) return false;
      return field !== SUM || isMonotonic;
    }
    /** Takes out what waits. */
    const hold: PartEdit = (part) => {
      pending.walk.run(request, asBuffer(part), pending, (metric) => {
        if (!waits(metric)) return true;
        pending.take(metric);
        return false;
      });
      return restOf(request, part, pending.walk.removed);
    };

    async function send(signal: AbortSignal): Promise<void> {
      const { points } = pending;
      if (points === 0) {
        for (const each of acknowledgements) each.release();
        acknowledgements = [];
        return;
      }
      const bytes = pending.encode();
      const acknowledgement = Acknowledgement.merge(acknowledgements);
      pending = new PendingPoints(STATE_LIMIT, waits);
      acknowledgements = [];
      oldest = undefined;
      const base = { signal: "otlp", kind: "metrics", clientMetadata: undefined } as const;
      const batch: OtlpBatch = { ...base, parts: [bytes], items: points, bytes: bytes.length, acknowledgement };
      try {
        await outputs.metrics.consume(batch, signal);
      } catch {
        lose(points);
      }
    }
    function lose(points: number): void {
      if (points === 0) return;
      ctx.flow.drop("otlp", "shutdown", points);
      ctx.log.error("points were still waiting for the next export at the stop and are lost", { points });
    }
    /** One export at a time: a slow one keeps the next waiting, and not the data. */
    async function exportNow(signal: AbortSignal): Promise<void> {
      while (exporting !== undefined) await exporting;
      exporting = send(signal);
      await exporting;
      exporting = undefined;
    }

    async function afterExport(batch: OtlpBatch, signal: AbortSignal): Promise<void> {
      while (pending.walk.isFull && !signal.aborted) await exportNow(ctx.signal);
      await take(batch, signal);
    }
    function take(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
      const { points } = pending;
      const left = attempt(() => editedBatch(batch, hold));
      if (left === batch) return outputs.metrics.consume(left, signal);
      if (points === 0) oldest = ctx.clock.now();
      ctx.flow.took(); // the first export may be a minute away
      acknowledgements.push(batch.acknowledgement);
      if (left === undefined) return;
      batch.acknowledgement.retain();
      return outputs.metrics.consume({ ...left, waiting: undefined }, signal);
    }

    ctx.stack.defer(() => {
      lose(pending.points);
      pending = new PendingPoints(STATE_LIMIT, waits);
    });
    ctx.every(first.interval, () => exportNow(ctx.signal));
    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          if (batch.kind !== "metrics") return outputs[batch.kind].consume(batch, signal);
          return pending.walk.isFull ? afterExport(batch, signal) : take(batch, signal);
        },
        { mutates: false },
      ),
    });
    return { drain: (deadline) => exportNow(deadline) };
  },
});
