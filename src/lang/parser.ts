import type { BlockStatement, Body, Comment, Expression, File, Identifier, Source, Statement } from "./ast.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { ExpressionParser } from "./expression-parser.ts";
import { positionOf } from "./position.ts";
import { isIdentifier, skipTrivia } from "./token.ts";

/**
 * Parses a whole configuration file. The grammar is that of Alloy's `syntax/parser`: sources with an error-level diagnostic
 * are those that Alloy rejects. Never throws; after an error the file holds what could be read.
 */
export function parseFile(source: Source): { file: File; diagnostics: readonly Diagnostic[] } {
  const parser = new StatementParser(source);
  const body = parser.file();
  return { file: { source, body, comments: parser.comments }, diagnostics: parser.sortedDiagnostics() };
}

/**
 * Parses one expression that makes up the whole text; undefined if it is not one. Text behind the expression's line is an
 * error (Alloy's `ParseExpression` ignores it).
 */
export function parseExpression(source: Source): {
  expression: Expression | undefined;
  diagnostics: readonly Diagnostic[];
} {
  const parser = new StatementParser(source);
  const expression = parser.onlyExpression();
  const diagnostics = parser.sortedDiagnostics();
  return { expression: diagnostics.length === 0 ? expression : undefined, diagnostics };
}

interface BlockStart {
  readonly name: readonly Identifier[];
  readonly label: { readonly text: string; readonly start: number; readonly end: number } | undefined;
}

/** Statements and bodies; expressions are inherited. One instance parses one source once. */
class StatementParser extends ExpressionParser {
  /** The first block that holds a statement further left than itself: most likely the one whose `}` is missing. */
  #suspect: BlockStart | undefined;
  readonly #openBlocks: BlockStart[] = [];
  #reportedUnclosed = false;

  constructor(source: Source) {
    super(source);
    this.next();
  }

  get comments(): readonly Comment[] {
    return this.foundComments;
  }

  file(): Body {
    return this.#body("end of file");
  }

  onlyExpression(): Expression {
    const expression = this.expression();
    if (this.at("end of line")) this.next();
    if (!this.at("end of file")) {
      this.unexpected(`expected the end of the expression, found ${this.found()}`, {
        hint: "join the parts by an operator, or remove what follows",
      });
    }
    return expression;
  }

  protected override blockAsValue(value: Expression): void {
    const start = value.span.start;
    if (this.at("string")) this.next();
    if (!this.at("{")) {
      this.unexpected("expected an operator or the end of the expression, found a string", {
        hint: "join texts by `+`",
      });
      return;
    }
    this.enter();
    this.next();
    this.#body("}");
    this.leave();
    const end = this.at("}") ? this.end : this.previousEnd;
    const onNextLine = /=[ \t]*\r?\n\s*$/.test(this.source.text.slice(Math.max(0, start - 200), start));
    this.report({
      code: "syntax.block_as_value",
      message: "cannot use a block as an expression",
      start,
      end,
      why: "blocks have no value; components are referred to by name",
      hint: onNextLine
        ? "write the value of the attribute in the line before"
        : "write the block as a statement of its own, and refer to what it exports",
    });
    if (this.at("}")) this.next();
  }

