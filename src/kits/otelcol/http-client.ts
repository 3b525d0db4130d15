/**
 * The HTTP client of otelcol exporters: packs bodies, adds headers and credentials, keeps connections.
 * Matches config/confighttp/client.go of the OpenTelemetry Collector.
 */
import { Readable } from "node:stream";
import { Agent, type buildConnector, type Dispatcher, EnvHttpProxyAgent, ProxyAgent } from "undici";
import { errorText } from "#base/log";
import type { OtlpClient } from "#pipeline/batch";
import { createConnector } from "../http/client-connect.ts";
import { type CertificateFacts, explainFailure, HttpClientError } from "../http/client-errors.ts";
import { NO_TLS_FACTS, type TlsFacts } from "../tls-facts.ts";
import { type ClientAuth, clientAuth } from "./auth.ts";
import type { HttpClientArguments } from "./client-schema.ts";
import { type Compression, compressBody } from "./compression.ts";
import { loadClientTls } from "./tls.ts";

/** What is read of an answer; backends have nothing longer to say. */
const MAX_ANSWER_BYTES = 64 << 10;
/** Beyond this, sockets are not opened for more requests at once; the queue has its own, lower limit. */
const MAX_CONNECTIONS = 1_000;
const CONNECT_TIMEOUT_MS = 10_000;

export interface HttpPost extends Pick<OtlpClient, "clientMetadata" | "clientAttributes"> {
  readonly url: string;
  readonly contentType: string;
  /** One after the other they are the body. */
  readonly parts: readonly Uint8Array[];
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
  /** Headers of the request, for `shownAnswer`. */
  readonly sent: ReadonlyMap<string, string>;
}

export class OtelHttpClient {
  readonly #args: HttpClientArguments;
  readonly #userAgent: string;
  readonly #auth: ClientAuth | undefined;
  readonly #cookies: CookieJar | undefined;
  #dispatcher: Promise<Dispatcher> | undefined;
  #loadedAt = 0;
  #tlsFacts: TlsFacts = NO_TLS_FACTS;
  /** What the server showed last, to explain why it was refused. */
  #certificate: CertificateFacts | undefined;
  #hasAnswered = false;

  /** Throws for an auth handler that only guards servers. */
  constructor(args: HttpClientArguments, userAgent: string) {
    this.#args = args;
    this.#userAgent = userAgent;
    this.#auth = clientAuth(args.auth, "http");
    this.#cookies = args.cookies?.enabled ? new CookieJar() : undefined;
  }

  /** Sends a request. Rejects when there is no answer, in words, and with the signal's reason if that was aborted. */
  async post(post: HttpPost): Promise<HttpAnswer> {
    const { compression, compression_params: params, timeout } = this.#args;
    const compressed = compression !== "" && compression !== "none";
    // Parts are joined only for those who need one piece: joining costs a copy and fresh memory.
    const whole = (): Uint8Array => (post.parts.length === 1 ? post.parts[0]! : Buffer.concat(post.parts));
    const body = compressed
      ? await compressBody(whole(), compression as Compression, params?.level, "http")
      : undefined;
    const url = new URL(post.url);
    const headers = new Map<string, string>([
      ["content-type", post.contentType],
      ["user-agent", this.#userAgent],
    ]);
    if (compressed) headers.set("content-encoding", compression);
    for (const [name, value] of this.#args.headers) headers.set(name.toLowerCase(), value);
    // As in Go: credentials in the URL are those of basic authentication, unless others are given.
    if (url.username !== "" && !headers.has("authorization")) {
      const [user, password] = [url.username, url.password].map(decodeURIComponent);
      headers.set("authorization", `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`);
    }
    const cookies = this.#cookies?.header(url);
    if (cookies !== undefined) headers.set("cookie", cookies);
    const { clientMetadata, clientAttributes, signal } = post;
    if (this.#auth !== undefined) {
      const content = body ?? whole();
      try {
        const request = { method: "POST", url: post.url, headers, body: content, clientMetadata, clientAttributes };
        await this.#auth(request, signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw new HttpClientError("authentication", `there are no credentials to send: ${errorText(error)}`);
      }
    }
    const length = body?.length ?? post.parts.reduce((sum, part) => sum + part.length, 0);
    headers.set("content-length", String(length));
    const dispatcher = await this.#connections();
    const answer = await dispatcher
      .request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method: "POST",
        headers: Object.fromEntries(headers),
        body: body ?? (post.parts.length === 1 ? post.parts[0]! : Readable.from(post.parts, { objectMode: false })),
        signal,
        headersTimeout: timeout,
        bodyTimeout: timeout,
      })
      .catch((error: unknown) => {
        if (signal.aborted) throw signal.reason;
        throw explainFailure(error, url, {
          certificate: this.#certificate,
          tls: this.#tlsFacts,
          hasAnswered: this.#hasAnswered,
        });
      });
    this.#hasAnswered = true;
    const seen = new Map(
      Object.entries(answer.headers).map(([name, value]) => [
        name,
        Array.isArray(value) ? value.join(", ") : String(value),
      ]),
    );
    this.#cookies?.keep(url, answer.headers["set-cookie"]);
    return { status: answer.statusCode, headers: seen, body: await readAnswer(answer.body), sent: headers };
  }

