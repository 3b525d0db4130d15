import type { FlagSpec } from "./command-line.ts";

const CLUSTERING = "clustering comes with a later release; run without --cluster.* flags";

function cluster(name: string, type: FlagSpec["type"], fallback: FlagSpec["default"], help: string): FlagSpec {
  return { name: `cluster.${name}`, type, default: fallback, help, unsupported: CLUSTERING };
}

/** The flags that decide which features a configuration may use. */
export const FEATURE_FLAGS: readonly FlagSpec[] = [
  {
    name: "stability.level",
    type: "enum",
    values: ["experimental", "public-preview", "generally-available"],
    default: "generally-available",
    help: "Least stable features that may be used",
  },
  {
    name: "feature.community-components.enabled",
    type: "bool",
    default: false,
    help: "Allow community components",
  },
];

/** The flags that say what language a configuration is written in. */
export const FORMAT_FLAGS: readonly FlagSpec[] = [
  {
    name: "config.format",
    type: "string",
    values: ["alloy", "otelcol", "prometheus", "promtail", "static"],
    default: "alloy",
    help: "Format of the configuration",
    unsupported: "only alloy is read",
  },
  {
    name: "config.bypass-conversion-errors",
    type: "bool",
    default: false,
    help: "Go on in spite of errors in a conversion",
    ignored: "nothing is converted while --config.format is alloy",
  },
  {
    name: "config.extra-args",
    type: "string",
    default: "",
    help: "Arguments of the original program that matter to a conversion",
    unsupported: "nothing is converted while --config.format is alloy",
  },
];

/** The flags of `run`: Alloy's, with its defaults, `--config.watch` and `--workers`. */
export const RUN_FLAGS: readonly FlagSpec[] = [
  {
    name: "server.http.listen-addr",
    type: "string",
    default: "127.0.0.1:12345",
    help: "Address to listen for HTTP traffic on",
  },
  {
    name: "server.http.memory-addr",
    type: "string",
    default: "alloy.internal:12345",
    help: "Address that stands for the agent itself in scrapes, without a socket",
  },
  { name: "server.http.ui-path-prefix", type: "string", default: "/", help: "Prefix of the page's paths" },
  { name: "server.http.enable-pprof", type: "bool", default: true, help: "Serve profiles under /debug/pprof" },
  { name: "server.http.disable-support-bundle", type: "bool", default: false, help: "Do not serve /-/support" },
  {
    name: "server.http.enable-graphql",
    type: "bool",
    default: false,
    help: "Serve the GraphQL API",
    unsupported: "there is no GraphQL API; use the JSON API",
  },
  {
    name: "server.http.enable-graphql-playground",
    type: "bool",
    default: false,
    help: "Serve the GraphQL playground",
    unsupported: "there is no GraphQL API; use the JSON API",
  },
  cluster("enabled", "bool", false, "Start in clustered mode"),
  cluster("node-name", "string", "", "Name of this node"),
  cluster("advertise-address", "string", "", "Address that peers use"),
  cluster("join-addresses", "string", "", "Addresses to join"),
  cluster("discover-peers", "string", "", "How to find peers"),
  cluster("advertise-interfaces", "list", ["eth0", "en0"], "Interfaces to advertise"),
  cluster("rejoin-interval", "duration", "1m", "How often to rejoin peers"),
  cluster("max-join-peers", "int", 5, "Most peers to join"),
  cluster("name", "string", "", "Name of the cluster"),
  cluster("enable-tls", "bool", false, "Use TLS between peers"),
  cluster("tls-ca-path", "string", "", "CA certificate for peers"),
  cluster("tls-cert-path", "string", "", "Certificate for peers"),
  cluster("tls-key-path", "string", "", "Key for peers"),
  cluster("tls-server-name", "string", "", "Server name for peers"),
  cluster("wait-for-size", "int", 0, "Nodes to wait for"),
  cluster("wait-timeout", "duration", "0s", "Longest wait for nodes"),
  {
    name: "cluster.use-discovery-v1",
    type: "bool",
    default: false,
    help: "Deprecated in Alloy",
    ignored: "Alloy has deprecated it",
  },
  ...FORMAT_FLAGS,
  { name: "config.watch", type: "bool", default: false, help: "Reload when a configuration file changes" },
  { name: "disable-reporting", type: "bool", default: false, help: "Do not report usage; Invar never reports any" },
  { name: "storage.path", type: "string", default: "data-alloy/", help: "Folder for queues and positions" },
  ...FEATURE_FLAGS,
  {
    name: "workers",
    type: "int",
    default: 0,
    help: "Threads for heavy log pipelines, beside the main one; they start when there is enough to do",
  },
  {
    name: "windows.priority",
    type: "string",
    default: "normal",
    help: "Process priority on Windows",
    unsupported: "Windows is not supported yet",
  },
  {
    name: "feature.component-shutdown-deadline",
    type: "duration",
    default: "10m",
    help: "Longest time that components may take to hand on data at shutdown",
  },
  {
    name: "feature.prometheus.direct-fanout.enabled",
    type: "bool",
    default: false,
    help: "Experimental in Alloy",
    ignored: "samples always go straight to their consumers",
  },
  {
    name: "feature.prometheus.metric-validation-scheme",
    type: "bool",
    default: false,
    help: "Deprecated in Alloy",
    ignored: "Alloy has deprecated it",
  },
];
