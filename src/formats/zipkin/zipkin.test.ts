import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { oracleDecode } from "../otlp/oracle.testing.ts";
import { ThriftError } from "../thrift-reader.ts";
import { thriftValue } from "../thrift-writer.testing.ts";
import { zipkinV1FromJson, zipkinV2FromJson } from "./json.ts";
import { zipkinFromProto } from "./proto.ts";
import { typedTag, ZipkinError } from "./span.ts";
import { encodeZipkinThrift } from "./thrift.ts";
import { ZipkinV1Encoder } from "./v1.ts";
import { zipkinToOtlp } from "./v2.ts";

const CLIENTS = JSON.parse(
  readFileSync(new URL("../testdata/trace-clients.json", import.meta.url), "utf8"),
) as Readonly<Record<string, string>>;
const client = (name: string) => Buffer.from(CLIENTS[name]!, "hex").toString("utf8");

interface Group {
  readonly resource: { readonly attributes?: readonly { readonly key: string; readonly value: object }[] };
  readonly scopeSpans: readonly { readonly scope: object; readonly spans: readonly Record<string, unknown>[] }[];
}
const decoded = (bytes: Uint8Array) => oracleDecode("traces", bytes).resourceSpans as readonly Group[];
const v2 = (spans: unknown, typed = false) => zipkinToOtlp(zipkinV2FromJson(JSON.stringify(spans)), typed);
function v1(text: string, now = 0): Uint8Array {
  const encoder = new ZipkinV1Encoder(now);
  for (const span of zipkinV1FromJson(text, false)) encoder.add(span);
  return encoder.finish();
}
const SPAN = { traceId: "463ac35c9f6413ad48485a3953bb6124", id: "a2fb4a1d1a96d312" };

test("what OpenTelemetry's exporter for Zipkin and zipkin-js send", () => {
  const [group] = decoded(zipkinToOtlp(zipkinV2FromJson(client("openTelemetryZipkin")), false)) as [Group];
  const keys = group.resource.attributes!.map(({ key }) => key);
  assert.deepEqual(keys, [
    "service.name",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
    "host.name",
  ]);
  const [span] = group.scopeSpans[0]!.spans;
  assert.deepEqual([span!.name, span!.kind, span!.status], ["otel-zipkin child", 3, { code: 2 }]);
  assert.deepEqual(span!.attributes, [{ key: "error", value: { stringValue: "bad" } }]);
  const [first] = decoded(v1(client("zipkinJsV1"))) as [Group];
  assert.deepEqual(
    first.resource.attributes!.map(({ key, value }) => [key, value]),
    [
      ["service.name", { stringValue: "zip" }],
      ["ipv4", { stringValue: "192.0.2.2" }],
      ["port", { stringValue: "8080" }],
    ],
  );
  const [second] = decoded(zipkinToOtlp(zipkinV2FromJson(client("zipkinJsV2")), true)) as [Group];
  for (const each of [first, second]) {
    const [only] = each.scopeSpans[0]!.spans;
    assert.equal(only!.kind, 2);
    assert.equal((only!.events as { name: string }[])[0]!.name, "hello");
  }
});

test("spans of one service have one resource, that of the last of up to twelve; more than that all arrive", () => {
  const host = (i: number) => ({
    ...SPAN,
    name: `${i}`,
    localEndpoint: { serviceName: "a" },
    tags: { "host.name": `h${i}` },
  });
  const [few] = decoded(v2([host(0), host(1)])) as [Group];
  assert.deepEqual(few.resource.attributes![1]!.value, { stringValue: "h1" });
  assert.deepEqual(
    few.scopeSpans[0]!.spans.map((span) => span.name),
    ["1", "0"],
  );
  const mixed = Array.from({ length: 60 }, (_, i) => ({ ...host(i), localEndpoint: { serviceName: `s${i % 3}` } }));
  const groups = decoded(v2(mixed));
  assert.deepEqual(
    groups.map(({ scopeSpans }) => scopeSpans[0]!.spans.length),
    [20, 20, 20],
  );
});

