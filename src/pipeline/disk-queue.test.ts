import assert from "node:assert/strict";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import {
  DiskQueue,
  DiskQueueError,
  type DiskQueueOptions,
  type QueueInput,
  type QueueReader,
  type QueueRecord,
} from "./disk-queue.ts";

const never = new AbortController().signal;

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "disk-queue-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A record whose payload starts with `id`, padded to `size` bytes. */
function numbered(id: number, size = 12): QueueInput {
  return { bytes: Buffer.from(`${id}:`.padEnd(size, "x")), items: 1 + (id % 3), tag: id };
}
const idOf = (record: QueueRecord) => Number.parseInt(Buffer.from(record.bytes).toString("latin1"), 10);

/** Everything that can be read now. */
async function readAll(reader: QueueReader, count: number): Promise<number[]> {
  const ids: number[] = [];
  while (ids.length < count) {
    const records = await reader.next(1000, AbortSignal.timeout(60_000));
    for (const record of records) {
      assert.equal(record.tag, idOf(record));
      ids.push(idOf(record));
    }
    reader.ack(...records);
  }
  return ids;
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test("records come back in order to every reader, and only once after a restart", async (t) => {
  const dir = await folder(t);
  let queue = await DiskQueue.open(dir, { readers: ["a", "b/c"], segmentBytes: 4096 });
  await Promise.all(range(0, 50).map((id) => queue.append([numbered(2 * id), numbered(2 * id + 1)])));
  assert.deepEqual(await readAll(queue.reader("a"), 100), range(0, 100));
  assert.deepEqual(await readAll(queue.reader("b/c"), 1), range(0, 83));
  assert.deepEqual(queue.reader("a").pending, { items: 0, bytes: 0, oldest: undefined });
  await queue.close();
  queue = await DiskQueue.open(dir, { readers: ["a", "b/c"], segmentBytes: 4096 });
  assert.equal(queue.reader("a").pending.items, 0);
  assert.equal(
    queue.reader("b/c").pending.items,
    range(83, 100).reduce((sum, id) => sum + 1 + (id % 3), 0),
  );
  await queue.append([numbered(100)]);
  assert.deepEqual(await readAll(queue.reader("a"), 1), [100]);
  assert.deepEqual(await readAll(queue.reader("b/c"), 18), range(83, 101));
  await queue.close();
});

test("acknowledgement out of order: a restart repeats from the first that was not acknowledged", async (t) => {
  const dir = await folder(t);
  let queue = await DiskQueue.open(dir, { readers: ["a"] });
  await queue.append(range(0, 10).map((id) => numbered(id)));
  const reader = queue.reader("a");
  const records = await reader.next(1e6, never);
  assert.equal(records.length, 10);
  reader.ack(records[0]!, records[1]!, records[4]!, records[9]!, records[9]!);
  assert.equal(
    reader.pending.items,
    [2, 3, 5, 6, 7, 8].reduce((sum, id) => sum + 1 + (id % 3), 0),
  );
  await queue.close();
  queue = await DiskQueue.open(dir, { readers: ["a"] });
  assert.deepEqual(await readAll(queue.reader("a"), 8), range(2, 10));
  await queue.close();
});

test("segments go when all readers are done, the reader at the tail reads nothing back", async (t) => {
  const dir = await folder(t);
  const queue = await DiskQueue.open(dir, { readers: ["a", "b"], segmentBytes: 2000, memoryBytes: 1500 });
  const a = queue.reader("a");
  for (const id of range(0, 200)) {
    await queue.append([numbered(id, 100)]);
    const [record] = await a.next(1, never);
    assert.equal(idOf(record!), id);
    a.ack(record!);
  }
  assert.ok((await segmentFiles(dir)).length > 8);
  assert.deepEqual(await readAll(queue.reader("b"), 200), range(0, 200)); // from disk, then from memory
  await queue.flush();
  assert.ok((await segmentFiles(dir)).length <= 1);
  await queue.close();
});

test("next waits for records, and rejects when aborted or closed", async (t) => {
  const dir = await folder(t);
  const queue = await DiskQueue.open(dir, { readers: ["a"] });
  const reader = queue.reader("a");
  const waiting = reader.next(100, never);
  await queue.append([numbered(7)]);
  assert.deepEqual((await waiting).map(idOf), [7]);
  const abort = new AbortController();
  const aborted = reader.next(100, abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  const closed = assert.rejects(reader.next(100, never), DiskQueueError);
  await queue.close();
  await closed;
  await assert.rejects(queue.append([numbered(8)]), DiskQueueError);
});

test("beyond maxBytes the oldest segments are dropped and counted for the readers that lag", async (t) => {
  const dir = await folder(t);
  const drops = new Map<string, number>();
  const queue = await DiskQueue.open(dir, {
    readers: ["fast", "slow"],
    maxBytes: 40_000,
    memoryBytes: 1000,
    onDrop: (reader, reason, items) =>
      drops.set(`${reader} ${reason}`, (drops.get(`${reader} ${reason}`) ?? 0) + items),
  });
  const fast = queue.reader("fast");
  for (const id of range(0, 1000)) {
    await queue.append([{ ...numbered(id, 100), items: 1 }]);
    fast.ack(...(await fast.next(1000, never)));
    assert.ok(queue.diskBytes <= 40_000);
  }
  const slow = queue.reader("slow");
  const dropped = drops.get("slow queue_full")!;
  assert.deepEqual([...drops.keys()], ["slow queue_full"]);
  assert.equal(slow.pending.items, 1000 - dropped);
  assert.deepEqual(await readAll(slow, 1000 - dropped), range(dropped, 1000));
  assert.equal(slow.pending.items, 0);
  await queue.close();
});

test("a record that is in flight when its segment is dropped is neither counted as dropped nor lost", async (t) => {
  const dir = await folder(t);
  let dropped = 0;
  const options: DiskQueueOptions = { readers: ["a"], maxBytes: 8192, onDrop: (_, __, items) => (dropped += items) };
  const queue = await DiskQueue.open(dir, options);
  const reader = queue.reader("a");
  await queue.append([{ ...numbered(0), items: 1 }]);
  const [held] = await reader.next(1, never);
  for (const id of range(1, 200)) await queue.append([{ ...numbered(id, 200), items: 1 }]);
  assert.equal(reader.pending.items, 200 - dropped);
  const rest = await readAll(reader, 1);
  assert.ok(rest[0]! > 1);
  reader.ack(held!);
  const more = 199 - dropped - rest.length;
  if (more > 0) await readAll(reader, more);
  assert.equal(reader.pending.items, 0);
  await queue.close();
});

test("whenFull block: append waits for the readers and nothing is dropped", async (t) => {
  const dir = await folder(t);
  const states: string[] = [];
  const queue = await DiskQueue.open(dir, {
    readers: ["a"],
    maxBytes: 10_000,
    memoryBytes: 1000,
    whenFull: "block",
    retryMs: 5,
    onDrop: () => assert.fail("dropped"),
    onStatus: ({ state }) => states.push(state),
  });
  const appended = (async () => {
    for (const id of range(0, 300)) await queue.append([numbered(id, 100)]);
  })();
  while (states.length === 0) await sleep(1);
  assert.equal(states[0], "blocked");
  assert.ok(queue.diskBytes <= 10_000);
  assert.deepEqual(await readAll(queue.reader("a"), 300), range(0, 300));
  await appended;
  await queue.close();
});

test("records older than maxAge are dropped and counted", async (t) => {
  const dir = await folder(t);
  let now = 1_000_000;
  let dropped = 0;
  const clock = { now: () => now, monotonic: () => now, sleep: async () => {} };
  const options: DiskQueueOptions = {
    readers: ["a"],
    maxAgeMs: 1000,
    clock,
    onDrop: (_, reason, items) => {
      assert.equal(reason, "queue_age");
      dropped += items;
    },
  };
  const queue = await DiskQueue.open(dir, options);
  const reader = queue.reader("a");
  for (const id of range(0, 40)) {
    await queue.append([{ ...numbered(id), items: 1 }]);
    now += 100;
  }
  assert.ok(dropped > 20, "old segments go while nobody reads");
  const ids = await readAll(reader, 1);
  assert.deepEqual(ids, range(30, 40));
  assert.equal(dropped, 30);
  assert.equal(reader.pending.items, 0);
  await queue.close();
});

test("a clock that is set forward or back drops nothing", async (t) => {
  const dir = await folder(t);
  let epoch = 1_000; // 1970, as on a machine that has not asked for the time yet
  let monotonic = 0;
  const drops: string[] = [];
  const queue = await DiskQueue.open(dir, {
    readers: ["a"],
    maxAgeMs: 60_000,
    clock: { now: () => epoch, monotonic: () => monotonic, sleep: async () => {} },
    onDrop: (_, reason) => void drops.push(reason),
  });
  await queue.append([numbered(0)]);
  epoch = 1_800_000_000_000;
  monotonic += 1_000;
  await queue.append([numbered(1)]);
  epoch -= 3_600_000;
  monotonic += 1_000;
  await queue.append([numbered(2)]);
  assert.deepEqual(await readAll(queue.reader("a"), 1), [0, 1, 2]);
  assert.deepEqual(drops, []);
  await queue.close();
});

test("readers can be added and removed; a forgotten one holds nothing back", async (t) => {
  const dir = await folder(t);
  let queue = await DiskQueue.open(dir, { readers: ["a"], segmentBytes: 1000 });
  await queue.append(range(0, 5).map((id) => numbered(id, 400)));
  await queue.setReaders(["a", "late"]);
  assert.deepEqual(await readAll(queue.reader("late"), 5), range(0, 5));
  await queue.append([numbered(5)]);
  await queue.setReaders(["late"]);
  assert.throws(() => queue.reader("a"), DiskQueueError);
  assert.deepEqual(await readAll(queue.reader("late"), 1), [5]);
  await queue.close();
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.endsWith(".ack")),
    ["reader-late.ack"],
  );
  queue = await DiskQueue.open(dir, { readers: ["new name"] });
  await queue.append([numbered(6)]);
  assert.equal((await readAll(queue.reader("new name"), 1)).at(-1), 6);
  await queue.close();
});

