import { Bytes } from "../bytes.ts";
import { ProtoWriter } from "../protobuf.ts";

/** A key to look for, with its bytes, so that no key of a request has to become a string for it. */
export class AttributeKey {
  readonly text: string;
  readonly bytes: Buffer;
  /** The bytes four at a time, as `getInt32` reads them, the last four perhaps over some before; made on first use. */
  #words: Int32Array | undefined;
  #field: Bytes | undefined;

  constructor(text: string) {
    this.text = text;
    this.bytes = Buffer.from(text);
  }

  /** The key as the field of a KeyValue. */
  get field(): Bytes {
    if (this.#field === undefined) {
      const writer = new ProtoWriter();
      writer.bytes(1, this.bytes);
      this.#field = new Bytes(writer.finish());
    }
    return this.#field;
  }

  /** Whether the key is in `view` from `at` on, where so many bytes must be. */
  isAt(view: DataView, at: number): boolean {
    const { length } = this.bytes;
    if (length < 4) {
      for (let i = 0; i < length; i++) if (view.getUint8(at + i) !== this.bytes[i]) return false;
      return true;
    }
    const words = (this.#words ??= wordsOf(this.bytes));
    const last = words.length - 1;
    // Keys begin alike more often than they end alike.
    if (view.getInt32(at + length - 4, true) !== words[last]) return false;
    for (let i = 0; i < last; i++) if (view.getInt32(at + i * 4, true) !== words[i]) return false;
    return true;
  }
}

function wordsOf(bytes: Buffer): Int32Array {
  const words = new Int32Array(Math.ceil(bytes.length / 4));
  for (let i = 0; i < words.length; i++) words[i] = bytes.readInt32LE(Math.min(i * 4, bytes.length - 4));
  return words;
}
