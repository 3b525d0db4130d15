import { type SliceableBuffer, sliceable } from "#pipeline/log-batch";

/**
 * Syslog messages as RFC 5424 and RFC 3164 have them, read as Alloy reads them (github.com/leodido/go-syslog v4 in its
 * best-effort mode, of which only whole messages count). Deliberately more is accepted where Alloy loses the text of a
 * message: control characters in it, and backslashes in structured data that escape nothing.
 */

/** What a message says beside its text. Missing values and `-` are undefined. */
export interface SyslogMessage {
  /** 0 … 255, from which facility and severity follow; undefined for a raw line without one. */
  readonly priority: number | undefined;
  /** Of RFC 5424 only, at least 1. */
  readonly version: number | undefined;
  readonly hostname: string | undefined;
  readonly appName: string | undefined;
  readonly procId: string | undefined;
  readonly msgId: string | undefined;
  /** Cisco's counters, in decimal digits without leading zeros. */
  readonly messageCounter: string | undefined;
  readonly sequence: string | undefined;
  /** By element id, then by name of the parameter. */
  readonly structuredData: ReadonlyMap<string, ReadonlyMap<string, string>> | undefined;
  /** The time as written; undefined if there is none. */
  readonly time: string | undefined;
  /** Epoch milliseconds and the nanoseconds beyond them; of RFC 3164, which has no year, in the year 0. */
  readonly ms: number;
  readonly ns: number;
  /** The text is `bytes[textStart, textEnd)` of what was parsed. */
  readonly textStart: number;
  readonly textEnd: number;
}

/** Why bytes are no syslog message. */
export class SyslogError extends Error {
  override readonly name = "SyslogError";
}

const SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"] as const;
/** Keywords of RFC 5427. */
const FACILITIES = (
  "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console cron2 " +
  "local0 local1 local2 local3 local4 local5 local6 local7"
).split(" ");

export function severityName(priority: number): string {
  return SEVERITIES[priority % 8]!;
}
/** Empty for a facility that no standard has. */
export function facilityName(priority: number): string {
  return FACILITIES[priority >> 3] ?? "";
}

const PRIORITY = /^<(0|1[0-8]\d|19[01]|[1-9]\d?)>/;
const HEADER_5424 =
  /([1-9]\d{0,2}) (?:-|((\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,9}))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d)))) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) /y;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const HOSTNAME = /([!-9;-~]{1,255}) +/y;
