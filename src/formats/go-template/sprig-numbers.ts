import { randomInt } from "node:crypto";
import { formatDuration, parseDuration } from "#base/duration";
import { GoLayout } from "../go-time/go-time.ts";
import { TimeZone } from "../go-time/zone.ts";
import { type GoTime, TemplateError, type TemplateValue } from "./parse.ts";
import { attempt, isTime, type TemplateFunction, text, toFloat, toInteger, typed } from "./values.ts";

/** The functions of sprig (v3.3.0) that work on numbers and times. */

/** No list is made longer than this. */
const MAX_ITEMS = 100_000;

function integers(work: (a: bigint, b: bigint) => bigint) {
  return (...args: TemplateValue[]) => BigInt.asIntN(64, args.map(toInteger).reduce(work));
}
function divisor(work: (a: bigint, b: bigint) => bigint) {
  return (a: TemplateValue, b: TemplateValue) => {
    if (toInteger(b) === 0n) throw new TemplateError("integer divide by zero");
    return BigInt.asIntN(64, work(toInteger(a), toInteger(b)));
  };
}
function largest(a: TemplateValue, ...others: TemplateValue[]): bigint {
  // biome-ignore lint/complexity/useMathMinMax: Math.max takes no bigints
  return others.map(toInteger).reduce((most, each) => (each > most ? each : most), toInteger(a));
}
function smallest(a: TemplateValue, ...others: TemplateValue[]): bigint {
  // biome-ignore lint/complexity/useMathMinMax: Math.min takes no bigints
  return others.map(toInteger).reduce((least, each) => (each < least ? each : least), toInteger(a));
}

/** A decimal number: `digits` / 10^`scale`. */
interface Decimal {
  readonly digits: bigint;
  readonly scale: number;
}

/** The shortest decimal number that is this float, as shopspring/decimal takes it. */
function decimalOf(value: TemplateValue): Decimal {
  const float = toFloat(value);
  if (!Number.isFinite(float)) throw new TemplateError(`Cannot create a Decimal from ${float}`);
  const [, sign, whole, fraction = "", exponent = "0"] = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(String(float))!;
  const digits = BigInt(sign + whole! + fraction);
  const scale = fraction.length - Number(exponent);
  return scale < 0 ? { digits: digits * 10n ** BigInt(-scale), scale: 0 } : { digits, scale };
}
function scaled({ digits, scale }: Decimal, wanted: number): bigint {
  return digits * 10n ** BigInt(wanted - scale);
}
function decimals(work: (a: Decimal, b: Decimal) => Decimal) {
  return (...args: TemplateValue[]) => {
    const { digits, scale } = args.map(decimalOf).reduce(work);
    return Number(`${digits}e-${scale}`);
  };
}
const added = (sign: bigint) => (a: Decimal, b: Decimal) => {
  const scale = Math.max(a.scale, b.scale);
  return { digits: scaled(a, scale) + sign * scaled(b, scale), scale };
};
const DIVISION_DIGITS = 16;

/** Rounded to 16 digits behind the point, halves away from zero. */
function divided(a: Decimal, b: Decimal): Decimal {
  if (b.digits === 0n) throw new TemplateError("decimal division by 0");
  const scale = Math.max(a.scale, b.scale);
  const top = scaled(a, scale) * 10n ** BigInt(DIVISION_DIGITS);
  const bottom = scaled(b, scale);
  const quotient = top / bottom;
  const rest = top % bottom;
  const magnitude = (value: bigint) => (value < 0n ? -value : value);
  const up = magnitude(rest) * 2n >= magnitude(bottom) ? (top < 0n !== bottom < 0n ? -1n : 1n) : 0n;
  return { digits: quotient + up, scale: DIVISION_DIGITS };
}

function rounded(value: TemplateValue, digits: number, ...from: number[]): number {
  const power = 10 ** digits;
  const shifted = power * toFloat(value);
  const fraction = shifted - Math.trunc(shifted);
  return (fraction >= (from[0] ?? 0.5) ? Math.ceil(shifted) : Math.floor(shifted)) / power;
}

