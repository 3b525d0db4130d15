import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { createLogger, type LogRecord } from "#base/log";
import { compress } from "#formats/snappy";
import { PermanentError, RetryableError } from "#pipeline/errors";
import { createAuthority } from "../certificates.testing.ts";
import { opensslCiphers } from "../tls-server.ts";
import { basicAuthGuard, HttpError, HttpServer, type HttpServerOptions, type ServedRequest } from "./server.ts";
import type { ClientAuthType } from "./server-schema.ts";

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

async function start(t: TestContext, options: Partial<HttpServerOptions>, routes: (server: HttpServer) => void) {
  const logs: LogRecord[] = [];
  const log = createLogger({ enabled: () => true, write: (record) => void logs.push(record) });
  const server = new HttpServer({ address: "127.0.0.1", port: 0, log, ...options });
  routes(server);
  const { port } = await server.listen();
  t.after(() => server.close(0));
  return { server, port, logs };
}

function ask(
  port: number,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: Uint8Array; tls?: object } = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const { method = options.body === undefined ? "GET" : "POST", headers = {}, body, tls } = options;
    const request = (tls ? httpsRequest : httpRequest)(
      { host: "127.0.0.1", port, path, method, headers, agent: false, ...tls },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, body: text }));
        response.on("error", reject);
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

const echo = async (request: ServedRequest) => ({ status: 200, body: await request.content(1000, 100_000) });

test("routes by method and path; HEAD, 404 and 405", async (t) => {
  const { port } = await start(t, {}, (server) =>
    server
      .route("GET", "/one", ({ query }) => ({ status: 200, headers: { "x-a": "b" }, body: `one ${query.get("q")}` }))
      .route("POST|PUT", "/one", () => ({ status: 204, body: "" }))
      .route("*", "/api/*", ({ method, path }) => ({ status: 200, body: `${method} ${path}` }))
      .route("GET", "/api/deep/*", () => ({ status: 200, body: "deep" })),
  );
  assert.deepEqual((await ask(port, "/one?q=a%20b")).body, "one a b");
  const head = await ask(port, "/one?q=1", { method: "HEAD" });
  assert.deepEqual([head.status, head.body, head.headers["content-length"], head.headers["x-a"]], [200, "", "5", "b"]);
  assert.equal((await ask(port, "/one", { method: "PUT" })).status, 204);
  const wrong = await ask(port, "/one", { method: "DELETE" });
  assert.deepEqual([wrong.status, wrong.headers.allow], [405, "GET, HEAD, POST, PUT"]);
  assert.equal((await ask(port, "/api/x/y", { method: "DELETE" })).body, "DELETE /api/x/y");
  assert.equal((await ask(port, "/api/deep/x")).body, "deep");
  assert.equal((await ask(port, "/api/deep/x", { method: "POST" })).body, "POST /api/deep/x");
  assert.equal((await ask(port, "/none")).status, 404);
});

test("bodies: each encoding, limits before and after decompression, damage, unknown encodings", async (t) => {
  const { port } = await start(t, {}, (server) => server.route("POST", "/", echo));
  const text = Buffer.alloc(50_000, "abc");
  const send = (body: Uint8Array, encoding?: string) =>
    ask(port, "/", { body, headers: encoding === undefined ? {} : { "content-encoding": encoding } });
  const encoded = [
    ["gzip", gzipSync(text)],
    ["deflate", deflateSync(text)],
    ["zstd", zstdCompressSync(text)],
  ] as const;
  for (const [encoding, body] of encoded) assert.equal((await send(body, encoding)).body, text.toString(), encoding);
  assert.equal((await send(compress(Buffer.from("short")), "snappy")).body, "short");
  assert.equal((await send(Buffer.from("plain"))).body, "plain");
  const large = await send(Buffer.alloc(2_000_000));
  assert.deepEqual([large.status, large.body], [413, "the request body is larger than the 1000 bytes allowed\n"]);
  const bomb = Buffer.alloc(900_000);
  for (const [encoding, body] of [
    ["gzip", gzipSync(bomb)],
    ["zstd", zstdCompressSync(bomb)],
    ["deflate", deflateSync(bomb)],
    ["snappy", Uint8Array.from([0x80, 0x80, 0x80, 0x80, 0x08, 0])],
  ] as const) {
    assert.equal((await send(body, encoding)).status, 413, encoding);
  }
  for (const encoding of ["gzip", "zstd", "deflate", "snappy"]) {
    assert.equal((await send(Buffer.from("damaged!"), encoding)).status, 400, encoding);
  }
  assert.equal((await send(Buffer.from("x"), "br")).status, 415);
  const chunked = await ask(port, "/", { body: Buffer.alloc(5000), headers: { "transfer-encoding": "chunked" } });
  assert.equal(chunked.status, 413);
});

