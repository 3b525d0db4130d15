import { DATA, GAUGE, METRIC, POINT, SUM } from "./fields.ts";

/**
 * Sums and gauges read in one pass and without an object for each: where the parts of a metric lie, and those of its
 * points. Only the form in which everybody writes them is read here, each field at most once and none that is unknown; for
 * all else, faults included, `read` returns false, and `OtlpRecord` is there.
 */

const FIXED64 = 1;
const LENGTH = 2;
const tagOf = (field: number, wire: number) => (field << 3) | wire;

const NAME = tagOf(METRIC.name, LENGTH);
const DESCRIPTION = tagOf(METRIC.description, LENGTH);
const UNIT = tagOf(METRIC.unit, LENGTH);
const METADATA = tagOf(METRIC.metadata, LENGTH);
const IN_GAUGE = tagOf(GAUGE, LENGTH);
const IN_SUM = tagOf(SUM, LENGTH);
const POINTS = tagOf(DATA.points, LENGTH);
const TEMPORALITY_TAG = tagOf(DATA.temporality, 0);
const MONOTONIC = tagOf(DATA.isMonotonic, 0);

const START = tagOf(POINT.start, FIXED64);
const TIME = tagOf(POINT.time, FIXED64);
const AS_DOUBLE = tagOf(POINT.asDouble, FIXED64);
const AS_INT = tagOf(POINT.asInt, FIXED64);
const EXEMPLARS = tagOf(POINT.exemplars.number, LENGTH);
const ATTRIBUTES = tagOf(POINT.attributes.number, LENGTH);
const FLAGS = tagOf(POINT.flags.number, 0);
const KEY = 10;
const VALUE = 18;

/** Where a piece of bytes lies. */
export interface ByteRange {
  bytes: Buffer;
  start: number;
  end: number;
}

/** Reads the length at `at` of something that must end by `end`; `body` and `stop` are where it lies. */
class Length {
  body = 0;
  stop = 0;
  read(bytes: Buffer, at: number, end: number): boolean {
    let value = 0;
    for (let shift = 0, i = at; shift < 28 && i < end; shift += 7, i++) {
      const byte = bytes[i]!;
      value |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      this.body = i + 1;
      this.stop = i + 1 + value;
      return this.stop <= end;
    }
    return false;
  }
}

/** Numbers of `points`: where the field of a point begins, its content, and where it ends. */
const POINT_STRIDE = 3;

export class NumberMetricScan {
  /** `SUM` or `GAUGE`. */
  field = 0;
  temporality = 0;
  isMonotonic = false;
  readonly nameRange: ByteRange = { bytes: Buffer.alloc(0), start: 0, end: 0 };
  readonly unitRange: ByteRange = { bytes: Buffer.alloc(0), start: 0, end: 0 };
  /** The tag of the field that holds the data, where its content begins, and where it ends. */
  dataAt = 0;
  dataBody = 0;
  dataEnd = 0;
  /** Where the one byte of the temporality is; −1 for none. */
  temporalityAt = -1;
  count = 0;
  #points = new Int32Array(POINT_STRIDE * 16);
  readonly #length = new Length();

  get name(): string {
    const { bytes, start, end } = this.nameRange;
    return bytes.toString("utf8", start, end);
  }
  pointAt(p: number): number {
    return this.#points[p * POINT_STRIDE]!;
  }
  pointBody(p: number): number {
    return this.#points[p * POINT_STRIDE + 1]!;
  }
  pointEnd(p: number): number {
    return this.#points[p * POINT_STRIDE + 2]!;
  }

  read(bytes: Buffer, start: number, end: number): boolean {
    const { nameRange, unitRange } = this;
    const length = this.#length;
    nameRange.bytes = unitRange.bytes = bytes;
    nameRange.start = nameRange.end = unitRange.start = unitRange.end = start;
    this.field = 0;
    let hasDescription = false;
    for (let at = start; at < end; at = length.stop) {
      if (!length.read(bytes, at + 1, end)) return false;
      switch (bytes[at]) {
        case NAME:
          if (nameRange.start !== start) return false;
          nameRange.start = length.body;
          nameRange.end = length.stop;
          break;
        case UNIT:
          if (unitRange.start !== start) return false;
          unitRange.start = length.body;
          unitRange.end = length.stop;
          break;
        case DESCRIPTION:
          if (hasDescription) return false;
          hasDescription = true;
          break;
        case METADATA:
          break;
        case IN_GAUGE:
        case IN_SUM:
          if (this.field !== 0) return false;
          this.field = bytes[at]! >>> 3;
          this.dataAt = at;
          this.dataBody = length.body;
          this.dataEnd = length.stop;
          break;
        default:
          return false;
      }
    }
    return this.field !== 0 && this.#data(bytes);
  }

