import assert from "node:assert/strict";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { deflateSync, gzipSync } from "node:zlib";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { oracleDecode } from "#formats/otlp/oracle.testing";
import { ProtoWriter } from "#formats/protobuf";
import { thriftValue } from "#formats/thrift-writer.testing";
import { recordOtlp, startComponent } from "#pipeline/testing";
import receiver from "./otelcol.receiver.zipkin.ts";

const SPAN = { traceId: "463ac35c9f6413ad48485a3953bb6124", id: "a2fb4a1d1a96d312", timestamp: 1_700_000_000_000_000 };
const json = (more: object = {}) => Buffer.from(JSON.stringify([{ ...SPAN, ...more }]));

async function start(t: TestContext, more = "", traces = "[out]") {
  const sink = recordOtlp();
  const config = (text: string) => `endpoint = "127.0.0.1:0"\n${text}\noutput {\ntraces = ${traces}\n}`;
  const component = await startComponent(receiver, config(more), { scope: { out: sink.value } });
  cleanUp(t, () => component.stop());
  const address = async () => {
    const now = () => (component.instance.debugInfo!() as { listeners: { http: string | null } }).listeners.http;
    await until(
      () => now() !== null,
      () => `it listens: ${component.problem}`,
    );
    return now()!;
  };
  const post = async (body: Uint8Array, headers: Record<string, string> = {}, path = "/api/v2/spans") => {
    const answer = await fetch(`http://${await address()}${path}`, {
      method: "POST",
      body: body as Uint8Array<ArrayBuffer>,
      headers,
    });
    return { status: answer.status, text: await answer.text(), headers: answer.headers };
  };
  return { component, sink, config, post };
}

/** The first span of the first request, and forgets all requests. */
function takeSpan(sink: ReturnType<typeof recordOtlp>): Record<string, unknown> {
  const request = oracleDecode("traces", Buffer.concat(sink.items.splice(0)[0]!.parts)) as {
    resourceSpans: { scopeSpans: { spans: Record<string, unknown>[] }[] }[];
  };
  return request.resourceSpans[0]!.scopeSpans[0]!.spans[0]!;
}

test("takes all four formats, and counts them as the Collector does", async (t) => {
  const { component, sink, post } = await start(t);
  const proto = new ProtoWriter();
  const span = proto.begin(1);
  proto.bytes(1, Buffer.from(SPAN.traceId, "hex"));
  proto.bytes(3, Buffer.from(SPAN.id, "hex"));
  proto.string(5, "get");
  proto.end(span);
  const thrift = thriftValue(
    {
      of: "struct",
      list: [
        {
          struct: [
            [1, { i64: 1n }],
            [3, { string: "get" }],
            [4, { i64: 2n }],
          ],
        },
      ],
    },
    "binary",
  );
  const requests: [Uint8Array, Record<string, string>, string][] = [
    [json({ name: "get" }), { "content-type": "application/json" }, "/api/v2/spans"],
    [Buffer.from(proto.finish()), { "content-type": "application/x-protobuf" }, "/api/v2/spans"],
    [json({ name: "get" }), { "content-type": "application/json" }, "/api/v1/spans"],
    [thrift, { "content-type": "application/x-thrift" }, "/api/v1/spans"],
    [gzipSync(json({ name: "get" })), { "content-encoding": "gzip" }, "/anything/else"],
  ];
  for (const [body, headers, path] of requests) {
    const answer = await post(body, headers, path);
    assert.deepEqual([answer.status, answer.text], [202, ""], path);
    assert.equal(takeSpan(sink).name, "get");
  }
  const accepted = (transport: string) =>
    component.metric("otelcol_receiver_accepted_spans_total", {
      receiver: "zipkin/otelcol.receiver.zipkin.test",
      transport,
    });
  assert.deepEqual(["http_v2_json", "http_v2_proto", "http_v1_json", "http_v1_thrift"].map(accepted), [2, 1, 1, 1]);
  assert.equal((await post(Buffer.from("[]"))).status, 202);
  assert.equal(sink.items.length, 0);
});

