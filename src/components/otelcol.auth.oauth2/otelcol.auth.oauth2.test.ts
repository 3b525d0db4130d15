import assert from "node:assert/strict";
import { generateKeyPairSync, verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createAuthority } from "#kits/certificates.testing";
import { decodeArguments, startComponent } from "#pipeline/testing";
import oauth2 from "./otelcol.auth.oauth2.ts";

const signal = new AbortController().signal;
const clean: (() => unknown)[] = [];
after(async () => {
  for (const each of clean.reverse()) await each();
});

async function tokenServer(answer: (form: URLSearchParams, count: number) => [status: number, body: string]) {
  const forms: URLSearchParams[] = [];
  const server = http.createServer((request, response) => {
    let text = "";
    request.on("data", (chunk) => {
      text += chunk;
    });
    request.on("end", () => {
      forms.push(new URLSearchParams(text));
      const [status, body] = answer(forms.at(-1)!, forms.length);
      response.writeHead(status, { "content-type": "application/json" }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  clean.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/token`, forms };
}

async function start(config: string) {
  let now = 1_700_000_000_000;
  const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() };
  const component = await startComponent(oauth2, config, { clock });
  clean.push(() => component.stop());
  const header = async () => {
    const headers = new Map<string, string>();
    const request = { method: "POST", url: "", headers, body: new Uint8Array(0), clientMetadata: undefined };
    await component.exports.handler.client!(request, signal);
    return headers.get("authorization");
  };
  return { header, pass: (ms: number) => void (now += ms) };
}

test("fetches a token once for all, and again before it expires", async () => {
  const { url, forms } = await tokenServer((_form, count) => [
    200,
    `{"access_token":"t${count}","token_type":"bearer","expires_in":100}`,
  ]);
  const { header, pass } = await start(
    `client_id = "id"\nclient_secret = "s&c"\ntoken_url = "${url}"\nscopes = ["a", "b"]\nendpoint_params = { "audience" = ["x", "y"] }\nexpiry_buffer = "0s"`,
  );
  assert.deepEqual(await Promise.all([header(), header(), header()]), ["Bearer t1", "Bearer t1", "Bearer t1"]);
  assert.equal(
    forms[0]!.toString(),
    "grant_type=client_credentials&client_id=id&client_secret=s%26c&scope=a+b&audience=x&audience=y",
  );
  pass(89_000);
  assert.equal(await header(), "Bearer t1");
  pass(2_000);
  assert.equal(await header(), "Bearer t2");
  assert.equal(forms.length, 2);
});

test("unless told otherwise it replaces a token five minutes before its expiry", async () => {
  const { url } = await tokenServer((_form, count) => [200, `{"access_token":"t${count}","expires_in":3600}`]);
  const { header, pass } = await start(`client_id = "id"\nclient_secret = "s"\ntoken_url = "${url}"`);
  assert.equal(await header(), "Bearer t1");
  pass(3_299_000);
  assert.equal(await header(), "Bearer t1");
  pass(1_000);
  assert.equal(await header(), "Bearer t2");
});

test("certificates are read again after the interval", async () => {
  const authority = createAuthority();
  const server = https.createServer(authority.issue({}), (_, response) => void response.end('{"access_token":"t"}'));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const folder = mkdtempSync(join(tmpdir(), "oauth2-"));
  clean.push(() => {
    rmSync(folder, { recursive: true });
    server.close().closeAllConnections();
  });
  const ca = join(folder, "ca.pem");
  writeFileSync(ca, createAuthority().cert);
  const config = (interval: string) =>
    `client_id = "id"\nclient_secret = "s"\ntoken_url = "https://127.0.0.1:${(server.address() as { port: number }).port}"\n` +
    `tls {\nca_file = "${ca}"\nreload_interval = "${interval}"\n}`;
  const [once, often] = [await start(config("0s")), await start(config("1m"))];
  for (const { header } of [once, often]) await assert.rejects(header(), /no token from .*certificate/);
  writeFileSync(ca, authority.cert);
  await assert.rejects(often.header(), /certificate/);
  for (const { pass } of [once, often]) pass(60_000);
  await assert.rejects(once.header(), /certificate/);
  assert.equal(await often.header(), "Bearer t");
});

test("a refusal says what was refused and nothing secret; the next request tries again", async () => {
  const { url } = await tokenServer((form, count) =>
    count === 1
      ? [401, `{"error":"invalid_client","hint":"${form.get("client_secret")}"}`]
      : [200, '{"access_token":"t"}'],
  );
  const { header } = await start(
    `client_id = "id"\nclient_secret = "hush"\ntoken_url = "${url.replace("//", "//me:hush@")}?code=hush"`,
  );
  await assert.rejects(header(), (error: Error) => {
    const shown = `${url.replace("//", "//me:xxxxx@")}?code=xxxxx`;
    assert.equal(error.message, `no token from ${shown}: HTTP status 401, invalid_client`);
    return true;
  });
  assert.equal(await header(), "Bearer t");
});

test("signs JWTs for the jwt-bearer grant", async () => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { url, forms } = await tokenServer(() => [200, '{"access_token":"t"}']);
  const pem = String(privateKey.export({ type: "pkcs8", format: "pem" }))
    .trim()
    .replaceAll("\n", "\\n");
  const { header } = await start(
    `client_id = "id"\ntoken_url = "${url}"\ngrant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer"\n` +
      `client_certificate_key = "${pem}"\nclient_certificate_key_id = "k1"\nsignature_algorithm = "ES256"\nclaims = { "n" = 7 }`,
  );
  assert.equal(await header(), "Bearer t");
  const [head, payload, signature] = forms[0]!.get("assertion")!.split(".") as [string, string, string];
  const decode = (part: string) => JSON.parse(Buffer.from(part, "base64url").toString());
  assert.deepEqual(decode(head), { alg: "ES256", typ: "JWT", kid: "k1" });
  assert.partialDeepStrictEqual(decode(payload), { n: 7, iss: "id", sub: "id", aud: url, iat: 1_700_000_000 });
  const key = { key: publicKey, dsaEncoding: "ieee-p1363" } as const;
  assert.ok(verify("sha256", Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, "base64url")));
});

test("insecure beside https:// does nothing, which is said", () => {
  const told = (url: string) => {
    const config = `client_id = "a"\nclient_secret = "b"\ntoken_url = "${url}"\ntls {\ninsecure = true\n}`;
    const args = decodeArguments(oauth2, config);
    return oauth2.args.suspicions.flatMap((find) => find(args)).map(({ field, message }) => `${field} ${message}`);
  };
  assert.deepEqual(told("https://x"), [
    "tls has `insecure`, which has no effect: https:// in the URL says that TLS is used",
  ]);
  assert.deepEqual(told("http://x"), []);
});

test("what is missing is said at the start", async () => {
  await assert.rejects(start('token_url = "http://x"'), /`client_id` or `client_id_file` is required/);
  await assert.rejects(start('client_id = "a"\ntoken_url = "http://x"'), /`client_secret` or/);
  await assert.rejects(start('client_id = "a"\nclient_secret = "b"\ntoken_url = "x"'), /must be a URL/);
});
