import { ExpositionError } from "./exposition/error.ts";
import {
  CUSTOM_BUCKETS_SCHEMA,
  checkHistogram,
  type Histogram,
  MAX_SCHEMA,
  reduceResolution,
} from "./exposition/histogram.ts";
import { type ProtoReader, WIRE_BYTES } from "./protobuf.ts";

export interface ReadHistogram {
  readonly histogram: Histogram;
  /** Epoch milliseconds. */
  readonly timestamp: number;
  /** The sum is the marker of a series that has ended. */
  readonly stale: boolean;
}

const STALE_LOW = 2;
const STALE_HIGH = 0x7ff00000;
const RESET_HINTS = ["unknown", "yes", "no", "gauge"] as const;
const TWO_32 = 2 ** 32;
/** Finer resolutions than `MAX_SCHEMA` that are known, and made coarser. */
const MAX_KNOWN_SCHEMA = 52;

const bits = new DataView(new ArrayBuffer(8));

/** Reads a `Histogram` message, which is the same in remote write 1.0 and 2.0, from a reader that has entered it. */
export function readHistogram(reader: ProtoReader): ReadHistogram {
  let count = 0;
  let isFloat = false;
  let sum = 0;
  let stale = false;
  let schema = 0;
  let zeroThreshold = 0;
  let zeroInt = 0;
  let zeroFloat = 0;
  let resetHint = 0;
  let timestamp = 0;
  let customBounds: number[] | undefined;
  const positiveSpans: { offset: number; length: number }[] = [];
  const negativeSpans: { offset: number; length: number }[] = [];
  const deltas: [negative: number[], positive: number[]] = [[], []];
  const counts: [negative: number[], positive: number[]] = [[], []];
  while (!reader.done) {
    const tag = reader.tag();
    switch (tag >>> 3) {
      case 1:
        count = reader.uint64Number();
        isFloat = false;
        break;
      case 2:
        count = reader.double();
        isFloat = true;
        break;
      case 3: {
        const low = reader.fixed64Low();
        stale = low === STALE_LOW && reader.high === STALE_HIGH;
        bits.setUint32(0, reader.high);
        bits.setUint32(4, low);
        sum = bits.getFloat64(0);
        break;
      }
      case 4:
        schema = reader.sint32();
        break;
      case 5:
        zeroThreshold = reader.double();
        break;
      case 6:
        zeroInt = reader.uint64Number();
        break;
      case 7:
        zeroFloat = reader.double();
        break;
      case 8:
        negativeSpans.push(readSpan(reader));
        break;
      case 9:
        readRepeated(reader, tag, deltas[0], readZigzag);
        break;
      case 10:
        readRepeated(reader, tag, counts[0], readDouble);
        break;
      case 11:
        positiveSpans.push(readSpan(reader));
        break;
      case 12:
        readRepeated(reader, tag, deltas[1], readZigzag);
        break;
      case 13:
        readRepeated(reader, tag, counts[1], readDouble);
        break;
      case 14:
        resetHint = reader.int32();
        break;
      case 15:
        timestamp = reader.int64Number();
        break;
      case 16:
        readRepeated(reader, tag, (customBounds ??= []), readDouble);
        break;
      default:
        reader.skip(tag);
    }
  }
  const [negative, positive] = isFloat ? counts : deltas;
  const histogram: Histogram = {
    schema,
    zeroThreshold,
    zeroCount: isFloat ? zeroFloat : zeroInt,
    count,
    sum,
    positiveSpans,
    negativeSpans,
    positive,
    negative,
    isFloat,
    customBounds,
    resetHint: RESET_HINTS[resetHint] ?? "unknown",
  };
  return { histogram, timestamp, stale };
}

/**
 * The histogram at a resolution that stores keep, or what is wrong with it, in Prometheus's words
 * (storage/remote/write_handler.go, model/histogram).
 */
export function acceptedHistogram(histogram: Histogram): Histogram | string {
  try {
    const { schema } = histogram;
    const isFine = schema > MAX_SCHEMA && schema <= MAX_KNOWN_SCHEMA;
    const accepted = isFine ? reduceResolution(histogram, MAX_SCHEMA) : histogram;
    checkHistogram(accepted);
    return boundsProblem(accepted) ?? accepted;
  } catch (error) {
    if (error instanceof ExpositionError) return error.message;
    throw error;
  }
}

/** What `checkHistogram` leaves out, since bounds of a scraped histogram cannot be so. */
function boundsProblem({ schema, customBounds: bounds = [], positiveSpans: [first] }: Histogram): string | undefined {
  if (schema !== CUSTOM_BUCKETS_SCHEMA) {
    return bounds.length > 0 ? "histogram with exponential schema must not have custom bounds" : undefined;
  }
  for (const [i, bound] of bounds.entries()) {
    if (Number.isNaN(bound)) return "custom buckets: histogram custom bounds must not be NaN";
    if (i > 0 && bound <= bounds[i - 1]!) {
      return `custom buckets: previous bound is ${bounds[i - 1]} and current is ${bound}: histogram custom bounds must be in strictly increasing order`;
    }
  }
  if (bounds.at(-1) === Infinity) return "custom buckets: last +Inf bound must not be explicitly defined";
  if (first === undefined || first.offset >= 0) return undefined;
  return `custom buckets: span number 1 with offset ${first.offset}: histogram has a span whose offset is negative`;
}

/** A `BucketSpan` behind its tag. */
export function readSpan(reader: ProtoReader): { offset: number; length: number } {
  const outer = reader.enter();
  const span = { offset: 0, length: 0 };
  while (!reader.done) {
    const tag = reader.tag();
    if (tag === 0x08) span.offset = reader.sint32();
    else if (tag === 0x10) span.length = reader.uint32();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return span;
}

/** A repeated number behind its tag, packed or one by one. */
export function readRepeated(
  reader: ProtoReader,
  tag: number,
  into: number[],
  read: (reader: ProtoReader) => number,
): void {
  if ((tag & 7) !== WIRE_BYTES) {
    into.push(read(reader));
    return;
  }
  const outer = reader.enter();
  while (!reader.done) into.push(read(reader));
  reader.leave(outer);
}

function readDouble(reader: ProtoReader): number {
  return reader.double();
}

/** `sint64` as a double: exact up to 2^53 either way. */
function readZigzag(reader: ProtoReader): number {
  const low = reader.varint();
  const value = reader.high * TWO_32 + low;
  return (low & 1) === 0 ? value / 2 : -(value + 1) / 2;
}
