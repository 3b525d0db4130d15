import { formatFloat } from "#base/metrics";
import { parseGoFloat } from "../go-number.ts";
import { GoLayout } from "../go-time/go-time.ts";
import { type GoTime, TemplateError, type TemplateValue } from "./parse.ts";

/** What templates' functions know of values: their kinds, how they print, and how they are converted. */

export type TemplateFunction = (args: TemplateValue[]) => TemplateValue;

/** A `map[string]string`: its missing keys are empty texts, and it is no map of values for those functions that want one. */
export class StringMap extends Map<string, TemplateValue> {}

const TIME_TEXT = new GoLayout("2006-01-02 15:04:05.999999999 -0700 MST");

export function isTime(value: TemplateValue): value is GoTime {
  return typeof value === "object" && "zone" in value;
}

/** As text/template decides what `if` takes for true. */
export function truth(value: TemplateValue): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  return value !== undefined && value !== "" && value !== 0 && value !== 0n && value !== false;
}

/** As `{{ value }}` prints it (Go's %v). */
export function formatValue(value: TemplateValue): string {
  if (value === undefined) return "<no value>";
  if (typeof value === "number") return formatFloat(value);
  if (Array.isArray(value)) return `[${value.map(nested).join(" ")}]`;
  if (value instanceof Map) {
    const keys = [...value.keys()].sort();
    return `map[${keys.map((key) => `${key}:${nested(value.get(key))}`).join(" ")}]`;
  }
  return isTime(value) ? TIME_TEXT.format(value, value.zone) : String(value);
}
export function nested(value: TemplateValue): string {
  return value === undefined ? "<nil>" : formatValue(value);
}

export function kindOf(value: TemplateValue): string {
  if (value === undefined) return "nil";
  if (Array.isArray(value)) return "slice";
  if (value instanceof Map) return "map";
  if (isTime(value)) return "struct";
  return { string: "string", number: "float64", bigint: "int", boolean: "bool" }[typeof value as string]!;
}

/** The type as Go's %T names it. */
export function typeName(value: TemplateValue): string {
  if (value === undefined) return "<nil>";
  if (Array.isArray(value)) return "[]interface {}";
  if (value instanceof Map) return value instanceof StringMap ? "map[string]string" : "map[string]interface {}";
  return isTime(value) ? "time.Time" : kindOf(value);
}

/** Orders two values of one kind; throws for others. */
export function compareValues(a: TemplateValue, b: TemplateValue): number {
  const kind = kindOf(a);
  if (kind !== kindOf(b)) throw new TemplateError("incompatible types for comparison");
  if (!["string", "float64", "int"].includes(kind)) throw new TemplateError("invalid type for comparison");
  return a! < b! ? -1 : a! > b! ? 1 : 0;
}

export function equal(a: TemplateValue, b: TemplateValue): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (kindOf(a) !== kindOf(b)) throw new TemplateError("incompatible types for comparison");
  if (Array.isArray(a) || a instanceof Map) throw new TemplateError("invalid type for comparison");
  return a === b;
}

type Kinds = {
  s: string;
  i: number;
  f: number;
  b: boolean;
  m: Map<string, TemplateValue>;
  t: GoTime;
  a: TemplateValue;
};
type Args<S extends string> = S extends `${infer K extends keyof Kinds}*`
  ? Kinds[K][]
  : S extends `${infer K extends keyof Kinds}${infer Rest}`
    ? [Kinds[K], ...Args<Rest>]
    : [];

/**
 * A function with checked arguments: `s` string, `i` integer, `f` float, `b` boolean, `m` map of values,
 * `t` time, `a` anything; `*` behind the last: any number.
 */
export function typed<const S extends string>(
  name: string,
  spec: S,
  work: (...args: Args<S>) => TemplateValue,
): [string, TemplateFunction] {
  const variadic = spec.endsWith("*");
  const kinds = [...spec.replace("*", "")];
  const least = variadic ? kinds.length - 1 : kinds.length;
  return [
    name,
    (args) => {
      if (args.length < least || (!variadic && args.length > least)) {
        throw new TemplateError(`wrong number of args: want ${variadic ? "at least " : ""}${least} got ${args.length}`);
      }
      const checked = args.map((value, i) => convert(value, kinds[Math.min(i, kinds.length - 1)]!));
      return work(...(checked as Args<S>));
    },
  ];
}

function convert(value: TemplateValue, kind: string): unknown {
  if (kind === "a") return value;
  const wanted = { s: "string", i: "int", f: "float64", b: "bool", m: "map", t: "struct" }[kind]!;
  const isWanted = kindOf(value) === wanted || (kind === "f" && typeof value === "bigint");
  if (!isWanted || (kind === "m" && value instanceof StringMap)) {
    throw new TemplateError(`wrong type for value; expected ${wanted}; got ${kindOf(value)}`);
  }
  return kind === "i" || kind === "f" ? Number(value) : value;
}

/** sprig's lenient conversion to text, `strval`. */
export function text(value: TemplateValue): string {
  return value === undefined ? "<nil>" : formatValue(value);
}

/** sprig's lenient conversions to numbers: what is none is 0. */
export function toFloat(value: TemplateValue): number {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "string") return parseGoFloat(value) ?? 0;
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : 0;
}

/** In texts a leading 0x, 0o, 0b or 0 tells the base, as in Go's literals; digits behind a point do not count. */
export function toInteger(value: TemplateValue): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "string") return integerOf(value.replace(/^([+-]?\d*)\.\d*$/, "$1")) ?? 0n;
  const float = toFloat(value);
  return Number.isFinite(float) ? BigInt.asIntN(64, BigInt(Math.trunc(float))) : 0n;
}

function integerOf(digits: string): bigint | undefined {
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)$/.exec(digits);
  if (match === null) return undefined;
  const size = BigInt(/^0[0-7]/.test(match[2]!) ? `0o${match[2]!.slice(1)}` : match[2]!);
  const value = match[1] === "-" ? -size : size;
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

export function list(value: TemplateValue): TemplateValue[] {
  if (Array.isArray(value)) return value;
  throw new TemplateError(`expected a list; got ${kindOf(value)}`);
}

/** What the work gives, or `otherwise` if it fails: many of sprig's functions swallow errors. */
export function attempt<T>(work: () => T, otherwise: T): T {
  try {
    return work();
  } catch {
    return otherwise;
  }
}
