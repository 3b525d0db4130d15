import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Recorded {
  index: number;
  body: unknown;
}

/** Parameters that do not change what an answer says. */
const HOW = ["index", "wait", "stale", "dc", "ns", "partition"];

/** Gives the answers that a Consul 1.22.3 gave, and waits for changes as Consul does when it is asked with an index. */
export class ConsulServer {
  readonly answers: Map<string, Recorded>;
  readonly asked: {
    readonly path: string;
    readonly query: URLSearchParams;
    readonly headers: IncomingMessage["headers"];
  }[] = [];
  /** Answers everything with this status and these words, when set. */
  failure: readonly [status: number, words: string] | undefined;
  readonly #server: Server;
  #waiting: (() => void)[] = [];
  #index = 100;

  private constructor() {
    const text = readFileSync(new URL("testdata/consul-1.22.3.json", import.meta.url), "utf8");
    this.answers = new Map(Object.entries(JSON.parse(text) as Record<string, Recorded>));
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<ConsulServer> {
    const self = new ConsulServer();
    await self.listen(0);
    return self;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
  }
  stop(): Promise<unknown> {
    return new Promise((resolve) => {
      this.#server.close(resolve);
      this.#server.closeAllConnections();
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Changes what is answered to a path; requests that wait for that get it. */
  change(path: string, body: unknown): void {
    this.#index += 1;
    this.answers.set(path, { index: this.#index, body });
    for (const check of this.#waiting.splice(0)) check();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url!, "http://consul");
    this.asked.push({ path: pathname, query: searchParams, headers: request.headers });
    const query = [...searchParams].filter(([name]) => !HOW.includes(name)).map(([name, value]) => `${name}=${value}`);
    const path = pathname + (query.length === 0 ? "" : `?${query.join("&")}`);
    const since = Number(searchParams.get("index") ?? 0);
    const answer = () => {
      if (this.failure !== undefined) return void response.writeHead(this.failure[0]).end(this.failure[1]);
      const recorded = this.answers.get(path) ?? { index: 1, body: [] };
      if (since > 0 && recorded.index === since) return void this.#waiting.push(answer);
      if (recorded.index > 0) response.setHeader("x-consul-index", recorded.index);
      response.setHeader("content-type", "application/json").end(JSON.stringify(recorded.body));
    };
    answer();
  }
}
