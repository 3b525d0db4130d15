import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseCommandLine } from "../command-line.ts";
import { FEATURE_FLAGS } from "../run-flags.ts";
import { pipelineOfPath } from "./unstarted-pipeline.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const LINE = parseCommandLine(["--stability.level=experimental"], FEATURE_FLAGS);

async function warnings(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  await pipelineOfPath(path, "", LINE, (message) => void found.push(message));
  return found;
}

test("no false alarm about the wiring of what we hand out, and of what Alloy's documentation shows", async (t) => {
  const documented = globSync("src/app/unstarted/testdata/*.alloy", { cwd: ROOT });
  assert.equal(documented.length, 5);
  const packaged = globSync("packaging/**/*.alloy", { cwd: ROOT });
  for (const path of ["examples/this-host.alloy", ...packaged, ...documented])
    await t.test(path, async () => assert.deepEqual(await warnings(ROOT + path), []));
  const roles = globSync("examples/team/config/roles/*.alloy", { cwd: ROOT });
  assert.ok(roles.length > 1);
  const environment = { TEAM_ENV: "qa", MONITORING_HOST: "monitoring.example.com" };
  Object.assign(process.env, environment);
  for (const role of roles) {
    const name = role.replace(/^.*\/|\.alloy$/g, "");
    process.env.TEAM_ROLE = name;
    await t.test(`the team's ${name}`, async () => assert.deepEqual(await warnings(`${ROOT}examples/team/config`), []));
  }
  for (const name of ["TEAM_ROLE", ...Object.keys(environment)]) delete process.env[name];
});

test("a module of a configuration that does not run: its nodes, without any state", async () => {
  const path = `${ROOT}examples/this-host.alloy`;
  const drawn = await pipelineOfPath(path, "", LINE, () => {});
  assert.deepEqual(
    drawn.nodes.filter(({ state, rates, cause }) => state !== null || rates !== null || cause !== ""),
    [],
  );
  const edge = drawn.edges.find(({ from }) => from === "loki.source.file.var_log")!;
  assert.deepEqual(edge, {
    from: "loki.source.file.var_log",
    to: "loki.write.out",
    kind: "data",
    signal: "logs",
    itemsPerSecond: 0,
    bytesPerSecond: 0,
    items: 0,
    dropped: 0,
    waiting: 0,
  });
  await assert.rejects(
    pipelineOfPath(path, "no.such", LINE, () => {}),
    /has no module "no\.such"/,
  );
});
