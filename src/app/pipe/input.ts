import { Labels } from "#base/labels";
import { ExpositionError } from "#formats/exposition/error";
import { ExpositionParser } from "#formats/exposition/exposition";
import { type Instant, parseRfc3339 } from "#formats/go-time/go-time";
import { LogqlError, parseLogSelector } from "#formats/logql";
import { ScrapeLabels } from "#kits/scrape/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { MetricBatch } from "#pipeline/batch";
import type { SeriesRegistry } from "#pipeline/series";

/** A log entry to feed. */
export interface InputEntry {
  readonly line: Uint8Array | string;
  readonly labels: Labels;
  /** Epoch milliseconds, and the nanoseconds beyond them. */
  readonly ms: number;
  readonly ns: number;
  /** Flat pairs. */
  readonly metadata: readonly string[];
}

/** What was given cannot be read; the message says where and what is wanted. */
export class InputError extends Error {
  override readonly name = "InputError";
}

/** The labels in `{app="web", env="dev"}`; of an empty text there are none. Throws an InputError. */
export function parseLabels(text: string): Labels {
  if (text.trim() === "" || text.trim() === "{}") return Labels.empty;
  try {
    const { matchers, filters } = parseLogSelector(text);
    if (filters.length === 0 && matchers.every(({ op }) => op === "=")) {
      return Labels.from(matchers.map(({ name, value }) => [name, value]));
    }
  } catch (error) {
    if (!(error instanceof LogqlError)) throw error;
    throw new InputError(`labels ${text} cannot be read: ${error.message}; write them as {app="web"}`);
  }
  throw new InputError(`labels ${text} are a search, not a label set: write them as {app="web"}`);
}

export type InputForm = "lines" | "json";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const NS_PER_MS = 1_000_000;
const KEYS: ReadonlySet<string> = new Set(["line", "labels", "timestamp", "metadata", "type"]);

/**
 * Makes entries of text that comes in pieces. A line is an entry of its own, or (`json`) an object with `line` and, if it
 * has them, `labels`, `timestamp` (RFC 3339) and `metadata`. Entries without a time get the current one, each a nanosecond
 * later than the one before, as the lines of a file do.
 */
export class EntryReader {
  readonly #form: InputForm;
  readonly #labels: Labels;
  readonly #now: () => number;
  #rest: Buffer = Buffer.alloc(0);
  #line = 0;
  #ms = 0;
  #ns = 0;

  constructor(form: InputForm, labels: Labels, now: () => number) {
    this.#form = form;
    this.#labels = labels;
    this.#now = now;
  }

  /** The entries that `chunk` completes. Throws an InputError at the first line that cannot be read. */
  *read(chunk: Uint8Array): Generator<InputEntry> {
    const bytes = this.#rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, at)) {
      yield* this.#entry(bytes.subarray(at, end));
      at = end + 1;
    }
    this.#rest = bytes.subarray(at);
  }

  /** The entry of a last line without a newline. */
  *end(): Generator<InputEntry> {
    if (this.#rest.length > 0) yield* this.#entry(this.#rest);
  }

  *#entry(bytes: Buffer): Generator<InputEntry> {
    this.#line += 1;
    const line = bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
    if (this.#form === "lines") yield { line, labels: this.#labels, ...this.#time(), metadata: [] };
    else if (line.length > 0) yield* this.#parse(line.toString("utf8"));
  }

  #time(): Instant {
    const ms = Math.floor(this.#now());
    if (ms > this.#ms) {
      this.#ms = ms;
      this.#ns = 0;
    } else if (++this.#ns === NS_PER_MS) {
      this.#ms += 1;
      this.#ns = 0;
    }
    return { ms: this.#ms, ns: this.#ns };
  }

  *#parse(text: string): Generator<InputEntry> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      // The parser counts lines as well, and always comes to 1.
      throw this.#error(`is not JSON: ${(error as Error).message.replace(/ \(line \d+ column \d+\)$/, "")}`);
    }
    let fields = objectEntries(value);
    if (fields?.has("event")) {
      // What `invar tap --format json` writes can be fed as it is; the agent's own messages among it are no entries.
      if (fields.get("event") !== "item") return;
      fields = objectEntries(fields.get("item"));
    }
    if (fields === undefined) throw this.#error("is not a JSON object");
    const unknown = [...fields.keys()].find((key) => !KEYS.has(key));
    if (unknown !== undefined) throw this.#error(`has the unknown key "${unknown}"`);
    const line = fields.get("line");
    if (typeof line !== "string") throw this.#error("has no text `line`");
    const labels = this.#texts("labels", fields.get("labels"));
    yield {
      line,
      labels: this.#labels.merge(Labels.from(labels)),
      ...this.#instant(fields.get("timestamp")),
      metadata: [...this.#texts("metadata", fields.get("metadata"))].flat(),
    };
  }

  #texts(key: string, value: unknown): ReadonlyMap<string, string> {
    const entries = value === undefined ? new Map<string, unknown>() : objectEntries(value);
    if (entries === undefined || ![...entries.values()].every((each) => typeof each === "string")) {
      throw this.#error(`needs an object of texts as \`${key}\``);
    }
    return entries as ReadonlyMap<string, string>;
  }

  #instant(value: unknown): Instant {
    if (value === undefined) return this.#time();
    const into = { ms: 0, ns: 0 };
    const bytes = Buffer.from(String(value));
    if (typeof value !== "string" || !parseRfc3339(bytes, 0, bytes.length, into)) {
      throw this.#error("needs a `timestamp` in RFC 3339 such as 2026-01-31T12:00:00.5Z");
    }
    return into;
  }

  #error(problem: string): InputError {
    return new InputError(
      `line ${this.#line} of the input ${problem}; each line has to be an object with line and, if wanted, labels, timestamp and metadata`,
    );
  }
}

/** An object's own fields; a Map, since names come from outside. */
function objectEntries(value: unknown): ReadonlyMap<string, unknown> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return new Map(Object.entries(value));
}

/** Samples from a page in Prometheus's text format; `labels` are added where a series has none of that name. Throws an InputError. */
export function readSamples(
  page: Uint8Array,
  form: InputForm,
  labels: Labels,
  series: SeriesRegistry,
  nowMs: number,
): MetricBatch {
  if (form === "json") throw new InputError("samples are read from Prometheus's text format, not from JSON");
  const target = new ScrapeLabels(series, labels, {
    honorLabels: true,
    legacyNames: false,
    labelLimit: 0,
    nameLengthLimit: 0,
    valueLengthLimit: 0,
  });
  const parser = new ExpositionParser();
  const bytes = page.at(-1) === NEWLINE ? Buffer.from(page) : Buffer.concat([page, Buffer.from("\n")]);
  try {
    parser.parse(bytes, bytes.length, "text", (found, quoted) => target.resolve(found, quoted));
  } catch (error) {
    if (!(error instanceof ExpositionError)) throw error;
    throw new InputError(`the input is not in Prometheus's text format: ${error.message}`);
  }
  const { count, columns } = parser;
  const now = Math.floor(nowMs);
  return {
    signal: "metrics",
    count,
    registry: series,
    ref: Int32Array.from({ length: count }, (_, i) => parser.refOf(i)),
    timestamp: Float64Array.from({ length: count }, (_, i) => {
      const own = columns.timestamp[i]!;
      return parser.hasTimestamps && !Number.isNaN(own) ? own : now;
    }),
    value: columns.value.slice(0, count),
    flags: new Uint8Array(count),
    exemplars: undefined,
    histograms: undefined,
    metadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
}
