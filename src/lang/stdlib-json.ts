import { Labels } from "#base/labels";
import { float, int, isNumber, numberKind, toFloat } from "./number.ts";
import { compareText } from "./operators.ts";
import { formatGoFloat } from "./stdlib-float.ts";
import { Capsule, type Value, ValueError } from "./value.ts";

/** Deeper JSON is refused, as Go's encoding/json does. */
const DEEPEST = 10_000;

/** How numbers without fraction and exponent are read: Go's encoding/json makes floats of them, ojg's parser ints. */
export type JsonIntegers = "as-floats" | "as-ints";

/** The value of a JSON text. Throws a ValueError that does not quote the text. */
export function parseJson(text: string, integers: JsonIntegers): Value {
  let depth = 0;
  for (let i = 0, inString = false; i < text.length; i++) {
    const char = text[i];
    if (inString) {
      if (char === "\\") i += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === "{" || char === "[") depth += 1;
    else if (char === "}" || char === "]") depth -= 1;
    if (depth > DEEPEST) throw new ValueError("invalid JSON: exceeded max depth");
  }
  try {
    return JSON.parse(text, (_key, value: unknown, context?: { source?: string }) =>
      reviveValue(value, integers, context?.source),
    );
  } catch (error) {
    if (error instanceof ValueError) throw error;
    // V8's message quotes the text; its position is all that is needed.
    const position = /position (\d+)/.exec((error as Error).message)?.[1];
    const where = position === undefined ? "unexpected end of input" : `unexpected character at position ${position}`;
    throw new ValueError(text.trim() === "" ? "invalid JSON: unexpected end of input" : `invalid JSON: ${where}`);
  }
}

function reviveValue(value: unknown, integers: JsonIntegers, source: string | undefined): Value {
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new ValueError("invalid JSON: number out of range");
    const isInteger = source !== undefined && /^-?[0-9]+$/.test(source);
    if (integers === "as-floats" || !isInteger) return float(value);
    const exact = BigInt(source);
    return BigInt.asIntN(64, exact) === exact ? int(exact) : source;
  }
  if (typeof value === "string") return value.toWellFormed();
  if (value === null || typeof value === "boolean" || Array.isArray(value)) return value;
  // Inner objects have been revived already; boxed numbers and maps pass through.
  if (Object.getPrototypeOf(value) !== Object.prototype) return value as Value;
  return new Map(Object.entries(value as Record<string, Value>).map(([key, item]) => [key.toWellFormed(), item]));
}

/** JSON as Go's `json.Marshal` writes it: sorted keys, `<`, `>` and `&` escaped. */
export function formatJson(value: Value): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "string") return formatJsonString(value);
  if (isNumber(value)) return formatJsonNumber(value);
  if (Array.isArray(value)) return `[${(value as readonly Value[]).map(formatJson).join(",")}]`;
  if (value instanceof Map || value instanceof Labels) {
    const pairs = [...(value as Iterable<readonly [string, Value]>)].sort(([a], [b]) => compareText(a, b));
    return `{${pairs.map(([key, item]) => `${formatJsonString(key)}:${formatJson(item)}`).join(",")}}`;
  }
  throw new ValueError(`cannot write ${value instanceof Capsule ? value.toString() : "a function"} as JSON`);
}

function formatJsonNumber(value: Value): string {
  if (numberKind(value) !== "float") return String(value);
  const number = toFloat(value);
  if (!Number.isFinite(number)) throw new ValueError("cannot write an infinite number as JSON");
  const magnitude = Math.abs(number);
  if (magnitude !== 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
    return formatGoFloat(number, "e", -1).replace(/e-0(\d)$/, "e-$1");
  }
  return formatGoFloat(number, "f", -1);
}

const ESCAPES = new Map([
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ['"', '\\"'],
  ["\\", "\\\\"],
]);

function formatJsonString(text: string): string {
  const escaped = text
    .toWellFormed()
    .replace(
      /["\\<>&\x00-\x1f\u2028\u2029]/g,
      (each) => ESCAPES.get(each) ?? `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  return `"${escaped}"`;
}
