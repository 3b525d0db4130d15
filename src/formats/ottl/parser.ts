import { stringLiteralValue } from "#lang/literal";
import { type Token, type TokenKind, tokenize } from "./lexer.ts";
import {
  type Argument,
  type Call,
  type Comparator,
  type Condition,
  type Expression,
  type Key,
  type Lambda,
  type MathNode,
  OttlSyntaxError,
  type Path,
  type Segment,
  type Statement,
} from "./syntax.ts";

/** Deeper nesting is refused: nobody writes it, and the parser calls itself. */
const DEEPEST = 200;
/** What Go's strconv.Unquote takes between double quotes. */
const CONTENT = String.raw`(?:[^"\\\n]|\\(?:[abfnrtv\\"]|x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*`;
const STRING = new RegExp(`^"${CONTENT}"$`);
const VALID_START = new RegExp(`^"${CONTENT}`);
const LARGEST_INT = (1n << 63n) - 1n;

/** A statement: `editor(…) where condition`. Throws OttlSyntaxError. Accepts what pkg/ottl/grammar.go does. */
export function parseStatement(text: string): Statement {
  return new Parser(text).statement();
}

/** A condition by itself. Throws OttlSyntaxError. */
export function parseCondition(text: string): Condition {
  return new Parser(text).wholeCondition();
}

