import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CgroupV1, controllersFor, parseNodePages } from "./cgroup-v1.ts";
import { parseBlkio } from "./disk-counts.ts";
import { KINDS, type Kind } from "./kinds.ts";
import { type CgroupPaths, newStats } from "./stats.ts";
import { type Tree, writeTree } from "./testing.ts";

const CONTROLLERS = ["cpu", "cpuacct", "memory", "blkio", "pids", "cpuset", "hugetlb"] as const;

/** A group as the kernel's admin-guide/cgroup-v1 describes it. */
const GROUP: Tree = {
  "cpu/g/cpu.shares": "2048\n",
  "cpu/g/cpu.cfs_period_us": "100000\n",
  "cpu/g/cpu.cfs_quota_us": "50000\n",
  "cpu/g/cpu.stat": "nr_periods 7\nnr_throttled 3\nthrottled_time 2000000000\n",
  "cpuacct/g/cpuacct.stat": "user 250\nsystem 50\n",
  "cpuacct/g/cpuacct.usage": "3100000000\n",
  "cpuacct/g/cpuacct.usage_percpu": "1100000000 2000000000 \n",
  "memory/memory.use_hierarchy": "1\n",
  "memory/memory.memsw.limit_in_bytes": "1\n",
  "memory/memory.kmem.usage_in_bytes": "1\n",
  "memory/g/memory.stat":
    "cache 1\nrss 2\nmapped_file 3\npgfault 40\npgmajfault 5\nswap 6\nactive_file 1\ninactive_file 1\ntotal_cache 100\ntotal_rss 200\ntotal_mapped_file 30\ntotal_swap 60\ntotal_inactive_file 50\ntotal_active_file 20\n",
  "memory/g/memory.usage_in_bytes": "1000\n",
  "memory/g/memory.max_usage_in_bytes": "1500\n",
  "memory/g/memory.failcnt": "4\n",
  "memory/g/memory.kmem.usage_in_bytes": "70\n",
  "memory/g/memory.limit_in_bytes": "9223372036854771712\n",
  "memory/g/memory.memsw.limit_in_bytes": "4096\n",
  "memory/g/memory.soft_limit_in_bytes": "2048\n",
  "memory/g/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
  "memory/g/memory.numa_stat": "total=3 N0=1 N1=2\nfile=5 N0=2 N1=3\nhierarchical_anon=9 N0=9\n",
  "blkio/blkio.bfq.io_serviced_recursive": "Total 0\n",
  "blkio/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
  "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 9\n8:0 Total 9\nTotal 9\n",
  "blkio/g/blkio.throttle.io_serviced_recursive": "8:0 Read 3\n8:0 Write 4\n8:0 Total 7\n8:16 Read 1\nTotal 8\n",
  "blkio/g/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 8192\nTotal 12288\n",
  "pids/g/pids.current": "5\n",
  "pids/g/pids.max": "max\n",
  "cpuset/g/cpuset.memory_migrate": "1\n",
  "hugetlb/g/hugetlb.2MB.rsvd.usage_in_bytes": "4194304\n",
  "hugetlb/g/hugetlb.2MB.rsvd.max_usage_in_bytes": "6291456\n",
  "hugetlb/g/hugetlb.2MB.rsvd.failcnt": "1\n",
};

function pathsOf(root: string, name: string): CgroupPaths {
  return new Map(CONTROLLERS.map((controller) => [controller, `${root}/${controller}${name}`]));
}

