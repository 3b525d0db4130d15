import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { DiskQueue, type DiskQueueOptions, type QueueRecord, type QueueStatus } from "./disk-queue.ts";

const run = promisify(execFile);
const idOf = (record: QueueRecord) => Number.parseInt(Buffer.from(record.bytes).toString("latin1"), 10);
const numbered = (id: number, size: number) => ({ bytes: Buffer.from(`${id}:`.padEnd(size, "x")), items: 1, tag: 0 });

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "disk-queue-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Appends and reads as fast as it can, and says at once (by synchronous writes) what it was promised and what it got. */
const CHILD = `
  import { writeSync } from "node:fs";
  import { DiskQueue } from ${JSON.stringify(new URL("./disk-queue.ts", import.meta.url).href)};
  const [dir, first] = process.argv.slice(1);
  const queue = await DiskQueue.open(dir, { readers: ["a"], segmentBytes: 65536, memoryBytes: 20000 });
  let id = Number(first);
  const signal = new AbortController().signal;
  async function produce() {
    for (;;) {
      const mine = id++;
      await queue.append([{ bytes: Buffer.from((mine + ":").padEnd(20 + (mine * 37) % 2000, "x")), items: 1, tag: 0 }]);
      writeSync(1, "appended " + mine + "\\n");
    }
  }
  void Promise.all([produce(), produce(), produce()]);
  const reader = queue.reader("a");
  for (let turn = 0; ; turn++) {
    const records = await reader.next(8000, signal);
    for (const record of records) writeSync(1, "got " + parseInt(Buffer.from(record.bytes).toString("latin1")) + "\\n");
    if (turn % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    reader.ack(...records.reverse());
  }
`;

test("kill -9 loses nothing that append resolved for and repeats little", { timeout: 60_000 }, async (t) => {
  const dir = await folder(t);
  const appended = new Set<number>();
  const got = new Map<number, number>();
  let next = 0;
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", CHILD, "--", dir, String(next)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
    });
    const gone = new Promise((resolve) => child.once("close", resolve));
    while (!text.includes("appended") && child.exitCode === null) await sleep(5);
    await sleep(50 + Math.random() * 150);
    child.kill("SIGKILL");
    await gone;
    for (const [, what, id] of text.matchAll(/^(appended|got) (\d+)\n/gm)) {
      if (what === "appended") appended.add(Number(id));
      else got.set(Number(id), (got.get(Number(id)) ?? 0) + 1);
      next = Math.max(next, Number(id) + 1);
    }
    next += 100; // ids that the child had begun are not used again
  }
  const queue = await DiskQueue.open(dir, { readers: ["a"], onDrop: (...drop) => assert.fail(`dropped ${drop}`) });
  const reader = queue.reader("a");
  while (reader.pending.items > 0) {
    const records = await reader.next(1e6, AbortSignal.timeout(60_000));
    for (const record of records) got.set(idOf(record), (got.get(idOf(record)) ?? 0) + 1);
    reader.ack(...records);
  }
  await queue.close();
  assert.ok(appended.size > 500, `only ${appended.size} records in all rounds`);
  const lost = [...appended].filter((id) => !got.has(id));
  assert.deepEqual(lost, []);
  const repeated = [...got.values()].reduce((sum, times) => sum + times - 1, 0);
  assert.ok(repeated < 6 * 200, `${repeated} repeated of ${got.size}`);
});

async function nextStatus(statuses: QueueStatus[], state: QueueStatus["state"]): Promise<QueueStatus> {
  for (let i = 0; i < 2000; i++) {
    const found = statuses.find((each) => each.state === state);
    if (found !== undefined) return found;
    await sleep(5);
  }
  throw new Error(`the queue never became ${state}`);
}

