import type { Source } from "./ast.ts";
import { keywordKind, type TokenKind } from "./token.ts";

/** Something wrong with the characters of a source. */
export interface ScanError {
  readonly code: string;
  readonly message: string;
  readonly start: number;
  readonly end: number;
  readonly why?: string;
  readonly hint?: string;
}

const whitespace = /[ \t\r\n]*/y;
const whitespaceInLine = /[ \t\r]*/y;
const identifier = /[\p{L}_][\p{L}_\p{Nd}]*/uy;
const number = /(?:[0-9]+(\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]*)?/y;
const lineComment = /[^\n]*/y;
/** NUL, a byte order mark, or half of a surrogate pair (also `decodeSource`'s stand-in for an invalid byte). */
const illegalEncoding = /[\0\uFEFF]|\p{Cs}/gu;
const plainDouble = /[^"\\\n]*/y;
const plainSingle = /[^'\\\n]*/y;
const plainRaw = /[^`]*/y;
const escapeBody = /[abfnrtv\\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}/y;

const singleCharacters: ReadonlyMap<string, TokenKind> = new Map(
  (["+", "-", "*", "/", "%", "^", "{", "}", "(", ")", "[", "]", ",", "."] as const).map((kind) => [kind, kind]),
);

/** Operators that grow by a `=` behind them. */
const withEquals: ReadonlyMap<string, readonly [TokenKind, TokenKind]> = new Map([
  ["!", ["!", "!="]],
  ["=", ["=", "=="]],
  ["<", ["<", "<="]],
  [">", [">", ">="]],
]);

/** Tokens behind which a line end ends the statement (or asks for a comma). */
const endsStatement: ReadonlySet<TokenKind> = new Set([
  "identifier",
  "number",
  "float",
  "string",
  "bool",
  "null",
  "}",
  ")",
  "]",
]);

/**
 * Cuts a source into tokens as Alloy's `syntax/scanner` does: line ends count only behind tokens that can end a
 * statement. After `next()` the token is in `kind`, `start` and `end`. What is wrong is reported and skipped or read as what
 * was most likely meant, so that the parser can go on; Alloy rejects exactly the sources that have anything reported.
 */
export class Scanner {
  kind: TokenKind = "illegal";
  start = 0;
  end = 0;
  readonly #text: string;
  readonly #report: (error: ScanError) => void;
  #offset = 0;
  #lineEndCounts = false;
  #knownLineEnd = -1;

  constructor(source: Source, report: (error: ScanError) => void) {
    this.#text = source.text;
    this.#report = report;
    if (this.#text.startsWith("\uFEFF")) this.#offset = 1;
    this.#reportEncoding();
  }

  next(): void {
    const text = this.#text;
    while (true) {
      this.#offset = matchEnd(this.#lineEndCounts ? whitespaceInLine : whitespace, text, this.#offset);
      const start = this.#offset;
      if (start >= text.length) {
        if (this.#lineEndCounts) this.#lineEnd(start);
        else this.#finish("end of file", start, start);
        return;
      }
      const character = text[start]!;
      if (character === "\n") {
        this.#lineEnd(start + 1);
        return;
      }
      if (character === "/" && (text[start + 1] === "/" || text[start + 1] === "*")) {
        if (this.#lineEndCounts && this.#commentsEndLine(start)) {
          // The line end comes before the comments, so that they belong to what follows.
          this.#lineEnd(start);
          this.end = start;
        } else {
          this.#finish("comment", start, this.#commentEnd(start));
        }
        return;
      }
      if (this.#token(character, start)) return;
    }
  }

  /** Reads one token at `start`; false if there was only something to skip. */
  #token(character: string, start: number): boolean {
    const text = this.#text;
    const nameEnd = matchEnd(identifier, text, start);
    if (nameEnd > start) return this.#finish(keywordKind(text.slice(start, nameEnd)), start, nameEnd);
    const numberEnd = matchEnd(number, text, start);
    if (numberEnd > start) return this.#number(start, numberEnd);
    if (character === '"' || character === "'" || character === "`") return this.#string(character, start);
    const pair = withEquals.get(character);
    if (pair !== undefined) {
      return text[start + 1] === "="
        ? this.#finish(pair[1], start, start + 2)
        : this.#finish(pair[0], start, start + 1);
    }
    const single = singleCharacters.get(character);
    if (single !== undefined) return this.#finish(single, start, start + 1);
    if (character === "|" || character === "&") return this.#doubled(character, start);
    return this.#illegal(start);
  }

  #finish(kind: TokenKind, start: number, end: number): true {
    this.kind = kind;
    this.start = start;
    this.end = end;
    this.#offset = end;
    this.#lineEndCounts = endsStatement.has(kind);
    return true;
  }

  #lineEnd(next: number): void {
    this.#finish("end of line", this.#offset, next);
  }

  /** Whether nothing but comments stands between here and the end of the line (or of the file). */
  #commentsEndLine(start: number): boolean {
    const text = this.#text;
    const lineEnd = this.#lineEndAfter(start);
    let at = start;
    while (text[at] === "/" && (text[at + 1] === "/" || text[at + 1] === "*")) {
      if (text[at + 1] === "/") return true;
      const close = text.indexOf("*/", at + 2);
      const end = close < 0 ? text.length : close + 2;
      if (end > lineEnd) return true;
      at = matchEnd(whitespaceInLine, text, end);
      if (at >= text.length || text[at] === "\n") return true;
    }
    return false;
  }

  /** The offset of the line's `\n`; remembered, since a line can be long and hold many comments. */
  #lineEndAfter(offset: number): number {
    if (this.#knownLineEnd < offset) {
      const found = this.#text.indexOf("\n", offset);
      this.#knownLineEnd = found < 0 ? this.#text.length : found;
    }
    return this.#knownLineEnd;
  }

  #commentEnd(start: number): number {
    const text = this.#text;
    if (text[start + 1] === "/") {
      const end = matchEnd(lineComment, text, start);
      return text[end - 1] === "\r" ? end - 1 : end;
    }
    const close = text.indexOf("*/", start + 2);
    if (close >= 0) return close + 2;
    this.#report({
      code: "syntax.unterminated_comment",
      message: "comment not terminated",
      start,
      end: start + 2,
      why: "everything behind `/*` is part of the comment",
      hint: "close it with `*/`",
    });
    return text.length;
  }

  #number(start: number, end: number): true {
    const raw = this.#text.slice(start, end);
    if (/[eE][+-]?$/.test(raw)) {
      this.#report({
        code: "syntax.number",
        message: `exponent of \`${raw}\` has no digits`,
        start,
        end,
        hint: `write the digits, such as ${raw}6`,
      });
    }
    return this.#finish(/^[0-9]+$/.test(raw) ? "number" : "float", start, end);
  }

  #string(quote: string, start: number): true {
    const text = this.#text;
    const plain = quote === "`" ? plainRaw : quote === "'" ? plainSingle : plainDouble;
    let at = matchEnd(plain, text, start + 1);
    while (text[at] === "\\") at = matchEnd(plain, text, this.#escapeEnd(at));
    const closed = text[at] === quote;
    const end = closed ? at + 1 : at;
    if (quote === "'") this.#reportSingleQuotes(start, end);
    else if (!closed) this.#reportUnterminated(quote, start, end);
    return this.#finish("string", start, end);
  }

  #reportUnterminated(quote: string, start: number, end: number): void {
    const double = quote === '"';
    this.#report({
      code: "syntax.unterminated_string",
      message: "string not terminated",
      start,
      end: double && this.#text[end - 1] === "\r" ? end - 1 : end,
      why: double ? "a string in double quotes ends on its line" : "everything behind the backtick is part of it",
      hint: double ? 'close it with `"`, or put text of several lines in backticks' : "close it with a backtick",
    });
  }

  #reportSingleQuotes(start: number, end: number): void {
    this.#report({
      code: "syntax.character",
      message: "string in single quotes",
      start,
      end,
      why: "strings are written in double quotes or in backticks",
      hint: `write ${JSON.stringify(this.#text.slice(start + 1, end).replace(/'$/, ""))}`,
    });
  }

  /** The end of the escape sequence at a backslash. A faulty one is reported; its backslash then counts as a character. */
  #escapeEnd(at: number): number {
    const text = this.#text;
    const end = matchEnd(escapeBody, text, at + 1);
    if (end > at + 1 && !isInvalidPoint(text.slice(at, end))) return end;
    const character = text.codePointAt(at + 1);
    const sequence =
      end > at + 1 ? text.slice(at, end) : `\\${character === undefined ? "" : String.fromCodePoint(character)}`;
    const shown = sequence.trimEnd();
    this.#report({
      code: "syntax.escape",
      message: `illegal escape sequence \`${shown}\``,
      start: at,
      end: at + shown.length,
      why:
        end > at + 1
          ? "there is no such character"
          : /[0-7xuU]$/.test(shown)
            ? "digits are missing: three octal ones, or two, four or eight hexadecimal ones behind `x`, `u` or `U`"
            : "there is no such escape sequence",
      hint: "for a backslash write `\\\\`, or put the string in backticks",
    });
    return at + 1;
  }

  #doubled(character: "|" | "&", start: number): true {
    const kind = character === "|" ? "||" : "&&";
    if (this.#text[start + 1] === character) return this.#finish(kind, start, start + 2);
    this.#report({
      code: "syntax.operator",
      message: `there is no operator \`${character}\``,
      start,
      end: start + 1,
      hint: `write \`${kind}\``,
    });
    return this.#finish(kind, start, start + 1);
  }

  /** Reports a character that starts no token; true if it is read as another token. */
  #illegal(start: number): boolean {
    const text = this.#text;
    const character = String.fromCodePoint(text.codePointAt(start)!);
    const end = start + character.length;
    this.#offset = end;
    illegalEncoding.lastIndex = 0;
    if (illegalEncoding.test(character)) return false; // Reported already, see #reportEncoding.
    const code = "syntax.character";
    const shown = /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(character) ? character : pointName(character);
    const message = `illegal character \`${shown}\``;
    if (character === "#") {
      this.#report({ code, message, start, end, hint: "comments start with `//`" });
      this.#offset = matchEnd(lineComment, text, start);
      return false;
    }
    if (character === ":") {
      this.#report({ code, message, start, end, hint: "write `=` between a name and its value" });
      return this.#finish("=", start, end);
    }
    if (character === ";") {
      this.#report({ code, message, start, end, hint: "statements end with their line: start a new line" });
      return this.#lineEndCounts ? this.#finish("end of line", start, end) : false;
    }
    const hint = /[\u2018-\u201f\u00ab\u00bb]/.test(character) ? 'strings are quoted by `"`' : undefined;
    const runEnd = illegalRunEnd(text, start);
    const why = "it has no meaning outside of strings and comments";
    this.#report({ code, message, start, end: runEnd, why, ...(hint === undefined ? {} : { hint }) });
    this.#offset = runEnd;
    return false;
  }

  #reportEncoding(): void {
    const text = this.#text;
    illegalEncoding.lastIndex = this.#offset;
    let last = -1;
    for (let match = illegalEncoding.exec(text); match !== null; match = illegalEncoding.exec(text)) {
      const start = match.index;
      const unit = text.charCodeAt(start);
      const follows = start === last;
      last = start + 1;
      if (follows) continue; // One report for a run of them.
      this.#report({
        code: "syntax.encoding",
        message:
          unit === 0 ? "illegal character NUL" : unit === 0xfeff ? "illegal byte order mark" : "illegal UTF-8 encoding",
        start,
        end: start + 1,
        why:
          unit === 0xfeff
            ? "it may stand at the start of a file only"
            : unit >= 0xdc80 && unit <= 0xdcff
              ? `the byte 0x${(unit - 0xdc00).toString(16)} is not part of a character`
              : "it is no character of text",
        hint: "save the file as UTF-8 text",
      });
    }
  }
}

