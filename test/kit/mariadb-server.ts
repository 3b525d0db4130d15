import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { temporaryFolder } from "./agent.ts";
import { freePort, WAIT_MS, waitUntil } from "./process.ts";

const SERVER = "/usr/sbin/mariadbd";
const CLIENT = "/usr/bin/mariadb";
const INSTALL = "/usr/bin/mariadb-install-db";

/** A real MariaDB, on a folder and a port of its own, for as long as a test. */
export class TestMariadb {
  readonly folder: string;
  readonly port: number;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  private constructor(folder: string, port: number, args: readonly string[]) {
    this.folder = folder;
    this.port = port;
    this.#args = args;
  }

  /** Starts servers with these options, each on new data with a user `root` without a password. */
  static async start(t: TestContext, ...each: readonly (readonly string[])[]): Promise<TestMariadb[]> {
    const data = newData();
    return Promise.all(
      each.map(async (args) => {
        const folder = temporaryFolder(t);
        execFileSync("cp", ["-r", data, join(folder, "data")]);
        const server = new TestMariadb(folder, await freePort(), args);
        cleanUp(t, () => server.#stop());
        await server.#run();
        return server;
      }),
    );
  }

  get socket(): string {
    return join(this.folder, "s");
  }

  /** Runs statements. Throws what the server says. */
  run(sql: string): string {
    const child = spawnSync(CLIENT, ["--no-defaults", "-uroot", "-N", `--socket=${this.socket}`], { input: sql });
    if (child.status !== 0) throw new Error(child.stderr.toString());
    return child.stdout.toString();
  }

  async #run(): Promise<void> {
    const log = join(this.folder, "log");
    const child = spawn(
      SERVER,
      [
        ...["--no-defaults", `--datadir=${join(this.folder, "data")}`, `--socket=${this.socket}`, ...asRoot()],
        ...[`--port=${this.port}`, "--bind-address=127.0.0.1", `--pid-file=${join(this.folder, "pid")}`],
        ...["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", `--log-error=${log}`, ...this.#args],
      ],
      { stdio: "ignore" },
    );
    this.#child = child;
    await waitUntil(
      () => {
        if (child.exitCode !== null) throw new Error(`mariadbd ended\n${readFileSync(log, "utf8").slice(-2_000)}`);
        return isUp(() => this.run("SELECT 1"));
      },
      WAIT_MS,
      "mariadbd answers",
    );
  }

  async #stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }
}

let template: string | undefined;

/** Fresh data to copy: making it takes longer than all else. Gone with the process. */
function newData(): string {
  if (template === undefined) {
    const folder = mkdtempSync(join(tmpdir(), "invar-e2e-mariadb-"));
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    template = join(folder, "data");
    const where = ["--no-defaults", `--datadir=${template}`, "--auth-root-authentication-method=normal"];
    execFileSync(INSTALL, [...where, "--skip-test-db", ...asRoot()], { stdio: "ignore" });
  }
  return template;
}

function asRoot(): string[] {
  return process.getuid?.() === 0 ? ["--user=root"] : [];
}

function isUp(ask: () => unknown): boolean {
  try {
    ask();
    return true;
  } catch {
    return false;
  }
}
