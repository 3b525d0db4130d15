import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { until } from "#base/until.testing";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { logBatch } from "#pipeline/log-batch";
import { recordLogs } from "#pipeline/testing";
import { HttpServer } from "../http/server.ts";
import { httpServerFields } from "../http/server-schema.ts";
import { startPushSource } from "../loki-push.testing.ts";
import { PushServer, pushServerMetrics } from "./server.ts";
import { PushStatus } from "./status.ts";

const LIMIT = 100_000;

/** A source of which each request is an entry with its body. */
const source = defineComponent({
  name: "test.source",
  stability: "generally-available",
  summary: "Takes anything.",
  example: "",
  args: s.object({ ...httpServerFields, forward_to: s.list(s.consumer("logs")) }),
  metrics: pushServerMetrics("test", "test_entries", "Entries."),
  start(ctx, args) {
    const out = ctx.fanout("logs", args.forward_to);
    const status = new PushStatus(ctx, { path: "/push", address: () => server.address, labelHint: "set labels" });
    const server: PushServer = new PushServer(
      ctx,
      {
        metrics: ctx.metrics,
        out,
        routes: [
          {
            method: "POST",
            path: "/push",
            async handle(visit) {
              await visit.deliver(logBatch([{ line: await visit.content(LIMIT) }]));
              return { status: 204, body: "" };
            },
          },
        ],
        memoryBytes: 2 * LIMIT,
        accepted: () => status.accepted(),
        refused: (path, code, error) => status.refused(path, code, error),
      },
      args,
    );
    return {
      update: (next) => server.update(next),
      drain: () => server.drain(),
      debugInfo: () => ({ address: server.address, memory: server.memory.used }),
    };
  },
});

type Started = Awaited<ReturnType<typeof startPushSource>>;
const memory = (t: Started) => (t.component.instance.debugInfo!() as { memory: number }).memory;
const gated = () => {
  const recorder = recordLogs();
  const { promise, resolve } = Promise.withResolvers<void>();
  recorder.gate = (_batch, signal) => {
    const aborted = new Promise<never>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
    );
    return Promise.race([promise, aborted]);
  };
  return { recorder, open: resolve };
};

test("all encodings, with and without an announced length; metrics count what came", async () => {
  await using t = await startPushSource(source);
  const text = "line ".repeat(100);
  let sum = 0;
  for (const [encoding, body] of [
    ["", Buffer.from(text)],
    ["identity", Buffer.from(text)],
    ["gzip", gzipSync(text)],
    ["deflate", deflateSync(text)],
    ["deflate", deflateRawSync(text)],
    ["zstd", zstdCompressSync(text)],
    ["gzip", Buffer.concat([gzipSync(text.slice(0, 9)), gzipSync(text.slice(9))])],
  ] as const) {
    async function* chunked() {
      for (let i = 0; i < body.length; i += 20) yield body.subarray(i, i + 20);
    }
    for (const sent of [body, chunked()]) {
      const headers: Record<string, string> = encoding === "" ? {} : { "content-encoding": encoding };
      assert.equal((await t.ask("POST", "/push", sent, headers)).status, 204, encoding);
      assert.equal(t.recorder.items.at(-1)!.line, text);
      sum += body.length;
    }
  }
  assert.equal(t.component.metric("test_request_message_bytes_sum"), sum);
  assert.equal(t.component.metric("test_request_message_bytes_count"), 14);
  assert.equal(t.component.metric("test_inflight_requests"), 0);
  assert.equal(t.component.metric("test_entries"), 14);
  assert.equal(memory(t), 0, "everything is given back");
});

