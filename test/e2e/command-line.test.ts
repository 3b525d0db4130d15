import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort, sleep } from "../kit/process.ts";

const OK = 0;
const FAILED = 1;
const USAGE = 2;

test("help and version", async () => {
  const [help, version, runHelp, nothing, helpRun] = await Promise.all([
    runInvar(["--help"]),
    runInvar(["--version"]),
    runInvar(["run", "-h"]),
    runInvar([]),
    runInvar(["help", "run"]),
  ]);
  assert.equal(help.code, OK);
  for (const command of ["run", "fmt", "validate", "status", "top", "tap", "pipe", "graph", "tools"])
    assert.match(help.stdout, new RegExp(`^ {2}${command} `, "m"));
  assert.equal(version.code, OK);
  assert.match(version.stdout, /^invar, version v\d+\.\d+\.\d+/);
  assert.equal(runHelp.code, OK);
  assert.match(runHelp.stdout, /--server\.http\.listen-addr string\n.*\(default 127\.0\.0\.1:12345\)/);
  assert.deepEqual(helpRun, runHelp);
  assert.equal(nothing.code, USAGE);
});

test("what is no command or no flag ends with 2 and says what would be one", async (t) => {
  const config = join(temporaryFolder(t), "a.alloy");
  writeFileSync(config, "");
  const cases: [string[], RegExp][] = [
    [["rum"], /unknown command "rum": did you mean "run"\?/],
    [["xyzzyx"], /unknown command "xyzzyx": invar --help lists the commands/],
    [["completion"], /completion is not supported yet/],
    [["run"], /accepts 1 arg\(s\), received 0/],
    [["run", "a", "b"], /accepts 1 arg\(s\), received 2/],
    [["run", "--server.http.listen-adr=:1", config], /unknown flag.*did you mean --server\.http\.listen-addr/],
    [["run", "--stability.level=none", config], /one of experimental, public-preview, generally-available/],
    [["run", "--server.http.ui-path-prefix=x", config], /must begin with a slash/],
    [["run", "--cluster.enabled", config], /--cluster\.enabled is not supported yet: .*run without/],
    [["run", "--config.format=promtail", config], /--config\.format is not supported yet/],
    [["run", "--server.http.enable-graphql=true", config], /--server\.http\.enable-graphql is not supported yet/],
    [["fmt", "-w", "-t", config], /cannot both be set/],
  ];
  const results = await Promise.all(cases.map(([args]) => runInvar(args)));
  for (const [i, { code, stderr }] of results.entries()) {
    const [args, pattern] = cases[i]!;
    assert.match(stderr, pattern, args.join(" "));
    assert.equal(code, USAGE, args.join(" "));
  }
});

test("fmt writes to standard output, to the file, or only judges", async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, "a.alloy");
  const loose = '// kept\nlogging{\nlevel="debug"\n   format = "json"\n}\n';
  const tidy = '// kept\nlogging {\n\tlevel  = "debug"\n\tformat = "json"\n}\n';
  writeFileSync(path, loose);
  const shown = await runInvar(["fmt", path]);
  assert.deepEqual([shown.code, shown.stdout, shown.stderr], [OK, tidy, ""]);
  const piped = await runInvar(["fmt", "-"], { input: loose });
  assert.deepEqual([piped.code, piped.stdout], [OK, tidy]);
  assert.equal((await runInvar(["fmt", "--test", path])).code, FAILED);
  assert.equal(readFileSync(path, "utf8"), loose);
  assert.equal((await runInvar(["fmt", "-w", path])).code, OK);
  assert.equal(readFileSync(path, "utf8"), tidy);
  assert.equal((await runInvar(["fmt", "-t", path])).code, OK);

  writeFileSync(path, "logging {\n  level = \n}\nx = [1\n");
  const broken = await runInvar(["fmt", "-w", path]);
  assert.equal(broken.code, FAILED);
  assert.match(broken.stderr, /a\.alloy:3:1: .*\n(?:.*\n)*.*a\.alloy:4:7: /);
  assert.equal(readFileSync(path, "utf8"), "logging {\n  level = \n}\nx = [1\n", "a broken file is left alone");
  const missing = await runInvar(["fmt", join(folder, "none.alloy")]);
  assert.equal(missing.code, FAILED);
  assert.match(missing.stderr, /no such file/);
});

