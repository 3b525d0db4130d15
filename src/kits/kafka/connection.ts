import * as net from "node:net";
import * as tls from "node:tls";
import { errorText } from "#base/log";
import { watchCertificate } from "../http/client-connect.ts";
import { type CertificateFacts, explainFailure } from "../http/client-errors.ts";
import { WatchedFiles } from "../http/client-files.ts";
import type { TlsClientConfig } from "../http/client-schema.ts";
import { TlsSource, type TlsState } from "../http/client-tls.ts";
import { KAFKA_CODES, KafkaError, kafkaError } from "./errors.ts";
import { API_VERSIONS, type KafkaApi, SASL_AUTHENTICATE, SASL_HANDSHAKE, versionFor } from "./messages.ts";
import { KafkaReader, KafkaWriter } from "./protocol.ts";
import { logIn, type SaslLogin } from "./sasl.ts";

/** The largest answer that is taken; brokers send more than they were asked for only for a message that large. */
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;
const CONNECT_MS = 10_000;
const REQUEST_MS = 30_000;

/** Gives the TLS options of the moment. */
export type KafkaTlsSource = Pick<TlsSource, "current">;

/** How brokers are reached. */
export interface KafkaSecurity {
  /** Undefined for no TLS. */
  readonly tls: TlsClientConfig | KafkaTlsSource | undefined;
  readonly sasl: SaslLogin | undefined;
}

export interface ConnectionOptions {
  readonly security: KafkaSecurity;
  readonly tlsSource: KafkaTlsSource | undefined;
  /** Shown in the broker's log and metrics, and the beginning of a group member's id. */
  readonly clientId: string;
  /** The newest protocol to speak, as a version of Kafka. */
  readonly version: string;
}

export function tlsSourceOf({ tls: config }: KafkaSecurity): KafkaTlsSource | undefined {
  if (config === undefined || "current" in config) return config;
  return new TlsSource(config, new WatchedFiles());
}

interface Pending {
  readonly resolve: (reader: KafkaReader) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** One connection to one broker, logged in. Several requests may be on their way; a broker answers them in order. */
export class KafkaConnection {
  readonly address: string;
  readonly #options: ConnectionOptions;
  readonly #socket: net.Socket;
  readonly #pending = new Map<number, Pending>();
  #versions: ReadonlyMap<number, readonly [lowest: number, highest: number]> = new Map();
  #correlation = 0;
  #chunks: Buffer[] = [];
  #received = 0;
  #wanted = 4;
  #failure: KafkaError | undefined;
  /** Answers to other requests than those of the beginning. */
  #answers = 0;
  #isRetired = false;
  /** When the broker wants another login (monotonic ms); undefined for never. */
  #expires: number | undefined;

  private constructor(address: string, { socket, explain }: OpenSocket, options: ConnectionOptions) {
    this.address = address;
    this.#socket = socket;
    this.#options = options;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#fail(explain(error)));
    socket.on("close", () =>
      this.#fail(new KafkaError("connection", `${address} closed the connection${this.#closeHint()}`)),
    );
  }

