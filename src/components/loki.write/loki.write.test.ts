import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { inspect } from "node:util";
import { Labels } from "#base/labels";
import { until } from "#base/until.testing";
import { logBatch } from "#pipeline/log-batch";
import { acknowledged, type StartOptions, startComponent } from "#pipeline/testing";
import write from "./loki.write.ts";
import { type LokiServer, startLoki } from "./loki-server.ts";

const { signal } = new AbortController();
const A = Labels.from([["app", "a"]]);
const B = Labels.from([
  ["app", "b"],
  ["__internal", "x"],
]);

function start(config: string, options: StartOptions = {}) {
  return startComponent(write, config, options);
}
function lines(count: number, labels = A, prefix = "line") {
  return Array.from({ length: count }, (_, i) => ({
    labels,
    line: `${prefix} ${i}`,
    ms: 1_700_000_000_000 + i,
    ns: i,
  }));
}
function endpoint(server: LokiServer, more = ""): string {
  return `endpoint {\n url = "${server.url}"\n batch_wait = "5ms"\n min_backoff_period = "5ms"\n max_backoff_period = "20ms"\n${more}\n}\n`;
}
test("delivers entries with times, metadata, labels and headers, and acknowledges then", async () => {
  await using server = await startLoki();
  await using component = await start(
    `external_labels = { cluster = "c1", app = "other" }\n${endpoint(server, `tenant_id = "t1"\n headers = { "X-Extra" = "1" }`)}`,
  );
  const ack = acknowledged();
  const batch = logBatch(
    [
      { labels: A, line: "plain", ms: 1_700_000_000_123, ns: 456_789, metadata: ["trace", "abc", "empty", ""] },
      { labels: B, line: "", ms: 0 },
      { labels: A, line: "ünïcode ✓ \u0000", ms: -1_500, ns: 1 },
      { labels: B.with("__tenant_id__", "t2"), line: "other tenant", ms: 9_000_000_000_000 },
    ],
    ack.acknowledgement,
  );
  await component.exports.receiver.consume(batch, signal);
  batch.data.fill(0); // lent: the component must have copied
  await server.waitFor(4);
  await until(() => ack.fired, "the acknowledgement");
  assert.deepEqual(
    server.entries.toSorted((a, b) => (a.line < b.line ? -1 : 1)),
    [
      { labels: '{app="b", cluster="c1"}', line: "", time: 0n, metadata: [], tenant: "t1" },
      {
        labels: '{app="b", cluster="c1"}',
        line: "other tenant",
        time: 9_000_000_000_000_000_000n,
        metadata: [],
        tenant: "t2",
      },
      {
        labels: '{app="a", cluster="c1"}',
        line: "plain",
        time: 1_700_000_000_123_456_789n,
        metadata: ["trace", "abc", "empty", ""],
        tenant: "t1",
      },
      {
        labels: '{app="a", cluster="c1"}',
        line: "ünïcode ✓ \u0000",
        time: -1_499_999_999n,
        metadata: [],
        tenant: "t1",
      },
    ],
  );
  const { headers } = server.requests[0]!;
  assert.equal(headers["content-type"], "application/x-protobuf");
  assert.equal(headers["content-encoding"], "snappy");
  assert.equal(headers["x-extra"], "1");
  assert.equal(component.metric("loki_write_sent_entries_total"), 4);
  assert.equal(component.metric("loki_write_dropped_entries_total", { reason: "ingester_error" }), 0);
  assert.equal(component.metric("loki_write_entry_propagation_latency_seconds_count"), 4);
  assert.equal(component.flow.status.state, "ok");
});

test("batch_size ends a request, and an entry that is larger goes alone", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server, `batch_size = "1KiB"`));
  const big = "x".repeat(3_000);
  const entries = [...lines(40), { labels: A, line: big, ms: 1 }, ...lines(40, B)];
  await component.exports.receiver.consume(logBatch(entries), signal);
  await server.waitFor(81);
  assert.equal(server.entries.filter((entry) => entry.line === big).length, 1);
  assert.ok(server.requests.length >= 3);
  assert.equal(new Set(server.entries.map((entry) => entry.labels + entry.line)).size, 81);
});

