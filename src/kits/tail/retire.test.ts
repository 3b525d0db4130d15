import assert from "node:assert/strict";
import { appendFile, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { DirectoryInodes } from "./directory-inodes.ts";
import { PositionSweep } from "./position-sweep.ts";
import { eventually, fastClock, startTailer } from "./tailer.testing.ts";

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "retire-"));
  return {
    path,
    log: join(path, "app.log"),
    rotated: join(path, "app.log.1"),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

test("a file that a pattern misses in the middle of a rotation is not read again under its new name", async () => {
  await using place = await folder();
  await writeFile(place.log, "1\n2\n");
  await using life = await startTailer(place.path);
  await life.follow(place.log);
  await eventually(() => life.lines.length === 2, "both lines come");
  await rename(place.log, place.rotated);
  await life.follow(); // the pattern was looked at between two renames, and found neither name
  await life.stopped();
  await life.follow(place.rotated);
  await appendFile(place.rotated, "3\n");
  await eventually(() => life.lines.includes("3"), "the new line comes");
  assert.deepEqual(life.lines, ["1", "2", "3"]);
});

test("nor after a restart, and older files of the path are not either", async () => {
  await using place = await folder();
  await writeFile(place.log, "old\n");
  {
    await using life = await startTailer(place.path);
    await life.follow(place.log);
    await eventually(() => life.lines.length === 1, "the line comes");
    await rename(place.log, place.rotated);
    await writeFile(place.log, "new\n");
    await eventually(() => life.lines.length === 2, "the line of the next file comes");
    await rename(place.rotated, join(place.path, "app.log.2"));
    await rename(place.log, place.rotated);
    await life.follow();
    await life.stopped();
  }
  await using life = await startTailer(place.path);
  await life.follow(place.rotated, join(place.path, "app.log.2"));
  await appendFile(place.rotated, "newer\n");
  await appendFile(join(place.path, "app.log.2"), "older\n");
  await eventually(() => life.lines.length >= 2, "the new lines come");
  assert.deepEqual(life.lines.toSorted(), ["newer", "older"]);
});

test("a target that is missed while its file is rotated, and comes back, repeats nothing that is on its way", async () => {
  await using place = await folder();
  await writeFile(place.log, "1\n2\n");
  await using life = await startTailer(place.path);
  life.hold();
  life.follow(place.log);
  await eventually(() => life.lines.length === 2, "both lines come");
  await rename(place.log, place.rotated);
  life.follow(); // looked at between the rename and the first line of the next file
  await life.stopped();
  await writeFile(place.log, "3\n");
  life.follow(place.log);
  await eventually(() => life.lines.includes("3"), "the line of the next file comes");
  await appendFile(place.log, "4\n");
  await eventually(() => life.lines.includes("4"), "another line comes");
  assert.deepEqual(life.lines, ["1", "2", "3", "4"]);
  life.acknowledge();
  await life.safe();
});

test("nor when that happens while the pipeline takes nothing: only one of the two tails opens the next file", async () => {
  await using place = await folder();
  await writeFile(place.log, "1\n");
  await using life = await startTailer(place.path);
  life.follow(place.log);
  await eventually(() => life.lines.length === 1, "the line comes");
  const open = life.block();
  await appendFile(place.log, "2\n");
  await eventually(() => life.lines.length === 2, "a line waits to be taken");
  await rename(place.log, place.rotated);
  life.follow();
  await writeFile(place.log, "3\n");
  life.follow(place.log);
  await new Promise((resolve) => setTimeout(resolve, 50)); // two and a half seconds of its clock
  open();
  await appendFile(place.log, "4\n");
  await eventually(() => life.lines.includes("4"), "the last line comes");
  await life.stopped();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual(life.lines, ["1", "2", "3", "4"]);
});

test("a target that goes and comes back goes on where it was, with other labels too, and repeats nothing on its way", async () => {
  await using place = await folder();
  await writeFile(place.log, "1\n");
  await using life = await startTailer(place.path);
  await life.follow(place.log);
  await eventually(() => life.lines.length === 1, "the line comes");
  await life.follow();
  await life.stopped();
  await appendFile(place.log, "2\n");
  await life.follow(place.log);
  await eventually(() => life.lines.length === 2, "the next line comes");
  life.hold();
  await appendFile(place.log, "3\n");
  await eventually(() => life.lines.length === 3, "a line is on its way");
  life.followAs(Labels.from([["job", "other"]]), place.log);
  await new Promise((resolve) => setTimeout(resolve, 50)); // a second and a half of its clock
  life.acknowledge();
  await appendFile(place.log, "4\n");
  await eventually(() => life.lines.length >= 4, "the line comes with the other labels");
  assert.deepEqual(life.lines, ["1", "2", "3", "4"]);
  const { dev, ino } = await stat(place.log);
  assert.deepEqual(
    life.positions.ofFile({ device: dev, inode: ino }).map((each) => each.labels),
    ['{job="other"}'],
  );
});

test("what is on its way when the file gets its new name is waited for, not read again", async () => {
  await using place = await folder();
  await writeFile(place.log, "1\n2\n");
  await using life = await startTailer(place.path);
  life.hold();
  await life.follow(place.log);
  await eventually(() => life.lines.length === 2, "both lines come");
  await rename(place.log, place.rotated);
  await life.follow();
  await life.stopped();
  await life.follow(place.rotated);
  await appendFile(place.rotated, "3\n");
  await new Promise((resolve) => setTimeout(resolve, 50)); // a second and a half of its clock
  life.acknowledge();
  await eventually(() => life.lines.includes("3"), "the new line comes");
  assert.deepEqual(life.lines, ["1", "2", "3"]);
});

test("files that nobody follows and no name leads to are forgotten, but not on the first look", async () => {
  await using place = await folder();
  await writeFile(place.log, "1\n");
  const { dev, ino } = await stat(place.log);
  await using life = await startTailer(place.path);
  const { positions } = life;
  const put = (path: string, inode: number) =>
    positions.put({
      path,
      labels: "{}",
      file: { device: dev, inode, fingerprint: { length: 0, hash: "" } },
      offset: 1,
    });
  put("/followed/gone.log", 1);
  put(join(place.path, "earlier.log"), ino); // has another name now
  put(join(place.path, "gone.log"), 2);
  put("/no/such/folder/gone.log", 3);
  const sweep = new PositionSweep(positions, new DirectoryInodes(fastClock), ({ path }) =>
    path.startsWith("/followed"),
  );
  await sweep.sweep();
  assert.equal([...positions.all()].length, 4);
  put(join(place.path, "gone.log"), 2); // somebody still reads it
  await sweep.sweep();
  assert.deepEqual(
    [...positions.all()].map(({ path }) => basename(path)),
    ["gone.log", "earlier.log", "gone.log"],
  );
  await sweep.sweep();
  assert.deepEqual(
    [...positions.all()].map(({ path }) => basename(path)),
    ["gone.log", "earlier.log"],
  );
});
