import type {
  ArrayExpression,
  AttributeStatement,
  BlockStatement,
  Body,
  CallExpression,
  Expression,
  LiteralExpression,
  ObjectExpression,
  Source,
} from "./ast.ts";
import { quoteString } from "./literal.ts";
import { lineOf } from "./position.ts";
import type { Printer } from "./printer.ts";
import { skipTrivia } from "./token.ts";

/** Characters in strings that the layout would take for its own. */
const endangered = /[\t\v\f]|[ \t]+(?=\n)/g;
const standIns: ReadonlyMap<string, string> = new Map([
  ["\t", "\udc09"],
  ["\v", "\udc0b"],
  ["\f", "\udc0c"],
  [" ", "\udc20"],
]);
const originals: ReadonlyMap<string, string> = new Map([...standIns].map(([original, standIn]) => [standIn, original]));

function protectedText(text: string): string {
  return text.replace(endangered, (run) => Array.from(run, (character) => standIns.get(character)!).join(""));
}

/** Puts the characters back that `protect` hid from the printer. */
export function unprotected(text: string): string {
  return text.replace(/[\udc09\udc0b\udc0c\udc20]/gu, (standIn) => originals.get(standIn)!);
}

/**
 * Walks a tree and gives its tokens and the space between them to a printer, as Alloy's `syntax/printer/walker.go`. `safe`
 * departs from it where that would change what strings mean or make errors.
 */
export class Layout {
  readonly #source: Source;
  readonly #printer: Printer;
  readonly #safe: boolean;

  constructor(source: Source, printer: Printer, safe: boolean) {
    this.#source = source;
    this.#printer = printer;
    this.#safe = safe;
  }

  body(body: Body): void {
    for (const [index, statement] of body.entries()) {
      const previous = body[index - 1];
      if (previous !== undefined) {
        const blankLine = this.#line(statement.span.start) - this.#line(previous.span.end - 1) > 1;
        if (statement.kind === "block" || blankLine) this.#printer.space("lineFeed");
      }
      if (statement.kind === "block") this.#block(statement);
      else this.#attribute(statement);
      this.#printer.space(this.#isMultiline(statement.span) ? "lineFeed" : "newline");
    }
  }

  expression(expression: Expression): void {
    const printer = this.#printer;
    const { start, end } = expression.span;
    switch (expression.kind) {
      case "literal":
        this.#at(start, expression.raw, expression.type);
        return;
      case "identifier":
        this.#at(start, expression.name);
        return;
      case "array":
        this.#array(expression);
        return;
      case "object":
        this.#object(expression);
        return;
      case "access":
        this.expression(expression.value);
        printer.token(".", "bound");
        printer.token(expression.name.name);
        return;
      case "index":
        this.expression(expression.value);
        this.#at(this.#behind(expression.value), "[", "bound");
        this.expression(expression.index);
        this.#at(end - 1, "]", "bound");
        return;
      case "call":
        this.#call(expression);
        return;
      case "unary":
        this.#at(start, expression.operator);
        this.expression(expression.value);
        return;
      case "binary":
        this.#binary(expression);
        return;
      case "paren":
        printer.token("(");
        this.expression(expression.inner);
        printer.token(")", "bound");
    }
  }

