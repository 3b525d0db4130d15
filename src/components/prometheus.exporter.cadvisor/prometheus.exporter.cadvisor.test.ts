import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { createAuthority } from "#kits/certificates.testing";
import { FakeContainer, FakeDocker } from "#kits/docker-engine.testing";
import { DiagnosticError } from "#lang/diagnostic";
import { startComponent, type TestComponent } from "#pipeline/testing";
import { CgroupV2 } from "./cgroup-v2.ts";
import { ControlGroup, noControlGroups } from "./control-group.testing.ts";
import { KINDS } from "./kinds.ts";
import exporter from "./prometheus.exporter.cadvisor.ts";
import { newStats } from "./stats.ts";
import { samplesOf } from "./testing.ts";

async function scrape({ instance }: Pick<TestComponent<never, unknown>, "instance">): Promise<string> {
  const request = { method: "GET", path: "/metrics", query: new URLSearchParams(), headers: new Map() };
  const response = await instance.http!(
    { ...request, body: async () => new Uint8Array() },
    new AbortController().signal,
  );
  assert.equal(response.status, 200, response.body.toString());
  return response.body.toString();
}

const MEBIBYTE = 2 ** 20;
/** Holds 48 MiB, uses three tenths of a second of CPU time, opens a socket, and stays. */
const BUSY = `const held = Buffer.alloc(48 << 20, 1);
require("node:net").createServer().listen(0, "127.0.0.1", () => {
  while (process.cpuUsage().user < 300_000);
  console.log(held.length);
});`;

test("what processes use shows in the figures of their control group", { skip: noControlGroups }, async (t) => {
  const group = new ControlGroup(t, `/invar-busy-${process.pid}`);
  group.limitMemory(256 * MEBIBYTE);
  group.limitCpu(150_000);
  await group.run(t, BUSY);
  await using component = await startComponent(exporter, 'disabled_metrics = ["referenced_memory"]');
  const page = await scrape(component);
  const samples = samplesOf(page, `id="${group.name}"`);
  const value = (name: string, extra = "") =>
    samples.get(`container_${name}{id="${group.name}"${extra}}`) ?? Number.NaN;
  const used = [...samples].filter(([key]) => key.startsWith("container_cpu_usage_seconds_total"));
  const seconds = used.reduce((sum, [, each]) => sum + each, 0);
  assert.ok(seconds >= 0.3 && seconds < 10, `${seconds} s`);
  assert.ok(value("cpu_user_seconds_total") >= 0.25);
  assert.ok(value("memory_rss") >= 48 * MEBIBYTE && value("memory_rss") < 256 * MEBIBYTE);
  assert.ok(value("memory_usage_bytes") >= value("memory_working_set_bytes"));
  assert.equal(value("spec_memory_limit_bytes"), 256 * MEBIBYTE);
  assert.equal(value("spec_cpu_quota"), 150_000);
  assert.equal(value("spec_cpu_period"), 100_000);
  assert.ok(value("cpu_cfs_periods_total") > 0);
  assert.equal(value("processes"), 1);
  assert.ok(value("threads") > 1);
  assert.ok(value("sockets") >= 1);
  assert.ok(value("file_descriptors") > value("sockets"));
  assert.equal(value("oom_events_total"), 0);
  assert.ok(value("cpu_schedstat_run_seconds_total") > 0.2);
  assert.ok(Math.abs(value("start_time_seconds") - Date.now() / 1000) < 120);
  assert.ok(Math.abs(value("last_seen") - Date.now() / 1000) < 60);

  const machine = samplesOf(page, "machine_");
  const memory = Number(/MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))![1]) * 1024;
  assert.equal([...machine].find(([key]) => key.startsWith("machine_memory_bytes"))?.[1], memory);
  const root = samplesOf(page, '{id="/"');
  assert.equal(root.get('container_spec_memory_limit_bytes{id="/"}'), memory);
  assert.ok([...root.keys()].some((key) => key.startsWith("container_network_receive_bytes_total")));
  assert.ok([...root].some(([key, bytes]) => key.startsWith("container_fs_limit_bytes") && bytes > 0));
  assert.match(page, /^cadvisor_version_info\{kernelVersion="[^"]+",osVersion="[^"]+"/m);
  assert.match(page, /^container_scrape_error 0$/m);
  assert.deepEqual(
    component.logs.filter(({ level }) => level === "error"),
    [],
  );
});