/** The behaviour on a full disk, on whatever makes `dir` full. */
async function fullDisk(dir: string, fill: () => Promise<void>, free: () => Promise<void>): Promise<void> {
  const statuses: QueueStatus[] = [];
  const options: DiskQueueOptions = {
    readers: ["a", "b"],
    segmentBytes: 50_000,
    memoryBytes: 30_000,
    retryMs: 10,
    onStatus: (status) => statuses.push(status),
    onDrop: (...drop) => assert.fail(`dropped ${drop}`),
  };
  let queue = await DiskQueue.open(dir, options);
  const [a, b] = [queue.reader("a"), queue.reader("b")];
  const never = new AbortController().signal;
  await queue.append([numbered(0, 5000)]);
  await fill();
  // Many at once: what does not fit waits, within the memory bound it can be read.
  let resolved = 0;
  const appends = Array.from({ length: 40 }, (_, i) => queue.append([numbered(i + 1, 5000)]).then(() => resolved++));
  const { cause } = await nextStatus(statuses, "blocked");
  assert.match(cause, /^no space left for .*free some/);
  const before = resolved;
  assert.ok(before < 40);

  // Delivered to one reader: not safe yet. To both: safe without the disk, and the next ones come up.
  const gotA: number[] = [];
  const gotB: number[] = [];
  while (gotA.length <= before) {
    const records = await a.next(5000, never);
    gotA.push(...records.map(idOf));
    a.ack(...records);
  }
  assert.equal(resolved, before);
  while (resolved <= before + 2) {
    for (const [reader, got] of [
      [b, gotB],
      [a, gotA],
    ] as const) {
      const records = await reader.next(5000, never);
      got.push(...records.map(idOf));
      reader.ack(...records);
    }
  }
  assert.equal(queue.status.state, "blocked");

  // Space again: everything goes on without a restart, and nothing is lost or out of order.
  statuses.length = 0;
  await free();
  await nextStatus(statuses, "ok");
  await Promise.all(appends);
  await queue.close();
  queue = await DiskQueue.open(dir, options);
  for (const [name, got] of [
    ["a", gotA],
    ["b", gotB],
  ] as const) {
    const reader = queue.reader(name);
    while (got.length < 41) {
      const records = await reader.next(20_000, AbortSignal.timeout(60_000));
      got.push(...records.map(idOf));
      reader.ack(...records);
    }
    assert.deepEqual(
      got,
      Array.from({ length: 41 }, (_, i) => i),
    );
    assert.equal(reader.pending.items, 0);
  }
  await queue.close();
}

test("a full file system: append waits, readers are served from memory, and it recovers by itself", async (t) => {
  const mount = join(await folder(t), "mount");
  await mkdir(mount);
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", mount]);
  } catch {
    return t.skip("needs the right to mount a small file system");
  }
  try {
    const ballast = join(mount, "ballast");
    const fill = async () => {
      await writeFile(ballast, Buffer.alloc(300_000)).catch((error) => assert.equal(error.code, "ENOSPC"));
    };
    await fullDisk(join(mount, "queue"), fill, () => rm(ballast));
  } finally {
    await run("umount", ["-l", mount]);
  }
});

test("closing while the disk is full rejects what waits and keeps what is on disk", async (t) => {
  const mount = join(await folder(t), "mount");
  await mkdir(mount);
  try {
    await run("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", mount]);
  } catch {
    return t.skip("needs the right to mount a small file system");
  }
  try {
    const dir = join(mount, "queue");
    let queue = await DiskQueue.open(dir, { readers: ["a"], retryMs: 5 });
    await queue.append([numbered(0, 1000)]);
    const waiting = assert.rejects(queue.append([numbered(1, 100_000)]), /the queue was closed: no space left/);
    while (queue.status.state === "ok") await sleep(2);
    const abort = new AbortController();
    const aborted = assert.rejects(queue.append([numbered(2, 100)], abort.signal), /enough/);
    abort.abort(new Error("enough"));
    await aborted;
    await queue.close();
    await waiting;
    queue = await DiskQueue.open(dir, { readers: ["a"] });
    const records = await queue.reader("a").next(1e6, AbortSignal.timeout(60_000));
    assert.deepEqual(records.map(idOf), [0]);
    await queue.close();
  } finally {
    await run("umount", ["-l", mount]);
  }
});
