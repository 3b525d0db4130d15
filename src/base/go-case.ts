const ASCII = /^[\0-\x7f]*$/;
/** Greek letters with an iota below, whose capital is one character in Go and two in JavaScript. */
const IOTA_BELOW = /[\u1f80-\u1f87\u1f90-\u1f97\u1fa0-\u1fa7]/;
const IOTA_CAPITALS: ReadonlyMap<string, string> = new Map([
  ["\u1fb3", "\u1fbc"],
  ["\u1fc3", "\u1fcc"],
  ["\u1ff3", "\u1ffc"],
]);

/** Go's strings.ToUpper, which maps each character by itself: none becomes several. */
export function upper(value: string): string {
  if (ASCII.test(value)) return value.toUpperCase();
  return value.replace(/[\s\S]/gu, (char) => {
    if (IOTA_BELOW.test(char)) return String.fromCharCode(char.charCodeAt(0) + 8);
    return IOTA_CAPITALS.get(char) ?? one(char, char.toUpperCase());
  });
}

/** Go's strings.ToLower, to which a final sigma is like any other. */
export function lower(value: string): string {
  if (ASCII.test(value)) return value.toLowerCase();
  return value.replace(/[\s\S]/gu, (char) => (char === "\u0130" ? "i" : one(char, char.toLowerCase())));
}

function one(char: string, mapped: string): string {
  return [...mapped].length === 1 ? mapped : char;
}
