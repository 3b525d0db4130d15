import { isUtf8 } from "node:buffer";
import { ipText } from "../ip-text.ts";
import { asBuffer, ProtobufError, ProtoReader } from "../protobuf.ts";
import { KIND_NAMES } from "./names.ts";
import { type Micros, type ZipkinEndpoint, ZipkinError, type ZipkinSpan } from "./span.ts";

const TWO_32 = 2 ** 32;

/** Spans of Zipkin's ListOfSpans (zipkin.proto), as zipkin_proto3.ParseSpans reads them. Throws a ZipkinError. */
export function zipkinFromProto(bytes: Uint8Array): ZipkinSpan[] {
  const reader = new ProtoReader(asBuffer(bytes));
  const spans: ZipkinSpan[] = [];
  try {
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 10) spans.push(readSpan(reader, `span ${spans.length}`));
      else reader.skip(tag);
    }
  } catch (error) {
    if (!(error instanceof ProtobufError)) throw error;
    throw new ZipkinError(`the body is no list of spans in protobuf: ${error.message}`);
  }
  return spans;
}

function readSpan(reader: ProtoReader, where: string): ZipkinSpan {
  let traceId: Buffer = Buffer.alloc(0);
  let id: Buffer = traceId;
  let parentId: Buffer = traceId;
  let kind = 0;
  let name = "";
  let timestamp: Micros = 0;
  let duration: Micros = 0;
  let local: Endpoint | undefined;
  let remote: Endpoint | undefined;
  const annotations: { timestamp: Micros; value: string }[] = [];
  const tags = new Map<string, string>();
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    switch (tag) {
      case 10:
        traceId = asBuffer(reader.lengthDelimited());
        break;
      case 18:
        parentId = asBuffer(reader.lengthDelimited());
        break;
      case 26:
        id = asBuffer(reader.lengthDelimited());
        break;
      case 32:
        kind = reader.int32();
        break;
      case 42:
        name = textOf(reader);
        break;
      case 49:
        timestamp = micros(reader.fixed64Low(), reader);
        break;
      case 56:
        duration = micros(reader.varint(), reader);
        break;
      case 66:
        local = readEndpoint(reader, local);
        break;
      case 74:
        remote = readEndpoint(reader, remote);
        break;
      case 82:
        annotations.push(readAnnotation(reader));
        break;
      case 90:
        readTag(reader, tags);
        break;
      default:
        reader.skip(tag);
    }
  }
  reader.leave(outer);
  if (traceId.length !== 16) throw new ZipkinError(`${where}: trace_id must have 16 bytes, not ${traceId.length}`);
  if (id.length !== 8) throw new ZipkinError(`${where}: id must have 8 bytes, not ${id.length}`);
  if (parentId.length !== 8 && parentId.length !== 0) {
    throw new ZipkinError(`${where}: parent_id must have 8 bytes, not ${parentId.length}`);
  }
  return {
    traceId,
    id,
    parentId: parentId.length === 0 ? undefined : parentId,
    name,
    kind: KIND_NAMES[kind] ?? "",
    // A time that is missing is 1970 here, unlike in JSON.
    timestamp,
    duration,
    localEndpoint: endpointOf(local),
    remoteEndpoint: endpointOf(remote),
    annotations,
    tags,
  };
}

interface Endpoint {
  serviceName: string;
  ipv4: Buffer | undefined;
  ipv6: Buffer | undefined;
  port: number;
}

/** A message that comes in pieces is one. */
function readEndpoint(reader: ProtoReader, before: Endpoint | undefined): Endpoint {
  const endpoint = before ?? { serviceName: "", ipv4: undefined, ipv6: undefined, port: 0 };
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 10) endpoint.serviceName = textOf(reader);
    else if (tag === 18) endpoint.ipv4 = asBuffer(reader.lengthDelimited());
    else if (tag === 26) endpoint.ipv6 = asBuffer(reader.lengthDelimited());
    else if (tag === 32) endpoint.port = reader.int32() & 0xffff;
    else reader.skip(tag);
  }
  reader.leave(outer);
  return endpoint;
}

function endpointOf(endpoint: Endpoint | undefined): ZipkinEndpoint | undefined {
  if (endpoint === undefined) return undefined;
  const text = (address: Buffer | undefined) =>
    address === undefined || address.length === 0 ? undefined : ipText(address);
  return { ...endpoint, ipv4: text(endpoint.ipv4), ipv6: text(endpoint.ipv6) };
}

function readAnnotation(reader: ProtoReader): { timestamp: Micros; value: string } {
  let timestamp: Micros = 0;
  let value = "";
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 9) timestamp = micros(reader.fixed64Low(), reader);
    else if (tag === 18) value = textOf(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { timestamp, value };
}

function readTag(reader: ProtoReader, tags: Map<string, string>): void {
  let key = "";
  let value = "";
  const outer = reader.enter();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 10) key = textOf(reader);
    else if (tag === 18) value = textOf(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  tags.set(key, value);
}

/** Text of proto3, which must be UTF-8. */
function textOf(reader: ProtoReader): string {
  const at = reader.position;
  const end = reader.length() + reader.position;
  const start = reader.position;
  reader.position = end;
  // Views of each text would take longer than the texts.
  const text = asBuffer(reader.bytes).toString("utf8", start, end);
  if (text.includes("\ufffd") && !isUtf8(reader.bytes.subarray(start, end))) {
    throw new ProtobufError("a string that is no UTF-8", at);
  }
  return text;
}

function micros(low: number, reader: ProtoReader): Micros {
  const { high } = reader;
  return high < 2 ** 21 ? high * TWO_32 + low : (BigInt(high) << 32n) | BigInt(low);
}
