import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import * as grpcjs from "@grpc/grpc-js";
import { cleanUp } from "#base/clean-up.testing";
import type { Clock } from "#base/clock";
import { ManualClock } from "#base/manual-clock.testing";
import { until } from "#base/until.testing";
import { GRPC } from "#formats/grpc";
import { oracleDecode } from "#formats/otlp/oracle.testing";
import { ProtoWriter } from "#formats/protobuf";
import { type ThriftStruct, thriftCall, thriftValue } from "#formats/thrift-writer.testing";
import { AuthenticationError, type AuthHandler } from "#kits/otelcol/auth";
import { Capsule } from "#lang/value";
import { RetryableError } from "#pipeline/errors";
import { recordOtlp, startComponent } from "#pipeline/testing";
import receiver from "./otelcol.receiver.jaeger.ts";

const THRIFT = "application/vnd.apache.thrift.binary";
const PROTOCOLS = ["grpc", "thrift_http", "thrift_binary", "thrift_compact"] as const;
type Protocol = (typeof PROTOCOLS)[number];

function thriftBatch(name: string, padding = ""): ThriftStruct {
  const span: ThriftStruct = [
    [1, { i64: 2n }],
    [2, { i64: 1n }],
    [3, { i64: 3n }],
    [4, { i64: 0n }],
    [5, { string: name }],
    [7, { i32: 1 }],
    [8, { i64: 1_700_000_000_000_000n }],
    [9, { i64: 1_500n }],
    [
      10,
      {
        of: "struct",
        list: [
          {
            struct: [
              [1, { string: "pad" }],
              [2, { i32: 0 }],
              [3, { string: padding }],
            ],
          },
        ],
      },
    ],
  ];
  return [
    [1, { struct: [[1, { string: "shop" }]] }],
    [2, { of: "struct", list: [{ struct: span }] }],
  ];
}
const packet = (protocol: "binary" | "compact", name: string, padding = "") =>
  thriftCall("emitBatch", [[1, { struct: thriftBatch(name, padding) }]], protocol);
const body = (name: string) => thriftValue({ struct: thriftBatch(name) }, "binary");

function postSpansRequest(name: string): Buffer {
  const writer = new ProtoWriter();
  const batch = writer.begin(1);
  const span = writer.begin(1);
  writer.bytes(1, Buffer.from("00000000000000010000000000000002", "hex"));
  writer.bytes(2, Buffer.from("0000000000000003", "hex"));
  writer.string(3, name);
  writer.end(span);
  const process = writer.begin(2);
  writer.string(1, "shop");
  writer.end(process);
  writer.end(batch);
  return Buffer.from(writer.finish());
}

async function start(
  t: TestContext,
  blocks: Partial<Record<Protocol, string>>,
  scope: Record<string, Capsule> = {},
  clock?: Clock,
) {
  const sink = recordOtlp();
  const config = (next: Partial<Record<Protocol, string>>) => {
    const written = Object.entries(next).map(([name, more]) => `${name} {\nendpoint = "127.0.0.1:0"\n${more}\n}`);
    return `protocols {\n${written.join("\n")}\n}\noutput {\ntraces = [out]\n}`;
  };
  const component = await startComponent(receiver, config(blocks), {
    scope: { out: sink.value, ...scope },
    ...(clock && { clock }),
  });
  cleanUp(t, () => component.stop());
  const addresses = () => (component.instance.debugInfo!() as { listeners: Record<Protocol, string | null> }).listeners;
  const address = async (protocol: Protocol) => {
    await until(
      () => addresses()[protocol] !== null,
      () => `${protocol} listens: ${component.problem}`,
    );
    return addresses()[protocol]!;
  };
  const socket = createSocket("udp4");
  cleanUp(t, () => socket.close());
  const send = async (protocol: Protocol, ...packets: Uint8Array[]) => {
    const port = Number((await address(protocol)).split(":").at(-1));
    for (const each of packets) await new Promise((resolve) => socket.send(each, port, "127.0.0.1", resolve));
  };
  const post = async (bytes: Uint8Array, headers: Record<string, string> = {}, path = "/api/traces") => {
    const answer = await fetch(`http://${await address("thrift_http")}${path}`, {
      method: "POST",
      body: bytes as Uint8Array<ArrayBuffer>,
      headers: { "content-type": THRIFT, ...headers },
    });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  };
  const call = async (bytes: Buffer, metadata: Record<string, string> = {}) => {
    const client = new grpcjs.Client(await address("grpc"), grpcjs.credentials.createInsecure());
    const plain = (value: Buffer) => value;
    const headers = grpcjs.Metadata.fromHttp2Headers(metadata);
    const path = "/jaeger.api_v2.CollectorService/PostSpans";
    return new Promise<Buffer | grpcjs.ServiceError>((resolve) => {
      client.makeUnaryRequest(path, plain, plain, bytes, headers, (error, response) => {
        client.close();
        resolve(error ?? response!);
      });
    });
  };
  const judge = () => {
    component.flow.judge();
    return component.flow.status;
  };
  const dropped = (reason: string) => component.flow.dropped.get("otlp")?.get(reason) ?? 0;
  return { component, sink, config, address, addresses, send, post, call, judge, dropped };
}