const MANY_PROBLEMS = `logging {
  level = "loud"
}

prometheus.scrap "a" {}

prometheus.scrape "b" {
  targets    = []
  forward_to = [prometheus.remote_write.none.receiver]
  intervall  = "1s"
}

prometheus.scrape "c" {
  targets         = "x"
  forward_to      = []
  scrape_interval = "soon"
}
`;
const PROBLEMS = [
  /bad\.alloy:2:11: .*loud/,
  /bad\.alloy:5:1: .*prometheus\.scrap/,
  /bad\.alloy:9:\d+: .*prometheus\.remote_write\.none/,
  /bad\.alloy:10:3: .*intervall/,
  /bad\.alloy:14:\d+: /,
  /bad\.alloy:16:\d+: .*soon/,
];

test("validate reports every problem of a file with its place, and ends with 1", async (t) => {
  const folder = temporaryFolder(t);
  const bad = join(folder, "bad.alloy");
  writeFileSync(bad, MANY_PROBLEMS);
  const result = await runInvar(["validate", bad]);
  for (const pattern of PROBLEMS) assert.match(result.stderr, pattern);
  assert.match(result.stderr, /\^/, "places are underlined");
  assert.equal(result.code, FAILED);

  const good = join(folder, "good.alloy");
  writeFileSync(
    good,
    'prometheus.exporter.self "x" {}\n\nprometheus.scrape "x" {\n\ttargets    = prometheus.exporter.self.x.targets\n\tforward_to = [prometheus.echo.x.receiver]\n}\n\nprometheus.echo "x" {}\n',
  );
  assert.deepEqual(await runInvar(["validate", "--stability.level=experimental", good]), {
    code: OK,
    signal: null,
    stdout: "",
    stderr: "",
  });
  const unstable = join(folder, "unstable.alloy");
  writeFileSync(unstable, 'otelcol.exporter.debug "x" {}\n');
  const gated = await runInvar(["validate", unstable]);
  assert.equal(gated.code, FAILED);
  assert.match(gated.stderr, /--stability\.level/);
  assert.equal((await runInvar(["validate", "--stability.level=experimental", unstable])).code, OK);
});

test("the files of a folder are one configuration", async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "1.alloy"), 'prometheus.exporter.self "a" { }\n');
  writeFileSync(
    join(folder, "2.alloy"),
    `prometheus.scrape "s" {
  targets    = prometheus.exporter.self.a.targets
  forward_to = [prometheus.echo.e.receiver]
}
prometheus.echo "e" { }
`,
  );
  writeFileSync(join(folder, "notes.txt"), "this is no configuration {");
  assert.deepEqual(await runInvar(["validate", folder]), { code: OK, signal: null, stdout: "", stderr: "" });
  writeFileSync(join(folder, "3.alloy"), 'prometheus.echo "e" { }\n');
  const twice = await runInvar(["validate", folder]);
  assert.equal(twice.code, FAILED);
  assert.match(twice.stderr, /3\.alloy:1:1: block prometheus\.echo\.e already declared/);
  assert.match(twice.stderr, /2\.alloy:5:1: first declared here/);
});

test("a configuration that cannot be loaded at the start: every problem on standard error, exit 1, nothing listens", async (t) => {
  const folder = temporaryFolder(t);
  const port = await freePort();
  const run = (path: string) =>
    runInvar(["run", `--server.http.listen-addr=127.0.0.1:${port}`, `--storage.path=${join(folder, "data")}`, path]);
  writeFileSync(join(folder, "bad.alloy"), MANY_PROBLEMS);
  const bad = await run(join(folder, "bad.alloy"));
  assert.equal(bad.code, FAILED);
  for (const pattern of PROBLEMS) assert.match(bad.stderr, pattern);
  assert.match(bad.stderr, /could not perform the initial load successfully/);
  const missing = await run(join(folder, "none.alloy"));
  assert.equal(missing.code, FAILED);
  assert.match(missing.stderr, /none\.alloy: no such file or folder/);
  await assert.rejects(fetch(`http://127.0.0.1:${port}/-/ready`));
});

