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
    this.#child.on("exit", () => {
      this.#exited = true;
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
    let ticks = 0;
    let rssBytes = 0;
    let peakRssBytes = 0;
    for (const pid of this.#tree()) {
      const fields = readProc(pid, "stat")
        ?.replace(/^.*\) /s, "")
        .split(" ");
      const status = readProc(pid, "status");
      if (fields === undefined || status === undefined) continue;
      // utime, stime, and those of ended children
      ticks += Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14]);
      rssBytes += kilobytes(status, "VmRSS");
      peakRssBytes += kilobytes(status, "VmHWM");
    }
    this.#peak = Math.max(this.#peak, peakRssBytes);
    return { cpuSeconds: ticks / TICKS_PER_SECOND, rssBytes, peakRssBytes: this.#peak };
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

/** A port of the loopback interface that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
