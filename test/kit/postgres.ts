import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { temporaryFolder } from "./agent.ts";
import { freePort, sleep, WAIT_MS } from "./process.ts";

/** Runs a PostgreSQL server of Debian's package on a folder and a port of its own. */

const PROGRAMS = "/usr/lib/postgresql/15/bin";
/** The server refuses to run as root: then it runs as `nobody`. */
const USER = process.getuid?.() === 0 ? 65_534 : undefined;

export interface PostgresOptions {
  /** Lines of `postgresql.conf`. */
  readonly settings?: readonly string[];
  /** Lines of `pg_hba.conf`, before one that trusts the superuser. */
  readonly access?: readonly string[];
  /** A server that this one shall be a standby of, … */
  readonly primary?: PostgresServer;
  /** … by this replication slot of it. */
  readonly slot?: string;
}

/** Starts a server and waits until it answers. It ends with the test. */
export async function startPostgres(t: TestContext, options: PostgresOptions = {}): Promise<PostgresServer> {
  const folder = temporaryFolder(t);
  if (USER !== undefined) chownSync(folder, USER, USER);
  const server = new PostgresServer(folder, await freePort());
  server.initialize(options);
  cleanUp(t, () => server.stop());
  await server.start();
  return server;
}

export class PostgresServer {
  readonly folder: string;
  readonly port: number;
  #child: ChildProcess | undefined;
  #log = "";

  constructor(folder: string, port: number) {
    this.folder = folder;
    this.port = port;
  }

  get #data(): string {
    return join(this.folder, "data");
  }

  initialize({ settings = [], access = [], primary, slot = "standby" }: PostgresOptions): void {
    if (primary === undefined) {
      run("initdb", [
        "-D",
        this.#data,
        "--no-sync",
        "--no-instructions",
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
      ]);
    } else {
      const from = ["-h", "127.0.0.1", "-p", String(primary.port), "-U", "postgres"];
      run("pg_basebackup", [...from, "-D", this.#data, "--no-sync", "-R", "-S", slot, "-X", "stream", "-c", "fast"]);
    }
    const lines = [
      "fsync = off",
      "listen_addresses = '127.0.0.1'",
      `port = ${this.port}`,
      `unix_socket_directories = '${this.folder}'`,
      "shared_buffers = 8MB",
      ...settings,
    ];
    appendFileSync(join(this.#data, "postgresql.conf"), `${lines.join("\n")}\n`);
    if (primary !== undefined) return;
    const trusted = ["local all all trust", "host all,replication postgres 127.0.0.1/32 trust"];
    writeFileSync(join(this.#data, "pg_hba.conf"), `${[...access, ...trusted].join("\n")}\n`);
  }

  async start(): Promise<void> {
    const child = spawn(join(PROGRAMS, "postgres"), ["-D", this.#data], {
      stdio: ["ignore", "ignore", "pipe"],
      ...(USER === undefined ? {} : { uid: USER, gid: USER }),
    });
    this.#child = child;
    child.stderr!.on("data", (data: Buffer) => void (this.#log += data));
    const until = performance.now() + WAIT_MS;
    for (;;) {
      try {
        this.sql("SELECT 1");
        return;
      } catch (error) {
        if (child.exitCode !== null || performance.now() > until) {
          throw new Error(`the server did not start\n${this.#log}`, { cause: error });
        }
      }
      await sleep(20);
    }
  }

  /** Ends it at once. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGQUIT");
    await gone;
  }

  /** Runs statements as the superuser, over the socket; gives what they print, columns separated by `|`. */
  sql(text: string, database = "postgres"): string {
    const where = ["-h", this.folder, "-p", String(this.port), "-U", "postgres", "-d", database];
    return run("psql", [...where, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text]).trim();
  }

  /** A data source name over TCP. */
  dataSource(user: string, database = "postgres", parameters = "sslmode=disable"): string {
    return `postgresql://${user}@127.0.0.1:${this.port}/${database}?${parameters}`;
  }

  /** A file that the server can read and nobody else. */
  writeFile(name: string, content: string): string {
    mkdirSync(this.folder, { recursive: true });
    const path = join(this.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    if (USER !== undefined) chownSync(path, USER, USER);
    return path;
  }
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(join(PROGRAMS, program), args, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    cwd: "/",
    ...(USER === undefined ? {} : { uid: USER, gid: USER }),
  });
}
