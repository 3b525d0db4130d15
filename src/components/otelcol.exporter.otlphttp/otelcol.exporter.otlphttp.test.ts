import assert from "node:assert/strict";
import * as http from "node:http";
import { after, test } from "node:test";
import { inspect } from "node:util";
import { gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { encodeStatus } from "#formats/grpc";
import { requestFromJson } from "#formats/otlp/json";
import { itemsOf, oracleEncode } from "#formats/otlp/oracle.testing";
import { ProtoWriter } from "#formats/protobuf";
import { uncompress } from "#formats/snappy";
import { decodeBody } from "#lang/decode";
import { parseFile } from "#lang/parser";
import { Capsule } from "#lang/value";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";
import { decodeArguments, startComponent } from "#pipeline/testing";
import exporter from "./otelcol.exporter.otlphttp.ts";

const clean: (() => unknown)[] = [];
after(async () => {
  for (const each of clean.reverse()) await each();
});
const signal = new AbortController().signal;
const LOGS = oracleEncode("logs", {
  resourceLogs: [{ scopeLogs: [{ logRecords: [{ severityText: "x".repeat(99) }, {}] }] }],
});

interface Seen {
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}
interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string | string[]>;
  readonly body?: string | Uint8Array;
}

async function backend(answer: (seen: Seen, count: number) => Answer = () => ({})) {
  const seen: Seen[] = [];
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      seen.push({ path: request.url!, headers: request.headers, body: Buffer.concat(chunks) });
      const {
        status = 200,
        headers = { "content-type": "application/x-protobuf" },
        body = "",
      } = answer(seen.at(-1)!, seen.length);
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  clean.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, seen };
}

async function start(client: string, rest = "") {
  const component = await startComponent(exporter, `client {\n${client}\n}\n${rest}`);
  clean.push(() => component.stop(100));
  return component;
}

function send(component: Awaited<ReturnType<typeof start>>, more: Partial<OtlpBatch> = {}): Promise<void> {
  return new Promise((resolve) => {
    const base = { signal: "otlp", kind: "logs", items: 2, bytes: LOGS.length, clientMetadata: undefined } as const;
    const batch: OtlpBatch = { ...base, parts: [LOGS], acknowledgement: new Acknowledgement(resolve), ...more };
    void component.exports.input.consume(batch, signal);
  });
}

const dropped = (component: Awaited<ReturnType<typeof start>>) =>
  Object.fromEntries(component.flow.dropped.get("otlp") ?? []);

