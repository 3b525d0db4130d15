import type { Comment, Source, Span } from "./ast.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { lineOf } from "./position.ts";
import { type ScanError, Scanner } from "./scanner.ts";
import type { TokenKind } from "./token.ts";

/** How many errors are collected from one source before the rest of it is left alone. */
const maxDiagnostics = 500;

/** How deep brackets, blocks and right-hand operators may nest: each level takes some frames of the call stack. */
const maxNesting = 250;

export interface SyntaxError extends ScanError {
  readonly related?: Diagnostic["related"];
  /** Said only if nothing was reported for the same line. */
  readonly onlyFirst?: boolean;
}

/** The parser's view of the tokens: the current one, without comments, and the reporting of errors. */
export class TokenReader {
  readonly source: Source;
  readonly foundComments: Comment[] = [];
  kind: TokenKind = "end of file";
  start = 0;
  end = 0;
  /** The end of the token before the current one. */
  previousEnd = 0;
  readonly #scanner: Scanner;
  readonly #diagnostics: Diagnostic[] = [];
  /** Lines with an error since the current statement started, and with errors in their characters. */
  readonly #faultyLines = new Set<number>();
  readonly #illegalLines = new Set<number>();
  #nesting = 0;
  #stopped = false;

  constructor(source: Source) {
    this.source = source;
    this.#scanner = new Scanner(source, (error) => {
      this.#illegalLines.add(lineOf(source, error.start));
      this.report(error);
    });
  }

  /** Goes to the next token that is not a comment. */
  next(): void {
    if (this.#stopped) return;
    this.previousEnd = this.kind === "end of line" ? this.previousEnd : this.end;
    const scanner = this.#scanner;
    scanner.next();
    while (scanner.kind === "comment") {
      const span = this.span(scanner.start, scanner.end);
      this.foundComments.push({ span, text: this.source.text.slice(scanner.start, scanner.end) });
      scanner.next();
    }
    if (this.#stopped) return;
    this.kind = scanner.kind;
    this.start = scanner.start;
    this.end = scanner.end;
  }

  /** Whether the current token is of a kind. (A call, since the compiler takes a compared field to stay as it is.) */
  at(kind: TokenKind): boolean {
    return this.kind === kind;
  }

  /** The current token as written. */
  text(): string {
    return this.source.text.slice(this.start, this.end);
  }

  textAt(offset: number): string | undefined {
    return this.source.text[offset];
  }

  span(start: number, end: number): Span {
    return { source: this.source, start, end };
  }

  /** The current token for a message. */
  found(): string {
    switch (this.kind) {
      case "end of file":
      case "end of line":
        return `the ${this.kind}`;
      case "string":
        return "a string";
      case "number":
      case "float":
        return `the number ${this.text()}`;
      case "bool":
      case "null":
        return `the keyword \`${this.text()}\``;
      default: {
        const text = this.text();
        return `\`${text.length > 40 ? `${text.slice(0, 40)}…` : text}\``;
      }
    }
  }

  /** Reports the current token; not if its line is known to be faulty, since this is most likely a consequence. */
  unexpected(message: string, more: { why?: string; hint?: string; related?: Diagnostic["related"] } = {}): void {
    const lineEnd = this.kind === "end of line";
    const start = lineEnd ? this.previousEnd : this.start;
    this.report({
      code: "syntax.unexpected",
      message,
      start,
      end: lineEnd ? start : this.end,
      ...more,
      onlyFirst: true,
    });
  }

  report(error: SyntaxError): void {
    if (this.#stopped) return;
    const line = lineOf(this.source, error.start);
    if (error.onlyFirst && (this.#faultyLines.has(line) || this.#illegalLines.has(line))) return;
    this.#faultyLines.add(line);
    if (this.#diagnostics.length >= maxDiagnostics) {
      this.#add({
        code: "syntax.too_many_errors",
        message: `more than ${maxDiagnostics} errors: the rest of the file was not looked at`,
        start: error.start,
        end: error.end,
        hint: "is this a configuration file?",
      });
      this.#stop();
      return;
    }
    this.#add(error);
  }

  /** Errors from here on are news even on lines that were faulty before. */
  statementStarts(): void {
    this.#faultyLines.clear();
  }

  sortedDiagnostics(): readonly Diagnostic[] {
    return this.#diagnostics.sort((a, b) => a.span!.start - b.span!.start);
  }

  /** Goes one level deeper; false, with everything behind it skipped, if that is too deep. */
  enter(): boolean {
    this.#nesting++;
    if (this.#nesting <= maxNesting) return true;
    this.tooDeep(`more than ${maxNesting} levels of nesting`);
    return false;
  }

  leave(): void {
    this.#nesting--;
  }

  tooDeep(message: string): void {
    this.report({
      code: "syntax.too_deep",
      message,
      start: this.start,
      end: this.end,
      hint: "split it into smaller parts",
    });
    this.#stop();
  }

  /**
   * Skips the rest of a statement: up to, and without, its line end, or the `}` of the block around it. A name at the very
   * start of a line ends it as well, even if brackets are open, lest one missing bracket hide all later errors.
   */
  skipStatement(): void {
    let depth = 0;
    while (this.kind !== "end of file") {
      if (this.kind === "{" || this.kind === "[" || this.kind === "(") depth++;
      if (this.kind === "}" && depth === 0) return;
      if (this.kind === "}" || this.kind === "]" || this.kind === ")") depth = Math.max(0, depth - 1);
      if (this.kind === "end of line" && (depth === 0 || /[\p{L}_]/u.test(this.textAt(this.end) ?? ""))) return;
      this.next();
    }
  }

  #add(error: SyntaxError): void {
    const { code, message, start, end, why, hint, related } = error;
    this.#diagnostics.push({
      severity: "error",
      code,
      message,
      span: this.span(start, end),
      ...(why === undefined ? {} : { why }),
      ...(hint === undefined ? {} : { hint }),
      ...(related === undefined ? {} : { related }),
    });
  }

  /** From now on there is only the end of the file, and nothing more is reported. */
  #stop(): void {
    this.#stopped = true;
    this.kind = "end of file";
    this.start = this.end = this.source.text.length;
  }
}
