import { JaegerEncoder } from "#formats/jaeger/encode";
import { LOG, RESOURCE, SPAN } from "#formats/otlp/fields";
import { requestToJson } from "#formats/otlp/json";
import { joinParts, type OtlpKind } from "#formats/otlp/otlp";
import { splitRequest } from "#formats/otlp/split";
import { htmlJson } from "#formats/otlp/value-text";
import { AttributeKey } from "#formats/otlp/values";
import { ZipkinEncoder } from "#formats/zipkin/encode";
import type { KafkaHeader, KafkaRecord } from "#kits/kafka/record-writer";
import { mapHash } from "#kits/otelcol/identity";
import { RequestPartition } from "#kits/otelcol/partition";
import type { OtlpBatch } from "#pipeline/batch";
import type { Encoding, KafkaExporterArguments } from "./arguments.ts";

/** A message with what of a request is in it. */
export interface Message extends KafkaRecord {
  /** The items of the request that are in the message. */
  readonly items: number;
}

/** The messages for a request. */
export interface Encoded {
  readonly messages: readonly Message[];
  /** Spans that the encoding cannot hold. */
  readonly unencodable: number;
}

interface Target {
  readonly topic: string;
  readonly key: Buffer | undefined;
}

/** Room in a message for its key and headers, beside the request. */
const ENVELOPE_BYTES = 4096;
const DEFAULT_TOPICS: Readonly<Record<OtlpKind, string>> = {
  traces: "otlp_spans",
  metrics: "otlp_metrics",
  logs: "otlp_logs",
};

/** Where messages of one signal go and what they hold. Matches kafka_exporter.go of the Collector's kafkaexporter. */
export class MessageMaker {
  readonly #args: KafkaExporterArguments;
  readonly #kind: OtlpKind;
  readonly #topic: string;
  readonly encoding: Encoding;
  readonly #attribute: AttributeKey | undefined;
  readonly #partition = new RequestPartition();
  readonly #jaeger = new JaegerEncoder();
  readonly #zipkin = new ZipkinEncoder();

  constructor(args: KafkaExporterArguments, kind: OtlpKind) {
    this.#args = args;
    this.#kind = kind;
    const own = args[kind];
    // The old arguments count where the signal has no block.
    this.#topic = (own === undefined ? args.topic : own.topic) || DEFAULT_TOPICS[kind];
    this.encoding = ((own === undefined ? args.encoding : own.encoding) || "otlp_proto") as Encoding;
    this.#attribute = args.topic_from_attribute === "" ? undefined : new AttributeKey(args.topic_from_attribute);
  }

  /** Throws ProtobufError for what is no request. */
  make(batch: OtlpBatch): Encoded {
    const headers = this.#headers(batch);
    const messages: Message[] = [];
    let unencodable = 0;
    for (const { target, bytes, items } of this.#requests(batch)) {
      if (this.encoding === "raw") this.#raw(bytes, target, headers, messages);
      else if (this.#isJaeger) this.#spans(bytes, target, headers, messages);
      else unencodable += this.#whole(bytes, items, target, headers, messages);
    }
    return { messages, unencodable };
  }

  get #isJaeger(): boolean {
    return this.encoding === "jaeger_proto" || this.encoding === "jaeger_json";
  }

  /** A request in a message, or in several if it would be too large for one. Returns the spans that it cannot hold. */
  #whole(bytes: Uint8Array, items: number, target: Target, headers: readonly KafkaHeader[], into: Message[]): number {
    const encoded = this.#encoded(bytes);
    const { max_message_bytes: most } = this.#args.producer;
    if (encoded.value.length + ENVELOPE_BYTES > most && items > 1) {
      const half = Math.ceil(items / 2);
      const chunks = splitRequest(this.#kind, bytes, half, half);
      if (chunks.length > 1) {
        return chunks.reduce((sum, chunk) => sum + this.#whole(chunk.bytes, chunk.items, target, headers, into), 0);
      }
    }
    const { value, unencodable } = encoded;
    if (unencodable < items || items === 0) into.push({ ...target, value, headers, items: items - unencodable });
    return unencodable;
  }

  #encoded(bytes: Uint8Array): { value: Uint8Array; unencodable: number } {
    switch (this.encoding) {
      case "zipkin_proto":
      case "zipkin_json": {
        const { message, refused } = this.#zipkin.encode(bytes, this.encoding === "zipkin_json" ? "json" : "proto");
        return { value: message, unencodable: refused };
      }
      case "otlp_json":
        return { value: Buffer.from(requestToJson(this.#kind, [bytes])), unencodable: 0 };
      default:
        return { value: bytes, unencodable: 0 };
    }
  }

  /** A message for each span, with its trace as the key. */
  #spans(bytes: Uint8Array, { topic, key }: Target, headers: readonly KafkaHeader[], into: Message[]): void {
    this.#jaeger.encode(bytes, this.encoding === "jaeger_json" ? "json" : "proto", (traceId, value) => {
      into.push({ topic, key: key ?? Buffer.from(traceId), value, headers, items: 1 });
    });
  }

