import { type ConnectionOptions, createSecureContext } from "node:tls";
import { type CertificateFacts, explainFailure } from "#kits/http/client-errors";
import type { WatchedFiles } from "#kits/http/client-files";
import { trusted } from "#kits/http/client-tls";
import { type RedisAddress, RedisConnection, RedisTimeoutError } from "#kits/redis-connection";
import { RedisError, RedisProtocolError } from "#kits/redis-protocol";
import { inspectTls, NO_TLS_FACTS, type TlsFacts } from "#kits/tls-facts";
import { passwordMapKey, type RedisTarget, showAddress } from "./address.ts";
import type { RedisArguments } from "./arguments.ts";

/** A connection could not be had, or broke: the message says what, why and what to do. */
class ConnectionProblem extends Error {
  override readonly name = "ConnectionProblem";
}

/** Opens connections to the server, and to other nodes of its cluster, with its login and TLS. */
export class Connector {
  readonly #args: RedisArguments;
  readonly #target: RedisTarget;
  readonly #files: WatchedFiles;
  #certificate: CertificateFacts | undefined;
  #facts: TlsFacts = NO_TLS_FACTS;
  /** The server that is being connected to and has not let anybody in yet. */
  #awaited: RedisAddress | undefined;

  constructor(args: RedisArguments, target: RedisTarget, files: WatchedFiles) {
    this.#args = args;
    this.#target = target;
    this.#files = files;
  }

  get address(): RedisAddress {
    return this.#target.address;
  }

  /** What it means that the scrape ended before the server had answered. */
  get givenUp(): string {
    const { shown, isTls } = this.#target;
    if (this.#awaited === undefined) {
      return `${shown} had not answered everything when the scrape was given up: see its scrape_timeout`;
    }
    const what = isTls ? "Redis with TLS (without, it is redis://)" : "Redis (with TLS, it is rediss://)";
    return `${showAddress(this.#awaited)} had not answered at all when the scrape was given up: see whether it is ${what}, and how busy it is`;
  }

