import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { JaegerEncoder } from "./jaeger/encode.ts";
import { JaegerProtoDecoder } from "./jaeger/proto.ts";
import { itemsOf, oracleDecode, oracleEncode } from "./otlp/oracle.testing.ts";
import { ProtobufError, ProtoWriter } from "./protobuf.ts";
import { ZipkinEncoder } from "./zipkin/encode.ts";
import { zipkinV2FromJson } from "./zipkin/json.ts";
import { zipkinFromProto } from "./zipkin/proto.ts";
import { zipkinToOtlp } from "./zipkin/v2.ts";

/** What the Collector v0.158.0 writes for requests: `jaeger_proto`, `jaeger_json`, `zipkin_proto` and `zipkin_json` of its kafkaexporter. */
interface Vector {
  readonly request: string;
  readonly keys: readonly string[];
  readonly jaegerProto: readonly string[];
  readonly jaegerJson: readonly string[];
  /** Written with sorted tags, which are at random there. */
  readonly zipkinProto: string;
  readonly zipkinJson: string;
}
const VECTORS = JSON.parse(
  readFileSync(new URL("./testdata/span-encodings.json", import.meta.url), "utf8"),
) as readonly Vector[];

const jaeger = new JaegerEncoder();
const zipkin = new ZipkinEncoder();
const bytes = (base64: string) => Buffer.from(base64, "base64");
const text = (message: Uint8Array) => Buffer.from(message).toString();

function jaegerSpans(request: Uint8Array, format: "proto" | "json") {
  const spans: { readonly key: string; readonly span: Buffer }[] = [];
  jaeger.encode(request, format, (key, span) => spans.push({ key, span: Buffer.from(span) }));
  return spans;
}
const zipkinSpans = (request: Uint8Array) => JSON.parse(text(zipkin.encode(request, "json").message)) as Plain[];

type Plain = Record<string, unknown>;
const id = (length: number, byte: number) => Buffer.alloc(length, byte).toString("base64");
const span = (fields: Plain): Plain => ({ traceId: id(16, 1), spanId: id(8, 2), ...fields });
const request = (spans: readonly Plain[], resource: Plain = {}) =>
  oracleEncode("traces", { resourceSpans: [{ resource, scopeSpans: [{ spans }] }] });
const attribute = (key: string, value: string | number) => ({
  key,
  value: typeof value === "string" ? { stringValue: value } : { doubleValue: value },
});

test("spans of requests are, byte for byte, what the Collector makes of them", () => {
  assert.equal(VECTORS.length, 9);
  for (const vector of VECTORS) {
    const proto = jaegerSpans(bytes(vector.request), "proto");
    const json = jaegerSpans(bytes(vector.request), "json");
    assert.deepEqual(
      proto.map(({ key }) => key),
      vector.keys,
    );
    assert.deepEqual(
      proto.map((each) => each.span.toString("base64")),
      vector.jaegerProto,
    );
    assert.deepEqual(
      json.map((each) => each.span.toString()),
      vector.jaegerJson,
    );
    assert.equal(text(zipkin.encode(bytes(vector.request), "json").message), vector.zipkinJson);
    const { message } = zipkin.encode(bytes(vector.request), "proto");
    assert.equal(Buffer.from(message).toString("base64"), vector.zipkinProto);
  }
});

test("Jaeger: what is empty is left out, but a trace id, times and a list of fields", () => {
  const [only] = jaegerSpans(request([{ events: [{}] }]), "json");
  assert.equal(only!.key, "0000000000000000");
  assert.equal(
    text(only!.span),
    '{"traceId":"AAAAAAAAAAAAAAAAAAAAAA==","startTime":"1970-01-01T00:00:00Z",' +
      '"logs":[{"timestamp":"1970-01-01T00:00:00Z","fields":[]}],"process":{"serviceName":"OTLPResourceNoServiceName"}}',
  );
});

