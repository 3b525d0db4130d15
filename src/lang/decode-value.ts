import { formatByteSize, parseByteSize } from "#base/bytesize";
import { formatDuration, parseDuration } from "#base/duration";
import { Labels } from "#base/labels";
import { compileRegex } from "#base/regex";
import {
  ConversionError,
  describe,
  toArray,
  toBool,
  toLabels,
  toNumber,
  toObject,
  toSecret,
  toText,
  within,
  wrongType,
} from "./convert.ts";
import { numberKind, plain, toFloat, toInt64 } from "./number.ts";
import type { AnyAttribute, Attribute, AttributeType, Written } from "./schema.ts";
import { nearest } from "./suggest.ts";
import { Capsule, Secret, type Value } from "./value.ts";

/**
 * A value as what an attribute's schema says. Converts what Alloy converts (convert.ts) and refuses what it refuses.
 * Throws a ConversionError whose path leads to the faulty part. Follows Alloy's `syntax/internal/value/decode.go`.
 */
export function decodeValue<T>(attribute: Attribute<T, never> | Attribute<T, unknown>, value: Value): T {
  const decoded = convert(attribute, value);
  checkRange(attribute, value, decoded);
  return decoded as T;
}

function convert(attribute: AnyAttribute, value: Value): unknown {
  const { type } = attribute;
  // A null is Go's zero value, or nothing at all where the schema can say so.
  if (value === null && !attribute.isRequired && attribute.defaultValue === undefined) return undefined;
  switch (type.kind) {
    case "string":
      return toText(value);
    case "secret":
      return toSecret(value);
    case "optional_secret":
      return value instanceof Secret || typeof value === "string" ? value : toSecret(value).reveal();
    case "bool":
      return toBool(value);
    case "int":
      return toInteger(toNumber(value));
    case "float":
      return toFloat(toNumber(value));
    case "duration":
      return value === null ? 0 : fromText(value, parseDuration);
    case "byte_size":
      return value === null ? 0 : fromText(value, parseByteSize);
    case "regex":
      return fromText(value, (text) => compileRegex(text, { anchored: type.anchored }));
    case "enum":
      return toEnum(type, value);
    case "any":
      return plain(value);
    case "list":
      return toArray(value).map((item, i) => within(i, () => decodeValue(type.element, item)));
    case "map": {
      const items = new Map<string, unknown>();
      for (const [key, item] of toObject(value))
        items.set(
          key,
          within(key, () => decodeValue(type.element, item)),
        );
      return items;
    }
    case "object":
      return toRecord(type.fields, value);
    case "targets": {
      // Thousands of targets are passed on as they are, which also makes them quick to compare.
      const items = toArray(value);
      return items.every((item) => item instanceof Labels)
        ? items
        : items.map((item, i) => within(i, () => toLabels(item)));
    }
    case "consumer":
    case "capsule":
      if (value instanceof Capsule && value.type === type.capsule) return value.value;
      throw value instanceof Capsule || value instanceof Secret
        ? new ConversionError(`expected capsule("${type.capsule}"), got ${describe(value)}`)
        : wrongType(`capsule("${type.capsule}")`, value);
  }
}

/** Cut off as Go's conversion does; what an int64 cannot hold wraps, what a double cannot hold is rounded. */
function toInteger(value: Value): number {
  if (typeof value === "number" && numberKind(value) === "int") return value;
  return Number(numberKind(value) === "uint" ? (value as bigint) : toInt64(value));
}

function fromText<T>(value: Value, parse: (text: string) => T): T {
  const text = toText(value);
  try {
    return parse(text);
  } catch (error) {
    throw new ConversionError(`is not valid: ${(error as Error).message}`, [], { code: "config.bad_value" });
  }
}

function toEnum(type: Extract<AttributeType, { kind: "enum" }>, value: Value): string {
  const text = toText(value);
  const found = type.ignoreCase
    ? type.values.find((each) => each.toLowerCase() === text.toLowerCase())
    : type.values.find((each) => each === text);
  if (found !== undefined) return found;
  const suggestion = nearest(text, type.values);
  const all = type.values.map((each) => JSON.stringify(each)).join(", ");
  const hint = suggestion === undefined ? `use one of ${all}` : `did you mean "${suggestion}"? There are ${all}`;
  throw new ConversionError(`cannot be ${JSON.stringify(text)}`, [], { code: "config.enum", hint });
}

function toRecord(fields: ReadonlyMap<string, AnyAttribute>, value: Value): Record<string, unknown> {
  const given = toObject(value);
  for (const key of given.keys()) {
    if (fields.has(key)) continue;
    const suggestion = nearest(key, fields.keys());
    const hint = suggestion === undefined ? undefined : `did you mean "${suggestion}"?`;
    throw new ConversionError(`does not have field named "${key}"`, [], { hint });
  }
  const record: Record<string, unknown> = {};
  for (const [name, field] of fields) {
    const item = given.get(name);
    if (item !== undefined) record[name] = within(name, () => decodeValue(field, item));
    else if (field.isRequired) throw new ConversionError(`is missing the required field "${name}"`);
    else record[name] = defaultOf(field);
  }
  return record;
}

function checkRange(attribute: AnyAttribute, value: Value, decoded: unknown): void {
  const { minimum, maximum } = attribute;
  if ((minimum === undefined && maximum === undefined) || decoded === undefined) return;
  const size = sizeOf(decoded);
  const noun = typeof decoded === "number" ? "" : typeof decoded === "string" ? " characters" : " elements";
  const fail = (message: string) => new ConversionError(message, [], { code: "config.range" });
  const written = typeof value === "string" && typeof decoded === "number" ? JSON.stringify(value) : String(size);
  const bound = (limit: number) => {
    if (attribute.type.kind === "duration") return formatDuration(limit);
    return attribute.type.kind === "byte_size" ? formatByteSize(limit) : `${limit}${noun}`;
  };
  if (minimum !== undefined && size < minimum) {
    throw fail(
      noun !== "" && minimum === 1 ? "must not be empty" : `must be at least ${bound(minimum)}, got ${written}`,
    );
  }
  if (maximum !== undefined && size > maximum) throw fail(`must be at most ${bound(maximum)}, got ${written}`);
}

function sizeOf(decoded: unknown): number {
  if (typeof decoded === "number") return decoded;
  if (typeof decoded === "string" || Array.isArray(decoded)) return decoded.length;
  if (decoded instanceof Map) return decoded.size;
  return decoded instanceof Secret ? decoded.reveal().length : 0;
}

const defaults = new WeakMap<AnyAttribute, unknown>();

/** What an attribute decodes to when it is left out: its default, or undefined. Ranges do not apply to defaults. */
export function defaultOf(attribute: AnyAttribute): unknown {
  if (attribute.defaultValue === undefined) return undefined;
  let value = defaults.get(attribute);
  if (value === undefined) defaults.set(attribute, (value = convert(attribute, writtenValue(attribute.defaultValue))));
  return value;
}

/** A default as a value. */
export function writtenValue(written: Written): Value {
  if (Array.isArray(written)) return (written as readonly Written[]).map(writtenValue);
  if (typeof written !== "object" || written === null) return written as Value;
  return new Map(Object.entries(written).map(([key, each]) => [key, writtenValue(each)]));
}