  /** A message for each body that is not empty. */
  #raw(bytes: Uint8Array, target: Target, headers: readonly KafkaHeader[], into: Message[]): void {
    const partition = this.#partition;
    partition.read(this.#kind, bytes);
    for (let e = 0; e < partition.index.entries; e++) {
      const body = partition.entry(e).any(LOG.body).value;
      if (body === undefined) continue;
      const value = body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(htmlJson(body));
      if (value.length > 0) into.push({ ...target, value, headers, items: 1 });
    }
    partition.clear();
  }

  /** The request in parts by topic and key. */
  #requests(batch: OtlpBatch): { target: Target; bytes: Uint8Array; items: number }[] {
    const args = this.#args;
    const bytes = joinParts(batch.parts);
    const fixed = this.#fixedTopic(batch);
    const key = this.#metadataKey(batch);
    const byResource =
      (this.#kind === "metrics" && args.partition_metrics_by_resource_attributes) ||
      (this.#kind === "logs" && args.partition_logs_by_resource_attributes);
    const byTrace =
      (this.#kind === "traces" && args.partition_traces_by_id && !this.#isJaeger) ||
      (this.#kind === "logs" && args.partition_logs_by_trace_id);
    const byTopic = fixed === undefined && this.#attribute !== undefined;
    if (!byResource && !byTrace && !byTopic) {
      return [{ target: { topic: fixed ?? this.#topic, key }, bytes, items: batch.items }];
    }
    const partition = this.#partition;
    partition.read(this.#kind, bytes);
    const targets: Target[] = [];
    const numbers = new Map<string, number>();
    const numberOf = (topic: string, own: Buffer | undefined) => {
      const name = `${own?.toString("latin1") ?? "-"} ${own === undefined} ${topic}`;
      let number = numbers.get(name);
      if (number === undefined) {
        numbers.set(name, (number = targets.length));
        targets.push({ topic, key: own });
      }
      return number;
    };
    const { resources, resourceScopes, scopeEntries } = partition.index;
    for (let r = 0; r < resources; r++) {
      const attributes = partition.resource(r).map(RESOURCE.attributes);
      const named = byTopic ? attributes.get(this.#attribute!) : undefined;
      const topic = fixed ?? (typeof named === "string" && named !== "" ? named : this.#topic);
      if (!byTrace) {
        partition.setResource(r, numberOf(topic, byResource ? Buffer.from(mapHash(attributes)) : key));
        continue;
      }
      const field = this.#kind === "traces" ? SPAN.traceId : LOG.traceId;
      for (let e = scopeEntries[resourceScopes[r]!]!; e < scopeEntries[resourceScopes[r + 1]!]!; e++) {
        const id = Buffer.from(partition.entry(e).bytes(field));
        const isEmpty = id.every((byte) => byte === 0);
        // As in the Collector: spans without a trace have an empty key, log records have none.
        const own = isEmpty && this.#kind === "logs" ? undefined : Buffer.from(isEmpty ? "" : id.toString("hex"));
        partition.groups[e] = numberOf(topic, own);
      }
    }
    const written = partition.write(targets.length);
    partition.clear();
    return written.flatMap((chunk, i) => (chunk === undefined ? [] : [{ target: targets[i]!, ...chunk }]));
  }

  #fixedTopic({ clientMetadata }: OtlpBatch): string | undefined {
    const from = this.#args[this.#kind]?.topic_from_metadata_key;
    return from ? clientMetadata?.get(from.toLowerCase())?.[0] : undefined;
  }

  #metadataKey({ clientMetadata }: OtlpBatch): Buffer | undefined {
    const from = this.#args[this.#kind]?.message_key_from_metadata_key;
    const value = from ? clientMetadata?.get(from.toLowerCase())?.[0] : undefined;
    return value ? Buffer.from(value) : undefined;
  }

  #headers({ clientMetadata }: OtlpBatch): KafkaHeader[] {
    return this.#args.include_metadata_keys.flatMap((name) =>
      (clientMetadata?.get(name.toLowerCase()) ?? []).map((value) => ({ name, value: Buffer.from(value) })),
    );
  }
}