  #attribute({ name, value }: AttributeStatement): void {
    this.#at(name.span.start, name.name);
    this.#printer.space("softTab");
    this.#printer.token("=", "bound");
    this.#printer.space("blank");
    this.expression(value);
  }

  #block(block: BlockStatement): void {
    const printer = this.#printer;
    this.#at(block.span.start, block.name.map((part) => part.name).join("."));
    printer.space("blank");
    if (block.label !== undefined) {
      this.#at(block.label.span.start, quoteString(block.label.text), "bound");
      printer.space("blank");
    }
    this.#at(block.open, "{", "bound");
    printer.space("indent");
    if (block.body.length > 0) {
      printer.space("lineFeed");
      this.body(block.body);
    } else {
      printer.space("blank");
    }
    printer.space("unindent");
    this.#at(block.close, "}");
  }

  #binary({ operator, left, right }: Expression & { kind: "binary" }): void {
    this.expression(left);
    this.#printer.space("blank");
    this.#at(this.#behind(left), operator, "bound");
    this.#printer.space("blank");
    this.expression(right);
  }

  #array({ elements, span }: ArrayExpression): void {
    const printer = this.#printer;
    this.#at(span.start, "[");
    let previousLine = this.#line(span.start);
    for (const [index, element] of elements.entries()) {
      const ownLine = this.#line(element.span.start) !== previousLine;
      if (ownLine) printer.space("indent", "lineFeed");
      else if (index > 0) printer.space("blank");
      previousLine = this.#line(element.span.end - 1);
      this.expression(element);
      if (index + 1 < elements.length) printer.token(",", "bound");
      if (ownLine) printer.space("unindent");
    }
    const closeOnOwnLine = elements.length > 0 && this.#line(span.end - 1) !== previousLine;
    if (closeOnOwnLine) {
      printer.token(",", "bound");
      printer.space("indent", "lineFeed", "unindent");
    }
    this.#at(span.end - 1, "]", closeOnOwnLine || elements.length === 0 ? undefined : "bound");
  }

  #object({ fields, span }: ObjectExpression): void {
    const printer = this.#printer;
    this.#at(span.start, "{");
    printer.space("indent");
    let previousLine = this.#line(span.start);
    for (const [index, field] of fields.entries()) {
      const previous = fields[index - 1];
      const { start } = field.name.span;
      if (this.#line(start) !== previousLine) {
        // Fields are aligned as long as each is on one line.
        printer.space(previous !== undefined && !this.#isMultiline(previous.value.span) ? "newline" : "lineFeed");
      } else if (index > 0) {
        printer.space("blank");
      }
      previousLine = this.#line(start + Math.max(field.name.name.length - 1, 0));
      this.#at(start, field.quoted ? this.#quotedName(field.name.name, start) : field.name.name);
      printer.space("softTab");
      printer.token("=", "bound");
      printer.space("blank");
      this.expression(field.value);
      if (index + 1 < fields.length) printer.token(",", "bound");
    }
    const closeOnOwnLine = fields.length > 0 && this.#line(span.end - 1) !== previousLine;
    if (closeOnOwnLine) {
      printer.token(",", "bound");
      printer.space("lineFeed");
    }
    printer.space("unindent");
    this.#at(span.end - 1, "}", closeOnOwnLine || fields.length === 0 ? undefined : "bound");
  }

  /** Alloy quotes the name anew, escape sequences and all; that is another name then. */
  #quotedName(name: string, offset: number): string {
    const quoted = quoteString(name);
    if (!this.#safe || quoted === `"${name}"`) return quoted;
    const quote = this.#source.text[offset];
    return protectedText(`${quote}${name}${quote}`);
  }

  #call({ value, args, span }: CallExpression): void {
    const printer = this.#printer;
    this.expression(value);
    let previousLine = this.#line(this.#behind(value));
    printer.token("(", "bound");
    for (const [index, argument] of args.entries()) {
      const ownLine = this.#line(argument.span.start) !== previousLine;
      if (ownLine) printer.space("lineFeed", "indent");
      this.expression(argument);
      previousLine = this.#line(argument.span.end - 1);
      if (index + 1 < args.length) {
        printer.token(",", "bound");
        printer.space("blank");
      }
      if (ownLine) printer.space("unindent");
    }
    // Alloy writes the comma without arguments as well, which is a syntax error.
    const closeOnOwnLine = this.#line(span.end - 1) !== previousLine && !(this.#safe && args.length === 0);
    if (closeOnOwnLine) {
      printer.token(",", "bound");
      printer.space("lineFeed");
    }
    printer.token(")", closeOnOwnLine || args.length === 0 ? undefined : "bound");
  }

  /** Writes a token whose place in the source is known. */
  #at(offset: number, text: string, type?: LiteralExpression["type"] | "bound"): void {
    this.#printer.moveTo(offset);
    const written = this.#safe && type === "string" ? protectedText(text) : text;
    this.#printer.token(written, type === "number" || type === "bound" ? type : undefined);
  }

  /** The offset of the token behind an expression; for operators and brackets whose place is not in the tree. */
  #behind(expression: Expression): number {
    return skipTrivia(this.#source.text, expression.span.end);
  }

  #line(offset: number): number {
    return lineOf(this.#source, offset);
  }

  #isMultiline({ start, end }: { start: number; end: number }): boolean {
    return this.#line(start) !== this.#line(end - 1);
  }
}