test("Jaeger: times before 1970 and durations of any length", () => {
  const times = (start: bigint, end: bigint) => {
    const fields = { startTimeUnixNano: String(start), endTimeUnixNano: String(end) };
    const { startTime, duration } = JSON.parse(text(jaegerSpans(request([span(fields)]), "json")[0]!.span)) as Plain;
    return [startTime, duration];
  };
  assert.deepEqual(times(1n, 1_500_000_001n), ["1970-01-01T00:00:00.000000001Z", "1.500s"]);
  assert.deepEqual(times(1_700_000_000_000_000_000n, 0n), ["2023-11-14T22:13:20Z", "-1700000000s"]);
  assert.deepEqual(times(20n, 10n), ["1970-01-01T00:00:00.000000020Z", "-0.000000010s"]);
  assert.deepEqual(times(2n ** 63n - 1n, 2n ** 63n - 1n), ["2262-04-11T23:47:16.854775807Z", undefined]);
  assert.deepEqual(times(2n ** 63n, 2n ** 63n - 1n), ["1677-09-21T00:12:43.145224192Z", "9223372036.854775807s"]);
  assert.deepEqual(times(2n ** 64n - 1n, 0n), ["1969-12-31T23:59:59.999999999Z", "0.000000001s"]);
});

test("Zipkin: spans without ids are left out and told, and the others are not lost for them", () => {
  const mixed = request([{ name: "no ids" }, span({ name: "good" }), { traceId: id(16, 1) }, { spanId: id(8, 1) }]);
  const { message, spans, refused } = zipkin.encode(mixed, "json");
  assert.deepEqual([spans, refused], [1, 3]);
  assert.equal((JSON.parse(text(message)) as Plain[])[0]!.name, "good");
  assert.deepEqual(zipkin.encode(request([{}]), "json"), { message: Buffer.from("[]"), spans: 0, refused: 1 });
  assert.equal(zipkin.encode(request([{}]), "proto").message.length, 0);
});

test("Zipkin: an end before the start is no duration, a NaN in an event is null", () => {
  const start = { startTimeUnixNano: "2000000000", endTimeUnixNano: "1999999999" };
  const events = [{ name: "e", attributes: [attribute("n", Number.NaN)] }];
  const [only] = zipkinSpans(request([span({ ...start, events })]));
  assert.equal(only!.timestamp, 2_000_000);
  assert.equal(only!.duration, undefined);
  assert.deepEqual(only!.annotations, [{ timestamp: 0, value: 'e|{"n":null}|0' }]);
  const [read] = zipkinFromProto(zipkin.encode(request([span(start)]), "proto").message);
  assert.deepEqual([read!.timestamp, read!.duration], [2_000_000, 0]);
});

test("Zipkin: times are in microseconds, rounded; what lasts less than one lasts one", () => {
  const of = (start: string, end: string) => {
    const [only] = zipkinSpans(request([span({ startTimeUnixNano: start, endTimeUnixNano: end })]));
    return [only!.timestamp, only!.duration];
  };
  assert.deepEqual(of("1700000000000000499", "1700000000000001998"), [1_700_000_000_000_000, 1]);
  assert.deepEqual(of("1700000000000000500", "1700000000000002000"), [1_700_000_000_000_001, 2]);
  assert.deepEqual(of("1700000000000000000", "1700000000000000001"), [1_700_000_000_000_000, 1]);
  assert.deepEqual(of("999999999", "1000000000"), [undefined, 1]);
  assert.deepEqual(of("18446744073709551615", "18446744073709551615"), [18_446_744_073_709_552, undefined]);
});

test("Zipkin: the name, version and attributes of a scope are those of its spans only", () => {
  const scopes = [
    { scope: { name: "lib", version: "1", attributes: [attribute("of", "scope")] }, spans: [span({})] },
    { scope: {}, spans: [span({})] },
  ];
  const spans = zipkinSpans(oracleEncode("traces", { resourceSpans: [{ scopeSpans: scopes }] }));
  assert.deepEqual(
    spans.map(({ tags }) => tags),
    [{ "otel.library.name": "lib", "otel.library.version": "1", of: "scope" }, undefined],
  );
});

