import { BUCKETS, POINT } from "#formats/otlp/fields";
import type { ProtoWriter } from "#formats/protobuf";
import { grownDoubles, type MemoryBudget, type SeriesColumns } from "./series.ts";

/** Histograms of many series in columns, with explicit or exponential buckets. */
export interface HistogramColumns extends SeriesColumns {
  readonly kind: "histogram" | "exponential";
  /** Counts a value (0 or more) `times` times. */
  observe(id: number, value: number, times: number): void;
  /** Writes the fields of a data point that hold counts. */
  write(writer: ProtoWriter, id: number): void;
}

const TWO_32 = 4_294_967_296;

/** A `fixed64` of a whole number, without its tag. */
function rawCount(writer: ProtoWriter, count: number): void {
  writer.rawFixed64(count % TWO_32, Math.floor(count / TWO_32));
}
export function writeCount(writer: ProtoWriter, field: number, count: number): void {
  writer.fixed64(field, count % TWO_32, Math.floor(count / TWO_32));
}

/** Counts below given bounds. A value that equals a bound belongs below it. */
export class ExplicitHistograms implements HistogramColumns {
  readonly kind = "histogram";
  readonly bytesPerSeries: number;
  readonly #bounds: Float64Array;
  readonly #stride: number;
  #buckets = new Float64Array(0);
  #count = new Float64Array(0);
  #sum = new Float64Array(0);

  /** `bounds` rise. */
  constructor(bounds: readonly number[]) {
    this.#bounds = Float64Array.from(bounds);
    this.#stride = bounds.length + 1;
    this.bytesPerSeries = (this.#stride + 2) * 8;
  }

  reserve(capacity: number): void {
    this.#buckets = grownDoubles(this.#buckets, capacity * this.#stride);
    this.#count = grownDoubles(this.#count, capacity);
    this.#sum = grownDoubles(this.#sum, capacity);
  }
  begin(id: number): void {
    this.#count[id] = 0;
    this.#sum[id] = 0;
    this.#buckets.fill(0, id * this.#stride, (id + 1) * this.#stride);
  }
  end(): void {}

  observe(id: number, value: number, times: number): void {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (bounds[middle]! < value) low = middle + 1;
      else high = middle;
    }
    this.#buckets[id * this.#stride + low]! += times;
    this.#count[id]! += times;
    this.#sum[id]! += value * times;
  }