test("makes numbers of tags only if asked to", async (t) => {
  const { sink, post, component, config } = await start(t);
  const tags = { tags: { n: "12" } };
  await post(json(tags));
  assert.deepEqual(takeSpan(sink).attributes, [{ key: "n", value: { stringValue: "12" } }]);
  await component.update(config("parse_string_tags = true"));
  await until(() => component.logs.filter(({ message }) => message === "listening").length === 2, "it listens again");
  await post(json(tags));
  assert.deepEqual(takeSpan(sink).attributes, [{ key: "n", value: { intValue: "12" } }]);
});

test("says what is wrong with spans that cannot be read, and counts them", async (t) => {
  const { component, sink, post } = await start(t, 'max_request_body_size = "1KiB"');
  const wrong: [Uint8Array, string, RegExp][] = [
    [Buffer.from("{"), "/api/v2/spans", /^the body is no JSON: /],
    [json({ id: "xyz" }), "/api/v2/spans", /^span 0: id must be up to 16 hexadecimal digits, not "xyz"\n$/],
    [json({ id: "12" }), "/api/v1/spans", /^span 0: id must be 16 hexadecimal digits, not "12"\n$/],
  ];
  for (const [body, path, message] of wrong) {
    const answer = await post(body, {}, path);
    assert.equal(answer.status, 400);
    assert.match(answer.text, message);
  }
  assert.equal((await post(Buffer.from([9]), { "content-type": "application/x-protobuf" })).status, 400);
  assert.equal(
    (await post(Buffer.from([12]), { "content-type": "application/x-thrift" }, "/api/v1/spans")).status,
    400,
  );
  assert.equal((await post(Buffer.alloc(1025))).status, 413);
  assert.equal(sink.items.length, 0);
  assert.equal(component.flow.dropped.get("otlp")?.get("malformed"), 5);
  component.flow.judge();
  assert.deepEqual([component.flow.status.state, component.flow.status.rule], ["failing", "messages_dropped"]);
  await post(json());
  component.flow.judge();
  assert.equal(component.flow.status.state, "degraded");
});

test("without encodings in the list it still unpacks what the Collector's receiver unpacks by itself", async (t) => {
  const { sink, post } = await start(t, "compression_algorithms = []");
  assert.equal((await post(deflateSync(json()), { "content-encoding": "deflate" })).status, 202);
  assert.equal((await post(gzipSync(json()), { "content-encoding": "gzip" })).status, 202);
  assert.equal(sink.items.length, 2);
});

test("keeps headers if asked to, and answers pages of other origins", async (t) => {
  const { sink, post } = await start(t, 'include_metadata = true\ncors {\nallowed_origins = ["https://*.example"]\n}');
  const answer = await post(json(), { "x-tenant": "t1", origin: "https://shop.example" });
  assert.equal(answer.headers.get("access-control-allow-origin"), "https://shop.example");
  assert.deepEqual(sink.items[0]!.clientMetadata?.get("x-tenant"), ["t1"]);
  assert.equal(sink.items[0]!.clientAddress, "127.0.0.1");
});

test("nobody takes traces, or the port is taken", async (t) => {
  const { post } = await start(t, "", "[]");
  assert.equal((await post(json())).status, 404);
  const squatter = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => squatter.once("listening", resolve));
  cleanUp(t, () => squatter.close());
  const { port } = squatter.address() as { port: number };
  const component = await startComponent(receiver, `endpoint = "127.0.0.1:${port}"\noutput { }`);
  cleanUp(t, () => component.stop());
  await until(() => component.problem !== undefined, "unhealthy");
  assert.match(component.problem!, /^http: cannot listen on 127\.0\.0\.1:\d+: another program listens there/);
  await assert.rejects(startComponent(receiver, 'endpoint = "x"\noutput { }'), /is no address; write it as host:port/);
});
