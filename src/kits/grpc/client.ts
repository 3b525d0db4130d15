/**
 * A gRPC client for unary calls over node:http2. Behaves like grpc-go's as the OpenTelemetry Collector sets it up
 * (config/configgrpc): eager connection, `pick_first` or `round_robin` over the addresses of a name, fail fast unless
 * `waitForReady`.
 */

import * as http2 from "node:http2";
import { abortable } from "#base/abortable";
import {
  codeOfProxyStatus,
  decodeGrpcMessage,
  decodeStatus,
  FRAME_HEAD_BYTES,
  formatGrpcTimeout,
  GRPC,
  GrpcError,
  grpcCodeName,
} from "#formats/grpc";
import { type Compression, compressBody, decompressBody } from "../otelcol/compression.ts";
import { countCall, GrpcChannel, type GrpcChannelOptions } from "./channel.ts";
import { resolveTarget } from "./target.ts";

const MAX_RESPONSE_BYTES = 4 << 20;
/** Least time between two look-ups of a name. */
const RESOLVE_INTERVAL_MS = 30_000;

export const GRPC_BALANCERS = ["round_robin", "pick_first"] as const;

export interface GrpcClientOptions extends GrpcChannelOptions {
  readonly balancer: (typeof GRPC_BALANCERS)[number];
  readonly compression: Compression;
  readonly waitForReady: boolean;
  readonly userAgent: string;
}

export interface GrpcRequestOptions {
  /** 0 for none. */
  readonly timeoutMs: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly signal: AbortSignal;
}

export class GrpcClient {
  readonly #options: GrpcClientOptions;
  #channels: readonly GrpcChannel[] = [];
  #resolving: Promise<void> | undefined;
  #resolvedAt = -Infinity;
  #next = 0;
  #closed = false;

  constructor(options: GrpcClientOptions) {
    this.#options = options;
  }

  /** Connects before there is something to send. Failures show in the first call. */
  connect(): void {
    const signal = new AbortController().signal;
    this.#channel()
      .then((channel) => channel.session(false, signal))
      .catch(() => {});
  }

