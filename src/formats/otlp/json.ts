import { ProtoWriter } from "../protobuf.ts";
import { decodeRequest, type OtlpObject, wireType } from "./decode.ts";
import { MAX_NESTING, type OtlpField, type OtlpKind, type OtlpMessage, REQUESTS } from "./schema.ts";

/** The text is no OTLP/JSON request; the message names the place: `resourceSpans[0].scopeSpans[1].spans[2].kind: …`. */
export class OtlpJsonError extends Error {
  override readonly name = "OtlpJsonError";
}

/** A number that a double cannot hold was met: the text is parsed again with big integers. */
class PrecisionLoss extends Error {}

const MINUS_ZERO = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON("-0");
const MAX_UINT64 = (1n << 64n) - 1n;
const MIN_INT64 = -(1n << 63n);
const MAX_INT64 = (1n << 63n) - 1n;

/** A request's parts as one OTLP/JSON text. Throws ProtobufError for what is no valid request. */
export function requestToJson(kind: OtlpKind, parts: readonly Uint8Array[]): string {
  return objectToJson(decodeRequest(kind, parts));
}

/** The JSON text of a decoded message. */
export function objectToJson(object: OtlpObject): string {
  return JSON.stringify(object, (_, value: unknown) => (typeof value === "number" ? doubleValue(value) : value));
}

/** JSON has names for what is no number, and a minus for zero that `JSON.stringify` forgets. */
function doubleValue(value: number): unknown {
  if (Object.is(value, -0)) return MINUS_ZERO;
  if (Number.isFinite(value)) return value;
  return Number.isNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

/**
 * An OTLP/JSON request as protobuf, in the order of the text. As tolerant as the OpenTelemetry Collector: snake_case keys,
 * enums by name, 64-bit integers as numbers, unknown keys and nulls are skipped. Throws OtlpJsonError.
 */
export function requestFromJson(kind: OtlpKind, text: string): Uint8Array {
  const writer = new ProtoWriter(Math.max(64, text.length >> 1));
  try {
    encodeMessage(writer, REQUESTS[kind], parse(text), "", 1);
  } catch (error) {
    if (!(error instanceof PrecisionLoss)) throw error;
    writer.reset();
    encodeMessage(writer, REQUESTS[kind], parseExactly(text), "", 1);
  }
  return writer.finish();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new OtlpJsonError(`not JSON: ${(error as Error).message}`);
  }
}

/** Like `parse`, with integers that a double cannot hold as bigints. */
function parseExactly(text: string): unknown {
  const revive = (_key: string, value: unknown, context: { source: string }) =>
    typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)
      ? BigInt(/^-?\d+$/.test(context.source) ? context.source : value)
      : value;
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

function encodeMessage(writer: ProtoWriter, message: OtlpMessage, value: unknown, path: string, depth: number): void {
  if (depth > MAX_NESTING) throw new OtlpJsonError(`${path}: nested deeper than ${MAX_NESTING}`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "an object", value);
  for (const [name, member] of Object.entries(value)) {
    const field = message.byName.get(name);
    if (field === undefined || member === null) continue;
    const at = path === "" ? name : `${path}.${name}`;
    if (!field.repeated) encodeField(writer, field, member, at, depth);
    else if (!Array.isArray(member)) throw wrong(at, "an array", member);
    else if (wireType(field) === 2) {
      for (let i = 0; i < member.length; i++) encodeField(writer, field, member[i], `${at}[${i}]`, depth);
    } else if (member.length > 0) {
      const mark = writer.begin(field.number);
      for (let i = 0; i < member.length; i++) packed(writer, field, member[i], `${at}[${i}]`);
      writer.end(mark);
    }
  }
}

