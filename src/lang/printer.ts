import type { Comment, Source } from "./ast.ts";
import { alignColumns, verbatim } from "./elastic-tabs.ts";
import { lineOf, lineStarts, utf8Length } from "./position.ts";

/** White space that is due before the next token. `softTab` aligns, `lineFeed` also ends the run of aligned lines. */
export type Space = "blank" | "softTab" | "newline" | "lineFeed" | "indent" | "unindent";

/** `dropped` is space that a comment took the place of; where it stands matters still, as in Alloy. */
type DueSpace = Space | "dropped";

const spaceText: ReadonlyMap<Space, string> = new Map([
  ["blank", " "],
  ["softTab", "\v"],
  ["newline", "\n"],
  ["lineFeed", "\f"],
]);

interface PrintedComment {
  readonly start: number;
  readonly line: number;
  /** The line on which it ends, as Alloy counts it: carriage returns are left out, which can make it an earlier one. */
  readonly lastLine: number;
  readonly text: string;
  /** Whether a comment stands directly before it, so that it is written together with that one. */
  readonly joins: boolean;
}

/** Where the text written next stands in the source: bytes from its start, and the line. */
interface Place {
  readonly offset: number;
  readonly line: number;
}

/**
 * Writes tokens in order, and the comments that stand between them in the source, with the placement rules of Alloy's
 * `syntax/printer`. That printer knows the source position of some tokens only, and takes the others to follow directly;
 * comments land where this estimate puts them, so the estimate is kept here as well, in bytes as there.
 */
export class Printer {
  readonly #source: Source;
  readonly #comments: readonly PrintedComment[];
  readonly #byteAt: (offset: number) => number;
  #nextComment = 0;
  #output: string[] = [];
  #spaces: DueSpace[] = [];
  #indent = 0;
  #atLineStart = true;
  #place: Place = { offset: 0, line: 1 };
  /** The source line on which the text written last ends. */
  #lastLine = 1;
  #afterNumber = false;
  readonly #safe: boolean;

  /** `safe` departs from Alloy's rules where a comment would end up where it cuts a statement in two or hides a token. */
  constructor(source: Source, comments: readonly Comment[], safe: boolean) {
    this.#source = source;
    this.#safe = safe;
    this.#byteAt = byteOffsets(source.text);
    this.#comments = this.#prepare(comments);
  }

  /** Says where in the source the next token stands. */
  moveTo(offset: number): void {
    this.#place = { offset: this.#byteAt(offset), line: lineOf(this.#source, offset) };
  }

  space(...spaces: readonly Space[]): void {
    this.#spaces.push(...spaces);
    this.#afterNumber = false;
  }

