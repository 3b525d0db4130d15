import type { Transform } from "node:stream";
import { createGunzip, createInflate, createInflateRaw, createZstdDecompress } from "node:zlib";
import { SnappyError, uncompress, uncompressedLength } from "#formats/snappy";
import { HttpError, type ServedRequest } from "../http/server.ts";
import type { MemoryLease } from "./memory.ts";

/** A body that cannot be unpacked. */
export class DamagedError extends Error {
  override readonly name = "DamagedError";
}

const CHUNK = 64 * 1024;

/** Content encodings as in Alloy, and zstd. "deflate" comes with and without zlib's frame, as Go's clients send it. */
const UNPACKERS = new Map<string, readonly (() => Transform)[]>([
  ["gzip", [() => createGunzip({ chunkSize: CHUNK })]],
  ["deflate", [() => createInflateRaw({ chunkSize: CHUNK }), () => createInflate({ chunkSize: CHUNK })]],
  ["zstd", [() => createZstdDecompress({ chunkSize: CHUNK })]],
]);

export function contentEncoding(request: ServedRequest): string {
  const name = request.headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  return name === "identity" ? "" : name;
}

/**
 * The body of a request without its Content-Encoding, both below `limit` bytes and paid for with the lease. 413 for larger
 * ones, 415 for encodings that are not known, 400 for damage. Snappy is left to the caller.
 */
export async function readContent(
  request: ServedRequest,
  limit: number,
  lease: MemoryLease,
  onData: (bytes: number) => void,
): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced <= limit) lease.take(announced);
  const body = await request.body(limit, (bytes) => {
    onData(bytes);
    if (announced === 0) lease.take(bytes);
  });
  const encoding = contentEncoding(request);
  if (encoding === "" || encoding === "snappy") return body;
  const unpackers = UNPACKERS.get(encoding);
  if (unpackers === undefined) {
    const known = [...UNPACKERS.keys(), "snappy"].join(", ");
    throw new HttpError(415, `the content encoding ${encoding} is not supported; use one of ${known}`);
  }
  let damage: DamagedError | undefined;
  for (const create of unpackers) {
    try {
      return await unpack(create(), body, limit, lease);
    } catch (error) {
      if (!(error instanceof DamagedError)) throw error;
      damage ??= error;
    }
  }
  throw new HttpError(400, `the ${encoding} body is damaged: ${damage!.message}`);
}

/** Unpacks with what stops at the limit rather than at the end of what a small body may blow up to. */
export function unpack(unpacker: Transform, body: Uint8Array, limit: number, lease: MemoryLease): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      if (unpacker.destroyed) return;
      lease.give(size);
      unpacker.destroy();
      reject(error);
    };
    unpacker.on("data", (chunk: Buffer) => {
      if (unpacker.destroyed) return;
      try {
        if (size + chunk.length > limit) throw tooLarge(limit);
        lease.take(chunk.length);
      } catch (error) {
        fail(error as Error);
        return;
      }
      size += chunk.length;
      chunks.push(chunk);
    });
    unpacker.once("end", () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    unpacker.on("error", (error) => {
      lease.give(size);
      size = 0;
      reject(new DamagedError(error.message));
    });
    unpacker.end(body);
  });
}

/** The content of a snappy block. Throws SnappyError for what is none, HttpError for what is too large. */
export function unsnap(block: Uint8Array, limit: number, lease: MemoryLease): Uint8Array {
  const length = uncompressedLength(block);
  if (length <= limit) lease.take(length);
  try {
    return uncompress(block, limit);
  } catch (error) {
    if (length <= limit) lease.give(length);
    if (error instanceof SnappyError && error.tooLarge) throw tooLarge(limit);
    throw error;
  }
}

function tooLarge(limit: number): HttpError {
  return new HttpError(413, `the request body is larger than the ${limit} bytes allowed after decompression`);
}
