import type { LookupFunction } from "node:net";
import { Agent, type Dispatcher } from "undici";
import { formatDuration } from "#base/duration";
import { defaultsOf } from "#lang/decode";
import { s } from "#lang/schema";
import type { Secret } from "#lang/value";
import { deadline } from "#pipeline/host";
import { NO_TLS_FACTS } from "../tls-facts.ts";
import { Authentication, basic } from "./client-auth.ts";
import { decodeBody, readBody } from "./client-body.ts";
import { createConnector } from "./client-connect.ts";
import { type CertificateFacts, explainFailure, HttpClientError } from "./client-errors.ts";
import { WatchedFiles } from "./client-files.ts";
import { ProxySelector, proxyAuthorization } from "./client-proxy.ts";
import { type HttpClientArguments, httpClientFields } from "./client-schema.ts";
import { TlsSource, type TlsState } from "./client-tls.ts";
import { shownUrl } from "./url.ts";

export { HttpClientError, type HttpFailure } from "./client-errors.ts";

/** A request as it is about to be sent. */
export interface SignableRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: string | Uint8Array | undefined;
}
/** Gives the headers that prove who sends a request. Rejects with an Error that says why they cannot be had. */
export type RequestSigner = (
  request: SignableRequest,
  signal: AbortSignal,
) => Promise<Readonly<Record<string, string>>>;

export interface HttpClientOptions {
  /** `User-Agent` of each request. */
  readonly userAgent: string;
  /** Signs each request to the configured host, in place of the credentials of the client arguments. */
  readonly sign?: RequestSigner | undefined;
  /** Longest time to open a connection; default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Connections to one server; default: as many as there are requests at once. */
  readonly maxConnections?: number;
  /** How names of hosts become addresses, in place of the system's way. */
  readonly lookup?: LookupFunction;
  /** A Unix socket instead of the host in the URL. */
  readonly socketPath?: string;
  /** What to set for a server without TLS and for one with it, where the scheme is not written in a URL. */
  readonly usePlain?: string;
  readonly useTls?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly now?: () => number;
}

export interface HttpClientRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS";
  readonly url: string | URL;
  /** Lower-case names. They win over the configured headers, but for `authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Several chunks are sent one after the other, as one body. */
  readonly body?: string | Uint8Array | readonly Uint8Array[];
  /** For the whole exchange, redirects and tokens included. */
  readonly timeoutMs: number;
  /** Largest body to read, before decompression (default 10 MiB) and after it (default: the same). */
  readonly maxBytes?: number;
  readonly maxDecodedBytes?: number;
  /** A body that is too large is cut off instead of refused, and not decompressed: for messages in error answers. */
  readonly truncate?: boolean;
  /** Reads the answer's body in place of the client, which then neither bounds nor decodes it; gives the `body` of the response. */
  readonly readBody?: (
    body: AsyncIterable<Buffer>,
    headers: ReadonlyMap<string, string>,
    status: number,
  ) => Promise<Buffer>;
}

export interface HttpClientResponse {
  readonly status: number;
  /** Lower-case names; repeated headers joined by commas. */
  readonly headers: ReadonlyMap<string, string>;
  /** Decompressed. */
  readonly body: Buffer;
}

/** Prometheus closes idle connections after this time. */
const IDLE_MS = 5 * 60_000;
const MAX_REDIRECTS = 10;
/** Hosts whose last certificate is remembered. */
const MAX_CERTIFICATES = 1000;
const DEFAULT_MAX_BYTES = 10 * 1024 * 1024;

/**
 * The HTTP client behind the shared client arguments: authentication, TLS, proxy, headers, redirects, HTTP/2.
 * Connections are kept and shared by all requests of the client. Files with credentials and certificates are looked at
 * for each request, so that a rotated one counts at once.
 */
export class HttpClient {
  readonly #config: HttpClientArguments;
  readonly #options: HttpClientOptions;
  readonly #authentication: Authentication;
  readonly #tokenClient: HttpClient | undefined;
  readonly #tls: TlsSource;
  readonly #proxies: ProxySelector | undefined;
  readonly #headers: readonly (readonly [name: string, values: readonly string[]])[];
  readonly #proxyHeaders: Readonly<Record<string, string[]>>;
  readonly #agents = new Map<string, { readonly agent: Agent; readonly tls: TlsState }>();
  /** The last certificate of each host, to explain why it was refused. */
  readonly #certificates = new Map<string, CertificateFacts>();
  /** Origins that have answered. */
  readonly #answered = new Set<string>();