function matchEnd(pattern: RegExp, text: string, start: number): number {
  pattern.lastIndex = start;
  return pattern.test(text) ? pattern.lastIndex : start;
}

function codePointLength(text: string, at: number): number {
  const point = text.codePointAt(at);
  return point === undefined ? 0 : point > 0xffff ? 2 : 1;
}

/** Whether an escape sequence of the right form stands for no Unicode character (or an octal one for no byte). */
function isInvalidPoint(sequence: string): boolean {
  const kind = sequence[1]!;
  if (kind >= "0" && kind <= "7") return kind > "3";
  if (kind !== "u" && kind !== "U") return false;
  const point = Number.parseInt(sequence.slice(2), 16);
  return point > 0x10ffff || (point >= 0xd800 && point < 0xe000);
}

function pointName(character: string): string {
  return `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The end of the run of characters from `start` that start no token and have no special report. */
function illegalRunEnd(text: string, start: number): number {
  const run = /[^\p{L}\p{Cs}\uFEFF\p{Nd}\s\0-/:-@[-`{-~]|[$?@\\~\x01-\x08\x0b\x0c\x0e-\x1f\x7f]/uy;
  let at = start;
  while (true) {
    const next = matchEnd(run, text, at);
    if (next === at) return Math.max(at, start + codePointLength(text, start));
    at = next;
  }
}