function encodeField(writer: ProtoWriter, field: OtlpField, value: unknown, path: string, depth: number): void {
  const { number, presence } = field;
  switch (field.type) {
    case "message": {
      const mark = writer.begin(number);
      encodeMessage(writer, field.message!, value, path, depth + 1);
      writer.end(mark);
      return;
    }
    case "string": {
      if (typeof value !== "string") throw wrong(path, "a string", value);
      if (value !== "" || presence || field.repeated) writer.string(number, value);
      return;
    }
    case "bytes": {
      const bytes = base64(value, path);
      if (bytes.length > 0 || presence) writer.bytes(number, bytes);
      return;
    }
    case "traceId":
    case "spanId": {
      const bytes = id(value, field.type === "traceId" ? 16 : 8, path);
      if (bytes.length > 0) writer.bytes(number, bytes);
      return;
    }
    case "bool": {
      if (typeof value !== "boolean") throw wrong(path, "true or false", value);
      if (value || presence) writer.bool(number, value);
      return;
    }
    case "double": {
      const double = toDouble(value, path);
      if (!Object.is(double, 0) || presence) writer.double(number, double);
      return;
    }
    case "enum": {
      const code = typeof value === "string" ? field.values!.get(value) : undefined;
      const int = code ?? Number(integer(value, -(2 ** 31), 2 ** 31 - 1, path));
      if (int !== 0) writer.int32(number, int);
      return;
    }
    case "int32":
    case "sint32": {
      const int = Number(integer(value, -(2 ** 31), 2 ** 31 - 1, path));
      if (int === 0) return;
      if (field.type === "int32") writer.int32(number, int);
      else writer.sint32(number, int);
      return;
    }
    case "uint32":
    case "fixed32": {
      const int = Number(integer(value, 0, 2 ** 32 - 1, path));
      if (int === 0) return;
      if (field.type === "uint32") writer.uint32(number, int);
      else writer.fixed32(number, int);
      return;
    }
    case "int64":
    case "uint64": {
      const int =
        field.type === "int64" ? integer(value, MIN_INT64, MAX_INT64, path) : integer(value, 0, MAX_UINT64, path);
      if (presence || BigInt(int) !== 0n) writer.int64(number, int);
      return;
    }
    case "fixed64":
    case "sfixed64": {
      const low = field.type === "sfixed64" ? MIN_INT64 : 0;
      const int = BigInt(integer(value, low, field.type === "sfixed64" ? MAX_INT64 : MAX_UINT64, path));
      if (presence || int !== 0n) writer.fixed64Big(number, int);
      return;
    }
  }
}

/** The repeated numbers of the schema: `fixed64`, `uint64` and `double`. */
function packed(writer: ProtoWriter, field: OtlpField, value: unknown, path: string): void {
  if (field.type === "double") {
    writer.rawDouble(toDouble(value, path));
    return;
  }
  const int = BigInt(integer(value, 0, MAX_UINT64, path));
  const low = Number(int & 0xffffffffn);
  const high = Number(int >> 32n);
  if (field.type === "fixed64") writer.rawFixed64(low, high);
  else writer.rawVarint64(low, high);
}

function integer(value: unknown, least: bigint | number, most: bigint | number, path: string): bigint | number {
  let int: bigint | number;
  if (typeof value === "number") {
    if (!Number.isInteger(value)) throw wrong(path, "a whole number", value);
    if (!Number.isSafeInteger(value)) throw new PrecisionLoss();
    int = value;
  } else if (typeof value === "bigint") int = value;
  else if (typeof value === "string" && /^-?\d+$/.test(value)) {
    int = value.length < 16 ? Number(value) : BigInt(value);
  } else throw wrong(path, "a whole number", value);
  if (int < least || int > most) throw wrong(path, `a whole number of ${least} … ${most}`, value);
  return int;
}

function toDouble(value: unknown, path: string): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "string") {
    if (value === "NaN" || value === "Infinity" || value === "-Infinity") return Number(value);
    if (/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(value)) return Number(value);
  }
  throw wrong(path, "a number", value);
}

function base64(value: unknown, path: string): Uint8Array {
  // Both alphabets, with or without padding, as protobuf's JSON mapping wants.
  if (typeof value !== "string" || !/^[A-Za-z0-9+/_-]*={0,2}$/.test(value)) throw wrong(path, "base64 text", value);
  return Buffer.from(value, "base64");
}

function id(value: unknown, bytes: number, path: string): Uint8Array {
  if (typeof value !== "string") throw wrong(path, `${bytes * 2} hexadecimal digits`, value);
  if (value !== "" && (value.length !== bytes * 2 || !/^[0-9a-fA-F]*$/.test(value))) {
    throw wrong(path, `${bytes * 2} hexadecimal digits`, value);
  }
  return Buffer.from(value, "hex");
}

function wrong(path: string, expected: string, got: unknown): OtlpJsonError {
  const text = typeof got === "bigint" ? String(got) : (JSON.stringify(got) ?? "nothing");
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return new OtlpJsonError(`${path === "" ? "the request" : path}: expected ${expected}, got ${shown}`);
}
