import { compileRegex, type Regex } from "#base/regex";

/**
 * The part of LogQL that selectors use: label matchers in braces and line filters behind them, as Alloy's
 * internal/loki/logql (expr.y, ast.go) defines them. Line filters take `|=`, `!=`, `|~` and `!~`.
 */
export interface LabelMatcher {
  readonly name: string;
  readonly op: "=" | "!=" | "=~" | "!~";
  readonly value: string;
  /** Whether a label with this value matches; a missing label has the value "". */
  matches(value: string): boolean;
}

export interface LineFilter {
  readonly op: "|=" | "!=" | "|~" | "!~";
  readonly text: string;
  /** The bytes to search for with `|=` and `!=`. */
  readonly bytes: Uint8Array;
  readonly regex: Regex | undefined;
}

export interface LogSelector {
  readonly matchers: readonly LabelMatcher[];
  readonly filters: readonly LineFilter[];
}

/** A selector that cannot be read; line and column count from 1. */
export class LogqlError extends Error {
  override readonly name = "LogqlError";
  constructor(message: string, line: number, column: number, options?: ErrorOptions) {
    super(`parse error at line ${line}, col ${column}: ${message}`, options);
  }
}

interface Token {
  readonly kind: "string" | "identifier" | "symbol" | "end";
  readonly text: string;
  readonly line: number;
  readonly column: number;
}

/** Parses `{a="b", c=~"d.*"} |= "text"`. Throws LogqlError. */
export function parseLogSelector(text: string): LogSelector {
  const tokens = scan(text);
  let at = 0;
  const next = (): Token => tokens[Math.min(at++, tokens.length - 1)]!;
  const fail = (token: Token, expected: string): never => {
    const found = token.kind === "end" ? "$end" : token.kind === "symbol" ? token.text : token.kind.toUpperCase();
    throw new LogqlError(`syntax error: unexpected ${found}, expecting ${expected}`, token.line, token.column);
  };
  const expect = (symbol: string) => {
    const token = next();
    if (token.kind !== "symbol" || token.text !== symbol) fail(token, symbol);
  };

  expect("{");
  const matchers: LabelMatcher[] = [];
  for (;;) {
    const name = next();
    if (name.kind !== "identifier") fail(name, "IDENTIFIER");
    const op = next();
    if (op.kind !== "symbol" || !["=", "!=", "=~", "!~"].includes(op.text)) fail(op, "=, !=, =~ or !~");
    const value = next();
    if (value.kind !== "string") fail(value, "STRING");
    matchers.push(labelMatcher(name.text, op.text as LabelMatcher["op"], value));
    const after = next();
    if (after.kind === "symbol" && after.text === "}") break;
    if (after.kind !== "symbol" || after.text !== ",") fail(after, "} or ,");
  }
  const filters: LineFilter[] = [];
  for (let op = next(); op.kind !== "end"; op = next()) {
    if (op.kind !== "symbol" || !["|=", "!=", "|~", "!~"].includes(op.text)) fail(op, "|=, !=, |~ or !~");
    const value = next();
    if (value.kind !== "string") fail(value, "STRING");
    const kind = op.text as LineFilter["op"];
    const regex = kind === "|~" || kind === "!~" ? compile(value, false) : undefined;
    filters.push({ op: kind, text: value.text, bytes: Buffer.from(value.text), regex });
  }
  return { matchers, filters };
}

function labelMatcher(name: string, op: LabelMatcher["op"], value: Token): LabelMatcher {
  const { text } = value;
  const regex = op === "=~" || op === "!~" ? compile(value, true) : undefined;
  const matches: LabelMatcher["matches"] =
    regex === undefined
      ? op === "="
        ? (label) => label === text
        : (label) => label !== text
      : op === "=~"
        ? (label) => regex.test(label)
        : (label) => !regex.test(label);
  return { name, op, value: text, matches };
}

function compile(token: Token, anchored: boolean): Regex {
  try {
    return compileRegex(token.text, { anchored });
  } catch (cause) {
    throw new LogqlError((cause as Error).message, token.line, token.column, { cause });
  }
}

const SYMBOLS = ["!=", "=~", "!~", "|=", "|~", ",", ".", "{", "}", "="];

function scan(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  let lineStart = 0;
  let at = 0;
  while (at < text.length) {
    const char = text[at]!;
    if (char === "\n") {
      line += 1;
      lineStart = at + 1;
    }
    if (/\s/.test(char)) {
      at += 1;
      continue;
    }
    const column = at - lineStart + 1;
    if (char === '"' || char === "`") {
      const end = closingQuote(text, at);
      if (end === -1) throw new LogqlError("literal not terminated", line, column);
      const inner = text.slice(at + 1, end);
      const value = char === "`" ? inner.replaceAll("\r", "") : unquoteGo(inner);
      if (value === undefined) throw new LogqlError("invalid syntax", line, column);
      tokens.push({ kind: "string", text: value, line, column });
      at = end + 1;
      continue;
    }
    const symbol = SYMBOLS.find((each) => text.startsWith(each, at));
    if (symbol !== undefined) {
      tokens.push({ kind: "symbol", text: symbol, line, column });
      at += symbol.length;
      continue;
    }
    const identifier = /^[\p{L}_][\p{L}\p{Nd}_]*/u.exec(text.slice(at))?.[0];
    if (identifier === undefined) throw new LogqlError(`syntax error: unexpected ${char}`, line, column);
    tokens.push({ kind: "identifier", text: identifier, line, column });
    at += identifier.length;
  }
  tokens.push({ kind: "end", text: "", line, column: text.length - lineStart + 1 });
  return tokens;
}

function closingQuote(text: string, open: number): number {
  const quote = text[open];
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === quote) return at;
    if (quote === '"' && text[at] === "\n") return -1;
    if (quote === '"' && text[at] === "\\") at += 1;
  }
  return -1;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ["a", "\x07"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["v", "\v"],
  ["\\", "\\"],
  ['"', '"'],
]);

/** The inside of a double-quoted Go string, decoded (`strconv.Unquote`); undefined for invalid escapes. */
export function unquoteGo(inner: string): string | undefined {
  if (!inner.includes("\\")) return inner;
  const bytes: number[] = [];
  let out = "";
  const flush = () => {
    if (bytes.length > 0) out += Buffer.from(bytes.splice(0)).toString("utf8");
  };
  for (let at = 0; at < inner.length; at++) {
    const char = inner[at]!;
    if (char !== "\\") {
      flush();
      out += char;
      continue;
    }
    const kind = inner[++at] ?? "";
    const simple = ESCAPES.get(kind);
    if (simple !== undefined) {
      flush();
      out += simple;
      continue;
    }
    const width = { x: 2, u: 4, U: 8 }[kind];
    const digits = width === undefined ? inner.slice(at, at + 3) : inner.slice(at + 1, at + 1 + width);
    if (width === undefined ? !/^[0-3][0-7]{2}$/.test(digits) : !new RegExp(`^[0-9a-fA-F]{${width}}$`).test(digits)) {
      return undefined;
    }
    const code = Number.parseInt(digits, width === undefined ? 8 : 16);
    if (width === undefined || width === 2) bytes.push(code);
    else {
      if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return undefined;
      flush();
      out += String.fromCodePoint(code);
    }
    at += width === undefined ? 2 : width;
  }
  flush();
  return out;
}
