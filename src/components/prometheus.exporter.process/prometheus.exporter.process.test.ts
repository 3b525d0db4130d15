import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { fetchWhenReady, freePort } from "#kits/free-port.testing";
import { DiagnosticError } from "#lang/diagnostic";
import { startComponent, type TestComponent } from "#pipeline/testing";
import exporter from "./prometheus.exporter.process.ts";

const PEER = "/usr/bin/prometheus-process-exporter";

async function scrape({ instance }: Pick<TestComponent<never, unknown>, "instance">): Promise<string> {
  const request = { method: "GET", path: "/metrics", query: new URLSearchParams(), headers: new Map() };
  const response = await instance.http!(
    { ...request, body: async () => new Uint8Array() },
    new AbortController().signal,
  );
  assert.equal(response.status, 200);
  return response.body.toString();
}

/** Values by name and sorted labels. */
function samplesOf(page: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of page.split("\n")) {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name?.startsWith("namedprocess_")) samples.set(`${name}{${labels.split(/,(?=\w+=")/).sort()}}`, Number(value));
  }
  return samples;
}

const headersOf = (page: string) =>
  page
    .split("\n")
    .filter((line) => /^# \w+ namedprocess_/.test(line))
    .sort();

/** Starts a program that sleeps, under another name. */
function sleeper(t: TestContext, name: string): ChildProcess {
  const child = spawn("sleep", ["60"], { argv0: name, stdio: "ignore" });
  cleanUp(t, () => child.kill());
  return child;
}

test("names, types, help, labels and values are those of process-exporter", { skip: !existsSync(PEER) }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "invar-process-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const script = "const held = Buffer.alloc(8 << 20, 1); setInterval(() => held.length, 60_000); console.log();";
  const threads = spawn(process.execPath, ["-e", script, "invar-threads"], { stdio: ["ignore", "pipe", "ignore"] });
  cleanUp(t, () => threads.kill());
  await once(threads.stdout!, "data");
  sleeper(t, "/opt/invar-one");
  sleeper(t, "/opt/invar-one");
  sleeper(t, "invar-two");

  writeFileSync(
    join(folder, "config.yml"),
    `process_names:
  - name: "{{.ExeBase}}:{{.Matches.rest}}"
    exe: ["/opt/invar-one", "invar-two"]
    cmdline: ["60|x", "invar-(?P<rest>\\\\w+) 60$"]
  - name: "{{.Username}}"
    cmdline: ["invar-threads$"]
`,
  );
  const address = `127.0.0.1:${await freePort()}`;
  const flags = [`-web.listen-address=${address}`, `-config.path=${folder}/config.yml`];
  const peer = spawn(PEER, flags, { stdio: "ignore" });
  const exited = once(peer, "exit");
  cleanUp(t, async () => {
    peer.kill();
    await exited;
  });
  await using component = await startComponent(
    exporter,
    `matcher {
      name    = "{{.ExeBase}}:{{.Matches.rest}}"
      exe     = ["/opt/invar-one", "invar-two"]
      cmdline = ["60|x", "invar-(?P<rest>\\\\w+) 60$"]
    }
    matcher {
      name    = "{{.Username}}"
      cmdline = ["invar-threads$"]
    }`,
  );
  await fetchWhenReady(`http://${address}/metrics`);
  await scrape(component);
  const [theirPage, ourPage] = await Promise.all([fetchWhenReady(`http://${address}/metrics`), scrape(component)]);
  assert.deepEqual(headersOf(ourPage), headersOf(theirPage));
  const [theirs, ours] = [samplesOf(theirPage), samplesOf(ourPage)];
  assert.deepEqual([...ours.keys()].sort(), [...theirs.keys()].sort());
  assert.equal(ours.get('namedprocess_namegroup_num_procs{groupname="invar-one:one"}'), 2);
  assert.ok((ours.get('namedprocess_namegroup_num_threads{groupname="root"}') ?? 2) > 1);
  for (const [key, value] of ours) {
    // Upstream also counts processes that belong to no group there.
    if (key.startsWith("namedprocess_scrape_")) continue;
    const theirValue = theirs.get(key)!;
    // Programs that sleep do hardly anything between two reads; their pages may be shared with one process more.
    const slack = key.includes("_bytes") ? 2 ** 20 : key.includes("_total") || key.includes("_states") ? 20 : 0.001;
    assert.ok(Math.abs(value - theirValue) <= slack, `${key}: ${value} here, ${theirValue} there`);
  }
});

test("a name with a field that there is not is refused; a procfs that is not there is logged once", async () => {
  await assert.rejects(
    startComponent(exporter, 'matcher {\n name = "{{.Nope}}"\n comm = ["a"]\n}'),
    /`name` uses \.Nope, which there is not; there are Comm, Cgroups, ExeBase, ExeFull, Matches, Username, PID/,
  );
  await using component = await startComponent(exporter, 'procfs_path = "/nope"\nmatcher {\n comm = ["a"]\n}');
  for (let i = 0; i < 3; i++) await scrape(component);
  assert.equal(component.flow.status.rule, "procfs");
  assert.equal(component.logs.filter(({ message }) => message === "could not read processes").length, 1);
});

