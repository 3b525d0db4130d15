/**
 * Durations as text. Go's form (`1h30m`, `1.5s`) is what configurations use for durations, Prometheus's form (`1d`, `2w`)
 * what some arguments that Prometheus defined use. Inside the agent a duration is a number of milliseconds.
 */

/** A text that is no duration; the message is Go's or Prometheus's. */
export class DurationError extends Error {
  override readonly name = "DurationError";
}

const NANOSECONDS: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["\u00b5s", 1_000n], // the micro sign
  ["\u03bcs", 1_000n], // the Greek letter mu
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
]);

/** 2^63: one more than the longest duration that Go can hold, in nanoseconds. */
const LIMIT = 1n << 63n;

/**
 * Milliseconds of a duration in Go's syntax: a sign, then numbers with units from `ns` to `h`; `0` needs none. Accepts
 * and rejects what Go's `time.ParseDuration` does (time/format.go), with its messages. Fractions of a nanosecond are cut off.
 */
export function parseDuration(text: string): number {
  const invalid = (what: string) => new DurationError(`time: ${what} ${quoteBytes(text)}`);
  const negative = text.startsWith("-");
  let rest = negative || text.startsWith("+") ? text.slice(1) : text;
  if (rest === "0") return 0;
  if (rest === "") throw invalid("invalid duration");
  let total = 0n;
  while (rest !== "") {
    const [number, whole, fraction] = /^([0-9]*)(?:\.([0-9]*))?/.exec(rest)!;
    if (!whole && !fraction) throw invalid("invalid duration");
    const digits = BigInt(whole || "0");
    if (digits > LIMIT) throw invalid("invalid duration");
    rest = rest.slice(number.length);
    const unit = /^[^.0-9]*/.exec(rest)![0];
    if (unit === "") throw invalid("missing unit in duration");
    rest = rest.slice(unit.length);
    const scale = NANOSECONDS.get(unit);
    if (scale === undefined) throw invalid(`unknown unit ${quoteBytes(unit)} in duration`);
    if (digits > LIMIT / scale) throw invalid("invalid duration");
    total += digits * scale;
    if (fraction) total += fractionOf(fraction, scale);
    if (total > LIMIT) throw invalid("invalid duration");
  }
  if (!negative && total === LIMIT) throw invalid("invalid duration");
  return toMilliseconds(negative ? -total : total);
}

/** The digits after the point as nanoseconds, computed in floating point as Go does. Digits beyond an int64 are ignored. */
function fractionOf(digits: string, unit: bigint): bigint {
  let value = 0n;
  let scale = 1;
  for (const digit of digits) {
    const next = value * 10n + BigInt(digit);
    if (value > (LIMIT - 1n) / 10n || next > LIMIT) break;
    value = next;
    scale *= 10;
  }
  return BigInt(Math.trunc(Number(value) * (Number(unit) / scale)));
}

/** A duration as Go's `Duration.String` writes it: `1h30m0s`, `1.5s`, `250ms`, `0s`. Rounded to nanoseconds. */
export function formatDuration(ms: number): string {
  const sign = ms < 0 ? "-" : "";
  const whole = Math.trunc(Math.abs(ms));
  const nanoseconds = BigInt(whole) * 1_000_000n + BigInt(Math.round((Math.abs(ms) - whole) * 1e6));
  if (nanoseconds === 0n) return "0s";
  if (nanoseconds < 1_000n) return `${sign}${nanoseconds}ns`;
  if (nanoseconds < 1_000_000n) return `${sign}${decimal(nanoseconds, 3)}\u00b5s`;
  if (nanoseconds < 1_000_000_000n) return `${sign}${decimal(nanoseconds, 6)}ms`;
  const minutes = nanoseconds / 60_000_000_000n;
  let text = `${decimal(nanoseconds % 60_000_000_000n, 9)}s`;
  if (minutes > 0n) text = `${minutes % 60n}m${text}`;
  if (minutes >= 60n) text = `${minutes / 60n}h${text}`;
  return sign + text;
}

/** A length of time in words for messages, in its largest unit: `40 s`, `3 min`, `2 h`, `8 days`. */
export function roughDuration(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.round(minutes / 30) / 2; // the offsets of time zones show as they are
  return hours < 72 ? `${hours} h` : `${Math.round(hours / 24)} days`;
}

/** `value / 10^places` without zeros at the end. */
function decimal(value: bigint, places: number): string {
  const digits = value.toString().padStart(places + 1, "0");
  const fraction = digits.slice(-places).replace(/0+$/, "");
  const whole = digits.slice(0, -places);
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

const PROMETHEUS_UNITS = new Map<string, { position: number; ms: bigint }>([
  ["y", { position: 1, ms: 365n * 86_400_000n }],
  ["w", { position: 2, ms: 7n * 86_400_000n }],
  ["d", { position: 3, ms: 86_400_000n }],
  ["h", { position: 4, ms: 3_600_000n }],
  ["m", { position: 5, ms: 60_000n }],
  ["s", { position: 6, ms: 1_000n }],
  ["ms", { position: 7, ms: 1n }],
]);

/**
 * Milliseconds of a duration in Prometheus's syntax: whole numbers with units from `y` to `ms`, larger units first, not
 * negative. Matches `model.ParseDuration` of prometheus/common (model/time.go), messages included.
 */
export function parsePrometheusDuration(text: string): number {
  if (text === "0") return 0;
  if (text === "") throw new DurationError("empty duration string");
  const invalid = () => new DurationError(`not a valid duration string: ${JSON.stringify(text)}`);
  let rest = text;
  let last = 0;
  let total = 0n;
  while (rest !== "") {
    const [match, digits, name] = /^([0-9]+)([^0-9]+)/.exec(rest) ?? [];
    if (match === undefined || BigInt(digits!) >= 1n << 64n) throw invalid();
    rest = rest.slice(match.length);
    const unit = PROMETHEUS_UNITS.get(name!);
    if (unit === undefined) {
      throw new DurationError(`unknown unit ${JSON.stringify(name)} in duration ${JSON.stringify(text)}`);
    }
    if (unit.position <= last) throw invalid();
    last = unit.position;
    total += BigInt(digits!) * unit.ms;
    if (total * 1_000_000n >= LIMIT) throw new DurationError("duration out of range");
  }
  return Number(total);
}

/** A duration as Prometheus writes it: `90d`, `1h30m`, `100ms`, `0s`; years and weeks only when nothing remains. Cut to milliseconds. */
export function formatPrometheusDuration(ms: number): string {
  let left = Math.trunc(Math.abs(ms));
  if (left === 0) return "0s";
  let text = ms < 0 ? "-" : "";
  for (const [name, unit] of PROMETHEUS_UNITS) {
    const size = Number(unit.ms);
    const exactOnly = name === "y" || name === "w";
    if (left < size || (exactOnly && left % size !== 0)) continue;
    text += `${Math.floor(left / size)}${name}`;
    left %= size;
  }
  return text;
}

function toMilliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / 1_000_000n) + Number(nanoseconds % 1_000_000n) / 1e6;
}

/** Quotes as package time does: bytes outside printable ASCII as `\xNN`. */
function quoteBytes(text: string): string {
  let out = "";
  for (const byte of new TextEncoder().encode(text)) {
    const char = String.fromCharCode(byte);
    if (byte >= 0x80 || byte < 0x20) out += `\\x${byte.toString(16).padStart(2, "0")}`;
    else out += char === '"' || char === "\\" ? `\\${char}` : char;
  }
  return `"${out}"`;
}