test("429 and 5xx are tried again, with Retry-After", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server));
  server.answer = (response, _, nth) => {
    if (nth === 1) response.writeHead(503, { "retry-after": "1" }).end("overloaded");
    else if (nth === 2) response.writeHead(429).end("rate limited");
    else response.writeHead(204).end();
  };
  await component.exports.receiver.consume(logBatch(lines(3)), signal);
  await until(() => component.flow.status.state === "failing", "the failing status");
  assert.match(component.flow.status.cause, /503: overloaded/);
  await server.waitFor(3);
  assert.ok(server.requests[1]!.time - server.requests[0]!.time >= 990, "Retry-After was not honoured");
  await until(() => component.flow.status.state === "degraded", "recovery, but for the limit");
  assert.equal(component.flow.status.rule, "rate_limited");
  assert.match(
    component.flow.status.cause,
    /answered 429: rate limited; raise the tenant's limits or send less; a request is tried 10 times/,
  );
  assert.equal(component.metric("loki_write_batch_retries_total"), 2);
});

test("429 is dropped at once without retry_on_http_429", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server, "retry_on_http_429 = false"));
  server.answer = (response) => response.writeHead(429).end("Ingestion rate limit exceeded");
  const ack = acknowledged();
  await component.exports.receiver.consume(logBatch(lines(3), ack.acknowledgement), signal);
  await until(() => ack.fired, "the acknowledgement");
  assert.equal(component.metric("loki_write_dropped_entries_total", { reason: "rate_limited" }), 3);
  assert.equal(component.flow.dropped.get("logs")?.get("rate_limited"), 3);
});

for (const [status, text, reason] of [
  [400, "2 errors like: entry for stream '{}' has timestamp too old: 2020", "too_old"],
  [400, "could not parse", "bad_request"],
  [415, "", "bad_request"],
] as const) {
  test(`${status} "${text}" is dropped as ${reason}, not tried again`, async () => {
    await using server = await startLoki();
    await using component = await start(endpoint(server));
    server.answer = (response) => response.writeHead(status).end(text);
    const ack = acknowledged();
    await component.exports.receiver.consume(logBatch(lines(2), ack.acknowledgement), signal);
    await until(() => ack.fired, "the acknowledgement");
    assert.equal(server.requests.length, 1);
    assert.equal(component.flow.dropped.get("logs")?.get(reason), 2);
    assert.equal(component.metric("loki_write_dropped_entries_total", { reason: "ingester_error" }), 2);
    assert.match(component.flow.status.cause, new RegExp(String(status)));
  });
}

test("gives up after max_backoff_retries", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server, "max_backoff_retries = 3"));
  server.answer = (response) => response.writeHead(500).end();
  await component.exports.receiver.consume(logBatch(lines(2)), signal);
  await until(() => component.flow.dropped.get("logs")?.get("server_error") === 2, "the drop");
  assert.equal(server.requests.length, 3);
});

test("413 halves the request until it passes, and drops what is too large alone", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server));
  server.answer = (response, entries) => {
    const tooLarge = entries.length > 2 || entries.some((entry) => entry.line === "line 5");
    response.writeHead(tooLarge ? 413 : 204).end();
  };
  const ack = acknowledged();
  const entries = [...lines(9), ...lines(4, B, "b")];
  await component.exports.receiver.consume(logBatch(entries, ack.acknowledgement), signal);
  await until(() => ack.fired, "the acknowledgement");
  await server.waitFor(12);
  assert.equal(new Set(server.entries.map((entry) => entry.labels + entry.line)).size, 12);
  assert.equal(component.flow.dropped.get("logs")?.get("payload_too_large"), 1);
});

