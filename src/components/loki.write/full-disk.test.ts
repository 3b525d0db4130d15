import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { RetryableError } from "#pipeline/errors";
import { logBatch } from "#pipeline/log-batch";
import { mountSmallDisk } from "#pipeline/small-disk.testing";
import { startComponent } from "#pipeline/testing";
import write from "./loki.write.ts";
import { startLoki } from "./loki-server.ts";

const LINES = 50;
const { signal } = new AbortController();

async function start(t: TestContext, dataPath: string) {
  const server = await startLoki();
  const component = await startComponent(
    write,
    `endpoint {
  url = "${server.url}"
  batch_wait = "5ms"
  min_backoff_period = "5ms"
  max_backoff_period = "20ms"
  max_backoff_retries = 0
}
wal {
  enabled = true
  drain_timeout = "1ms"
}`,
    { dataPath },
  );
  t.after(async () => {
    await component.stop(1_000);
    await server[Symbol.asyncDispose]();
  });
  let next = 0;
  const send = async () => {
    const from = next;
    next += LINES;
    // Lines that cannot be compressed to nothing.
    const entries = Array.from({ length: LINES }, (_, i) => ({
      labels: Labels.from([["app", "a"]]),
      line: `${from + i} ${Array.from({ length: 30 }, (_, j) => Math.imul(from + i + 1, (j + 1) * 0x9e3779b1).toString(36)).join("")}`,
      ms: 1_700_000_000_000 + from + i,
    }));
    await component.exports.receiver.consume(logBatch(entries), signal);
  };
  const numbers = () => new Set(server.entries.map(({ line }) => Number.parseInt(line, 10)));
  return { component, server, send, numbers };
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "loki-write-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test("wal: a folder that cannot be used makes senders wait, is named, and is taken once it can be", async (t) => {
  const path = join(await folder(t), "in-the-way");
  await writeFile(path, "");
  const { component, send, numbers } = await start(t, path);
  const accepted = send();
  await until(() => component.flow.status.state === "failing", "it says so");
  assert.match(component.flow.status.cause, /a file is in the way of the folder .*: move it/);
  await rm(path);
  await accepted;
  await until(() => numbers().size === LINES, "everything came");
  await until(() => component.flow.status.state === "ok", "it says so");
  assert.equal(component.logs.filter(({ message }) => /cannot open the queue/.test(message)).length, 1);
  assert.deepEqual(component.failures, []);
  const [watcher] = ["loki_write_wal_watcher_running", "loki_write_wal_watcher_records_read_total"].map((name) =>
    component.metric(name),
  );
  assert.equal(watcher, 1);
  const latency = () => component.metric("loki_write_entry_propagation_latency_seconds_count");
  await until(() => latency() === LINES, "latency is measured");
  assert.equal(component.metric("loki_write_wal_writer_last_written_timestamp"), 1_700_000_000);
});

test("wal: a component that stops before it has its folder sends its senders away to try again", async (t) => {
  const path = join(await folder(t), "in-the-way");
  await writeFile(path, "");
  const { component, send } = await start(t, path);
  const refused = assert.rejects(send(), RetryableError);
  await component.stop(1_000);
  await refused;
});

test("wal: a disk that is full holds senders back while the endpoint is away, and loses nothing", async (t) => {
  await using disk = await mountSmallDisk();
  if (disk === undefined) return t.skip("without the right to mount a small file system");
  const { component, server, send, numbers } = await start(t, disk.path);
  server.answer = (response) => response.writeHead(503).end();
  await send();
  await disk.fill();
  let accepted = 0;
  const all = Array.from({ length: 60 }, () => send().then(() => accepted++));
  const isFull = () =>
    component.flow.findings.some((found) => found.rule === "disk" && /no space left/.test(found.cause));
  await until(isFull, "it says so");
  await until(() => component.flow.status.state === "failing", "it fails with the endpoint");
  const before = accepted;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(accepted === before && accepted < 60, `${accepted} batches were accepted without room for them`);
  await disk.empty();
  await Promise.all(all);
  server.answer = (response) => response.writeHead(204).end();
  await until(() => numbers().size === 61 * LINES, "everything came");
  await until(() => component.flow.status.state === "ok", "it says so");
  assert.equal(component.flow.dropped.size, 0);
});
