import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { startComponent } from "#pipeline/testing";
import component from "./local.file_match.ts";

const fastClock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 100, signal) };

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "file-match-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function eventually(check: () => boolean, what: () => unknown): Promise<void> {
  const end = performance.now() + 60_000;
  while (!check()) {
    if (performance.now() > end) throw new Error(`it did not come about: ${String(what())}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const start = (entries: string, more = "") =>
  startComponent(component, `path_targets = [${entries}]\nsync_period = "1s"\n${more}`, { clock: fastClock });

test("finds files, keeps labels, leaves out excluded ones and directories, and follows changes", async () => {
  await using place = await folder();
  await mkdir(join(place.path, "sub.log"));
  for (const name of ["a.log", "b.txt", "skip.log", "sub.log/c.log"]) await writeFile(join(place.path, name), "");
  const entry = `{ __path__ = "${place.path}/**/*.log", __path_exclude__ = "${place.path}/skip*", job = "x" }`;
  await using match = await start(entry);
  const paths = () => match.exports.targets.map((each) => each.get("__path__")!.slice(place.path.length + 1));
  await eventually(() => paths().length > 0, paths);
  assert.deepEqual(paths(), ["a.log", "sub.log/c.log"]);
  assert.equal(match.exports.targets[0]!.get("job"), "x");
  assert.equal(match.exports.targets[0]!.get("__path_exclude__"), `${place.path}/skip*`);
  assert.equal(match.flow.status.state, "ok");
  await writeFile(join(place.path, "d.log"), "");
  await eventually(() => paths().length === 3, paths);
  await rm(join(place.path, "a.log"));
  await eventually(() => paths().length === 2, paths);
  const before = match.exported.length;
  await match.update(`path_targets = [{ __path__ = "${place.path}/b.*" }]\nsync_period = "1h"`);
  await eventually(() => paths()[0] === "b.txt", paths);
  assert.equal(match.exported.length, before + 1, "exports change only when the files do");
});

test("leaves out old files, and says so", async () => {
  await using place = await folder();
  const path = join(place.path, "a.log");
  await writeFile(path, "");
  await utimes(path, 1000, 1000);
  await using match = await start(`{ __path__ = "${place.path}/*" }`, 'ignore_older_than = "1h"');
  await eventually(
    () => match.flow.status.cause.includes("ignore_older_than"),
    () => match.flow.status.cause,
  );
  assert.equal(match.flow.status.state, "idle");
  assert.equal(match.flow.status.cause, `0 files for "${place.path}/*": 1 older than \`ignore_older_than\``);
});

test("says why there is no file, with the rule that found it", async () => {
  await using place = await folder();
  await writeFile(join(place.path, "file"), "");
  await mkdir(join(place.path, "empty"));
  await mkdir(join(place.path, "x.log"));
  await symlink("loop", join(place.path, "loop"));
  const cases: [entry: string, state: string, rule: string, cause: RegExp][] = [
    [
      `{ __path__ = "${place.path}/app/x/*.log" }`,
      "idle",
      "no_files",
      /directory .*\/app\/x does not exist \(deepest existing: .*file-match-[^/]*\)\. In a container\? Mount it$/,
    ],
    [`{ __path__ = "${place.path}/*.txt" }`, "idle", "no_files", /is there, but nothing in it matches \(4 names\)$/],
    [`{ __path__ = "${place.path}/empty/*.txt" }`, "idle", "no_files", /empty is there and empty$/],
    [`{ __path__ = "${place.path}/*.log" }`, "idle", "no_files", /: 1 directory$/],
    [
      `{ __path__ = "${place.path}/f*", __path_exclude__ = "/**" }`,
      "idle",
      "no_files",
      /1 excluded by __path_exclude__/,
    ],
    [`{ __path__ = "${place.path}/file/*.log" }`, "idle", "no_files", /file is not a directory/],
    [`{ __path__ = "${place.path}/loop/*.log" }`, "failing", "unreadable_files", /too many symbolic links/],
    [`{ __path__ = "${place.path}/[" }`, "failing", "bad_pattern", /syntax error in pattern: .*not closed by \]/],
    [
      `{ job = "x" }`,
      "failing",
      "missing_path",
      /the target \{job="x"\} has no __path__.*set it to a file or a pattern/,
    ],
    [
      `{ __meta_kubernetes_pod_uid = "1", __meta_kubernetes_pod_annotation_x = "secret" }`,
      "failing",
      "missing_path",
      /\{… 2 more labels\} has no __path__.* discovery components give none, .*discovery\.relabel: rule \{.*\/var\/log\/pods/,
    ],
    [
      `{ __path__ = "${place.path}/file" }, { job = "x" }`,
      "degraded",
      "missing_path",
      /the target \{job="x"\} has no __path__/,
    ],
    ["", "idle", "no_targets", /`path_targets` is empty/],
  ];
  for (const [entry, state, rule, cause] of cases) {
    await using match = await start(entry);
    await eventually(
      () => cause.test(match.flow.status.cause),
      () => match.flow.status.cause,
    );
    assert.deepEqual([match.flow.status.state, match.flow.status.rule], [state, rule], entry);
  }
});

test("warns once of a pattern without files, also of one among others, and counts what patterns match", async () => {
  await using place = await folder();
  for (const name of ["a.log", "b.log", "c.log"]) await writeFile(join(place.path, name), "");
  await mkdir(join(place.path, "d.log"));
  await utimes(join(place.path, "c.log"), 1000, 1000);
  const entries = `{ __path__ = "${place.path}/*.log", __path_exclude__ = "/**/b.log" }, { __path__ = "/no/such/x" }`;
  await using match = await start(entries, 'ignore_older_than = "1h"');
  const warnings = () => match.logs.filter((record) => record.level === "warn").map((record) => record.message);
  await eventually(() => warnings().length > 0, warnings);
  await new Promise((resolve) => setTimeout(resolve, 100)); // ten rounds
  assert.deepEqual(warnings(), ["a pattern matches no file"]);
  assert.equal(match.flow.status.state, "ok");
  assert.equal(match.metric("local_file_match_patterns_without_files"), 1);
  for (const outcome of ["file", "excluded", "too_old", "directory"]) {
    assert.equal(match.metric("local_file_match_paths", { outcome }), 1, outcome);
  }
});

test("refuses a period of nothing", async () => {
  await assert.rejects(
    startComponent(component, 'path_targets = []\nsync_period = "0s"'),
    /`sync_period` must be greater than 0/,
  );
});
