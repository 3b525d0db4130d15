import { quote } from "#base/labels";

/**
 * Cases as text, so that they can be read and written by hand. A file holds cases one after the other:
 *
 *     === what the case is about
 *     stage.json { expressions = { level = "" } }
 *     --- in
 *     {app="a"} @2024-01-01T00:00:05Z [trace="1"] | the line as it is, to the end
 *     wait 3s
 *     {app="a"} "a line with escapes\xff" "a"*1000
 *     --- out
 *     {app="a"} | …
 *     --- counts
 *     loki_process_dropped_lines_total{reason="drop_stage"} 1
 *
 * An entry is labels, a time, structured metadata and the line; all but the line may be left out. Times are RFC 3339, or
 * relative to the case's clock (`@now`, `@-90s`); without one it is `DEFAULT_TIME`. `--- clock` sets the clock.
 * `--- out` and `--- counts` are Alloy's. Where this agent differs on purpose, `--- differs` says why, and `--- ours` and
 * `--- our counts` say what comes instead. `--- refused` means that the configuration is no good for both, and holds a
 * part of our message; `--- refused by us` is the same if Alloy takes it, and `--- refused by Alloy` has Alloy's words where
 * only this agent takes it.
 */
export interface Case {
  readonly name: string;
  /** One-based, of the `===`. */
  readonly lineNumber: number;
  readonly config: string;
  readonly clock: bigint;
  readonly steps: readonly Step[];
  readonly sections: ReadonlyMap<string, string>;
}

export type Step = CaseEntry | { readonly waitMs: number };

export interface CaseEntry {
  readonly labels: ReadonlyMap<string, string>;
  /** Nanoseconds since 1970. */
  readonly time: bigint;
  readonly metadata: readonly (readonly [name: string, value: string])[];
  readonly line: Buffer;
}

export const DEFAULT_TIME = BigInt(Date.UTC(2024, 0, 1)) * 1_000_000n;
const DEFAULT_CLOCK = BigInt(Date.UTC(2024, 0, 1, 12)) * 1_000_000n;

/** Throws with the case's name for what is no case. */
export function parseCases(text: string): Case[] {
  const cases: Case[] = [];
  const lines = text.split("\n");
  let at = lines.findIndex((line) => line.startsWith("=== "));
  while (at >= 0 && at < lines.length) {
    let end = at + 1;
    while (end < lines.length && !lines[end]!.startsWith("=== ")) end++;
    cases.push(parseCase(lines[at]!.slice(4).trim(), at + 1, lines.slice(at + 1, end)));
    at = end;
  }
  return cases;
}

function parseCase(name: string, lineNumber: number, lines: readonly string[]): Case {
  const sections = new Map<string, string>();
  let section = "config";
  let body: string[] = [];
  for (const line of [...lines, "--- end"]) {
    const header = /^--- (.+)$/.exec(line);
    if (header === null) {
      body.push(line);
      continue;
    }
    sections.set(section, body.join("\n").replace(/\n+$/, ""));
    section = header[1]!;
    body = [];
  }
  try {
    const clockText = sections.get("clock");
    const clock = clockText === undefined || clockText === "" ? DEFAULT_CLOCK : parseTime(clockText, 0n);
    const steps = contentLines(sections.get("in") ?? "").map((line) => parseStep(line, clock));
    return { name, lineNumber, config: sections.get("config")!, clock, steps, sections };
  } catch (cause) {
    throw new Error(`case "${name}" (line ${lineNumber}): ${(cause as Error).message}`, { cause });
  }
}

export function contentLines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

function parseStep(text: string, clock: bigint): Step {
  const wait = /^wait (\S+)$/.exec(text);
  return wait === null ? parseEntry(text, clock) : { waitMs: durationMs(wait[1]!) };
}

export function parseEntry(text: string, clock: bigint): CaseEntry {
  const reader = new Reader(text);
  const labels = new Map<string, string>();
  if (reader.take("{")) for (const [name, value] of reader.pairs("}")) labels.set(name, value);
  const at = reader.match(/@(\S+)/y);
  const metadata = reader.take("[") ? reader.pairs("]") : [];
  const time = at === undefined ? DEFAULT_TIME : parseTime(at[1]!, clock);
  const raw = reader.match(/\| ?/y);
  if (raw !== undefined) return { labels, time, metadata, line: Buffer.from(text.slice(reader.at)) };
  const parts: Buffer[] = [];
  while (!reader.atEnd) {
    const bytes = reader.quoted();
    const times = Number(reader.match(/\*(\d+)/y)?.[1] ?? 1);
    for (let i = 0; i < times; i++) parts.push(bytes);
  }
  return { labels, time, metadata, line: Buffer.concat(parts) };
}

