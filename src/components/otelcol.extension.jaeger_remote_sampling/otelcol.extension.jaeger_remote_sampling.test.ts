import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import * as grpcjs from "@grpc/grpc-js";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { GRPC } from "#formats/grpc";
import { decodeSamplingStrategy, encodeServiceName } from "#formats/jaeger/sampling";
import type { AuthHandler } from "#kits/otelcol/auth";
import { Capsule } from "#lang/value";
import { startComponent } from "#pipeline/testing";
import extension from "./otelcol.extension.jaeger_remote_sampling.ts";

const SERVERS = 'http {\nendpoint = "127.0.0.1:0"\n}\ngrpc {\nendpoint = "127.0.0.1:0"\n}\n';
const GET = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";
const document = (rate: number) => JSON.stringify({ default_strategy: { type: "probabilistic", param: rate } });

async function start(t: TestContext, source: string) {
  const component = await startComponent(extension, `${SERVERS}source {\n${source}\n}`);
  cleanUp(t, () => component.stop());
  const addressOf = (protocol: "grpc" | "http") =>
    (component.instance.debugInfo!() as { listeners: Record<string, string | null> }).listeners[protocol];
  const address = async (protocol: "grpc" | "http") => {
    await until(
      () => addressOf(protocol) !== null,
      () => `${protocol} listens: ${component.problem}`,
    );
    return addressOf(protocol)!;
  };
  const get = async (path: string) => {
    const answer = await fetch(`http://${await address("http")}${path}`);
    return { status: answer.status, text: await answer.text() };
  };
  const call = async (path: string, message: Uint8Array) => {
    const client = new grpcjs.Client(await address("grpc"), grpcjs.credentials.createInsecure());
    const plain = (value: Buffer) => value;
    return new Promise<Buffer | grpcjs.ServiceError>((resolve) => {
      client.makeUnaryRequest(path, plain, plain, Buffer.from(message), (error, response) => {
        client.close();
        resolve(error ?? response!);
      });
    });
  };
  const judge = () => {
    component.flow.judge();
    return component.flow.status;
  };
  return { component, address, addressOf, get, call, judge };
}

const rateOf = (text: string) =>
  (JSON.parse(text) as { probabilisticSampling: { samplingRate: number } }).probabilisticSampling.samplingRate;

test("tells the strategies of its content over HTTP and gRPC", async (t) => {
  const content = JSON.stringify({
    default_strategy: { type: "probabilistic", param: 0.5 },
    service_strategies: [{ service: "shop", type: "ratelimiting", param: 12.7 }],
  });
  const { component, get, call } = await start(t, `content = ${JSON.stringify(content)}`);
  assert.deepEqual(await get("/sampling?service=other"), {
    status: 200,
    text: '{"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.5}}',
  });
  assert.deepEqual(await get("/sampling?service=shop&x=1"), {
    status: 200,
    text: '{"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":12}}',
  });
  assert.deepEqual(await get("/sampling"), { status: 400, text: "'service' parameter must be provided\n" });
  assert.equal((await get("/")).status, 404);
  const told = decodeSamplingStrategy((await call(GET, encodeServiceName("shop"))) as Buffer);
  assert.deepEqual(told, { probability: undefined, tracesPerSecond: 12, operations: undefined });
  const wrong = await call(GET, Buffer.from([10, 9]));
  assert.ok("code" in wrong && wrong.code === GRPC.INTERNAL);
  const health = "/grpc.health.v1.Health/Check";
  assert.deepEqual(await call(health, encodeServiceName("jaeger.api_v2.SamplingManager")), Buffer.from([8, 1]));
  assert.deepEqual(await call(health, encodeServiceName("")), Buffer.from([8, 1]));
  const unknown = await call(health, encodeServiceName("x"));
  assert.ok("code" in unknown && unknown.code === GRPC.NOT_FOUND);
  assert.equal(component.metric("rpc_server_duration_milliseconds_count", { rpc_method: "GetSamplingStrategy" }), 2);
});

test("reads its file again, and keeps what it knows while that fails", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sampling-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const file = join(folder, "strategies.json");
  const { component, get, judge, addressOf } = await start(t, `file = "${file}"\nreload_interval = "20ms"`);
  await until(() => component.problem !== undefined, "there is no file");
  assert.equal(component.problem, `cannot read ${file}: create it or change \`file\``);
  assert.equal(addressOf("http"), null);
  assert.deepEqual([judge().state, judge().rule], ["failing", "source_failed"]);
  await component.stop();

  writeFileSync(file, document(0.25));
  const other = await start(t, `file = "${file}"\nreload_interval = "20ms"`);
  assert.equal(rateOf((await other.get("/sampling?service=a")).text), 0.25);
  writeFileSync(file, "{");
  await until(() => other.component.problem !== undefined, "the file is damaged");
  assert.match(
    other.component.problem!,
    /strategies\.json has no strategies: it is no JSON: .*\. The strategies that were read before are in use$/,
  );
  assert.equal(rateOf((await other.get("/sampling?service=a")).text), 0.25);
  writeFileSync(file, document(0.75));
  await until(() => other.component.problem === undefined, "the file is whole again");
  assert.equal(rateOf((await other.get("/sampling?service=a")).text), 0.75);
  assert.equal(other.judge().state, "idle");
  void get;
});

