import { type Exemplar, type NativeHistogram, SAMPLE_STALE } from "#pipeline/batch";
import type { SeriesRef } from "#pipeline/series";
import { varintLength, writeVarint } from "#pipeline/series-labels";
import { FAMILY_FIELDS, type SeriesSymbols } from "./2-series.ts";
import { SymbolTable } from "./2-symbols.ts";
import { encodeHistogram } from "./histogram.ts";
import { NORMAL_NAN_BITS, STALE_BITS, writeInt64 } from "./remote-write.ts";

export const REMOTE_WRITE_2_HEADERS = {
  "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
  "content-encoding": "snappy",
  "x-prometheus-remote-write-version": "2.0.0",
} as const;

/** Bytes of a TimeSeries beside its labels and what `sampleWith` adds: tags, lengths, a sample, metadata. */
const OVERHEAD = 80;
/** The longest index of a symbol on the wire. */
const INDEX_BYTES = 5;
const HISTOGRAM_FIELD = 3;

/** The columns of a batch that are written, with `refs` in the place of its own. */
export interface SampleColumns {
  readonly timestamp: Float64Array;
  readonly value: Float64Array;
  readonly flags: Uint8Array;
  readonly start?: Float64Array | undefined;
}

/**
 * Writes `io.prometheus.write.v2.Request` messages (remote write 2.0): each sample as a TimeSeries of its own, its labels
 * and metadata from what `SeriesSymbols` knows of the series. One encoder, used again after `reset`.
 */
export class Request2Encoder {
  readonly #series: SeriesSymbols;
  readonly #withMetadata: boolean;
  readonly #table = new SymbolTable();
  #buffer: Buffer;
  #view: DataView;
  #length = 0;
  /** Of each symbol, by its ref: the request that it was last used in, and its index there. */
  #indexes = new Int32Array(2048);
  #request = 1;
  /** The indexes of the labels of the series under way. */
  #labels = new Int32Array(64);
  #timestamp = NaN;
  readonly #timestampBytes = new Uint8Array(10);
  #timestampLength = 0;

