import { type AnyValue, KeyValues, ValueList } from "./values.ts";

/** Values of attributes as the texts that pdata and encoding/json of Go make of them. */

/** Texts of which no character has to be escaped in JSON, which is nearly all of them. */
const PLAIN = /^[ !#-[\]-~]*$/;
/** Neither in JSON as `json.Marshal` writes it. */
const PLAIN_HTML = /^[ !#-%'-;=?-[\]-~]*$/;

/** A float as pdata's AsString and encoding/json write it, which is nearly what JavaScript does. */
function floatText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  return String(value);
}

/** A value as text, as `pcommon.Value.AsString` gives it; bytes in base64, maps and lists as JSON. */
export function attributeText(value: AnyValue): string {
  switch (typeof value) {
    case "undefined":
      return "";
    case "string":
      return value;
    case "number":
      return floatText(value);
    case "bigint":
    case "boolean":
      return String(value);
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  return isFiniteValue(value) ? json(value) : ""; // as Go does where there is no JSON
}

/** Whether JSON has a form for the value: no NaN and no infinite number is in it. */
export function isFiniteValue(value: AnyValue): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (value instanceof ValueList) return value.items.every(isFiniteValue);
  if (!(value instanceof KeyValues)) return true;
  for (let i = 0; i < value.size; i++) if (!isFiniteValue(value.valueAt(i))) return false;
  return true;
}

/** A map or list as encoding/json writes it without escapes for HTML: keys sorted, the last of equal keys wins. */
export function json(value: AnyValue): string {
  switch (typeof value) {
    case "undefined":
      return "null";
    case "string":
      return quoteJson(value);
    case "bigint":
    case "boolean":
      return String(value);
    case "number":
      return Number.isFinite(value) ? floatText(value) : "null";
  }
  // No bytes become a nil slice on their way (pdata's AsRaw).
  if (value instanceof Uint8Array) return value.length === 0 ? "null" : `"${Buffer.from(value).toString("base64")}"`;
  if (value instanceof ValueList) return `[${value.items.map(json).join(",")}]`;
  const entries = new Map<string, AnyValue>();
  for (let i = 0; i < value.size; i++) entries.set(value.keyAt(i), value.valueAt(i));
  const keys = [...entries.keys()].sort(compareUtf8);
  return `{${keys.map((key) => `${quoteJson(key)}:${json(entries.get(key))}`).join(",")}}`;
}

/** The same with `<`, `>` and `&` escaped, as `json.Marshal` does. */
export function htmlJson(value: AnyValue): string {
  if (typeof value === "string" && PLAIN_HTML.test(value)) return `"${value}"`;
  return json(value).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

function quoteJson(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  // JSON.stringify escapes what Go does, and Go the two line separators besides.
  return JSON.stringify(text.toWellFormed()).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Orders texts by their UTF-8 bytes, which differs from JavaScript's order for surrogates. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0;
  for (let i = 0; i < a.length && i < b.length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) {
      const high = x >= 0xd800 && x < 0xe000;
      if (high !== (y >= 0xd800 && y < 0xe000)) return high ? 1 : -1;
      return x - y;
    }
  }
  return a.length - b.length;
}
