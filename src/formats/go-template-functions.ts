import { createHash } from "node:crypto";
import { formatFloat } from "#base/metrics";
import { compileRegex } from "#base/regex";
import { TemplateError, type TemplateValue } from "./go-template-parse.ts";
import { marshalJson } from "./json-fields.ts";

/**
 * The functions of text/template, those that Alloy adds (stages/template.go), and the ones of sprig that log lines need.
 * Others are "not defined" when a template is parsed.
 */
export type TemplateFunction = (args: TemplateValue[]) => TemplateValue;

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
  return String(value);
}
function nested(value: TemplateValue): string {
  return value === undefined ? "<nil>" : formatValue(value);
}

function kindOf(value: TemplateValue): string {
  if (value === undefined) return "nil";
  if (Array.isArray(value)) return "slice";
  if (value instanceof Map) return "map";
  return { string: "string", number: "float64", bigint: "int", boolean: "bool" }[typeof value as string]!;
}

/** Orders two values of one kind; throws for others. */
export function compareValues(a: TemplateValue, b: TemplateValue): number {
  const kind = kindOf(a);
  if (kind !== kindOf(b)) throw new TemplateError("incompatible types for comparison");
  if (!["string", "float64", "int"].includes(kind)) throw new TemplateError("invalid type for comparison");
  return a! < b! ? -1 : a! > b! ? 1 : 0;
}

function equal(a: TemplateValue, b: TemplateValue): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (kindOf(a) !== kindOf(b)) throw new TemplateError("incompatible types for comparison");
  if (Array.isArray(a) || a instanceof Map) throw new TemplateError("invalid type for comparison");
  return a === b;
}

type Kinds = { s: string; i: number; b: boolean; a: TemplateValue };
type Args<S extends string> = S extends `${infer K extends keyof Kinds}*`
  ? Kinds[K][]
  : S extends `${infer K extends keyof Kinds}${infer Rest}`
    ? [Kinds[K], ...Args<Rest>]
    : [];

/** A function with checked arguments: `s` string, `i` integer, `b` boolean, `a` anything; `*` behind the last: any number. */
function typed<const S extends string>(
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
  const wanted = { s: "string", i: "int", b: "bool" }[kind]!;
  if (kindOf(value) !== wanted)
    throw new TemplateError(`wrong type for value; expected ${wanted}; got ${kindOf(value)}`);
  return kind === "i" ? Number(value) : value;
}

/** sprig's lenient conversion to text, `strval`. */
function text(value: TemplateValue): string {
  return value === undefined ? "" : formatValue(value);
}
/** sprig's lenient conversions to numbers: what is none is 0. */
function toFloat(value: TemplateValue): number {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (typeof value === "string") return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value) ? Number(value) : 0;
  return typeof value === "number" || typeof value === "bigint" ? Number(value) : 0;
}
function toInteger(value: TemplateValue): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "string" && /^[+-]?\d+$/.test(value)) return BigInt.asIntN(64, BigInt(value.replace(/^\+/, "")));
  const float = toFloat(value);
  return Number.isFinite(float) ? BigInt(Math.trunc(float)) : 0n;
}

function trimSet(value: string, set: string, left: boolean, right: boolean): string {
  const chars = [...value];
  let from = 0;
  let to = chars.length;
  if (left) while (from < to && set.includes(chars[from]!)) from += 1;
  if (right) while (to > from && set.includes(chars[to - 1]!)) to -= 1;
  return chars.slice(from, to).join("");
}

function replaceTimes(value: string, old: string, replacement: string, times: number): string {
  if (times < 0) return value.replaceAll(old, () => replacement);
  let out = value;
  let from = 0;
  for (let i = 0; i < times; i++) {
    const at = out.indexOf(old, from);
    if (at === -1 || from > out.length) break;
    out = out.slice(0, at) + replacement + out.slice(at + old.length);
    from = at + replacement.length + (old === "" ? 1 : 0);
  }
  return out;
}

