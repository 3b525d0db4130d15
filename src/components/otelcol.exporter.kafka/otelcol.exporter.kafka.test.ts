import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { decodeArguments, startComponent } from "#pipeline/testing";
import { kafkaExporterSchema, partitionerOf } from "./arguments.ts";
import { MessageMaker } from "./messages.ts";
import exporter from "./otelcol.exporter.kafka.ts";

/** With a real broker: test/e2e/kafka.test.ts. */

const given = (text: string) =>
  decodeArguments({ name: "kafka", args: kafkaExporterSchema }, `protocol_version = "3.0.0"\n${text}`);

async function start(t: TestContext, config: string) {
  const component = await startComponent(exporter, `protocol_version = "3.0.0"\n${config}`);
  cleanUp(t, () => component.stop(100));
  return component;
}

function batch(kind: OtlpKind, plain: object, metadata: Readonly<Record<string, string[]>> = {}): OtlpBatch {
  const bytes = oracleEncode(kind, plain);
  const base = { signal: "otlp", kind, parts: [bytes], items: itemsOf(kind, bytes).length } as const;
  const clientMetadata = new Map(Object.entries(metadata));
  return { ...base, bytes: bytes.length, clientMetadata, acknowledgement: Acknowledgement.none };
}
const resource = (attributes: Readonly<Record<string, string>>) => ({
  attributes: Object.entries(attributes).map(([key, stringValue]) => ({ key, value: { stringValue } })),
});

test("messages by resource have a hash of its attributes as the key, whatever their order", () => {
  const maker = new MessageMaker(given("partition_logs_by_resource_attributes = true"), "logs");
  const group = (of: object, text: string) => ({
    resource: of,
    scopeLogs: [{ logRecords: [{ severityText: text }] }],
  });
  const messages = maker.make(
    batch("logs", {
      resourceLogs: [
        group(resource({ a: "1", b: "2" }), "one"),
        group(resource({}), "two"),
        group(resource({ b: "2", a: "1" }), "three"),
      ],
    }),
  );
  assert.equal(messages.length, 2);
  assert.deepEqual(
    messages.map(({ topic, items, key }) => [topic, items, Buffer.from(key!).toString("hex")]),
    [
      ["otlp_logs", 2, Buffer.from(messages[0]!.key!).toString("hex")],
      ["otlp_logs", 1, "0".repeat(32)],
    ],
  );
  assert.notEqual(Buffer.from(messages[0]!.key!).toString("hex"), "0".repeat(32));
});

test("traces by id: a message for each, spans without an id under an empty key; logs without one have none", () => {
  const id = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex").toString("base64");
  const traces = new MessageMaker(given("partition_traces_by_id = true"), "traces").make(
    batch("traces", {
      resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: id }, { name: "x" }, { traceId: id }] }] }],
    }),
  );
  assert.deepEqual(
    traces.map(({ key, items }) => [key === undefined ? undefined : Buffer.from(key).toString(), items]),
    [
      ["000102030405060708090a0b0c0d0e0f", 2],
      ["", 1],
    ],
  );
  const logs = new MessageMaker(given("partition_logs_by_trace_id = true"), "logs").make(
    batch("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{ traceId: id }, { severityText: "x" }] }] }] }),
  );
  assert.deepEqual(
    logs.map(({ key }) => (key === undefined ? undefined : Buffer.from(key).toString())),
    ["000102030405060708090a0b0c0d0e0f", undefined],
  );
});

test("raw messages are the bodies: texts and others as JSON, bytes as they are, nothing for nothing", () => {
  const bodies = [
    { stringValue: 'a "<b>"' },
    { intValue: "7" },
    { doubleValue: 0.5 },
    { boolValue: true },
    { bytesValue: Buffer.from([1, 2, 255]).toString("base64") },
    { kvlistValue: { values: [{ key: "k", value: { arrayValue: { values: [{ stringValue: "v" }] } } }] } },
    {},
  ];
  const messages = new MessageMaker(given('logs {\nencoding = "raw"\n}'), "logs").make(
    batch("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: bodies.map((body) => ({ body })) }] }] }),
  );
  assert.deepEqual(
    messages.map(({ value }) => Buffer.from(value).toString("latin1")),
    ['"a \\"\\u003cb\\u003e\\""', "7", "0.5", "true", "\x01\x02\xff", '{"k":["v"]}'],
  );
});

test("topics: of metadata, then of the resource, then of the signal; old arguments count without a block", () => {
  const data = { resourceMetrics: [{ resource: resource({ t: "of-resource" }) }, {}] };
  for (const each of data.resourceMetrics) {
    Object.assign(each, { scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ asInt: "1" }] } }] }] });
  }
  const topics = (config: string, metadata = {}) =>
    new MessageMaker(given(config), "metrics").make(batch("metrics", data, metadata)).map(({ topic }) => topic);
  assert.deepEqual(topics(""), ["otlp_metrics"]);
  assert.deepEqual(topics('topic = "old"'), ["old"]);
  assert.deepEqual(topics('topic = "old"\nmetrics {\n}'), ["otlp_metrics"]);
  assert.deepEqual(topics('topic_from_attribute = "t"'), ["of-resource", "otlp_metrics"]);
  const keyed = 'topic_from_attribute = "t"\nmetrics {\ntopic_from_metadata_key = "X-Topic"\n}';
  assert.deepEqual(topics(keyed, { "x-topic": ["of-metadata"] }), ["of-metadata"]);
  assert.deepEqual(topics(keyed), ["of-resource", "otlp_metrics"]);
});

