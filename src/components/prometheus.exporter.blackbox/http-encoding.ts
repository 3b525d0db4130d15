import type { Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflateRaw } from "node:zlib";

/** A stream that undoes the `compression` of a module. Undefined for none, and for one that is not known. */
function decompressor(compression: string) {
  switch (compression.toLowerCase()) {
    case "br":
      return createBrotliDecompress();
    case "deflate":
      return createInflateRaw(); // as upstream: without the frame of zlib
    case "gzip":
      return createGunzip();
    default:
      return undefined;
  }
}

/** Whether a module's `compression` is one at all. */
export function isCompression(compression: string): boolean {
  return /^(br|deflate|gzip|identity|)$/i.test(compression);
}

/** A body that was read: all of it only if it was asked for. */
export interface ReadBody {
  readonly length: number;
  readonly content: Buffer | undefined;
  /** Why it could not be read to its end. */
  readonly problem: string | undefined;
}

/** What is held of a body to be matched against expressions. */
const LARGEST_CONTENT = 16 * 1024 * 1024;

/** Reads a body to its end, at most `limit` bytes after decompression (0: no limit). Never rejects. */
export async function readBody(
  body: Readable,
  compression: string,
  limit: number,
  keep: boolean,
  signal: AbortSignal,
): Promise<ReadBody> {
  const chunks: Buffer[] = [];
  let length = 0;
  let problem: string | undefined;
  const plain = decompressor(compression);
  const source = plain === undefined ? body : body.pipe(plain);
  // A pipe tells its end nothing of what breaks its beginning.
  const broken = (error: Error) => void plain?.destroy(error);
  body.on("error", broken);
  const abort = () => void source.destroy(signal.reason as Error);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  const most = keep ? Math.min(limit || Infinity, LARGEST_CONTENT) : limit || Infinity;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      const room = most - length;
      const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
      length += part.length;
      if (keep) chunks.push(part);
      if (part.length === chunk.length) continue;
      problem = `the body is larger than ${most} bytes${most === limit ? " (body_size_limit)" : ", which expressions are not matched against"}`;
      break;
    }
  } catch (error) {
    const encoded = plain === undefined ? "" : ` (compression: ${compression})`;
    problem = `reading the body failed${encoded}: ${(error as Error).message}`;
  } finally {
    signal.removeEventListener("abort", abort);
    body.destroy();
    plain?.destroy();
  }
  return { length, content: keep ? Buffer.concat(chunks) : undefined, problem };
}

/**
 * Whether what `Accept-Encoding` says takes the encoding that is expected: `isCompressionAcceptEncodingValid` of
 * config/config.go.
 */
export function isEncodingAccepted(encoding: string, accepted: string): boolean {
  if (encoding === "" || accepted === "") return true;
  const offers = accepted.split(",").map((part) => {
    const at = part.lastIndexOf(";");
    if (at < 0) return { name: part.trim(), quality: 1 };
    const quality = Number(
      part
        .slice(at + 1)
        .trim()
        .replace(/^q=/, "") || Number.NaN,
    );
    return { name: part.slice(0, at).trim(), quality: Number.isNaN(quality) ? 0 : Math.round(quality * 1000) / 1000 };
  });
  offers.sort((a, b) => b.quality - a.quality);
  const offer = offers.find(({ name }) => name === encoding || name === "*");
  return offer !== undefined && offer.quality > 0;
}
