/** Shortens texts to a width, since SVG does not. */

type Font = keyof typeof FONTS;

/** As in graph.css. */
const FONTS = {
  name: "12px system-ui, sans-serif",
  label: "600 14.5px system-ui, sans-serif",
  note: "12px system-ui, sans-serif",
} as const;

const known = new Map<string, string>();
/** Beyond this many the memory is emptied, since causes with numbers in them never come again. */
const MOST_KNOWN = 20_000;
let context: CanvasRenderingContext2D | null | undefined;

/** The text, or as much of it as fits into `width` pixels: its beginning, or its beginning and end if `keepEnd`. */
export function fitText(text: string, font: Font, width: number, keepEnd = false): string {
  const key = `${font} ${width} ${keepEnd} ${text}`;
  let fitted = known.get(key);
  if (fitted === undefined) {
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(key, (fitted = shorten(text, font, width, keepEnd)));
  }
  return fitted;
}

function shorten(text: string, font: Font, width: number, keepEnd: boolean): string {
  // Longer than any box; measuring takes time with the length.
  const whole = !keepEnd && text.length > 120 ? text.slice(0, 120) : text;
  if (whole === text && textWidth(text, font) <= width) return text;
  let fits = 0;
  let tooMany = whole.length;
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (textWidth(cut(whole, middle, keepEnd), font) <= width) fits = middle;
    else tooMany = middle;
  }
  return cut(whole, fits, keepEnd);
}

function cut(text: string, length: number, keepEnd: boolean): string {
  const end = keepEnd ? Math.floor(length / 2) : 0;
  return `${text.slice(0, length - end).trimEnd()}…${end === 0 ? "" : text.slice(-end)}`;
}

export function textWidth(text: string, font: Font): number {
  context ??= document.createElement("canvas").getContext("2d");
  if (context === null) return text.length * 7.5;
  context.font = FONTS[font];
  return context.measureText(text).width;
}