test("figures and limits of a group", (t) => {
  const root = writeTree(t, GROUP);
  const reader = new CgroupV1(pathsOf(root, ""), new Set(KINDS), ["2MB"]);
  reader.refresh();
  const stats = newStats();
  reader.readStats(pathsOf(root, "/g"), false, true, stats);
  assert.deepEqual([stats.cpuUser, stats.cpuSystem, stats.cpuEach], [2.5e9, 0.5e9, [1.1e9, 2e9]]);
  assert.deepEqual([stats.throttlePeriods, stats.throttledPeriods, stats.throttledTime], [7, 3, 2e9]);
  assert.deepEqual([stats.cache, stats.rss, stats.swap, stats.mappedFile], [100, 200, 60, 30]);
  assert.deepEqual([stats.memoryUsage, stats.memoryMaximum, stats.memoryFailures], [1000, 1500, 4]);
  assert.deepEqual([stats.kernelMemory, stats.workingSet, stats.oomKills], [70, 950, 2]);
  assert.deepEqual([stats.pageFaults, stats.majorPageFaults], [40, 5]);
  assert.deepEqual([stats.threads, stats.threadsMaximum, stats.memoryMigrate], [5, 0, 1]);
  assert.deepEqual(stats.hugePages, [{ size: "2MB", usage: 4194304, maximum: 6291456, failures: 1 }]);
  assert.deepEqual(
    stats.disk.serviced.map(({ major, minor, operations }) => [major, minor, [...operations]]),
    [
      [8, 0, [...Object.entries({ Read: 3, Write: 4, Total: 7 })]],
      [8, 16, [["Read", 1]]],
    ],
  );
  assert.equal(stats.disk.serviceBytes[0]?.operations.get("Write"), 8192);
  assert.equal(stats.nodePages.length, 3);

  const spec = reader.readSpec(pathsOf(root, "/g"));
  assert.deepEqual([spec.cpuShares, spec.cpuPeriod, spec.cpuQuota], [2048, 100_000, 50_000]);
  assert.deepEqual([spec.swapLimit, spec.memoryReservation], [4096, 2048]);
  assert.ok(spec.memoryLimit > 2 ** 62);
});

test("a group that has ended meanwhile is all zero", (t) => {
  const root = writeTree(t, GROUP);
  const reader = new CgroupV1(pathsOf(root, ""), new Set(KINDS), ["2MB"]);
  const stats = newStats();
  reader.readStats(pathsOf(root, "/gone"), false, true, stats);
  assert.deepEqual({ ...stats, hugePages: [] }, newStats());
});

test("no quota is none", (t) => {
  const root = writeTree(t, { ...GROUP, "cpu/g/cpu.cfs_quota_us": "-1\n" });
  const reader = new CgroupV1(pathsOf(root, ""), new Set(KINDS), []);
  assert.equal(reader.readSpec(pathsOf(root, "/g")).cpuQuota, 0);
});

test("bytes of a disk come from its scheduler where that counts, and from the throttle otherwise", (t) => {
  const root = writeTree(t, {
    ...GROUP,
    "blkio/blkio.bfq.io_serviced_recursive": "8:0 Read 9\nTotal 9\n",
    "blkio/g/blkio.bfq.io_serviced_recursive": "8:0 Read 5\nTotal 5\n",
    "blkio/g/blkio.bfq.io_service_bytes_recursive": "8:0 Read 77\nTotal 77\n",
  });
  const reader = new CgroupV1(pathsOf(root, ""), new Set<Kind>(["diskIO"]), []);
  reader.refresh();
  const stats = newStats();
  reader.readStats(new Map([["blkio", `${root}/blkio/g`]]), false, false, stats);
  assert.equal(stats.disk.serviceBytes[0]?.operations.get("Read"), 77);
});

test("controllers are looked at for the kinds that want them", () => {
  const folders = new Map(["cpu", "memory", "devices", "freezer", "pids"].map((name) => [name, `/${name}`]));
  assert.deepEqual([...controllersFor(folders, new Set<Kind>(["memory"])).keys()], ["memory", "devices"]);
  assert.deepEqual([...controllersFor(folders, new Set<Kind>(["cpu", "process"])).keys()], ["cpu", "devices", "pids"]);
});

test("tables with anything in them do no harm", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseBlkio(text)));
  fc.assert(fc.property(fc.string(), (text) => void parseNodePages(text)));
  const line = fc.tuple(fc.nat(300), fc.nat(300), fc.constantFrom("Read", "Write", "Sync", ""), fc.nat());
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      const text = lines.map(([a, b, c, d]) => `${a}:${b} ${c === "" ? "" : `${c} `}${d}\n`).join("");
      const expected = new Map(lines.map(([a, b, c, d]) => [`${a}:${b} ${c || "Count"}`, d]));
      const parsed = parseBlkio(`${text}Total 5\n`).flatMap(({ major, minor, operations }) =>
        [...operations].map(([operation, value]) => [`${major}:${minor} ${operation}`, value] as const),
      );
      assert.deepEqual(new Map(parsed), expected);
    }),
  );
});
