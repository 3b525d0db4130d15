/** The syntax of the OpenTelemetry Transformation Language as a tree. `at` is where in the text something begins. */

export interface Statement {
  readonly editor: Call;
  readonly where: Condition | undefined;
}

export interface Call {
  readonly name: string;
  readonly arguments: readonly Argument[];
  readonly keys: readonly Key[];
  readonly at: number;
}

export interface Argument {
  /** Of `name = value`. */
  readonly name: string | undefined;
  readonly value: Expression;
  readonly at: number;
}

export type Expression =
  | { readonly kind: "nil"; readonly at: number }
  | { readonly kind: "bool"; readonly value: boolean; readonly at: number }
  | { readonly kind: "string"; readonly value: string; readonly at: number }
  | { readonly kind: "bytes"; readonly value: Uint8Array; readonly at: number }
  | { readonly kind: "int"; readonly value: bigint; readonly at: number }
  | { readonly kind: "float"; readonly value: number; readonly at: number }
  /** An enum, such as `SPAN_KIND_SERVER`, or the name of a function without a call. */
  | { readonly kind: "name"; readonly name: string; readonly isEnum: boolean; readonly at: number }
  | { readonly kind: "path"; readonly path: Path; readonly at: number }
  | { readonly kind: "call"; readonly call: Call; readonly at: number }
  | { readonly kind: "list"; readonly items: readonly Expression[]; readonly at: number }
  | { readonly kind: "map"; readonly entries: readonly (readonly [string, Expression])[]; readonly at: number }
  | { readonly kind: "lambda"; readonly lambda: Lambda; readonly at: number }
  /** A sum, product, sign, or something in parentheses. */
  | { readonly kind: "math"; readonly math: MathNode; readonly at: number };

export type MathNode =
  | {
      readonly kind: "operation";
      readonly operator: "+" | "-" | "*" | "/";
      readonly left: MathNode;
      readonly right: MathNode;
    }
  | { readonly kind: "negation"; readonly of: MathNode }
  | { readonly kind: "literal"; readonly literal: Expression };

export interface Lambda {
  /** `_` for those that are not used. */
  readonly parameters: readonly { readonly name: string; readonly at: number }[];
  readonly value: Expression | undefined;
  readonly condition: Condition | undefined;
}

export interface Path {
  readonly segments: readonly Segment[];
  readonly at: number;
}
export interface Segment {
  readonly name: string;
  readonly keys: readonly Key[];
  readonly at: number;
}
export type Key =
  | { readonly kind: "string"; readonly value: string; readonly at: number }
  | { readonly kind: "int"; readonly value: bigint; readonly at: number }
  | { readonly kind: "expression"; readonly value: Expression; readonly at: number };

export type Comparator = "==" | "!=" | "<" | "<=" | ">" | ">=";

export type Condition =
  | { readonly kind: "or"; readonly terms: readonly Condition[] }
  | { readonly kind: "and"; readonly terms: readonly Condition[] }
  | { readonly kind: "not"; readonly of: Condition }
  | { readonly kind: "constant"; readonly value: boolean }
  | { readonly kind: "call"; readonly call: Call }
  | {
      readonly kind: "comparison";
      readonly left: Expression;
      readonly operator: Comparator;
      readonly right: Expression;
      readonly at: number;
    };

/** A text that is no statement or condition. `at` is the character at fault. */
export class OttlSyntaxError extends Error {
  override readonly name = "OttlSyntaxError";
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** The path as it was written, without its keys. */
export function pathText(path: Path): string {
  return path.segments.map((each) => each.name).join(".");
}

/** What is wrong with a text and where: the text with a mark under the character at fault. */
export function pointAt(text: string, at: number, message: string): string {
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf("\n") + 1;
  const lineEnd = text.indexOf("\n", at);
  const line = text.slice(lineStart, lineEnd < 0 ? text.length : lineEnd);
  const number = before.split("\n").length;
  const column = at - lineStart + 1;
  const place = number === 1 ? `character ${column}` : `line ${number}, character ${column}`;
  // Tabs stay tabs, so that the mark stands where it should.
  const indent = line.slice(0, at - lineStart).replace(/[^\t]/g, " ");
  return `${message} at ${place}\n  ${line}\n  ${indent}^`;
}

/** What the tree of a statement or condition mentions, outside of what lambdas declare. */
export interface Mentions {
  readonly paths: Path[];
  readonly calls: Call[];
  readonly enums: { readonly name: string; readonly at: number }[];
}

/** Gathers what is needed to infer a context. */
export class MentionCollector implements Mentions {
  readonly paths: Path[] = [];
  readonly calls: Call[] = [];
  readonly enums: { readonly name: string; readonly at: number }[] = [];
  readonly #locals: ReadonlySet<string>[] = [];

  statement({ editor, where }: Statement): this {
    this.#call(editor);
    if (where !== undefined) this.condition(where);
    return this;
  }
  condition(condition: Condition): this {
    switch (condition.kind) {
      case "or":
      case "and":
        for (const term of condition.terms) this.condition(term);
        break;
      case "not":
        this.condition(condition.of);
        break;
      case "call":
        this.#call(condition.call);
        break;
      case "comparison":
        this.#expression(condition.left);
        this.#expression(condition.right);
    }
    return this;
  }

  #call(call: Call): void {
    this.calls.push(call);
    for (const each of call.arguments) this.#expression(each.value);
    this.#keys(call.keys);
  }
  #keys(keys: readonly Key[]): void {
    for (const key of keys) if (key.kind === "expression") this.#expression(key.value);
  }
  #expression(expression: Expression): void {
    switch (expression.kind) {
      case "name":
        if (expression.isEnum) this.enums.push(expression);
        break;
      case "path": {
        const first = expression.path.segments[0]!.name;
        if (!this.#locals.some((each) => each.has(first))) this.paths.push(expression.path);
        for (const segment of expression.path.segments) this.#keys(segment.keys);
        break;
      }
      case "call":
        this.#call(expression.call);
        break;
      case "list":
        for (const item of expression.items) this.#expression(item);
        break;
      case "map":
        for (const [, value] of expression.entries) this.#expression(value);
        break;
      case "math":
        this.#math(expression.math);
        break;
      case "lambda": {
        const { parameters, value, condition } = expression.lambda;
        this.#locals.push(new Set(parameters.map((each) => each.name)));
        if (value !== undefined) this.#expression(value);
        if (condition !== undefined) this.condition(condition);
        this.#locals.pop();
      }
    }
  }
  #math(node: MathNode): void {
    if (node.kind === "literal") this.#expression(node.literal);
    else if (node.kind === "negation") this.#math(node.of);
    else {
      this.#math(node.left);
      this.#math(node.right);
    }
  }
}