test("a process that takes more memory than its group may have is counted", { skip: noControlGroups }, async (t) => {
  const group = new ControlGroup(t, `/invar-oom-${process.pid}`);
  group.limitMemory(64 * MEBIBYTE);
  const script = "const held = []; for (;;) held.push(Buffer.alloc(8 << 20, 1));";
  const child = await group.run(t, script);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  assert.equal(child.signalCode, "SIGKILL");
  await using component = await startComponent(exporter, 'enabled_metrics = ["oom_event", "memory"]');
  const samples = samplesOf(await scrape(component), `id="${group.name}"`);
  assert.equal(samples.get(`container_oom_events_total{id="${group.name}"}`), 1);
  assert.ok(samples.get(`container_memory_max_usage_bytes{id="${group.name}"}`)! > 48 * MEBIBYTE);
  assert.equal(
    [...samples.keys()].some((key) => key.includes("_cpu_usage_")),
    false,
  );
});

/** A container of Docker's as far as the exporter sees: a control group with its id, and Docker that knows it. */
async function dockerContainer(t: TestContext, tls?: { cert: string; key: string }) {
  const docker = await FakeDocker.start(undefined, tls);
  cleanUp(t, () => docker.stop());
  const id = (process.pid.toString(16) + Date.now().toString(16)).padEnd(64, "d");
  const group = new ControlGroup(t, `/invar-docker-${process.pid}/${id}`);
  const child = await group.run(t, "console.log(); setInterval(() => {}, 60_000);");
  const container = new FakeContainer(id, "/web-1");
  container.pid = child.pid!;
  container.labels = { "com.example.team": "shop", secret: "x" };
  container.environment = ["APP_ZONE=eu", "PASSWORD=y"];
  container.health = "healthy";
  container.restarts = 2;
  docker.containers.set(id, container);
  return { docker, container, group, id };
}

test("containers of Docker have their name, image, labels and health", { skip: noControlGroups }, async (t) => {
  const { docker, container, group } = await dockerContainer(t);
  const config = `docker_host = "${docker.host}"\nenv_metadata_allowlist = ["APP_"]\ndocker_only = true`;
  await using component = await startComponent(exporter, config);
  const page = await scrape(component);
  const labels = `id="${group.name}",name="web-1",image="app:1",container_label_com_example_team="shop",container_label_restartcount="2",container_label_secret="x",container_env_app_zone="eu"`;
  const samples = samplesOf(page, `id="${group.name}"`);
  assert.equal(samples.get(`container_health_state{${labels}}`), 1);
  assert.equal(samples.get(`container_start_time_seconds{${labels}}`), Date.parse("2026-01-02T03:04:05Z") / 1000);
  assert.ok([...samples.keys()].some((key) => key.startsWith("container_network_transmit_bytes_total")));
  // Nothing but containers and the root.
  const ids = new Set([...samplesOf(page, '{id="').keys()].map((key) => /\{id="([^"]*)"/.exec(key)![1]));
  assert.deepEqual([...ids].sort(), ["/", group.name]);

  // The list tells of health each time; the container itself is looked at once.
  container.health = "unhealthy";
  const next = samplesOf(await scrape(component), `id="${group.name}"`);
  assert.equal(next.get(`container_health_state{${labels}}`), 0);
  assert.equal(docker.asked.filter((path) => path.endsWith(`/${container.id}/json`)).length, 1);
  assert.equal(component.flow.status.state, "ok");
});

test("labels are left out as told, and so is a network that is shared", { skip: noControlGroups }, async (t) => {
  const { docker, container, group } = await dockerContainer(t);
  container.networkMode = "container:abc";
  container.restarts = 0;
  await using component = await startComponent(
    exporter,
    `docker_host = "${docker.host}"
    store_container_labels       = false
    allowlisted_container_labels = ["com.example.team"]
    disable_root_cgroup_stats    = true`,
  );
  const page = await scrape(component);
  const samples = samplesOf(page, `id="${group.name}"`);
  const labels = `id="${group.name}",name="web-1",image="app:1",container_label_com_example_team="shop"`;
  assert.ok(samples.has(`container_last_seen{${labels}}`), [...samples.keys()].join("\n"));
  assert.equal(
    [...samples.keys()].some((key) => key.includes("_network_")),
    false,
  );
  assert.doesNotMatch(page, /\{id="\/"[,}]/);
});

test("Docker that does not answer is said, and figures go on without names", { skip: noControlGroups }, async (t) => {
  const { docker, group } = await dockerContainer(t);
  docker.broken = true;
  await using component = await startComponent(exporter, `docker_host = "${docker.host}"`);
  const page = await scrape(component);
  assert.match(page, new RegExp(`^container_last_seen\\{id="${group.name}"\\} `, "m"));
  component.flow.judge();
  assert.equal(component.flow.status.rule, "docker");
  assert.match(component.flow.status.cause, /Docker cannot be asked for containers.*the daemon is broken/);
});

test("Docker behind TLS", { skip: noControlGroups }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "invar-docker-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const authority = createAuthority();
  const client = authority.issue({ commonName: "client" });
  writeFileSync(join(folder, "ca.pem"), authority.cert);
  writeFileSync(join(folder, "cert.pem"), client.cert);
  writeFileSync(join(folder, "key.pem"), client.key);
  const { docker, group } = await dockerContainer(t, authority.issue({}));
  await using component = await startComponent(
    exporter,
    `docker_host     = "${docker.host.replace("https:", "tcp:")}"
    use_docker_tls  = true
    docker_tls_ca   = "${folder}/ca.pem"
    docker_tls_cert = "${folder}/cert.pem"
    docker_tls_key  = "${folder}/key.pem"`,
  );
  assert.match(await scrape(component), new RegExp(`id="${group.name}",name="web-1"`));
});

