import { errorText } from "#base/log";
import { clientDefaults, HttpClient, HttpClientError } from "./http/client.ts";
import type { HttpClientArguments } from "./http/client-schema.ts";

/** A client of the Docker Engine API, as far as discovery and logs need it: docs.docker.com/reference/api/engine. */

export interface ContainerSummary {
  readonly Id: string;
  readonly Names?: readonly string[] | null;
  readonly Labels?: Readonly<Record<string, string>> | null;
  /** In words: `Up 2 hours (healthy)`. */
  readonly Status?: string;
  readonly Ports?:
    | readonly {
        readonly IP?: string;
        readonly PrivatePort: number;
        readonly PublicPort?: number;
        readonly Type: string;
      }[]
    | null;
  readonly HostConfig?: { readonly NetworkMode?: string };
  readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, ContainerNetwork | null>> | null } | null;
}
export interface ContainerNetwork {
  readonly NetworkID?: string;
  readonly IPAddress?: string;
  readonly GlobalIPv6Address?: string;
}
export interface NetworkSummary {
  readonly Id: string;
  readonly Name: string;
  readonly Scope: string;
  readonly Internal: boolean;
  readonly Ingress: boolean;
  readonly Labels?: Readonly<Record<string, string>> | null;
}
export interface ContainerDetails {
  readonly Name?: string;
  readonly Created?: string;
  readonly RestartCount?: number;
  readonly Config?: {
    readonly Tty?: boolean;
    readonly Image?: string;
    readonly Env?: readonly string[] | null;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
  readonly HostConfig?: { readonly NetworkMode?: string };
  readonly State?: { readonly Running?: boolean; readonly StartedAt?: string; readonly Pid?: number };
}
export interface EngineInfo {
  /** The host's name and operating system. */
  readonly Name?: string;
  readonly OSType?: string;
  /** The storage driver. */
  readonly Driver?: string;
  readonly DockerRootDir?: string;
}

export type DockerFailure = "unreachable" | "not_found" | "refused";

/** The message says what failed, why, and what to do where that is known. */
export class DockerError extends Error {
  override readonly name = "DockerError";
  readonly kind: DockerFailure;
  constructor(kind: DockerFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

export interface DockerOptions {
  readonly host: string;
  /** Counts for `http` and `https` only, as in Alloy. */
  readonly http: HttpClientArguments;
  readonly userAgent: string;
  /** For each request but those for logs. */
  readonly timeoutMs: number;
}

/** Longest time that a timer can take. */
const NO_TIMEOUT_MS = 2 ** 31 - 1;
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** Of an answer that is an error and not Docker's so much is shown. */
const SHOWN_CHARACTERS = 200;

/** What is wrong with a host; undefined if nothing is. */
export function dockerHostProblem(host: string): string | undefined {
  const url = URL.parse(host);
  if (url !== null && ["unix:", "tcp:", "http:", "https:"].includes(url.protocol)) {
    if (url.protocol === "unix:" ? url.pathname.length > 1 : url.hostname !== "") return undefined;
  }
  return "is no address of a Docker daemon: write unix:///var/run/docker.sock, tcp://HOST:2375 or https://HOST:2376";
}

export class DockerEngine {
  readonly #options: DockerOptions;
  readonly #client: HttpClient;
  readonly #base: string;
  readonly #socketPath: string | undefined;

  /** Connects to nothing yet. Throws for a host that is none. */
  constructor(options: DockerOptions) {
    const problem = dockerHostProblem(options.host);
    if (problem !== undefined) throw new Error(`\`host\` ${problem}`);
    const { protocol, pathname, host } = new URL(options.host);
    const isHttp = protocol === "http:" || protocol === "https:";
    this.#options = options;
    this.#socketPath = protocol === "unix:" ? decodeURIComponent(pathname) : undefined;
    const scheme = protocol === "https:" ? "https:" : "http:";
    this.#base =
      this.#socketPath === undefined ? `${scheme}//${host}${pathname.replace(/\/$/, "")}` : "http://localhost";
    this.#client = HttpClient.create(isHttp ? options.http : clientDefaults(), {
      userAgent: options.userAgent,
      ...(this.#socketPath !== undefined && { socketPath: this.#socketPath }),
    });
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** Running containers that the filters (name → values) let through. */
  containers(
    filters: ReadonlyMap<string, readonly string[]>,
    signal: AbortSignal,
  ): Promise<readonly ContainerSummary[]> {
    const byName: Record<string, Record<string, true>> = {};
    for (const [name, values] of filters) byName[name] = Object.fromEntries(values.map((value) => [value, true]));
    const query = filters.size === 0 ? "" : `?filters=${encodeURIComponent(JSON.stringify(byName))}`;
    return this.#get(`/containers/json${query}`, signal) as Promise<readonly ContainerSummary[]>;
  }

  networks(signal: AbortSignal): Promise<readonly NetworkSummary[]> {
    return this.#get("/networks", signal) as Promise<readonly NetworkSummary[]>;
  }

  info(signal: AbortSignal): Promise<EngineInfo> {
    return this.#get("/info", signal) as Promise<EngineInfo>;
  }

  container(id: string, signal: AbortSignal): Promise<ContainerDetails> {
    return this.#get(`/containers/${encodeURIComponent(id)}/json`, signal) as Promise<ContainerDetails>;
  }

  /**
   * Follows a container's log from `since` (seconds, `1700000000.000000000`), inclusive, until it stops; resolves when the
   * log has ended. The next chunk is read when `take` has settled.
   */
  async logs(
    id: string,
    since: string,
    take: (chunk: Uint8Array) => void | Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const path = `/containers/${encodeURIComponent(id)}/logs?follow=1&stdout=1&stderr=1&timestamps=1&since=${since}`;
    const read = async (body: AsyncIterable<Buffer>, _: unknown, status: number) => {
      const words: Buffer[] = [];
      for await (const chunk of body) {
        if (status === 200) await take(chunk);
        else if (words.length < 4) words.push(chunk);
      }
      return Buffer.concat(words);
    };
    await this.#request(path, NO_TIMEOUT_MS, signal, read);
  }

  async #get(path: string, signal: AbortSignal): Promise<unknown> {
    const body = await this.#request(path, this.#options.timeoutMs, signal);
    try {
      return JSON.parse(body.toString());
    } catch (error) {
      throw new DockerError("refused", this.#notDocker, { cause: error });
    }
  }

  async #request(
    path: string,
    timeoutMs: number,
    signal: AbortSignal,
    readBody?: (body: AsyncIterable<Buffer>, headers: unknown, status: number) => Promise<Buffer>,
  ): Promise<Buffer> {
    let answer: { readonly status: number; readonly body: Buffer };
    try {
      answer = await this.#client.request(
        { method: "GET", url: this.#base + path, timeoutMs, maxBytes: MAX_ANSWER_BYTES, ...(readBody && { readBody }) },
        signal,
      );
    } catch (error) {
      if (signal.aborted || !(error instanceof HttpClientError)) throw error;
      throw new DockerError("unreachable", this.#explain(error), { cause: error });
    }
    if (answer.status === 200) return answer.body;
    const words = messageOf(answer.body);
    if (answer.status !== 404) {
      const text = words ?? (answer.body.toString().trim().slice(0, SHOWN_CHARACTERS) || "no words");
      throw new DockerError("refused", `Docker answers ${answer.status}: ${text}`);
    }
    if (words === undefined) throw new DockerError("refused", this.#notDocker);
    throw new DockerError("not_found", words);
  }

  get #notDocker(): string {
    return `${this.#options.host} does not answer as Docker does: is it its address?`;
  }

  #explain(error: HttpClientError): string {
    const path = this.#socketPath;
    if (path === undefined) return error.message;
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT") {
        return `there is no socket ${path}: does Docker run here? In a container mount the socket with -v ${path}:${path}`;
      }
      if (code === "EACCES" || code === "EPERM") {
        return `no permission for the socket ${path}: add the user that Invar runs as to the group docker (\`usermod -aG docker USER\`) and restart it`;
      }
      if (code === "ECONNREFUSED") return `nobody listens on the socket ${path}: start Docker`;
    }
    return `${path}: ${errorText(error)}`;
  }
}

/** Docker's errors are `{"message": "…"}`; undefined for what is none of them. */
function messageOf(body: Buffer): string | undefined {
  try {
    const { message } = JSON.parse(body.toString()) as { message?: unknown };
    return typeof message === "string" ? message : undefined;
  } catch {
    return undefined;
  }
}
