/**
 * Floats as Go's `strconv.FormatFloat` prints them, for the formats e, f and g. JavaScript's toFixed and toPrecision
 * round halves up; Go rounds them to even, so digits come from the exact value.
 */

interface Digits {
  /** Significant decimal digits without zeros at either end; empty for zero. */
  readonly digits: string;
  /** The value is 0.digits × 10^point. */
  readonly point: number;
}

export type FloatFormat = "e" | "f" | "g";

/** `precision` −1 is the shortest that reads back as the same double. Infinities and NaN give `+Inf`, `-Inf` and `NaN`. */
export function formatGoFloat(value: number, format: FloatFormat, precision: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const shortest = precision < 0;
  const exact = shortest ? shortestDigits(Math.abs(value)) : exactDigits(Math.abs(value));
  if (format === "f") {
    const rounded = shortest ? exact : round(exact, exact.point + precision);
    return sign + fixed(rounded, shortest ? Math.max(exact.digits.length - exact.point, 0) : precision);
  }
  if (format === "e") {
    const rounded = shortest ? exact : round(exact, precision + 1);
    return sign + exponential(rounded, shortest ? Math.max(exact.digits.length - 1, 0) : precision);
  }
  const significant = precision === 0 ? 1 : precision;
  const rounded = shortest ? exact : round(exact, significant);
  let threshold = significant;
  if (threshold > rounded.digits.length && rounded.digits.length >= rounded.point) threshold = rounded.digits.length;
  if (shortest) threshold = 6;
  const exponent = rounded.digits === "" ? 0 : rounded.point - 1;
  if (exponent < -4 || exponent >= threshold)
    return sign + exponential(rounded, Math.max(rounded.digits.length - 1, 0));
  return sign + fixed(rounded, Math.max(rounded.digits.length - rounded.point, 0));
}

function shortestDigits(value: number): Digits {
  const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
  return trimmed(mantissa.replace(".", ""), Number(exponent) + 1);
}

/** All decimal digits of a double, of which there are at most 1,075 or so. */
function exactDigits(value: number): Digits {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = biased === 0 ? fraction : fraction | (1n << 52n);
  const exponent = (biased === 0 ? 1 : biased) - 1075;
  if (exponent >= 0) {
    const text = (mantissa << BigInt(exponent)).toString();
    return trimmed(text, text.length);
  }
  // m / 2^k is m × 5^k / 10^k.
  const text = (mantissa * 5n ** BigInt(-exponent)).toString();
  return trimmed(text, text.length + exponent);
}

function trimmed(text: string, point: number): Digits {
  const leading = /^0*/.exec(text)![0].length;
  const digits = text.slice(leading).replace(/0+$/, "");
  return digits === "" ? { digits, point: 0 } : { digits, point: point - leading };
}

/** To `count` digits, halves to even. */
function round({ digits, point }: Digits, count: number): Digits {
  if (count >= digits.length) return { digits, point };
  if (count < 0) return { digits: "", point: 0 };
  const kept = digits.slice(0, count);
  const next = digits[count]!;
  const half = next === "5" && digits.length === count + 1;
  const odd = count > 0 && Number(kept.at(-1)) % 2 === 1;
  const up = half ? odd : next >= "5";
  if (!up) return trimmed(kept, point);
  const raised = (BigInt(kept === "" ? "0" : kept) + 1n).toString().padStart(count, "0");
  return trimmed(raised, point + raised.length - count);
}

function fixed({ digits, point }: Digits, precision: number): string {
  const whole = point > 0 ? digits.slice(0, point).padEnd(point, "0") : "0";
  if (precision === 0) return whole;
  const fraction = (point < 0 ? "0".repeat(-point) : "") + digits.slice(Math.max(point, 0));
  return `${whole}.${fraction.slice(0, precision).padEnd(precision, "0")}`;
}

function exponential({ digits, point }: Digits, precision: number): string {
  const exponent = digits === "" ? 0 : point - 1;
  const fraction = digits.slice(1).padEnd(precision, "0");
  const magnitude = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits[0] ?? "0"}${precision > 0 ? `.${fraction}` : ""}e${exponent < 0 ? "-" : "+"}${magnitude}`;
}
