import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import * as http2 from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as grpcjs from "@grpc/grpc-js";
import fc from "fast-check";
import { systemClock } from "#base/clock";
import { encodeStatus, GRPC, GrpcError } from "#formats/grpc";
import { GrpcClient, type GrpcClientOptions } from "./client.ts";
import { parseGrpcEndpoint } from "./target.ts";

const PATH = "/test.Service/Call";
const clean: (() => unknown)[] = [];
after(async () => {
  for (const each of clean.reverse()) await each();
});

type Handler = (message: Buffer, metadata: grpcjs.Metadata) => Buffer | Partial<grpcjs.StatusObject> | "never";

/** A grpc-js server as the peer. */
async function peer(handler: Handler, credentials = grpcjs.ServerCredentials.createInsecure(), port = 0) {
  const server = new grpcjs.Server();
  const bytes = (value: Buffer) => value;
  const method = { path: PATH, requestStream: false, responseStream: false } as const;
  const codec = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  const call: grpcjs.handleUnaryCall<Buffer, Buffer> = (under, reply) => {
    const result = handler(under.request, under.metadata);
    if (result === "never") return;
    if (Buffer.isBuffer(result)) reply(null, result);
    else reply(result as grpcjs.ServiceError);
  };
  server.addService({ Call: { ...method, ...codec } }, { Call: call });
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error, at) => (error === null ? resolve(at) : reject(error))),
  );
  clean.push(() => server.forceShutdown());
  return { port: bound, stop: () => server.forceShutdown() };
}

function client(endpoint: string, more: Partial<GrpcClientOptions> = {}): GrpcClient {
  const { target, authority } = parseGrpcEndpoint(endpoint);
  const made = new GrpcClient({
    target,
    authority,
    tls: undefined,
    pingWaitMs: 0,
    pingTimeoutMs: 0,
    pingWithoutStream: false,
    clock: systemClock,
    balancer: "round_robin",
    compression: "none",
    waitForReady: false,
    userAgent: "test",
    ...more,
  });
  clean.push(() => made.close());
  return made;
}

const signal = new AbortController().signal;
const options = { timeoutMs: 5_000, headers: new Map<string, string>(), signal };

test("parts become one message; headers and every compression reach grpc-js", async () => {
  let seen: grpcjs.Metadata | undefined;
  const { port } = await peer((message, metadata) => {
    seen = metadata;
    return message;
  });
  const parts = [Buffer.alloc(100_000, "a"), Buffer.alloc(0), Buffer.alloc(50_000, "b")];
  for (const compression of ["none", "gzip"] as const) {
    const headers = new Map([["x-scope-orgid", "7"]]);
    const response = await client(`127.0.0.1:${port}`, { compression }).call(PATH, parts, { ...options, headers });
    assert.deepEqual(Buffer.from(response), Buffer.concat(parts));
    assert.deepEqual(seen!.get("x-scope-orgid"), ["7"]);
    assert.match(String(seen!.get("user-agent")), /^test/);
  }
});

test("statuses come back with code, message and RetryInfo", async () => {
  const { port } = await peer(() => {
    const metadata = new grpcjs.Metadata();
    const status = { code: GRPC.RESOURCE_EXHAUSTED, message: "später", retryDelayMs: 2_500 };
    metadata.set("grpc-status-details-bin", Buffer.from(encodeStatus(status)));
    return { code: GRPC.RESOURCE_EXHAUSTED, details: "später", metadata };
  });
  await assert.rejects(client(`127.0.0.1:${port}`).call(PATH, [Buffer.from("x")], options), {
    name: "GrpcError",
    code: GRPC.RESOURCE_EXHAUSTED,
    message: "RESOURCE_EXHAUSTED: später",
    retryDelayMs: 2_500,
  });
});

test("deadlines and cancellation end a call", async () => {
  const { port } = await peer(() => "never");
  const calling = client(`127.0.0.1:${port}`);
  await assert.rejects(calling.call(PATH, [], { ...options, timeoutMs: 60 }), { code: GRPC.DEADLINE_EXCEEDED });
  const controller = new AbortController();
  const pending = calling.call(PATH, [], { ...options, signal: controller.signal });
  setTimeout(() => controller.abort(new Error("stopped")), 30);
  await assert.rejects(pending, { message: "stopped" });
});

test("a server that is away is UNAVAILABLE with its address; it is found again when it is back", async () => {
  const first = await peer((message) => message);
  const calling = client(`127.0.0.1:${first.port}`);
  assert.equal(Buffer.from(await calling.call(PATH, [Buffer.from("1")], options)).toString(), "1");
  first.stop();
  await assert.rejects(calling.call(PATH, [Buffer.from("2")], options), { code: GRPC.UNAVAILABLE });
  await assert.rejects(calling.call(PATH, [Buffer.from("2")], options), {
    code: GRPC.UNAVAILABLE,
    message: new RegExp(`^cannot connect to 127.0.0.1:${first.port}: `),
  });
  await peer((message) => message, undefined, first.port);
  const waiting = client(`127.0.0.1:${first.port}`, { waitForReady: true });
  assert.equal(Buffer.from(await waiting.call(PATH, [Buffer.from("3")], options)).toString(), "3");
});

