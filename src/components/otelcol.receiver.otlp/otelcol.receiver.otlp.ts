import type { TlsOptions } from "node:tls";
import { errorText } from "#base/log";
import { GRPC, GrpcError, grpcCodeName } from "#formats/grpc";
import type { OtlpKind } from "#formats/otlp/otlp";
import { encodeExportResponse } from "#formats/otlp/response";
import type { GrpcHandler, GrpcServer } from "#kits/grpc/server";
import { serverAuth } from "#kits/otelcol/auth";
import { callMetadata, otelGrpcServer } from "#kits/otelcol/grpc-server";
import { OtelHttpServer } from "#kits/otelcol/http-server";
import { EXPORT_PATHS, type IntakeCounters, OtlpIntake } from "#kits/otelcol/intake";
import { parseListenAddress } from "#kits/otelcol/listen";
import { Listener } from "#kits/otelcol/listener";
import { receiverMetrics, rpcRecorder, rpcServerMetrics } from "#kits/otelcol/metrics";
import { debugMetricsSchema, outputSchema } from "#kits/otelcol/schema";
import { type GrpcServerArguments, grpcServerSchema, httpServerFields } from "#kits/otelcol/server-schema";
import { RefusedRequests } from "#kits/refused-requests";
import { sameArguments } from "#lang/decode";
import { type Infer, s } from "#lang/schema";
import { Refusals } from "#pipeline/batch";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { acceptedResponse, checkRequest, failedResponse, refusedResponse, requestBytes } from "./http-protocol.ts";

const KINDS: readonly OtlpKind[] = ["traces", "metrics", "logs"];
const EMPTY = new Uint8Array(0);

const httpSchema = s
  .object({
    ...httpServerFields("0.0.0.0:4318"),
    traces_url_path: s.string().default("/v1/traces").doc("Path for traces."),
    metrics_url_path: s.string().default("/v1/metrics").doc("Path for metrics."),
    logs_url_path: s.string().default("/v1/logs").doc("Path for logs."),
  })
  .rule("traces_url_path", (a) => a.traces_url_path !== "", "cannot be empty")
  .rule("metrics_url_path", (a) => a.metrics_url_path !== "", "cannot be empty")
  .rule("logs_url_path", (a) => a.logs_url_path !== "", "cannot be empty");
type HttpArguments = Infer<typeof httpSchema>;

const grpcSchema = grpcServerSchema("0.0.0.0:4317");

const args = s.object({
  grpc: s.block(grpcSchema).doc("Listens for OTLP over gRPC."),
  http: s.block(httpSchema).doc("Listens for OTLP over HTTP."),
  debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  output: s.block(outputSchema).required().doc("Where received data goes."),
});

const metrics = { ...receiverMetrics, ...rpcServerMetrics };
type Context = ComponentContext<Record<never, never>, typeof metrics>;

export default defineComponent({
  name: "otelcol.receiver.otlp",
  stability: "generally-available",
  summary: "Receives traces, metrics and logs in OTLP over gRPC and HTTP.",
  example: `otelcol.receiver.otlp "default" {
  grpc { }
  http { }

  output {
    traces  = [otelcol.exporter.otlp.default.input]
    metrics = [otelcol.exporter.otlp.default.input]
    logs    = [otelcol.exporter.otlp.default.input]
  }
}

otelcol.exporter.otlp "default" {
  client {
    endpoint = "localhost:4320"
  }
}`,
  args,
  metrics,

  start(ctx, first) {
    const outputs = {
      traces: ctx.fanout("otlp", first.output.traces),
      metrics: ctx.fanout("otlp", first.output.metrics),
      logs: ctx.fanout("otlp", first.output.logs),
    };
    const intake = new OtlpIntake(outputs, ctx.log);
    const problems = new Map<string, string>();
    const grpc = new Listener(ctx, "grpc", problems);
    const http = new Listener(ctx, "http", problems);
    const refused = new RefusedRequests(ctx, () => ctx.flow.lastSuccess);
    const record = rpcRecorder(ctx.metrics);
    const recordCall: typeof record = (path, code, ...rest) => {
      if (REFUSALS.has(code)) refused.add(path, grpcCodeName(code), refusedCall(path, code));
      record(path, code, ...rest);
    };
    let current = first;
    apply(first);

    function apply(next: typeof first): void {
      if (next.grpc === undefined) grpc.off();
      else {
        const { grpc: block } = next;
        // What the arguments alone make wrong fails here, before anything changes.
        parseListenAddress(block.endpoint, block.transport);
        serverAuth(block.auth);
        grpc.on(block.tls, (tls) => grpcServer(block, tls, intake, counters(ctx, "grpc"), recordCall));
      }
      if (next.http === undefined) http.off();
      else {
        const { http: block } = next;
        parseListenAddress(block.endpoint);
        serverAuth(block.auth);
        http.on(block.tls, (tls) => httpServer(block, tls, intake, counters(ctx, "http"), refused));
      }
      if (next.grpc === undefined && next.http === undefined) {
        ctx.flow.idle(
          "neither a `grpc` nor an `http` block is there, so nothing listens; add the one that clients use",
        );
      }
    }

    return {
      update(next) {
        for (const kind of KINDS) outputs[kind].set(next.output[kind]);
        // Listeners live on when only the outputs changed.
        if (!sameArguments(args, { ...next, output: current.output }, current)) apply(next);
        current = next;
      },
      async drain(deadline) {
        await Promise.all([grpc.close(deadline), http.close(deadline)]);
      },
      debugInfo: () => ({ listeners: { grpc: grpc.address, http: http.address } }),
    };
  },
});

