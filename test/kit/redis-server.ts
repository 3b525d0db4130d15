import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { RedisConnection } from "#kits/redis-connection";
import { temporaryFolder } from "./agent.ts";
import { freePort, WAIT_MS, waitUntil } from "./process.ts";

const REDIS = "/usr/bin/redis-server";

/** A real redis-server, on a folder and a port of its own, for as long as a test. */
export class TestRedis {
  readonly port: number;
  readonly folder: string;
  readonly #child: ChildProcess;

  private constructor(port: number, folder: string, child: ChildProcess) {
    this.port = port;
    this.folder = folder;
    this.#child = child;
  }

  /** `args` as of the command line; `config` is the text of its file, which Sentinel and users need. */
  static async start(t: TestContext, args: readonly string[] = [], config = ""): Promise<TestRedis> {
    const folder = temporaryFolder(t);
    const port = await freePort();
    const file = join(folder, "redis.conf");
    writeFileSync(file, config);
    const own = ["--port", String(port), "--dir", folder, "--save", "", "--bind", "127.0.0.1"];
    const child = spawn(REDIS, [file, ...own, ...args], { stdio: "ignore" });
    const gone = new Promise((resolve) => child.once("exit", resolve));
    cleanUp(t, async () => {
      child.kill("SIGKILL");
      await gone;
    });
    const listening = portOf(args) ?? port;
    await waitUntil(() => isOpen(listening), WAIT_MS, "redis-server listens");
    return new TestRedis(listening, folder, child);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Runs commands, each a line of words without spaces in them. */
  async run(...lines: readonly string[]): Promise<void> {
    using connection = await this.#connect();
    for (const line of lines) await connection.command(...line.split(" "));
  }

  /** Asks until the answer, a text, matches. */
  async untilAnswer(words: readonly string[], pattern: RegExp): Promise<void> {
    using connection = await this.#connect();
    await waitUntil(
      async () => pattern.test(String(await connection.command(...words))),
      WAIT_MS,
      `${words} says ${pattern}`,
    );
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  #connect(): Promise<RedisConnection> {
    const address = { host: "127.0.0.1", port: this.port };
    return RedisConnection.open({ address, timeoutMs: 10_000, signal: new AbortController().signal });
  }
}

/** The port for TLS, where there is none for plain text. */
function portOf(args: readonly string[]): number | undefined {
  const at = args.indexOf("--tls-port");
  return at < 0 ? undefined : Number(args[at + 1]);
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
