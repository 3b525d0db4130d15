import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import * as grpcjs from "@grpc/grpc-js";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import type { OtlpKind } from "#formats/otlp/otlp";
import { EXPORT_PATHS } from "#kits/otelcol/intake";
import { StorageHandler } from "#kits/otelcol/storage";
import { Capsule } from "#lang/value";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { PermanentError } from "#pipeline/errors";
import { acknowledged, type StartOptions, startComponent } from "#pipeline/testing";
import exporter, { loadBalancing } from "./otelcol.exporter.loadbalancing.ts";

const signal = new AbortController().signal;

/** A backend made of grpc-js. */
async function backend(t: TestContext, address = "127.0.0.1:0") {
  const server = new grpcjs.Server();
  const bytes = (value: Buffer) => value;
  const codec = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  const self = {
    endpoint: "",
    received: [] as string[],
    requests: 0,
    fails: false,
    stop: () => server.forceShutdown(),
  };
  for (const kind of ["traces", "metrics", "logs"] as const) {
    const method = { path: EXPORT_PATHS[kind], requestStream: false, responseStream: false, ...codec } as const;
    const handle: grpcjs.handleUnaryCall<Buffer, Buffer> = (call, reply) => {
      if (self.fails) return reply({ code: grpcjs.status.UNAVAILABLE, details: "not now" });
      self.requests += 1;
      self.received.push(...itemsOf(kind, call.request));
      reply(null, Buffer.alloc(0));
    };
    server.addService({ [kind]: method }, { [kind]: handle });
  }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(address, grpcjs.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  self.endpoint = `127.0.0.1:${port}`;
  cleanUp(t, self.stop);
  return self;
}

const CLIENT = 'client {\ncompression = "none"\ntls {\ninsecure = true\n}\n}';
const RETRY = 'retry {\ninitial_interval = "20ms"\nmax_interval = "50ms"\n}';
const protocol = (more = RETRY) => `protocol {\notlp {\n${CLIENT}\n${more}\n}\n}`;
const fixed = (...endpoints: string[]) => `resolver {\nstatic {\nhostnames = ${JSON.stringify(endpoints)}\n}\n}`;

async function start(t: TestContext, text: string, options: StartOptions & { component?: typeof exporter } = {}) {
  const component = await startComponent(options.component ?? exporter, text, options);
  cleanUp(t, () => component.stop(200));
  return component;
}

function batch(kind: OtlpKind, bytes: Uint8Array, acknowledgement = Acknowledgement.none): OtlpBatch {
  const items = itemsOf(kind, bytes).length;
  return {
    signal: "otlp",
    kind,
    parts: [bytes],
    items,
    bytes: bytes.length,
    clientMetadata: undefined,
    acknowledgement,
  };
}

/** Traces of five spans each, mixed. */
function traces(count: number): Buffer {
  const ids = Array.from({ length: count }, () => randomBytes(16).toString("base64"));
  const spans = Array.from({ length: count * 5 }, (_, i) => ({
    traceId: ids[i % count],
    spanId: randomBytes(8).toString("base64"),
    name: `s${i}`,
  }));
  return oracleEncode("traces", {
    resourceSpans: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "a" } }] },
        scopeSpans: [{ scope: { name: "x" }, spans }],
      },
    ],
  });
}
const traceOf = (item: string) => (JSON.parse(item) as [unknown, unknown, { traceId: string }])[2].traceId;

test("each trace meets in one place, everything arrives once, and is acknowledged when it has", async (t) => {
  const backends = await Promise.all([backend(t), backend(t), backend(t)]);
  const component = await start(t, `${protocol()}\n${fixed(...backends.map((each) => each.endpoint))}`);
  const bytes = traces(60);
  const mark = acknowledged();
  await component.exports.input.consume(batch("traces", bytes, mark.acknowledgement), signal);
  await until(() => mark.fired, "it is acknowledged");
  assert.deepEqual(backends.flatMap(({ received }) => received).sort(), itemsOf("traces", bytes).sort());
  const places = new Map<string, Set<number>>();
  for (const [i, { received, requests }] of backends.entries()) {
    assert.equal(requests, 1, "one request for each backend");
    for (const item of received) places.set(traceOf(item), (places.get(traceOf(item)) ?? new Set()).add(i));
  }
  assert.equal(places.size, 60);
  for (const [, of] of places) assert.equal(of.size, 1);
  assert.equal(component.metric("otelcol_loadbalancer_num_backends", { resolver: "static" }), 3);
  assert.equal(component.metric("otelcol_loadbalancer_num_backend_updates_total"), 1);
  assert.equal(component.metric("otelcol_loadbalancer_num_resolutions_total", { success: "true" }), 1);
  assert.equal(component.metric("otelcol_loadbalancer_backend_outcome_total", { success: "true" }), 3);
  assert.equal(component.metric("otelcol_loadbalancer_backend_latency_milliseconds_count"), 3);
  const labels = { exporter: `load_balancing/${component.id}` };
  assert.equal(component.metric("otelcol_exporter_sent_spans_total", labels), 300);
  assert.equal(component.flow.status.state, "ok");
});