const TAG = /([!-9;-Z\\-~]{1,48})(?:\[([^[\]\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*)\])?/y;
const SD_ID = /\[([!#-<>-\\^-~]{1,32})/y;
const SD_PARAM = / ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\[\s\S])*)"/y;

/** Reads `bytes[start, end)` as RFC 5424. Throws a SyslogError. */
export function parseRfc5424(bytes: Uint8Array, start: number, end: number): SyslogMessage {
  const buffer = sliceable(bytes);
  // One character for each byte, so that places in the text are places in the bytes.
  const text = buffer.latin1Slice(start, end);
  const priority = readPriority(text);
  HEADER_5424.lastIndex = priority.length;
  const header = HEADER_5424.exec(text);
  if (header === null) throw new SyslogError(explain5424(text, priority.length));
  const [, version, time, , , , , , , , , , , hostname, appName, procId, msgId] = header;
  let ms = 0;
  let ns = 0;
  if (time !== undefined) ({ ms, ns } = timeOf(header));
  const at = HEADER_5424.lastIndex;
  const data = readStructuredData(buffer, start, text, at);
  if (data.end < text.length && text[data.end] !== " ") {
    throw new SyslogError(`expecting a space between structured data and message, at byte ${data.end}`);
  }
  return {
    priority: priority.value,
    version: Number(version),
    hostname: orNothing(hostname!),
    appName: orNothing(appName!),
    procId: orNothing(procId!),
    msgId: orNothing(msgId!),
    messageCounter: undefined,
    sequence: undefined,
    structuredData: data.elements,
    time,
    ms,
    ns,
    textStart: Math.min(start + data.end + 1, end),
    textEnd: end,
  };
}

/** Which of Cisco's additions to RFC 3164 messages have. */
export interface CiscoComponents {
  readonly messageCounter: boolean;
  readonly sequenceNumber: boolean;
  readonly hostname: boolean;
  readonly secondFractions: boolean;
}

/** Reads RFC 3164, with or without Cisco's additions. */
export class Rfc3164Parser {
  readonly #header: RegExp;

  constructor(cisco: CiscoComponents | undefined) {
    const { messageCounter = false, sequenceNumber = false, hostname = false, secondFractions = false } = cisco ?? {};
    const isCisco = messageCounter || sequenceNumber || hostname;
    this.#header = new RegExp(
      ` *(?:${messageCounter ? "(\\d*): *" : "($^)"})?(?:${sequenceNumber ? "(\\d+): *" : "($^)"})?` +
        `(?:${hostname ? "([!-9;-~]{1,255}): *" : "($^)"})?${isCisco ? "\\*?" : ""}` +
        `((${MONTHS.join("|")}) ( [1-9]|[12]\\d|3[01]) ([01]\\d|2[0-3]):([0-5]\\d):([0-5]\\d)` +
        `${secondFractions ? "(?:\\.(\\d{1,6}))?" : "($^)?"})${isCisco ? ":?" : ""}(?: +|$)`,
      "y",
    );
  }

  /** Reads `bytes[start, end)`. Throws a SyslogError. */
  parse(bytes: Uint8Array, start: number, end: number): SyslogMessage {
    const textEnd = withoutNewline(bytes, start, end);
    const text = sliceable(bytes).latin1Slice(start, textEnd);
    const priority = readPriority(text);
    this.#header.lastIndex = priority.length;
    const header = this.#header.exec(text);
    if (header === null) {
      throw new SyslogError(`expecting a time such as "Oct 11 22:14:15" at byte ${priority.length}`);
    }
    const [, counter, sequence, ciscoHostname, time, month, day, hour, minute, second, fraction = ""] = header;
    const ms = utc(0, MONTHS.indexOf(month!), Number(day), Number(hour), Number(minute), Number(second));
    if (new Date(ms).getUTCDate() !== Number(day)) throw new SyslogError(`there is no such day: ${time}`);
    const nanos = Number(fraction.padEnd(9, "0"));

    const at = this.#header.lastIndex;
    HOSTNAME.lastIndex = at;
    const host = HOSTNAME.exec(text);
    // A lone word is the message, although Alloy also takes it for the host if a space follows.
    let textAt = host !== null && HOSTNAME.lastIndex < text.length ? HOSTNAME.lastIndex : at;
    TAG.lastIndex = textAt;
    const tag = TAG.exec(text);
    let appName: string | undefined;
    let procId: string | undefined;
    if (tag !== null) {
      const after = TAG.lastIndex;
      // Alloy knows a tag by what follows it, also where the rest is not as it should be.
      if (tag[2] !== undefined || text[after] === ":" || text[after] === "[") [, appName, procId] = tag;
      if (text[after] === ":" && text[after + 1] === " " && after + 2 < text.length) textAt = after + 2;
    }
    return {
      priority: priority.value,
      version: undefined,
      hostname: host?.[1] ?? ciscoHostname,
      appName,
      procId: procId === undefined || procId === "" ? undefined : Buffer.from(procId, "latin1").toString(),
      msgId: undefined,
      messageCounter: counter === undefined ? undefined : decimal(counter),
      sequence: sequence === undefined ? undefined : decimal(sequence),
      structuredData: undefined,
      time,
      ms: ms + Math.floor(nanos / 1e6),
      ns: nanos % 1e6,
      textStart: start + textAt,
      textEnd,
    };
  }
}

/** Many senders end messages with a newline also where their length is announced. */
function withoutNewline(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || bytes[end - 1] !== 0x0a) return end;
  return end - 1 > start && bytes[end - 2] === 0x0d ? end - 2 : end - 1;
}

/** Takes the priority off `bytes[start, end)`, if it has one, and the white space around the rest. */
export function parseRawSyslog(bytes: Uint8Array, start: number, end: number): SyslogMessage {
  let textStart = start;
  let priority: number | undefined;
  if (bytes[start] === 0x3c) {
    const match = /^<(\d{1,9})>/.exec(sliceable(bytes).latin1Slice(start, Math.min(start + 11, end)));
    if (match !== null && Number(match[1]) <= 255) {
      priority = Number(match[1]);
      textStart += match[0].length;
    }
  }
  while (textStart < end && isSpace(bytes[textStart]!)) textStart += 1;
  let textEnd = end;
  while (textEnd > textStart && isSpace(bytes[textEnd - 1]!)) textEnd -= 1;
  return { ...NOTHING, priority, textStart, textEnd };
}

const NOTHING = {
  version: undefined,
  hostname: undefined,
  appName: undefined,
  procId: undefined,
  msgId: undefined,
  messageCounter: undefined,
  sequence: undefined,
  structuredData: undefined,
  time: undefined,
  ms: 0,
  ns: 0,
};

/** The whole of a message as RFC 5424 has it, in Alloy's form: elements and parameters sorted, the time in microseconds. */
export function formatRfc5424(message: SyslogMessage, text: string): string {
  const { priority, version, time, hostname = "-", appName = "-", procId = "-", msgId = "-" } = message;
  const data = [...(message.structuredData ?? [])].sort(byKey).map(([id, params]) => {
    const pairs = [...params].sort(byKey).map(([name, value]) => ` ${name}="${value.replace(/[\\"\]]/g, "\\$&")}"`);
    return `[${id}${pairs.join("")}]`;
  });
  const sd = data.length === 0 ? "-" : data.join("");
  const when = time === undefined ? "-" : canonicalTime(time);
  return `<${priority}>${version} ${when} ${hostname} ${appName} ${procId} ${msgId} ${sd}${text === "" ? "" : ` ${text}`}`;
}

