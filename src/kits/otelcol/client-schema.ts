/** The `client` blocks of otelcol exporters. Matches config_http.go and config_grpc.go of Alloy. */
import { type Infer, s } from "#lang/schema";
import { GRPC_BALANCERS } from "../grpc/client.ts";
import { grpcEndpointProblem } from "../grpc/target.ts";
import type { ShownCredentials } from "../refused-credentials.ts";
import { authArgument } from "./auth.ts";
import { COMPRESSIONS } from "./compression.ts";
import { bufferSize } from "./schema.ts";
import { tlsClientSchema } from "./tls.ts";

const headers = () => s.map(s.string()).default({}).doc("Headers that are sent with every request.");

type WithHeaders = { readonly headers: ReadonlyMap<string, string> };
/** Else each request would fail, and be repeated until it is dropped. The value may be a secret and is not shown. */
const HEADERS_RULE = [
  "headers",
  (a: WithHeaders) => headerProblem(a.headers) === undefined,
  (a: WithHeaders) => headerProblem(a.headers)!,
] as const;

function headerProblem(given: ReadonlyMap<string, string>): string | undefined {
  for (const [name, value] of given) {
    const shown = JSON.stringify(name);
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      return `has the name ${shown}, which no header can have: use letters, digits and -`;
    }
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
      return `has a value for ${shown} with a line break or another character that no header can have; string.trim_space(…) removes a line break at the end`;
    }
  }
  return undefined;
}

const compressionParamsSchema = s.object({
  level: s.int().doc("Level of the compression, as zlib and zstd number them."),
});

/** The `client` block of exporters over HTTP. */
export const httpClientSchema = s
  .object({
    endpoint: s.string().doc("URL to send to."),
    proxy_url: s.string().default("").doc("HTTP proxy; without it, the environment's."),
    compression: s.oneOf(COMPRESSIONS).default("gzip").doc("How bodies are packed."),
    read_buffer_size: bufferSize("read", "0B"),
    write_buffer_size: bufferSize("write", "512KiB"),
    timeout: s.duration().default("30s").doc("Time for a request to be answered; 0 for none."),
    headers: headers(),
    max_idle_conns: s
      .int(0)
      .default(100)
      .doc("Most idle connections.")
      .withoutEffect("idle connections end by `idle_conn_timeout`"),
    max_idle_conns_per_host: s
      .int(0)
      .default(0)
      .doc("Most idle connections for each host.")
      .withoutEffect("idle connections end by `idle_conn_timeout`"),
    max_conns_per_host: s.int(0).default(0).doc("Most connections at once; 0 for no limit."),
    idle_conn_timeout: s.duration().default("1m30s").doc("Time after which an idle connection is closed."),
    disable_keep_alives: s.bool().default(false).doc("Use a connection for one request only."),
    http2_read_idle_timeout: s
      .duration()
      .default("0s")
      .doc("Silence after which an HTTP/2 connection is pinged; 0 for never."),
    http2_ping_timeout: s
      .duration()
      .default("15s")
      .doc("Time for the answer to a ping.")
      .withoutEffect("a connection that answers no ping before the next one is due is closed"),
    force_attempt_http2: s.bool().default(true).doc("Use HTTP/2 where the server offers it."),
    auth: authArgument().doc("An `otelcol.auth.*` handler that adds credentials."),
    compression_params: s.block(compressionParamsSchema).doc("How hard to compress."),
    tls: s.block(tlsClientSchema).presentByDefault().doc("TLS towards the server."),
    cookies: s
      .block(s.object({ enabled: s.bool().default(false).doc("Keep cookies of the server and send them again.") }))
      .doc("Cookies, for load balancers that need them."),
  })
  .rule(
    "compression_params",
    (a) => a.compression_params === undefined || levelFits(a.compression, a.compression_params.level),
    "has a level that the compression does not know",
  )
  .rule(...HEADERS_RULE);
export type HttpClientArguments = Infer<typeof httpClientSchema>;

