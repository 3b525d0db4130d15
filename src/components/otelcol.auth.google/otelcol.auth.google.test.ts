import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { startComponent } from "#pipeline/testing";
import google from "./otelcol.auth.google.ts";

/** A key of a service account whose tokens come from a server here; the claims that it was asked with. */
async function serviceAccount(t: TestContext, key: object) {
  const asked: Record<string, unknown>[] = [];
  const server = createServer(async (request, response) => {
    const assertion = new URLSearchParams(await text(request)).get("assertion")!;
    asked.push(JSON.parse(Buffer.from(assertion.split(".")[1]!, "base64url").toString()));
    const claims = Buffer.from(JSON.stringify({ exp: Date.now() / 1_000 + 3_600 })).toString("base64url");
    response.end(JSON.stringify({ access_token: "access", id_token: `h.${claims}.s`, expires_in: 3_600 }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  const folder = mkdtempSync(join(tmpdir(), "google-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const file = join(folder, "key.json");
  const fields = {
    type: "service_account",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    client_email: "agent@shop.example",
    token_uri: `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`,
    ...key,
  };
  writeFileSync(file, JSON.stringify(fields));
  const before = process.env.GOOGLE_APPLICATION_CREDENTIALS;
  process.env.GOOGLE_APPLICATION_CREDENTIALS = file;
  cleanUp(t, () => {
    if (before === undefined) delete process.env.GOOGLE_APPLICATION_CREDENTIALS;
    else process.env.GOOGLE_APPLICATION_CREDENTIALS = before;
  });
  return asked;
}

async function headersOf(t: TestContext, config: string): Promise<Record<string, string>> {
  const component = await startComponent(google, config);
  cleanUp(t, () => component.stop());
  const headers = new Map<string, string>();
  const request = {
    method: "POST",
    url: "https://telemetry.googleapis.com",
    headers,
    body: new Uint8Array(0),
    clientMetadata: undefined,
  };
  await component.exports.handler.client!(request, new AbortController().signal);
  return Object.fromEntries(headers);
}

test("requests bear an access token and the projects that the credentials name", async (t) => {
  const asked = await serviceAccount(t, { project_id: "shop-1", quota_project_id: "payer" });
  assert.deepEqual(await headersOf(t, ""), {
    authorization: "Bearer access",
    "x-goog-project-id": "shop-1",
    "x-goog-user-project": "payer",
  });
  assert.match(String(asked[0]!.scope), /auth\/cloud-platform .*auth\/trace\.append$/);
  const given = await headersOf(t, 'project = "mine"\nquota_project = "me"\nscopes = ["a", "b"]');
  assert.deepEqual([given["x-goog-project-id"], given["x-goog-user-project"]], ["mine", "me"]);
  assert.equal(asked[1]!.scope, "a b");
});

test("identity tokens are for their audience", async (t) => {
  const asked = await serviceAccount(t, { project_id: "shop-1" });
  const headers = await headersOf(t, 'token_type = "id_token"\naudience = "https://otlp.example"');
  assert.match(headers.authorization!, /^Bearer h\..+\.s$/);
  assert.equal(asked[0]!.target_audience, "https://otlp.example");
  await assert.rejects(headersOf(t, 'token_type = "id_token"'), /`audience` must be set/);
});

test("without a project it says what to set", async (t) => {
  await serviceAccount(t, {});
  await assert.rejects(headersOf(t, ""), /no project is known: set `project`, or GOOGLE_CLOUD_PROJECT/);
});
