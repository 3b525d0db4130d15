import { asBuffer, ProtobufError, ProtoReader } from "../protobuf.ts";
import { MAX_NESTING, type OtlpField, type OtlpKind, type OtlpMessage, REQUESTS } from "./schema.ts";

/**
 * A decoded message in the form of OTLP/JSON: keys in lowerCamelCase and only those of the schema, 64-bit integers as
 * decimal strings, ids in lower-case hex, bytes in base64, enums as numbers. NaN and infinities are numbers here and
 * strings in JSON text.
 */
export interface OtlpObject {
  [name: string]: OtlpValue;
}
export type OtlpValue = string | number | boolean | OtlpObject | OtlpValue[];

/** All of a request, for people and for JSON; several parts are joined. Throws ProtobufError for what is no valid request. */
export function decodeRequest(kind: OtlpKind, parts: readonly Uint8Array[]): OtlpObject {
  const into: OtlpObject = {};
  const reader = new ProtoReader(new Uint8Array(0));
  for (const part of parts) {
    reader.reset(part);
    decodeMessage(reader, REQUESTS[kind], into, 1);
  }
  return into;
}

/** One message at `bytes[start, end)`, such as an entry that an index points at. */
export function decodeRange(message: OtlpMessage, bytes: Uint8Array, start = 0, end = bytes.length): OtlpObject {
  const into: OtlpObject = {};
  decodeMessage(new ProtoReader(bytes, start, end), message, into, 1);
  return into;
}

function decodeMessage(reader: ProtoReader, message: OtlpMessage, into: OtlpObject, depth: number): void {
  if (depth > MAX_NESTING) throw new ProtobufError(`messages nest deeper than ${MAX_NESTING}`, reader.position);
  const { byNumber } = message;
  while (!reader.done) {
    const tag = reader.tag();
    const field = byNumber[tag >>> 3];
    if (field === undefined) {
      reader.skip(tag);
      continue;
    }
    if (field.message !== undefined) decodeChild(reader, tag, field, field.message, into, depth);
    else if (field.repeated) decodeRepeated(reader, tag, field, into);
    else into[field.name] = scalar(reader, tag, field);
  }
}

function decodeChild(
  reader: ProtoReader,
  tag: number,
  field: OtlpField,
  message: OtlpMessage,
  into: OtlpObject,
  depth: number,
): void {
  if ((tag & 7) !== 2) wrongWireType(tag, reader);
  const outer = reader.enter();
  if (field.repeated) {
    const child: OtlpObject = {};
    const list = (into[field.name] ??= []) as OtlpValue[];
    list.push(child);
    decodeMessage(reader, message, child, depth + 1);
  } else {
    // A message that comes twice is merged, as protobuf wants.
    const child = (into[field.name] ??= {}) as OtlpObject;
    decodeMessage(reader, message, child, depth + 1);
  }
  reader.leave(outer);
}

function decodeRepeated(reader: ProtoReader, tag: number, field: OtlpField, into: OtlpObject): void {
  const list = (into[field.name] ??= []) as OtlpValue[];
  const own = wireType(field);
  if ((tag & 7) !== 2 || own === 2) {
    list.push(scalar(reader, tag, field));
    return;
  }
  const outer = reader.enter();
  while (!reader.done) list.push(scalar(reader, (field.number << 3) | own, field));
  reader.leave(outer);
}

function scalar(reader: ProtoReader, tag: number, field: OtlpField): OtlpValue {
  if ((tag & 7) !== wireType(field)) wrongWireType(tag, reader);
  switch (field.type) {
    case "string":
      return reader.string();
    case "bytes":
      return asBuffer(reader.lengthDelimited()).toString("base64");
    case "traceId":
    case "spanId":
      return asBuffer(reader.lengthDelimited()).toString("hex");
    case "bool":
      return reader.bool();
    case "int32":
    case "enum":
      return reader.int32();
    case "uint32":
      return reader.uint32();
    case "sint32":
      return reader.sint32();
    case "int64":
      return String(reader.int64());
    case "uint64":
      return String(reader.uint64());
    case "fixed32":
      return reader.fixed32();
    case "fixed64":
      return String(reader.fixed64());
    case "sfixed64":
      return String(reader.sfixed64());
    case "double":
      return reader.double();
    case "message":
      throw new Error("a message is no scalar");
  }
}

export function wireType(field: OtlpField): number {
  switch (field.type) {
    case "string":
    case "bytes":
    case "traceId":
    case "spanId":
    case "message":
      return 2;
    case "fixed32":
      return 5;
    case "fixed64":
    case "sfixed64":
    case "double":
      return 1;
    default:
      return 0;
  }
}

function wrongWireType(tag: number, reader: ProtoReader): never {
  throw new ProtobufError(`wire type ${tag & 7} for field ${tag >>> 3} of OTLP`, reader.position);
}
