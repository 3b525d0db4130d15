import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as grpcjs from "@grpc/grpc-js";
import { Agent, request } from "undici";
import { decodeStatus, GRPC } from "#formats/grpc";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { decodeExportResponse } from "#formats/otlp/response";
import { compress } from "#formats/snappy";
import { AuthenticationError, type AuthHandler } from "#kits/otelcol/auth";
import { EXPORT_PATHS } from "#kits/otelcol/intake";
import { Capsule } from "#lang/value";
import { PermanentError, RetryableError } from "#pipeline/errors";
import { recordOtlp, type StartOptions, startComponent } from "#pipeline/testing";
import receiver from "./otelcol.receiver.otlp.ts";

const clean: (() => unknown)[] = [];
after(async () => {
  for (const each of clean.reverse()) await each();
});

const REQUESTS: Readonly<Record<OtlpKind, Buffer>> = {
  traces: oracleEncode("traces", {
    resourceSpans: [{ resource: {}, scopeSpans: [{ spans: [{ name: "a" }, { name: "b", kind: 2 }] }] }],
  }),
  metrics: oracleEncode("metrics", {
    resourceMetrics: [
      { scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ asInt: 1 }, { asInt: 2 }, {}] } }] }] },
    ],
  }),
  logs: oracleEncode("logs", { resourceLogs: [{ scopeLogs: [{ logRecords: [{ body: { stringValue: "line" } }] }] }] }),
};
const ITEMS: Readonly<Record<OtlpKind, number>> = { traces: 2, metrics: 3, logs: 1 };
const KINDS: readonly OtlpKind[] = ["traces", "metrics", "logs"];
const GRPC_BLOCK = 'grpc { endpoint = "127.0.0.1:0" }';
const HTTP_BLOCK = 'http { endpoint = "127.0.0.1:0" }';
const OUTPUT = "output { traces = [out] metrics = [out] logs = [out] }";

/** Puts each statement on a line of its own, as the language wants it. */
function tidy(config: string): string {
  return config
    .replace(/\{ /g, "{\n")
    .replace(/ \}/g, "\n}")
    .replace(/\} /g, "}\n")
    .replace(/(["\]\w]) (\w+ [={])/g, "$1\n$2");
}

async function start(config: string, options: StartOptions = {}) {
  const sink = recordOtlp();
  const scope = { out: sink.value, ...(options.scope as Record<string, never>) };
  const component = await startComponent(receiver, tidy(config), { ...options, scope });
  clean.push(() => component.stop());
  const address = async (protocol: "grpc" | "http") => {
    for (let i = 0; i < 500; i++) {
      const { listeners } = component.instance.debugInfo!() as { listeners: Record<string, string | null> };
      if (typeof listeners[protocol] === "string") return listeners[protocol];
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`no listener: ${component.problem}`);
  };
  return { component, sink, address };
}

function exportGrpc(
  address: string,
  kind: OtlpKind,
  message: Buffer,
  metadata = new grpcjs.Metadata(),
  credentials = grpcjs.credentials.createInsecure(),
  options: grpcjs.ClientOptions = {},
): Promise<Buffer | grpcjs.ServiceError> {
  const client = new grpcjs.Client(address, credentials, options);
  const bytes = (value: Buffer) => value;
  return new Promise((resolve) => {
    client.makeUnaryRequest(EXPORT_PATHS[kind], bytes, bytes, message, metadata, (error, response) => {
      client.close();
      resolve(error ?? response!);
    });
  });
}

async function post(address: string, path: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
  const answer = await request(`http://${address}${path}`, {
    method: "POST",
    body,
    headers: { "content-type": typeof body === "string" ? "application/json" : "application/x-protobuf", ...headers },
  });
  return { status: answer.statusCode, headers: answer.headers, body: Buffer.from(await answer.body.arrayBuffer()) };
}

test("takes all signals over gRPC and HTTP, in protobuf and JSON, as they are", async () => {
  const { component, sink, address } = await start(`${GRPC_BLOCK} ${HTTP_BLOCK} ${OUTPUT}`);
  for (const kind of KINDS) {
    assert.equal((await exportGrpc(await address("grpc"), kind, REQUESTS[kind])).toString(), "");
    const answer = await post(await address("http"), `/v1/${kind}`, REQUESTS[kind]);
    assert.deepEqual(
      [answer.status, answer.body.length, answer.headers["content-type"]],
      [200, 0, "application/x-protobuf"],
    );
    assert.deepEqual(
      sink.items
        .splice(0)
        .map((batch) => [batch.kind, batch.items, batch.bytes, Buffer.concat(batch.parts).equals(REQUESTS[kind])]),
      Array.from({ length: 2 }, () => [kind, ITEMS[kind], REQUESTS[kind].length, true]),
    );
  }
  const json = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"line"}}]}]}]}';
  const answer = await post(await address("http"), "/v1/logs", json, {
    "content-type": "application/json; charset=utf-8",
  });
  assert.deepEqual([answer.status, answer.body.toString()], [200, '{"partialSuccess":{}}']);
  assert.deepEqual(itemsOf("logs", sink.items[0]!.parts[0]!), itemsOf("logs", REQUESTS.logs));
  const labels = { receiver: "otlp/otelcol.receiver.otlp.test" };
  assert.equal(component.metric("otelcol_receiver_accepted_spans_total", { ...labels, transport: "grpc" }), 2);
  assert.equal(component.metric("otelcol_receiver_accepted_metric_points_total", { ...labels, transport: "http" }), 3);
  assert.equal(component.metric("otelcol_receiver_accepted_log_records_total", { ...labels, transport: "http" }), 2);
  assert.equal(component.metric("rpc_server_duration_milliseconds_count", { rpc_method: "Export" }), 3);
  assert.equal(component.problem, undefined);
  assert.equal(component.flow.status.state, "ok");
});

