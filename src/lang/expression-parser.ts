import type { BinaryOperator, Expression, Identifier, LiteralExpression, ObjectField } from "./ast.ts";
import { binaryPrecedence, skipTrivia, type TokenKind } from "./token.ts";
import { TokenReader } from "./token-reader.ts";

/**
 * How high an expression's tree may be. Chains such as `a + b + …` make high trees without nesting; whoever walks a tree
 * recursively relies on this bound.
 */
const maxHeight = 1000;

/** Tokens at which the search for the rest of a faulty expression ends. */
const endsExpression: ReadonlySet<TokenKind> = new Set(["end of line", "end of file", ")", "}", "]", ","]);

const startsExpression: ReadonlySet<TokenKind> = new Set([
  "identifier",
  "number",
  "float",
  "string",
  "bool",
  "null",
  "(",
  "[",
  "{",
  "!",
  "-",
]);

const closers = { "(": ")", "[": "]", "{": "}" } as const;
type Opener = keyof typeof closers;

/** Expressions, by precedence climbing; the grammar of Alloy's `syntax/parser`. */
export abstract class ExpressionParser extends TokenReader {
  /** The height of the tree parsed last. */
  #height = 0;

  /** Called at a string or `{` behind a name where an operator or the end would be right. Reports it and skips it. */
  protected abstract blockAsValue(value: Expression): void;

  expression(): Expression {
    return this.#binary(1);
  }

  identifier(): Identifier {
    const identifier = { name: this.text(), span: this.span(this.start, this.end) };
    this.next();
    return identifier;
  }

