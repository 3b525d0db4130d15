import assert from "node:assert/strict";
import { appendFile, link, mkdtemp, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { test } from "node:test";
import { type Clock, systemClock } from "#base/clock";
import { Labels } from "#base/labels";
import { createLogger } from "#base/log";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { Flow } from "#pipeline/flow";
import { DirectoryInodes } from "./directory-inodes.ts";
import { fileEncoding } from "./encoding.ts";
import { PositionSweep } from "./position-sweep.ts";
import { Positions } from "./positions.ts";
import { Tailer } from "./tailer.ts";

const fastClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 50,
  sleep: (ms, signal) => systemClock.sleep(ms / 50, signal),
};
const LABELS = Labels.from([["job", "x"]]);

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "retire-"));
  return {
    path,
    log: join(path, "app.log"),
    rotated: join(path, "app.log.1"),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** One life of a tailer with its positions in `directory`. */
async function startTailer(directory: string) {
  const messages: string[] = [];
  const lines: string[] = [];
  let held: Acknowledgement[] | undefined;
  const log = createLogger({ enabled: () => true, write: (record) => void messages.push(record.message) });
  const positions = new Positions({
    directory: join(directory, "data"),
    legacyFile: "",
    clock: fastClock,
    log,
    onProblem: () => {},
  });
  await positions.load();
  const tailer = new Tailer({
    clock: fastClock,
    log,
    positions,
    encoding: fileEncoding(""),
    tailFromEnd: false,
    onPositionError: "restart_from_beginning",
    legacy: false,
    minPollMs: 50,
    maxPollMs: 50,
    accounts: new Flow(() => 0),
    consume(batch) {
      for (let i = 0; i < batch.count; i++) {
        lines.push(Buffer.from(batch.data.subarray(batch.start[i], batch.end[i])).toString());
      }
      if (held === undefined) batch.acknowledgement.release();
      else held.push(batch.acknowledgement);
    },
    lost: () => {},
    rotated: () => {},
  });
  const stop = new AbortController();
  const running = [tailer.run(stop.signal), positions.run(stop.signal)];
  return {
    lines,
    positions,
    follow: (...paths: string[]) => tailer.setTargets(paths.map((path) => ({ path, labels: LABELS }))),
    hold() {
      held = [];
    },
    acknowledge() {
      for (const each of held ?? []) each.release();
      held = undefined;
    },
    stopped: () => eventually(() => messages.includes("stopped tailing file"), "it stops tailing"),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(running);
      await positions.save();
    },
  };
}

async function eventually(check: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 5_000; !check(); ) {
    if (performance.now() > end) assert.fail(`it did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
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

test("a file that keeps its name is forgotten with its target, even if it has another name too", async () => {
  await using place = await folder();
  await writeFile(place.log, "1\n");
  await link(place.log, join(place.path, "also.log"));
  const { dev, ino } = await stat(place.log);
  await using life = await startTailer(place.path);
  await life.follow(place.log);
  await eventually(() => life.lines.length === 1, "the line comes");
  await life.follow();
  await life.stopped();
  assert.deepEqual(life.positions.ofFile({ device: dev, inode: ino }, LABELS.toString()), []);
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
