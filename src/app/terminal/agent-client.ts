import { readFileSync } from "node:fs";
import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { errorText } from "#base/log";
import { type FlagSpec, type ParsedCommandLine, UsageError } from "../command-line.ts";

/** The flags by which commands find a running agent. */
export const CLIENT_FLAGS: readonly FlagSpec[] = [
  {
    name: "server",
    type: "string",
    default: "http://127.0.0.1:12345",
    help: "Address of the agent, with the path of --server.http.ui-path-prefix if it has one",
  },
  {
    name: "user",
    type: "string",
    default: "",
    help: "NAME:PASSWORD for an agent that asks for them; better given as INVAR_USER, which other users cannot see",
  },
  { name: "ca-file", type: "string", default: "", help: "File with the authority that signed the agent's certificate" },
  { name: "insecure", type: "bool", default: false, help: "Take any certificate" },
];

/** How long an answer may take to begin and, unless it is a stream, to end. */
const TIMEOUT_MS = 15_000;
/** The largest answer that is taken: some thousand components. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** An agent that cannot be asked, or did not answer as asked. The message says what to do. */
export class AgentError extends Error {
  override readonly name = "AgentError";
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined;
  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

export interface AgentClientOptions {
  /** `http://host:port/prefix` */
  readonly server: string;
  /** `name:password`; empty for none. */
  readonly user: string;
  /** PEM */
  readonly ca: string | undefined;
  readonly insecure: boolean;
}

/** Parameters of a question; search parameters may hold a name several times. */
type AgentQuery = Readonly<Record<string, string>> | URLSearchParams;

/** Asks a running agent's web API. */
export class AgentClient {
  readonly #base: URL;
  readonly #options: AgentClientOptions;
  readonly #authorization: string | undefined;

