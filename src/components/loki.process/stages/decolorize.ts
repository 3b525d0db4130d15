import { s } from "#lang/schema";
import type { Stage } from "../stage.ts";

export const decolorizeBody = s.object({}).doc("Removes ANSI escape sequences from the line.");

/**
 * Alloy's stages/decolorize.go; the pattern is https://github.com/acarl005/stripansi's. The punctuation in front is taken
 * possessively (look-ahead and back-reference), which changes no match and keeps long runs of `;` from taking quadratic time.
 */
const ANSI =
  /[\u001b\u009b](?=([[\]()#;?]*))\1(?:(?:(?:[a-zA-Z\d]*(?:;[a-zA-Z\d]*)*)?\u0007)|(?:(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PRZcf-ntqry=><~]))/g;

export function buildDecolorize(): Stage {
  return {
    process(entry) {
      const { data } = entry.store;
      // U+009B is C2 9B in UTF-8; lines with neither introducer, which is nearly all of them, are not decoded.
      const line = data.subarray(entry.start, entry.end);
      if (!line.includes(0x1b) && !line.includes(0x9b)) return true;
      const text = entry.line;
      const plain = text.replace(ANSI, "");
      if (plain !== text) entry.setLine(plain);
      return true;
    },
  };
}