test("what a process does shows in the figures of its group", async (t) => {
  await using component = await startComponent(exporter, 'matcher {\n name = "busy"\n cmdline = ["invar-busy"]\n}');
  const idle = samplesOf(await scrape(component));
  assert.equal(idle.has('namedprocess_namegroup_num_procs{groupname="busy"}'), false);
  assert.equal(component.flow.status.state, "idle");
  assert.match(component.flow.status.cause, /no process matches any matcher/);

  const script =
    "const held = Buffer.alloc(64 << 20, 1); while (process.cpuUsage().user < 300_000); console.log(held.length); setInterval(() => {}, 60_000);";
  const child = spawn(process.execPath, ["-e", script, "invar-busy"], { stdio: ["ignore", "pipe", "ignore"] });
  const exited = once(child, "exit");
  cleanUp(t, () => child.kill());
  await once(child.stdout!, "data");
  const samples = samplesOf(await scrape(component));
  const value = (name: string, labels: string) =>
    samples.get(`namedprocess_namegroup_${name}{groupname="busy"${labels}}`)!;
  assert.equal(value("num_procs", ""), 1);
  const seconds = value("cpu_seconds_total", ',mode="user"');
  assert.ok(seconds >= 0.28 && seconds < 5, `${seconds} s`);
  assert.ok(value("memory_bytes", ',memtype="resident"') > 64 * 2 ** 20);
  assert.ok(value("memory_bytes", ',memtype="proportionalResident"') > 64 * 2 ** 20);
  assert.ok(Math.abs(value("oldest_start_time_seconds", "") - Date.now() / 1000) < 60);
  assert.ok(value("thread_cpu_seconds_total", ',mode="user",threadname="node-MainThread"') >= 0);

  child.kill();
  await exited;
  const after = samplesOf(await scrape(component));
  assert.equal(after.get('namedprocess_namegroup_num_procs{groupname="busy"}'), 0);
  assert.ok(after.get('namedprocess_namegroup_cpu_seconds_total{groupname="busy",mode="user"}')! >= seconds);
});

test("threads and divided memory can be left out, and empty groups forgotten", async (t) => {
  const child = sleeper(t, "invar-three");
  const exited = once(child, "exit");
  await using component = await startComponent(
    exporter,
    'track_threads = false\ngather_smaps = false\nremove_empty_groups = true\nmatcher { exe = ["invar-three"] }',
  );
  const page = await scrape(component);
  assert.match(page, /namedprocess_namegroup_num_procs\{groupname="invar-three"\} 1\n/);
  assert.doesNotMatch(page, /namegroup_thread_|proportional/);
  child.kill();
  await exited;
  assert.doesNotMatch(await scrape(component), /invar-three/);
});

test("permission that is missing is said", {
  skip: process.getuid?.() !== 0 && "only root can give it up",
}, async (t) => {
  sleeper(t, "invar-four");
  await using component = await startComponent(exporter, 'matcher { exe = ["invar-four"] }');
  process.seteuid!(65_534);
  try {
    const samples = samplesOf(await scrape(component));
    assert.equal(samples.get('namedprocess_namegroup_num_procs{groupname="invar-four"}'), 1);
    assert.ok(samples.get("namedprocess_scrape_partial_errors{}")! > 0);
  } finally {
    process.seteuid!(0);
  }
  component.flow.judge();
  assert.equal(component.flow.status.rule, "processes_denied");
  assert.match(component.flow.status.cause, /no permission for files such as \/proc\/\d+\/\w+.*CAP_SYS_PTRACE/);
});

test("a procfs that is not there is counted and said", async () => {
  await using component = await startComponent(exporter, 'procfs_path = "/nowhere"\nmatcher { comm = ["x"] }');
  const samples = samplesOf(await scrape(component));
  assert.ok(samples.get("namedprocess_scrape_errors{}")! >= 1);
  component.flow.judge();
  assert.equal(component.flow.status.state, "failing");
  assert.match(component.flow.status.cause, /procfs_path \/nowhere.*mount the host's there/);
});

test("bad arguments are diagnosed", async () => {
  for (const [config, words] of [
    ["matcher { }", /`comm` is missing/],
    ['matcher {\n comm = ["a"]\n name = "{{.Comm"\n}', /is no Go template/],
    ['matcher { cmdline = ["("] }', /missing/],
  ] as const) {
    await assert.rejects(
      () => startComponent(exporter, config),
      (error) => error instanceof DiagnosticError && words.test(error.message),
      config,
    );
  }
});

test("without a matcher the flow says why nothing is reported", async () => {
  await using component = await startComponent(exporter, "");
  await scrape(component);
  component.flow.judge();
  assert.match(component.flow.status.cause, /there is no matcher block/);
});