test("what waits for a backend that is gone goes to the others, and is acknowledged only there", async (t) => {
  // Both listen on one port, at two addresses of the loopback.
  const first = await backend(t, "127.0.0.1:0");
  const both = first.endpoint.split(":")[1]!;
  const second = await backend(t, `127.0.0.2:${both}`);
  second.fails = true;
  let addresses = ["127.0.0.1", "127.0.0.2"];
  const component = await start(
    t,
    `${protocol()}\nresolver {\ndns {\nhostname = "tempo"\nport = "${both}"\ninterval = "20ms"\n}\n}`,
    { component: loadBalancing(async () => addresses) },
  );
  const bytes = traces(40);
  const mark = acknowledged();
  await component.exports.input.consume(batch("traces", bytes, mark.acknowledgement), signal);
  await until(
    () => component.flow.status.rule === "endpoint_down",
    () => JSON.stringify(component.flow.status),
  );
  assert.equal(component.flow.status.state, "degraded");
  assert.match(component.flow.status.cause, /^1 of 2 backends: cannot send to 127\.0\.0\.2:\d+: .*not now/);
  const before = first.received.length;
  assert.ok(before > 0 && before < 200, `${before}`);
  assert.ok(!mark.fired);
  addresses = ["127.0.0.1"];
  await until(() => mark.fired, "it is acknowledged");
  assert.deepEqual(first.received.toSorted(), itemsOf("traces", bytes).sort());
  await until(
    () => component.flow.status.state === "ok",
    () => JSON.stringify(component.flow.status),
  );
  assert.equal(component.flow.dropped.size, 0);
  assert.equal(component.metric("otelcol_loadbalancer_num_backends"), 1);
});

test("the outer queue and retries repeat only what was not taken, by the routes of then", async (t) => {
  const [one, two] = [await backend(t), await backend(t)];
  two.fails = true;
  const outer =
    'sending_queue {\nnum_consumers = 1\n}\nretry_on_failure {\ninitial_interval = "20ms"\nmax_interval = "20ms"\n}';
  const inner = protocol("queue {\nenabled = false\n}\nretry {\nenabled = false\n}");
  const component = await start(t, `${inner}\n${outer}\n${fixed(one.endpoint, two.endpoint)}`);
  const bytes = traces(40);
  const mark = acknowledged();
  await component.exports.input.consume(batch("traces", bytes, mark.acknowledgement), signal);
  await until(
    () => (component.metric("otelcol_loadbalancer_backend_outcome_total", { success: "false" }) ?? 0) > 2,
    "some attempts fail",
  );
  assert.equal(one.requests, 1, "who took its piece is left alone");
  two.fails = false;
  await until(() => mark.fired, "it is acknowledged");
  assert.deepEqual([...one.received, ...two.received].sort(), itemsOf("traces", bytes).sort());
  assert.equal(one.requests, 1);
});

test("a queue on disk in front keeps what the backends have not taken, though it waits in their own queues", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "balanced-"));
  cleanUp(t, () => rm(directory, { recursive: true, force: true }));
  const [one, two] = [await backend(t), await backend(t)];
  two.fails = true;
  const handler = new StorageHandler("otelcol.storage.file.x", {
    directory,
    timeoutMs: 5_000,
    fsync: false,
    permissions: 0o750,
  });
  const scope = { handler: new Capsule("otelcol.ExtensionHandler", handler) };
  const text = `${protocol()}\nsending_queue {\nstorage = handler\nbatch {\nflush_timeout = "10ms"\n}\n}\n${fixed(one.endpoint, two.endpoint)}`;
  const first = await start(t, text, { scope });
  const requests = [traces(20), traces(20)];
  for (const bytes of requests) {
    const mark = acknowledged();
    await first.exports.input.consume(batch("traces", bytes, mark.acknowledgement), signal);
    assert.ok(mark.fired, "on disk is safe");
  }
  await until(
    () => first.flow.status.rule === "endpoint_down",
    () => JSON.stringify(first.flow.status),
  );
  await until(() => one.received.length > 0, "the other has its part");
  await first.stop(50);
  two.fails = false;
  const second = await start(t, text, { scope });
  const wanted = new Set(requests.flatMap((bytes) => itemsOf("traces", bytes)));
  const arrived = () => new Set([...one.received, ...two.received]);
  await until(
    () => arrived().size === wanted.size,
    () => `${arrived().size} of ${wanted.size}`,
  );
  assert.deepEqual(arrived(), new Set([...arrived()].filter((each) => wanted.has(each))));
  await until(() => second.metric("otelcol_exporter_queue_size") === 0, "nothing is left on disk");
});

