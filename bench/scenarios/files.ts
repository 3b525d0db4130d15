import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, waitUntil } from "../../test/kit/process.ts";
import { type Load, type Result, type RunningAgent, result, type Scenario, startAgent } from "../kit/scenario.ts";

const FILES = 10_000;
const FOLDERS = 20;
/** After this the agent has done what a start entails: positions saved, code compiled, garbage gone. */
const SETTLE_MS = 20_000;

/** Many files that were read and to which nobody writes, found by a pattern that is looked at again each ten seconds. */
async function filesIdle(load: Load): Promise<Result> {
  const logs = join(load.folder, "logs");
  const files = Math.max(100, Math.round(FILES * load.scale));
  for (let i = 0; i < FOLDERS; i++) mkdirSync(join(logs, `app-${i}`), { recursive: true });
  for (let i = 0; i < files; i++) {
    writeFileSync(join(logs, `app-${i % FOLDERS}`, `${i}.log`), `2026-11-20T12:00:00Z the only line of file ${i}\n`);
  }
  const agent = await startAgent(
    load,
    `logging {
  level = "error"
}
local.file_match "logs" {
  path_targets = [{ __path__ = "${logs}/*/*.log", job = "bench" }]
}
loki.source.file "logs" {
  targets    = local.file_match.logs.targets
  forward_to = [loki.echo.out.receiver]
}
loki.echo "out" { }
`,
  );
  try {
    await waitUntil(
      async () => (await activeFiles(load, agent)) === files,
      120_000,
      "all files are followed",
      agent.process,
    );
    const { cpuSeconds: started } = agent.process.usage();
    await sleep(SETTLE_MS * load.scale);
    const before = agent.process.usage();
    const seconds = Math.max(2, 60 * load.scale);
    await sleep(seconds * 1_000);
    const usage = agent.process.usage();
    const cpu = usage.cpuSeconds - before.cpuSeconds;
    const counts = { items: files, bytes: 0, lost: 0, duplicated: 0, cpuSecondsBefore: before.cpuSeconds, usage };
    const cpu_share = cpu / seconds;
    return {
      ...result(load, "files-idle", agent, counts, {
        start_cpu_seconds: started,
        idle_rss_bytes: usage.rssBytes,
        cpu_share,
      }),
      note: `${files} idle files: ${(cpu_share * 100).toFixed(2)} % of a core, ${(usage.rssBytes / 1e6).toFixed(0)} MB; until all were followed ${started.toFixed(1)} CPU-s`,
    };
  } finally {
    await agent.process.stop();
  }
}

async function activeFiles(load: Load, { port }: RunningAgent): Promise<number> {
  await sleep(load.scale < 1 ? 200 : 5_000); // the page of so many series costs the agent more than the files do
  const page = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return Number(/^loki_source_file_files_active_total\{[^}]*\} ([0-9.e+]+)/m.exec(page)?.[1] ?? 0);
}

export const fileScenarios: readonly Scenario[] = [
  {
    name: "files-idle",
    summary: "10,000 files that are followed and do not grow: share of a core, memory",
    run: filesIdle,
  },
];
