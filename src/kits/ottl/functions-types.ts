import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import type { OttlContext } from "./context.ts";
import * as p from "./parameters.ts";
import { checked, define, listOf, type OttlFunction, type Param, type Typed } from "./parameters.ts";
import { regexOf } from "./regex.ts";
import {
  asBool,
  asFloat,
  asInt,
  asMap,
  asString,
  compare,
  hex,
  isBytes,
  OttlDuration,
  OttlError,
  OttlId,
  OttlMessages,
  type OttlValue,
  typeOf,
} from "./value.ts";

/** Converters between types, and questions about values. Matches pkg/ottl/ottlfuncs. */

/** A converter that gives its argument as another type; nil stays nil. */
function conversion(name: string, target: Param<Typed<OttlValue>>): OttlFunction {
  return define(name, { target }, ({ target: { get } }) => get);
}

/** Whether a value is of a type. A literal of another type is refused when the statement is read, as upstream. */
function question<T extends OttlValue>(name: string, convert: (value: OttlValue) => T): OttlFunction {
  return define(name, { target: checked(convert) }, ({ target: { get } }) => (c) => {
    const value = get(c);
    try {
      convert(value);
      return true;
    } catch {
      return false;
    }
  });
}

const isMatch = define("IsMatch", { target: p.textLike, pattern: p.text }, ({ target, pattern }) => {
  const regexFor = regexOf(pattern);
  return (c) => {
    const regex = regexFor(c);
    const text = target.get(c);
    return text !== undefined && regex.test(text);
  };
});

function isEmptyValue(value: OttlValue): boolean {
  switch (typeof value) {
    case "undefined":
      return true;
    case "string":
      return value === "";
    case "bigint":
      return value === 0n;
    case "number":
      return value === 0 && !Object.is(value, -0);
    case "boolean":
      return !value;
  }
  if (value instanceof KeyValues) return value.size === 0;
  if (value instanceof ValueList) return value.items.length === 0;
  if (value instanceof OttlId) return value.bytes.every((byte) => byte === 0);
  if (value instanceof OttlDuration) return value.nanos === 0n;
  return isBytes(value) && value.length === 0;
}

const isList = define("IsList", { target: p.any }, ({ target }) => (c) => {
  const value = target.get(c);
  return value instanceof ValueList || value instanceof OttlMessages;
});

function lengthOf(value: OttlValue): bigint {
  if (typeof value === "string") return BigInt(Buffer.byteLength(value));
  if (value instanceof KeyValues) return BigInt(value.size);
  if (value instanceof ValueList) return BigInt(value.items.length);
  if (value instanceof OttlMessages) return BigInt(value.list.length);
  if (isBytes(value)) return BigInt(value.length);
  throw OttlError.of(`a ${typeOf(value)} has no length`);
}

const log = define("Log", { target: p.floatLike }, ({ target }) => (c) => {
  const value = target.get(c);
  if (value === undefined || value <= 0) throw OttlError.of(`a logarithm needs a number greater than zero`);
  return Math.log(value);
});

const isValidLuhn = define("IsValidLuhn", { target: p.textLike }, ({ target }) => (c) => {
  const text = target.get(c);
  if (text === undefined) throw OttlError.of("nil has no digits");
  const digits = text.replaceAll(" ", "");
  if (digits === "") return false;
  if (!/^[0-9]+$/.test(digits)) throw OttlError.of(`${JSON.stringify(text)} has other characters than digits`);
  let sum = 0;
  for (let i = digits.length - 2, doubles = true; i >= 0; i--, doubles = !doubles) {
    const digit = Number(digits[i]);
    sum += doubles ? digit * 2 - (digit > 4 ? 9 : 0) : digit;
  }
  return (10 - (sum % 10)) % 10 === Number(digits.at(-1));
});

const coalesce = define("Coalesce", { values: listOf(p.any) }, ({ values }) => {
  if (values.length === 0) throw OttlError.of("needs at least one value");
  return (c) => {
    for (const each of values) {
      const value = each.get(c);
      if (value !== undefined) return value;
    }
    return undefined;
  };
});

const containsValue = define("ContainsValue", { target: p.list, item: p.any }, ({ target, item }) => (c) => {
  const { items } = target.get(c);
  const wanted = item.get(c);
  return items.some((each) => compare(each, wanted, "=="));
});

const index = define("Index", { target: p.any, value: p.any }, ({ target, value }) => (c) => {
  const from = target.get(c);
  const wanted = value.get(c);
  if (typeof from === "string") {
    if (typeof wanted !== "string") throw OttlError.of("the value to look for in a string must be a string");
    const at = from.indexOf(wanted);
    return at <= 0 ? BigInt(at) : BigInt(Buffer.byteLength(from.slice(0, at)));
  }
  if (from instanceof ValueList) return BigInt(from.items.findIndex((each) => compare(each, wanted, "==")));
  throw OttlError.of(`expected a string or a list, got ${typeOf(from)}`);
});

const MOST_MINIMUM: readonly (readonly [type: "int" | "double" | "string", fits: (value: AnyValue) => boolean])[] = [
  ["int", (value) => typeof value === "bigint"],
  ["double", (value) => typeof value === "bigint" || typeof value === "number"],
];