test("too large, damaged and unknown bodies: a status with the reason, and no memory is kept", async () => {
  await using t = await startPushSource(source);
  const big = Buffer.alloc(LIMIT + 1);
  async function* endless() {
    for (;;) yield Buffer.alloc(10_000);
  }
  for (const [body, encoding, status, text] of [
    [big, "", 413, /100000 bytes allowed/],
    [endless(), "", 413, /100000 bytes allowed/],
    [gzipSync(big), "gzip", 413, /after decompression/],
    [deflateRawSync(big), "deflate", 413, /after decompression/],
    [gzipSync("abc".repeat(999)).subarray(0, 20), "gzip", 400, /the gzip body is damaged/],
    ["neither", "deflate", 400, /the deflate body is damaged/],
    ["x", "br", 415, /br is not supported; use one of gzip, deflate, zstd, snappy/],
  ] as const) {
    const answer = await t.ask("POST", "/push", body, encoding === "" ? {} : { "content-encoding": encoding });
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, text);
    await until(() => memory(t) === 0, "the memory is given back");
  }
  const codes = ["413", "400", "415"].map((status_code) =>
    t.component.metric("test_request_duration_seconds_count", { status_code }),
  );
  assert.deepEqual(codes, [4, 2, 1]);
  const { state, cause } = t.status();
  assert.equal(state, "failing");
  assert.match(cause, /^clients were refused 4 requests as 413 and 2 as 400 and 1 as 415 in the last 5 min: /);
});

test("a client that is still sending reads why it is sent away", async () => {
  await using t = await startPushSource(source);
  const [host, port] = t.address().split(":");
  const big = Buffer.alloc(20_000_000);
  for (let i = 0; i < 5; i++) {
    const socket = connect(Number(port), host);
    const answer = new Promise<string>((resolve, reject) => {
      let text = "";
      socket.on("data", (data) => void (text += data)).on("error", reject);
      socket.on("close", () => resolve(text));
    });
    socket.end(`POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: ${big.length}\r\n\r\n`);
    assert.match(await answer, /^HTTP\/1\.1 413 [\s\S]*connection: close[\s\S]*100000 bytes allowed/i);
    const sending = connect(Number(port), host);
    const refused = new Promise<string>((resolve, reject) => {
      sending.on("data", (data) => resolve(String(data))).on("error", reject);
    });
    sending.write(`POST /push HTTP/1.1\r\nHost: x\r\nContent-Length: ${big.length}\r\n\r\n`);
    sending.write(big);
    assert.match(await refused, /^HTTP\/1\.1 413 /);
    sending.destroy();
  }
});

test("what waits in memory is bounded: further requests get 429 until there is room", async () => {
  const { recorder, open } = gated();
  await using t = await startPushSource(source, "", { recorder, http: "" });
  const body = Buffer.alloc(80_000, 120);
  const first = [t.ask("POST", "/push", body), t.ask("POST", "/push", gzipSync(body), { "content-encoding": "gzip" })];
  await until(() => memory(t) > 2 * 80_000, "both are in memory");
  async function* chunked() {
    for (let i = 0; i < 8; i++) yield body.subarray(0, 10_000);
  }
  for (const [sent, headers] of [
    [body, {}],
    [gzipSync(body), { "content-encoding": "gzip" }],
    [chunked(), {}],
  ] as const) {
    const answer = await t.ask("POST", "/push", sent, headers);
    assert.deepEqual([answer.status, answer.headers["retry-after"]], [429, "1"], answer.text);
  }
  assert.equal(t.component.metric("test_request_duration_seconds_count", { status_code: "429" }), 3);
  open();
  assert.deepEqual(
    (await Promise.all(first)).map(({ status }) => status),
    [204, 204],
  );
  assert.equal((await t.ask("POST", "/push", body)).status, 204);
  assert.equal(memory(t), 0);
});

test("any number of empty requests cannot wait, either", async () => {
  const { recorder, open } = gated();
  await using t = await startPushSource(source, "", { recorder, http: "" });
  const all = Array.from({ length: 20 }, () => t.ask("POST", "/push", "x"));
  await until(() => t.component.metric("test_request_duration_seconds_count", { status_code: "429" }) === 8, "12 wait");
  open();
  assert.equal((await Promise.all(all)).filter(({ status }) => status === 204).length, 12);
});

