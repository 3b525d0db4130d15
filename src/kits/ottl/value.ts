import { formatFloat } from "#base/metrics";
import type { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import { compareUtf8, json } from "#formats/otlp/value-text";
import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import type { Comparator } from "#formats/ottl/syntax";

export { attributeText, compareUtf8, htmlJson, isFiniteValue, json } from "#formats/otlp/value-text";

/**
 * What expressions of OTTL give: the values of attributes, and a few more. Whole numbers are bigints, floats numbers,
 * nil is undefined. Maps and lists are those of the data until somebody copies them.
 */
export type OttlValue = AnyValue | OttlTime | OttlDuration | OttlId | OttlMessages | OttlMessage;

/** A statement or condition that cannot be evaluated on the data at hand. */
export class OttlError extends Error {
  override readonly name = "OttlError";
  /** The value is of another type than wanted, which the `Is…` converters tell apart from other failures. */
  readonly isTypeError: boolean;

  private constructor(message: string, isTypeError: boolean) {
    super(message);
    this.isTypeError = isTypeError;
  }
  /** Without a stack, which would cost more than all else: errors may come with every item. */
  static of(message: string, isTypeError = false): OttlError {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    const error = new OttlError(clipped(message), isTypeError);
    Error.stackTraceLimit = limit;
    return error;
  }
}

/** Texts of the data may be long; of a long message the middle is left out. */
function clipped(message: string): string {
  return message.length <= 1000 ? message : `${message.slice(0, 700)} … ${message.slice(-250)}`;
}

/** An instant, with the zone in which its parts are read. */
export class OttlTime {
  /** Nanoseconds since 1970. */
  readonly nanos: bigint;
  /** Seconds east of UTC at that instant. */
  readonly offset: number;
  /** An abbreviation, or "" for a zone that only has an offset. */
  readonly zone: string;
  constructor(nanos: bigint, offset = 0, zone = "UTC") {
    this.nanos = nanos;
    this.offset = offset;
    this.zone = zone;
  }
}

export class OttlDuration {
  readonly nanos: bigint;
  constructor(nanos: bigint) {
    this.nanos = BigInt.asIntN(64, nanos);
  }
}

/** A trace id, span id or profile id. */
export class OttlId {
  readonly kind: "trace" | "span" | "profile";
  readonly bytes: Uint8Array;
  constructor(kind: OttlId["kind"], bytes: Uint8Array) {
    this.kind = kind;
    this.bytes = bytes;
  }
}

/** A list of messages that is handed on as a whole: events, links, data points, exemplars, quantiles. */
export class OttlMessages {
  readonly kind: string;
  readonly list: RecordList;
  constructor(kind: string, list: RecordList) {
    this.kind = kind;
    this.list = list;
  }
}

/** A message that is handed on as a whole: a span's status, buckets of an exponential histogram. */
export class OttlMessage {
  readonly kind: string;
  readonly record: OtlpRecord;
  constructor(kind: string, record: OtlpRecord) {
    this.kind = kind;
    this.record = record;
  }
}

/** Texts that functions make end here, and what lists and maps that they make hold: characters and values. */
export const MOST_CHARACTERS = 16 * 1024 * 1024;
const MOST_VALUES = 100_000;

/** The text; throws OttlError for one that is too long. */
export function bounded(text: string): string {
  if (text.length > MOST_CHARACTERS) throw tooLong();
  return text;
}
export function tooLong(): OttlError {
  return OttlError.of(`the text would have more than ${MOST_CHARACTERS} characters`);
}

/** Weighs what a function puts together, and throws OttlError once that is too much. */
export class Weight {
  #values = 0;
  #characters = 0;

  add(value: OttlValue): void {
    // A map takes as much as ten other values.
    this.#values += value instanceof KeyValues ? 10 : 1;
    if (typeof value === "string" || isBytes(value)) this.#characters += value.length;
    if (this.#values > MOST_VALUES) throw OttlError.of(`the value would hold more than ${MOST_VALUES} others`);
    if (this.#characters > MOST_CHARACTERS) throw tooLong();
    if (value instanceof ValueList) for (const item of value.items) this.add(item);
    else if (value instanceof KeyValues) for (let i = 0; i < value.size; i++) this.add(value.valueAt(i));
  }
}

/** What a value is called in messages. */
export function typeOf(value: OttlValue): string {
  switch (typeof value) {
    case "undefined":
      return "nil";
    case "string":
      return "string";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "boolean":
      return "bool";
  }
  if (value instanceof KeyValues) return "map";
  if (value instanceof ValueList) return "list";
  if (value instanceof OttlTime) return "time";
  if (value instanceof OttlDuration) return "duration";
  if (value instanceof OttlId) return `${value.kind} id`;
  if (value instanceof OttlMessages || value instanceof OttlMessage) return value.kind;
  return "bytes";
}

export function isBytes(value: OttlValue): value is Uint8Array {
  return value instanceof Uint8Array;
}

/** The value as attributes can hold it; throws OttlError for what they cannot. Copies maps and lists. */
export function attributeValue(value: OttlValue): AnyValue {
  if (typeof value !== "object") return value;
  if (value instanceof KeyValues || value instanceof ValueList) return value.copy();
  if (isBytes(value)) return value;
  throw OttlError.of(`a ${typeOf(value)} cannot be the value of an attribute; convert it first`);
}

function wanted(type: string, value: OttlValue): OttlError {
  return OttlError.of(`expected a value of type ${type}, got ${typeOf(value)}`, true);
}
export function asString(value: OttlValue): string {
  if (typeof value === "string") return value;
  throw wanted("string", value);
}
export function asInt(value: OttlValue): bigint {
  if (typeof value === "bigint") return value;
  throw wanted("int", value);
}
export function asFloat(value: OttlValue): number {
  if (typeof value === "number") return value;
  throw wanted("double", value);
}
export function asBool(value: OttlValue): boolean {
  if (typeof value === "boolean") return value;
  throw wanted("bool", value);
}
export function asMap(value: OttlValue): KeyValues {
  if (value instanceof KeyValues) return value;
  throw wanted("map", value);
}
export function asList(value: OttlValue): ValueList {
  if (value instanceof ValueList) return value;
  throw wanted("list", value);
}
export function asTime(value: OttlValue): OttlTime {
  if (value instanceof OttlTime) return value;
  throw wanted("time", value);
}
export function asDuration(value: OttlValue): OttlDuration {
  if (value instanceof OttlDuration) return value;
  throw wanted("duration", value);
}

/** A double as Go converts it to an int64 on amd64: towards zero, and the least one for what does not fit. */
export function truncate(value: number): bigint {
  if (!Number.isFinite(value) || value >= 2 ** 63 || value < -(2 ** 63)) return -(1n << 63n);
  return BigInt(Math.trunc(value));
}

/** A value as Go's `fmt` prints it with `%v`. */
export function printed(value: OttlValue): string {
  switch (typeof value) {
    case "undefined":
      return "<nil>";
    case "number":
      return formatFloat(value);
    case "string":
    case "bigint":
    case "boolean":
      return String(value);
  }
  if (value instanceof OttlId) return hex(value.bytes);
  if (value instanceof KeyValues || value instanceof ValueList) return json(value);
  if (isBytes(value)) return `[${[...value].join(" ")}]`;
  return typeOf(value);
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function ordered(order: number, operator: Comparator): boolean {
  switch (operator) {
    case "==":
      return order === 0;
    case "!=":
      return order !== 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
  }
}

/** Whether a value compares as nil does: upstream, bytes of which there are none do. */
export function isNil(value: OttlValue): boolean {
  return value === undefined || (value instanceof Uint8Array && value.length === 0);
}

/** Compares as OTTL does: values of different types are unequal, and neither is less. Matches pkg/ottl/compare.go. */
export function compare(a: OttlValue, b: OttlValue, operator: Comparator): boolean {
  const isNilA = isNil(a);
  if (isNilA || isNil(b)) {
    if (isNilA && isNil(b)) return operator === "==" || operator === "<=" || operator === ">=";
    return operator === "!=";
  }
  switch (typeof a) {
    case "string":
      if (typeof b !== "string") break;
      if (operator === "==") return a === b;
      if (operator === "!=") return a !== b;
      return ordered(compareUtf8(a, b), operator);
    case "bigint":
      if (typeof b === "bigint") return compareNumbers(a, b, operator);
      if (typeof b === "number") return compareNumbers(Number(a), b, operator);
      break;
    case "number":
      if (typeof b === "number") return compareNumbers(a, b, operator);
      if (typeof b === "bigint") return compareNumbers(a, Number(b), operator);
      break;
    case "boolean":
      if (typeof b === "boolean") return ordered(Number(a) - Number(b), operator);
      break;
    case "object":
      return compareObjects(a, b, operator);
  }
  return operator === "!=";
}

function compareNumbers<N extends number | bigint>(a: N, b: N, operator: Comparator): boolean {
  switch (operator) {
    case "==":
      return a === b;
    case "!=":
      return a !== b;
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
  }
}

function compareObjects(a: OttlValue & object, b: OttlValue, operator: Comparator): boolean {
  if (isBytes(a)) return isBytes(b) ? ordered(Buffer.compare(a, b), operator) : operator === "!=";
  if (a instanceof OttlTime) return b instanceof OttlTime ? compare(a.nanos, b.nanos, operator) : operator === "!=";
  if (a instanceof OttlDuration) {
    return b instanceof OttlDuration ? compare(a.nanos, b.nanos, operator) : operator === "!=";
  }
  if (operator !== "==" && operator !== "!=") return false;
  return sameObjects(a, b) === (operator === "==");
}

function sameObjects(a: OttlValue & object, b: OttlValue): boolean {
  if (a instanceof OttlId) return b instanceof OttlId && a.kind === b.kind && Buffer.compare(a.bytes, b.bytes) === 0;
  if (a instanceof KeyValues) return b instanceof KeyValues && sameMaps(a, b);
  if (a instanceof ValueList) return b instanceof ValueList && sameLists(a, b);
  if (a instanceof OttlMessage) return b instanceof OttlMessage && a.record === b.record;
  if (a instanceof OttlMessages) return b instanceof OttlMessages && a.list === b.list;
  return false;
}

/** Whether two values of attributes are of the same type and equal. */
export function same(a: AnyValue, b: AnyValue): boolean {
  if (typeof a !== typeof b) return false;
  if (typeof a !== "object" || typeof b !== "object") return a === b;
  if (isBytes(a)) return isBytes(b) && Buffer.compare(a, b) === 0;
  return sameObjects(a, b);
}

function sameMaps(a: KeyValues, b: KeyValues): boolean {
  if (a.size !== b.size) return false;
  const others = new Map<string, AnyValue>();
  for (let i = 0; i < b.size; i++) if (!others.has(b.keyAt(i))) others.set(b.keyAt(i), b.valueAt(i));
  for (let i = 0; i < a.size; i++) {
    const key = a.keyAt(i);
    if (!others.has(key) || !same(a.valueAt(i), others.get(key))) return false;
  }
  return true;
}

function sameLists(a: ValueList, b: ValueList): boolean {
  return a.items.length === b.items.length && a.items.every((item, i) => same(item, b.items[i]));
}
