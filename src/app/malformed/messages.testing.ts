import { readFileSync } from "node:fs";
import fc from "fast-check";
import type { Chance } from "#formats/damage.testing";
import { JaegerProtoDecoder } from "#formats/jaeger/proto";
import { JaegerThriftDecoder } from "#formats/jaeger/thrift";
import { PushRequestEncoder } from "#formats/loki-push/encode";
import { decodePushJson } from "#formats/loki-push/json";
import { LabelTextCache } from "#formats/loki-push/labels";
import { decodePush, PushError } from "#formats/loki-push/loki-push";
import { OtlpJsonError, requestFromJson, requestToJson } from "#formats/otlp/json";
import { kinds, requests } from "#formats/otlp/oracle.testing";
import { countItems, type OtlpKind } from "#formats/otlp/otlp";
import { ProtobufError } from "#formats/protobuf";
import { SnappyError } from "#formats/snappy";
import { ThriftError } from "#formats/thrift-reader";
import { encodeWrite1, encodeWrite2, type TestSeries } from "#formats/write-request.testing";
import { zipkinV1FromJson, zipkinV2FromJson } from "#formats/zipkin/json";
import { zipkinFromProto } from "#formats/zipkin/proto";
import { ZipkinError } from "#formats/zipkin/span";
import { encodeZipkinThrift } from "#formats/zipkin/thrift";
import { ZipkinV1Encoder } from "#formats/zipkin/v1";
import { zipkinToOtlp } from "#formats/zipkin/v2";
import { HttpError } from "#kits/http/server";
import { OTTL_DATA } from "#kits/ottl/data.testing";
import { sliceable } from "#pipeline/log-batch";
import { type Pipelines, STATEMENTS } from "./pipelines.testing.ts";

/** A form in which messages come: sound ones of it, and the way that they take in the agent. */
export interface MessageKind {
  readonly isText: boolean;
  /** Some sound messages; others for another seed. */
  sound(seed: number): readonly Uint8Array[];
  /**
   * Does with a message what the receiver and what comes after it do. Returns or resolves to whether it was let in; throws
   * or rejects for what is none of its faults.
   */
  take(bytes: Buffer, to: Pipelines, pick: Chance): boolean | Promise<boolean>;
}

const REFUSALS = [ProtobufError, ThriftError, ZipkinError, PushError, OtlpJsonError, SnappyError, HttpError];
/** False for what a decoder refuses; throws what is no refusal. */
function refused(error: unknown): false {
  if (REFUSALS.some((known) => error instanceof known)) return false;
  throw error;
}

/** Messages of OTLP, in what form they come. */
function otlp(
  kind: OtlpKind,
  isText: boolean,
  sound: MessageKind["sound"],
  decode: (bytes: Buffer) => Uint8Array,
): MessageKind {
  return {
    isText,
    sound,
    take(bytes, to, pick) {
      let request: Uint8Array;
      try {
        request = decode(bytes);
        to.index.read(kind, request);
      } catch (error) {
        return refused(error);
      }
      return to.request(kind, request, pick);
    },
  };
}
/** Half of what is made at random has no items: that half is left out. */
function soundRequests(kind: OtlpKind): MessageKind["sound"] {
  const any = requests(kind);
  const { [kind]: usual } = OTTL_DATA;
  return (seed) => {
    const full = fc.sample(any, { numRuns: 20, seed }).filter((each) => countItems(kind, each) > 0);
    return [...full, Buffer.concat(full.slice(0, 3)), usual, usual, usual];
  };
}
const asJson = (kind: OtlpKind, sound: readonly Uint8Array[]) =>
  sound.map((each) => Buffer.from(requestToJson(kind, [each])));

/** What the vectors of `src/formats` have of a format. */
interface TraceVector {
  readonly format: string;
  readonly input: string;
}
const TRACE_VECTORS: readonly TraceVector[] = JSON.parse(
  readFileSync(new URL("../../formats/testdata/trace-vectors.json", import.meta.url), "utf8"),
);
function spans(format: string, decode: (bytes: Buffer) => Uint8Array): MessageKind {
  const isText = format.endsWith("json");
  const sound = TRACE_VECTORS.filter((each) => each.format === format).map(({ input }) =>
    Buffer.from(input, isText ? "utf8" : "hex"),
  );
  return otlp("traces", isText, () => sound, decode);
}

const proto = new JaegerProtoDecoder();
const thrift = new JaegerThriftDecoder();
const TIME = 1_700_000_000_000;
function zipkinV1(add: (encoder: ZipkinV1Encoder) => void): Uint8Array {
  const encoder = new ZipkinV1Encoder(TIME);
  add(encoder);
  return encoder.finish();
}