test("a port in use: exit 1 and a message with the address", async (t) => {
  const folder = temporaryFolder(t);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close());
  const { port } = server.address() as { port: number };
  writeFileSync(join(folder, "a.alloy"), "");
  const address = `127.0.0.1:${port}`;
  const args = ["run", `--server.http.listen-addr=${address}`, `--storage.path=${join(folder, "data")}`];
  const { code, stderr } = await runInvar([...args, join(folder, "a.alloy")]);
  assert.equal(code, FAILED);
  assert.match(stderr, new RegExp(`^Error: .*${address}`, "m"));
  assert.doesNotMatch(stderr, /\n {4}at /, "no stack trace");
});

test("a storage folder that cannot be made: exit 1 and what to do", async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "a.alloy"), "");
  const storage = join(folder, "a.alloy", "data");
  const args = ["run", `--server.http.listen-addr=127.0.0.1:${await freePort()}`, `--storage.path=${storage}`];
  const { code, stderr } = await runInvar([...args, join(folder, "a.alloy")]);
  assert.equal(code, FAILED);
  assert.match(stderr, /cannot make the storage folder .*--storage\.path.*give a folder/);
});

test("flags without effect are told, and the agent runs", async (t) => {
  const agent = await startAgent(t, "", { flags: ["--cluster.use-discovery-v1", "--disable-reporting"] });
  assert.match(agent.log, /Warning: --cluster\.use-discovery-v1 has no effect/);
  assert.equal(await agent.stop(), OK);
});

test("a folder is one configuration, whatever order its files come in", async (t) => {
  const agent = await startAgent(t, {
    "b.alloy": 'prometheus.scrape "s" {\n  targets    = prometheus.exporter.self.x.targets\n  forward_to = []\n}\n',
    "a.alloy": 'prometheus.exporter.self "x" {}\n',
    "c.txt": "no configuration",
  });
  assert.deepEqual((await agent.status()).map((each) => each.id).sort(), [
    "prometheus.exporter.self.x",
    "prometheus.scrape.s",
  ]);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  test(`${signal} ends the agent with 0`, async (t) => {
    const agent = await startAgent(t, 'prometheus.exporter.self "x" {}\n');
    agent.signal(signal);
    assert.equal(await agent.ended(), OK);
    assert.match(agent.log, new RegExp(`msg=stopping signal=${signal}`));
    assert.match(agent.log, /msg=stopped/);
  });
}

test("signals that come after its work is done do not turn the end into a failure", async (t) => {
  const agent = await startAgent(t, 'prometheus.exporter.self "x" {}\n');
  agent.signal("SIGTERM");
  while (!agent.exited) {
    if (agent.log.includes("msg=stopped")) agent.signal("SIGTERM");
    await sleep(1);
  }
  assert.equal(await agent.ended(), OK);
});

test("log lines have Alloy's keys in both formats", async (t) => {
  const config = (format: string) => `logging {\n  level  = "debug"\n  format = "${format}"\n}\n`;
  const agent = await startAgent(t, config("logfmt"));
  assert.match(agent.log, /^ts=\d{4}-\d\d-\d\dT[\d:.]+Z level=info msg="now listening for http traffic" /m);
  agent.log = "";
  assert.equal((await agent.reload(config("json"))).status, 200);
  await agent.untilLogged(/config loaded/);
  const line = agent.log.split("\n").find((each) => each.includes("config loaded"))!;
  assert.deepEqual(Object.keys(JSON.parse(line)).slice(0, 3), ["ts", "level", "msg"]);
});
