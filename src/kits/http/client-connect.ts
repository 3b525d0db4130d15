import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { LookupFunction, Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { buildConnector } from "undici";
import { type CertificateFacts, HttpClientError } from "./client-errors.ts";
import { proxyAuthorization } from "./client-proxy.ts";

export interface ConnectorOptions {
  readonly tls: ConnectionOptions;
  readonly allowH2: boolean;
  readonly timeoutMs: number;
  /** How names become addresses; the system's way if undefined. */
  readonly lookup?: LookupFunction | undefined;
  /** The proxy through which to tunnel, and the headers for it. */
  readonly proxy?: { readonly url: URL; readonly headers: Readonly<Record<string, string[]>> } | undefined;
  /** Told about the certificate that a server shows, before it is verified. */
  readonly onCertificate: (host: string, certificate: CertificateFacts) => void;
}

/** Opens connections for undici, through a proxy if there is one, and remembers what certificates said. */
export function createConnector(options: ConnectorOptions): buildConnector.connector {
  const { tls, allowH2, timeoutMs, lookup, proxy, onCertificate } = options;
  const own = lookup === undefined ? {} : { lookup };
  const settings = { ...tls, ...own, allowH2, timeout: timeoutMs, keepAliveInitialDelay: 30_000 };
  const connect = buildConnector(settings as buildConnector.BuildOptions);
  const start: buildConnector.connector = (target, callback) => {
    // The declared type hides that the socket is returned.
    const socket = (connect as (...args: Parameters<typeof connect>) => Socket)(target, callback);
    if (target.protocol !== "https:") return;
    watchCertificate(socket as TLSSocket, (certificate) => onCertificate(target.hostname, certificate));
  };
  if (proxy === undefined) return start;
  return (target, callback) => {
    openTunnel(proxy, target, tls, timeoutMs).then(
      (httpSocket) => start({ ...target, httpSocket }, callback),
      (error: Error) => callback(error, null),
    );
  };
}

/** Tells what the server shows, before it is verified. */
export function watchCertificate(socket: TLSSocket, seen: (certificate: CertificateFacts) => void): void {
  socket.prependOnceListener("secure", () => {
    const certificate = socket.getPeerCertificate();
    if (certificate?.valid_to === undefined) return;
    const { subject, issuer, subjectaltname, valid_from, valid_to } = certificate;
    seen({ subject, issuer, subjectaltname, valid_from, valid_to });
  });
}

/** A connection to the target through the proxy, by CONNECT. */
function openTunnel(
  proxy: NonNullable<ConnectorOptions["proxy"]>,
  target: buildConnector.Options,
  tls: ConnectionOptions,
  timeoutMs: number,
): Promise<Socket> {
  const { url } = proxy;
  const authority = `${target.hostname}:${target.port || 443}`;
  const authorization = proxyAuthorization(url);
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown) =>
      reject(new HttpClientError("proxy", `the proxy ${url.host} ${why}`, { cause }));
    const secure = url.protocol === "https:";
    const { servername: _, ...proxyTls } = tls; // `server_name` is the target's
    const request = (secure ? httpsRequest : httpRequest)({
      ...(secure ? proxyTls : {}),
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port || (secure ? 443 : 80),
      method: "CONNECT",
      path: authority,
      agent: false,
      timeout: timeoutMs,
      headers: { host: authority, ...(authorization && { "proxy-authorization": authorization }), ...proxy.headers },
    });
    request.once("connect", (response, socket) => {
      if (response.statusCode === 200) return resolve(socket as Socket);
      socket.destroy();
      fail(`refused a connection to ${authority} with status ${response.statusCode}`);
    });
    request.once("response", (response) => {
      response.destroy();
      fail(`answered CONNECT with status ${response.statusCode}`);
    });
    request.once("timeout", () => request.destroy(new Error("timed out")));
    request.once("error", (error) => fail(`cannot be reached: ${error.message}`, error));
    request.end();
  });
}