test("Zipkin: what is no address or port stays a tag, and so does a port without an endpoint", () => {
  const spanOf = (tags: Readonly<Record<string, string>>) => {
    const attributes = Object.entries(tags).map(([key, value]) => attribute(key, value));
    const [{ remoteEndpoint, tags: left }] = zipkinSpans(request([span({ attributes })])) as [Plain];
    return [remoteEndpoint, left];
  };
  const whole = { "service.peer.name": "DB", "network.peer.address": "10.0.0.1", "net.peer.port": "5432" };
  assert.deepEqual(spanOf(whole), [{ serviceName: "db", ipv4: "10.0.0.1", port: 5432 }, undefined]);
  const odd = { "peer.service": "db", "network.peer.address": "/run/db.sock", "net.peer.port": "70000" };
  const { "peer.service": _, ...left } = odd;
  assert.deepEqual(spanOf(odd), [{ serviceName: "db" }, left]);
  assert.deepEqual(spanOf({ "net.peer.port": "80" }), [undefined, { "net.peer.port": "80" }]);
  assert.deepEqual(spanOf({ "network.peer.address": "2001:db8::1" }), [{ ipv6: "2001:db8::1" }, undefined]);
});

test("Zipkin: an address of version 4 has 4 bytes in protobuf", () => {
  const { message } = zipkin.encode(
    request([span({ attributes: [attribute("network.peer.address", "1.2.3.4")] })]),
    "proto",
  );
  assert.ok(Buffer.from(message).includes(Buffer.from([0x4a, 6, 0x12, 4, 1, 2, 3, 4])));
});

const anyText = fc.string({ unit: "binary", maxLength: 6 });
const anyTime = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const anyId = (length: number) => fc.constantFrom("", id(length, 0), id(length, 1), id(length, 255));
const plainValue = fc.oneof(
  fc.constant({}),
  anyText.map((stringValue) => ({ stringValue })),
  fc.boolean().map((boolValue) => ({ boolValue })),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((each) => ({ intValue: String(each) })),
  fc.double().map((doubleValue) => ({ doubleValue })),
  anyText.map((each) => ({ bytesValue: Buffer.from(each).toString("base64") })),
);
const anyValue = fc.oneof(
  plainValue,
  fc.array(plainValue, { maxLength: 2 }).map((values) => ({ arrayValue: { values } })),
  fc
    .array(fc.record({ key: anyText, value: plainValue }), { maxLength: 2 })
    .map((values) => ({ kvlistValue: { values } })),
);
const anyKey = fc.oneof(
  anyText,
  fc.constantFrom("error", "event", "service.name", "faas.name", "http.response.status_code", "cloud.resource_id"),
  fc.constantFrom("opentracing.ref_type", "network.peer.address", "net.host.port", "peer.service", "otlp.link.0"),
);
const attributes = fc.array(fc.record({ key: anyKey, value: anyValue }, { requiredKeys: [] }), { maxLength: 3 });
const scope = fc.record({ name: anyText, version: anyText, attributes }, { requiredKeys: [] });
const links = fc.record(
  { traceId: anyId(16), spanId: anyId(8), traceState: anyText, attributes, droppedAttributesCount: fc.nat() },
  { requiredKeys: [] },
);
const events = fc.record(
  { timeUnixNano: anyTime, name: anyText, attributes, droppedAttributesCount: fc.nat() },
  { requiredKeys: [] },
);
const anySpan = fc.record(
  {
    traceId: anyId(16),
    spanId: anyId(8),
    parentSpanId: anyId(8),
    traceState: anyText,
    name: anyText,
    kind: fc.nat({ max: 7 }),
    startTimeUnixNano: anyTime,
    endTimeUnixNano: anyTime,
    attributes,
    events: fc.array(events, { maxLength: 2 }),
    links: fc.array(links, { maxLength: 2 }),
    status: fc.record({ code: fc.nat({ max: 3 }), message: anyText }, { requiredKeys: [] }),
    flags: fc.nat(),
  },
  { requiredKeys: [] },
);
const scopeSpans = fc.array(fc.record({ scope, spans: fc.array(anySpan, { maxLength: 3 }) }, { requiredKeys: [] }), {
  maxLength: 2,
});
const anyRequest = fc
  .array(fc.record({ resource: fc.record({ attributes }), scopeSpans }, { requiredKeys: [] }), { maxLength: 2 })
  .map((resourceSpans) => oracleEncode("traces", { resourceSpans }));

