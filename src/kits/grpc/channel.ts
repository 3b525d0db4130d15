import * as http2 from "node:http2";
import * as net from "node:net";
import * as tls from "node:tls";
import type { Clock } from "#base/clock";
import { errorText } from "#base/log";
import { GRPC, GrpcError } from "#formats/grpc";
import { watchCertificate } from "../http/client-connect.ts";
import { type CertificateFacts, explainFailure } from "../http/client-errors.ts";
import { NO_TLS_FACTS, type TlsFacts } from "../tls-facts.ts";
import type { GrpcTarget } from "./target.ts";

const CONNECT_TIMEOUT_MS = 20_000;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 120_000;
const SESSION_WINDOW_BYTES = 1 << 20;
/** grpc-go sends no pings more often than this. */
const MIN_PING_WAIT_MS = 10_000;
const CLOSED = "the server closed the connection";
const USE_TLS = "leave `insecure` out of the `tls` block";
const USE_PLAIN = "set `insecure = true` in the `tls` block";

export interface GrpcChannelOptions {
  readonly target: GrpcTarget;
  /** Undefined for plain text. */
  readonly tls: tls.ConnectionOptions | undefined;
  /** What the own certificates say, for messages. */
  readonly tlsFacts?: TlsFacts | undefined;
  /** Value of `:authority`, and the name that the certificate is checked against unless `tls.servername` is given. */
  readonly authority: string;
  /** 0 for no pings. */
  readonly pingWaitMs: number;
  readonly pingTimeoutMs: number;
  readonly pingWithoutStream: boolean;
  readonly clock: Clock;
}

/** One connection to one address, made when it is needed and made again after it broke, with growing pauses. */
export class GrpcChannel {
  readonly address: string;
  readonly #options: GrpcChannelOptions;
  #session: http2.ClientHttp2Session | undefined;
  #connecting: Promise<http2.ClientHttp2Session> | undefined;
  #backoffMs = 0;
  #notBefore = 0;
  #lastError = "";
  #certificate: CertificateFacts | undefined;
  #closed = false;

  constructor(address: string, options: GrpcChannelOptions) {
    this.address = address;
    this.#options = options;
  }

  /** Whether a call may go here now: connected, connecting, or not waiting after a failure. */
  get available(): boolean {
    return this.#session !== undefined || this.#connecting !== undefined || this.#waitMs <= 0;
  }

