/** Powers of ten that a double holds exactly. */
export const POWERS_OF_TEN: Float64Array = Float64Array.from({ length: 23 }, (_, i) => Number(`1e${i}`));

/** Digits up to which a mantissa and a division by an exact power of ten give the correctly rounded double. */
export const EXACT_DIGITS = 15;

/**
 * The number that `bytes[start, end)` spells, as Go's `strconv.ParseFloat` reads decimal numbers, `inf`, `infinity` and
 * `nan` in any case. NaN when it spells none or one beyond the doubles; `isNaNText` tells the two apart.
 */
export function parseFloatBytes(bytes: Buffer, start: number, end: number): number {
  let i = start;
  let code = bytes[i]!;
  const negative = code === 45;
  if (negative || code === 43) i += 1;
  const first = i;
  let mantissa = 0;
  let digits = 0;
  let point = -1;
  for (; i < end; i++) {
    code = bytes[i]! - 48;
    if (code >= 0 && code <= 9) {
      mantissa = mantissa * 10 + code;
      if (mantissa !== 0) digits += 1;
    } else if (code === -2 && point < 0) point = i;
    else break;
  }
  if (digits > EXACT_DIGITS || i - first === (point < 0 ? 0 : 1)) return parseSlowly(bytes, start, end);
  let exponent = point < 0 ? 0 : point + 1 - i;
  if (i < end) {
    if ((bytes[i]! | 0x20) !== 0x65) return NaN;
    i += 1;
    const negativeExponent = bytes[i] === 45;
    if (negativeExponent || bytes[i] === 43) i += 1;
    if (i >= end) return NaN;
    let written = 0;
    for (; i < end; i++) {
      code = bytes[i]! - 48;
      if (code < 0 || code > 9) return NaN;
      written = written * 10 + code;
      if (written > 9999) return parseSlowly(bytes, start, end);
    }
    exponent += negativeExponent ? -written : written;
  }
  if (exponent < -22 || exponent > 22) return parseSlowly(bytes, start, end);
  const value = exponent < 0 ? mantissa / POWERS_OF_TEN[-exponent]! : mantissa * POWERS_OF_TEN[exponent]!;
  return negative ? -value : value;
}

/** Whether `bytes[start, end)` is `nan` in any case, the only text whose number is NaN. */
export function isNaNText(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    end - start === 3 &&
    (bytes[start]! | 0x20) === 0x6e &&
    (bytes[start + 1]! | 0x20) === 0x61 &&
    (bytes[start + 2]! | 0x20) === 0x6e
  );
}

const NUMBER = /^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const INFINITE = /^[+-]?inf(?:inity)?$/i;

function parseSlowly(bytes: Buffer, start: number, end: number): number {
  const text = bytes.toString("latin1", start, end);
  if (NUMBER.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : NaN; // Go: value out of range
  }
  return INFINITE.test(text) ? (text.startsWith("-") ? -Infinity : Infinity) : NaN;
}

/**
 * A value of an `le` or `quantile` label in OpenMetrics' canonical spelling: `1` becomes `1.0`, `.5` becomes `0.5`
 * (Prometheus's labels.FormatOpenMetricsFloat). Texts that are no numbers stay.
 */
export function normalizeFloatText(text: string): string {
  if (/^nan$/i.test(text)) return "NaN";
  if (INFINITE.test(text)) return text.startsWith("-") ? "-Inf" : "+Inf";
  if (!NUMBER.test(text)) return text;
  const value = Number(text);
  if (!Number.isFinite(value)) return text;
  if (value === 1) return "1.0";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  if (value === -1) return "-1.0";
  const magnitude = Math.abs(value);
  // Go's 'g' with the shortest digits has an exponent below 1e-4 and from 1e6 on.
  if (magnitude < 1e-4 || magnitude >= 1e6) {
    const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
    const digits = exponent.slice(1);
    return `${mantissa}e${exponent[0]}${digits.length < 2 ? `0${digits}` : digits}`;
  }
  const plain = String(value);
  return plain.includes(".") ? plain : `${plain}.0`;
}
