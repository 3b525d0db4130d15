import { JSON_ARRAY, JSON_OBJECT, JSON_STRING, JsonError, JsonReader } from "./json-reader.ts";

/**
 * What Amazon Data Firehose sends to HTTP endpoints, and the records of CloudWatch Logs subscriptions in it. Both are
 * checked as a whole first and walked over afterwards, so that nothing is handed on of what turns out to be damaged, and
 * nothing is built of what is large.
 * https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
 */
export class FirehoseRequest {
  requestId = "";
  /** Epoch milliseconds; undefined if there is none. */
  timestamp: number | undefined;
  /** How many records there are. */
  count = 0;
  readonly #reader: JsonReader;
  readonly #records: number[] = [];

  /** Throws a JsonError for bytes that are no such request. */
  constructor(bytes: Uint8Array) {
    const reader = new JsonReader(bytes);
    this.#reader = reader;
    for (let more = reader.object(); more; more = reader.nextKey()) {
      const key = reader.text();
      if (key === "requestId") this.requestId = readText(reader);
      else if (key === "timestamp") this.timestamp = readInteger(reader);
      else if (key === "records") {
        reader.peek();
        this.#records.push(reader.position);
        for (const _ of walkItems(reader, "data")) this.count += 1;
      } else reader.skip();
    }
    reader.finish();
  }

  /** The data of each record, in base64; undefined for what cannot be that. */
  *records(): Generator<Buffer | undefined> {
    const reader = this.#reader;
    for (const place of this.#records) {
      reader.position = place;
      for (const isGiven of walkItems(reader, "data")) {
        const text = !isGiven
          ? ""
          : reader.escaped
            ? reader.text()
            : reader.bytes.latin1Slice(reader.start, reader.end);
        // Another walk may have moved the reader by the time that the next record is asked for.
        const { position } = reader;
        yield decodeBase64(text);
        reader.position = position;
      }
    }
  }
}

/** A batch of log events as a subscription filter of CloudWatch Logs sends it. */
export class CloudwatchRecord {
  owner = "";
  logGroup = "";
  logStream = "";
  messageType = "";
  readonly subscriptionFilters: string[] = [];
  /** Whether it has what makes it such a record. */
  isRecord = false;
  readonly reader: JsonReader;
  readonly #events: number[] = [];

  /** Throws a JsonError for bytes that are no JSON object, or one with other values in these places. */
  constructor(bytes: Uint8Array) {
    const reader = new JsonReader(bytes);
    this.reader = reader;
    for (let more = reader.object(); more; more = reader.nextKey()) {
      switch (reader.text()) {
        case "owner":
          this.owner = readText(reader);
          break;
        case "logGroup":
          this.logGroup = readText(reader);
          break;
        case "logStream":
          this.logStream = readText(reader);
          break;
        case "messageType":
          this.messageType = readText(reader);
          this.isRecord = true;
          break;
        case "subscriptionFilters":
          if (isNull(reader)) break;
          for (let next = reader.array(); next; next = reader.nextItem()) {
            this.subscriptionFilters.push(readText(reader));
          }
          break;
        case "logEvents":
          reader.peek();
          this.#events.push(reader.position);
          for (const _ of walkEvents(reader)) this.isRecord = true;
          break;
        default:
          reader.skip();
      }
    }
    reader.finish();
  }

  /** The time of each event in epoch milliseconds; its text is the string that `reader` read last. */
  *events(): Generator<number> {
    for (const place of this.#events) {
      this.reader.position = place;
      yield* walkEvents(this.reader);
    }
  }
}

/** Walks over an array of objects with a string `key`, which the reader has read last when true is given. */
function* walkItems(reader: JsonReader, key: string): Generator<boolean> {
  if (isNull(reader)) return;
  for (let more = reader.array(); more; more = reader.nextItem()) {
    let start = -1;
    let end = 0;
    let escaped = false;
    for (let next = reader.object(); next; next = reader.nextKey()) {
      if (reader.text() !== key) reader.skip();
      else if (!isNull(reader)) {
        reader.string();
        ({ start, end, escaped } = reader);
      }
    }
    reader.start = start;
    reader.end = end;
    reader.escaped = escaped;
    yield start >= 0;
  }
}

function* walkEvents(reader: JsonReader): Generator<number> {
  if (isNull(reader)) return;
  for (let more = reader.array(); more; more = reader.nextItem()) {
    let time = 0;
    let start = 0;
    let end = 0;
    let escaped = false;
    for (let next = reader.object(); next; next = reader.nextKey()) {
      const name = reader.text();
      if (name === "timestamp") time = readInteger(reader) ?? 0;
      else if (name !== "message") reader.skip();
      else if (!isNull(reader)) {
        reader.string();
        ({ start, end, escaped } = reader);
      }
    }
    reader.start = start;
    reader.end = end;
    reader.escaped = escaped;
    yield time;
  }
}

/** Passes over a null, which stands for nothing. */
function isNull(reader: JsonReader): boolean {
  const first = reader.peek();
  return first === 0x6e && reader.scalar() === "null";
}

function readText(reader: JsonReader): string {
  if (isNull(reader)) return "";
  reader.string();
  return reader.text();
}

function readInteger(reader: JsonReader): number | undefined {
  const first = reader.peek();
  const at = reader.position;
  const text = first === JSON_STRING || first === JSON_OBJECT || first === JSON_ARRAY ? "" : reader.scalar();
  if (text === "null") return undefined;
  const value = Number(text);
  if (text === "" || !Number.isSafeInteger(value)) throw new JsonError("expecting a whole number", at);
  return value;
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const LINE_ENDS = /[\r\n]+/g;

/** As strict as Go's decoder, since Node's passes over what it does not know. */
function decodeBase64(text: string): Buffer | undefined {
  const joined = text.includes("\n") || text.includes("\r") ? text.replace(LINE_ENDS, "") : text;
  return joined.length % 4 === 0 && BASE64.test(joined) ? Buffer.from(joined, "base64") : undefined;
}