  /** Connects to `host:port`, and logs in. Rejects with a KafkaError that says what to do. */
  static async open(address: string, options: ConnectionOptions, signal: AbortSignal): Promise<KafkaConnection> {
    const state = await options.tlsSource?.current().catch((error) => {
      throw new KafkaError("configuration", errorText(error), { cause: error });
    });
    const connection = new KafkaConnection(address, await connect(address, state, signal), options);
    try {
      await connection.#askVersions(signal);
      if (options.security.sasl !== undefined) await connection.#logIn(options.security.sasl, signal);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** Whether it can be used for further requests. */
  get isOpen(): boolean {
    return this.#failure === undefined && (this.#expires === undefined || performance.now() < this.#expires);
  }

  /** The version of a request to use with this broker: within what both sides and `version` allow. */
  version(api: KafkaApi): number {
    const [lowest, highest] = this.#versions.get(api.key) ?? [0, -1];
    const version = Math.min(highest, versionFor(api, this.#options.version), api.highest);
    if (version >= Math.max(lowest, api.lowest)) return version;
    const has = highest < 0 ? "does not have it" : `has the versions ${lowest} to ${highest}`;
    throw new KafkaError(
      "protocol",
      `${this.address} ${has} of the request ${api.name}, and ${api.lowest} to ${versionFor(api, this.#options.version)} are known here: it needs Kafka 0.11 or newer`,
    );
  }

  /** Sends a request and resolves with the body of the answer. Rejects with a KafkaError, or the signal's reason. */
  request(
    api: KafkaApi,
    version: number,
    body: KafkaWriter,
    signal: AbortSignal,
    timeoutMs = REQUEST_MS,
  ): Promise<KafkaReader> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (signal.aborted) return Promise.reject(signal.reason);
    const correlation = this.#correlation++;
    const head = this.#header(api, version, correlation, body);
    const content = body.bytes();
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#fail(
          new KafkaError("connection", `${this.address} did not answer ${api.name} within ${timeoutMs / 1_000} s`),
        );
      };
      const abandon = () => {
        // The answer still comes, and is passed over then.
        reject(signal.reason);
      };
      const done = () => signal.removeEventListener("abort", abandon);
      signal.addEventListener("abort", abandon, { once: true });
      this.#pending.set(correlation, {
        resolve: (reader) => {
          done();
          resolve(reader);
        },
        reject: (error) => {
          done();
          reject(error);
        },
        timer: setTimeout(late, timeoutMs),
      });
      this.#socket.cork();
      this.#socket.write(head);
      this.#socket.write(content);
      this.#socket.uncork();
    });
  }

  /** Sends a request that brokers do not answer. Resolves when the system has it. */
  notify(api: KafkaApi, version: number, body: KafkaWriter): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const packet = Buffer.concat([this.#header(api, version, this.#correlation++, body), body.bytes()]);
    return new Promise((resolve, reject) => {
      this.#socket.write(packet, (error) => (error ? reject(this.#failure ?? error) : resolve()));
    });
  }

  close(): void {
    this.#fail(new KafkaError("connection", `the connection to ${this.address} was closed`));
  }

  /** Closes when the requests that are on their way have their answers. */
  retire(): void {
    this.#isRetired = true;
    if (this.#pending.size === 0) this.close();
  }

  #header(api: KafkaApi, version: number, correlation: number, body: KafkaWriter): Buffer {
    const header = new KafkaWriter().int32(0).int16(api.key).int16(version).int32(correlation);
    const head = header.string(this.#options.clientId).bytes();
    head.writeInt32BE(head.length - 4 + body.bytes().length, 0);
    return head;
  }

  async #askVersions(signal: AbortSignal): Promise<void> {
    const reader = await this.request(API_VERSIONS, 0, new KafkaWriter(), signal, CONNECT_MS);
    const code = reader.int16();
    if (code !== 0) throw kafkaError(code, `asking ${this.address} for its versions`);
    this.#versions = new Map(reader.array(() => [reader.int16(), [reader.int16(), reader.int16()]] as const));
  }

  async #logIn(login: SaslLogin, signal: AbortSignal): Promise<void> {
    const { mechanism } = login;
    const what = `logging in at ${this.address} by ${mechanism}`;
    const shake = await this.request(SASL_HANDSHAKE, 1, new KafkaWriter().string(mechanism), signal);
    const code = shake.int16();
    const enabled = shake.array(() => shake.string());
    if (code === KAFKA_CODES.UNSUPPORTED_SASL_MECHANISM) {
      throw kafkaError(code, what, `set \`mechanism\` to one of ${enabled.join(", ")}`);
    }
    if (code !== 0) throw kafkaError(code, what);
    const version = this.version(SASL_AUTHENTICATE);
    let lifetimeMs = 0;
    const exchange = async (bytes: Buffer) => {
      const reader = await this.request(SASL_AUTHENTICATE, version, new KafkaWriter().blob(bytes), signal);
      const failed = reader.int16();
      const said = reader.nullableString();
      if (failed !== 0) {
        const hint = mechanism === "OAUTHBEARER" ? "" : ": check `user` and `password`";
        const error = kafkaError(failed, what, said);
        throw new KafkaError(error.kind, `${error.message}${hint}`, { code: failed });
      }
      const answer = reader.blob() ?? Buffer.alloc(0);
      if (version >= 1) lifetimeMs = reader.int64();
      return answer;
    };
    await logIn(login, exchange, signal).catch((error) => {
      if (error instanceof KafkaError && error.code === 0 && error.kind === "authentication") {
        throw new KafkaError("authentication", `${what}: ${error.message}`, { cause: error });
      }
      throw error;
    });
    // A little early, so that no request meets the end.
    if (lifetimeMs > 0) this.#expires = performance.now() + lifetimeMs * 0.85;
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    while (this.#failure === undefined && this.#received >= this.#wanted) {
      const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#received);
      this.#chunks = [all];
      const size = all.readInt32BE(0);
      if (size < 4 || size > MAX_ANSWER_BYTES) {
        this.#fail(this.#strangeAnswer(all, size));
        return;
      }
      this.#wanted = 4 + size;
      if (this.#received < this.#wanted) return;
      const pending = this.#pending.get(all.readInt32BE(4));
      this.#pending.delete(all.readInt32BE(4));
      const rest = all.subarray(this.#wanted);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#received = rest.length;
      const answer = all.subarray(8, this.#wanted);
      this.#wanted = 4;
      if (pending === undefined) continue;
      this.#answers += 1;
      clearTimeout(pending.timer);
      pending.resolve(new KafkaReader(answer));
      if (this.#isRetired) this.retire();
    }
  }

  #strangeAnswer(bytes: Buffer, size: number): KafkaError {
    // An alert or a handshake of TLS, which is what a server with TLS has to say to somebody without.
    if (this.#answers === 0 && (bytes[0] === 0x15 || bytes[0] === 0x16) && bytes[1] === 3) {
      return new KafkaError("tls", `${this.address} speaks TLS on this port: connect with TLS, or use another port`);
    }
    const hint = this.#answers === 0 ? ": is it Kafka that listens there?" : "";
    return new KafkaError(
      "protocol",
      `${this.address} sent an answer of ${size >>> 0} bytes, which is not taken${hint}`,
    );
  }

  #fail(error: KafkaError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    this.#chunks = [];
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#pending.clear();
  }

  /** Brokers say nothing when they do not like how they are spoken to; they close. */
  #closeHint(): string {
    const { security } = this.#options;
    if (this.#answers === 0) {
      return security.tls === undefined
        ? " before it answered: it may want TLS on this port, or not be Kafka"
        : " before it answered";
    }
    return this.#answers === 1 && security.sasl === undefined
      ? " after the first answer: it may want a SASL login on this port"
      : "";
  }
}

