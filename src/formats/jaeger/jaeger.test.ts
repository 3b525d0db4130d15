import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { itemsOf, oracleDecode } from "../otlp/oracle.testing.ts";
import { ProtobufError, ProtoWriter } from "../protobuf.ts";
import { ThriftError } from "../thrift-reader.ts";
import { type ThriftStruct, type ThriftValue, thriftCall, thriftValue } from "../thrift-writer.testing.ts";
import { JaegerProtoDecoder } from "./proto.ts";
import { JaegerThriftDecoder } from "./thrift.ts";

const CLIENTS = JSON.parse(
  readFileSync(new URL("../testdata/trace-clients.json", import.meta.url), "utf8"),
) as Readonly<Record<string, string>>;
const client = (name: string) => Buffer.from(CLIENTS[name]!, "hex");

interface Span {
  readonly name: string;
  readonly parentSpanId?: string;
  readonly spanId: string;
  readonly kind?: number;
  readonly status?: object;
  readonly attributes?: readonly { readonly key: string; readonly value: object }[];
  readonly events?: readonly { readonly name: string; readonly attributes?: object }[];
  readonly links?: readonly object[];
}
type Attributes = Span["attributes"];
interface Request {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Attributes };
    readonly scopeSpans: readonly { readonly scope: object; readonly spans: readonly Span[] }[];
  }[];
}
const decoded = (bytes: Uint8Array) => oracleDecode("traces", bytes) as unknown as Request;
const attribute = (attributes: Attributes, key: string) => attributes?.find((each) => each.key === key)?.value;

test("what jaeger-client sends, over UDP and HTTP", () => {
  const decoder = new JaegerThriftDecoder();
  const packets = [decoder.packet(client("jaegerClientUdpBinary"), "binary"), decoder.body(client("jaegerClientHttp"))];
  for (const [i, request] of packets.entries()) {
    const [{ resource, scopeSpans }] = decoded(request).resourceSpans as [Request["resourceSpans"][0]];
    assert.deepEqual(attribute(resource.attributes, "service.name"), { stringValue: "shop" });
    assert.deepEqual(attribute(resource.attributes, "opencensus.exporterversion"), {
      stringValue: "Jaeger-Node-3.19.0",
    });
    assert.deepEqual(attribute(resource.attributes, "host.name"), { stringValue: "vm" });
    assert.deepEqual(
      [attribute(resource.attributes, "jaeger.version"), attribute(resource.attributes, "hostname")],
      [undefined, undefined],
    );
    const [child, parent] = scopeSpans[0]!.spans as [Span, Span];
    const name = i === 0 ? "jaeger-udp" : "jaeger-http";
    assert.deepEqual([child.name, parent.name], [`${name} child`, `${name} parent`]);
    assert.equal(child.parentSpanId, parent.spanId);
    assert.deepEqual([child.status, child.links, parent.kind], [{ code: 2 }, undefined, 2]);
    assert.equal(child.events![0]!.name, "boom");
    assert.deepEqual(attribute(parent.attributes, "flag"), { boolValue: true });
    assert.deepEqual(attribute(parent.attributes, "text"), { stringValue: "ünï" });
  }
});

test("what OpenTelemetry's exporter for Jaeger sends", () => {
  const request = new JaegerThriftDecoder().packet(client("openTelemetryJaegerUdpBinary"), "binary");
  const [child, parent] = decoded(request).resourceSpans[0]!.scopeSpans[0]!.spans as [Span, Span];
  assert.deepEqual([child.kind, child.status], [3, { message: "bad", code: 2 }]);
  assert.deepEqual([parent.kind, parent.status], [2, undefined]);
  assert.equal(child.links!.length, 1);
  assert.equal(child.events![0]!.name, "ev");
});

const text = fc.string({ unit: "binary", maxLength: 6 });
const key = fc.oneof(text, fc.constantFrom("span.kind", "error", "otel.status_code", "http.status_code", "event"));
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const tag = fc.oneof(
  fc.record({ key, type: fc.constant(0), value: text }),
  fc.record({ key, type: fc.constant(1), value: fc.double() }),
  fc.record({ key, type: fc.constant(2), value: fc.boolean() }),
  fc.record({ key, type: fc.constant(3), value: int64 }),
);
const span = fc.record({
  trace: fc.tuple(int64, int64),
  id: int64,
  name: text,
  flags: fc.constantFrom(0, 1),
  micros: fc.bigInt({ min: 0n, max: 2n ** 52n }),
  duration: fc.bigInt({ min: 0n, max: 2n ** 40n }),
  tags: fc.array(tag, { maxLength: 30, size: "max" }),
  logs: fc.array(
    fc.record({ micros: fc.bigInt({ min: 0n, max: 2n ** 52n }), fields: fc.array(tag, { maxLength: 3 }) }),
    {
      maxLength: 2,
    },
  ),
  parents: fc.array(fc.record({ type: fc.constantFrom(0, 1), id: int64 }), { maxLength: 2 }),
});
const batch = fc.record({
  service: text,
  tags: fc.array(tag, { maxLength: 4 }),
  spans: fc.array(span, { minLength: 1, maxLength: 3 }),
});
type Tag = typeof tag extends fc.Arbitrary<infer T> ? T : never;
type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never;

