import { POINT } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { asBuffer, ProtoReader } from "#formats/protobuf";
import { millisOf, nanosBeyondMillis } from "./nanos.ts";

/** A data point of any kind, read once from its bytes into fields that are used again for the next one. */

const TWO_32 = 2 ** 32;
const WIRE_FIXED64 = 1;
const NO_VALUE_FLAG = 1;

/** Which fields a kind of points has; numbers are those of opentelemetry-proto. */
export type PointShape = "number" | "histogram" | "exponential" | "summary";

export class DataPoint {
  /** Whole milliseconds since 1970. */
  timestamp = 0;
  /** The time with its part of a millisecond, for comparisons. */
  time = 0;
  /** Whole milliseconds; 0 for none. */
  start = 0;
  isStale = false;
  /** Of numbers. */
  value = 0;
  count = 0;
  sum = 0;
  hasSum = false;
  hasExemplars = false;
  /** Buckets of histograms. */
  readonly counts: number[] = [];
  readonly bounds: number[] = [];
  /** The attributes, as the fields of KeyValues that they are, wherever they lie in the point. */
  attributes = Buffer.allocUnsafeSlow(1024);
  attributeBytes = 0;
  /** The whole point, for what is read seldom. */
  readonly #record = new OtlpRecord();
  readonly #reader = new ProtoReader(new Uint8Array(0));
  #bytes: Uint8Array = new Uint8Array(0);
  #buffer: Buffer = Buffer.alloc(0);
  #from = 0;
  #to = 0;

  /** The point as a record, valid until the next `read`. */
  record(): OtlpRecord {
    return this.#record.reset(this.#bytes, this.#from, this.#to);
  }

  /** Reads the point at `bytes[from, to)`. Attributes come behind `prefix` bytes that are left free. Throws ProtobufError. */
  read(shape: PointShape, bytes: Uint8Array, from: number, to: number, prefix: number): void {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#buffer = asBuffer(bytes);
    }
    this.#from = from;
    this.#to = to;
    this.timestamp = this.time = this.start = 0;
    this.isStale = this.hasSum = this.hasExemplars = false;
    this.value = this.count = this.sum = 0;
    this.counts.length = 0;
    this.bounds.length = 0;
    this.attributeBytes = prefix;
    const attributeTag = (POINT.attributes[shape] << 3) | 2;
    const exemplarTag = (POINT.exemplars[shape] << 3) | 2;
    const flagsTag = POINT.flags[shape] << 3;
    const reader = this.#reader;
    reader.reset(bytes, from, to);
    let first = from;
    let last = from;
    while (reader.position < reader.end) {
      const at = reader.position;
      const tag = reader.tag();
      if (tag === attributeTag) {
        reader.skip(tag);
        // Attributes mostly lie side by side, and are copied at once.
        if (at !== last) {
          this.#addAttributes(first, last);
          first = at;
        }
        last = reader.position;
        continue;
      }
      if (tag === flagsTag) {
        this.isStale = (reader.varint() & NO_VALUE_FLAG) !== 0;
        continue;
      }
      if (tag === exemplarTag) this.hasExemplars = true;
      switch (tag) {
        case (POINT.start << 3) | WIRE_FIXED64: {
          const low = reader.fixed64Low();
          this.start = millisOf(low, reader.high);
          continue;
        }
        case (POINT.time << 3) | WIRE_FIXED64: {
          const low = reader.fixed64Low();
          this.timestamp = millisOf(low, reader.high);
          this.time = this.timestamp + nanosBeyondMillis(low, reader.high) / 1e6;
          continue;
        }
      }
      if (!(shape === "number" ? this.#readNumber(reader, tag) : this.#readDistribution(reader, tag, shape))) {
        reader.skip(tag);
      }
    }
    this.#addAttributes(first, last);
  }

  #readNumber(reader: ProtoReader, tag: number): boolean {
    if (tag === ((POINT.asDouble << 3) | WIRE_FIXED64)) this.value = reader.double();
    else if (tag === ((POINT.asInt << 3) | WIRE_FIXED64)) {
      const low = reader.fixed64Low();
      this.value = (reader.high | 0) * TWO_32 + low;
    } else return false;
    return true;
  }
  #readDistribution(reader: ProtoReader, tag: number, shape: PointShape): boolean {
    switch (tag) {
      case (POINT.count << 3) | WIRE_FIXED64:
        this.count = count(reader);
        return true;
      case (POINT.sum << 3) | WIRE_FIXED64:
        this.sum = reader.double();
        this.hasSum = true;
        return true;
    }
    if (shape !== "histogram") return false;
    switch (tag) {
      case (POINT.bucketCounts << 3) | 2: {
        const outer = reader.enter();
        while (!reader.done) this.counts.push(count(reader));
        reader.leave(outer);
        return true;
      }
      case (POINT.bucketCounts << 3) | WIRE_FIXED64:
        this.counts.push(count(reader));
        return true;
      case (POINT.explicitBounds << 3) | 2: {
        const outer = reader.enter();
        while (!reader.done) this.bounds.push(reader.double());
        reader.leave(outer);
        return true;
      }
      case (POINT.explicitBounds << 3) | WIRE_FIXED64:
        this.bounds.push(reader.double());
        return true;
      default:
        return false;
    }
  }

  #addAttributes(from: number, to: number): void {
    const at = this.attributeBytes;
    const end = at + to - from;
    if (end > this.attributes.length) {
      const larger = Buffer.allocUnsafeSlow(end * 2);
      this.attributes.copy(larger, 0, 0, at);
      this.attributes = larger;
    }
    this.#buffer.copy(this.attributes, at, from, to);
    this.attributeBytes = end;
  }
}

function count(reader: ProtoReader): number {
  const low = reader.fixed64Low();
  return reader.high * TWO_32 + low;
}