  constructor(series: SeriesSymbols, withMetadata: boolean, initialBytes = 65_536) {
    this.#series = series;
    this.#withMetadata = withMetadata;
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes);
    this.#view = viewOf(this.#buffer);
  }

  reset(): void {
    this.#length = 0;
    this.#table.reset();
    this.#request += 1;
  }

  /** The message, valid until the next call of any method. */
  bytes(): Buffer {
    const symbols = this.#table.bytes();
    const at = this.#length;
    this.#reserve(symbols.length + at);
    // The symbols come first, so that who reads the message as a stream knows them.
    symbols.copy(this.#buffer, at);
    this.#buffer.copy(this.#buffer, at + symbols.length, 0, at);
    return this.#buffer.subarray(at, at + symbols.length + at);
  }

  /** The samples `from` … `to` − 1, of the series `refs`. One call for many: numbers that are passed one by one are boxed. */
  samples(refs: Int32Array, columns: SampleColumns, from: number, to: number): void {
    for (let i = from; i < to; i++) this.#sample(refs[i]!, columns, i, undefined);
  }

  /** Sample i with exemplars, or with a native histogram in the place of its value. */
  sampleWith(
    ref: SeriesRef,
    columns: SampleColumns,
    i: number,
    exemplars: readonly Exemplar[],
    histogram: NativeHistogram | undefined,
  ): void {
    const parts = exemplars.map((each) => this.#exemplar(each));
    if (histogram !== undefined) {
      const isStale = (columns.flags[i]! & SAMPLE_STALE) !== 0;
      const began = columns.start?.[i] ?? 0;
      parts.unshift(encodeHistogram(HISTOGRAM_FIELD, histogram, columns.timestamp[i]!, isStale, began));
    }
    this.#sample(ref, columns, i, { parts, isHistogram: histogram !== undefined });
  }

  #sample(
    ref: SeriesRef,
    { timestamp, value, flags, start }: SampleColumns,
    i: number,
    sides: { readonly parts: readonly Uint8Array[]; readonly isHistogram: boolean } | undefined,
  ): void {
    const series = this.#series;
    const place = series.place(ref);
    const { runs } = series;
    const count = runs[place]!;
    if (count > this.#labels.length) this.#labels = new Int32Array(count * 2);
    if (series.strings.refLimit * 2 > this.#indexes.length) this.#growIndexes();
    const labels = this.#labels;
    const indexes = this.#indexes;
    const request = this.#request;
    let labelBytes = 0;
    for (let k = 0; k < count; k++) {
      const symbol = runs[place + 1 + k]!;
      const index = indexes[symbol * 2] === request ? indexes[symbol * 2 + 1]! : this.#firstUse(symbol);
      labels[k] = index;
      labelBytes += index < 0x80 ? 1 : index < 0x4000 ? 2 : varintLength(index);
    }
    let type = 0;
    let help = 0;
    let unit = 0;
    const family = this.#withMetadata ? series.family(ref) * FAMILY_FIELDS : 0;
    if (family !== 0) {
      type = series.families[family]!;
      help = this.#indexOrNone(series.families[family + 1]!);
      unit = this.#indexOrNone(series.families[family + 2]!);
    }
    const metadataBytes =
      (type === 0 ? 0 : 2) + (help === 0 ? 0 : 1 + varintLength(help)) + (unit === 0 ? 0 : 1 + varintLength(unit));
    if (timestamp[i] !== this.#timestamp) this.#encodeTimestamp(timestamp[i]!);
    const began = start === undefined ? 0 : start[i]!;
    const beganBytes = began === 0 ? 0 : 1 + int64Length(began);
    const sampleBytes = sides?.isHistogram === true ? 0 : 10 + this.#timestampLength + beganBytes;
    let sideBytes = 0;
    if (sides !== undefined) for (const part of sides.parts) sideBytes += part.length;

    let at = this.#reserve(count * INDEX_BYTES + sideBytes + OVERHEAD);
    const buffer = this.#buffer;
    buffer[at] = 0x2a;
    at = writeVarint(
      buffer,
      at + 1,
      1 +
        varintLength(labelBytes) +
        labelBytes +
        (sampleBytes === 0 ? 0 : 2 + sampleBytes) +
        sideBytes +
        (metadataBytes === 0 ? 0 : 2 + metadataBytes),
    );
    buffer[at] = 0x0a;
    at = writeVarint(buffer, at + 1, labelBytes);
    for (let k = 0; k < count; k++) {
      const index = labels[k]!;
      if (index < 0x80) buffer[at++] = index;
      else at = writeVarint(buffer, at, index);
    }
    if (sampleBytes !== 0) {
      buffer[at] = 0x12;
      buffer[at + 1] = sampleBytes;
      buffer[at + 2] = 0x09;
      const number = value[i]!;
      if (flags[i] === 0 && !Number.isNaN(number)) this.#view.setFloat64(at + 3, number, true);
      else {
        this.#view.setBigUint64(at + 3, (flags[i]! & SAMPLE_STALE) !== 0 ? STALE_BITS : NORMAL_NAN_BITS, true);
      }
      buffer[at + 11] = 0x10;
      at += 12;
      for (let k = 0; k < this.#timestampLength; k++) buffer[at + k] = this.#timestampBytes[k]!;
      at += this.#timestampLength;
      if (began !== 0) {
        buffer[at] = 0x18;
        at = writeInt64(buffer, at + 1, began);
      }
    }
    if (sides !== undefined) {
      for (const part of sides.parts) {
        buffer.set(part, at);
        at += part.length;
      }
    }
    if (metadataBytes !== 0) {
      buffer[at] = 0x2a;
      buffer[at + 1] = metadataBytes;
      at += 2;
      if (type !== 0) {
        buffer[at] = 0x08;
        buffer[at + 1] = type;
        at += 2;
      }
      if (help !== 0) {
        buffer[at] = 0x18;
        at = writeVarint(buffer, at + 1, help);
      }
      if (unit !== 0) {
        buffer[at] = 0x20;
        at = writeVarint(buffer, at + 1, unit);
      }
    }
    this.#length = at;
  }

  /** The index of a symbol in this request; that of the empty string for none. */
  #indexOrNone(symbol: number): number {
    if (symbol === 0) return 0;
    const isKnown = this.#indexes[symbol * 2] === this.#request;
    return isKnown ? this.#indexes[symbol * 2 + 1]! : this.#firstUse(symbol);
  }

  #growIndexes(): void {
    const larger = new Int32Array(Math.ceil(this.#series.strings.refLimit * 1.5) * 2);
    larger.set(this.#indexes);
    this.#indexes = larger;
  }

  #firstUse(symbol: number): number {
    const index = this.#table.internRef(this.#series.strings, symbol);
    this.#indexes[symbol * 2] = this.#request;
    this.#indexes[symbol * 2 + 1] = index;
    return index;
  }

  #exemplar(exemplar: Exemplar): Uint8Array {
    return encodeExemplar2(exemplar, (text) => this.#table.internText(text));
  }

  #encodeTimestamp(timestamp: number): void {
    this.#timestamp = timestamp;
    this.#timestampLength = writeInt64(this.#timestampBytes, 0, timestamp);
  }

  #reserve(bytes: number): number {
    const needed = this.#length + bytes;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
      this.#view = viewOf(larger);
    }
    return this.#length;
  }
}

/** Field 4 of TimeSeries; `intern` gives the index of a string. */
function encodeExemplar2({ labels, value, timestamp }: Exemplar, intern: (text: string) => number): Uint8Array {
  const indexes = labels.flat.map(intern);
  const body = Buffer.alloc(indexes.length * INDEX_BYTES + 40);
  let labelBytes = 0;
  for (const index of indexes) labelBytes += varintLength(index);
  let at = 0;
  if (indexes.length > 0) {
    body[at] = 0x0a;
    at = writeVarint(body, at + 1, labelBytes);
    for (const index of indexes) at = writeVarint(body, at, index);
  }
  body[at] = 0x11;
  body.writeDoubleLE(value, at + 1);
  body[at + 9] = 0x18;
  at = writeInt64(body, at + 10, timestamp);
  const out = Buffer.alloc(at + 6);
  out[0] = 0x22;
  const start = writeVarint(out, 1, at);
  body.copy(out, start, 0, at);
  return out.subarray(0, start + at);
}

function int64Length(value: number): number {
  if (value < 0) return 10;
  let length = 1;
  for (let left = value; left > 0x7f; left = Math.floor(left / 128)) length += 1;
  return length;
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
