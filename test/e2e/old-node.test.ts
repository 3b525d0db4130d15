import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../kit/agent.ts";

const LAUNCHER = fileURLToPath(new URL("../../tools/node.mjs", import.meta.url));

/** A copy of the launcher in a checkout where no Node was installed, in a process that says it is another version. */
function launch(t: Parameters<typeof temporaryFolder>[0], version: string) {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "tools"));
  cpSync(LAUNCHER, join(folder, "tools/node.mjs"));
  writeFileSync(join(folder, "script.mjs"), "console.log('it runs'); process.exitCode = 7;\n");
  const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });
Object.defineProperty(process, "version", { value: "v${version}" });`;
  writeFileSync(join(folder, "pretend.cjs"), pretend);
  return spawnSync(
    process.execPath,
    ["--require", join(folder, "pretend.cjs"), join(folder, "tools/node.mjs"), join(folder, "script.mjs")],
    { encoding: "utf8" },
  );
}

test("an old Node without the project's own beside it gets one line that says so", (t) => {
  const { status, stdout, stderr } = launch(t, "20.19.2");
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /^Invar needs Node 24 or newer; this is v20\.19\.2, .*\n$/);
  assert.equal(stderr.trim().split("\n").length, 1);
});

test("a new enough one runs the script and passes its exit code on", (t) => {
  const { status, stdout } = launch(t, "24.0.0");
  assert.equal(status, 7);
  assert.equal(stdout, "it runs\n");
});