  private constructor(config: HttpClientArguments, options: HttpClientOptions) {
    const files = new WatchedFiles();
    this.#config = config;
    this.#options = options;
    this.#tls = new TlsSource(config.tls_config, files);
    this.#proxies = ProxySelector.from(config, options.environment ?? process.env);
    this.#headers = reveal(config.http_headers);
    this.#proxyHeaders = Object.fromEntries(reveal(config.proxy_connect_header));
    if (config.oauth2 !== undefined) {
      const { tls_config, ...oauth2 } = config.oauth2;
      const base = { ...clientDefaults(), ...pickProxy(oauth2) };
      this.#tokenClient = new HttpClient({ ...base, tls_config: tls_config ?? base.tls_config }, options);
    }
    const tokenUrl = config.oauth2?.token_url ?? "";
    this.#authentication = new Authentication(
      config,
      files,
      this.#tokenClient &&
        ((headers, body, signal) =>
          this.#tokenClient!.request({ method: "POST", url: tokenUrl, headers, body, timeoutMs: 30_000 }, signal)),
      options.now ?? Date.now,
    );
  }

  /** Makes a client; connects to nothing yet. Throws for a proxy from the environment that is no URL. */
  static create(config: HttpClientArguments, options: HttpClientOptions): HttpClient {
    return new HttpClient(config, options);
  }

  /**
   * Sends a request and reads the answer, whatever its status. Rejects with an HttpClientError when there is none, when it
   * is too large or damaged, and with the signal's reason when that is aborted.
   */
  async request(request: HttpClientRequest, signal: AbortSignal): Promise<HttpClientResponse> {
    signal.throwIfAborted();
    const url = typeof request.url === "string" ? parseUrl(request.url) : request.url;
    using limit = deadline(request.timeoutMs, signal);
    try {
      return await this.#follow(request, url, limit.signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (limit.signal.aborted) {
        const time = formatDuration(request.timeoutMs);
        throw new HttpClientError("timeout", `${url.host} did not answer within ${time}`, { cause: error });
      }
      const tls = await this.#tls.current().catch(() => NO_TLS);
      const { usePlain, useTls } = this.#options;
      throw explainFailure(error, url, {
        certificate: this.#certificates.get(url.hostname),
        tls: tls.facts,
        ...(usePlain && { usePlain }),
        ...(useTls && { useTls }),
        hasAnswered: this.#answered.has(url.origin),
      });
    }
  }

  /** Ends all connections, those in use as well. */
  async close(): Promise<void> {
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.all([this.#tokenClient?.close(), ...agents.map(({ agent }) => agent.destroy())]);
  }

  async #follow(request: HttpClientRequest, first: URL, signal: AbortSignal): Promise<HttpClientResponse> {
    let url = first;
    let { method } = request;
    let body = toBody(request.body);
    for (let redirects = 0; ; redirects++) {
      const response = await this.#send(url, method, request, body, url.host === first.host, signal);
      const { statusCode, headers } = response;
      const location = headers.location;
      if (!this.#config.follow_redirects || statusCode < 301 || statusCode > 308 || typeof location !== "string") {
        return this.#read(request, method, response);
      }
      response.body.on("error", () => {}).destroy();
      if (redirects === MAX_REDIRECTS) throw new HttpClientError("redirect", `${first.host} redirects without an end`);
      const next = URL.parse(location, url);
      if (next === null || !/^https?:$/.test(next.protocol)) {
        throw new HttpClientError(
          "redirect",
          `${url.host} redirects to ${JSON.stringify(shownUrl(location))}, which is no URL`,
        );
      }
      // As in Go: 307 and 308 repeat the request, the others turn it into a GET.
      if (statusCode < 307 && method !== "HEAD" && method !== "GET") {
        method = "GET";
        body = undefined;
      }
      url = next;
    }
  }

  async #send(
    url: URL,
    method: HttpClientRequest["method"],
    request: HttpClientRequest,
    body: Uint8Array | string | undefined,
    sameHost: boolean,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const headers: Record<string, string | string[]> = { "user-agent": this.#options.userAgent };
    if (sameHost) for (const [name, values] of this.#headers) headers[name] = [...values];
    if (body !== undefined || method === request.method) Object.assign(headers, request.headers);
    // Credentials go to the configured host only, wherever it redirects to.
    const authorization = sameHost ? await this.#authentication.header(signal) : undefined;
    if (authorization !== undefined) headers.authorization = authorization;
    else if (sameHost && url.username !== "" && headers.authorization === undefined) {
      // As in Go: credentials in the URL are those of basic authentication, unless others are given.
      headers.authorization = basic(decodeURIComponent(url.username), decodeURIComponent(url.password));
    }
    if (sameHost && this.#options.sign !== undefined) {
      const { sign } = this.#options;
      try {
        Object.assign(headers, await sign({ method, url, headers, body }, signal));
      } catch (error) {
        throw new HttpClientError("authentication", (error as Error).message, { cause: error });
      }
    }
    const proxy = this.#proxies?.proxyFor(url);
    const plainProxy = url.protocol === "http:" ? proxy : undefined;
    let target = { origin: url.origin, path: url.pathname + url.search };
    if (plainProxy !== undefined) {
      target = { origin: plainProxy.origin, path: url.href.split("#")[0]! };
      headers.host = url.host;
      const proxyUser = proxyAuthorization(plainProxy);
      if (proxyUser !== undefined) headers["proxy-authorization"] = proxyUser;
    }
    const options: Dispatcher.RequestOptions = {
      ...target,
      method,
      headers,
      body: body as Buffer | string | null,
      signal,
      headersTimeout: 0, // the deadline covers both
      bodyTimeout: 0,
    };
    const send = async () => (await this.#agent(url, proxy)).request(options);
    let response: Dispatcher.ResponseData;
    try {
      response = await send();
    } catch (error) {
      // The server closed the idle connection in the moment in which it was used again; as in Go, another one is tried.
      if (!signal.aborted && diedWhileIdle(error, method)) response = await send();
      else throw error;
    }
    if (response.statusCode === 401 && sameHost) this.#authentication.refused();
    if (this.#answered.size < MAX_CERTIFICATES) this.#answered.add(url.origin);
    return response;
  }

  async #read(
    request: HttpClientRequest,
    method: string,
    { statusCode, headers, body }: Dispatcher.ResponseData,
  ): Promise<HttpClientResponse> {
    const limit = request.maxBytes ?? DEFAULT_MAX_BYTES;
    const truncate = request.truncate ?? false;
    const map = new Map<string, string>();
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) map.set(name, Array.isArray(value) ? value.join(", ") : value);
    }
    if (request.readBody !== undefined) {
      return { status: statusCode, headers: map, body: await request.readBody(body, map, statusCode) };
    }
    const raw = await readBody(body, limit, truncate);
    const encoding = map.get("content-encoding") ?? "";
    const plain = truncate || method === "HEAD" || encoding === "";
    const content = plain ? raw : await decodeBody(raw, encoding, request.maxDecodedBytes ?? limit);
    return { status: statusCode, headers: map, body: content };
  }

  /** The agent for a URL; a new one when certificates changed. */
  async #agent(url: URL, proxy: URL | undefined): Promise<Agent> {
    const tunnel = url.protocol === "https:" ? proxy : undefined;
    const secure = url.protocol === "https:" || proxy?.protocol === "https:";
    const tls: TlsState = secure ? await this.#currentTls() : NO_TLS;
    const key = `${secure ? "https" : "http"} ${tunnel?.href ?? ""}`;
    const known = this.#agents.get(key);
    if (known?.tls === tls) return known.agent;
    const { connectTimeoutMs, lookup, maxConnections, socketPath } = this.#options;
    const agent = new Agent({
      connections: maxConnections ?? null,
      keepAliveTimeout: IDLE_MS,
      keepAliveMaxTimeout: IDLE_MS,
      allowH2: this.#config.enable_http2,
      h2Options: { pingInterval: 15_000 },
      connect: createConnector({
        tls: socketPath === undefined ? tls.options : ({ ...tls.options, socketPath } as object),
        allowH2: this.#config.enable_http2,
        timeoutMs: connectTimeoutMs ?? 10_000,
        lookup,
        proxy: tunnel && { url: tunnel, headers: this.#proxyHeaders },
        onCertificate: (host, certificate) => {
          const [oldest] = this.#certificates.keys();
          if (this.#certificates.size >= MAX_CERTIFICATES) this.#certificates.delete(oldest!);
          this.#certificates.set(host, certificate);
        },
      }),
    });
    this.#agents.set(key, { agent, tls });
    void known?.agent.close(); // requests under way end in peace
    return agent;
  }

  async #currentTls(): Promise<TlsState> {
    try {
      return await this.#tls.current();
    } catch (error) {
      throw new HttpClientError("configuration", (error as Error).message, { cause: error });
    }
  }
}

