import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import { systemClock } from "#base/clock";
import { Groups } from "./groups.ts";
import { COUNT, ProcessFiles, parseStat } from "./process-files.ts";
import { Tracker } from "./tracker.ts";

interface Fixture {
  readonly pid: number;
  readonly command: string;
  readonly parent?: number;
  readonly user?: number;
  readonly start?: number;
  readonly voluntary?: number;
  readonly threads?: Readonly<Record<number, { name: string; user: number; voluntary: number }>>;
}

const stat = (pid: number, { command, parent = 1, user = 0, start = 100, threads = {} }: Omit<Fixture, "pid">) =>
  `${pid} (${command}) S ${parent} 1 1 0 -1 4194560 11 0 7 0 ${user} 50 0 0 20 0 ${Object.keys(threads).length || 1} 0 ${start} 8192 3 184 0`;
const status = (voluntary: number) =>
  `Name:\tx\nUid:\t1000\t1001\t1000\t1000\nVmSwap:\t      4 kB\nvoluntary_ctxt_switches:\t${voluntary}\nnonvoluntary_ctxt_switches:\t5\n`;

/** A procfs written as proc(5) describes it. */
class FixtureProcesses {
  readonly root = mkdtempSync(join(tmpdir(), "invar-procfs-"));

  constructor(t: TestContext) {
    cleanUp(t, () => rmSync(this.root, { recursive: true }));
    this.#write("stat", "cpu  1 2 3\nbtime 1700000000\n");
    this.#write("uptime", "5000.25 9000.00\n");
  }
  add({ pid, ...process }: Fixture): void {
    this.#write(`${pid}/stat`, stat(pid, process));
    this.#write(`${pid}/status`, status(process.voluntary ?? 0));
    this.#write(`${pid}/cmdline`, `/bin/${process.command}\0--x\0`);
    this.#write(`${pid}/cgroup`, "0::/user.slice\n");
    this.#write(
      `${pid}/limits`,
      "Limit     Soft Limit   Hard Limit   Units\nMax open files            20                   40 files\n",
    );
    this.#write(`${pid}/io`, "rchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 3\n");
    this.#write(`${pid}/wchan`, "0");
    this.#write(`${pid}/smaps_rollup`, "00-ff ---p [rollup]\nRss:  9 kB\nPss:  8 kB\nSwapPss:  2 kB\n");
    this.#write(`${pid}/fd/0`, "");
    for (const [tid, thread] of Object.entries(process.threads ?? {})) {
      this.#write(`${pid}/task/${tid}/stat`, stat(Number(tid), { command: thread.name, user: thread.user }));
      this.#write(`${pid}/task/${tid}/status`, status(thread.voluntary));
      this.#write(`${pid}/task/${tid}/io`, "read_bytes: 1\nwrite_bytes: 2\n");
      this.#write(`${pid}/task/${tid}/wchan`, "futex_wait");
    }
  }
  remove(pid: string | number): void {
    rmSync(join(this.root, String(pid)), { recursive: true });
  }
  tracker(options: { trackChildren?: boolean; recheck?: boolean; wanted?: readonly string[] } = {}): Tracker {
    const { trackChildren = true, recheck = false, wanted = ["wanted"] } = options;
    return new Tracker({
      files: new ProcessFiles(this.root, 4096, true),
      namer: ({ identity }) => (wanted.includes(identity.command) ? identity.command : undefined),
      trackChildren,
      recheck,
      clock: systemClock,
      userName: String,
    });
  }
  #write(path: string, text: string): void {
    mkdirSync(join(this.root, dirname(path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }
}

async function groupsOf(tracker: Tracker): Promise<string[]> {
  const { processes } = await tracker.update();
  return processes.map(({ group, started }) => `${group}@${(started - 1_700_000_000_000) / 10}`).sort();
}

test("figures of a process are those of its files", async (t) => {
  const procfs = new FixtureProcesses(t);
  procfs.add({ pid: 7, command: "wanted", user: 250, voluntary: 3 });
  const { processes, problems } = await procfs.tracker().update();
  const [{ reading } = assert.fail()] = processes;
  assert.deepEqual([...reading.counts], [2.5, 0.5, 4096, 8192, 7, 11, 3, 5]);
  const { residentBytes, virtualBytes, swappedBytes, proportionalBytes, proportionalSwapBytes } = reading;
  assert.deepEqual(
    { residentBytes, virtualBytes, swappedBytes, proportionalBytes, proportionalSwapBytes },
    {
      residentBytes: 12_288,
      virtualBytes: 8192,
      swappedBytes: 4096,
      proportionalBytes: 8192,
      proportionalSwapBytes: 2048,
    },
  );
  assert.equal(reading.openFilesLimit, 20);
  assert.deepEqual([...reading.states], [0, 1, 0, 0, 0]);
  assert.equal(problems.partial, 0);
});

test("children belong to the group of their nearest ancestor that has one", async (t) => {
  const procfs = new FixtureProcesses(t);
  procfs.add({ pid: 10, command: "wanted", start: 1 });
  procfs.add({ pid: 11, command: "child", parent: 10, start: 2 });
  procfs.add({ pid: 12, command: "grandchild", parent: 11, start: 3 });
  procfs.add({ pid: 13, command: "stranger", parent: 1, start: 4 });
  assert.deepEqual(await groupsOf(procfs.tracker()), ["wanted@1", "wanted@2", "wanted@3"]);
  assert.deepEqual(await groupsOf(procfs.tracker({ trackChildren: false })), ["wanted@1"]);

  const tracker = procfs.tracker();
  await tracker.update();
  procfs.add({ pid: 14, command: "late", parent: 12, start: 5 });
  procfs.add({ pid: 15, command: "later", parent: 13, start: 6 });
  assert.deepEqual(await groupsOf(tracker), ["wanted@1", "wanted@2", "wanted@3", "wanted@5"]);
});

test("what belongs to no group is looked at again only if asked for", async (t) => {
  const procfs = new FixtureProcesses(t);
  procfs.add({ pid: 10, command: "starting", start: 1 });
  const [once, again] = [procfs.tracker(), procfs.tracker({ recheck: true })];
  assert.deepEqual([await groupsOf(once), await groupsOf(again)], [[], []]);
  procfs.add({ pid: 10, command: "wanted", start: 1 });
  assert.deepEqual([await groupsOf(once), await groupsOf(again)], [[], ["wanted@1"]]);
});

test("a process that takes the number of another one is another process", async (t) => {
  const procfs = new FixtureProcesses(t);
  procfs.add({ pid: 10, command: "stranger", start: 1 });
  const tracker = procfs.tracker();
  assert.deepEqual(await groupsOf(tracker), []);
  procfs.add({ pid: 10, command: "wanted", start: 2 });
  assert.deepEqual(await groupsOf(tracker), ["wanted@2"]);
  procfs.add({ pid: 10, command: "wanted", start: 3, user: 100 });
  assert.deepEqual(await groupsOf(tracker), ["wanted@3"]);
});

test("counters grow by what processes did since the first round, and stay when they end", async (t) => {
  const procfs = new FixtureProcesses(t);
  procfs.add({ pid: 10, command: "wanted", user: 500 });
  const tracker = procfs.tracker();
  const groups = new Groups(false);
  const seconds = async () => groups.update((await tracker.update()).processes).get("wanted")?.counts[COUNT.user];
  assert.equal(await seconds(), 0);
  procfs.add({ pid: 10, command: "wanted", user: 700 });
  assert.equal(await seconds(), 2);
  // Began after the first round: all it did counts.
  procfs.add({ pid: 11, command: "wanted", user: 300, start: 500_026 });
  assert.equal(await seconds(), 5);
  procfs.remove(10);
  procfs.remove(11);
  assert.equal(await seconds(), 5);
  assert.equal(groups.update([]).get("wanted")?.processes, 0);
  assert.equal(groups.update([]).get("wanted")?.oldestStart, undefined);
  const forgetful = new Groups(true);
  procfs.add({ pid: 10, command: "wanted" });
  assert.equal(forgetful.update((await tracker.update()).processes).size, 1);
  assert.equal(forgetful.update([]).size, 0);
});

test("threads are added up by name, and one that ends takes nothing from the counters", async (t) => {
  const procfs = new FixtureProcesses(t);
  const tracker = procfs.tracker();
  const groups = new Groups(false);
  const round = async () => groups.update((await tracker.update()).processes).get("wanted")!;
  const main = { name: "wanted", user: 100, voluntary: 10 };
  procfs.add({ pid: 10, command: "wanted", threads: { 10: main, 11: { name: "worker", user: 0, voluntary: 20 } } });
  assert.equal((await round()).threads.get("worker")?.count, 1);
  procfs.add({ pid: 10, command: "wanted", threads: { 10: main, 11: { name: "worker", user: 300, voluntary: 50 } } });
  const busy = await round();
  assert.equal(busy.threads.get("worker")?.counts[COUNT.user], 3);
  assert.equal(busy.counts[COUNT.voluntary], 30);
  assert.deepEqual([...busy.waiting], [["futex_wait", 2]]);
  assert.equal(busy.threadCount, 2);

  procfs.remove("10/task/11");
  procfs.add({ pid: 10, command: "wanted", voluntary: 10 });
  const ended = await round();
  assert.equal(ended.threads.size, 0);
  assert.equal(ended.counts[COUNT.voluntary], 30);
});

test("a name for each process does not take all memory", () => {
  const groups = new Groups(false);
  const reading = {
    ...{ counts: new Float64Array(8), states: new Int32Array(5), threads: [], waitsFor: "", threadCount: 1 },
    ...{ residentBytes: 0, virtualBytes: 0, swappedBytes: 0, proportionalBytes: 0, proportionalSwapBytes: 0 },
    ...{ openFiles: 0, openFilesLimit: 1, problems: 0, denied: undefined },
  };
  const processes = (from: number) =>
    Array.from({ length: 3_000 }, (_, i) => {
      return { group: `job-${from + i}`, started: 0, reading, growth: reading.counts, threads: new Map() };
    });
  for (let from = 0; from < 12_000; from += 3_000) groups.update(processes(from));
  assert.equal(groups.forgotten, 3_000);
  const left = groups.update([]);
  assert.equal(left.size, 5_000);
  assert.equal(left.has("job-11999"), true);
  assert.equal(left.has("job-6999"), false);
});

test("a folder that is no procfs is an error", async (t) => {
  const procfs = new FixtureProcesses(t);
  procfs.remove("stat");
  await assert.rejects(() => procfs.tracker().update(), /ENOENT/);
});

test("commands may hold parentheses and spaces", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 15 }), fc.nat(), (command, start) => {
      const parsed = parseStat(stat(1, { command, start }));
      assert.equal(parsed?.command, command);
      assert.equal(parsed?.start, start);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => void parseStat(text)));
});
