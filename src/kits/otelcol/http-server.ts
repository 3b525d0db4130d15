/**
 * The HTTP server of otelcol receivers: unpacks bodies, checks sizes and credentials, answers CORS requests.
 * Matches config/confighttp/server.go of the OpenTelemetry Collector.
 */
import * as http from "node:http";
import * as http2 from "node:http2";
import type { Server } from "node:net";
import type { TlsOptions } from "node:tls";
import { AuthenticationError, type ClientAttributes, type ServerAuth, serverAuth } from "./auth.ts";
import { CompressionError, decompressBody } from "./compression.ts";
import { corsHeaders, preflight } from "./cors.ts";
import { listenOn, parseListenAddress } from "./listen.ts";
import type { HttpServerArguments } from "./server-schema.ts";

const DEFAULT_MAX_BODY_BYTES = 20 << 20;
/** How long the rest of a refused body is read and thrown away. */
const LINGER_MS = 2_000;

export interface OtelHttpRequest {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: string;
  readonly headers: http.IncomingHttpHeaders;
  /** Headers with all of their values, for `include_metadata`. */
  readonly allHeaders: () => ReadonlyMap<string, readonly string[]>;
  /** The client's IP address. */
  readonly remoteAddress: string | undefined;
  /** What its authentication told. */
  readonly clientAttributes: ClientAttributes;
  /** Unpacked. */
  readonly body: Uint8Array;
  /** Aborted when the client goes or the server closes. */
  readonly signal: AbortSignal;
}

export interface OtelHttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
}

export interface OtelHttpServerOptions {
  readonly args: HttpServerArguments;
  readonly tls: TlsOptions | undefined;
  /** Answers a request whose method and path are right. */
  readonly handle: (request: OtelHttpRequest) => OtelHttpResponse | Promise<OtelHttpResponse>;
  /** The answer to a request that is wrong before its body is looked at, or undefined to read it. */
  readonly check: (method: string, path: string, headers: http.IncomingHttpHeaders) => OtelHttpResponse | undefined;
  /** The answer to a request with a bad body or without credentials. */
  readonly refuse: (status: number, message: string, headers: http.IncomingHttpHeaders) => OtelHttpResponse;
}

/** A request that is over; the reason of its signal. */
class RequestOver extends Error {}

class BodyTooLarge extends Error {}

type Request = http.IncomingMessage | http2.Http2ServerRequest;
type Response = http.ServerResponse | http2.Http2ServerResponse;

export class OtelHttpServer {
  readonly #options: OtelHttpServerOptions;
  readonly #server: http.Server | http2.Http2SecureServer;
  readonly #authenticate: ServerAuth | undefined;
  readonly #maxBodyBytes: number;
  readonly #closing = new AbortController();
  readonly #sessions = new Set<http2.ServerHttp2Session>();