  /**
   * Writes a token, after the comments and the space that are due before it. A `bound` token must stay on the line of the
   * one before it; a safe printer keeps the comments back until behind it.
   */
  token(text: string, type?: "number" | "bound"): void {
    // A number with a dot directly behind it would be another number.
    if (this.#afterNumber && text.startsWith(".")) this.#spaces.push("blank");
    this.#afterNumber = type === "number";
    const place = this.#place;
    if (this.#commentIsBefore(place) && !(this.#safe && type === "bound")) this.#writeComments(place);
    else this.#writeSpaces();
    this.#write(text, place);
  }

  /** Writes the comments that are left, and returns everything aligned. */
  finish(): string {
    if (this.#nextComment < this.#comments.length) this.#writeComments(undefined);
    return alignColumns(this.#output.join(""));
  }

  #prepare(comments: readonly Comment[]): readonly PrintedComment[] {
    const source = this.#source;
    const starts = lineStarts(source).map((start) => this.#byteAt(start));
    let previousEnd = -1;
    let previousLine = 0;
    return comments.map(({ span, text }) => {
      const clean = withoutCarriageReturns(text);
      const start = this.#byteAt(span.start);
      const line = lineOf(source, span.start);
      const lastLine = lineOfByte(starts, start + utf8Length(clean) - 1);
      const adjacent = previousEnd >= 0 && /^[ \t\r\n]*$/.test(source.text.slice(previousEnd, span.start));
      const joins = adjacent && line <= previousLine + 1;
      previousEnd = span.end;
      previousLine = line + count(clean, "\n");
      return { start, line, lastLine, text: clean, joins };
    });
  }

  #commentIsBefore(place: Place): boolean {
    const comment = this.#comments[this.#nextComment];
    return comment !== undefined && comment.start <= place.offset;
  }

  /** Writes the comments before a place (all of them, if there is none), and the space between the last and what follows. */
  #writeComments(place: Place | undefined): void {
    let last: PrintedComment | undefined;
    while (place === undefined ? this.#nextComment < this.#comments.length : this.#commentIsBefore(place)) {
      do {
        last = this.#comments[this.#nextComment]!;
        this.#nextComment++;
        this.#spaceBeforeComment(last, place);
        this.#write(last.text, { offset: last.start, line: last.line }, true);
      } while (this.#comments[this.#nextComment]?.joins);
    }
    if (place !== undefined && last !== undefined) this.#spaceAfterComments(last, place);
  }

  #spaceBeforeComment(comment: PrintedComment, place: Place | undefined): void {
    if (this.#output.length === 0) return;
    if (comment.line === this.#lastLine) {
      // Trailing comments are aligned; one with code behind it is just set off.
      this.#writeSpace(comment.line === place?.line ? " " : "\t");
      return;
    }
    // The comment's own line end takes the place of the first one that is due; changes of indentation before that count.
    const first = this.#spaces.findIndex((space) => space !== "indent" && space !== "unindent");
    if (first >= 0) {
      this.#spaces[first] = "dropped";
      this.#writeSpaces(first);
    }
    const newlines = comment.line - this.#lastLine;
    if (newlines > 0) this.#writeSpace("\f".repeat(Math.min(newlines, 2)));
    else if (this.#safe) this.#writeSpace(" ");
  }

  #spaceAfterComments(last: PrintedComment, place: Place): void {
    if (last.text.startsWith("/*") && last.lastLine === place.line) this.#writeSpace(" ");
    const cut = this.#safe && last.text.startsWith("//");
    const newlines = Math.max(place.line - this.#lastLine, cut ? 1 : 0);
    const endsRun = this.#spaces.includes("lineFeed");
    this.#spaces = this.#spaces.filter((space) => space === "indent" || space === "unindent");
    this.#writeSpaces();
    if (newlines > 0) this.#writeSpace((endsRun ? "\f" : "\n").repeat(Math.min(newlines, 2)));
  }

  #writeSpaces(amount = this.#spaces.length): void {
    for (const space of this.#spaces.splice(0, amount)) {
      if (space === "indent") this.#indent++;
      else if (space === "unindent") this.#indent = Math.max(0, this.#indent - 1);
      else if (space !== "dropped") this.#writeSpace(spaceText.get(space)!);
    }
  }

  #writeSpace(text: string): void {
    this.#writeIndent();
    this.#output.push(text);
    this.#atLineStart = text.endsWith("\n") || text.endsWith("\f");
  }

  #writeIndent(): void {
    if (this.#atLineStart && this.#indent > 0) this.#output.push("\t".repeat(this.#indent));
  }

  #write(text: string, place: Place, literally = false): void {
    this.#writeIndent();
    this.#output.push(literally ? verbatim + text + verbatim : text);
    const newlines = count(text, "\n") + count(text, "\f");
    this.#atLineStart = text.endsWith("\n") || text.endsWith("\f");
    this.#place = { offset: place.offset + utf8Length(text), line: place.line + newlines };
    this.#lastLine = this.#place.line;
  }
}

/** Alloy leaves carriage returns out of comments, but for one between the `*` and `/` of a block comment's end. */
function withoutCarriageReturns(comment: string): string {
  if (!comment.includes("\r")) return comment;
  return comment.replace(/\r/g, (character, at: number) =>
    comment.startsWith("/*") && at > 2 && comment[at - 1] === "*" && comment[at + 1] === "/" ? character : "",
  );
}

function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at >= 0; at = text.indexOf(character, at + 1)) found++;
  return found;
}

/** From UTF-16 offsets to those in UTF-8. */
function byteOffsets(text: string): (offset: number) => number {
  if (utf8Length(text) === text.length) return (offset) => offset;
  const offsets = new Uint32Array(text.length + 1);
  for (let i = 0; i < text.length; i++) {
    const wide = text.codePointAt(i)! > 0xffff;
    offsets[i + 1] = offsets[i]! + utf8Length(text, i, i + (wide ? 2 : 1));
    if (wide) {
      i++;
      offsets[i + 1] = offsets[i]!;
    }
  }
  return (offset) => offsets[Math.min(offset, text.length)]!;
}

function lineOfByte(starts: readonly number[], offset: number): number {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (starts[middle]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
