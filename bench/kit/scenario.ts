import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, MeasuredProcess, type Usage, waitUntil } from "../../test/kit/process.ts";

/** What one run of a scenario gave. Keys are those of `--json`. */
export interface Result {
  readonly scenario: string;
  readonly agent: string;
  readonly items: number;
  readonly cpu_seconds: number;
  readonly items_per_cpu_second: number;
  readonly bytes_per_cpu_second: number;
  readonly peak_rss_bytes: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly [extra: string]: number | string;
}

export interface Load {
  /** 1 for the real thing; the short run of CI uses a small fraction. */
  readonly scale: number;
  readonly agent: AgentCommand;
  readonly folder: string;
}

export interface Scenario {
  readonly name: string;
  readonly summary: string;
  run(load: Load): Promise<Result>;
}

/** How an agent is started: `{config}`, `{listen}` and `{storage}` in the command are filled in. */
export interface AgentCommand {
  readonly name: string;
  readonly command: string;
}

export interface RunningAgent {
  readonly process: MeasuredProcess;
  readonly port: number;
  readonly readyMs: number;
}

/** Starts an agent on an Alloy configuration and waits until it is ready. */
export async function startAgent(load: Load, config: string): Promise<RunningAgent> {
  const path = join(load.folder, "bench.alloy");
  writeFileSync(path, config);
  const port = await freePort();
  const command = load.agent.command
    .replaceAll("{config}", path)
    .replaceAll("{listen}", `127.0.0.1:${port}`)
    .replaceAll("{storage}", join(load.folder, "data"));
  const process = new MeasuredProcess(command);
  try {
    await waitUntil(() => isReady(port), 60_000, "start", process);
  } catch (error) {
    await process.stop();
    throw error;
  }
  return { process, port, readyMs: performance.now() - process.startedAt };
}

async function isReady(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/-/ready`)).status === 200;
  } catch {
    return false;
  }
}

/** Runs `work` with an empty folder, which is gone afterwards. */
export async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "invar-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export function result(
  load: Load,
  scenario: string,
  agent: RunningAgent,
  counts: { items: number; bytes: number; lost: number; duplicated: number; cpuSecondsBefore?: number; usage?: Usage },
  extra: Readonly<Record<string, number>> = {},
): Result {
  const usage = counts.usage ?? agent.process.usage();
  const cpu = usage.cpuSeconds - (counts.cpuSecondsBefore ?? 0);
  return {
    scenario,
    agent: load.agent.name,
    items: counts.items,
    cpu_seconds: cpu,
    items_per_cpu_second: counts.items / Math.max(cpu, 0.01),
    bytes_per_cpu_second: counts.bytes / Math.max(cpu, 0.01),
    peak_rss_bytes: usage.peakRssBytes,
    lost: counts.lost,
    duplicated: counts.duplicated,
    ready_ms: Math.round(agent.readyMs),
    ...extra,
  };
}
