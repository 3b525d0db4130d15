import { grpcClientSchema } from "#kits/otelcol/client-schema";
import { OtlpGrpcBackend } from "#kits/otelcol/grpc-exporter";
import { exporterInstruments, exporterMetrics, rpcClientMetrics, rpcRecorder } from "#kits/otelcol/metrics";
import { debugMetricsSchema, inputExports, queueSchema, retrySchema } from "#kits/otelcol/schema";
import { OtlpSender, type SenderOptions } from "#kits/otelcol/sender";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const args = s.object({
  timeout: s.duration().default("5s").doc("Time for a call to be answered; 0 for none."),
  sending_queue: s.block(queueSchema).presentByDefault().doc("What waits to be sent."),
  retry_on_failure: s.block(retrySchema).presentByDefault().doc("How failed requests are repeated."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  client: s.block(grpcClientSchema).required().doc("Where and how to send."),
});

export default defineComponent({
  name: "otelcol.exporter.otlp",
  stability: "generally-available",
  summary: "Sends traces, metrics and logs in OTLP over gRPC.",
  example: `otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  exports: inputExports,
  metrics: { ...exporterMetrics, ...rpcClientMetrics },

  start(ctx, first) {
    const record = rpcRecorder(ctx.metrics);
    let backend = new OtlpGrpcBackend(ctx, first, record);
    const options = (): SenderOptions => ({
      queue: backend.args.sending_queue,
      retry: backend.args.retry_on_failure,
      destination: backend.args.client.endpoint,
      send: (batch, signal) => backend.send(batch, signal),
    });
    const sender = new OtlpSender(ctx, exporterInstruments(ctx.metrics, `otlp_grpc/${ctx.id}`), options());
    ctx.stack.defer(async () => {
      await sender.close();
      backend.close();
    });
    ctx.export({
      input: ctx.receiver("otlp", (batch, signal) => sender.consume(batch, signal), { mutates: false }),
    });
    return {
      update(next) {
        const old = backend;
        backend = new OtlpGrpcBackend(ctx, next, record);
        sender.configure(options());
        old.retire();
      },
      drain: (deadline) => sender.drain(deadline),
    };
  },
});
