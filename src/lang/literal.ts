/**
 * What the literals of a configuration stand for, and how values are written as literals. Matches what Alloy gets from
 * Go's strconv (`ParseInt` with base 0, `Unquote`, `Quote`), see Alloy's `syntax/internal/transform/value.go`.
 */

const simpleEscapes = new Map([
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
  ["\\", "\\"],
  ['"', '"'],
  ["'", "'"],
]);

const bytes = new TextDecoder("utf-8", { ignoreBOM: true });

/** `\` and one of: a letter or quote, three octal digits, `x` and two, `u` and four, `U` and eight hexadecimal digits. */
const escapeSequences = /(?:\\(?:[0-7]{3}|x[0-9a-fA-F]{2}))+|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\[\s\S]/g;

/**
 * The text of a string literal, given with its quotes. Raw strings lose their carriage returns, as in Go. Neighbouring
 * `\xNN` and octal escapes are the bytes of UTF-8 text; bytes that are no UTF-8 become U+FFFD.
 * Never throws: of a malformed literal (the scanner has reported it) the faulty parts stand for themselves.
 */
export function stringLiteralValue(raw: string): string {
  const quote = raw[0];
  const inner = raw.slice(1, raw.length > 1 && raw.endsWith(quote ?? "") ? -1 : undefined);
  if (quote === "`") return inner.includes("\r") ? inner.replaceAll("\r", "") : inner;
  if (!inner.includes("\\")) return inner;
  return inner.replace(escapeSequences, escapedText);
}

function escapedText(sequence: string): string {
  const kind = sequence[1]!;
  if (sequence.length === 2) return simpleEscapes.get(kind) ?? sequence;
  if (kind === "u" || kind === "U") {
    const point = Number.parseInt(sequence.slice(2), 16);
    if (point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return "\ufffd";
    return String.fromCodePoint(point);
  }
  const values = Array.from(sequence.matchAll(/\\(?:x([0-9a-fA-F]{2})|([0-7]{3}))/g), ([, hex, octal]) =>
    hex === undefined ? Number.parseInt(octal!, 8) : Number.parseInt(hex, 16),
  );
  return bytes.decode(Uint8Array.from(values));
}

const maxUint64 = 0xffff_ffff_ffff_ffffn;

/**
 * The value of a number or float literal. Integers up to 2^64-1 are exact: a bigint where a double would round. Larger
 * ones are floats. A leading zero means octal, as in Go (`010` is 8), unless a digit forbids it (`08` is 8).
 * A float that no double can hold gives Infinity.
 */
export function numberLiteralValue(raw: string): number | bigint {
  if (!/^[0-9]+$/.test(raw)) return Number(raw);
  const octal = raw.length > 1 && raw.startsWith("0");
  if (octal && /[89]/.test(raw)) return Number(raw);
  if (raw.length <= 15) return Number.parseInt(raw, octal ? 8 : 10);
  // 400 digits are beyond any double; BigInt would take quadratic time over millions.
  if (raw.length > 400) return Number(raw);
  const exact = BigInt(octal ? `0o${raw.slice(1)}` : raw);
  if (exact > maxUint64) return Number(raw);
  return exact > BigInt(Number.MAX_SAFE_INTEGER) ? exact : Number(exact);
}

const quotedEscapes = new Map([
  ["\x07", "\\a"],
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\v", "\\v"],
  ["\\", "\\\\"],
  ['"', '\\"'],
]);

/** Everything that Go's `strconv.Quote` escapes: quotes, backslashes, and what `unicode.IsPrint` is false for. */
const unprintable = /["\\]|[^ \p{L}\p{M}\p{N}\p{P}\p{S}]/gu;

/** The text as a double-quoted literal, as Go's `%q` writes it. */
export function quoteString(text: string): string {
  return `"${text.replace(unprintable, quoteCharacter)}"`;
}

function quoteCharacter(character: string): string {
  const short = quotedEscapes.get(character);
  if (short !== undefined) return short;
  const point = character.codePointAt(0)!;
  if (point < 0x80) return `\\x${hex(point, 2)}`;
  if (point >= 0xd800 && point < 0xe000) return "\\ufffd";
  return point < 0x10000 ? `\\u${hex(point, 4)}` : `\\U${hex(point, 8)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}
