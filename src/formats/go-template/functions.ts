import { lower, upper } from "#base/go-case";
import { formatGoFloat } from "#lang/stdlib-float";
import { TemplateError, type TemplateValue } from "./parse.ts";
import { SPRIG_NUMBERS } from "./sprig-numbers.ts";
import { goQuote, hash, replaceTimes, SPRIG_TEXTS, trimSet, trimSpace } from "./sprig-text.ts";
import { SPRIG_VALUES } from "./sprig-values.ts";
import {
  compareValues,
  equal,
  formatValue,
  kindOf,
  nested,
  StringMap,
  type TemplateFunction,
  truth,
  typed,
  typeName,
} from "./values.ts";

/**
 * The functions of text/template, those that Alloy adds (stages/template.go), and sprig's. Others are "not defined" when
 * a template is parsed: of sprig, those that make keys, certificates and passwords, and `getHostByName`, which would ask
 * the network for every line.
 */

function indexed(value: TemplateValue, keys: readonly TemplateValue[]): TemplateValue {
  let found = value;
  for (const key of keys) {
    if (found instanceof Map) found = found.get(String(key)) ?? (found instanceof StringMap ? "" : undefined);
    else if (Array.isArray(found) || typeof found === "string") {
      const at = typeof key === "bigint" ? Number(key) : Number.NaN;
      const length = typeof found === "string" ? Buffer.byteLength(found) : found.length;
      if (!(at >= 0 && at < length)) throw new TemplateError(`index out of range: ${formatValue(key)}`);
      found = typeof found === "string" ? BigInt(Buffer.from(found)[at]!) : found[at];
    } else throw new TemplateError(`can't index item of type ${kindOf(found)}`);
  }
  return found;
}

