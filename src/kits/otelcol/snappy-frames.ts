/** Snappy's framing format (framing_format.txt of google/snappy): checked chunks of at most 64 KiB of content. */
import { crc32c } from "#formats/crc32c";
import { compress, uncompress } from "#formats/snappy";

const STREAM_START = Buffer.from([0xff, 0x06, 0x00, 0x00, 0x73, 0x4e, 0x61, 0x50, 0x70, 0x59]);
const CHUNK_BYTES = 65_536;

/** Whether bytes begin like a framed stream. */
export function isSnappyFramed(bytes: Uint8Array): boolean {
  return bytes.length >= STREAM_START.length && STREAM_START.equals(bytes.subarray(0, STREAM_START.length));
}

/** A framed stream with the content `input`. */
export function writeSnappyFrames(input: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = [STREAM_START];
  for (let at = 0; at < input.length; at += CHUNK_BYTES) {
    const chunk = input.subarray(at, at + CHUNK_BYTES);
    const packed = compress(chunk);
    const worthIt = packed.length < chunk.length - chunk.length / 8;
    const data = worthIt ? packed : chunk;
    const head = Buffer.allocUnsafe(8);
    head[0] = worthIt ? 0 : 1;
    head.writeUIntLE(data.length + 4, 1, 3);
    head.writeUInt32LE(maskedCrc(chunk), 4);
    parts.push(head, data);
  }
  return Buffer.concat(parts);
}

/** The content of a framed stream. Throws for damage and for content of more than `limit` bytes. */
export function readSnappyFrames(input: Uint8Array, limit: number): Uint8Array {
  const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let at = 0; at < source.length; ) {
    if (source.length - at < 4) throw new Error("a truncated snappy chunk");
    const type = source[at]!;
    const length = source.readUIntLE(at + 1, 3);
    const body = source.subarray(at + 4, at + 4 + length);
    if (body.length < length) throw new Error("a truncated snappy chunk");
    at += 4 + length;
    if (type === 0xff) {
      if (!isSnappyFramed(source.subarray(at - 4 - length, at))) throw new Error("an unknown snappy stream identifier");
    } else if (type === 0 || type === 1) {
      if (length < 4) throw new Error("a snappy chunk without checksum");
      const data = type === 0 ? uncompress(body.subarray(4), CHUNK_BYTES) : body.subarray(4);
      if (maskedCrc(data) !== body.readUInt32LE(0)) throw new Error("a snappy chunk with a wrong checksum");
      total += data.length;
      if (total > limit) throw new Error(`content larger than ${limit} bytes`);
      parts.push(data);
    } else if (type < 0x80) throw new Error(`an unknown snappy chunk of type ${type}`);
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts, total);
}

/** CRC-32C, rotated and offset as the format wants, so that a checksum of checksums is none. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
