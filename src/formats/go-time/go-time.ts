import { compileLayout, type LayoutElement, type ZoneKind } from "./layout.ts";
import { daysIn, daysSinceEpoch, TimeZone, utcSeconds } from "./zone.ts";

/** An instant: whole milliseconds since 1970 and the nanoseconds beyond them, as in log batches. */
export interface Instant {
  ms: number;
  ns: number;
}

/** What formatting asks of a zone: one by name, or just an offset with an abbreviation. */
export type ZoneOfTime = Pick<TimeZone, "offsetAt" | "abbreviationAt">;

const LONG_MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const LONG_DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = LONG_MONTHS.map((name) => name.slice(0, 3));
const DAYS = LONG_DAYS.map((name) => name.slice(0, 3));

/** A Go layout that parses and formats times as Go's package time does (format.go). */
export class GoLayout {
  readonly layout: string;
  readonly #elements: readonly LayoutElement[];

  constructor(layout: string) {
    this.layout = layout;
    this.#elements = compileLayout(layout);
  }

  /**
   * Parses as `time.ParseInLocation`: `zone` is meant where the text names none. Returns the calendar year, or undefined
   * if the text does not fit.
   */
  parse(text: string, zone: TimeZone, into: Instant): number | undefined {
    return this.#read(text)?.finish(zone, into);
  }
  /** The offset that a text names, in seconds east of UTC; undefined for a text that names none or does not fit. */
  offsetIn(text: string): number | undefined {
    return this.#read(text)?.offset;
  }
  #read(text: string): Parser | undefined {
    const parser = new Parser(text);
    const elements = this.#elements;
    for (let i = 0; i < elements.length; i++) {
      if (!parser.element(elements[i]!, elements[i + 1])) return undefined;
    }
    return parser.at === text.length ? parser : undefined;
  }

  /** Formats an instant as `Time.Format` in a zone. */
  format(time: Readonly<Instant>, zone: ZoneOfTime): string {
    const seconds = Math.floor(time.ms / 1000);
    const nanos = (time.ms - seconds * 1000) * 1_000_000 + time.ns;
    const offset = zone.offsetAt(seconds);
    const date = new Date((seconds + offset) * 1000);
    let out = "";
    for (const element of this.#elements) out += formatElement(element, date, nanos, offset, zone, seconds);
    return out;
  }
}

class Parser {
  readonly #text: string;
  at = 0;
  #year = 0;
  #month = -1;
  #day = -1;
  #yearDay = -1;
  #hour = 0;
  #minute = 0;
  #second = 0;
  #nanos = 0;
  #afternoon: boolean | undefined;
  #utc = false;
  #offset: number | undefined;
  #zoneName = "";

  constructor(text: string) {
    this.#text = text;
  }