test("unpacks what clients packed, and no more than the limit", async () => {
  const { sink, address } = await start(
    `http { endpoint = "127.0.0.1:0" max_request_body_size = "10KiB" } ${GRPC_BLOCK} ${OUTPUT}`,
  );
  const http = await address("http");
  const packed: [string, Uint8Array][] = [
    ["gzip", gzipSync(REQUESTS.logs)],
    ["zstd", zstdCompressSync(REQUESTS.logs)],
    ["snappy", compress(REQUESTS.logs)],
  ];
  for (const [encoding, body] of packed) {
    assert.equal((await post(http, "/v1/logs", body, { "content-encoding": encoding })).status, 200, encoding);
    assert.deepEqual(Buffer.from(sink.items.splice(0)[0]!.parts[0]!), REQUESTS.logs);
  }
  const bomb = await post(http, "/v1/logs", gzipSync(Buffer.alloc(1 << 20)), { "content-encoding": "gzip" });
  assert.equal(bomb.status, 413);
  assert.match(decodeStatus(bomb.body).message, /larger than 10240 bytes/);
  assert.equal((await post(http, "/v1/logs", Buffer.alloc(10_241))).status, 413);
  assert.equal((await post(http, "/v1/logs", Buffer.from("x"), { "content-encoding": "gzip" })).status, 400);
  assert.equal((await post(http, "/v1/logs", Buffer.from("x"), { "content-encoding": "br" })).status, 400);
  const gzip = { "grpc.default_compression_algorithm": 2 };
  const response = await exportGrpc(await address("grpc"), "logs", REQUESTS.logs, undefined, undefined, gzip);
  assert.ok(Buffer.isBuffer(response), String(response));
  assert.deepEqual(Buffer.from(sink.items[0]!.parts[0]!), REQUESTS.logs);
});

