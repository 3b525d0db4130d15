import type { OtlpObject, OtlpValue } from "./decode.ts";

/** Decoded OTLP in the words that people read: attribute values as text, times as ISO 8601. */

/** An AnyValue: strings and numbers as they are, lists as `[a, b]`, maps as `{a=1, b=2}`. */
export function anyText(value: OtlpValue | undefined): string {
  const any = object(value);
  const simple = any.stringValue ?? any.boolValue ?? any.intValue ?? any.doubleValue ?? any.bytesValue;
  if (simple !== undefined) return String(simple);
  if (any.arrayValue !== undefined) return `[${list(object(any.arrayValue).values).map(anyText).join(", ")}]`;
  if (any.kvlistValue === undefined) return "";
  const pairs = list(object(any.kvlistValue).values).map((pair) => `${text(pair.key)}=${anyText(pair.value)}`);
  return `{${pairs.join(", ")}}`;
}

/** A list of KeyValue as flat pairs in their order. */
export function attributePairs(value: OtlpValue | undefined): string[] {
  return list(value).flatMap((pair) => [text(pair.key), anyText(pair.value)]);
}

/** A 64-bit number, which decoding leaves as text; 0 for none. */
export function nanos(value: OtlpValue | undefined): bigint {
  return typeof value === "string" ? BigInt(value) : 0n;
}

export function text(value: OtlpValue | undefined): string {
  return typeof value === "string" ? value : "";
}
export function object(value: OtlpValue | undefined): OtlpObject {
  return typeof value === "object" && !Array.isArray(value) ? value : {};
}
export function list(value: OtlpValue | undefined): readonly OtlpObject[] {
  return Array.isArray(value) ? value.map(object) : [];
}
