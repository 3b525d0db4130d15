import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { cleanUp } from "#base/clean-up.testing";
import { OtlpIndex } from "#formats/otlp/otlp";
import { startAgent } from "../kit/agent.ts";
import { freePort, WAIT_MS } from "../kit/process.ts";
import { Sink, type SinkAnswer } from "../kit/sink.ts";
import { traceRequest } from "../kit/spans.ts";

/** Spans flow from a client through a receiver to a backend, until the backend refuses them, is gone, or is too slow. */

const RECEIVER = "otelcol.receiver.otlp.in";
const EXPORTER = "otelcol.exporter.otlphttp.out";
const SPANS = 3;
const RETRY = `retry_on_failure {
    initial_interval = "100ms"
    max_interval     = "300ms"
  }`;

interface Client {
  readonly status: number;
  readonly retryAfter: string | null;
}

async function prepare(t: TestContext, exporter = RETRY) {
  const port = await freePort();
  let spans = 0;
  const index = new OtlpIndex();
  const onBody = (_path: string, body: Uint8Array) => {
    index.read("traces", body);
    spans += index.items;
    index.clear();
  };
  const sink = await Sink.start(onBody);
  cleanUp(t, () => sink.stop());
  const config = (client = "", rest = exporter) => `otelcol.receiver.otlp "in" {
  http {
    endpoint = "127.0.0.1:${port}"
  }
  output {
    traces = [otelcol.exporter.otlphttp.out.input]
  }
}
otelcol.auth.bearer "b" {
  token = "right"
}
otelcol.exporter.otlphttp "out" {
  client {
    endpoint = "${sink.url}"
    ${client}
  }
  ${rest}
}
`;
  const agent = await startAgent(t, config());
  let sent = 0;
  /** What a client sees that sends a few spans. */
  const send = async (): Promise<Client> => {
    const response = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
      method: "POST",
      headers: { "content-type": "application/x-protobuf" },
      body: traceRequest(SPANS) as Uint8Array<ArrayBuffer>,
      signal: AbortSignal.timeout(WAIT_MS),
    });
    await response.arrayBuffer();
    if (response.status === 200) sent += SPANS;
    return { status: response.status, retryAfter: response.headers.get("retry-after") };
  };
  await agent.until(async () => (await send()).status === 200, "the receiver takes spans");
  await agent.until(() => spans === sent, "they arrive");
  return {
    agent,
    sink,
    send,
    config,
    onBody,
    sent: () => sent,
    received: () => spans,
    answer: (answer: SinkAnswer) => {
      sink.answer = () => answer;
    },
  };
}