function steps(start: number, stop: number, step: number): bigint[] {
  if (stop < start ? step >= 0 : step <= 0) return [];
  if (Math.abs((stop - start) / step) > MAX_ITEMS) throw new TemplateError("the list is too long");
  const found: bigint[] = [];
  for (let at = start; step < 0 ? at > stop : at < stop; at += step) found.push(BigInt(at));
  return found;
}

/** The numbers from the first argument to the last, both included; of three the second one is the step. */
function sequence(...args: number[]): string {
  if (args.length === 0 || args.length > 3) return "";
  const [start, stop] = args.length === 1 ? [1, args[0]!] : [args[0]!, args.at(-1)!];
  const direction = stop < start ? -1 : 1;
  const step = args.length === 3 ? args[1]! : direction;
  if (direction < 0 && step > 0) return "";
  return steps(start, stop + direction, step).join(" ");
}

const layouts = new Map<string, GoLayout>();

function layoutOf(format: string): GoLayout {
  let known = layouts.get(format);
  if (known === undefined) {
    if (layouts.size >= 200) layouts.clear();
    layouts.set(format, (known = new GoLayout(format)));
  }
  return known;
}
function now(): GoTime {
  return { ms: Date.now(), ns: 0, zone: TimeZone.load("Local") };
}
/** A time, or seconds since 1970; anything else is now, as in sprig. */
function timeOf(value: TemplateValue): GoTime {
  if (isTime(value)) return value;
  return typeof value === "bigint" ? { ...now(), ms: Number(value) * 1000 } : now();
}
const zones = new Map<string, TimeZone>();

/** Zones that there are not are UTC, as in sprig. */
function zoneOf(name: string): TimeZone {
  let known = zones.get(name);
  if (known === undefined) {
    try {
      known = TimeZone.load(name);
    } catch {
      known = TimeZone.utc;
    }
    if (zones.size >= 200) zones.clear();
    zones.set(name, known);
  }
  return known;
}
function dateIn(format: string, value: TemplateValue, zone: string): string {
  return layoutOf(format).format(timeOf(value), zoneOf(zone));
}
function moved(by: string, time: GoTime): GoTime {
  const ms = parseDuration(by);
  const whole = Math.floor(ms);
  const ns = time.ns + Math.round((ms - whole) * 1e6);
  return { ...time, ms: time.ms + whole + Math.floor(ns / 1e6), ns: ns % 1e6 };
}
function parsedTime(format: string, value: string): GoTime | undefined {
  const zone = zoneOf("Local");
  const time = { ms: 0, ns: 0, zone };
  return layoutOf(format).parse(value, zone, time) === undefined ? undefined : time;
}
const ZERO_TIME: GoTime = { ms: Date.parse("0001-01-01T00:00:00Z"), ns: 0, zone: TimeZone.utc };

const LARGE_UNITS: readonly (readonly [name: string, seconds: number])[] = [
  ["y", 365 * 86_400],
  ["mo", 30 * 86_400],
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
  ["s", 1],
];
/** A duration in its largest unit, rounded down. */
function roundedDuration(value: TemplateValue): string {
  let seconds = 0;
  if (typeof value === "string") seconds = attempt(() => parseDuration(value), 0) / 1000;
  else if (typeof value === "bigint") seconds = Number(value) / 1e9;
  else if (isTime(value)) seconds = (Date.now() - value.ms) / 1000;
  const size = Math.abs(seconds);
  const unit = LARGE_UNITS.find(([, length]) => size > length);
  return unit === undefined ? "0s" : `${Math.floor(size / unit[1])}${unit[0]}`;
}
function durationText(value: TemplateValue): string {
  const seconds = typeof value === "string" && /^[+-]?\d+$/.test(value) ? Number(value) : 0;
  return formatDuration((typeof value === "bigint" ? Number(value) : seconds) * 1000);
}

