import { EventEmitter, once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { EngineInfo, NetworkSummary } from "./docker-engine.ts";

/**
 * The Docker Engine API for tests, after its public reference (docs.docker.com/reference/api/engine) and the sources of
 * moby's log streams: no daemon can run where the tests do. Lists, inspection, networks, and logs in frames or, for a
 * terminal, bare, with `follow`, `since` and `timestamps`.
 */

/** Docker cuts lines into messages of this size. */
const CHUNK_BYTES = 16 * 1024;

interface Written {
  readonly stream: 1 | 2;
  readonly nanos: bigint;
  readonly text: Buffer;
}

export class FakeContainer {
  readonly id: string;
  readonly name: string;
  readonly isTerminal: boolean;
  readonly log: Written[] = [];
  readonly changed = new EventEmitter().setMaxListeners(0);
  labels: Record<string, string> = {};
  image = "app:1";
  networkMode = "bridge";
  networks: Record<string, { NetworkID: string; IPAddress: string; GlobalIPv6Address: string } | null> = {
    bridge: { NetworkID: "net1", IPAddress: "172.17.0.2", GlobalIPv6Address: "" },
  };
  ports: { IP?: string; PrivatePort: number; PublicPort?: number; Type: string }[] = [];
  running = true;
  /** Process of the container on this machine; 0 where no test has one. */
  pid = 0;
  environment: string[] = [];
  restarts = 0;
  /** What the list says of the container's health: `healthy`, `unhealthy`; empty without a check. */
  health = "";
  created = "2026-01-02T03:04:05.678901234Z";
  startedAt = new Date().toISOString();
  /** What Docker says where the logging driver cannot be read. */
  unreadable: string | undefined;
  #lastNanos = 0n;

  constructor(id: string, name: string, isTerminal = false) {
    this.id = id;
    this.name = name;
    this.isTerminal = isTerminal;
  }

  /** Writes a line at `nanos` since 1970; now unless given. */
  write(text: string | Buffer, stream: "stdout" | "stderr" = "stdout", nanos?: bigint): void {
    const now = BigInt(Date.now()) * 1_000_000n;
    const at = nanos ?? (now > this.#lastNanos ? now : this.#lastNanos + 1n);
    this.#lastNanos = at;
    this.log.push({ stream: stream === "stdout" ? 1 : 2, nanos: at, text: Buffer.from(text) });
    this.changed.emit("changed");
  }
  stop(): void {
    this.running = false;
    this.changed.emit("changed");
  }
  start(): void {
    this.running = true;
    this.startedAt = new Date(Date.parse(this.startedAt) + 1_000).toISOString();
  }
}

export class FakeDocker {
  readonly containers = new Map<string, FakeContainer>();
  networks: NetworkSummary[] = [
    { Id: "net1", Name: "bridge", Scope: "local", Internal: false, Ingress: false, Labels: {} },
  ];
  info: EngineInfo = { Driver: "overlay2", DockerRootDir: "/var/lib/docker" };
  /** Paths and queries that were asked for. */
  readonly asked: string[] = [];
  /** Answers all requests with an error while it is set. */
  broken = false;
  readonly #server: Server;
  readonly #responses = new Set<ServerResponse>();
  host = "";

  private constructor(tls: { cert: string; key: string } | undefined) {
    const handler: RequestListener = (request, response) => void this.#serve(request, response);
    this.#server = tls === undefined ? createServer(handler) : createTlsServer(tls, handler);
  }

  /** Listens on a Unix socket, or on a port of the loopback if no path is given. */
  static async start(socket?: string, tls?: { cert: string; key: string }): Promise<FakeDocker> {
    const docker = new FakeDocker(tls);
    docker.#server.listen(...((socket === undefined ? [0, "127.0.0.1"] : [socket]) as [number, string]));
    await once(docker.#server, "listening");
    const scheme = tls === undefined ? "tcp" : "https";
    const { port } = docker.#server.address() as AddressInfo;
    docker.host = socket === undefined ? `${scheme}://127.0.0.1:${port}` : `unix://${socket}`;
    return docker;
  }

  add(id: string, name: string, isTerminal = false): FakeContainer {
    const container = new FakeContainer(id, `/${name}`, isTerminal);
    this.containers.set(id, container);
    return container;
  }
  /** Log streams that are open. */
  get streams(): number {
    return this.#responses.size;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, "http://docker");
    this.asked.push(request.url!);
    const path = url.pathname.replace(/^\/v\d+\.\d+/, "");
    const json = (status: number, body: unknown) =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (this.broken) return json(500, { message: "the daemon is broken" });
    if (path === "/version") return json(200, { Version: "28.0.0", ApiVersion: "1.48", MinAPIVersion: "1.24" });
    if (path === "/info") return json(200, this.info);
    if (path === "/networks") return json(200, this.networks);
    if (path === "/containers/json") return json(200, this.#list(url.searchParams.get("filters")));
    const match = /^\/containers\/([^/]+)\/(json|logs)$/.exec(path);
    if (match === null) return json(404, { message: "page not found" });
    const container = this.containers.get(match[1]!);
    if (container === undefined) return json(404, { message: `No such container: ${match[1]}` });
    if (match[2] === "json") {
      return json(200, inspect(container));
    }
    if (container.unreadable !== undefined) return json(501, { message: container.unreadable });
    await this.#logs(container, url.searchParams, response);
  }

  #list(filters: string | null): unknown[] {
    const wanted = (filters === null ? {} : JSON.parse(filters)) as Record<string, Record<string, boolean>>;
    const found = [...this.containers.values()].filter((each) => {
      const labels = Object.keys(wanted.label ?? {});
      return each.running && labels.every((label) => label in each.labels);
    });
    return found.map((each) => ({
      Id: each.id,
      Names: [each.name],
      Image: each.image,
      ImageID: "sha256:1",
      Labels: each.labels,
      Ports: each.ports,
      State: "running",
      Status: each.health === "" ? "Up 5 minutes" : `Up 5 minutes (${each.health})`,
      HostConfig: { NetworkMode: each.networkMode },
      NetworkSettings: { Networks: each.networks },
    }));
  }

  async #logs(container: FakeContainer, query: URLSearchParams, response: ServerResponse): Promise<void> {
    const since = toNanos(query.get("since") ?? "0");
    const type = container.isTerminal ? "raw-stream" : "multiplexed-stream";
    response.writeHead(200, { "content-type": `application/vnd.docker.${type}` });
    response.flushHeaders();
    this.#responses.add(response);
    response.once("close", () => this.#responses.delete(response));
    response.once("close", () => container.changed.emit("changed"));
    for (let next = 0; ; ) {
      const ended = !container.running;
      while (next < container.log.length && !response.destroyed) {
        const entry = container.log[next++]!;
        if (entry.nanos < since) continue;
        if (!response.write(encode(entry, container.isTerminal))) {
          await Promise.race([once(response, "drain"), once(response, "close")]);
        }
      }
      if (response.destroyed) return;
      if (ended || query.get("follow") !== "1") break;
      if (next === container.log.length && container.running) await once(container.changed, "changed");
    }
    response.end();
  }
}

/** A line as Docker sends it: each message of at most 16 KiB with the time before it, the last with a newline. */
function encode({ stream, nanos, text }: Written, isTerminal: boolean): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at === 0 || at < text.length; at += CHUNK_BYTES) {
    const isLast = at + CHUNK_BYTES >= text.length;
    const newline = isLast ? (isTerminal ? "\r\n" : "\n") : "";
    const payload = Buffer.concat([
      Buffer.from(`${timeText(nanos)} `),
      text.subarray(at, at + CHUNK_BYTES),
      Buffer.from(newline),
    ]);
    const header = Buffer.alloc(8);
    header[0] = stream;
    header.writeUInt32BE(payload.length, 4);
    parts.push(...(isTerminal ? [payload] : [header, payload]));
  }
  return Buffer.concat(parts);
}

/** `2006-01-02T15:04:05.000000000Z`. */
function timeText(nanos: bigint): string {
  const seconds = new Date(Number(nanos / 1_000_000_000n) * 1_000).toISOString().slice(0, 19);
  return `${seconds}.${String(nanos % 1_000_000_000n).padStart(9, "0")}Z`;
}
function toNanos(text: string): bigint {
  const [seconds, fraction = ""] = text.split(".");
  return BigInt(seconds!) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}

function inspect(container: FakeContainer): Record<string, unknown> {
  const { id, name, running, startedAt, pid, isTerminal, labels, image, environment } = container;
  return {
    Id: id,
    Name: name,
    Created: container.created,
    RestartCount: container.restarts,
    State: { Running: running, Status: running ? "running" : "exited", StartedAt: startedAt, Pid: pid },
    Config: { Tty: isTerminal, Image: image, Env: environment, Labels: labels },
    HostConfig: { NetworkMode: container.networkMode },
  };
}