test("what is no OTLP is refused with what is wrong", async () => {
  const { component, sink, address } = await start(`${GRPC_BLOCK} ${HTTP_BLOCK} output { logs = [out] }`);
  const http = await address("http");
  const broken = Buffer.from([10, 200, 1, 3]);
  const answer = await post(http, "/v1/logs", broken);
  assert.equal(answer.status, 400);
  assert.deepEqual(decodeStatus(answer.body), {
    code: GRPC.INVALID_ARGUMENT,
    message: "the request is no valid OTLP: a length reaches beyond the end of its message at byte 1",
    retryDelayMs: undefined,
  });
  const json = await post(http, "/v1/logs", '{"resourceLogs":7}');
  assert.deepEqual(JSON.parse(json.body.toString()), {
    code: 3,
    message: "the request is no valid OTLP: resourceLogs: expected an array, got 7",
  });
  assert.equal(json.status, 400);
  const overGrpc = (await exportGrpc(await address("grpc"), "logs", broken)) as grpcjs.ServiceError;
  assert.equal(overGrpc.code, GRPC.INVALID_ARGUMENT);
  assert.equal((await post(http, "/v1/logs", REQUESTS.logs, { "content-type": "text/plain" })).status, 415);
  assert.equal((await request(`http://${http}/v1/logs`)).statusCode, 405);
  assert.equal((await post(http, "/v1/profiles", REQUESTS.logs)).status, 404);
  // Nobody takes traces here.
  assert.equal((await post(http, "/v1/traces", REQUESTS.traces)).status, 404);
  const traces = (await exportGrpc(await address("grpc"), "traces", REQUESTS.traces)) as grpcjs.ServiceError;
  assert.equal(traces.code, GRPC.UNIMPLEMENTED);
  // An empty request is fine and goes nowhere.
  assert.equal((await post(http, "/v1/logs", Buffer.alloc(0))).status, 200);
  assert.equal(sink.items.length, 0);
  assert.equal(component.failures.length, 0);
});

test("answers only when every consumer has accepted; a full pipeline sends clients away with a delay", async () => {
  const { component, sink, address } = await start(`${GRPC_BLOCK} ${HTTP_BLOCK} ${OUTPUT}`);
  const gate = Promise.withResolvers<void>();
  sink.gate = () => gate.promise;
  let answered = false;
  const pending = post(await address("http"), "/v1/logs", REQUESTS.logs).finally(() => {
    answered = true;
  });
  assert.equal((await post(await address("http"), "/v1/none", "{}")).status, 404); // a round trip meanwhile
  assert.equal(answered, false);
  gate.resolve();
  assert.equal((await pending).status, 200);

  sink.gate = () => {
    throw new RetryableError("the queue is full", { retryAfterMs: 20 });
  };
  const [http, grpc] = await Promise.all([
    post(await address("http"), "/v1/logs", REQUESTS.logs),
    exportGrpc(await address("grpc"), "logs", REQUESTS.logs) as Promise<grpcjs.ServiceError>,
  ]);
  assert.deepEqual([http.status, http.headers["retry-after"]], [503, "1"]);
  assert.equal(decodeStatus(http.body).code, GRPC.UNAVAILABLE);
  assert.equal(grpc.code, GRPC.UNAVAILABLE);
  assert.equal(decodeStatus(grpc.metadata.get("grpc-status-details-bin")[0] as Buffer).retryDelayMs, 1_000);
  assert.equal(component.metric("otelcol_receiver_refused_log_records_total"), 2);
  sink.gate = () => {
    throw new PermanentError("too_old", "no use");
  };
  const partial = await post(await address("http"), "/v1/logs", REQUESTS.logs);
  assert.equal(partial.status, 200);
  const said = { rejected: 1, message: "test.otlp refused 1 items: no use" };
  assert.deepEqual(decodeExportResponse(partial.body), said);
  const json = '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}';
  assert.deepEqual(JSON.parse((await post(await address("http"), "/v1/logs", json)).body.toString()), {
    partialSuccess: { rejectedLogRecords: "1", errorMessage: said.message },
  });
  const rpc = (await exportGrpc(await address("grpc"), "logs", REQUESTS.logs)) as Buffer;
  assert.deepEqual(decodeExportResponse(rpc), said);
  assert.equal(component.flow.dropped.get("otlp")?.get("too_old"), 3);
});

