import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { JaegerProtoDecoder } from "./jaeger/proto.ts";
import { JaegerThriftDecoder } from "./jaeger/thrift.ts";
import { oracleDecode } from "./otlp/oracle.testing.ts";
import { OtlpIndex } from "./otlp/otlp.ts";
import { ProtobufError } from "./protobuf.ts";
import { ThriftError } from "./thrift-reader.ts";
import { zipkinV1FromJson, zipkinV2FromJson } from "./zipkin/json.ts";
import { zipkinFromProto } from "./zipkin/proto.ts";
import { ZipkinError } from "./zipkin/span.ts";
import { encodeZipkinThrift } from "./zipkin/thrift.ts";
import { ZipkinV1Encoder } from "./zipkin/v1.ts";
import { zipkinToOtlp } from "./zipkin/v2.ts";

type Plain = Record<string, unknown>;

/** What the translators of the OpenTelemetry Collector v0.158.0 made of random messages: resource, scope and span of each. */
interface Vector {
  readonly format: keyof typeof FORMATS;
  readonly parseStringTags: boolean;
  /** JSON, or hexadecimal. */
  readonly input: string;
  /** Null for what it refuses. */
  readonly spans: readonly unknown[] | null;
}

const thrift = new JaegerThriftDecoder();
const proto = new JaegerProtoDecoder();
const bytes = (hex: string) => Buffer.from(hex, "hex");

const FORMATS = {
  "jaeger protobuf": (input: string) => proto.request(bytes(input)),
  "jaeger thrift batch": (input: string) => thrift.body(bytes(input)),
  "jaeger thrift binary call": (input: string) => thrift.packet(bytes(input), "binary"),
  "jaeger thrift compact call": (input: string) => thrift.packet(bytes(input), "compact"),
  "zipkin v1 json": (input: string, typed: boolean) => {
    const encoder = new ZipkinV1Encoder(0);
    for (const span of zipkinV1FromJson(input, typed)) encoder.add(span);
    return encoder.finish();
  },
  "zipkin v1 thrift": (input: string) => {
    const encoder = new ZipkinV1Encoder(0);
    encodeZipkinThrift(bytes(input), encoder);
    return encoder.finish();
  },
  "zipkin v2 json": (input: string, typed: boolean) => zipkinToOtlp(zipkinV2FromJson(input), typed),
  "zipkin v2 protobuf": (input: string, typed: boolean) => zipkinToOtlp(zipkinFromProto(bytes(input)), typed),
};

const VECTORS = JSON.parse(
  readFileSync(new URL("./testdata/trace-vectors.json", import.meta.url), "utf8"),
) as readonly Vector[];

/** Without what has its default value, attributes by their keys. */
function canonical(value: Plain): Plain {
  const result: Plain = {};
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (key === "attributes") {
      const list = member as { key?: string; value?: Plain }[];
      const pairs = list.map((each) => [each.key ?? "", each.value ?? {}] as const);
      if (list.length > 0) result[key] = pairs.sort(([a], [b]) => (a < b ? -1 : 1));
    } else if (Array.isArray(member)) {
      if (member.length > 0) result[key] = (member as Plain[]).map(canonical);
    } else if (typeof member === "object" && member !== null) {
      const inner = canonical(member as Plain);
      if (Object.keys(inner).length > 0) result[key] = inner;
    } else if (member !== "" && member !== 0 && member !== "0" && member !== undefined) result[key] = member;
  }
  return result;
}

function spansOf(request: Uint8Array): unknown[] {
  const list = (value: unknown) => (value ?? []) as Plain[];
  return list(oracleDecode("traces", request).resourceSpans).flatMap(({ resource, scopeSpans }) =>
    list(scopeSpans).flatMap(({ scope, spans }) =>
      list(spans).map((span) => [
        canonical((resource ?? {}) as Plain),
        canonical((scope ?? {}) as Plain),
        canonical(span),
      ]),
    ),
  );
}

/** As texts, since the Collector orders resources of one batch at random. */
const sorted = (spans: readonly unknown[]) => spans.map((span) => JSON.stringify(span)).sort();

for (const format of Object.keys(FORMATS) as (keyof typeof FORMATS)[]) {
  test(`${format}: messages become the spans that the Collector makes of them`, () => {
    const vectors = VECTORS.filter((each) => each.format === format);
    assert.ok(vectors.length >= 9, `${vectors.length} vectors`);
    for (const { input, parseStringTags, spans } of vectors) {
      if (spans === null) {
        assert.throws(
          () => FORMATS[format](input, parseStringTags),
          (error) => {
            return error instanceof ThriftError || error instanceof ProtobufError || error instanceof ZipkinError;
          },
        );
        continue;
      }
      const request = FORMATS[format](input, parseStringTags);
      assert.deepEqual(sorted(spansOf(request)), sorted(spans), input);
      const index = new OtlpIndex();
      index.read("traces", request);
      assert.equal(index.items, spans.length);
    }
  });
}
