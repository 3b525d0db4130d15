import { isUtf8 } from "node:buffer";
import { asBuffer, type ProtoReader, WIRE_BYTES } from "../protobuf.ts";
import { ExpositionError } from "./error.ts";

/*
 * What `io.prometheus.client.Metric` says, with the numbers of fields that are missing as 0 and their texts empty.
 */

export type Pairs = [string, string][];

export interface ExemplarMessage {
  labels: Pairs;
  value: number;
  /** Epoch milliseconds; NaN for none. */
  timestamp: number;
}
export interface BucketMessage {
  count: number;
  floatCount: number;
  bound: number;
  exemplar: ExemplarMessage | undefined;
}
export interface Span {
  offset: number;
  length: number;
}
export interface HistogramMessage {
  count: number;
  floatCount: number;
  sum: number;
  buckets: BucketMessage[];
  schema: number;
  zeroThreshold: number;
  zeroCount: number;
  floatZeroCount: number;
  positiveSpans: Span[];
  negativeSpans: Span[];
  positiveDeltas: number[];
  negativeDeltas: number[];
  positiveCounts: number[];
  negativeCounts: number[];
  exemplars: ExemplarMessage[];
  start: number;
}
export interface SummaryMessage {
  count: number;
  sum: number;
  quantiles: [quantile: number, value: number][];
  start: number;
}
/** A Gauge, Counter or Untyped. */
export interface ValueMessage {
  value: number;
  exemplar: ExemplarMessage | undefined;
  start: number;
}
export interface MetricMessage {
  /** 0 for none, as in Prometheus. */
  timestamp: number;
  counter: ValueMessage;
  gauge: ValueMessage;
  untyped: ValueMessage;
  summary: SummaryMessage;
  histogram: HistogramMessage;
}

/** Reads a submessage. */
export function within<T>(reader: ProtoReader, read: (reader: ProtoReader) => T): T {
  const outer = reader.enter();
  const value = read(reader);
  reader.leave(outer);
  return value;
}

/** Text that must be UTF-8. */
export function readText(reader: ProtoReader, what: string): string {
  const bytes = asBuffer(reader.lengthDelimited());
  const text = bytes.toString("utf8");
  if (!isUtf8(bytes)) throw new ExpositionError(`invalid ${what}: ${text}`);
  return text;
}

/** The labels of one metric as OpenMetrics spells them, each behind a comma; used again for the next metric. */
export class LabelText {
  #bytes = Buffer.allocUnsafeSlow(4096);
  length = 0;
  /** Names of labels that are left out. */
  without: readonly string[] = [];

  get bytes(): Buffer {
    return this.#bytes;
  }

  clear(): void {
    this.length = 0;
  }

  /** Reads a `LabelPair` message. */
  add(reader: ProtoReader): void {
    const outer = reader.enter();
    let [nameStart, nameEnd, valueStart, valueEnd] = [0, 0, 0, 0];
    while (!reader.done) {
      const tag = reader.tag();
      if (tag === 0x0a || tag === 0x12) {
        const length = reader.length();
        const start = reader.position;
        reader.position = start + length;
        if (tag === 0x0a) [nameStart, nameEnd] = [start, start + length];
        else [valueStart, valueEnd] = [start, start + length];
      } else reader.skip(tag);
    }
    reader.leave(outer);
    const source = asBuffer(reader.bytes);
    if (nameStart === nameEnd) throw new ExpositionError("invalid label name: ");
    if (this.without.length > 0 && this.without.includes(source.toString("utf8", nameStart, nameEnd))) return;
    // Each byte may need an escape; quotes, comma and equals sign come beside them.
    const needed = this.length + (nameEnd - nameStart + valueEnd - valueStart) * 2 + 6;
    if (needed > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], needed * 2);
    this.#bytes[this.length++] = 0x2c;
    this.#quoted(source, nameStart, nameEnd, "name");
    this.#bytes[this.length++] = 0x3d;
    this.#quoted(source, valueStart, valueEnd, "value");
  }

  #quoted(source: Buffer, start: number, end: number, what: string): void {
    const bytes = this.#bytes;
    let at = this.length;
    let isAscii = true;
    bytes[at++] = 0x22;
    for (let i = start; i < end; i++) {
      const code = source[i]!;
      if (code === 0x22 || code === 0x5c || code === 0x0a) bytes[at++] = 0x5c;
      else if (code >= 0x80) isAscii = false;
      bytes[at++] = code === 0x0a ? 0x6e : code;
    }
    bytes[at++] = 0x22;
    this.length = at;
    if (!isAscii && !isUtf8(source.subarray(start, end))) {
      throw new ExpositionError(`invalid label ${what}: ${source.toString("utf8", start, end)}`);
    }
  }
}

export function readMetric(reader: ProtoReader, labels: LabelText): MetricMessage {
  const metric: MetricMessage = {
    timestamp: 0,
    counter: NO_VALUE,
    gauge: NO_VALUE,
    untyped: NO_VALUE,
    summary: NO_SUMMARY,
    histogram: NO_HISTOGRAM,
  };
  labels.clear();
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) labels.add(reader);
    else if (tag === 0x12) metric.gauge = within(reader, readValue);
    else if (tag === 0x1a) metric.counter = within(reader, readValue);
    else if (tag === 0x22) metric.summary = within(reader, readSummary);
    else if (tag === 0x2a) metric.untyped = within(reader, readValue);
    else if (tag === 0x30) metric.timestamp = reader.int64Number();
    else if (tag === 0x3a) metric.histogram = within(reader, readHistogram);
    else reader.skip(tag);
  }
  return metric;
}

