import assert from "node:assert/strict";
import { createVerify, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { GoogleIdentity, googleSigner } from "./google-auth.ts";

const SCOPE = "https://www.googleapis.com/auth/monitoring.write";
const REQUEST = { method: "POST", url: new URL("https://monitoring.example/v1/write"), headers: {}, body: "" };
const { signal } = new AbortController();

test("a service account's key is exchanged for a token, once", async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  let asked = 0;
  const server = createServer(async (request, response) => {
    const assertion = new URLSearchParams(await text(request)).get("assertion")!;
    const [header, claims, signature] = assertion.split(".") as [string, string, string];
    const verify = createVerify("RSA-SHA256").update(`${header}.${claims}`);
    assert.ok(verify.verify(publicKey, signature, "base64url"));
    assert.equal(JSON.parse(Buffer.from(claims, "base64url").toString()).scope, SCOPE);
    asked += 1;
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ access_token: "t-1", expires_in: 3600, token_type: "Bearer" }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  const folder = mkdtempSync(join(tmpdir(), "google-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const file = join(folder, "key.json");
  const key = {
    type: "service_account",
    project_id: "p",
    private_key_id: "k",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    client_email: "agent@p.example",
    client_id: "1",
    token_uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
  };
  writeFileSync(file, JSON.stringify(key));
  const sign = googleSigner(SCOPE, file);
  for (let i = 0; i < 2; i++) assert.equal((await sign(REQUEST, signal)).authorization, "Bearer t-1");
  assert.equal(asked, 1);
});

test("where there is no file the machine's metadata give a token", async (t) => {
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://local");
    const isRight =
      request.headers["metadata-flavor"] === "Google" &&
      url.pathname === "/computeMetadata/v1/instance/service-accounts/default/token" &&
      url.searchParams.get("scopes") === SCOPE;
    response.writeHead(isRight ? 200 : 404).end(JSON.stringify({ access_token: "machine", expires_in: 100 }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const sign = googleSigner(SCOPE, "", { HOME: "/nonexistent", GCE_METADATA_HOST: host });
  assert.equal((await sign(REQUEST, signal)).authorization, "Bearer machine");
});

test("a file that is missing or no key is said, with what to do", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "google-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "empty.json"), "{}");
  writeFileSync(join(folder, "other.json"), '{"type":"external_account"}');
  for (const [name, problem] of [
    ["gone.json", "ENOENT"],
    ["empty.json", "empty.json has no `type`"],
    ["other.json", 'is of the type "external_account"; it has to be "service_account"'],
  ] as const) {
    await assert.rejects(googleSigner(SCOPE, join(folder, name))(REQUEST, signal), ({ message }) => {
      assert.ok(message.startsWith("Google gives no token: ") && message.includes(problem), message);
      assert.match(message, /Set `credentials_file` to the key of a service account/);
      return true;
    });
  }
});

const jwt = (claims: object) => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;

test("the machine's metadata give identity tokens and the project", async (t) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url!, "http://local");
    asked.push(url.pathname.replace("/computeMetadata/v1/", ""));
    if (url.pathname.endsWith("/project-id")) response.end("shop-1");
    else response.end(jwt({ aud: url.searchParams.get("audience"), exp: Date.now() / 1_000 + 3_600 }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const environment = { HOME: "/nonexistent", GCE_METADATA_HOST: host };
  const identity = new GoogleIdentity({ audience: "https://otlp.example" }, "", environment);
  for (let i = 0; i < 2; i++) {
    const claims = JSON.parse(Buffer.from((await identity.token()).split(".")[1]!, "base64url").toString());
    assert.equal(claims.aud, "https://otlp.example");
  }
  assert.deepEqual(await identity.projects({ project: "mine", quotaProject: "" }), {
    project: "mine",
    quotaProject: "",
  });
  assert.deepEqual(asked, ["instance/service-accounts/default/identity"]);
  assert.deepEqual(await identity.projects({ project: "", quotaProject: "payer" }), {
    project: "shop-1",
    quotaProject: "payer",
  });
  assert.deepEqual(asked, ["instance/service-accounts/default/identity", "project/project-id"]);
});