  #data(bytes: Buffer): boolean {
    const length = this.#length;
    const end = this.dataEnd;
    this.count = 0;
    this.temporality = 0;
    this.temporalityAt = -1;
    this.isMonotonic = false;
    let hasMonotonic = false;
    for (let at = this.dataBody; at < end; ) {
      const tag = bytes[at]!;
      if (tag === POINTS) {
        if (!length.read(bytes, at + 1, end)) return false;
        this.#add(at, length.body, length.stop);
        at = length.stop;
        continue;
      }
      if (at + 2 > end || bytes[at + 1]! >= 0x80) return false;
      if (tag === TEMPORALITY_TAG && this.temporalityAt < 0) {
        this.temporalityAt = at + 1;
        this.temporality = bytes[at + 1]!;
      } else if (tag === MONOTONIC && !hasMonotonic) {
        hasMonotonic = true;
        this.isMonotonic = bytes[at + 1] !== 0;
      } else return false;
      at += 2;
    }
    return true;
  }
  #add(at: number, body: number, stop: number): void {
    const base = this.count * POINT_STRIDE;
    if (base + POINT_STRIDE > this.#points.length) {
      const larger = new Int32Array(this.#points.length * 2);
      larger.set(this.#points);
      this.#points = larger;
    }
    this.#points[base] = at;
    this.#points[base + 1] = body;
    this.#points[base + 2] = stop;
    this.count += 1;
  }
}

/** Numbers of `ranges`: begin and end of the key and of the value of an attribute. */
export const RANGE_STRIDE = 4;

/** A data point of a sum or gauge. 64-bit fields come as two signed halves. */
export class NumberPointScan {
  bytes: Buffer = Buffer.alloc(0);
  /** Of the same bytes, for those who edit fields in place. */
  view: DataView = new DataView(new ArrayBuffer(0));
  start = 0;
  end = 0;
  /** Where the eight bytes of a field are; −1 for none. */
  startAt = -1;
  timeAt = -1;
  /** Every point that is read here has a value. */
  valueAt = -1;
  isDouble = false;
  flags = 0;
  startLow = 0;
  startHigh = 0;
  timeLow = 0;
  timeHigh = 0;
  /** Attributes. */
  count = 0;
  ranges = new Int32Array(RANGE_STRIDE * 16);
  readonly #length = new Length();

  get double(): number {
    return this.view.getFloat64(this.valueAt, true);
  }
  set double(value: number) {
    this.view.setFloat64(this.valueAt, value, true);
  }
  get intLow(): number {
    return this.view.getInt32(this.valueAt, true);
  }
  get intHigh(): number {
    return this.view.getInt32(this.valueAt + 4, true);
  }
  setInt(low: number, high: number): void {
    this.view.setInt32(this.valueAt, low, true);
    this.view.setInt32(this.valueAt + 4, high, true);
  }

  read(bytes: Buffer, view: DataView, start: number, end: number): boolean {
    this.bytes = bytes;
    this.view = view;
    this.start = start;
    this.end = end;
    this.startAt = this.timeAt = this.valueAt = -1;
    this.flags = this.startLow = this.startHigh = this.count = 0;
    let hasFlags = false;
    const length = this.#length;
    for (let at = start; at < end; ) {
      const tag = bytes[at]!;
      switch (tag) {
        case ATTRIBUTES:
          if (!length.read(bytes, at + 1, end)) return false;
          at = length.stop;
          if (!this.#attribute(bytes, length.body, at)) return false;
          break;
        case START:
          if (this.startAt >= 0 || at + 9 > end) return false;
          this.startAt = at + 1;
          this.startLow = view.getInt32(at + 1, true);
          this.startHigh = view.getInt32(at + 5, true);
          at += 9;
          break;
        case TIME:
          if (this.timeAt >= 0 || at + 9 > end) return false;
          this.timeAt = at + 1;
          this.timeLow = view.getInt32(at + 1, true);
          this.timeHigh = view.getInt32(at + 5, true);
          at += 9;
          break;
        case AS_DOUBLE:
        case AS_INT:
          if (this.valueAt >= 0 || at + 9 > end) return false;
          this.valueAt = at + 1;
          this.isDouble = tag === AS_DOUBLE;
          at += 9;
          break;
        case EXEMPLARS:
          if (!length.read(bytes, at + 1, end)) return false;
          at = length.stop;
          break;
        case FLAGS:
          if (hasFlags || at + 2 > end || bytes[at + 1]! >= 0x80) return false;
          hasFlags = true;
          this.flags = bytes[at + 1]!;
          at += 2;
          break;
        default:
          return false;
      }
    }
    return this.timeAt >= 0 && this.valueAt >= 0;
  }

  #attribute(bytes: Buffer, start: number, end: number): boolean {
    const length = this.#length;
    if (bytes[start] !== KEY || !length.read(bytes, start + 1, end)) return false;
    const { body, stop } = length;
    if (stop >= end || bytes[stop] !== VALUE || !length.read(bytes, stop + 1, end) || length.stop !== end) return false;
    const base = this.count * RANGE_STRIDE;
    if (base + RANGE_STRIDE > this.ranges.length) {
      const larger = new Int32Array(this.ranges.length * 2);
      larger.set(this.ranges);
      this.ranges = larger;
    }
    this.ranges[base] = body;
    this.ranges[base + 1] = stop;
    this.ranges[base + 2] = length.body;
    this.ranges[base + 3] = end;
    this.count += 1;
    return true;
  }
}
