/** Shannon's entropy in bits a character, as Gitleaks works it out (detect/utils.go): by characters over the length in bytes. */
export function shannonEntropy(text: string): number {
  const counts = new Map<number, number>();
  for (const character of text) {
    const code = character.codePointAt(0)!;
    // All bytes that are no UTF-8 are one character to Go.
    const key = code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const length = byteLength(text);
  let entropy = 0;
  for (const count of counts.values()) {
    const share = count / length;
    entropy -= share * Math.log2(share);
  }
  return entropy;
}

/** The length in bytes of a text from a `LineText`. */
export function byteLength(text: string): number {
  let length = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    length += code < 0x80 || (code >= 0xd800 && code <= 0xdfff) ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return length;
}