function counters(ctx: Context, transport: string): IntakeCounters {
  const labels = [`otlp/${ctx.id}`, transport];
  const { acceptedTraces, acceptedMetrics, acceptedLogs, refusedTraces, refusedMetrics, refusedLogs } = ctx.metrics;
  return {
    accepted: {
      traces: acceptedTraces.labels(...labels),
      metrics: acceptedMetrics.labels(...labels),
      logs: acceptedLogs.labels(...labels),
    },
    refused: {
      traces: refusedTraces.labels(...labels),
      metrics: refusedMetrics.labels(...labels),
      logs: refusedLogs.labels(...labels),
    },
  };
}

function grpcServer(
  block: GrpcServerArguments,
  tls: TlsOptions | undefined,
  intake: OtlpIntake,
  counts: IntakeCounters,
  recordCall: ReturnType<typeof rpcRecorder>,
): GrpcServer {
  const handlers = new Map<string, GrpcHandler>();
  for (const kind of KINDS) {
    handlers.set(EXPORT_PATHS[kind], (bytes, call) => {
      if (!intake.takes(kind)) throw new GrpcError(GRPC.UNIMPLEMENTED, `no component takes ${kind} here`);
      const clientMetadata = block.include_metadata ? callMetadata(call.headers) : undefined;
      const refusals = new Refusals();
      const result = intake.accept({
        kind,
        bytes,
        clientMetadata,
        clientAddress: call.remoteAddress,
        clientAttributes: call.clientAttributes,
        counters: counts,
        refusals,
        signal: () => call.signal,
      });
      return result === undefined ? EMPTY : result.then(() => grpcAnswer(refusals));
    });
  }
  return otelGrpcServer({ args: block, tls, handlers, recordCall });
}

function grpcAnswer({ items: rejected, message }: Refusals): Uint8Array {
  return message === "" ? EMPTY : encodeExportResponse({ rejected, message });
}

function httpServer(
  block: HttpArguments,
  tls: TlsOptions | undefined,
  intake: OtlpIntake,
  counts: IntakeCounters,
  refused: RefusedRequests,
): OtelHttpServer {
  const withSlash = (path: string) => (path.startsWith("/") ? path : `/${path}`);
  const kinds = new Map<string, OtlpKind>([
    [withSlash(block.traces_url_path), "traces"],
    [withSlash(block.metrics_url_path), "metrics"],
    [withSlash(block.logs_url_path), "logs"],
  ]);
  return new OtelHttpServer({
    args: block,
    tls,
    check: (method, path, headers) => {
      const kind = kinds.get(path);
      const answer = checkRequest(kind !== undefined && intake.takes(kind), method, headers);
      // Others than POST are health checks and the like, and bring no data.
      if (answer === undefined || method !== "POST") return answer;
      const why =
        kind === undefined ? `OTLP is not taken at ${path}` : `no component takes ${kind} here: see \`output\``;
      refused.add(path, answer.status, answer.status === 404 ? why : `${path}: ${String(answer.body)}`);
      return answer;
    },
    refuse: (status, message, headers) => {
      refused.add("", status, message);
      return refusedResponse(status, message, headers);
    },
    handle(request) {
      const kind = kinds.get(request.path)!;
      try {
        const bytes = requestBytes(kind, request);
        const clientMetadata = block.include_metadata ? request.allHeaders() : undefined;
        const refusals = new Refusals();
        const result = intake.accept({
          kind,
          bytes,
          clientMetadata,
          clientAddress: request.remoteAddress,
          clientAttributes: request.clientAttributes,
          counters: counts,
          refusals,
          signal: () => request.signal,
        });
        const accepted = () => acceptedResponse(kind, request.headers, refusals);
        if (result === undefined) return accepted();
        return result.then(accepted, (error) => failedResponse(error, request.headers));
      } catch (error) {
        const answer = failedResponse(error, request.headers);
        if (answer.status < 500) refused.add(request.path, answer.status, errorText(error));
        return answer;
      }
    },
  });
}

/** Codes by which a call is sent away for what it is; those of a full pipeline are told by that. */
const REFUSALS: ReadonlySet<number> = new Set([
  GRPC.INVALID_ARGUMENT,
  GRPC.UNAUTHENTICATED,
  GRPC.UNIMPLEMENTED,
  GRPC.RESOURCE_EXHAUSTED,
]);

function refusedCall(path: string, code: number): string {
  switch (code) {
    case GRPC.UNIMPLEMENTED:
      return `no component takes calls of ${path} here: see \`output\``;
    case GRPC.UNAUTHENTICATED:
      return "clients show no credentials that `auth` knows";
    case GRPC.RESOURCE_EXHAUSTED:
      return "a message is larger than `max_recv_msg_size`, or unpacks to more";
    default:
      return "a message is no valid OTLP";
  }
}
