import { type SliceableBuffer, sliceable } from "#pipeline/log-batch";

/**
 * What Heroku's log drains (Logplex) send in a request: syslog messages, each behind its length in octets, in a form that is
 * RFC 5424 without structured data (github.com/heroku/x/logplex/encoding, as Alloy uses it for drains).
 * https://devcenter.heroku.com/articles/log-drains#https-drains
 */

/** The bytes cannot be split into messages any further. */
export class DrainFrameError extends Error {
  override readonly name = "DrainFrameError";
}

/** A message is not as it should be; the next one may be. */
export class DrainMessageError extends Error {
  override readonly name = "DrainMessageError";
}

/** Headers end before this. */
const MAX_HEADER = 2_048;
const HEADER =
  /^<(\d{1,3})>\d{1,2} (?:-|(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))) ([^ ]*) ([^ ]*) ([^ ]*) ([^ ]*) /;

/**
 * Walks over the messages of a request:
 *
 * ```ts
 * while (drain.next()) { drain.read(); … drain.hostname, drain.textStart … }
 * ```
 */
export class HerokuDrain {
  readonly bytes: SliceableBuffer;
  hostname = "";
  application = "";
  process = "";
  id = "";
  /** Epoch milliseconds and the nanoseconds beyond them; NaN for a message without a time. */
  ms = Number.NaN;
  ns = 0;
  /** The text is `bytes[textStart, textEnd)`, with the newline that Heroku sends at its end. */
  textStart = 0;
  textEnd = 0;
  #position = 0;
  #frameStart = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = sliceable(bytes);
  }

  /** Goes on to the next message; false after the last. Throws a DrainFrameError, after which nothing more can be read. */
  next(): boolean {
    const { bytes } = this;
    let at = this.#position;
    while (bytes[at] === 0x0a || bytes[at] === 0x0d) at += 1;
    if (at === bytes.length) return false;
    const first = at;
    let length = 0;
    for (; at < bytes.length && at - first < 9; at++) {
      const digit = bytes[at]! - 0x30;
      if (digit < 0 || digit > 9) break;
      length = length * 10 + digit;
    }
    if (at === first || bytes[at] !== 0x20) {
      const shown = JSON.stringify(bytes.latin1Slice(first, Math.min(first + 12, bytes.length)));
      throw new DrainFrameError(
        `expecting the length of a message and a space at byte ${first}, found ${shown}: is the sender a Heroku drain?`,
      );
    }
    this.#frameStart = at + 1;
    this.textEnd = at + 1 + length;
    if (this.textEnd > bytes.length) {
      throw new DrainFrameError(
        `the request ends within a message: it has ${bytes.length - at - 1} of ${length} bytes from byte ${at + 1} on`,
      );
    }
    this.#position = this.textEnd;
    return true;
  }

  /** Reads the message. Throws a DrainMessageError. */
  read(): void {
    const { bytes, textEnd } = this;
    const start = this.#frameStart;
    const text = bytes.latin1Slice(start, Math.min(textEnd, start + MAX_HEADER));
    const header = HEADER.exec(text);
    if (header === null || Number(header[1]) > 255) throw new DrainMessageError(explain(text));
    const [whole, , year, month, day, hour, minute, second, fraction = "", sign, zoneHour, zoneMinute] = header;
    this.hostname = utf8(header[12]!);
    this.application = utf8(header[13]!);
    this.process = utf8(header[14]!);
    this.id = utf8(header[15]!);
    this.textStart = start + whole.length;
    this.ms = Number.NaN;
    this.ns = 0;
    if (year === undefined) return;
    const midnight = new Date(0).setUTCFullYear(Number(year), Number(month) - 1, Number(day));
    const date = new Date(midnight);
    if (date.getUTCDate() !== Number(day) || date.getUTCMonth() !== Number(month) - 1) {
      throw new DrainMessageError(`there is no such day: ${year}-${month}-${day}`);
    }
    const offset = sign === undefined ? 0 : (Number(zoneHour) * 60 + Number(zoneMinute)) * (sign === "-" ? -1 : 1);
    const nanos = Number(fraction.slice(0, 9).padEnd(9, "0"));
    const minutes = Number(hour) * 60 + Number(minute) - offset;
    this.ms = midnight + (minutes * 60 + Number(second)) * 1000 + Math.floor(nanos / 1e6);
    this.ns = nanos % 1e6;
  }
}

function explain(text: string): string {
  const shown = JSON.stringify(text.slice(0, 60));
  if (!/^<\d{1,3}>\d{1,2} /.test(text)) return `expecting a priority and a version such as "<190>1", found ${shown}`;
  if (!/^\S+ (?:-|\d{4}-\d\d-\d\dT[\d:.,]+(?:Z|[+-]\d\d:\d\d)) /.test(text)) {
    return `expecting a time such as 2006-01-02T15:04:05.999999+00:00 after the version, found ${shown}`;
  }
  return `expecting host, application, process and message id after the time, found ${shown}`;
}

/** Of characters that stand for a byte each. */
function utf8(latin1: string): string {
  // A copy in any case, so that the label does not keep the header alive.
  return Buffer.from(latin1, "latin1").toString();
}
