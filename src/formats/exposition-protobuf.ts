import { formatFloat } from "#base/metrics";
import type { NativeHistogram } from "#pipeline/batch";
import { ExpositionError } from "./exposition-error.ts";
import { normalizeFloatText } from "./float.ts";
import { ProtobufError, ProtoReader, WIRE_BYTES } from "./protobuf.ts";

/** A page in protobuf, as the OpenMetrics text that says the same, and the native histograms that text cannot hold. */
export interface TranslatedPage {
  readonly text: Buffer;
  /** `sample` is the index of the line among the samples of the page; its value there is the count. */
  readonly histograms: readonly NativeHistogram[];
}

export interface ProtobufPageOptions {
  readonly nativeHistograms: boolean;
  /** Classic buckets of histograms that are native as well. */
  readonly classicHistograms: boolean;
}

const TYPES = ["counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram"] as const;

interface Exemplar {
  labels: [string, string][];
  value: number;
  /** Epoch milliseconds; NaN for none. */
  timestamp: number;
}
interface Bucket {
  count: number;
  bound: number;
  exemplar: Exemplar | undefined;
}
interface HistogramMessage {
  count: number;
  isFloat: boolean;
  sum: number;
  buckets: Bucket[];
  schema: number;
  zeroThreshold: number;
  zeroCount: number;
  positiveSpans: { offset: number; length: number }[];
  negativeSpans: { offset: number; length: number }[];
  positive: number[];
  negative: number[];
  exemplars: Exemplar[];
}
interface MetricMessage {
  labels: [string, string][];
  timestamp: number | undefined;
  value: number;
  exemplar: Exemplar | undefined;
  summary: { count: number; sum: number; quantiles: { quantile: number; value: number }[] } | undefined;
  histogram: HistogramMessage | undefined;
}

/**
 * Translates length-delimited `io.prometheus.client.MetricFamily` messages. Throws an ExpositionError for damaged ones.
 * What is exposed under which names matches Prometheus's model/textparse/protobufparse.go.
 */
export function translateProtobuf(bytes: Uint8Array, end: number, options: ProtobufPageOptions): TranslatedPage {
  const writer = new PageWriter(options);
  try {
    const reader = new ProtoReader(bytes, 0, end);
    while (!reader.done) within(reader, (family) => readFamily(family, writer));
  } catch (error) {
    if (error instanceof ProtobufError) throw new ExpositionError(`the protobuf page is damaged: ${error.message}`);
    throw error;
  }
  return writer.finish();
}

class PageWriter {
  readonly #options: ProtobufPageOptions;
  readonly #parts: string[] = [];
  readonly #histograms: NativeHistogram[] = [];
  #samples = 0;

  constructor(options: ProtobufPageOptions) {
    this.#options = options;
  }

  family(name: string, help: string, type: string, unit: string): void {
    const quoted = quoteText(name);
    if (help !== "") this.#parts.push(`# HELP ${quoted} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n`);
    this.#parts.push(`# TYPE ${quoted} ${type}\n`);
    if (unit !== "" && name.endsWith(`_${unit}`)) this.#parts.push(`# UNIT ${quoted} ${unit}\n`);
  }