function hash(algorithm: string) {
  return (...parts: string[]) => createHash(algorithm).update(parts.join("")).digest("hex");
}

function list(value: TemplateValue): TemplateValue[] {
  if (Array.isArray(value)) return value;
  throw new TemplateError(`expected a list; got ${kindOf(value)}`);
}

function indexed(value: TemplateValue, keys: readonly TemplateValue[]): TemplateValue {
  let found = value;
  for (const key of keys) {
    if (found instanceof Map) found = found.get(String(key));
    else if (Array.isArray(found) || typeof found === "string") {
      const at = typeof key === "bigint" ? Number(key) : Number.NaN;
      const length = typeof found === "string" ? Buffer.byteLength(found) : found.length;
      if (!(at >= 0 && at < length)) throw new TemplateError(`index out of range: ${formatValue(key)}`);
      found = typeof found === "string" ? BigInt(Buffer.from(found)[at]!) : found[at];
    } else throw new TemplateError(`can't index item of type ${kindOf(found)}`);
  }
  return found;
}

/** sprig's `slice`, which takes the place of text/template's: for lists only. */
function sliced(value: TemplateValue, bounds: readonly TemplateValue[]): TemplateValue {
  const items = list(value);
  const [from = 0, to = items.length] = bounds.map((each) => (typeof each === "bigint" ? Number(each) : Number.NaN));
  if (!(from >= 0 && to >= from && to <= items.length)) throw new TemplateError(`index out of range: ${from}:${to}`);
  return items.slice(from, to);
}

/** The bytes `[start, end)` of a text, with both ends put right. */
function substring(value: string, start: number, end: number): string {
  const bytes = Buffer.from(value);
  return bytes.toString("utf8", Math.max(0, start), end < 0 || end > bytes.length ? bytes.length : end);
}

function fromJson(value: unknown): TemplateValue {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === "object" && value !== null) {
    return new Map(Object.entries(value).map(([key, each]) => [key, fromJson(each)]));
  }
  return value === null ? undefined : (value as string | number | boolean);
}
function toJson(value: TemplateValue): unknown {
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Map) return Object.fromEntries([...value].sort().map(([key, each]) => [key, toJson(each)]));
  return typeof value === "bigint" ? Number(value) : (value ?? null);
}

const HTML: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
  "\0": "\ufffd",
};
const regexes = new Map<string, ReturnType<typeof compileRegex>>();

/** Compiled once, since templates name them for each line. */
function regex(source: string) {
  let known = regexes.get(source);
  if (known === undefined) {
    try {
      known = compileRegex(source);
    } catch (cause) {
      throw new TemplateError((cause as Error).message, { cause });
    }
    if (regexes.size >= 200) regexes.clear();
    regexes.set(source, known);
  }
  return known;
}
function integers(work: (a: bigint, b: bigint) => bigint) {
  return (...args: TemplateValue[]) => BigInt.asIntN(64, args.map(toInteger).reduce(work));
}
function divisor(work: (a: bigint, b: bigint) => bigint) {
  return (a: TemplateValue, b: TemplateValue) => {
    if (toInteger(b) === 0n) throw new TemplateError("integer divide by zero");
    return work(toInteger(a), toInteger(b));
  };
}

