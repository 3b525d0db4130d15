import { LogsEncoder } from "#kits/otlp/from-logs";
import { logsOutputSchema } from "#kits/otlp/output";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

export default defineComponent({
  name: "otelcol.receiver.loki",
  stability: "generally-available",
  summary: "Turns log entries of loki components into OTLP logs.",
  example: `otelcol.receiver.loki "default" {
  output {
    logs = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args: s.object({ output: s.block(logsOutputSchema).required().doc("Where the OTLP logs go.") }),
  exports: s.object({ receiver: s.consumer("logs").doc("Takes log entries.") }),

  start(ctx, first) {
    const out = ctx.fanout("otlp", first.output.logs);
    const encoder = new LogsEncoder();
    ctx.export({
      receiver: ctx.receiver(
        "logs",
        (batch, signal) => {
          const { count, acknowledgement } = batch;
          if (count === 0) {
            acknowledgement.release();
            return;
          }
          const bytes = encoder.encode(batch, ctx.clock.now());
          return out.consume(
            {
              signal: "otlp",
              kind: "logs",
              parts: [bytes],
              items: count,
              bytes: bytes.length,
              clientMetadata: undefined,
              acknowledgement,
            },
            signal,
          );
        },
        { mutates: false },
      ),
    });
    return { update: (next) => out.set(next.output.logs) };
  },
});