  element(element: LayoutElement, following: LayoutElement | undefined): boolean {
    switch (element.kind) {
      case "literal":
        return this.#literal(element.text);
      case "year": {
        const digits = this.#take(2);
        if (!/^\d\d$/.test(digits)) return false;
        this.#year = Number(digits) + (Number(digits) >= 69 ? 1900 : 2000);
        return true;
      }
      case "longYear": {
        const digits = this.#take(4);
        this.#year = Number(digits);
        return /^\d{4}$/.test(digits);
      }
      case "month":
        return (this.#month = this.#lookUp(MONTHS)) > 0;
      case "longMonth":
        return (this.#month = this.#lookUp(LONG_MONTHS)) > 0;
      case "numMonth":
      case "zeroMonth":
        return (this.#month = this.#number(element.kind === "zeroMonth")) >= 1 && this.#month <= 12;
      case "weekday":
        return this.#lookUp(DAYS) > 0;
      case "longWeekday":
        return this.#lookUp(LONG_DAYS) > 0;
      case "day":
      case "underDay":
      case "zeroDay":
        if (element.kind === "underDay" && this.#text[this.at] === " ") this.at += 1;
        return (this.#day = this.#number(element.kind === "zeroDay")) >= 0;
      case "underYearDay":
      case "zeroYearDay": {
        if (element.kind === "underYearDay") for (let i = 0; i < 2; i++) if (this.#text[this.at] === " ") this.at += 1;
        const digits = /^\d{1,3}/.exec(this.#text.slice(this.at))?.[0] ?? "";
        if (digits === "" || (element.kind === "zeroYearDay" && digits.length !== 3)) return false;
        this.at += digits.length;
        this.#yearDay = Number(digits);
        return true;
      }
      case "hour":
        return (this.#hour = this.#number(false)) >= 0 && this.#hour < 24;
      case "hour12":
      case "zeroHour12":
        return (this.#hour = this.#number(element.kind === "zeroHour12")) >= 0 && this.#hour <= 12;
      case "minute":
      case "zeroMinute":
        return (this.#minute = this.#number(element.kind === "zeroMinute")) >= 0 && this.#minute < 60;
      case "second":
      case "zeroSecond":
        this.#second = this.#number(element.kind === "zeroSecond");
        if (this.#second < 0 || this.#second >= 60) return false;
        // A fraction in the text that the layout does not mention is taken, too.
        if (following?.kind !== "fraction" && /^[.,]\d/.test(this.#text.slice(this.at, this.at + 2))) {
          return this.#fraction(undefined);
        }
        return true;
      case "PM":
      case "pm": {
        const word = this.#take(2);
        const [am, pm] = element.kind === "PM" ? ["AM", "PM"] : ["am", "pm"];
        if (word !== am && word !== pm) return false;
        this.#afternoon = word === pm;
        return true;
      }
      case "fraction":
        if (element.exact) return this.#fraction(element.digits);
        return /^[.,]\d/.test(this.#text.slice(this.at, this.at + 2)) ? this.#fraction(undefined) : true;
      case "zoneName":
        return this.#namedZone();
      default:
        return this.#zone(element.kind, element.iso);
    }
  }

  get offset(): number | undefined {
    return this.#utc ? 0 : this.#offset;
  }

  finish(zone: TimeZone, into: Instant): number | undefined {
    if (this.#afternoon === true && this.#hour < 12) this.#hour += 12;
    else if (this.#afternoon === false && this.#hour === 12) this.#hour = 0;
    if (!this.#resolveDay()) return undefined;
    const year = this.#year;
    let seconds = utcSeconds(year, this.#month, this.#day, this.#hour, this.#minute, this.#second);
    if (this.#offset !== undefined) seconds -= this.#offset;
    else if (this.#zoneName !== "") {
      // An abbreviation that is not the zone's own stands for UTC; so does `GMT-8`, a peculiarity of Go's.
      seconds -= zone.offsetOf(this.#zoneName, seconds) ?? 0;
    } else if (!this.#utc) seconds = zone.toInstant(seconds);
    into.ms = seconds * 1000 + Math.floor(this.#nanos / 1_000_000);
    into.ns = this.#nanos % 1_000_000;
    return year;
  }

  #resolveDay(): boolean {
    if (this.#yearDay >= 0) {
      const leap = daysIn(2, this.#year) === 29;
      if (this.#yearDay < 1 || this.#yearDay > (leap ? 366 : 365)) return false;
      let month = 1;
      let day = this.#yearDay;
      while (day > daysIn(month, this.#year)) day -= daysIn(month++, this.#year);
      if ((this.#month >= 0 && this.#month !== month) || (this.#day >= 0 && this.#day !== day)) return false;
      this.#month = month;
      this.#day = day;
    }
    if (this.#month < 0) this.#month = 1;
    if (this.#day < 0) this.#day = 1;
    return this.#day >= 1 && this.#day <= daysIn(this.#month, this.#year);
  }

  #take(length: number): string {
    const text = this.#text.slice(this.at, this.at + length);
    this.at += text.length;
    return text;
  }

  /** A run of spaces in the layout matches any number of spaces, also none at the end of the text. */
  #literal(literal: string): boolean {
    let i = 0;
    while (i < literal.length) {
      if (literal[i] === " ") {
        if (this.at < this.#text.length && this.#text[this.at] !== " ") return false;
        while (literal[i] === " ") i += 1;
        while (this.#text[this.at] === " ") this.at += 1;
        continue;
      }
      if (this.#text[this.at] !== literal[i]) return false;
      this.at += 1;
      i += 1;
    }
    return true;
  }

  /** One or two digits, two if `fixed`; −1 if there are none. */
  #number(fixed: boolean): number {
    const first = digit(this.#text, this.at);
    if (first < 0) return -1;
    const second = digit(this.#text, this.at + 1);
    if (second < 0) {
      if (fixed) return -1;
      this.at += 1;
      return first;
    }
    this.at += 2;
    return first * 10 + second;
  }

  /** The place of a name in the list, from 1 and regardless of case; 0 if the text has none of them. */
  #lookUp(names: readonly string[]): number {
    const index = names.findIndex(
      (name) => this.#text.slice(this.at, this.at + name.length).toLowerCase() === name.toLowerCase(),
    );
    if (index >= 0) this.at += names[index]!.length;
    return index + 1;
  }

  #fraction(digits: number | undefined): boolean {
    const rest = this.#text.slice(this.at);
    const match = (digits === undefined ? /^[.,](\d+)/ : new RegExp(`^[.,](\\d{${digits}})`)).exec(rest);
    if (match === null) return false;
    this.at += match[0].length;
    this.#nanos = Number(match[1]!.slice(0, 9).padEnd(9, "0"));
    return true;
  }

  #zone(kind: ZoneKind, iso: boolean): boolean {
    if (iso && this.#text[this.at] === "Z") {
      this.at += 1;
      this.#utc = true;
      return true;
    }
    const match = ZONES[kind].exec(this.#text.slice(this.at));
    if (match === null) return false;
    this.at += match[0].length;
    const [, sign, hours, minutes = "0", seconds = "0"] = match;
    if (Number(hours) > 24 || Number(minutes) > 60 || Number(seconds) > 60) return false;
    const offset = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
    this.#offset = sign === "-" ? -offset : offset;
    return true;
  }

  #namedZone(): boolean {
    const rest = this.#text.slice(this.at);
    if (rest.startsWith("UTC")) {
      this.at += 3;
      this.#utc = true;
      return true;
    }
    const name =
      /^(?:ChST|MeST)/.exec(rest)?.[0] ??
      /^GMT(?:[+-](?:[01]?\d|2[0-3])(?!\d))?/.exec(rest)?.[0] ??
      /^[+-](?:[01]?\d|2[0-3])(?!\d)/.exec(rest)?.[0] ??
      upperCaseZone(rest);
    if (name === undefined) return false;
    this.at += name.length;
    this.#zoneName = name;
    return true;
  }
}

/** Three capitals, four that end in T (or WITA), or five that end in T. */
function upperCaseZone(text: string): string | undefined {
  const run = /^[A-Z]{1,6}/.exec(text)?.[0] ?? "";
  if (run.length === 3 || run === "WITA") return run;
  return (run.length === 4 || run.length === 5) && run.endsWith("T") ? run : undefined;
}

const ZONES: Readonly<Record<ZoneKind, RegExp>> = {
  zoneHour: /^([+-])(\d\d)/,
  zone: /^([+-])(\d\d)(\d\d)/,
  zoneColon: /^([+-])(\d\d):(\d\d)/,
  zoneSeconds: /^([+-])(\d\d)(\d\d)(\d\d)/,
  zoneColonSeconds: /^([+-])(\d\d):(\d\d):(\d\d)/,
};

function digit(text: string, at: number): number {
  const code = text.charCodeAt(at) - 48;
  return code >= 0 && code <= 9 ? code : -1;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

function formatElement(
  element: LayoutElement,
  date: Date,
  nanos: number,
  offset: number,
  zone: ZoneOfTime,
  seconds: number,
): string {
  const hour = date.getUTCHours();
  switch (element.kind) {
    case "literal":
      return element.text;
    case "year":
      return two(Math.abs(date.getUTCFullYear()) % 100);
    case "longYear":
      return String(date.getUTCFullYear()).padStart(4, "0");
    case "month":
      return MONTHS[date.getUTCMonth()]!;
    case "longMonth":
      return LONG_MONTHS[date.getUTCMonth()]!;
    case "numMonth":
      return String(date.getUTCMonth() + 1);
    case "zeroMonth":
      return two(date.getUTCMonth() + 1);
    case "weekday":
      return DAYS[date.getUTCDay()]!;
    case "longWeekday":
      return LONG_DAYS[date.getUTCDay()]!;
    case "day":
      return String(date.getUTCDate());
    case "underDay":
      return String(date.getUTCDate()).padStart(2, " ");
    case "zeroDay":
      return two(date.getUTCDate());
    case "underYearDay":
    case "zeroYearDay":
      return String(yearDay(date)).padStart(3, element.kind === "underYearDay" ? " " : "0");
    case "hour":
      return two(hour);
    case "hour12":
      return String(hour % 12 === 0 ? 12 : hour % 12);
    case "zeroHour12":
      return two(hour % 12 === 0 ? 12 : hour % 12);
    case "minute":
      return String(date.getUTCMinutes());
    case "zeroMinute":
      return two(date.getUTCMinutes());
    case "second":
      return String(date.getUTCSeconds());
    case "zeroSecond":
      return two(date.getUTCSeconds());
    case "PM":
      return hour >= 12 ? "PM" : "AM";
    case "pm":
      return hour >= 12 ? "pm" : "am";
    case "zoneName":
      return zone.abbreviationAt(seconds);
    case "fraction": {
      let digits = String(nanos).padStart(9, "0").slice(0, element.digits).padEnd(element.digits, "0");
      if (!element.exact) digits = digits.replace(/0+$/, "");
      return digits === "" ? "" : element.separator + digits;
    }
    default: {
      if (element.iso && offset === 0) return "Z";
      const size = Math.abs(offset);
      const parts = [two(Math.floor(size / 3_600)), two(Math.floor(size / 60) % 60), two(size % 60)];
      const count = element.kind === "zoneHour" ? 1 : element.kind.endsWith("Seconds") ? 3 : 2;
      const sign = offset < 0 ? "-" : "+";
      return sign + parts.slice(0, count).join(element.kind.includes("Colon") ? ":" : "");
    }
  }
}

function yearDay(date: Date): number {
  const year = date.getUTCFullYear();
  return daysSinceEpoch(year, date.getUTCMonth() + 1, date.getUTCDate()) - daysSinceEpoch(year, 1, 1) + 1;
}

const RFC3339_NANO = new GoLayout("2006-01-02T15:04:05.999999999Z07:00");

/** Parses RFC 3339 with a fraction of any length, from bytes; false if the text is no such time. */
export function parseRfc3339(bytes: Uint8Array, start: number, end: number, into: Instant): boolean {
  if (fastRfc3339(bytes, start, end, into)) return true;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("utf8");
  return RFC3339_NANO.parse(text, TimeZone.utc, into) !== undefined;
}

let lastDate = 0;
let lastDays = 0;

/** The usual shape, `2006-01-02T15:04:05[.fraction](Z|±hh:mm)`; what it refuses the full parser may still take. */
function fastRfc3339(b: Uint8Array, start: number, end: number, into: Instant): boolean {
  if (end - start < 20) return false;
  if (b[start + 4] !== 0x2d || b[start + 7] !== 0x2d || b[start + 10] !== 0x54) return false;
  if (b[start + 13] !== 0x3a || b[start + 16] !== 0x3a) return false;
  const century = pair(b, start);
  const year = pair(b, start + 2);
  const month = pair(b, start + 5);
  const day = pair(b, start + 8);
  const hour = pair(b, start + 11);
  const minute = pair(b, start + 14);
  const second = pair(b, start + 17);
  if ((century | year | month | day | hour | minute | second) < 0) return false;
  if (month > 12 || hour > 23 || minute > 59 || second > 59) return false;
  const date = ((century * 100 + year) * 16 + month) * 32 + day;
  if (date !== lastDate) {
    if (month < 1 || day < 1 || day > daysIn(month, century * 100 + year)) return false;
    lastDays = daysSinceEpoch(century * 100 + year, month, day);
    lastDate = date;
  }
  let at = start + 19;
  let nanos = 0;
  if (b[at] === 0x2e) {
    let scale = 100_000_000;
    const first = ++at;
    for (; at < end; at++) {
      const value = b[at]! - 48;
      if (value < 0 || value > 9) break;
      nanos += value * scale;
      scale = scale === 1 ? 0 : scale / 10;
    }
    if (at === first) return false;
  }
  let offset = 0;
  if (end - at === 1 && b[at] === 0x5a) offset = 0;
  else if (end - at === 6 && (b[at] === 0x2b || b[at] === 0x2d) && b[at + 3] === 0x3a) {
    const hours = pair(b, at + 1);
    const minutes = pair(b, at + 4);
    if ((hours | minutes) < 0 || hours > 23 || minutes > 59) return false;
    offset = (hours * 60 + minutes) * (b[at] === 0x2d ? -60 : 60);
  } else return false;
  const seconds = lastDays * 86_400 + hour * 3_600 + minute * 60 + second - offset;
  const millis = Math.floor(nanos / 1_000_000);
  into.ms = seconds * 1000 + millis;
  into.ns = nanos - millis * 1_000_000;
  return true;
}

/** Two digits as a number; negative if they are none. */
function pair(bytes: Uint8Array, at: number): number {
  const high = bytes[at]! - 48;
  const low = bytes[at + 1]! - 48;
  return high >= 0 && high <= 9 && low >= 0 && low <= 9 ? high * 10 + low : -1;
}
