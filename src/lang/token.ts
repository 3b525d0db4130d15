import type { BinaryOperator } from "./ast.ts";

/** The words of the language; operators and brackets are their own kind. As Alloy's `syntax/token`. */
export type TokenKind =
  | "end of file"
  | "end of line"
  | "illegal"
  | "comment"
  | "identifier"
  | "number"
  | "float"
  | "string"
  | "bool"
  | "null"
  | BinaryOperator
  | "!"
  | "="
  | "{"
  | "}"
  | "("
  | ")"
  | "["
  | "]"
  | ","
  | ".";

const precedences: ReadonlyMap<TokenKind, number> = new Map<TokenKind, number>([
  ["||", 1],
  ["&&", 2],
  ["==", 3],
  ["!=", 3],
  ["<", 3],
  ["<=", 3],
  [">", 3],
  [">=", 3],
  ["+", 4],
  ["-", 4],
  ["*", 5],
  ["/", 5],
  ["%", 5],
  ["^", 6],
]);

/** How tightly a binary operator binds, from 1; 0 for every other token. `^` is right-associative, the others left. */
export function binaryPrecedence(kind: TokenKind): number {
  return precedences.get(kind) ?? 0;
}

/** Whether a name is an identifier: a letter or `_`, then letters, digits and `_`; not `true`, `false` or `null`. */
export function isIdentifier(name: string): boolean {
  return /^[\p{L}_][\p{L}_\p{Nd}]*$/u.test(name) && keywordKind(name) === "identifier";
}

export function keywordKind(name: string): "bool" | "null" | "identifier" {
  if (name === "true" || name === "false") return "bool";
  return name === "null" ? "null" : "identifier";
}

const whitespace = /[ \t\r\n]*/y;

/** The offset of the next token at or after `offset`: behind spaces, line ends and comments. */
export function skipTrivia(text: string, offset: number): number {
  let at = offset;
  while (at < text.length) {
    whitespace.lastIndex = at;
    if (whitespace.test(text)) at = whitespace.lastIndex;
    if (text[at] !== "/") return at;
    const close = text[at + 1] === "/" ? "\n" : text[at + 1] === "*" ? "*/" : undefined;
    if (close === undefined) return at;
    const found = text.indexOf(close, at + 2);
    at = found < 0 ? text.length : found + close.length;
  }
  return at;
}
