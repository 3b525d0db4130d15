import { parseGoFloat } from "#formats/go-number";
import { type AnyValue, type KeyValues, ValueList } from "#formats/otlp/values";
import { type Expression, OttlSyntaxError } from "#formats/ottl/syntax";
import type { CompiledLambda, Compiler, Getter } from "./compiler.ts";
import type { OttlContext } from "./context.ts";
import type { Accessor } from "./keys.ts";
import {
  asBool,
  asDuration,
  asFloat,
  asInt,
  asList,
  asMap,
  asString,
  asTime,
  hex,
  htmlJson,
  isBytes,
  OttlDuration,
  OttlError,
  OttlId,
  OttlTime,
  type OttlValue,
  truncate,
  typeOf,
} from "./value.ts";

/** What functions of OTTL take, and how it is made of what stands in a statement. Matches pkg/ottl/functions.go. */

export interface Param<T> {
  readonly isOptional: boolean;
  /** Throws OttlSyntaxError for what does not fit. */
  build(expression: Expression, compiler: Compiler): T;
}
export type Params = Readonly<Record<string, Param<unknown>>>;
type Built<P> = P extends Param<infer T> ? T : never;
export type Arguments<P extends Params> = { readonly [K in keyof P]: Built<P[K]> };

/** A value of one type. `literal` is there if it stands in the statement itself. */
export interface Typed<T> {
  readonly get: (c: OttlContext) => T;
  readonly literal: { readonly value: T } | undefined;
}

export type Evaluate = (c: OttlContext) => OttlValue;
export interface OttlFunction {
  readonly name: string;
  readonly params: Params;
  /** Throws OttlError for arguments that do not go together. */
  create(given: Readonly<Record<string, unknown>>): Evaluate;
}

export function define<P extends Params>(
  name: string,
  params: P,
  create: (given: Arguments<P>) => Evaluate,
): OttlFunction {
  return { name, params, create: (given) => create(given as Arguments<P>) };
}

function param<T>(build: (expression: Expression, compiler: Compiler) => T): Param<T> {
  return { isOptional: false, build };
}

/** The argument may be left out. */
export function optional<T>(of: Param<T>): Param<T | undefined> {
  return { isOptional: true, build: (expression, compiler) => of.build(expression, compiler) };
}

/** Converts what a getter gives; a literal is converted at once, and refused at once. */
function typed<T>(getter: Getter, convert: (value: OttlValue) => T, at: number): Typed<T> {
  const { get, literal } = getter;
  if (literal === undefined) return { get: (c) => convert(get(c)), literal: undefined };
  try {
    const value = convert(literal.value);
    return { get: () => value, literal: { value } };
  } catch (error) {
    if (error instanceof OttlError) throw new OttlSyntaxError(error.message, at);
    throw error;
  }
}
function of<T>(convert: (value: OttlValue) => T): Param<Typed<T>> {
  return param((expression, compiler) => typed(compiler.getter(expression), convert, expression.at));
}

/** A list that stands in the statement, of arguments. */
export function listOf<T>(element: Param<T>): Param<readonly T[]> {
  return param((expression, compiler) => {
    if (expression.kind !== "list") throw new OttlSyntaxError("must be a list, such as [a, b]", expression.at);
    return expression.items.map((item) => element.build(item, compiler));
  });
}

function pathOf(expression: Expression, compiler: Compiler): Accessor {
  if (expression.kind !== "path") throw new OttlSyntaxError("must be a path", expression.at);
  return compiler.path(expression.path);
}

/** A path whose value must be of a type. Editors change maps and lists in place and hand them to `set` afterwards. */
export interface TypedPath<T> {
  readonly get: (c: OttlContext) => T;
  readonly set: (c: OttlContext, value: OttlValue) => void;
}
function typedPath<T>(convert: (value: OttlValue) => T): Param<TypedPath<T>> {
  return param((expression, compiler) => {
    const { get, set } = pathOf(expression, compiler);
    return { get: (c) => convert(get(c)), set };
  });
}

function literal<T>(what: string, read: (expression: Expression) => T | undefined): Param<T> {
  return param((expression) => {
    const value = read(expression);
    if (value === undefined) throw new OttlSyntaxError(`must be ${what} that stands here literally`, expression.at);
    return value;
  });
}

export const any: Param<Getter> = param((expression, compiler) => compiler.getter(expression));
export const path: Param<Accessor> = param(pathOf);
export const mapPath: Param<TypedPath<KeyValues>> = typedPath(asMap);
export const listPath: Param<TypedPath<ValueList>> = typedPath(asList);

export const text: Param<Typed<string>> = of(asString);
export const int: Param<Typed<bigint>> = of(asInt);
export const float: Param<Typed<number>> = of(asFloat);
export const bool: Param<Typed<boolean>> = of(asBool);
export const map: Param<Typed<KeyValues>> = of(asMap);
export const list: Param<Typed<ValueList>> = of(asList);
export const time: Param<Typed<OttlTime>> = of(asTime);
export const duration: Param<Typed<OttlDuration>> = of(asDuration);

export const textLike: Param<Typed<string | undefined>> = of(toText);
export const intLike: Param<Typed<bigint | undefined>> = of(toInt);
export const floatLike: Param<Typed<number | undefined>> = of(toFloat);
export const boolLike: Param<Typed<boolean | undefined>> = of(toBool);
export const bytesLike: Param<Typed<Uint8Array | undefined>> = of(toBytes);

