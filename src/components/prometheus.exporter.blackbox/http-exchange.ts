import { lookup } from "node:dns";
import { createReadStream } from "node:fs";
import * as http from "node:http";
import * as http2 from "node:http2";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import type { TLSSocket } from "node:tls";
import { proxyAuthorization } from "#kits/http/client-proxy";
import { type Peer, peerOf } from "./certificate.ts";
import { connect, explain, secure, tlsState } from "./connection.ts";
import type { HttpProbe } from "./modules.ts";
import { type Probe, ProbeFailure } from "./probe.ts";

/** One request of a probe, and its answer: one of the requests that redirects make. */
export interface Hop {
  /** Where to connect to: the address of the first host, or the host that a redirect named. */
  readonly url: URL;
  /** The host to ask for. */
  readonly host: string;
  /** What messages call the server: its host as the target or a redirect has it. */
  readonly shown: string;
  /** The name to expect in the certificate. */
  readonly serverName: string;
  readonly method: string;
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string | { readonly file: string } | undefined;
  readonly proxy: URL | undefined;
}

/** Moments of `performance.now()`, undefined until they come: `roundTripTrace` of prober/http.go. */
export interface Trace {
  readonly isSecure: boolean;
  start?: number;
  lookedUp?: number;
  connected?: number;
  tlsStart?: number;
  tlsDone?: number;
  /** The connection is ready for the request. */
  ready?: number;
  answered?: number;
  end?: number;
}

export interface Answer {
  readonly status: number;
  /** `HTTP/1.1`, `HTTP/2.0`. */
  readonly protocol: string;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  /** −1 if the answer does not say. */
  readonly contentLength: number;
  readonly body: Readable;
  /** What the server showed, if the connection is a secure one. */
  readonly peer: Peer | undefined;
  close(): void;
}

const HINTS = { usePlain: "use http://", useTls: "use https://" };
/** Room for the headers of an answer. */
const MAX_HEADER_BYTES = 1024 * 1024;

/** Sends a request on a connection of its own. Rejects with a ProbeFailure, or with the reason of the probe's signal. */
export async function exchange(hop: Hop, trace: Trace, config: HttpProbe, probe: Probe): Promise<Answer> {
  const { url, proxy } = hop;
  const shown = proxy === undefined ? hop.shown : proxy.host;
  const isSecure = url.protocol === "https:";
  let socket: Socket | undefined;
  try {
    socket = await open(proxy ?? url, shown, trace, probe);
    if (proxy?.protocol === "https:") {
      const state = await tlsState(config.client.tls_config, probe.files);
      const { servername: _, ...options } = state.options; // `server_name` is the target's
      socket = await secure(socket, { state: { ...state, options }, name: bare(proxy), shown }, probe);
    }
    let peer: Peer | undefined;
    let isHttp2 = false;
    if (isSecure) {
      if (proxy !== undefined) socket = await tunnel(socket, hop, config, probe);
      const secured = await handshake(socket, hop, trace, config, probe);
      peer = peerOf(secured);
      isHttp2 = secured.alpnProtocol === "h2";
      socket = secured;
    }
    trace.ready = performance.now();
    probe.stage = `waiting for the answer of ${shown}`;
    const ask = isHttp2 ? ask2 : ask1;
    return { ...(await ask(socket, hop, trace, probe.signal)), peer };
  } catch (error) {
    socket?.destroy();
    probe.signal.throwIfAborted();
    throw explain(error, shown, isSecure, HINTS);
  }
}

async function open(to: URL, shown: string, trace: Trace, probe: Probe): Promise<Socket> {
  probe.stage = `connecting to ${shown}`;
  trace.start = performance.now();
  const socket = await connect(
    {
      host: bare(to),
      port: portOf(to),
      lookup: (host, options, done) =>
        lookup(host, options, (...answer) => {
          trace.lookedUp = performance.now();
          done(...(answer as Parameters<typeof done>));
        }),
    },
    probe.signal,
  );
  trace.connected = performance.now();
  // Addresses are not looked up.
  trace.lookedUp ??= trace.start;
  return socket;
}

async function handshake(socket: Socket, hop: Hop, trace: Trace, config: HttpProbe, probe: Probe): Promise<TLSSocket> {
  const { tls_config, enable_http2 } = config.client;
  const state = await tlsState(tls_config, probe.files);
  probe.stage = `in the TLS handshake with ${hop.shown}`;
  trace.tlsStart = performance.now();
  const { servername: _, ...options } = state.options; // the hop knows which name counts
  const secured = await secure(
    socket,
    {
      state: { ...state, options },
      name: hop.serverName,
      protocols: enable_http2 ? ["h2", "http/1.1"] : undefined,
      shown: hop.shown,
      hints: HINTS,
    },
    probe,
  );
  trace.tlsDone = performance.now();
  return secured;
}