const NO_TLS: TlsState = { options: {}, facts: NO_TLS_FACTS };

/** The arguments of a client for which nothing was configured. */
export function clientDefaults(): HttpClientArguments {
  return defaultsOf(s.object(httpClientFields));
}

function pickProxy(args: HttpClientArguments | Omit<NonNullable<HttpClientArguments["oauth2"]>, "tls_config">) {
  const { proxy_url, no_proxy, proxy_from_environment, proxy_connect_header } = args;
  return { proxy_url, no_proxy, proxy_from_environment, proxy_connect_header };
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new HttpClientError(
      "configuration",
      `${JSON.stringify(shownUrl(text))} is no HTTP URL: write it as http://host:port/path`,
    );
  }
  return url;
}

function toBody(body: HttpClientRequest["body"]): Uint8Array | string | undefined {
  return Array.isArray(body) ? Buffer.concat(body as readonly Uint8Array[]) : (body as Uint8Array | string | undefined);
}

function reveal(headers: ReadonlyMap<string, readonly Secret[]> | undefined): [string, string[]][] {
  return [...(headers ?? [])].map(([name, values]) => [name.toLowerCase(), values.map((value) => value.reveal())]);
}

/** Whether a connection that had served before ended without an answer, or one that may be asked again in any case. */
function diedWhileIdle(error: unknown, method: string): boolean {
  const { code, socket } = error as { code?: string; socket?: { bytesRead?: number } };
  if (code !== "UND_ERR_SOCKET" && code !== "ECONNRESET" && code !== "EPIPE") return false;
  return method === "GET" || method === "HEAD" || (socket?.bytesRead ?? 0) > 0;
}