/** A socket, and what it takes to explain why it broke. */
interface OpenSocket {
  readonly socket: net.Socket;
  readonly explain: (error: NodeJS.ErrnoException) => KafkaError;
}

function connect(address: string, state: TlsState | undefined, signal: AbortSignal): Promise<OpenSocket> {
  const url = new URL(`${state === undefined ? "http" : "https"}://${address}`);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  // Not `url.port`, which is empty for 80 and 443.
  const target = { host, port: Number(address.slice(address.lastIndexOf(":") + 1)) };
  let certificate: CertificateFacts | undefined;
  const explain = (error: NodeJS.ErrnoException) => {
    const facts = {
      usePlain: "connect without TLS",
      useTls: "connect with TLS",
      ...(certificate && { certificate }),
      ...(state && { tls: state.facts }),
    };
    const { kind, message } = explainFailure(error, url, facts);
    const hint = state !== undefined && error.code === "ECONNRESET" ? "; it may not speak TLS on this port" : "";
    return new KafkaError(kind === "tls" ? "tls" : "connection", message + hint, { cause: error });
  };
  return new Promise((resolve, reject) => {
    let socket: net.Socket;
    if (state === undefined) socket = net.connect(target);
    else {
      const secure = tls.connect({
        ...target,
        ...(net.isIP(host) === 0 ? { servername: host } : {}),
        ...state.options,
      });
      watchCertificate(secure, (seen) => void (certificate = seen));
      socket = secure;
    }
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abandon);
      socket.removeListener("error", refuse);
    };
    const fail = (error: unknown) => {
      settle();
      socket.on("error", () => {}); // what comes after says nothing new
      socket.destroy();
      reject(error);
    };
    const refuse = (error: Error) => fail(explain(error));
    const abandon = () => fail(signal.reason);
    const late = `connecting to ${address} took longer than ${CONNECT_MS / 1_000} s: is there something in between that drops packets?`;
    const timer = setTimeout(() => fail(new KafkaError("connection", late)), CONNECT_MS);
    signal.addEventListener("abort", abandon, { once: true });
    socket.once("error", refuse);
    socket.once(state === undefined ? "connect" : "secureConnect", () => {
      settle();
      resolve({ socket, explain });
    });
    if (signal.aborted) abandon();
  });
}
