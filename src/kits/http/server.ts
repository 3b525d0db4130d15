import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import {
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import type { TLSSocket, TlsOptions } from "node:tls";
import type { Logger } from "#base/log";
import type { HttpRequest, HttpResponse } from "#pipeline/component";
import { PermanentError, RetryableError } from "#pipeline/errors";
import { ownCertificateProblem } from "../tls-facts.ts";
import { admitsClient, fileVersions, loadServerTls, type ServerTls, serverTlsFrom } from "../tls-server.ts";
import type { RequestGuard } from "./server-auth.ts";
import { decodeContent, HttpError, readRequestBody } from "./server-body.ts";
import type { HttpServerArguments } from "./server-schema.ts";

export { basicAuthGuard, type PathFilter, type RequestGuard } from "./server-auth.ts";
export { HttpError } from "./server-body.ts";

interface Http2Options {
  readonly settings: import("node:http2").Settings;
  /** 0 for the idle time of the server. */
  readonly idleMs: number;
  /** Flow control window of a connection; 0 or left out: the default. */
  readonly windowBytes?: number;
}

export interface HttpServerOptions {
  /** All addresses when empty. */
  readonly address: string;
  /** 0 for a free one. */
  readonly port: number;
  readonly tls?: ServerTls | undefined;
  /** Also accept HTTP/2 without TLS. */
  readonly http2?: Http2Options | undefined;
  /** Connections at once; further ones are refused. 0 or left out: no limit. */
  readonly maxConnections?: number;
  /** All headers of a request together, in HTTP/1; larger ones get 431. Left out: Node's 16 KiB. */
  readonly maxHeaderBytes?: number;
  /** For the headers of a request to arrive; default 10 s. */
  readonly headerTimeoutMs?: number;
  /** For a whole request to arrive, and for the answer to be sent; default 30 s each, 0 for no limit. */
  readonly readTimeoutMs?: number;
  readonly writeTimeoutMs?: number;
  /** After which an unused connection is closed; default 2 min. */
  readonly idleTimeoutMs?: number;
  /** Sees each request first; may throw an HttpError. */
  readonly guard?: RequestGuard;
  readonly log: Logger;
}

/** A request as routes see it. Path and query are decoded as far as `URL` does it. */
export interface ServedRequest extends HttpRequest {
  readonly remoteAddress: string;
  /** Reads the body; 413 beyond `limit` bytes. `onData` is told of the bytes as they come, and may throw to refuse more. */
  body(limit: number, onData?: (bytes: number) => void): Promise<Uint8Array>;
  /** The body without its `Content-Encoding`. 413 when larger than the limits (`maxDecodedBytes`: by default `maxBytes`). */
  content(maxBytes: number, maxDecodedBytes?: number): Promise<Uint8Array>;
}

export interface ServedResponse extends Omit<HttpResponse, "body"> {
  /** An iterable is sent chunk by chunk, as they come, until it ends or the client goes. */
  readonly body: string | Uint8Array | AsyncIterable<string | Uint8Array>;
}

/** Answers a request. The signal is aborted when the client goes away or the server stops. Errors become statuses. */
export type RouteHandler = (request: ServedRequest, signal: AbortSignal) => ServedResponse | Promise<ServedResponse>;

interface Route {
  readonly methods: ReadonlySet<string> | undefined;
  readonly handler: RouteHandler;
}

type Incoming = IncomingMessage | Http2ServerRequest;
type Outgoing = ServerResponse | Http2ServerResponse;

const TLS_CHECK_MS = 30_000;
/** For a client that is still sending to read an answer that came early. */
const LINGER_MS = 1_000;
/** How an HTTP/2 connection begins. */
const HTTP2_PREFACE = "PRI * HTTP/2.0";

/** The options for the `http` block of a component. */
export function serverOptionsFrom(args: HttpServerArguments, log: Logger): HttpServerOptions {
  const { http2 } = args;
  const settings: import("node:http2").Settings = { maxConcurrentStreams: http2.max_concurrent_streams };
  settings.headerTableSize = http2.max_decoder_header_table_size;
  if (http2.max_read_frame_size > 0) settings.maxFrameSize = http2.max_read_frame_size;
  if (http2.max_upload_buffer_per_stream > 0) settings.initialWindowSize = http2.max_upload_buffer_per_stream;
  return {
    address: args.listen_address,
    port: args.listen_port,
    tls: args.tls && serverTlsFrom(args.tls),
    http2: http2.enabled
      ? { settings, idleMs: http2.idle_timeout, windowBytes: http2.max_upload_buffer_per_connection }
      : undefined,
    maxConnections: args.conn_limit,
    readTimeoutMs: args.server_read_timeout,
    writeTimeoutMs: args.server_write_timeout,
    idleTimeoutMs: args.server_idle_timeout,
    log,
  };
}

/**
 * An HTTP server with routes and limits: for sizes before and after decompression, for slow clients, for connections.
 * Errors that handlers throw become statuses: HttpError its own, RetryableError 503 with Retry-After, PermanentError 400,
 * anything else 500 (and a line in the log).
 */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #exact = new Map<string, Route[]>();
  readonly #prefixes: { readonly prefix: string; readonly route: Route }[] = [];
  readonly #stopping = new AbortController();
  readonly #sockets = new Set<Socket>();
  readonly #active = new Set<Promise<void>>();
  #server: Server | TlsServer | undefined;
  #plain2: Http2Server | undefined;
  #listener: TcpServer | undefined;
  #tlsTimer: NodeJS.Timeout | undefined;

  constructor(options: HttpServerOptions) {
    this.#options = options;
  }

  /**
   * Adds a route. `method` is one, several with `|`, or `*`; a path that ends in `/*` is a prefix (the longest wins, exact
   * ones first). GET answers HEAD as well.
   */
  route(method: string, path: string, handler: RouteHandler): this {
    const methods = method === "*" ? undefined : new Set(method.split("|"));
    if (methods?.has("GET")) methods.add("HEAD");
    const route: Route = { methods, handler };
    if (path.endsWith("/*")) {
      this.#prefixes.push({ prefix: path.slice(0, -1), route });
      this.#prefixes.sort((a, b) => b.prefix.length - a.prefix.length);
    } else this.#exact.set(path, [...(this.#exact.get(path) ?? []), route]);
    return this;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Begins to listen; resolves with the address. Rejects with an error that says why not and what to do. */
  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { tls, http2, address, port, maxConnections, idleTimeoutMs } = this.#options;
    const readMs = this.#options.readTimeoutMs ?? 30_000;
    const headersTimeout = Math.min(this.#options.headerTimeoutMs ?? 10_000, readMs || Infinity);
    const settings = {
      headersTimeout,
      ...(this.#options.maxHeaderBytes === undefined ? {} : { maxHeaderSize: this.#options.maxHeaderBytes }),
      requestTimeout: readMs,
      keepAliveTimeout: idleTimeoutMs ?? 120_000,
      connectionsCheckingInterval: Math.max(50, Math.min(5000, headersTimeout / 2)),
    };
    const answer = (request: Incoming, response: Outgoing) => this.#accept(request, response);
    if (tls === undefined) this.#server = createServer(settings, answer);
    else {
      const server = createTlsServer(
        { ...settings, ...(await this.#loadTls(tls)), handshakeTimeout: headersTimeout },
        answer,
      );
      server.on("secureConnection", (socket: TLSSocket) => {
        if (!admitsClient(tls.clientAuth, socket)) socket.destroy();
      });
      this.#server = server;
      this.#watchFiles(tls, server);
    }
    if (http2 !== undefined && tls === undefined) {
      this.#plain2 = createHttp2Server({ settings: http2.settings }, answer);
      this.#plain2.on("session", (session) => {
        if (http2.windowBytes) session.setLocalWindowSize(http2.windowBytes);
        session.setTimeout(http2.idleMs || (idleTimeoutMs ?? 120_000), () => session.close());
      });
    }
    const listener = this.#plain2 === undefined ? this.#server : createTcpServer((socket) => this.#sniff(socket));
    this.#listener = listener;
    if (maxConnections !== undefined && maxConnections > 0) listener.maxConnections = maxConnections;
    listener.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {}); // a client that went away
      socket.once("close", () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      listener.once("error", (error) => reject(listenError(address, port, error)));
      listener.listen({ port, ...(address === "" ? {} : { host: address }) }, resolve);
    });
    const bound = listener.address() as AddressInfo;
    return { host: bound.address, port: bound.port };
  }

  /** Accepts nothing more, gives requests under way `graceMs` to end, then ends their connections. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.#tlsTimer);
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#listener = undefined;
    const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
    if (listener !== this.#server) this.#server?.close();
    this.#server?.closeIdleConnections();
    if (this.#active.size > 0) {
      let timer: NodeJS.Timeout | undefined;
      const grace = new Promise((resolve) => (timer = setTimeout(resolve, graceMs)));
      await Promise.race([Promise.allSettled([...this.#active]), grace]);
      clearTimeout(timer);
    }
    this.#stopping.abort(new Error("the server stops"));
    for (const socket of this.#sockets) socket.destroy();
    this.#plain2?.close();
    await closed;
  }

  /** Hands a connection to the server of the protocol that it begins with. */
  #sniff(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#options.headerTimeoutMs ?? 10_000);
    socket.once("close", () => clearTimeout(timer));
    const look = () => {
      const head: Buffer | null = socket.read();
      if (head === null) return void socket.once("readable", look);
      clearTimeout(timer);
      socket.unshift(head);
      const begin = head.toString("latin1", 0, HTTP2_PREFACE.length);
      const isHttp2 = begin.length >= 3 && HTTP2_PREFACE.startsWith(begin);
      (isHttp2 ? this.#plain2! : this.#server!).emit("connection", socket);
    };
    socket.once("readable", look);
  }

  async #loadTls(tls: ServerTls): Promise<TlsOptions> {
    const { options, facts } = await loadServerTls(tls);
    const problem = ownCertificateProblem(facts, Date.now());
    if (problem !== undefined) this.#options.log.warn("clients refuse the TLS certificate", { error: problem });
    return options;
  }

  #watchFiles(tls: ServerTls, server: TlsServer): void {
    let last: string | undefined;
    const check = async () => {
      try {
        const now = await fileVersions(tls);
        if (last !== undefined && now !== last) {
          server.setSecureContext(await this.#loadTls(tls));
          this.#options.log.info("read the changed TLS certificate");
        }
        last = now;
      } catch (error) {
        this.#options.log.warn("cannot read the TLS certificate again, the old one stays in use", { error });
      }
    };
    void check();
    this.#tlsTimer = setInterval(check, TLS_CHECK_MS).unref();
  }

  #accept(request: Incoming, response: Outgoing): void {
    const answered = this.#answer(request, response).finally(() => this.#active.delete(answered));
    this.#active.add(answered);
  }

  async #answer(request: Incoming, response: Outgoing): Promise<void> {
    const gone = new AbortController();
    const stop = () => gone.abort(this.#stopping.signal.reason);
    this.#stopping.signal.addEventListener("abort", stop, { once: true });
    response.once("close", () => gone.abort(new Error("the client went away")));
    response.on("error", () => {});
    const { writeTimeoutMs = 30_000 } = this.#options;
    const timer = writeTimeoutMs > 0 ? setTimeout(() => request.destroy(), writeTimeoutMs) : undefined;
    try {
      let answer: ServedResponse;
      try {
        answer = await this.#handle(request, gone.signal);
      } catch (error) {
        answer = this.#errorAnswer(error, request);
      }
      await send(request, response, answer, gone.signal);
    } catch {
      request.destroy(); // the body failed in the middle: a cut connection says so
    } finally {
      clearTimeout(timer);
      this.#stopping.signal.removeEventListener("abort", stop);
    }
  }

  async #handle(request: Incoming, signal: AbortSignal): Promise<ServedResponse> {
    const url = URL.parse(request.url ?? "/", "http://localhost");
    if (url === null) throw new HttpError(400, "the request's URL is malformed");
    const headers = new Map<string, string>();
    for (const [name, value] of Object.entries(request.headers)) {
      if (value !== undefined && !name.startsWith(":"))
        headers.set(name, Array.isArray(value) ? value.join(", ") : value);
    }
    this.#options.guard?.(url.pathname, headers);
    const method = request.method ?? "GET";
    const handler = this.#find(method, url.pathname);
    const announced = Number(headers.get("content-length") ?? 0);
    const body = (limit: number, onData?: (bytes: number) => void) =>
      readRequestBody(request, announced, limit, onData);
    return handler(
      {
        method,
        path: url.pathname,
        query: url.searchParams,
        headers,
        remoteAddress: request.socket.remoteAddress ?? "",
        body,
        async content(maxBytes, maxDecodedBytes = maxBytes) {
          return decodeContent(await body(maxBytes), headers.get("content-encoding") ?? "", maxDecodedBytes);
        },
      },
      signal,
    );
  }

  #find(method: string, path: string): RouteHandler {
    const candidates = this.#exact.get(path) ?? [];
    const routes = [
      ...candidates,
      ...this.#prefixes.filter(({ prefix }) => path.startsWith(prefix)).map((each) => each.route),
    ];
    const found = routes.find(({ methods }) => methods === undefined || methods.has(method));
    if (found !== undefined) return found.handler;
    if (routes.length === 0) throw new HttpError(404, "404 page not found");
    const allowed = routes.flatMap(({ methods }) => [...(methods ?? [])]);
    throw new HttpError(405, "method not allowed", { allow: [...new Set(allowed)].join(", ") });
  }

  #errorAnswer(error: unknown, request: Incoming): ServedResponse {
    const text = (status: number, message: string, headers: Readonly<Record<string, string>> = {}): ServedResponse => ({
      status,
      headers: { "content-type": "text/plain; charset=utf-8", ...headers },
      body: `${message}\n`,
    });
    if (error instanceof HttpError) return text(error.status, error.message, error.headers);
    if (error instanceof RetryableError) {
      return text(503, error.message, {
        "retry-after": String(Math.max(1, Math.ceil((error.retryAfterMs ?? 1000) / 1000))),
      });
    }
    if (error instanceof PermanentError) return text(400, error.message);
    if (this.#stopping.signal.aborted) return text(503, "the server stops", { "retry-after": "1" });
    this.#options.log.error("a request failed", { method: request.method, path: request.url, error });
    return text(500, "internal error; the agent's log says more");
  }
}

