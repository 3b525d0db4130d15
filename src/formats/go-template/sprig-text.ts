import { createHash, randomBytes, randomInt, randomUUID } from "node:crypto";
import path from "node:path";
import { lower, upper } from "#base/go-case";
import { compileRegex, type Regex } from "#base/regex";
import { TemplateError, type TemplateValue } from "./parse.ts";
import { abbreviate, connectedWords, initials, pascalCase, swapCase, wrapText } from "./text.ts";
import { StringMap, type TemplateFunction, text, typed } from "./values.ts";

/** The functions of sprig (v3.3.0) that work on texts. */

/** No function makes a text longer than this. */
const MAX_LENGTH = 1_000_000;

export function trimSet(value: string, set: string, left: boolean, right: boolean): string {
  const chars = [...value];
  let from = 0;
  let to = chars.length;
  if (left) while (from < to && set.includes(chars[from]!)) from += 1;
  if (right) while (to > from && set.includes(chars[to - 1]!)) to -= 1;
  return chars.slice(from, to).join("");
}

export function replaceTimes(value: string, old: string, replacement: string, times: number): string {
  if (times < 0) return value.replaceAll(old === "" ? /(?:)/gu : old, () => replacement);
  let out = value;
  let from = 0;
  for (let i = 0; i < times; i++) {
    const at = out.indexOf(old, from);
    if (at === -1 || from > out.length) break;
    out = out.slice(0, at) + replacement + out.slice(at + old.length);
    from = at + replacement.length;
    if (old === "") from += (out.codePointAt(from) ?? 0) > 0xffff ? 2 : 1;
  }
  return out;
}

