import { GoLayout, type Instant } from "./go-time.ts";
import { NAMED_LAYOUTS } from "./layout.ts";
import { daysIn, TimeZone } from "./zone.ts";

/** Parses a time; false if the text does not fit the format. */
export type TimeParser = (text: string, into: Instant) => boolean;

/**
 * The parser of a format of `stage.timestamp` (Alloy's stages/util.go, `convertDateLayout`): a named format, Unix,
 * UnixMs, UnixUs, UnixNs, or a Go layout. A layout without a year means the occurrence closest to now. `now` is in epoch
 * milliseconds. As in Alloy, the zone counts for layouts, not for named formats.
 */
export function timeParser(format: string, zone: TimeZone, now: () => number): TimeParser {
  switch (format) {
    case "Unix":
      return parseUnix;
    case "UnixMs":
      return (text, into) => parseUnits(text, 1_000_000n, into);
    case "UnixUs":
      return (text, into) => parseUnits(text, 1_000n, into);
    case "UnixNs":
      return (text, into) => parseUnits(text, 1n, into);
  }
  const named = NAMED_LAYOUTS.get(format);
  const layout = new GoLayout(named ?? format);
  if (named !== undefined) return (text, into) => layout.parse(text, TimeZone.utc, into) !== undefined;
  if (format.includes("06")) return (text, into) => layout.parse(text, zone, into) !== undefined;
  return (text, into) => layout.parse(text, zone, into) === 0 && setYear(into, zone, now());
}

/**
 * Moves a time of the year 0 to this year, or at the turn of the year to the one that is nearer
 * (Alloy's SetYearForLimitedTimeFormat). The 29th of February of a year without one becomes the 1st of March, as in Go.
 */
function setYear(time: Instant, zone: TimeZone, nowMs: number): true {
  const seconds = Math.floor(time.ms / 1000);
  const local = seconds + zone.offsetAt(seconds);
  const parsed = new Date(local * 1000);
  const now = new Date(nowMs + zone.offsetAt(Math.floor(nowMs / 1000)) * 1000);
  const month = parsed.getUTCMonth() + 1;
  const thisMonth = now.getUTCMonth() + 1;
  let year = now.getUTCFullYear();
  if (month === 12 && thisMonth === 1) year -= 1;
  else if (month === 1 && thisMonth === 12) year += 1;
  let day = parsed.getUTCDate();
  let shownMonth = month;
  if (day > daysIn(month, year)) {
    day = 1;
    shownMonth = month + 1;
  }
  const millis = time.ms - seconds * 1000;
  const shown = Date.UTC(
    year,
    shownMonth - 1,
    day,
    parsed.getUTCHours(),
    parsed.getUTCMinutes(),
    parsed.getUTCSeconds(),
  );
  time.ms = zone.toInstant(shown / 1000) * 1000 + millis;
  return true;
}

const INTEGER = /^[+-]?\d+$/;

/** Seconds, with a fraction if there is exactly one point; the digits after it may be fewer or more than nine. */
function parseUnix(text: string, into: Instant): boolean {
  const parts = text.split(".");
  if (parts.length > 2 || !parts.every((part) => INTEGER.test(part))) return false;
  const seconds = Number(parts[0]);
  const fraction = parts[1] ?? "0";
  const nanos = Math.trunc(Number(fraction) * 10 ** (9 - fraction.length));
  if (!Number.isSafeInteger(seconds * 1000)) return false;
  const millis = Math.floor(nanos / 1_000_000);
  into.ms = seconds * 1000 + millis;
  into.ns = nanos - millis * 1_000_000;
  return true;
}

function parseUnits(text: string, nanosPerUnit: bigint, into: Instant): boolean {
  if (!INTEGER.test(text)) return false;
  const count = BigInt(text.startsWith("+") ? text.slice(1) : text);
  if (BigInt.asIntN(64, count) !== count) return false;
  const nanos = BigInt.asIntN(64, count * nanosPerUnit);
  const ns = ((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n;
  into.ms = Number((nanos - ns) / 1_000_000n);
  into.ns = Number(ns);
  return true;
}
