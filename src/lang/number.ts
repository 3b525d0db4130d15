import type { Value } from "./value.ts";

/**
 * Numbers during evaluation. Alloy has Go's int64, uint64 and float64, and division, powers and `string.format` tell
 * them apart. Here a whole `number` within ±2^53 is an int and every other `number` is a float; a bigint is an int, or
 * a uint if it is beyond an int64 or small enough for a `number` to have done. A float that is whole is boxed while an
 * expression is evaluated; `plain` unboxes the result.
 */

export type NumberKind = "uint" | "int" | "float";

const INT_BITS = 64;
const MAX_INT64 = 2n ** 63n - 1n;

/** A float whose value is a whole number within ±2^53, which would pass for an int if it were not boxed. */
class WholeFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

export function isNumber(value: Value): boolean {
  return typeof value === "number" || typeof value === "bigint" || (value as unknown) instanceof WholeFloat;
}

export function numberKind(value: Value): NumberKind {
  if (typeof value === "number") return Number.isSafeInteger(value) ? "int" : "float";
  if (typeof value !== "bigint") return "float";
  return value > MAX_INT64 || (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) ? "uint" : "int";
}

/** A float as a value. */
export function float(value: number): Value {
  return Number.isSafeInteger(value) ? (new WholeFloat(value) as unknown as Value) : value;
}

/** An int as a value, wrapped around as Go's int64 does. */
export function int(value: bigint): Value {
  const wrapped = BigInt.asIntN(INT_BITS, value);
  const double = Number(wrapped);
  return Number.isSafeInteger(double) ? double : wrapped;
}

/** A uint as a value, wrapped around as Go's uint64 does. */
export function uint(value: bigint): Value {
  return BigInt.asUintN(INT_BITS, value);
}

export function toFloat(value: Value): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  return (value as unknown as WholeFloat).value;
}

/** The number as Go's int64(…) gives it on amd64: fractions are cut off, what does not fit is the least int64. */
export function toInt64(value: Value): bigint {
  if (typeof value === "bigint") return BigInt.asIntN(INT_BITS, value);
  const double = toFloat(value);
  if (!(Math.abs(double) < 2 ** 63)) return -(2n ** 63n);
  return BigInt(Math.trunc(double));
}

export function toUint64(value: Value): bigint {
  if (typeof value === "bigint") return BigInt.asUintN(INT_BITS, value);
  const double = toFloat(value);
  if (double >= 2 ** 63 && double < 2 ** 64) return BigInt(double);
  return BigInt.asUintN(INT_BITS, toInt64(value));
}

/** Ints in decimal, floats as Go's `strconv.FormatFloat(f, 'f', -1, 64)`. */
export function formatNumber(value: Value): string {
  if (typeof value === "bigint") return value.toString();
  return formatFloat(toFloat(value));
}

/** The shortest decimal that reads back as the same double, without an exponent. */
export function formatFloat(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const text = Object.is(value, -0) ? "-0" : String(value);
  const at = text.indexOf("e");
  if (at < 0) return text;
  const exponent = Number(text.slice(at + 1));
  const sign = text.startsWith("-") ? "-" : "";
  const [whole, fraction = ""] = text.slice(sign.length, at).split(".") as [string, string?];
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${whole}${fraction}`;
  return `${sign}${whole}${fraction.padEnd(exponent, "0")}`;
}

/** The value without boxes, for everybody outside of evaluation. Copies only what holds one. */
export function plain(value: Value): Value {
  if ((value as unknown) instanceof WholeFloat) return (value as unknown as WholeFloat).value;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) {
    const items = value as readonly Value[];
    let copy: Value[] | undefined;
    for (let i = 0; i < items.length; i++) {
      const next = plain(items[i]!);
      if (next !== items[i]) (copy ??= items.slice())[i] = next;
    }
    return copy ?? value;
  }
  if (value instanceof Map) {
    let copy: Map<string, Value> | undefined;
    for (const [key, item] of value as ReadonlyMap<string, Value>) {
      const next = plain(item);
      if (next !== item) (copy ??= new Map(value as ReadonlyMap<string, Value>)).set(key, next);
    }
    return copy ?? value;
  }
  return value;
}
