import { type AnyValue, writeKeyValue } from "../otlp/values.ts";
import { ProtoWriter } from "../protobuf.ts";

/** The spans are none of Zipkin; the message says which one and why. */
export class ZipkinError extends Error {
  override readonly name = "ZipkinError";
}

/** Microseconds or a length of time in them: exact in either form. */
export type Micros = number | bigint;

export interface ZipkinEndpoint {
  readonly serviceName: string;
  /** Addresses in canonical form; undefined for none. */
  readonly ipv4: string | undefined;
  readonly ipv6: string | undefined;
  readonly port: number;
}

/** A span of Zipkin's second format. */
export interface ZipkinSpan {
  /** 16 and 8 bytes. */
  readonly traceId: Buffer;
  readonly id: Buffer;
  readonly parentId: Buffer | undefined;
  readonly name: string;
  /** `CLIENT`, `SERVER`, `PRODUCER` or `CONSUMER`; anything else for none. */
  readonly kind: string;
  /** Undefined for a span that does not tell when it began. */
  readonly timestamp: Micros | undefined;
  readonly duration: Micros;
  readonly localEndpoint: ZipkinEndpoint | undefined;
  readonly remoteEndpoint: ZipkinEndpoint | undefined;
  readonly annotations: readonly { readonly timestamp: Micros; readonly value: string }[];
  /** Used up by the translation. */
  readonly tags: Map<string, string>;
}

const TWO_32 = 2 ** 32;
const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
const INTEGER = /^-?\d+$/;
const DOUBLE = /^-?\d+\.\d+$/;
const SIGNED = /^[+-]?\d+$/;

/** An attribute that says that a span does not tell when it began. */
export const START_TIME_ABSENT = "otel.zipkin.absentField.startTime";

/** Writes nanoseconds of a time in microseconds, `plus` more of them added; what is beyond 64 bits is lost, as in Go. */
export function writeMicros(writer: ProtoWriter, field: number, time: Micros, plus: Micros): void {
  if (typeof time === "number" && typeof plus === "number") {
    const sum = time + plus;
    if (sum >= 0 && sum < 2 ** 53) {
      const high = Math.floor(sum / TWO_32);
      const low = (sum - high * TWO_32) * 1000;
      const upper = high * 1000 + Math.floor(low / TWO_32);
      if (sum !== 0) writer.fixed64(field, low % TWO_32, upper % TWO_32);
      return;
    }
  }
  const nanos = BigInt.asUintN(64, (BigInt(time) + BigInt(plus)) * 1000n);
  if (nanos !== 0n) writer.fixed64Big(field, nanos);
}

/** Nanoseconds in halves, unsigned, as microseconds: rounded, or the rest left out. */
export function microsOf(low: number, high: number, rounded: boolean): Micros {
  // 2^32 is 4294967 times 1000, and 296.
  const rest = high * 296 + low;
  const micros = high * 4_294_967 + Math.floor(rest / 1000);
  const isUp = rounded && rest % 1000 >= 500;
  if (micros < Number.MAX_SAFE_INTEGER) return isUp ? micros + 1 : micros;
  return BigInt(high) * 4_294_967n + BigInt(Math.floor(rest / 1000)) + (isUp ? 1n : 0n);
}

/** A tag as the type that its text looks like, for `parse_string_tags`. */
export function typedTag(text: string): AnyValue {
  if (INTEGER.test(text)) return clamped(text);
  if (DOUBLE.test(text)) return Number(text);
  return text === "true" || text === "false" ? text === "true" : text;
}

/** As strconv.ParseInt gives numbers that are too large. */
function clamped(text: string): bigint {
  const digits = text.replace(/^(-?)0+(?=\d)/, "$1");
  if (digits.length > 20) return text.startsWith("-") ? MIN_INT64 : MAX_INT64;
  const value = BigInt(digits);
  return value > MAX_INT64 ? MAX_INT64 : value < MIN_INT64 ? MIN_INT64 : value;
}

/** A whole number of 32 bits that an attribute holds or spells; undefined for anything else. */
export function smallInteger(value: AnyValue): number | undefined {
  if (typeof value !== "bigint" && (typeof value !== "string" || !SIGNED.test(value))) return undefined;
  const number = Number(value);
  return number === (number | 0) ? number : undefined;
}

/** The bytes of a message with attributes and nothing else, such as a Resource. */
export function attributesMessage(field: number, attributes: ReadonlyMap<string, AnyValue>): Uint8Array {
  const writer = new ProtoWriter(64 + attributes.size * 32);
  for (const [key, value] of attributes) writeKeyValue(writer, field, key, value);
  return writer.finish();
}
