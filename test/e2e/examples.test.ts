import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { test } from "node:test";

/** Everything that is handed to users as a configuration. */
const FILES = globSync(["examples/**/*.alloy", "packaging/**/*.alloy"]).sort();

/** What the services of examples/team get from their environment. */
const TEAM = { TEAM_ENV: "production", TEAM_ROLE: "backend", MONITORING_HOST: "monitoring.example.com" };

function invar(args: readonly string[], environment: Readonly<Record<string, string>> = TEAM): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["src/app/main.ts", ...args], {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  return status === 0 ? "" : `exit code ${status}\n${stdout}${stderr}`;
}

test("there are examples", () => {
  assert.ok(FILES.includes("examples/this-host.alloy"));
  assert.ok(FILES.includes("examples/team/config/config.alloy"));
});

for (const file of FILES) {
  test(`${file} is valid and formatted`, () => {
    assert.equal(invar(["validate", "--stability.level=experimental", file]), "");
    assert.equal(invar(["fmt", "-t", file]), "");
  });
}

for (const role of globSync("examples/team/config/roles/*.alloy").map((path) => path.replace(/^.*\/|\.alloy$/g, ""))) {
  for (const env of ["production", "qa", "sandbox"]) {
    test(`the team's configuration is valid for a ${role} in ${env}, without anything experimental`, () => {
      const environment = { ...TEAM, TEAM_ENV: env, TEAM_ROLE: role };
      assert.equal(invar(["validate", "examples/team/config"], environment), "");
    });
  }
}

test("the team's configuration says what is missing from the environment", () => {
  const problem = invar(["validate", "examples/team/config"], { TEAM_ENV: "", TEAM_ROLE: "", MONITORING_HOST: "" });
  assert.match(problem, /^exit code 1\n/);
  assert.match(problem, /import\.unreadable/);
});
