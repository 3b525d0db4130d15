import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { Secret } from "#lang/value";
import { startComponent } from "#pipeline/testing";
import localFile from "./local.file.ts";

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "local-file-"));
  cleanUp(t, () => rmSync(path, { recursive: true }));
  return path;
}

async function start(t: TestContext, filename: string, more = "") {
  const component = await startComponent(localFile, `filename = ${JSON.stringify(filename)}\n${more}`);
  cleanUp(t, () => component.stop());
  return component;
}

for (const detector of ["fsnotify", "poll"]) {
  test(`${detector}: exports the content at once, and again when it changes`, async (t) => {
    const path = join(folder(t), "file");
    writeFileSync(path, "one");
    const poll = detector === "poll" ? "50ms" : "1h";
    const component = await start(t, path, `detector = "${detector}"\npoll_frequency = "${poll}"`);
    assert.deepEqual(component.exports, { content: "one" });
    assert.equal(component.flow.status.state, "ok");
    assert.ok(Math.abs(component.metric("local_file_timestamp_last_accessed_unix_seconds")! - Date.now() / 1000) < 10);
    writeFileSync(path, "two");
    await until(() => component.exports.content === "two", "written in place");
    writeFileSync(`${path}.new`, "three");
    renameSync(`${path}.new`, path);
    await until(() => component.exports.content === "three", "replaced");
    assert.equal(component.exported.length, 3);
  });
}

test("a file that goes keeps its last content in use, with a status that says so, until it is back", async (t) => {
  const path = join(folder(t), "file");
  writeFileSync(path, "one");
  const component = await start(t, path, 'poll_frequency = "20ms"');
  rmSync(path);
  await until(() => component.problem !== undefined, "unhealthy");
  assert.equal(component.problem, `cannot read ${path}: there is no such file; create it or correct \`filename\``);
  const { state, rule, cause } = component.flow.status;
  assert.deepEqual([state, rule], ["failing", "file_unreadable"]);
  assert.match(cause, /there is no such file.* What it last held is in use, and has been for /);
  assert.deepEqual(component.exports, { content: "one" });
  await until(() => component.flow.failures > 1, "read once more");
  assert.equal(component.logs.filter(({ level }) => level === "error").length, 1);
  writeFileSync(path, "one");
  await until(() => component.problem === undefined, "healthy again");
  assert.equal(component.flow.status.state, "ok");
  assert.equal(component.exported.length, 1);
});

test("a link is followed to where it newly leads, as Kubernetes changes mounted files", async (t) => {
  const root = folder(t);
  for (const each of ["a", "b"]) {
    mkdirSync(join(root, each));
    writeFileSync(join(root, each, "file"), each);
  }
  symlinkSync("a", join(root, "..data"));
  symlinkSync("..data/file", join(root, "file"));
  const component = await start(t, join(root, "file"), 'poll_frequency = "1h"');
  assert.equal(component.exports.content, "a");
  symlinkSync("b", join(root, "..new"));
  renameSync(join(root, "..new"), join(root, "..data"));
  await until(() => component.exports.content === "b", "the link changed");
});

test("a secret is exported as one", async (t) => {
  const path = join(folder(t), "file");
  writeFileSync(path, "s3cret\n");
  const component = await start(t, path, "is_secret = true");
  const { content } = component.exports;
  assert.ok(content instanceof Secret);
  assert.equal(content.reveal(), "s3cret\n");
});

test("without the file it does not start", async (t) => {
  const root = folder(t);
  await assert.rejects(start(t, join(root, "none")), /cannot read .*none: there is no such file/);
  await assert.rejects(start(t, root), /it is a folder; name a file in it/);
  await assert.rejects(start(t, join(root, "none"), 'poll_frequency = "0s"'), /must be greater than 0/);
});