test("a client is answered before it would give up; one that goes away is no trouble", async () => {
  const { recorder, open } = gated();
  await using t = await startPushSource(source, "", { recorder });
  const answer = await t.ask("POST", "/push", "a"); // without one the server would cut the connection after its time
  assert.deepEqual([answer.status, answer.headers["retry-after"]], [503, "5"]);
  assert.match(t.status().cause, /1 requests as 503/);
  const failures = t.component.flow.failures;
  await assert.rejects(t.ask("POST", "/push", "b", {}, AbortSignal.timeout(50)));
  await until(() => memory(t) === 0, "its memory is given back");
  assert.equal(t.component.flow.failures, failures);
  open();
});

test("at the end, those that wait are told so", async () => {
  const { recorder, open } = gated();
  const t = await startPushSource(source, "", { recorder, http: "" });
  const waiting = t.ask("POST", "/push", "a");
  await until(() => memory(t) > 0, "it waits");
  const stopped = t.component.stop(50);
  const outcome = await waiting.then(
    ({ status }) => status,
    () => "cut",
  );
  assert.ok(outcome === 503 || outcome === "cut", String(outcome));
  await stopped;
  open();
  assert.equal(recorder.items.length, 0);
  await t[Symbol.asyncDispose]();
});

test("changed options of the server: the same port is taken over while requests end on the old one", async () => {
  const { recorder, open } = gated();
  await using t = await startPushSource(source, "", { recorder, http: "" });
  const port = Number(t.address().split(":")[1]);
  await t.component.update(t.configText("", "", port));
  const waiting = t.ask("POST", "/push", "old");
  await until(() => t.component.flow.edge("test.logs").waiting === 1, "it waits");
  await t.component.update(t.configText("", 'server_idle_timeout = "7s"', port));
  assert.equal(t.address(), `127.0.0.1:${port}`);
  const next = t.ask("POST", "/push", "new");
  await until(() => t.component.flow.edge("test.logs").waiting === 2, "both wait");
  open();
  assert.deepEqual([(await waiting).status, (await next).status], [204, 204]);
});

test("a port that is taken: the old server goes on, and the message says what to do", async () => {
  await using t = await startPushSource(source);
  const log = { debug() {}, info() {}, warn() {}, error() {} } as never;
  const other = new HttpServer({ address: "127.0.0.1", port: 0, log });
  const { port } = await other.listen();
  const before = t.address();
  await assert.rejects(
    t.component.update(t.configText("", "", port)),
    /cannot listen on 127\.0\.0\.1:\d+: another program listens there/,
  );
  assert.equal(t.address(), before);
  assert.equal((await t.ask("POST", "/push", "a")).status, 204);
  await other.close(0);
  await t.component.update(t.configText("", "", port));
  assert.equal(t.address(), `127.0.0.1:${port}`);
  assert.equal((await t.ask("POST", "/push", "b")).status, 204);
});

test("options that cannot be used on the same port: the old server comes back", async () => {
  await using t = await startPushSource(source, "", { http: "" });
  const port = Number(t.address().split(":")[1]);
  await t.component.update(t.configText("", "", port));
  const tls = 'tls {\n cert_file = "/nowhere/a.pem"\n key_file = "/nowhere/a.key"\n}';
  await assert.rejects(t.component.update(t.configText("", tls, port)), /\/nowhere\/a\.pem/);
  assert.equal((await t.ask("POST", "/push", "a")).status, 204);
});

test("what no route takes is answered with where to go; only lost entries trouble the status", async () => {
  await using t = await startPushSource(source);
  assert.deepEqual([(await t.ask("GET", "/x")).status, (await t.ask("HEAD", "/push")).status], [404, 405]);
  assert.equal((await t.ask("BREW" as "GET", "/push").catch(() => ({ status: 400 }))).status, 400);
  assert.equal(t.status().rule, "no_requests");
  const answer = await t.ask("POST", `/${"x".repeat(300)}`, "lost");
  assert.equal(answer.status, 404);
  assert.match(answer.text, /^\/x{99}… not found: use \/push$/m);
  assert.equal(t.status().rule, "requests_refused");
  assert.equal(t.component.metric("test_request_duration_seconds_count", { route: "notfound" }), 3);
  const socket = connect(Number(t.address().split(":")[1]), "127.0.0.1");
  await until(() => (t.component.metric("test_tcp_connections") ?? 0) >= 1, "connections are counted");
  socket.destroy();
});