test("a component that wants no data to wait sends clients away at once, and nothing is counted as lost", async () => {
  const { component, sink, address } = await start(`${GRPC_BLOCK} ${HTTP_BLOCK} ${OUTPUT}`);
  const refusal = new RetryableError("memory is short", { retryAfterMs: 2_500 });
  sink.gate = (batch) => {
    batch.waiting!.sendAway(refusal);
    throw refusal;
  };
  const began = performance.now();
  const http = await post(await address("http"), "/v1/logs", REQUESTS.logs);
  const grpc = (await exportGrpc(await address("grpc"), "logs", REQUESTS.logs)) as grpcjs.ServiceError;
  assert.ok(performance.now() - began < 10_000, "neither of the two had the patience of a full pipeline");
  assert.deepEqual([http.status, http.headers["retry-after"]], [503, "3"]);
  assert.deepEqual([grpc.code, grpc.details], [GRPC.UNAVAILABLE, "memory is short"]);
  assert.equal(decodeStatus(grpc.metadata.get("grpc-status-details-bin")[0] as Buffer).retryDelayMs, 2_500);
  assert.equal(component.metric("otelcol_receiver_refused_log_records_total"), 2);
  assert.equal(component.flow.droppedItems, 0);
  assert.match(component.flow.status.cause, /takes nothing: memory is short/);
  sink.gate = () => {};
  assert.equal((await post(await address("http"), "/v1/logs", REQUESTS.logs)).status, 200);
  assert.equal(sink.items.length, 1);
});

test("keeps client metadata when told to", async () => {
  const { sink, address } = await start(
    `grpc { endpoint = "127.0.0.1:0" include_metadata = true } http { endpoint = "127.0.0.1:0" include_metadata = true } ${OUTPUT}`,
  );
  const metadata = new grpcjs.Metadata();
  metadata.set("X-Scope-OrgID", "7");
  await exportGrpc(await address("grpc"), "logs", REQUESTS.logs, metadata);
  await post(await address("http"), "/v1/logs", REQUESTS.logs, { "X-Scope-OrgID": "8" });
  assert.deepEqual(
    sink.items.map((batch) => batch.clientMetadata?.get("x-scope-orgid")),
    [["7"], ["8"]],
  );
});

test("asks an auth handler before it reads a body", async () => {
  const handler: AuthHandler = {
    componentId: "otelcol.auth.test.t",
    client: undefined,
    server: (headers) => {
      if (headers.get("authorization") !== "secret") throw new AuthenticationError("who are you?");
      return new Map([["username", "blue"]]);
    },
  };
  const scope = { auth: new Capsule("otelcol.Handler", handler) };
  const { sink, address } = await start(
    `grpc { endpoint = "127.0.0.1:0" auth = auth } http { endpoint = "127.0.0.1:0" auth = auth } ${OUTPUT}`,
    { scope },
  );
  const http = await post(await address("http"), "/v1/logs", REQUESTS.logs);
  assert.deepEqual([http.status, decodeStatus(http.body).message], [401, "who are you?"]);
  const grpc = (await exportGrpc(await address("grpc"), "logs", REQUESTS.logs)) as grpcjs.ServiceError;
  assert.deepEqual([grpc.code, grpc.details], [GRPC.UNAUTHENTICATED, "who are you?"]);
  const metadata = new grpcjs.Metadata();
  metadata.set("authorization", "secret");
  assert.ok(Buffer.isBuffer(await exportGrpc(await address("grpc"), "logs", REQUESTS.logs, metadata)));
  assert.equal((await post(await address("http"), "/v1/logs", REQUESTS.logs, { authorization: "secret" })).status, 200);
  assert.deepEqual(
    sink.items.map((batch) => batch.clientAttributes?.get("username")),
    ["blue", "blue"],
  );
  const clientOnly = { auth: new Capsule("otelcol.Handler", { ...handler, server: undefined, client: () => {} }) };
  await assert.rejects(
    start(`http { auth = auth } ${OUTPUT}`, { scope: clientOnly }),
    /does not support server authentication/,
  );
});

