import type { Labels } from "#base/labels";
import { type Exemplar, type MetricMetadata, type NativeHistogram, SAMPLE_STALE } from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import { encodedLabelsLength, encodeLabels, varintLength, writeVarint } from "#pipeline/series-labels";
import { encodeHistogram } from "./histogram.ts";
import { METADATA_TYPES } from "./metadata.ts";

/** What Prometheus puts in place of the value of a series that has vanished, and of any other NaN. */
export const STALE_BITS = 0x7ff0000000000002n;
export const NORMAL_NAN_BITS = 0x7ff8000000000001n;

export const REMOTE_WRITE_HEADERS = {
  "content-type": "application/x-protobuf",
  "content-encoding": "snappy",
  "x-prometheus-remote-write-version": "0.1.0",
} as const;

/** Bytes of a TimeSeries beside its labels: its tag and length, one sample with tags and lengths. */
const SAMPLE_OVERHEAD = 40;
const HISTOGRAM_FIELD = 4;

/**
 * Writes `prometheus.WriteRequest` messages (remote write 1.0): each sample as a TimeSeries of its own, its labels copied
 * from the registry as they are. One buffer, used again after `reset`.
 */
export class WriteRequestEncoder {
  #buffer: Buffer;
  #view: DataView;
  #length = 0;
  #timestamp = NaN;
  /** The timestamp of the last sample as a varint. */
  readonly #timestampBytes = new Uint8Array(10);
  #timestampLength = 0;