  /** Operators that bind at least as tightly as `weakest`. Left-associative chains are a loop, so they take no stack. */
  #binary(weakest: number): Expression {
    if (!this.enter()) return this.#nothing();
    let left = this.#unary();
    let height = this.#height;
    while (true) {
      const precedence = binaryPrecedence(this.kind);
      if (precedence === 0 || precedence < weakest) break;
      const operator = this.kind as BinaryOperator;
      this.next();
      const right = this.#binary(operator === "^" ? precedence : precedence + 1);
      left = { kind: "binary", operator, left, right, span: this.span(left.span.start, right.span.end) };
      height = this.#grow(Math.max(height, this.#height));
    }
    this.leave();
    return left;
  }

  #unary(): Expression {
    const operator = this.kind;
    if (operator !== "!" && operator !== "-") return this.#postfix();
    if (!this.enter()) return this.#nothing();
    const start = this.start;
    this.next();
    const value = this.#unary();
    this.#grow(this.#height);
    this.leave();
    return { kind: "unary", operator, value, span: this.span(start, value.span.end) };
  }

  #postfix(): Expression {
    let value = this.#primary();
    while (true) {
      const start = value.span.start;
      const height = this.#height;
      switch (this.kind) {
        case ".": {
          this.next();
          const name = this.#fieldName();
          value = { kind: "access", value, name, span: this.span(start, name.span.end) };
          break;
        }
        case "[": {
          const open = this.start;
          this.next();
          const index = this.expression();
          this.#close("[", open);
          value = { kind: "index", value, index, span: this.span(start, this.previousEnd) };
          break;
        }
        case "(": {
          const args = this.#list("(", () => this.expression());
          value = { kind: "call", value, args, span: this.span(start, this.previousEnd) };
          break;
        }
        case "string":
        case "{":
          if (value.kind !== "identifier" && value.kind !== "access") return value;
          this.blockAsValue(value);
          return value;
        default:
          return value;
      }
      this.#grow(Math.max(height, this.#height));
    }
  }

  #fieldName(): Identifier {
    if (this.at("identifier")) return this.identifier();
    const keyword = this.at("bool") || this.at("null");
    this.unexpected(`expected a field name, found ${this.found()}`, {
      why: "behind `.` stands the name of a field or of an export",
      ...(keyword ? { hint: `write \`["${this.text()}"]\`` } : {}),
      ...(this.at("number") || this.at("float") ? { hint: "elements of lists are got by `[index]`" } : {}),
    });
    if (keyword) return this.identifier();
    return { name: "", span: this.span(this.previousEnd, this.previousEnd) };
  }

  #primary(): Expression {
    this.#height = 1;
    const start = this.start;
    switch (this.kind) {
      case "identifier": {
        const { name, span } = this.identifier();
        return { kind: "identifier", name, span };
      }
      case "string":
      case "number":
      case "float":
      case "bool":
      case "null":
        return this.#literal(this.kind);
      case "(": {
        this.next();
        const inner = this.expression();
        this.#close("(", start);
        this.#grow(this.#height);
        return { kind: "paren", inner, span: this.span(start, this.previousEnd) };
      }
      case "[": {
        const elements = this.#list("[", () => this.expression());
        return { kind: "array", elements, span: this.span(start, this.previousEnd) };
      }
      case "{": {
        const fields = this.#list("{", () => this.#field());
        return { kind: "object", fields, span: this.span(start, this.previousEnd) };
      }
    }
    this.unexpected(`expected a value, found ${this.found()}`, {
      why: "a value is a literal, a name, a list, an object, a call or an expression of these",
    });
    while (!endsExpression.has(this.kind)) this.next();
    return this.#nothing();
  }

  #literal(type: LiteralExpression["type"]): Expression {
    const literal: Expression = { kind: "literal", type, raw: this.text(), span: this.span(this.start, this.end) };
    this.next();
    return literal;
  }

  /** Stands in for an expression that is missing. */
  #nothing(): Expression {
    return { kind: "literal", type: "null", raw: "null", span: this.span(this.previousEnd, this.previousEnd) };
  }

  /** Elements between brackets, each followed by a comma or the closing bracket, which is consumed. */
  #list<T>(opener: Opener, element: () => T): readonly T[] {
    const open = this.start;
    const closer = closers[opener];
    const elements: T[] = [];
    let highest = 0;
    this.next();
    while (!this.at(closer) && !this.at("end of file")) {
      elements.push(element());
      highest = Math.max(highest, this.#height);
      if (this.at(closer)) break;
      if (this.at(",")) this.next();
      else if (!this.#missingComma(opener)) break;
    }
    this.#close(opener, open);
    this.#grow(highest);
    return elements;
  }

  /** Between two elements without a comma: reports it. Returns whether the list seems to go on. */
  #missingComma(opener: Opener): boolean {
    const closer = closers[opener];
    const atLineEnd = this.at("end of line");
    if (!atLineEnd && !startsExpression.has(this.kind)) return false;
    const after = atLineEnd ? skipTrivia(this.source.text, this.end) : this.start;
    if (atLineEnd && opener !== "{" && this.#startsStatement(after)) return false;
    const following = this.textAt(after);
    // A bracket of another kind closes something around the list: it is the list's own that is missing.
    if (following === undefined || (following !== closer && /[)\]}]/.test(following))) return false;
    this.report({
      code: "syntax.missing_comma",
      message: atLineEnd
        ? "expected `,`, found the end of the line"
        : `expected \`,\` or \`${closer}\`, found ${this.found()}`,
      start: this.previousEnd,
      end: this.previousEnd,
      why: atLineEnd
        ? `a line ends with \`,\` unless \`${closer}\` is on it, the last one as well`
        : "elements are separated by commas",
      hint: "put `,` here",
      onlyFirst: true,
    });
    if (atLineEnd) this.next();
    return true;
  }

  /** Whether a line looks like an attribute or a block rather than like an element of a list. */
  #startsStatement(offset: number): boolean {
    const name = /[\p{L}_][\p{L}_\p{Nd}]*(?:\.[\p{L}_][\p{L}_\p{Nd}]*)*[ \t]*(?:"[^"\n]*"[ \t]*)?(?:=(?!=)|\{)/uy;
    name.lastIndex = offset;
    return name.test(this.source.text);
  }

  /** Consumes the closing bracket, or reports that it is missing. */
  #close(opener: Opener, open: number): void {
    const closer = closers[opener];
    if (!this.at(closer)) {
      const next = this.at("end of line") ? skipTrivia(this.source.text, this.end) : -1;
      const lineEnd = this.at("end of line");
      this.report({
        code: "syntax.unclosed",
        message: `expected \`${closer}\`, found ${this.found()}`,
        start: lineEnd ? this.previousEnd : this.start,
        end: lineEnd ? this.previousEnd : this.end,
        ...(lineEnd
          ? { why: "a line end ends the expression, unless an operator, a comma or an opening bracket is before it" }
          : {}),
        hint: `close the \`${opener}\``,
        related: [{ message: "opened here", span: this.span(open, open + 1) }],
        onlyFirst: true,
      });
      if (this.textAt(next) !== closer) return;
      this.next();
    }
    if (this.at(closer)) this.next();
  }

  #field(): ObjectField {
    const quoted = this.at("string");
    const { start, end } = this;
    let name = this.text();
    if (quoted) {
      // Alloy takes what is between the quotes as it is: escape sequences in field names stand for themselves.
      name = name.slice(1, name.length > 1 ? -1 : undefined);
      this.next();
    } else if (this.at("identifier")) {
      this.next();
    } else {
      this.#badFieldName();
    }
    if (this.at("=")) this.next();
    else {
      this.unexpected(`expected \`=\`, found ${this.found()}`, { why: "a field is written `name = value`" });
      if (!startsExpression.has(this.kind)) {
        this.#height = 1;
        return { name: { name, span: this.span(start, end) }, quoted, value: this.#nothing() };
      }
    }
    const value = this.expression();
    return { name: { name, span: this.span(start, end) }, quoted, value };
  }

  #badFieldName(): void {
    const word = ["bool", "null", "number", "float"].includes(this.kind);
    this.unexpected(`expected a field name, found ${this.found()}`, {
      why: "field names are identifiers or strings",
      ...(word ? { hint: `write \`"${this.text()}"\`` } : {}),
    });
    if (word) this.next();
    while (!this.at("=") && !endsExpression.has(this.kind)) this.next();
  }

  #grow(height: number): number {
    this.#height = height + 1;
    if (this.#height > maxHeight) this.tooDeep(`an expression of more than ${maxHeight} operations in one chain`);
    return this.#height;
  }
}