test("401 is failing at once, keeps the entries, and delivers them when the credentials are mended", async () => {
  await using server = await startLoki();
  let sleeps: number[] = [];
  const clock = {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    async sleep(ms: number, abort?: AbortSignal) {
      sleeps.push(ms);
      await new Promise((resolve) => setTimeout(resolve, Math.min(ms, 5)));
      abort?.throwIfAborted();
    },
  };
  await using component = await start(endpoint(server), { clock });
  server.answer = (response, _, nth) => response.writeHead(nth <= 3 ? 401 : 204).end(nth <= 3 ? "no such token" : "");
  await component.exports.receiver.consume(logBatch(lines(2)), signal);
  await until(() => component.flow.status.state === "failing", "the failing status");
  assert.match(component.flow.status.cause, /401: no such token; check the endpoint's credentials/);
  await server.waitFor(2);
  sleeps = sleeps.filter((ms) => ms >= 10_000 && ms <= 60_000 && ms !== 15_000);
  assert.deepEqual(sleeps, [10_000, 20_000, 40_000]);
  assert.equal(component.flow.dropped.size, 0);
});

test("an endpoint that accepts connections and never answers times out and is tried again", async () => {
  const sockets: import("node:net").Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => {})));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as { port: number };
  try {
    await using component = await start(
      `endpoint {\n url = "http://127.0.0.1:${port}/x"\n batch_wait = "5ms"\n remote_timeout = "50ms"\n min_backoff_period = "5ms"\n max_backoff_retries = 2\n}`,
    );
    await component.exports.receiver.consume(logBatch(lines(1)), signal);
    await until(() => component.flow.dropped.get("logs")?.get("timeout") === 1, "the drop");
    assert.match(component.flow.status.cause, /did not answer within 50ms/);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  }
});

test("a full queue blocks the source, bounded in bytes; nothing is lost", async () => {
  await using server = await startLoki();
  const hold: (() => void)[] = [];
  let held = true;
  server.answer = (response) =>
    held ? void hold.push(() => response.writeHead(204).end()) : response.writeHead(204).end();
  await using component = await start(
    endpoint(server, `batch_size = "16KiB"\n queue_config {\n capacity = "64KiB"\n }`),
  );
  const random = Array.from({ length: 3_000 }, (_, i) => ({
    labels: A,
    line: `${i} ${crypto.randomUUID()}${crypto.randomUUID()}`,
    ms: i,
  }));
  let accepted = false;
  const consumed = Promise.resolve(component.exports.receiver.consume(logBatch(random), signal)).then(() => {
    accepted = true;
  });
  await until(() => hold.length > 0, "the first request");
  assert.equal(accepted, false);
  const { bytes } = component.flow.queue!;
  assert.ok(bytes > 32 * 1024 && bytes < 160 * 1024, `${bytes} bytes queued`);
  held = false;
  for (const go of hold) go();
  await consumed;
  await server.waitFor(3_000);
  assert.deepEqual(
    server.entries.map((entry) => Number(entry.line.split(" ")[0])),
    random.map((_, i) => i),
  );
});

test("without block_on_overflow a full queue drops and counts", async () => {
  await using server = await startLoki();
  server.answer = () => {}; // holds the first request for ever
  await using component = await start(
    endpoint(
      server,
      `batch_size = "1KiB"\n queue_config {\n capacity = "4KiB"\n drain_timeout = "10ms"\n block_on_overflow = false\n }`,
    ),
  );
  const random = Array.from({ length: 2_000 }, () => ({ labels: A, line: crypto.randomUUID() }));
  component.exports.receiver.consume(logBatch(random), signal);
  const dropped = component.flow.dropped.get("logs")?.get("queue_full") ?? 0;
  assert.ok(dropped > 1_000 && dropped < 2_000);
  assert.equal(component.metric("loki_write_dropped_entries_total", { reason: "queue_is_full" }), dropped);
});

test("max_streams drops the entries of further streams", async () => {
  await using server = await startLoki();
  await using component = await start(`max_streams = 2\n${endpoint(server)}`);
  const entries = ["a", "b", "c", "a"].map((app) => ({ labels: Labels.from([["app", app]]), line: app }));
  await component.exports.receiver.consume(logBatch(entries), signal);
  await server.waitFor(3);
  assert.equal(component.flow.dropped.get("logs")?.get("stream_limit"), 1);
  assert.equal(component.metric("loki_write_dropped_entries_total", { reason: "stream_limited" }), 1);
});

