/**
 * Floats as Go's `strconv.FormatFloat` prints them. JavaScript's toFixed and toPrecision
 * round halves up; Go rounds them to even, so digits come from the exact value.
 */

interface Digits {
  /** Significant decimal digits without zeros at either end; empty for zero. */
  readonly digits: string;
  /** The value is 0.digits × 10^point. */
  readonly point: number;
}

export type FloatFormat = "b" | "e" | "f" | "g" | "x";

/** `precision` −1 is the shortest that reads back as the same double. Infinities and NaN give `+Inf`, `-Inf` and `NaN`. */
export function formatGoFloat(value: number, format: FloatFormat, precision: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  if (format === "b") return sign + binary(Math.abs(value));
  if (format === "x") return sign + hexadecimal(Math.abs(value), precision);
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
  const exponent = rounded.point - 1;
  if (exponent < -4 || exponent >= threshold)
    return sign + exponential(rounded, Math.max(rounded.digits.length - 1, 0));
  return sign + fixed(rounded, Math.max(rounded.digits.length - rounded.point, 0));
}

function shortestDigits(value: number): Digits {
  const [mantissa, exponent] = value.toExponential().split("e") as [string, string];
  return trimmed(mantissa.replace(".", ""), Number(exponent) + 1);
}

/** The value is mantissa × 2^exponent. */
function parts(value: number): { readonly mantissa: bigint; readonly exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = biased === 0 ? fraction : fraction | (1n << 52n);
  return { mantissa, exponent: (biased === 0 ? 1 : biased) - 1075 };
}

function signed(exponent: number, digits: number): string {
  return `${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(digits, "0")}`;
}

/** `5066549580791808p-51`. */
function binary(value: number): string {
  const { mantissa, exponent } = parts(value);
  return `${mantissa}p${signed(exponent, 1)}`;
}

/** `0x1.8p+01`, with `precision` digits behind the point or as many as it takes. */
function hexadecimal(value: number, precision: number): string {
  const { mantissa, exponent } = parts(value);
  if (mantissa === 0n) return `0x0${precision > 0 ? `.${"0".repeat(precision)}` : ""}p+00`;
  const shift = 53 - mantissa.toString(2).length;
  let scaled = mantissa << BigInt(shift); // 1.(52 bits)
  let power = exponent - shift + 52;
  if (precision >= 0 && precision < 13) {
    const unit = 1n << BigInt(52 - 4 * precision);
    const rest = scaled % unit;
    scaled -= rest;
    if (rest * 2n > unit || (rest * 2n === unit && (scaled / unit) % 2n === 1n)) scaled += unit;
    if (scaled >> 53n) {
      scaled >>= 1n;
      power += 1;
    }
  }
  const all = (scaled & 0xfffffffffffffn).toString(16).padStart(13, "0");
  const fraction = precision < 0 ? all.replace(/0+$/, "") : all.slice(0, precision).padEnd(precision, "0");
  return `0x1${fraction === "" ? "" : `.${fraction}`}p${signed(power, 2)}`;
}

/** All decimal digits of a double, of which there are at most 1,075 or so. */
function exactDigits(value: number): Digits {
  const { mantissa, exponent } = parts(value);
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
  return `${digits[0] ?? "0"}${precision > 0 ? `.${fraction}` : ""}e${signed(exponent, 2)}`;
}
