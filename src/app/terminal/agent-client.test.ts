import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createAuthority } from "#kits/certificates.testing";
import { parseCommandLine } from "../command-line.ts";
import { AgentClient, CLIENT_FLAGS } from "./agent-client.ts";

async function serve(t: TestContext, handle: RequestListener, tls?: { key: string; cert: string }): Promise<number> {
  const server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const client = (...args: string[]) => AgentClient.fromCommandLine(parseCommandLine(args, CLIENT_FLAGS));

const answer: (body: string, status?: number, type?: string) => RequestListener =
  (body, status = 200, type = "application/json") =>
  (_, response) => {
    response.writeHead(status, { "content-type": type });
    response.end(body);
  };

test("paths: prefix, ids with slashes and odd characters, query; an address without its scheme", async (t) => {
  const paths: string[] = [];
  const port = await serve(t, (request, response) => {
    paths.push(request.url!);
    answer("{}")(request, response);
  });
  await client(`--server=127.0.0.1:${port}`).json("status");
  await client(`--server=http://127.0.0.1:${port}/below/here/`).json("explain/mod.a/loki.write.x y", { a: "1 2" });
  assert.deepEqual(paths, ["/api/v0/web/status", "/below/here/api/v0/web/explain/mod.a/loki.write.x%20y?a=1+2"]);
});

test("name and password: from the flag, the environment, the address", async (t) => {
  const seen: (string | undefined)[] = [];
  const port = await serve(t, (request, response) => {
    seen.push(request.headers.authorization);
    answer("{}")(request, response);
  });
  const basic = (user: string) => `Basic ${Buffer.from(user).toString("base64")}`;
  await client(`--server=http://127.0.0.1:${port}`, "--user=me:pass:word").json("status");
  process.env.INVAR_USER = "env:word";
  t.after(() => void delete process.env.INVAR_USER);
  await client(`--server=http://127.0.0.1:${port}`).json("status");
  delete process.env.INVAR_USER;
  const fromAddress = client(`--server=http://url:p%40ss@127.0.0.1:${port}`);
  await fromAddress.json("status");
  assert.deepEqual(seen, [basic("me:pass:word"), basic("env:word"), basic("url:p@ss")]);
  assert.equal(fromAddress.address, `http://127.0.0.1:${port}`, "the password is not shown");
  assert.throws(() => client("--user=me"), /must be NAME:PASSWORD/);
  assert.throws(() => client("--server=ftp://x"), /--server must be an address such as/);
  assert.throws(() => client("--server=http://"), /--server must be an address such as/);
});

test("each failure says what to do", async (t) => {
  const cases: [RequestListener, RegExp][] = [
    [
      answer("no", 401, "text/plain"),
      /asks for a name and a password: give them with --user NAME:PASSWORD or INVAR_USER/,
    ],
    [
      answer("404 page not found\n", 404, "text/plain"),
      /answers, but not as an agent of this version does: check the address/,
    ],
    [answer("<html>", 200, "text/html"), /answers, but not as an agent of this version does/],
    [answer('there is no component "x"; GET …', 404, "text/plain"), /answers 404: there is no component "x"/],
    [answer("broken", 500, "text/plain"), /answers 500: broken/],
    [answer("{", 200), /broke off its answer/],
    [
      (_, response) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": "100" });
        response.write("{");
        setTimeout(() => response.destroy(), 20);
      },
      /broke off its answer/,
    ],
  ];
  for (const [handle, pattern] of cases) {
    const port = await serve(t, handle);
    await assert.rejects(client(`--server=http://127.0.0.1:${port}`).json("status"), pattern);
  }
  const refused = await serve(t, answer("no", 401));
  await assert.rejects(
    client(`--server=127.0.0.1:${refused}`, "--user=a:b").json("status"),
    /refuses this name and password/,
  );
  await assert.rejects(
    client("--server=127.0.0.1:1").json("status"),
    /no agent answers at http:\/\/127\.0\.0\.1:1 \(.*ECONNREFUSED.*\): is it running\? Give its address with --server/,
  );
});

test("TLS: certificates are checked, against a file of one's own or not at all", async (t) => {
  const authority = createAuthority();
  const folder = mkdtempSync(join(tmpdir(), "invar-client-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, authority.cert);
  const port = await serve(t, answer('{"a":1}'), authority.issue({}));
  const address = `--server=https://localhost:${port}`;
  await assert.rejects(
    client(address).json("status"),
    /the certificate of https:\/\/localhost:\d+ is not trusted \(.*\): .*--ca-file, or --insecure/,
  );
  assert.deepEqual(await client(address, "--insecure").json("status"), { a: 1 });
  assert.deepEqual(await client(address, `--ca-file=${caFile}`).json("status"), { a: 1 });
  await assert.rejects(
    client(`--server=http://localhost:${port}`).json("status"),
    /if it speaks TLS, the address begins with https/,
  );
});

test("lines of a stream as they come, until somebody has enough", async (t) => {
  let closed = false;
  const port = await serve(t, (_, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write('{"n":1}\n{"n"');
    setTimeout(() => response.write(':2}\n{"n":3}'), 20);
    response.on("close", () => void (closed = true));
  });
  const abort = new AbortController();
  const lines: string[] = [];
  for await (const line of client(`--server=127.0.0.1:${port}`).lines("live", {}, abort.signal)) {
    lines.push(line);
    if (lines.length === 2) abort.abort();
  }
  assert.deepEqual(lines, ['{"n":1}', '{"n":2}']);
  for (let i = 0; i < 100 && !closed; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(closed, "the connection is given up");
});
