import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { createAuthority, type TestCertificate } from "#kits/certificates.testing";
import { startAgent, type TestAgent, temporaryFolder } from "./agent.ts";
import { assertSamePage, seriesOf } from "./exporter-page.ts";
import { freePort, WAIT_MS, waitUntil } from "./process.ts";

/** Tries probes of `prometheus.exporter.blackbox` beside Debian's prometheus-blackbox-exporter. */

const PEER = "/usr/bin/prometheus-blackbox-exporter";
const ID = "prometheus.exporter.blackbox.all";
const DAY_MS = 86_400_000;

export interface ProbeCase {
  /** Of its module. */
  readonly name: string;
  /** The prober, and what stands behind it in the module. */
  readonly module: string;
  readonly target: string;
  /** What is said about a probe that fails; undefined for one that succeeds. */
  readonly problem?: RegExp;
  /** The probe's other parameters. */
  readonly more?: Readonly<Record<string, string>>;
  /** Why only this agent is asked. */
  readonly ours?: string;
}

/** Certificates for servers of probes, and files for their modules. */
export interface ProbeFiles {
  readonly good: TestCertificate;
  readonly expired: TestCertificate;
  /** For another host. */
  readonly other: TestCertificate;
  /** The `tls_config` that trusts them. */
  readonly tls: string;
  readonly ca: string;
  file(name: string, text: string): string;
}

export function prepareFiles(t: TestContext): ProbeFiles {
  const authority = createAuthority();
  const folder = temporaryFolder(t);
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const ca = file("ca.pem", authority.cert);
  return {
    good: authority.issue({ commonName: "probe.test", names: ["localhost", "127.0.0.1", "probe.test"] }),
    expired: authority.issue({ notBefore: Date.now() - 9 * DAY_MS, notAfter: Date.now() - DAY_MS }),
    other: authority.issue({ names: ["elsewhere.test"] }),
    tls: `tls_config: { ca_file: ${ca} }`,
    ca,
    file,
  };
}

/**
 * Has both exporters run all probes, and fails for each that gives another page, or another reason than it should. Gives
 * the agent.
 */
export async function compareProbes(t: TestContext, cases: readonly ProbeCase[]): Promise<TestAgent> {
  const folder = temporaryFolder(t);
  const shared = join(folder, "shared.yml");
  writeFileSync(shared, modulesOf(cases.filter(({ ours }) => ours === undefined)));
  const own = join(folder, "own.yml");
  writeFileSync(own, modulesOf(cases));
  const theirs = await startPeer(t, shared);
  const agent = await startAgent(t, `prometheus.exporter.blackbox "all" { config_file = "${own}" }`);
  const problems: string[] = [];
  const check = async (each: ProbeCase) => {
    try {
      const page = await pageOf(agent, each);
      assert.equal(seriesOf(page).get("probe_success{}")?.value, each.problem === undefined ? 1 : 0);
      if (each.ours !== undefined) return;
      assertSamePage(page, await theirs(each), { series: [], moving: /duration_seconds|lookup_time/ });
    } catch (error) {
      const reason = (await reasons(agent)).get(each.name);
      problems.push(`${each.name}: ${reason}: ${(error as Error).message}`);
    }
  };
  await Promise.all(cases.map(check));
  assert.deepEqual(problems, []);
  const said = await reasons(agent);
  for (const { name, problem } of cases) assert.match(said.get(name)!, problem ?? /^$/, name);
  const { flow } = await agent.component(ID);
  const failed = cases.filter(({ problem }) => problem !== undefined);
  assert.deepEqual([flow.state, flow.rule], ["degraded", "probe_failed"]);
  const count = `${failed.length} of ${cases.length}`;
  assert.match(flow.cause, new RegExp(`^probes of ${count} targets fail: .*; and ${failed.length - 3} more$`));
  return agent;
}

function modulesOf(cases: readonly ProbeCase[]): string {
  return `modules:\n${cases.map(({ name, module }) => `  ${name}: { prober: ${module} }`).join("\n")}\n`;
}

function queryOf({ name, target, more }: ProbeCase): URLSearchParams {
  return new URLSearchParams({ module: name, target, ...more });
}

async function pageOf(agent: TestAgent, each: ProbeCase): Promise<string> {
  const response = await agent.api(`/api/v0/component/${ID}/metrics?${queryOf(each)}`);
  const page = await response.text();
  assert.equal(response.status, 200, page);
  return page;
}

async function startPeer(t: TestContext, file: string): Promise<(each: ProbeCase) => Promise<string>> {
  const port = await freePort();
  const args = [`--config.file=${file}`, `--web.listen-address=127.0.0.1:${port}`];
  const child = spawn(PEER, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (data: Buffer) => void (said = (said + data).slice(-2000)));
  const gone = once(child, "exit");
  cleanUp(t, async () => {
    child.kill("SIGKILL");
    await gone;
  });
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => child.exitCode !== null,
    );
  await waitUntil(answers, WAIT_MS, "the other exporter answers");
  assert.equal(child.exitCode, null, said);
  return async (each) => (await fetch(`http://127.0.0.1:${port}/probe?${queryOf(each)}`)).text();
}

/** Why the last probe of each module failed, by debug info; empty for one that succeeded. */
async function reasons(agent: TestAgent): Promise<ReadonlyMap<string, string>> {
  const response = await agent.api(`/api/v0/web/components/${ID}`);
  const { debugInfo } = (await response.json()) as {
    debugInfo: { body: { name: string; value: { value: string } }[] }[];
  };
  const targets = debugInfo.map(({ body }) => new Map(body.map(({ name, value }) => [name, value.value])));
  return new Map(targets.map((each) => [each.get("module")!, each.get("problem")!]));
}