async function send(request: Incoming, response: Outgoing, answer: ServedResponse, signal: AbortSignal): Promise<void> {
  const { status, headers, body } = answer;
  const out = response as ServerResponse; // HTTP/2 responses have the same methods
  if (out.destroyed) return;
  const fixed = typeof body === "string" || body instanceof Uint8Array;
  for (const [name, value] of Object.entries(headers ?? {})) out.setHeader(name, value);
  out.statusCode = status;
  // What was not read of the request would be taken for the next one: HTTP/1 can only end the connection.
  const isUnread =
    !request.readableEnded &&
    request.httpVersionMajor === 1 &&
    (Number(request.headers["content-length"] ?? 0) > 0 || request.headers["transfer-encoding"] !== undefined);
  if (isUnread) out.setHeader("connection", "close");
  if (fixed) {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    out.setHeader("content-length", bytes.length);
    if (isUnread) {
      if (bytes.length === 0 || request.method === "HEAD") out.flushHeaders();
      else out.write(bytes);
      await passOver(request, signal);
    }
    await new Promise<void>((resolve) => {
      out.once("close", resolve);
      out.end(isUnread || request.method === "HEAD" ? undefined : bytes, () => resolve());
    });
    return;
  }
  if (request.method !== "HEAD") {
    out.flushHeaders?.();
    for await (const chunk of body) {
      if (signal.aborted) return;
      if (!out.write(chunk)) await drained(out);
    }
  }
  out.end();
}

/**
 * Reads on for a moment after the answer: a connection that is closed with bytes unread is reset, and a client that is still
 * sending would see that rather than the answer.
 */
function passOver(request: Incoming, signal: AbortSignal): Promise<void> {
  if (signal.aborted || request.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, LINGER_MS);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      request.off("end", done).off("close", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
    request.once("end", done).once("close", done).resume();
  });
}

function drained(out: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      out.off("drain", done).off("close", done);
      resolve();
    };
    out.once("drain", done).once("close", done);
  });
}

function listenError(address: string, port: number, error: NodeJS.ErrnoException): Error {
  const because: Readonly<Record<string, string>> = {
    EADDRINUSE: "another program listens there; stop it or choose another port",
    EACCES: "the permission is missing; use a port from 1024 on, or give the agent the capability CAP_NET_BIND_SERVICE",
    EADDRNOTAVAIL: "this machine has no such address; choose another one",
    ENOTFOUND: "the host name is unknown; choose another address",
  };
  const where = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  return new Error(`cannot listen on ${where}: ${because[error.code ?? ""] ?? error.message}`, { cause: error });
}
