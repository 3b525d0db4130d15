import { ipText } from "../ip-text.ts";
import type { AnyValue } from "../otlp/values.ts";
import { THRIFT, ThriftBinaryReader, ThriftError, type ThriftReader } from "../thrift-reader.ts";
import type { ZipkinV1Encoder, ZipkinV1Endpoint, ZipkinV1Span } from "./v1.ts";

type Open<T> = { -readonly [K in keyof T]: T[K] };
type Annotation = ZipkinV1Span["annotations"][number];
type Tag = ZipkinV1Span["tags"][number];

/** Types of binary annotations: AnnotationType of zipkincore.thrift. */
const TYPE = { bool: 0, bytes: 1, i16: 2, i32: 3, i64: 4, double: 5, string: 6 } as const;
const TRACE_ID = 1;
const SPAN_ID = 4;
const KEY = 1;

/**
 * Spans of a list in thrift's binary protocol (zipkincore.thrift), as pkg/translator/zipkin reads them; unlike there, spans
 * without ids are refused: each writer of thrift sends them, and a body of zeros would be millions of spans. Throws a
 * ThriftError.
 */
export function encodeZipkinThrift(body: Uint8Array, encoder: ZipkinV1Encoder): void {
  const reader = new ThriftBinaryReader(body);
  const count = reader.listBegin();
  for (let i = 0; i < count; i++) encoder.add(readSpan(reader));
}

function readSpan(reader: ThriftReader): ZipkinV1Span {
  const span: Open<ZipkinV1Span> = {
    traceId: Buffer.alloc(16),
    id: Buffer.alloc(8),
    parentId: Buffer.alloc(8),
    name: "",
    timestamp: undefined,
    duration: 0n,
    annotations: [],
    tags: [],
    emptyHostCounts: true,
    startNow: false,
  };
  let seen = 0;
  reader.structBegin();
  for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
    const { field } = reader;
    if (type === THRIFT.i64 && field === TRACE_ID) putId(reader, span.traceId, 8);
    else if (type === THRIFT.i64 && field === 12) putId(reader, span.traceId, 0);
    else if (type === THRIFT.i64 && field === SPAN_ID) putId(reader, span.id, 0);
    else if (type === THRIFT.i64 && field === 5) putId(reader, span.parentId, 0);
    else if (type === THRIFT.i64 && field === 10) span.timestamp = int64(reader);
    else if (type === THRIFT.i64 && field === 11) span.duration = int64(reader);
    else if (type === THRIFT.string && field === 3) {
      reader.string();
      span.name = reader.text();
    } else if (type === THRIFT.list && field === 6) span.annotations = readAnnotations(reader);
    else if (type === THRIFT.list && field === 8) span.tags = readTags(reader);
    else {
      reader.skip(type);
      continue;
    }
    seen |= 1 << field;
  }
  reader.structEnd();
  const ids = (1 << TRACE_ID) | (1 << SPAN_ID);
  if ((seen & ids) !== ids) throw new ThriftError("a span without a trace_id or an id", reader.position);
  return span;
}

function readAnnotations(reader: ThriftReader): Annotation[] {
  const annotations: Annotation[] = [];
  const count = reader.listBegin();
  for (let i = 0; i < count; i++) {
    let timestamp = 0n;
    let value = "";
    let endpoint: ZipkinV1Endpoint | undefined;
    reader.structBegin();
    for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
      if (reader.field === 1 && type === THRIFT.i64) timestamp = int64(reader);
      else if (reader.field === 2 && type === THRIFT.string) {
        reader.string();
        value = reader.text();
      } else if (reader.field === 3 && type === THRIFT.struct) endpoint = readEndpoint(reader);
      else reader.skip(type);
    }
    reader.structEnd();
    // One without a value says nothing.
    if (value !== "") annotations.push({ timestamp, value, endpoint });
  }
  return annotations;
}

function readTags(reader: ThriftReader): Tag[] {
  const tags: Tag[] = [];
  const count = reader.listBegin();
  for (let i = 0; i < count; i++) {
    let seen = 0;
    let key = "";
    let bytes: Buffer = Buffer.alloc(0);
    let kind = 0;
    let endpoint: ZipkinV1Endpoint | undefined;
    reader.structBegin();
    for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
      const { field } = reader;
      if (field === KEY && type === THRIFT.string) {
        reader.string();
        key = reader.text();
        seen |= 1 << KEY;
      } else if (field === 2 && type === THRIFT.string) {
        reader.string();
        bytes = reader.bytes.subarray(reader.from, reader.to);
      } else if (field === 3 && type === THRIFT.i32) kind = reader.i32();
      else if (field === 4 && type === THRIFT.struct) endpoint = readEndpoint(reader);
      else reader.skip(type);
    }
    reader.structEnd();
    if (seen === 0) throw new ThriftError("a binary annotation without a key", reader.position);
    tags.push({ key, value: typedValue(kind, bytes), text: bytes.toString("utf8"), endpoint });
  }
  return tags;
}

function readEndpoint(reader: ThriftReader): ZipkinV1Endpoint {
  const endpoint: Open<ZipkinV1Endpoint> = { serviceName: "", ipv4: "", ipv6: "", port: 0 };
  reader.structBegin();
  for (let type = reader.fieldBegin(); type !== THRIFT.stop; type = reader.fieldBegin()) {
    const { field } = reader;
    if (field === 1 && type === THRIFT.i32) {
      const address = reader.i32();
      endpoint.ipv4 = address === 0 ? "" : [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
    } else if (field === 2 && type === THRIFT.i16) endpoint.port = reader.i16();
    else if (field === 3 && type === THRIFT.string) {
      reader.string();
      endpoint.serviceName = reader.text();
    } else if (field === 4 && type === THRIFT.string) {
      reader.string();
      const address = reader.bytes.subarray(reader.from, reader.to);
      endpoint.ipv6 = address.length === 0 ? "" : ipText(address);
    } else reader.skip(type);
  }
  reader.structEnd();
  return endpoint;
}

/** Numbers of 16 and 32 bits come out without a sign, as from the Collector. */
function typedValue(kind: number, bytes: Buffer): AnyValue {
  switch (kind) {
    case TYPE.bool:
      return bytes.length === 1 && bytes[0] === 1;
    case TYPE.bytes:
      return bytes.toString("base64");
    case TYPE.i16:
      return bytes.length < 2 ? TOO_SHORT : BigInt(bytes.readUInt16BE());
    case TYPE.i32:
      return bytes.length < 4 ? TOO_SHORT : BigInt(bytes.readUInt32BE());
    case TYPE.i64:
      return bytes.length < 8 ? TOO_SHORT : bytes.readBigInt64BE();
    case TYPE.double:
      return bytes.length < 8 ? TOO_SHORT : bytes.readDoubleBE();
    case TYPE.string:
      return bytes.toString("utf8");
    default:
      return `<unknown zipkin v1 binary annotation type (${kind})>`;
  }
}
const TOO_SHORT = "<not enough bytes representing the number>";

function putId(reader: ThriftReader, id: Buffer, at: number): void {
  const low = reader.i64();
  id.writeInt32BE(reader.high, at);
  id.writeUInt32BE(low, at + 4);
}

function int64(reader: ThriftReader): bigint {
  const low = reader.i64();
  return (BigInt(reader.high) << 32n) | BigInt(low);
}
