import { quote } from "#base/labels";
import { formatFloat } from "#base/metrics";
import type { NativeHistogram } from "#pipeline/batch";
import { normalizeFloatText } from "../float.ts";
import { ProtobufError, ProtoReader } from "../protobuf.ts";
import type { PageExemplar } from "./columns.ts";
import { ExpositionError } from "./error.ts";
import { ClassicHistogram, CUSTOM_BUCKETS_SCHEMA, compact, type Histogram } from "./histogram.ts";
import {
  type ExemplarMessage,
  type HistogramMessage,
  LabelText,
  type MetricMessage,
  readMetric,
  readText,
  type Span,
  type SummaryMessage,
  within,
} from "./protobuf-reader.ts";
import { exemplarLabels } from "./tail.ts";
import { TYPE_LABEL, UNIT_LABEL } from "./types.ts";

/** A page in protobuf, as OpenMetrics text for its series, and what is not in the text: values all the same are 0 there. */
export interface TranslatedPage {
  readonly text: Buffer;
  /** Of each sample; there may be room for more. */
  readonly values: Float64Array;
  /** `sample` is the index of the line among the samples of the page; its value there is the count. */
  readonly histograms: readonly NativeHistogram[];
  readonly exemplars: PageExemplar[];
  /** Epoch milliseconds at which the series of each sample began, NaN where it is not known; undefined if none is. */
  readonly starts: Float64Array | undefined;
}

export interface ProtobufPageOptions {
  readonly nativeHistograms: boolean;
  /** Classic buckets of histograms that are native as well, or that are converted. */
  readonly classicHistograms: boolean;
  readonly convertHistograms: boolean;
  readonly startTimestamps: boolean;
  readonly typeAndUnitLabels: boolean;
}

