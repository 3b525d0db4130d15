import assert from "node:assert/strict";
import { test } from "node:test";
import { openAdjtimex } from "../adjtimex.ts";
import { NoDataError } from "../collector.ts";
import { parseRanges } from "../files.ts";
import { FixtureHost } from "../testing.ts";
import { filefd } from "./filefd.ts";
import { loadavg } from "./loadavg.ts";
import { meminfo } from "./meminfo.ts";
import { os, parseOsRelease } from "./os.ts";
import { pressure } from "./pressure.ts";
import { schedstat } from "./schedstat.ts";
import { selinux } from "./selinux.ts";
import { stat } from "./stat.ts";
import { time, zoneName } from "./time.ts";
import { timex } from "./timex.ts";
import { vmstat } from "./vmstat.ts";

test("meminfo: every field, in bytes or pages", async () => {
  using host = new FixtureHost({
    "proc/meminfo":
      "MemTotal:        3742148 kB\nActive(anon):    2068484 kB\nHugePages_Total:       3\nHugepagesize:       2048 kB\nBalloon:               0 kB\n",
  });
  assert.deepEqual(await host.collect(meminfo), [
    "node_memory_Active_anon_bytes 2118127616",
    "node_memory_Balloon_bytes 0",
    "node_memory_HugePages_Total 3",
    "node_memory_Hugepagesize_bytes 2097152",
    "node_memory_MemTotal_bytes 3831959552",
  ]);
});

test("stat, loadavg, filefd, vmstat and schedstat", async () => {
  using host = new FixtureHost({
    "proc/stat": `cpu  1 2\nintr 8885917 ${"17 ".repeat(2000)}\nctxt 38014093\nbtime 1418183276\nprocesses 26442\nprocs_running 2\nprocs_blocked 0\nsoftirq 5057579 1\n`,
    "proc/loadavg": "0.21 0.37 0.39 1/719 19737\n",
    "proc/sys/fs/file-nr": "1024\t0\t1631329\n",
    "proc/vmstat": "nr_free_pages 977769\npgpgin 7344136\npswpout 2\noom_kill 0\npgfault 2320168809\n",
    "proc/schedstat":
      "version 15\ntimestamp 15819019232\ncpu0 498494191 0 3533438552 2553969831 3853684107 2465731542 2045936778163039 343796328169361 4767485306\ndomain0 00000000,00000003 2\ncpu1 broken\n",
  });
  assert.deepEqual(await host.collect(stat), [
    "node_boot_time_seconds 1418183276",
    "node_context_switches_total 38014093",
    "node_forks_total 26442",
    "node_intr_total 8885917",
    "node_procs_blocked 0",
    "node_procs_running 2",
  ]);
  assert.deepEqual(await host.collect(loadavg), ["node_load1 0.21", "node_load15 0.39", "node_load5 0.37"]);
  assert.deepEqual(await host.collect(filefd), ["node_filefd_allocated 1024", "node_filefd_maximum 1631329"]);
  assert.deepEqual(await host.collect(vmstat), [
    "node_vmstat_oom_kill 0",
    "node_vmstat_pgfault 2320168809",
    "node_vmstat_pgpgin 7344136",
    "node_vmstat_pswpout 2",
  ]);
  assert.deepEqual(await host.collect(vmstat, 'vmstat { fields = "^nr_" }'), ["node_vmstat_nr_free_pages 977769"]);
  assert.deepEqual(await host.collect(schedstat), [
    'node_schedstat_running_seconds_total{cpu="0"} 2045936.778163039',
    'node_schedstat_timeslices_total{cpu="0"} 4767485306',
    'node_schedstat_waiting_seconds_total{cpu="0"} 343796.328169361',
  ]);
});

test("pressure: what an old kernel lacks is left out", async () => {
  using host = new FixtureHost({
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=14036781\n",
    "proc/pressure/io":
      "some avg10=0.10 avg60=2.00 avg300=3.85 total=159229614\nfull avg10=0.20 avg60=3.00 avg300=4.95 total=159037510\n",
  });
  assert.deepEqual(await host.collect(pressure), [
    "node_pressure_cpu_waiting_seconds_total 14.036781000000001",
    "node_pressure_io_stalled_seconds_total 159.03751",
    "node_pressure_io_waiting_seconds_total 159.229614",
  ]);
  using bare = new FixtureHost({ "proc/x": "" });
  await assert.rejects(bare.collect(pressure), NoDataError);
});