test("lets pages of allowed origins send", async () => {
  const { address } = await start(`
    http {
      endpoint = "127.0.0.1:0"
      cors { allowed_origins = ["https://*.example.com"] allowed_headers = ["X-Tenant"] max_age = 60 }
    }
    ${OUTPUT}`);
  const url = `http://${await address("http")}/v1/traces`;
  const ask = (origin: string, headers: string) =>
    request(url, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": headers },
    });
  const good = await ask("https://a.example.com", "content-type, x-tenant");
  assert.equal(good.statusCode, 204);
  assert.equal(good.headers["access-control-allow-origin"], "https://a.example.com");
  assert.equal(good.headers["access-control-allow-headers"], "content-type, x-tenant");
  assert.equal(good.headers["access-control-max-age"], "60");
  assert.equal((await ask("https://example.org", "content-type")).headers["access-control-allow-origin"], undefined);
  assert.equal((await ask("https://a.example.com", "x-other")).headers["access-control-allow-origin"], undefined);
  const sent = await post(await address("http"), "/v1/traces", REQUESTS.traces, { origin: "https://b.example.com" });
  assert.deepEqual([sent.status, sent.headers["access-control-allow-origin"]], [200, "https://b.example.com"]);
});

test("a port in use is an unhealthy component that says so and recovers", async () => {
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(0, "127.0.0.1", resolve));
  clean.push(() => squatter.close());
  const { port } = squatter.address() as { port: number };
  const retries: (() => void)[] = [];
  const clock = {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        if (ms === 5_000) retries.push(resolve);
        signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
  };
  const { component, address } = await start(`http { endpoint = "127.0.0.1:${port}" } ${OUTPUT}`, { clock });
  while (retries.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const problem = `http: cannot listen on 127.0.0.1:${port}: another program listens there; stop it or change \`endpoint\``;
  assert.match(component.problem!, new RegExp(`^${problem.replace(/[.*?()]/g, "\\$&")}`));
  assert.equal(component.flow.status.state, "failing");
  await new Promise((resolve) => squatter.close(resolve));
  retries[0]!();
  assert.equal(await address("http"), `127.0.0.1:${port}`);
  assert.equal(component.problem, undefined);
});

test("TLS, with client certificates, over both protocols", async () => {
  const dir = mkdtempSync(join(tmpdir(), "otlp-tls-"));
  clean.push(() => rmSync(dir, { recursive: true }));
  const made = spawnSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=localhost",
      "-addext",
      "subjectAltName=DNS:localhost,IP:127.0.0.1",
      "-keyout",
      "key.pem",
      "-out",
      "cert.pem",
    ],
    { cwd: dir },
  );
  assert.equal(made.status, 0, String(made.stderr));
  const cert = readFileSync(join(dir, "cert.pem"));
  const key = readFileSync(join(dir, "key.pem"));
  const tls = `tls { cert_file = "${dir}/cert.pem" key_file = "${dir}/key.pem" client_ca_file = "${dir}/cert.pem" min_version = "1.3" }`;
  const { sink, address } = await start(
    `grpc { endpoint = "127.0.0.1:0" ${tls} } http { endpoint = "127.0.0.1:0" ${tls} } ${OUTPUT}`,
  );
  // grpc-js takes no certificate for an address, only for a name.
  const named = (await address("grpc")).replace("127.0.0.1", "localhost");
  const good = grpcjs.credentials.createSsl(cert, key, cert);
  assert.equal(String(await exportGrpc(named, "logs", REQUESTS.logs, undefined, good)), "");
  const anonymous = grpcjs.credentials.createSsl(cert);
  assert.ok(!Buffer.isBuffer(await exportGrpc(named, "logs", REQUESTS.logs, undefined, anonymous)));
  const url = `https://${await address("http")}/v1/logs`;
  const headers = { "content-type": "application/x-protobuf" };
  for (const allowH2 of [true, false]) {
    const dispatcher = new Agent({ allowH2, connect: { ca: cert, cert, key } });
    const answer = await request(url, { dispatcher, method: "POST", body: REQUESTS.logs, headers });
    assert.equal(answer.statusCode, 200);
    await answer.body.dump();
    await dispatcher.close();
  }
  const stranger = new Agent({ connect: { ca: cert } });
  await assert.rejects(request(url, { dispatcher: stranger, method: "POST", body: REQUESTS.logs, headers }));
  await stranger.destroy();
  assert.equal(sink.items.length, 3);
});