/** A backend for spans over gRPC, made of grpc-js, that refuses whoever does not show `token`. */
async function grpcBackend(t: TestContext, token: string) {
  const server = new grpc.Server();
  const bytes = (value: Buffer) => value;
  const method: grpc.MethodDefinition<Buffer, Buffer> = {
    path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  let requests = 0;
  const answer: grpc.handleUnaryCall<Buffer, Buffer> = (call, reply) => {
    if (call.metadata.get("authorization")[0] !== `Bearer ${token}`) {
      reply({ code: grpc.status.UNAUTHENTICATED, details: "no valid token" });
      return;
    }
    requests += 1;
    reply(null, Buffer.alloc(0));
  };
  server.addService({ Export: method }, { Export: answer });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  cleanUp(t, () => server.forceShutdown());
  return { port, requests: () => requests };
}

suite("failures of delivering OTLP", { concurrency: true }, () => {
  test("refused credentials: failing with what to set; what waits is delivered once a reload mends it", async (t) => {
    const { agent, answer, sink, send, config, sent, received } = await prepare(t);
    answer({ status: 401, body: "unauthorized" });
    for (let i = 0; i < 5; i++) assert.equal((await send()).status, 200, "the queue takes it");
    const flow = await agent.untilRule(EXPORTER, "unauthorized", "failing");
    assert.match(
      flow.cause,
      /answered with HTTP status 401: unauthorized \(it wants credentials and none are configured: set `auth` to the handler of an otelcol\.auth component\)$/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=otelcol\.exporter\.otlphttp\.out cause="cannot send/,
    );
    assert.equal(await agent.ruleMetric(EXPORTER, "unauthorized"), 1);
    assert.equal((await agent.component(RECEIVER)).flow.state, "ok");
    assert.ok((await agent.component(EXPORTER)).flow.queue!.bytes > 0);
    sink.answer = () => ({ status: 204 });
    assert.equal((await agent.reload(config("auth = otelcol.auth.bearer.b.handler"))).status, 200);
    await agent.until(() => received() >= sent(), "what waited is delivered, without the long pause");
    await agent.untilRule(EXPORTER, "", "ok");
    assert.deepEqual((await agent.component(EXPORTER)).flow.dropped, []);
    await agent.untilLogged(/msg="data flow recovered" .*component_id=otelcol\.exporter\.otlphttp\.out .*dropped=0/);
    assert.equal(await agent.stop(), 0);
  });

  test("credentials refused over gRPC: failing with what to set; what waits is delivered once a reload mends it", async (t) => {
    const { agent, config, send } = await prepare(t);
    const backend = await grpcBackend(t, "right");
    const exporter = "otelcol.exporter.otlp.out";
    const overGrpc = (client: string) =>
      config(`tls {\n      insecure = true\n    }\n    ${client}`)
        .replaceAll("otelcol.exporter.otlphttp", "otelcol.exporter.otlp")
        .replace(/endpoint = "http:[^"]*"/, `endpoint = "127.0.0.1:${backend.port}"`);
    assert.equal((await agent.reload(overGrpc(""))).status, 200);
    for (let i = 0; i < 5; i++) assert.equal((await send()).status, 200, "the queue takes it");
    const flow = await agent.untilRule(exporter, "unauthorized", "failing");
    assert.match(
      flow.cause,
      /UNAUTHENTICATED.*no valid token.*set `auth` to the handler of an otelcol\.auth component/,
    );
    await agent.untilLogged(
      /level=warn msg="data flow failing" .*component_id=otelcol\.exporter\.otlp\.out cause="cannot send/,
    );
    assert.equal(await agent.ruleMetric(exporter, "unauthorized"), 1);
    assert.equal((await agent.reload(overGrpc("auth = otelcol.auth.bearer.b.handler"))).status, 200);
    await agent.until(() => backend.requests() === 5, "what waited is delivered");
    await agent.untilRule(exporter, "", "ok");
    assert.deepEqual((await agent.component(exporter)).flow.dropped, []);
    assert.equal(await agent.stop(), 0);
  });

  test("a clock that is two hours ahead of the backend's is told, though all is taken", async (t) => {
    const { agent, sink, send, sent, received } = await prepare(t);
    sink.answer = () => ({ status: 204, headers: { date: new Date(Date.now() - 2 * 3_600_000).toUTCString() } });
    for (let i = 0; i < 3; i++) assert.equal((await send()).status, 200);
    const flow = await agent.untilRule(EXPORTER, "clock_skew", "degraded");
    assert.match(flow.cause, /^this machine's clock is 2 h ahead of that of .*127\.0\.0\.1:\d+.*best by NTP$/);
    assert.equal(await agent.ruleMetric(EXPORTER, "clock_skew"), 1);
    await agent.untilLogged(/level=warn msg="data flow degraded" .*component_id=otelcol\.exporter\.otlphttp\.out /);
    await agent.until(() => received() === sent(), "everything arrives all the same");
    sink.answer = () => ({ status: 204 });
    await send();
    await agent.untilRule(EXPORTER, "", "ok");
    assert.equal(await agent.stop(), 0);
  });

  test("a wrong path: dropped and counted, with the path that was asked for", async (t) => {
    const { agent, answer, send } = await prepare(t);
    answer({ status: 404, body: "no such page" });
    await send();
    const flow = await agent.untilRule(EXPORTER, "rejected", "degraded");
    assert.match(
      flow.cause,
      /does not take all: dropped 3 items as http_404 in the last 5 min: .*\/v1\/traces answered with HTTP status 404: no such page \(the path is wrong: `endpoint` gets \/v1\/traces/,
    );
    for (let i = 0; i < 12; i++) await send();
    await agent.untilRule(EXPORTER, "rejected", "failing");
    const dropped = () => agent.metric("alloy_component_dropped_total", { component_id: EXPORTER, reason: "http_404" });
    await agent.until(async () => (await dropped()) === 39, "each item is counted");
    agent.assertSaidSparingly(EXPORTER, "data was dropped");
    assert.equal(await agent.stop(), 0);
  });

  test("a backend that is gone and a queue that fills up: clients see nothing of it, the status shows every loss", async (t) => {
    const { agent, sink, send, onBody, sent, received } = await prepare(
      t,
      `${RETRY}\n  sending_queue {\n    queue_size = 10\n  }`,
    );
    const { port } = sink;
    await sink.stop();
    await send();
    const down = await agent.untilRule(EXPORTER, "endpoint_down", "failing");
    assert.match(down.cause, new RegExp(`127\\.0\\.0\\.1:${port} refuses connections: nothing listens there$`));
    assert.equal(await agent.ruleMetric(EXPORTER, "endpoint_down"), 1);
    for (let i = 0; i < 19; i++) assert.equal((await send()).status, 200);
    await agent.until(
      async () => (await agent.dropped(EXPORTER, "queue_full")) === 10 * SPANS,
      "what does not fit is counted",
    );
    await agent.until(
      async () =>
        /; dropped 30 items as queue_full in the last 5 min$/.test((await agent.component(EXPORTER)).flow.cause),
      "the cause says so",
    );
    assert.equal(await agent.ruleMetric(EXPORTER, "queue_full"), 1);
    agent.assertSaidSparingly(EXPORTER, "data was dropped");
    const again = await Sink.start(onBody, port);
    cleanUp(t, () => again.stop());
    await agent.until(() => received() === sent() - 10 * SPANS, "what was in the queue arrives");
    const after = await agent.untilRule(EXPORTER, "items_dropped", "degraded");
    assert.match(after.cause, /^dropped 30 items as queue_full in the last 5 min: the sending queue is full and/);
    agent.assertSaidSparingly(EXPORTER, "data flow failing");
    assert.equal(await agent.stop(), 0);
  });

  test("block_on_overflow: clients are sent away to come again, the chain says where it stands, nothing is lost", async (t) => {
    const queue = "sending_queue {\n    queue_size = 3\n    block_on_overflow = true\n    num_consumers = 1\n  }";
    const { agent, sink, send, sent, received } = await prepare(t, `${RETRY}\n  ${queue}`);
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    sink.answer = async () => {
      await held;
      return { status: 204 };
    };
    for (let i = 0; i < 3; i++) assert.equal((await send()).status, 200);
    const full = await agent.untilRule(EXPORTER, "queue_full", "degraded");
    assert.match(full.cause, /^the queue of traces holds 3 of 3 requests: once it is full, senders have to wait/);
    const away = await send();
    assert.deepEqual(away, { status: 503, retryAfter: "1" });
    await agent.untilLogged(
      /level=warn msg="clients are sent away because the pipeline takes nothing" .*component_id=otelcol\.receiver\.otlp\.in/,
    );
    const accepted = async () => {
      for (;;) {
        const { status } = await send();
        if (status !== 503) return status;
      }
    };
    const clients = Promise.all([accepted(), accepted()]);
    await agent.until(
      async () => (await agent.component(RECEIVER)).flow.sent.some(({ waiting }) => waiting > 0),
      "the edge shows what waits",
    );
    release();
    assert.deepEqual(await clients, [200, 200]);
    await agent.until(() => received() === sent(), "all that was accepted arrived");
    await agent.untilRule(EXPORTER, "", "ok");
    assert.deepEqual((await agent.component(EXPORTER)).flow.dropped, []);
    assert.equal(await agent.stop(), 0);
  });

  test("wait_for_result: clients are told of a dead backend", async (t) => {
    const { agent, answer, send } = await prepare(t, `${RETRY}\n  sending_queue {\n    wait_for_result = true\n  }`);
    answer({ status: 503, body: "down" });
    const { status, retryAfter } = await send();
    assert.deepEqual([status, retryAfter], [503, "1"]);
    const flow = await agent.untilRule(EXPORTER, "endpoint_down", "failing");
    assert.match(flow.cause, /answered with HTTP status 503: down/);
    answer({ status: 204 });
    await agent.until(async () => (await send()).status === 200, "clients get through again");
    await agent.untilRule(EXPORTER, "", "ok");
    assert.equal(await agent.stop(), 0);
  });

  test("a receiver whose port is taken: failing with the address, until it is free", async (t) => {
    const { agent, config } = await prepare(t);
    const taken = await Sink.start(() => {});
    cleanUp(t, () => taken.stop());
    const lines = config().replace(/endpoint = "127\.0\.0\.1:\d+"/, `endpoint = "127.0.0.1:${taken.port}"`);
    assert.equal((await agent.reload(lines)).status, 200);
    const flow = await agent.untilRule(RECEIVER, "http_listener", "failing");
    assert.match(flow.cause, new RegExp(`^http: .*127\\.0\\.0\\.1:${taken.port}`));
    assert.equal(await agent.metric("alloy_component_flow_rule", { component_id: RECEIVER, rule: "http_listener" }), 1);
    await taken.stop();
    await agent.until(
      async () => (await agent.component(RECEIVER)).flow.rule === "",
      "it listens once the port is free",
    );
    assert.equal(await agent.stop(), 0);
  });
});