function spanNames(parts: readonly Uint8Array[]): string[] {
  const request = oracleDecode("traces", Buffer.concat(parts)) as {
    resourceSpans: { scopeSpans: { spans: { name: string }[] }[] }[];
  };
  return request.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map((s) => s.name)));
}

test("takes batches of all four protocols, and counts them as the Collector does", async (t) => {
  const { component, sink, send, post, call } = await start(t, {
    grpc: "",
    thrift_http: "",
    thrift_binary: "",
    thrift_compact: "",
  });
  assert.equal((await call(postSpansRequest("by grpc"))).toString(), "");
  const answer = await post(body("by http"));
  assert.deepEqual([answer.status, answer.text], [202, ""]);
  assert.equal((await post(gzipSync(body("packed")), { "content-encoding": "gzip" })).status, 202);
  await send("thrift_binary", packet("binary", "by binary"));
  await sink.waitFor(4);
  await send("thrift_compact", packet("compact", "by compact"));
  await sink.waitFor(5);
  const names = sink.items.map(({ parts }) => spanNames(parts)[0]);
  assert.deepEqual(names, ["by grpc", "by http", "packed", "by binary", "by compact"]);
  assert.deepEqual(
    sink.items.map(({ kind, items }) => [kind, items]),
    Array(5).fill(["traces", 1]),
  );
  assert.equal(sink.items[0]!.clientAddress, "127.0.0.1");
  const accepted = (transport: string) =>
    component.metric("otelcol_receiver_accepted_spans_total", {
      receiver: "jaeger/otelcol.receiver.jaeger.test",
      transport,
    });
  assert.deepEqual(["grpc", "collector_http", "udp_thrift_binary", "udp_thrift_compact"].map(accepted), [1, 2, 1, 1]);
  assert.equal(component.metric("rpc_server_duration_milliseconds_count", { rpc_method: "PostSpans" }), 1);
  assert.equal(component.flow.status.state, "ok");
});

test("keeps what clients send beside the data, if asked to, and checks credentials", async (t) => {
  const handler: AuthHandler = {
    componentId: "otelcol.auth.test.a",
    client: undefined,
    server: (headers) => {
      if (headers.get("authorization") !== "Bearer x") throw new AuthenticationError("no such token");
    },
  };
  const blocks = { grpc: "include_metadata = true\nauth = a", thrift_http: "include_metadata = true\nauth = a" };
  const { sink, post, call } = await start(t, blocks, { a: new Capsule("otelcol.Handler", handler) });
  const refused = await call(postSpansRequest("x"));
  assert.ok("code" in refused && refused.code === GRPC.UNAUTHENTICATED, String(refused));
  assert.equal((await post(body("x"))).status, 401);
  assert.equal(sink.items.length, 0);
  await call(postSpansRequest("x"), { authorization: "Bearer x", "x-tenant": "t1" });
  await post(body("x"), { authorization: "Bearer x", "x-tenant": "t2" });
  assert.deepEqual(
    sink.items.map(({ clientMetadata }) => clientMetadata?.get("x-tenant")),
    [["t1"], ["t2"]],
  );
});

test("says what is wrong with messages that cannot be read, and counts them", async (t) => {
  const { component, sink, send, post, call, judge, dropped } = await start(t, {
    grpc: "",
    thrift_http: 'max_request_body_size = "1KiB"',
    thrift_compact: "",
  });
  const wrong = await call(Buffer.from([10, 2, 10, 100]));
  assert.ok("code" in wrong && wrong.code === GRPC.INTERNAL, String(wrong));
  assert.match((wrong as grpcjs.ServiceError).details, /^the request cannot be read: .*beyond the end of its message/);
  const cut = await post(body("cut").subarray(0, 40));
  assert.equal(cut.status, 400);
  assert.match(cut.text, /^the message is truncated at byte \d+\n$/);
  const incomplete = await post(thriftValue({ struct: [[1, { struct: [[1, { string: "shop" }]] }]] }, "binary"));
  assert.equal(incomplete.text, "a batch without its required field 2 at byte 16\n");
  assert.equal((await post(body("x"), { "content-type": "text/plain" })).status, 400);
  assert.equal((await post(body("x"), {}, "/api/spans")).status, 404);
  assert.equal((await post(Buffer.alloc(1025))).status, 413);
  assert.equal(dropped("malformed"), 3);
  await send(
    "thrift_compact",
    Buffer.from("hello"),
    packet("binary", "x"),
    thriftCall("emitZipkinBatch", [], "compact"),
  );
  await until(() => dropped("malformed") === 6, "all counted");
  assert.deepEqual([judge().state, judge().rule], ["failing", "messages_dropped"]);
  assert.match(
    judge().cause,
    /^dropped 6 messages as malformed in the last 5 min: spans of Zipkin are not taken here; .*\(from 127\.0\.0\.1\)$/,
  );
  assert.equal(component.logs.filter(({ level }) => level === "warn").length, 1);
  await send("thrift_compact", packet("compact", "good"));
  await sink.waitFor(1);
  assert.equal(judge().state, "degraded");
});

