/** Logs of security products: CEF, LEEF, CLF and W3C's ELF. Matches logparsingfuncs of the transform processor. */

export class LogFormatError extends Error {
  override readonly name = "LogFormatError";
}

export interface CefMessage {
  /** Version, vendor, product, its version, event class, name, severity. */
  readonly header: readonly string[];
  readonly extensions: ReadonlyMap<string, string>;
}

const CEF_FIELDS = 7;
/** A key of an extension, at the begin or after a space. */
const CEF_KEY = /(?<=^| )([0-9A-Za-z_]+)=/g;

/** ArcSight's Common Event Format, with anything before it. Throws LogFormatError. */
export function parseCef(text: string): CefMessage {
  const start = text.indexOf("CEF:");
  if (start < 0) throw new LogFormatError('a CEF message must contain "CEF:"');
  const fields: string[] = [];
  let current = "";
  let at = start;
  for (; at < text.length && fields.length < CEF_FIELDS; at++) {
    const char = text[at]!;
    const next = text[at + 1];
    if (char === "\\" && (next === "|" || next === "\\")) {
      current += next;
      at += 1;
    } else if (char === "|") {
      fields.push(current);
      current = "";
    } else current += char;
  }
  if (fields.length < CEF_FIELDS) fields.push(current);
  if (fields.length < CEF_FIELDS) {
    throw new LogFormatError(`the header has ${fields.length} fields, and needs ${CEF_FIELDS}, each followed by "|"`);
  }
  const version = fields[0]!.slice("CEF:".length);
  if (version === "") throw new LogFormatError("the CEF message has no version");
  return { header: [version, ...fields.slice(1)], extensions: cefExtensions(text.slice(at)) };
}

function cefExtensions(text: string): ReadonlyMap<string, string> {
  const extensions = new Map<string, string>();
  const keys = [...text.matchAll(CEF_KEY)];
  for (const [i, found] of keys.entries()) {
    const value = text.slice(found.index + found[0].length, keys[i + 1]?.index).replace(/ +$/, "");
    extensions.set(
      found[1]!,
      value.replace(/\\([\\=nr])/g, (_, char) => ({ n: "\n", r: "\r" })[char as "n"] ?? char),
    );
  }
  return extensions;
}

export interface LeefMessage {
  /** Version, vendor, product, its version, event id. */
  readonly header: readonly string[];
  readonly attributes: ReadonlyMap<string, string>;
}

/** IBM's Log Event Extended Format 1.0 and 2.0, with anything before it. Throws LogFormatError. */
export function parseLeef(text: string): LeefMessage {
  const start = text.indexOf("LEEF:");
  if (start < 0) throw new LogFormatError('a LEEF message must contain "LEEF:"');
  const parts = text.slice(start).split("|");
  const version = parts[0]!.slice("LEEF:".length);
  if (parts.length === 1) throw new LogFormatError('the header of LEEF has no "|"');
  if (version !== "1.0" && version !== "2.0") {
    throw new LogFormatError(`LEEF ${JSON.stringify(version)} is not supported, only 1.0 and 2.0`);
  }
  if (parts.length < 5) throw new LogFormatError(`the header of LEEF has ${parts.length - 1} fields, and needs 4`);
  const header = [version, ...parts.slice(1, 5)];
  const behind = (count: number) => parts.slice(count).join("|");
  // The delimiter of version 2 may be left out; then the first attribute is in its place.
  const hasDelimiter = version === "2.0" && parts.length > 5 && !parts[5]!.includes("=");
  if (!hasDelimiter) return { header, attributes: leefAttributes(behind(5), "\t") };
  return { header, attributes: leefAttributes(behind(6), leefDelimiter(parts[5]!)) };
}

function leefDelimiter(text: string): string {
  if (text === "") return "\t";
  const hex = /^0[xX](.*)$/s.exec(text);
  if (hex !== null) {
    if (!/^[0-9A-Fa-f]{2}$/.test(hex[1]!)) throw new LogFormatError(`the delimiter ${JSON.stringify(text)} is no byte`);
    return String.fromCharCode(Number.parseInt(hex[1]!, 16));
  }
  if (Buffer.byteLength(text) !== 1) {
    throw new LogFormatError(`the delimiter ${JSON.stringify(text)} is more than one character`);
  }
  return text;
}
function leefAttributes(text: string, delimiter: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const pair of text.split(delimiter)) {
    const equals = pair.indexOf("=");
    if (equals > 0) attributes.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  return attributes;
}

