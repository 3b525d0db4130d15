/**
 * The primitive types of Kafka's protocol (kafka.apache.org/protocol, "Protocol Primitive Types"), in the forms of
 * before KIP-482: every request that the kit sends has a version with these that brokers from 0.11 to 4.x know.
 */

const FIRST_BYTES = 512;

/** Builds the body of a request. */
export class KafkaWriter {
  #bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #length = 0;

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
  int8(value: number): this {
    const at = this.#grow(1);
    this.#bytes.writeInt8(value, at);
    return this;
  }
  int16(value: number): this {
    const at = this.#grow(2);
    this.#bytes.writeInt16BE(value, at);
    return this;
  }
  int32(value: number): this {
    const at = this.#grow(4);
    this.#bytes.writeInt32BE(value, at);
    return this;
  }
  /** A whole number within what JavaScript counts exactly. */
  int64(value: number): this {
    const at = this.#grow(8);
    this.#bytes.writeInt32BE(Math.floor(value / 2 ** 32), at);
    this.#bytes.writeUInt32BE(((value % 2 ** 32) + 2 ** 32) % 2 ** 32, at + 4);
    return this;
  }
  boolean(value: boolean): this {
    return this.int8(value ? 1 : 0);
  }
  string(text: string | null): this {
    if (text === null) return this.int16(-1);
    const length = Buffer.byteLength(text);
    this.int16(length);
    this.#bytes.write(text, this.#grow(length));
    return this;
  }
  /** Bytes with their length before them; null for none. */
  blob(bytes: Uint8Array | null): this {
    if (bytes === null) return this.int32(-1);
    this.int32(bytes.length);
    return this.raw(bytes);
  }
  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }
  /** Null is what Kafka often takes for "all". */
  array<T>(items: Iterable<T> | null, write: (item: T) => void): this {
    if (items === null) return this.int32(-1);
    const all = [...items];
    this.int32(all.length);
    for (const item of all) write(item);
    return this;
  }

  #grow(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#length, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    return at;
  }
}

/** Reads the body of a response. Throws a RangeError when it is shorter than it says. */
export class KafkaReader {
  readonly data: Buffer;
  at = 0;

  constructor(data: Buffer) {
    this.data = data;
  }

  get remaining(): number {
    return this.data.length - this.at;
  }
  int8(): number {
    return this.data.readInt8(this.#skip(1));
  }
  int16(): number {
    return this.data.readInt16BE(this.#skip(2));
  }
  int32(): number {
    return this.data.readInt32BE(this.#skip(4));
  }
  int64(): number {
    return readInt64(this.data, this.#skip(8));
  }
  boolean(): boolean {
    return this.int8() !== 0;
  }
  string(): string {
    return this.nullableString() ?? "";
  }
  nullableString(): string | null {
    const length = this.int16();
    if (length < 0) return null;
    const at = this.#skip(length);
    return this.data.toString("utf8", at, at + length);
  }
  /** A view, not a copy; null for none. */
  blob(): Buffer | null {
    const length = this.int32();
    if (length < 0) return null;
    const at = this.#skip(length);
    return this.data.subarray(at, at + length);
  }
  array<T>(read: () => T): T[] {
    const count = this.int32();
    // Each item has a byte at least: a damaged count must not make a loop of billions.
    if (count > this.remaining) throw new RangeError(`an array of ${count} items in ${this.remaining} bytes`);
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(read());
    return items;
  }

  #skip(size: number): number {
    const { at } = this;
    if (size > this.data.length - at) throw new RangeError(`${size} bytes expected where ${this.remaining} are left`);
    this.at += size;
    return at;
  }
}

/** A whole number in eight bytes; exact within what JavaScript counts exactly. */
export function readInt64(data: Buffer, at: number): number {
  return data.readInt32BE(at) * 2 ** 32 + data.readUInt32BE(at + 4);
}