function levelFits(compression: (typeof COMPRESSIONS)[number], level: number): boolean {
  switch (compression) {
    case "gzip":
    case "zlib":
    case "deflate":
      return level >= -1 && level <= 9;
    case "zstd":
      return level >= 1 && level <= 22;
    default:
      return level === 0;
  }
}

const grpcClientFields = {
  compression: s.oneOf(COMPRESSIONS).default("gzip").doc("How messages are packed: gzip, snappy, zstd or none."),
  read_buffer_size: bufferSize("read", "0B"),
  write_buffer_size: bufferSize("write", "512KiB"),
  wait_for_ready: s.bool().default(false).doc("Wait for a connection instead of failing at once."),
  headers: headers(),
  balancer_name: s
    .oneOf(["", ...GRPC_BALANCERS])
    .default("round_robin")
    .doc("How calls are spread over the addresses of a name."),
  authority: s.string().default("").doc("Value of the `:authority` header, instead of the endpoint."),
  auth: authArgument().doc("An `otelcol.auth.*` handler that adds credentials."),
  tls: s.block(tlsClientSchema).presentByDefault().doc("TLS towards the server."),
  keepalive: s
    .block(
      s.object({
        ping_wait: s.duration().default("0s").doc("Time after which the server is pinged; 0 for never."),
        ping_response_timeout: s.duration().default("0s").doc("Time for the answer; 0 for 20s."),
        ping_without_stream: s.bool().default(false).doc("Ping also while there are no calls."),
      }),
    )
    .doc("Pings that keep connections alive."),
};
const GRPC_COMPRESSION_RULE = [
  "compression",
  (a: { readonly compression: string }) => a.compression !== "zlib" && a.compression !== "deflate",
  "cannot be zlib or deflate in gRPC; use gzip, snappy, zstd or none",
] as const;

/** The `client` block of exporters over gRPC. */
export const grpcClientSchema = s
  .object({ endpoint: s.string().doc("`host:port` to send to; the port is 443 without one."), ...grpcClientFields })
  .rule(...GRPC_COMPRESSION_RULE)
  .rule(...HEADERS_RULE)
  .rule(
    "endpoint",
    (a) => grpcEndpointProblem(a.endpoint) === undefined,
    (a) => grpcEndpointProblem(a.endpoint)!,
  )
  .suspect(({ endpoint, tls }) => {
    const isPlain = tls.insecure && tls.ca_file === "" && tls.ca_pem === "";
    if (endpoint.startsWith("http://") && !isPlain) {
      const message = "begins with http://, and TLS is used in spite of that, as in Alloy";
      return [{ field: "endpoint", message, hint: "write tls { insecure = true } for a server without TLS" }];
    }
    if (/:4318\/?$/.test(endpoint)) {
      const message = "has the port 4318, on which servers take OTLP over HTTP";
      return [{ field: "endpoint", message, hint: "use port 4317, or otelcol.exporter.otlphttp" }];
    }
    return [];
  });
/** The same for exporters whose endpoints come from elsewhere. */
export const grpcBackendSchema = s
  .object(grpcClientFields)
  .rule(...GRPC_COMPRESSION_RULE)
  .rule(...HEADERS_RULE);
export type GrpcClientArguments = Infer<typeof grpcClientSchema>;

/** What a client shows to the server at `url`, for messages about a refusal. */
export function otlpCredentials(
  { auth, headers }: Pick<GrpcClientArguments, "auth" | "headers">,
  url: string,
): ShownCredentials {
  const header = [...headers.keys()].find((name) => name.toLowerCase() === "authorization");
  const given =
    auth !== undefined
      ? "the otelcol.auth component that `auth` names"
      : header !== undefined
        ? `the header ${header}`
        : URL.parse(url)?.username
          ? "the user and password in the URL"
          : undefined;
  return {
    given,
    empty: header !== undefined && /^(|\w+ *)$/.test(headers.get(header)!) ? `the header ${header}` : undefined,
    settable: "`auth` to the handler of an otelcol.auth component",
    tenant: 'set headers = { "X-Scope-OrgID" = "TENANT" } in the `client` block',
  };
}
