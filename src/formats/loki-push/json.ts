import { Labels, quote } from "#base/labels";
import { LogBatchBuilder } from "#pipeline/log-batch";
import { JSON_ARRAY, JSON_OBJECT, JSON_STRING, JsonError, JsonReader } from "../json-reader.ts";
import { LabelTextCache, LabelTextError } from "./labels.ts";
import { checkPushWeight, type DecodedPush, MAX_BAD_STREAMS, PushError, STREAM_WEIGHT } from "./loki-push.ts";

const LABEL_NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const NANOSECONDS = /^-?\d{1,19}$/;
const MAX_INT64 = 2n ** 63n - 1n;

/**
 * Decodes the JSON form of Loki's push API, `{"streams":[{"stream":{…},"values":[["NANOSECONDS","line",{metadata}]]}]}`, as
 * Alloy does it (internal/component/loki/source/api/internal/loghttp/push.go). Builds nothing but the batch. Throws a
 * PushError that says which stream and value is wrong; `maxWeight` is that of `decodePush`.
 */
export function decodePushJson(
  bytes: Uint8Array,
  labelTexts: LabelTextCache = new LabelTextCache(),
  maxWeight = Infinity,
): DecodedPush {
  try {
    return new JsonPushDecoder(bytes, labelTexts, maxWeight).decode();
  } catch (cause) {
    if (cause instanceof JsonError) throw new PushError(`not JSON of the push API: ${cause.message}`, { cause });
    throw cause;
  }
}

class JsonPushDecoder {
  readonly #reader: JsonReader;
  readonly #labelTexts: LabelTextCache;
  readonly #maxWeight: number;
  readonly #builder = new LogBatchBuilder();
  #weight = 0;
  #problem: string | undefined;
  #rejected = 0;
  #badStreams = 0;
  /** Where the reader is, for messages. */
  #stream = 0;
  #value = 0;

  constructor(bytes: Uint8Array, labelTexts: LabelTextCache, maxWeight: number) {
    this.#reader = new JsonReader(bytes);
    this.#labelTexts = labelTexts;
    this.#maxWeight = maxWeight;
  }

  decode(): DecodedPush {
    const reader = this.#reader;
    if (reader.peek() !== JSON_OBJECT) throw new PushError("the body must be a JSON object with `streams`");
    for (let more = reader.object(); more; more = reader.nextKey()) {
      if (reader.text() !== "streams") reader.skip();
      else if (this.#isList("streams")) {
        for (let next = reader.array(); next; next = reader.nextItem()) {
          this.#readStream();
          this.#stream += 1;
        }
      }
    }
    reader.finish();
    return { batch: this.#builder.take(), problem: this.#problem, rejected: this.#rejected };
  }

  #readStream(): void {
    const reader = this.#reader;
    const at = `streams[${this.#stream}]`;
    this.#weigh(STREAM_WEIGHT);
    if (reader.peek() !== JSON_OBJECT) throw new PushError(`${at} must be an object`);
    let labels: Labels | undefined;
    let isBad = false;
    /** Values that came before the labels are read after them. */
    let early: number[] | undefined;
    for (let more = reader.object(); more; more = reader.nextKey()) {
      const key = reader.text();
      if (key === "stream") {
        labels = this.#labels(at);
        isBad = labels === undefined;
      } else if (key !== "values") reader.skip();
      else if (labels !== undefined || isBad) this.#values(labels);
      else {
        reader.peek();
        (early ??= []).push(reader.position);
        reader.skip();
      }
    }
    if (labels === undefined && !isBad) this.#bad(`${at} has no \`stream\` with labels`);
    const end = reader.position;
    for (const place of early ?? []) {
      reader.position = place;
      this.#values(labels);
    }
    reader.position = end;
  }