/** What was read from a token on, and the token after it. */
type Outcome<T> = { readonly value: T; readonly next: number } | { readonly error: OttlSyntaxError };

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;
  readonly #calls = new Map<number, Outcome<Call>>();
  readonly #lambdas = new Map<number, Outcome<Lambda>>();
  /** The failure that got furthest, since of several readings of a text that one is likely meant. */
  #furthest: OttlSyntaxError | undefined;

  constructor(text: string) {
    this.#tokens = tokenize(text);
  }

  statement(): Statement {
    return this.#whole(() => {
      const first = this.#token;
      if (first.kind === "upper" && this.#callFollows()) {
        throw new OttlSyntaxError(
          `a statement begins with an editor, whose name starts with a lower-case letter, and ${this.#functionName()} is a converter`,
          first.at,
        );
      }
      if (first.kind !== "lower" || !this.#callFollows()) throw this.#fail("an editor, such as set(…)");
      const editor = this.#call();
      if (editor.keys.length > 0) {
        throw new OttlSyntaxError("only paths and converters may be indexed, not editors", editor.keys[0]!.at);
      }
      let where: Condition | undefined;
      if (this.#token.kind === "lower" && this.#token.text === "where") {
        this.#next += 1;
        where = this.#condition();
      }
      if (this.#token.kind !== "end") throw this.#fail(where === undefined ? '"where" or the end' : "the end");
      return { editor, where };
    });
  }

  wholeCondition(): Condition {
    return this.#whole(() => {
      const condition = this.#condition();
      if (this.#token.kind !== "end") throw this.#fail('"and", "or" or the end');
      return condition;
    });
  }

  #whole<T>(parse: () => T): T {
    try {
      return parse();
    } catch (error) {
      if (error instanceof OttlSyntaxError && this.#furthest !== undefined && this.#furthest.at > error.at) {
        throw this.#furthest;
      }
      throw error;
    }
  }

  get #token(): Token {
    return this.#tokens[this.#next]!;
  }
  #is(text: string): boolean {
    const { kind } = this.#token;
    return kind !== "string" && this.#token.text === text;
  }
  #take(text: string): void {
    if (!this.#is(text)) throw this.#fail(JSON.stringify(text));
    this.#next += 1;
  }
  #fail(wanted: string): OttlSyntaxError {
    const { kind, text, at } = this.#token;
    const found = kind === "end" ? "the end" : kind === "string" ? `the string ${text}` : `"${text}"`;
    const error = new OttlSyntaxError(`expected ${wanted}, found ${found}`, at);
    if (this.#furthest === undefined || error.at > this.#furthest.at) this.#furthest = error;
    return error;
  }
  #deeper<T>(parse: () => T): T {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw new OttlSyntaxError(`nested more than ${DEEPEST} levels deep`, this.#token.at);
    const result = parse();
    this.#depth -= 1;
    return result;
  }
  /** What a parse gives, or undefined where it fails, with the reader back at where it was. */
  #attempt<T>(parse: () => T): T | undefined {
    const start = this.#next;
    const depth = this.#depth;
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof OttlSyntaxError)) throw error;
      if (this.#furthest === undefined || error.at > this.#furthest.at) this.#furthest = error;
      this.#next = start;
      this.#depth = depth;
      return undefined;
    }
  }

  #condition(): Condition {
    return this.#deeper(() => this.#joined("or", () => this.#joined("and", () => this.#conditionValue())));
  }
  #joined(operator: "and" | "or", one: () => Condition): Condition {
    const terms = [one()];
    while (this.#token.kind === operator) {
      this.#next += 1;
      terms.push(one());
    }
    return terms.length === 1 ? terms[0]! : { kind: operator, terms };
  }
  #conditionValue(): Condition {
    if (this.#token.kind === "not") {
      this.#next += 1;
      return { kind: "not", of: this.#conditionValue1() };
    }
    return this.#conditionValue1();
  }
  #conditionValue1(): Condition {
    const comparison = this.#attempt(() => this.#comparison());
    if (comparison !== undefined) return comparison;
    if (this.#token.kind === "boolean") {
      const value = this.#token.text === "true";
      this.#next += 1;
      return { kind: "constant", value };
    }
    if (this.#token.kind === "upper" && this.#callFollows()) return { kind: "call", call: this.#call() };
    if (this.#is("(")) {
      this.#next += 1;
      const inner = this.#condition();
      this.#take(")");
      return inner;
    }
    throw this.#furthest !== undefined && this.#furthest.at > this.#token.at
      ? this.#furthest
      : this.#fail("a condition");
  }
  #comparison(): Condition {
    const left = this.#expression();
    const { kind, text, at } = this.#token;
    if (kind !== "comparison") throw this.#fail("a comparison");
    this.#next += 1;
    return { kind: "comparison", left, operator: text as Comparator, right: this.#expression(), at };
  }

  #expression(): Expression {
    return this.#deeper(() => this.#expression1());
  }
  #expression1(): Expression {
    const { kind, text, at } = this.#token;
    switch (kind) {
      case "nil":
        this.#next += 1;
        return { kind, at };
      case "bytes":
        this.#next += 1;
        if (text.length % 2 !== 0) throw new OttlSyntaxError("bytes need an even number of hexadecimal digits", at);
        return { kind, value: Buffer.from(text.slice(2), "hex"), at };
      case "string":
        return { kind, value: this.#string(), at };
      case "boolean":
        this.#next += 1;
        return { kind: "bool", value: text === "true", at };
      case "upper":
        if (!this.#callFollows()) return this.#bareName();
        break;
      case "punctuation":
        if (text === "[") return this.#list();
        if (text === "{") return this.#map();
        if (text === "(" && this.#lambdaFollows()) return { kind: "lambda", lambda: this.#lambda(), at };
        break;
    }
    if (kind === "addsub" || text === "(") return { kind: "math", math: this.#sum(), at };
    const literal = this.#literal();
    if (this.#token.kind !== "addsub" && this.#token.kind !== "muldiv") return literal;
    return { kind: "math", math: this.#sum({ kind: "literal", literal }), at };
  }

  #bareName(): Expression {
    const { text, at } = this.#token;
    const name = this.#functionName();
    return { kind: "name", name, isEnum: name === text, at };
  }
  #string(): string {
    const { text, at } = this.#token;
    if (this.#token.kind !== "string") throw this.#fail("a string");
    this.#next += 1;
    if (STRING.test(text)) return stringLiteralValue(text);
    const fault = VALID_START.exec(text)![0].length;
    if (text[fault] === "\n") throw new OttlSyntaxError("a string may not have a line break; write \\n", at + fault);
    throw new OttlSyntaxError(
      `unknown escape sequence ${text.slice(fault, fault + 2)}; a backslash of a regular expression is written twice`,
      at + fault,
    );
  }
  #int(): bigint {
    const { text, at } = this.#token;
    this.#next += 1;
    const value = BigInt(text);
    if (value > LARGEST_INT) throw new OttlSyntaxError("the number does not fit 64 bits", at);
    return value;
  }

  /** What sums and products are made of: calls, numbers, paths. */
  #literal(): Expression {
    const { kind, text, at } = this.#token;
    switch (kind) {
      case "float":
        this.#next += 1;
        return { kind, value: Number(text), at };
      case "int":
        return { kind, value: this.#int(), at };
      case "upper":
        if (this.#callFollows()) return { kind: "call", call: this.#call(), at };
        break;
      case "lower":
        if (this.#callFollows()) {
          const name = this.#functionName();
          throw new OttlSyntaxError(
            `${name} is used as a value, for which converters are, whose names start with an upper-case letter`,
            at,
          );
        }
        return { kind: "path", path: this.#path(), at };
    }
    throw this.#fail("a value");
  }
  #sum(first?: MathNode): MathNode {
    let left = this.#product(first);
    while (this.#token.kind === "addsub") {
      const operator = this.#token.text as "+" | "-";
      this.#next += 1;
      left = { kind: "operation", operator, left, right: this.#product() };
    }
    return left;
  }
  #product(first?: MathNode): MathNode {
    let left = first ?? this.#factor();
    while (this.#token.kind === "muldiv") {
      const operator = this.#token.text as "*" | "/";
      this.#next += 1;
      left = { kind: "operation", operator, left, right: this.#factor() };
    }
    return left;
  }
  #factor(): MathNode {
    return this.#deeper(() => {
      const sign = this.#token.kind === "addsub" ? this.#token.text : "";
      if (sign !== "") this.#next += 1;
      let node: MathNode;
      if (this.#is("(")) {
        this.#next += 1;
        node = this.#sum();
        this.#take(")");
      } else node = { kind: "literal", literal: this.#literal() };
      return sign === "-" ? { kind: "negation", of: node } : node;
    });
  }

  #list(): Expression {
    const { at } = this.#token;
    const items: Expression[] = [];
    this.#take("[");
    while (!this.#is(",") && !this.#is("]")) items.push(this.#expression());
    while (this.#is(",")) {
      this.#next += 1;
      items.push(this.#expression());
    }
    this.#take("]");
    return { kind: "list", items, at };
  }
  #map(): Expression {
    const { at } = this.#token;
    const entries: (readonly [string, Expression])[] = [];
    this.#take("{");
    while (!this.#is("}")) {
      const key = this.#string();
      this.#take(":");
      entries.push([key, this.#expression()]);
      if (this.#is(",")) this.#next += 1;
    }
    this.#take("}");
    return { kind: "map", entries, at };
  }

  /** `(a, b) =>` */
  #lambdaFollows(): boolean {
    let at = this.#next + 1;
    const kind = (i: number): TokenKind => this.#tokens[Math.min(i, this.#tokens.length - 1)]!.kind;
    const text = (i: number): string => this.#tokens[Math.min(i, this.#tokens.length - 1)]!.text;
    if (kind(at) === "lower" || kind(at) === "underscore") {
      at += 1;
      while (text(at) === "," && (kind(at + 1) === "lower" || kind(at + 1) === "underscore")) at += 2;
    }
    return text(at) === ")" && kind(at + 1) === "arrow";
  }
  #lambda(): Lambda {
    return this.#once(this.#lambdas, () => this.#readLambda());
  }
  #readLambda(): Lambda {
    const parameters: { name: string; at: number }[] = [];
    this.#take("(");
    while (!this.#is(")")) {
      if (this.#is(",")) this.#next += 1;
      parameters.push({ name: this.#token.text, at: this.#token.at });
      this.#next += 1;
    }
    this.#take(")");
    this.#next += 1;
    const start = this.#token.at;
    const value = this.#attempt(() => {
      const found = this.#expression();
      const { kind } = this.#token;
      if (kind === "or" || kind === "and" || kind === "comparison") throw this.#fail("the end of a value");
      return found;
    });
    if (value?.kind === "lambda") throw new OttlSyntaxError("a lambda may not give another lambda", start);
    if (value !== undefined) return { parameters, value, condition: undefined };
    return { parameters, value: undefined, condition: this.#condition() };
  }

  #callFollows(): boolean {
    let at = this.#next;
    while (this.#tokens[at]!.kind === "upper" || this.#tokens[at]!.kind === "lower") at += 1;
    return this.#tokens[at]!.text === "(" && this.#tokens[at]!.kind === "punctuation";
  }
  /** A name with letters of both cases comes in several tokens. */
  #functionName(): string {
    let name = "";
    while (this.#token.kind === "upper" || this.#token.kind === "lower") {
      name += this.#token.text;
      this.#next += 1;
    }
    return name;
  }
  #call(): Call {
    return this.#once(this.#calls, () => this.#deeper(() => this.#readCall()));
  }
  #readCall(): Call {
    const { at } = this.#token;
    const name = this.#functionName();
    const given: Argument[] = [];
    this.#take("(");
    while (!this.#is(")")) {
      if (given.length > 0) this.#take(",");
      given.push(this.#argument());
    }
    this.#take(")");
    return { name, arguments: given, keys: this.#keys(), at };
  }
  /** What begins at a token is read once, whatever is tried around it: else nested lambdas would take forever. */
  #once<T>(known: Map<number, Outcome<T>>, read: () => T): T {
    const start = this.#next;
    let outcome = known.get(start);
    if (outcome === undefined) {
      try {
        const value = read();
        outcome = { value, next: this.#next };
      } catch (error) {
        if (!(error instanceof OttlSyntaxError)) throw error;
        outcome = { error };
      }
      known.set(start, outcome);
    }
    if ("error" in outcome) throw outcome.error;
    this.#next = outcome.next;
    return outcome.value;
  }
  #argument(): Argument {
    const { at } = this.#token;
    let name: string | undefined;
    if (this.#token.kind === "lower") {
      let end = this.#next;
      while (this.#tokens[end]!.kind === "upper" || this.#tokens[end]!.kind === "lower") end += 1;
      if (this.#tokens[end]!.kind === "equal") {
        name = this.#functionName();
        this.#next += 1;
      }
    }
    return { name, value: this.#expression(), at };
  }

  #path(): Path {
    const { at } = this.#token;
    const segments: Segment[] = [this.#segment()];
    while (this.#is(".")) {
      this.#next += 1;
      if (this.#token.kind !== "lower") throw this.#fail("a name");
      segments.push(this.#segment());
    }
    return { segments, at };
  }
  #segment(): Segment {
    const { text, at } = this.#token;
    this.#next += 1;
    return { name: text, keys: this.#keys(), at };
  }
  #keys(): Key[] {
    const keys: Key[] = [];
    while (this.#is("[")) {
      this.#next += 1;
      keys.push(this.#key());
      this.#take("]");
    }
    return keys;
  }
  #key(): Key {
    const { kind, at } = this.#token;
    if (kind === "string") return { kind, value: this.#string(), at };
    if (kind === "int" && this.#tokens[this.#next + 1]!.text === "]") return { kind, value: this.#int(), at };
    return { kind: "expression", value: { kind: "math", math: this.#sum(), at }, at };
  }
}