test("changed outputs leave the listeners alone, changed listeners are replaced", async () => {
  const { component, sink, address } = await start(`${HTTP_BLOCK} ${OUTPUT}`);
  const before = await address("http");
  await component.update(tidy(`${HTTP_BLOCK} output { logs = [out] }`));
  assert.equal(await address("http"), before);
  assert.equal((await post(before, "/v1/traces", REQUESTS.traces)).status, 404);
  assert.equal((await post(before, "/v1/logs", REQUESTS.logs)).status, 200);
  await component.update(tidy(`http { endpoint = "127.0.0.1:0" logs_url_path = "logs" } ${OUTPUT}`));
  let after = before;
  for (let i = 0; i < 500 && after === before; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    after = await address("http");
  }
  assert.equal((await post(after, "/logs", REQUESTS.logs)).status, 200);
  await assert.rejects(post(before, "/v1/logs", REQUESTS.logs));
  assert.equal(sink.items.length, 2);
});

test("a component that was never activated stops cleanly", async () => {
  const { component } = await start(`${GRPC_BLOCK} ${HTTP_BLOCK} ${OUTPUT}`, { inactive: true });
  await component.stop();
});

test("without a listener it says that nothing listens", async () => {
  await using component = await startComponent(receiver, "output { }");
  assert.deepEqual(
    { state: component.flow.status.state, cause: component.flow.status.cause.slice(0, 28) },
    { state: "idle", cause: "neither a `grpc` nor an `htt" },
  );
});

test("clients that are sent away are in the status, with the reason", async () => {
  const { component, address } = await start(`${GRPC_BLOCK} ${HTTP_BLOCK} output { traces = [out] }`);
  const [grpc, http] = [await address("grpc"), await address("http")];
  const judged = () => (component.flow.judge(), component.flow.status.cause);
  await request(`http://${http}/`).then(({ body }) => body.dump());
  assert.doesNotMatch(judged(), /refused/);
  await post(http, "/v1/logs", REQUESTS.logs, { "content-type": "application/x-protobuf" });
  assert.match(judged(), /^clients were refused 1 requests as 404 .*no component takes logs here: see `output`$/);
  assert.equal(component.flow.status.state, "failing");
  for (let i = 0; i < 2; i++) await post(http, "/v1/traces", "{", { "content-type": "application/json" });
  assert.match(judged(), /2 requests as 400.*1 .*404.*no valid OTLP/);
  for (let i = 0; i < 3; i++) await exportGrpc(grpc, "metrics", REQUESTS.metrics);
  assert.match(judged(), /UNIMPLEMENTED.*no component takes calls of .*MetricsService/);
  await post(http, "/v1/traces", REQUESTS.traces, { "content-type": "application/x-protobuf" });
  judged();
  assert.equal(component.flow.status.state, "degraded");
});
