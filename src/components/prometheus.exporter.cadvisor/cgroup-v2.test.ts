import assert from "node:assert/strict";
import { test } from "node:test";
import { CgroupV2 } from "./cgroup-v2.ts";
import { KINDS } from "./kinds.ts";
import { newStats } from "./stats.ts";
import { CONTAINER, FixtureExporter, KnownRuntime, type Tree, writeTree } from "./testing.ts";

const ID = "c".repeat(64);
const SCOPE = `system.slice/docker-${ID}.scope`;

/** As the kernel's admin-guide/cgroup-v2 describes it, and systemd lays it out. */
const TREE: Tree = {
  "cg/cpu.stat": "usage_usec 9000000\nuser_usec 6000000\nsystem_usec 3000000\n",
  "cg/memory.stat": "anon 300\nfile 700\nfile_mapped 50\ninactive_file 100\nactive_file 60\npgfault 8\npgmajfault 1\n",
  "cg/cgroup.procs": "1\n2\n",
  "cg/system.slice/cpu.stat": "usage_usec 1\n",
  "cg/system.slice/var-lib.mount/cpu.stat": "usage_usec 1\n",
  [`cg/${SCOPE}/cpu.stat`]:
    "usage_usec 5000000\nuser_usec 4000000\nsystem_usec 1000000\nnr_periods 10\nnr_throttled 2\nthrottled_usec 1500000\n",
  [`cg/${SCOPE}/cpu.max`]: "50000 100000\n",
  [`cg/${SCOPE}/cpu.weight`]: "100\n",
  [`cg/${SCOPE}/memory.stat`]:
    "anon 1000\nfile 2000\nfile_mapped 10\ninactive_file 500\nactive_file 7\npgfault 3\npgmajfault 2\n",
  [`cg/${SCOPE}/memory.current`]: "4000\n",
  [`cg/${SCOPE}/memory.peak`]: "4500\n",
  [`cg/${SCOPE}/memory.swap.current`]: "40\n",
  [`cg/${SCOPE}/memory.max`]: "65536\n",
  [`cg/${SCOPE}/memory.swap.max`]: "max\n",
  [`cg/${SCOPE}/memory.min`]: "0\n",
  [`cg/${SCOPE}/memory.events`]: "low 0\nhigh 0\nmax 3\noom 2\noom_kill 9\n",
  [`cg/${SCOPE}/memory.events.local`]: "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\n",
  [`cg/${SCOPE}/io.stat`]: "999:5 rbytes=4096 wbytes=8192 rios=2 wios=3 dbytes=0 dios=0\n999:6 \n",
  [`cg/${SCOPE}/cpu.pressure`]:
    "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\n",
  [`cg/${SCOPE}/pids.current`]: "12\n",
  [`cg/${SCOPE}/pids.max`]: "max\n",
  [`cg/${SCOPE}/hugetlb.2MB.current`]: "2097152\n",
  [`cg/${SCOPE}/hugetlb.2MB.events`]: "max 4\n",
  meminfo: "SwapTotal:     100 kB\nSwapFree:       60 kB\n",
};

