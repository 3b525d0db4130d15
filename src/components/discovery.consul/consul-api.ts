import { readFileSync } from "node:fs";
import type { Answer } from "#kits/discovery/answer";
import { DiscoveryHttp } from "#kits/discovery/http";
import type { HttpClientArguments } from "#kits/http/client-schema";
import type { Secret } from "#lang/value";

/** What is asked of Consul's HTTP API (developer.hashicorp.com/consul/api-docs), with blocking queries. */

export interface ConsulOptions extends HttpClientArguments {
  readonly server: string;
  readonly scheme: string;
  readonly token: Secret;
  readonly datacenter: string;
  readonly namespace: string;
  readonly partition: string;
  readonly allow_stale: boolean;
  readonly node_meta: ReadonlyMap<string, string> | undefined;
}

/** An answer of a query, and the index at which Consul gave it. */
export interface Indexed<T> {
  readonly value: T;
  readonly index: bigint;
}

/** A service as it runs on a node, and what is known of its health. */
export interface ServiceEntry {
  readonly node: Answer;
  readonly service: Answer;
  readonly checks: readonly Answer[];
}

/** So long Consul may wait for a change, and then for its answer to arrive. */
const WAIT_MS = 120_000;
const TIMEOUT_MS = WAIT_MS + 15_000;

const ADDRESS = /^(?:(https?|unix):\/\/)?(.*)$/s;

/** What is wrong with a server's address, to complete "`server` …"; undefined if nothing is. */
export function serverProblem(server: string): string | undefined {
  const [, protocol, rest = ""] = ADDRESS.exec(server.trim())!;
  const isRight = protocol === "unix" ? rest.startsWith("/") : URL.canParse(`http://${rest}/`) && !rest.includes("://");
  return isRight && rest !== ""
    ? undefined
    : "is no address of Consul: write HOST:8500, https://HOST:8501 or unix:///PATH";
}

export class ConsulApi {
  readonly #options: ConsulOptions;
  readonly #http: DiscoveryHttp;
  readonly #base: string;
  readonly #parameters: readonly (readonly [string, string])[];
  readonly #headers: Readonly<Record<string, string>>;

  /** `environment` has what Consul's own programs take from there. Throws for a file with a token that cannot be read. */
  constructor(options: ConsulOptions, version: string, environment: Readonly<Record<string, string | undefined>>) {
    const [, protocol, rest = ""] = ADDRESS.exec(options.server.trim())!;
    const isSocket = protocol === "unix";
    this.#options = options;
    this.#http = new DiscoveryHttp(options, version, isSocket ? rest : undefined);
    // Never to http if TLS is asked for.
    const scheme = protocol === "https" ? "https" : options.scheme;
    this.#base = isSocket ? "http://localhost" : `${scheme}://${rest.replace(/\/+$/, "")}`;
    const token = options.token.reveal() || tokenFrom(environment);
    this.#headers = token === "" ? {} : { "x-consul-token": token };
    this.#parameters = (
      [
        ["dc", options.datacenter],
        ["ns", options.namespace || environment.CONSUL_NAMESPACE],
        ["partition", options.partition || environment.CONSUL_PARTITION],
      ] as const
    ).flatMap(([name, value]) => (value ? [[name, value] as const] : []));
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  /** The data centre of the agent that is asked. */
  async datacenter(signal: AbortSignal): Promise<string> {
    if (this.#options.datacenter !== "") return this.#options.datacenter;
    const request = { url: this.#url("/v1/agent/self", []), headers: this.#headers, timeoutMs: TIMEOUT_MS };
    return this.#http.json(request, signal, (answer) => answer.at("Config").text("Datacenter"));
  }

  /** The names of all services with all tags that any of their instances has. */
  services(since: bigint, signal: AbortSignal): Promise<Indexed<ReadonlyMap<string, readonly string[]>>> {
    return this.#query("/v1/catalog/services", [], since, signal, (answer) => {
      return new Map(answer.entries().map(([name, tags]) => [name, tags.texts()]));
    });
  }

  /** What `read` makes of the instances of a service that have all these tags. */
  service<T>(
    name: string,
    tags: readonly string[],
    since: bigint,
    signal: AbortSignal,
    read: (entries: readonly ServiceEntry[]) => T,
  ): Promise<Indexed<T>> {
    const path = `/v1/health/service/${name.split("/").map(encodeURIComponent).join("/")}`;
    const wanted = tags.map((tag) => ["tag", tag] as const);
    return this.#query(path, wanted, since, signal, (answer) =>
      read(
        answer
          .items()
          .map((each) => ({ node: each.at("Node"), service: each.at("Service"), checks: each.at("Checks").items() })),
      ),
    );
  }

  /** Answers at once without `since` (0), or else when there is something newer, or after two minutes. */
  #query<T>(
    path: string,
    parameters: readonly (readonly [string, string])[],
    since: bigint,
    signal: AbortSignal,
    read: (answer: Answer) => T,
  ): Promise<Indexed<T>> {
    const { allow_stale, node_meta } = this.#options;
    const all: (readonly [string, string])[] = [...parameters, ["wait", `${WAIT_MS}ms`]];
    if (allow_stale) all.push(["stale", ""]);
    if (since > 0n) all.push(["index", String(since)]);
    for (const [key, value] of node_meta ?? []) all.push(["node-meta", `${key}:${value}`]);
    const url = this.#url(path, all);
    return this.#http.json({ url, headers: this.#headers, timeoutMs: TIMEOUT_MS }, signal, (answer, headers) => {
      const index = headers.get("x-consul-index") ?? "";
      if (!/^\d+$/.test(index)) throw new Error(`${this.#base} does not answer as Consul does: check \`server\``);
      return { value: read(answer), index: BigInt(index) };
    });
  }

  #url(path: string, parameters: readonly (readonly [string, string])[]): string {
    return `${this.#base}${path}?${new URLSearchParams([...this.#parameters, ...parameters].map(([k, v]) => [k, v]))}`;
  }
}

function tokenFrom(environment: Readonly<Record<string, string | undefined>>): string {
  const path = environment.CONSUL_HTTP_TOKEN_FILE ?? "";
  if (path === "") return environment.CONSUL_HTTP_TOKEN ?? "";
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    throw new Error(`cannot read the token in CONSUL_HTTP_TOKEN_FILE: ${(error as Error).message}`);
  }
}
