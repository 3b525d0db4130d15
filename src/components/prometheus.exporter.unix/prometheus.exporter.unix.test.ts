import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { parseTextFile, type TextFamily } from "#formats/text-file";
import { fetchWhenReady, freePort } from "#kits/free-port.testing";
import { DiagnosticError } from "#lang/diagnostic";
import { startComponent, type TestComponent } from "#pipeline/testing";
import { COLLECTORS } from "./collectors.ts";
import unix from "./prometheus.exporter.unix.ts";

const NODE_EXPORTER = "/usr/bin/prometheus-node-exporter";

async function scrape(component: Pick<TestComponent<never, unknown>, "instance">): Promise<string> {
  const response = await component.instance.http!(
    {
      method: "GET",
      path: "/metrics",
      query: new URLSearchParams(),
      headers: new Map(),
      body: async () => new Uint8Array(),
    },
    new AbortController().signal,
  );
  assert.equal(response.status, 200);
  return response.body.toString();
}

/** What must be the same: the type, the help text, and the sets of label names that series have. */
function shapes(page: string): Map<string, { type: string; help: string | undefined; labels: string }> {
  const found = new Map<string, { type: string; help: string | undefined; labels: string }>();
  for (const { name, type, help, samples } of parseTextFile(page)) {
    const sets = new Set(
      samples.map(({ labels }) =>
        labels
          .filter((_, i) => i % 2 === 0)
          .sort()
          .join(),
      ),
    );
    found.set(name, { type, help, labels: [...sets].sort().join(" ") });
  }
  return found;
}

test("metric names, types, help and labels are those of node_exporter", {
  skip: !existsSync(NODE_EXPORTER),
}, async () => {
  // `guest` and the metrics of the exporter are on by default in node_exporter and off in Alloy.
  await compare([], "include_exporter_metrics = true\ncpu { guest = true }");
});

test("so they are for collectors that are off by default", { skip: !existsSync(NODE_EXPORTER) }, async () => {
  const names = [
    ...["buddyinfo", "cgroups", "interrupts", "ksmd", "lnstat", "meminfo_numa", "processes", "slabinfo"],
    ...["ethtool", "network_route", "qdisc", "sysctl", "tcpstat", "zoneinfo"],
  ];
  await compare(
    [
      "--collector.disable-defaults",
      ...names.map((name) => `--collector.${name}`),
      "--collector.sysctl.include=vm.swappiness",
      "--collector.sysctl.include=net.ipv4.tcp_rmem:min,default,max",
      "--collector.sysctl.include=kernel.printk",
      "--collector.sysctl.include-info=kernel.seccomp.actions_avail",
    ],
    `include_exporter_metrics = true
    set_collectors = ${JSON.stringify(names)}
    sysctl {
      include      = ["vm.swappiness", "net.ipv4.tcp_rmem:min,default,max", "kernel.printk"]
      include_info = ["kernel.seccomp.actions_avail"]
    }`,
  );
});

/** Runs both on this host and compares the shapes of what they report. */
async function compare(flags: readonly string[], config: string): Promise<void> {
  const address = `127.0.0.1:${await freePort()}`;
  const peer = spawn(NODE_EXPORTER, [`--web.listen-address=${address}`, ...flags], { stdio: "ignore" });
  const exited = new Promise((resolve) => peer.once("exit", resolve));
  try {
    const theirs = shapes(await fetchWhenReady(`http://${address}/metrics`));
    await using component = await startComponent(unix, config);
    const ours = shapes(await scrape(component));

    const onlyOurs = [...ours.keys()].filter((name) => !theirs.has(name) && !NEWER.has(name));
    assert.deepEqual(onlyOurs, [], "only here");
    const onlyTheirs = [...theirs.keys()].filter((name) => !ours.has(name) && !OLDER.some((each) => each.test(name)));
    assert.deepEqual(onlyTheirs, [], "only in node_exporter");
    for (const [name, shape] of ours) {
      const other = theirs.get(name);
      if (other === undefined) continue;
      const added = NEW_LABELS.get(name) ?? [];
      const sets = shape.labels.split(" ").map((set) =>
        set
          .split(",")
          .filter((label) => !added.includes(label))
          .join(),
      );
      assert.deepEqual({ ...shape, labels: sets.join(" ") }, other, name);
    }
  } finally {
    peer.kill();
    await exited;
  }
}

