import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { logBatch } from "#pipeline/log-batch";
import { acknowledged, startComponent } from "#pipeline/testing";
import write from "./loki.write.ts";
import { type LokiServer, startLoki } from "./loki-server.ts";

/** Requests of which the server takes a part, or takes nothing because of a part. */

const { signal } = new AbortController();
const A = Labels.from([["app", "a"]]);
const B = Labels.from([["app", "b"]]);

const endpoint = (server: LokiServer) => `endpoint {\n url = "${server.url}"\n batch_wait = "5ms"\n}\n`;
const start = (config: string) => startComponent(write, config);
const lines = (count: number, labels = A) =>
  Array.from({ length: count }, (_, i) => ({ labels, line: `line ${i}`, ms: 1_700_000_000_000 + i }));

test("what Loki takes of a request is sent, and what it does not is dropped, by its kinds and streams", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server));
  const old = `entry for stream '{app="a"}' has timestamp too old: 2020-01-01T00:00:00Z`;
  const labels = `stream '{app="b", service_name="b"}' has label value too long: 'b'`;
  server.answer = (response) => response.writeHead(400).end(`3 errors like: ${old}; 1 errors like: ${labels}\n`);
  const ack = acknowledged();
  const entries = [...lines(6), ...lines(4, B), ...lines(2, A.with("app", "c"))];
  await component.exports.receiver.consume(logBatch(entries, ack.acknowledgement), signal);
  await until(() => ack.fired, "the acknowledgement");
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("logs")!), { too_old: 3, invalid_labels: 4 });
  assert.equal(component.metric("loki_write_dropped_entries_total", { reason: "ingester_error" }), 7);
  assert.equal(component.metric("loki_write_sent_entries_total"), 5);
  const bytes = ["sent", "dropped"].map((what) => component.metric(`loki_write_${what}_bytes_total`)!);
  assert.ok(bytes.every((each) => each > 0));
  assert.equal(bytes[0]! + bytes[1]!, component.metric("loki_write_request_size_bytes_sum"));
  assert.equal(component.flow.status.state, "degraded");
});

test("entries without labels are counted, with a label that cannot be told", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server));
  server.answer = (response) => response.writeHead(400).end("error at least one label pair is required per stream\n");
  const entries = [...lines(3, Labels.from([])), ...lines(2), ...lines(1, Labels.from([["odd", "\ud800\ufffd"]]))];
  await component.exports.receiver.consume(logBatch(entries), signal);
  await until(() => component.metric("loki_write_sent_entries_total") === 3, "the others count as sent");
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("logs")!), { invalid_labels: 3 });
  server.answer = (response) => response.writeHead(204).end();
  await component.exports.receiver.consume(logBatch(entries.slice(-1)), signal);
  await server.waitFor(1);
  // Loki refuses a replacement character in labels, however it is written; this it takes.
  assert.equal(server.entries[0]!.labels, '{odd="\\xff\\xff"}');
});

test("a stream that Loki cannot read takes no other with it", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server));
  server.answer = (response, entries) =>
    entries.some((entry) => entry.labels.includes("bad"))
      ? response.writeHead(400).end("couldn't parse labels: 1:2: parse error")
      : response.writeHead(204).end();
  const ack = acknowledged();
  const entries = Array.from({ length: 60 }, (_, i) => ({
    labels: Labels.from([[i % 20 === 7 ? "bad" : "app", String(i % 20)]]),
    line: String(i),
  }));
  await component.exports.receiver.consume(logBatch(entries, ack.acknowledgement), signal);
  await until(() => ack.fired, "the acknowledgement");
  await server.waitFor(57);
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("logs")!), { invalid_labels: 3 });
  assert.equal(new Set(server.entries.map(({ line }) => line)).size, 57);
  assert.match(component.flow.status.cause, /couldn't parse labels.* \(stream \{bad="7"\}\)$/);
  assert.ok(server.requests.length <= 11, `${server.requests.length} requests`);
});

test("a web page in place of Loki is no delivery", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server));
  let page = true;
  server.answer = (response) =>
    page ? response.writeHead(200, { "content-type": "text/html" }).end("<p>log in") : response.writeHead(204).end();
  const ack = acknowledged();
  await component.exports.receiver.consume(logBatch(lines(2), ack.acknowledgement), signal);
  await until(() => component.flow.status.rule === "wrong_url", "the status");
  assert.match(component.flow.status.cause, /answered 200 with a web page, Loki never does: check the url/);
  page = false;
  await component.update(endpoint(server)); // waits for the next attempt end
  await until(() => ack.fired, "the acknowledgement");
  assert.equal(server.requests.length, 2);
  assert.equal(component.flow.dropped.size, 0);
});

test("more at once than a tenant may send in a second is sent in parts", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server));
  server.answer = (response, entries) => {
    const text = `ingestion rate limit exceeded for user t (limit: 100 bytes/sec) while attempting to ingest '${entries.length}' lines totaling '${entries.length * 30}' bytes, reduce log volume`;
    entries.length > 3 ? response.writeHead(429).end(text) : response.writeHead(204).end();
  };
  await component.exports.receiver.consume(logBatch(lines(20)), signal);
  await server.waitFor(20);
  assert.equal(component.metric("loki_write_batch_retries_total"), 0);
});