const HTML: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&#34;",
  "'": "&#39;",
  "\0": "\ufffd",
};
const DIRECTIVE = /%([-+ 0#]*)(\d+|\*)?(?:\.(\d+|\*)?)?(?:\[(\d+)\])?(.)/gsu;

/** Go's fmt.Sprintf, for the verbs that templates use. */
export function sprintf(format: string, args: readonly TemplateValue[]): string {
  let next = 0;
  let isReordered = false;
  const number = (written: string | undefined) => Number(written === "*" ? args[next++] : written);
  const out = format.replace(DIRECTIVE, (whole, flags: string, width, precision, index, verb: string) => {
    if (verb === "%") return "%";
    const size = width === undefined ? 0 : number(width);
    const digits = precision === undefined ? (whole.includes(".") ? 0 : undefined) : number(precision);
    if (index !== undefined) {
      next = Number(index) - 1;
      isReordered = true;
    }
    if (!(next >= 0 && next < args.length)) return `%!${verb}(${index === undefined ? "MISSING" : "BADINDEX"})`;
    const value = args[next++];
    const body = formatVerb(verb, value, flags, digits);
    const length = [...body].length;
    if (length >= size) return body;
    if (flags.includes("-")) return body + " ".repeat(size - length);
    const zero = flags.includes("0") && typeof value !== "string";
    const sign = zero ? (/^[+-]/.exec(body)?.[0] ?? "") : "";
    return sign + (zero ? "0" : " ").repeat(size - length) + body.slice(sign.length);
  });
  const extra = isReordered ? [] : args.slice(next).map((value) => `${kindOf(value)}=${nested(value)}`);
  return extra.length === 0 ? out : `${out}%!(EXTRA ${extra.join(", ")})`;
}

function formatVerb(verb: string, value: TemplateValue, flags: string, precision: number | undefined): string {
  const wrong = () => (value === undefined ? `%!${verb}(<nil>)` : `%!${verb}(${kindOf(value)}=${nested(value)})`);
  const plus = (digits: string) => (flags.includes("+") && !/^[+-]/.test(digits) ? `+${digits}` : digits);
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
      return typeof value === "string" ? goQuote(value) : wrong();
    case "T":
      return typeName(value);
    case "t":
      return typeof value === "boolean" ? String(value) : wrong();
    case "d":
      return typeof value === "bigint" ? plus(String(value)) : wrong();
    case "c":
      return typeof value === "bigint" ? String.fromCodePoint(Number(value)) : wrong();
    case "U":
      return typeof value === "bigint" ? `U+${value.toString(16).toUpperCase().padStart(4, "0")}` : wrong();
    case "x":
    case "X": {
      const hex = hexText(value);
      if (hex === undefined) return wrong();
      const prefixed = flags.includes("#") ? hex.replace(/^-?/, "$&0x") : hex;
      return verb === "X" ? prefixed.toUpperCase() : prefixed;
    }
    case "b":
    case "o": {
      if (typeof value !== "bigint") return wrong();
      const digits = value.toString(verb === "b" ? 2 : 8);
      return flags.includes("#") && verb === "o" ? digits.replace(/^-?/, "$&0") : digits;
    }
    case "f":
    case "F":
      return typeof value === "number" ? plus(formatGoFloat(value, "f", precision ?? 6)) : wrong();
    case "e":
      return typeof value === "number" ? plus(formatGoFloat(value, "e", precision ?? 6)) : wrong();
    case "g":
      return typeof value === "number" ? plus(formatGoFloat(value, "g", precision ?? -1)) : wrong();
    default:
      return wrong();
  }
}

function hexText(value: TemplateValue): string | undefined {
  if (typeof value === "bigint") return value.toString(16);
  return typeof value === "string" ? Buffer.from(value).toString("hex") : undefined;
}

/** One argument as an action prints it, several as `print` does. */
function printed(args: readonly TemplateValue[]): string {
  return args.length === 1 ? formatValue(args[0]) : sprint(args);
}

/** template.JSEscapeString. */
function escapeJs(value: string): string {
  return value.replace(/[\\'"<>&=]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (char) =>
    /[\\'"]/.test(char) ? `\\${char}` : `\\u${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`,
  );
}

/** fmt.Sprint puts spaces between operands when neither is a string, Sprintln always. */
function sprint(args: readonly TemplateValue[]): string {
  return args.reduce<string>((out, value, i) => {
    const space = i > 0 && typeof value !== "string" && typeof args[i - 1] !== "string";
    return out + (space ? " " : "") + nested(value);
  }, "");
}

export const TEMPLATE_FUNCTIONS: ReadonlyMap<string, TemplateFunction> = new Map<string, TemplateFunction>([
  ...SPRIG_TEXTS,
  ...SPRIG_NUMBERS,
  ...SPRIG_VALUES,
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
  typed("print", "a*", (...args) => sprint(args)),
  typed("println", "a*", (...args) => `${args.map(nested).join(" ")}\n`),
  typed("printf", "sa*", (format, ...args) => sprintf(format, args)),
  typed("html", "a*", (...args) => printed(args).replace(/[&<>"'\0]/g, (char) => HTML[char]!)),
  typed("js", "a*", (...args) => escapeJs(printed(args))),
  typed("call", "a*", () => {
    throw new TemplateError("error calling call: no value of a template is a function");
  }),
  typed("urlquery", "a*", (...args) =>
    encodeURIComponent(printed(args))
      .replaceAll("%20", "+")
      .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`),
  ),
  // Alloy's own.
  typed("ToLower", "s", lower),
  typed("ToUpper", "s", upper),
  typed("Replace", "sssi", replaceTimes),
  typed("Trim", "ss", (value, set) => trimSet(value, set, true, true)),
  typed("TrimLeft", "ss", (value, set) => trimSet(value, set, true, false)),
  typed("TrimRight", "ss", (value, set) => trimSet(value, set, false, true)),
  typed("TrimPrefix", "ss", (value, prefix) => (value.startsWith(prefix) ? value.slice(prefix.length) : value)),
  typed("TrimSuffix", "ss", (value, suffix) =>
    suffix !== "" && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value,
  ),
  typed("TrimSpace", "s", trimSpace),
  typed("Hash", "ss", hash("sha3-256")),
  typed("Sha2Hash", "ss", hash("sha256")),
]);