function identifier(name: string, kind: OttlId["kind"], length: number): OttlFunction {
  const make = (bytes: Uint8Array | undefined): OttlId => {
    const given = bytes ?? new Uint8Array(0);
    if (given.length === length) return new OttlId(kind, given);
    const text = Buffer.from(given).toString("latin1");
    if (given.length === length * 2 && /^[0-9a-fA-F]*$/.test(text)) return new OttlId(kind, Buffer.from(text, "hex"));
    if (given.length === length * 2) throw OttlError.of(`${JSON.stringify(text)} is not hexadecimal`);
    throw OttlError.of(`a ${kind} id has ${length} bytes or ${length * 2} digits, not ${given.length}`);
  };
  return define(name, { target: p.bytesLike }, ({ target }) => {
    if (target.literal === undefined) return (c: OttlContext) => make(target.get(c));
    const id = make(target.literal.value);
    return () => id;
  });
}

const parseInteger = define("ParseInt", { target: p.text, base: p.int }, ({ target, base }) => (c) => {
  const text = target.get(c);
  if (text === "") throw OttlError.of("the text is empty");
  const radix = Number(base.get(c));
  const parsed = integerInBase(text, radix);
  if (parsed === undefined) throw OttlError.of(`${JSON.stringify(text)} is no int in base ${radix}`);
  return parsed;
});

/** As Go's `strconv.ParseInt`: base 0 goes by a prefix and allows underscores. */
function integerInBase(text: string, base: number): bigint | undefined {
  if (base !== 0 && (base < 2 || base > 36)) return undefined;
  const sign = text.startsWith("-") ? -1n : 1n;
  let digits = text.replace(/^[+-]/, "").toLowerCase();
  let radix = base;
  if (base === 0) {
    const prefix = /^0([xbo])/.exec(digits);
    radix = prefix === null ? (/^0./.test(digits) ? 8 : 10) : { x: 16, b: 2, o: 8 }[prefix[1] as "x" | "b" | "o"];
    if (digits.includes("_") && /__|_$|^_/.test(digits)) return undefined;
    if (prefix !== null) digits = digits.slice(2);
    digits = digits.replaceAll("_", "");
  }
  if (digits === "") return undefined;
  let value = 0n;
  for (const char of digits) {
    const digit = "0123456789abcdefghijklmnopqrstuvwxyz".indexOf(char);
    if (digit < 0 || digit >= radix) return undefined;
    value = value * BigInt(radix) + BigInt(digit);
    if (value > 1n << 64n) return undefined;
  }
  const signed = value * sign;
  return signed === BigInt.asIntN(64, signed) ? signed : undefined;
}

const sort = define("Sort", { target: p.any, order: p.optional(p.textLiteral) }, ({ target, order = "asc" }) => {
  if (order !== "asc" && order !== "desc")
    throw OttlError.of(`the order is "asc" or "desc", not ${JSON.stringify(order)}`);
  const sign = order === "asc" ? 1 : -1;
  return (c) => {
    const list = target.get(c);
    if (!(list instanceof ValueList)) throw OttlError.of(`expected a list, got ${typeOf(list)}`);
    const { items } = list;
    if (items.some((item) => typeof item === "object")) return list;
    const numbers = MOST_MINIMUM.find(([, fits]) => items.every(fits));
    const byText = numbers === undefined;
    const keyed = items.map((item) => ({ item, key: byText ? sortText(item) : item! }));
    keyed.sort((a, b) => sign * (compare(a.key, b.key, "<") ? -1 : compare(a.key, b.key, ">") ? 1 : 0));
    return new ValueList(keyed.map(({ item }) => item));
  };
});
function sortText(value: AnyValue): string {
  return value === undefined ? "" : (p.toText(value) ?? "");
}

/** For spans only. */
export const isRootSpan = define("IsRootSpan", {}, () => (c) => c.span.bytes(4).every((byte) => byte === 0));

export const typeConverters: readonly OttlFunction[] = [
  conversion("String", p.textLike),
  conversion("Int", p.intLike),
  conversion("Double", p.floatLike),
  conversion("Bool", p.boolLike),
  question("IsString", asString),
  question("IsInt", asInt),
  question("IsDouble", asFloat),
  question("IsBool", asBool),
  question("IsMap", asMap),
  isList,
  define(
    "IsEmpty",
    { target: p.any },
    ({ target }) =>
      (c) =>
        isEmptyValue(target.get(c)),
  ),
  isMatch,
  isValidLuhn,
  define(
    "Len",
    { target: p.any },
    ({ target }) =>
      (c) =>
        lengthOf(target.get(c)),
  ),
  log,
  coalesce,
  containsValue,
  index,
  define(
    "Hex",
    { target: p.bytesLike },
    ({ target }) =>
      (c) =>
        hex(target.get(c) ?? new Uint8Array(0)),
  ),
  identifier("TraceID", "trace", 16),
  identifier("SpanID", "span", 8),
  identifier("ProfileID", "profile", 16),
  parseInteger,
  sort,
];
