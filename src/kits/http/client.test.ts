import assert from "node:assert/strict";
import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { Secret } from "#lang/value";
import { createAuthority } from "../certificates.testing.ts";
import { clientDefaults, HttpClient, HttpClientError, type HttpClientOptions, type HttpFailure } from "./client.ts";
import { explainFailure } from "./client-errors.ts";
import { ProxySelector } from "./client-proxy.ts";
import type { HttpClientArguments, Oauth2Arguments } from "./client-schema.ts";

const never = new AbortController().signal;
const authority = createAuthority();
const NO_PROXY_FIELDS = {
  proxy_url: undefined,
  no_proxy: "",
  proxy_from_environment: false,
  proxy_connect_header: undefined,
} as const;

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections?.();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(t, createServer(listener))}`;
}

async function serveTls(t: TestContext, options: ServerOptions, listener: RequestListener): Promise<string> {
  return `https://localhost:${await listen(t, createTlsServer(options, listener))}`;
}

function client(t: TestContext, config: Partial<HttpClientArguments> = {}, options: Partial<HttpClientOptions> = {}) {
  const created = HttpClient.create(
    { ...clientDefaults(), ...config },
    { userAgent: "Test/1", environment: {}, ...options },
  );
  t.after(() => created.close());
  return created;
}

function tlsConfig(config: Partial<HttpClientArguments["tls_config"]>): Pick<HttpClientArguments, "tls_config"> {
  return { tls_config: { ...clientDefaults().tls_config, ...config } };
}

const get = (url: string, timeoutMs = 5000) => ({ method: "GET" as const, url, timeoutMs });

async function textOf(message: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of message) text += chunk;
  return text;
}

async function failure(promise: Promise<unknown>, kind: HttpFailure, message: RegExp): Promise<void> {
  await assert.rejects(promise, (error: unknown) => {
    assert.ok(error instanceof HttpClientError, String(error));
    assert.match(error.message, message);
    assert.equal(error.kind, kind);
    return true;
  });
}

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "http-client-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

test("sends chunks, headers and user agent; reads status, headers and body", async (t) => {
  const url = await serve(t, async (request, response) => {
    response.setHeader("x-two", ["a", "b"]);
    response.statusCode = 202;
    response.end(`${request.method} ${request.url} ${request.headers["user-agent"]} ${await textOf(request)}`);
  });
  const headers = new Map([["X-Configured", [new Secret("1"), new Secret("2")]]]);
  const response = await client(t, { http_headers: headers }).request(
    {
      method: "POST",
      url: `${url}/push?a=b`,
      body: [Buffer.from("one,"), Buffer.from("two")],
      headers: { "content-type": "text/plain" },
      timeoutMs: 5000,
    },
    never,
  );
  assert.equal(response.status, 202);
  assert.equal(response.headers.get("x-two"), "a, b");
  assert.equal(response.body.toString(), "POST /push?a=b Test/1 one,two");
});

test("each kind of authentication, with files read again when they change", async (t) => {
  const seen: (string | undefined)[] = [];
  const url = await serve(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.end();
  });
  const file = join(await folder(t), "secret");
  await writeFile(file, " first\n");
  const none = new Secret("");
  const ask = async (config: Partial<HttpClientArguments>) => {
    await client(t, config).request(get(url), never);
    return seen.pop();
  };
  assert.equal(await ask({}), undefined);
  assert.equal(
    await ask({ basic_auth: { username: "müller", password: new Secret("a:b"), password_file: "" } }),
    `Basic ${Buffer.from("müller:a:b").toString("base64")}`,
  );
  assert.equal(await ask({ bearer_token: new Secret("tok") }), "Bearer tok");
  assert.equal(
    await ask({ authorization: { type: " Digestive ", credentials: new Secret("x"), credentials_file: "" } }),
    "Digestive x",
  );
  assert.equal(
    await ask({ authorization: { type: "", credentials: new Secret("x"), credentials_file: "" } }),
    "Bearer x",
  );
  const watching = client(t, { bearer_token_file: file });
  await watching.request(get(url), never);
  await writeFile(file, "second");
  await utimes(file, new Date(), new Date(Date.now() + 5000));
  await watching.request(get(url), never);
  assert.deepEqual(seen.splice(0), ["Bearer first", "Bearer second"]);
  const missing = { basic_auth: { username: "u", password: none, password_file: `${file}.missing` } };
  await failure(
    client(t, missing).request(get(url), never),
    "authentication",
    /cannot read password_file .*does not exist/,
  );
});

