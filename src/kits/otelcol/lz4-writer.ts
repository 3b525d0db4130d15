import { xxh32 } from "./lz4.ts";

/** Writes LZ4 frames (lz4_Frame_format.md and lz4_Block_format.md of lz4/lz4), which Kafka's clients read. */

const MAGIC = 0x184d2204;
const BLOCK_BYTES = 64 << 10;
/** Version 1, blocks that do not refer to each other; blocks of at most 64 KiB. */
const FLAGS = 0x60;
const DESCRIPTOR = 0x40;
const HASH_BITS = 13;
const MIN_MATCH = 4;
/** The format wants the last bytes as they are, and no match to begin in the last twelve. */
const LAST_LITERALS = 5;
const NO_MATCH_FROM_END = 12;

const table = new Int32Array(1 << HASH_BITS);

/** One frame with all of the input. */
export function writeLz4Frame(input: Uint8Array): Buffer {
  const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const header = Buffer.alloc(7);
  header.writeUInt32LE(MAGIC, 0);
  header[4] = FLAGS;
  header[5] = DESCRIPTOR;
  header[6] = (xxh32(header, 4, 6) >>> 8) & 255;
  const parts: Buffer[] = [header];
  for (let start = 0; start < source.length; start += BLOCK_BYTES) {
    const end = Math.min(source.length, start + BLOCK_BYTES);
    const packed = packBlock(source, start, end);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(packed === undefined ? ((end - start) | 0x80000000) >>> 0 : packed.length);
    parts.push(size, packed ?? source.subarray(start, end));
  }
  parts.push(Buffer.alloc(4));
  return Buffer.concat(parts);
}

/** The block `source[start, end)`; undefined if it does not become smaller. */
function packBlock(source: Buffer, start: number, end: number): Buffer | undefined {
  const out = Buffer.allocUnsafe(end - start);
  let length = 0;
  let literals = start;
  table.fill(-1);

  /** Whether there was room for the literals before `at`, followed by a match unless `match` is 0. */
  const put = (at: number, offset: number, match: number): boolean => {
    const count = at - literals;
    const more = match === 0 ? 0 : match - MIN_MATCH;
    if (length + count + count / 255 + more / 255 + 8 > out.length) return false;
    out[length++] = (Math.min(count, 15) << 4) | Math.min(more, 15);
    if (count >= 15) length = putRest(out, length, count - 15);
    length += source.copy(out, length, literals, at);
    if (match === 0) return true;
    out[length++] = offset & 255;
    out[length++] = offset >>> 8;
    if (more >= 15) length = putRest(out, length, more - 15);
    literals = at + match;
    return true;
  };

  for (let at = start; at < end - NO_MATCH_FROM_END; ) {
    const word = source.readInt32LE(at);
    const slot = Math.imul(word, -1_640_531_535) >>> (32 - HASH_BITS);
    const candidate = table[slot]!;
    table[slot] = at;
    if (candidate < 0 || source.readInt32LE(candidate) !== word) {
      at += 1 + ((at - literals) >> 6);
      continue;
    }
    let match = MIN_MATCH;
    while (at + match < end - LAST_LITERALS && source[at + match] === source[candidate + match]) match += 1;
    if (!put(at, at - candidate, match)) return undefined;
    at += match;
  }
  return put(end, 0, 0) ? out.subarray(0, length) : undefined;
}

function putRest(out: Buffer, at: number, rest: number): number {
  let left = rest;
  let next = at;
  for (; left >= 255; left -= 255) out[next++] = 255;
  out[next++] = left;
  return next;
}
