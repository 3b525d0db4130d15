import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, MeasuredProcess, waitUntil } from "../test/kit/process.ts";

/**
 * Runs the quick start as the README has it (after `npm run page`), on free ports, and asks the viewer for all three signals: this host's
 * metrics, its log lines, and a trace that an application sends. Fails if one of them does not show within a minute.
 */

const folder = mkdtempSync(join(tmpdir(), "invar-smoke-"));
const port = await freePort();
const agent = new MeasuredProcess(
  `"${process.execPath}" tools/node.mjs src/app/main.ts run --stability.level=experimental --server.http.listen-addr=127.0.0.1:${port} --storage.path=${folder}/data examples/this-host.alloy`,
);
const base = `http://127.0.0.1:${port}`;

async function json(path: string): Promise<unknown> {
  const response = await fetch(base + path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return response.json();
}

async function sendTrace(): Promise<void> {
  const now = BigInt(Date.now()) * 1_000_000n;
  const span = {
    traceId: "5b8efff798038103d269b633813fc60c",
    spanId: "eee19b7ec3c1b174",
    name: "smoke test",
    kind: 2,
    startTimeUnixNano: String(now - 5_000_000n),
    endTimeUnixNano: String(now),
  };
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "smoke" } }] };
  const body = JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] });
  const headers = { "content-type": "application/json" };
  const response = await fetch("http://127.0.0.1:4318/v1/traces", { method: "POST", headers, body });
  if (!response.ok) throw new Error(`the OTLP receiver answered ${response.status}: ${await response.text()}`);
}

try {
  await waitUntil(
    async () => (await fetch(`${base}/-/ready`).catch(() => undefined))?.ok === true,
    30_000,
    "start",
    agent,
  );
  process.stdout.write(`ready after ${Math.round(performance.now() - agent.startedAt)} ms\n`);
  const page = await (await fetch(`${base}/`)).text();
  if (!page.includes("<html")) throw new Error("the page is not served");
  if (!(await fetch(`${base}/main.js`)).ok) throw new Error("the page's script is not served");
  await sendTrace();
  const viewer = "/api/v0/component/invar.viewer.local";
  const shows = async (path: string, text: string) => JSON.stringify(await json(`${viewer}/${path}`)).includes(text);
  await waitUntil(
    () => shows("series?filter=node_cpu_seconds_total", "node_cpu_seconds_total"),
    60_000,
    "host metrics",
    agent,
  );
  await waitUntil(
    () => shows("series?filter=alloy_build_info", "alloy_build_info"),
    60_000,
    "the agent's own metrics",
    agent,
  );
  await waitUntil(() => shows("logs", '"line"'), 60_000, "log lines", agent);
  await waitUntil(() => shows("traces?filter=smoke", "smoke test"), 60_000, "traces", agent);
  process.stdout.write(`all signals show after ${Math.round(performance.now() - agent.startedAt)} ms\n`);
  const { components } = (await json("/api/v0/web/status")) as {
    components: { id: string; health: { state: string; message: string } }[];
  };
  const sick = components.filter((each) => each.health.state !== "healthy");
  if (sick.length > 0) throw new Error(`unhealthy: ${JSON.stringify(sick)}`);
} finally {
  await agent.stop();
  rmSync(folder, { recursive: true, force: true });
}