test("OAuth 2.0: one token for many requests, renewed near its end and after a 401; id and secret in header or body", async (t) => {
  let now = 0;
  const asked: string[] = [];
  let headerRefused = false;
  let rejectToken = "";
  const url = await serve(t, async (request, response) => {
    if (request.url === "/token") {
      const body = await textOf(request);
      asked.push(`${request.headers.authorization ?? "none"} ${body}`);
      if (headerRefused && request.headers.authorization !== undefined) {
        response.writeHead(401).end("no header please");
        return;
      }
      response.end(JSON.stringify({ access_token: `t${asked.length}`, token_type: "bearer", expires_in: 60 }));
    } else if (request.url!.startsWith("/refused-token")) {
      response.writeHead(400).end("swordfish is wrong");
    } else {
      if (request.headers.authorization === rejectToken) response.statusCode = 401;
      response.end(request.headers.authorization);
    }
  });
  const oauth2: Oauth2Arguments = {
    ...NO_PROXY_FIELDS,
    client_id: "id with space",
    client_secret: new Secret("s/1"),
    client_secret_file: "",
    scopes: ["a", "b"],
    token_url: `${url}/token`,
    endpoint_params: new Map([["audience", "x"]]),
    tls_config: undefined,
  };
  const http = client(t, { oauth2 }, { now: () => now });
  const ask = async () => (await http.request(get(url), never)).body.toString();
  assert.deepEqual(await Promise.all([ask(), ask()]), ["Bearer t1", "Bearer t1"]);
  const basic = Buffer.from("id+with+space:s%2F1").toString("base64");
  assert.deepEqual(asked, [`Basic ${basic} grant_type=client_credentials&scope=a+b&audience=x`]);
  now = 51_000;
  assert.equal(await ask(), "Bearer t2");
  rejectToken = "Bearer t2";
  assert.equal(await ask(), "Bearer t2");
  headerRefused = true;
  assert.equal(await ask(), "Bearer t4");
  assert.match(asked.at(-1)!, /^none grant_type=.*&client_id=id\+with\+space&client_secret=s%2F1$/);
  const broken = client(t, { oauth2: { ...oauth2, token_url: `${url}/missing-token?key=hush` } });
  await failure(broken.request(get(url), never), "authentication", /missing-token\?key=xxxxx has no access_token/);
  const wrong = { client_secret: new Secret("swordfish"), token_url: `${url}/refused-token?key=hush` };
  const refused = client(t, { oauth2: { ...oauth2, ...wrong } });
  const said = /refused-token\?key=xxxxx gave no token: status 400: \(secret\) is wrong/;
  await failure(refused.request(get(url), never), "authentication", said);
});

test("redirects: followed up to ten, credentials stay with the host, methods as in Go, or handed to the caller", async (t) => {
  const other = await serve(t, async (request, response) => {
    response.end(
      `${request.method} ${request.headers.authorization} ${request.headers["x-own"]} ${await textOf(request)}`,
    );
  });
  const url = await serve(t, async (request, response) => {
    const [, status, target] = /^\/(\d+)\/(.*)$/.exec(request.url!) ?? [];
    if (status === undefined)
      response.end(`${request.method} ${request.headers.authorization} ${await textOf(request)}`);
    else
      response
        .writeHead(Number(status), {
          location: target === "other" ? `${other}/` : target === "loop" ? request.url! : "/end",
        })
        .end();
  });
  const config = { bearer_token: new Secret("tok"), http_headers: new Map([["x-own", [new Secret("1")]]]) };
  const http = client(t, config);
  const push = async (path: string) =>
    (await http.request({ method: "POST", url: url + path, body: "data", timeoutMs: 5000 }, never)).body.toString();
  assert.equal(await push("/308/end"), "POST Bearer tok data");
  assert.equal(await push("/302/end"), "GET Bearer tok ");
  assert.equal(await push("/307/other"), "POST undefined undefined data");
  await failure(http.request(get(`${url}/302/loop`), never), "redirect", /without an end/);
  const staying = await client(t, { follow_redirects: false }).request(get(`${url}/302/end`), never);
  assert.equal(staying.status, 302);
});

