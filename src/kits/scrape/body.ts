import { promisify } from "node:util";
import { gunzip, gunzipSync } from "node:zlib";

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);
/** Compressed bodies up to this size are unpacked at once; larger ones in a thread of their own. */
const SYNC_BYTES = 128 * 1024;
/** Without `body_size_limit` a page may still not be larger than this: what a gzip bomb would unpack to. */
export const HARD_BODY_LIMIT: number = 1024 ** 3;

const gunzipLater = promisify(gunzip);

export class BodySizeError extends Error {
  override readonly name = "BodySizeError";
  constructor() {
    super("body size limit exceeded");
  }
}

/** The smallest buffer for a page: most pages of small programs fit. */
const LEAST_BYTES = 8 * 1024;
/** Buffers that nobody uses are kept up to this sum. */
const KEPT_BYTES = 32 * 1024 * 1024;

/**
 * Buffers for pages, reused so that a page of megabytes does not fault in fresh memory with each scrape. Their sizes are
 * powers of two: thousands of targets that are asked at once take no more than twice what they send.
 */
export class PageBuffers {
  readonly #free = new Map<number, Buffer[]>();
  #freeBytes = 0;

  take(bytes: number): Buffer {
    let size = LEAST_BYTES;
    while (size < bytes) size *= 2;
    const known = this.#free.get(size)?.pop();
    if (known === undefined) return Buffer.allocUnsafeSlow(size);
    this.#freeBytes -= size;
    return known;
  }

  /** Takes back what `take` gave; anything else is left to the garbage collector. */
  give(buffer: Buffer): void {
    const size = buffer.length;
    if (size < LEAST_BYTES || !Number.isInteger(Math.log2(size)) || this.#freeBytes + size > KEPT_BYTES) return;
    const others = this.#free.get(size);
    if (others === undefined) this.#free.set(size, [buffer]);
    else others.push(buffer);
    this.#freeBytes += size;
  }
}

export interface Page {
  readonly buffer: Buffer;
  /** Bytes of the page, its last newline, which may have been added, included. */
  readonly length: number;
  /** Bytes as the target sent them, unpacked. */
  readonly size: number;
  /** Bytes as the target sent them, packed if it packs. */
  readonly received: number;
}

/**
 * Reads a body to its end into a buffer of `buffers`, unpacks it, and sees that it ends in a newline. `limit` is in
 * unpacked bytes; a body of that many is too large already, as in Prometheus. `expectedBytes` are those that are likely to
 * be received. Rejects with a BodySizeError.
 */
export async function readPage(
  body: AsyncIterable<Uint8Array>,
  encoding: string | undefined,
  limit: number,
  expectedBytes: number,
  buffers: PageBuffers,
): Promise<Page> {
  let buffer: Buffer = NOTHING; // until something comes: many targets may be slow
  let length = 0;
  for await (const chunk of body) {
    if (length + chunk.length >= limit) throw new BodySizeError();
    if (length + chunk.length + 1 > buffer.length) {
      const larger = buffers.take(Math.max(length * 2, length + chunk.length + 1, expectedBytes + 1));
      buffer.copy(larger, 0, 0, length);
      buffers.give(buffer);
      buffer = larger;
    }
    buffer.set(chunk, length);
    length += chunk.length;
  }
  if (encoding !== "gzip" || length === 0) return terminated(buffer, length, length);
  let plain: Buffer;
  try {
    const packed = buffer.subarray(0, length);
    const options = { maxOutputLength: limit };
    plain = length <= SYNC_BYTES ? gunzipSync(packed, options) : await gunzipLater(packed, options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw new BodySizeError();
    throw error;
  } finally {
    buffers.give(buffer);
  }
  if (plain.length >= limit) throw new BodySizeError();
  return terminated(plain, plain.length, length);
}

function terminated(buffer: Buffer, length: number, received: number): Page {
  if (length === 0 || buffer[length - 1] === NEWLINE) return { buffer, length, size: length, received };
  let longer = buffer;
  if (length === buffer.length) {
    longer = Buffer.allocUnsafeSlow(length + 1);
    buffer.copy(longer, 0, 0, length);
  }
  longer[length] = NEWLINE;
  return { buffer: longer, length: length + 1, size: length, received };
}
