import { displayText, displayWidth } from "#lang/display";

/** How the output is drawn: with colours or without, and how wide the terminal is; undefined where there is none. */
export interface OutputStyle {
  readonly color: boolean;
  readonly columns: number | undefined;
}

const COLORS = {
  red: "\x1b[31m",
  yellow: "\x1b[33m",
  green: "\x1b[32m",
  cyan: "\x1b[36m",
  quiet: "\x1b[2m",
  strong: "\x1b[1m",
} as const;
export type Color = keyof typeof COLORS;

export function paint(style: OutputStyle, color: Color | undefined, text: string): string {
  return style.color && color !== undefined && text !== "" ? `${COLORS[color]}${text}\x1b[0m` : text;
}

export type Paint = (color: Color | undefined, text: string) => string;

/** Paints in a style. */
export function painter(style: OutputStyle): Paint {
  return (color, text) => paint(style, color, text);
}

export interface Column {
  readonly title: string;
  readonly align: "left" | "right";
}

export interface Cell {
  readonly text: string;
  readonly color?: Color | undefined;
}

/** Spaces between two columns. */
const GAP = 2;
/** Where the last column would be narrower than this, the first one gives way, … */
const NARROWEST_LAST = 20;
/** … down to this. */
const NARROWEST_FIRST = 24;

/**
 * Lines of a table: as wide as its cells need, the last column as wide as the terminal lets it be. Cells hold text of
 * others, so nothing that a terminal would act on gets through.
 */
export function layOutTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  style: OutputStyle,
): readonly string[] {
  const head = columns.map(({ title }): Cell => ({ text: title, color: "quiet" }));
  const cells = [head, ...rows.map((row) => row.map(cleaned))];
  const widths = columns.map((_, i) => cells.reduce((most, row) => Math.max(most, displayWidth(row[i]!.text)), 0));
  const last = columns.length - 1;
  if (style.columns !== undefined) {
    const others = () => widths.slice(0, last).reduce((sum, width) => sum + width + GAP, 0);
    const missing = others() + Math.min(NARROWEST_LAST, widths[last]!) - style.columns;
    if (missing > 0) widths[0] = Math.min(widths[0]!, Math.max(widths[0]! - missing, NARROWEST_FIRST));
    widths[last] = Math.min(widths[last]!, Math.max(style.columns - others(), NARROWEST_LAST));
  }
  return cells.map((row) =>
    row
      .map(({ text, color }, i) => {
        const shown = i === 0 ? cutStart(text, widths[i]!) : cut(text, widths[i]!);
        const pad = " ".repeat(widths[i]! - displayWidth(shown));
        return columns[i]!.align === "right" ? pad + paint(style, color, shown) : paint(style, color, shown) + pad;
      })
      .join(" ".repeat(GAP))
      .trimEnd(),
  );
}

function cleaned(cell: Cell): Cell {
  return { ...cell, text: displayText(cell.text.replace(/\s*\n\s*/g, " ")) };
}

/** The end of a text, which tells names apart, with an ellipsis if that is not all. */
function cutStart(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  const characters = Array.from(text);
  while (displayWidth(characters.join("")) > columns - 1) characters.shift();
  return `…${characters.join("")}`;
}

/** The beginning of a text that fits into so many columns, with an ellipsis if that is not all. */
export function cut(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  let shown = "";
  let width = 0;
  for (const character of text) {
    width += displayWidth(character);
    if (width > columns - 1) break;
    shown += character;
  }
  return `${shown.trimEnd()}…`;
}
