import { parseDuration } from "#base/duration";

const DECIMAL = /^[+-]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9][0-9_]*)?$/;
const HEXADECIMAL = /^([+-]?)0[xX]([0-9a-fA-F_]*)(?:\.([0-9a-fA-F_]*))?[pP]([+-]?[0-9][0-9_]*)$/;
const INFINITE = /^[+-]?inf(?:inity)?$/i;
const MISPLACED_UNDERSCORE = /(?:^|[^0-9a-fA-FxX])_|_(?:[^0-9a-fA-F]|$)/;

/** A float as Go's `strconv.ParseFloat(text, 64)` reads it; undefined for what is none or out of range. */
export function parseGoFloat(text: string): number | undefined {
  if (text.includes("_") && MISPLACED_UNDERSCORE.test(text)) return undefined;
  if (DECIMAL.test(text)) return finite(Number(text.replaceAll("_", "")));
  const hexadecimal = HEXADECIMAL.exec(text);
  if (hexadecimal !== null) return hexFloat(hexadecimal);
  if (INFINITE.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return /^nan$/i.test(text) ? Number.NaN : undefined;
}

function hexFloat([, sign, whole, fraction = "", exponent]: RegExpExecArray): number | undefined {
  const digits = `${whole}${fraction}`.replaceAll("_", "");
  if (digits === "") return undefined;
  const power = Number(exponent!.replaceAll("_", "")) - 4 * fraction.replaceAll("_", "").length;
  // In two steps, for powers that alone would leave the range.
  const half = Math.trunc(power / 2);
  const value = finite(Number(BigInt(`0x${digits}`)) * 2 ** half * 2 ** (power - half));
  return value === undefined || sign !== "-" ? value : -value;
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}

/** Seconds of a duration in Go's syntax, as its `Duration.Seconds` computes them; undefined for what is none. */
export function parseGoSeconds(text: string): number | undefined {
  let ms: number;
  try {
    ms = parseDuration(text);
  } catch {
    return undefined;
  }
  const seconds = Math.trunc(ms / 1000);
  return seconds + Math.round((ms - seconds * 1000) * 1e6) / 1e9;
}
