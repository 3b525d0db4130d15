/** How text looks in a terminal: widths in columns, and safe stand-ins for what must not reach it. */

/** How wide a tab is drawn, as Alloy draws it. */
const tabWidth = 4;

/** East Asian wide and full-width characters outside of those with emoji presentation. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18dff}\u{1aff0}-\u{1b2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|\ufe0f/u;
const zeroWidth = /^[\p{M}\p{Cf}]+$/u;
/** Control characters, unpaired surrogates, and characters that change the direction of what follows. */
const unsafe = /[\p{Cc}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** The number of terminal columns that a text without tabs takes. */
export function displayWidth(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += wide.test(segment) ? 2 : zeroWidth.test(segment) ? 0 : 1;
  return width;
}

/** One line of a source as it can be printed: tabs become spaces, and nothing is left that a terminal would act on. */
export function displayText(line: string): string {
  return withoutControls(line.replaceAll("\r", "").replaceAll("\t", " ".repeat(tabWidth)));
}

/** A message as it can be printed; it keeps its line ends. */
export function displayMessage(message: string): string {
  return message.split(/\r?\n/).map(withoutControls).join("\n");
}

function withoutControls(text: string): string {
  return text.replace(unsafe, (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\ufffd";
  });
}