test("the scope of a span comes from its tags", () => {
  const [group] = decoded(v2([{ ...SPAN, tags: { "otel.scope.name": "web", "otel.scope.version": "1.2" } }])) as [
    Group,
  ];
  assert.deepEqual(group.scopeSpans[0]!.scope, { name: "web", version: "1.2" });
});

test("numbers of 64 bits are exact", () => {
  const text = `[{"traceId":"1","id":"2","timestamp":9007199254740993,"duration":1}]`;
  const [group] = decoded(zipkinToOtlp(zipkinV2FromJson(text), false)) as [Group];
  assert.equal(group.scopeSpans[0]!.spans[0]!.startTimeUnixNano, String(BigInt.asUintN(64, 9007199254740993n * 1000n)));
  assert.throws(
    () => zipkinV2FromJson(`[{"id":"2","timestamp":18446744073709551616}]`),
    /timestamp must be a whole number/,
  );
});

test("a span of the first version without any time has just begun", () => {
  const text = JSON.stringify([{ traceId: SPAN.traceId, id: SPAN.id }]);
  const [group] = decoded(v1(text, 1_700_000_000_123)) as [Group];
  const [span] = group.scopeSpans[0]!.spans;
  assert.equal(span!.startTimeUnixNano, "1700000000123000000");
  assert.deepEqual(span!.attributes, [{ key: "otel.zipkin.absentField.startTime", value: { boolValue: true } }]);
});

test("says which span is wrong, and why", () => {
  const wrong: [unknown, RegExp][] = [
    [{}, /^the body must be a list, not an object$/],
    [[SPAN, 1], /^span 1 must be an object, not 1$/],
    [[{ ...SPAN, id: "0" }], /^span 0 must have an id that is not zero$/],
    [[{ ...SPAN, traceId: "" }], /^span 0: traceId must not be empty$/],
    [[{ ...SPAN, tags: { a: 1 } }], /^span 0: tags\["a"\] must be a string, not 1$/],
    [[{ ...SPAN, duration: 1.5 }], /^span 0: duration must be a whole number from 0 to \d+, not 1\.5$/],
    [[{ ...SPAN, localEndpoint: { ipv4: "x" } }], /^span 0: localEndpoint: ipv4 must be an IP address, not "x"$/],
    [[{ ...SPAN, annotations: [{ value: "x" }] }], /^span 0: annotations\[0\] must have a timestamp$/],
    [
      [{ ...SPAN, annotations: [{ timestamp: 1, value: "a|b|c" }] }],
      /^an annotation with two or more `\|` has attributes/,
    ],
    [
      [{ ...SPAN, tags: { "otlp.link.0": "x||||" } }],
      /^the tag otlp\.link\.0 has an id that is not 32 hexadecimal digits$/,
    ],
  ];
  for (const [spans, message] of wrong) {
    assert.throws(
      () => v2(spans),
      (error: Error) => {
        assert.ok(error instanceof ZipkinError);
        assert.match(error.message, message);
        return true;
      },
    );
  }
  assert.throws(
    () => zipkinV1FromJson('[{"traceId":"1","id":"2"}]', false),
    /traceId must be 16 or 32 hexadecimal digits/,
  );
  assert.throws(() => zipkinV1FromJson('[{"traceId":"0000000000000000","id":"2"}]', false), /traceId must not be zero/);
  // A fuzzer found that the message wanted to show a big integer inside of a tag.
  const inside = `[{"id":"1","timestamp":9007199254740993,"tags":{"a":[{"b":9007199254740993}]}}]`;
  assert.throws(() => zipkinV2FromJson(inside), /tags\["a"\] must be a string, not a list$/);
  const deep = `[{"id":"1","timestamp":9007199254740993,"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}]`;
  assert.throws(() => zipkinV2FromJson(deep), /nested too deeply/);
});

