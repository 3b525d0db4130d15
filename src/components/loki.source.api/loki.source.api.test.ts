import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import protobuf from "protobufjs";
import { Agent, request } from "undici";
import { compress } from "#formats/snappy";
import { PermanentError, RetryableError } from "#pipeline/errors";
import { recordLogs, startComponent } from "#pipeline/testing";
import api from "./loki.source.api.ts";

const PushRequest = protobuf
  .parse(
    `syntax = "proto3";
     message PushRequest { repeated Stream streams = 1; }
     message Stream { string labels = 1; repeated Entry entries = 2; }
     message Entry { Timestamp timestamp = 1; string line = 2; repeated Pair structuredMetadata = 3; }
     message Timestamp { int64 seconds = 1; int32 nanos = 2; }
     message Pair { string name = 1; string value = 2; }`,
  )
  .root.lookupType("PushRequest");

function message(...streams: { labels: string; lines: string[] }[]): Uint8Array {
  return PushRequest.encode({
    streams: streams.map(({ labels, lines }) => ({
      labels,
      entries: lines.map((line, i) => ({ timestamp: { seconds: 1_700_000_000, nanos: i + 1 }, line })),
    })),
  }).finish();
}

async function start(more = "", recorder = recordLogs()) {
  const component = await startComponent(
    api,
    `http {\n listen_address = "127.0.0.1"\n listen_port = 0\n server_write_timeout = "500ms"\n}\ngraceful_shutdown_timeout = "100ms"\nforward_to = [sink]\n${more}`,
    { scope: { sink: recorder.value } },
  );
  const info = () => (component.instance.debugInfo!() as { listen_address: string }).listen_address;
  for (let i = 0; info() === "" && i < 1_000; i++) await new Promise((resolve) => setImmediate(resolve));
  const agent = new Agent();
  const post = async (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) => {
    const response = await request(`http://${info()}${path}`, { method: "POST", body, headers, dispatcher: agent });
    return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
  };
  return {
    component,
    recorder,
    post,
    info,
    agent,
    async [Symbol.asyncDispose]() {
      await agent.close();
      await component.stop();
    },
  };
}

test("protobuf with snappy, in all the ways in which clients send it", async () => {
  await using t = await start("use_incoming_timestamp = true");
  const body = message({ labels: '{app="a", env="x"}', lines: ["one", "", "drei ✓"] });
  const block = compress(body);
  const type = { "content-type": "application/x-protobuf" };
  for (const [payload, headers] of [
    [block, type],
    [block, { ...type, "content-encoding": "snappy" }],
    [gzipSync(block), { ...type, "content-encoding": "gzip" }],
    [deflateRawSync(block), { ...type, "content-encoding": "deflate" }],
    [deflateSync(block), { ...type, "content-encoding": "deflate" }],
    [gzipSync(body), { ...type, "content-encoding": "gzip" }],
    [body, type],
    [block, {}],
  ] as const) {
    t.recorder.items.length = 0;
    assert.equal((await t.post("/loki/api/v1/push", payload, headers)).status, 204);
    assert.deepEqual(
      t.recorder.items.map(({ line, labels, ms, ns }) => [line, labels, ms, ns]),
      [
        ["one", '{app="a", env="x"}', 1_700_000_000_000, 1],
        ["", '{app="a", env="x"}', 1_700_000_000_000, 2],
        ["drei ✓", '{app="a", env="x"}', 1_700_000_000_000, 3],
      ],
    );
  }
  assert.equal(t.component.metric("loki_source_api_entries_written"), 24);
});

test("JSON with metadata, times of arrival, fixed labels and the tenant", async () => {
  await using t = await start(`labels = { job = "api", app = "fixed" }`);
  const before = Date.now();
  const body = JSON.stringify({
    streams: [
      {
        stream: { app: "a", __meta: "x" },
        values: [
          ["1700000000000000001", "l1", { trace: "t" }],
          ["2", "l2"],
        ],
      },
    ],
  });
  const answer = await t.post("/api/v1/push", body, {
    "content-type": "application/json; charset=utf-8",
    "x-scope-orgid": "t1",
  });
  assert.equal(answer.status, 204);
  assert.equal(answer.text, "");
  const [first, second] = t.recorder.items;
  assert.equal(first!.labels, '{__tenant_id__="t1", app="fixed", job="api"}');
  assert.deepEqual([first!.line, second!.line], ["l1", "l2"]);
  assert.deepEqual(first!.metadata, ["trace", "t"]);
  assert.ok(first!.ms >= before - 1 && first!.ms <= Date.now());
  assert.ok(second!.ms * 1e6 + second!.ns > first!.ms * 1e6 + first!.ns || second!.ns > first!.ns);
});