  /**
   * One call: the parts one after the other are the message. Resolves with the response message, rejects with a GrpcError
   * (or the signal's reason).
   */
  async call(path: string, parts: readonly Uint8Array[], options: GrpcRequestOptions): Promise<Uint8Array> {
    const { compression, authority, userAgent, waitForReady } = this.#options;
    const compressed = compression !== "none" && compression !== "";
    const body = compressed ? [await compressBody(Buffer.concat(parts), compression, undefined, "grpc")] : parts;
    const controller = new AbortController();
    const forward = () => controller.abort(options.signal.reason);
    if (options.signal.aborted) throw options.signal.reason;
    options.signal.addEventListener("abort", forward, { once: true });
    const expired = () =>
      controller.abort(new GrpcError(GRPC.DEADLINE_EXCEEDED, `no answer within ${options.timeoutMs} ms`));
    const timer = options.timeoutMs > 0 ? setTimeout(expired, options.timeoutMs) : undefined;
    try {
      const channel = await abortable(this.#channel(), controller.signal);
      const session = await abortable(channel.session(waitForReady, controller.signal), controller.signal);
      const headers: http2.OutgoingHttpHeaders = {
        ":method": "POST",
        ":path": path,
        ":authority": authority,
        te: "trailers",
        "content-type": "application/grpc",
        "user-agent": userAgent,
        ...Object.fromEntries(options.headers),
      };
      if (options.timeoutMs > 0) headers["grpc-timeout"] = formatGrpcTimeout(options.timeoutMs);
      if (compressed) {
        headers["grpc-encoding"] = compression;
        headers["grpc-accept-encoding"] = "identity,gzip,zstd,snappy";
      }
      return await exchange(session, headers, compressed, body, controller.signal);
    } finally {
      clearTimeout(timer);
      options.signal.removeEventListener("abort", forward);
    }
  }

  close(): void {
    this.#closed = true;
    for (const channel of this.#channels) channel.close();
    this.#channels = [];
  }

  /** The channel for the next call. Rejects with UNAVAILABLE if the name cannot be resolved. */
  async #channel(): Promise<GrpcChannel> {
    const { balancer, clock } = this.#options;
    const usable = this.#channels.some((each) => each.available);
    const stale = clock.monotonic() - this.#resolvedAt >= RESOLVE_INTERVAL_MS;
    // A name is looked up again only when something is wrong with the addresses at hand.
    if (this.#channels.length === 0 || (!usable && stale)) await (this.#resolving ??= this.#resolve());
    const channels = this.#channels;
    if (balancer === "pick_first") return channels.find((each) => each.available) ?? channels[0]!;
    for (let tried = 0; tried < channels.length; tried++) {
      const channel = channels[this.#next++ % channels.length]!;
      if (channel.available) return channel;
    }
    return channels[this.#next++ % channels.length]!;
  }

  async #resolve(): Promise<void> {
    const { target, clock } = this.#options;
    try {
      const addresses = await resolveTarget(target);
      const known = new Map(this.#channels.map((channel) => [channel.address, channel]));
      const channels = addresses.map((address) => known.get(address) ?? new GrpcChannel(address, this.#options));
      for (const channel of this.#channels) if (!channels.includes(channel)) channel.close();
      this.#channels = channels;
      this.#resolvedAt = clock.monotonic();
    } catch (error) {
      const name = target.kind === "host" ? target.host : target.path;
      if (this.#channels.length === 0) {
        throw new GrpcError(GRPC.UNAVAILABLE, `cannot resolve ${name}: ${(error as Error).message}`, { cause: error });
      }
    } finally {
      this.#resolving = undefined;
    }
    if (this.#closed) this.close();
    if (this.#channels.length === 0) throw new GrpcError(GRPC.UNAVAILABLE, "the client is closed");
  }
}

function exchange(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  compressed: boolean,
  parts: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let stream: http2.ClientHttp2Stream;
    try {
      stream = session.request(headers);
    } catch (error) {
      // The session closed between the choice and now.
      reject(new GrpcError(GRPC.UNAVAILABLE, `the connection is gone: ${(error as Error).message}`, { cause: error }));
      return;
    }
    const ended = countCall(session);
    const chunks: Buffer[] = [];
    let received = 0;
    let seen: http2.IncomingHttpHeaders = {};
    let httpStatus = 0;
    let broken: Error | undefined;

    const abort = () => stream.close(http2.constants.NGHTTP2_CANCEL);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    stream.on("response", (response) => {
      httpStatus = Number(response[":status"]);
      seen = { ...response };
    });
    stream.on("trailers", (trailers) => {
      seen = { ...seen, ...trailers };
    });
    stream.on("data", (chunk: Buffer) => {
      received += chunk.length;
      if (received <= MAX_RESPONSE_BYTES) chunks.push(chunk);
      else {
        broken = new GrpcError(GRPC.RESOURCE_EXHAUSTED, `the response is larger than ${MAX_RESPONSE_BYTES} bytes`);
        stream.close(http2.constants.NGHTTP2_CANCEL);
      }
    });
    stream.on("error", (error) => {
      broken ??= error;
    });
    stream.on("close", () => {
      ended();
      signal.removeEventListener("abort", abort);
      if (seen["grpc-status"] === undefined && signal.aborted) return reject(signal.reason);
      try {
        checkStatus(seen, httpStatus, session.destroyed ? undefined : stream.rstCode, broken);
        const message = readMessage(Buffer.concat(chunks), String(seen["grpc-encoding"] ?? "identity"));
        Promise.resolve(message).then(resolve, reject);
      } catch (error) {
        reject(error);
      }
    });

    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const head = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
    head[0] = compressed ? 1 : 0;
    head.writeUInt32BE(length, 1);
    stream.cork();
    stream.write(head);
    for (const part of parts) if (part.length > 0) stream.write(part);
    stream.end();
    stream.uncork();
  });
}

/** Throws a GrpcError unless the call succeeded. */
function checkStatus(
  headers: http2.IncomingHttpHeaders,
  httpStatus: number,
  resetCode: number | undefined, // undefined: the whole connection is gone
  broken: Error | undefined,
): void {
  const status = headers["grpc-status"];
  if (status === undefined) {
    if (broken instanceof GrpcError) throw broken;
    if (httpStatus !== 0 && httpStatus !== 200) {
      throw new GrpcError(codeOfProxyStatus(httpStatus), `the server answered with HTTP status ${httpStatus}`);
    }
    const code = resetCode === undefined ? GRPC.UNAVAILABLE : codeOfReset(resetCode);
    const what = resetCode === undefined ? "the connection broke" : `the server reset the call (code ${resetCode})`;
    throw new GrpcError(code, broken === undefined ? what : `${what}: ${broken.message}`, { cause: broken });
  }
  const code = Number(status);
  if (code === GRPC.OK) return;
  const message = decodeGrpcMessage(String(headers["grpc-message"] ?? ""));
  let retryDelayMs: number | undefined;
  const details = headers["grpc-status-details-bin"];
  if (details !== undefined) {
    try {
      ({ retryDelayMs } = decodeStatus(Buffer.from(String(details), "base64")));
    } catch {
      // Details that cannot be read say nothing; the status does.
    }
  }
  throw new GrpcError(code, `${grpcCodeName(code)}: ${message}`, { retryDelayMs });
}

function codeOfReset(code: number): number {
  switch (code) {
    case http2.constants.NGHTTP2_CANCEL:
      return GRPC.CANCELLED;
    case http2.constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return GRPC.RESOURCE_EXHAUSTED;
    case http2.constants.NGHTTP2_INADEQUATE_SECURITY:
      return GRPC.PERMISSION_DENIED;
    default:
      return GRPC.UNAVAILABLE;
  }
}

function readMessage(frame: Buffer, encoding: string): Uint8Array | Promise<Uint8Array> {
  if (frame.length < FRAME_HEAD_BYTES || frame.length !== FRAME_HEAD_BYTES + frame.readUInt32BE(1)) {
    throw new GrpcError(GRPC.INTERNAL, "the response is no single message");
  }
  const message = frame.subarray(FRAME_HEAD_BYTES);
  if (frame[0] === 0) return message;
  return decompressBody(message, encoding, MAX_RESPONSE_BYTES);
}