/** Asks the proxy for a connection to the server. */
function tunnel(socket: Socket, { url, proxy }: Hop, config: HttpProbe, probe: Probe): Promise<Socket> {
  const authority = `${url.hostname}:${portOf(url)}`;
  const authorization = proxyAuthorization(proxy!);
  const headers: Record<string, string | string[]> = { host: authority };
  for (const [name, values] of config.client.proxy_connect_header ?? []) {
    headers[name] = values.map((each) => each.reveal());
  }
  if (authorization !== undefined) headers["proxy-authorization"] = authorization;
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown) =>
      reject(new ProbeFailure(`the proxy ${proxy!.host} ${why}`, { cause }));
    const request = http.request({
      createConnection: () => socket,
      method: "CONNECT",
      path: authority,
      headers,
      signal: probe.signal,
    });
    request.once("connect", (response, tunnelled) => {
      if (response.statusCode === 200) resolve(tunnelled as Socket);
      else fail(`refused a connection to ${authority} with status ${response.statusCode}`);
    });
    request.once("response", (response) => fail(`answered CONNECT with status ${response.statusCode}`));
    request.once("error", (error) => fail(`broke off: ${error.message}`, error));
    request.end();
  });
}

function ask1(socket: Socket, hop: Hop, trace: Trace, signal: AbortSignal): Promise<Omit<Answer, "peer">> {
  const { url, method, host } = hop;
  const path = url.pathname + url.search;
  const headers: Record<string, string[] | string> = { host };
  for (const [name, values] of hop.headers) headers[name] = [...values];
  if (hop.proxy !== undefined && url.protocol === "http:") {
    const authorization = proxyAuthorization(hop.proxy);
    if (authorization !== undefined) headers["proxy-authorization"] = authorization;
  }
  return new Promise((resolve, reject) => {
    const request = http.request({
      createConnection: () => socket,
      method,
      path: hop.proxy !== undefined && url.protocol === "http:" ? `${url.protocol}//${host}${path}` : path,
      headers,
      maxHeaderSize: MAX_HEADER_BYTES,
      signal,
    });
    const answered = (response: http.IncomingMessage, body: Readable) => {
      trace.answered ??= performance.now();
      const fields = new Map<string, string[]>();
      for (let i = 0; i < response.rawHeaders.length; i += 2) {
        addTo(fields, response.rawHeaders[i]!, response.rawHeaders[i + 1]!);
      }
      resolve({
        status: response.statusCode!,
        protocol: `HTTP/${response.httpVersion}`,
        headers: fields,
        contentLength: contentLength(fields, method, response.statusCode!),
        body,
        close: () => void socket.destroy(),
      });
    };
    request.once("response", (response) => answered(response, response));
    request.once("upgrade", (response, upgraded) => answered(response, upgraded));
    request.on("error", reject);
    sendBody(request, hop.body, reject);
  });
}

const CONNECTION_HEADERS = /^(connection|host|http2-settings|keep-alive|proxy-connection|transfer-encoding|upgrade)$/i;

function ask2(socket: Socket, hop: Hop, trace: Trace, signal: AbortSignal): Promise<Omit<Answer, "peer">> {
  const { url, method } = hop;
  return new Promise((resolve, reject) => {
    const session = http2.connect(url.origin, { createConnection: () => socket, settings: { enablePush: false } });
    const close = () => {
      session.destroy();
      socket.destroy();
    };
    const fail = (error: Error) => {
      close();
      reject(error);
    };
    session.on("error", fail);
    session.once("close", () => reject(Object.assign(new Error("the session ended"), { code: "ECONNRESET" })));
    const headers: http2.OutgoingHttpHeaders = {
      ":method": method,
      ":scheme": "https",
      ":authority": hop.host,
      ":path": url.pathname + url.search,
    };
    for (const [name, values] of hop.headers) {
      if (!CONNECTION_HEADERS.test(name)) headers[name.toLowerCase()] = [...values];
    }
    const stream = session.request(headers, { endStream: hop.body === undefined, signal });
    stream.on("error", fail);
    stream.once("response", (fields, flags, raw: unknown = []) => {
      trace.answered = performance.now();
      const list = raw as readonly string[];
      const map = new Map<string, string[]>();
      for (let i = 0; i < list.length; i += 2) if (!list[i]!.startsWith(":")) addTo(map, list[i]!, list[i + 1]!);
      const isEnded = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      resolve({
        status: Number(fields[":status"]),
        protocol: "HTTP/2.0",
        headers: map,
        contentLength: isEnded && method !== "HEAD" ? 0 : contentLength(map, method, 0),
        body: stream,
        close,
      });
    });
    if (hop.body !== undefined) sendBody(stream, hop.body, fail);
  });
}

function sendBody(to: Writable, body: Hop["body"], fail: (error: Error) => void): void {
  if (body === undefined || typeof body === "string") {
    to.end(body);
    return;
  }
  const file = createReadStream(body.file);
  file.once("error", (error) => fail(new ProbeFailure(`cannot read body_file ${body.file}: ${error.message}`)));
  file.pipe(to);
}

function addTo(headers: Map<string, string[]>, name: string, value: string): void {
  const key = name.toLowerCase();
  const values = headers.get(key);
  if (values === undefined) headers.set(key, [value]);
  else values.push(value);
}

/** As Go's `Response.ContentLength`. */
function contentLength(headers: ReadonlyMap<string, readonly string[]>, method: string, status: number): number {
  const [given] = headers.get("content-length") ?? [];
  const said = given !== undefined && /^\d+$/.test(given) ? Number(given) : -1;
  if (method === "HEAD") return said;
  if ((status >= 100 && status < 200) || status === 204 || status === 304) return 0;
  return headers.get("transfer-encoding")?.some((each) => /chunked/i.test(each)) ? -1 : said;
}

/** A URL's host without the brackets of IPv6. */
export function bare(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1");
}

function portOf(url: URL): number {
  return Number(url.port || (url.protocol === "https:" ? 443 : 80));
}
