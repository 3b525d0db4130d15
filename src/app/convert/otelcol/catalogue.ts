import type { BodyRules } from "./body.ts";
import * as connectors from "./connectors.ts";
import * as exporters from "./exporters.ts";
import * as extensions from "./extensions.ts";
import * as processors from "./processors.ts";
import * as receivers from "./receivers.ts";
import { RESOURCE } from "./resource-processor.ts";

export type Kind = "receiver" | "processor" | "exporter" | "connector" | "extension";
export type Signal = "metrics" | "logs" | "traces";
export const SIGNALS: readonly Signal[] = ["metrics", "logs", "traces"];

/** A type of the Collector's components that becomes a component here. */
export interface Entry {
  readonly component: string;
  /** What it takes; of receivers what they give. */
  readonly signals: readonly Signal[];
  /** What a connector gives. */
  readonly gives?: readonly Signal[];
  readonly rules: BodyRules;
}

const ALL = SIGNALS;
const TRACES: readonly Signal[] = ["traces"];
const METRICS: readonly Signal[] = ["metrics"];

type Row = readonly [types: string, component: string, signals: readonly Signal[], rules?: BodyRules];

const RECEIVERS: readonly Row[] = [
  ["otlp", "otelcol.receiver.otlp", ALL, receivers.OTLP],
  ["jaeger", "otelcol.receiver.jaeger", TRACES, receivers.JAEGER],
  ["zipkin", "otelcol.receiver.zipkin", TRACES, receivers.ZIPKIN],
];

const PROCESSORS: readonly Row[] = [
  ["attributes", "otelcol.processor.attributes", ALL, processors.ATTRIBUTES],
  ["batch", "otelcol.processor.batch", ALL, processors.BATCH],
  [
    "cumulativetodelta cumulative_to_delta",
    "otelcol.processor.cumulativetodelta",
    METRICS,
    processors.CUMULATIVE_TO_DELTA,
  ],
  ["deltatocumulative delta_to_cumulative", "otelcol.processor.deltatocumulative", METRICS],
  ["filter", "otelcol.processor.filter", ALL, processors.FILTER],
  ["groupbyattrs", "otelcol.processor.groupbyattrs", ALL],
  ["interval", "otelcol.processor.interval", METRICS, processors.INTERVAL],
  ["memory_limiter", "otelcol.processor.memory_limiter", ALL, processors.MEMORY_LIMITER],
  ["metricstarttime metric_start_time", "otelcol.processor.metric_start_time", METRICS],
  ["probabilistic_sampler", "otelcol.processor.probabilistic_sampler", ["logs", "traces"]],
  ["redaction", "otelcol.processor.redaction", ALL],
  ["resource", "otelcol.processor.transform", ALL, RESOURCE],
  ["resourcedetection resource_detection", "otelcol.processor.resourcedetection", ALL, processors.RESOURCE_DETECTION],
  ["span", "otelcol.processor.span", TRACES, processors.SPAN],
  ["tail_sampling", "otelcol.processor.tail_sampling", TRACES, processors.TAIL_SAMPLING],
  ["transform", "otelcol.processor.transform", ALL, processors.TRANSFORM],
];

const EXPORTERS: readonly Row[] = [
  ["debug", "otelcol.exporter.debug", ALL, exporters.DEBUG],
  ["logging", "otelcol.exporter.debug", ALL, exporters.LOGGING],
  ["otlp otlp_grpc", "otelcol.exporter.otlp", ALL, exporters.OTLP_GRPC],
  ["otlphttp otlp_http", "otelcol.exporter.otlphttp", ALL, exporters.OTLP_HTTP],
  ["loadbalancing load_balancing", "otelcol.exporter.loadbalancing", ALL, exporters.LOAD_BALANCING],
  ["file", "otelcol.exporter.file", ALL, exporters.FILE],
  ["kafka", "otelcol.exporter.kafka", ALL, exporters.KAFKA],
];

const CONNECTORS: readonly Row[] = [
  ["count", "otelcol.connector.count", ALL, connectors.COUNT],
  ["servicegraph service_graph", "otelcol.connector.servicegraph", TRACES, connectors.SERVICE_GRAPH],
  ["spanmetrics span_metrics", "otelcol.connector.spanmetrics", TRACES, connectors.SPAN_METRICS],
];

const EXTENSIONS: readonly Row[] = [
  ["basicauth", "otelcol.auth.basic", []],
  ["bearertokenauth", "otelcol.auth.bearer", [], extensions.BEARER],
  ["headers_setter", "otelcol.auth.headers", [], extensions.HEADERS],
  ["oauth2client", "otelcol.auth.oauth2", []],
  ["sigv4auth", "otelcol.auth.sigv4", [], extensions.SIGV4],
  ["googleclientauth", "otelcol.auth.google", []],
  ["file_storage", "otelcol.storage.file", [], extensions.FILE_STORAGE],
  ["jaegerremotesampling", "otelcol.extension.jaeger_remote_sampling", [], extensions.JAEGER_REMOTE_SAMPLING],
];

