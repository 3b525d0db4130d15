import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, type TestAgent } from "../kit/agent.ts";
import { seriesOf } from "../kit/exporter-page.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";

/** `prometheus.exporter.unix` of the real agent beside Debian's prometheus-node-exporter, on this machine. */

const PEER = "/usr/bin/prometheus-node-exporter";

async function startPeer(t: TestContext, flags: readonly string[]): Promise<() => Promise<string>> {
  const address = `127.0.0.1:${await freePort()}`;
  const child = spawn(PEER, [`--web.listen-address=${address}`, ...flags], { stdio: "ignore" });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  cleanUp(t, async () => {
    child.kill("SIGKILL");
    await gone;
  });
  const page = async () => (await fetch(`http://${address}/metrics`, { headers: { connection: "close" } })).text();
  const answers = () =>
    page().then(
      () => true,
      () => false,
    );
  await waitUntil(answers, WAIT_MS, "node_exporter answers");
  return page;
}

async function pageOf(agent: TestAgent): Promise<string> {
  const response = await agent.api("/api/v0/component/prometheus.exporter.unix.host/metrics");
  assert.equal(response.status, 200);
  return response.text();
}

/** Debian's node_exporter is 1.5.0, Alloy's a fork of 1.6.1 that reads with a newer library. */
const DIFFERENCES: readonly (readonly [series: RegExp, why: string])[] = [
  [/^(go|process|promhttp)_/, "what the programs say about themselves"],
  [/^node_exporter_build_info\{/, "what the programs say about themselves"],
  [/^node_scrape_collector_duration_seconds\{/, "what the programs say about themselves"],
  [/^node_softnet_(backlog_len|cpu_collision_total|flow_limit_count_total|received_rps_total)\{/, "1.6"],
  [/^node_cpu_frequency_hertz\{/, "1.6"],
  [/^node_pressure_irq_stalled_seconds_total\{/, "newer library"],
  [/^node_network_info\{/, "has the label adminstate since 1.6"],
  [/^node_network_receive_nohandler_total\{/, "is told by netlink only, and Alloy reads /proc/net/dev"],
];

/** What everything on this machine changes from one moment to the next. */
const RESTLESS =
  /^node_(procs|slabinfo|filefd|sockstat|tcp|udp|memory|processes|filesystem|entropy|netstat_Tcp_CurrEstab|timex|load)/;

/** What is in one page and not in the other, and values that are not between two reads of the other program. */
function differences(before: string, ours: string, after: string): string[] {
  const [first, our, last] = [before, ours, after].map(seriesOf) as [
    ReturnType<typeof seriesOf>,
    ReturnType<typeof seriesOf>,
    ReturnType<typeof seriesOf>,
  ];
  const may = (key: string) => DIFFERENCES.some(([pattern]) => pattern.test(key));
  const problems: string[] = [];
  // What came or went meanwhile says nothing.
  for (const key of first.keys()) if (last.has(key) && !our.has(key) && !may(key)) problems.push(`missing: ${key}`);
  for (const [key, { value, type, help }] of our) {
    const [a, b] = [first.get(key), last.get(key)];
    if (may(key)) continue;
    if (a === undefined || b === undefined) {
      if (a === b && !isPassing(key)) problems.push(`too much: ${key}`);
      continue;
    }
    if (a.type !== type || a.help !== help) problems.push(`${key}: ${type} "${help}" is ${a.type} "${a.help}"`);
    const [low, high] = [Math.min(a.value, b.value), Math.max(a.value, b.value)];
    if (RESTLESS.test(key)) continue;
    // Counters of other CPUs may be told a tick late.
    const slack = (high - low) * 0.5 + Math.abs(high) * 1e-6 + 0.02;
    if (!(value >= low - slack && value <= high + slack)) problems.push(`${key}: ${value} is not in ${low}..${high}`);
  }
  return problems;
}

/** States that only some process or connection of the moment is in. */
function isPassing(key: string): boolean {
  return /^node_(processes_(threads_)?state|tcp_connection_states)\{/.test(key);
}

/** Compares until nothing came between the reads: other programs on the machine change what both show. */
async function assertSame(peer: () => Promise<string>, agent: TestAgent): Promise<void> {
  let problems: string[] = [];
  for (let i = 0; i < 20; i++) {
    const before = await peer();
    const ours = await pageOf(agent);
    problems = differences(before, ours, await peer());
    if (problems.length === 0) return;
  }
  assert.deepEqual(problems, []);
}

test("series, types, help and values are those of node_exporter", async (t) => {
  // What Debian's package changes from node_exporter's own defaults, and Alloy's from them.
  const peer = await startPeer(t, [
    "--no-collector.systemd",
    "--no-collector.cpu.guest",
    "--collector.netdev.device-exclude=",
    `--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)`,
    `--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs)$`,
  ]);
  const agent = await startAgent(t, 'prometheus.exporter.unix "host" { }\n');
  await assertSame(peer, agent);
});

test("so they are for collectors that are off by default, and with filters", async (t) => {
  const names = [
    ...["buddyinfo", "cgroups", "cpu", "diskstats", "ethtool", "filesystem", "interrupts", "ksmd", "lnstat"],
    ...["meminfo_numa", "netclass", "netdev", "netstat", "network_route", "processes", "qdisc", "slabinfo", "sysctl"],
    ...["tcpstat", "vmstat", "zoneinfo"],
  ];
  const peer = await startPeer(t, [
    "--collector.disable-defaults",
    ...names.map((name) => `--collector.${name}`),
    "--collector.cpu.info",
    "--collector.cpu.info.flags-include=^(fpu|sse.*)$",
    "--collector.diskstats.device-exclude=",
    "--collector.diskstats.device-include=^(vd|sd|nvme|zram).*",
    "--collector.filesystem.fs-types-exclude=^tmpfs$",
    "--collector.filesystem.mount-points-exclude=^/(proc|sys)($|/)",
    "--collector.netdev.device-exclude=",
    "--collector.netdev.device-include=^lo$",
    "--collector.netclass.ignored-devices=^ifb",
    "--collector.netstat.fields=^Tcp_",
    "--collector.sysctl.include=vm.swappiness",
    "--collector.sysctl.include=net.ipv4.tcp_rmem:min,default,max",
    "--collector.sysctl.include-info=kernel.seccomp.actions_avail",
    "--collector.vmstat.fields=^pg",
  ]);
  const config = `prometheus.exporter.unix "host" {
  set_collectors = ${JSON.stringify(names)}
  cpu {
    info          = true
    guest         = true
    flags_include = "^(fpu|sse.*)$"
  }
  disk { device_include = "^(vd|sd|nvme|zram).*" }
  filesystem {
    fs_types_exclude     = "^tmpfs$"
    mount_points_exclude = "^/(proc|sys)($|/)"
  }
  netdev { device_include = "^lo$" }
  netclass { ignored_devices = "^ifb" }
  netstat { fields = "^Tcp_" }
  sysctl {
    include      = ["vm.swappiness", "net.ipv4.tcp_rmem:min,default,max"]
    include_info = ["kernel.seccomp.actions_avail"]
  }
  vmstat { fields = "^pg" }
}
`;
  await assertSame(peer, await startAgent(t, config));
});

test("a collector that fails shows as that, and the page stays", async (t) => {
  const agent = await startAgent(
    t,
    `prometheus.exporter.unix "host" {
  set_collectors = ["loadavg", "textfile"]
  textfile { directory = "/nonexistent/text" }
}
`,
  );
  assert.match(await pageOf(agent), /^node_load1 /m);
  const { cause } = await agent.untilRule("prometheus.exporter.unix.host", "collectors", "degraded");
  assert.equal(cause, "textfile: cannot read the directory of text files: /nonexistent/text does not exist");
});