const STREAMS = [
  ['{job="app", level="info"}', "it works", { trace_id: "0102", user: "ada" }],
  ['{service_name="shop"}', '{"level":"error","message":"slow"}', {}],
] as const;
function soundPush(): Uint8Array {
  const encoder = new PushRequestEncoder();
  for (const [labels, line, metadata] of STREAMS) {
    const data = Buffer.from(line);
    const flat = Object.entries(metadata).flat();
    const stream = encoder.stream(Buffer.from(labels));
    encoder.add(stream, TIME, 1, sliceable(data), 0, data.length, flat.length > 0 ? flat : undefined);
  }
  return encoder.finish();
}
const JSON_PUSH = JSON.stringify({
  streams: STREAMS.map(([, line, metadata]) => ({
    stream: { job: "app", namespace: "shop" },
    values: [
      [`${TIME}000001`, line, metadata],
      [`${TIME}000002`, line],
    ],
  })),
});
function push(
  isText: boolean,
  sound: Uint8Array,
  decode: (bytes: Buffer) => ReturnType<typeof decodePush>,
): MessageKind {
  return {
    isText,
    sound: () => [sound],
    take(bytes, to) {
      let decoded: ReturnType<typeof decodePush>;
      try {
        decoded = decode(bytes);
      } catch (error) {
        return refused(error);
      }
      return to.entries(decoded.batch);
    },
  };
}

const SERIES: readonly TestSeries[] = [
  {
    labels: [
      ["__name__", "requests_total"],
      ["instance", "a:80"],
      ["job", "shop"],
    ],
    samples: [
      { value: 1.5, timestamp: TIME },
      { value: 2, timestamp: TIME + 1000 },
    ],
    exemplars: [{ labels: [["trace_id", "0102"]], value: 1, timestamp: TIME }],
    metadata: { type: 1, help: "Requests.", unit: "" },
  },
  {
    labels: [
      ["__name__", "latency_seconds"],
      ["job", "shop"],
      ["le", "0.5"],
    ],
    histograms: [
      {
        countInt: 6,
        sum: 4.5,
        schema: 3,
        zeroThreshold: 0.001,
        zeroCountInt: 1,
        positiveSpans: [
          { offset: -2, length: 2 },
          { offset: 1, length: 1 },
        ],
        positiveDeltas: [1, 1, -1],
        timestamp: TIME,
      },
    ],
  },
];
const METADATA = [{ type: 1, metricFamilyName: "requests_total", help: "Requests.", unit: "" }];
function write(version: 1 | 2): MessageKind {
  const sound = version === 1 ? encodeWrite1(SERIES, METADATA) : encodeWrite2(SERIES);
  return {
    isText: false,
    sound: () => [sound],
    take: (bytes, to, pick) => to.write(version, bytes, pick).catch(refused),
  };
}

const labelTexts = new LabelTextCache();

const TEXTS = STATEMENTS.map(({ text }) => Buffer.from(text));

export const MESSAGES: ReadonlyMap<string, MessageKind> = new Map([
  ...kinds.flatMap((kind) => {
    const sound = soundRequests(kind);
    return [
      [`otlp ${kind}`, otlp(kind, false, sound, (bytes) => bytes)] as const,
      [
        `otlp ${kind} json`,
        otlp(
          kind,
          true,
          (seed) => asJson(kind, sound(seed)),
          (bytes) => requestFromJson(kind, bytes.toString()),
        ),
      ] as const,
    ];
  }),
  ["jaeger protobuf", spans("jaeger protobuf", (bytes) => proto.request(bytes))],
  ["jaeger thrift body", spans("jaeger thrift batch", (bytes) => thrift.body(bytes))],
  ["jaeger thrift binary", spans("jaeger thrift binary call", (bytes) => thrift.packet(bytes, "binary"))],
  ["jaeger thrift compact", spans("jaeger thrift compact call", (bytes) => thrift.packet(bytes, "compact"))],
  [
    "zipkin v1 json",
    spans("zipkin v1 json", (bytes) =>
      zipkinV1((encoder) => {
        for (const span of zipkinV1FromJson(bytes.toString(), true)) encoder.add(span);
      }),
    ),
  ],
  ["zipkin v1 thrift", spans("zipkin v1 thrift", (bytes) => zipkinV1((encoder) => encodeZipkinThrift(bytes, encoder)))],
  ["zipkin v2 json", spans("zipkin v2 json", (bytes) => zipkinToOtlp(zipkinV2FromJson(bytes.toString()), true))],
  ["zipkin v2 protobuf", spans("zipkin v2 protobuf", (bytes) => zipkinToOtlp(zipkinFromProto(bytes), true))],
  ["loki push", push(false, soundPush(), (bytes) => decodePush(bytes, labelTexts, 10_000))],
  ["loki push json", push(true, Buffer.from(JSON_PUSH), (bytes) => decodePushJson(bytes, labelTexts, 10_000))],
  ["remote write 1", write(1)],
  ["remote write 2", write(2)],
  ["ottl", { isText: true, sound: () => TEXTS, take: (bytes, to, pick) => to.statement(bytes.toString(), pick) }],
]);
