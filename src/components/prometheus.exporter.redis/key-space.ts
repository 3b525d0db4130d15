import type { RedisAddress, RedisConnection } from "#kits/redis-connection";
import { RedisError } from "#kits/redis-protocol";
import type { Connector } from "./connect.ts";
import { ask, list, type Scrape, text } from "./scrape.ts";

/** How often a node may say that a key is elsewhere, while slots move. */
const MAX_MOVES = 5;

/**
 * Where keys are: on the one server, or on the masters of its cluster. redis_exporter finds single keys on all nodes and
 * patterns on whichever one it happens to ask; here patterns are looked for on all masters.
 */
export class KeySpace implements Disposable {
  readonly #scrape: Scrape;
  readonly #connector: Connector;
  readonly #signal: AbortSignal;
  readonly #isCluster: boolean;
  /** Connections to other nodes than the server itself, by address. */
  readonly #nodes = new Map<string, RedisConnection>();
  #masters: readonly RedisConnection[] | undefined;

  constructor(scrape: Scrape, connector: Connector, signal: AbortSignal) {
    this.#scrape = scrape;
    this.#connector = connector;
    this.#signal = signal;
    this.#isCluster = scrape.args.is_cluster;
  }

  /** Selects a database; a cluster has but one. False if the server refuses it. */
  async select(node: RedisConnection, database: number, part: string): Promise<boolean> {
    if (this.#isCluster) return true;
    const [reply] = await node.pipeline([["SELECT", database]]);
    if (!(reply instanceof RedisError)) return true;
    this.#scrape.note(part, `the server refuses database ${database}: ${reply.message}`);
    return false;
  }

  /** Every node that has keys of its own. */
  async all(): Promise<readonly RedisConnection[]> {
    if (!this.#isCluster) return [this.#scrape.server];
    if (this.#masters !== undefined) return this.#masters;
    const addresses = new Map<string, RedisAddress>();
    for (const range of list(await ask(this.#scrape, "CLUSTER SLOTS", ["CLUSTER", "SLOTS"]))) {
      const [host, port] = list(list(range)[2]);
      const address = this.#address(text(host), Number(port));
      addresses.set(JSON.stringify(address), address);
    }
    const masters: RedisConnection[] = [];
    for (const address of addresses.values()) {
      try {
        masters.push(await this.#connect(address));
      } catch (error) {
        this.#scrape.note("CLUSTER", `a node of the cluster is left out: ${(error as Error).message}`);
      }
    }
    return (this.#masters = masters);
  }

  /** The node that has a key, or would have it; undefined if the cluster does not say. */
  async find(key: string): Promise<RedisConnection | undefined> {
    let node = this.#scrape.server;
    if (!this.#isCluster) return node;
    for (let moves = 0; moves < MAX_MOVES; moves++) {
      const [reply] = await node.pipeline([["TYPE", key]]);
      if (!(reply instanceof RedisError)) return node;
      const moved = /^MOVED \d+ (.*):(\d+)/.exec(reply.message);
      if (moved === null) {
        this.#scrape.note("CLUSTER", `the cluster does not say where a key is: ${reply.message}`);
        return undefined;
      }
      try {
        node = await this.#connect(this.#address(moved[1]!, Number(moved[2])));
      } catch (error) {
        this.#scrape.note("CLUSTER", `the node with a key cannot be asked: ${(error as Error).message}`);
        return undefined;
      }
    }
    this.#scrape.note("CLUSTER", "the nodes of the cluster do not agree on where a key is");
    return undefined;
  }

  [Symbol.dispose](): void {
    for (const node of this.#nodes.values()) node[Symbol.dispose]();
  }

  /** A node that does not say its host is where the server is that told of it. */
  #address(host: string, port: number): RedisAddress {
    if (host !== "" && host !== "?") return { host, port };
    const own = this.#connector.address;
    return "host" in own ? { host: own.host, port } : { host: "localhost", port };
  }

  async #connect(address: RedisAddress): Promise<RedisConnection> {
    const key = JSON.stringify(address);
    let node = this.#nodes.get(key);
    if (node === undefined) this.#nodes.set(key, (node = await this.#connector.open(this.#signal, address)));
    return node;
  }
}

/**
 * Keys that match a pattern, as SCAN finds them piece by piece; a key may come twice. A server that refuses ends it with
 * a RedisError.
 */
export async function* scan(node: RedisConnection, pattern: string, count: number): AsyncGenerator<readonly string[]> {
  let cursor = "0";
  do {
    const [next, keys] = list(await node.command("SCAN", cursor, "MATCH", pattern, "COUNT", count));
    yield list(keys).map(text);
    cursor = text(next);
  } while (cursor !== "0");
}