test("a second opener is refused while the first lives, in one process and by name", async (t) => {
  const dir = await folder(t);
  const queue = await DiskQueue.open(dir, { readers: [] });
  await assert.rejects(DiskQueue.open(dir, { readers: [] }), /in use by this process/);
  await queue.close();
  await (await DiskQueue.open(dir, { readers: [] })).close();
  // A lock whose process is gone, and one of another process with the number of ours.
  await writeFile(join(dir, "lock"), (await lockText(dir)).replace(/^\d+ \d+/, "999999999 1"));
  await (await DiskQueue.open(dir, { readers: [] })).close();
  await writeFile(join(dir, "lock"), (await lockText(dir)).replace(/^(\d+) \d+/, "$1 1"));
  await (await DiskQueue.open(dir, { readers: [] })).close();
  // A lock of a living process: our parent.
  const stat = await readFile(`/proc/${process.ppid}/stat`, "utf8");
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  await writeFile(join(dir, "lock"), (await lockText(dir)).replace(/^\d+ \d+/, `${process.ppid} ${started}`));
  await assert.rejects(DiskQueue.open(dir, { readers: [] }), new RegExp(`in use by process ${process.ppid}`));
});

/** What the lock of this process looks like. */
async function lockText(dir: string): Promise<string> {
  const other = join(dir, "other");
  const queue = await DiskQueue.open(other, { readers: [] });
  const text = await readFile(join(other, "lock"), "utf8");
  await queue.close();
  return text;
}

