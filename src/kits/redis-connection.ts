import { connect as connectPlain, type NetConnectOpts, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { watchCertificate } from "./http/client-connect.ts";
import type { CertificateFacts } from "./http/client-errors.ts";
import { encodeCommand, RedisError, type RedisReply, RedisReplyReader } from "./redis-protocol.ts";

/** The largest answer that is read: many times what a well-run server says, and little enough to hold. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024;

/** Where a server listens: a port of a host, or a socket in the file system. */
export type RedisAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export interface RedisConnectionOptions {
  readonly address: RedisAddress;
  /** TLS is used if this is given. */
  readonly tls?: ConnectionOptions | undefined;
  /** The longest that connecting, and then the server's silence, may take. */
  readonly timeoutMs: number;
  /** Ends the connection. */
  readonly signal: AbortSignal;
  /** Told about the certificate that the server shows, before it is verified. */
  readonly onCertificate?: (certificate: CertificateFacts) => void;
}

/** The server did not answer in time. */
export class RedisTimeoutError extends Error {
  override readonly name = "RedisTimeoutError";
  /** It accepted the connection and said nothing in TLS: a Redis without TLS waits for the end of a line. */
  readonly isHandshake: boolean;
  constructor(message: string, isHandshake: boolean) {
    super(message);
    this.isHandshake = isHandshake;
  }
}

interface Waiting {
  resolve(reply: RedisReply): void;
  reject(error: Error): void;
}

/** One connection, over which commands are answered in the order in which they were sent. It is never opened again. */
export class RedisConnection implements Disposable {
  readonly #socket: Socket;
  readonly #reader = new RedisReplyReader(MAX_REPLY_BYTES);
  readonly #waiting: Waiting[] = [];
  #failure: Error | undefined;

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("end", () => this.#fail(closed()));
    socket.on("close", () => this.#fail(closed()));
    socket.setTimeout(timeoutMs, () => {
      if (this.#waiting.length === 0) return;
      this.#fail(new RedisTimeoutError(`no answer within ${timeoutMs / 1000} seconds`, false));
    });
  }

  /** Rejects with what the network stack says, a RedisTimeoutError, or the signal's reason. */
  static open(options: RedisConnectionOptions): Promise<RedisConnection> {
    const { address, tls, timeoutMs, signal } = options;
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const target: NetConnectOpts = { ...address };
      const socket = tls === undefined ? connectPlain(target) : connectTls({ ...target, ...tls });
      const stop = () => socket.destroy(signal.reason);
      const timer = setTimeout(() => {
        const isHandshake = tls !== undefined && !socket.connecting;
        socket.destroy(new RedisTimeoutError(`no connection within ${timeoutMs / 1000} seconds`, isHandshake));
      }, timeoutMs);
      const onEarlyEnd = () => reject(closed());
      socket.once("error", reject);
      socket.once("close", onEarlyEnd);
      socket.once("close", () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
      });
      signal.addEventListener("abort", stop, { once: true });
      if (tls !== undefined && options.onCertificate) watchCertificate(socket as TLSSocket, options.onCertificate);
      socket.once(tls === undefined ? "connect" : "secureConnect", () => {
        clearTimeout(timer);
        socket.setNoDelay(true);
        const connection = new RedisConnection(socket, timeoutMs);
        socket.off("error", reject);
        socket.off("close", onEarlyEnd);
        resolve(connection);
      });
    });
  }

  /** The answers to several commands sent at once, errors of the server among them. Rejects when the connection fails. */
  pipeline(commands: readonly (readonly (string | number)[])[]): Promise<RedisReply[]> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const answers = commands.map(
      () => new Promise<RedisReply>((resolve, reject) => void this.#waiting.push({ resolve, reject })),
    );
    this.#socket.write(commands.map(encodeCommand).join(""));
    return Promise.all(answers);
  }

  /** The answer to one command. Rejects with a RedisError if that is an error, and when the connection fails. */
  async command(...words: readonly (string | number)[]): Promise<RedisReply> {
    const [reply] = await this.pipeline([words]);
    if (reply instanceof RedisError) throw reply;
    return reply!;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#reader.push(chunk);
    try {
      for (let reply = this.#reader.next(); reply !== undefined; reply = this.#reader.next()) {
        this.#waiting.shift()?.resolve(reply);
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }
}

/** As the network stack says it when a connection is broken off. */
function closed(): Error {
  return Object.assign(new Error("the server closed the connection"), { code: "ECONNRESET" });
}
