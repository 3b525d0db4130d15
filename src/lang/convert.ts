import { Labels } from "#base/labels";
import { float, formatNumber, int, isNumber, uint } from "./number.ts";
import { Capsule, Secret, type Value, ValueError } from "./value.ts";

/** What Alloy calls the kinds of values; its messages use these words. */
export type TypeName = "null" | "number" | "string" | "bool" | "array" | "object" | "function" | "capsule";

export function typeName(value: Value): TypeName {
  if (value === null) return "null";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (isNumber(value)) return "number";
  if (Array.isArray(value)) return "array";
  if (value instanceof Map || value instanceof Labels) return "object";
  if (value instanceof Secret || value instanceof Capsule) return "capsule";
  return "function";
}

/** The kind, and for capsules what they hold. */
export function describe(value: Value): string {
  if (value instanceof Secret) return "a secret";
  return value instanceof Capsule ? value.toString() : typeName(value);
}

/** Steps from a value to a part of it: indexes of arrays, keys of objects. */
export type ValuePath = readonly (string | number)[];

/** What else a conversion knows about its failure, for the diagnostic. */
export interface ConversionDetails {
  /** The diagnostic's code, if it is not that of a wrong type. */
  readonly code?: string | undefined;
  readonly hint?: string | undefined;
  /** The index of the faulty argument of a call. */
  readonly argument?: number;
}

/** A value, or a part of it, that cannot be what is wanted. `path` leads to the part. Never holds the text of a secret. */
export class ConversionError extends ValueError {
  readonly path: ValuePath;
  readonly code: string | undefined;
  readonly hint: string | undefined;
  constructor(message: string, path: ValuePath = [], details: ConversionDetails = {}) {
    super(message, details.argument === undefined ? {} : { argument: details.argument });
    this.path = path;
    this.code = details.code;
    this.hint = details.hint;
  }
  /** The same error seen from a value that holds the faulty one under `step`. */
  inside(step: string | number): ConversionError {
    return new ConversionError(this.message, [step, ...this.path], { code: this.code, hint: this.hint });
  }
  /** The same error as one of a call's argument. */
  ofArgument(argument: number): ConversionError {
    return new ConversionError(this.message, this.path, { argument });
  }
}

export function wrongType(wanted: string, value: Value): ConversionError {
  return new ConversionError(`should be ${wanted}, got ${typeName(value)}`);
}

/** Runs a conversion of a part, so that its error leads to the part. */
export function within<T>(step: string | number, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    throw error instanceof ConversionError ? error.inside(step) : error;
  }
}

/**
 * The conversions of Alloy's `syntax/internal/value` (decode.go, convertValue): numbers become text, text becomes
 * numbers, null becomes the zero value; nothing else changes its kind. Secrets never become text.
 */
export function toText(value: Value): string {
  if (typeof value === "string") return value;
  if (value === null) return "";
  if (isNumber(value)) return formatNumber(value);
  if (value instanceof Secret) throw new ConversionError("secrets may not be converted into strings");
  throw wrongType("string", value);
}

export function toBool(value: Value): boolean {
  if (typeof value === "boolean") return value;
  if (value === null) return false;
  throw wrongType("bool", value);
}

/** A number value; see number.ts for what kind it is. */
export function toNumber(value: Value): Value {
  if (isNumber(value)) return value;
  if (value === null) return 0;
  const parsed = typeof value === "string" ? parseNumber(value) : undefined;
  if (parsed === undefined) throw wrongType("number", value);
  return parsed;
}

/** Text with a minus is an int, with a point or exponent a float, otherwise a uint; undefined if it is none of them. */
function parseNumber(text: string): Value | undefined {
  if (/^-[0-9]+$/.test(text)) {
    const value = BigInt(text);
    return value >= -(2n ** 63n) ? int(value) : undefined;
  }
  if (/^[0-9]+$/.test(text)) {
    const value = BigInt(text);
    return value < 2n ** 64n ? uint(value) : undefined;
  }
  if (!/^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(text) || !/[.eE]/.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? float(value) : undefined;
}

export function toArray(value: Value): readonly Value[] {
  if (Array.isArray(value)) return value as readonly Value[];
  if (value === null) return [];
  throw wrongType("array", value);
}

/** Keys and values of an object. Labels count as objects of strings. */
export function toObject(value: Value): ReadonlyMap<string, Value> {
  if (value instanceof Map) return value as ReadonlyMap<string, Value>;
  if (value instanceof Labels) return new Map(value);
  if (value === null) return new Map();
  throw wrongType("object", value);
}

export function toSecret(value: Value): Secret {
  if (value instanceof Secret) return value;
  if (typeof value === "string") return new Secret(value);
  if (value === null) return new Secret("");
  throw wrongType("capsule", value);
}

/** A target, from an object: whatever is not text is printed, as Alloy's `discovery.Target` does; secrets are refused. */
export function toLabels(value: Value): Labels {
  if (value instanceof Labels) return value;
  if (!(value instanceof Map)) throw wrongType("object", value);
  const pairs: [string, string][] = [];
  for (const [name, item] of value as ReadonlyMap<string, Value>) {
    if (item === null) throw wrongType("string", item).inside(name);
    pairs.push([name, typeof item === "boolean" ? String(item) : within(name, () => toText(item))]);
  }
  return Labels.from(pairs);
}
