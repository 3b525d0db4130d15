import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { brotliDecompress, gunzip, inflate, inflateRaw, zstdDecompress } from "node:zlib";
import { HttpClientError } from "./client-errors.ts";

/** Reads a body of at most `limit` bytes. A longer one is cut off there with `truncate`, else it is an error. */
export async function readBody(body: Readable, limit: number, truncate: boolean): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      body.destroy();
      if (!truncate) throw tooLarge(limit, "");
      chunks.push(chunk.subarray(0, chunk.length - (size - limit)));
      break;
    }
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

const decoders = {
  gzip: promisify(gunzip),
  "x-gzip": promisify(gunzip),
  deflate: async (data: Buffer, options: { maxOutputLength: number }) =>
    // Some servers send deflate without its zlib frame.
    (data[0]! & 0x0f) === 8 ? promisify(inflate)(data, options) : promisify(inflateRaw)(data, options),
  zstd: promisify(zstdDecompress),
  br: promisify(brotliDecompress),
} as const;

/** The content of a body with this `Content-Encoding`; rejects when it is damaged, unknown or longer than `limit`. */
export async function decodeBody(data: Buffer, encoding: string, limit: number): Promise<Buffer> {
  const name = encoding.trim().toLowerCase();
  if (name === "" || name === "identity") return data;
  if (!Object.hasOwn(decoders, name)) throw new HttpClientError("encoding", `the content encoding ${name} is unknown`);
  if (data.length === 0) return data;
  try {
    return await decoders[name as keyof typeof decoders](data, { maxOutputLength: limit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(limit, " after decompression");
    throw new HttpClientError("encoding", `the ${name} body is damaged: ${(error as Error).message}`, { cause: error });
  }
}

function tooLarge(limit: number, when: string): HttpClientError {
  return new HttpClientError("too_large", `the response is larger than the ${limit} bytes allowed${when}`);
}
