import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { sleep } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** The real agent with `--workers=2`: files through stages that are heavy enough for threads. */

const FILES = 4;
const LINES = 8_000;

async function setUp(t: TestContext, version = "1") {
  const folder = temporaryFolder(t);
  const counter = new SequenceCounter();
  const bodies: string[] = [];
  const sink = await Sink.start((_path, body) => {
    countSequences(body, "seq=", counter);
    bodies.push(Buffer.from(body).toString("latin1"));
  });
  cleanUp(t, () => sink.stop());
  const paths = Array.from({ length: FILES }, (_, file) => join(folder, `${file}.log`));
  for (const [file, path] of paths.entries()) {
    const lines = Array.from({ length: LINES }, (_, i) => `level=info file=${file} seq=${file * LINES + i} end\n`);
    writeFileSync(path, lines.join(""));
  }
  const config = (label: string) => `
loki.source.file "in" {
  targets    = [${paths.map((path) => `{ __path__ = "${path}" }`).join(", ")}]
  forward_to = [loki.process.work.receiver]
}
loki.process "work" {
  forward_to = [loki.write.out.receiver]
  stage.regex {
    expression = "^level=(?P<level>\\\\w+) .*seq=(?P<number>\\\\d+)"
  }
  stage.template {
    source   = "number"
    template = "{{ repeat 400 .Value | upper | replace \\"1\\" \\"2\\" | len }}"
  }
  stage.timestamp {
    source = "number"
    format = "Unix"
  }
  stage.labels {
    values = { level = "" }
  }
  stage.static_labels {
    values = { version = "${label}" }
  }
}
loki.write "out" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
    batch_size = "64KiB"
  }
}
`;
  const agent = await startAgent(t, config(version), { flags: ["--workers=2"] });
  return { agent, counter, bodies, config, paths };
}

const tookOver = (agent: TestAgent) => agent.log.includes("worker threads take over this pipeline");

test("four files through two threads: every line once, in order, and the process ends well", async (t) => {
  const { agent, counter, bodies } = await setUp(t);
  await agent.until(() => counter.distinct === FILES * LINES, "all lines have come");
  assert.ok(tookOver(agent), "no thread was used");
  assert.equal(counter.duplicated, 0);
  const last = new Map<string, number>();
  for (const [, file, sequence] of bodies.join("").matchAll(/file=(\d) seq=(\d+)/g)) {
    assert.ok(Number(sequence) > (last.get(file!) ?? -1), `line ${sequence} of file ${file} came late`);
    last.set(file!, Number(sequence));
  }
  assert.equal(await agent.stop(), 0);
});

test("killed in the middle, nothing is lost", async (t) => {
  const { agent, counter } = await setUp(t);
  for (let i = 0; i < 2; i++) {
    const wanted = Math.min(FILES * LINES, counter.distinct + 5_000);
    await agent.until(() => counter.distinct >= wanted, "some lines have come");
    await agent.kill();
    await agent.start();
  }
  await agent.until(() => counter.distinct === FILES * LINES, "all lines have come");
  assert.ok(tookOver(agent), "no thread was used");
});

test("reloads in the middle: every line once, and the last configuration holds", async (t) => {
  const { agent, counter, config, bodies, paths } = await setUp(t);
  for (let version = 2; version <= 5; version++) {
    agent.write(config(String(version)));
    await agent.reload();
    await sleep(20);
  }
  appendFileSync(paths[0]!, `level=info file=0 seq=${FILES * LINES} end\n`);
  await agent.until(() => counter.distinct === FILES * LINES + 1, "all lines have come");
  assert.equal(counter.duplicated, 0);
  assert.ok(tookOver(agent), "no thread was used");
  assert.ok(bodies.join("").includes('version="5"'));
});