test("folders that cannot be used are refused in clear words", async (t) => {
  const dir = await folder(t);
  await writeFile(join(dir, "file"), "");
  await assert.rejects(DiskQueue.open(join(dir, "file"), { readers: [] }), /a file is in the way of the folder/);
  if (process.getuid?.() !== 0) {
    await mkdir(join(dir, "closed"));
    await chmod(join(dir, "closed"), 0o500);
    await assert.rejects(DiskQueue.open(join(dir, "closed"), { readers: [] }), /no permission to write/);
  }
});

test("a stored position never points into segments that were begun after it", async (t) => {
  const dir = await folder(t);
  for (const round of range(0, 4)) {
    const queue = await DiskQueue.open(dir, { readers: ["a"], segmentBytes: 4096 });
    await queue.append([numbered(round, 300), numbered(round + 100, 300)]);
    const records = await queue.reader("a").next(1e6, never);
    assert.deepEqual(records.map(idOf), [round, round + 100]);
    queue.reader("a").ack(...records);
    await queue.close();
  }
  assert.deepEqual(await segmentFiles(dir), []);
});

async function segmentFiles(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter((name) => name.endsWith(".segment")).sort();
}

/** What a crash leaves: everything but the running process, optionally changed. */
async function crashed(dir: string, change?: (copy: string) => Promise<void>): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), "disk-queue-"));
  await cp(dir, copy, { recursive: true });
  await rm(join(copy, "lock"), { force: true });
  await change?.(copy);
  return copy;
}