test("a pipeline that takes nothing: clients hear of it, packets wait in a queue with a bound", async (t) => {
  const { component, sink, send, post, call, dropped } = await start(t, {
    grpc: "",
    thrift_http: "",
    thrift_compact: 'workers = 1\nqueue_size = 2\nmax_packet_size = "1KiB"',
  });
  sink.gate = () => {
    throw new RetryableError("the disk is full");
  };
  // All at once, since a client is kept waiting for a while.
  const lost = send("thrift_compact", packet("compact", "lost"));
  const [refused, answer] = await Promise.all([call(postSpansRequest("x")), post(body("x")), lost]);
  assert.ok("code" in refused && refused.code === GRPC.UNAVAILABLE, String(refused));
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "1"]);
  assert.equal(answer.text, "the spans were not accepted: the pipeline is full, come again later\n");
  await until(() => dropped("pipeline_full") === 1, "the packet is lost");
  assert.equal(component.metric("otelcol_receiver_refused_spans_total"), 3);
  const gate = Promise.withResolvers<void>();
  sink.gate = () => gate.promise;
  await send("thrift_compact", ...["a", "b", "c", "d"].map((name) => packet("compact", name)));
  await until(() => dropped("queue_full") === 1, "there is no more room");
  await send("thrift_compact", packet("compact", "large", "x".repeat(2_000)));
  await until(() => dropped("packet_too_large") === 1, "too large");
  gate.resolve();
  await sink.waitFor(3);
  assert.deepEqual(
    sink.items.map(({ parts }) => spanNames(parts)[0]),
    ["a", "b", "c"],
  );
});

test("what waits is handed on before a stop", async (t) => {
  const { component, sink, send } = await start(t, { thrift_binary: "workers = 1" });
  const gate = Promise.withResolvers<void>();
  let held = 0;
  sink.gate = () => {
    held += 1;
    return gate.promise;
  };
  await send("thrift_binary", packet("binary", "a"), packet("binary", "b"));
  await until(() => held === 1, "one is with the pipeline");
  const stopped = component.stop();
  gate.resolve();
  await stopped;
  assert.equal(sink.items.length, 2);
});

test("a port that is taken makes it unhealthy, until the configuration has another one", async (t) => {
  const squatter = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => squatter.once("listening", resolve));
  cleanUp(t, () => squatter.close());
  const { port } = squatter.address() as { port: number };
  const udp = createSocket("udp4").bind(0, "127.0.0.1");
  await new Promise((resolve) => udp.once("listening", resolve));
  cleanUp(t, () => udp.close());
  const sink = recordOtlp();
  const config = (http: number, compact: number) =>
    `protocols {\nthrift_http {\nendpoint = "127.0.0.1:${http}"\n}\nthrift_compact {\nendpoint = "127.0.0.1:${compact}"\n}\n}\noutput {\ntraces = [out]\n}`;
  const component = await startComponent(receiver, config(port, udp.address().port), { scope: { out: sink.value } });
  cleanUp(t, () => component.stop());
  await until(() => component.problem?.includes("udp") === true && component.problem.includes("thrift_http"), "both");
  assert.match(
    component.problem!,
    /thrift_compact: cannot listen on udp 127\.0\.0\.1:\d+: another program listens there/,
  );
  component.flow.judge();
  assert.equal(component.flow.status.state, "failing");
  await component.update(config(0, 0));
  await until(
    () => component.problem === undefined,
    () => String(component.problem),
  );
});

test("wants a protocol at least, and addresses", async () => {
  const scope = { out: recordOtlp().value };
  const config = (protocols: string) => `protocols {\n${protocols}\n}\noutput {\ntraces = [out]\n}`;
  await assert.rejects(startComponent(receiver, config(""), { scope }), /at least one protocol must be enabled/);
  for (const protocol of PROTOCOLS) {
    const start = startComponent(receiver, config(`${protocol} {\nendpoint = "nowhere"\n}`), { scope });
    await assert.rejects(start, /endpoint "nowhere" is no address; write it as host:port/, protocol);
  }
});

test("packets that the system throws away are counted, and the status says so", async (t) => {
  const clock = new ManualClock();
  const { sink, send, judge, dropped, address } = await start(t, { thrift_compact: "" }, {}, clock);
  await send("thrift_compact", packet("compact", "first"));
  const sender = createSocket("udp4");
  cleanUp(t, () => new Promise<void>((resolve) => sender.close(resolve)));
  const port = Number((await address("thrift_compact")).split(":").at(-1));
  const burst = packet("compact", "x", "x".repeat(300));
  // All in one turn of the event loop, so that nobody reads meanwhile.
  await Promise.all(
    Array.from({ length: 3_000 }, () => new Promise((resolve) => sender.send(burst, port, "127.0.0.1", resolve))),
  );
  clock.advance(5_000);
  await until(() => dropped("receive_buffer_full") > 0, "packets are lost");
  await until(() => sink.items.length === 3_001 - dropped("receive_buffer_full"), "the rest is read");
  assert.match(judge().cause, /dropped \d+ messages as receive_buffer_full .*: raise `socket_buffer_size`/);
});
