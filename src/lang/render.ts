import type { Span } from "./ast.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { displayMessage, displayText, displayWidth } from "./display.ts";
import { lineOf, lineStarts, positionOf } from "./position.ts";

/** Characters of a line that are shown before and after the start of the span; machine-made files have lines of megabytes. */
const charactersBefore = 80;
const charactersAfter = 160;

const colors = {
  error: "\x1b[1;31m",
  warning: "\x1b[1;33m",
  strong: "\x1b[1m",
  quiet: "\x1b[2m",
  none: "",
} as const;
const reset = "\x1b[0m";

type Paint = (color: keyof typeof colors, text: string) => string;

/**
 * Draws diagnostics for a person, ending with a newline: for each, a first line of the form that Alloy prints, the lines
 * of the source with carets under the span, related places, why, hint and code.
 */
export function renderDiagnostics(diagnostics: readonly Diagnostic[], options: { color: boolean }): string {
  const paint: Paint = (color, text) =>
    options.color && color !== "none" && text !== "" ? `${colors[color]}${text}${reset}` : text;
  return diagnostics.map((diagnostic) => renderDiagnostic(diagnostic, paint)).join("\n");
}

/** A diagnostic in one line, as logs and `fmt` print it: `file:line:column: message`. */
export function describeDiagnostic({ span, message }: Diagnostic): string {
  return `${span === undefined ? "" : `${locationOf(span)}: `}${displayMessage(message)}`;
}

/** `file:line:column`, or `line:column` in a source without a name. */
export function locationOf({ source, start }: Span): string {
  const { line, column } = positionOf(source, start);
  return `${source.name === "" ? "" : `${displayText(source.name)}:`}${line}:${column}`;
}

function renderDiagnostic(diagnostic: Diagnostic, paint: Paint): string {
  const { severity, span, why, hint, related = [], code } = diagnostic;
  const title = severity === "error" ? "Error: " : "Warning: ";
  const lines = [paint(severity, title) + paint("strong", describeDiagnostic(diagnostic))];
  if (span !== undefined) lines.push("", ...excerpt(span, severity, paint));
  for (const place of related) {
    lines.push(
      `see:  ${locationOf(place.span)}: ${displayMessage(place.message)}`,
      ...excerpt(place.span, "strong", paint),
    );
  }
  if (why !== undefined) lines.push(`why:  ${indented(why)}`);
  if (hint !== undefined) lines.push(`hint: ${indented(hint)}`);
  lines.push(paint("quiet", `code: ${code}`));
  return `${lines.join("\n")}\n`;
}

function indented(text: string): string {
  return displayMessage(text).replaceAll("\n", "\n      ");
}

/** The line on which a span starts with its neighbours. Of a span of several lines the first is underlined to its end. */
function excerpt(span: Span, color: keyof typeof colors, paint: Paint): readonly string[] {
  const { source, start } = span;
  const line = lineOf(source, start);
  const last = Math.min(line + 1, lineStarts(source).length);
  const margin = String(last).length;
  const drawn: string[] = [];
  for (let number = Math.max(1, line - 1); number <= last; number++) {
    const [from, to] = lineBounds(span, number);
    // The empty line behind a final newline is no line to show, unless the span is there.
    if (number > line && from === to && to === source.text.length) break;
    const shift = number === line ? Math.max(0, start - from - charactersBefore) : 0;
    const windowStart = insideOf(source.text, from + shift);
    const windowEnd = insideOf(source.text, Math.min(to, windowStart + charactersBefore + charactersAfter));
    const before = shift > 0 ? "…" : "";
    const text = before + displayText(source.text.slice(windowStart, windowEnd)) + (windowEnd < to ? "…" : "");
    drawn.push(`${paint("quiet", `${String(number).padStart(margin)} |`)}${text === "" ? "" : ` ${text}`}`);
    if (number !== line) continue;
    const lead = displayWidth(before + displayText(source.text.slice(windowStart, start)));
    const marked = source.text.slice(start, Math.min(span.end, windowEnd)).trimEnd();
    const carets = "^".repeat(Math.max(1, displayWidth(displayText(marked))));
    drawn.push(`${paint("quiet", `${" ".repeat(margin)} |`)} ${" ".repeat(lead)}${paint(color, carets)}`);
  }
  return drawn;
}

/** The offsets of a line's start and end, without its line end. */
function lineBounds({ source }: Span, number: number): readonly [number, number] {
  const starts = lineStarts(source);
  const from = starts[number - 1]!;
  const next = starts[number];
  return [from, next === undefined ? source.text.length : next - 1];
}

/** The offset, or the one before if it is in the middle of a surrogate pair. */
function insideOf(text: string, offset: number): number {
  const middle = offset > 0 && offset < text.length && (text.codePointAt(offset - 1) ?? 0) > 0xffff;
  return middle ? offset - 1 : offset;
}