const TYPES = ["counter", "gauge", "summary", "unknown", "histogram", "gaugehistogram"] as const;
type Type = (typeof TYPES)[number];
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
  #text = Buffer.allocUnsafeSlow(65_536);
  #length = 0;
  #values = new Float64Array(1024);
  readonly #histograms: NativeHistogram[] = [];
  readonly #exemplars: PageExemplar[] = [];
  readonly #classic = new ClassicHistogram();
  #start = 0;
  #starts: [sample: number, ms: number][] = [];
  #samples = 0;
  /** Of the family: the beginning of its lines as far as the name goes, and the end of each behind its labels. */
  #begin = "";
  #own = "";
  /** Of the metric. */
  readonly labels = new LabelText();
  #timestamp = 0;

  constructor(options: ProtobufPageOptions) {
    this.#options = options;
  }

  family(name: string, help: string, type: Type, unit: string): void {
    const quoted = quoteText(name);
    this.#begin = `{${quoted.slice(0, -1)}`;
    if (this.#options.typeAndUnitLabels) this.#addOwn(type, unit);
    if (help !== "") this.#write(`# HELP ${quoted} ${escapeText(help)}\n`);
    this.#write(`# TYPE ${quoted} ${type}\n`);
    if (unit !== "") this.#write(`# UNIT ${quoted} ${unit.replaceAll("\n", " ")}\n`);
  }

  /** Type and unit become labels, in the place of exposed ones. */
  #addOwn(type: Type, unit: string): void {
    const own: [string, string][] = [];
    if (type !== "unknown") own.push([TYPE_LABEL, type]);
    if (unit !== "") own.push([UNIT_LABEL, unit]);
    this.#own = own.map(([name, value]) => `,"${name}"=${quoteText(value)}`).join("");
    this.labels.without = own.map(([name]) => name);
  }

  /** A metric whose labels are in `labels`. */
  metric(name: string, type: Type, metric: MetricMessage): void {
    this.#start = 0;
    this.#timestamp = metric.timestamp;
    switch (type) {
      case "summary":
        this.#summary(metric.summary);
        break;
      case "histogram":
      case "gaugehistogram":
        this.#histogram(name, type, metric.histogram);
        break;
      case "counter":
        this.#start = metric.counter.start;
        if (metric.counter.exemplar !== undefined) this.#exemplar(metric.counter.exemplar);
        this.#line("", "", metric.counter.value);
        break;
      default:
        this.#line("", "", (type === "gauge" ? metric.gauge : metric.untyped).value);
    }
  }

  finish(): TranslatedPage {
    let starts: Float64Array | undefined;
    if (this.#starts.length > 0) {
      starts = new Float64Array(this.#samples).fill(NaN);
      for (const [sample, ms] of this.#starts) starts[sample] = ms;
    }
    this.#write("# EOF\n");
    const text = this.#text.subarray(0, this.#length);
    return { text, values: this.#values, histograms: this.#histograms, exemplars: this.#exemplars, starts };
  }

  #summary(summary: SummaryMessage): void {
    this.#start = summary.start;
    this.#line("_count", "", summary.count);
    this.#line("_sum", "", summary.sum);
    for (const [quantile, value] of summary.quantiles) this.#line("", `,"quantile"="${spelt(quantile)}"`, value);
  }

  #histogram(name: string, type: Type, histogram: HistogramMessage): void {
    const { nativeHistograms, classicHistograms, convertHistograms } = this.#options;
    const hint = type === "gaugehistogram" ? "gauge" : "unknown";
    this.#start = histogram.start;
    if (nativeHistograms && isNative(histogram)) {
      this.#native(nativeOf(name, histogram, hint), nativeExemplars(histogram));
      if (classicHistograms && histogram.buckets.length > 0) this.#series(histogram);
    } else if (!convertHistograms) this.#series(histogram);
    else {
      if (classicHistograms) this.#series(histogram);
      this.#classic.reset();
      this.#classic.count = histogram.floatCount || histogram.count;
      this.#classic.sum = histogram.sum;
      for (const { bound, count, floatCount } of histogram.buckets) this.#classic.bucket(bound, floatCount || count);
      const converted = this.#classic.convert(hint);
      if (typeof converted === "string") throw new ExpositionError(converted);
      this.#native(converted, nativeExemplars(histogram));
    }
  }

  /** The series of a classic histogram. */
  #series(histogram: HistogramMessage): void {
    const count = histogram.floatCount || histogram.count;
    this.#line("_count", "", count);
    this.#line("_sum", "", histogram.sum);
    for (const bucket of histogram.buckets) {
      if (bucket.exemplar !== undefined) this.#exemplar(bucket.exemplar);
      this.#line("_bucket", `,"le"="${spelt(bucket.bound)}"`, bucket.floatCount || bucket.count);
      if (bucket.bound === Infinity) return;
    }
    this.#line("_bucket", ',"le"="+Inf"', count);
  }

  #native(histogram: Histogram, exemplars: readonly ExemplarMessage[]): void {
    this.#histograms.push({ sample: this.#samples, ...histogram });
    for (const exemplar of exemplars) this.#exemplar(exemplar);
    this.#line("", "", histogram.count);
  }

  /** Notes an exemplar of the next line. */
  #exemplar({ labels, value, timestamp }: ExemplarMessage): void {
    this.#exemplars.push({ sample: this.#samples, labels: exemplarLabels(labels), value, timestamp });
  }

  /** A sample: `suffix` is of its name, `label` one more label behind a comma. */
  #line(suffix: string, label: string, value: number): void {
    this.#write(suffix === "" ? `${this.#begin}"` : `${this.#begin}${suffix}"`);
    const { bytes, length } = this.labels;
    this.#reserve(length);
    bytes.copy(this.#text, this.#length, 0, length);
    this.#length += length;
    const tail = this.#timestamp === 0 ? "} 0\n" : `} 0 ${seconds(this.#timestamp)}\n`;
    this.#write(label === "" && this.#own === "" ? tail : `${label}${this.#own}${tail}`);
    if (this.#start !== 0 && this.#options.startTimestamps) this.#starts.push([this.#samples, this.#start]);
    if (this.#samples === this.#values.length) {
      const values = new Float64Array(this.#samples * 2);
      values.set(this.#values);
      this.#values = values;
    }
    this.#values[this.#samples] = value;
    this.#samples += 1;
  }

  #write(text: string): void {
    this.#reserve(text.length * 3);
    this.#length += this.#text.write(text, this.#length);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#text.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#text.length * 2, this.#length + bytes));
    this.#text.copy(larger, 0, 0, this.#length);
    this.#text = larger;
  }
}

function isNative(histogram: HistogramMessage): boolean {
  const { positiveSpans, negativeSpans, zeroThreshold, zeroCount } = histogram;
  return positiveSpans.length > 0 || negativeSpans.length > 0 || zeroThreshold > 0 || zeroCount > 0;
}

function nativeOf(name: string, message: HistogramMessage, resetHint: Histogram["resetHint"]): Histogram {
  const { sum, schema, zeroThreshold, positiveSpans, negativeSpans } = message;
  const isFloat = message.floatCount > 0 || message.floatZeroCount > 0;
  const positive = isFloat ? message.positiveCounts : message.positiveDeltas;
  const negative = isFloat ? message.negativeCounts : message.negativeDeltas;
  checkSpans(name, "positive", positiveSpans, positive.length);
  checkSpans(name, "negative", negativeSpans, negative.length);
  const whole: Histogram = {
    schema,
    zeroThreshold,
    zeroCount: isFloat ? message.floatZeroCount : message.zeroCount,
    count: isFloat ? message.floatCount : message.count,
    sum,
    positiveSpans,
    negativeSpans,
    positive,
    negative,
    isFloat,
    customBounds: schema === CUSTOM_BUCKETS_SCHEMA ? [] : undefined,
    resetHint,
  };
  return compact(whole, 0);
}

function checkSpans(name: string, side: string, spans: readonly Span[], buckets: number): void {
  const needed = spans.reduce((sum, { length }) => sum + length, 0);
  if (needed === buckets) return;
  throw new ExpositionError(`histogram ${quote(name)}: ${side} side: spans require ${needed} buckets, have ${buckets}`);
}

/** Those of a native histogram need timestamps; without any of its own it takes those of the classic buckets. */
function nativeExemplars({ exemplars, buckets }: HistogramMessage): ExemplarMessage[] {
  const all = exemplars.length > 0 ? exemplars : buckets.flatMap(({ exemplar }) => exemplar ?? []);
  return all.filter(({ timestamp }) => !Number.isNaN(timestamp));
}

/** Milliseconds as seconds; the half millisecond behind makes the way back exact, which cuts off. */
function seconds(timestamp: number): string {
  if (timestamp < 0) return `-${seconds(-timestamp)}`;
  const whole = Math.floor(timestamp / 1000);
  return `${whole}.${String(timestamp - whole * 1000).padStart(3, "0")}5`;
}

function spelt(bound: number): string {
  return normalizeFloatText(formatFloat(bound));
}

const NEEDS_ESCAPE = /["\\\n]/;

function quoteText(text: string): string {
  return NEEDS_ESCAPE.test(text) ? `"${escapeText(text).replaceAll('"', '\\"')}"` : `"${text}"`;
}

function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function readFamily(reader: ProtoReader, writer: PageWriter): void {
  let name = "";
  let help = "";
  let unit = "";
  let type = 0;
  /** Where each starts and ends: what comes behind them belongs to all. */
  const metrics: number[] = [];
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x0a) name = readText(reader, "metric name");
    else if (tag === 0x12) help = readText(reader, `help for metric ${quote(name)}`);
    else if (tag === 0x18) type = reader.int32();
    else if (tag === 0x22) {
      const length = reader.length();
      metrics.push(reader.position, (reader.position += length));
    } else if (tag === 0x2a) unit = reader.string();
    else reader.skip(tag);
  }
  if (metrics.length === 0) return; // as if it were not there
  if (name === "") throw new ExpositionError("invalid metric name: ");
  const spelling = TYPES[type];
  if (spelling === undefined) throw new ExpositionError(`unknown metric type for metric ${quote(name)}: ${type}`);
  writer.family(name, help, spelling, unit);
  const { end } = reader;
  for (let i = 0; i < metrics.length; i += 2) {
    reader.position = metrics[i]!;
    reader.end = metrics[i + 1]!;
    writer.metric(name, spelling, readMetric(reader, writer.labels));
  }
  reader.end = end;
}
