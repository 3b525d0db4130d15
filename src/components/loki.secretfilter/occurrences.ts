/** Up to so many texts are looked for one after the other. */
const FEW = 8;
/** By so many of their first characters others are told apart. */
const PREFIX = 6;

/**
 * Calls `found` with the number of a text and its place wherever one of the texts occurs; those of one text do not overlap.
 * The time is that of one pass even for very many texts, as in a long line that somebody filled with secrets. Texts are not
 * empty and all different.
 */
export function findOccurrences(
  haystack: string,
  texts: readonly string[],
  found: (text: number, at: number) => void,
): void {
  const byPrefix = new Map<string, number[]>();
  for (const [i, text] of texts.entries()) {
    if (texts.length <= FEW || text.length < PREFIX) {
      for (let at = haystack.indexOf(text); at >= 0; at = haystack.indexOf(text, at + text.length)) found(i, at);
    } else {
      const prefix = text.slice(0, PREFIX);
      const others = byPrefix.get(prefix);
      if (others === undefined) byPrefix.set(prefix, [i]);
      else others.push(i);
    }
  }
  if (byPrefix.size === 0) return;
  const free = new Float64Array(texts.length);
  for (let at = 0; at + PREFIX <= haystack.length; at++) {
    for (const i of byPrefix.get(haystack.slice(at, at + PREFIX)) ?? []) {
      if (at < free[i]! || !haystack.startsWith(texts[i]!, at)) continue;
      free[i] = at + texts[i]!.length;
      found(i, at);
    }
  }
}
