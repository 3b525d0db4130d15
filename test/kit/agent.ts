import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { cleanUp } from "#base/clean-up.testing";
import { freePort, sleep, WAIT_MS } from "./process.ts";

/** Runs the real agent, in a process of its own, for end-to-end tests. */

const MAIN = fileURLToPath(new URL("../../src/app/main.ts", import.meta.url));

/** What starts the program under test: this checkout, or the words of `INVAR_COMMAND`, such as a release's binary. */
export function programWords(): string[] {
  const given = process.env.INVAR_COMMAND;
  return given === undefined ? [process.execPath, MAIN] : given.split(" ");
}

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command such as `["fmt", "a.alloy"]` to its end. Rejects, and kills it, after `timeoutMs`. */
export function runInvar(
  args: readonly string[],
  options: { input?: string; cwd?: string; environment?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<CommandResult> {
  const [program, ...before] = programWords();
  const child = spawn(program!, [...before, ...args], {
    cwd: options.cwd,
    env: { ...process.env, NO_COLOR: "1", ...options.environment },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data: Buffer) => void (stdout += data));
  child.stderr.on("data", (data: Buffer) => void (stderr += data));
  child.stdin.on("error", () => {}); // it may not read at all
  child.stdin.end(options.input ?? "");
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`invar ${args.join(" ")} did not end\n${stdout}${stderr}`));
    }, options.timeoutMs ?? WAIT_MS);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr });
    });
  });
}

/**
 * Stands for the context of a test where something is for all tests of a file, and ends after the last of them. Made where
 * tests are declared, not within one.
 */
export function fileContext(): TestContext {
  const works: (() => unknown)[] = [];
  after(async () => {
    for (const work of works) await work();
  });
  return { after: (work: () => unknown) => void works.push(work) } as unknown as TestContext;
}

/** An empty folder that is gone after the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "invar-e2e-"));
  cleanUp(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface AgentOptions {
  /** Flags beside listen address, storage path and stability level. */
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Storage and port of an earlier life, to go on with. */
  readonly storage?: string;
  readonly port?: number;
  /** The user id that it runs as; needs root. */
  readonly user?: number;
  /** Resolves as soon as the process runs, without waiting until it is ready. */
  readonly unready?: boolean;
}

/** A component as `/api/v0/web/status` shows it. */
export interface ComponentStatus {
  readonly id: string;
  readonly health: { readonly state: string; readonly message: string };
  readonly flow: {
    readonly state: string;
    readonly cause: string;
    readonly rule: string;
    readonly received: { readonly items: number };
    readonly sent: readonly { readonly to: string; readonly items: number; readonly waiting: number }[];
    readonly dropped: readonly { readonly signal: string; readonly reason: string; readonly items: number }[];
    readonly queue: { readonly bytes: number } | null;
  };
}

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/**
 * Starts the agent on one configuration text, or on a folder of files by name, and waits until it is ready. Whatever
 * becomes of the test, the process ends with it.
 */
export async function startAgent(
  t: TestContext,
  config: string | Readonly<Record<string, string>>,
  options: AgentOptions = {},
): Promise<TestAgent> {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755); // the agent may run as another user
  const agent = new TestAgent(folder, typeof config !== "string", options, options.port ?? (await freePort()));
  cleanUp(t, () => agent.kill());
  agent.write(config);
  await agent.start();
  return agent;
}

