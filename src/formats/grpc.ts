/** gRPC's status codes, headers and framing, without any transport. */
import { asBuffer, ProtoReader, ProtoWriter } from "./protobuf.ts";

export const GRPC = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

const NAMES = new Map<number, string>(Object.entries(GRPC).map(([name, code]) => [code, name]));

/** `UNAVAILABLE` for 14; `code 99` for a code that nobody defined. */
export function grpcCodeName(code: number): string {
  return NAMES.get(code) ?? `code ${code}`;
}

/** A call that ended with another status than OK. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly code: number;
  /** The server asks for this pause (google.rpc.RetryInfo); undefined when it said nothing. */
  readonly retryDelayMs: number | undefined;
  constructor(code: number, message: string, options: { retryDelayMs?: number | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryDelayMs = options.retryDelayMs;
  }
}

/** The head of a message frame: a flag for compression and the length in four bytes. */
export const FRAME_HEAD_BYTES = 5;

export interface GrpcStatus {
  readonly code: number;
  readonly message: string;
  readonly retryDelayMs: number | undefined;
}

const RETRY_INFO_TYPE = "type.googleapis.com/google.rpc.RetryInfo";

/** A google.rpc.Status message, with RetryInfo among its details if a delay is given. */
export function encodeStatus(
  status: Omit<GrpcStatus, "retryDelayMs"> & { retryDelayMs?: number | undefined },
): Uint8Array {
  const writer = new ProtoWriter();
  if (status.code !== 0) writer.int32(1, status.code);
  if (status.message !== "") writer.string(2, status.message);
  if (status.retryDelayMs !== undefined) {
    const any = writer.begin(3);
    writer.string(1, RETRY_INFO_TYPE);
    const info = writer.begin(2);
    const delay = writer.begin(1);
    const seconds = Math.floor(status.retryDelayMs / 1000);
    const nanos = Math.round((status.retryDelayMs - seconds * 1000) * 1e6);
    if (seconds !== 0) writer.int64(1, seconds);
    if (nanos !== 0) writer.int32(2, nanos);
    writer.end(delay);
    writer.end(info);
    writer.end(any);
  }
  return writer.finish();
}

/** Reads a google.rpc.Status message. Throws ProtobufError for what is none. */
export function decodeStatus(bytes: Uint8Array): GrpcStatus {
  const reader = new ProtoReader(bytes);
  let code = 0;
  let message = "";
  let retryDelayMs: number | undefined;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 8) code = reader.int32();
    else if (tag === 18) message = reader.string();
    else if (tag === 26) {
      const outer = reader.enter();
      retryDelayMs = readRetryInfo(reader) ?? retryDelayMs;
      reader.leave(outer);
    } else reader.skip(tag);
  }
  return { code, message, retryDelayMs };
}

/** The delay in a google.protobuf.Any, if it holds a RetryInfo. */
function readRetryInfo(reader: ProtoReader): number | undefined {
  let type = "";
  let value: Uint8Array | undefined;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 10) type = reader.string();
    else if (tag === 18) value = reader.lengthDelimited();
    else reader.skip(tag);
  }
  if (type !== RETRY_INFO_TYPE) return undefined;
  const info = new ProtoReader(value ?? new Uint8Array(0));
  let delayMs = 0;
  while (!info.done) {
    const tag = info.tag();
    if (tag !== 10) {
      info.skip(tag);
      continue;
    }
    const outer = info.enter();
    while (!info.done) {
      const inner = info.tag();
      if (inner === 8) delayMs += info.int64Number() * 1000;
      else if (inner === 16) delayMs += info.int32() / 1e6;
      else info.skip(inner);
    }
    info.leave(outer);
  }
  return delayMs;
}

/** The text of a `grpc-message` header: everything but printable ASCII, and `%`, becomes `%XX` of its UTF-8 bytes. */
export function encodeGrpcMessage(message: string): string {
  if (/^[ -$&-~]*$/.test(message)) return message;
  let out = "";
  for (const byte of Buffer.from(message, "utf8")) {
    out += byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : percent(byte);
  }
  return out;
}

function percent(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** The opposite; broken escapes are kept as they are. */
export function decodeGrpcMessage(text: string): string {
  if (!text.includes("%")) return text;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const hex = text[i] === "%" ? text.slice(i + 1, i + 3) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else bytes.push(text.charCodeAt(i) & 0xff);
  }
  return Buffer.from(bytes).toString("utf8");
}

const TIMEOUT_UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of a `grpc-timeout` header such as `10S`; undefined for what is none. */
export function parseGrpcTimeout(text: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * TIMEOUT_UNITS[match[2]!]!;
}

/** The `grpc-timeout` header for so many milliseconds, at most eight digits. */
export function formatGrpcTimeout(ms: number): string {
  const whole = Math.max(1, Math.ceil(ms));
  return whole < 1e8 ? `${whole}m` : `${Math.min(99_999_999, Math.ceil(whole / 1000))}S`;
}

/** A binary header's value: base64 without padding. */
export function encodeBinaryHeader(bytes: Uint8Array): string {
  return asBuffer(bytes).toString("base64").replace(/=+$/, "");
}

/** The code for an HTTP status that a proxy or a server that speaks no gRPC answered with (`http-grpc-status-mapping.md`). */
export function codeOfProxyStatus(status: number): number {
  switch (status) {
    case 400:
      return GRPC.INTERNAL;
    case 401:
      return GRPC.UNAUTHENTICATED;
    case 403:
      return GRPC.PERMISSION_DENIED;
    case 404:
      return GRPC.UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC.UNAVAILABLE;
    default:
      return GRPC.UNKNOWN;
  }
}

/** The code in the body of an OTLP/HTTP error. Matches the OpenTelemetry Collector's `statusutil`. */
export function codeOfHttpStatus(status: number): number {
  if (status === 400) return GRPC.INVALID_ARGUMENT;
  return status === 429 ? GRPC.RESOURCE_EXHAUSTED : codeOfProxyStatus(status);
}

/** The HTTP status of an OTLP/HTTP answer. Matches `GetHTTPStatusCodeFromStatus` of the Collector's OTLP receiver. */
export function httpStatusOfCode(code: number): number {
  switch (code) {
    case GRPC.CANCELLED:
    case GRPC.DEADLINE_EXCEEDED:
    case GRPC.ABORTED:
    case GRPC.OUT_OF_RANGE:
    case GRPC.UNAVAILABLE:
    case GRPC.DATA_LOSS:
      return 503;
    case GRPC.RESOURCE_EXHAUSTED:
      return 429;
    case GRPC.INVALID_ARGUMENT:
      return 400;
    case GRPC.UNAUTHENTICATED:
      return 401;
    case GRPC.PERMISSION_DENIED:
      return 403;
    case GRPC.UNIMPLEMENTED:
      return 404;
    default:
      return 500;
  }
}