/** Go's fmt.Sprintf, for the verbs that templates use. */
export function sprintf(format: string, args: readonly TemplateValue[]): string {
  let next = 0;
  const out = format.replace(
    /%([-+ 0#]*)(\d+)?(?:\.(\d+))?(.)/gsu,
    (_, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const value = args[next++];
      const body = formatVerb(verb, value, flags, precision === undefined ? undefined : Number(precision));
      const size = Number(width ?? 0);
      const length = [...body].length;
      if (length >= size) return body;
      if (flags.includes("-")) return body + " ".repeat(size - length);
      const zero = flags.includes("0") && typeof value !== "string";
      const sign = zero ? (/^[+-]/.exec(body)?.[0] ?? "") : "";
      return sign + (zero ? "0" : " ").repeat(size - length) + body.slice(sign.length);
    },
  );
  const extra = args.slice(next).map((value) => `${kindOf(value)}=${nested(value)}`);
  return extra.length === 0 ? out : `${out}%!(EXTRA ${extra.join(", ")})`;
}

function formatVerb(verb: string, value: TemplateValue, flags: string, precision: number | undefined): string {
  const wrong = () => (value === undefined ? `%!${verb}(<nil>)` : `%!${verb}(${kindOf(value)}=${nested(value)})`);
  const plus = (digits: string) => (flags.includes("+") && !digits.startsWith("-") ? `+${digits}` : digits);
  switch (verb) {
    case "v":
      return typeof value === "number" || typeof value === "bigint" ? plus(nested(value)) : nested(value);
    case "s":
      return typeof value === "string"
        ? precision === undefined
          ? value
          : [...value].slice(0, precision).join("")
        : Array.isArray(value)
          ? nested(value)
          : wrong();
    case "q":
      return typeof value === "string" ? JSON.stringify(value) : wrong();
    case "t":
      return typeof value === "boolean" ? String(value) : wrong();
    case "d":
      return typeof value === "bigint" ? plus(String(value)) : wrong();
    case "c":
      return typeof value === "bigint" ? String.fromCodePoint(Number(value)) : wrong();
    case "x":
    case "X": {
      const hex =
        typeof value === "bigint"
          ? value.toString(16)
          : typeof value === "string"
            ? Buffer.from(value).toString("hex")
            : undefined;
      return hex === undefined ? wrong() : verb === "X" ? hex.toUpperCase() : hex;
    }
    case "b":
    case "o":
      return typeof value === "bigint" ? value.toString(verb === "b" ? 2 : 8) : wrong();
    case "f":
    case "F":
      return typeof value === "number" ? plus(value.toFixed(precision ?? 6)) : wrong();
    case "e":
      return typeof value === "number"
        ? plus(value.toExponential(precision ?? 6).replace(/e([+-])(\d)$/, "e$10$2"))
        : wrong();
    case "g":
      return typeof value === "number"
        ? plus(formatFloat(precision === undefined ? value : Number(value.toPrecision(precision || 1))))
        : wrong();
    default:
      return wrong();
  }
}

/** fmt.Sprint puts spaces between operands when neither is a string, Sprintln always. */
function sprint(args: readonly TemplateValue[]): string {
  return args.reduce<string>((out, value, i) => {
    const space = i > 0 && typeof value !== "string" && typeof args[i - 1] !== "string";
    return out + (space ? " " : "") + nested(value);
  }, "");
}

function title(value: string): string {
  return value.replace(
    /(^|[^\p{L}\p{Nd}_'])(\p{Ll})/gu,
    (_, before: string, first: string) => before + first.toUpperCase(),
  );
}

export const TEMPLATE_FUNCTIONS: ReadonlyMap<string, TemplateFunction> = new Map<string, TemplateFunction>([
  // text/template. `and` and `or` are the executor's, which must not evaluate all arguments.
  ["and", (args) => args.at(-1)],
  ["or", (args) => args.at(-1)],
  typed("not", "a", (value) => !truth(value)),
  typed("eq", "aa*", (first, ...others) => {
    if (others.length === 0) throw new TemplateError("missing argument for comparison");
    return others.some((each) => equal(first, each));
  }),
  typed("ne", "aa", (a, b) => !equal(a, b)),
  typed("lt", "aa", (a, b) => compareValues(a, b) < 0),
  typed("le", "aa", (a, b) => compareValues(a, b) <= 0),
  typed("gt", "aa", (a, b) => compareValues(a, b) > 0),
  typed("ge", "aa", (a, b) => compareValues(a, b) >= 0),
  typed("len", "a", (value) => {
    if (typeof value === "string") return BigInt(Buffer.byteLength(value));
    if (Array.isArray(value)) return BigInt(value.length);
    if (value instanceof Map) return BigInt(value.size);
    throw new TemplateError(`len of type ${kindOf(value)}`);
  }),
  typed("index", "aa*", (value, ...keys) => indexed(value, keys)),
  typed("slice", "aa*", (value, ...bounds) => sliced(value, bounds)),
  typed("print", "a*", (...args) => sprint(args)),
  typed("println", "a*", (...args) => `${args.map(nested).join(" ")}\n`),
  typed("printf", "sa*", (format, ...args) => sprintf(format, args)),
  typed("html", "a*", (...args) => sprint(args).replace(/[&<>"'\0]/g, (char) => HTML[char]!)),
  typed("urlquery", "a*", (...args) =>
    encodeURIComponent(sprint(args))
      .replaceAll("%20", "+")
      .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`),
  ),
  // Alloy's own.
  typed("ToLower", "s", (value) => value.toLowerCase()),
  typed("ToUpper", "s", (value) => value.toUpperCase()),
  typed("Replace", "sssi", replaceTimes),
  typed("Trim", "ss", (value, set) => trimSet(value, set, true, true)),
  typed("TrimLeft", "ss", (value, set) => trimSet(value, set, true, false)),
  typed("TrimRight", "ss", (value, set) => trimSet(value, set, false, true)),
  typed("TrimPrefix", "ss", (value, prefix) => (value.startsWith(prefix) ? value.slice(prefix.length) : value)),
  typed("TrimSuffix", "ss", (value, suffix) =>
    suffix !== "" && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value,
  ),
  typed("TrimSpace", "s", (value) => value.trim()),
  typed("Hash", "ss", hash("sha3-256")),
  typed("Sha2Hash", "ss", hash("sha256")),
  typed("regexReplaceAll", "sss", (source, value, replacement) => regex(source).replaceAll(value, replacement)),
  typed("regexReplaceAllLiteral", "sss", (source, value, replacement) =>
    regex(source).replaceAll(value, replacement.replaceAll("$", "$$$$")),
  ),
  // sprig: text.
  typed("upper", "s", (value) => value.toUpperCase()),
  typed("lower", "s", (value) => value.toLowerCase()),
  typed("title", "s", title),
  typed("trim", "s", (value) => value.trim()),
  typed("trimAll", "ss", (set, value) => trimSet(value, set, true, true)),
  typed("trimPrefix", "ss", (prefix, value) => (value.startsWith(prefix) ? value.slice(prefix.length) : value)),
  typed("trimSuffix", "ss", (suffix, value) =>
    suffix !== "" && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value,
  ),
  typed("nospace", "s", (value) => value.replace(/\s/g, "")),
  typed("contains", "ss", (part, value) => value.includes(part)),
  typed("hasPrefix", "ss", (part, value) => value.startsWith(part)),
  typed("hasSuffix", "ss", (part, value) => value.endsWith(part)),
  typed("replace", "sss", (old, replacement, value) => replaceTimes(value, old, replacement, -1)),
  typed("repeat", "is", (count, value) => {
    if (count < 0 || count * value.length > 1_000_000) throw new TemplateError("repeat: the result is too long");
    return value.repeat(count);
  }),
  typed("substr", "iis", (start, end, value) => substring(value, start, end)),
  typed("trunc", "is", (count, value) => {
    const bytes = Buffer.from(value);
    if (count < 0 && bytes.length + count > 0) return bytes.toString("utf8", bytes.length + count);
    return count >= 0 && bytes.length > count ? bytes.toString("utf8", 0, count) : value;
  }),
  typed("quote", "a*", (...args) =>
    args
      .filter((each) => each !== undefined)
      .map((each) => JSON.stringify(text(each)))
      .join(" "),
  ),
  typed("squote", "a*", (...args) =>
    args
      .filter((each) => each !== undefined)
      .map((each) => `'${text(each)}'`)
      .join(" "),
  ),
  typed("cat", "a*", (...args) =>
    args
      .filter((each) => each !== undefined)
      .map(text)
      .join(" "),
  ),
  typed("indent", "is", (count, value) => " ".repeat(count) + value.replaceAll("\n", `\n${" ".repeat(count)}`)),
  typed("splitList", "ss", (separator, value) => value.split(separator)),
  typed("split", "ss", (separator, value) => new Map(value.split(separator).map((part, i) => [`_${i}`, part]))),
  typed("join", "sa", (separator, value) => (Array.isArray(value) ? value.map(text).join(separator) : text(value))),
  typed("b64enc", "s", (value) => Buffer.from(value).toString("base64")),
  typed("b64dec", "s", (value) => Buffer.from(value, "base64").toString("utf8")),
  typed("sha1sum", "s", hash("sha1")),
  typed("sha256sum", "s", hash("sha256")),
  typed("sha512sum", "s", hash("sha512")),
  typed("regexMatch", "ss", (source, value) => regex(source).test(value)),
  typed("regexFind", "ss", (source, value) => regex(source).exec(value)?.[0] ?? ""),
  // sprig: defaults, numbers, lists, maps.
  typed("default", "aa*", (fallback, ...given) => (given.length === 0 || !truth(given[0]) ? fallback : given[0])),
  typed("empty", "a", (value) => !truth(value)),
  typed("coalesce", "a*", (...args) => args.find(truth)),
  typed("ternary", "aab", (yes, no, condition) => (condition ? yes : no)),
  typed("toString", "a", text),
  typed("int", "a", toInteger),
  typed("int64", "a", toInteger),
  typed("float64", "a", toFloat),
  typed("atoi", "s", (value) => (/^[+-]?\d+$/.test(value) ? toInteger(value) : 0n)),
  typed(
    "add",
    "a*",
    integers((a, b) => a + b),
  ),
  typed("add1", "a", (value) => toInteger(value) + 1n),
  typed(
    "sub",
    "aa",
    integers((a, b) => a - b),
  ),
  typed(
    "mul",
    "aa*",
    integers((a, b) => a * b),
  ),
  typed(
    "div",
    "aa",
    divisor((a, b) => a / b),
  ),
  typed(
    "mod",
    "aa",
    divisor((a, b) => a % b),
  ),
  typed(
    "max",
    "aa*",
    integers((a, b) => (a - b > 0n ? a : b)),
  ),
  typed(
    "min",
    "aa*",
    integers((a, b) => (a - b < 0n ? a : b)),
  ),
  typed("floor", "a", (value) => Math.floor(toFloat(value))),
  typed("ceil", "a", (value) => Math.ceil(toFloat(value))),
  typed("round", "ai", (value, digits) => Math.round(toFloat(value) * 10 ** digits) / 10 ** digits),
  typed("list", "a*", (...args) => args),
  typed("first", "a", (value) => list(value)[0]),
  typed("last", "a", (value) => list(value).at(-1)),
  typed(
    "dict",
    "a*",
    (...args) =>
      new Map(Array.from({ length: Math.ceil(args.length / 2) }, (_, i) => [text(args[2 * i]), args[2 * i + 1] ?? ""])),
  ),
  typed("get", "as", (value, key) => (value instanceof Map ? (value.get(key) ?? "") : "")),
  typed("hasKey", "as", (value, key) => value instanceof Map && value.has(key)),
  typed("toJson", "a", (value) => marshalJson(toJson(value))),
  typed("fromJson", "s", (value) => {
    try {
      return fromJson(JSON.parse(value));
    } catch {
      return undefined;
    }
  }),
  typed("kindOf", "a", (value) => (value === undefined ? "invalid" : kindOf(value))),
  typed("fail", "s", (message) => {
    throw new TemplateError(message);
  }),
]);
