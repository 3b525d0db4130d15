import type { OtlpKind } from "#formats/otlp/otlp";
import { brokerAddressProblem } from "#kits/kafka/cluster";
import type { KafkaSecurity, KafkaTlsSource } from "#kits/kafka/connection";
import { KafkaError } from "#kits/kafka/errors";
import { kafkaVersionProblem } from "#kits/kafka/messages";
import type { PartitionerName } from "#kits/kafka/partitioner";
import { KAFKA_COMPRESSIONS } from "#kits/kafka/record-writer";
import type { SaslMechanism } from "#kits/kafka/sasl";
import { debugMetricsSchema, queueSchema, retrySchema } from "#kits/otelcol/schema";
import { loadClientTls, type TlsClientArguments, tlsClientSchema } from "#kits/otelcol/tls";
import { type Infer, s } from "#lang/schema";

/** Matches internal/component/otelcol/exporter/kafka and config_kafka.go of Alloy. */

const OTLP_ENCODINGS = ["otlp_proto", "otlp_json"] as const;
/** What messages of a signal can hold: as getTracesMarshaler … of the Collector's kafkaexporter. */
export const ENCODINGS = {
  logs: [...OTLP_ENCODINGS, "raw"],
  metrics: OTLP_ENCODINGS,
  traces: [...OTLP_ENCODINGS, "jaeger_proto", "jaeger_json", "zipkin_proto", "zipkin_json"],
} as const satisfies Readonly<Record<OtlpKind, readonly string[]>>;
export type Encoding = (typeof ENCODINGS)[OtlpKind][number];
const MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const;
const LARGEST = 2 ** 31 - 1;
const LEAST_WRITE_BYTES = 100 << 20;

/** Without a signal for all of them at once: each takes what it can have, and refuses data otherwise. */
function encodingProblem(encoding: string, kind: OtlpKind | undefined): string | undefined {
  const known = new Set<string>(kind === undefined ? Object.values(ENCODINGS).flat() : ENCODINGS[kind]);
  if (encoding === "" || known.has(encoding)) return undefined;
  return `is "${encoding}", which ${kind ?? "no signal"} can${kind === undefined ? "" : "not"} have: use ${[...known].join(" or ")}`;
}

const signalSchema = (signal: OtlpKind, topic: string) =>
  s
    .object({
      topic: s.string().default(topic).doc(`Topic for ${signal}.`),
      topic_from_metadata_key: s.string().default("").doc("Client metadata that names the topic, if it is there."),
      encoding: s
        .string()
        .default("otlp_proto")
        .doc(`How ${signal} are encoded: ${ENCODINGS[signal].join(", ")}.`),
      message_key_from_metadata_key: s.string().default("").doc("Client metadata that is the messages' key."),
    })
    .rule(
      "encoding",
      (a) => encodingProblem(a.encoding, signal) === undefined,
      (a) => encodingProblem(a.encoding, signal)!,
    );

const saslSchema = s
  .object({
    username: s.string().doc("User name."),
    password: s.secret().doc("Password."),
    mechanism: s.string().doc(`SASL mechanism: ${MECHANISMS.join(", ")}.`),
    version: s
      .int()
      .default(0)
      .doc("Version of the SASL protocol.")
      .withoutEffect("the newest that the broker knows is used"),
    aws_msk: s
      .block(s.object({ region: s.string().doc("AWS region.") }))
      .unsupported("logins by AWS IAM are not supported: use SCRAM-SHA-512 with MSK")
      .doc("For the mechanism AWS_MSK_IAM_OAUTHBEARER."),
  })
  .rule(
    "mechanism",
    (a) => MECHANISMS.some((each) => each === a.mechanism),
    (a) => `is "${a.mechanism}": use ${MECHANISMS.join(", ")}`,
  )
  // As SASLConfig.Validate in pkg/kafka/configkafka of the Collector.
  .rule("username", (a) => a.username !== "", "must not be empty")
  .rule("password", (a) => a.password.reveal() !== "", "must not be empty");

const authenticationSchema = s
  .object({
    plaintext: s
      .block(s.object({ username: s.string().doc("User name."), password: s.secret().doc("Password.") }))
      .doc("Login by SASL PLAIN."),
    sasl: s.block(saslSchema).doc("Login by SASL."),
    tls: s.block(tlsClientSchema).doc("TLS towards brokers; the block `tls` beside `authentication` comes first."),
    kerberos: s
      .block(
        s.object({
          service_name: s.string().default("").doc("Kerberos service."),
          realm: s.string().default("").doc("Kerberos realm."),
          use_keytab: s.bool().default(false).doc("Use a keytab."),
          username: s.string().doc("User name."),
          password: s.secret().default("").doc("Password."),
          config_file: s.string().default("").doc("Path of krb5.conf."),
          keytab_file: s.string().default("").doc("Path of the keytab."),
          disable_fast_negotiation: s.bool().default(false).doc("Without PA-FX-FAST."),
        }),
      )
      .unsupported("Kerberos is not supported: use `sasl`")
      .doc("Login by Kerberos."),
  })
  .rule(
    "plaintext",
    (a) => a.plaintext === undefined || a.sasl === undefined,
    "cannot be beside `sasl`: leave one of them",
  );

