import type { IncomingHttpHeaders } from "node:http";
import type { TlsOptions } from "node:tls";
import { asBuffer } from "#formats/protobuf";
import { zipkinV1FromJson, zipkinV2FromJson } from "#formats/zipkin/json";
import { zipkinFromProto } from "#formats/zipkin/proto";
import { encodeZipkinThrift } from "#formats/zipkin/thrift";
import { ZipkinV1Encoder } from "#formats/zipkin/v1";
import { zipkinToOtlp } from "#formats/zipkin/v2";
import { serverAuth } from "#kits/otelcol/auth";
import { OtelHttpServer } from "#kits/otelcol/http-server";
import { parseListenAddress } from "#kits/otelcol/listen";
import { Listener } from "#kits/otelcol/listener";
import { debugMetricsSchema, outputSchema } from "#kits/otelcol/schema";
import { bareHttpServerFields } from "#kits/otelcol/server-schema";
import { refusal, TraceIntake, textAnswer, traceReceiverMetrics } from "#kits/otelcol/trace-receiver";
import { sameArguments } from "#lang/decode";
import { type Infer, s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";

const args = s.object({
  parse_string_tags: s
    .bool()
    .default(false)
    .doc("Make numbers and booleans of tags that look like one, instead of strings."),
  ...bareHttpServerFields("0.0.0.0:9411"),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  output: s.block(outputSchema).required().doc("Where received spans go; a Zipkin client sends traces only."),
});
type Arguments = Infer<typeof args>;

const OWN_ENCODINGS = ["", "gzip", "zlib", "deflate"] as const;

/** The formats by the names that the Collector's metrics have for them. */
type Transport = "http_v1_json" | "http_v1_thrift" | "http_v2_json" | "http_v2_proto";

export default defineComponent({
  name: "otelcol.receiver.zipkin",
  stability: "generally-available",
  summary: "Receives spans from clients of Zipkin over HTTP: JSON of both versions, protobuf and thrift.",
  example: `otelcol.receiver.zipkin "default" {
  output {
    traces = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4317"
  }
}`,
  args,
  metrics: traceReceiverMetrics,

  start(ctx, first) {
    const out = ctx.fanout("otlp", first.output.traces);
    const intake = new TraceIntake(ctx, out, "zipkin");
    const listener = new Listener(ctx, "http", new Map());
    let current = first;
    apply(first);

    function apply(next: Arguments): void {
      // What the arguments alone make wrong fails here, before anything changes.
      parseListenAddress(next.endpoint);
      serverAuth(next.auth);
      listener.on(next.tls, (tls) => server(next, tls));
    }

    function server(block: Arguments, tls: TlsOptions | undefined): OtelHttpServer {
      const accepted = { status: 202, headers: {}, body: "" };
      return new OtelHttpServer({
        // With an empty list the Collector's receiver unpacks these by itself.
        args: block.compression_algorithms.length > 0 ? block : { ...block, compression_algorithms: OWN_ENCODINGS },
        tls,
        // As in the Collector, every path but that of the first version means the second one.
        check: () => (intake.taken ? undefined : textAnswer(404, "no component takes traces here")),
        refuse: textAnswer,
        handle(request) {
          const transport = transportOf(request.path, request.headers);
          try {
            const result = intake.accept({
              transport,
              decode: () => decode(transport, request.body, block.parse_string_tags, ctx.clock.now()),
              from: request.remoteAddress,
              clientMetadata: block.include_metadata ? request.allHeaders() : undefined,
              clientAttributes: request.clientAttributes,
              signal: () => request.signal,
            });
            return result === undefined ? accepted : result.then(() => accepted, refusal);
          } catch (error) {
            return refusal(error);
          }
        },
      });
    }

    return {
      update(next) {
        out.set(next.output.traces);
        // The listener lives on when only the output changed.
        if (!sameArguments(args, { ...next, output: current.output }, current)) apply(next);
        current = next;
      },
      drain: (deadline) => listener.close(deadline),
      debugInfo: () => ({ listeners: { http: listener.address } }),
    };
  },
});

function transportOf(path: string, headers: IncomingHttpHeaders): Transport {
  const type = headers["content-type"];
  if (path.includes("api/v1/spans")) return type === "application/x-thrift" ? "http_v1_thrift" : "http_v1_json";
  return type === "application/x-protobuf" ? "http_v2_proto" : "http_v2_json";
}

/** A request of OTLP; `now` in epoch milliseconds. Throws a ZipkinError or a ThriftError. */
function decode(transport: Transport, body: Uint8Array, parseStringTags: boolean, now: number): Uint8Array {
  if (transport === "http_v2_proto") return zipkinToOtlp(zipkinFromProto(body), parseStringTags);
  if (transport === "http_v2_json") {
    return zipkinToOtlp(zipkinV2FromJson(asBuffer(body).toString("utf8")), parseStringTags);
  }
  const encoder = new ZipkinV1Encoder(now);
  if (transport === "http_v1_thrift") encodeZipkinThrift(body, encoder);
  else for (const span of zipkinV1FromJson(asBuffer(body).toString("utf8"), parseStringTags)) encoder.add(span);
  return encoder.finish();
}