test("any request can be written, whatever it holds, and spans come one by one as they do together", () => {
  fc.assert(
    fc.property(anyRequest, (each) => {
      const count = itemsOf("traces", each).length;
      const json = jaegerSpans(each, "json");
      assert.equal(json.length, count);
      for (const { span: one } of json) JSON.parse(one.toString());
      assert.equal(jaegerSpans(each, "proto").length, count);
      const { spans, refused } = zipkin.encode(each, "json");
      assert.equal(spans + refused, count);
      assert.equal(zipkinSpans(each).length, spans);
      assert.equal(zipkinFromProto(zipkin.encode(each, "proto").message).length, spans);
      const alone = eachSpan(each).flatMap(zipkinSpans);
      assert.deepEqual(zipkinSpans(each), alone);
    }),
  );
});

test("damaged requests are refused as such", () => {
  const [first] = VECTORS;
  const whole = bytes(first!.request);
  assert.throws(() => jaegerSpans(whole.subarray(0, -1), "json"), ProtobufError);
  assert.throws(() => zipkin.encode(whole.subarray(0, -1), "proto"), ProtobufError);
  assert.equal(jaegerSpans(whole, "proto").length, first!.keys.length);
});

/** A request for each span. */
function eachSpan(each: Uint8Array): Buffer[] {
  const list = (value: unknown) => (value ?? []) as Plain[];
  return list(oracleDecode("traces", each).resourceSpans).flatMap((group) =>
    list(group.scopeSpans).flatMap((scope) =>
      list(scope.spans).map((one) =>
        oracleEncode("traces", { resourceSpans: [{ ...group, scopeSpans: [{ ...scope, spans: [one] }] }] }),
      ),
    ),
  );
}

const word = fc.string({ unit: fc.constantFrom("a", "b", "ü", "😀", "<", '"', " "), minLength: 1, maxLength: 8 });
const keyOf = word.map((each) => `k.${each}`);
const bytesOf = (length: number) =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .filter((each) => each.some((byte) => byte !== 0))
    .map((each) => Buffer.from(each).toString("base64"));
const micros = fc.bigInt({ min: 1_000_000n, max: 2n ** 52n });
const uniqueBy = (attributes: readonly Plain[]) => [...new Map(attributes.map((each) => [each.key, each])).values()];

/** Spans that lose nothing on their way; times in nanoseconds are multiples of `unit`. */
function spansOf(value: fc.Arbitrary<Plain>, unit: bigint, linkAttributes: fc.Arbitrary<Plain[]>) {
  const attributes = fc.array(fc.record({ key: keyOf, value }), { maxLength: 5 }).map(uniqueBy);
  return fc
    .record(
      {
        traceId: bytesOf(16),
        spanId: bytesOf(8),
        parentSpanId: bytesOf(8),
        name: word,
        kind: fc.integer({ min: 1, max: 5 }),
        start: micros,
        lasted: fc.bigInt({ min: 1n, max: 2n ** 40n }),
        traceState: word,
        attributes,
        status: fc.record({ code: fc.constant(2), message: word }),
        events: fc.array(fc.record({ time: micros, name: word, attributes }), { maxLength: 2 }),
        links: fc.array(fc.record({ traceId: bytesOf(16), spanId: bytesOf(8), attributes: linkAttributes }), {
          maxLength: 2,
        }),
      },
      { requiredKeys: ["traceId", "spanId", "name", "start", "lasted"] },
    )
    .filter(({ spanId, parentSpanId }) => spanId !== parentSpanId)
    .map(({ start, lasted, events, ...rest }) => ({
      ...rest,
      startTimeUnixNano: String(start * unit),
      endTimeUnixNano: String((start + lasted) * unit),
      events: events?.map(({ time, ...event }) => ({ ...event, timeUnixNano: String(time * unit) })),
    }));
}