test("bodies: every encoding, limits before and after decompression, damage", async (t) => {
  const content = Buffer.alloc(200_000, "metric 1\n");
  const bodies: Record<string, [encoding: string, body: Buffer]> = {
    "/gzip": ["gzip", gzipSync(content)],
    "/deflate": ["deflate", deflateSync(content)],
    "/raw": ["deflate", deflateRawSync(content)],
    "/zstd": ["zstd", zstdCompressSync(content)],
    "/plain": ["identity", content],
    "/bomb": ["gzip", gzipSync(Buffer.alloc(50_000_000))],
    "/damaged": ["gzip", Buffer.from("no gzip")],
    "/cut": ["zstd", zstdCompressSync(content).subarray(0, 20)],
    "/odd": ["rot13", content],
  };
  const url = await serve(t, (request, response) => {
    const [encoding, body] = bodies[request.url!]!;
    response.setHeader("content-encoding", encoding);
    response.end(body);
  });
  const http = client(t);
  for (const path of ["/gzip", "/deflate", "/raw", "/zstd", "/plain"]) {
    assert.deepEqual((await http.request(get(url + path), never)).body, content, path);
  }
  await failure(
    http.request({ ...get(`${url}/bomb`), maxDecodedBytes: 1e6 }, never),
    "too_large",
    /1000000 bytes allowed after/,
  );
  await failure(http.request({ ...get(`${url}/plain`), maxBytes: 1000 }, never), "too_large", /1000 bytes allowed$/);
  await failure(http.request(get(`${url}/damaged`), never), "encoding", /gzip body is damaged/);
  await failure(http.request(get(`${url}/cut`), never), "encoding", /zstd body is damaged/);
  await failure(http.request(get(`${url}/odd`), never), "encoding", /rot13 is unknown/);
  const cut = await http.request({ ...get(`${url}/plain`), maxBytes: 1000, truncate: true }, never);
  assert.equal(cut.body.length, 1000);
});

test("a server that never answers, stops in the middle or refuses: each in time and in words", async (t) => {
  const url = await serve(t, (request, response) => {
    if (request.url === "/half") response.writeHead(200, { "content-length": "100" }).write("half");
    else if (request.url === "/cut") {
      response.writeHead(200, { "content-length": "100" }).write("half");
      setTimeout(() => response.destroy(), 20);
    }
  });
  const http = client(t);
  await failure(http.request(get(`${url}/never`, 50), never), "timeout", /did not answer within 50ms/);
  await failure(http.request(get(`${url}/half`, 50), never), "timeout", /did not answer within 50ms/);
  await failure(http.request(get(`${url}/cut`), never), "connection", /closed the connection|failed/);
  const abort = new AbortController();
  const aborted = http.request(get(`${url}/never`), abort.signal);
  abort.abort(new Error("the component stops"));
  await assert.rejects(aborted, /the component stops/);
  const free = createServer();
  const port = await listen(t, free);
  await new Promise((resolve) => free.close(resolve));
  await failure(http.request(get(`http://127.0.0.1:${port}`), never), "refused", /nothing listens there/);
  await failure(http.request(get("ftp://x"), never), "configuration", /is no HTTP URL/);
  const noise = createTcpServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
  const noisePort = await listen(t, noise as unknown as Server);
  await failure(http.request(get(`http://127.0.0.1:${noisePort}`), never), "connection", /no valid HTTP|closed/);
  const dns = explainFailure(Object.assign(new Error("x"), { code: "ENOTFOUND" }), new URL("http://nowhere.example"));
  assert.equal(dns.message, "the host nowhere.example is unknown (DNS has no address for it): check the spelling");
});

test("an idle connection that the server closed is replaced without an error", async (t) => {
  let sockets = 0;
  const server = createServer((_, response) => response.end("ok"));
  const held = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets += 1;
    held.add(socket);
  });
  const url = `http://127.0.0.1:${await listen(t, server)}`;
  const http = client(t);
  for (let i = 0; i < 5; i++) {
    const response = await http.request({ method: "POST", url, body: "x", timeoutMs: 5000 }, never);
    assert.equal(response.body.toString(), "ok");
    for (const socket of held) socket.destroy();
    held.clear();
  }
  assert.equal(sockets, 5);
});

