/** Sizes in bytes as text, in the powers of two that Alloy uses everywhere. */

/** A text that is no size; the message is that of Go's package units. */
export class ByteSizeError extends Error {
  override readonly name = "ByteSizeError";
}

const PREFIXES = ["", "K", "M", "G", "T", "P", "E"] as const;

const LONG_UNITS = new Map(PREFIXES.map((prefix, power) => [power === 0 ? "B" : `${prefix}iB`, 1024 ** power]));
const SHORT_UNITS = new Map(PREFIXES.map((prefix, power) => [`${prefix}B`, 1024 ** power]));

const LIMIT = 2 ** 63;
/** From here on package units refuses another digit. */
const LARGEST_INTEGER = (2n ** 63n - 10n) / 10n;

/**
 * Bytes of a size such as `1MiB`, `512KB` (also 1024 each), `1.5GiB` or `1MiB512KiB`; `0` needs no unit, and one text
 * keeps to `KiB` or `KB`. Matches `units.ParseBase2Bytes` of alecthomas/units, messages included. A fraction of a byte is
 * cut off.
 */
export function parseByteSize(text: string): number {
  try {
    return parseWith(LONG_UNITS, text);
  } catch {
    return parseWith(SHORT_UNITS, text);
  }
}

function parseWith(units: ReadonlyMap<string, number>, text: string): number {
  const invalid = () => new ByteSizeError(`units: invalid ${text}`);
  const negative = text.startsWith("-");
  let rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return 0;
  if (rest === "") throw invalid();
  let total = 0;
  while (rest !== "") {
    const [number, whole, fraction] = /^([0-9]*)(?:\.([0-9]*))?/.exec(rest)!;
    if (!whole && !fraction) throw invalid();
    if (tooLong(whole!) || tooLong(fraction ?? "")) throw invalid();
    rest = rest.slice(number.length);
    const unit = /^[^.0-9]*/.exec(rest)![0];
    rest = rest.slice(unit.length);
    const scale = units.get(unit);
    if (scale === undefined) throw new ByteSizeError(`units: unknown unit ${unit} in ${text}`);
    total += (Number(whole || "0") + (fraction ? Number(fraction) / 10 ** fraction.length : 0)) * scale;
  }
  if (total >= LIMIT) throw new ByteSizeError("units: overflow parsing unit");
  return Math.trunc(negative ? -total : total);
}

/** Whether reading these digits one by one passes the bound where package units gives up. */
function tooLong(digits: string): boolean {
  return digits.length > 18 && BigInt(digits.slice(0, -1)) >= LARGEST_INTEGER;
}

/** A size as `units.Base2Bytes` writes it: `1MiB`, `1KiB512B`, `0B`. */
export function formatByteSize(bytes: number): string {
  if (bytes === 0) return "0B";
  let left = Math.trunc(bytes);
  let text = "";
  for (let power = 0; left !== 0 && power < PREFIXES.length; power++) {
    const digit = left % 1024;
    if (digit !== 0) text = `${digit}${PREFIXES[power]}${power === 0 ? "B" : "iB"}${text}`;
    left = Math.trunc(left / 1024);
  }
  return text;
}

/** A size in words for messages, in its largest unit: `512 bytes`, `3.4 KiB`, `12 MiB`. */
export function roughByteSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} ${bytes === 1 ? "byte" : "bytes"}`;
  let value = bytes;
  let power = 0;
  while (value >= 1024 && power < PREFIXES.length - 1) {
    value /= 1024;
    power += 1;
  }
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)} ${PREFIXES[power]}iB`;
}