const NO_VALUE: ValueMessage = { value: 0, exemplar: undefined, start: 0 };

function readValue(reader: ProtoReader): ValueMessage {
  const out: ValueMessage = { ...NO_VALUE };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x09) out.value = reader.double();
    else if (tag === 0x12) out.exemplar = within(reader, readExemplar);
    else if (tag === 0x1a) out.start = within(reader, readTimestamp);
    else reader.skip(tag);
  }
  return out;
}

function readLabel(reader: ProtoReader): [string, string] {
  const label: [string, string] = ["", ""];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) label[0] = readText(reader, "label name");
    else if (tag === 0x12) label[1] = readText(reader, "label value");
    else reader.skip(tag);
  }
  if (label[0] === "") throw new ExpositionError("invalid label name: ");
  return label;
}

const NO_SUMMARY: SummaryMessage = { count: 0, sum: 0, quantiles: [], start: 0 };

function readSummary(reader: ProtoReader): SummaryMessage {
  const summary: SummaryMessage = { ...NO_SUMMARY, quantiles: [] };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) summary.count = reader.uint64Number();
    else if (tag === 0x11) summary.sum = reader.double();
    else if (tag === 0x1a) summary.quantiles.push(within(reader, readDoubles));
    else if (tag === 0x22) summary.start = within(reader, readTimestamp);
    else reader.skip(tag);
  }
  return summary;
}

function readDoubles(reader: ProtoReader): [number, number] {
  const pair: [number, number] = [0, 0];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x09) pair[0] = reader.double();
    else if (tag === 0x11) pair[1] = reader.double();
    else reader.skip(tag);
  }
  return pair;
}

function newHistogram(): HistogramMessage {
  return {
    count: 0,
    floatCount: 0,
    sum: 0,
    buckets: [],
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 0,
    floatZeroCount: 0,
    positiveSpans: [],
    negativeSpans: [],
    positiveDeltas: [],
    negativeDeltas: [],
    positiveCounts: [],
    negativeCounts: [],
    exemplars: [],
    start: 0,
  };
}

const NO_HISTOGRAM = newHistogram();

function readHistogram(reader: ProtoReader): HistogramMessage {
  const out = newHistogram();
  while (!reader.done) {
    const tag = reader.tag();
    switch (tag >>> 3) {
      case 1:
        out.count = reader.uint64Number();
        break;
      case 2:
        out.sum = reader.double();
        break;
      case 3:
        out.buckets.push(within(reader, readBucket));
        break;
      case 4:
        out.floatCount = reader.double();
        break;
      case 5:
        out.schema = reader.sint32();
        break;
      case 6:
        out.zeroThreshold = reader.double();
        break;
      case 7:
        out.zeroCount = reader.uint64Number();
        break;
      case 8:
        out.floatZeroCount = reader.double();
        break;
      case 9:
        out.negativeSpans.push(within(reader, readSpan));
        break;
      case 10:
        readRepeated(reader, tag, out.negativeDeltas, () => Number(reader.sint64()));
        break;
      case 11:
        readRepeated(reader, tag, out.negativeCounts, () => reader.double());
        break;
      case 12:
        out.positiveSpans.push(within(reader, readSpan));
        break;
      case 13:
        readRepeated(reader, tag, out.positiveDeltas, () => Number(reader.sint64()));
        break;
      case 14:
        readRepeated(reader, tag, out.positiveCounts, () => reader.double());
        break;
      case 15:
        out.start = within(reader, readTimestamp);
        break;
      case 16:
        out.exemplars.push(within(reader, readExemplar));
        break;
      default:
        reader.skip(tag);
    }
  }
  return out;
}

/** A repeated number, packed or one by one. */
function readRepeated(reader: ProtoReader, tag: number, into: number[], read: () => number): void {
  if ((tag & 7) !== WIRE_BYTES) {
    into.push(read());
    return;
  }
  const outer = reader.enter();
  while (!reader.done) into.push(read());
  reader.leave(outer);
}

function readSpan(reader: ProtoReader): Span {
  const span = { offset: 0, length: 0 };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) span.offset = reader.sint32();
    else if (tag === 0x10) span.length = reader.uint32();
    else reader.skip(tag);
  }
  return span;
}

function readBucket(reader: ProtoReader): BucketMessage {
  const bucket: BucketMessage = { count: 0, floatCount: 0, bound: 0, exemplar: undefined };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) bucket.count = reader.uint64Number();
    else if (tag === 0x11) bucket.bound = reader.double();
    else if (tag === 0x1a) bucket.exemplar = within(reader, readExemplar);
    else if (tag === 0x21) bucket.floatCount = reader.double();
    else reader.skip(tag);
  }
  return bucket;
}

function readExemplar(reader: ProtoReader): ExemplarMessage {
  const exemplar: ExemplarMessage = { labels: [], value: 0, timestamp: NaN };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) exemplar.labels.push(within(reader, readLabel));
    else if (tag === 0x11) exemplar.value = reader.double();
    else if (tag === 0x1a) exemplar.timestamp = within(reader, readTimestamp);
    else reader.skip(tag);
  }
  return exemplar;
}

/** Epoch milliseconds. */
function readTimestamp(reader: ProtoReader): number {
  let ms = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) ms += reader.int64Number() * 1000;
    else if (tag === 0x10) ms += Math.trunc(reader.int32() / 1e6);
    else reader.skip(tag);
  }
  return ms;
}
