import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { createAuthority, type TestCertificate } from "../certificates.testing.ts";
import { clientDefaults, HttpClient, HttpClientError } from "./client.ts";
import type { HttpClientArguments } from "./client-schema.ts";

const DAY_MS = 86_400_000;
const authority = createAuthority("Our CA");
const stranger = createAuthority("Other CA");
const good = authority.issue({ commonName: "backend" });
const stale = { notBefore: Date.now() - 3 * DAY_MS, notAfter: Date.now() - DAY_MS };

async function serve(t: TestContext, options: ServerOptions): Promise<number> {
  const server = createHttpsServer(options, (_, response) => response.end("ok"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** What a request with these TLS settings fails with; "" if it does not. */
async function failure(t: TestContext, url: string, tls: Partial<HttpClientArguments["tls_config"]>): Promise<string> {
  const defaults = clientDefaults();
  const client = HttpClient.create({ ...defaults, tls_config: { ...defaults.tls_config, ...tls } }, { userAgent: "t" });
  t.after(() => client.close());
  try {
    await client.request({ method: "GET", url, timeoutMs: 10_000 }, new AbortController().signal);
    return "";
  } catch (error) {
    assert.ok(error instanceof HttpClientError, String(error));
    return error.message;
  }
}

/** A client certificate as settings; the key's own type hides its text. */
function own({ cert, key }: TestCertificate): Partial<HttpClientArguments["tls_config"]> {
  return { ca_pem: authority.cert, cert_pem: cert, key_pem: { reveal: () => key } as never };
}

test("a server's own certificate in place of the authority's is trusted as in Go, another server's is named", async (t) => {
  const url = `https://127.0.0.1:${await serve(t, good)}`;
  assert.equal(await failure(t, url, { ca_pem: good.cert }), "");
  assert.match(
    await failure(t, url, { ca_pem: authority.issue({ commonName: "neighbour" }).cert }),
    /not signed by a trusted authority \(issued by Our CA\): ca_pem holds a server's certificate \(CN=neighbour\), not that of/,
  );
  assert.match(await failure(t, url, { ca_pem: stranger.cert }), /\(issued by Our CA\): ca_pem holds CN=Other CA$/);
});

test("names: those of the certificate are listed beside the one that was asked for", async (t) => {
  const port = await serve(t, authority.issue({ names: ["loki.mon.svc", "loki"] }));
  assert.match(
    await failure(t, `https://127.0.0.1:${port}`, { ca_pem: authority.cert }),
    /is for other names: 127\.0\.0\.1 is not among \[loki\.mon\.svc, loki\]; ask for one of these or set server_name to it/,
  );
  const named = { ca_pem: authority.cert, server_name: "lokki" };
  assert.match(await failure(t, `https://127.0.0.1:${port}`, named), /lokki is not among \[loki\.mon\.svc, loki\]/);
});

test("client certificates: missing, expired and not trusted", async (t) => {
  const asks = { ...good, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const url = `https://127.0.0.1:${await serve(t, { ...asks, maxVersion })}`;
    assert.match(await failure(t, url, { ca_pem: authority.cert }), /asks for a client certificate, set cert_file/);
    assert.equal(await failure(t, url, own(authority.issue({ commonName: "me" }))), "");
    const expired = await failure(t, url, own(authority.issue({ commonName: "me", ...stale })));
    assert.match(expired, /the certificate in cert_pem \(CN=me\) expired on 20\d\d-\d\d-\d\d: renew it/);
    const foreign = await failure(t, url, own(stranger.issue({ commonName: "me" })));
    assert.match(foreign, /may not trust the certificate in cert_pem \(CN=me\)/);
  }
});

test("certificates and keys that cannot be used are found before a connection is made", async (t) => {
  const url = "https://127.0.0.1:1";
  const other = authority.issue({});
  assert.match(
    await failure(t, url, own({ cert: good.cert, key: other.key })),
    /^key_pem is not the key of the certificate in cert_pem \(CN=backend\)$/,
  );
  assert.match(
    await failure(t, url, own({ cert: good.key, key: good.cert })),
    /^cert_pem holds no PEM block of the type CERTIFICATE: what it holds is a PRIVATE KEY$/,
  );
  assert.match(
    await failure(t, url, own({ cert: good.cert, key: good.cert })),
    /^key_pem holds no private key in PEM$/,
  );
  const locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nabc\n-----END ENCRYPTED PRIVATE KEY-----\n";
  assert.match(await failure(t, url, own({ cert: good.cert, key: locked })), /key_pem is protected by a passphrase/);
  const torn = "-----BEGIN CERTIFICATE-----\nabcd\n-----END CERTIFICATE-----\n";
  assert.match(await failure(t, url, { ca_pem: torn }), /^ca_pem: its certificate cannot be read/);
  assert.match(await failure(t, url, { ca_pem: "-" }), /^ca_pem holds no PEM block .*: it is no PEM file$/);
});

test("an expired authority is told apart from an expired server", async (t) => {
  const url = `https://127.0.0.1:${await serve(t, authority.issue(stale))}`;
  assert.match(
    await failure(t, url, { ca_pem: authority.cert }),
    /the certificate of 127.* has expired on .*: renew it/,
  );
});

test("TLS on a plain port and the reverse", async (t) => {
  const secure = await serve(t, good);
  assert.match(await failure(t, `http://127.0.0.1:${secure}`, {}), /; if it wants TLS, use https:\/\//);
  const plain = createHttpServer((_, response) => response.end("ok"));
  await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
  t.after(() => plain.close());
  const { port } = plain.address() as AddressInfo;
  assert.match(await failure(t, `https://127.0.0.1:${port}`, {}), /does not speak TLS on this port: use http:\/\//);
});

test("a server that has answered before only closed the connection", async (t) => {
  let asked = 0;
  const server = createHttpServer((request, response) => {
    asked += 1;
    if (asked === 1) response.end("ok");
    else request.socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = HttpClient.create(clientDefaults(), { userAgent: "t" });
  t.after(() => client.close());
  const ask = () => client.request({ method: "POST", url, body: "x", timeoutMs: 10_000 }, new AbortController().signal);
  await ask();
  await assert.rejects(ask(), /closed the connection before it answered \([^)]*\)$/);
});
