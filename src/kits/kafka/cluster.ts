import { errorText } from "#base/log";
import {
  type ConnectionOptions,
  KafkaConnection,
  type KafkaSecurity,
  type KafkaTlsSource,
  tlsSourceOf,
} from "./connection.ts";
import { KafkaError, throwIfFailed } from "./errors.ts";
import {
  type BrokerAddress,
  type ClusterMetadata,
  FIND_COORDINATOR,
  METADATA,
  metadataRequest,
  readMetadata,
} from "./messages.ts";
import { KafkaWriter } from "./protocol.ts";

export interface ClusterOptions {
  /** `host:port` of brokers to ask first. */
  readonly brokers: readonly string[];
  readonly security: KafkaSecurity;
  readonly clientId: string;
  readonly version: string;
}

const NO_PORT = /^(?:\[[0-9a-f:.]+\]|[^:]*)$/i;

/** Why a text cannot be the address of a broker; undefined if it can. */
export function brokerAddressProblem(text: string): string | undefined {
  if (text === "") return "has an empty address: a broker is HOST:PORT";
  if (text.includes("://")) return `has "${text}": a broker is HOST:PORT, without a scheme`;
  if (NO_PORT.test(text)) return `has "${text}", which has no port: a broker is HOST:PORT, such as "${text}:9092"`;
  const port = Number(text.slice(text.lastIndexOf(":") + 1));
  const isAddress = URL.canParse(`http://${text}`) && /:\d{1,5}$/.test(text) && port > 0 && port < 65_536;
  return isAddress ? undefined : `has "${text}", which is no address: a broker is HOST:PORT`;
}

/** The brokers of a cluster, as one of them tells of the others, and connections to them. */
export class KafkaCluster {
  readonly #options: ClusterOptions;
  readonly #tlsSource: KafkaTlsSource | undefined;
  readonly #brokers = new Map<number, BrokerAddress>();
  /** By purpose and broker: a request that waits for messages must not hold up others. */
  readonly #connections = new Map<string, Promise<KafkaConnection>>();
  readonly #closed = new AbortController();
  #seed = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#tlsSource = tlsSourceOf(options.security);
  }

  get brokers(): readonly BrokerAddress[] {
    return [...this.#brokers.values()];
  }

  /** What there is; `topics` null for all of them. With `makes`, brokers that allow it make those that are not there. */
  async metadata(topics: readonly string[] | null, signal: AbortSignal, makes = false): Promise<ClusterMetadata> {
    const connection = await this.#any(signal);
    const reader = await connection.request(
      METADATA,
      connection.version(METADATA),
      metadataRequest(topics, makes),
      signal,
    );
    const metadata = readMetadata(reader);
    if (metadata.brokers.length > 0) this.#brokers.clear();
    for (const broker of metadata.brokers) this.#brokers.set(broker.id, broker);
    return metadata;
  }

  /** The broker that coordinates a consumer group. */
  async coordinator(group: string, signal: AbortSignal): Promise<number> {
    const connection = await this.#any(signal);
    const body = new KafkaWriter().string(group).int8(0);
    const reader = await connection.request(FIND_COORDINATOR, connection.version(FIND_COORDINATOR), body, signal);
    reader.int32(); // throttled for
    throwIfFailed(reader.int16(), `finding the coordinator of group ${group}`, reader.nullableString());
    const broker = { id: reader.int32(), host: reader.string(), port: reader.int32() };
    this.#brokers.set(broker.id, broker);
    return broker.id;
  }

  /** A connection to a broker for one purpose: the one that is open, or a new one. */
  async connection(
    broker: number,
    purpose: "group" | "fetch" | "other",
    signal: AbortSignal,
  ): Promise<KafkaConnection> {
    const known = this.#brokers.get(broker);
    if (known === undefined) throw new KafkaError("leader", `broker ${broker} is not there at present`);
    const host = known.host.includes(":") ? `[${known.host}]` : known.host;
    const address = `${host}:${known.port}`;
    try {
      return await this.#connection(`${purpose} ${broker}`, address, signal);
    } catch (error) {
      if (!(error instanceof KafkaError) || error.kind !== "connection" || this.#options.brokers.includes(address))
        throw error;
      const hint = `the cluster says that broker ${broker} is at ${address} (its advertised.listeners), and it cannot be reached there`;
      throw new KafkaError("connection", `${hint}: ${error.message}`, { cause: error });
    }
  }

  close(): void {
    this.#closed.abort(new KafkaError("connection", "the client was closed"));
    for (const each of this.#connections.values()) each.then((connection) => connection.close()).catch(() => {});
    this.#connections.clear();
  }

  /** A connection for questions that any broker answers: of the given ones, the next that can be reached. */
  async #any(signal: AbortSignal): Promise<KafkaConnection> {
    const { brokers } = this.#options;
    const problems: KafkaError[] = [];
    for (let i = 0; i < brokers.length; i++) {
      const address = brokers[this.#seed % brokers.length]!;
      try {
        return await this.#connection(`seed ${address}`, address, signal);
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error;
        problems.push(error);
        this.#seed += 1;
      }
    }
    if (problems.length === 1) throw problems[0]!;
    // What a broker has against the agent says more than that another one is down.
    const telling = problems.find((each) => each.kind !== "connection") ?? problems.at(-1)!;
    throw new KafkaError(telling.kind, `none of ${brokers.length} brokers can be used: ${errorText(telling)}`, {
      code: telling.code,
      cause: telling,
    });
  }

  async #connection(key: string, address: string, signal: AbortSignal): Promise<KafkaConnection> {
    this.#closed.signal.throwIfAborted();
    for (let known = this.#connections.get(key); known !== undefined; known = this.#connections.get(key)) {
      const connection = await unlessAborted(known, signal);
      if (connection.isOpen && connection.address === address) return connection;
      // Others may have waited for it too, and have a new one by now.
      if (this.#connections.get(key) === known) this.#connections.delete(key);
      connection.retire();
    }
    const { security, clientId, version } = this.#options;
    const options: ConnectionOptions = { security, tlsSource: this.#tlsSource, clientId, version };
    const opening = KafkaConnection.open(address, options, this.#closed.signal);
    this.#connections.set(key, opening);
    opening.catch(() => {
      if (this.#connections.get(key) === opening) this.#connections.delete(key);
    });
    return unlessAborted(opening, signal);
  }
}

/** What the promise comes to, or the signal's reason; several may wait for one connection, each with a signal of its own. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
