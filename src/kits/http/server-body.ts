import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { gunzip, inflate, zstdDecompress } from "node:zlib";
import { SnappyError, uncompress } from "#formats/snappy";

/** An answer other than what the route would give: thrown by handlers and by the reading of bodies. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/**
 * Reads a request's body; 413 beyond `limit` bytes, at once when the client announces more. `onData` is told of the bytes
 * as they come, and may throw to read no further.
 */
export function readRequestBody(
  stream: Readable,
  announced: number,
  limit: number,
  onData?: (bytes: number) => void,
): Promise<Buffer> {
  if (announced > limit) return Promise.reject(tooLarge(limit, ""));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (how: () => void) => {
      stream.off("data", take).off("end", end).off("close", close).off("error", reject);
      how();
    };
    const take = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      try {
        if (size > limit) throw tooLarge(limit, "");
        onData?.(chunk.length);
      } catch (error) {
        stream.pause();
        finish(() => reject(error));
      }
    };
    const end = () => finish(() => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size)));
    const close = () => finish(() => reject(new HttpError(400, "the connection ended before the request did")));
    stream.on("data", take).once("end", end).once("close", close).once("error", reject);
    if (stream.readableEnded) end();
    else if (stream.destroyed) close();
  });
}

const zlib = { gzip: promisify(gunzip), deflate: promisify(inflate), zstd: promisify(zstdDecompress) } as const;

/** Undoes a `Content-Encoding` (gzip, deflate, zstd, snappy); 413 beyond `limit` bytes, 400 for damage, 415 for others. */
export async function decodeContent(data: Uint8Array, encoding: string, limit: number): Promise<Uint8Array> {
  const name = encoding.trim().toLowerCase();
  if (name === "" || name === "identity") {
    if (data.length > limit) throw tooLarge(limit, "");
    return data;
  }
  if (name === "snappy") {
    try {
      return uncompress(data, limit);
    } catch (error) {
      if (!(error instanceof SnappyError)) throw error;
      throw error.tooLarge ? tooLarge(limit, " after decompression") : new HttpError(400, error.message);
    }
  }
  if (!Object.hasOwn(zlib, name)) {
    const known = "gzip, deflate, zstd, snappy";
    throw new HttpError(415, `the content encoding ${name} is not supported; use one of ${known}`);
  }
  try {
    return await zlib[name as keyof typeof zlib](data, { maxOutputLength: limit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(limit, " after decompression");
    throw new HttpError(400, `the ${name} body is damaged: ${(error as Error).message}`);
  }
}

function tooLarge(limit: number, when: string): HttpError {
  return new HttpError(413, `the request body is larger than the ${limit} bytes allowed${when}`);
}