test("thrift: spans without ids and a list that says it is huge are refused at once", () => {
  const before = process.threadCpuUsage();
  const encode = (bytes: Uint8Array) => encodeZipkinThrift(bytes, new ZipkinV1Encoder(0));
  assert.throws(() => encode(Buffer.from([12, 0x7f, 0xff, 0xff, 0xff])), ThriftError);
  const zeros = Buffer.alloc(1 << 20);
  zeros.set([12, 0x7f, 0xff, 0xff, 0xff]);
  assert.throws(() => encode(zeros), /a span without a trace_id or an id/);
  const tags = { of: "struct", list: [{ struct: [[2, { string: "x" }]] }] } as const;
  const keyless = {
    struct: [
      [1, { i64: 1n }],
      [4, { i64: 1n }],
      [8, tags],
    ],
  } as const;
  assert.throws(() => encode(thriftValue({ of: "struct", list: [keyless] }, "binary")), /without a key/);
  for (const field of [1, 4]) {
    const only = { struct: [[field, { i64: 1n }]] } as const;
    assert.throws(() => encode(thriftValue({ of: "struct", list: [only] }, "binary")), /without a trace_id or an id/);
  }
  assert.ok(process.threadCpuUsage(before).user < 1e6, "microseconds of the processor");
});

test("thrift: the addresses of an endpoint", () => {
  const host = {
    struct: [
      [1, { i32: 0x0a010203 }],
      [2, { i16: 80 }],
      [3, { string: "shop" }],
      [4, { string: Buffer.from("fd000000000000000000000000000002", "hex") }],
    ],
  } as const;
  const annotation = {
    struct: [
      [1, { i64: 1n }],
      [2, { string: "sr" }],
      [3, host],
    ],
  } as const;
  const span = {
    struct: [
      [1, { i64: 1n }],
      [4, { i64: 1n }],
      [6, { of: "struct", list: [annotation] }],
    ],
  } as const;
  const encoder = new ZipkinV1Encoder(0);
  encodeZipkinThrift(thriftValue({ of: "struct", list: [span] }, "binary"), encoder);
  assert.deepEqual(
    decoded(encoder.finish())[0]!.resource.attributes!.map(({ key, value }) => [key, Object.values(value)[0]]),
    [
      ["service.name", "shop"],
      ["ipv4", "10.1.2.3"],
      ["ipv6", "fd00::2"],
      ["port", "80"],
    ],
  );
});

test("tags that look like numbers and booleans become such", () => {
  const typed: [string, unknown][] = [
    ["", ""],
    ["12", 12n],
    ["-007", -7n],
    ["99999999999999999999", 2n ** 63n - 1n],
    [`-${"9".repeat(100_000)}`, -(2n ** 63n)],
    ["1.50", 1.5],
    ["1e5", "1e5"],
    ["+1", "+1"],
    ["true", true],
    ["True", "True"],
    ["[1]", "[1]"],
  ];
  for (const [text, value] of typed) assert.equal(typedTag(text), value, text.slice(0, 30));
});

test("any body is read or refused", () => {
  const bodies = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.json().map((text) => Buffer.from(text)),
  );
  const readers = [
    (body: Buffer) => zipkinToOtlp(zipkinV2FromJson(body.toString("utf8")), true),
    (body: Buffer) => v1(body.toString("utf8")),
    (body: Buffer) => zipkinToOtlp(zipkinFromProto(body), true),
    (body: Buffer) => encodeZipkinThrift(body, new ZipkinV1Encoder(0)),
  ];
  fc.assert(
    fc.property(bodies, fc.constantFrom(...readers), (body, read) => {
      try {
        read(Buffer.from(body));
      } catch (error) {
        assert.ok(error instanceof ZipkinError || error instanceof ThriftError, String(error));
      }
    }),
    { numRuns: 1_000 },
  );
});