test("TLS: trust, names, validity and client certificates, with the reason in words", async (t) => {
  const good = authority.issue({});
  const ok: RequestListener = (request, response) => {
    const subject = (
      request.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } }
    ).getPeerCertificate();
    response.end(`hello ${subject.subject?.CN ?? "stranger"}`);
  };
  const trusted = tlsConfig({ ca_pem: authority.cert });
  const url = await serveTls(t, good, ok);
  assert.equal((await client(t, trusted).request(get(url), never)).body.toString(), "hello stranger");
  await failure(
    client(t).request(get(url), never),
    "tls",
    /not signed by a trusted authority \(issued by Test CA\): set ca_file/,
  );
  const lax = tlsConfig({ insecure_skip_verify: true });
  assert.equal((await client(t, lax).request(get(url), never)).status, 200);

  const expired = await serveTls(t, authority.issue({ notBefore: Date.UTC(2020, 0), notAfter: Date.UTC(2021, 0) }), ok);
  await failure(
    client(t, trusted).request(get(expired), never),
    "tls",
    /has expired on Jan {2}1 00:00:00 2021 GMT: renew it/,
  );
  const early = await serveTls(t, authority.issue({ notBefore: Date.now() + 9e7, notAfter: Date.now() + 9e8 }), ok);
  await failure(client(t, trusted).request(get(early), never), "tls", /not valid before .*check the clock/);
  const elsewhere = await serveTls(t, authority.issue({ names: ["elsewhere.example"] }), ok);
  await failure(
    client(t, trusted).request(get(elsewhere), never),
    "tls",
    /other names: localhost is not among \[elsewhere.example\].*server_name/,
  );
  const named = tlsConfig({ ca_pem: authority.cert, server_name: "elsewhere.example" });
  assert.equal((await client(t, named).request(get(elsewhere), never)).status, 200);
  const plain = (await serve(t, ok)).replace("http:", "https:");
  await failure(client(t, trusted).request(get(plain), never), "tls", /does not speak TLS on this port/);

  const old = await serveTls(t, { ...good, maxVersion: "TLSv1.2" }, ok);
  assert.equal((await client(t, trusted).request(get(old), never)).status, 200);
  const strict = tlsConfig({ ca_pem: authority.cert, min_version: "TLS13" });
  await failure(client(t, strict).request(get(old), never), "tls", /TLS/);

  const mutual = await serveTls(t, { ...good, ca: authority.cert, requestCert: true, rejectUnauthorized: true }, ok);
  const dir = await folder(t);
  const own = authority.issue({ commonName: "agent-1", names: [] });
  await writeFile(join(dir, "cert"), own.cert);
  await writeFile(join(dir, "key"), own.key);
  await writeFile(join(dir, "ca"), authority.cert);
  const files = tlsConfig({ ca_file: join(dir, "ca"), cert_file: join(dir, "cert"), key_file: join(dir, "key") });
  const withFiles = client(t, files);
  assert.equal((await withFiles.request(get(mutual), never)).body.toString(), "hello agent-1");
  const next = authority.issue({ commonName: "agent-2-longer", names: [] });
  await writeFile(join(dir, "cert"), next.cert);
  await writeFile(join(dir, "key"), next.key);
  assert.equal((await withFiles.request(get(mutual), never)).body.toString(), "hello agent-2-longer");
  await rm(join(dir, "key"));
  await failure(withFiles.request(get(mutual), never), "configuration", /cannot read key_file .*does not exist/);
  // With TLS 1.3 the refusal arrives after the handshake, as an alert or as a closed connection.
  await assert.rejects(client(t, trusted).request(get(mutual), never), /certificate/);
  const nonsense = tlsConfig({ ca_pem: "nonsense" });
  await failure(client(t, nonsense).request(get(url), never), "configuration", /ca_pem holds no PEM block/);
});

test("HTTP/2 is used where it is offered and allowed", async (t) => {
  const server = createSecureServer({ ...authority.issue({}), allowHTTP1: true }, (request, response) => {
    response.end(request.httpVersion);
  });
  const port = await listen(t, server as unknown as Server);
  const sessions = new Set<{ close(): void }>();
  server.on("session", (session) => sessions.add(session));
  t.after(() => {
    for (const session of sessions) session.close();
  });
  const config = tlsConfig({ ca_pem: authority.cert });
  const h2 = await client(t, config).request(get(`https://localhost:${port}`), never);
  const h1 = await client(t, { ...config, enable_http2: false }).request(get(`https://localhost:${port}`), never);
  assert.deepEqual([h2.body.toString(), h1.body.toString()], ["2.0", "1.1"]);
});

