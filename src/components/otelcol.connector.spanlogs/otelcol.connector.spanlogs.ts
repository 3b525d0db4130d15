import { oneKindInput } from "#kits/otelcol/one-kind";
import { attempt } from "#kits/otelcol/processor";
import { inputExports } from "#kits/otelcol/schema";
import { LogfmtKeyError } from "#kits/otlp/logfmt";
import { logsOutputSchema } from "#kits/otlp/output";
import { SpanLines, type SpanLinesOptions } from "#kits/otlp/span-lines";
import { type Infer, s } from "#lang/schema";
import type { OtlpBatch } from "#pipeline/batch";
import { defineComponent } from "#pipeline/component";
import { PermanentError } from "#pipeline/errors";

const names = (doc: string) => s.list(s.string()).default([]).doc(doc);
const key = (name: string, doc: string) => s.string().default(name).doc(doc);

const args = s.object({
  spans: s.bool().default(false).doc("Log a line for each span."),
  roots: s.bool().default(false).doc("Log a line for each root span."),
  processes: s.bool().default(false).doc("Log a line for each process."),
  events: s.bool().default(false).doc("Log a line for each event of a span."),
  span_attributes: names("Span attributes to log."),
  process_attributes: names("Resource attributes to log."),
  event_attributes: names("Attributes of events to log."),
  labels: names("Keys of the lines that become attributes of the log records as well."),
  overrides: s
    .block(
      s.object({
        logs_instance_tag: key("traces", "Attribute that says what a record is of: span, root, process or event."),
        service_key: key("svc", "Key of the service's name."),
        span_name_key: key("span", "Key of the span's name."),
        status_key: key("status", "Key of the span's status."),
        duration_key: key("dur", "Key of the span's duration."),
        trace_id_key: key("tid", "Key of the trace id."),
      }),
    )
    .presentByDefault()
    .doc("Other names for what is logged."),
  output: s.block(logsOutputSchema).required().doc("Where the logs go."),
});
type Arguments = Infer<typeof args>;

export default defineComponent({
  name: "otelcol.connector.spanlogs",
  stability: "generally-available",
  summary: "Makes logs of spans.",
  example: `otelcol.connector.spanlogs "default" {
  spans           = true
  span_attributes = ["http.response.status_code"]
  labels          = ["svc"]

  output {
    logs = [otelcol.exporter.otlp.default.input]
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
    const out = ctx.fanout("otlp", first.output.logs);
    let lines = new SpanLines(optionsOf(first));

    function convert(batch: OtlpBatch): OtlpBatch | undefined {
      const parts: Uint8Array[] = [];
      let items = 0;
      for (const part of batch.parts) {
        const logs = lines.convert(part);
        if (logs === undefined) continue;
        parts.push(logs.bytes);
        items += logs.items;
      }
      const bytes = parts.reduce((sum, part) => sum + part.length, 0);
      return parts.length === 0 ? undefined : { ...batch, kind: "logs", parts, items, bytes };
    }

    function consume(batch: OtlpBatch, signal: AbortSignal): void | Promise<void> {
      let logs: OtlpBatch | undefined;
      try {
        logs = attempt(() => convert(batch));
      } catch (error) {
        if (!(error instanceof LogfmtKeyError)) throw error;
        throw new PermanentError("invalid_key", `${error.message}; see the names in \`overrides\` and of attributes`);
      }
      if (logs !== undefined) return out.consume(logs, signal);
      batch.acknowledgement.release();
      ctx.flow.ok(); // nothing in it is to be logged
    }
    ctx.export({ input: oneKindInput(ctx, "traces", consume) });
    return {
      update(next) {
        lines = new SpanLines(optionsOf(next));
        out.set(next.output.logs);
      },
    };
  },
});

function optionsOf(given: Arguments): SpanLinesOptions {
  const { spans, roots, processes, events, labels, overrides } = given;
  return {
    spans,
    roots,
    processes,
    events,
    labels,
    spanAttributes: given.span_attributes,
    processAttributes: given.process_attributes,
    eventAttributes: given.event_attributes,
    keys: {
      kind: overrides.logs_instance_tag,
      service: overrides.service_key,
      span: overrides.span_name_key,
      status: overrides.status_key,
      duration: overrides.duration_key,
      trace: overrides.trace_id_key,
    },
  };
}
