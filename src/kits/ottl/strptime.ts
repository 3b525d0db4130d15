import { GoLayout, type Instant, type ZoneOfTime } from "#formats/go-time/go-time";
import { TimeZone } from "#formats/go-time/zone";
import { OttlError, OttlTime } from "./value.ts";

/** Times in strptime's formats. Matches internal/coreinternal/timeutils and its ctimefmt of collector-contrib. */

/** Go's layouts for writing. */
const NATIVE: ReadonlyMap<string, string> = new Map([
  ["Y", "2006"],
  ["y", "06"],
  ["m", "01"],
  ["o", "_1"],
  ["q", "1"],
  ["b", "Jan"],
  ["h", "Jan"],
  ["B", "January"],
  ["d", "02"],
  ["e", "_2"],
  ["g", "2"],
  ["a", "Mon"],
  ["A", "Monday"],
  ["H", "15"],
  ["l", "3"],
  ["I", "03"],
  ["p", "PM"],
  ["P", "pm"],
  ["M", "04"],
  ["S", "05"],
  ["L", "999"],
  ["f", "999999"],
  ["s", "999999999"],
  ["Z", "MST"],
  ["z", "Z0700"],
  ["w", "-070000"],
  ["i", "-07"],
  ["j", "-07:00"],
  ["k", "-07:00:00"],
  ["D", "01/02/2006"],
  ["x", "01/02/2006"],
  ["F", "2006-01-02"],
  ["T", "15:04:05"],
  ["X", "15:04:05"],
  ["r", "03:04:05 pm"],
  ["R", "15:04"],
  ["n", "\n"],
  ["t", "\t"],
  ["%", "%"],
  ["c", "Mon Jan 02 15:04:05 2006"],
]);

/** What is tried for reading, in this order, where that is more lenient than what is written. */
const LENIENT: ReadonlyMap<string, readonly string[]> = new Map([
  ["m", ["1"]],
  ["o", ["1"]],
  ["q", ["1"]],
  ["d", ["2"]],
  ["e", ["2"]],
  ["g", ["2"]],
  ["I", ["3"]],
  ["M", ["4"]],
  ["S", ["5"]],
  ["D", ["1/2/2006", "1/2/06"]],
  ["x", ["1/2/2006", "1/2/06"]],
  ["F", ["2006-1-2"]],
  ["T", ["15:4:5"]],
  ["X", ["15:4:5"]],
  ["r", ["3:4:5 pm"]],
  ["R", ["15:4"]],
  ["c", ["Mon Jan 2 15:4:5 2006"]],
  ["z", ["Z0700", "Z07:00", "Z07"]],
]);

/** So many layouts are tried at most: the product of what each directive allows. */
const MOST_LAYOUTS = 64;

/** Throws OttlError for a format that upstream refuses. */
function check(format: string): void {
  if (format === "") throw OttlError.of("the format is empty");
  if (/\d/.test(format)) throw OttlError.of("the format has digits; write the directives of strptime, such as %Y");
  const fraction = /[^.,]%[Lfs]/.exec(format);
  if (fraction !== null) throw OttlError.of(`${fraction[0].slice(1)} must come after "." or ","`);
  for (const [directive] of format.matchAll(/%./gs)) {
    if (!NATIVE.has(directive[1]!)) throw OttlError.of(`unknown directive ${directive} in the format`);
  }
}

/** Writes times; throws OttlError for a format with an error. */
export function timeFormatter(format: string): (time: OttlTime) => string {
  check(format);
  const layout = new GoLayout(format.replace(/%./gs, (directive) => NATIVE.get(directive[1]!)!));
  return (time) => layout.format(instantOf(time), zoneOf(time));
}

/** What JavaScript's dates hold. */
const LAST_MS = 8_640_000_000_000_000n;

function instantOf({ nanos }: OttlTime): Instant {
  const ms = nanos / 1_000_000n - (nanos % 1_000_000n < 0n ? 1n : 0n);
  if (ms > LAST_MS || ms < -LAST_MS) throw OttlError.of("the time is beyond the years that can be written");
  return { ms: Number(ms), ns: Number(nanos - ms * 1_000_000n) };
}

function zoneOf({ offset, zone }: OttlTime): ZoneOfTime {
  return { offsetAt: () => offset, abbreviationAt: () => zone };
}

/** Reads times; throws OttlError for a format or location with an error. `now` is for texts without a year. */
export function timeParser(
  format: string,
  location: string | undefined,
  locale: string | undefined,
  now: () => number,
): (text: string) => OttlTime {
  check(format);
  const ownZone = loadZone(
    location !== undefined && location !== "" ? location : format.endsWith("Z") ? "UTC" : "Local",
  );
  const names = locale === undefined ? undefined : localNames(locale);
  const layouts = layoutsOf(format).map((layout) => new GoLayout(layout));
  const into: Instant = { ms: 0, ns: 0 };
  return (given) => {
    if (given === "") throw OttlError.of("the time is empty");
    const text = names === undefined ? given : inEnglish(given, names);
    const zone = format.includes("%Z") ? zoneIn(text, ownZone) : ownZone;
    // Leading spaces before numbers are allowed anywhere.
    const spaced = text.replace(/ {2,}(?=\d)/g, " ");
    for (const candidate of spaced === text ? [text] : [text, spaced]) {
      for (const layout of layouts) {
        const year = layout.parse(candidate, zone, into);
        if (year === undefined) continue;
        const nanos = BigInt(into.ms) * 1_000_000n + BigInt(into.ns);
        return placed(withYear(nanos, year, now), layout.offsetIn(candidate), zone);
      }
    }
    throw OttlError.of(`${JSON.stringify(given)} does not fit the format ${JSON.stringify(format)}`);
  };
}

