import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { FileFacts, matchTarget } from "./targets.ts";

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "targets-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test("what is known of a file is used for a while, and not of one that may have become too old", async () => {
  await using at = await folder();
  const facts = new FileFacts();
  const path = join(at.path, "a.log");
  await writeFile(path, "");
  await utimes(path, 1_000, 1_000); // 1,000,000 ms
  const now = 1_500_000;
  assert.equal(facts.known(path, 0, now), undefined);
  const found = await facts.ask(path, now, 1_000);
  assert.deepEqual([found.path, found.isDirectory, found.modifiedMs], [path, false, 1_000_000]);
  assert.equal(facts.known(path, 0, now), found);
  // A thousand files are asked about each 25 to 50 s, so that it is a few at a time.
  assert.equal(facts.known(path, 0, now + 24_999), found);
  assert.equal(facts.known(path, 0, now + 50_001), undefined);
  assert.equal(facts.known(path, 600_000, now), found);
  assert.equal(facts.known(path, 400_000, now), undefined, "written to again, it is young");
});

test("a few files are asked about each time", async () => {
  await using at = await folder();
  const facts = new FileFacts();
  await writeFile(join(at.path, "a.log"), "");
  await facts.ask(join(at.path, "a.log"), 1_000, 1);
  assert.equal(facts.known(join(at.path, "a.log"), 0, 1_051), undefined);
});

test("files that were not found in a round are forgotten after it", async () => {
  await using at = await folder();
  const facts = new FileFacts();
  const [a, b] = [join(at.path, "a.log"), join(at.path, "b.log")];
  for (const path of [a, b]) {
    await writeFile(path, "");
    await facts.ask(path, 0, 1_000);
  }
  facts.endRound();
  assert.notEqual(facts.known(a, 0, 0), undefined);
  facts.endRound();
  assert.notEqual(facts.known(a, 0, 0), undefined);
  assert.equal(facts.known(b, 0, 0), undefined);
});

test("a file that is gone, or a link to nothing, is asked about and told of each time", async () => {
  await using at = await folder();
  const facts = new FileFacts();
  await symlink("nothing", join(at.path, "a.log"));
  const target = Labels.from([["__path__", `${at.path}/*.log`]]);
  const round = async () => {
    const report = await matchTarget(target, 0, Date.now(), facts);
    facts.endRound();
    return report;
  };
  for (let i = 0; i < 2; i++) assert.match((await round()).unreadable.join(), /a\.log/);
  await writeFile(join(at.path, "nothing"), "");
  assert.deepEqual(
    (await round()).files.map(({ path }) => path),
    [join(at.path, "a.log")],
  );
});

test("exclusion counts for patterns relative to the working directory too", async () => {
  await using at = await folder();
  for (const name of ["a.log", "b.log"]) await writeFile(join(at.path, name), "");
  const before = process.cwd();
  process.chdir(at.path);
  try {
    const target = Labels.from([
      ["__path__", "*.log"],
      ["__path_exclude__", "b*"],
    ]);
    const { files, excluded } = await matchTarget(target, 0, Date.now(), new FileFacts());
    assert.deepEqual([files.map(({ path }) => path), excluded], [[join(process.cwd(), "a.log")], 1]);
  } finally {
    process.chdir(before);
  }
});