/** What a word begins behind for Go's strings.Title: of ASCII all but letters, digits and `_`, else only white space. */
const WORD_START = /(^|[\0-/:-@[-^`{-\x7f\s\x85])(\p{L})/gu;

const SPACE_AROUND = /^(?:(?!\ufeff)[\s\x85])+|(?:(?!\ufeff)[\s\x85])+$/g;

/** Without Unicode's white space at both ends. */
export function trimSpace(value: string): string {
  return value.replace(SPACE_AROUND, "");
}

export function hash(algorithm: string) {
  return (...parts: string[]) => createHash(algorithm).update(parts.join("")).digest("hex");
}

const regexes = new Map<string, Regex>();

/** Compiled once, since templates name them for each line. */
export function regex(source: string): Regex {
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

/** Where the matches lie, `limit` of them at most (all if it is negative), as Go's FindAllStringIndex. */
function allRanges(source: string, value: string, limit: number): (readonly [number, number])[] {
  const found: (readonly [number, number])[] = [];
  regex(source).replaceAllFunction(value, ([match], range) => {
    if (limit < 0 || found.length < limit) found.push([range[0]!, range[1]!]);
    return match!;
  });
  return found;
}

function findAll(source: string, value: string, limit: number): string[] {
  return allRanges(source, value, limit).map(([start, end]) => value.slice(start, end));
}

/** Go's Regexp.Split: `limit` parts at most, none if it is 0. */
function splitAt(source: string, value: string, limit: number): string[] {
  if (limit === 0) return [];
  if (source.length > 0 && value.length === 0) return [""];
  const parts: string[] = [];
  let from = 0;
  let end = 0;
  for (const [start, stop] of allRanges(source, value, -1)) {
    if (limit > 0 && parts.length === limit - 1) break;
    end = start;
    if (stop !== 0) parts.push(value.slice(from, end));
    from = stop;
  }
  if (end !== value.length) parts.push(value.slice(from));
  return parts;
}

function matches(source: string, value: string): boolean {
  return regex(source).test(value);
}
function replaceAll(source: string, value: string, replacement: string): string {
  return regex(source).replaceAll(value, replacement);
}
function replaceLiterally(source: string, value: string, replacement: string): string {
  return regex(source).replaceAllFunction(value, () => replacement);
}
function find(source: string, value: string): string {
  return regex(source).exec(value)?.[0] ?? "";
}

/** strings.Split and strings.SplitN: nothing to split at means characters. */
function split(separator: string, value: string, limit = -1): string[] {
  if (limit === 0) return [];
  const parts = separator === "" ? [...value] : value.split(separator);
  return limit > 0 && parts.length > limit
    ? [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(separator)]
    : parts;
}
function numbered(parts: readonly string[]): StringMap {
  return new StringMap(parts.map((part, i) => [`_${i}`, part]));
}

/** The bytes `[start, end)` of a text. */
function substring(start: number, end: number, value: string): string {
  const bytes = Buffer.from(value);
  const from = Math.max(start, 0);
  const to = start >= 0 && (end < 0 || end > bytes.length) ? bytes.length : end;
  if (!(from <= to && to <= bytes.length)) throw new TemplateError(`slice bounds out of range [${from}:${to}]`);
  return bytes.toString("utf8", from, to);
}

function truncated(count: number, value: string): string {
  const bytes = Buffer.from(value);
  if (count < 0 && bytes.length + count > 0) return bytes.toString("utf8", bytes.length + count);
  return count >= 0 && bytes.length > count ? bytes.toString("utf8", 0, count) : value;
}

function indent(count: number, value: string): string {
  if (count < 0 || count > MAX_LENGTH) throw new TemplateError("strings: negative Repeat count");
  return " ".repeat(count) + value.replaceAll("\n", `\n${" ".repeat(count)}`);
}

function repeat(count: number, value: string): string {
  if (count < 0 || count * value.length > MAX_LENGTH) throw new TemplateError("repeat: the result is too long");
  return value.repeat(count);
}

/** strconv.Quote. */
export function goQuote(value: string): string {
  const escaped = value.replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (char) => {
    const short = SHORT_ESCAPES[char];
    if (short !== undefined) return short;
    const code = char.codePointAt(0)!;
    if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

function base32Encode(value: string): string {
  const bits = [...Buffer.from(value)].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const digits = (bits.match(/.{1,5}/g) ?? []).map((five) => BASE32[Number.parseInt(five.padEnd(5, "0"), 2)]!).join("");
  return digits.padEnd(Math.ceil(digits.length / 8) * 8, "=");
}
/** What is wrong comes as the text, in Go's words, as in sprig. */
function base32Decode(value: string): string {
  const digits = value.replace(/[\r\n]/g, "");
  const body = digits.replace(/=+$/, "");
  const bad = [...body].findIndex((char) => !BASE32.includes(char));
  if (bad >= 0) return `illegal base32 data at input byte ${bad}`;
  if (digits.length % 8 !== 0) return `illegal base32 data at input byte ${digits.length - (digits.length % 8)}`;
  const bits = [...body].map((char) => BASE32.indexOf(char).toString(2).padStart(5, "0")).join("");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2))).toString();
}
function base64Decode(value: string): string {
  const digits = value.replace(/[\r\n]/g, "");
  const body = digits.replace(/={1,2}$/, "");
  const bad = /[^A-Za-z0-9+/]/.exec(body)?.index;
  if (bad !== undefined) return `illegal base64 data at input byte ${bad}`;
  if (digits.length % 4 !== 0) return `illegal base64 data at input byte ${digits.length - (digits.length % 4)}`;
  return Buffer.from(body, "base64").toString();
}

function adler32(value: string): string {
  let a = 1;
  let b = 0;
  for (const byte of Buffer.from(value)) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return String(b * 65_536 + a);
}

const DIGITS = "0123456789";
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PRINTABLE = String.fromCharCode(...Array.from({ length: 95 }, (_, i) => i + 32));

function randomText(alphabet: string) {
  return (count: number) => {
    if (count < 0 || count > MAX_LENGTH) throw new TemplateError("the length is out of range");
    return Array.from({ length: count }, () => alphabet[randomInt(alphabet.length)]!).join("");
  };
}
function shuffled(value: string): string {
  const chars = [...value];
  for (let i = chars.length - 1; i > 0; i--) {
    const other = randomInt(i + 1);
    [chars[i], chars[other]] = [chars[other]!, chars[i]!];
  }
  return chars.join("");
}

function expandEnvironment(value: string): string {
  const NAME = /\$(?:\{([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*|[*#$@!?\-0-9]))/g;
  return value.replace(NAME, (_, braced?: string, bare?: string) => process.env[braced ?? bare!] ?? "");
}

/** path.Clean: an empty path is the current folder, and no slash at the end. */
function cleanPath(value: string): string {
  const clean = path.posix.normalize(value);
  return clean.length > 1 ? clean.replace(/\/$/, "") : clean;
}
function baseOf(value: string): string {
  if (value === "") return ".";
  return path.posix.basename(value) || "/";
}
function folderOf(value: string): string {
  return cleanPath(value.slice(0, value.lastIndexOf("/") + 1));
}
/** path.Ext: from the last dot behind the last slash, also if the name begins with it. */
function extensionOf(value: string): string {
  return /\.[^./]*$/.exec(value)?.[0] ?? "";
}

function given(args: readonly TemplateValue[]): TemplateValue[] {
  return args.filter((each) => each !== undefined);
}

type Entry = [string, TemplateFunction];
/** The same function under several names. */
function named(names: readonly string[], entry: Entry): Entry[] {
  return names.map((name) => [name, entry[1]]);
}

export const SPRIG_TEXTS: readonly Entry[] = [
  typed("hello", "", () => "Hello!"),
  typed("upper", "s", upper),
  typed("lower", "s", lower),
  typed("title", "s", (value) =>
    value.replace(WORD_START, (_, before: string, first: string) => before + upper(first)),
  ),
  typed("untitle", "s", (value) => value.replace(/(?:^|[\s\x85])[^\s\x85]/g, lower)),
  typed("swapcase", "s", swapCase),
  typed("camelcase", "s", pascalCase),
  typed("snakecase", "s", (value) => connectedWords(value, "_")),
  typed("kebabcase", "s", (value) => connectedWords(value, "-")),
  typed("initials", "s", initials),
  typed("abbrev", "is", (width, value) => (width < 4 ? value : abbreviate(value, 0, width))),
  typed("abbrevboth", "iis", (left, right, value) =>
    right < 4 || (left > 0 && right < 7) ? value : abbreviate(value, left, right),
  ),
  typed("wrap", "is", (width, value) => wrapText(value, width, "", false)),
  typed("wrapWith", "iss", (width, lineBreak, value) => wrapText(value, width, lineBreak, true)),
  typed("trim", "s", trimSpace),
  ...named(
    ["trimAll", "trimall"],
    typed("", "ss", (set, value) => trimSet(value, set, true, true)),
  ),
  typed("trimPrefix", "ss", (prefix, value) => (value.startsWith(prefix) ? value.slice(prefix.length) : value)),
  typed("trimSuffix", "ss", (suffix, value) =>
    suffix !== "" && value.endsWith(suffix) ? value.slice(0, -suffix.length) : value,
  ),
  typed("nospace", "s", (value) => value.replace(/[\s\x85]/g, "")),
  typed("contains", "ss", (part, value) => value.includes(part)),
  typed("hasPrefix", "ss", (part, value) => value.startsWith(part)),
  typed("hasSuffix", "ss", (part, value) => value.endsWith(part)),
  typed("replace", "sss", (old, replacement, value) => replaceTimes(value, old, replacement, -1)),
  typed("repeat", "is", repeat),
  typed("substr", "iis", substring),
  typed("trunc", "is", truncated),
  typed("plural", "ssi", (single, many, count) => (count === 1 ? single : many)),
  typed("quote", "a*", (...args) =>
    given(args)
      .map((each) => goQuote(text(each)))
      .join(" "),
  ),
  typed("squote", "a*", (...args) =>
    given(args)
      .map((each) => `'${text(each)}'`)
      .join(" "),
  ),
  typed("cat", "a*", (...args) => given(args).map(text).join(" ")),
  typed("indent", "is", indent),
  typed("nindent", "is", (count, value) => `\n${indent(count, value)}`),
  typed("splitList", "ss", (separator, value) => split(separator, value)),
  typed("split", "ss", (separator, value) => numbered(split(separator, value))),
  typed("splitn", "sis", (separator, limit, value) => numbered(split(separator, value, limit))),
  typed("b64enc", "s", (value) => Buffer.from(value).toString("base64")),
  typed("b64dec", "s", base64Decode),
  typed("b32enc", "s", base32Encode),
  typed("b32dec", "s", base32Decode),
  typed("sha1sum", "s", hash("sha1")),
  typed("sha256sum", "s", hash("sha256")),
  typed("sha512sum", "s", hash("sha512")),
  typed("adler32sum", "s", adler32),
  typed("shuffle", "s", shuffled),
  typed("randAlphaNum", "i", randomText(LETTERS + DIGITS)),
  typed("randAlpha", "i", randomText(LETTERS)),
  typed("randAscii", "i", randomText(PRINTABLE)),
  typed("randNumeric", "i", randomText(DIGITS)),
  typed("randBytes", "i", (count) => {
    if (count < 0 || count > MAX_LENGTH) throw new TemplateError("the length is out of range");
    return randomBytes(count).toString("base64");
  }),
  typed("uuidv4", "", () => randomUUID()),
  typed("mustRegexMatch", "ss", matches),
  typed("regexMatch", "ss", (source, value) => {
    try {
      return matches(source, value);
    } catch {
      return false; // as in sprig, an expression that does not compile matches nothing
    }
  }),
  ...named(["regexFind", "mustRegexFind"], typed("", "ss", find)),
  ...named(["regexFindAll", "mustRegexFindAll"], typed("", "ssi", findAll)),
  ...named(["regexSplit", "mustRegexSplit"], typed("", "ssi", splitAt)),
  ...named(["regexReplaceAll", "mustRegexReplaceAll"], typed("", "sss", replaceAll)),
  ...named(["regexReplaceAllLiteral", "mustRegexReplaceAllLiteral"], typed("", "sss", replaceLiterally)),
  typed("regexQuoteMeta", "s", (value) => value.replace(/[\\.+*?()|[\]{}^$]/g, "\\$&")),
  typed("env", "s", (name) => process.env[name] ?? ""),
  typed("expandenv", "s", expandEnvironment),
  ...named(["base", "osBase"], typed("", "s", baseOf)),
  ...named(["dir", "osDir"], typed("", "s", folderOf)),
  ...named(["clean", "osClean"], typed("", "s", cleanPath)),
  ...named(["ext", "osExt"], typed("", "s", extensionOf)),
  ...named(
    ["isAbs", "osIsAbs"],
    typed("", "s", (value) => value.startsWith("/")),
  ),
];
