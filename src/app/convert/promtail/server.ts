import { copyFields, field, texts } from "../fields.ts";
import { Body } from "../output.ts";
import type { Severity } from "../report.ts";
import type { Section } from "../settings.ts";

/** Settings of Promtail's own server that say nothing about logs, with what there is instead. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  [
    "http_listen_address",
    "the agent listens where --server.http.listen-addr=ADDRESS:PORT says, 127.0.0.1:12345 by default",
  ],
  [
    "http_listen_port",
    "the agent listens where --server.http.listen-addr=ADDRESS:PORT says, 127.0.0.1:12345 by default",
  ],
  ["http_path_prefix", "use --server.http.ui-path-prefix for the page; /metrics and /-/ready have no prefix"],
  ["http_tls_config", "the agent serves HTTPS with an http block; it needs a certificate"],
  ["external_url", "there is no such setting; put the page's path into --server.http.ui-path-prefix"],
  ["profiling_enabled", "profiles are at /debug/pprof, unless --server.http.enable-pprof=false"],
  ["enable_runtime_reload", "a POST to /-/reload always reloads, and so does SIGHUP"],
  ["disable", "the agent's HTTP server cannot be turned off; it listens on the loopback address unless told otherwise"],
  [
    "health_check_target",
    "/-/ready tells whether the configuration is loaded; /-/ready?strict=true also whether logs flow",
  ],
  ["register_instrumentation", "/metrics is always there"],
]);

const OTHER = "it is about Promtail's own HTTP and gRPC server, and has no counterpart";

/** Values that say nothing, as Promtail's page /config writes them. */
const USUAL: ReadonlyMap<string, string> = new Map([
  ["http_listen_network", "tcp"],
  ["grpc_listen_network", "tcp"],
  ["register_instrumentation", "true"],
  ["health_check_target", "true"],
  ["graceful_shutdown_timeout", "30s"],
  ["http_server_read_timeout", "30s"],
  ["http_server_write_timeout", "30s"],
  ["http_server_idle_timeout", "2m0s"],
  ["grpc_server_max_recv_msg_size", "4194304"],
  ["grpc_server_max_send_msg_size", "4194304"],
  ["grpc_server_max_concurrent_streams", "100"],
]);

/** Tells of what is left of a server's settings, unless it is as it would be without them. */
function tellRest(server: Section, severity: Severity, adviceOf: (name: string) => string): void {
  for (const name of server.left) {
    const value = server.isText(name) ? server.text(name)?.fixed : undefined;
    const usual = USUAL.get(name);
    const says =
      usual === undefined ? !["", "0", "0s", "false"].includes(value ?? "?") : value !== usual && value !== "";
    if (says) server.add(severity, name, adviceOf(name));
    server.skip(name);
  }
}

/** `server`: the log's level and format and the server's TLS are blocks, the rest is of the command line. */
export function convertServer(server: Section | undefined, out: Body): void {
  if (server === undefined) return;
  logging(server, out);
  const tls = server.section("http_tls_config");
  if (tls?.has("cert") || tls?.has("cert_file")) {
    const block = new Body();
    serverTls(tls, block, "client_ca_pem");
    if (!block.isEmpty) out.block("http").attach("tls", block);
  }
  tellRest(server, "Info", (name) => ADVICE.get(name) ?? OTHER);
}

function logging(server: Section, out: Body): void {
  const level = server.text("log_level");
  const format = server.text("log_format");
  const wanted = (value: typeof level, usual: string) =>
    value?.fixed === usual || value?.fixed === "" ? undefined : value;
  const [changedLevel, changedFormat] = [wanted(level, "info"), wanted(format, "logfmt")];
  if (changedLevel === undefined && changedFormat === undefined) return;
  const block = out.block("logging");
  block.attribute("level", changedLevel?.expression);
  block.attribute("format", changedFormat?.expression);
}

/** The TLS settings of dskit's server. */
function serverTls(tls: Section, block: Body, authority: "client_ca" | "client_ca_pem"): void {
  copyFields(tls, block, [
    ...texts("cert>cert_pem", "cert_file", "key>key_pem", "key_file"),
    ...texts("client_auth_type"),
    ...texts("client_ca_file", `client_ca>${authority}`),
  ]);
  tls.rest();
}

const HTTP = [
  ...texts("http_listen_address>listen_address"),
  field("http_listen_port>listen_port", "number", 8080, "80"),
  field("http_listen_conn_limit>conn_limit", "number", 0),
  field("http_server_read_timeout>server_read_timeout", "duration", 30_000),
  field("http_server_write_timeout>server_write_timeout", "duration", 30_000),
  field("http_server_idle_timeout>server_idle_timeout", "duration", 120_000),
];

/** What a server that takes logs cannot be told: it takes them all the same, so this does not stop a conversion. */
const NO_COUNTERPART: ReadonlyMap<string, string> = new Map([
  ["http_listen_network", "the network follows from listen_address"],
  ["http_path_prefix", "senders have to leave the prefix out, or a proxy has to"],
  ["log_level", "the logging block is for the whole agent"],
  ["log_format", "the logging block is for the whole agent"],
]);

/** `server` of a source that listens, as the component's `http` block. The port is Promtail's by default. */
export function listeningServer(owner: Section, body: Body): void {
  const server = owner.sectionOrEmpty("server");
  const http = body.block("http");
  if (server === undefined) {
    http.attribute("listen_port", "80");
    owner.report.add(
      "Info",
      owner.place,
      "has no server settings, so Promtail listens on port 80; the agent needs the right to (CAP_NET_BIND_SERVICE)",
    );
    return;
  }
  copyFields(server, body, [field("graceful_shutdown_timeout", "duration", 30_000)]);
  copyFields(server, http, HTTP);
  const versions = server.text("tls_min_version");
  const suites = server.text("tls_cipher_suites");
  const tls = server.section("http_tls_config");
  if (tls !== undefined) {
    const block = http.block("tls");
    serverTls(tls, block, "client_ca");
    block.attribute("min_version", versions?.expression);
    block.attribute("cipher_suites", suites?.expression);
  }
  const grpc = server.left.filter((name) => name.startsWith("grpc_"));
  for (const name of grpc) server.tell(name, "Info", "Promtail's gRPC server took no logs, so it is left out");
  tellRest(server, "Warning", (name) => `${NO_COUNTERPART.get(name) ?? OTHER}; it is left out`);
}
