import type { Labels } from "#base/labels";
import { BUCKETS, EXEMPLAR, POINT, QUANTILE } from "#formats/otlp/fields";
import { writeKeyValue } from "#formats/otlp/values";
import type { ProtoWriter } from "#formats/protobuf";
import type { Exemplar, NativeHistogram } from "#pipeline/batch";
import { writeNanos } from "./nanos.ts";

/** Parts of OTLP's data points made from samples. Matches metricfamily.go of Alloy's otelcol.receiver.prometheus. */

const TWO_32 = 2 ** 32;
/** A histogram with more buckets than this between its first and its last, empty ones included, is not converted. */
const MOST_BUCKETS = 65_536;

/** A count as `fixed64`; whatever is no count is 0. */
export function writeCount(writer: ProtoWriter, field: number, count: number): void {
  const whole = wholeCount(count);
  writer.fixed64(field, whole % TWO_32, Math.floor(whole / TWO_32));
}
function wholeCount(count: number): number {
  if (!(count >= 1)) return 0; // NaN too
  return count < 2 ** 64 ? Math.floor(count) : 2 ** 64 - 2048;
}

/** The start of a point, from seconds as `_created` has them; 0 for none. */
export function writeStart(writer: ProtoWriter, seconds: number): void {
  if (seconds === 0 || !Number.isFinite(seconds)) return;
  const whole = Math.trunc(seconds);
  // Through a double, as Alloy does it: what is lost is less than a microsecond.
  const nanos = Math.trunc((seconds - whole) * 1e9);
  writeNanos(writer, POINT.start, whole * 1000 + Math.trunc(nanos / 1e6), nanos % 1e6);
}

/** The buckets of one point, gathered in any order. Reused. */
export class Bounds {
  #values = new Float64Array(64);
  #boundaries = new Float64Array(64);
  #order: number[] = [];

  reset(): void {
    this.#order.length = 0;
  }
  add(boundary: number, value: number): void {
    const at = this.#order.length;
    if (at === this.#values.length) {
      this.#values = doubled(this.#values);
      this.#boundaries = doubled(this.#boundaries);
    }
    this.#boundaries[at] = boundary;
    this.#values[at] = value;
    // Pages have them in order already: the place is found from the end.
    let place = at;
    const order = this.#order;
    order.push(at);
    while (place > 0 && this.#boundaries[order[place - 1]!]! > boundary) {
      order[place] = order[place - 1]!;
      place -= 1;
    }
    order[place] = at;
  }