export class TestAgent {
  readonly folder: string;
  readonly configPath: string;
  readonly storage: string;
  readonly port: number;
  readonly #options: AgentOptions;
  #child: ChildProcess | undefined;
  #exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }> = Promise.resolve({
    code: null,
    signal: null,
  });
  /** Everything that it wrote to standard error, in all its lives. */
  log = "";
  #exited = true;

  constructor(folder: string, isFolder: boolean, options: AgentOptions, port: number) {
    this.folder = folder;
    this.configPath = join(folder, isFolder ? "config" : "config.alloy");
    this.storage = options.storage ?? join(folder, "storage");
    this.port = port;
    this.#options = options;
  }

  /** Writes the configuration, for the start or for a reload. */
  write(config: string | Readonly<Record<string, string>>): void {
    if (typeof config === "string") {
      writeFileSync(this.configPath, config);
      return;
    }
    for (const [name, text] of Object.entries(config)) {
      const path = join(this.configPath, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
  }

  /** Starts the process, again after an end on the same port and storage. */
  async start(): Promise<void> {
    const [program, ...before] = programWords();
    const args = [
      ...before,
      "run",
      `--server.http.listen-addr=127.0.0.1:${this.port}`,
      `--storage.path=${this.storage}`,
      "--stability.level=experimental",
      ...(this.#options.flags ?? []),
      this.configPath,
    ];
    const environment = { ...process.env, NO_COLOR: "1", ...this.#options.environment };
    const { user } = this.#options;
    const child = spawn(program!, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: environment,
      ...(user === undefined ? {} : { uid: user, gid: user }),
    });
    this.#child = child;
    this.#exited = false;
    const keep = (data: Buffer) => void (this.log += data);
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    this.#exit = new Promise((resolve) => {
      child.on("error", (error) => {
        this.log += String(error);
        this.#exited = true;
        resolve({ code: null, signal: null });
      });
      child.on("close", (code, signal) => {
        this.#exited = true;
        resolve({ code, signal });
      });
    });
    if (this.#options.unready !== true) await this.until(() => this.#isReady(), "the agent is ready");
  }

  get pid(): number {
    return this.#child!.pid!;
  }
  get exited(): boolean {
    return this.#exited;
  }
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.api("/-/ready")).status === 200;
    } catch {
      return false;
    }
  }

  /** Asks the HTTP API. */
  api(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, { signal: AbortSignal.timeout(WAIT_MS), ...init });
  }

  async json<T>(path: string): Promise<T> {
    const response = await this.api(path);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  async metrics(): Promise<readonly Sample[]> {
    return parseSamples(await (await this.api("/metrics")).text());
  }

  /** Sum of a self metric's samples that have all of `labels`; undefined if there is none. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
    let sum: number | undefined;
    for (const sample of await this.metrics()) {
      if (sample.name !== name) continue;
      if (Object.entries(labels).every(([key, value]) => sample.labels.get(key) === value))
        sum = (sum ?? 0) + sample.value;
    }
    return sum;
  }

  async status(): Promise<readonly ComponentStatus[]> {
    return (await this.json<{ components: readonly ComponentStatus[] }>("/api/v0/web/status")).components;
  }

  async component(id: string): Promise<ComponentStatus> {
    const found = (await this.status()).find((each) => each.id === id);
    if (found === undefined) throw new Error(`there is no component ${id}`);
    return found;
  }

  /** Waits until a component's flow status is what a rule (none if empty) says, and gives it. */
  async untilRule(id: string, rule: string, state: string, timeoutMs = WAIT_MS): Promise<ComponentStatus["flow"]> {
    let flow: ComponentStatus["flow"] | undefined;
    await this.until(
      async () => {
        ({ flow } = await this.component(id));
        return flow.rule === rule && flow.state === state;
      },
      `${id} is ${state} by the rule "${rule}"`,
      timeoutMs,
    ).catch((error) => {
      throw new Error(`${id} is ${flow?.state} by the rule "${flow?.rule}": ${flow?.cause}`, { cause: error });
    });
    return flow!;
  }

  /** What the metrics page says of a rule: 1 while it holds; undefined if it is not there. */
  ruleMetric(id: string, rule: string): Promise<number | undefined> {
    return this.metric("alloy_component_flow_rule", { component_id: id, rule });
  }

  /** Lines of its log about a component with this message. */
  logged(id: string, message: string): readonly string[] {
    return this.log
      .split("\n")
      .filter((line) => line.includes(`msg="${message}"`) && line.includes(`component_id=${id} `));
  }

  /** Fails unless its log has such lines about a component, and no two of them nearer to each other than a minute. */
  assertSaidSparingly(id: string, message: string): void {
    const lines = this.logged(id, message);
    assert.notEqual(lines.length, 0, `${id}: ${message}`);
    const times = lines.map((line) => Date.parse(/ts=(\S+)/.exec(line)![1]!));
    for (const [i, time] of times.entries()) {
      assert.ok(i === 0 || time - times[i - 1]! > 55_000, `said again too soon:\n${lines.join("\n")}`);
    }
  }

  /** Items that a component dropped for a reason so far. */
  async dropped(id: string, reason: string): Promise<number> {
    const { flow } = await this.component(id);
    return flow.dropped.filter((each) => each.reason === reason).reduce((sum, each) => sum + each.items, 0);
  }

  /** Reloads over HTTP, with a new configuration if one is given. */
  async reload(
    config?: string | Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly text: string }> {
    if (config !== undefined) this.write(config);
    const response = await this.api("/-/reload", { method: "POST" });
    return { status: response.status, text: await response.text() };
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Asks it to end and waits; its exit code, or the signal that ended it after `graceMs`. */
  stop(graceMs = WAIT_MS): Promise<number | NodeJS.Signals | null> {
    if (!this.#exited) this.#child?.kill("SIGTERM");
    return this.ended(graceMs);
  }

  /** Waits for its end without asking for it; its exit code, or the signal that ended it after `graceMs`. */
  async ended(graceMs = WAIT_MS): Promise<number | NodeJS.Signals | null> {
    const timer = setTimeout(() => this.#child?.kill("SIGKILL"), graceMs);
    const { code, signal } = await this.#exit;
    clearTimeout(timer);
    return code ?? signal;
  }

  /** Ends it without warning, as a crash would, and waits until it is gone. */
  async kill(): Promise<void> {
    if (!this.#exited) this.#child?.kill("SIGKILL");
    await this.#exit;
  }

  /** Waits until `check` holds. Errors of `check` count as no. Rejects with the end of the agent's log. */
  async until(check: () => boolean | Promise<boolean>, what: string, timeoutMs = WAIT_MS): Promise<void> {
    const last = performance.now() + timeoutMs;
    let error: unknown;
    for (;;) {
      try {
        if (await check()) return;
        error = undefined;
      } catch (cause) {
        error = cause;
      }
      const words = () => `${error === undefined ? "" : `${error}\n`}${this.log.slice(-6_000)}`;
      if (this.#exited) throw new Error(`the agent ended before this came true: ${what}\n${words()}`);
      if (performance.now() > last) throw new Error(`not within ${timeoutMs} ms: ${what}\n${words()}`);
      await sleep(20);
    }
  }

  /** Waits until its log has a line that matches. */
  async untilLogged(pattern: RegExp, timeoutMs = WAIT_MS): Promise<void> {
    await this.until(() => pattern.test(this.log), `the log has ${pattern}`, timeoutMs);
  }
}

/** The samples of a metrics page. Enough for our own pages; the agent's parser is under test and not used here. */
export function parseSamples(text: string): readonly Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match === null) continue;
    const labels = new Map<string, string>();
    for (const pair of (match[2] ?? "").matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) {
      labels.set(
        pair[1]!,
        pair[2]!.replace(/\\(.)/g, (_, char: string) => (char === "n" ? "\n" : char)),
      );
    }
    const value = match[3]!.replace("+Inf", "Infinity").replace("-Inf", "-Infinity");
    samples.push({ name: match[1]!, labels, value: Number(value) });
  }
  return samples;
}