test("os: os-release of the host's root, with its quotes", async () => {
  using host = new FixtureHost({
    "root/usr/lib/os-release":
      'NAME="Ubuntu"\nVERSION="20.04.2 LTS (Focal Fossa)"\nID=ubuntu\nVERSION_ID="20.04"\n# comment\nSUPPORT_END=2030-05-29\n',
  });
  assert.deepEqual(await host.collect(os), [
    'node_os_info{build_id="",id="ubuntu",id_like="",image_id="",image_version="",name="Ubuntu",pretty_name="",variant="",variant_id="",version="20.04.2 LTS (Focal Fossa)",version_codename="",version_id="20.04"} 1',
    "node_os_support_end_timestamp_seconds 1906243200",
    'node_os_version{id="ubuntu",id_like="",name="Ubuntu"} 20.04',
  ]);
  const values = parseOsRelease('A=\'single $x\'\nB="a \\"b\\" \\$c"\n C=plain\n1=no\n');
  assert.deepEqual(
    [...values],
    [
      ["A", "single $x"],
      ["B", 'a "b" $c'],
      ["C", "plain"],
    ],
  );
  using bare = new FixtureHost({ "root/x": "" });
  await assert.rejects(bare.collect(os), NoDataError);
});

test("selinux: modes, and a kernel without a policy", async () => {
  using host = new FixtureHost({
    "proc/self/attr/current": "system_u:system_r:init_t:s0\0",
    "sys/fs/selinux/enforce": "0",
    "root/etc/selinux/config": "# SELINUX=x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
  });
  assert.deepEqual(await host.collect(selinux), [
    "node_selinux_config_mode 1",
    "node_selinux_current_mode 0",
    "node_selinux_enabled 1",
  ]);
  using without = new FixtureHost({ "proc/self/attr/current": "kernel\0", "sys/fs/selinux/enforce": "0" });
  assert.deepEqual(await without.collect(selinux), ["node_selinux_enabled 0"]);
});

test("time: clock sources, and the zone's abbreviation for its offset", async () => {
  using host = new FixtureHost({
    "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm \n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
  });
  const lines = await host.collect(time);
  assert.ok(lines.includes('node_time_clocksource_available_info{device="0",clocksource="hpet"} 1'));
  assert.ok(lines.includes('node_time_clocksource_current_info{device="0",clocksource="tsc"} 1'));
  assert.match(lines.join("\n"), /^node_time_zone_offset_seconds\{time_zone="[^"]+"\} -?\d+$/m);
  const cases: [string, number, string][] = [
    ["UTC0", 0, "UTC"],
    ["CET-1CEST,M3.5.0,M10.5.0/3", 3600, "CET"],
    ["CET-1CEST,M3.5.0,M10.5.0/3", 7200, "CEST"],
    ["EST5EDT,M3.2.0,M11.1.0", -18_000, "EST"],
    ["EST5EDT,M3.2.0,M11.1.0", -14_400, "EDT"],
    ["<+0545>-5:45", 20_700, "+0545"],
    ["", 0, "UTC"],
  ];
  for (const [rule, offset, name] of cases) assert.equal(zoneName(rule, offset), name, `${rule} ${offset}`);
});

test("timex: the kernel's clock is read where Node can call it", async (t) => {
  const adjtimex = openAdjtimex();
  if (adjtimex === undefined) return t.skip("this version of Node has no foreign function interface");
  const clock = adjtimex();
  assert.ok(clock.state >= 0 && clock.state <= 5);
  assert.ok(clock.tick >= 9_000 && clock.tick <= 11_000);
  using host = new FixtureHost({});
  const lines = await host.collect(timex);
  assert.equal(lines.length, 17);
  assert.match(lines.join("\n"), /^node_timex_tick_seconds 0\.0(0|1)\d*$/m);
});

test("ranges of CPUs", () => {
  assert.deepEqual(parseRanges("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11]);
  assert.deepEqual(parseRanges("\n"), []);
  assert.throws(() => parseRanges("a-b"), /expected a number/);
});
