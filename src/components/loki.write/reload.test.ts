import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { RetryableError } from "#pipeline/errors";
import { logBatch } from "#pipeline/log-batch";
import { startComponent } from "#pipeline/testing";
import write from "./loki.write.ts";
import { type LokiServer, startLoki } from "./loki-server.ts";

const { signal } = new AbortController();
const A = Labels.from([["app", "a"]]);

function lines(count: number, from = 0) {
  return Array.from({ length: count }, (_, i) => ({ labels: A, line: `line ${from + i}`, ms: 1_700_000_000_000 + i }));
}
function endpoint(url: string, more = ""): string {
  return `endpoint {\n url = "${url}"\n batch_wait = "5ms"\n min_backoff_period = "5ms"\n max_backoff_period = "20ms"\n max_backoff_retries = 0\n${more}\n}\n`;
}
const queue = (more: string) => ` batch_size = "1KiB"\n queue_config {\n${more}\n }`;
const away = (server: LokiServer) => {
  server.answer = (response) => response.writeHead(503).end();
};
function counted() {
  const state = { safe: 0, of: () => new Acknowledgement(() => (state.safe += 1)) };
  return state;
}
test("a changed URL takes what waited for the old one with it", async () => {
  await using wrong = await startLoki();
  await using right = await startLoki();
  away(wrong);
  await using component = await startComponent(write, endpoint(wrong.url));
  const acks = counted();
  await component.exports.receiver.consume(logBatch(lines(10), acks.of()), signal);
  await until(() => component.flow.status.state === "failing", "the first attempt failed");
  await component.update(endpoint(right.url));
  await right.waitFor(10);
  await until(() => acks.safe === 1, "the acknowledgement");
  assert.equal(right.entries.length, 10);
  await until(() => component.flow.status.state === "ok", "it is well");
});

test("reloads under load lose and repeat nothing", async () => {
  const dataPath = await mkdtemp(join(tmpdir(), "loki-write-"));
  try {
    await using server = await startLoki();
    await using component = await startComponent(write, endpoint(server.url, queue('capacity = "2KiB"')), { dataPath });
    const acks = counted();
    let sent = 0;
    let sending = true;
    const source = (async () => {
      while (sending) {
        const batch = logBatch(lines(200, sent), acks.of());
        for (;;) {
          try {
            await component.exports.receiver.consume(batch, signal);
            break;
          } catch (error) {
            if (!(error instanceof RetryableError)) throw error;
            await new Promise((resolve) => setImmediate(resolve));
          }
        }
        sent += 200;
      }
    })();
    const wal = 'wal {\n enabled = true\n drain_timeout = "1ms"\n}\n';
    const configs = [
      endpoint(server.url, queue('capacity = "4KiB"')),
      `external_labels = { cluster = "c" }\n${endpoint(server.url, queue('capacity = "4KiB"'))}`,
      endpoint(server.url, `name = "other"\n${queue('capacity = "4KiB"')}`),
      endpoint(server.url, `name = "other"\n${queue('capacity = "4KiB"\n min_shards = 3')}`),
      endpoint(server.url) + wal,
      endpoint(server.url, 'batch_size = "2KiB"') + wal,
      endpoint(server.url),
    ];
    for (const config of configs) {
      const before = sent;
      await until(() => sent > before + 400, "data flows");
      await component.update(config);
      if (config.includes(wal)) {
        // What is on disk is sent only as long as the queue on disk is configured.
        const behind = sent;
        await until(() => sent > behind + 400, "data flows");
      }
    }
    sending = false;
    await source;
    await component.update(endpoint(server.url) + wal);
    await until(() => new Set(server.entries.map(({ line }) => line)).size === sent, "everything came");
    const seen = new Map<string, number>();
    for (const { line } of server.entries) seen.set(line, (seen.get(line) ?? 0) + 1);
    const memoryOnly = [...seen].filter(([, times]) => times > 1);
    assert.deepEqual(memoryOnly, []);
    await until(() => acks.safe === sent / 200, "all is acknowledged");
    assert.deepEqual([component.flow.dropped.size, component.failures], [0, []]);
  } finally {
    await rm(dataPath, { recursive: true, force: true });
  }
});

test("what an endpoint that was removed does not take in time is dropped and counted", async () => {
  await using down = await startLoki();
  await using up = await startLoki();
  away(down);
  const first = endpoint(down.url, queue('capacity = "1KiB"\n drain_timeout = "10ms"'));
  await using component = await startComponent(write, endpoint(up.url) + first);
  const acks = counted();
  const { receiver } = component.exports;
  await receiver.consume(logBatch(lines(10), acks.of()), signal);
  const blocked = receiver.consume(logBatch(lines(20_000, 10), acks.of()), signal);
  await component.update(endpoint(up.url));
  await blocked;
  await until(() => acks.safe === 2, "the acknowledgements");
  assert.deepEqual([...component.flow.dropped.get("logs")!], [["endpoint_removed", 20_010]]);
  assert.equal(up.entries.length, 20_010);
});

test("a stop sends away who waits for room, and counts what no source reads again", async () => {
  await using server = await startLoki();
  away(server);
  const component = await startComponent(
    write,
    endpoint(server.url, queue('capacity = "1KiB"\n drain_timeout = "1ms"')),
  );
  const acks = counted();
  const { receiver } = component.exports;
  await receiver.consume(logBatch(lines(5), acks.of()), signal);
  await receiver.consume(logBatch(lines(7, 5)), signal);
  const blocked = assert.rejects(
    async () => receiver.consume(logBatch(lines(10_000, 12), acks.of()), signal),
    RetryableError,
  );
  await component.stop(1_000);
  await blocked;
  assert.deepEqual([...component.flow.dropped.get("logs")!], [["shutdown", 7]]);
  assert.equal(acks.safe, 0);
  const { fields } = component.logs.find(({ message }) => /^stopped with entries/.test(message))!;
  assert.match(JSON.stringify(fields), /"?lost"?[^0-9]*7/);
});