const structs = (items: readonly ThriftStruct[]): ThriftValue => ({
  of: "struct",
  list: items.map((struct) => ({ struct })),
});
function thriftTag({ key, type, value }: Tag): ThriftStruct {
  const written: ThriftValue =
    typeof value === "string"
      ? { string: value }
      : typeof value === "number"
        ? { double: value }
        : typeof value === "boolean"
          ? { bool: value }
          : { i64: value };
  return [
    [1, { string: key }],
    [2, { i32: type }],
    [[3, 4, 5, 6][type]!, written],
  ];
}
function thriftBatch({ service, tags, spans }: Batch): ThriftStruct {
  const written = spans.map(
    (each): ThriftStruct => [
      [1, { i64: each.trace[1] }],
      [2, { i64: each.trace[0] }],
      [3, { i64: each.id }],
      [4, { i64: 0n }],
      [5, { string: each.name }],
      [
        6,
        structs(
          each.parents.map(({ type, id }) => [
            [1, { i32: type }],
            [2, { i64: each.trace[1] }],
            [3, { i64: each.trace[0] }],
            [4, { i64: id }],
          ]),
        ),
      ],
      [7, { i32: each.flags }],
      [8, { i64: each.micros }],
      [9, { i64: each.duration }],
      [10, structs(each.tags.map(thriftTag))],
      [
        11,
        structs(
          each.logs.map(({ micros, fields }) => [
            [1, { i64: micros }],
            [2, structs(fields.map(thriftTag))],
          ]),
        ),
      ],
    ],
  );
  return [
    [
      1,
      {
        struct: [
          [1, { string: service }],
          [2, structs(tags.map(thriftTag))],
        ],
      },
    ],
    [2, structs(written)],
  ];
}

function message(writer: ProtoWriter, field: number, write: () => void): void {
  const mark = writer.begin(field);
  write();
  writer.end(mark);
}
function protoTag(writer: ProtoWriter, field: number, { key, type, value }: Tag): void {
  message(writer, field, () => {
    writer.string(1, key);
    writer.int32(2, [0, 3, 1, 2][type]!);
    if (typeof value === "string") writer.string(3, value);
    else if (typeof value === "boolean") writer.bool(4, value);
    else if (typeof value === "bigint") writer.int64(5, value);
    else writer.double(6, value);
  });
}
function protoTime(writer: ProtoWriter, field: number, micros: bigint): void {
  message(writer, field, () => {
    writer.int64(1, micros / 1_000_000n);
    writer.int32(2, Number(micros % 1_000_000n) * 1000);
  });
}
function id(...parts: bigint[]): Buffer {
  const bytes = Buffer.alloc(8 * parts.length);
  for (const [i, part] of parts.entries()) bytes.writeBigInt64BE(part, 8 * i);
  return bytes;
}
function protoBatch({ service, tags, spans }: Batch): Uint8Array {
  const writer = new ProtoWriter();
  message(writer, 1, () => {
    for (const each of spans) {
      message(writer, 1, () => {
        writer.bytes(1, id(...each.trace));
        writer.bytes(2, id(each.id));
        writer.string(3, each.name);
        for (const parent of each.parents) {
          message(writer, 4, () => {
            writer.bytes(1, id(...each.trace));
            writer.bytes(2, id(parent.id));
            writer.int32(3, parent.type);
          });
        }
        writer.uint32(5, each.flags);
        protoTime(writer, 6, each.micros);
        protoTime(writer, 7, each.duration);
        for (const one of each.tags) protoTag(writer, 8, one);
        for (const log of each.logs) {
          message(writer, 9, () => {
            protoTime(writer, 1, log.micros);
            for (const one of log.fields) protoTag(writer, 2, one);
          });
        }
      });
    }
    message(writer, 2, () => {
      writer.string(1, service);
      for (const one of tags) protoTag(writer, 2, one);
    });
  });
  return writer.finish();
}