function mustMove(by: string, time: GoTime): GoTime {
  try {
    return moved(by, time);
  } catch (cause) {
    throw new TemplateError((cause as Error).message, { cause });
  }
}

export const SPRIG_NUMBERS: readonly (readonly [string, TemplateFunction])[] = [
  // Numbers.
  typed("int", "a", toInteger),
  typed("int64", "a", toInteger),
  typed("float64", "a", toFloat),
  typed("atoi", "s", (value) => (/^[+-]?\d+$/.test(value) ? BigInt.asIntN(64, BigInt(value.replace("+", ""))) : 0n)),
  typed("toDecimal", "a", (value) => {
    const digits = text(value);
    return /^[+-]?[0-7]+$/.test(digits) ? BigInt(Number.parseInt(digits, 8)) : 0n;
  }),
  typed("add", "a*", (...args) => integers((a, b) => a + b)(0n, ...args)),
  typed("add1", "a", (value) => BigInt.asIntN(64, toInteger(value) + 1n)),
  typed(
    "sub",
    "aa",
    integers((a, b) => a - b),
  ),
  typed(
    "mul",
    "aa*",
    integers((a, b) => a * b),
  ),
  typed(
    "div",
    "aa",
    divisor((a, b) => a / b),
  ),
  typed(
    "mod",
    "aa",
    divisor((a, b) => a % b),
  ),
  typed("addf", "a*", (...args) => decimals(added(1n))(0n, ...args)),
  typed("add1f", "a", (value) => decimals(added(1n))(value, 1n)),
  typed("subf", "aa*", decimals(added(-1n))),
  typed(
    "mulf",
    "aa*",
    decimals((a, b) => ({ digits: a.digits * b.digits, scale: a.scale + b.scale })),
  ),
  typed("divf", "aa*", decimals(divided)),
  typed("max", "aa*", largest),
  typed("biggest", "aa*", largest),
  typed("min", "aa*", smallest),
  typed("maxf", "aa*", (...args) => Math.max(...args.map(toFloat))),
  typed("minf", "aa*", (...args) => Math.min(...args.map(toFloat))),
  typed("floor", "a", (value) => Math.floor(toFloat(value))),
  typed("ceil", "a", (value) => Math.ceil(toFloat(value))),
  typed("round", "aif*", rounded),
  typed("until", "i", (count) => steps(0, count, count < 0 ? -1 : 1)),
  typed("untilStep", "iii", steps),
  typed("seq", "i*", sequence),
  typed("randInt", "ii", (least, end) => {
    if (end <= least) throw new TemplateError("invalid argument to Intn");
    return BigInt(least + randomInt(end - least));
  }),
  // Times.
  typed("now", "", now),
  typed("date", "sa", (format, value) => dateIn(format, value, "Local")),
  typed("dateInZone", "sas", dateIn),
  typed("date_in_zone", "sas", dateIn),
  typed("htmlDate", "a", (value) => dateIn("2006-01-02", value, "Local")),
  typed("htmlDateInZone", "as", (value, zone) => dateIn("2006-01-02", value, zone)),
  typed("dateModify", "st", (by, time) => attempt(() => moved(by, time), time)),
  typed("date_modify", "st", (by, time) => attempt(() => moved(by, time), time)),
  typed("mustDateModify", "st", mustMove),
  typed("must_date_modify", "st", mustMove),
  typed("toDate", "ss", (format, value) => parsedTime(format, value) ?? ZERO_TIME),
  typed("mustToDate", "ss", (format, value) => {
    const time = parsedTime(format, value);
    if (time === undefined) throw new TemplateError(`parsing time ${JSON.stringify(value)}: it does not fit ${format}`);
    return time;
  }),
  typed("unixEpoch", "t", (time) => String(Math.floor(time.ms / 1000))),
  typed("ago", "a", (value) => formatDuration(Math.round((Date.now() - timeOf(value).ms) / 1000) * 1000)),
  typed("duration", "a", durationText),
  typed("durationRound", "a", roundedDuration),
];