test("any sequence of appends, reads, acknowledgements, restarts and crashes loses nothing and keeps the order", async () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("append" as const),
        sizes: fc.array(fc.integer({ min: 12, max: 3000 }), { maxLength: 6 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("take" as const),
        reader: fc.integer({ min: 0, max: 1 }),
        bytes: fc.integer({ min: 1, max: 6000 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("ack" as const),
        reader: fc.integer({ min: 0, max: 1 }),
        which: fc.array(fc.nat(), { maxLength: 6 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("restart" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const), torn: fc.uint8Array({ maxLength: 80 }) }) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 40 }),
      fc.integer({ min: 0, max: 6000 }),
      async (steps, memoryBytes) => {
        const dirs = [await mkdtemp(join(tmpdir(), "disk-queue-"))];
        const options: DiskQueueOptions = {
          readers: ["r0", "r1"],
          segmentBytes: 4096,
          memoryBytes,
          onDrop: (...drop) => assert.fail(`dropped ${drop}`),
        };
        let queue = await DiskQueue.open(dirs[0]!, options);
        let appended = 0;
        const readers = [0, 1].map(() => ({ position: 0, inFlight: [] as QueueRecord[], acked: new Set<number>() }));
        /** What each reader repeats after a restart: everything from the first that was not acknowledged. */
        const rewind = () => {
          for (const reader of readers) {
            reader.position = 0;
            while (reader.acked.has(reader.position)) reader.position += 1;
            reader.acked = new Set(range(0, reader.position));
            reader.inFlight = [];
          }
        };
        try {
          for (const each of [...steps, { do: "restart" as const }]) {
            if (each.do === "append") {
              await queue.append(each.sizes.map((size) => numbered(appended++, size)));
            } else if (each.do === "take") {
              const reader = readers[each.reader]!;
              if (reader.position === appended) continue;
              const records = await queue.reader(`r${each.reader}`).next(each.bytes, never);
              const size = records.reduce((sum, { bytes }) => sum + bytes.length, 0);
              assert.ok(records.length === 1 || size <= each.bytes);
              assert.deepEqual(records.map(idOf), range(reader.position, reader.position + records.length));
              reader.position += records.length;
              reader.inFlight.push(...records);
            } else if (each.do === "ack") {
              const reader = readers[each.reader]!;
              const some = each.which.flatMap((n) => reader.inFlight.splice(n % (reader.inFlight.length || 1), 1));
              queue.reader(`r${each.reader}`).ack(...some);
              for (const record of some) reader.acked.add(idOf(record));
            } else if (each.do === "restart") {
              await queue.close();
              queue = await DiskQueue.open(dirs.at(-1)!, options);
              rewind();
            } else {
              // Positions are written behind the caller's back, within an instant.
              await queue.flush();
              const copy = await crashed(dirs.at(-1)!, async (dir) => {
                const last = (await segmentFiles(dir)).at(-1);
                if (last !== undefined) await writeFile(join(dir, last), each.torn, { flag: "a" });
              });
              await queue.close();
              dirs.push(copy);
              queue = await DiskQueue.open(copy, options);
              rewind();
            }
            for (const [index, reader] of readers.entries()) {
              let items = 0;
              for (let id = 0; id < appended; id++) if (!reader.acked.has(id)) items += 1 + (id % 3);
              assert.equal(queue.reader(`r${index}`).pending.items, items);
            }
          }
          for (const [index, { position }] of readers.entries()) {
            if (position < appended) {
              assert.deepEqual(
                await readAll(queue.reader(`r${index}`), appended - position),
                range(position, appended),
              );
            }
          }
        } finally {
          await queue.close();
          for (const dir of dirs) await rm(dir, { recursive: true, force: true });
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("a tail that was cut at any byte leaves the whole records in front of it, and the queue goes on", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 12, max: 500 }), { minLength: 1, maxLength: 20 }),
      fc.nat(),
      async (sizes, cut) => {
        const dir = await mkdtemp(join(tmpdir(), "disk-queue-"));
        let copy = "";
        let queue = await DiskQueue.open(dir, { readers: ["a"] });
        try {
          await queue.append(sizes.map((size, id) => numbered(id, size)));
          const total = queue.diskBytes;
          let left = cut % (total + 1);
          copy = await crashed(dir, async (at) => truncate(join(at, (await segmentFiles(at))[0]!), left));
          await queue.close();
          left -= 8; // the magic line
          let whole = 0;
          for (; whole < sizes.length && left >= 32 + sizes[whole]!; whole++) left -= 32 + sizes[whole]!;
          queue = await DiskQueue.open(copy, { readers: ["a"], onDrop: () => assert.fail("counted as a drop") });
          await queue.append([numbered(1000)]);
          assert.deepEqual(await readAll(queue.reader("a"), whole + 1), [...range(0, whole), 1000]);
          assert.equal(queue.reader("a").pending.items, 0);
        } finally {
          await queue.close();
          await rm(dir, { recursive: true });
          await rm(copy, { recursive: true, force: true });
        }
      },
    ),
    { numRuns: 40 },
  );
});