test("wait_for_ready waits for a server that comes later", async () => {
  const { port, stop } = await peer((message) => message);
  stop();
  const pending = client(`127.0.0.1:${port}`, { waitForReady: true }).call(PATH, [Buffer.from("x")], options);
  setTimeout(() => void peer((message) => message, undefined, port), 100);
  assert.equal(Buffer.from(await pending).toString(), "x");
});

test("a server that speaks no gRPC is told by its HTTP status, one that breaks off is UNAVAILABLE", async () => {
  const server = http2.createServer();
  let status = 503;
  server.on("stream", (each) => {
    const stream = each as http2.ServerHttp2Stream;
    stream.on("error", () => {});
    if (status === 0) stream.session!.destroy();
    else if (status === 200) {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      stream.end(Buffer.from([0, 0, 0, 0, 9, 1]));
    } else stream.respond({ ":status": status }, { endStream: true });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  clean.push(() => server.close());
  const calling = client(`127.0.0.1:${(server.address() as { port: number }).port}`);
  const cases: [number, number][] = [
    [503, GRPC.UNAVAILABLE],
    [401, GRPC.UNAUTHENTICATED],
    [404, GRPC.UNIMPLEMENTED],
    [0, GRPC.UNAVAILABLE],
    [200, GRPC.INTERNAL],
  ];
  for (const [answer, code] of cases) {
    status = answer;
    await assert.rejects(calling.call(PATH, [Buffer.from("x")], options), (error: unknown) => {
      assert.ok(error instanceof GrpcError, String(error));
      assert.equal(error.code, code, `${answer}: ${error.message}`);
      return true;
    });
  }
});

test("TLS with client certificates", async () => {
  const dir = mkdtempSync(join(tmpdir(), "grpc-client-"));
  clean.push(() => rmSync(dir, { recursive: true }));
  const made = spawnSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
      ...[
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
      ],
    ],
    { cwd: dir },
  );
  assert.equal(made.status, 0, String(made.stderr));
  const { readFileSync } = await import("node:fs");
  const cert = readFileSync(join(dir, "cert.pem"));
  const key = readFileSync(join(dir, "key.pem"));
  const secure = grpcjs.ServerCredentials.createSsl(cert, [{ cert_chain: cert, private_key: key }], true);
  const { port } = await peer((message) => message, secure);
  const good = client(`localhost:${port}`, { tls: { ca: cert, cert, key } });
  assert.equal(Buffer.from(await good.call(PATH, [Buffer.from("s")], options)).toString(), "s");
  const named = client(`127.0.0.1:${port}`, { tls: { ca: cert, cert, key, servername: "localhost" } });
  assert.equal(Buffer.from(await named.call(PATH, [Buffer.from("n")], options)).toString(), "n");
  const wrongName = client(`127.0.0.1:${port}`, { tls: { ca: cert, cert, key } });
  await assert.rejects(wrongName.call(PATH, [Buffer.from("s")], options), {
    code: GRPC.UNAVAILABLE,
    message: /is for other names: 127\.0\.0\.1 is not among \[localhost\]/,
  });
  const anonymous = client(`localhost:${port}`, { tls: { ca: cert } });
  await assert.rejects(anonymous.call(PATH, [Buffer.from("s")], options), { code: GRPC.UNAVAILABLE });
  const untrusting = client(`localhost:${port}`, { tls: { cert, key } });
  await assert.rejects(untrusting.call(PATH, [Buffer.from("s")], options), { message: /self-signed/ });
});

test("endpoints are read as grpc-go reads them", () => {
  const host = (text: string) => {
    const { target, https, authority } = parseGrpcEndpoint(text);
    return target.kind === "host" ? [target.host, target.port, target.resolve, https, authority] : target.path;
  };
  assert.deepEqual(host("a:1"), ["a", 1, true, false, "a:1"]);
  assert.deepEqual(host("https://a:1"), ["a", 1, true, true, "a:1"]);
  assert.deepEqual(host("dns:///a.b:4317"), ["a.b", 4317, true, false, "a.b:4317"]);
  assert.deepEqual(host("passthrough:///a:1"), ["a", 1, false, false, "a:1"]);
  assert.deepEqual(host("[::1]:4317"), ["::1", 4317, true, false, "[::1]:4317"]);
  assert.equal(host("unix:///run/x.sock"), "/run/x.sock");
  assert.deepEqual(host("telemetry.googleapis.com"), [
    "telemetry.googleapis.com",
    443,
    true,
    false,
    "telemetry.googleapis.com",
  ]);
  assert.throws(() => host("a:http"), /"a:http" is no address; write it as host:port/);
  assert.throws(() => host("https://a:443/tempo"), /has a path, which gRPC does not know; write it as host:port/);
  assert.throws(() => host("xds:///a:1"), /scheme xds is not supported/);
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseGrpcEndpoint(text);
      } catch (error) {
        assert.match((error as Error).message, /^endpoint /);
      }
    }),
  );
});