class Reader {
  readonly #text: string;
  at = 0;
  constructor(text: string) {
    this.#text = text;
  }
  get atEnd(): boolean {
    return this.at >= this.#text.length;
  }
  match(pattern: RegExp): RegExpExecArray | undefined {
    this.#space();
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.at += found[0].length;
    return found;
  }
  take(char: string): boolean {
    this.#space();
    if (this.#text[this.at] !== char) return false;
    this.at += 1;
    return true;
  }
  pairs(close: string): [string, string][] {
    const found: [string, string][] = [];
    while (!this.take(close)) {
      const name = this.match(/([^\s=",{}[\]]+)=/y);
      if (name === undefined) throw new Error(`a name is missing in ${this.#text}`);
      found.push([name[1]!, this.quoted().toString()]);
      this.take(",");
    }
    return found;
  }
  quoted(): Buffer {
    const found = this.match(/"((?:[^"\\]|\\.)*)"/y);
    if (found === undefined) throw new Error(`a quoted text is missing in ${this.#text}`);
    return unquote(found[1]!);
  }
  #space(): void {
    while (this.#text[this.at] === " ") this.at += 1;
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" };

function unquote(text: string): Buffer {
  const parts: Buffer[] = [];
  for (const [piece, hex, code, other] of text.matchAll(/\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\(.)|[^\\]+/g)) {
    if (hex !== undefined) parts.push(Buffer.from(hex, "hex"));
    else if (code !== undefined) parts.push(Buffer.from(String.fromCharCode(Number.parseInt(code, 16))));
    else if (other === undefined) parts.push(Buffer.from(piece));
    else if (ESCAPES[other] === undefined) throw new Error(`\\${other} is no escape`);
    else parts.push(Buffer.from(ESCAPES[other]));
  }
  return Buffer.concat(parts);
}

function parseTime(text: string, clock: bigint): bigint {
  if (text === "now") return clock;
  if (/^-\d+(?:ms|s|m|h)$/.test(text)) return clock - BigInt(durationMs(text.slice(1))) * 1_000_000n;
  if (/^-?\d+ns$/.test(text)) return BigInt(text.slice(0, -2));
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  const ms = match === null ? Number.NaN : Date.parse(`${match[1]}Z`);
  if (Number.isNaN(ms)) throw new Error(`${text} is no time`);
  return BigInt(ms) * 1_000_000n + BigInt((match![2] ?? "").padEnd(9, "0"));
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|m|h)$/.exec(text);
  if (match === null) throw new Error(`${text} is no duration`);
  return Number(match[1]) * UNITS[match[2]!]!;
}

/** An entry as it is written in a file. Labels and metadata are sorted. */
export function formatEntry(entry: CaseEntry, clock: bigint): string {
  const parts: string[] = [];
  if (entry.labels.size > 0) parts.push(`{${formatPairs([...entry.labels])}}`);
  if (entry.time !== DEFAULT_TIME) parts.push(`@${formatTime(entry.time, clock)}`);
  if (entry.metadata.length > 0) parts.push(`[${formatPairs(entry.metadata)}]`);
  parts.push(formatLine(entry.line));
  return parts.join(" ");
}

function formatPairs(pairs: readonly (readonly [string, string])[]): string {
  const sorted = [...pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return sorted.map(([name, value]) => `${name}=${quoteBytes(Buffer.from(value))}`).join(", ");
}

function formatTime(time: bigint, clock: bigint): string {
  const behind = clock - time;
  if (behind === 0n) return "now";
  if (behind > 0n && behind < 86_400_000_000_000n && behind % 1_000_000_000n === 0n)
    return `-${behind / 1_000_000_000n}s`;
  const ns = ((time % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const at = new Date(Number((time - ns) / 1_000_000n));
  const year = at.getUTCFullYear();
  if (!(year >= 0 && year <= 9999)) return `${time}ns`; // beyond what RFC 3339 can say
  const seconds = at.toISOString().slice(0, 19);
  const fraction = ns === 0n ? "" : `.${String(ns).padStart(9, "0").replace(/0+$/, "")}`;
  return `${seconds}${fraction}Z`;
}

const PLAIN = /^(?!.*\s$)[^\p{Cc}\p{Cs}\p{Cf}\ufffd\u2028\u2029]*$/u;

function formatLine(line: Buffer): string {
  const text = line.toString();
  return PLAIN.test(text) && line.length < 200 ? `| ${text}`.trimEnd() : formatRuns(line);
}

/** Quoted, with long runs of one character written as `"a"*1000`. */
function formatRuns(line: Buffer): string {
  const parts: string[] = [];
  for (const [piece, char] of line.toString("latin1").matchAll(/([ -~])\1{49,}|(?:(?!([ -~])\2{49})[\s\S])+/g)) {
    parts.push(
      char === undefined
        ? quoteBytes(Buffer.from(piece, "latin1"))
        : `${quoteBytes(Buffer.from(char, "latin1"))}*${piece.length}`,
    );
  }
  return parts.join(" ") || '""';
}

function quoteBytes(bytes: Buffer): string {
  const text = bytes.toString();
  if (Buffer.from(text).equals(bytes) && /^[^\p{Cc}\p{Cs}\p{Cf}\u2028\u2029]*$/u.test(text)) return quote(text);
  let out = "";
  for (const char of bytes.toString("latin1")) {
    const known = Object.entries(ESCAPES).find(([, value]) => value === char)?.[0];
    if (known !== undefined) out += `\\${known}`;
    else if (char >= " " && char <= "~") out += char;
    else out += `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  }
  return `"${out}"`;
}
