import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Labels } from "#base/labels";
import { readWriteRequest } from "#formats/remote-write/reader";
import { uncompress } from "#formats/snappy";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { RetryableError } from "#pipeline/errors";
import { mountSmallDisk } from "#pipeline/small-disk.testing";
import { startComponent } from "#pipeline/testing";
import remoteWrite from "./prometheus.remote_write.ts";

const BATCH = 500;

async function start(t: TestContext, dataPath: string) {
  const values: number[] = [];
  const state = { status: 204 };
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (state.status < 300) {
      const { series } = readWriteRequest(uncompress(Buffer.concat(chunks), 10_000_000));
      for (const { samples } of series) values.push(...samples.map(({ value }) => value));
    }
    response.writeHead(state.status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const queue = 'queue_config {\nbatch_send_deadline = "20ms"\nmin_backoff = "5ms"\nmax_backoff = "20ms"\n}';
  const component = await startComponent(remoteWrite, `endpoint {\nurl = "${url}"\n${queue}\n}`, { dataPath });
  t.after(async () => {
    await component.stop(1_000);
    server.closeAllConnections();
    server.close();
  });
  let next = 0;
  const { series: registry } = component.services;
  const send = async (signal = new AbortController().signal) => {
    const from = next;
    next += BATCH;
    await component.exports.receiver.consume(
      {
        signal: "metrics",
        count: BATCH,
        registry,
        ref: Int32Array.from({ length: BATCH }, (_, i) =>
          registry.intern(Labels.from([["__name__", `a_metric_with_a_number_${(from + i) * 7919}`]])),
        ),
        timestamp: new Float64Array(BATCH).fill(Date.now()),
        value: Float64Array.from({ length: BATCH }, (_, i) => from + i),
        flags: new Uint8Array(BATCH),
        exemplars: undefined,
        histograms: undefined,
        metadata: undefined,
        acknowledgement: Acknowledgement.none,
      },
      signal,
    );
  };
  return { component, send, values, state };
}

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "remote-write-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function until(what: string, holds: () => boolean, timeoutMs = 60_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > end) assert.fail(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const sequence = (length: number) => Array.from({ length }, (_, i) => i);

test("a folder that cannot be used makes senders wait, is named, and is taken once it can be", async (t) => {
  const path = join(await folder(t), "in-the-way");
  await writeFile(path, "");
  const { component, send, values } = await start(t, path);
  const accepted = send();
  await until("it says so", () => component.flow.status.state === "failing");
  assert.match(component.flow.status.cause, /a file is in the way of the folder .*: move it/);
  await rm(path);
  await accepted;
  await until("everything came", () => values.length === BATCH);
  await until("it says so", () => component.flow.status.state === "ok");
  assert.equal(component.logs.filter(({ message }) => /cannot open the queue/.test(message)).length, 1);
  assert.deepEqual(component.failures, []);
});

test("a component that stops before it has its folder sends its senders away to try again", async (t) => {
  const path = join(await folder(t), "in-the-way");
  await writeFile(path, "");
  const { component, send } = await start(t, path);
  const refused = assert.rejects(send(), RetryableError);
  await component.stop(1_000);
  await refused;
});

test("a disk that is full holds senders back while the backend is away, and loses nothing", async (t) => {
  await using disk = await mountSmallDisk();
  if (disk === undefined) return t.skip("without the right to mount a small file system");
  const { component, send, values, state } = await start(t, disk.path);
  state.status = 503;
  await send();
  await disk.fill();
  let accepted = 0;
  const all = sequence(60).map(() => send().then(() => accepted++));
  await until("it says so", () => /no space left for/.test(component.flow.status.cause), 20_000);
  await until("it fails with the endpoint", () => component.flow.status.state === "failing");
  const before = accepted;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(accepted === before && accepted < 60, `${accepted} batches were accepted without room for them`);
  await disk.empty();
  await Promise.all(all);
  state.status = 204;
  await until("everything came", () => new Set(values).size === 61 * BATCH, 20_000);
  assert.deepEqual(
    [...new Set(values)].sort((a, b) => a - b),
    sequence(61 * BATCH),
  );
  await until("it says so", () => component.flow.status.state === "ok");
  assert.equal(component.flow.dropped.size, 0);
});
