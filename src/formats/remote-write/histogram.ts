import type { NativeHistogram } from "#pipeline/batch";
import { ProtoWriter } from "../protobuf.ts";

const RESET_HINTS: Readonly<Record<NativeHistogram["resetHint"], number>> = { unknown: 0, yes: 1, no: 2, gauge: 3 };
const STALE_LOW = 2;
const STALE_HIGH = 0x7ff00000;

/**
 * A native histogram as `field` of TimeSeries (4 in remote write 1.0, 3 in 2.0); a stale one has the stale marker as its
 * sum. `start`, when it began to count (epoch milliseconds), is of 2.0 only; 0 for not known.
 */
export function encodeHistogram(
  field: number,
  histogram: NativeHistogram,
  timestamp: number,
  stale: boolean,
  start: number,
): Uint8Array {
  const out = new ProtoWriter();
  const mark = out.begin(field);
  const { isFloat } = histogram;
  if (isFloat) out.double(2, histogram.count);
  else out.int64(1, histogram.count);
  if (stale) out.fixed64(3, STALE_LOW, STALE_HIGH);
  else out.double(3, histogram.sum);
  out.sint32(4, histogram.schema);
  out.double(5, histogram.zeroThreshold);
  if (isFloat) out.double(7, histogram.zeroCount);
  else out.int64(6, histogram.zeroCount);
  spans(out, 8, histogram.negativeSpans);
  buckets(out, 9, histogram.negative, isFloat);
  spans(out, 11, histogram.positiveSpans);
  buckets(out, 12, histogram.positive, isFloat);
  out.int32(14, RESET_HINTS[histogram.resetHint]);
  out.int64(15, timestamp);
  if (histogram.customBounds !== undefined) doubles(out, 16, histogram.customBounds);
  if (start !== 0) out.int64(17, start);
  out.end(mark);
  return out.finish();
}

function spans(out: ProtoWriter, field: number, list: NativeHistogram["positiveSpans"]): void {
  for (const { offset, length } of list) {
    const mark = out.begin(field);
    out.sint32(1, offset);
    out.uint32(2, length);
    out.end(mark);
  }
}

/** Deltas at `field`, absolute counts of float histograms at the field behind it. */
function buckets(out: ProtoWriter, field: number, values: readonly number[], isFloat: boolean): void {
  if (isFloat) doubles(out, field + 1, values);
  else {
    if (values.length === 0) return;
    const mark = out.begin(field);
    for (const value of values) {
      const zigzag = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
      out.rawVarint64(Number(zigzag & 0xffffffffn), Number(zigzag >> 32n));
    }
    out.end(mark);
  }
}

function doubles(out: ProtoWriter, field: number, values: readonly number[]): void {
  if (values.length === 0) return;
  const mark = out.begin(field);
  for (const value of values) out.rawDouble(value);
  out.end(mark);
}
