import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { cleanUp } from "#base/clean-up.testing";
import { compress } from "#formats/snappy";
import { startAgent, type TestAgent } from "../kit/agent.ts";
import { freePort, sleep } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { traceRequest } from "../kit/spans.ts";
import { countSequences } from "../kit/walk.ts";

/** Whatever is sent to a receiver: a status that says what is wrong, and the agent lives on and takes what is right. */

const MIB = 1024 * 1024;

interface Bad {
  readonly what: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body: Uint8Array | string;
  readonly status: number | readonly number[];
}

async function expectStatuses(agent: TestAgent, base: string, cases: readonly Bad[]): Promise<void> {
  for (const { what, path, headers = {}, body, status } of cases) {
    const response = await fetch(base + path, { method: "POST", headers, body: body as string }).catch((error) => {
      throw new Error(`${what}: ${error} ${error.cause}\n${agent.log.slice(-2000)}`);
    });
    const text = await response.text();
    assert.ok([status].flat().includes(response.status), `${what}: ${response.status} ${text}, not ${status}`);
    if (response.status >= 400) assert.notEqual(text, "", `${what}: the answer says why`);
  }
  assert.ok(!agent.exited);
  assert.equal((await agent.api("/-/healthy")).status, 200);
}

const JSON_TYPE = { "content-type": "application/json" };
const PROTOBUF = { "content-type": "application/x-protobuf" };
const entry = (line: string, labels: object = { a: "b" }) =>
  JSON.stringify({ streams: [{ stream: labels, values: [[`${Date.now()}000000`, line]] }] });
/** Announces far more than it has, and far less. */
const lyingSnappy = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61);
const bomb = gzipSync(Buffer.alloc(200 * MIB));

test("loki.source.api", async (t) => {
  const port = await freePort();
  const lines = new SequenceCounter();
  const sink = await Sink.start((_path, body) => void countSequences(body, "seq=", lines));
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(
    t,
    `loki.source.api "in" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = ${port}
  }
  max_send_message_size = "8MiB"
  forward_to            = [loki.write.out.receiver]
}

loki.write "out" {
  endpoint {
    url        = "${sink.url}/loki/api/v1/push"
    batch_wait = "50ms"
  }
}
`,
  );
  const push = "/loki/api/v1/push";
  await expectStatuses(agent, `http://127.0.0.1:${port}`, [
    { what: "no JSON", path: push, headers: JSON_TYPE, body: "{", status: 400 },
    {
      what: "JSON of another form",
      path: push,
      headers: JSON_TYPE,
      body: '{"streams":[{"stream":{"a":"b"},"values":5}]}',
      status: 400,
    },
    {
      what: "JSON with a bad time",
      path: push,
      headers: JSON_TYPE,
      body: '{"streams":[{"stream":{"a":"b"},"values":[["x","y"]]}]}',
      status: 400,
    },
    { what: "deep JSON", path: push, headers: JSON_TYPE, body: "[".repeat(200_000), status: 400 },
    {
      what: "noise",
      path: push,
      headers: PROTOBUF,
      body: Uint8Array.from({ length: 300 }, (_, i) => (i * 37) & 255),
      status: 400,
    },
    { what: "snappy that lies about its length", path: push, headers: PROTOBUF, body: lyingSnappy, status: [400, 413] },
    {
      what: "snappy around noise",
      path: push,
      headers: PROTOBUF,
      body: compress(Buffer.from("no push request at all")),
      status: 400,
    },
    {
      what: "half a gzip",
      path: push,
      headers: { ...JSON_TYPE, "content-encoding": "gzip" },
      body: gzipSync(entry("x")).subarray(0, 30),
      status: 400,
    },
    {
      what: "an unknown encoding",
      path: push,
      headers: { ...JSON_TYPE, "content-encoding": "br" },
      body: brotliCompressSync(entry("x")),
      status: [400, 415],
    },
    { what: "a gzip bomb", path: push, headers: { ...JSON_TYPE, "content-encoding": "gzip" }, body: bomb, status: 413 },
    {
      what: "a gzip bomb of lines",
      path: "/loki/api/v1/raw",
      headers: { "content-encoding": "gzip" },
      body: bomb,
      status: 413,
    },
    { what: "a body that is too large", path: push, headers: JSON_TYPE, body: entry("x".repeat(9 * MIB)), status: 413 },
    {
      what: "a snappy block that is too large",
      path: push,
      headers: PROTOBUF,
      body: compress(Buffer.alloc(9 * MIB)),
      status: [400, 413],
    },
    { what: "an unknown path", path: "/none", body: "x", status: 404 },
  ]);
  const rss = (await agent.metric("process_resident_memory_bytes"))!;
  assert.ok(rss < 700 * MIB, `${Math.round(rss / MIB)} MiB after the bombs`);

  // What is odd but right goes through.
  await expectStatuses(agent, `http://127.0.0.1:${port}`, [
    { what: "an empty body of lines", path: "/loki/api/v1/raw", body: "", status: 204 },
    {
      what: "invalid UTF-8 in a line",
      path: "/loki/api/v1/raw",
      body: Buffer.from("seq=1 \xff\xfe\n", "latin1"),
      status: 204,
    },
    { what: "control characters", path: push, headers: JSON_TYPE, body: entry("seq=2 \u0000\u001b[31m"), status: 204 },
    {
      what: "a label value of 100 kB",
      path: push,
      headers: JSON_TYPE,
      body: entry("seq=3", { big: "x".repeat(100_000) }),
      status: 204,
    },
    {
      what: "a name like that of a prototype",
      path: push,
      headers: JSON_TYPE,
      body: '{"streams":[{"stream":{"__proto__":"x","constructor":"y"},"values":[["1763640000000000000","seq=4"]]}]}',
      status: 204,
    },
    { what: "a line of 5 MB", path: "/loki/api/v1/raw", body: `seq=5 ${"y".repeat(5 * MIB)}`, status: 204 },
  ]);
  await agent.until(() => lines.distinct === 5, "all five have come");
  assert.equal(await agent.stop(), 0);
});

