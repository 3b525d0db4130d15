/**
 * The `http` and `grpc` blocks of components that bring a server of their own.
 * Matches internal/component/common/net/config.go of Alloy, which sits on dskit's server.
 */
import { s } from "#lang/schema";

export const CLIENT_AUTH_TYPES = [
  "NoClientCert",
  "RequestClientCert",
  "RequireAnyClientCert",
  "VerifyClientCertIfGiven",
  "RequireAndVerifyClientCert",
] as const;
export type ClientAuthType = (typeof CLIENT_AUTH_TYPES)[number];

const VERSION_NAMES = ["", "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"] as const;

const serverTlsSchema = s
  .object({
    cert_pem: s.string().default("").doc("Server certificate in PEM."),
    key_pem: s.secret().default("").doc("Key of the server certificate in PEM."),
    cert_file: s.string().default("").doc("File of the server certificate; read again when it changes."),
    key_file: s.string().default("").doc("File of the server certificate's key; read again when it changes."),
    client_auth_type: s
      .oneOf(CLIENT_AUTH_TYPES)
      .default("NoClientCert")
      .doc("Whether clients are asked for certificates and whether these are verified."),
    client_ca_file: s.string().default("").doc("File of the authorities that sign client certificates."),
    client_ca: s.string().default("").doc("Authorities that sign client certificates, in PEM."),
    cipher_suites: s
      .string()
      .default("")
      .doc("Comma-separated cipher suites for TLS 1.2 and below, by their IANA names."),
    min_version: s.oneOf(VERSION_NAMES).default("").doc("Lowest TLS version; TLS 1.2 when empty."),
  })
  .rule("cert_file", (a) => a.cert_pem === "" || a.cert_file === "", "and `cert_pem` exclude each other")
  .rule("key_file", (a) => a.key_pem.reveal() === "" || a.key_file === "", "and `key_pem` exclude each other")
  .rule("client_ca_file", (a) => a.client_ca === "" || a.client_ca_file === "", "and `client_ca` exclude each other")
  .rule("cert_file", (a) => a.cert_pem !== "" || a.cert_file !== "", "or `cert_pem` is required")
  .rule("key_file", (a) => a.key_pem.reveal() !== "" || a.key_file !== "", "or `key_pem` is required")
  .rule(
    "client_ca_file",
    (a) =>
      !/^(Require|Verify).*Verify|^VerifyClient/.test(a.client_auth_type) ||
      a.client_ca !== "" ||
      a.client_ca_file !== "",
    "or `client_ca` is required to verify client certificates",
  );

const http2Schema = s.object({
  enabled: s.bool().default(false).doc("Also accept HTTP/2 without TLS (h2c), from clients that begin with it."),
  max_handlers: s
    .int()
    .default(0)
    .doc("Most requests at once.")
    .withoutEffect("as in Alloy, whose HTTP/2 server has no such limit yet"),
  max_concurrent_streams: s.int(0).default(100).doc("Requests at once on one connection."),
  max_decoder_header_table_size: s.int(0).default(4096).doc("Size of the table for headers that come in."),
  max_encoder_header_table_size: s
    .int(0)
    .default(4096)
    .doc("Size of the table for headers that go out.")
    .withoutEffect("clients say the size that they take"),
  max_read_frame_size: s.int(0).default(0).doc("Largest frame that is accepted; 0 for the protocol's 16 KiB."),
  permit_prohibited_ciphers: s
    .bool()
    .default(false)
    .doc("Accept cipher suites that HTTP/2 forbids.")
    .withoutEffect("`tls.cipher_suites` says which are accepted"),
  idle_timeout: s
    .duration()
    .default("0s")
    .doc("Time after which a connection without requests is closed; 0 for never."),
  read_idle_timeout: s
    .duration()
    .default("0s")
    .doc("Silence after which a client is pinged.")
    .unsupported("the HTTP/2 server sends no pings of its own; use `idle_timeout`"),
  ping_timeout: s
    .duration()
    .default("15s")
    .doc("Time to wait for the answer to a ping.")
    .unsupported("the HTTP/2 server sends no pings of its own; use `idle_timeout`"),
  write_byte_timeout: s
    .duration()
    .default("0s")
    .doc("Time after which a connection that takes no data is closed.")
    .unsupported("use `server_write_timeout`, which limits the whole answer"),
  max_upload_buffer_per_connection: s.int(0).default(0).doc("Flow control window of a connection; 0 for the default."),
  max_upload_buffer_per_stream: s.int(0).default(0).doc("Flow control window of a request; 0 for the default."),
});

export const httpServerSchema = s.object({
  listen_address: s.string().default("").doc("Address to listen on; all when empty."),
  listen_port: s.int(0, 65_535).default(8080).doc("Port to listen on; 0 for a free one."),
  conn_limit: s.int(0).default(0).doc("Connections at once; 0 for no limit."),
  server_read_timeout: s.duration().default("30s").doc("Longest time for a request to arrive."),
  server_write_timeout: s.duration().default("30s").doc("Longest time to answer a request."),
  server_idle_timeout: s.duration().default("2m").doc("Time after which a connection without requests is closed."),
  tls: s.block(serverTlsSchema).doc("Serve over TLS."),
  http2: s.block(http2Schema).presentByDefault().doc("HTTP/2."),
});

const grpcServerSchema = s.object({
  listen_address: s.string().default("").doc("Address to listen on."),
  listen_port: s.int(0, 65_535).default(0).doc("Port to listen on; 0 for a free one."),
  conn_limit: s.int(0).default(0).doc("Connections at once; 0 for no limit."),
  max_connection_age: s.duration().optional().doc("Age at which a connection is closed."),
  max_connection_age_grace: s
    .duration()
    .optional()
    .doc("Time for requests on a connection that is closed for its age."),
  max_connection_idle: s.duration().optional().doc("Time after which a connection without requests is closed."),
  server_max_recv_msg_size: s.int(0).default(4_194_304).doc("Largest message that is accepted, in bytes."),
  server_max_send_msg_size: s.int(0).default(4_194_304).doc("Largest message that is sent, in bytes."),
  server_max_concurrent_streams: s.int(0).default(100).doc("Requests at once on one connection."),
  tls: s.block(serverTlsSchema).doc("Serve over TLS."),
});

/** The blocks of a component with a server: `s.object({ ...httpServerFields, forward_to: … })`. */
export const httpServerFields = {
  graceful_shutdown_timeout: s.duration().default("30s").doc("Time for requests under way when the server stops."),
  http: s.block(httpServerSchema).presentByDefault().doc("The HTTP server."),
  grpc: s
    .block(grpcServerSchema)
    .presentByDefault()
    .doc("The gRPC server.")
    .unsupported(
      "Alloy starts a gRPC server here that offers no service, so that nothing can use it; remove the block",
    ),
};

export type HttpServerArguments = typeof httpServerSchema.typeOf;
export type ServerTlsArguments = typeof serverTlsSchema.typeOf;