  metric(name: string, metric: MetricMessage): void {
    const { labels, timestamp, summary, histogram } = metric;
    if (summary !== undefined) {
      this.#line(`${name}_count`, labels, summary.count, timestamp);
      this.#line(`${name}_sum`, labels, summary.sum, timestamp);
      for (const { quantile, value } of summary.quantiles) {
        this.#line(name, [...labels, ["quantile", spelt(quantile)]], value, timestamp);
      }
    } else if (histogram !== undefined) {
      const native = this.#options.nativeHistograms && isNative(histogram);
      if (native) this.#native(name, labels, histogram, timestamp);
      if (!native || (this.#options.classicHistograms && histogram.buckets.length > 0)) {
        this.#classic(name, labels, histogram, timestamp);
      }
    } else this.#line(name, labels, metric.value, timestamp, metric.exemplar);
  }

  finish(): TranslatedPage {
    return { text: Buffer.from(`${this.#parts.join("")}# EOF\n`), histograms: this.#histograms };
  }

  #classic(name: string, labels: [string, string][], histogram: HistogramMessage, timestamp: number | undefined): void {
    this.#line(`${name}_count`, labels, histogram.count, timestamp);
    this.#line(`${name}_sum`, labels, histogram.sum, timestamp);
    let unbounded = false;
    for (const { count, bound, exemplar } of histogram.buckets) {
      unbounded ||= bound === Infinity;
      this.#line(`${name}_bucket`, [...labels, ["le", spelt(bound)]], count, timestamp, exemplar);
    }
    if (!unbounded) this.#line(`${name}_bucket`, [...labels, ["le", "+Inf"]], histogram.count, timestamp);
  }

  #native(name: string, labels: [string, string][], histogram: HistogramMessage, timestamp: number | undefined): void {
    const { count, sum, schema, zeroThreshold, zeroCount, isFloat } = histogram;
    const { positiveSpans, negativeSpans, positive, negative } = histogram;
    const hint = { customBounds: undefined, resetHint: "unknown" } as const;
    const shape = { schema, zeroThreshold, zeroCount, count, sum, positiveSpans, negativeSpans, positive, negative };
    this.#histograms.push({ sample: this.#samples, ...shape, isFloat, ...hint });
    // One exemplar is what a line can carry; those without a timestamp do not count for native histograms.
    const exemplar = histogram.exemplars.filter((each) => !Number.isNaN(each.timestamp)).at(-1);
    this.#line(name, labels, count, timestamp, exemplar);
  }

  #line(
    name: string,
    labels: readonly (readonly [string, string])[],
    value: number,
    timestamp: number | undefined,
    exemplar?: Exemplar | undefined,
  ): void {
    const pairs = [quoteText(name), ...labels.map(([label, text]) => `${quoteText(label)}=${quoteText(text)}`)];
    let line = `{${pairs.join(",")}} ${formatFloat(value)}`;
    if (timestamp !== undefined) line += ` ${seconds(timestamp)}`;
    if (exemplar !== undefined) {
      const own = exemplar.labels.map(([label, text]) => `${quoteText(label)}=${quoteText(text)}`);
      line += ` # {${own.join(",")}} ${formatFloat(exemplar.value)}`;
      if (!Number.isNaN(exemplar.timestamp)) line += ` ${seconds(exemplar.timestamp)}`;
    }
    this.#parts.push(`${line}\n`);
    this.#samples += 1;
  }
}

function isNative(histogram: HistogramMessage): boolean {
  const { positiveSpans, negativeSpans, zeroThreshold, zeroCount } = histogram;
  return positiveSpans.length > 0 || negativeSpans.length > 0 || zeroThreshold > 0 || zeroCount > 0;
}

/** Milliseconds as seconds; the half millisecond behind makes the way back exact, which cuts off. */
function seconds(timestamp: number): string {
  const whole = Math.floor(timestamp / 1000);
  return `${whole}.${String(timestamp - whole * 1000).padStart(3, "0")}5`;
}

function spelt(bound: number): string {
  return normalizeFloatText(formatFloat(bound));
}

function quoteText(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}

function within<T>(reader: ProtoReader, read: (reader: ProtoReader) => T): T {
  const outer = reader.enter();
  const value = read(reader);
  reader.leave(outer);
  return value;
}

function readFamily(reader: ProtoReader, writer: PageWriter): void {
  let name = "";
  let help = "";
  let unit = "";
  let type = 0;
  const metrics: MetricMessage[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) help = reader.string();
    else if (tag === 0x18) type = reader.int32();
    else if (tag === 0x22) metrics.push(within(reader, readMetric));
    else if (tag === 0x2a) unit = reader.string();
    else reader.skip(tag);
  }
  const spelling = TYPES[type];
  if (spelling === undefined) throw new ExpositionError(`unknown metric type for metric "${name}": ${type}`);
  writer.family(name, help, spelling, unit);
  for (const metric of metrics) writer.metric(name, metric);
}