  /** `bucket_counts` and `explicit_bounds` of a histogram with `count` observations; all counts are 0 for a stale one. */
  writeBuckets(writer: ProtoWriter, count: number, isStale: boolean): void {
    const order = this.#order;
    const last = order.length > 0 ? this.#boundaries[order.at(-1)!] : undefined;
    const bounds = last === Infinity ? order.length - 1 : order.length;
    const counts = writer.begin(POINT.bucketCounts);
    let below = 0;
    for (let i = 0; i <= bounds; i++) {
      const upTo = i < bounds ? this.#values[order[i]!]! : count;
      const whole = isStale ? 0 : wholeCount(upTo - below);
      writer.rawFixed64(whole % TWO_32, Math.floor(whole / TWO_32));
      below = upTo;
    }
    writer.end(counts);
    if (bounds === 0) return;
    const list = writer.begin(POINT.explicitBounds);
    for (let i = 0; i < bounds; i++) writer.rawDouble(this.#boundaries[order[i]!]!);
    writer.end(list);
  }
  /** The quantiles of a summary, without values for a stale one. */
  writeQuantiles(writer: ProtoWriter, isStale: boolean): void {
    for (const at of this.#order) {
      const mark = writer.begin(POINT.quantiles);
      writer.double(QUANTILE.quantile, this.#boundaries[at]!);
      if (!isStale) writer.double(QUANTILE.value, this.#values[at]!);
      writer.end(mark);
    }
  }
}

function doubled(column: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(column.length * 2);
  larger.set(column);
  return larger;
}

/** Whether a native histogram can be written as OTLP's. */
export function isTooWide({ positiveSpans, negativeSpans }: NativeHistogram): boolean {
  return width(positiveSpans) > MOST_BUCKETS || width(negativeSpans) > MOST_BUCKETS;
}
function width(spans: NativeHistogram["positiveSpans"]): number {
  return spans.reduce((sum, { offset, length }, i) => sum + length + (i === 0 ? 0 : Math.max(0, offset)), 0);
}

/** The fields of an exponential point beside attributes, times and exemplars. */
export function writeExponential(writer: ProtoWriter, histogram: NativeHistogram): void {
  const { schema, count, sum, zeroCount, zeroThreshold, isFloat } = histogram;
  writeCount(writer, POINT.count, count);
  writer.double(POINT.sum, sum);
  if (schema !== 0) writer.sint32(POINT.scale, schema);
  if (zeroCount !== 0) writeCount(writer, POINT.zeroCount, zeroCount);
  writeBuckets(writer, POINT.positive, histogram.positiveSpans, histogram.positive, isFloat);
  writeBuckets(writer, POINT.negative, histogram.negativeSpans, histogram.negative, isFloat);
  if (zeroThreshold !== 0) writer.double(POINT.zeroThreshold, zeroThreshold);
}

function writeBuckets(
  writer: ProtoWriter,
  field: number,
  spans: NativeHistogram["positiveSpans"],
  counts: readonly number[],
  isFloat: boolean,
): void {
  if (spans.length === 0) return;
  const buckets = writer.begin(field);
  // OTLP's offsets are of the lower bound, Prometheus's of the upper one.
  writer.sint32(BUCKETS.offset, spans[0]!.offset - 1);
  const list = writer.begin(BUCKETS.bucketCounts);
  let next = 0;
  let count = 0;
  for (const [i, span] of spans.entries()) {
    if (i > 0) for (let gap = 0; gap < span.offset; gap++) writer.rawVarint(0);
    for (let k = 0; k < span.length; k++) {
      const given = counts[next++] ?? 0;
      count = isFloat ? given : count + given;
      writer.rawVarint(Math.min(wholeCount(count), Number.MAX_SAFE_INTEGER));
    }
  }
  writer.end(list);
  writer.end(buckets);
}

/** The bounds and counts of a native histogram with custom buckets, as those of OTLP's histograms. */
export function writeCustomBuckets(writer: ProtoWriter, histogram: NativeHistogram): void {
  const bounds = histogram.customBounds ?? [];
  const counts = new Float64Array(bounds.length + 1);
  let bucket = 0;
  let next = 0;
  let count = 0;
  for (const { offset, length } of histogram.positiveSpans) {
    bucket += offset;
    for (let k = 0; k < length && bucket < counts.length && next < histogram.positive.length; k++) {
      const given = histogram.positive[next++]!;
      count = histogram.isFloat ? given : count + given;
      if (bucket >= 0) counts[bucket] = wholeCount(count);
      bucket += 1;
    }
  }
  writeCount(writer, POINT.count, histogram.count);
  writer.double(POINT.sum, histogram.sum);
  const list = writer.begin(POINT.bucketCounts);
  for (const each of counts) writer.rawFixed64(each % TWO_32, Math.floor(each / TWO_32));
  writer.end(list);
  const values = writer.begin(POINT.explicitBounds);
  for (const each of bounds) writer.rawDouble(each);
  writer.end(values);
}

export function writeExemplar(writer: ProtoWriter, field: number, { labels, value, timestamp }: Exemplar): void {
  const mark = writer.begin(field);
  writeNanos(writer, EXEMPLAR.time, timestamp, 0);
  writer.double(EXEMPLAR.asDouble, value);
  writeExemplarLabels(writer, labels);
  writer.end(mark);
}

/** `trace_id` and `span_id`, in any case, are ids if they are hexadecimal; everything else is an attribute. */
function writeExemplarLabels(writer: ProtoWriter, labels: Labels): void {
  for (const [name, value] of labels) {
    const lower = name.toLowerCase();
    const length = lower === "trace_id" ? 16 : lower === "span_id" ? 8 : 0;
    const id = length === 0 ? undefined : idOf(value, length);
    if (id === undefined) writeKeyValue(writer, EXEMPLAR.attributes, name, value);
    else if (id.some((byte) => byte !== 0)) writer.bytes(length === 16 ? EXEMPLAR.traceId : EXEMPLAR.spanId, id);
  }
}

/** A hexadecimal text as an id: a long one is cut, a short one gets zeros in front. */
function idOf(text: string, length: number): Buffer | undefined {
  const digits = Buffer.byteLength(text) >= length * 2 ? text.slice(0, length * 2) : text;
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(digits)) return undefined;
  return Buffer.from(digits.padStart(length * 2, "0"), "hex");
}