test("plain lines", async () => {
  await using t = await start(`labels = { job = "raw" }`);
  assert.equal((await t.post("/loki/api/v1/raw", "one\r\n\ntwo\nthree")).status, 204);
  assert.deepEqual(
    t.recorder.items.map(({ line, labels }) => [line, labels]),
    ["one", "two", "three"].map((line) => [line, '{job="raw"}']),
  );
  assert.equal((await t.post("/api/v1/raw", gzipSync("zipped"), { "content-encoding": "gzip" })).status, 204);
  assert.equal(t.recorder.items.at(-1)!.line, "zipped");
  assert.equal((await t.post("/api/v1/raw", "\n\n")).status, 204);
});

test("a stream with bad labels is refused, the others are kept", async () => {
  await using t = await start();
  const body = compress(message({ labels: '{app="a"', lines: ["lost"] }, { labels: '{app="b"}', lines: ["kept"] }));
  const answer = await t.post("/loki/api/v1/push", body, { "content-type": "application/x-protobuf" });
  assert.equal(answer.status, 400);
  assert.match(answer.text, /cannot read labels \{app="a"/);
  assert.deepEqual(
    t.recorder.items.map(({ line }) => line),
    ["kept"],
  );
  assert.equal(t.component.flow.dropped.get("logs")?.get("bad_labels"), 1);
});

test("damaged and oversized requests are refused with a reason", async () => {
  await using t = await start(`max_send_message_size = "1KiB"`);
  const json = { "content-type": "application/json" };
  const proto = { "content-type": "application/x-protobuf" };
  for (const [path, body, headers, status, text] of [
    ["push", "{", json, 400, /not JSON/],
    ["push", "[]", json, 400, /must be a JSON object/],
    ["push", '{"streams":[{"stream":{},"values":[[1,"x"]]}]}', json, 400, /streams\[0\]\.values\[0\].*nanoseconds/],
    ["push", '{"streams":[{"stream":{"a-b":"c"},"values":[]}]}', json, 400, /"a-b" is no label name/],
    ["push", Buffer.from([0x05, 0xff, 0xff]), proto, 400, /snappy/],
    ["push", compress(Buffer.from([0x0a, 0x7f, 0x01])), proto, 400, /not a push request/],
    ["push", "x".repeat(2_000), proto, 413, /1024 bytes/],
    ["push", gzipSync("x".repeat(100_000)), { ...json, "content-encoding": "gzip" }, 413, /after decompression/],
    ["push", compress(Buffer.alloc(100_000, 10)), proto, 413, /1024 bytes/],
    [
      "push",
      deflateRawSync("x".repeat(100_000)),
      { ...json, "content-encoding": "deflate" },
      413,
      /after decompression/,
    ],
    ["push", "no deflate", { ...json, "content-encoding": "deflate" }, 400, /damaged/],
    ["push", "{}", { ...json, "content-encoding": "br" }, 415, /not supported/],
    ["nothing", "", {}, 404, /not found/],
  ] as const) {
    const answer = await t.post(`/loki/api/v1/${path}`, body, headers);
    assert.equal(answer.status, status, `${path} ${answer.text}`);
    assert.match(answer.text, text);
  }
  const get = await request(`http://${t.info()}/loki/api/v1/push`, { dispatcher: t.agent });
  assert.equal(get.statusCode, 405);
  await get.body.dump();
  const ready = await request(`http://${t.info()}/ready`, { dispatcher: t.agent });
  assert.equal(await ready.body.text(), "ready");
});

test("204 comes only after acceptance; a full pipeline gives 503 with Retry-After", async () => {
  const recorder = recordLogs();
  await using t = await start("", recorder);
  const { promise, resolve } = Promise.withResolvers<void>();
  recorder.gate = () => promise;
  const json = { "content-type": "application/json" };
  const body = '{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]}';
  let answered = false;
  const pending = t.post("/loki/api/v1/push", body, json).then((answer) => {
    answered = true;
    return answer;
  });
  for (let i = 0; i < 50; i++) await new Promise((next) => setImmediate(next));
  assert.equal(answered, false);
  resolve();
  assert.equal((await pending).status, 204);

  recorder.gate = () => {
    throw new RetryableError("full");
  };
  const refused = await t.post("/loki/api/v1/push", body, json);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers["retry-after"], "5");
  recorder.gate = () => {
    throw new PermanentError("bad_request", "never");
  };
  assert.equal((await t.post("/loki/api/v1/push", body, json)).status, 204);
  assert.equal(t.component.flow.dropped.get("logs")?.get("bad_request"), 1);
});