const metadataSchema = s.object({
  full: s.bool().default(true).doc("Ask for all topics.").withoutEffect("topics are asked for that data goes to"),
  refresh_interval: s.duration().default("10m").doc("How old what is known of a topic may become."),
  retry: s
    .block(
      s.object({
        max_retries: s.int(0).default(3).doc("How often a topic without a leader is asked for again."),
        backoff: s.duration().default("250ms").doc("Pause before it is."),
      }),
    )
    .presentByDefault()
    .doc("What is done while a topic has no leader."),
});

const producerSchema = s
  .object({
    max_message_bytes: s.int(0, LARGEST).default(1_000_000).doc("Largest size of messages and of batches of them."),
    max_broker_write_bytes: s
      .int(LEAST_WRITE_BYTES, LARGEST)
      .default(LEAST_WRITE_BYTES)
      .doc("Largest size of a request.")
      .withoutEffect("a request has one batch of at most `max_message_bytes`"),
    required_acks: s
      .int(-1, 1)
      .default(1)
      .doc("Who must have a message: 1 the leader, -1 all replicas in sync, 0 nobody."),
    compression: s.oneOf(KAFKA_COMPRESSIONS).default("none").doc("How batches are packed."),
    flush_max_messages: s.int(1).default(10_000).doc("Most messages that wait to be sent."),
    allow_auto_topic_creation: s.bool().default(true).doc("Make topics that are not there, where brokers allow it."),
    linger: s.duration().default("10ms").doc("Time that a batch waits for more messages."),
    compression_params: s
      .block(s.object({ level: s.int().default(0).doc("Level of the compression; 0 for its default.") }))
      .presentByDefault()
      .doc("How hard to compress."),
  })
  .rule(
    "compression_params",
    (a) => levelFits(a.compression, a.compression_params.level),
    "has a level that the compression does not know",
  );

function levelFits(compression: string, level: number): boolean {
  if (level === 0 || level === -1 || compression === "none") return true;
  if (compression === "gzip") return level >= 1 && level <= 9;
  return compression === "zstd" && level >= 1 && level <= 22;
}

const partitionerSchema = s
  .object({
    round_robin: s.bool().default(false).doc("One partition after the other, whatever the key."),
    least_backup: s.bool().default(false).doc("The partition for which the fewest messages wait."),
    sticky_key: s
      .block(
        s.object({ hasher: s.oneOf(["sarama_compat", "murmur2"]).default("sarama_compat").doc("Hash of the key.") }),
      )
      .doc("By the key; messages without one go where the batch goes."),
  })
  .rule(
    "round_robin",
    (a) => [a.round_robin, a.least_backup, a.sticky_key !== undefined].filter(Boolean).length <= 1,
    "cannot be beside `least_backup` or `sticky_key`: leave one of them",
  );

