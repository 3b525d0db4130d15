/** The server blocks of otelcol receivers. Matches config_grpc.go and config_http.go of Alloy. */
import { defaultsOf } from "#lang/decode";
import { type Infer, s } from "#lang/schema";
import { authArgument } from "./auth.ts";
import { DECODINGS } from "./compression.ts";
import { bufferSize } from "./schema.ts";
import { tlsServerSchema } from "./tls.ts";

const serverParametersSchema = s.object({
  max_connection_idle: s.duration().optional().doc("Idle time after which a connection is closed."),
  max_connection_age: s.duration().optional().doc("Age at which a connection is closed."),
  max_connection_age_grace: s.duration().optional().doc("Time for the calls of an aged connection to end."),
  time: s.duration().default("2h").doc("Idle time after which the client is pinged."),
  timeout: s.duration().default("20s").doc("Time for the client to answer a ping."),
});
const enforcementPolicySchema = s.object({
  min_time: s.duration().default("5m").doc("Least time between two pings of a client."),
  permit_without_stream: s.bool().default(false).doc("Let clients ping while they have no calls."),
});
const serverParameters = () => s.block(serverParametersSchema).doc("When connections end.");
const enforcementPolicy = () => s.block(enforcementPolicySchema).doc("What pings clients may send.");

const keepaliveSchema = s.object({
  server_parameters: serverParameters().presentByDefault(),
  enforcement_policy: enforcementPolicy().presentByDefault(),
});
const bareKeepaliveSchema = s.object({
  server_parameters: serverParameters(),
  enforcement_policy: enforcementPolicy(),
});
const KEEPALIVE = "How connections are kept alive.";

function grpcServerFields(endpoint: string) {
  return {
    endpoint: s.string().default(endpoint).doc("`host:port` to listen on."),
    transport: s.string().default("tcp").doc("`tcp`, `tcp4`, `tcp6` or `unix`."),
    max_recv_msg_size: s.byteSize().default("4MiB").doc("Largest message that is accepted."),
    max_concurrent_streams: s.int(0).default(0).doc("Most calls at once on a connection; 0 for no limit."),
    read_buffer_size: bufferSize("read", "512KiB"),
    write_buffer_size: bufferSize("write", "0B"),
    auth: authArgument().doc("An `otelcol.auth.*` handler that checks calls."),
    include_metadata: s.bool().default(false).doc("Keep what clients send beside the data for later components."),
    tls: s.block(tlsServerSchema).doc("Certificates; without it the server speaks plain text."),
  };
}

/** A `grpc` block that listens on `endpoint` by default. */
export function grpcServerSchema(endpoint: string) {
  return s.object({
    ...grpcServerFields(endpoint),
    keepalive: s.block(keepaliveSchema).presentByDefault().doc(KEEPALIVE),
  });
}
export type GrpcServerArguments = Infer<ReturnType<typeof grpcServerSchema>>;

/** The same for components whose `keepalive` block is not there unless it is written, which means the same. */
export function bareGrpcServerSchema(endpoint: string) {
  return s.object({ ...grpcServerFields(endpoint), keepalive: s.block(bareKeepaliveSchema).doc(KEEPALIVE) });
}
export type BareGrpcServerArguments = Infer<ReturnType<typeof bareGrpcServerSchema>>;

/** Fills in the `keepalive` block. */
export function withKeepalive(args: BareGrpcServerArguments): GrpcServerArguments {
  return {
    ...args,
    keepalive: {
      server_parameters: args.keepalive?.server_parameters ?? defaultsOf(serverParametersSchema),
      enforcement_policy: args.keepalive?.enforcement_policy ?? defaultsOf(enforcementPolicySchema),
    },
  };
}

const corsSchema = s.object({
  allowed_origins: s.list(s.string()).optional().doc("Origins that may send; each may contain a `*`."),
  allowed_headers: s
    .list(s.string())
    .default(["X-Requested-With"])
    .doc("Headers that may be sent beside the simple ones."),
  exposed_headers: s.list(s.string()).optional().doc("Response headers that pages may read."),
  max_age: s.int().default(0).doc("Seconds for which browsers may keep the answer; 0 for unsaid."),
});
export type CorsArguments = Infer<typeof corsSchema>;

/** The fields of an HTTP server block that listens on `endpoint` by default. */
export function httpServerFields(endpoint: string) {
  return {
    endpoint: s.string().default(endpoint).doc("`host:port` to listen on."),
    auth: authArgument().doc("An `otelcol.auth.*` handler that checks requests."),
    max_request_body_size: s
      .byteSize()
      .default("20MiB")
      .doc("Largest body that is accepted, unpacked; 0 for the default."),
    include_metadata: s.bool().default(false).doc("Keep request headers for later components."),
    compression_algorithms: s
      .list(s.oneOf(DECODINGS))
      .default(["", "gzip", "zstd", "zlib", "snappy", "deflate", "lz4"])
      .doc("Content encodings that are accepted."),
    keep_alives_enabled: s.bool().default(true).doc("Whether connections serve more than one request."),
    idle_timeout: s.duration().default("1m").doc("Time after which an idle connection is closed."),
    read_timeout: s
      .duration()
      .default("0s")
      .doc("Time for a request's body to arrive, once its headers are there; 0 for as long as `write_timeout`."),
    write_timeout: s.duration().default("30s").doc("Time for a request to be answered; 0 for none."),
    read_header_timeout: s.duration().default("1m").doc("Time for the headers of a request to arrive."),
    tls: s.block(tlsServerSchema).doc("Certificates; without it the server speaks plain text."),
    cors: s.block(corsSchema).presentByDefault().doc("What pages of other origins may do."),
  };
}

/** The same for components whose `cors` block is not there unless it is written, which means the same. */
export function bareHttpServerFields(endpoint: string) {
  return { ...httpServerFields(endpoint), cors: s.block(corsSchema).doc("What pages of other origins may do.") };
}

const httpServerSchema = s.object(bareHttpServerFields(""));
export type HttpServerArguments = Infer<typeof httpServerSchema>;