test("changed arguments count without a restart, a changed address moves the server", async () => {
  await using t = await start();
  const config = (labels: string, timeout: string) =>
    `http {\n listen_address = "127.0.0.1"\n listen_port = 0\n server_idle_timeout = "${timeout}"\n}\ngraceful_shutdown_timeout = "100ms"\nforward_to = [sink]\nlabels = { v = "${labels}" }`;
  await t.component.update(config("1", "5s"));
  const address = t.info();
  await t.post("/api/v1/raw", "a");
  await t.component.update(config("2", "5s"));
  assert.equal(t.info(), address);
  await t.post("/api/v1/raw", "b");
  assert.deepEqual(
    t.recorder.items.map(({ line, labels }) => [line, labels]),
    [
      ["a", '{v="1"}'],
      ["b", '{v="2"}'],
    ],
  );
});

test("JSON that says it is snappy, and is or is not", async () => {
  await using t = await start();
  const body = '{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]}';
  const headers = { "content-type": "application/json", "content-encoding": "snappy" };
  for (const payload of [body, compress(Buffer.from(body))]) {
    assert.equal((await t.post("/loki/api/v1/push", payload, headers)).status, 204);
  }
  assert.equal(t.recorder.items.length, 2);
});

test("one tenant, as Grafana's servers read it; plain lines have none, as in Alloy", async () => {
  await using t = await start('labels = { job = "x" }');
  const json = { "content-type": "application/json" };
  const body = '{"streams":[{"stream":{"a":"b"},"values":[["1","x"]]}]}';
  assert.equal((await t.post("/api/v1/push", body, { ...json, "x-scope-orgid": "t1:sub" })).status, 204);
  const refused = await t.post("/api/v1/push", body, { ...json, "x-scope-orgid": "t1|t2" });
  assert.equal(refused.status, 400);
  assert.match(refused.text, /^X-Scope-OrgID names several tenants/);
  assert.equal((await t.post("/api/v1/raw", "plain", { "x-scope-orgid": "t1" })).status, 204);
  assert.deepEqual(
    t.recorder.items.map(({ labels }) => labels),
    ['{__tenant_id__="t1", a="b", job="x"}', '{job="x"}'],
  );
});

test("metadata, empty lines, internal labels and streams that have only such", async () => {
  await using t = await start("use_incoming_timestamp = true");
  const body = {
    streams: [
      { stream: { stream: "s", __drop: "x" }, values: [["99000000000", "", { i: "0", other: "val" }]] },
      { stream: { __only: "x" }, values: [["1", "kept"]] },
      { stream: {}, values: [["1", "lost"]] },
    ],
  };
  const answer = await t.post("/loki/api/v1/push", JSON.stringify(body), { "content-type": "application/json" });
  assert.equal(answer.status, 204);
  assert.deepEqual(
    t.recorder.items.map(({ line, labels, ms, metadata }) => [line, labels, ms, metadata]),
    [
      ["", '{stream="s"}', 99_000, ["i", "0", "other", "val"]],
      ["kept", "{}", 0, undefined],
    ],
  );
  assert.equal(t.component.flow.dropped.get("logs")?.get("no_labels"), 1);
});

test("small requests that would take much memory are refused", async () => {
  await using t = await start('max_send_message_size = "1MiB"');
  const entries = Buffer.concat([
    Buffer.from([0x0a, 0x7, ...Buffer.from('{a="b"}')]),
    Buffer.alloc(200_000, "\x12\x00"),
  ]);
  const length = Buffer.from([
    0x80 | (entries.length & 0x7f),
    0x80 | ((entries.length >> 7) & 0x7f),
    entries.length >> 14,
  ]);
  const body = compress(Buffer.concat([Buffer.from([0x0a]), length, entries]));
  assert.ok(body.length < 20_000);
  const answer = await t.post("/loki/api/v1/push", body, { "content-type": "application/x-protobuf" });
  assert.equal(answer.status, 413);
  assert.match(answer.text, /more than 43690 entries/);
});

test("a hundred thousand plain lines come in their order, in batches", async () => {
  await using t = await start('labels = { job = "raw" }');
  const body = Array.from({ length: 100_000 }, (_, i) => `line ${i}\r\n`).join("");
  assert.equal((await t.post("/api/v1/raw", body)).status, 204);
  assert.equal(t.recorder.items.length, 100_000);
  const times = t.recorder.items.map(({ ms, ns }) => ms * 1e6 + ns);
  assert.ok(t.recorder.items.every(({ line, ns }, i) => line === `line ${i}` && ns === i % 1_000_000));
  assert.ok(times.at(-1)! > times[0]!);
});
