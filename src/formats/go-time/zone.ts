/**
 * Time zones by IANA name, through Intl, for layouts and templates: offsets from UTC and abbreviations.
 * Offsets are looked up per quarter of an hour and kept, since Intl is slow and no zone changes its offset in between.
 */
export class TimeZone {
  static readonly utc = new TimeZone("UTC");

  readonly name: string;
  readonly #format: Intl.DateTimeFormat | undefined;
  readonly #offsets = new Map<number, number>();
  readonly #abbreviations = new Map<string, readonly (readonly [name: string, offset: number])[]>();

  private constructor(name: string) {
    this.name = name;
    if (name !== "UTC") {
      this.#format = new Intl.DateTimeFormat("en-US-u-ca-iso8601-nu-latn", {
        timeZone: name,
        year: "numeric",
        month: "numeric",
        day: "numeric",
        hour: "numeric",
        minute: "numeric",
        second: "numeric",
        hourCycle: "h23",
        era: "short",
      });
    }
  }

  /** The zone of a name as Go's `time.LoadLocation` takes it: "" and "UTC", "Local", or an IANA name. Throws if it is unknown. */
  static load(name: string): TimeZone {
    if (name === "" || name === "UTC") return TimeZone.utc;
    if (name === "Local") return TimeZone.load(Intl.DateTimeFormat().resolvedOptions().timeZone);
    if (/^[+-]/.test(name)) throw new RangeError(`unknown time zone ${name}`);
    try {
      return new TimeZone(name);
    } catch (cause) {
      throw new RangeError(`unknown time zone ${name}`, { cause });
    }
  }

  /** Seconds east of UTC at an instant, given in seconds since 1970. */
  offsetAt(seconds: number): number {
    if (this.#format === undefined) return 0;
    const quarter = Math.floor(seconds / 900);
    let offset = this.#offsets.get(quarter);
    if (offset === undefined) {
      offset = this.#lookUp(quarter * 900);
      if (this.#offsets.size >= 4_096) this.#offsets.clear();
      this.#offsets.set(quarter, offset);
    }
    return offset;
  }

  /** The instant at which clocks of the zone show a time (given as if it were UTC), resolved as Go's `time.Date` does. */
  toInstant(localSeconds: number): number {
    const first = this.offsetAt(localSeconds);
    if (first === 0) return localSeconds;
    return localSeconds - this.offsetAt(localSeconds - first);
  }

  /** The offset that an abbreviation such as `CEST` stands for in this zone around a time; undefined if it is none of its. */
  offsetOf(abbreviation: string, seconds: number): number | undefined {
    const year = new Date(seconds * 1000).getUTCFullYear();
    const key = String(year);
    let known = this.#abbreviations.get(key);
    if (known === undefined) {
      const winter = Date.UTC(year, 0, 1) / 1000;
      const summer = Date.UTC(year, 6, 1) / 1000;
      known = [winter, summer].map((at) => [this.abbreviationAt(at), this.offsetAt(at)] as const);
      this.#abbreviations.set(key, known);
    }
    return known.find(([name]) => name === abbreviation)?.[1];
  }

  /** The abbreviation in use at an instant, such as `CET`; where none is known, the offset (`+03`), as tzdata writes it. */
  abbreviationAt(seconds: number): string {
    if (this.#format === undefined) return "UTC";
    // No locale knows all abbreviations; each knows those of its part of the world.
    for (const locale of ["en-US", "en-GB", "en-AU", "en-IN", "en-ZA"]) {
      const parts = new Intl.DateTimeFormat(locale, { timeZone: this.name, timeZoneName: "short" }).formatToParts(
        seconds * 1000,
      );
      const name = parts.find((part) => part.type === "timeZoneName")?.value ?? "";
      if (/^[A-Z]{2,5}$/.test(name)) return name;
    }
    const offset = this.offsetAt(seconds);
    const minutes = Math.abs(Math.trunc(offset / 60));
    const rest = minutes % 60 === 0 ? "" : String(minutes % 60).padStart(2, "0");
    return `${offset < 0 ? "-" : "+"}${String(Math.floor(minutes / 60)).padStart(2, "0")}${rest}`;
  }

  #lookUp(seconds: number): number {
    const field = new Map(this.#format!.formatToParts(seconds * 1000).map((part) => [part.type, part.value]));
    const year = Number(field.get("year"));
    const shown = utcSeconds(
      field.get("era")?.startsWith("B") ? 1 - year : year,
      Number(field.get("month")),
      Number(field.get("day")),
      Number(field.get("hour")),
      Number(field.get("minute")),
      Number(field.get("second")),
    );
    return shown - seconds;
  }
}

/** Seconds since 1970 of a UTC date; months count from 1. Years before 100 are what they say. */
export function utcSeconds(
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number,
): number {
  return daysSinceEpoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's days_from_civil). */
export function daysSinceEpoch(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** How many days a month has; months count from 1. */
export function daysIn(month: number, year: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
