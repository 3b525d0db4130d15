import { lower, upper } from "#base/go-case";
import { KeyValues, ValueList } from "#formats/otlp/values";
import { float as langFloat, int as langInt } from "#lang/number";
import { sprintf } from "#lang/stdlib-format";
import type { Value } from "#lang/value";
import * as p from "./parameters.ts";
import { define, listOf, type OttlFunction, optional } from "./parameters.ts";
import { attributeText, bounded, compareUtf8, isBytes, OttlError, OttlId, type OttlValue, printed } from "./value.ts";
import { goCamel, goSnake } from "./words.ts";

/** Converters of text. Matches pkg/ottl/ottlfuncs. */

function textToText(name: string, convert: (text: string) => string): OttlFunction {
  return define(
    name,
    { target: p.text },
    ({ target }) =>
      (c) =>
        convert(target.get(c)),
  );
}

const CASES: ReadonlyMap<string, (text: string) => string> = new Map([
  ["lower", lower],
  ["upper", upper],
  ["snake", goSnake],
  ["camel", goCamel],
]);
const convertCase = define("ConvertCase", { target: p.text, to_case: p.textLiteral }, ({ target, to_case: name }) => {
  const convert = CASES.get(name);
  if (convert === undefined) {
    throw OttlError.of(`the case is "lower", "upper", "snake" or "camel", not ${JSON.stringify(name)}`);
  }
  return (c) => convert(target.get(c));
});

const concat = define(
  "Concat",
  { vals: listOf(p.textLike), delimiter: p.text },
  ({ vals: values, delimiter }) =>
    (c) => {
      const between = delimiter.get(c);
      let out = "";
      for (let i = 0; i < values.length; i++) {
        if (i > 0) out += between;
        out = bounded(out + (values[i]!.get(c) ?? "<nil>"));
      }
      return out;
    },
);

const split = define("Split", { target: p.text, delimiter: p.text }, ({ target, delimiter }) => (c) => {
  const text = target.get(c);
  const by = delimiter.get(c);
  return new ValueList(by === "" ? Array.from(text) : text.split(by));
});

const trim = define(
  "Trim",
  { target: p.text, replacement: optional(p.textLiteral) },
  ({ target, replacement = " " }) => {
    const cut = new Set(Array.from(replacement));
    return (c) => {
      const chars = Array.from(target.get(c));
      let start = 0;
      let end = chars.length;
      while (start < end && cut.has(chars[start]!)) start += 1;
      while (end > start && cut.has(chars[end - 1]!)) end -= 1;
      return chars.slice(start, end).join("");
    };
  },
);

/** Two texts and what is to be known or made of them. */
function twoTexts(name: string, second: string, apply: (text: string, other: string) => OttlValue): OttlFunction {
  return define(name, { target: p.text, [second]: p.text }, (given) => {
    const target = given.target!;
    const other = given[second]!;
    return (c) => apply(target.get(c), other.get(c));
  });
}

const substring = define(
  "Substring",
  { target: p.text, start: p.int, length: p.int, utf8_safe: optional(p.boolLiteral) },
  ({ target, start: startOf, length: lengthOf, utf8_safe: isSafe = false }) =>
    (c) => {
      const start = startOf.get(c);
      if (start < 0n) throw OttlError.of(`the start ${start} is negative`);
      const length = lengthOf.get(c);
      if (length <= 0n) throw OttlError.of(`the length ${length} is not greater than 0`);
      const text = target.get(c);
      const bytes = Buffer.from(text);
      if (start > BigInt(bytes.length) || length > BigInt(bytes.length) - start) {
        throw OttlError.of(`start ${start} and length ${length} reach beyond the text of ${bytes.length} bytes`);
      }
      let from = Number(start);
      let to = from + Number(length);
      if (isSafe) {
        while (from < bytes.length && isInsideCharacter(bytes, from)) from += 1;
        while (from < to && to < bytes.length && isInsideCharacter(bytes, to)) to -= 1;
        if (to < from) to = from;
      }
      return bytes.toString("utf8", from, to);
    },
);
function isInsideCharacter(bytes: Uint8Array, at: number): boolean {
  return (bytes[at]! & 0xc0) === 0x80;
}

const format = define(
  "Format",
  { format: p.textLiteral, vals: listOf(p.any) },
  ({ format: text, vals: values }) =>
    (c) => {
      const given = values.map((each) => printable(each.get(c)));
      return bounded(sprintf(text, given));
    },
);
/** As the values of Alloy's own language, whose sprintf follows Go's. */
function printable(value: OttlValue): Value {
  switch (typeof value) {
    case "undefined":
      return null;
    case "bigint":
      return langInt(value);
    case "number":
      return langFloat(value);
    case "object":
      if (value instanceof ValueList) return value.items.map(printable);
      if (value instanceof OttlId || isBytes(value) || value instanceof KeyValues) return printed(value);
      return printed(value);
    default:
      return value;
  }
}

const VARIANTS: ReadonlyMap<string, { readonly isUrl: boolean; readonly isPadded: boolean }> = new Map([
  ["base64", { isUrl: false, isPadded: true }],
  ["base64-raw", { isUrl: false, isPadded: false }],
  ["base64-url", { isUrl: true, isPadded: true }],
  ["base64-raw-url", { isUrl: true, isPadded: false }],
]);

