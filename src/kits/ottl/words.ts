/** Words in other cases. Matches github.com/iancoleman/strcase, which looks at the bytes of ASCII only. */

const CAP = /[A-Z]/;
const LOW = /[a-z]/;
const DIGIT = /[0-9]/;

/** `some_name` and `someName` as `SomeName`; all but letters and digits of ASCII is left out. */
export function goCamel(text: string): string {
  const trimmed = text.trim();
  // The only acronym that the library knows by itself.
  const isAcronym = trimmed === "ID";
  const source = isAcronym ? "id" : trimmed;
  let out = "";
  let isNextCap = true;
  let wasCap = false;
  for (const char of source) {
    const isCap = CAP.test(char);
    const isLow = LOW.test(char);
    let written = char;
    if (isNextCap) {
      if (isLow) written = char.toUpperCase();
    } else if (wasCap && isCap && !isAcronym) written = char.toLowerCase();
    wasCap = isCap;
    if (isCap || isLow) {
      out += written;
      isNextCap = false;
    } else if (DIGIT.test(char)) {
      out += char;
      isNextCap = true;
    } else isNextCap = char === "_" || char === " " || char === "-" || char === ".";
  }
  return out;
}

/** `someName` as `some_name`; `JSONData` as `json_data`. */
export function goSnake(text: string): string {
  const source = text.trim();
  let out = "";
  for (let i = 0; i < source.length; i++) {
    const char = source[i]!;
    const next = source[i + 1];
    const isCap = CAP.test(char);
    const isLow = LOW.test(char);
    const written = isCap ? char.toLowerCase() : char;
    if (next !== undefined) {
      const isDigit = DIGIT.test(char);
      const nextCap = CAP.test(next);
      const nextLow = LOW.test(next);
      const nextDigit = DIGIT.test(next);
      const isBorder =
        (isCap && (nextLow || nextDigit)) || (isLow && (nextCap || nextDigit)) || (isDigit && (nextCap || nextLow));
      if (isBorder) {
        if (isCap && nextLow && i > 0 && CAP.test(source[i - 1]!)) out += "_";
        out += written;
        if (isLow || isDigit || nextDigit) out += "_";
        continue;
      }
    }
    out += char === " " || char === "_" || char === "-" || char === "." ? "_" : written;
  }
  return out;
}
