import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { crc32c } from "#formats/crc32c";
import { compress as snappy } from "#formats/snappy";
import { writeLz4Frame } from "../otelcol/lz4-writer.ts";

/** Record batches as producers send them (kafka.apache.org/documentation, "Message Format", magic 2). */

export const KAFKA_COMPRESSIONS = ["none", "gzip", "snappy", "lz4", "zstd"] as const;
export type KafkaCompression = (typeof KAFKA_COMPRESSIONS)[number];

export interface KafkaHeader {
  readonly name: string;
  readonly value: Uint8Array;
}
export interface KafkaRecord {
  readonly topic: string;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array;
  readonly headers: readonly KafkaHeader[];
}

const HEADER_BYTES = 61;
const MAX_VARINT_BYTES = 10;
const gzip = promisify(zlib.gzip);
const zstd = promisify(zlib.zstdCompress);

/** What a record counts against the largest size of messages: key, value and headers, as franz-go has it. */
export function recordBytes({ key, value, headers }: KafkaRecord): number {
  return headers.reduce((sum, each) => sum + each.name.length + each.value.length, (key?.length ?? 0) + value.length);
}

/** A batch of records, all with the time `nowMs`. `level` 0 and −1 are the compression's default. */
export async function encodeRecordBatch(
  records: readonly KafkaRecord[],
  compression: KafkaCompression,
  level: number,
  nowMs: number,
): Promise<Buffer> {
  const body = await pack(encodeRecords(records), compression, level);
  const batch = Buffer.alloc(HEADER_BYTES + body.length);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt32BE(-1, 12); // the leader's epoch
  batch[16] = 2;
  batch.writeInt16BE(KAFKA_COMPRESSIONS.indexOf(compression), 21);
  batch.writeInt32BE(records.length - 1, 23);
  batch.writeBigInt64BE(BigInt(nowMs), 27);
  batch.writeBigInt64BE(BigInt(nowMs), 35);
  batch.writeBigInt64BE(-1n, 43); // no producer id, epoch and sequence: not idempotent
  batch.writeInt16BE(-1, 51);
  batch.writeInt32BE(-1, 53);
  batch.writeInt32BE(records.length, 57);
  batch.set(body, HEADER_BYTES);
  batch.writeUInt32BE(crc32c(batch, 21, batch.length), 17);
  return batch;
}

function encodeRecords(records: readonly KafkaRecord[]): Buffer {
  let size = 0;
  for (const record of records) {
    size += recordBytes(record) + record.headers.length * (2 * MAX_VARINT_BYTES + 2 * 3) + 8 * MAX_VARINT_BYTES;
    for (const { name } of record.headers) size += name.length * 2;
  }
  const out = Buffer.allocUnsafe(size);
  let at = 0;
  for (const [i, { key, value, headers }] of records.entries()) {
    // The length comes first: the record is written behind the room for it, and moved together.
    const start = at + MAX_VARINT_BYTES;
    let end = start;
    out[end++] = 0; // attributes
    end = varint(out, end, 0); // later than the batch
    end = varint(out, end, i);
    end = blob(out, end, key);
    end = blob(out, end, value);
    end = varint(out, end, headers.length);
    for (const header of headers) {
      end = blob(out, end, Buffer.from(header.name));
      end = blob(out, end, header.value);
    }
    at = varint(out, at, end - start);
    out.copyWithin(at, start, end);
    at += end - start;
  }
  return out.subarray(0, at);
}

function blob(out: Buffer, at: number, bytes: Uint8Array | undefined): number {
  if (bytes === undefined) return varint(out, at, -1);
  const body = varint(out, at, bytes.length);
  out.set(bytes, body);
  return body + bytes.length;
}

/** Zigzag, for numbers of 31 bits. */
function varint(out: Buffer, at: number, value: number): number {
  let rest = value < 0 ? value * -2 - 1 : value * 2;
  let next = at;
  while (rest >= 0x80) {
    out[next++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  out[next++] = rest;
  return next;
}

async function pack(bytes: Buffer, compression: KafkaCompression, level: number): Promise<Uint8Array> {
  const isDefault = level === 0 || level === -1;
  switch (compression) {
    case "none":
      return bytes;
    case "gzip":
      return gzip(bytes, isDefault ? {} : { level });
    case "snappy":
      return snappy(bytes);
    case "lz4":
      return writeLz4Frame(bytes);
    case "zstd":
      return zstd(bytes, isDefault ? {} : { params: { [zlib.constants.ZSTD_c_compressionLevel]: level } });
  }
}
