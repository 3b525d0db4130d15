import { DurationError, parseDuration } from "#base/duration";
import * as p from "./parameters.ts";
import { define, type OttlFunction, optional } from "./parameters.ts";
import { localTime, timeFormatter, timeParser } from "./strptime.ts";
import { OttlDuration, OttlError, OttlTime, type OttlValue } from "./value.ts";

/** Converters of times and durations. Matches pkg/ottl/ottlfuncs. */

/** Nanoseconds from the first of January of the year 1, where Go's times begin, to 1970. */
const BEFORE_1970 = 62_135_596_800_000_000_000n;

/** The clock of a time where it is: its offset is added. */
function dateOf({ nanos, offset }: OttlTime): Date {
  const date = new Date(Number(floor(nanos, 1_000_000n)) + offset * 1000);
  if (Number.isNaN(date.getTime())) throw OttlError.of("the time is beyond the years that can be told");
  return date;
}
function floor(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}
function modulo(value: bigint, by: bigint): bigint {
  return value - floor(value, by) * by;
}

function ofTime(name: string, read: (time: OttlTime) => OttlValue): OttlFunction {
  return define(
    name,
    { time: p.time },
    ({ time }) =>
      (c) =>
        read(time.get(c)),
  );
}
function partOf(name: string, read: (date: Date) => number): OttlFunction {
  return ofTime(name, (time) => BigInt(read(dateOf(time))));
}
function ofDuration(name: string, read: (nanos: bigint) => OttlValue): OttlFunction {
  return define(
    name,
    { duration: p.duration },
    ({ duration }) =>
      (c) =>
        read(duration.get(c).nanos),
  );
}
/** As Go computes it: the whole units, and the rest as a fraction. */
function units(nanos: bigint, unit: bigint): number {
  return Number(nanos / unit) + Number(nanos % unit) / Number(unit);
}

const duration = define("Duration", { duration: p.text }, ({ duration: text }) => (c) => {
  try {
    return new OttlDuration(BigInt(Math.round(parseDuration(text.get(c)) * 1e6)));
  } catch (error) {
    if (error instanceof DurationError) throw OttlError.of(error.message);
    throw error;
  }
});

const time = define(
  "Time",
  { time: p.text, format: p.textLiteral, location: optional(p.textLiteral), locale: optional(p.textLiteral) },
  ({ time: text, format, location, locale }) => {
    const parse = timeParser(format, location, locale, Date.now);
    return (c) => parse(text.get(c));
  },
);

const formatTime = define("FormatTime", { time: p.time, format: p.textLiteral }, ({ time: from, format }) => {
  const write = timeFormatter(format);
  return (c) => write(from.get(c));
});

const truncateTime = define("TruncateTime", { time: p.time, duration: p.duration }, ({ time: from, duration: by }) => {
  return (c) => {
    const given = from.get(c);
    const { nanos } = by.get(c);
    if (nanos <= 0n) return given;
    return new OttlTime(given.nanos - modulo(given.nanos + BEFORE_1970, nanos), given.offset, given.zone);
  };
});

const unix = define("Unix", { seconds: p.int, nanoseconds: optional(p.int) }, ({ seconds, nanoseconds }) => (c) => {
  return localTime(seconds.get(c) * 1_000_000_000n + (nanoseconds?.get(c) ?? 0n));
});

export const timeConverters: readonly OttlFunction[] = [
  duration,
  time,
  formatTime,
  truncateTime,
  unix,
  define("Now", {}, () => () => localTime(BigInt(Date.now()) * 1_000_000n)),
  partOf("Year", (date) => date.getUTCFullYear()),
  partOf("Month", (date) => date.getUTCMonth() + 1),
  partOf("Day", (date) => date.getUTCDate()),
  partOf("Weekday", (date) => date.getUTCDay()),
  partOf("Hour", (date) => date.getUTCHours()),
  partOf("Minute", (date) => date.getUTCMinutes()),
  partOf("Second", (date) => date.getUTCSeconds()),
  ofTime("Nanosecond", ({ nanos }) => modulo(nanos, 1_000_000_000n)),
  ofTime("UnixNano", ({ nanos }) => BigInt.asIntN(64, nanos)),
  ofTime("UnixMicro", ({ nanos }) => floor(nanos, 1_000n)),
  ofTime("UnixMilli", ({ nanos }) => floor(nanos, 1_000_000n)),
  ofTime("UnixSeconds", ({ nanos }) => floor(nanos, 1_000_000_000n)),
  ofDuration("Hours", (nanos) => units(nanos, 3_600_000_000_000n)),
  ofDuration("Minutes", (nanos) => units(nanos, 60_000_000_000n)),
  ofDuration("Seconds", (nanos) => units(nanos, 1_000_000_000n)),
  ofDuration("Milliseconds", (nanos) => nanos / 1_000_000n),
  ofDuration("Microseconds", (nanos) => nanos / 1_000n),
  ofDuration("Nanoseconds", (nanos) => nanos),
];