test("delivers byte for byte in every compression, gzip by default", async () => {
  const { url, seen } = await backend();
  const unpack: Record<string, (body: Buffer) => Uint8Array> = {
    gzip: gunzipSync,
    deflate: inflateSync,
    zlib: inflateSync,
    zstd: zstdDecompressSync,
    snappy: (body) => uncompress(body, 1 << 20),
  };
  for (const compression of [undefined, "gzip", "deflate", "zlib", "zstd", "snappy", "none"]) {
    const line = compression === undefined ? "" : `compression = "${compression}"`;
    const component = await start(`endpoint = "${url}"\nheaders = { "X-Scope-OrgID" = "7" }\n${line}`);
    await send(component);
    const { path, headers, body } = seen.pop()!;
    assert.deepEqual(
      [path, headers["content-type"], headers["x-scope-orgid"]],
      ["/v1/logs", "application/x-protobuf", "7"],
    );
    const encoding = compression === "none" ? undefined : (compression ?? "gzip");
    assert.equal(headers["content-encoding"], encoding);
    assert.match(headers["user-agent"]!, /^Invar\//);
    assert.deepEqual(Buffer.from(encoding === undefined ? body : unpack[encoding]!(body)), LOGS);
    assert.equal(component.metric("otelcol_exporter_sent_log_records_total"), 2);
  }
});

test("endpoints per signal, JSON, several parts", async () => {
  const { url, seen } = await backend();
  const component = await start(
    `endpoint = "${url}/base/"\ncompression = "none"`,
    `encoding = "json"\ntraces_endpoint = "${url}/t?x=1"`,
  );
  await send(component, { parts: [LOGS, LOGS], items: 4 });
  const first = seen.pop()!;
  assert.deepEqual([first.path, first.headers["content-type"]], ["/base/v1/logs", "application/json"]);
  const back = requestFromJson("logs", first.body.toString());
  assert.deepEqual(itemsOf("logs", back), [...itemsOf("logs", LOGS), ...itemsOf("logs", LOGS)]);
  await send(component, { kind: "traces", parts: [oracleEncode("traces", {})], items: 1 });
  assert.equal(seen.pop()!.path, "/t?x=1");
});

test("repeats 429, 502, 503 and 504 and nothing else", async () => {
  const statuses = [502, 504, 503, 200, 400, 500, 413];
  const message = encodeStatus({ code: 3, message: "what is this?" });
  const { url, seen } = await backend((_seen, count) => ({
    status: statuses[count - 1]!,
    headers: { "content-type": "application/x-protobuf" },
    body: statuses[count - 1] === 400 ? message : "",
  }));
  const component = await start(`endpoint = "${url}"`, 'retry_on_failure {\ninitial_interval = "5ms"\n}');
  await send(component);
  assert.equal(seen.length, 4);
  for (let i = 0; i < 3; i++) await send(component);
  assert.deepEqual(dropped(component), { http_400: 2, http_500: 2, http_413: 2 });
  assert.ok(component.logs.some((each) => each.fields.some(([, value]) => String(value).includes("what is this?"))));
});

test("waits as long as Retry-After says, in seconds or as a date", async () => {
  const { url } = await backend((_seen, count) =>
    count === 1
      ? { status: 429, headers: { "retry-after": "77" } }
      : { status: 503, headers: { "retry-after": "Fri, 31 Dec 2100 23:59:59 GMT" } },
  );
  for (const _ of [1, 2]) {
    const component = await start(
      `endpoint = "${url}"`,
      'retry_on_failure {\ninitial_interval = "1ms"\nmax_elapsed_time = "60s"\n}',
    );
    await send(component); // the wait would be longer than the time for retries
    assert.deepEqual(dropped(component), { retries_exhausted: 2 });
  }
});

test("partial success is counted; an answer that cannot be read is no reason to send again", async () => {
  const writer = new ProtoWriter();
  const mark = writer.begin(1);
  writer.int64(1, 1);
  writer.string(2, "too old");
  writer.end(mark);
  const answers: Answer[] = [
    { headers: { "content-type": "application/x-protobuf" }, body: writer.finish() },
    { headers: { "content-type": "application/json" }, body: '{"partialSuccess":{"rejectedLogRecords":"2"}}' },
    { headers: { "content-type": "application/json" }, body: "nonsense" },
    { headers: { "content-type": "text/html" }, body: "<html>" },
  ];
  const { url, seen } = await backend((_seen, count) => answers[count - 1]!);
  const component = await start(`endpoint = "${url}"`);
  for (const _ of answers) await send(component);
  assert.equal(seen.length, 4);
  assert.deepEqual(dropped(component), { rejected_by_backend: 3 });
  assert.equal(component.metric("otelcol_exporter_sent_log_records_total"), 5);
});

test("a backend that is away or too slow is a failing flow with the cause", async () => {
  const gone = await start('endpoint = "http://127.0.0.1:1"', 'retry_on_failure {\nmax_elapsed_time = "1ms"\n}');
  await send(gone);
  assert.equal(gone.flow.status.state, "failing");
  assert.match(
    gone.flow.status.cause,
    /127\.0\.0\.1:1 refuses connections: nothing listens there; dropped 2 items as retries_exhausted/,
  );
  const silent = http.createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  clean.push(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const { port } = silent.address() as { port: number };
  const slow = await start(
    `endpoint = "http://127.0.0.1:${port}"\ntimeout = "50ms"`,
    'retry_on_failure {\nmax_elapsed_time = "1ms"\n}',
  );
  await send(slow);
  assert.match(slow.flow.status.cause, /did not answer in time/);
});

test("credentials in the URL are sent and shown nowhere", async () => {
  const { url, seen } = await backend((_seen, count) => (count === 1 ? { status: 400 } : {}));
  const withPassword = url.replace("//", "//us%40er:se:cr%2Fet@");
  const component = await start(`endpoint = "${withPassword}"`);
  await send(component);
  const expected = `Basic ${Buffer.from("us@er:se:cr/et").toString("base64")}`;
  assert.equal(seen[0]!.headers.authorization, expected);
  const gone = await start('endpoint = "http://user:se:cr%2Fet@127.0.0.1:1"', "retry_on_failure {\nenabled = false\n}");
  await send(gone);
  assert.match(gone.flow.status.cause, /http:\/\/user:xxxxx@127\.0\.0\.1:1\/v1\/logs/);
  for (const { flow, logs, services } of [component, gone]) {
    const metrics = services.metrics.collect().flatMap(({ samples }) => samples);
    const shown = inspect([flow.status, flow.lastError, logs, metrics], { depth: 10 });
    assert.ok(shown.length > 500);
    assert.doesNotMatch(shown, /se:cr|cr%2Fet|cr\/et/);
  }
});

test("keeps cookies when told to", async () => {
  const { url, seen } = await backend(() => ({ headers: { "set-cookie": ["lb=a; Path=/", "x=1"] } }));
  const component = await start(`endpoint = "${url}"\ncookies {\nenabled = true\n}`);
  await send(component);
  await send(component);
  assert.deepEqual([seen[0]!.headers.cookie, seen[1]!.headers.cookie], [undefined, "lb=a; x=1"]);
});

test("goes through a proxy", async () => {
  const proxy = http.createServer();
  const asked: string[] = [];
  const { url, seen } = await backend();
  const net = await import("node:net");
  proxy.on("connect", (request, socket: import("node:net").Socket) => {
    asked.push(request.url!);
    const [host, port] = request.url!.split(":");
    const upstream = net.connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    for (const each of [socket, upstream]) each.on("error", () => each.destroy());
  });
  proxy.on("request", (request, response) => {
    asked.push(request.url!);
    request.pipe(
      http.request(request.url!, { method: request.method, headers: request.headers }, (answer) => {
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      }),
    );
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  clean.push(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const component = await start(
    `endpoint = "${url}"\nproxy_url = "http://127.0.0.1:${(proxy.address() as { port: number }).port}"`,
  );
  await send(component);
  assert.deepEqual([asked.length, seen.length], [1, 1]);
});

test("beside an endpoint of a signal the common one may be any text, and is none then", async () => {
  const { url, seen } = await backend();
  const component = await start('endpoint = "ignore"', `logs_endpoint = "${url}/push"`);
  await send(component);
  assert.deepEqual(
    seen.map(({ path }) => path),
    ["/push"],
  );
  await send(component, { kind: "traces", parts: [oracleEncode("traces", { resourceSpans: [] })], items: 1 });
  assert.deepEqual(dropped(component), { no_endpoint: 1 });
});

test("what the arguments make wrong is said at the start", async () => {
  await assert.rejects(start('endpoint = "nowhere"'), /is no HTTP URL: write it as/);
  await assert.rejects(start('endpoint = ""'), /must be given/);
  await assert.rejects(start('endpoint = "http://a"\ncompression_params {\nlevel = 12\n}'), /level/);
  await assert.rejects(start('endpoint = "http://a"\ncompression = "lz4"'), /lz4/);
});

/** Sends without waiting for the acknowledgement, and waits until the status has a rule. */
async function sendUntil(component: Awaited<ReturnType<typeof start>>, rule: string): Promise<string> {
  void send(component);
  for (let i = 0; component.flow.status.rule !== rule; i++) {
    assert.ok(i < 1_000, `${component.flow.status.rule}: ${component.flow.status.cause}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return component.flow.status.cause;
}

test("refused credentials hold the data until they are changed, and say what to set", async () => {
  const { url, seen } = await backend(({ headers }) => {
    if (headers["x-scope-orgid"] !== "team") return { status: 401, body: "no org id", headers: {} };
    return headers.authorization === "Bearer right" ? {} : { status: 403, body: "", headers: {} };
  });
  const component = await start(`endpoint = "${url}"`);
  assert.match(
    await sendUntil(component, "unauthorized"),
    /status 401: no org id \(the backend has several tenants: set headers/,
  );
  assert.equal(component.flow.status.state, "failing");
  const with_ = (headers: string) =>
    `client {\nendpoint = "${url}"\nheaders = { "X-Scope-OrgID" = "team"${headers} }\n}`;
  await component.update(with_(""));
  const waitFor = async (cause: RegExp) => {
    for (let i = 0; !cause.test(component.flow.status.cause); i++) {
      assert.ok(i < 1_000, component.flow.status.cause);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await waitFor(/status 403 \(it wants credentials and none are configured: set `auth`/);
  await component.update(with_(', "Authorization" = "Bearer "'));
  await waitFor(/the header Authorization is empty: set it, or the environment variable/);
  await component.update(with_(', "Authorization" = "Bearer right"'));
  await waitFor(/^$/);
  assert.equal(component.flow.lastSuccess > 0, true);
  assert.deepEqual([component.flow.dropped.size, seen.length], [0, 4]);
});

test("a wrong path and a server that wants TLS say what to mend", async () => {
  const missing = await backend(() => ({ status: 404, body: "not found", headers: {} }));
  const lost = await start(`endpoint = "${missing.url}/v1/logs"`);
  assert.match(
    await sendUntil(lost, "rejected"),
    /dropped 2 items as http_404 .*\/v1\/logs\/v1\/logs answered with HTTP status 404: not found \(the path is wrong: `endpoint` gets/,
  );
  const tls = await backend(() => ({
    status: 400,
    body: "Client sent an HTTP request to an HTTPS server.",
    headers: {},
  }));
  assert.match(await sendUntil(await start(`endpoint = "${tls.url}"`), "rejected"), /the server wants TLS: use https/);
});

test("a clock that is apart from the backend's degrades the flow", async () => {
  const date = new Date(Date.now() - 3 * 3_600_000).toUTCString();
  const { url } = await backend(() => ({ headers: { date, "content-type": "application/x-protobuf" } }));
  const component = await start(`endpoint = "${url}"`);
  for (let i = 0; i < 2; i++) await send(component);
  component.flow.judge();
  assert.equal(component.flow.status.rule, "clock_skew");
  assert.match(component.flow.status.cause, /clock is 3 h ahead of that of http:\/\/127/);
});

test("credentials that cannot be had hold the data like those that are refused", async () => {
  const { url, seen } = await backend();
  let works = false;
  const handler = {
    componentId: "otelcol.auth.test.t",
    server: undefined,
    client: async () => {
      if (!works) throw new Error("no token from http://idp: HTTP status 401, invalid_client");
    },
  };
  const scope = { handler: new Capsule("otelcol.Handler", handler) };
  const text = `client {\nendpoint = "${url}"\nauth = handler\n}\nretry_on_failure {\ninitial_interval = "20ms"\n}`;
  const component = await startComponent(exporter, text, { scope });
  clean.push(() => component.stop(100));
  assert.match(
    await sendUntil(component, "unauthorized"),
    /there are no credentials to send: no token from http:\/\/idp: HTTP status 401, invalid_client$/,
  );
  works = true;
  for (let i = 0; seen.length === 0; i++) {
    assert.ok(i < 1_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(component.flow.dropped.size, 0);
});

test("credentials that a server repeats in its refusal are not shown", async () => {
  const { url } = await backend(({ headers }) => ({
    status: 400,
    body: `${"x".repeat(295)}${JSON.stringify(headers)}`,
    headers: {},
  }));
  const component = await start(
    `endpoint = "${url}"\nheaders = { Authorization = "Bearer s3cr3ttoken", "X-Key" = "another-s3cr3t" }`,
  );
  await send(component);
  const said = inspect([component.flow, component.logs], { depth: 9, maxStringLength: null });
  assert.match(said, /HTTP status 400: x/);
  assert.doesNotMatch(said, /s3cr3/);
});

test("headers that no request can have are refused without their value, and doubtful endpoints are told", async () => {
  const client = (text: string) => decodeArguments(exporter, `client {\nendpoint = "http://x"\n${text}\n}`);
  assert.throws(() => client('headers = { "X Key" = "a" }'), /name "X Key", which no header can have/);
  assert.throws(
    () => client('headers = { Authorization = "Bearer s3cr3t\\n" }'),
    (error: Error) => /"Authorization" with a line break/.test(error.message) && !error.message.includes("s3cr3t"),
  );
  assert.doesNotThrow(() => client('headers = { "X-Key" = "a b\\tc" }'));
});

test("endpoints that look wrong are warned of", () => {
  const warnings = (endpoint: string) => {
    const { file } = parseFile({ name: "test.alloy", text: `client {\nendpoint = "${endpoint}"\n}` });
    const scope = { lookup: () => undefined };
    const { diagnostics } = decodeBody(exporter.args, file.body, scope, {
      name: exporter.name,
      minimumStability: "experimental",
    });
    return diagnostics.map(({ severity, message }) => `${severity}: ${message}`);
  };
  assert.deepEqual(warnings("http://tempo:4318"), []);
  assert.match(
    warnings("http://tempo:4318/v1/traces/").join(),
    /^warning: `client.endpoint` ends with \/v1\/traces\/,/,
  );
  assert.match(warnings("http://tempo:4317").join(), /^warning: `client.endpoint` has the port 4317/);
});