test("engines that the user names have to be there", async () => {
  await using component = await startComponent(exporter, 'containerd_host = "/nowhere/containerd.sock"');
  await scrape(component);
  component.flow.judge();
  assert.equal(component.flow.status.rule, "containerd");
  assert.match(component.flow.status.cause, /there is no socket \/nowhere\/containerd\.sock.*mount the socket/);
  await using usual = await startComponent(exporter, "");
  await scrape(usual);
  usual.flow.judge();
  assert.equal(usual.flow.status.state, "ok");
});

test("bad arguments are diagnosed", async () => {
  for (const [config, words] of [
    ['enabled_metrics = ["nonsense"]', /enabled_metrics/],
    ['perf_events_config = "/etc/perf.json"', /not supported/],
    ['resctrl_interval = "5s"', /not supported/],
    ['docker_host = "/var/run/docker.sock"', /is no address of a Docker daemon/],
    ['containerd_host = "containerd"', /is no path of a socket/],
    ["use_docker_tls = true", /needs a `docker_host` that is reached through the network/],
  ] as const) {
    await assert.rejects(
      () => startComponent(exporter, config),
      (error) => error instanceof DiagnosticError && words.test(error.message),
      config,
    );
  }
});

const UNIFIED = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].find((path) => existsSync(`${path}/cgroup.controllers`));

test("version 2 of the kernel's control groups", {
  skip: noControlGroups || (UNIFIED === undefined && "version 2 is not mounted here"),
}, async (t) => {
  const where = { version: 2, folders: new Map([["", UNIFIED!]]) } as const;
  const group = new ControlGroup(t, `/invar-v2-${process.pid}`, where);
  await group.run(t, BUSY);
  const reader = new CgroupV2(new Set(KINDS), [], "/proc/meminfo");
  const stats = newStats();
  reader.readStats(group.paths, false, false, stats);
  assert.ok(stats.cpuTotal >= 0.3e9 && stats.cpuTotal < 10e9, `${stats.cpuTotal} ns`);
  assert.ok(Math.abs(stats.cpuUser + stats.cpuSystem - stats.cpuTotal) <= 2_000);
  assert.ok(stats.threads >= 1);
  assert.equal(reader.readSpec(group.paths).hasCpu, true);
});