test("downloads its document; a server that is unavailable means the defaults, and no change later", async (t) => {
  let answer = (response: ServerResponse) => void response.writeHead(503).end();
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    answer(response);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  cleanUp(t, () => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as { port: number };
  const source = `file = "http://127.0.0.1:${port}/strategies"\nreload_interval = "20ms"`;
  const { component, get } = await start(t, source);
  const rate = async () => rateOf((await get("/sampling?service=a")).text);
  assert.equal(await rate(), 0.001);
  answer = (response) => void response.end(document(0.5));
  await until(() => component.logs.filter(({ message }) => message.startsWith("read new")).length === 1, "it is read");
  assert.equal(await rate(), 0.5);
  answer = (response) => void response.writeHead(503).end();
  const before = asked;
  await until(() => asked > before + 1, "it asked twice");
  assert.equal(await rate(), 0.5);
  answer = (response) => void response.writeHead(404).end();
  await until(() => component.problem !== undefined, "the document is gone");
  assert.match(component.problem!, /^the server of `file` answers 404 and has to answer 200: /);
  assert.equal(await rate(), 0.5);
});

test("asks another one, keeps answers for a while, and says why there are none", async (t) => {
  const origin = await start(t, `content = ${JSON.stringify(document(0.4))}`);
  const remote = (more: string) =>
    `remote {\nendpoint = "${address}"\ntls {\ninsecure = true\n}\n}\nreload_interval = "${more}"`;
  const address = await origin.address("grpc");
  const fresh = await start(t, remote("0s"));
  const kept = await start(t, remote("1h"));
  for (const each of [fresh, kept]) assert.equal(rateOf((await each.get("/sampling?service=a")).text), 0.4);
  const bytes = (await kept.call(GET, encodeServiceName("a"))) as Buffer;
  assert.equal(decodeSamplingStrategy(bytes).probability, 0.4);
  await origin.component.stop();
  assert.equal(rateOf((await kept.get("/sampling?service=a")).text), 0.4);
  const failed = await fresh.get("/sampling?service=a");
  assert.equal(failed.status, 500);
  assert.match(
    failed.text,
    /^failed to get sampling strategy for service "a": remote call failed: 127\.0\.0\.1:\d+ tells no strategies: UNAVAILABLE: /,
  );
  const refused = await fresh.call(GET, encodeServiceName("a"));
  assert.ok("code" in refused && refused.code === GRPC.UNAVAILABLE, String(refused));
  assert.deepEqual([fresh.judge().state, fresh.judge().rule], ["failing", "source_failed"]);
});

test("what a client sent is there for the credentials with which another one is asked", async (t) => {
  const origin = await start(t, `content = ${JSON.stringify(document(0.4))}`);
  const tenants: unknown[] = [];
  const handler: AuthHandler = {
    componentId: "otelcol.auth.test.t",
    client: ({ clientMetadata }) => void tenants.push(clientMetadata?.get("x-tenant")),
    server: undefined,
  };
  const source = `source {\nremote {\nendpoint = "${await origin.address("grpc")}"\nauth = auth\ntls {\ninsecure = true\n}\n}\n}`;
  const server = 'endpoint = "127.0.0.1:0"\ninclude_metadata = true';
  const component = await startComponent(extension, `http {\n${server}\n}\ngrpc {\n${server}\n}\n${source}`, {
    scope: { auth: new Capsule("otelcol.Handler", handler) },
  });
  cleanUp(t, () => component.stop());
  const listeners = () =>
    (component.instance.debugInfo!() as { listeners: { http: string | null; grpc: string | null } }).listeners;
  await until(() => listeners().http !== null && listeners().grpc !== null, "both listen");
  const headers = { "x-tenant": "blue" };
  assert.equal((await fetch(`http://${listeners().http}/sampling?service=a`, { headers })).status, 200);
  const client = new grpcjs.Client(listeners().grpc!, grpcjs.credentials.createInsecure());
  cleanUp(t, () => client.close());
  const metadata = new grpcjs.Metadata();
  metadata.set("x-tenant", "red");
  const plain = (value: Buffer) => value;
  const message = Buffer.from(encodeServiceName("a"));
  await new Promise((resolve) => client.makeUnaryRequest(GET, plain, plain, message, metadata, resolve));
  assert.deepEqual(tenants, [["blue"], ["red"]]);
});

test("wants one source and one server", async () => {
  const refused = (config: string, message: RegExp) => assert.rejects(startComponent(extension, config), message);
  await refused(`${SERVERS}source { }`, /content.*or `file` or a `remote` block must be there/s);
  await refused(`${SERVERS}source {\ncontent = "{}"\nfile = "x"\n}`, /exclude one another/);
  await refused('source {\ncontent = "{}"\n}', /or `http` must be there to serve the sampling document/);
  await refused(`${SERVERS}source {\ncontent = "["\n}`, /^Error: `content` has no sampling strategies: it is no JSON/);
  await refused(`http {\nendpoint = "x"\n}\nsource {\ncontent = "{}"\n}`, /is no address; write it as host:port/);
});