  /** Statements up to, and without, the closing token. */
  #body(until: "}" | "end of file"): Body {
    const body: Statement[] = [];
    while (!this.at(until) && !this.at("end of file")) {
      this.statementStarts();
      this.#noteIndent();
      const before = this.start;
      const statement = this.#statement();
      if (statement !== undefined) body.push(statement);
      if (this.at(until)) break;
      if (this.at("end of line")) this.next();
      else if (!this.at("end of file")) this.#unfinished(before);
    }
    return body;
  }

  /** After a statement that does not end with its line: reports it, and goes to where the next one may start. */
  #unfinished(before: number): void {
    this.unexpected(`expected the end of the line, found ${this.found()}`, {
      why: "each statement is on a line of its own",
      hint: "start a new line here, or remove what follows",
    });
    if (this.at("identifier") && this.start > before) return;
    this.skipStatement();
    if (this.at("end of line")) this.next();
    else if (this.at("}") && this.#openBlocks.length === 0) this.next();
  }

  #statement(): Statement | undefined {
    const start = this.start;
    const named = this.#blockStart();
    if (named === undefined) return undefined;
    if (this.at("=")) return this.#attribute(start, named);
    if (this.at("end of line") && this.textAt(skipTrivia(this.source.text, this.end)) === "{") {
      this.unexpected("expected `{`, found the end of the line", {
        why: "a line end ends the statement",
        hint: "put `{` on the line of the block's name",
      });
      this.next();
    }
    if (this.at("{")) return this.#block(start, named);
    this.#neitherAttributeNorBlock(named);
    return undefined;
  }

  #neitherAttributeNorBlock(named: BlockStart): void {
    const name = named.name.map((part) => part.name).join(".");
    const single = named.name.length === 1;
    if (named.label !== undefined) {
      this.unexpected(`expected a block body, found ${this.found()}`, {
        hint:
          single && this.at("end of line")
            ? `for an attribute write \`${name} = "${named.label.text}"\`, for a block \`${name} "${named.label.text}" { … }\``
            : "the body of a block is in braces: `{ … }`",
      });
    } else {
      this.unexpected(`expected ${single ? "`=` or " : ""}a block body, found ${this.found()}`, {
        hint: single ? `write \`${name} = value\` or \`${name} { … }\`` : `write \`${name} "label" { … }\``,
      });
    }
    this.skipStatement();
  }

  #attribute(start: number, named: BlockStart): Statement {
    if (named.name.length > 1) {
      const last = named.name.at(-1)!;
      this.report({
        code: "syntax.attribute_name",
        message: 'attribute names may only consist of a single identifier with no "."',
        start,
        end: last.span.end,
        hint: `write \`${last.name} = …\` inside of the block, or a block of this name`,
      });
    } else if (named.label !== undefined) {
      this.report({
        code: "syntax.attribute_name",
        message: "attribute names may not have labels",
        start: named.label.start,
        end: named.label.end,
        hint: "remove the label, or the `=` if this is a block",
      });
    }
    this.next();
    const value = this.expression();
    return { kind: "attribute", name: named.name[0]!, value, span: this.span(start, value.span.end) };
  }

  #block(start: number, named: BlockStart): BlockStatement {
    const open = this.start;
    this.enter();
    this.#openBlocks.push(named);
    this.next();
    const body = this.#body("}");
    this.#openBlocks.pop();
    this.leave();
    const close = this.at("}") ? this.start : this.previousEnd;
    const end = this.at("}") ? this.end : this.previousEnd;
    if (this.at("}")) this.next();
    else this.#unclosed(named);
    const label = named.label;
    return {
      kind: "block",
      name: named.name,
      label:
        label === undefined || label.text === ""
          ? undefined
          : { text: label.text, span: this.span(label.start, label.end) },
      body,
      open,
      close,
      span: this.span(start, end),
    };
  }

  /** Reports a block that goes on to the end of the file; of several, one that the indentation speaks for. */
  #unclosed(named: BlockStart): void {
    if (this.#reportedUnclosed) return;
    this.#reportedUnclosed = true;
    const likely = this.#suspect ?? named;
    const first = likely.name[0]!;
    const name = likely.name.map((part) => part.name).join(".") + (likely.label ? ` "${likely.label.text}"` : "");
    this.report({
      code: "syntax.unclosed",
      message: `expected \`}\`, found ${this.found()}`,
      start: this.start,
      end: this.end,
      why: `the block \`${name}\` on line ${positionOf(this.source, first.span.start).line} is not closed`,
      hint: "close each `{` by a `}`",
      related: [{ message: "the block starts here", span: first.span }],
    });
  }

  #noteIndent(): void {
    const open = this.#openBlocks.at(-1);
    if (open === undefined || this.#suspect !== undefined) return;
    const here = positionOf(this.source, this.start);
    const block = positionOf(this.source, open.name[0]!.span.start);
    if (here.line > block.line && here.column <= block.column && this.at("identifier")) this.#suspect = open;
  }

  /** The dotted name and the label of a block, or the name of an attribute. */
  #blockStart(): BlockStart | undefined {
    if (!this.at("identifier")) {
      this.#noStatement();
      return undefined;
    }
    const name = [this.identifier()];
    while (this.at(".")) {
      this.next();
      if (!this.at("identifier")) {
        this.unexpected(`expected an identifier, found ${this.found()}`, {
          hint: "complete the block's name behind the `.`",
        });
        if (!this.at("bool") && !this.at("null")) break;
      }
      name.push(this.identifier());
    }
    return { name, label: this.#label() };
  }

  #label(): BlockStart["label"] {
    const { start, end } = this;
    if (this.at("string")) {
      const raw = this.text();
      const text = raw.slice(1, raw.length > 1 && raw.endsWith(raw[0]!) ? -1 : undefined);
      if (raw.startsWith("`") || (text !== "" && !isIdentifier(text))) this.#badLabel(raw, text);
      this.next();
      return { text, start, end };
    }
    const next = this.textAt(skipTrivia(this.source.text, end));
    if (this.at("identifier") && (next === "{" || next === "=")) {
      const text = this.text();
      this.unexpected(`expected a label in quotes, found ${this.found()}`, { hint: `write \`"${text}"\`` });
      this.next();
      return { text, start, end };
    }
    return undefined;
  }

  #badLabel(raw: string, text: string): void {
    const fitting = text.replace(/[^\p{L}_\p{Nd}]+/gu, "_").replace(/^(?=\p{Nd})/u, "_");
    this.report({
      code: "syntax.block_label",
      message: raw.startsWith("`")
        ? "block labels are written in double quotes"
        : `block label ${JSON.stringify(text)} is not an identifier`,
      start: this.start,
      end: this.end,
      why: "labels consist of letters, digits and underscores, do not start with a digit and are not keywords",
      ...(isIdentifier(fitting) ? { hint: `write \`"${fitting}"\`` } : {}),
    });
  }

  /** Reports a statement that starts with no name, and skips it. */
  #noStatement(): void {
    if (this.at("}")) {
      this.unexpected("expected an identifier, found `}`", { why: "no block is open here", hint: "remove the `}`" });
      this.next();
      return;
    }
    const keyword = this.at("bool") || this.at("null");
    this.unexpected(`expected an identifier, found ${this.found()}`, {
      why: keyword ? "it is a keyword" : "statements start with the name of an attribute or a block",
      ...(this.at("string") ? { hint: "write the name without quotes" } : {}),
    });
    this.skipStatement();
  }
}
