import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { test } from "node:test";
import { runCommand } from "#app/cli";

/** Everything that is handed to users as a configuration. */
const FILES = globSync(["examples/**/*.alloy", "packaging/**/*.alloy"]).sort();

/** What the services of examples/team get from their environment. */
const TEAM = { TEAM_ENV: "production", TEAM_ROLE: "backend", MONITORING_HOST: "monitoring.example.com" };

/**
 * Carries out a command line of the agent in this process: command-line.test.ts starts processes for such, and the start is
 * most of what one takes.
 */
async function invar(args: readonly string[], environment: Readonly<Record<string, string>> = TEAM): Promise<string> {
  Object.assign(process.env, environment);
  let said = "";
  const keep = (text: string) => void (said += text);
  const code = await runCommand(args, { out: keep, error: keep });
  return code === 0 ? "" : `exit code ${code}\n${said}`;
}

test("there are examples", () => {
  assert.ok(FILES.includes("examples/this-host.alloy"));
  assert.ok(FILES.includes("examples/team/config/config.alloy"));
});

for (const file of FILES) {
  test(`${file} is valid and formatted`, async () => {
    assert.equal(await invar(["validate", "--stability.level=experimental", file]), "");
    assert.equal(await invar(["fmt", "-t", file]), "");
  });
}

for (const role of globSync("examples/team/config/roles/*.alloy").map((path) => path.replace(/^.*\/|\.alloy$/g, ""))) {
  for (const env of ["production", "qa", "sandbox"]) {
    test(`the team's configuration is valid for a ${role} in ${env}, without anything experimental`, async () => {
      const environment = { ...TEAM, TEAM_ENV: env, TEAM_ROLE: role };
      assert.equal(await invar(["validate", "examples/team/config"], environment), "");
    });
  }
}

test("the team's configuration says what is missing from the environment", async () => {
  const problem = await invar(["validate", "examples/team/config"], {
    TEAM_ENV: "",
    TEAM_ROLE: "",
    MONITORING_HOST: "",
  });
  assert.match(problem, /^exit code 1\n/);
  assert.match(problem, /import\.unreadable/);
});
