import { promisify } from "node:util";
import { gunzip, gunzipSync } from "node:zlib";

const NEWLINE = 10;
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

/** Buffers for pages, reused so that a page of megabytes does not fault in fresh memory with each scrape. */
export class PageBuffers {
  readonly #free: Buffer[] = [];
  #freeBytes = 0;
  readonly #keepBytes: number;

  constructor(keepBytes = 32 * 1024 * 1024) {
    this.#keepBytes = keepBytes;
  }

  take(bytes: number): Buffer {
    const fit = this.#free.findIndex((each) => each.length >= bytes);
    if (fit < 0) return Buffer.allocUnsafeSlow(Math.max(65_536, Math.ceil(bytes * 1.1)));
    const [buffer] = this.#free.splice(fit, 1);
    this.#freeBytes -= buffer!.length;
    return buffer!;
  }

  give(buffer: Buffer): void {
    if (this.#freeBytes + buffer.length > this.#keepBytes) return;
    this.#free.push(buffer);
    this.#freeBytes += buffer.length;
  }
}

export interface Page {
  readonly buffer: Buffer;
  /** Bytes of the page, its last newline, which may have been added, included. */
  readonly length: number;
  /** Bytes as the target sent them, unpacked. */
  readonly size: number;
}

/**
 * Reads a body to its end into a buffer of `buffers`, unpacks it, and sees that it ends in a newline. `limit` is in
 * unpacked bytes; a body of that many is too large already, as in Prometheus. Rejects with a BodySizeError.
 */
export async function readPage(
  body: AsyncIterable<Uint8Array>,
  encoding: string | undefined,
  limit: number,
  expectedBytes: number,
  buffers: PageBuffers,
): Promise<Page> {
  let buffer = buffers.take(expectedBytes + 1);
  let length = 0;
  for await (const chunk of body) {
    if (length + chunk.length >= limit) throw new BodySizeError();
    if (length + chunk.length + 1 > buffer.length) {
      // The outgrown buffer is not kept: the target's next page begins with one that is large enough.
      const larger = buffers.take(Math.max(Math.ceil(length * 1.5), length + chunk.length + 1));
      buffer.copy(larger, 0, 0, length);
      buffer = larger;
    }
    buffer.set(chunk, length);
    length += chunk.length;
  }
  if (encoding !== "gzip" || length === 0) return terminated(buffer, length, buffers);
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
  return terminated(plain, plain.length, undefined);
}

function terminated(buffer: Buffer, length: number, buffers: PageBuffers | undefined): Page {
  if (length === 0 || buffer[length - 1] === NEWLINE) return { buffer, length, size: length };
  if (length < buffer.length) {
    buffer[length] = NEWLINE;
    return { buffer, length: length + 1, size: length };
  }
  const longer = Buffer.allocUnsafeSlow(length + 1);
  buffer.copy(longer, 0, 0, length);
  buffers?.give(buffer);
  longer[length] = NEWLINE;
  return { buffer: longer, length: length + 1, size: length };
}
