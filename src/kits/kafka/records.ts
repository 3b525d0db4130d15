import { crc32c } from "#formats/crc32c";
import { CompressionError, decompressBody } from "../otelcol/compression.ts";
import { readInt64 } from "./protocol.ts";

/**
 * Record batches (kafka.apache.org/documentation, "Message Format"): what partitions consist of since Kafka 0.11. A reader
 * goes over the bytes as they came; nothing is made for a record.
 */

/** Bytes before the records: offset, length, epoch, magic, checksum, attributes and so on. */
const HEADER_BYTES = 61;
const MAGIC_AT = 16;
const CHECKSUM_AT = 17;
const ATTRIBUTES_AT = 21;
/** The encodings by the three lowest bits of the attributes. */
const ENCODINGS = ["", "gzip", "snappy", "lz4", "zstd"];
const LOG_APPEND_TIME = 1 << 3;
const CONTROL = 1 << 5;
/** What the snappy library for Java puts around blocks: this, two version numbers, and a length before each block. */
const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const XERIAL_HEADER_BYTES = 16;

/** A batch that cannot be read. */
export class RecordBatchError extends Error {
  override readonly name = "RecordBatchError";
  /** The batch would be larger than allowed when unpacked: reading it again does not help. */
  readonly isTooLarge: boolean;
  constructor(message: string, isTooLarge: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isTooLarge = isTooLarge;
  }
}

export interface RecordBatch {
  readonly baseOffset: number;
  /** The offset after the batch; a compacted batch has fewer records than its offsets say. */
  readonly nextOffset: number;
  readonly count: number;
  readonly firstMs: number;
  /** For all records, where the broker and not the producer sets the time. */
  readonly appendMs: number | undefined;
  /** Marks the end of a transaction and has nothing for users. */
  readonly isControl: boolean;
  readonly encoding: string;
  readonly checksum: number;
  /** Where the batch and its records begin, and where it ends. */
  readonly start: number;
  readonly records: number;
  readonly end: number;
}

/** The batch at `at`; undefined if the rest of it was cut off, as brokers do at the end of an answer. Throws for older formats. */
export function readBatchHeader(data: Buffer, at: number): RecordBatch | undefined {
  if (data.length - at < MAGIC_AT + 1) return undefined;
  const end = at + 12 + data.readInt32BE(at + 8);
  const magic = data[at + MAGIC_AT]!;
  if (magic !== 2) {
    throw new RecordBatchError(
      `the messages are in the format of Kafka before 0.11 (magic ${magic}), which is not read`,
      false,
    );
  }
  if (end > data.length) return undefined;
  if (end < at + HEADER_BYTES) throw new RecordBatchError("a batch is shorter than its header", false);
  const attributes = data.readInt16BE(at + ATTRIBUTES_AT);
  const encoding = ENCODINGS[attributes & 7];
  if (encoding === undefined)
    throw new RecordBatchError(`a batch has the unknown compression ${attributes & 7}`, false);
  const baseOffset = readInt64(data, at);
  return {
    baseOffset,
    nextOffset: baseOffset + data.readInt32BE(at + 23) + 1,
    count: data.readInt32BE(at + 57),
    firstMs: readInt64(data, at + 27),
    appendMs: (attributes & LOG_APPEND_TIME) !== 0 ? readInt64(data, at + 35) : undefined,
    isControl: (attributes & CONTROL) !== 0,
    encoding,
    checksum: data.readUInt32BE(at + CHECKSUM_AT),
    start: at,
    records: at + HEADER_BYTES,
    end,
  };
}

/** The records' bytes, unpacked; rejects with a RecordBatchError for damage, and for more than `limit` bytes. */
export async function unpackRecords(data: Buffer, batch: RecordBatch, limit: number): Promise<Buffer> {
  if (crc32c(data, batch.start + ATTRIBUTES_AT, batch.end) !== batch.checksum) {
    throw new RecordBatchError(`the batch at offset ${batch.baseOffset} has a wrong checksum`, false);
  }
  const packed = data.subarray(batch.records, batch.end);
  if (batch.encoding === "") return packed;
  try {
    if (batch.encoding === "snappy" && packed.subarray(0, XERIAL.length).equals(XERIAL))
      return await unpackXerial(packed, limit);
    return asBuffer(await decompressBody(packed, batch.encoding, limit));
  } catch (error) {
    const isTooLarge = error instanceof CompressionError && error.tooLarge;
    const message = `the batch at offset ${batch.baseOffset} cannot be unpacked: ${(error as Error).message}`;
    throw new RecordBatchError(message, isTooLarge, { cause: error });
  }
}

async function unpackXerial(packed: Buffer, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let left = limit;
  for (let at = XERIAL_HEADER_BYTES; at < packed.length; ) {
    const end = at + 4 + packed.readInt32BE(at);
    if (end > packed.length || end < at + 4) throw new Error("a truncated snappy block");
    const part = asBuffer(await decompressBody(packed.subarray(at + 4, end), "snappy", left));
    left -= part.length;
    parts.push(part);
    at = end;
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Goes over the records of a batch. After `next` its fields say where the record's parts are in `data`. */
export class RecordCursor {
  readonly data: Buffer;
  readonly #batch: RecordBatch;
  #at = 0;
  #left: number;
  offset = 0;
  /** Epoch milliseconds; -1 if the producer gave none. */
  ms = 0;
  /** Of a key or value that is null, start and end are the same. */
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  #headersAt = 0;

  /** `data` is what `unpackRecords` gave. */
  constructor(data: Buffer, batch: RecordBatch) {
    this.data = data;
    this.#batch = batch;
    this.#left = batch.count;
  }

  /** Moves to the next record; false at the end. Throws a RecordBatchError for damage. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    const { firstMs, appendMs, baseOffset } = this.#batch;
    const length = this.#varint();
    const end = this.#at + length;
    if (length < 0 || end > this.data.length) this.#damaged();
    this.#at += 1; // attributes, of which there are none
    const delta = this.#varint();
    this.ms = appendMs ?? (firstMs < 0 ? firstMs : firstMs + delta);
    this.offset = baseOffset + this.#varint();
    this.keyEnd = this.#blob();
    this.keyStart = this.#blobStart;
    this.valueEnd = this.#blob();
    this.valueStart = this.#blobStart;
    this.#headersAt = this.#at;
    if (this.#at > end) this.#damaged();
    this.#at = end;
    return true;
  }

  /** The record's headers, in order; names may repeat. */
  headers(): [name: string, value: Buffer][] {
    const resume = this.#at;
    this.#at = this.#headersAt;
    const headers: [string, Buffer][] = [];
    for (let count = this.#varint(); count > 0; count--) {
      const nameEnd = this.#blob();
      const name = this.data.toString("utf8", this.#blobStart, nameEnd);
      const valueEnd = this.#blob();
      headers.push([name, this.data.subarray(this.#blobStart, valueEnd)]);
    }
    this.#at = resume;
    return headers;
  }

  #blobStart = 0;
  #blob(): number {
    const length = this.#varint();
    this.#blobStart = this.#at;
    if (length > 0) this.#at += length;
    if (this.#at > this.data.length) this.#damaged();
    return this.#at;
  }

  /** Zigzag, up to 64 bits; times may need more than 32. */
  #varint(): number {
    const { data } = this;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.#at >= data.length) this.#damaged();
      const byte = data[this.#at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      scale *= 128;
    }
    return this.#damaged();
  }

  #damaged(): never {
    throw new RecordBatchError(`the batch at offset ${this.#batch.baseOffset} is damaged`, false);
  }
}