test("a proxy: absolute URLs for HTTP, CONNECT for HTTPS, with its credentials and headers", async (t) => {
  const seen: string[] = [];
  const proxy = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.host} ${request.headers["proxy-authorization"]}`);
    response.end("by proxy");
  });
  proxy.on("connect", (request, socket: Socket, head) => {
    seen.push(
      `CONNECT ${request.url?.replace(/\d+$/, "port")} ${request.headers["proxy-authorization"]} ${request.headers["x-team"]}`,
    );
    if (request.headers["x-team"] === undefined) return void socket.end("HTTP/1.1 407 Who are you\r\n\r\n");
    const [host, port] = request.url!.split(":") as [string, string];
    const onward = connect(Number(port), host === "target.example" ? "127.0.0.1" : host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.write(head);
      onward.pipe(socket).pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    socket.on("error", () => onward.destroy());
    t.after(() => onward.destroy());
  });
  const address = `http://user:p%40ss@127.0.0.1:${await listen(t, proxy)}`;
  const credentials = `Basic ${Buffer.from("user:p@ss").toString("base64")}`;
  const secure = await serveTls(t, authority.issue({ names: ["target.example"] }), (_, response) =>
    response.end("direct"),
  );
  const target = secure.replace("localhost", "target.example");
  const config = {
    ...tlsConfig({ ca_pem: authority.cert }),
    proxy_url: address,
    proxy_connect_header: new Map([["X-Team", [new Secret("blue")]]]),
  };
  const http = client(t, config);
  assert.equal((await http.request(get("http://far.example/a?b=c"), never)).body.toString(), "by proxy");
  assert.equal((await http.request(get(target), never)).body.toString(), "direct");
  assert.deepEqual(seen.splice(0), [
    `GET http://far.example/a?b=c far.example ${credentials}`,
    `CONNECT target.example:port ${credentials} blue`,
  ]);
  const refused = client(t, { ...config, proxy_connect_header: undefined });
  await failure(
    refused.request(get(target), never),
    "proxy",
    /refused a connection to target.example:\d+ with status 407/,
  );
  const environment = { HTTP_PROXY: address, NO_PROXY: "skipped.example" };
  const fromEnvironment = client(t, { proxy_from_environment: true }, { environment });
  assert.equal((await fromEnvironment.request(get("http://far.example/"), never)).body.toString(), "by proxy");
});

test("proxy_url serves local addresses too, unless there is a no_proxy, as in prometheus/common", () => {
  const proxied = (no_proxy: string) =>
    ProxySelector.from({ ...clientDefaults(), proxy_url: "http://proxy:3128", no_proxy }, {})?.proxyFor(
      new URL("http://localhost:9090"),
    )?.host;
  assert.equal(proxied(""), "proxy:3128");
  assert.equal(proxied("a.example"), undefined);
});

test("no_proxy: hosts, domains, ports, addresses and networks, as Go reads them", () => {
  const proxy = new URL("http://proxy:3128");
  const uses = (noProxy: string, url: string) =>
    new ProxySelector(proxy, proxy, noProxy).proxyFor(new URL(url)) === proxy;
  const cases: [noProxy: string, url: string, proxied: boolean][] = [
    ["", "http://a.example", true],
    ["", "http://localhost:9090", false],
    ["", "http://127.0.0.5", false],
    ["", "http://[::1]:80", false],
    ["*", "http://a.example", false],
    ["a.example", "http://a.example", false],
    ["a.example", "http://b.a.example", false],
    ["a.example", "http://ba.example", true],
    [".a.example", "http://a.example", true],
    [".a.example", "http://b.a.example", false],
    ["*.a.example", "http://b.a.example", false],
    ["x, A.Example:8080 ,y", "http://a.example:8080", false],
    ["a.example:8080", "http://a.example", true],
    ["a.example:443", "https://a.example", false],
    ["10.0.0.0/8", "http://10.20.30.40", false],
    ["10.0.0.0/8", "http://11.20.30.40", true],
    ["192.168.1.7", "http://192.168.1.7:9100", false],
    ["192.168.1.7:80", "http://192.168.1.7:9100", true],
    ["fd00::/8", "http://[fd12::1]", false],
    ["[fd12::1]:80", "http://[fd12::1]", false],
  ];
  for (const [noProxy, url, proxied] of cases) assert.equal(uses(noProxy, url), proxied, `${noProxy} ${url}`);
});
