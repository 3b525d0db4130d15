import { OttlSyntaxError } from "./syntax.ts";

export type TokenKind =
  | "bytes"
  | "float"
  | "int"
  | "string"
  | "nil"
  | "not"
  | "or"
  | "and"
  | "comparison"
  | "arrow"
  | "addsub"
  | "muldiv"
  | "boolean"
  | "equal"
  | "punctuation"
  | "upper"
  | "lower"
  | "underscore"
  | "end";

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly at: number;
}

/** In this order, the first that fits counts. Matches `buildLexer` of pkg/ottl/grammar.go. */
const RULES: readonly (readonly [TokenKind | "space", string])[] = [
  ["bytes", "0x[a-fA-F0-9]+"],
  ["float", "(?:[0-9]+\\.[0-9]*|[0-9]*\\.[0-9]+)(?:[eE][-+]?[0-9]+)?"],
  ["int", "[0-9]+"],
  ["string", '"(?:\\\\.|[^\\\\"])*"'],
  ["nil", "\\bnil\\b"],
  ["not", "\\bnot\\b"],
  ["or", "\\bor\\b"],
  ["and", "\\band\\b"],
  ["comparison", "==|!=|>=|<=|>|<"],
  ["arrow", "=>"],
  ["addsub", "[+-]"],
  ["muldiv", "[/*]"],
  ["boolean", "\\b(?:true|false)\\b"],
  ["equal", "="],
  ["punctuation", "[(){}:,.\\[\\]]"],
  ["upper", "[A-Z][A-Z0-9_]*"],
  ["lower", "[a-z][a-z0-9_]*"],
  ["space", "[\\t\\n\\f\\r ]+"],
  ["underscore", "\\b_\\b"],
];
const LEXER = new RegExp(RULES.map(([, pattern]) => `(${pattern})`).join("|"), "y");

/** The tokens of a text, with one of kind `end` after the last. Throws OttlSyntaxError. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  LEXER.lastIndex = 0;
  for (let at = 0; at < text.length; at = LEXER.lastIndex) {
    const found = LEXER.exec(text);
    if (found === null) throw unknown(text, at);
    const kind = RULES[found.findIndex((group, i) => i > 0 && group !== undefined) - 1]![0];
    if (kind !== "space") tokens.push({ kind, text: found[0], at });
  }
  tokens.push({ kind: "end", text: "", at: text.length });
  return tokens;
}

function unknown(text: string, at: number): OttlSyntaxError {
  const char = String.fromCodePoint(text.codePointAt(at)!);
  if (char === '"') return new OttlSyntaxError("a string begins that does not end", at);
  const hint = char === "'" ? "; strings stand in double quotes" : "";
  return new OttlSyntaxError(`unexpected ${JSON.stringify(char)}${hint}`, at);
}
