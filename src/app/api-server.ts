import type { SecureVersion } from "node:tls";
import { errorText, type Logger } from "#base/log";
import { basicAuthGuard, HttpServer, type RequestGuard } from "#kits/http/server";
import type { ServerTls } from "#kits/tls-server";
import type { HttpHandler, HttpResponse } from "#pipeline/component";
import type { HttpArguments } from "#runtime/blocks/http";
import type { BlockHandler } from "#runtime/environment";

const TLS_VERSIONS: Readonly<Record<string, SecureVersion>> = {
  TLS10: "TLSv1",
  TLS11: "TLSv1.1",
  TLS12: "TLSv1.2",
  TLS13: "TLSv1.3",
};
/** Requests under way at the end may take this long; streams are cut. */
const CLOSE_GRACE_MS = 2_000;

/** The server of the agent's own HTTP API. Carries out the `http` block: authentication at once, TLS by listening anew. */
export class ApiServer implements BlockHandler {
  readonly #host: string;
  #port: number;
  readonly #log: Logger;
  readonly #handle: HttpHandler;
  #server: HttpServer | undefined;
  #guard: RequestGuard | undefined;
  #tls: ServerTls | undefined;
  #changing: Promise<void> = Promise.resolve();

  /** `address` is `host:port`; an empty host means all addresses, port 0 a free one. */
  constructor(address: string, handle: HttpHandler, log: Logger) {
    const { host, port } = splitAddress(address);
    this.#host = host;
    this.#port = port;
    this.#handle = handle;
    this.#log = log;
  }

  /** Where it listens, after `listen`. */
  get address(): string {
    return `${this.#host.includes(":") ? `[${this.#host}]` : this.#host}:${this.#port}`;
  }

  apply(args: unknown): void {
    const block = args as HttpArguments | undefined;
    const basic = block?.auth?.basic;
    const filter = block?.auth?.filter;
    this.#guard =
      basic === undefined
        ? undefined
        : basicAuthGuard(
            basic.username,
            basic.password.reveal(),
            filter === undefined || filter.paths.length === 0
              ? undefined
              : { paths: filter.paths, authenticateMatching: filter.authenticate_matching_paths },
          );
    const tls = block?.tls === undefined ? undefined : tlsOf(block.tls);
    if (JSON.stringify(tls) === JSON.stringify(this.#tls)) return;
    this.#tls = tls;
    if (this.#server !== undefined) this.#changing = this.#changing.then(() => this.#listenAnew());
  }

  /** Rejects with an error that says why the address cannot be had and what to do. */
  async listen(): Promise<void> {
    const server = new HttpServer({
      address: this.#host,
      port: this.#port,
      tls: this.#tls,
      // Profiles and streams last as long as the client wants.
      writeTimeoutMs: 0,
      guard: (path, headers) => this.#guard?.(path, headers),
      log: this.#log,
    });
    server.route("*", "/*", async (request, signal) => {
      const response = await this.#handle({ ...request, body: (limit) => request.body(limit) }, signal);
      return { ...response, body: response.stream === undefined ? response.body : joined(response, response.stream) };
    });
    const { port } = await server.listen();
    this.#port = port;
    this.#server = server;
  }

  async close(): Promise<void> {
    await this.#changing;
    await this.#server?.close(CLOSE_GRACE_MS);
    this.#server = undefined;
  }

  async #listenAnew(): Promise<void> {
    try {
      await this.#server?.close(CLOSE_GRACE_MS);
      await this.listen();
    } catch (error) {
      this.#log.error("the HTTP API could not listen with the changed tls block", { error: errorText(error) });
    }
  }
}

/** `host:port`, `:port` or `[v6]:port`. Throws an Error that says what is wanted. */
export function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new Error(`--server.http.listen-addr must be HOST:PORT, such as 127.0.0.1:12345, not "${address}"`);
  }
  return { host: match[1] ?? match[2] ?? "", port };
}

function tlsOf(tls: NonNullable<HttpArguments["tls"]>): ServerTls {
  return {
    cert: tls.cert_pem,
    certFile: tls.cert_file,
    key: tls.key_pem.reveal(),
    keyFile: tls.key_file,
    clientCa: tls.client_ca_pem,
    clientCaFile: tls.client_ca_file,
    clientAuth: tls.client_auth_type,
    cipherSuites: tls.cipher_suites,
    minVersion: TLS_VERSIONS[tls.min_version],
    maxVersion: TLS_VERSIONS[tls.max_version],
  };
}

async function* joined(response: HttpResponse, stream: AsyncIterable<string>): AsyncIterable<string | Uint8Array> {
  if (response.body.length > 0) yield response.body;
  yield* stream;
}