test("clients that go away, send nothing or send slowly do not hold a receiver up", async (t) => {
  const port = await freePort();
  const agent = await startAgent(
    t,
    `loki.source.api "in" {
  http {
    listen_address = "127.0.0.1"
    listen_port    = ${port}
  }
  graceful_shutdown_timeout = "1s"
  forward_to                = []
}
`,
  );
  const sockets = Array.from({ length: 50 }, (_, i) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    if (i % 2 === 0) socket.write("POST /loki/api/v1/raw HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
    if (i % 5 === 0) socket.write("\x16\x03\x01 no HTTP at all\r\n\r\n");
    return socket;
  });
  cleanUp(t, () => sockets.forEach((socket) => void socket.destroy()));
  await sleep(50);
  for (const socket of sockets.slice(0, 25)) socket.resetAndDestroy();
  const response = await fetch(`http://127.0.0.1:${port}/loki/api/v1/raw`, { method: "POST", body: "a\n" });
  assert.equal(response.status, 204);
  assert.equal((await agent.api("/-/healthy")).status, 200);
  assert.equal(await agent.stop(), 0, "open connections do not hold up the end");
});

test("otelcol.receiver.otlp", async (t) => {
  const sink = await Sink.start(() => {});
  cleanUp(t, () => sink.stop());
  const [http, grpc] = [await freePort(), await freePort()];
  const agent = await startAgent(
    t,
    `otelcol.receiver.otlp "in" {
  http {
    endpoint              = "127.0.0.1:${http}"
    max_request_body_size = "4MiB"
  }
  grpc {
    endpoint = "127.0.0.1:${grpc}"
  }
  output {
    traces  = [otelcol.exporter.otlphttp.out.input]
    metrics = [otelcol.exporter.otlphttp.out.input]
    logs    = [otelcol.exporter.otlphttp.out.input]
  }
}

otelcol.exporter.otlphttp "out" {
  client {
    endpoint = "${sink.url}"
  }
}
`,
  );
  const good = traceRequest(10);
  await expectStatuses(agent, `http://127.0.0.1:${http}`, [
    {
      what: "noise",
      path: "/v1/traces",
      headers: PROTOBUF,
      body: Uint8Array.from({ length: 300 }, (_, i) => (i * 37) & 255),
      status: 400,
    },
    {
      what: "half a request",
      path: "/v1/traces",
      headers: PROTOBUF,
      body: good.subarray(0, good.length - 5),
      status: 400,
    },
    { what: "no JSON", path: "/v1/logs", headers: JSON_TYPE, body: "{", status: 400 },
    {
      what: "JSON of another form",
      path: "/v1/metrics",
      headers: JSON_TYPE,
      body: '{"resourceMetrics":5}',
      status: 400,
    },
    {
      what: "deep JSON",
      path: "/v1/traces",
      headers: JSON_TYPE,
      body: `{"resourceSpans":${"[".repeat(100_000)}`,
      status: 400,
    },
    {
      what: "another content type",
      path: "/v1/traces",
      headers: { "content-type": "text/plain" },
      body: "x",
      status: 415,
    },
    {
      what: "half a gzip",
      path: "/v1/traces",
      headers: { ...PROTOBUF, "content-encoding": "gzip" },
      body: gzipSync(good).subarray(0, 50),
      status: 400,
    },
    {
      what: "an unknown encoding",
      path: "/v1/traces",
      headers: { ...PROTOBUF, "content-encoding": "rot13" },
      body: good,
      status: [400, 415],
    },
    {
      what: "a gzip bomb",
      path: "/v1/traces",
      headers: { ...PROTOBUF, "content-encoding": "gzip" },
      body: bomb,
      status: [400, 413],
    },
    {
      what: "a body that is too large",
      path: "/v1/traces",
      headers: PROTOBUF,
      body: Buffer.alloc(5 * MIB),
      status: [400, 413],
    },
    { what: "an unknown path", path: "/v1/profiles-of-mine", headers: PROTOBUF, body: good, status: 404 },
    { what: "what is right", path: "/v1/traces", headers: PROTOBUF, body: good, status: 200 },
  ]);

  for (const noise of [
    "GET / HTTP/1.1\r\n\r\n",
    `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\xff".repeat(200)}`,
    "\x00".repeat(100),
  ]) {
    const socket = connect(grpc, "127.0.0.1");
    socket.on("error", () => {});
    socket.end(Buffer.from(noise, "latin1"));
    await new Promise((resolve) => socket.once("close", resolve).resume());
  }
  const again = await fetch(`http://127.0.0.1:${http}/v1/traces`, {
    method: "POST",
    headers: PROTOBUF,
    body: good,
  });
  assert.equal(again.status, 200);
  assert.equal((await agent.api("/-/healthy")).status, 200);
  assert.equal(await agent.stop(), 0);
});

test("the agent's own HTTP API", async (t) => {
  const agent = await startAgent(t, "");
  for (const path of [
    "/%",
    "/%00",
    "/..%2f..%2fetc/passwd",
    "/../../etc/passwd",
    `/${"a".repeat(5000)}`,
    "/api/v0/component/%E0%A4%A",
    "/api/v0/web/components/__proto__",
    "/?%ff=%",
  ]) {
    const response = await agent.api(path);
    const text = await response.text();
    assert.ok(response.status < 500, `${path}: ${response.status} ${text.slice(0, 200)}`);
    assert.doesNotMatch(text, /root:/);
  }
  for (const noise of [
    "\x16\x03\x01\x00",
    "GET / HTTP/9.9\r\n\r\n",
    `GET / HTTP/1.1\r\nX: ${"y".repeat(100_000)}\r\n\r\n`,
  ]) {
    const socket = connect(agent.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.end(Buffer.from(noise, "latin1"));
    await new Promise((resolve) => socket.once("close", resolve).resume());
  }
  assert.equal((await agent.api("/-/ready")).status, 200);
});
