import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";

/** Clock ticks a second of /proc; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Usage {
  /** User and system time, of the process and everything it started. */
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  readonly rssBytes: number;
}

/** A program under measurement, with everything it starts. */
export class MeasuredProcess {
  readonly #child: ChildProcess;
  readonly startedAt = performance.now();
  #output = "";
  #exited = false;
  #peak = 0;

  /** `command` is split at spaces; quotes keep words together. */
  constructor(command: string, environment: Readonly<Record<string, string>> = {}) {
    const [program, ...args] = words(command);
    this.#child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...environment } });
    const keep = (data: Buffer) => {
      this.#output = (this.#output + data.toString()).slice(-20_000);
    };
    this.#child.stdout!.on("data", keep);
    this.#child.stderr!.on("data", keep);
    // A run that fails in the middle leaves nothing behind.
    const end = () => this.#child.kill("SIGKILL");
    process.once("exit", end);
    this.#child.on("exit", () => {
      this.#exited = true;
      process.removeListener("exit", end);
    });
    this.#child.on("error", (error) => {
      this.#exited = true;
      this.#output += String(error);
    });
  }

  /** The end of what it wrote, for error messages. */
  get output(): string {
    return this.#output;
  }
  get exited(): boolean {
    return this.#exited;
  }

  usage(): Usage {
    let cpu = 0;
    let rssBytes = 0;
    let peakRssBytes = 0;
    for (const pid of this.#tree()) {
      const status = readProc(pid, "status");
      if (status === undefined) continue;
      cpu += cpuSeconds(pid);
      rssBytes += kilobytes(status, "VmRSS");
      peakRssBytes += kilobytes(status, "VmHWM");
    }
    this.#peak = Math.max(this.#peak, peakRssBytes);
    return { cpuSeconds: cpu, rssBytes, peakRssBytes: this.#peak };
  }

  /** User and system time in seconds of each of its threads that still runs, the main one first. */
  threadSeconds(): number[] {
    const pid = this.#child.pid!;
    return readdirSync(`/proc/${pid}/task`)
      .sort((a, b) => Number(a) - Number(b))
      .map((thread) => {
        const fields = readProc(pid, `task/${thread}/stat`)
          ?.replace(/^.*\) /s, "")
          .split(" ");
        return fields === undefined ? 0 : (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
      });
  }

  /** Ends it: asks, waits, insists. */
  async stop(graceMs = 20_000): Promise<void> {
    if (this.#exited) return;
    const gone = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), graceMs);
    await gone;
    clearTimeout(timer);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #tree(): number[] {
    const children = new Map<number, number[]>();
    for (const name of readdirSync("/proc")) {
      const pid = Number(name);
      if (!Number.isInteger(pid)) continue;
      const parent = Number(
        readProc(pid, "stat")
          ?.replace(/^.*\) /s, "")
          .split(" ")[1],
      );
      if (Number.isInteger(parent)) children.set(parent, [...(children.get(parent) ?? []), pid]);
    }
    const tree = [this.#child.pid!];
    for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]!) ?? []));
    return tree;
  }
}

/** User and system time of a process and of its children that have ended; 0 when it has ended itself. */
export function cpuSeconds(pid: number): number {
  const fields = readProc(pid, "stat")
    ?.replace(/^.*\) /s, "")
    .split(" ");
  if (fields === undefined) return 0;
  const [user, system, childrenUser, childrenSystem] = fields.slice(11, 15).map(Number) as [
    number,
    number,
    number,
    number,
  ];
  return (user + system + childrenUser + childrenSystem) / TICKS_PER_SECOND;
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return undefined; // ended in between
  }
}

function kilobytes(status: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0) * 1024;
}

function words(command: string): string[] {
  return [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3]!);
}

/**
 * Milliseconds that a test waits at most for what has to come, whatever else the machine does: three files of tests and
 * what they start share two slow cores in CI. Longer than the pause of the agent's log between two lines about a trouble.
 */
export const WAIT_MS = 90_000;

export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks `check` every 20 ms until it holds. Rejects after `timeoutMs` with `what` and the process's last words. */
export async function waitUntil(
  check: () => boolean | Promise<boolean>,
  timeoutMs: number,
  what: string,
  agent?: MeasuredProcess,
): Promise<void> {
  const until = performance.now() + timeoutMs;
  while (!(await check())) {
    if (agent?.exited) throw new Error(`${what}: the agent ended\n${agent.output}`);
    if (performance.now() > until) throw new Error(`${what}: not within ${timeoutMs} ms\n${agent?.output ?? ""}`);
    await sleep(20);
  }
}

/** Below the ports that the kernel gives to sockets without one (ip_local_port_range): none of those comes in between. */
const FIRST_PORT = 10_240;
const PORTS = 20_000;
let nextPort = Math.floor(Math.random() * PORTS);

/**
 * A port of the loopback interface that nobody listens on, and that no other process of the tests is given while this one
 * runs: the one who asked may need seconds until it listens.
 */
export async function freePort(): Promise<number> {
  for (let i = 0; i < PORTS; i++) {
    const port = FIRST_PORT + (nextPort++ % PORTS);
    if ((await isClaimed(port)) && (await isFree(port))) return port;
  }
  throw new Error("no port is free");
}

/** Takes a name for the port that the kernel has once, and takes back with the process. Elsewhere than on Linux chance has to do. */
async function isClaimed(port: number): Promise<boolean> {
  if (process.platform !== "linux") return true;
  const claim = createServer().unref();
  const taken = new Promise<boolean>((resolve) => {
    claim.once("listening", () => resolve(true));
    claim.once("error", () => resolve(false));
  });
  claim.listen(`\0invar-test-port-${port}`);
  return taken;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const bound = new Promise<boolean>((resolve) => {
    server.once("listening", () => server.close(() => resolve(true)));
    server.once("error", () => resolve(false));
  });
  server.listen(port, "127.0.0.1");
  return bound;
}
