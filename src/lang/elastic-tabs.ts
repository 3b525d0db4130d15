/**
 * Elastic tab stops with the rules of Go's `text/tabwriter` as Alloy's formatter sets it up (padding 1, tab width 8,
 * indent by tabs, empty soft columns discarded), and the removal of trailing blanks.
 *
 * Lines are made of cells. A tab ends a cell of a hard column, `\v` one of a soft column; `\n` ends a line, and `\f` ends a
 * line and the run of lines that are aligned together. Neighbouring lines that have a cell in a column share its width.
 */

/**
 * Encloses text to be copied as it is, line ends and blanks included. An unpaired surrogate is never part of decoded text;
 * it is half of many characters, though, so it is searched for by expressions with the `u` flag only.
 */
export const verbatim = "\udcff";
const verbatimPoint = 0xdcff;
const everyVerbatim = /\udcff/gu;

const tabWidth = 8;
const padding = 1;

interface Cell {
  readonly text: string;
  /** In code points. */
  readonly width: number;
  readonly hard: boolean;
}

interface Line {
  /** The last cell is what stands before the line end: it belongs to no column. */
  readonly cells: readonly Cell[];
  readonly endsRun: boolean;
  readonly columnWidths: number[];
}

const special = /[\t\v\n\f]|\udcff/gu;

export function alignColumns(text: string): string {
  const lines = splitLines(text);
  measureColumns(lines);
  return lines.map(drawLine).join("\n").replace(everyVerbatim, "");
}

function splitLines(text: string): readonly Line[] {
  const lines: Line[] = [];
  let cells: Cell[] = [];
  let cellStart = 0;
  let literally = false;
  const endCell = (end: number, hard: boolean) => {
    const cell = text.slice(cellStart, end);
    cells.push({ text: cell, width: displayed(cell), hard });
    cellStart = end + 1;
  };
  for (const { 0: character, index: at } of text.matchAll(special)) {
    if (character === verbatim) literally = !literally;
    if (literally || character === verbatim) continue;
    endCell(at, character === "\t");
    if (character === "\n" || character === "\f") {
      lines.push({ cells, endsRun: character === "\f", columnWidths: [] });
      cells = [];
    }
  }
  endCell(text.length, false);
  lines.push({ cells, endsRun: true, columnWidths: [] });
  return lines;
}

/** The number of code points, without the marks of verbatim text. */
function displayed(text: string): number {
  let width = 0;
  for (let i = 0; i < text.length; i++) {
    const point = text.codePointAt(i)!;
    if (point > 0xffff) i++;
    if (point !== verbatimPoint) width++;
  }
  return width;
}

/** Goes through the lines column by column: a run of lines that have the column gets the width of its widest cell. */
function measureColumns(lines: readonly Line[]): void {
  let remaining = lines.map((_, index) => index);
  for (let column = 0; remaining.length > 0; column++) {
    remaining = remaining.filter((index) => lines[index]!.cells.length - 1 > column);
    for (let from = 0; from < remaining.length; ) {
      let to = from + 1;
      while (to < remaining.length && remaining[to] === remaining[to - 1]! + 1 && !lines[remaining[to - 1]!]!.endsRun)
        to++;
      let width = 0;
      let discard = true;
      for (let i = from; i < to; i++) {
        const cell = lines[remaining[i]!]!.cells[column]!;
        width = Math.max(width, cell.width + padding);
        if (cell.width > 0 || cell.hard) discard = false;
      }
      for (let i = from; i < to; i++) lines[remaining[i]!]!.columnWidths.push(discard ? 0 : width);
      from = to;
    }
  }
}

function drawLine({ cells, columnWidths }: Line): string {
  let line = "";
  let indenting = true;
  for (const [column, cell] of cells.entries()) {
    const width = columnWidths[column];
    if (cell.text !== "") indenting = false;
    line += cell.text;
    if (width === undefined) continue;
    line += indenting ? "\t".repeat(Math.ceil(width / tabWidth)) : " ".repeat(width - cell.width);
  }
  let end = line.length;
  while (line[end - 1] === " " || line[end - 1] === "\t") end--;
  return line.slice(0, end);
}
