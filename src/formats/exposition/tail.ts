import { Labels } from "#base/labels";
import { isNaNText, parseFloatBytes } from "../float.ts";
import type { PageExemplar } from "./columns.ts";
import { ExpositionError, quoteBytes, unexpected } from "./error.ts";
import type { LabelBytes } from "./labels.ts";
import type { SeriesTextParser } from "./series.ts";

const SPACE = 32;
const TAB = 9;
const NEWLINE = 10;
/** OpenMetrics: names and values of an exemplar's labels have at most this many characters together. */
const EXEMPLAR_LABEL_CHARACTERS = 128;

/** Reads a sample's timestamp at `start`: whole milliseconds in the text format, seconds in OpenMetrics. */
export function readTimestamp(bytes: Buffer, line: number, start: number, end: number, openMetrics: boolean) {
  const to = wordEnd(bytes, start, end);
  if (openMetrics) {
    if (to === start) throw unexpected("expected timestamp or new record", bytes, line, start);
    return { value: seconds(bytes, line, start, to, "timestamp"), end: to };
  }
  let value = 0;
  for (let i = start; i < to; i++) {
    const digit = bytes[i]! - 48;
    if (digit < 0 || digit > 9) {
      // Prometheus's lexer takes digits only, so a sign is no timestamp.
      if (i === start) throw unexpected("expected timestamp or new record", bytes, line, i);
      throw unexpected("expected next entry after timestamp", bytes, line, i);
    }
    value = value * 10 + digit;
  }
  if (value > 2 ** 63) {
    const text = quoteBytes(bytes, start, to);
    throw new ExpositionError(
      `strconv.ParseInt: parsing ${text}: value out of range while parsing: ${quoteBytes(bytes, line, to)}`,
    );
  }
  return { value, end: to };
}

/** Reads `{labels} value [timestamp]` at `start`, behind ` # `, to the end of the line. */
export function readExemplar(
  bytes: Buffer,
  line: number,
  start: number,
  end: number,
  sample: number,
  parser: SeriesTextParser,
  scratch: LabelBytes,
): { readonly exemplar: PageExemplar; readonly end: number } {
  if (bytes[start] !== SPACE || bytes[start + 1] !== 0x7b) {
    throw unexpected("expected timestamp or new record", bytes, line, start);
  }
  let at = parser.parseExemplar(bytes, line, start + 1, scratch);
  const pairs: [string, string][] = [];
  for (let i = 0; i < scratch.count; i++) pairs.push([scratch.name(i), scratch.value(i)]);
  if (bytes[at] !== SPACE) throw unexpected("expected value after exemplar labels", bytes, line, at);
  at += 1;
  const valueEnd = wordEnd(bytes, at, end);
  const value = parseFloatBytes(bytes, at, valueEnd);
  if (Number.isNaN(value) && !isNaNText(bytes, at, valueEnd)) throw badFloat(bytes, line, at, valueEnd);
  let timestamp = NaN;
  at = valueEnd;
  if (bytes[at] === SPACE) {
    const timestampEnd = wordEnd(bytes, at + 1, end);
    timestamp = seconds(bytes, line, at + 1, timestampEnd, "exemplar timestamp");
    at = timestampEnd;
  }
  if (bytes[at] !== NEWLINE) throw unexpected("expected next entry after exemplar timestamp", bytes, line, at);
  return { exemplar: { sample, labels: exemplarLabels(pairs), value, timestamp }, end: at + 1 };
}

/** Labels of an exemplar, without those that are empty; undefined for those that break the rules of OpenMetrics. */
export function exemplarLabels(pairs: readonly (readonly [string, string])[]): Labels | undefined {
  const given = pairs.filter(([, value]) => value !== "");
  const labels = Labels.from(given);
  let characters = 0;
  for (const text of labels.flat) for (const _ of text) characters += 1;
  return labels.size < given.length || characters > EXEMPLAR_LABEL_CHARACTERS ? undefined : labels;
}

function seconds(bytes: Buffer, line: number, start: number, end: number, what: string): number {
  const value = parseFloatBytes(bytes, start, end);
  if (Number.isNaN(value) && !isNaNText(bytes, start, end)) throw badFloat(bytes, line, start, end);
  if (!Number.isFinite(value))
    throw new ExpositionError(`invalid ${what} ${value > 0 ? "+Inf" : value < 0 ? "-Inf" : "NaN"}`);
  return Math.trunc(value * 1000);
}

/** What Go says of a number that it cannot read. */
export function badFloat(bytes: Buffer, line: number, start: number, end: number): ExpositionError {
  const text = bytes.toString("latin1", start, end);
  const why = /[pP_]/.test(text)
    ? "unsupported character in float"
    : `strconv.ParseFloat: parsing ${quoteBytes(bytes, start, end)}: ${/^[-+]?[\d.]+e?[-+]?\d*$/i.test(text) ? "value out of range" : "invalid syntax"}`;
  return new ExpositionError(`${why} while parsing: ${quoteBytes(bytes, line, end)}`);
}

function wordEnd(bytes: Buffer, start: number, end: number): number {
  let i = start;
  while (i < end && bytes[i] !== SPACE && bytes[i] !== TAB && bytes[i] !== NEWLINE) i += 1;
  return i;
}
