import { isUtf8 } from "node:buffer";
import { normalizeFloatText } from "../float.ts";
import { ExpositionError, quoteBytes, unexpected } from "./error.ts";
import type { LabelBytes } from "./labels.ts";
import type { TypeCode } from "./types.ts";

const SPACE = 32;
const TAB = 9;
const NEWLINE = 10;
const QUOTE = 34;
const BACKSLASH = 92;
const NAME = Buffer.from("__name__");
const LE = "le";
const QUANTILE = "quantile";

/**
 * Where the text of the series that starts at `start` ends, judged by quotes and braces alone: for finding it in a
 * cache. The line may still be malformed.
 */
export function seriesTextEnd(bytes: Buffer, start: number, end: number, spaces: boolean): number {
  let i = start;
  let code = bytes[i]!;
  while (i < end && code !== 0x7b && code !== SPACE && code !== TAB && code !== NEWLINE) code = bytes[++i]!;
  let brace = i;
  if (spaces) while (bytes[brace] === SPACE || bytes[brace] === TAB) brace += 1;
  if (bytes[brace] !== 0x7b) return i;
  for (i = brace + 1; i < end; i++) {
    code = bytes[i]!;
    if (code === 0x7d) return i + 1;
    if (code === QUOTE) {
      for (i += 1; i < end && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i += 1;
    }
  }
  return end;
}

/**
 * Where the text of the series at `start` ends if its line is as nearly all are: labels, a space, a value. Otherwise the end
 * of something that is no series, or 0.
 */
export function textBeforeValue(bytes: Buffer, start: number): number {
  let i = bytes.indexOf(NEWLINE, start) - 1;
  while (i > start && bytes[i] !== SPACE) i -= 1;
  return bytes[i - 1] === 0x7d ? i : 0;
}

/**
 * Reads one series, `name{label="value",…}` or `{"name",…}`, into labels with `__name__` among them, unescaped and not
 * yet sorted, and the labels of exemplars. Errors are those of Prometheus (model/textparse/{prom,openmetrics}parse.go).
 */
export class SeriesTextParser {
  readonly #openMetrics: boolean;
  #bytes: Buffer = Buffer.alloc(0);
  #line = 0;
  #i = 0;
  /** Whether the quoted text read last holds neither escapes nor bytes beyond ASCII. */
  #plain = true;
  /** Whether a name or label name of the last series was quoted and may hold any character. */
  quotedNames = false;

  constructor(openMetrics: boolean) {
    this.#openMetrics = openMetrics;
  }

  /** Reads the series at `start`; returns the offset after it. `type` decides whether `le` and `quantile` are respelt. */
  parse(bytes: Buffer, start: number, type: TypeCode, into: LabelBytes): number {
    this.#bytes = bytes;
    this.#line = start;
    this.#i = start;
    this.quotedNames = false;
    into.clear();
    let named = false;
    if (bytes[start] !== 0x7b) {
      const end = this.#name(true);
      if (end === start) throw unexpected("expected a valid start token", bytes, start, start);
      into.add(NAME, bytes.subarray(start, end));
      named = true;
      this.#i = end;
      const brace = this.#skipSpaces(end);
      if (bytes[brace] !== 0x7b) return end;
      this.#i = brace;
    }
    this.#labels(named, type, into, false);
    return this.#i;
  }

  /** Reads the labels of an exemplar, from its opening brace at `start`; returns the offset after them. */
  parseExemplar(bytes: Buffer, lineStart: number, start: number, into: LabelBytes): number {
    this.#bytes = bytes;
    this.#line = lineStart;
    this.#i = start;
    into.clear();
    this.#labels(true, "unknown", into, true);
    return this.#i;
  }

  #labels(named: boolean, type: TypeCode, into: LabelBytes, exemplar: boolean): void {
    const bytes = this.#bytes;
    this.#i = this.#skipSpaces(this.#i + 1);
    while (bytes[this.#i] !== 0x7d) {
      const start = this.#i;
      const quoted = bytes[start] === QUOTE;
      const end = quoted ? this.#quoted("expected label name") : this.#name(false);
      if (end === start) throw unexpected("expected label name", bytes, this.#line, start);
      this.#i = this.#skipSpaces(end);
      const code = bytes[this.#i];
      if (quoted && (code === 0x2c || code === 0x7d)) {
        if (exemplar) throw unexpected("expected label name", bytes, this.#line, this.#i);
        if (named) {
          throw new ExpositionError(
            `metric name already set while parsing: ${quoteBytes(bytes, this.#line, this.#i + 1)}`,
          );
        }
        into.add(NAME, this.#unescaped(start + 1, end - 1));
        named = true;
        this.quotedNames = true;
        if (code === 0x2c) this.#i = this.#skipSpaces(this.#i + 1);
        continue;
      }
      if (code !== 0x3d) throw unexpected("expected equal", bytes, this.#line, this.#i);
      const valueStart = this.#skipSpaces(this.#i + 1);
      this.#i = valueStart;
      if (bytes[valueStart] !== QUOTE) throw unexpected("expected label value", bytes, this.#line, valueStart);
      const valueEnd = this.#quoted("expected label value");
      if (this.#plain && !quoted && type !== "histogram" && type !== "summary") {
        into.addRanges(bytes, start, end, valueStart + 1, valueEnd - 1);
      } else {
        const name = quoted ? this.#unescaped(start + 1, end - 1) : bytes.subarray(start, end);
        if (quoted) this.quotedNames = true;
        const value = this.#unescaped(valueStart + 1, valueEnd - 1);
        if (!isUtf8(value)) {
          throw new ExpositionError(`invalid UTF-8 label value: ${quoteBytes(bytes, valueStart, valueEnd)}`);
        }
        into.add(name, respelt(type, name, value));
      }
      this.#i = this.#skipSpaces(valueEnd);
      if (bytes[this.#i] === 0x2c) this.#i = this.#skipSpaces(this.#i + 1);
      else if (this.#openMetrics && bytes[this.#i] !== 0x7d) {
        throw unexpected("expected comma or brace close", bytes, this.#line, this.#i);
      }
    }
    this.#i += 1;
    if (!named)
      throw new ExpositionError(`metric name not set while parsing: ${quoteBytes(bytes, this.#line, this.#i)}`);
  }

  /** The offset after the name at the current place. */
  #name(colons: boolean): number {
    const bytes = this.#bytes;
    let i = this.#i;
    for (; ; i++) {
      const code = bytes[i]!;
      const letter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
      const digit = code >= 0x30 && code <= 0x39;
      if (!letter && code !== 0x5f && !(digit && i > this.#i) && !(colons && code === 0x3a)) return i;
    }
  }

  /** The offset after the quoted text at the current place. */
  #quoted(expected: string): number {
    const bytes = this.#bytes;
    this.#plain = true;
    for (let i = this.#i + 1; i < bytes.length; i++) {
      const code = bytes[i]!;
      if (code === QUOTE) return i + 1;
      if (code === BACKSLASH) {
        this.#plain = false;
        i += 1;
      } else if (code >= 0x80) this.#plain = false;
      else if (code === NEWLINE && this.#openMetrics) break;
    }
    throw unexpected(expected, bytes, this.#line, this.#i, "INVALID");
  }

  #skipSpaces(i: number): number {
    if (!this.#openMetrics) while (this.#bytes[i] === SPACE || this.#bytes[i] === TAB) i += 1;
    return i;
  }

  #unescaped(start: number, end: number): Uint8Array {
    const text = this.#bytes.subarray(start, end);
    return text.includes(BACKSLASH) ? unescapeText(text, true) : text;
  }
}

/** Resolves `\\` and `\n`, and `\"` where quotes are escaped; other escapes stay as they are, as in Prometheus. */
export function unescapeText(text: Uint8Array, quotes: boolean): Buffer {
  const out = Buffer.allocUnsafe(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text[i]!;
    const next = text[i + 1];
    if (code === BACKSLASH && (next === BACKSLASH || next === 0x6e || (quotes && next === QUOTE))) {
      out[length++] = next === 0x6e ? NEWLINE : next;
      i += 1;
    } else out[length++] = code;
  }
  return out.subarray(0, length);
}

function respelt(type: TypeCode, name: Uint8Array, value: Uint8Array): Uint8Array {
  const label = type === "histogram" ? LE : type === "summary" ? QUANTILE : undefined;
  if (label === undefined || name.length !== label.length || name[0] !== label.charCodeAt(0)) return value;
  if (Buffer.from(name).toString("latin1") !== label) return value;
  return Buffer.from(normalizeFloatText(Buffer.from(value).toString("utf8")));
}
