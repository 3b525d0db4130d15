import { sleep } from "../../test/kit/process.ts";
import { type Load, type Result, result, type Scenario, startAgent } from "../kit/scenario.ts";

/** A small configuration with something in it that runs, but nothing to do. */
const SMALL = `
local.file_match "logs" {
  path_targets = [{ __path__ = "/var/empty/*.log" }]
}
loki.source.file "logs" {
  targets    = local.file_match.logs.targets
  forward_to = [loki.echo.out.receiver]
}
loki.echo "out" { }
`;

async function idle(load: Load): Promise<Result> {
  const agent = await startAgent(load, SMALL);
  try {
    await sleep(load.scale < 1 ? 200 : 2_000);
    const before = agent.process.usage();
    const seconds = Math.max(1, 20 * load.scale);
    await sleep(seconds * 1000);
    const usage = agent.process.usage();
    const cpu = usage.cpuSeconds - before.cpuSeconds;
    const counts = { items: 0, bytes: 0, lost: 0, duplicated: 0, cpuSecondsBefore: before.cpuSeconds };
    return result(load, "idle", agent, counts, { idle_rss_bytes: usage.rssBytes, cpu_share: cpu / seconds });
  } finally {
    await agent.process.stop();
  }
}

async function start(load: Load): Promise<Result> {
  const times: number[] = [];
  let last: Result | undefined;
  for (let i = 0; i < Math.max(2, Math.round(7 * load.scale)); i++) {
    const agent = await startAgent(load, SMALL);
    times.push(agent.readyMs);
    last = result(load, "start", agent, { items: 1, bytes: 0, lost: 0, duplicated: 0 });
    await agent.process.stop();
  }
  times.sort((a, b) => a - b);
  return { ...last!, ready_ms: Math.round(times[Math.floor(times.length / 2)]!), fastest_ms: Math.round(times[0]!) };
}

export const idleScenarios: readonly Scenario[] = [
  { name: "idle", summary: "memory and CPU with a small configuration and nothing to do", run: idle },
  { name: "start", summary: "time from the start of the process until it is ready, median", run: start },
];
