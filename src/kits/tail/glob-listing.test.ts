import assert from "node:assert/strict";
import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Glob } from "./glob.ts";
import { GlobListings } from "./glob-listing.ts";

/** The folder's directories are made old, since those that were changed a moment ago are always looked at again. */
async function place() {
  const path = await mkdtemp(join(tmpdir(), "glob-listing-"));
  await mkdir(join(path, "a"));
  await mkdir(join(path, "b"));
  await writeFile(join(path, "a", "1.log"), "");
  const listings = new GlobListings();
  const glob = new Glob(`${path}/*/*.log`);
  const settle = async () => {
    for (const each of ["a", "b", "."]) await utimes(join(path, each), 1_000, 1_000);
  };
  await settle();
  const find = async (which = glob, nowMs = Date.now()) => await listings.find(which, nowMs, () => {});
  return {
    ...{ path, glob, listings, settle, find },
    names: async (which = glob) => (await find(which)).map((each) => each.slice(path.length + 1)),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

test("is the same array while nothing has changed, and sees what comes and goes in nested directories", async () => {
  await using at = await place();
  const first = await at.find();
  assert.equal(await at.find(), first);
  await writeFile(join(at.path, "b", "2.log"), "");
  assert.deepEqual(await at.names(), ["a/1.log", "b/2.log"]);
  await at.settle();
  await at.find();
  await mkdir(join(at.path, "c"));
  await writeFile(join(at.path, "c", "3.log"), "");
  assert.deepEqual(await at.names(), ["a/1.log", "b/2.log", "c/3.log"]);
  await rename(join(at.path, "c", "3.log"), join(at.path, "c", "4.log"));
  assert.deepEqual(await at.names(), ["a/1.log", "b/2.log", "c/4.log"]);
  await rm(join(at.path, "a"), { recursive: true });
  assert.deepEqual(await at.names(), ["b/2.log", "c/4.log"]);
});

test("does not look into directories that have not changed, but for once a minute", async () => {
  await using at = await place();
  const first = await at.find();
  let reads = 0;
  const find = at.glob.find.bind(at.glob);
  at.glob.find = (...args) => {
    reads += 1;
    return find(...args);
  };
  assert.equal(await at.find(), first);
  assert.equal(reads, 0);
  assert.equal(await at.find(at.glob, Date.now() + 61_000), first);
  assert.equal(reads, 1);
  at.listings.keep(new Set());
  assert.notEqual(await at.find(), first, "forgotten");
});

test("a directory that was changed a moment ago may change again within its clock's tick", async () => {
  await using at = await place();
  await writeFile(join(at.path, "a", "2.log"), "");
  assert.deepEqual(await at.names(), ["a/1.log", "a/2.log"]);
  const before = new Date();
  await utimes(join(at.path, "a"), before, before);
  await at.find();
  await writeFile(join(at.path, "a", "3.log"), "");
  await utimes(join(at.path, "a"), before, before);
  assert.deepEqual(await at.names(), ["a/1.log", "a/2.log", "a/3.log"]);
});

test("what links lead to may become a directory without a trace in the one that was read", async () => {
  await using at = await place();
  await using other = await place();
  await symlink(join(other.path, "later"), join(at.path, "link"));
  await at.settle();
  assert.deepEqual(await at.names(), ["a/1.log"]);
  await mkdir(join(other.path, "later"));
  await writeFile(join(other.path, "later", "2.log"), "");
  assert.deepEqual(await at.names(), ["a/1.log", "link/2.log"]);
});

test("a path without special characters, and one below them, is looked at each time", async () => {
  await using at = await place();
  const fixed = new Glob(`${at.path}/a/9.log`);
  const below = new Glob(`${at.path}/*/9.log`);
  assert.deepEqual([await at.names(fixed), await at.names(below)], [[], []]);
  await writeFile(join(at.path, "a", "9.log"), "");
  assert.deepEqual([await at.names(fixed), await at.names(below)], [["a/9.log"], ["a/9.log"]]);
});

test("a directory that cannot be read is told of each time", async () => {
  await using at = await place();
  await symlink("loop", join(at.path, "loop"));
  const told: string[] = [];
  const inLoop = new Glob(`${at.path}/loop/*.log`);
  for (let i = 0; i < 2; i++) await at.listings.find(inLoop, Date.now(), (path) => told.push(path));
  assert.deepEqual(told, [join(at.path, "loop"), join(at.path, "loop")]);
});