function readMetric(reader: ProtoReader): MetricMessage {
  const metric: MetricMessage = {
    labels: [],
    timestamp: undefined,
    value: 0,
    exemplar: undefined,
    summary: undefined,
    histogram: undefined,
  };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) metric.labels.push(within(reader, readLabel));
    else if (tag === 0x12 || tag === 0x1a || tag === 0x2a) within(reader, (inner) => readValue(inner, metric));
    else if (tag === 0x22) metric.summary = within(reader, readSummary);
    else if (tag === 0x30) metric.timestamp = reader.int64Number();
    else if (tag === 0x3a) metric.histogram = within(reader, readHistogram);
    else reader.skip(tag);
  }
  return metric;
}

/** Gauge, Counter and Untyped: the value first, a counter's exemplar second. */
function readValue(reader: ProtoReader, metric: MetricMessage): void {
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x09) metric.value = reader.double();
    else if (tag === 0x12) metric.exemplar = within(reader, readExemplar);
    else reader.skip(tag);
  }
}

function readLabel(reader: ProtoReader): [string, string] {
  const label: [string, string] = ["", ""];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) label[0] = reader.string();
    else if (tag === 0x12) label[1] = reader.string();
    else reader.skip(tag);
  }
  return label;
}

function readSummary(reader: ProtoReader): NonNullable<MetricMessage["summary"]> {
  const quantiles: { quantile: number; value: number }[] = [];
  const summary = { count: 0, sum: 0, quantiles };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) summary.count = reader.uint64Number();
    else if (tag === 0x11) summary.sum = reader.double();
    else if (tag === 0x1a) {
      const pair = within(reader, (inner) => readDoubles(inner));
      quantiles.push({ quantile: pair[0], value: pair[1] });
    } else reader.skip(tag);
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

function readHistogram(reader: ProtoReader): HistogramMessage {
  const out: HistogramMessage = {
    count: 0,
    isFloat: false,
    sum: 0,
    buckets: [],
    schema: 0,
    zeroThreshold: 0,
    zeroCount: 0,
    positiveSpans: [],
    negativeSpans: [],
    positive: [],
    negative: [],
    exemplars: [],
  };
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
        out.count = reader.double();
        out.isFloat = out.count > 0;
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
        out.zeroCount = reader.double();
        break;
      case 9:
        out.negativeSpans.push(within(reader, readSpan));
        break;
      case 10:
        readRepeated(reader, tag, out.negative, () => Number(reader.sint64()));
        break;
      case 11:
        readRepeated(reader, tag, out.negative, () => reader.double());
        break;
      case 12:
        out.positiveSpans.push(within(reader, readSpan));
        break;
      case 13:
        readRepeated(reader, tag, out.positive, () => Number(reader.sint64()));
        break;
      case 14:
        readRepeated(reader, tag, out.positive, () => reader.double());
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

function readSpan(reader: ProtoReader): { offset: number; length: number } {
  const span = { offset: 0, length: 0 };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) span.offset = reader.sint32();
    else if (tag === 0x10) span.length = reader.uint32();
    else reader.skip(tag);
  }
  return span;
}

function readBucket(reader: ProtoReader): Bucket {
  const bucket: Bucket = { count: 0, bound: 0, exemplar: undefined };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) bucket.count = reader.uint64Number();
    else if (tag === 0x11) bucket.bound = reader.double();
    else if (tag === 0x1a) bucket.exemplar = within(reader, readExemplar);
    else if (tag === 0x21) bucket.count = reader.double() || bucket.count;
    else reader.skip(tag);
  }
  return bucket;
}

function readExemplar(reader: ProtoReader): Exemplar {
  const exemplar: Exemplar = { labels: [], value: 0, timestamp: NaN };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) exemplar.labels.push(within(reader, readLabel));
    else if (tag === 0x11) exemplar.value = reader.double();
    else if (tag === 0x1a) exemplar.timestamp = within(reader, readTimestamp);
    else reader.skip(tag);
  }
  return exemplar;
}

function readTimestamp(reader: ProtoReader): number {
  let ms = 0;
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) ms += reader.int64Number() * 1000;
    else if (tag === 0x10) ms += Math.floor(reader.int32() / 1e6);
    else reader.skip(tag);
  }
  return ms;
}