test("damage inside a closed segment is counted for each reader", async (t) => {
  const dir = await folder(t);
  let queue = await DiskQueue.open(dir, { readers: ["a", "b"] });
  await queue.append(range(0, 10).map((id) => ({ ...numbered(id), items: 5 })));
  await queue.close();
  const path = join(dir, (await segmentFiles(dir))[0]!);
  const data = await readFile(path);
  for (const id of [3, 4, 9]) data[8 + id * (32 + 12) + 40]! ^= 1;
  await writeFile(path, data);
  const drops: unknown[][] = [];
  queue = await DiskQueue.open(dir, { readers: ["a", "b"], onDrop: (...drop) => drops.push(drop) });
  for (const name of ["a", "b"]) {
    const reader = queue.reader(name);
    assert.deepEqual(await readAll(reader, 7), [0, 1, 2, 5, 6, 7, 8]);
    await queue.append([numbered(100)]);
    assert.equal((await readAll(reader, 1)).at(-1), 100);
    assert.deepEqual(drops.splice(0), [[name, "queue_damaged", 15, 36, 3]]);
  }
  await queue.close();
});

test("a segment that somebody deletes is counted as lost, and the queue goes on, even without its folder", async (t) => {
  const dir = await folder(t);
  const drops: unknown[][] = [];
  const queue = await DiskQueue.open(dir, {
    readers: ["a"],
    segmentBytes: 4096,
    memoryBytes: 0,
    onDrop: (...drop) => drops.push(drop),
  });
  for (const id of range(0, 20)) await queue.append([{ ...numbered(id, 1000), items: 1 }]);
  await rm(join(dir, (await segmentFiles(dir))[1]!));
  const reader = queue.reader("a");
  const lost = drops as [string, string, number, number, number][];
  const ids = await readAll(reader, 17);
  assert.deepEqual(lost, [["a", "queue_damaged", 3, 3000, 3]]);
  assert.deepEqual(ids, [...range(0, 3), ...range(6, 20)]);
  await rm(dir, { recursive: true });
  for (const id of range(20, 30)) await queue.append([{ ...numbered(id, 1000), items: 1 }]);
  assert.ok((await segmentFiles(dir)).length > 0, "the folder is made again with the next segment");
  await queue.close();
});

