import assert from "node:assert/strict";
import { after, test } from "node:test";
import * as grpcjs from "@grpc/grpc-js";
import { encodeStatus, GRPC } from "#formats/grpc";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import { EXPORT_PATHS } from "#kits/otelcol/intake";
import { Capsule } from "#lang/value";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { type StartOptions, startComponent } from "#pipeline/testing";
import exporter from "./otelcol.exporter.otlp.ts";

const clean: (() => unknown)[] = [];
after(async () => {
  for (const each of clean.reverse()) await each();
});
const signal = new AbortController().signal;
const SPANS = oracleEncode("traces", { resourceSpans: [{ scopeSpans: [{ spans: [{ name: "a" }, { name: "b" }] }] }] });

type Answer = Buffer | Partial<grpcjs.StatusObject>;

/** A collector made of grpc-js. */
async function collector(answer: (call: number, metadata: grpcjs.Metadata) => Answer) {
  const server = new grpcjs.Server();
  const received: Buffer[] = [];
  const bytes = (value: Buffer) => value;
  const codec = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  const method = { path: EXPORT_PATHS.traces, requestStream: false, responseStream: false, ...codec } as const;
  const handle: grpcjs.handleUnaryCall<Buffer, Buffer> = (call, reply) => {
    received.push(call.request);
    const result = answer(received.length, call.metadata);
    if (Buffer.isBuffer(result)) reply(null, result);
    else reply(result as grpcjs.ServiceError);
  };
  server.addService({ Export: method }, { Export: handle });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpcjs.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  clean.push(() => server.forceShutdown());
  return { endpoint: `127.0.0.1:${port}`, received };
}

async function start(endpoint: string, client = "", rest = "", options: StartOptions = {}) {
  const text = `client {\nendpoint = "${endpoint}"\ntls {\ninsecure = true\n}\n${client}\n}\n${rest}`;
  const component = await startComponent(exporter, text, options);
  clean.push(() => component.stop(100));
  return component;
}

/** Sends two spans; resolves once they are acknowledged. */
function send(component: Awaited<ReturnType<typeof start>>): Promise<void> {
  return new Promise((resolve) => {
    const acknowledgement = new Acknowledgement(resolve);
    const base = { signal: "otlp", kind: "traces", items: 2, bytes: SPANS.length, clientMetadata: undefined } as const;
    const batch: OtlpBatch = { ...base, parts: [SPANS], acknowledgement };
    void component.exports.input.consume(batch, signal);
  });
}

test("delivers byte for byte, packed or not, with headers and credentials", async () => {
  let seen: grpcjs.Metadata | undefined;
  const { endpoint, received } = await collector((_call, metadata) => {
    seen = metadata;
    return Buffer.alloc(0);
  });
  const handler = {
    componentId: "otelcol.auth.test.t",
    server: undefined,
    client: ({ headers }: { headers: Map<string, string> }) => void headers.set("authorization", "Bearer t"),
  };
  const scope = { auth: new Capsule("otelcol.Handler", handler) };
  for (const compression of ["none", "gzip"]) {
    const client = `compression = "${compression}"\nheaders = { "X-Tenant" = "7" }\nauth = auth`;
    const component = await start(endpoint, client, "", { scope });
    await send(component);
    assert.deepEqual(received.splice(0), [SPANS]);
    assert.deepEqual([seen!.get("x-tenant"), seen!.get("authorization")], [["7"], ["Bearer t"]]);
    const labels = { exporter: "otlp_grpc/otelcol.exporter.otlp.test" };
    assert.equal(component.metric("otelcol_exporter_sent_spans_total", labels), 2);
    assert.equal(component.metric("rpc_client_duration_milliseconds_count", { rpc_grpc_status_code: "0" }), 1);
    assert.equal(component.flow.status.state, "ok");
  }
});