test("figures, limits and labels of a container under systemd", async (t) => {
  const root = writeTree(t, TREE);
  const kinds = new Set(KINDS);
  const runtime = new KnownRuntime();
  runtime.containers.set(ID, CONTAINER);
  const reader = new CgroupV2(kinds, ["2MB"], `${root}/meminfo`);
  const exporter = new FixtureExporter({ folders: new Map([["", `${root}/cg`]]), kinds, reader, runtimes: [runtime] });
  const samples = await exporter.scrape(`id="/${SCOPE}"`);
  const labels = `id="/${SCOPE}",name="web",image="app:1",container_label_com_example_tier="front"`;
  const value = (name: string, extra = "") => samples.get(`container_${name}{${labels}${extra}}`);
  assert.equal(value("cpu_usage_seconds_total", ',cpu="total"'), 5);
  assert.equal(value("cpu_user_seconds_total"), 4);
  assert.equal(value("cpu_cfs_throttled_seconds_total"), 1.5);
  assert.equal(value("spec_cpu_shares"), 2 + Math.floor((99 * 262_142) / 9_999));
  assert.equal(value("spec_cpu_quota"), 50_000);
  assert.equal(value("spec_cpu_period"), 100_000);
  assert.equal(value("memory_usage_bytes"), 4000);
  assert.equal(value("memory_max_usage_bytes"), 4500);
  assert.equal(value("memory_working_set_bytes"), 3500);
  assert.equal(value("memory_rss"), 1000);
  assert.equal(value("memory_cache"), 2000);
  assert.equal(value("memory_swap"), 40);
  assert.equal(value("spec_memory_limit_bytes"), 65_536);
  assert.equal(value("spec_memory_swap_limit_bytes"), 0);
  assert.equal(value("oom_events_total"), 2);
  assert.equal(value("pressure_cpu_waiting_seconds_total"), 2.5);
  assert.equal(value("pressure_cpu_stalled_seconds_total"), 1.5);
  assert.equal(value("threads"), 12);
  assert.equal(value("threads_max"), 0);
  assert.equal(value("hugetlb_usage_bytes", ',pagesize="2MB"'), 2_097_152);
  assert.equal(value("hugetlb_failcnt", ',pagesize="2MB"'), 4);
  // No device has these numbers, and series without a name would be the same for all of them: the first one counts.
  assert.equal(value("fs_writes_bytes_total", ',device=""'), 8192);
  const usage = [...samples].filter(
    ([key]) => key.startsWith("container_blkio_device_usage_total") && key.includes('major="999"'),
  );
  assert.deepEqual(
    usage.map(([, bytes]) => bytes),
    [4096, 8192],
  );

  const all = await exporter.scrape();
  assert.equal(all.get('container_cpu_usage_seconds_total{id="/",cpu="total"}'), 9);
  assert.equal(all.get('container_memory_usage_bytes{id="/"}'), 1000);
  assert.equal(all.get('container_memory_swap{id="/"}'), 40 * 1024);
  assert.equal(all.get('container_processes{id="/"}'), 2);
  assert.ok(all.has('container_start_time_seconds{id="/system.slice"}'));
  assert.equal(
    [...all.keys()].some((key) => key.includes(".mount")),
    false,
  );
});

test("what the kernel does not have is zero", (t) => {
  const root = writeTree(t, { "g/cpu.stat": "usage_usec 7\n" });
  const reader = new CgroupV2(new Set(KINDS), ["2MB"], "/proc/meminfo");
  const stats = newStats();
  const paths = new Map([["", `${root}/g`]]);
  reader.readStats(paths, false, false, stats);
  assert.deepEqual({ ...stats, cpuTotal: 0 }, newStats());
  const { hasCpu, hasMemory, cpuQuota } = reader.readSpec(paths);
  assert.deepEqual({ hasCpu, hasMemory, cpuQuota }, { hasCpu: true, hasMemory: false, cpuQuota: 0 });
});

test("what a container wrote is shown on the file system that holds it", async (t) => {
  const root = writeTree(t, {
    [`cg/${SCOPE}/cpu.stat`]: "usage_usec 1\n",
    "layer/a": "x".repeat(50_000),
    "logs/b": "y",
  });
  const runtime = new KnownRuntime();
  runtime.containers.set(ID, { ...CONTAINER, folders: [`${root}/layer`, `${root}/logs`] });
  const kinds = new Set(["disk", "diskIO"] as const);
  const reader = new CgroupV2(kinds, [], "/proc/meminfo");
  const exporter = new FixtureExporter({ folders: new Map([["", `${root}/cg`]]), kinds, reader, runtimes: [runtime] });
  const figure = (samples: ReadonlyMap<string, number>, name: string) =>
    [...samples].find(([key]) => key.startsWith(`container_fs_${name}{`) && key.includes(`id="/${SCOPE}"`))?.[1];
  // The folders are measured in the background, from the first scrape on.
  let samples = await exporter.scrape();
  while (figure(samples, "usage_bytes") === undefined) samples = await exporter.scrape();
  const usage = figure(samples, "usage_bytes")!;
  assert.ok(usage >= 50_000 && usage < 500_000);
  assert.equal(figure(samples, "inodes_total"), 2);
  assert.ok(figure(samples, "limit_bytes")! > usage);
  assert.notEqual(figure(samples, "writes_total"), undefined);
});