/** Without what has its default value, attributes by their keys. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).flatMap(([key, member]): [string, unknown][] => {
    if (Array.isArray(member) && member.length === 0) return [];
    if (key !== "attributes") return [[key, canonical(member)]];
    return [[key, (member as { key: string }[]).toSorted((a, b) => (a.key < b.key ? -1 : 1)).map(canonical)]];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
const decoded = (each: Uint8Array) => canonical(oracleDecode("traces", each));

test("what is written for Jaeger is read as the same spans", () => {
  const decoder = new JaegerProtoDecoder();
  // As the others, but for what Jaeger has no form of.
  const value = fc.oneof(
    fc.string({ maxLength: 5 }).map((stringValue) => ({ stringValue })),
    fc.boolean().map((boolValue) => ({ boolValue })),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((each) => ({ intValue: String(each) })),
    fc.double({ noNaN: true }).map((each) => ({ doubleValue: each === 0 ? 0 : each })),
    fc.uint8Array({ minLength: 1, maxLength: 4 }).map((each) => ({ bytesValue: Buffer.from(each).toString("base64") })),
  );
  const reference = fc
    .constantFrom("child_of", "follows_from")
    .map((kind): Plain[] => [attribute("opentracing.ref_type", kind)]);
  fc.assert(
    fc.property(fc.array(spansOf(value, 999n, reference), { minLength: 1, maxLength: 3 }), word, (spans, service) => {
      const scope = { name: "lib", version: "2" };
      // A tag says the kind, and bit 0 of the flags is all that Jaeger has of them.
      const sent = oracleEncode("traces", {
        resourceSpans: [
          {
            resource: { attributes: [attribute("service.name", service), attribute("host.name", "h")] },
            scopeSpans: [{ scope, spans: spans.map((each) => ({ ...each, flags: 1 })) }],
          },
        ],
      });
      const writer = new ProtoWriter();
      const batch = writer.begin(1);
      for (const { span: one } of jaegerSpans(sent, "proto")) writer.bytes(1, one);
      writer.end(batch);
      assert.deepEqual(decoded(decoder.request(writer.finish())), decoded(sent));
    }),
  );
});

test("what is written for Zipkin is read as the same spans", () => {
  const texts = fc.string({ maxLength: 5 }).map((stringValue) => ({ stringValue }));
  const attributes = fc.array(fc.record({ key: keyOf, value: texts }), { maxLength: 2 }).map(uniqueBy);
  fc.assert(
    fc.property(fc.array(spansOf(texts, 1000n, attributes), { minLength: 1, maxLength: 3 }), (spans) => {
      const sent = oracleEncode("traces", {
        resourceSpans: [
          {
            resource: { attributes: [attribute("service.name", "shop"), attribute("host.name", "h")] },
            scopeSpans: [{ scope: { name: "lib", version: "2" }, spans }],
          },
        ],
      });
      const order = (each: Uint8Array) => itemsOf("traces", each).map((item) => JSON.parse(item) as unknown);
      const same = (read: Uint8Array) =>
        assert.deepEqual(new Set(order(read).map(shown)), new Set(order(sent).map(shown)));
      const shown = (item: unknown) => JSON.stringify(canonical(item));
      same(zipkinToOtlp(zipkinV2FromJson(text(zipkin.encode(sent, "json").message)), false));
      same(zipkinToOtlp(zipkinFromProto(zipkin.encode(sent, "proto").message), false));
    }),
  );
});