  write(writer: ProtoWriter, id: number): void {
    const stride = this.#stride;
    writeCount(writer, POINT.count, this.#count[id]!);
    writer.double(POINT.sum, this.#sum[id]!);
    writer.tag(POINT.bucketCounts, 2);
    writer.rawVarint(stride * 8);
    for (let i = id * stride; i < (id + 1) * stride; i++) rawCount(writer, this.#buckets[i]!);
    if (stride === 1) return;
    writer.tag(POINT.explicitBounds, 2);
    writer.rawVarint((stride - 1) * 8);
    for (const bound of this.#bounds) writer.rawDouble(bound);
  }
}

const MAX_SCALE = 20;
const MIN_SCALE = -10;
const FIRST_BUCKETS = 8;
const NONE = new Float64Array(0);
const bits = new DataView(new ArrayBuffer(8));

/** The smallest and largest numbers of buckets that go-expohisto takes, and what stands for none. */
const EXPONENTIAL_SIZES = { least: 2, most: 16_384, usual: 160 } as const;

/**
 * The bucket of a positive value: bucket i of scale s holds (b^i, b^(i+1)] with b = 2^(2^−s). Matches the mappings
 * logarithm and exponent of github.com/lightstep/go-expohisto.
 */
export function bucketIndex(value: number, scale: number): number {
  bits.setFloat64(0, value);
  const high = bits.getInt32(0);
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  const isPowerOfTwo = (high & 0xfffff) === 0 && bits.getInt32(4) === 0;
  if (scale > 0) {
    if (exponent === -1023) return -1022 * 2 ** scale - 1; // subnormal
    if (isPowerOfTwo) return exponent * 2 ** scale - 1;
    return Math.floor(Math.log(value) * (Math.LOG2E * 2 ** scale));
  }
  if (exponent === -1023) return (-1022 >> -scale) - (scale > -2 ? 1 : 0);
  return (exponent - (isPowerOfTwo ? 1 : 0)) >> -scale;
}

/** Counts in at most `maxSize` buckets whose width adapts to the values. Matches go-expohisto's structure.Histogram. */
export class ExponentialHistograms implements HistogramColumns {
  readonly kind = "exponential";
  readonly bytesPerSeries = 80;
  readonly #maxSize: number;
  readonly #budget: MemoryBudget;
  #scale = new Int8Array(0);
  #count = new Float64Array(0);
  #zeroCount = new Float64Array(0);
  #sum = new Float64Array(0);
  #min = new Float64Array(0);
  #max = new Float64Array(0);
  /** The buckets from the first to the last in use; of a series without values above zero the last is before the first. */
  #first = new Int32Array(0);
  #last = new Int32Array(0);
  /** Bucket `first + i` is `buckets[id][i]`. */
  readonly #buckets: Float64Array[] = [];

  constructor(maxSize: number, budget: MemoryBudget) {
    const { least, most, usual } = EXPONENTIAL_SIZES;
    this.#maxSize = maxSize <= 0 ? usual : Math.min(Math.max(maxSize, least), most);
    this.#budget = budget;
  }

  reserve(capacity: number): void {
    const scale = new Int8Array(capacity);
    scale.set(this.#scale);
    this.#scale = scale;
    this.#count = grownDoubles(this.#count, capacity);
    this.#zeroCount = grownDoubles(this.#zeroCount, capacity);
    this.#sum = grownDoubles(this.#sum, capacity);
    this.#min = grownDoubles(this.#min, capacity);
    this.#max = grownDoubles(this.#max, capacity);
    const first = new Int32Array(capacity);
    first.set(this.#first);
    this.#first = first;
    const last = new Int32Array(capacity);
    last.set(this.#last);
    this.#last = last;
  }
  begin(id: number): void {
    this.#scale[id] = MAX_SCALE;
    this.#count[id] = this.#zeroCount[id] = this.#sum[id] = this.#min[id] = this.#max[id] = 0;
    this.#first[id] = 0;
    this.#last[id] = -1;
    this.#buckets[id] = NONE;
  }
  end(id: number): void {
    this.#budget.giveBack(this.#buckets[id]!.length * 8);
    this.#buckets[id] = NONE;
  }

  observe(id: number, value: number, times: number): void {
    if (this.#count[id] === 0) this.#min[id] = this.#max[id] = value;
    else if (value < this.#min[id]!) this.#min[id] = value;
    else if (value > this.#max[id]!) this.#max[id] = value;
    this.#count[id]! += times;
    if (value === 0) {
      this.#zeroCount[id]! += times;
      return;
    }
    this.#sum[id]! += value * times;
    const known = bucketIndex(value, this.#scale[id]!);
    if (known >= this.#first[id]! && known <= this.#last[id]!) {
      this.#buckets[id]![known - this.#first[id]!]! += times;
      return;
    }
    this.#fit(id, value, this.#maxSize);
    // Without memory for as many buckets as the values want, those that there are have to do.
    if (!this.#makeRoom(id, this.#needed(id, value))) {
      this.#fit(id, value, Math.max(EXPONENTIAL_SIZES.least, this.#buckets[id]!.length));
      this.#makeRoom(id, this.#needed(id, value));
    }
    const index = bucketIndex(value, this.#scale[id]!);
    const isFirst = this.#last[id]! < this.#first[id]!;
    const low = isFirst ? index : Math.min(this.#first[id]!, index);
    const high = isFirst ? index : Math.max(this.#last[id]!, index);
    const buckets = this.#buckets[id]!;
    const shift = this.#first[id]! - low;
    if (shift > 0 && !isFirst) {
      buckets.copyWithin(shift, 0, this.#last[id]! - this.#first[id]! + 1);
      buckets.fill(0, 0, shift);
    }
    this.#first[id] = low;
    this.#last[id] = high;
    buckets[index - low]! += times;
  }

  /** The number of buckets from the first to the last with this value among them. */
  #needed(id: number, value: number): number {
    const index = bucketIndex(value, this.#scale[id]!);
    if (this.#last[id]! < this.#first[id]!) return 1;
    return Math.max(this.#last[id]!, index) - Math.min(this.#first[id]!, index) + 1;
  }

  /** Makes buckets wider until so many of them are enough. */
  #fit(id: number, value: number, size: number): void {
    if (this.#needed(id, value) <= size) return;
    const index = bucketIndex(value, this.#scale[id]!);
    let low = Math.min(this.#first[id]!, index);
    let high = Math.max(this.#last[id]!, index);
    let change = 0;
    for (; high - low >= size && this.#scale[id]! - change > MIN_SCALE; change++) {
      high >>= 1;
      low >>= 1;
    }
    this.#downscale(id, change);
  }

  /** Whether there are so many buckets, or can be made. */
  #makeRoom(id: number, needed: number): boolean {
    const before = this.#buckets[id]!;
    if (needed <= before.length) return true;
    let size = Math.max(FIRST_BUCKETS, before.length);
    while (size < needed) size *= 2;
    size = Math.min(size, this.#maxSize);
    if (!this.#budget.take((size - before.length) * 8)) {
      if (before.length > 0) return false;
      size = EXPONENTIAL_SIZES.least; // there have to be some
      this.#budget.used += size * 8;
    }
    this.#buckets[id] = grownDoubles(before, size);
    return true;
  }

  /** Makes the buckets wider: 2^change of them become one. */
  #downscale(id: number, change: number): void {
    const buckets = this.#buckets[id]!;
    const first = this.#first[id]!;
    const used = this.#last[id]! - first + 1;
    const newFirst = first >> change;
    for (let i = 0; i < used && i < buckets.length; i++) {
      const to = ((first + i) >> change) - newFirst;
      if (to === i) continue;
      buckets[to]! += buckets[i]!;
      buckets[i] = 0;
    }
    this.#first[id] = newFirst;
    this.#last[id] = this.#last[id]! >> change;
    this.#scale[id]! -= change;
  }

  write(writer: ProtoWriter, id: number): void {
    const isEmpty = this.#last[id]! < this.#first[id]!;
    writeCount(writer, POINT.count, this.#count[id]!);
    writer.double(POINT.sum, this.#sum[id]!);
    writer.sint32(POINT.scale, isEmpty ? 0 : this.#scale[id]!);
    writeCount(writer, POINT.zeroCount, this.#zeroCount[id]!);
    if (!isEmpty) {
      const mark = writer.begin(POINT.positive);
      writer.sint32(BUCKETS.offset, this.#first[id]!);
      const counts = writer.begin(BUCKETS.bucketCounts);
      const buckets = this.#buckets[id]!;
      const used = this.#last[id]! - this.#first[id]! + 1;
      for (let i = 0; i < used; i++) writer.rawVarint(buckets[i]!);
      writer.end(counts);
      writer.end(mark);
    }
    writer.double(POINT.min.exponential, this.#min[id]!);
    writer.double(POINT.max.exponential, this.#max[id]!);
  }
}
