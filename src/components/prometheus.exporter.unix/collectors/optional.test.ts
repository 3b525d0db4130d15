import assert from "node:assert/strict";
import { test } from "node:test";
import { FixtureHost } from "../testing.ts";
import { cgroups } from "./cgroups.ts";
import { cpuVulnerabilities } from "./cpu-vulnerabilities.ts";
import { interrupts } from "./interrupts.ts";
import { lnstat } from "./lnstat.ts";
import { meminfoNuma } from "./meminfo-numa.ts";
import { processes } from "./processes.ts";
import { softirqs } from "./softirqs.ts";
import { swap } from "./swap.ts";
import { sysctl } from "./sysctl.ts";
import { createTcpstat } from "./tcpstat.ts";
import { xfrm } from "./xfrm.ts";
import { zoneinfo } from "./zoneinfo.ts";

test("interrupts and softirqs: one series a CPU", async () => {
  using host = new FixtureHost({
    "proc/interrupts":
      "            CPU0       CPU1       \n  0:         18          1   IO-APIC   2-edge      timer\nNMI:         47       5031   Non-maskable interrupts\nERR:          0\n",
    "proc/softirqs":
      "                    CPU0       CPU1       \n          HI:          7          8\n      NET_TX:          1          2\n",
  });
  assert.deepEqual(await host.collect(interrupts), [
    'node_interrupts_total{cpu="0",type="0",info="IO-APIC",devices="2-edge timer"} 18',
    'node_interrupts_total{cpu="0",type="NMI",info="Non-maskable interrupts",devices=""} 47',
    'node_interrupts_total{cpu="1",type="0",info="IO-APIC",devices="2-edge timer"} 1',
    'node_interrupts_total{cpu="1",type="NMI",info="Non-maskable interrupts",devices=""} 5031',
  ]);
  assert.deepEqual(await host.collect(softirqs), [
    'node_softirqs_functions_total{cpu="0",type="HI"} 7',
    'node_softirqs_functions_total{cpu="0",type="NET_TX"} 1',
    'node_softirqs_functions_total{cpu="1",type="HI"} 8',
    'node_softirqs_functions_total{cpu="1",type="NET_TX"} 2',
  ]);
});

test("processes: states of processes and threads, whatever a command is called", async () => {
  const stat = (pid: number, command: string, state: string, threads: number) =>
    `${pid} (${command}) ${state} 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 ${threads} 0 9\n`;
  using host = new FixtureHost({
    "proc/10/stat": stat(10, "a) R (b", "S", 2),
    "proc/10/task/10/stat": stat(10, "a) R (b", "S", 2),
    "proc/10/task/11/stat": stat(11, "worker", "R", 2),
    "proc/12/stat": stat(12, "zombie", "Z", 1),
    "proc/self/stat": stat(1, "no", "R", 1),
    "proc/13/cmdline": "",
    "proc/sys/kernel/threads-max": "7801\n",
    "proc/sys/kernel/pid_max": "32768\n",
  });
  assert.deepEqual(await host.collect(processes), [
    "node_processes_max_processes 32768",
    "node_processes_max_threads 7801",
    "node_processes_pids 2",
    'node_processes_state{state="S"} 1',
    'node_processes_state{state="Z"} 1',
    "node_processes_threads 3",
    'node_processes_threads_state{thread_state="R"} 1',
    'node_processes_threads_state{thread_state="S"} 1',
  ]);
});

test("sysctl: one value, several, named ones and texts", async () => {
  using host = new FixtureHost({
    "proc/sys/kernel/pid_max": "32768\n",
    "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
    "proc/sys/kernel/printk": "4 4\n",
    "proc/sys/kernel/seccomp/actions_avail": "kill trap\n",
  });
  const lines = await host.collect(
    sysctl,
    `sysctl {
      include      = ["kernel.pid_max", "net.ipv4.tcp_rmem:min,default,max", "kernel.printk"]
      include_info = ["kernel.seccomp.actions_avail"]
    }`,
  );
  assert.deepEqual(lines, [
    'node_sysctl_info{name="kernel.seccomp.actions_avail",value="kill",index="0"} 1',
    'node_sysctl_info{name="kernel.seccomp.actions_avail",value="trap",index="1"} 1',
    "node_sysctl_kernel_pid_max 32768",
    'node_sysctl_kernel_printk{index="0"} 4',
    'node_sysctl_kernel_printk{index="1"} 4',
    "node_sysctl_net_ipv4_tcp_rmem_default 131072",
    "node_sysctl_net_ipv4_tcp_rmem_max 6291456",
    "node_sysctl_net_ipv4_tcp_rmem_min 4096",
  ]);
  await assert.rejects(host.collect(sysctl, 'sysctl { include = ["kernel.printk:a"] }'), /has 2 values, but 1 names/);
  await assert.rejects(
    host.collect(sysctl, 'sysctl { include = ["kernel.seccomp.actions_avail"] }'),
    /expected a number/,
  );
});