export interface ClfMessage {
  readonly host: string;
  readonly identity: string;
  readonly user: string;
  readonly timestamp: string;
  readonly request: string;
  readonly status: bigint;
  readonly bytes: bigint | undefined;
  /** Of the combined format. */
  readonly referrer: string | undefined;
  readonly userAgent: string | undefined;
}

const QUOTED = String.raw`"((?:[^"\\]|\\.)*)"`;
const COMMON = String.raw`^(\S+) (\S+) (\S+) \[([^\]]+)\] ${QUOTED} (\S+) (\S+)`;
const CLF = new RegExp(`${COMMON}$`);
const COMBINED = new RegExp(`${COMMON} ${QUOTED} ${QUOTED}$`);
const CONTROLS: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", b: "\b", f: "\f", v: "\v" };

function unescapeClf(text: string): string {
  return text.replace(/\\(?:x([0-9A-Fa-f]{2})|([\\"ntrbfv]))/g, (_, hex?: string, char?: string) =>
    hex === undefined ? (CONTROLS[char!] ?? char!) : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}
function decimal(text: string, what: string): bigint {
  if (!/^[+-]?[0-9]{1,18}$/.test(text)) throw new LogFormatError(`the ${what} ${JSON.stringify(text)} is no number`);
  return BigInt(text.replace("+", ""));
}

/** The Common Log Format of web servers, or the combined one. Throws LogFormatError. */
export function parseClf(text: string, format: "clf" | "combined"): ClfMessage {
  const found = (format === "clf" ? CLF : COMBINED).exec(text.trim());
  if (found === null) throw new LogFormatError(`the line is not in the format ${JSON.stringify(format)}`);
  const [, host, identity, user, timestamp, request, status, bytes, referrer, userAgent] = found as string[];
  return {
    host: host!,
    identity: identity!,
    user: user!,
    timestamp: timestamp!,
    request: unescapeClf(request!),
    status: decimal(status!, "status"),
    bytes: bytes === "-" ? undefined : decimal(bytes!, "number of bytes"),
    referrer: referrer === undefined ? undefined : unescapeClf(referrer),
    userAgent: userAgent === undefined ? undefined : unescapeClf(userAgent),
  };
}

export interface ElfMessage {
  /** `version`, `software` and the like, by their names in lower case. */
  readonly directives: ReadonlyMap<string, string>;
  readonly fields: readonly string[];
  readonly entries: readonly ReadonlyMap<string, string>[];
}

const ELF_DIRECTIVES = ["version", "software", "date", "start-date", "end-date", "remark"];

/** W3C's Extended Log Format: directives and lines of data. Throws LogFormatError. */
export function parseElf(text: string): ElfMessage {
  const directives = new Map<string, string>();
  const entries: ReadonlyMap<string, string>[] = [];
  let fields: readonly string[] = [];
  for (const line of text.split(/\r\n|\r|\n/).map((each) => each.trim())) {
    if (line === "") continue;
    if (!line.startsWith("#")) {
      if (fields.length === 0) throw new LogFormatError("data comes before #Fields");
      const values = elfValues(line);
      entries.push(new Map(fields.map((field, i) => [field, values[i] ?? "-"] as const)));
      continue;
    }
    const colon = line.indexOf(":");
    const name = line
      .slice(1, colon < 0 ? undefined : colon)
      .trim()
      .toLowerCase();
    if (colon < 0) {
      if (name.startsWith("fields")) throw new LogFormatError("#Fields has no colon");
      continue;
    }
    const value = line.slice(colon + 1).trim();
    if (name === "fields") fields = value.split(/\s+/).filter((each) => each !== "");
    else if (ELF_DIRECTIVES.includes(name)) directives.set(name, value);
  }
  if (!directives.has("version")) throw new LogFormatError("#Version is missing");
  return { directives, fields, entries };
}

function elfValues(line: string): string[] {
  const values: string[] = [];
  const token = /[ \t]*(?:"((?:[^"]|"")*)"|([^" \t][^ \t]*)|(".*))/gy;
  for (const [, quoted, plain, open] of line.matchAll(token)) {
    if (open !== undefined) throw new LogFormatError("a quoted value does not end");
    values.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'));
  }
  return values;
}