export const kafkaExporterSchema = s
  .object({
    protocol_version: s.string().doc("Newest version of Kafka's protocol to speak, such as `2.1.0`."),
    brokers: s.list(s.string()).default(["localhost:9092"]).doc("Brokers to ask first, as `host:port`."),
    resolve_canonical_bootstrap_servers_only: s
      .bool()
      .default(false)
      .deprecated("it has no effect")
      .doc("Resolve brokers to their names.")
      .withoutEffect("names of brokers are used as they are, as in Alloy"),
    client_id: s.string().default("otel-collector").doc("Shown in the brokers' logs and metrics."),
    topic: s
      .string()
      .default("")
      .deprecated("use the blocks `logs`, `metrics` and `traces`")
      .doc("Topic of all signals."),
    topic_from_attribute: s.string().default("").doc("Attribute of resources that names the topic, if it is there."),
    encoding: s
      .string()
      .default("otlp_proto")
      .deprecated("use the blocks `logs`, `metrics` and `traces`")
      .doc("How all signals are encoded."),
    partition_traces_by_id: s
      .bool()
      .default(false)
      .doc("A message for each trace, with its id as the key; messages of Jaeger are spans, with that key anyway."),
    partition_metrics_by_resource_attributes: s
      .bool()
      .default(false)
      .doc("A message for each resource, with a hash of its attributes as the key."),
    partition_logs_by_resource_attributes: s.bool().default(false).doc("The same for logs."),
    partition_logs_by_trace_id: s
      .bool()
      .default(false)
      .doc("A message for the logs of each trace, with its id as the key."),
    timeout: s.duration().default("5s").doc("Time for a request to be answered."),
    conn_idle_timeout: s.duration().default("9m").doc("Time after which connections are closed that are not used."),
    include_metadata_keys: s.list(s.string()).default([]).doc("Client metadata that become headers of messages."),
    logs: s.block(signalSchema("logs", "otlp_logs")).doc("How logs are sent."),
    metrics: s.block(signalSchema("metrics", "otlp_metrics")).doc("How metrics are sent."),
    traces: s.block(signalSchema("traces", "otlp_spans")).doc("How traces are sent."),
    authentication: s.block(authenticationSchema).presentByDefault().doc("How to log in."),
    metadata: s.block(metadataSchema).presentByDefault().doc("What is asked about topics."),
    retry_on_failure: s.block(retrySchema).presentByDefault().doc("How failed requests are repeated."),
    sending_queue: s.block(queueSchema).presentByDefault().doc("What waits to be sent."),
    producer: s.block(producerSchema).presentByDefault().doc("How messages are sent."),
    record_partitioner: s.block(partitionerSchema).presentByDefault().doc("Which partition a message goes to."),
    tls: s
      .block(tlsClientSchema)
      .doc("TLS towards brokers. Files are read for each connection, whatever `reload_interval` says."),
    debug_metrics: s.block(debugMetricsSchema).presentByDefault().doc("How detailed the self metrics are."),
  })
  .rule(
    "protocol_version",
    (a) => kafkaVersionProblem(a.protocol_version) === undefined,
    (a) => kafkaVersionProblem(a.protocol_version)!,
  )
  .rule("brokers", (a) => a.brokers.length > 0, "must name at least one broker")
  .rule(
    "brokers",
    (a) => a.brokers.every((each) => brokerAddressProblem(each) === undefined),
    (a) => a.brokers.map(brokerAddressProblem).find((each) => each !== undefined)!,
  )
  .rule(
    "encoding",
    (a) => encodingProblem(a.encoding, undefined) === undefined,
    (a) => encodingProblem(a.encoding, undefined)!,
  )
  .rule(
    "partition_logs_by_trace_id",
    (a) => !a.partition_logs_by_trace_id || !a.partition_logs_by_resource_attributes,
    "cannot be together with `partition_logs_by_resource_attributes`",
  )
  .rule(
    "partition_traces_by_id",
    (a) => !a.partition_traces_by_id || !a.traces?.message_key_from_metadata_key,
    "cannot be together with `message_key_from_metadata_key` of `traces`",
  )
  .rule(
    "partition_metrics_by_resource_attributes",
    (a) => !a.partition_metrics_by_resource_attributes || !a.metrics?.message_key_from_metadata_key,
    "cannot be together with `message_key_from_metadata_key` of `metrics`",
  )
  .rule(
    "logs.message_key_from_metadata_key",
    (a) =>
      !a.logs?.message_key_from_metadata_key ||
      !(a.partition_logs_by_resource_attributes || a.partition_logs_by_trace_id),
    "cannot be together with a partitioning of logs",
  )
  // Batches are merged from requests of several clients, of which each may have metadata of its own.
  .rule(
    "sending_queue.batch",
    (a) => !a.sending_queue.enabled || a.sending_queue.batch === undefined || !usesMetadata(a),
    "cannot be together with client metadata (include_metadata_keys, topic_from_metadata_key, message_key_from_metadata_key)",
  );

interface MetadataUsers {
  readonly include_metadata_keys: readonly string[];
  readonly logs?: MetadataKeys | undefined;
  readonly metrics?: MetadataKeys | undefined;
  readonly traces?: MetadataKeys | undefined;
}
interface MetadataKeys {
  readonly topic_from_metadata_key: string;
  readonly message_key_from_metadata_key: string;
}
function usesMetadata({ include_metadata_keys, logs, metrics, traces }: MetadataUsers): boolean {
  return (
    include_metadata_keys.length > 0 ||
    [logs, metrics, traces].some((each) => each?.topic_from_metadata_key || each?.message_key_from_metadata_key)
  );
}

export type KafkaExporterArguments = Infer<typeof kafkaExporterSchema>;

export function partitionerOf({
  round_robin,
  least_backup,
  sticky_key,
}: KafkaExporterArguments["record_partitioner"]): PartitionerName {
  if (round_robin) return "round_robin";
  return least_backup ? "least_backup" : (sticky_key?.hasher ?? "sarama_compat");
}

/** How to reach brokers by these arguments. */
export function securityOf({ authentication, tls }: KafkaExporterArguments): KafkaSecurity {
  const { plaintext, sasl } = authentication;
  const login = sasl ?? plaintext;
  return {
    tls: tlsOf(tls ?? authentication.tls),
    sasl: login && {
      mechanism: (sasl?.mechanism ?? "PLAIN") as SaslMechanism,
      user: login.username,
      password: () => login.password.reveal(),
      token: async () => {
        throw new KafkaError("configuration", "there are no tokens to log in with");
      },
    },
  };
}

/** As in the Collector, `insecure` counts only without an authority. The files are read for each connection. */
function tlsOf(args: TlsClientArguments | undefined): KafkaTlsSource | undefined {
  if (args === undefined || (args.insecure && args.ca_file === "" && args.ca_pem === "")) return undefined;
  return { current: () => loadClientTls(args) };
}