export const textLiteral: Param<string> = literal("a string", (e) => (e.kind === "string" ? e.value : undefined));
export const intLiteral: Param<bigint> = literal("an int", (e) => (e.kind === "int" ? e.value : undefined));
export const floatLiteral: Param<number> = literal("a double", (e) => (e.kind === "float" ? e.value : undefined));
export const boolLiteral: Param<boolean> = literal("true or false", (e) => (e.kind === "bool" ? e.value : undefined));

/** A value whose type is asked for; a literal of another type is refused, as upstream. */
export function checked<T extends OttlValue>(convert: (value: OttlValue) => T): Param<Getter> {
  return param((expression, compiler) => {
    const getter = compiler.getter(expression);
    typed(getter, convert, expression.at);
    return getter;
  });
}

/** A function of the parameters that stand in a statement: `(key, value) => …`. */
export function lambda(arity: number): Param<CompiledLambda> {
  return param((expression, compiler) => {
    if (expression.kind !== "lambda") throw new OttlSyntaxError("must be a lambda, such as (k, v) => …", expression.at);
    const { parameters } = expression.lambda;
    if (parameters.length !== arity) {
      throw new OttlSyntaxError(
        `must be a lambda with ${arity} parameters, and has ${parameters.length}`,
        expression.at,
      );
    }
    return compiler.lambda(expression.lambda);
  });
}

/** The name of a converter, such as `SHA256`, that is applied to a text. */
export const textFunction: Param<(input: string) => OttlValue> = param((expression, compiler) => {
  if (expression.kind !== "name") throw new OttlSyntaxError("must be the name of a function", expression.at);
  return compiler.textFunction(expression.name, expression.at);
});

export function toText(value: OttlValue): string | undefined {
  switch (typeof value) {
    case "undefined":
    case "string":
      return value;
    case "bigint":
    case "boolean":
      return String(value);
    case "number":
      if (!Number.isFinite(value)) throw OttlError.of(`a number that is not finite has no text`);
      return htmlJson(value);
  }
  if (isBytes(value)) return hex(value);
  if (value instanceof OttlTime) return `"${rfc3339(value)}"`;
  if (value instanceof OttlDuration) return String(value.nanos);
  // An array of Go, which JSON writes as numbers.
  if (value instanceof OttlId) return `[${value.bytes.join(",")}]`;
  if (typeOf(value) === "map" || value instanceof ValueList) return htmlJson(value as AnyValue);
  throw OttlError.of(`a value of type ${typeOf(value)} has no text; convert it first`);
}
/** As `time.Time.MarshalJSON` writes it: fractions without zeros at their end. */
function rfc3339({ nanos, offset }: OttlTime): string {
  const seconds = nanos / 1_000_000_000n - (nanos % 1_000_000_000n < 0n ? 1n : 0n);
  const fraction = String(nanos - seconds * 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  const date = new Date((Number(seconds) + offset) * 1000);
  // What Go's times refuse to be written as.
  if (!(date.getUTCFullYear() >= 0 && date.getUTCFullYear() <= 9999)) {
    throw OttlError.of("the time is outside of the years 0 to 9999");
  }
  const clock = date.toISOString().slice(0, 19);
  const minutes = Math.abs(offset) / 60;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const zone = offset === 0 ? "Z" : `${offset < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
  return clock + (fraction === "" ? "" : `.${fraction}`) + zone;
}
export function toInt(value: OttlValue): bigint | undefined {
  switch (typeof value) {
    case "undefined":
    case "bigint":
      return value;
    case "boolean":
      return value ? 1n : 0n;
    case "number":
      return truncate(value);
    case "string":
      return parseInteger(value);
  }
  throw OttlError.of(`a value of type ${typeOf(value)} is no int`, true);
}
export function toFloat(value: OttlValue): number | undefined {
  switch (typeof value) {
    case "undefined":
    case "number":
      return value;
    case "bigint":
      return Number(value);
    case "boolean":
      return value ? 1 : 0;
    case "string": {
      const parsed = parseGoFloat(value);
      if (parsed === undefined) throw OttlError.of(`${JSON.stringify(value)} is no number`);
      return parsed;
    }
  }
  throw OttlError.of(`a value of type ${typeOf(value)} is no double`, true);
}
const TRUE = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE = new Set(["0", "f", "F", "FALSE", "false", "False"]);
export function toBool(value: OttlValue): boolean | undefined {
  switch (typeof value) {
    case "undefined":
    case "boolean":
      return value;
    case "bigint":
      return value !== 0n;
    case "number":
      return value !== 0;
    case "string":
      if (TRUE.has(value)) return true;
      if (FALSE.has(value)) return false;
      throw OttlError.of(`${JSON.stringify(value)} is neither true nor false`);
  }
  throw OttlError.of(`a value of type ${typeOf(value)} is no bool`, true);
}
export function toBytes(value: OttlValue): Uint8Array | undefined {
  switch (typeof value) {
    case "undefined":
      return value;
    case "string":
      return Buffer.from(value);
    case "boolean":
      return Uint8Array.of(value ? 1 : 0);
    case "bigint": {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(value);
      return bytes;
    }
    case "number": {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleBE(value);
      return bytes;
    }
  }
  if (isBytes(value)) return value;
  throw OttlError.of(`a value of type ${typeOf(value)} has no bytes`, true);
}

/** A decimal int64 as Go's `strconv.ParseInt(text, 10, 64)` reads it; undefined for what is none. */
export function parseInteger(value: string): bigint | undefined {
  if (!/^[+-]?[0-9]+$/.test(value)) return undefined;
  const big = BigInt(value.replace(/^\+/, ""));
  return big === BigInt.asIntN(64, big) ? big : undefined;
}
