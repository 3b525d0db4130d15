/**
 * The syntax tree of a configuration. Positions are UTF-16 offsets into `source.text`; lines and columns are worked out
 * only when something is shown (see diagnostic.ts). Node kinds and fields follow Alloy's `syntax/ast`.
 */

/** One named piece of configuration text: a file, or the content of a module. */
export interface Source {
  readonly name: string;
  readonly text: string;
}

/** A half-open range of offsets in one source. */
export interface Span {
  readonly source: Source;
  readonly start: number;
  readonly end: number;
}

/** `//` or `/* … *\/`, with the text as written. */
export interface Comment {
  readonly span: Span;
  readonly text: string;
}

export interface File {
  readonly source: Source;
  readonly body: Body;
  /** All comments in order, for the formatter. */
  readonly comments: readonly Comment[];
}

export type Body = readonly Statement[];
export type Statement = AttributeStatement | BlockStatement;

export interface Identifier {
  readonly name: string;
  readonly span: Span;
}

export interface AttributeStatement {
  readonly kind: "attribute";
  readonly name: Identifier;
  readonly value: Expression;
  readonly span: Span;
}

export interface BlockStatement {
  readonly kind: "block";
  /** The dotted name: `["prometheus", "scrape"]`. */
  readonly name: readonly Identifier[];
  /** The label without its quotes. */
  readonly label: { readonly text: string; readonly span: Span } | undefined;
  readonly body: Body;
  /** The offsets of `{` and `}`. */
  readonly open: number;
  readonly close: number;
  readonly span: Span;
}

export type Expression =
  | LiteralExpression
  | ArrayExpression
  | ObjectExpression
  | IdentifierExpression
  | AccessExpression
  | IndexExpression
  | CallExpression
  | UnaryExpression
  | BinaryExpression
  | ParenExpression;

export interface LiteralExpression {
  readonly kind: "literal";
  readonly type: "null" | "bool" | "number" | "float" | "string";
  /** As written, quotes included. */
  readonly raw: string;
  readonly span: Span;
}

export interface ArrayExpression {
  readonly kind: "array";
  readonly elements: readonly Expression[];
  readonly span: Span;
}

export interface ObjectField {
  readonly name: Identifier;
  /** Whether the name was written as a string. */
  readonly quoted: boolean;
  readonly value: Expression;
}

export interface ObjectExpression {
  readonly kind: "object";
  readonly fields: readonly ObjectField[];
  readonly span: Span;
}

export interface IdentifierExpression {
  readonly kind: "identifier";
  readonly name: string;
  readonly span: Span;
}

export interface AccessExpression {
  readonly kind: "access";
  readonly value: Expression;
  readonly name: Identifier;
  readonly span: Span;
}

export interface IndexExpression {
  readonly kind: "index";
  readonly value: Expression;
  readonly index: Expression;
  readonly span: Span;
}

export interface CallExpression {
  readonly kind: "call";
  readonly value: Expression;
  readonly args: readonly Expression[];
  readonly span: Span;
}

export interface UnaryExpression {
  readonly kind: "unary";
  readonly operator: "!" | "-";
  readonly value: Expression;
  readonly span: Span;
}

export type BinaryOperator = "||" | "&&" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "%" | "^";

export interface BinaryExpression {
  readonly kind: "binary";
  readonly operator: BinaryOperator;
  readonly left: Expression;
  readonly right: Expression;
  readonly span: Span;
}

export interface ParenExpression {
  readonly kind: "paren";
  readonly inner: Expression;
  readonly span: Span;
}

/** A block's dotted name as one string. */
export function blockName(block: BlockStatement): string {
  return block.name.map((part) => part.name).join(".");
}