/**
 * A time of RFC 3164 (in the year 0) moved to the current year, or to the one before or after around its turn. `now` is
 * in epoch milliseconds; its year is that of local time, as in Alloy.
 */
export function withCurrentYear(ms: number, now: number): number {
  const time = new Date(ms);
  const today = new Date(now);
  const month = time.getUTCMonth();
  const thisMonth = today.getMonth();
  let year = today.getFullYear();
  if (month === 11 && thisMonth === 0) year -= 1;
  else if (month === 0 && thisMonth === 11) year += 1;
  return time.setUTCFullYear(year);
}

function readPriority(text: string): { readonly value: number; readonly length: number } {
  const match = PRIORITY.exec(text);
  if (match === null) {
    const problem = text.startsWith("<") ? "expecting a priority of 0 to 191 and `>` after `<`" : "expecting `<`";
    throw new SyslogError(`${problem} at the begin`);
  }
  return { value: Number(match[1]), length: match[0].length };
}

/** The fields of a header that is not as it should be are looked at one by one, for the sake of the message. */
function explain5424(text: string, at: number): string {
  const [version = "", time = ""] = text.slice(at).split(" ");
  const looksOld = MONTHS.some((month) => text.startsWith(month, at));
  if (looksOld) return 'this is RFC 3164, and RFC 5424 is expected: set `syslog_format = "rfc3164"`';
  if (!/^[1-9]\d{0,2}$/.test(version)) return `expecting a version of 1 to 999 at byte ${at}`;
  if (time !== "-" && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(time)) {
    return "expecting a time such as 2006-01-02T15:04:05.999999Z, or `-`, after the version";
  }
  return "expecting host, application, process and message id, in visible ASCII and `-` for none, and structured data";
}

function timeOf(header: RegExpExecArray): { readonly ms: number; readonly ns: number } {
  const [, , text, year, month, day, hour, minute, second, fraction = "", sign, zoneHour, zoneMinute] = header;
  const ms = utc(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  if (new Date(ms).getUTCDate() !== Number(day)) throw new SyslogError(`there is no such day: ${text}`);
  const offset =
    sign === undefined ? 0 : (Number(zoneHour) * 60 + Number(zoneMinute)) * (sign === "-" ? -60_000 : 60_000);
  const nanos = Number(fraction.padEnd(9, "0"));
  return { ms: ms - offset + Math.floor(nanos / 1e6), ns: nanos % 1e6 };
}

function utc(year: number, month: number, day: number, hour: number, minute: number, second: number): number {
  const ms = new Date(0).setUTCFullYear(year, month, day);
  return ms + ((hour * 60 + minute) * 60 + second) * 1000;
}

function readStructuredData(
  buffer: SliceableBuffer,
  start: number,
  text: string,
  begin: number,
): { readonly end: number; readonly elements: SyslogMessage["structuredData"] } {
  if (text[begin] === "-") return { end: begin + 1, elements: undefined };
  const elements = new Map<string, Map<string, string>>();
  let at = begin;
  while (text[at] === "[") {
    SD_ID.lastIndex = at;
    const id = SD_ID.exec(text)?.[1];
    if (id === undefined) throw new SyslogError(`expecting the id of an element of structured data at byte ${at + 1}`);
    if (elements.has(id)) throw new SyslogError(`the element ${id} of structured data is there twice`);
    const params = new Map<string, string>();
    elements.set(id, params);
    at = SD_ID.lastIndex;
    for (;;) {
      SD_PARAM.lastIndex = at;
      const param = SD_PARAM.exec(text);
      if (param === null) break;
      const valueEnd = SD_PARAM.lastIndex - 1;
      const value = buffer.utf8Slice(start + valueEnd - param[2]!.length, start + valueEnd);
      params.set(param[1]!, value.replace(/\\(["\\\]])/g, "$1"));
      at = SD_PARAM.lastIndex;
    }
    if (text[at] !== "]") throw new SyslogError(`expecting name="value" or \`]\` in structured data at byte ${at}`);
    at += 1;
  }
  if (at === begin) throw new SyslogError(`expecting structured data or \`-\` at byte ${at}`);
  return { end: at, elements };
}

function orNothing(text: string): string | undefined {
  return text === "-" ? undefined : text;
}

function decimal(digits: string): string {
  return digits.replace(/^0+(?=\d)/, "") || "0";
}

function canonicalTime(time: string): string {
  return time.replace(/\.\d+/, (fraction) => fraction.slice(0, 7).replace(/\.?0*$/, "")).replace(/[+-]00:00$/, "Z");
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