  constructor(initialBytes = 65_536) {
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes);
    this.#view = viewOf(this.#buffer);
  }

  /** Bytes written since the last `reset`. */
  get length(): number {
    return this.#length;
  }

  reset(): void {
    this.#length = 0;
  }

  /** What was written, valid until the next call of any method. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** A sample, or a stale marker. */
  sample(registry: SeriesRegistry, ref: SeriesRef, timestamp: number, value: number, stale: boolean): void {
    const labels = registry.encodedLength(ref);
    let at = this.#reserve(labels + SAMPLE_OVERHEAD);
    if (timestamp !== this.#timestamp) this.#encodeTimestamp(timestamp);
    const sampleLength = 10 + this.#timestampLength;
    const buffer = this.#buffer;
    buffer[at] = 0x0a;
    at = writeVarint(buffer, at + 1, labels + 2 + sampleLength);
    at = registry.copyEncoded(ref, buffer, at);
    this.#length = this.#writeSample(at, sampleLength, value, stale);
  }

  /** The samples `from` … `to` − 1 of columns. One call for many: numbers that are passed one by one are boxed. */
  samples(
    registry: SeriesRegistry,
    refs: Int32Array,
    timestamps: Float64Array,
    values: Float64Array,
    flags: Uint8Array,
    from: number,
    to: number,
  ): void {
    for (let i = from; i < to; i++) {
      const ref = refs[i]!;
      const labels = registry.encodedLength(ref);
      let at = this.#reserve(labels + SAMPLE_OVERHEAD);
      if (timestamps[i] !== this.#timestamp) this.#encodeTimestamp(timestamps[i]!);
      const sampleLength = 10 + this.#timestampLength;
      const buffer = this.#buffer;
      buffer[at] = 0x0a;
      at = writeVarint(buffer, at + 1, labels + 2 + sampleLength);
      at = registry.copyEncoded(ref, buffer, at);
      const value = values[i]!;
      if (flags[i] === 0 && !Number.isNaN(value)) {
        buffer[at] = 0x12;
        buffer[at + 1] = sampleLength;
        buffer[at + 2] = 0x09;
        this.#view.setFloat64(at + 3, value, true);
        this.#length = this.#finishSample(at + 11);
      } else this.#length = this.#writeSample(at, sampleLength, value, (flags[i]! & SAMPLE_STALE) !== 0);
    }
  }

  /** A sample with exemplars or with a native histogram in the place of its value. */
  sampleWith(
    registry: SeriesRegistry,
    ref: SeriesRef,
    timestamp: number,
    value: number,
    stale: boolean,
    exemplars: readonly Exemplar[],
    histogram: NativeHistogram | undefined,
  ): void {
    const parts: Uint8Array[] = exemplars.map(encodeExemplar);
    if (histogram !== undefined) parts.push(encodeHistogram(HISTOGRAM_FIELD, histogram, timestamp, stale, 0));
    const labels = registry.encodedLength(ref);
    const extra = parts.reduce((sum, part) => sum + part.length, 0);
    let at = this.#reserve(labels + extra + SAMPLE_OVERHEAD);
    if (timestamp !== this.#timestamp) this.#encodeTimestamp(timestamp);
    const sampleLength = 10 + this.#timestampLength;
    const buffer = this.#buffer;
    buffer[at] = 0x0a;
    at = writeVarint(buffer, at + 1, labels + extra + (histogram === undefined ? 2 + sampleLength : 0));
    at = registry.copyEncoded(ref, buffer, at);
    if (histogram === undefined) at = this.#writeSample(at, sampleLength, value, stale);
    for (const part of parts) {
      buffer.set(part, at);
      at += part.length;
    }
    this.#length = at;
  }

  metadata(metadata: MetricMetadata): void {
    const { family, help, unit, type } = metadata;
    const texts = [2, family, 4, help, 5, unit] as const;
    const code = METADATA_TYPES.indexOf(type);
    let body = code === 0 ? 0 : 2;
    for (let i = 1; i < texts.length; i += 2) {
      const length = Buffer.byteLength(texts[i] as string);
      if (length > 0) body += 1 + varintLength(length) + length;
    }
    let at = this.#reserve(body + 6);
    const buffer = this.#buffer;
    buffer[at] = 0x1a;
    at = writeVarint(buffer, at + 1, body);
    if (code !== 0) {
      buffer[at++] = 0x08;
      buffer[at++] = code;
    }
    for (let i = 0; i < texts.length; i += 2) {
      const text = texts[i + 1] as string;
      if (text === "") continue;
      buffer[at] = ((texts[i] as number) << 3) | 2;
      at = writeVarint(buffer, at + 1, Buffer.byteLength(text));
      at += buffer.write(text, at);
    }
    this.#length = at;
  }

  #writeSample(at: number, sampleLength: number, value: number, stale: boolean): number {
    const buffer = this.#buffer;
    buffer[at] = 0x12;
    buffer[at + 1] = sampleLength;
    buffer[at + 2] = 0x09;
    if (!stale && !Number.isNaN(value)) this.#view.setFloat64(at + 3, value, true);
    else this.#view.setBigUint64(at + 3, stale ? STALE_BITS : NORMAL_NAN_BITS, true);
    return this.#finishSample(at + 11);
  }

  #finishSample(at: number): number {
    const buffer = this.#buffer;
    const bytes = this.#timestampBytes;
    const length = this.#timestampLength;
    buffer[at] = 0x10;
    for (let i = 0; i < length; i++) buffer[at + 1 + i] = bytes[i]!;
    return at + 1 + length;
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

/** Writes a whole number as int64; returns the offset after it. */
export function writeInt64(target: Uint8Array, at: number, value: number): number {
  if (value < 0) {
    let left = BigInt.asUintN(64, BigInt(value));
    for (; left > 0x7fn; left >>= 7n) target[at++] = Number(left & 0x7fn) | 0x80;
    target[at++] = Number(left);
    return at;
  }
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) target[at++] = (left % 128) | 0x80;
  target[at++] = left;
  return at;
}

/** Field 3 of TimeSeries. */
function encodeExemplar({ labels, value, timestamp }: Exemplar): Buffer {
  const encoded = encodedExemplarLabels(labels);
  const body = Buffer.alloc(encoded.length + 20);
  encoded.copy(body);
  let at = encoded.length;
  body[at] = 0x11;
  body.writeDoubleLE(value, at + 1);
  body[at + 9] = 0x18;
  at = writeInt64(body, at + 10, timestamp);
  const out = Buffer.alloc(at + 6);
  out[0] = 0x1a;
  const start = writeVarint(out, 1, at);
  body.copy(out, start, 0, at);
  return out.subarray(0, start + at);
}

function encodedExemplarLabels(labels: Labels): Buffer {
  const target = Buffer.alloc(encodedLabelsLength(labels));
  return target.subarray(0, encodeLabels(labels, target, 0));
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}