  /** Throws for an address or an auth handler that is of no use. */
  constructor(options: OtelHttpServerOptions) {
    this.#options = options;
    const { args, tls } = options;
    parseListenAddress(args.endpoint);
    this.#authenticate = serverAuth(args.auth);
    this.#maxBodyBytes = args.max_request_body_size || DEFAULT_MAX_BODY_BYTES;
    const listener = (request: Request, response: Response) => void this.#serve(request, response);
    // Node counts a request from its first byte, Go from the end of its headers.
    const bodyTimeout = args.read_timeout || args.write_timeout;
    const timeouts = {
      keepAliveTimeout: args.keep_alives_enabled ? args.idle_timeout : 1,
      headersTimeout: args.read_header_timeout,
      requestTimeout: bodyTimeout === 0 ? 0 : args.read_header_timeout + bodyTimeout,
    };
    if (tls === undefined) this.#server = http.createServer(timeouts, listener);
    else {
      this.#server = http2.createSecureServer({ ...tls, ...timeouts, allowHTTP1: true }, listener);
      this.#server.on("session", (session: http2.ServerHttp2Session) => {
        this.#sessions.add(session);
        session.on("close", () => this.#sessions.delete(session));
        session.on("error", () => {});
      });
      this.#server.on("sessionError", () => {});
      this.#server.on("tlsClientError", () => {});
    }
  }

  /** Resolves with the address as text. Rejects with an error that says why not and what to do. */
  async listen(): Promise<string> {
    const text = await listenOn(this.#server as Server, parseListenAddress(this.#options.args.endpoint));
    this.#server.on("error", () => {});
    return text;
  }

  /** Uses other certificates for connections from now on. */
  setTls(options: TlsOptions): void {
    if ("setSecureContext" in this.#server) this.#server.setSecureContext(options);
  }

  /** Takes no new requests and waits for those under way until `deadline` is aborted. */
  async close(deadline: AbortSignal): Promise<void> {
    const server = this.#server;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    if ("closeIdleConnections" in server) server.closeIdleConnections();
    for (const session of this.#sessions) session.close();
    const force = () => {
      this.#closing.abort(new RequestOver("the server closed"));
      if ("closeAllConnections" in server) server.closeAllConnections();
      for (const session of this.#sessions) session.destroy();
    };
    if (deadline.aborted) force();
    else deadline.addEventListener("abort", force, { once: true });
    await closed;
    deadline.removeEventListener("abort", force);
  }

  async #serve(request: Request, response: Response): Promise<void> {
    request.on("error", () => {});
    response.on("error", () => {});
    const url = request.url ?? "";
    const mark = url.indexOf("?");
    const path = mark < 0 ? url : url.slice(0, mark);
    const { args } = this.#options;
    const cors = corsHeaders(args.cors, request.headers);
    const flight = preflight(args.cors, request.method ?? "", request.headers);
    if (flight !== undefined) return this.#send(response, { status: 204, headers: flight, body: "" }, {});
    const refused = this.#options.check(request.method ?? "", path, request.headers);
    if (refused !== undefined) return this.#end(request, response, refused, cors);
    const controller = new AbortController();
    const stop = () => controller.abort(this.#closing.signal.reason);
    this.#closing.signal.addEventListener("abort", stop, { once: true });
    response.on("close", () => {
      this.#closing.signal.removeEventListener("abort", stop);
      if (!response.writableFinished) controller.abort(new RequestOver("the client is gone"));
    });
    try {
      const answer = await this.#answer(request, path, mark < 0 ? "" : url.slice(mark + 1), controller.signal);
      this.#end(request, response, answer, cors);
    } catch (error) {
      if (error instanceof RequestOver || response.destroyed) response.destroy();
      else
        this.#end(
          request,
          response,
          this.#options.refuse(500, String((error as Error).message), request.headers),
          cors,
        );
    }
  }

  async #answer(request: Request, path: string, query: string, signal: AbortSignal): Promise<OtelHttpResponse> {
    const { args, refuse, handle } = this.#options;
    const { headers } = request;
    let body: Uint8Array;
    let clientAttributes: ClientAttributes;
    try {
      if (this.#authenticate !== undefined) clientAttributes = await this.#authenticate(flatHeaders(headers));
      const encoding = String(headers["content-encoding"] ?? "");
      if (args.compression_algorithms.length > 0 && !args.compression_algorithms.includes(encoding as "gzip")) {
        return refuse(400, `unsupported Content-Encoding: ${encoding}`, headers);
      }
      const raw = await this.#read(request);
      const unpacked =
        args.compression_algorithms.length === 0 ? raw : decompressBody(raw, encoding, this.#maxBodyBytes);
      body = unpacked instanceof Promise ? await unpacked : unpacked;
    } catch (error) {
      if (error instanceof AuthenticationError) return refuse(401, error.message, headers);
      if (error instanceof BodyTooLarge) return refuse(413, error.message, headers);
      if (error instanceof CompressionError) return refuse(error.tooLarge ? 413 : 400, error.message, headers);
      throw error;
    }
    return handle({
      method: request.method ?? "",
      path,
      query,
      headers,
      allHeaders: () => allHeaders(request),
      remoteAddress: request.socket.remoteAddress,
      clientAttributes,
      body,
      signal,
    });
  }

  #read(request: Request): Promise<Uint8Array> {
    const limit = this.#maxBodyBytes;
    const declared = Number(request.headers["content-length"] ?? 0);
    return new Promise((resolve, reject) => {
      const tooLarge = () => reject(new BodyTooLarge(`the request body is larger than ${limit} bytes`));
      if (declared > limit) return tooLarge();
      const chunks: Buffer[] = [];
      let length = 0;
      request.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length <= limit) chunks.push(chunk);
        else tooLarge();
      });
      request.on("end", () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)));
      request.on("close", () => {
        if (!request.readableEnded) reject(new RequestOver("the client is gone"));
      });
    });
  }

  /**
   * Answers; a request whose body was not read to its end takes its connection with it, but not at once: a client that
   * still sends would see a broken connection instead of the answer, and try again.
   */
  #end(request: Request, response: Response, answer: OtelHttpResponse, cors: Readonly<Record<string, string>>): void {
    if (response.destroyed || response.headersSent) return;
    const unread = !request.readableEnded && request.headers["content-length"] !== "0" && request.method === "POST";
    const close = (unread || !this.#options.args.keep_alives_enabled) && request.httpVersionMajor < 2;
    const lingers = unread && close;
    this.#send(response, answer, close ? { ...cors, connection: "close" } : cors, lingers);
    if (unread) request.resume();
    if (!lingers) return;
    const finish = () => {
      clearTimeout(timer);
      response.end();
    };
    const timer = setTimeout(finish, LINGER_MS);
    request.once("end", finish);
    request.once("close", finish);
  }

  #send(response: Response, answer: OtelHttpResponse, more: Readonly<Record<string, string>>, endsLater = false): void {
    const body = typeof answer.body === "string" ? Buffer.from(answer.body) : answer.body;
    const length: Record<string, string> = answer.status === 204 ? {} : { "content-length": String(body.length) };
    // Both kinds of response have this signature, but not one that TypeScript sees as common.
    (response as http.ServerResponse).writeHead(answer.status, { ...answer.headers, ...more, ...length });
    if (endsLater && body.length > 0) (response as http.ServerResponse).write(body);
    else (response as http.ServerResponse).end(body);
  }
}

function flatHeaders(headers: http.IncomingHttpHeaders): ReadonlyMap<string, string> {
  const flat = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) flat.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  return flat;
}

function allHeaders(request: Request): ReadonlyMap<string, readonly string[]> {
  const distinct: Record<string, unknown> =
    "headersDistinct" in request ? request.headersDistinct : (request as http2.Http2ServerRequest).headers;
  return new Map(
    Object.entries(distinct)
      .filter(([name]) => !name.startsWith(":"))
      .map(([name, value]) => [name, Array.isArray(value) ? value.map(String) : [String(value)]]),
  );
}
