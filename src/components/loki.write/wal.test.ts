import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { logBatch } from "#pipeline/log-batch";
import { acknowledged, type StartOptions, startComponent } from "#pipeline/testing";
import write from "./loki.write.ts";
import { type LokiServer, startLoki } from "./loki-server.ts";

const { signal } = new AbortController();
const A = Labels.from([["app", "a"]]);
const B = Labels.from([["app", "b"]]);

const start = (config: string, options: StartOptions) => startComponent(write, config, options);
const lines = (count: number, labels = A, prefix = "line") =>
  Array.from({ length: count }, (_, i) => ({ labels, line: `${prefix} ${i}`, ms: 1_700_000_000_000 + i }));
const endpoint = (server: LokiServer, more = "") =>
  `endpoint {\n url = "${server.url}"\n batch_wait = "5ms"\n min_backoff_period = "5ms"\n max_backoff_period = "20ms"\n${more}\n}\n`;

test("wal: accepts without the endpoint, survives a restart, delivers once", async () => {
  const dataPath = await mkdtemp(join(tmpdir(), "loki-write-"));
  try {
    await using server = await startLoki();
    server.answer = (response) => response.writeHead(500).end();
    const config = `${endpoint(server, "max_backoff_retries = 0")}wal {\n enabled = true\n drain_timeout = "1ms"\n}\n`;
    const first = await start(config, { dataPath });
    const ack = acknowledged();
    const tenants = [...lines(5), { labels: A.with("__tenant_id__", "t9"), line: "tenant" }];
    await first.exports.receiver.consume(logBatch(tenants, ack.acknowledgement), signal);
    assert.equal(ack.fired, true);
    await first.exports.receiver.consume(logBatch(lines(5, B)), signal);
    assert.ok(first.flow.queue!.bytes > 0);
    await first.stop();
    assert.equal(server.entries.length, 0);

    server.answer = (response) => response.writeHead(204).end();
    await using second = await start(config, { dataPath });
    await server.waitFor(11);
    await second.exports.receiver.consume(logBatch(lines(1, A, "after")), signal);
    await server.waitFor(12);
    assert.equal(new Set(server.entries.map((entry) => entry.labels + entry.line)).size, 12);
    assert.equal(server.entries.find((entry) => entry.line === "tenant")?.tenant, "t9");
    assert.equal(second.metric("loki_write_dropped_entries_total", { tenant: "t9", reason: "rate_limited" }), 0);
    await second.stop();
    assert.equal(server.entries.length, 12);
  } finally {
    await rm(dataPath, { recursive: true, force: true });
  }
});

test("wal: max_streams holds there too, and without an endpoint everything is dropped, counted", async () => {
  const dataPath = await mkdtemp(join(tmpdir(), "loki-write-"));
  try {
    await using server = await startLoki();
    const wal = 'wal {\n enabled = true\n drain_timeout = "1s"\n}\n';
    {
      await using component = await start(`max_streams = 2\n${endpoint(server)}${wal}`, { dataPath });
      const entries = ["a", "b", "c", "a", "d"].map((app) => ({ labels: Labels.from([["app", app]]), line: app }));
      await component.exports.receiver.consume(logBatch(entries), signal);
      await server.waitFor(3);
      assert.deepEqual(server.entries.map(({ line }) => line).sort(), ["a", "a", "b"]);
      assert.equal(component.flow.dropped.get("logs")?.get("stream_limit"), 2);
      assert.equal(component.metric("loki_write_dropped_entries_total", { reason: "stream_limited" }), 2);
    }
    await using none = await start(wal, { dataPath });
    const ack = acknowledged();
    await none.exports.receiver.consume(logBatch(lines(3), ack.acknowledgement), signal);
    assert.equal(ack.fired, true);
    assert.equal(none.flow.dropped.get("logs")?.get("no_endpoint"), 3);
  } finally {
    await rm(dataPath, { recursive: true, force: true });
  }
});

test("wal: what is not delivered within max_segment_age is dropped and counted", async () => {
  const dataPath = await mkdtemp(join(tmpdir(), "loki-write-"));
  try {
    await using server = await startLoki();
    server.answer = (response) => response.writeHead(503).end();
    const wal = 'wal {\n enabled = true\n max_segment_age = "300ms"\n drain_timeout = "1ms"\n}\n';
    await using component = await start(endpoint(server, "max_backoff_retries = 0") + wal, { dataPath });
    await component.exports.receiver.consume(logBatch(lines(3)), signal);
    await until(() => server.requests.length > 1, "attempts"); // these are under way, and are not taken back
    await component.exports.receiver.consume(logBatch(lines(4, B)), signal);
    await new Promise((resolve) => setTimeout(resolve, 400));
    server.answer = (response) => response.writeHead(204).end();
    await until(() => component.flow.dropped.get("logs")?.get("queue_age") === 4, "the drop");
    assert.equal(server.entries.filter(({ labels }) => labels === B.toString()).length, 0);
    component.flow.judge();
    assert.equal(component.flow.status.rule, "entries_dropped");
    assert.match(
      component.flow.status.cause,
      /4 entries as queue_age .* holds nothing for longer than max_segment_age/,
    );
  } finally {
    await rm(dataPath, { recursive: true, force: true });
  }
});
