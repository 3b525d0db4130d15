/** The gRPC server of otelcol components, as their `grpc` block says. */
import type { IncomingHttpHeaders } from "node:http";
import type { TlsOptions } from "node:tls";
import { GRPC, GrpcError } from "#formats/grpc";
import { type GrpcHandler, GrpcServer } from "../grpc/server.ts";
import { AuthenticationError, serverAuth } from "./auth.ts";
import { parseListenAddress } from "./listen.ts";
import type { rpcRecorder } from "./metrics.ts";
import type { GrpcServerArguments } from "./server-schema.ts";

export interface OtelGrpcServerOptions {
  readonly args: GrpcServerArguments;
  readonly tls: TlsOptions | undefined;
  /** By path: `/package.Service/Method`. */
  readonly handlers: ReadonlyMap<string, GrpcHandler>;
  readonly recordCall: ReturnType<typeof rpcRecorder>;
}

/** Throws for an address or an auth handler that is of no use. */
export function otelGrpcServer({ args, tls, handlers, recordCall }: OtelGrpcServerOptions): GrpcServer {
  const authenticate = serverAuth(args.auth);
  const { server_parameters: parameters, enforcement_policy: policy } = args.keepalive;
  return new GrpcServer({
    address: parseListenAddress(args.endpoint, args.transport),
    tls,
    maxMessageBytes: args.max_recv_msg_size,
    maxConcurrentStreams: args.max_concurrent_streams,
    keepalive: {
      maxConnectionIdleMs: parameters.max_connection_idle || undefined,
      maxConnectionAgeMs: parameters.max_connection_age || undefined,
      maxConnectionAgeGraceMs: parameters.max_connection_age_grace || undefined,
      pingAfterMs: parameters.time,
      pingTimeoutMs: parameters.timeout,
      minPingIntervalMs: policy.min_time,
      permitWithoutStream: policy.permit_without_stream,
    },
    handlers,
    authenticate:
      authenticate === undefined
        ? undefined
        : async (headers) => {
            try {
              return await authenticate(
                new Map([...callMetadata(headers)].map(([name, values]) => [name, values.join(", ")])),
              );
            } catch (error) {
              if (!(error instanceof AuthenticationError)) throw error;
              throw new GrpcError(GRPC.UNAUTHENTICATED, error.message, { cause: error });
            }
          },
    onCall: (report) =>
      recordCall(report.path, report.code, report.durationMs, report.requestBytes, report.responseBytes),
  });
}

/** The headers of a call with all of their values, for `include_metadata`. */
export function callMetadata(headers: IncomingHttpHeaders): ReadonlyMap<string, readonly string[]> {
  const metadata = new Map<string, readonly string[]>();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !name.startsWith(":")) metadata.set(name, Array.isArray(value) ? value : [value]);
  }
  const authority = (headers as Record<string, string>)[":authority"];
  if (authority !== undefined) metadata.set(":authority", [authority]);
  return metadata;
}