export const ENTRIES: Readonly<Record<Kind, ReadonlyMap<string, Entry>>> = {
  receiver: table(RECEIVERS),
  processor: table(PROCESSORS),
  exporter: table(EXPORTERS),
  connector: table(CONNECTORS, METRICS),
  extension: table(EXTENSIONS),
};

function table(rows: readonly Row[], gives?: readonly Signal[]): ReadonlyMap<string, Entry> {
  return new Map(
    rows.flatMap(([types, component, signals, rules = {}]) => {
      const entry: Entry = { component, signals, rules, ...(gives === undefined ? {} : { gives }) };
      return types.split(" ").map((type) => [type, entry] as const);
    }),
  );
}

/** The connector that only joins pipelines: it needs no component. */
export const FORWARD = "forward";

/** Components of Alloy's that this agent does not have yet, by the kind and type of the Collector's. */
export const LATER: ReadonlyMap<string, string> = new Map(
  [
    "receiver awscloudwatch",
    "receiver aws_cloudwatch>awscloudwatch",
    "receiver awsecscontainermetrics",
    "receiver awss3",
    "receiver cloudflare",
    "receiver datadog",
    "receiver faro",
    "receiver filelog",
    "receiver file_log>filelog",
    "receiver filestats>file_stats",
    "receiver file_stats",
    "receiver fluentforward",
    "receiver fluent_forward>fluentforward",
    "receiver googlecloudpubsub",
    "receiver influxdb",
    "receiver kafka",
    "receiver nginx",
    "receiver solace",
    "receiver splunk_hec>splunkhec",
    "receiver syslog",
    "receiver tcplog",
    "receiver tcp_log>tcplog",
    "receiver vcenter",
    "processor k8sattributes",
    "processor k8s_attributes>k8sattributes",
    "exporter awss3",
    "exporter datadog",
    "exporter faro",
    "exporter googlecloud",
    "exporter googlecloudpubsub",
    "exporter splunk_hec>splunkhec",
    "exporter syslog",
    "connector signaltometrics",
    "connector signal_to_metrics>signaltometrics",
  ].map((each) => {
    const [collector = "", name = collector.split(" ")[1]] = each.split(">");
    return [collector, `otelcol.${collector.split(" ")[0]}.${name}`];
  }),
);

/** What to use instead of what has no counterpart. */
const INSTEAD: ReadonlyMap<string, string> = new Map([
  [
    "receiver prometheus",
    "convert its config with --source-format=prometheus, and forward to an otelcol.receiver.prometheus",
  ],
  ["receiver hostmetrics", "use prometheus.exporter.unix with a prometheus.scrape and an otelcol.receiver.prometheus"],
  ["receiver filelog", "use loki.source.file with an otelcol.receiver.loki"],
  ["receiver file_log", "use loki.source.file with an otelcol.receiver.loki"],
  ["receiver journald", "use loki.source.journal with an otelcol.receiver.loki"],
  ["receiver kafka", "for logs use loki.source.kafka with an otelcol.receiver.loki"],
  ["receiver syslog", "use loki.source.syslog with an otelcol.receiver.loki"],
  ["receiver opencensus", "send OTLP instead"],
  ["processor routing", "use one otelcol.processor.filter for each way"],
  ["exporter prometheusremotewrite", "use otelcol.exporter.prometheus with a prometheus.remote_write"],
  ["exporter prometheus", "use otelcol.exporter.prometheus with a prometheus.remote_write"],
  ["exporter loki", "send OTLP to Loki with otlphttp, or use otelcol.exporter.loki with a loki.write"],
  ["exporter zipkin", "send OTLP, which Zipkin's successors take"],
  ["exporter jaeger", "send OTLP, which Jaeger takes itself"],
  ["connector routing", "use one otelcol.processor.filter for each way"],
]);

/** Why a component is left out, and what to do. */
export function advice(kind: Kind, type: string): string {
  const instead = INSTEAD.get(`${kind} ${type}`);
  const todo = instead === undefined ? "" : `; ${instead}`;
  const later = LATER.get(`${kind} ${type}`);
  const why =
    later === undefined
      ? `there is no component for this ${kind}, in Alloy neither`
      : `Alloy has ${later} for this ${kind}, and Invar gets it in a later release`;
  return `${why}; it is left out${todo}`;
}

/** Extensions that are about the Collector's own process, with what the agent has of them. */
export const OWN_SERVICES: ReadonlyMap<string, string> = new Map([
  [
    "health_check",
    "the agent always answers /-/ready and /-/healthy where its interface is (--server.http.listen-addr)",
  ],
  [
    "healthcheckv2",
    "the agent always answers /-/ready and /-/healthy where its interface is (--server.http.listen-addr)",
  ],
  ["pprof", "the agent always answers /debug/pprof/ where its interface is (--server.http.listen-addr)"],
  ["zpages", "the agent's interface (--server.http.listen-addr) shows its pipelines, live"],
  ["memory_ballast", "the agent needs no ballast, and the Collector none any more"],
]);
