import { ValueError } from "./value.ts";

/** Go's functions over text, where JavaScript's namesakes differ. */

/** `strings.ReplaceAll`: an empty substring is found before each character and at the end. */
export function replaceAll(text: string, substring: string, replacement: string): string {
  if (substring !== "") return text.split(substring).join(replacement);
  return [...Array.from(text, (char) => replacement + char), replacement].join("");
}

/** `strings.Split`: an empty separator splits into characters. */
export function split(text: string, separator: string): string[] {
  return separator === "" ? Array.from(text) : text.split(separator);
}

/** `strings.ToLower`: character by character, without regard to neighbours. */
export function toLower(text: string): string {
  return Array.from(text, (char) => (char === "\u0130" ? "i" : char.toLowerCase())).join("");
}

/** `strings.ToUpper`: one character for one, so that `ß` stays what it is. */
export function toUpper(text: string): string {
  return Array.from(text, upperCharacter).join("");
}

function upperCharacter(char: string): string {
  const code = char.codePointAt(0)!;
  // Greek with a subscript iota: the upper case in one character is the title case.
  if (code >= 0x1f80 && code <= 0x1faf) return String.fromCodePoint(code | 8);
  if (code === 0x1fb3 || code === 0x1fc3 || code === 0x1ff3) return String.fromCodePoint(code + 9);
  const upper = char.toUpperCase();
  return Array.from(upper).length === 1 ? upper : char;
}

/** `strings.Trim`: removes all characters of the set at both ends. */
export function trim(text: string, cutset: string): string {
  const cut = new Set(cutset);
  const chars = Array.from(text);
  let start = 0;
  let end = chars.length;
  while (start < end && cut.has(chars[start]!)) start += 1;
  while (end > start && cut.has(chars[end - 1]!)) end -= 1;
  return chars.slice(start, end).join("");
}

export function trimPrefix(text: string, prefix: string): string {
  return text.startsWith(prefix) ? text.slice(prefix.length) : text;
}

export function trimSuffix(text: string, suffix: string): string {
  return text.endsWith(suffix) ? text.slice(0, text.length - suffix.length) : text;
}

const SPACES = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const LEADING_SPACE = new RegExp(`^[${SPACES}]+`);
const SPACE = new RegExp(`[${SPACES}]`);

/** `strings.TrimSpace`. */
export function trimSpace(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE.test(text[end - 1]!)) end -= 1;
  return text.slice(0, end).replace(LEADING_SPACE, "");
}

/** `filepath.Join` on Unix. */
export function joinPath(elements: readonly string[]): string {
  const filled = elements.filter((each) => each !== "");
  return filled.length === 0 ? "" : cleanPath(filled.join("/"));
}

function cleanPath(path: string): string {
  const rooted = path.startsWith("/");
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else if (!rooted) parts.push(part);
  }
  return (rooted ? "/" : "") + parts.join("/") || ".";
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Base64 with padding; `url` is the alphabet with `-` and `_`. */
export function encodeBase64(text: string, alphabet: "standard" | "url"): string {
  const bytes = new TextEncoder().encode(text);
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  const encoded = btoa(binary);
  return alphabet === "url" ? encoded.replaceAll("+", "-").replaceAll("/", "_") : encoded;
}

/** As strict as Go: padding is needed, line ends are skipped. Bytes that are not UTF-8 become U+FFFD. */
export function decodeBase64(text: string, alphabet: "standard" | "url"): string {
  const compact = text.replace(/[\r\n]/g, "");
  const valid = alphabet === "url" ? /^[A-Za-z0-9_-]*={0,2}$/ : /^[A-Za-z0-9+/]*={0,2}$/;
  if (!valid.test(compact) || compact.length % 4 !== 0) {
    const bad = /[^A-Za-z0-9+/]/;
    const badUrl = /[^A-Za-z0-9_-]/;
    const at = text.replace(/[\r\n]/g, "A").search(alphabet === "url" ? badUrl : bad);
    throw new ValueError(`illegal base64 data at input byte ${at < 0 ? text.length : at}`);
  }
  const binary = atob(alphabet === "url" ? compact.replaceAll("-", "+").replaceAll("_", "/") : compact);
  return UTF8.decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
}

/** `url.QueryEscape`. */
export function escapeQuery(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}

/** `url.QueryUnescape`. */
export function unescapeQuery(text: string): string {
  const bad = /%(?![0-9a-fA-F]{2})/.exec(text);
  if (bad !== null) {
    throw new ValueError(`invalid URL escape ${JSON.stringify(text.slice(bad.index, bad.index + 3))}`);
  }
  return text
    .replaceAll("+", " ")
    .replace(/(?:%[0-9a-fA-F]{2})+/g, (escapes) =>
      UTF8.decode(Uint8Array.from(escapes.slice(1).split("%"), (hex) => Number.parseInt(hex, 16))),
    );
}
