import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { uncompress } from "#formats/snappy";
import { freePort } from "./process.ts";

/** The largest body that a sink takes, unpacked. */
const MAX_BODY = 64 * 1024 * 1024;

const MAX_RANGES = 40;

/** Counts how often each number of a sequence came. */
export class SequenceCounter {
  #seen = new Uint8Array(1 << 20);
  #distinct = 0;
  total = 0;

  add(sequence: number): void {
    while (sequence >= this.#seen.length) {
      const grown = new Uint8Array(this.#seen.length * 2);
      grown.set(this.#seen);
      this.#seen = grown;
    }
    this.total += 1;
    if (this.#seen[sequence] === 0) this.#distinct += 1;
    if (this.#seen[sequence]! < 255) this.#seen[sequence]! += 1;
  }
  has(sequence: number): boolean {
    return (this.#seen[sequence] ?? 0) > 0;
  }
  get distinct(): number {
    return this.#distinct;
  }
  get duplicated(): number {
    return this.total - this.#distinct;
  }
  /** Numbers below `end` that never came, as ranges; of many the first and the last ones. */
  missing(end: number): string {
    return this.#ranges(end, (times) => times === 0);
  }
  /** Numbers below `end` that came again. */
  repeated(end: number): string {
    return this.#ranges(end, (times) => times > 1);
  }

  #ranges(end: number, isWanted: (times: number) => boolean): string {
    const ranges: string[] = [];
    for (let i = 0; i < end; i++) {
      if (!isWanted(this.#seen[i] ?? 0)) continue;
      const first = i;
      while (i + 1 < end && isWanted(this.#seen[i + 1] ?? 0)) i += 1;
      ranges.push(first === i ? `${i}` : `${first}-${i}`);
    }
    if (ranges.length > MAX_RANGES) ranges.splice(MAX_RANGES / 2, ranges.length - MAX_RANGES, "…");
    return ranges.join(" ");
  }
}

export interface SinkAnswer {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

export interface SinkCounts {
  items: number;
  bytes: number;
  requests: number;
}

/** May return how many items the body has. */
type TakeBody = (path: string, body: Uint8Array, counts: SinkCounts) => number | void;

/** An HTTP server that takes everything, unpacks it and hands it to `onBody`; answers 204, or what `answer` says. */
export class Sink {
  readonly counts: SinkCounts = { items: 0, bytes: 0, requests: 0 };
  readonly #server: Server;
  #port = 0;
  /** May take its time, and may never come back, as a half-open connection does. */
  answer: () => SinkAnswer | Promise<SinkAnswer> = () => ({ status: 204 });
  /**
   * Items, as `onBody` counted them, of requests that were taken and whose senders were gone before the answer: nobody can
   * blame them for sending these again.
   */
  unanswered = 0;
  /** When requests came, in milliseconds of `performance.now()`, the refused ones included. */
  readonly arrivals: number[] = [];

  private constructor(onBody: TakeBody) {
    this.#server = createServer(async (request, response) => {
      try {
        this.arrivals.push(performance.now());
        const { status, headers, body: text } = await this.answer();
        const body = await readBody(request);
        if (status < 300) {
          this.counts.requests += 1;
          this.counts.bytes += body.length;
          const unpacked = unpack(body, request.headers["content-encoding"]);
          const items = onBody(request.url ?? "/", unpacked, this.counts) ?? 0;
          if (request.socket.destroyed) this.unanswered += items;
          else response.once("close", () => void (this.unanswered += response.writableFinished ? 0 : items));
        }
        response.writeHead(status, headers).end(text);
      } catch (error) {
        response.writeHead(500).end(String(error));
      }
    });
  }

  /** `port` is for one that comes back after it went away. */
  /** The port, if none is given, is one that nobody else takes while the sink is away for a while. */
  static async start(onBody: TakeBody, port?: number): Promise<Sink> {
    const sink = new Sink(onBody);
    sink.#port = port ?? (await freePort());
    await new Promise<void>((resolve, reject) => {
      sink.#server.once("error", reject);
      sink.#server.listen(sink.#port, "127.0.0.1", resolve);
    });
    return sink;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }
  get port(): number {
    return this.#port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

function unpack(body: Buffer, encoding: string | undefined): Uint8Array {
  if (encoding === "gzip") return gunzipSync(body);
  return encoding === "snappy" ? uncompress(body, MAX_BODY) : body;
}

/** A gRPC server for OTLP exports over clear text: unary calls only, answers an empty message. */
export async function startGrpcSink(
  onMessage: (path: string, message: Uint8Array) => void,
): Promise<{ port: number; stop(): Promise<void> }> {
  const server = createHttp2Server({ settings: { initialWindowSize: 4 * 1024 * 1024, maxFrameSize: 128 * 1024 } });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.on("end", () => {
      const body = Buffer.concat(chunks);
      // A client that gives a call up leaves a part of its message.
      if (body.length < 5 || body.readUInt32BE(1) !== body.length - 5) return;
      const packed = body[0] === 1;
      const message = body.subarray(5);
      onMessage(String(headers[":path"]), packed ? gunzipSync(message) : message);
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.alloc(5));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
