import { type AnyValue, KeyValues, ValueList } from "#formats/otlp/values";
import { printed } from "../ottl/value.ts";

/** A key of which nothing is left once what keys cannot have was taken out. */
export class LogfmtKeyError extends Error {
  override readonly name = "LogfmtKeyError";
  constructor(key: string) {
    super(`the key ${JSON.stringify(key)} has no character that logfmt allows in keys`);
  }
}

const NOT_IN_KEYS = /[\u0000- ="\u007f\ufffd]/g;
const NEEDS_QUOTES = /[\u0000- ="\u007f\ufffd]/;
const ESCAPED = /[\u0000-\u001f"\\\u007f\ufffd]/g;
const SHORT_ESCAPES: ReadonlyMap<string, string> = new Map([
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ['"', '\\"'],
  ["\\", "\\\\"],
]);

/** A line of logfmt as github.com/go-logfmt/logfmt v0.6.1 writes it (encode.go). Throws a LogfmtKeyError. */
export function logfmtLine(pairs: Iterable<readonly [key: string, value: AnyValue]>): string {
  let line = "";
  for (const [key, value] of pairs) {
    const shown = key.toWellFormed().replace(NOT_IN_KEYS, "");
    if (shown === "") throw new LogfmtKeyError(key);
    line += `${line === "" ? "" : " "}${shown}=${valueText(value)}`;
  }
  return line;
}

function valueText(value: AnyValue): string {
  if (value === undefined) return "null";
  if (value instanceof KeyValues || value instanceof ValueList) return '"unsupported value type"';
  if (value instanceof Uint8Array) return quoted(Buffer.from(value).toString());
  if (typeof value === "string") return value === "null" ? '"null"' : quoted(value);
  return quoted(printed(value));
}

function quoted(text: string): string {
  const whole = text.toWellFormed();
  if (!NEEDS_QUOTES.test(whole)) return whole;
  const escaped = whole.replace(ESCAPED, (char) => {
    return SHORT_ESCAPES.get(char) ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}