test("errors become statuses", async (t) => {
  const errors = [
    new HttpError(409, "conflict", { "x-why": "test" }),
    new RetryableError("the queue is full", { retryAfterMs: 2500 }),
    new PermanentError("line_too_long", "a line is too long"),
    new Error("internal detail"),
  ];
  const { port, logs } = await start(t, {}, (server) =>
    server.route("GET", "/*", ({ path }) => {
      throw errors[Number(path.slice(1))];
    }),
  );
  const answers = await Promise.all(errors.map((_, i) => ask(port, `/${i}`)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [409, 503, 400, 500],
  );
  assert.equal(answers[0]!.headers["x-why"], "test");
  assert.equal(answers[1]!.headers["retry-after"], "3");
  assert.equal(answers[2]!.body, "a line is too long\n");
  assert.doesNotMatch(answers[3]!.body, /detail/);
  assert.equal(logs.length, 1);
});

test("basic authentication with path filters, as Alloy's http block has them", async (t) => {
  const routes = (server: HttpServer) => server.route("GET", "/*", () => ({ status: 200, body: "in" }));
  const credentials = (text: string) => ({
    headers: { authorization: `Basic ${Buffer.from(text).toString("base64")}` },
  });
  const all = await start(t, { guard: basicAuthGuard("me", "pa:ss") }, routes);
  assert.equal((await ask(all.port, "/a", credentials("me:pa:ss"))).status, 200);
  for (const wrong of ["me:pa", "you:pa:ss", "", "me", "me:"]) {
    const answer = await ask(all.port, "/a", credentials(wrong));
    assert.deepEqual([answer.status, answer.headers["www-authenticate"]], [401, 'Basic realm="Restricted"'], wrong);
  }
  assert.equal((await ask(all.port, "/a")).status, 401);
  const some = await start(
    t,
    { guard: basicAuthGuard("me", "x", { paths: ["/api"], authenticateMatching: true }) },
    routes,
  );
  assert.deepEqual([(await ask(some.port, "/api/v")).status, (await ask(some.port, "/metrics")).status], [401, 200]);
  const others = await start(
    t,
    { guard: basicAuthGuard("me", "x", { paths: ["/metrics"], authenticateMatching: false }) },
    routes,
  );
  assert.deepEqual(
    [(await ask(others.port, "/api/v")).status, (await ask(others.port, "/metrics")).status],
    [401, 200],
  );
});

function closedAfter(socket: Socket): Promise<{ text: string; ms: number }> {
  const began = performance.now();
  let text = "";
  return new Promise((resolve) => {
    socket.on("data", (chunk) => (text += chunk));
    socket.on("error", () => {});
    socket.once("close", () => resolve({ text, ms: performance.now() - began }));
  });
}

test("slow clients are cut off: headers, body, answers that take too long, idle connections", async (t) => {
  const options = { headerTimeoutMs: 100, readTimeoutMs: 200, writeTimeoutMs: 150, idleTimeoutMs: 100 };
  const { port } = await start(t, options, (server) =>
    server
      .route("POST", "/", echo)
      .route("GET", "/slow", () => new Promise(() => {}))
      .route("GET", "/", () => ({ status: 200, body: "x" })),
  );
  const silent = connect(port, "127.0.0.1");
  silent.write("GET / HT");
  const body = connect(port, "127.0.0.1");
  body.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc");
  const idle = connect(port, "127.0.0.1");
  idle.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  const answers = await Promise.all([silent, body, idle].map(closedAfter));
  for (const { ms } of answers) assert.ok(ms < 30_000, `${ms} ms`);
  assert.match(answers[2]!.text, /200 OK/);
  await assert.rejects(ask(port, "/slow"), /socket hang up|ECONNRESET/);
});

test("connections beyond the limit are refused", async (t) => {
  const { port } = await start(t, { maxConnections: 2 }, (server) =>
    server.route("GET", "/", () => ({ status: 200, body: "x" })),
  );
  const held = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
  await Promise.all(held.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  await assert.rejects(ask(port, "/"));
  for (const socket of held) socket.destroy();
  for (let i = 0; ; i++) {
    const answer = await ask(port, "/").catch(() => undefined);
    if (answer?.status === 200) break;
    assert.ok(i < 50);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
});

test("closing waits for requests under way, refuses new ones, and ends the rest after the grace", async (t) => {
  let release = () => {};
  const { server, port } = await start(t, {}, (routes) =>
    routes
      .route("GET", "/wait", async () => {
        await new Promise<void>((resolve) => (release = resolve));
        return { status: 200, body: "done" };
      })
      .route(
        "GET",
        "/forever",
        (_, signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      ),
  );
  const waiting = ask(port, "/wait");
  const forever = assert.rejects(ask(port, "/forever"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const closed = server.close(300);
  await assert.rejects(ask(port, "/wait"), /ECONNREFUSED/);
  release();
  assert.equal((await waiting).body, "done");
  await closed;
  await forever;
});

test("answers are streamed, and the stream ends when the client goes", async (t) => {
  let ended = 0;
  const { port } = await start(t, { writeTimeoutMs: 0 }, (server) =>
    server.route("GET", "/", (_, signal) => ({
      status: 200,
      body: (async function* () {
        try {
          for (let i = 0; !signal.aborted; i++) {
            yield `line ${i}\n`;
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        } finally {
          ended += 1;
        }
      })(),
    })),
  );
  await new Promise<void>((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, agent: false }, (response) => {
      let text = "";
      response.on("error", () => {});
      response.on("data", (chunk) => {
        text += chunk;
        if (!text.includes("line 2")) return;
        request.destroy();
        resolve();
      });
    });
    request.on("error", reject).end();
  });
  for (let i = 0; ended === 0; i++) {
    assert.ok(i < 200);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

test("HTTP/2 without TLS beside HTTP/1.1 on one port", async (t) => {
  const { port } = await start(t, { http2: { settings: {}, idleMs: 0 } }, (server) => server.route("POST", "/", echo));
  assert.equal((await ask(port, "/", { body: Buffer.from("one") })).body, "one");
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":method": "POST", ":path": "/", "content-encoding": "gzip" });
  stream.end(gzipSync("two"));
  let status: unknown;
  stream.on("response", (headers) => (status = headers[":status"]));
  let text = "";
  for await (const chunk of stream) text += chunk;
  session.close();
  assert.deepEqual([status, text], [200, "two"]);
});

test("TLS: each way to ask for client certificates, versions and ciphers", async (t) => {
  const authority = createAuthority();
  const other = createAuthority("Other CA");
  const own = authority.issue({});
  const enter = async (clientAuth: ClientAuthType, certificate: { cert: string; key: string } | undefined) => {
    const tls = {
      cert: own.cert,
      certFile: "",
      key: own.key,
      keyFile: "",
      clientCa: authority.cert,
      clientCaFile: "",
      clientAuth,
      cipherSuites: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"],
      minVersion: undefined,
    };
    const { server, port } = await start(t, { tls }, (routes) =>
      routes.route("GET", "/", () => ({ status: 200, body: "in" })),
    );
    const answer = await ask(port, "/", { tls: { ca: authority.cert, ...certificate } }).catch(() => undefined);
    await server.close(0);
    return answer?.body === "in";
  };
  const good = authority.issue({ names: [] });
  const bad = other.issue({ names: [] });
  const expected: Record<ClientAuthType, [none: boolean, bad: boolean, good: boolean]> = {
    NoClientCert: [true, true, true],
    RequestClientCert: [true, true, true],
    RequireAnyClientCert: [false, true, true],
    VerifyClientCertIfGiven: [true, false, true],
    RequireAndVerifyClientCert: [false, false, true],
  };
  for (const [type, outcome] of Object.entries(expected)) {
    const entered = [];
    for (const each of [undefined, bad, good]) entered.push(await enter(type as ClientAuthType, each));
    assert.deepEqual(entered, outcome, type);
  }
  assert.match(opensslCiphers(["TLS_RSA_WITH_AES_256_CBC_SHA"]), /:AES256-SHA$/);
  assert.throws(() => opensslCiphers(["TLS_NONSENSE"]), /TLS_NONSENSE is not supported/);
});

test("an address that cannot be used is refused in words", async (t) => {
  const { port } = await start(t, {}, () => {});
  const log = createLogger({ enabled: () => false, write: () => {} });
  const second = new HttpServer({ address: "127.0.0.1", port, log });
  await assert.rejects(second.listen(), /cannot listen on 127.0.0.1:\d+: another program listens there/);
  await second.close(0);
});