  /** Undefined if they cannot be read. */
  #labels(at: string): Labels | undefined {
    const reader = this.#reader;
    if (reader.peek() !== JSON_OBJECT) throw new PushError(`${at}.stream must be an object with labels`);
    const start = reader.position;
    reader.skip();
    try {
      return this.#labelTexts.get(reader.bytes.utf8Slice(start, reader.position), labelsOf);
    } catch (error) {
      if (!(error instanceof LabelTextError)) throw error;
      this.#bad(`${at}.stream: ${error.message}`);
      return undefined;
    }
  }

  #bad(problem: string): void {
    this.#problem ??= problem;
    if (++this.#badStreams > MAX_BAD_STREAMS) {
      throw new PushError(`${this.#problem}; so it is with ${this.#badStreams} streams`);
    }
  }

  /** Adds the entries; without labels it only counts them as rejected. */
  #values(labels: Labels | undefined): void {
    const reader = this.#reader;
    if (!this.#isList(`streams[${this.#stream}].values`)) return;
    const stream = labels === undefined ? undefined : this.#builder.streamId(labels);
    this.#value = 0;
    for (let more = reader.array(); more; more = reader.nextItem()) {
      if (reader.peek() === 0x6e && reader.scalar() === "null") continue;
      this.#entry(stream);
      this.#value += 1;
    }
  }

  #entry(stream: number | undefined): void {
    const reader = this.#reader;
    this.#weigh(1);
    if (reader.peek() !== JSON_ARRAY || !reader.array()) this.#fail(" must be an array of a time and a line");
    if (reader.peek() !== JSON_STRING) this.#fail(TIME_FORM);
    reader.string();
    const time = reader.end - reader.start > 20 ? "" : reader.text();
    if (!NANOSECONDS.test(time)) this.#fail(TIME_FORM);
    if (!reader.nextItem() || reader.peek() !== JSON_STRING) this.#fail(": the line must be a string");
    reader.string();
    const { start, end, escaped } = reader;
    let metadata: string[] | undefined;
    if (reader.nextItem()) {
      metadata = this.#metadata();
      while (reader.nextItem()) reader.skip();
    }
    if (stream === undefined) {
      this.#rejected += 1;
      return;
    }
    const { ms, ns } = this.#time(time);
    const length = escaped ? reader.unescape(start, end) : 0;
    if (escaped) this.#builder.add(stream, ms, ns, reader.scratch, 0, length, metadata);
    else this.#builder.add(stream, ms, ns, reader.bytes, start, end, metadata);
  }

  #time(text: string): { readonly ms: number; readonly ns: number } {
    if (text.length < 19 && text[0] !== "-") {
      // Without big integers, which cost more than the rest of the entry.
      return { ms: Number(text.slice(0, -6)), ns: Number(text.slice(-6)) };
    }
    const nanos = BigInt(text);
    if (nanos > MAX_INT64 || nanos < -MAX_INT64 - 1n) this.#fail(": the time is beyond 64 bits");
    const ns = ((nanos % 1_000_000n) + 1_000_000n) % 1_000_000n;
    return { ms: Number((nanos - ns) / 1_000_000n), ns: Number(ns) };
  }

  #metadata(): string[] {
    const reader = this.#reader;
    const flat: string[] = [];
    if (reader.peek() !== JSON_OBJECT) this.#fail(": structured metadata must be an object");
    for (let more = reader.object(); more; more = reader.nextKey()) {
      this.#weigh(1);
      const name = reader.text();
      if (reader.peek() !== JSON_STRING) this.#fail(`: metadata ${quote(name)} must be a string`);
      reader.string();
      flat.push(name, reader.text());
    }
    return flat;
  }

  /** Whether an array is next rather than a null, which is passed over. */
  #isList(name: string): boolean {
    const reader = this.#reader;
    if (reader.peek() === JSON_ARRAY) return true;
    if (reader.peek() !== 0x6e || reader.scalar() !== "null") throw new PushError(`${name} must be an array`);
    return false;
  }

  #weigh(weight: number): void {
    this.#weight += weight;
    checkPushWeight(this.#weight, this.#maxWeight);
  }

  #fail(problem: string): never {
    throw new PushError(`streams[${this.#stream}].values[${this.#value}]${problem}`);
  }
}

const TIME_FORM = ": the time must be nanoseconds since 1970, as a string";

/** Labels as a JSON object. Values that are no strings are taken as they are written, as in Alloy. Throws LabelTextError. */
function labelsOf(text: string): Labels {
  const reader = new JsonReader(Buffer.from(text));
  const labels = new Map<string, string>();
  for (let more = reader.object(); more; more = reader.nextKey()) {
    const name = reader.text();
    if (!LABEL_NAME.test(name)) {
      const shown = name.length > 100 ? `${name.slice(0, 100)}…` : name;
      throw new LabelTextError(`${quote(shown)} is no label name: use letters, digits and underscores`);
    }
    const first = reader.peek();
    const start = reader.position;
    if (first === JSON_STRING) reader.string();
    else reader.skip();
    const value = first === JSON_STRING ? reader.text() : reader.bytes.utf8Slice(start, reader.position);
    if (value === "") labels.delete(name);
    else labels.set(name, value);
  }
  return Labels.from(labels);
}