test("repeats UNAVAILABLE and RESOURCE_EXHAUSTED with RetryInfo", async () => {
  const { endpoint, received } = await collector((call) => {
    if (call === 1) return { code: GRPC.UNAVAILABLE, details: "come later" };
    if (call > 2) return Buffer.alloc(0);
    const metadata = new grpcjs.Metadata();
    const status = { code: GRPC.RESOURCE_EXHAUSTED, message: "", retryDelayMs: 20 };
    metadata.set("grpc-status-details-bin", Buffer.from(encodeStatus(status)));
    return { code: GRPC.RESOURCE_EXHAUSTED, details: "slow down", metadata };
  });
  const component = await start(endpoint, "", 'retry_on_failure {\ninitial_interval = "10ms"\n}');
  await send(component);
  assert.deepEqual(received, [SPANS, SPANS, SPANS]);
  assert.equal(component.flow.dropped.size, 0);
  assert.equal(component.metric("otelcol_exporter_sent_spans_total"), 2);
});

test("drops with a counted reason what will never pass", async () => {
  const codes = [GRPC.INVALID_ARGUMENT, GRPC.RESOURCE_EXHAUSTED, GRPC.UNIMPLEMENTED];
  const { endpoint, received } = await collector((call) => ({ code: codes[call - 1]!, details: "no" }));
  const component = await start(endpoint);
  for (const _ of codes) await send(component);
  assert.equal(received.length, 3);
  const reasons = { grpc_invalid_argument: 2, grpc_resource_exhausted: 2, grpc_unimplemented: 2 };
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("otlp")!), reasons);
  assert.equal(component.metric("otelcol_exporter_send_failed_spans_total"), 6);
  assert.equal(component.flow.status.state, "degraded");
});

test("a backend that is away is a failing flow with its address and cause", async () => {
  const component = await start("127.0.0.1:1", "", 'retry_on_failure {\nmax_elapsed_time = "10ms"\n}');
  await send(component);
  assert.equal(component.flow.dropped.get("otlp")!.get("retries_exhausted"), 2);
  assert.equal(component.flow.status.state, "failing");
  assert.match(component.flow.status.cause, /cannot connect to 127.0.0.1:1: 127.0.0.1:1 refuses connections/);
});

test("what the arguments make wrong is said at the start", async () => {
  await assert.rejects(start("nowhere:x"), /`endpoint` "nowhere:x" is no address; write it as host:port/);
  await assert.rejects(start(""), /`endpoint` must not be empty; write it as host:port/);
  await assert.rejects(start("a:1", 'headers = { "X Key" = "secret" }'), (error: Error) => {
    assert.match(error.message, /name "X Key", which no header can have/);
    return !error.message.includes("secret");
  });
  await assert.rejects(start("a:1", 'compression = "zlib"'), /cannot be zlib or deflate in gRPC/);
  await assert.rejects(start("a:1", 'balancer_name = "magic"'), /`balancer_name` cannot be "magic"/);
  await assert.rejects(start("a:1", "", "sending_queue {\nqueue_size = 0\n}"), /greater than zero/);
  await assert.rejects(start("a:1", "", "retry_on_failure {\nmultiplier = 1.0\n}"), /greater than 1.0/);
});

test("an endpoint with a password is refused without showing it", async () => {
  await assert.rejects(start("user:secret@127.0.0.1:4317"), (error: Error) => {
    assert.match(error.message, /has a user before the @/);
    assert.doesNotMatch(error.message, /secret/);
    return true;
  });
});

test("refused credentials hold the data until they are changed, and say what to set", async () => {
  const { endpoint, received } = await collector((_call, metadata) =>
    metadata.get("authorization")[0] === "Bearer right"
      ? Buffer.alloc(0)
      : { code: GRPC.UNAUTHENTICATED, details: "no" },
  );
  const component = await start(endpoint);
  const delivered = send(component);
  for (let i = 0; component.flow.status.rule !== "unauthorized"; i++) {
    assert.ok(i < 1_000, component.flow.status.cause);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(component.flow.status.state, "failing");
  assert.match(
    component.flow.status.cause,
    /Unauthenticated: no \(it wants credentials and none are configured: set `auth`/i,
  );
  const tls = "tls {\ninsecure = true\n}";
  await component.update(
    `client {\nendpoint = "${endpoint}"\n${tls}\nheaders = { "Authorization" = "Bearer right" }\n}`,
  );
  await delivered;
  assert.deepEqual([component.flow.dropped.size, received.length], [0, 2]);
});