test("a batch is the same request of OTLP in whichever protocol it comes", () => {
  const thrift = new JaegerThriftDecoder();
  const proto = new JaegerProtoDecoder();
  fc.assert(
    fc.property(batch, (each) => {
      const args: ThriftStruct = [[1, { struct: thriftBatch(each) }]];
      const compact = thrift.packet(thriftCall("emitBatch", args, "compact"), "compact");
      assert.deepEqual(thrift.packet(thriftCall("emitBatch", args, "binary"), "binary"), compact);
      assert.deepEqual(thrift.body(thriftValue({ struct: thriftBatch(each) }, "binary")), compact);
      assert.deepEqual(itemsOf("traces", proto.request(protoBatch(each))), itemsOf("traces", compact));
    }),
  );
});

test("damaged messages are refused or read, and leave nothing behind", () => {
  const thrift = new JaegerThriftDecoder();
  const proto = new JaegerProtoDecoder();
  const good = client("jaegerClientUdpBinary");
  const wanted = thrift.packet(good, "binary");
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(batch, damage, fc.nat({ max: 3 }), (each, bytes, way) => {
      const args: ThriftStruct = [[1, { struct: thriftBatch(each) }]];
      const whole = [
        () => thriftCall("emitBatch", args, "compact"),
        () => thriftCall("emitBatch", args, "binary"),
        () => thriftValue({ struct: thriftBatch(each) }, "binary"),
        () => Buffer.from(protoBatch(each)),
      ][way]!();
      for (const [at, byte] of bytes) whole[at % whole.length] = byte;
      try {
        const request =
          way < 2
            ? thrift.packet(whole, way === 0 ? "compact" : "binary")
            : way === 2
              ? thrift.body(whole)
              : proto.request(whole);
        itemsOf("traces", request);
      } catch (error) {
        const isText = error instanceof TypeError && /encod/.test(error.message); // no UTF-8, for protobufjs
        assert.ok(isText || error instanceof ThriftError || error instanceof ProtobufError, String(error));
      }
      assert.deepEqual(thrift.packet(good, "binary"), wanted);
    }),
    { numRuns: 300 },
  );
});

test("a span without ids, and a log without a time, have none of those before them", () => {
  const writer = new ProtoWriter();
  message(writer, 1, () => {
    message(writer, 1, () => {
      writer.bytes(1, id(1n, 2n));
      writer.bytes(2, id(3n));
      protoTime(writer, 6, 5_000_000n);
    });
    message(writer, 1, () => {
      writer.string(3, "bare");
      message(writer, 9, () => protoTime(writer, 1, 7n));
      message(writer, 9, () => {});
    });
  });
  const [group] = decoded(new JaegerProtoDecoder().request(writer.finish())).resourceSpans;
  assert.deepEqual(
    group!.scopeSpans[0]!.spans.map(({ name, spanId, events }) => [name, spanId, events]),
    [
      [undefined, "AAAAAAAAAAM=", undefined],
      ["bare", undefined, [{ timeUnixNano: "7000" }, { timeUnixNano: "11651379494838206464" }]],
    ],
  );
});

test("a tag of the process that is named as the service wins, and many tags are no trouble", () => {
  const string = (name: string, value: string): ThriftStruct => [
    [1, { string: name }],
    [2, { i32: 0 }],
    [3, { string: value }],
  ];
  const many = Array.from({ length: 5_000 }, (_, i) => string(`key-${i % 4_000}`, `${i}`));
  const process = [
    [1, { string: "a" }],
    [2, structs([string("service.name", "b"), ...many])],
  ] as const;
  const before = globalThis.process.threadCpuUsage();
  const spans = structs([
    [
      [1, { i64: 1n }],
      [2, { i64: 0n }],
      [3, { i64: 1n }],
      [4, { i64: 0n }],
      [5, { string: "x" }],
      [7, { i32: 0 }],
      [8, { i64: 1n }],
      [9, { i64: 1n }],
    ],
  ]);
  const body = thriftValue(
    {
      struct: [
        [1, { struct: process }],
        [2, spans],
      ],
    },
    "binary",
  );
  const { resource } = decoded(new JaegerThriftDecoder().body(body)).resourceSpans[0]!;
  assert.ok(globalThis.process.threadCpuUsage(before).user < 5e6, "microseconds of the processor");
  assert.equal(resource.attributes!.length, 4_001);
  assert.deepEqual(attribute(resource.attributes, "service.name"), { stringValue: "b" });
  assert.deepEqual(attribute(resource.attributes, "key-1"), { stringValue: "4001" });
});
