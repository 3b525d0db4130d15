/** Where a match lies in a text of one or several lines. */
export interface Location {
  /** From 0. */
  readonly line: number;
  /** Where columns are counted from: the newline before the line, or the text's beginning. */
  readonly lineStart: number;
  /** The text of the line or lines. */
  readonly text: string;
}

/**
 * As Gitleaks sees it (detect/location.go), with its peculiarities: for a match behind the last newline, the text begins
 * where the whole text does.
 */
export function locate(text: string, severalLines: boolean, start: number, end: number): Location {
  if (!severalLines && start < text.length) return { line: 0, lineStart: 0, text };
  let from = 0;
  let until = 0;
  let line = -1;
  let lineStart = 0;
  let previous = 0;
  let count = 0;
  for (let at = firstNewline(text); at >= 0; at = text.indexOf("\n", at + 1)) {
    if (previous <= start && start < at) {
      line = count;
      lineStart = previous;
      from = previous;
      until = at;
    }
    if (previous < end && end <= at) until = at;
    previous = at;
    count += 1;
    if (at > end) break;
  }
  if (line < 0) {
    line = count;
    lineStart = previous;
    until = end;
    while (until < text.length && text[until] !== "\n" && text[until] !== "\r") until += 1;
  }
  return { line, lineStart, text: text.slice(from, Math.max(until, end)) };
}

/** A text without newlines has one at its end. */
function firstNewline(text: string): number {
  const at = text.indexOf("\n");
  return at < 0 ? text.length : at;
}