test("without queues and retries the sender learns of a failure", async (t) => {
  const one = await backend(t);
  one.fails = true;
  const inner = protocol("queue {\nenabled = false\n}\nretry {\nenabled = false\n}");
  const component = await start(t, `${inner}\n${fixed(one.endpoint)}`);
  await assert.rejects(async () => component.exports.input.consume(batch("traces", traces(1)), signal), /not now/);
});

test("logs and metrics go by service and by other keys; what has no key is counted", async (t) => {
  const backends = await Promise.all([backend(t), backend(t)]);
  const text = (key: string) =>
    `routing_key = "${key}"\n${protocol()}\n${fixed(...backends.map((each) => each.endpoint))}`;
  const component = await start(t, text("service"));
  const of = (name?: string) => ({
    resource: { attributes: name === undefined ? [] : [{ key: "service.name", value: { stringValue: name } }] },
  });
  const names = Array.from({ length: 20 }, (_, i) => `service-${i}`);
  const metrics = oracleEncode("metrics", {
    resourceMetrics: [...names, undefined].map((name) => ({
      ...of(name),
      scopeMetrics: [{ metrics: [{ name: "m", gauge: { dataPoints: [{ asInt: 1 }, { asInt: 2 }] } }] }],
    })),
  });
  const logs = oracleEncode("logs", {
    resourceLogs: names.map((name) => ({ ...of(name), scopeLogs: [{ logRecords: [{ severityText: name }] }] })),
  });
  const all = () => backends.flatMap(({ received }) => received);
  const mark = acknowledged();
  await component.exports.input.consume(batch("metrics", metrics, mark.acknowledgement), signal);
  await component.exports.input.consume(batch("logs", logs), signal);
  await until(
    () => all().length === 60,
    () => `${all().length}`,
  );
  await until(() => mark.fired, "it is acknowledged");
  assert.deepEqual(Object.fromEntries(component.flow.dropped.get("otlp")!), { no_service_name: 2 });
  component.flow.judge();
  assert.equal(component.flow.status.rule, "not_routed");
  assert.ok(backends.every(({ received }) => received.length > 0));
  for (const { received } of backends) received.length = 0;
  for (const key of ["resource", "metric", "streamID"]) {
    await component.update(text(key));
    await component.exports.input.consume(batch("metrics", metrics), signal);
    await until(
      () => all().length === 42,
      () => `${key}: ${all().length}`,
    );
    assert.deepEqual(all().sort(), itemsOf("metrics", metrics).sort());
    for (const { received } of backends) received.length = 0;
    await assert.rejects(
      async () => component.exports.input.consume(batch("logs", logs), signal),
      (error: Error) => error instanceof PermanentError && /routes metrics, and no logs/.test(error.message),
    );
  }
});

test("metrics need the experimental level, as in Alloy", async (t) => {
  const component = await start(t, `routing_key = "service"\n${protocol()}\n${fixed("127.0.0.1:1")}`, {
    services: { minimumStability: "generally-available" },
  });
  await assert.rejects(
    async () => component.exports.input.consume(batch("metrics", oracleEncode("metrics", {})), signal),
    /--stability.level=experimental/,
  );
});

