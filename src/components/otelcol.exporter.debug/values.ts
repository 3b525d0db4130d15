/** How the debug exporter writes values. Matches exporter/debugexporter/internal of the OpenTelemetry Collector. */
import { formatFloat } from "#base/metrics";
import type { OtlpObject, OtlpValue } from "#formats/otlp/decode";
import { attributeText } from "#formats/otlp/value-text";
import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import { formatGoFloat } from "#lang/stdlib-float";

/** A member that is a list of messages; empty when it is missing. */
export function list(object: OtlpObject | undefined, name: string): readonly OtlpObject[] {
  return (object?.[name] ?? []) as OtlpObject[];
}

/** A member that is a message. */
export function child(object: OtlpObject | undefined, name: string): OtlpObject | undefined {
  return object?.[name] as OtlpObject | undefined;
}

/** A member as text; `otherwise` when it is missing. */
export function text(object: OtlpObject | undefined, name: string, otherwise = ""): string {
  const value = object?.[name];
  return value === undefined ? otherwise : String(value);
}

export function number(object: OtlpObject | undefined, name: string): number {
  return Number(object?.[name] ?? 0);
}

/** Go's `%v` of a float64. */
export function float(value: OtlpValue | undefined): string {
  return formatFloat(Number(value ?? 0));
}

/** Go's `%f`. */
export function fixed(value: OtlpValue | undefined): string {
  return formatGoFloat(Number(value ?? 0), "f", 6);
}

/** `2023-11-20 12:00:00.000000001 +0000 UTC` of nanoseconds since 1970. */
export function timestamp(nanos: OtlpValue | undefined): string {
  const whole = BigInt(String(nanos ?? 0));
  const [date, time] = new Date(Number(whole / 1_000_000_000n) * 1000).toISOString().split("T") as [string, string];
  const rest = whole % 1_000_000_000n;
  const fraction = rest === 0n ? "" : `.${String(rest).padStart(9, "0").replace(/0+$/, "")}`;
  return `${date} ${time.slice(0, 8)}${fraction} +0000 UTC`;
}

/** An AnyValue as plain text: `pcommon.Value.AsString`. */
export function plain(value: OtlpObject | undefined): string {
  return attributeText(anyValue(value));
}

/** An AnyValue with its type: `Str(GET)`. */
export function typed(value: OtlpObject | undefined): string {
  const names: Readonly<Record<string, string>> = {
    stringValue: "Str",
    boolValue: "Bool",
    intValue: "Int",
    doubleValue: "Double",
    arrayValue: "Slice",
    kvlistValue: "Map",
    bytesValue: "Bytes",
  };
  const name = Object.keys(value ?? {})[0];
  return `${name === undefined ? "Empty" : (names[name] ?? "Empty")}(${plain(value)})`;
}

function anyValue(value: OtlpObject | undefined): AnyValue {
  const [name, content] = Object.entries(value ?? {})[0] ?? [];
  switch (name) {
    case undefined:
      return undefined;
    case "intValue":
      return BigInt(String(content));
    case "bytesValue":
      return Buffer.from(String(content), "base64");
    case "arrayValue":
      return new ValueList(list(content as OtlpObject, "values").map(anyValue));
    case "kvlistValue": {
      const map = new KeyValues();
      for (const each of list(content as OtlpObject, "values"))
        map.append(text(each, "key"), anyValue(child(each, "value")));
      return map;
    }
    default:
      return content as string | number | boolean;
  }
}
