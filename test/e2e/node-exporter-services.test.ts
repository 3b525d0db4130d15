import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort, WAIT_MS, waitUntil } from "../kit/process.ts";

/** Collectors of `prometheus.exporter.unix` that ask services: chrony, runit and Supervisor, as Debian has them. */

/** Starts a program, which `signal` ends after the test. */
function run(t: TestContext, signal: NodeJS.Signals, program: string, ...args: readonly string[]): void {
  const child = spawn(program, args, { stdio: "ignore" });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  cleanUp(t, async () => {
    child.kill(signal);
    await gone;
  });
}

async function collect(t: TestContext, collector: string, more: string, wanted: readonly RegExp[]): Promise<string[]> {
  const agent = await startAgent(
    t,
    `prometheus.exporter.unix "host" {
  set_collectors = ["${collector}"]
  ${more}
}
`,
  );
  let page = "";
  await waitUntil(
    async () => {
      page = await (await agent.api("/api/v0/component/prometheus.exporter.unix.host/metrics")).text();
      return wanted.every((each) => each.test(page));
    },
    WAIT_MS,
    `${wanted.join(" and ")}`,
  ).catch((error) => assert.fail(`${error}\n${page}`));
  return page.split("\n");
}

test("ntp: a time server on this host", async (t) => {
  const folder = temporaryFolder(t);
  const port = await freePort();
  const config = join(folder, "chrony.conf");
  writeFileSync(
    config,
    `port ${port}\ncmdport 0\nlocal stratum 3\nallow 127.0.0.0/8\nbindaddress 127.0.0.1\npidfile ${folder}/chronyd.pid\n`,
  );
  // In the foreground, and without touching the clock.
  run(t, "SIGTERM", "/usr/sbin/chronyd", "-d", "-x", "-U", "-u", "root", "-f", config);
  const lines = await collect(t, "ntp", `ntp {\n server = "127.0.0.1:${port}"\n server_is_local = true\n}`, [
    /^node_ntp_stratum 3$/m,
  ]);
  assert.ok(lines.includes("node_ntp_leap 0"));
  const offset = Number(lines.find((line) => line.startsWith("node_ntp_offset_seconds "))?.split(" ")[1]);
  assert.ok(Math.abs(offset) < 0.5, `${offset}`);
});

test("runit: services that run, and those that are not to", async (t) => {
  const folder = temporaryFolder(t);
  for (const name of ["on", "off"]) {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, "run"), "#!/bin/sh\nexec sleep 1000\n");
    chmodSync(join(folder, name, "run"), 0o755);
  }
  writeFileSync(join(folder, "off/down"), "");
  const started = Math.floor(Date.now() / 1000);
  // With another signal it leaves its services behind.
  run(t, "SIGHUP", "/usr/bin/runsvdir", folder);
  const lines = await collect(t, "runit", `runit { service_dir = "${folder}" }`, [
    /^node_service_state\{service="on",supervisor="runit"\} 1$/m,
    /^node_service_state\{service="off",supervisor="runit"\} 0$/m,
  ]);
  assert.ok(lines.includes('node_service_desired_state{service="on",supervisor="runit"} 1'));
  assert.ok(lines.includes('node_service_desired_state{service="off",supervisor="runit"} 0'));
  const change = lines.find((line) => line.startsWith('node_service_state_last_change_timestamp_seconds{service="on"'));
  // runit counts leap seconds in its own way.
  assert.ok(Math.abs(Number(change?.split(" ")[1]) - started) < 60, `${change}`);
});

test("supervisord: processes over its socket and over HTTP", async (t) => {
  const folder = temporaryFolder(t);
  const port = await freePort();
  const config = join(folder, "supervisord.conf");
  writeFileSync(
    config,
    `[unix_http_server]
file=${folder}/supervisor.sock
[inet_http_server]
port=127.0.0.1:${port}
username=user
password=p&w
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=${folder}/supervisord.pid
childlogdir=${folder}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:good]
command=/bin/sleep 1000
[program:bad]
command=/bin/sh -c "exit 3"
startsecs=0
autorestart=false
`,
  );
  run(t, "SIGTERM", "/usr/bin/supervisord", "-c", config);
  await waitUntil(() => existsSync(join(folder, "supervisor.sock")), WAIT_MS, "supervisord listens");
  for (const url of [`unix://${folder}/supervisor.sock`, `http://user:p%26w@127.0.0.1:${port}/RPC2`]) {
    const lines = await collect(t, "supervisord", `supervisord { url = "${url}" }`, [
      /^node_supervisord_state\{name="good",group="good"\} 20$/m,
      /^node_supervisord_exit_status\{name="bad",group="bad"\} 3$/m,
    ]);
    assert.ok(lines.includes('node_supervisord_up{name="good",group="good"} 1'));
    assert.ok(lines.includes('node_supervisord_up{name="bad",group="bad"} 0'));
  }
});