  /** A connection that is logged in. Rejects with a ConnectionProblem. */
  async open(signal: AbortSignal, node: RedisAddress = this.#target.address): Promise<RedisConnection> {
    let connection: RedisConnection | undefined;
    this.#awaited = node;
    try {
      const password = await this.#password();
      const tls = this.#target.isTls ? await this.#tls() : undefined;
      connection = await RedisConnection.open({
        address: node,
        tls: tls && "host" in node ? { host: node.host, ...tls } : tls,
        timeoutMs: this.#args.connection_timeout,
        signal,
        onCertificate: (certificate) => {
          this.#certificate = certificate;
        },
      });
      if (password !== "") {
        const user = this.#target.user ?? this.#args.redis_user;
        await connection.command("AUTH", ...(user === "" ? [password] : [user, password]));
      }
      if (this.#target.database > 0) await connection.command("SELECT", this.#target.database);
      this.#awaited = undefined;
      return connection;
    } catch (error) {
      connection?.[Symbol.dispose]();
      throw this.explain(error, node);
    }
  }

  /** The password: that of the address before that of the map, of the file and of the argument, as upstream has it. */
  async #password(): Promise<string> {
    const { redis_password_file, redis_password_map_file, redis_user } = this.#args;
    if (this.#target.password !== undefined) return this.#target.password;
    if (redis_password_file !== "") return this.#files.readSecret(redis_password_file, "redis_password_file");
    if (redis_password_map_file !== "") {
      const map = await this.#files.read(redis_password_map_file, "redis_password_map_file");
      const password = readPasswordMap(map.toString("utf8")).get(passwordMapKey(this.#target, redis_user));
      if (password) return password;
    }
    return this.#args.redis_password.reveal();
  }

  async #tls(): Promise<ConnectionOptions> {
    const { tls_ca_cert_file, tls_client_cert_file, tls_client_key_file, skip_tls_verification } = this.#args;
    const read = async (path: string, argument: string) => (path === "" ? "" : this.#files.read(path, argument));
    const ca = await read(tls_ca_cert_file, "tls_ca_cert_file");
    const cert = await read(tls_client_cert_file, "tls_client_cert_file");
    const key = await read(tls_client_key_file, "tls_client_key_file");
    this.#facts = inspectTls({
      ...{ ca, cert, key },
      names: {
        ca: `tls_ca_cert_file ${tls_ca_cert_file}`,
        cert: `tls_client_cert_file ${tls_client_cert_file}`,
        key: `tls_client_key_file ${tls_client_key_file}`,
      },
    });
    const secureContext = createSecureContext({
      minVersion: "TLSv1.2",
      ca: ca.length > 0 ? ca : trusted(),
      // As in Go: whatever is given as an authority is trusted, a server's own certificate too.
      ...(ca.length > 0 && { allowPartialTrustChain: true }),
      ...(cert.length > 0 && { cert, key }),
    });
    return { secureContext, rejectUnauthorized: !skip_tls_verification };
  }

  /** What an error of a connection means for the user. */
  explain(error: unknown, node: RedisAddress = this.#target.address): ConnectionProblem {
    if (error instanceof ConnectionProblem) return error;
    return new ConnectionProblem(this.#text(error, node), { cause: error });
  }

  #text(error: unknown, node: RedisAddress): string {
    const shown = showAddress(node);
    if (error instanceof RedisError) return `${shown} ${loginProblem(error, this.#args)}`;
    if (error instanceof RedisProtocolError) return `${shown} cannot be read: ${error.message}`;
    if (error instanceof RedisTimeoutError) {
      if (error.isHandshake) return `${shown} does not answer in TLS: use redis:// if it has none, or another port`;
      return `${shown} does not answer (${error.message}): it may be busy, or a firewall drops what is sent`;
    }
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    if (syscall === undefined && code === undefined) return message; // a file's, which says all
    if ("path" in node) {
      const why = { ENOENT: "it does not exist", EACCES: "the agent's user may not use it" }[String(code)];
      return `the socket ${shown} cannot be used: ${why ?? message}`;
    }
    const url = new URL(`${this.#target.isTls ? "https" : "http"}://${shown}`);
    return explainFailure(error, url, {
      certificate: this.#certificate,
      tls: this.#facts,
      usePlain: "use redis://",
      useTls: "use rediss:// in redis_addr",
      fileArguments: { ca: "tls_ca_cert_file", cert: "tls_client_cert_file" },
    }).message;
  }
}

/** What the server has against the login. */
function loginProblem(error: RedisError, args: RedisArguments): string {
  const { code, message } = error;
  if (code === "WRONGPASS" || /invalid password/i.test(message)) {
    return "refuses the login: user and password do not fit; check redis_user and the password";
  }
  if (code === "NOAUTH") return "wants a password: set redis_password or redis_password_file";
  if (/no password is set|without any password configured/i.test(message)) {
    return "has no password, and was given one: remove the password, or set redis_user if it is a user's";
  }
  if (code === "DENIED")
    return "is in protected mode and talks to clients on its own machine alone: give it a password";
  if (/max number of clients/i.test(message)) return "has as many clients as it takes (maxclients): raise it";
  if (code === "NOPERM") {
    const user = args.redis_user === "" ? "the user" : `the user ${args.redis_user}`;
    return `denies what the exporter needs: ${message}; allow ${user} "+info +ping +client +config|get +latency +slowlog"`;
  }
  return `answers with an error: ${message}`;
}

/** Throws an error that names the argument and shows nothing of the file. */
function readPasswordMap(text: string): ReadonlyMap<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("redis_password_map_file is not JSON: it must hold an object from addresses to passwords");
  }
  const entries =
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (entries === undefined || entries.some(([, password]) => typeof password !== "string")) {
    throw new Error("redis_password_map_file must hold an object from addresses to passwords, which are strings");
  }
  return new Map(entries as [string, string][]);
}
