import type { OtlpKind } from "#formats/otlp/otlp";
import { ProtobufError } from "#formats/protobuf";
import type { KafkaError } from "#kits/kafka/errors";
import { type FailedRecord, KafkaProducer } from "#kits/kafka/producer";
import type { SendResult } from "#kits/otelcol/delivery";
import { exporterInstruments, exporterMetrics } from "#kits/otelcol/metrics";
import { SendError } from "#kits/otelcol/retry";
import { inputExports } from "#kits/otelcol/schema";
import { OtlpSender, type SenderOptions } from "#kits/otelcol/sender";
import type { OtlpBatch } from "#pipeline/batch";
import { type ComponentContext, defineComponent } from "#pipeline/component";
import { PermanentError } from "#pipeline/errors";
import {
  ENCODINGS,
  type Encoding,
  type KafkaExporterArguments,
  kafkaExporterSchema,
  partitionerOf,
  securityOf,
} from "./arguments.ts";
import { type Encoded, type Message, MessageMaker } from "./messages.ts";

export default defineComponent({
  name: "otelcol.exporter.kafka",
  stability: "generally-available",
  summary: "Sends traces, metrics and logs to Kafka.",
  example: `otelcol.exporter.kafka "default" {
  protocol_version = "2.1.0"
  brokers          = ["kafka-1.example.com:9092"]
}`,
  args: kafkaExporterSchema,
  exports: inputExports,
  metrics: exporterMetrics,

  start(ctx, first) {
    let backend = new Backend(ctx, first);
    const options = (): SenderOptions => ({
      queue: backend.args.sending_queue,
      retry: backend.args.retry_on_failure,
      destination: backend.args.brokers.join(", "),
      send: (batch, signal) => backend.send(batch, signal),
    });
    const sender = new OtlpSender(ctx, exporterInstruments(ctx.metrics, `kafka/${ctx.id}`), options());
    ctx.stack.defer(async () => {
      await sender.close();
      backend.close();
    });
    ctx.export({
      input: ctx.receiver(
        "otlp",
        (batch, signal) => {
          backend.refuseUnencodable(batch.kind);
          return sender.consume(batch, signal);
        },
        { mutates: false },
      ),
    });
    return {
      update(next) {
        const old = backend;
        backend = new Backend(ctx, next);
        sender.configure(options());
        // Requests under way end with the old one.
        ctx.run(async (signal) => {
          await ctx.clock.sleep(old.args.timeout, signal).catch(() => {});
          old.close();
        });
      },
      drain: (deadline) => sender.drain(deadline),
    };
  },
});

/** The brokers, and what messages to them look like, as the arguments say. */
class Backend {
  readonly args: KafkaExporterArguments;
  readonly #producer: KafkaProducer;
  readonly #makers: Readonly<Record<OtlpKind, MessageMaker>>;
  /** What brokers did not take of requests that are tried again. */
  readonly #left = new WeakMap<OtlpBatch, Encoded>();

  constructor(ctx: Pick<ComponentContext, "clock">, args: KafkaExporterArguments) {
    this.args = args;
    const { producer, metadata } = args;
    this.#producer = new KafkaProducer({
      brokers: args.brokers,
      security: securityOf(args),
      clientId: args.client_id,
      version: args.protocol_version,
      clock: ctx.clock,
      acks: producer.required_acks,
      timeoutMs: args.timeout,
      compression: producer.compression,
      level: producer.compression_params.level,
      maxMessageBytes: producer.max_message_bytes,
      maxBufferedRecords: producer.flush_max_messages,
      lingerMs: producer.linger,
      makesTopics: producer.allow_auto_topic_creation,
      partitioner: partitionerOf(args.record_partitioner),
      metadataAgeMs: metadata.refresh_interval,
      metadataRetries: metadata.retry.max_retries,
      metadataPauseMs: metadata.retry.backoff,
      idleMs: args.conn_idle_timeout,
    });
    const maker = (kind: OtlpKind) => new MessageMaker(args, kind);
    this.#makers = { traces: maker("traces"), metrics: maker("metrics"), logs: maker("logs") };
  }

  refuseUnencodable(kind: OtlpKind): void {
    const { encoding } = this.#makers[kind];
    const known: readonly Encoding[] = ENCODINGS[kind];
    if (known.includes(encoding)) return;
    const right = encoding === "raw" ? "logs" : "traces";
    throw new PermanentError("encoding_unsupported", `the encoding ${encoding} is for ${right}, and not for ${kind}`);
  }

  /** One attempt; another with the same request is about what was not taken. */
  async send(request: OtlpBatch, signal: AbortSignal): Promise<SendResult> {
    let encoded = this.#left.get(request);
    try {
      encoded ??= this.#makers[request.kind].make(request);
    } catch (error) {
      if (!(error instanceof ProtobufError)) throw error;
      throw new SendError("malformed", error.message, { retryable: false, cause: error });
    }
    const { messages, unencodable } = encoded;
    const failed = await this.#producer.send(messages, signal);
    if (failed.length === 0) {
      const message = unencodable === 0 ? "" : "spans without a trace id or an id, which Zipkin cannot hold";
      return { rejected: unencodable, message, reason: "no_id" };
    }
    const passing = failed.filter(({ error }) => isRetryable(error));
    if (passing.length > 0) {
      // What is refused for good is told once what may pass has passed.
      this.#left.set(request, { messages: failed.map(({ record }) => record as Message), unencodable });
      const { error } = passing[0]!;
      const isRefusal = error.kind === "authentication" || error.kind === "authorization";
      throw new SendError(isRefusal ? "unauthorized" : "no_answer", error.message, { retryable: true, isRefusal });
    }
    return refused(failed, unencodable);
  }

  close(): void {
    this.#producer.close();
  }
}

function refused(failed: readonly FailedRecord[], unencodable: number): SendResult {
  const { error } = failed[0]!;
  const items = failed.reduce((sum, { record }) => sum + (record as Message).items, unencodable);
  return { rejected: items, message: error.message, reason: `kafka_${error.code}` };
}

/** Refused credentials and rights, and what is no Kafka at all, wait for somebody to act; what Kafka will never take does not. */
function isRetryable({ kind, code }: KafkaError): boolean {
  return kind !== "configuration" && (kind !== "protocol" || code === 0);
}