test("brokers that are not there are a failing flow, and data waits", async (t) => {
  const component = await start(t, 'brokers = ["127.0.0.1:1"]');
  await component.exports.input.consume(
    batch("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{}] }] }] }),
    new AbortController().signal,
  );
  await until(
    () => component.flow.status.rule === "endpoint_down",
    () => JSON.stringify(component.flow.status),
  );
  assert.match(component.flow.status.cause, /cannot send to 127\.0\.0\.1:1: .*refuses connections/);
  assert.equal(component.flow.dropped.size, 0);
});

test("data waits, and is not dropped, while something else than Kafka listens", async (t) => {
  const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close());
  const { port } = server.address() as AddressInfo;
  const component = await start(t, `brokers = ["127.0.0.1:${port}"]`);
  await component.exports.input.consume(
    batch("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{}] }] }] }),
    new AbortController().signal,
  );
  await until(
    () => component.flow.status.rule === "endpoint_down",
    () => JSON.stringify(component.flow.status),
  );
  assert.match(component.flow.status.cause, /is it Kafka that listens there\?/);
  assert.equal(component.flow.dropped.size, 0);
});

test("partitioners", () => {
  const of = (text: string) => partitionerOf(given(text).record_partitioner);
  assert.equal(of(""), "sarama_compat");
  assert.equal(of("record_partitioner {\n}"), "sarama_compat");
  assert.equal(of("record_partitioner {\nround_robin = true\n}"), "round_robin");
  assert.equal(of("record_partitioner {\nleast_backup = true\n}"), "least_backup");
  assert.equal(of('record_partitioner {\nsticky_key {\nhasher = "murmur2"\n}\n}'), "murmur2");
});

test("arguments that make no sense, or are not supported, are refused", () => {
  for (const [text, message] of [
    [
      'traces {\nencoding = "jaeger_proto"\n}',
      /is "jaeger_proto", which is not supported: use otlp_proto or otlp_json/,
    ],
    ['metrics {\nencoding = "raw"\n}', /which metrics cannot have/],
    ['encoding = "zipkin_json"', /not supported/],
    ["brokers = []", /at least one broker/],
    [
      'authentication {\nsasl {\nmechanism = "PLAIN"\nusername = ""\npassword = "p"\n}\n}',
      /`username` must not be empty/,
    ],
    [
      'authentication {\nsasl {\nmechanism = "SCRAM-SHA-512"\nusername = "u"\npassword = ""\n}\n}',
      /`password` must not be empty/,
    ],
    ['brokers = ["kafka"]', /has no port/],
    ["partition_logs_by_trace_id = true\npartition_logs_by_resource_attributes = true", /cannot be together/],
    ['partition_traces_by_id = true\ntraces {\nmessage_key_from_metadata_key = "k"\n}', /cannot be together/],
    ['include_metadata_keys = ["k"]\nsending_queue {\nbatch {\n}\n}', /cannot be together with client metadata/],
    ["record_partitioner {\nround_robin = true\nsticky_key {\n}\n}", /leave one of them/],
    ['producer {\ncompression = "brotli"\n}', /compression/],
    [
      'producer {\ncompression = "gzip"\ncompression_params {\nlevel = 12\n}\n}',
      /level that the compression does not know/,
    ],
    ["producer {\nrequired_acks = 2\n}", /required_acks/],
    ["producer {\nmax_broker_write_bytes = 1000\n}", /max_broker_write_bytes/],
    [
      'authentication {\nsasl {\nusername = "u"\npassword = "p"\nmechanism = "AWS_MSK_IAM_OAUTHBEARER"\n}\n}',
      /use PLAIN, SCRAM/,
    ],
    ['authentication {\nkerberos {\nusername = "u"\n}\n}', /"kerberos" is not supported/],
  ] as const) {
    assert.throws(() => given(text), message, text);
  }
  assert.throws(
    () => decodeArguments({ name: "kafka", args: kafkaExporterSchema }, 'protocol_version = "0.10.0.0"'),
    /before 0\.11/,
  );
});