/** A time in the zone of this machine, as Go's time.Unix and time.Now give it. */
export function localTime(nanos: bigint): OttlTime {
  const zone = TimeZone.load("Local");
  const seconds = Number(nanos / 1_000_000_000n);
  const offset = zone.offsetAt(seconds);
  return new OttlTime(nanos, offset, zone.abbreviationAt(seconds));
}

/** The zone that an abbreviation in the text stands for. Upstream knows those of the location, and those that are names. */
function zoneIn(text: string, own: TimeZone): TimeZone {
  const words = text.match(/\b[A-Z]{3,5}\b/g) ?? [];
  const found = words.at(-1);
  if (found === undefined || own.offsetOf(found, Date.now() / 1000) !== undefined) return own;
  return loadZone(found);
}

function loadZone(name: string): TimeZone {
  try {
    return TimeZone.load(name);
  } catch {
    throw OttlError.of(`unknown time zone ${JSON.stringify(name)}`);
  }
}

/** The offset of the text, if it has one, so that `Hour` and the like are those of the text. */
function placed(nanos: bigint, written: number | undefined, zone: TimeZone): OttlTime {
  if (written !== undefined) return new OttlTime(nanos, written, written === 0 ? "UTC" : "");
  const seconds = Number(nanos / 1_000_000_000n);
  const offset = zone.offsetAt(seconds);
  return new OttlTime(nanos, offset, offset === 0 ? "UTC" : zone.abbreviationAt(seconds));
}

const DAY_MS = 86_400_000;

/** Texts without a year are of this one, or of the last if they would lie more than a week ahead. */
function withYear(nanos: bigint, year: number, now: () => number): bigint {
  if (year > 0) return nanos;
  const today = now();
  const thisYear = new Date(today).getUTCFullYear();
  const inYear = (target: number): bigint => {
    const date = new Date(Number(nanos / 1_000_000n));
    const moved = new Date(date);
    moved.setUTCFullYear(target);
    return nanos + BigInt(moved.getTime() - date.getTime()) * 1_000_000n;
  };
  const placedNow = inYear(thisYear);
  return Number(placedNow / 1_000_000n) > today + 7 * DAY_MS ? inYear(thisYear - 1) : placedNow;
}

/** All layouts that a format stands for: the last directive varies fastest. */
function layoutsOf(format: string): string[] {
  let layouts = [""];
  for (const [part] of format.matchAll(/%.|[^%]+|%/gs)) {
    const options = part.length === 2 && part[0] === "%" ? (LENIENT.get(part[1]!) ?? [NATIVE.get(part[1]!)!]) : [part];
    const next = layouts.flatMap((layout) => options.map((option) => layout + option));
    layouts = next.slice(0, MOST_LAYOUTS);
  }
  return layouts;
}

const ENGLISH = { months: englishNames("month"), days: englishNames("weekday") };

function englishNames(part: "month" | "weekday"): readonly (readonly [long: string, short: string])[] {
  return namesIn("en", part);
}

/** Names in a language, from January and from Sunday. */
function namesIn(locale: string, part: "month" | "weekday"): readonly (readonly [long: string, short: string])[] {
  const count = part === "month" ? 12 : 7;
  return Array.from({ length: count }, (_, i) => {
    // 1 January 2023 was a Sunday.
    const date = part === "month" ? new Date(Date.UTC(2023, i, 15)) : new Date(Date.UTC(2023, 0, 1 + i));
    const name = (width: "long" | "short") => {
      // With a day beside it, languages that decline give the form that stands in dates.
      const options: Intl.DateTimeFormatOptions =
        part === "month" ? { month: width, day: "numeric" } : { weekday: width };
      const parts = new Intl.DateTimeFormat(locale, { ...options, timeZone: "UTC" }).formatToParts(date);
      return (parts.find((each) => each.type === part)?.value ?? "").toLowerCase();
    };
    return [name("long"), name("short")] as const;
  });
}

/** Names of a language with the English ones, longest first. */
function localNames(locale: string): readonly (readonly [string, string])[] {
  let supported: readonly string[];
  try {
    supported = Intl.DateTimeFormat.supportedLocalesOf(locale);
  } catch {
    throw OttlError.of(`invalid locale ${JSON.stringify(locale)}`);
  }
  if (supported.length === 0) throw OttlError.of(`unsupported locale ${JSON.stringify(locale)}`);
  const pairs: (readonly [string, string])[] = [];
  for (const [part, english] of [
    ["month", ENGLISH.months],
    ["weekday", ENGLISH.days],
  ] as const) {
    for (const [i, [long, short]] of namesIn(locale, part).entries()) {
      pairs.push([long, english[i]![0]], [short, english[i]![1]], [short.replace(/\.$/, ""), english[i]![1]]);
    }
  }
  return pairs.filter(([name]) => name !== "").sort((a, b) => b[0].length - a[0].length);
}

function inEnglish(text: string, names: readonly (readonly [string, string])[]): string {
  return text.replace(/[\p{L}\p{M}]+\.?/gu, (word) => {
    const found = names.find(([name]) => name === word.toLowerCase());
    if (found === undefined) return word;
    return found[1][0]!.toUpperCase() + found[1].slice(1);
  });
}
