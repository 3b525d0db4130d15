import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, temporaryFolder } from "../kit/agent.ts";
import { LogWriter } from "../kit/log-writer.ts";
import { freePort, sleep } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** Real writers and rotators, as they are on a Debian machine. */

async function setUp(t: TestContext, files: (folder: string) => string) {
  const folder = join(temporaryFolder(t), "logs");
  mkdirSync(folder, { mode: 0o755 });
  const lines = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, "seq=", lines));
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(
    t,
    `local.file_match "logs" {
  path_targets = [{ __path__ = "${files(folder)}" }]
  sync_period  = "200ms"
}

loki.source.file "logs" {
  targets    = local.file_match.logs.targets
  forward_to = [loki.write.out.receiver]
}

loki.write "out" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}
`,
  );
  return { folder, lines, agent };
}

async function logrotate(folder: string, directives: string): Promise<void> {
  const config = join(folder, "..", "logrotate.conf");
  writeFileSync(config, `${folder}/app.log {\n  size 1\n  rotate 20\n  ${directives}\n}\n`, { mode: 0o644 });
  await promisify(execFile)("/usr/sbin/logrotate", ["--force", "--state", join(folder, "..", "state"), config]);
}

test("logrotate with create: every line comes once", async (t) => {
  const { folder, lines, agent } = await setUp(t, (logs) => `${logs}/app.log`);
  let written = 0;
  // Sooner than a rotated file is given up on: files that were rotated in quick succession do not wait for one another. A
  // busy machine may be slow at times, so that one of three rounds is enough.
  let soonestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 3 && soonestMs > 4_000; round++) {
    const writer = new LogWriter(join(folder, "app.log"), { linesPerWrite: 20, pauseMs: 5, firstNumber: written });
    cleanUp(t, () => writer.stop());
    for (let i = 0; i < 5; i++) {
      const before = lines.distinct;
      await agent.until(() => lines.distinct > before + 500, "lines come");
      await logrotate(folder, "create 0644");
    }
    await writer.stop();
    ({ written } = writer);
    const began = performance.now();
    await agent.until(() => lines.distinct === written, "every line has come");
    soonestMs = Math.min(soonestMs, performance.now() - began);
  }
  assert.ok(soonestMs <= 4_000, `${soonestMs} ms`);
  assert.equal(lines.duplicated, 0);
  assert.ok(readdirSync(folder).length > 4, "it was rotated");
  assert.ok((await agent.metric("loki_source_file_rotations_total"))! >= 4);
  assert.equal(await agent.stop(), 0);
});

test("logrotate with copytruncate: every line that was read before the cut comes, and none comes twice", async (t) => {
  const { folder, lines, agent } = await setUp(t, (logs) => `${logs}/app.log`);
  // The writer rests while logrotate copies: what is written between copy and cut is lost to everybody.
  let written = 0;
  for (let i = 0; i < 5; i++) {
    const writer = new LogWriter(join(folder, "app.log"), { linesPerWrite: 20, pauseMs: 5, firstNumber: written });
    await agent.until(() => writer.written > written + 500, "lines are written");
    await writer.stop();
    written = writer.written;
    await agent.until(() => lines.distinct === written, "every line has come");
    await logrotate(folder, "copytruncate");
  }
  assert.equal(lines.duplicated, 0);
  assert.equal(await agent.stop(), 0);
});

test("logrotate with compress, all files matched: compressed ones are not read as text", async (t) => {
  const { folder, lines, agent } = await setUp(t, (logs) => `${logs}/app.log*`);
  const writer = new LogWriter(join(folder, "app.log"), { linesPerWrite: 20, pauseMs: 5 });
  cleanUp(t, () => writer.stop());
  for (let i = 0; i < 3; i++) {
    const before = lines.distinct;
    await agent.until(() => lines.distinct > before + 500, "lines come");
    await logrotate(folder, "create 0644\n  compress\n  delaycompress");
  }
  await writer.stop();
  await agent.until(() => lines.distinct === writer.written, "every line has come");
  assert.equal(lines.duplicated, 0);
  assert.equal(await agent.stop(), 0);
});

test("rsyslog writes, is rotated with a signal as Debian does it, and every message comes once", async (t) => {
  const { folder, lines, agent } = await setUp(t, (logs) => `${logs}/app.log`);
  const port = await freePort();
  const config = join(folder, "..", "rsyslog.conf");
  const pidFile = join(folder, "..", "rsyslog.pid");
  writeFileSync(
    config,
    `module(load="imtcp")
input(type="imtcp" port="${port}" address="127.0.0.1")
action(type="omfile" file="${folder}/app.log" FileCreateMode="0644")
`,
  );
  const rsyslog = spawn("/usr/sbin/rsyslogd", ["-n", "-f", config, "-i", pidFile], { stdio: "ignore" });
  cleanUp(t, () => rsyslog.kill("SIGKILL"));
  const socket = await connected(port);
  cleanUp(t, () => socket.destroy());
  let sent = 0;
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 500; i++) socket.write(`<134>Nov 20 12:00:00 host app: message seq=${sent++} end\n`);
    await agent.until(() => lines.distinct > sent - 250, "messages come");
    await logrotate(folder, `create 0644\n  postrotate\n    kill -HUP ${rsyslog.pid}\n  endscript`);
    await agent.until(() => existsSync(join(folder, "app.log.1")), "it was rotated");
  }
  await agent.until(() => lines.distinct === sent, "every message has come");
  assert.equal(lines.duplicated, 0);
  assert.equal(await agent.stop(), 0);
});

/** A connection to a server that is just starting. */
async function connected(port: number) {
  for (let i = 0; ; i++) {
    const socket = connect(port, "127.0.0.1");
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once("connect", () => resolve(undefined));
      socket.once("error", resolve);
    });
    if (error === undefined) return socket;
    if (i > 300) throw error;
    await sleep(30);
  }
}