test("records of any size come back from disk, whatever falls on the border of a read", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.integer({ min: 12, max: 3000 }), fc.integer({ min: 200_000, max: 1_500_000 })), {
        minLength: 1,
        maxLength: 12,
      }),
      fc.integer({ min: 1, max: 2_000_000 }),
      async (sizes, maxBytes) => {
        const dir = await mkdtemp(join(await folder(t), "sizes-"));
        const queue = await DiskQueue.open(dir, { readers: ["a"], memoryBytes: 0 });
        await queue.append(sizes.map((size, id) => numbered(id, size)));
        const reader = queue.reader("a");
        const got: number[] = [];
        while (got.length < sizes.length) {
          for (const record of await reader.next(maxBytes, AbortSignal.timeout(60_000))) {
            assert.equal(record.bytes.length, sizes[idOf(record)]);
            got.push(idOf(record));
          }
        }
        assert.deepEqual(got, range(0, sizes.length));
        await queue.close();
      },
    ),
    { numRuns: 20 },
  );
});

test("what a record's header cannot hold is refused or limited", async (t) => {
  const queue = await DiskQueue.open(await folder(t), { readers: ["a"] });
  for (const bad of [{ items: 2 ** 32 }, { items: -1 }, { items: 0.5 }, { tag: 2 ** 32 }]) {
    await assert.rejects(queue.append([{ ...numbered(1), ...bad }]), RangeError);
  }
  const times = [-5, Number.NaN, 1e300, 1.5];
  await queue.append(times.map((time, tag) => ({ bytes: Buffer.from(`${tag}:`), items: 0, tag, time })));
  const records = await queue.reader("a").next(1000, never);
  assert.deepEqual(
    records.map(({ time }) => time),
    [0, 0, 2 ** 48 - 1, 1],
  );
  await queue.close();
});

test("flipped bits cost the records that they hit, no others, and are counted", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), fc.boolean(), async (flips, cleanEnd) => {
      const dir = await mkdtemp(join(tmpdir(), "disk-queue-"));
      const options: DiskQueueOptions = { readers: ["a"], segmentBytes: 4096 };
      let queue = await DiskQueue.open(dir, options);
      let copy = "";
      try {
        for (const id of range(0, 60)) await queue.append([{ ...numbered(id, 60 + id), items: 1 }]);
        if (cleanEnd) await queue.close();
        const harmed = new Set<number>();
        copy = await crashed(dir, async (at) => {
          const files = await segmentFiles(at);
          assert.ok(files.length > 1);
          for (const flip of flips) {
            // Not in the last segment: there damage at the end is indistinguishable from a torn write.
            const path = join(at, files[flip % (files.length - 1)]!);
            const data = await readFile(path);
            const at8 = (flip >> 3) % data.length;
            data[at8]! ^= 1 << (flip % 8);
            await writeFile(path, data);
            harmed.add(flip);
          }
        });
        await queue.close();
        let dropped = 0;
        queue = await DiskQueue.open(copy, { ...options, onDrop: (_, __, items) => (dropped += items) });
        const got: number[] = [];
        const reader = queue.reader("a");
        while (reader.pending.items > 0) {
          const records = await reader.next(500, AbortSignal.timeout(2000)).catch(() => []);
          if (records.length === 0) break;
          got.push(...records.map(idOf));
          reader.ack(...records);
        }
        assert.deepEqual(
          got,
          [...new Set(got)].sort((a, b) => a - b),
        );
        assert.ok(got.length >= 60 - harmed.size, `${60 - got.length} lost by ${harmed.size} flips`);
        assert.equal(reader.pending.items, 0);
        assert.ok(dropped <= 60 - got.length);
      } finally {
        await queue.close();
        await rm(dir, { recursive: true });
        await rm(copy, { recursive: true, force: true });
      }
    }),
    { numRuns: 60 },
  );
});
