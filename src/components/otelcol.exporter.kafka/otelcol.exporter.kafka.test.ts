import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { zipkinFromProto } from "#formats/zipkin/proto";
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
  const { messages } = maker.make(
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
  const { messages: traces } = new MessageMaker(given("partition_traces_by_id = true"), "traces").make(
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
  const { messages: logs } = new MessageMaker(given("partition_logs_by_trace_id = true"), "logs").make(
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
  const { messages } = new MessageMaker(given('logs {\nencoding = "raw"\n}'), "logs").make(
    batch("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: bodies.map((body) => ({ body })) }] }] }),
  );
  assert.deepEqual(
    messages.map(({ value }) => Buffer.from(value).toString("latin1")),
    ['"a \\"\\u003cb\\u003e\\""', "7", "0.5", "true", "\x01\x02\xff", '{"k":["v"]}'],
  );
});

const IDS = ["000102030405060708090a0b0c0d0e0f", "0000000000000000000000000000000a"].map((each) =>
  Buffer.from(each, "hex"),
);
const spansNamed = (names: readonly string[], trace: (i: number) => Buffer) =>
  names.map((name, i) => ({
    traceId: trace(i).toString("base64"),
    spanId: Buffer.alloc(8, i + 1).toString("base64"),
    name,
  }));
const textOf = (value: Uint8Array) => Buffer.from(value).toString();
const keys = (messages: readonly { key?: Uint8Array | undefined }[]) =>
  messages.map(({ key }) => (key === undefined ? undefined : textOf(key)));

test("messages of Jaeger are spans, keyed by their traces however traces are partitioned, or by metadata", () => {
  const spans = spansNamed(["a", "b", "c"], (i) => IDS[i % 2]!);
  const data = batch("traces", { resourceSpans: [{ resource: resource({ t: "own" }), scopeSpans: [{ spans }] }] });
  for (const config of [
    'encoding = "jaeger_json"',
    'partition_traces_by_id = true\ntraces {\nencoding = "jaeger_json"\n}',
  ]) {
    const { messages, unencodable } = new MessageMaker(given(config), "traces").make(data);
    assert.equal(unencodable, 0);
    assert.deepEqual(
      messages.map(({ value, items, topic }) => [JSON.parse(textOf(value)).operationName, items, topic]),
      [
        ["a", 1, "otlp_spans"],
        ["b", 1, "otlp_spans"],
        ["c", 1, "otlp_spans"],
      ],
    );
    assert.deepEqual(keys(messages), [IDS[0]!.toString("hex"), "000000000000000a", IDS[0]!.toString("hex")]);
  }
  const keyed = given(
    'topic_from_attribute = "t"\ntraces {\nencoding = "jaeger_proto"\nmessage_key_from_metadata_key = "k"\n}',
  );
  const { messages } = new MessageMaker(keyed, "traces").make({ ...data, clientMetadata: new Map([["k", ["mine"]]]) });
  assert.deepEqual(keys(messages), ["mine", "mine", "mine"]);
  assert.ok(messages.every(({ topic, value }) => topic === "own" && value[0] === 10));
});

test("messages of Zipkin are lists of spans: by trace, by topic, cut where they are too large", () => {
  const spans = spansNamed(["a", "b", "c"], (i) => IDS[i % 2]!);
  const named = (name: string) => ({ resource: resource({ t: name }), scopeSpans: [{ spans }] });
  const data = batch("traces", { resourceSpans: [named("one"), named("two")] });
  const make = (config: string) => new MessageMaker(given(config), "traces").make(data).messages;
  const names = (messages: readonly { value: Uint8Array }[]) =>
    messages.map(({ value }) => (JSON.parse(textOf(value)) as { name: string }[]).map(({ name }) => name).join(""));
  assert.deepEqual(names(make('encoding = "zipkin_json"')), ["abcabc"]);
  const byTrace = make('encoding = "zipkin_json"\npartition_traces_by_id = true');
  assert.deepEqual(names(byTrace), ["acac", "bb"]);
  assert.deepEqual(
    keys(byTrace),
    IDS.map((each) => each.toString("hex")),
  );
  const byTopic = make('encoding = "zipkin_json"\ntopic_from_attribute = "t"');
  assert.deepEqual(names(byTopic), ["abc", "abc"]);
  assert.deepEqual(
    byTopic.map(({ topic }) => topic),
    ["one", "two"],
  );
  const cut = make('encoding = "zipkin_json"\nproducer {\nmax_message_bytes = 4500\n}');
  assert.deepEqual(
    cut.map(({ items }) => items),
    [2, 1, 2, 1],
  );
  assert.equal(names(cut).join(""), "abcabc");
  const [proto] = make('encoding = "zipkin_proto"');
  assert.deepEqual(
    zipkinFromProto(proto!.value)
      .map(({ name }) => name)
      .join(""),
    "abcabc",
  );
});

test("spans that Zipkin cannot hold are dropped for a reason, others go", async (t) => {
  const spans = [...spansNamed(["good"], () => IDS[0]!), { name: "no ids" }, { name: "none either" }];
  const data = { resourceSpans: [{ scopeSpans: [{ spans }] }] };
  const { messages, unencodable } = new MessageMaker(given('encoding = "zipkin_proto"'), "traces").make(
    batch("traces", data),
  );
  assert.deepEqual([messages.map(({ items }) => items), unencodable], [[1], 2]);
  const lost = { resourceSpans: [{ scopeSpans: [{ spans: spans.slice(1) }] }] };
  const component = await start(t, 'encoding = "zipkin_json"\nbrokers = ["127.0.0.1:1"]');
  await component.exports.input.consume(batch("traces", lost), new AbortController().signal);
  await until(
    () => component.flow.dropped.get("otlp")?.get("no_id") === 2,
    () => JSON.stringify(component.flow.status),
  );
  await assert.rejects(
    async () => component.exports.input.consume(batch("logs", {}), new AbortController().signal),
    /the encoding zipkin_json is for traces, and not for logs/,
  );
});

test("topics: of metadata, then of the resource, then of the signal; old arguments count without a block", () => {
  const data = { resourceMetrics: [{ resource: resource({ t: "of-resource" }) }, {}] };
  for (const each of data.resourceMetrics) {
    Object.assign(each, { scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ asInt: "1" }] } }] }] });
  }
  const topics = (config: string, metadata = {}) =>
    new MessageMaker(given(config), "metrics")
      .make(batch("metrics", data, metadata))
      .messages.map(({ topic }) => topic);
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
      'logs {\nencoding = "jaeger_proto"\n}',
      /is "jaeger_proto", which logs cannot have: use otlp_proto or otlp_json or raw/,
    ],
    ['metrics {\nencoding = "raw"\n}', /which metrics cannot have: use otlp_proto or otlp_json$/m],
    ['traces {\nencoding = "raw"\n}', /which traces cannot have: use .* or zipkin_json/],
    ['encoding = "thrift"', /is "thrift", which no signal can have: use otlp_proto .* or raw or jaeger_proto/],
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
