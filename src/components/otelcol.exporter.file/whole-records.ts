import type { FileHandle } from "node:fs/promises";
import type { Framing } from "./output-file.ts";

const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 10;

/** Where the last whole record of a file of `size` bytes ends: what lies behind was cut off, as by a kill. */
export function wholeRecordsEnd(handle: FileHandle, size: number, framing: Framing): Promise<number> {
  return framing === "lines" ? lastLineEnd(handle, size) : lastLengthEnd(handle, size);
}

async function lastLineEnd(handle: FileHandle, size: number): Promise<number> {
  const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, size));
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    const { bytesRead } = await handle.read(chunk, 0, end - start, start);
    const newline = chunk.subarray(0, bytesRead).lastIndexOf(NEWLINE);
    if (newline >= 0) return start + newline + 1;
    end = start;
  }
  return 0;
}

async function lastLengthEnd(handle: FileHandle, size: number): Promise<number> {
  const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, size));
  let chunkStart = 0;
  let chunkEnd = 0;
  for (let at = 0; ; ) {
    if (at + 4 > size) return at;
    if (at < chunkStart || at + 4 > chunkEnd) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
      chunkStart = at;
      chunkEnd = at + bytesRead;
      if (bytesRead < 4) return at;
    }
    const next = at + 4 + chunk.readUInt32BE(at - chunkStart);
    if (next > size) return at;
    at = next;
  }
}