  get #waitMs(): number {
    return this.#notBefore - this.#options.clock.monotonic();
  }

  /**
   * The session, once it is there. Rejects with UNAVAILABLE when the address cannot be reached; during the pause after a
   * failure at once, unless `wait`, which then lasts until `signal` is aborted.
   */
  async session(wait: boolean, signal: AbortSignal): Promise<http2.ClientHttp2Session> {
    for (;;) {
      if (this.#closed) throw new GrpcError(GRPC.UNAVAILABLE, "the client is closed");
      if (this.#session !== undefined) return this.#session;
      if (this.#connecting === undefined && this.#waitMs > 0) {
        if (!wait) throw new GrpcError(GRPC.UNAVAILABLE, this.#lastError);
        await this.#options.clock.sleep(this.#waitMs, signal);
        continue;
      }
      try {
        this.#connecting ??= this.#connect();
        return await this.#connecting;
      } catch (error) {
        if (!wait || signal.aborted) throw error;
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#session?.close();
    this.#session?.destroy();
    this.#session = undefined;
  }

  async #connect(): Promise<http2.ClientHttp2Session> {
    try {
      const session = await this.#open();
      if (this.#closed) {
        session.destroy();
        throw new GrpcError(GRPC.UNAVAILABLE, "the client is closed");
      }
      this.#backoffMs = 0;
      this.#session = session;
      session.once("close", () => this.#lost(session));
      session.once("goaway", () => this.#lost(session));
      this.#keepAlive(session);
      return session;
    } catch (error) {
      const { clock } = this.#options;
      this.#backoffMs = Math.min(MAX_BACKOFF_MS, Math.max(FIRST_BACKOFF_MS, this.#backoffMs * 1.6));
      this.#notBefore = clock.monotonic() + this.#backoffMs * (0.8 + Math.random() * 0.4);
      this.#lastError = `cannot connect to ${this.#place()}: ${this.#explain(error)}`;
      throw new GrpcError(GRPC.UNAVAILABLE, this.#lastError, { cause: error });
    } finally {
      this.#connecting = undefined;
    }
  }

  /** The session takes no more calls; those under way may still end well. */
  #lost(session: http2.ClientHttp2Session): void {
    if (this.#session === session) this.#session = undefined;
  }

  #explain(error: unknown): string {
    const { authority, tls: secure, tlsFacts } = this.#options;
    if ((error as NodeJS.ErrnoException).code === undefined) {
      const text = errorText(error);
      return secure === undefined && text === CLOSED ? `${text}; if it wants TLS, ${USE_TLS}` : text;
    }
    const url = URL.parse(`${secure === undefined ? "http" : "https"}://${authority}`);
    if (url === null) return errorText(error);
    const certificate = this.#certificate;
    const facts = { certificate, tls: tlsFacts ?? NO_TLS_FACTS, usePlain: USE_PLAIN, useTls: USE_TLS };
    return explainFailure(error, url, facts).message;
  }

  #place(): string {
    const { target } = this.#options;
    if (target.kind === "unix") return target.path;
    const name = `${target.host}:${target.port}`;
    return this.address === target.host ? name : `${name} (${this.address})`;
  }

  #open(): Promise<http2.ClientHttp2Session> {
    const { authority, tls: secure } = this.#options;
    const socket = this.#socket();
    return new Promise((resolve, reject) => {
      const session = http2.connect(`${secure === undefined ? "http" : "https"}://${authority}`, {
        createConnection: () => socket,
        settings: { enablePush: false },
      });
      const timer = setTimeout(
        () => fail(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`)),
        CONNECT_TIMEOUT_MS,
      );
      function fail(error: Error) {
        clearTimeout(timer);
        session.destroy();
        socket.destroy();
        reject(error);
      }
      socket.once("error", fail);
      session.on("error", fail);
      session.once("close", () => fail(new Error(CLOSED)));
      // Only the server's settings show that it speaks HTTP/2.
      session.once("remoteSettings", () => {
        clearTimeout(timer);
        session.setLocalWindowSize(SESSION_WINDOW_BYTES);
        resolve(session);
      });
    });
  }

  #socket(): net.Socket {
    const { target, tls: secure, authority } = this.#options;
    const to = target.kind === "unix" ? { path: target.path } : { host: this.address, port: target.port };
    if (secure === undefined) return net.connect({ ...to, noDelay: true });
    const name = authority.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
    const servername = secure.servername ?? (net.isIP(name) ? undefined : name);
    const socket = tls.connect({
      ...to,
      ALPNProtocols: ["h2"],
      // Without a name to send, the certificate is checked against the address that was asked for.
      checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(secure.servername ?? name, certificate),
      ...secure,
      ...(servername === undefined ? {} : { servername }),
    });
    watchCertificate(socket, (certificate) => {
      this.#certificate = certificate;
    });
    return socket;
  }

  #keepAlive(session: http2.ClientHttp2Session): void {
    const { pingWaitMs, pingTimeoutMs, pingWithoutStream } = this.#options;
    if (pingWaitMs <= 0) return;
    const timer = setInterval(
      () => {
        if (!pingWithoutStream && callsOn(session) === 0) return;
        const timeout = setTimeout(
          () => session.destroy(new Error("the server answers no pings")),
          pingTimeoutMs || 20_000,
        );
        session.ping(() => clearTimeout(timeout));
      },
      Math.max(MIN_PING_WAIT_MS, pingWaitMs),
    );
    session.once("close", () => clearInterval(timer));
  }
}

const calls = new WeakMap<http2.ClientHttp2Session, number>();

function callsOn(session: http2.ClientHttp2Session): number {
  return calls.get(session) ?? 0;
}

/** Counts a call on a session, for those who ping only while there are some. Returns the function that ends it. */
export function countCall(session: http2.ClientHttp2Session): () => void {
  calls.set(session, callsOn(session) + 1);
  return () => void calls.set(session, callsOn(session) - 1);
}
