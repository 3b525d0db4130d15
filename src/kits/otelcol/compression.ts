/**
 * The encodings that OTLP bodies and gRPC messages travel in, both ways, with a bound on what comes out.
 * Matches config/confighttp/compression.go and config/configgrpc of the OpenTelemetry Collector.
 */
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { compress as compressSnappy, uncompress as uncompressSnappy } from "#formats/snappy";
import { readLz4Frames } from "./lz4.ts";
import { isSnappyFramed, readSnappyFrames, writeSnappyFrames } from "./snappy-frames.ts";

/** What configurations may name. `""` and `none` are no compression. */
export const COMPRESSIONS = ["gzip", "zlib", "deflate", "snappy", "zstd", "none", ""] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** The content encodings that the receiver can undo. */
export const DECODINGS = ["", "gzip", "zstd", "zlib", "deflate", "snappy", "lz4", "x-snappy-framed"] as const;

/** The body is damaged, or too large once unpacked. */
export class CompressionError extends Error {
  override readonly name = "CompressionError";
  readonly tooLarge: boolean;
  constructor(message: string, tooLarge: boolean, options?: ErrorOptions) {
    super(message, options);
    this.tooLarge = tooLarge;
  }
}

/** Below this, handing the work to a thread costs more than the work. */
const ASYNC_FROM_BYTES = 32 * 1024;

const gzip = promisify(zlib.gzip);
const deflate = promisify(zlib.deflate);
const zstdCompress = promisify(zlib.zstdCompress);
const gunzip = promisify(zlib.gunzip);
const inflate = promisify(zlib.inflate);
const zstdDecompress = promisify(zlib.zstdDecompress);

/**
 * Packs a body for HTTP; `level` as the Collector takes it, undefined for the default. Large bodies are packed on zlib's
 * threads. `snappy` is the block format in HTTP and the framed one in gRPC, as in the Collector.
 */
export async function compressBody(
  body: Uint8Array,
  compression: Compression,
  level: number | undefined,
  transport: "http" | "grpc",
): Promise<Uint8Array> {
  const inline = body.length < ASYNC_FROM_BYTES;
  switch (compression) {
    case "gzip": {
      const options = { level: level ?? zlib.constants.Z_DEFAULT_COMPRESSION };
      return inline ? zlib.gzipSync(body, options) : gzip(body, options);
    }
    case "zlib":
    case "deflate": {
      const options = { level: level ?? zlib.constants.Z_DEFAULT_COMPRESSION };
      return inline ? zlib.deflateSync(body, options) : deflate(body, options);
    }
    case "zstd": {
      const options = { params: { [zlib.constants.ZSTD_c_compressionLevel]: level ?? 3 } };
      return inline ? zlib.zstdCompressSync(body, options) : zstdCompress(body, options);
    }
    case "snappy":
      return transport === "http" ? compressSnappy(body) : writeSnappyFrames(body);
    default:
      return body;
  }
}

/**
 * Unpacks a body of at most `limit` bytes of content. Rejects with a CompressionError. `encoding` is one of DECODINGS;
 * `snappy` is told from its framed form by its first bytes.
 */
export function decompressBody(body: Uint8Array, encoding: string, limit: number): Uint8Array | Promise<Uint8Array> {
  if (encoding === "" || encoding === "identity") return body;
  try {
    if (encoding === "snappy" || encoding === "x-snappy-framed") {
      return isSnappyFramed(body) ? readSnappyFrames(body, limit) : uncompressSnappy(body, limit);
    }
    if (encoding === "lz4") return readLz4Frames(body, limit);
    const options = { maxOutputLength: limit };
    const inline = body.length < ASYNC_FROM_BYTES;
    switch (encoding) {
      case "gzip":
        return inline ? zlib.gunzipSync(body, options) : gunzip(body, options).catch(fail);
      case "zlib":
      case "deflate":
        return inline ? zlib.inflateSync(body, options) : inflate(body, options).catch(fail);
      case "zstd":
        return inline ? zlib.zstdDecompressSync(body, options) : zstdDecompress(body, options).catch(fail);
    }
  } catch (error) {
    fail(error);
  }
  throw new Error(`no decoder for ${encoding}`);

  function fail(error: unknown): never {
    const { code, message } = error as NodeJS.ErrnoException;
    const tooLarge = code === "ERR_BUFFER_TOO_LARGE" || /more than|larger than/.test(message);
    const what = tooLarge
      ? `the unpacked body is larger than ${limit} bytes`
      : `the body is damaged ${encoding}: ${message}`;
    throw new CompressionError(what, tooLarge, { cause: error });
  }
}