  /** Closes the connections; requests under way break off. */
  async close(): Promise<void> {
    const dispatcher = this.#dispatcher;
    this.#dispatcher = undefined;
    await dispatcher?.then((each) => each.destroy()).catch(() => {});
  }

  #connections(): Promise<Dispatcher> {
    const { tls } = this.#args;
    const stale = tls.reload_interval > 0 && Date.now() - this.#loadedAt >= tls.reload_interval;
    if (this.#dispatcher === undefined || stale) {
      const before = this.#dispatcher;
      const made = this.#dispatch();
      this.#dispatcher = made;
      this.#loadedAt = Date.now();
      // A failure is for the next request to find again, a success lets the old connections end in peace.
      made.then(
        () => void before?.then((each) => each.close()).catch(() => {}),
        () => {
          if (this.#dispatcher === made) this.#dispatcher = before;
        },
      );
    }
    return this.#dispatcher;
  }

  async #dispatch(): Promise<Dispatcher> {
    const args = this.#args;
    const { options: tls, facts } = await loadClientTls(args.tls);
    this.#tlsFacts = facts;
    const secure = tls as buildConnector.BuildOptions;
    const options = {
      connections: args.max_conns_per_host || MAX_CONNECTIONS,
      pipelining: args.disable_keep_alives ? 0 : 1,
      keepAliveTimeout: args.idle_conn_timeout || 600_000,
      keepAliveMaxTimeout: args.idle_conn_timeout || 600_000,
      allowH2: args.force_attempt_http2,
      ...(args.http2_read_idle_timeout > 0 ? { pingInterval: args.http2_read_idle_timeout } : {}),
      connect: createConnector({
        tls,
        allowH2: args.force_attempt_http2,
        timeoutMs: CONNECT_TIMEOUT_MS,
        onCertificate: (_, certificate) => {
          this.#certificate = certificate;
        },
      }),
    };
    if (args.proxy_url !== "") return new ProxyAgent({ ...options, uri: args.proxy_url, requestTls: secure });
    const proxied = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"].some((name) => process.env[name]);
    return proxied ? new EnvHttpProxyAgent({ ...options, requestTls: secure }) : new Agent(options);
  }
}

/** The beginning of a body; the rest is thrown away. */
async function readAnswer(body: Dispatcher.ResponseData["body"]): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    if (length < MAX_ANSWER_BYTES) chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES * 16) break;
  }
  const read = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  return read.subarray(0, MAX_ANSWER_BYTES);
}

/** Session cookies by host: what sticky load balancers need, and no more. */
class CookieJar {
  readonly #byHost = new Map<string, Map<string, string>>();

  keep(url: URL, header: string | string[] | undefined): void {
    if (header === undefined) return;
    let cookies = this.#byHost.get(url.host);
    if (cookies === undefined) this.#byHost.set(url.host, (cookies = new Map()));
    for (const each of Array.isArray(header) ? header : [header]) {
      const pair = each.split(";", 1)[0]!;
      const mark = pair.indexOf("=");
      if (mark <= 0) continue;
      if (/;\s*max-age=(0|-\d+)\s*(;|$)/i.test(each)) cookies.delete(pair.slice(0, mark).trim());
      else cookies.set(pair.slice(0, mark).trim(), pair.slice(mark + 1).trim());
    }
  }

  header(url: URL): string | undefined {
    const cookies = this.#byHost.get(url.host);
    return cookies === undefined || cookies.size === 0
      ? undefined
      : [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }
}