  /** Throws a UsageError for an address that is none. */
  constructor(options: AgentClientOptions) {
    this.#options = options;
    this.#base = baseOf(options.server);
    const { username, password } = this.#base;
    const user =
      options.user !== ""
        ? options.user
        : username === ""
          ? ""
          : `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    this.#authorization = user === "" ? undefined : `Basic ${Buffer.from(user).toString("base64")}`;
  }

  /** From CLIENT_FLAGS and INVAR_USER. */
  static fromCommandLine({ flags }: ParsedCommandLine): AgentClient {
    const user = (flags.get("user") as string) || (process.env.INVAR_USER ?? "");
    if (user !== "" && !user.includes(":")) throw new UsageError("--user and INVAR_USER must be NAME:PASSWORD");
    const caFile = flags.get("ca-file") as string;
    return new AgentClient({
      server: flags.get("server") as string,
      user,
      ca: caFile === "" ? undefined : readFileSync(caFile, "utf8"),
      insecure: flags.get("insecure") === true,
    });
  }

  /** The agent's address, without name and password. */
  get address(): string {
    return `${this.#base.origin}${this.#base.pathname.replace(/\/+$/, "")}`;
  }

  /** An answer of the web API (`status`, `explain/ID`) as JSON; to a POST if there is a body. Rejects with an AgentError. */
  async json<T>(
    name: string,
    query: Readonly<Record<string, string>> = {},
    signal?: AbortSignal,
    body?: Uint8Array,
  ): Promise<T> {
    const response = await this.#ask(name, query, signal, body);
    const timer = setTimeout(
      () => response.destroy(new Error(`no whole answer within ${TIMEOUT_MS / 1000} s`)),
      TIMEOUT_MS,
    );
    try {
      const text = await bodyText(response);
      if (!(response.headers["content-type"] ?? "").startsWith("application/json")) throw this.#stranger();
      return JSON.parse(text) as T;
    } catch (error) {
      if (error instanceof AgentError) throw error;
      throw new AgentError(`${this.address} broke off its answer: ${errorText(error)}`);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * The lines of a newline-delimited answer as they come, until it ends or `signal` is aborted. Rejects with an AgentError.
   */
  async *lines(name: string, query: AgentQuery, signal: AbortSignal): AsyncIterable<string> {
    const response = await this.#ask(name, query, signal);
    response.setEncoding("utf8");
    let rest = "";
    try {
      for await (const chunk of response as AsyncIterable<string>) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        yield* lines;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw new AgentError(`${this.address} broke off its answer: ${errorText(error)}`);
    }
    if (rest !== "") yield rest;
  }

  async #ask(
    name: string,
    query: AgentQuery,
    signal: AbortSignal | undefined,
    body?: Uint8Array,
  ): Promise<IncomingMessage> {
    const path = `${this.#base.pathname.replace(/\/+$/, "")}/api/v0/web/${name.split("/").map(encodeURIComponent).join("/")}`;
    const search = new URLSearchParams(query).toString();
    let response: IncomingMessage;
    try {
      response = await this.#send(search === "" ? path : `${path}?${search}`, signal, body);
    } catch (error) {
      throw signal?.aborted ? error : this.#unreachable(error);
    }
    const status = response.statusCode!;
    if (status === 200) return response;
    const text = (await bodyText(response).catch(() => "")).trim();
    if (status === 401) {
      const problem =
        this.#authorization === undefined ? "asks for a name and a password" : "refuses this name and password";
      throw new AgentError(`${this.address} ${problem}: give them with --user NAME:PASSWORD or INVAR_USER`, status);
    }
    if (status === 404 && (text === "" || text.startsWith("404") || text.startsWith("<"))) throw this.#stranger();
    throw new AgentError(`${this.address} answers ${status}: ${text.slice(0, 1_000)}`, status);
  }

  #send(path: string, signal: AbortSignal | undefined, body: Uint8Array | undefined): Promise<IncomingMessage> {
    const { ca, insecure } = this.#options;
    const { hostname, port, protocol } = this.#base;
    const options = {
      // Brackets are the URL's way of writing IPv6 addresses.
      host: hostname.replace(/^\[|\]$/g, ""),
      port: port === "" ? undefined : Number(port),
      path,
      method: body === undefined ? "GET" : "POST",
      headers: this.#authorization === undefined ? {} : { authorization: this.#authorization },
      timeout: TIMEOUT_MS,
      ...(signal === undefined ? {} : { signal }),
    };
    return new Promise((resolve, reject) => {
      const request =
        protocol === "https:"
          ? tlsRequest({ ...options, rejectUnauthorized: !insecure, ...(ca === undefined ? {} : { ca }) })
          : plainRequest(options);
      request.on("response", (response) => {
        request.setTimeout(0); // streams may be silent for as long as they like
        resolve(response);
      });
      request.on("error", reject);
      request.on("timeout", () => request.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
      request.end(body);
    });
  }

  #unreachable(cause: unknown): AgentError {
    const { code = "" } = cause as NodeJS.ErrnoException;
    const reason = errorText(cause);
    if (/CERT|SIGNATURE|ALTNAME|SELF_SIGNED|UNABLE_TO/.test(code)) {
      return new AgentError(
        `the certificate of ${this.address} is not trusted (${reason}): give the authority that signed it with --ca-file, or --insecure to go without`,
      );
    }
    const isMaybeTls = this.#base.protocol === "http:" && code === "ECONNRESET";
    const hint = isMaybeTls ? "; if it speaks TLS, the address begins with https://" : "";
    return new AgentError(
      `no agent answers at ${this.address} (${reason}): is it running? Give its address with --server${hint}`,
    );
  }

  #stranger(): AgentError {
    return new AgentError(
      `${this.address} answers, but not as an agent of this version does: check the address and the path prefix (--server)`,
    );
  }
}

function baseOf(server: string): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(server) ? server : `http://${server}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol)) {
    throw new UsageError(`--server must be an address such as http://127.0.0.1:12345, not "${server}"`);
  }
  return url;
}

async function bodyText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
