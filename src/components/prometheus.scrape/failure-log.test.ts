import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { createLogger } from "#base/log";
import { FailureLog } from "./failure-log.ts";

const quiet = createLogger({ enabled: () => false, write: () => {} });

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "failure-log-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  return folder;
}

test("a file that was renamed is followed by another one", async (t) => {
  const path = join(folderOf(t), "failures.json");
  const log = new FailureLog(quiet, () => 0);
  log.path = path;
  log.write("j", "http://a/metrics", new Error("first"));
  await log.close();
  renameSync(path, `${path}.1`);
  log.write("j", "http://a/metrics", new Error("second"));
  await log.close();
  assert.deepEqual(JSON.parse(readFileSync(`${path}.1`, "utf8")), {
    time: "1970-01-01T00:00:00.000Z",
    level: "ERROR",
    msg: "first",
    job_name: "j",
    target: "http://a/metrics",
  });
  assert.match(readFileSync(path, "utf8"), /"msg":"second"/);
  log.path = "";
  log.write("j", "http://a/metrics", new Error("third"));
  await log.close();
  assert.doesNotMatch(readFileSync(path, "utf8"), /third/);
});

test("a file that cannot be written is told, with what is missing, until it can be", async (t) => {
  const folder = folderOf(t);
  const path = join(folder, "not-there", "failures.json");
  const log = new FailureLog(quiet, () => 0);
  log.path = path;
  for (let i = 0; i < 1_500; i++) log.write("j", "http://a/metrics", new Error("x"));
  await log.close();
  const { state, cause } = log.judge()!;
  assert.equal(state, "degraded");
  assert.match(
    cause,
    /^failed scrapes cannot be logged to .*not-there.*: .*1500 lines were left out: let the agent's user write there/,
  );
  assert.ok(!existsSync(path));
  log.path = join(folder, "failures.json");
  assert.equal(log.judge(), undefined);
  log.write("j", "http://a/metrics", new Error("x"));
  await log.close();
  assert.equal(log.judge(), undefined);
});