test("tables of numbers", async () => {
  using host = new FixtureHost({
    "proc/swaps":
      "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n/dev/zram0                              partition\t8388604\t76\t100\n",
    "proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t5\t47\t1\n",
    "proc/net/xfrm_stat": "XfrmInError                     1\nXfrmOutPolDead                  7\nXfrmNew 5\n",
    "proc/net/stat/arp_cache": "entries  allocs\n00000014  00000001\n00000014  0000000d\n",
    "proc/net/tcp":
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n" +
      "   0: 00000000:0016 00000000:0000 0A 00000015:0000000A 00:00000000 00000000     0        0 2740 1 ffff 0\n" +
      "   1: 0F02000A:0016 0202000A:8B6B 01 00000001:00000000 02:000AC99B 00000000     0        0 3652 4 ffff 0\n",
    "sys/devices/system/cpu/vulnerabilities/mds": "Not affected\n",
    "sys/devices/system/cpu/vulnerabilities/meltdown": "Mitigation: PTI\n",
    "sys/devices/system/cpu/vulnerabilities/itlb_multihit": "KVM: Mitigation: VMX disabled\n",
    "sys/devices/system/node/node1/meminfo":
      "Node 1 MemTotal:       134217728 kB\nNode 1 Active(anon):     707 kB\nNode 1 HugePages_Free:  3\n",
    "sys/devices/system/node/node1/numastat": "numa_hit 59858626709\n",
    "proc/zoneinfo":
      "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_anon 95612\n  pages free     2949\n        min      8\n        protection: (0, 2039)\n    cpu: 0\n              high:  378\nNode 0, zone    DMA32\n  pages free     1\n        high     30\n",
  });
  assert.deepEqual(await host.collect(swap), [
    'node_swap_priority{device="/dev/zram0",swap_type="partition"} 100',
    'node_swap_size_bytes{device="/dev/zram0",swap_type="partition"} 8589930496',
    'node_swap_used_bytes{device="/dev/zram0",swap_type="partition"} 77824',
  ]);
  assert.deepEqual(await host.collect(cgroups), [
    'node_cgroups_cgroups{subsys_name="cpuset"} 47',
    'node_cgroups_enabled{subsys_name="cpuset"} 1',
  ]);
  assert.deepEqual(await host.collect(xfrm), [
    "node_xfrm_in_error_packets_total 1",
    "node_xfrm_out_pol_dead_packets_total 7",
  ]);
  assert.ok((await host.collect(lnstat)).includes('node_lnstat_allocs_total{subsystem="arp_cache",cpu="1"} 13'));
  const { files } = host.options();
  const byFile = { name: "tcpstat", enabledByDefault: false, create: () => createTcpstat(files, undefined) };
  assert.deepEqual(await host.collect(byFile), [
    'node_tcp_connection_states{state="established"} 1',
    'node_tcp_connection_states{state="listen"} 1',
    'node_tcp_connection_states{state="rx_queued_bytes"} 10',
    'node_tcp_connection_states{state="tx_queued_bytes"} 22',
  ]);
  assert.deepEqual(await host.collect(cpuVulnerabilities), [
    'node_cpu_vulnerabilities_info{codename="itlb_multihit",state="unknown"} 1',
    'node_cpu_vulnerabilities_info{codename="mds",state="not affected"} 1',
    'node_cpu_vulnerabilities_info{codename="meltdown",state="mitigation"} 1',
  ]);
  assert.deepEqual(await host.collect(meminfoNuma), [
    'node_memory_numa_Active_anon{node="1"} 723968',
    'node_memory_numa_HugePages_Free{node="1"} 3',
    'node_memory_numa_MemTotal{node="1"} 137438953472',
    'node_memory_numa_numa_hit_total{node="1"} 59858626709',
  ]);
  assert.deepEqual(await host.collect(zoneinfo), [
    'node_zoneinfo_high_pages{node="0",zone="DMA32"} 30',
    'node_zoneinfo_min_pages{node="0",zone="DMA"} 8',
    'node_zoneinfo_nr_inactive_anon_pages{node="0",zone="DMA"} 95612',
    'node_zoneinfo_protection_0{node="0",zone="DMA"} 0',
    'node_zoneinfo_protection_1{node="0",zone="DMA"} 2039',
  ]);
});