test("a dead endpoint does not hold up the others while its queue has room", async () => {
  await using dead = await startLoki();
  await using alive = await startLoki();
  dead.answer = (response) => response.writeHead(500).end();
  await using component = await start(
    endpoint(dead, 'max_backoff_retries = 0\n queue_config {\n drain_timeout = "1ms"\n }') + endpoint(alive),
  );
  const ack = acknowledged();
  for (let i = 0; i < 20; i++)
    component.exports.receiver.consume(logBatch(lines(10), i === 0 ? ack.acknowledgement : undefined), signal);
  await alive.waitFor(200);
  assert.equal(dead.entries.length, 0);
  assert.equal(ack.fired, false);
  await until(() => component.flow.status.state === "degraded", "the degraded status");
});

test("drains at the stop", async () => {
  await using server = await startLoki();
  const component = await start(endpoint(server).replace('"5ms"', '"1h"'));
  await component.exports.receiver.consume(logBatch(lines(7)), signal);
  assert.equal(server.requests.length, 0);
  await component.stop();
  assert.equal(server.entries.length, 7);
});

test("shards send all streams, each in order", async () => {
  await using server = await startLoki();
  await using component = await start(endpoint(server, `batch_size = "2KiB"\n queue_config {\n min_shards = 4\n }`));
  const streams = Array.from({ length: 10 }, (_, i) => Labels.from([["s", String(i)]]));
  const entries = Array.from({ length: 1_000 }, (_, i) => ({ labels: streams[i % 10]!, line: String(i) }));
  await component.exports.receiver.consume(logBatch(entries), signal);
  await server.waitFor(1_000);
  for (const stream of streams) {
    const got = server.entries.filter((entry) => entry.labels === stream.toString()).map((entry) => Number(entry.line));
    assert.deepEqual(
      got,
      got.toSorted((a, b) => a - b),
    );
    assert.equal(got.length, 100);
  }
});

test("credentials in the URL are sent and shown nowhere", async () => {
  await using server = await startLoki();
  server.answer = (response, _, nth) => response.writeHead(nth === 1 ? 401 : nth === 2 ? 400 : 204).end();
  const withPassword = server.url.replace("//", "//user:se:cr%2Fet@");
  const config = endpoint(server).replace(server.url, withPassword);
  const gone = await start(config.replace(/127[^/]*/, "127.0.0.1:1"));
  await gone.exports.receiver.consume(logBatch(lines(1)), signal);
  await until(() => gone.flow.status.state === "failing", "the failure");
  const component = await start(config);
  await component.exports.receiver.consume(logBatch(lines(1)), signal);
  await until(() => component.flow.status.state === "failing", "the refusal");
  const expected = `Basic ${Buffer.from("user:se:cr/et").toString("base64")}`;
  assert.equal(server.requests[0]!.headers.authorization, expected);
  for (const { flow, logs, services } of [component, gone]) {
    const metrics = services.metrics.collect().flatMap(({ samples }) => samples);
    const shown = inspect([flow.status, flow.lastError, logs, metrics], { depth: 10 });
    assert.match(shown, /127\.0\.0\.1:\d+/);
    assert.doesNotMatch(shown, /se:cr|cr%2Fet|cr\/et/);
  }
  await Promise.all([gone.stop(1), component.stop(1)]);
});

test("a bad configuration says what to do", async () => {
  await assert.rejects(start(`endpoint {\n url = "loki:3100"\n}`), /is no HTTP URL/);
  for (const name of ["remote_timeout", "min_backoff_period", "max_backoff_period"]) {
    await assert.rejects(start(`endpoint {\n url = "http://x/"\n ${name} = "0s"\n}`), /must be longer than 0s: /);
  }
  await assert.rejects(start('wal {\n max_segment_age = "0s"\n}'), /must be longer than 0s: nothing could be kept/);
  await assert.rejects(start('wal {\n min_read_frequency = "2s"\n}'), /must be lower than `max_read_frequency`/);
  await assert.rejects(
    start(`endpoint {\n url = "http://x/"\n bearer_token = "a"\n bearer_token_file = "b"\n}`),
    /at most one of/,
  );
  await assert.rejects(
    start(`endpoint {\n url = "http://x/"\n}\nendpoint {\n url = "http://x/"\n}`),
    /same `url`, tenant, user and headers and no name/,
  );
  await assert.rejects(
    start(`endpoint {\n name = "a"\n url = "http://x/"\n}\nendpoint {\n name = "a"\n url = "http://y/"\n}`),
    /same `name`/,
  );
});