test("names that cannot be looked up are said, and what was found stays in use", async (t) => {
  const one = await backend(t);
  const [, port] = one.endpoint.split(":");
  const dns = (name: string) =>
    `${protocol()}\nresolver {\ndns {\nhostname = "${name}"\nport = "${port}"\ninterval = "20ms"\n}\n}`;
  const lost = await start(t, dns("no-such-host.invalid"));
  await until(
    () => lost.flow.status.rule === "backends",
    () => JSON.stringify(lost.flow.status),
  );
  assert.equal(lost.flow.status.state, "failing");
  assert.match(lost.flow.status.cause, /no backends are known: .*no-such-host\.invalid/);
  await assert.rejects(
    async () => lost.exports.input.consume(batch("traces", traces(1)), signal),
    /there are no backends/,
  );
  assert.ok(lost.metric("otelcol_loadbalancer_num_resolutions_total", { resolver: "dns", success: "false" })! > 0);

  let fails = false;
  const component = await start(t, dns("name"), {
    component: loadBalancing(async () => {
      if (fails) throw new Error("SERVFAIL");
      return ["127.0.0.1"];
    }),
  });
  await until(() => component.metric("otelcol_loadbalancer_num_backends") === 1, "it is found");
  fails = true;
  await until(() => component.flow.status.rule === "backends", "the rule");
  assert.match(component.flow.status.cause, /the last ones stay in use: SERVFAIL/);
  await component.exports.input.consume(batch("traces", traces(1)), signal);
  await until(() => one.received.length === 5, "it arrives");
});

test("the system's resolver finds both kinds of addresses", async (t) => {
  const one = await backend(t);
  const [, port] = one.endpoint.split(":");
  const component = await start(t, `${protocol()}\nresolver {\ndns {\nhostname = "127.0.0.1"\nport = "${port}"\n}\n}`);
  await component.exports.input.consume(batch("traces", traces(1)), signal);
  await until(() => one.received.length === 5, "it arrives");
});

test("instances of AWS Cloud Map are backends; requests are signed, and refusals said", async (t) => {
  const one = await backend(t);
  const [, port] = one.endpoint.split(":");
  let answer = {
    status: 200,
    body: JSON.stringify({ Instances: [{ Attributes: { AWS_INSTANCE_IPV4: "127.0.0.1", AWS_INSTANCE_PORT: port } }] }),
  };
  const asked: { headers: Record<string, unknown>; body: string }[] = [];
  const api = createServer(async (request, response) => {
    let body = "";
    for await (const piece of request) body += piece;
    asked.push({ headers: request.headers, body });
    response.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => void api.close());
  const variables = {
    AWS_ENDPOINT_URL_SERVICEDISCOVERY: `http://127.0.0.1:${(api.address() as AddressInfo).port}/`,
    AWS_ACCESS_KEY_ID: "key",
    AWS_SECRET_ACCESS_KEY: "secret",
    AWS_REGION: "eu-central-1",
  };
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  Object.assign(process.env, variables);
  cleanUp(t, () => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  const text = `${protocol()}\nresolver {\naws_cloud_map {\nnamespace = "n"\nservice_name = "s"\ninterval = "50ms"\n}\n}`;
  const component = await start(t, text);
  await component.exports.input.consume(batch("traces", traces(1)), signal);
  await until(() => one.received.length === 5, "it arrives");
  assert.deepEqual(JSON.parse(asked[0]!.body), { NamespaceName: "n", ServiceName: "s", HealthStatus: "HEALTHY" });
  assert.equal(asked[0]!.headers["x-amz-target"], "Route53AutoNaming_v20170314.DiscoverInstances");
  assert.match(String(asked[0]!.headers.authorization), /Credential=key\/\d+\/eu-central-1\/servicediscovery\//);
  answer = { status: 400, body: "NamespaceNotFound" };
  await until(() => component.flow.status.rule === "backends", "the rule");
  assert.match(component.flow.status.cause, /status 400: NamespaceNotFound\): check namespace/);
});

test("arguments that make no sense are refused", async (t) => {
  await assert.rejects(start(t, `routing_key = "attributes"\n${protocol()}\n${fixed("a")}`), /routing_key/);
  await assert.rejects(start(t, `${protocol()}\nresolver {\n}`), /one of the blocks static, dns and aws_cloud_map/);
  await assert.rejects(
    start(t, `${protocol()}\nresolver {\nstatic {\nhostnames = ["a"]\n}\ndns {\nhostname = "b"\n}\n}`),
    /the only resolver/,
  );
  await assert.rejects(start(t, `${protocol()}\nresolver {\nstatic {\nhostnames = []\n}\n}`), /at least one backend/);
  await assert.rejects(
    start(t, `${protocol()}\nresolver {\nstatic {\nhostnames = ["a", "b:4317", "c:x"]\n}\n}`),
    /has a backend that cannot be used: "c:x" is no address; write it as host:port/,
  );
  await assert.rejects(
    start(t, `${protocol()}\nresolver {\nkubernetes {\nservice = "a.b"\n}\n}`),
    /"kubernetes" is not supported/,
  );
  await assert.rejects(start(t, `${protocol()}\nresolver {\ndns {\nhostname = ""\n}\n}`), /must not be empty/);
});