/** Debian's node_exporter is 1.5.0; Alloy's fork is 1.6.1 and reads with a newer procfs. What came between them: */
const NEWER = new Set([
  "node_softnet_backlog_len",
  "node_softnet_cpu_collision_total",
  "node_softnet_flow_limit_count_total",
  "node_softnet_received_rps_total",
  "node_pressure_irq_stalled_seconds_total",
]);
const OLDER = [
  /^(go|process)_/, // Of a process in Go; Alloy does not show them either.
  // Reads netlink by default; Alloy sets it to read /proc/net/dev, where this is not.
  /^node_network_receive_nohandler_total$/,
];
const NEW_LABELS: ReadonlyMap<string, readonly string[]> = new Map([
  ["node_exporter_build_info", ["tags"]],
  ["node_network_info", ["adminstate"]],
]);

test("values are plausible, and every default collector reports how it went", async () => {
  await using component = await startComponent(unix, "");
  const families = familiesOf(await scrape(component));
  const value = (name: string) => families.get(name)?.samples[0]?.value ?? Number.NaN;
  assert.ok(Math.abs(value("node_time_seconds") - Date.now() / 1000) < 60);
  assert.ok(value("node_memory_MemTotal_bytes") > value("node_memory_MemFree_bytes"));
  assert.ok(value("node_boot_time_seconds") < Date.now() / 1000);
  assert.ok(families.get("node_cpu_seconds_total")!.samples.length >= 8);
  assert.equal(families.has("node_cpu_guest_seconds_total"), false);
  assert.deepEqual(collectors(families), DEFAULT_COLLECTORS);
  assert.deepEqual(
    component.logs.filter(({ level }) => level === "error"),
    [],
  );
});

/** As Alloy's documentation lists them for Linux. */
const DEFAULT_COLLECTORS = [
  ...["arp", "bcache", "bonding", "btrfs", "conntrack", "cpu", "cpufreq", "diskstats", "dmi", "edac", "entropy"],
  ...["fibrechannel", "filefd", "filesystem", "hwmon", "infiniband", "ipvs", "loadavg", "mdadm", "meminfo"],
  ...["netclass", "netdev", "netstat", "nfs", "nfsd", "nvme", "os", "powersupplyclass", "pressure", "rapl"],
  ...["schedstat", "selinux", "sockstat", "softnet", "stat", "tapestats", "textfile", "thermal_zone", "time"],
  ...["timex", "udp_queues", "uname", "vmstat", "xfs", "zfs"],
];

function familiesOf(page: string): ReadonlyMap<string, TextFamily> {
  return new Map(parseTextFile(page).map((family) => [family.name, family] as const));
}

function collectors(families: ReadonlyMap<string, TextFamily>): string[] {
  return families
    .get("node_scrape_collector_success")!
    .samples.map(({ labels }) => labels[1]!)
    .sort();
}

test("collectors are chosen by name; unknown names are told and ignored", async () => {
  const config =
    'set_collectors = ["loadavg", "uname", "time"]\ndisable_collectors = ["uname"]\nenable_collectors = ["stat", "thermal", "nonsense"]';
  await using component = await startComponent(unix, config);
  const families = familiesOf(await scrape(component));
  assert.deepEqual(collectors(families), ["loadavg", "stat", "time"]);
  const warnings = component.logs.filter(({ level }) => level === "warn").map(({ message }) => message);
  assert.deepEqual(warnings, ["there is no such collector; the name is ignored"]);
});

test("every collector of node_exporter for Linux is there", () => {
  const names = new Set(COLLECTORS.map(({ name }) => name));
  assert.deepEqual(
    ALL_COLLECTORS.filter((name) => !names.has(name)),
    [],
  );
});

/** Those of Alloy's fork of node_exporter that are off by default; DEFAULT_COLLECTORS has the others. */
const ALL_COLLECTORS = [
  ...["buddyinfo", "cgroups", "cpu_vulnerabilities", "drbd", "drm", "ethtool", "interrupts", "ksmd", "lnstat"],
  ...["logind", "meminfo_numa", "mountstats", "network_route", "ntp", "perf", "processes", "qdisc", "runit"],
  ...["slabinfo", "softirqs", "supervisord", "sysctl", "systemd", "tcpstat", "wifi", "zoneinfo"],
];

test("bad arguments are diagnosed", async () => {
  for (const config of [
    'netdev {\n device_include = "a"\n device_exclude = "b"\n}',
    "diskstats { }",
    'disk { device_exclude = "(" }',
    'ipvs { backend_labels = ["nonsense"] }',
    'enable_collectors = ["ntp"]\nntp { server = "192.0.2.1" }',
  ]) {
    await assert.rejects(() => startComponent(unix, config), DiagnosticError, config);
  }
  await using component = await startComponent(unix, "perf { }");
  assert.equal(component.exports.targets.length, 1);
});
