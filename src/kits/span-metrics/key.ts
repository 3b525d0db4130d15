import { decodeAny } from "#formats/otlp/values";
import { asBuffer } from "#formats/protobuf";
import { hashView } from "#pipeline/series-hash";
import { attributeText } from "../ottl/value.ts";

/** Up to so many bytes are copied faster one by one than by a call. */
const SHORT = 48;
const LONG_LENGTH = 255;

/**
 * The bytes that tell one series from another, made anew for each span in the same memory. Parts carry their lengths, so
 * that no two lists of parts give the same bytes.
 */
export class KeyBuffer {
  bytes = Buffer.alloc(1024);
  length = 0;
  #view = viewOf(this.bytes);

  reset(): void {
    this.length = 0;
  }
  hash(): number {
    return hashView(this.#view, 0, this.length);
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length] = value;
    this.length += 1;
  }

  /** Some bytes with their length. */
  part(source: Buffer, from: number, to: number): void {
    const length = to - from;
    if (this.length + length + 5 > this.bytes.length) this.#grow(length + 5);
    const { bytes } = this;
    let at = this.length;
    if (length < LONG_LENGTH) bytes[at++] = length;
    else {
      bytes[at++] = LONG_LENGTH;
      at = bytes.writeUInt32LE(length, at);
    }
    if (length <= SHORT) for (let i = from; i < to; i++) bytes[at++] = source[i]!;
    else at += source.copy(bytes, at, from, to);
    this.length = at;
  }

  /** The AnyValue `source[from, to)` as text, as pdata's AsString gives it: values of different types may have the same. */
  value(source: Buffer, from: number, to: number): void {
    const tag = source[from];
    if (from === to) this.byte(0);
    else if (tag === 10 && source[from + 1]! < 0x80 && from + 2 + source[from + 1]! === to)
      this.part(source, from + 2, to);
    else if (tag === 24 && to - from <= 5 && source[to - 1]! < 0x80 && isOneVarint(source, from + 1, to)) {
      this.#digits(source, from + 1, to);
    } else {
      const text = Buffer.from(attributeText(decodeAny(source, from, to)));
      this.part(text, 0, text.length);
    }
  }

  /** A varint of at most 28 bits as decimal digits. */
  #digits(source: Buffer, from: number, to: number): void {
    let rest = 0;
    for (let i = to - 1; i >= from; i--) rest = (rest << 7) | (source[i]! & 0x7f);
    let digits = 1;
    for (let limit = 10; rest >= limit; limit *= 10) digits += 1;
    if (this.length + digits + 1 > this.bytes.length) this.#grow(digits + 1);
    const { bytes } = this;
    bytes[this.length] = digits;
    for (let at = this.length + digits; at > this.length; at--) {
      bytes[at] = 48 + (rest % 10);
      rest = (rest / 10) | 0;
    }
    this.length += digits + 1;
  }

  #grow(count: number): void {
    const larger = Buffer.alloc(Math.max(this.bytes.length * 2, this.length + count));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
    this.#view = viewOf(larger);
  }
}

function isOneVarint(source: Buffer, from: number, to: number): boolean {
  for (let i = from; i < to - 1; i++) if (source[i]! < 0x80) return false;
  return true;
}

function viewOf(bytes: Uint8Array): DataView {
  const buffer = asBuffer(bytes);
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