const base64Encode = define(
  "Base64Encode",
  { target: p.text, variant: optional(p.text) },
  ({ target, variant }) =>
    (c) => {
      const text = target.get(c);
      const name = variant?.get(c) ?? "base64";
      const found = VARIANTS.get(name);
      if (found === undefined) throw OttlError.of(`unknown variant ${JSON.stringify(name)} of base64`);
      const encoded = Buffer.from(text).toString(found.isUrl ? "base64url" : "base64");
      if (!found.isPadded) return encoded.replace(/=+$/, "");
      return encoded.padEnd(Math.ceil(encoded.length / 4) * 4, "=");
    },
);

/** As Go's encoding/base64: line breaks are passed over, everything else must be exact. */
function decodeBase64(text: string, { isUrl, isPadded }: { isUrl: boolean; isPadded: boolean }): Buffer {
  const plain = text.replace(/[\r\n]/g, "");
  const alphabet = isUrl ? "A-Za-z0-9_-" : "A-Za-z0-9+/";
  const body = plain.replace(/=+$/, "");
  const padding = plain.length - body.length;
  const isWhole = isPadded ? plain.length % 4 === 0 && padding <= 2 : padding === 0;
  if (!isWhole || body.length % 4 === 1 || !new RegExp(`^[${alphabet}]*$`).test(body)) {
    throw OttlError.of("the text is not valid base64");
  }
  return Buffer.from(body, isUrl ? "base64url" : "base64");
}

const base64Decode = textToText("Base64Decode", (text) => decodeBase64(text, VARIANTS.get("base64")!).toString());

const decode = define("Decode", { target: p.any, encoding: p.text }, ({ target, encoding }) => {
  const literal = encoding.literal === undefined ? undefined : decoderOf(encoding.literal.value);
  return (c) => {
    const value = target.get(c);
    const decoder = literal ?? decoderOf(encoding.get(c));
    if (isBytes(value)) return decoder(value);
    if (typeof value === "string") return decoder(Buffer.from(value));
    throw OttlError.of("only texts and bytes can be decoded");
  };
});

/** Encodings that TextDecoder calls otherwise than the Collector does. */
const ENCODINGS: ReadonlyMap<string, string> = new Map([
  ["", "utf-8"],
  ["utf16", "utf-16le"],
  ["utf-16", "utf-16le"],
  ["utf8-raw", "utf-8"],
  ["utf-8-raw", "utf-8"],
  ["ascii", "utf-8"],
  ["us-ascii", "utf-8"],
  ["nop", "utf-8"],
]);

function decoderOf(name: string): (bytes: Uint8Array) => string {
  const variant = VARIANTS.get(name);
  if (variant !== undefined) return (bytes) => decodeBase64(Buffer.from(bytes).toString("latin1"), variant).toString();
  const label = name.toLowerCase();
  // ISO 8859-1 is windows-1252 for browsers, which differs from 0x80 to 0x9f.
  if (/^(?:iso-?8859-1|latin1|l1|iso_8859-1)$/.test(label)) return (bytes) => Buffer.from(bytes).toString("latin1");
  try {
    const decoder = new TextDecoder(ENCODINGS.get(label) ?? label, { ignoreBOM: true });
    return (bytes) => decoder.decode(bytes);
  } catch {
    throw OttlError.of(`unknown encoding ${JSON.stringify(name)}`);
  }
}

const toKeyValueString = define(
  "ToKeyValueString",
  {
    target: p.map,
    delimiter: optional(p.textLiteral),
    pair_delimiter: optional(p.textLiteral),
    sort_output: optional(p.boolLiteral),
  },
  ({ target, delimiter = "=", pair_delimiter: pairDelimiter = " ", sort_output: isSorted = false }) => {
    if (delimiter === "" || pairDelimiter === "") throw OttlError.of("a delimiter is empty");
    if (delimiter === pairDelimiter) throw OttlError.of("the two delimiters are the same");
    const quote = (text: string): string => {
      const escaped = text.replaceAll('"', '\\"');
      return escaped.includes(delimiter) || escaped.includes(pairDelimiter) ? `"${escaped}"` : escaped;
    };
    return (c) => {
      const map = target.get(c);
      const pairs: (readonly [string, string])[] = [];
      for (let i = 0; i < map.size; i++) pairs.push([map.keyAt(i), attributeText(map.valueAt(i))]);
      if (isSorted) pairs.sort((a, b) => compareUtf8(a[0], b[0]));
      return bounded(pairs.map(([key, value]) => quote(key) + delimiter + quote(value)).join(pairDelimiter));
    };
  },
);

export const textConverters: readonly OttlFunction[] = [
  convertCase,
  textToText("ToLowerCase", lower),
  textToText("ToUpperCase", upper),
  textToText("ToSnakeCase", goSnake),
  textToText("ToCamelCase", goCamel),
  concat,
  split,
  trim,
  twoTexts("TrimPrefix", "prefix", (text, prefix) => (text.startsWith(prefix) ? text.slice(prefix.length) : text)),
  twoTexts("TrimSuffix", "suffix", (text, end) =>
    text.endsWith(end) ? text.slice(0, text.length - end.length) : text,
  ),
  twoTexts("HasPrefix", "prefix", (text, prefix) => text.startsWith(prefix)),
  twoTexts("HasSuffix", "suffix", (text, suffix) => text.endsWith(suffix)),
  substring,
  format,
  base64Encode,
  base64Decode,
  decode,
  toKeyValueString,
];
