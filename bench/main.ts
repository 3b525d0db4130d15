import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { START_FLAGS } from "#app/v8-flags";
import { type AgentCommand, type Result, type Scenario, withFolder } from "./kit/scenario.ts";
import { measureYardstick, REFERENCE_YARDSTICK } from "./kit/yardstick.ts";
import { bridgeScenarios } from "./scenarios/bridges.ts";
import { fileScenarios } from "./scenarios/files.ts";
import { hostScenarios } from "./scenarios/host.ts";
import { idleScenarios } from "./scenarios/idle.ts";
import { logScenarios } from "./scenarios/logs.ts";
import { metricScenarios, runPeer } from "./scenarios/metrics.ts";
import { otlpScenarios } from "./scenarios/otlp.ts";
import { queueScenarios } from "./scenarios/queue-restart.ts";
import { spanConnectorScenarios } from "./scenarios/span-connectors.ts";
import { tailSamplingScenarios } from "./scenarios/tail-sampling.ts";
import { tapScenarios } from "./scenarios/tap.ts";
import { workerScenarios } from "./scenarios/workers.ts";

const SCENARIOS: readonly Scenario[] = [
  ...idleScenarios,
  ...hostScenarios,
  ...fileScenarios,
  ...logScenarios,
  ...workerScenarios,
  ...metricScenarios,
  ...queueScenarios,
  ...otlpScenarios,
  ...bridgeScenarios,
  ...spanConnectorScenarios,
  ...tailSamplingScenarios,
  ...tapScenarios,
];

const OWN: AgentCommand = {
  name: "invar",
  command: `"${process.execPath}" ${START_FLAGS.join(" ")} src/app/main.ts run --stability.level=experimental --server.http.listen-addr={listen} --storage.path={storage} {config}`,
};

const RELEASE: AgentCommand = {
  name: "dist/invar",
  command:
    "dist/invar run --stability.level=experimental --server.http.listen-addr={listen} --storage.path={storage} {config}",
};

const HELP = `Measures an agent from outside: items per CPU-second (user and system), memory, loss, repeats.

npm run bench -- [SCENARIO…] [--json] [--short] [--agent 'COMMAND'] [--peer]

  --agent   any Alloy-compatible program; {config}, {listen} (host:port) and {storage} are filled in. May be repeated:
            all agents get the same load in the same run.
  --release the single executable (npm run build) instead of the sources
  --peer    also Prometheus in agent mode and vmagent, on the load of scrape-50k
  --short   a small load that only shows that everything works
  --json    one JSON object a line

Scenarios:
${SCENARIOS.map((each) => `  ${each.name.padEnd(30)}${each.summary}`).join("\n")}
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    agent: { type: "string", multiple: true },
    json: { type: "boolean" },
    peer: { type: "boolean" },
    release: { type: "boolean" },
    short: { type: "boolean" },
    help: { type: "boolean", short: "h" },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const unknown = positionals.filter((name) => !SCENARIOS.some((each) => each.name === name));
if (unknown.length > 0) {
  process.stderr.write(`unknown scenario ${unknown.join(", ")}\n\n${HELP}`);
  process.exit(2);
}
const chosen = positionals.length === 0 ? SCENARIOS : SCENARIOS.filter((each) => positionals.includes(each.name));
const agents = values.agent?.map((command, i) => ({ name: `agent-${i + 1}`, command })) ?? [
  values.release ? RELEASE : OWN,
];
const scale = values.short ? 0.01 : 1;
/** How many scenarios of a short run are under way at once. */
const LANES = 3;
let failed = false;

if (!values.short) {
  const yardstick = measureYardstick();
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ yardstick, reference_yardstick: REFERENCE_YARDSTICK })}\n`
      : `yardstick ${yardstick.toFixed(2)}, ${(yardstick / REFERENCE_YARDSTICK).toFixed(2)} of the machine on which the goals were set\n`,
  );
}
const runsOf = (scenario: Scenario) =>
  agents.map(
    (agent) => () => report(() => withFolder((folder) => scenario.run({ scale, agent, folder })), scenario.name),
  );
if (values.short) {
  // Nothing is measured, so that some run at once, and the agent's sources are compiled once. What sends at a pace of its own
  // comes last and has the machine for itself.
  process.env.NODE_COMPILE_CACHE ??= resolve("node_modules/.cache/compile");
  const paced = chosen.filter((scenario) => tailSamplingScenarios.includes(scenario));
  const runs = chosen.filter((scenario) => !paced.includes(scenario)).flatMap(runsOf);
  const lane = async () => {
    for (let run = runs.shift(); run !== undefined; run = runs.shift()) await run();
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  for (const run of paced.flatMap(runsOf)) await run();
} else {
  for (const run of chosen.flatMap(runsOf)) await run();
}
if (values.peer) {
  const own = await report(
    () => withFolder((folder) => scenarioNamed("scrape-50k").run({ scale, agent: agents[0]!, folder })),
    "scrape-50k",
  );
  for (const peer of ["prometheus", "vmagent"] as const) {
    const theirs = await report(() => withFolder((folder) => runPeer({ scale, agent: OWN, folder }, peer)), peer);
    if (own === undefined || theirs === undefined || values.json) continue;
    const speed = own.items_per_cpu_second / theirs.items_per_cpu_second;
    const memory = own.peak_rss_bytes / theirs.peak_rss_bytes;
    process.stdout.write(
      `  against ${peer}: ${speed.toFixed(2)} times the samples per CPU-second, ${memory.toFixed(2)} times the memory\n`,
    );
  }
}
process.exitCode = failed ? 1 : 0;

async function report(run: () => Promise<Result>, name: string): Promise<Result | undefined> {
  try {
    const result = await run();
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : line(result));
    if (result.lost > 0) {
      process.stderr.write(`${name}: ${result.lost} items were lost\n`);
      failed = true;
    }
    return result;
  } catch (error) {
    process.stderr.write(`${name} failed: ${(error as Error).stack}\n`);
    failed = true;
    return undefined;
  }
}

function scenarioNamed(name: string): Scenario {
  return SCENARIOS.find((each) => each.name === name)!;
}

function line(result: Result): string {
  const rate = `${(result.items_per_cpu_second / 1e6).toFixed(3)} M/cpu-s`;
  const bytes = `${(result.bytes_per_cpu_second / 1e6).toFixed(0)} MB/cpu-s`;
  const rss = `${(result.peak_rss_bytes / 1e6).toFixed(0)} MB peak`;
  const { scenario, agent, items, cpu_seconds, lost, duplicated, ready_ms, note } = result;
  return `${scenario.padEnd(24)}${agent.padEnd(12)}${String(items).padStart(10)} items ${cpu_seconds.toFixed(2).padStart(7)} cpu-s ${rate.padStart(16)} ${bytes.padStart(14)} ${rss.padStart(12)}  lost ${lost}  repeated ${duplicated}  ready ${ready_ms} ms${note === undefined ? "" : `\n  ${note}`}\n`;
}
