import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { Secret } from "#lang/value";
import { AzureTokens } from "./azure-token.ts";

const SCOPES = ["https://hub.servicebus.windows.net/.default"];
const fromEnvironment = (environment: NodeJS.ProcessEnv) =>
  new AzureTokens({ kind: "environment", tenant: "" }, { scopes: SCOPES, environment });

/** Answers as Entra ID and the identity endpoints do, and remembers what it was asked. */
async function startAzure(t: TestContext, status = 200) {
  const asked: { readonly path: string; readonly body: URLSearchParams; readonly metadata: string | undefined }[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const metadata = request.headers.metadata as string | undefined;
    asked.push({ path: request.url!, body: new URLSearchParams(body), metadata });
    response.writeHead(status);
    const refused = { error: "invalid_client", error_description: "AADSTS7000215: Invalid client secret.\nTrace" };
    response.end(
      JSON.stringify(status === 200 ? { access_token: `token ${asked.length}`, expires_in: 3_600 } : refused),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, asked };
}

const LOGIN = { AZURE_TENANT_ID: "tenant", AZURE_CLIENT_ID: "client" };

test("a client secret gives a token, which is kept", async (t) => {
  const { url, asked } = await startAzure(t);
  const tokens = fromEnvironment({ ...LOGIN, AZURE_CLIENT_SECRET: "secret", AZURE_AUTHORITY_HOST: `${url}/` });
  assert.equal(await tokens.token(), "token 1");
  assert.equal(await tokens.token(), "token 1");
  assert.equal(asked.length, 1);
  assert.equal(asked[0]!.path, "/tenant/oauth2/v2.0/token");
  const { grant_type, client_id, client_secret, scope } = Object.fromEntries(asked[0]!.body);
  assert.deepEqual(
    [grant_type, client_id, client_secret, scope],
    ["client_credentials", "client", "secret", SCOPES[0]],
  );
});

test("workload identity logs in with the token in its file", async (t) => {
  const { url, asked } = await startAzure(t);
  const folder = await mkdtemp(join(tmpdir(), "azure-"));
  cleanUp(t, () => rm(folder, { recursive: true }));
  const file = join(folder, "token");
  await writeFile(file, "federated\n");
  const tokens = fromEnvironment({ ...LOGIN, AZURE_FEDERATED_TOKEN_FILE: file, AZURE_AUTHORITY_HOST: url });
  assert.equal(await tokens.token(), "token 1");
  assert.equal(asked[0]!.body.get("client_assertion"), "federated");
});

test("managed identity is asked for the resource", async (t) => {
  const { url, asked } = await startAzure(t);
  const tokens = fromEnvironment({ AZURE_POD_IDENTITY_AUTHORITY_HOST: url });
  assert.equal(await tokens.token(), "token 1");
  const { pathname, searchParams } = new URL(asked[0]!.path, url);
  assert.deepEqual(
    [pathname, searchParams.get("resource")],
    ["/metadata/identity/oauth2/token", "https://hub.servicebus.windows.net"],
  );
  assert.equal(asked[0]!.metadata, "true");
});

test("without a token it is said what was tried, and what to do", async (t) => {
  const { url } = await startAzure(t, 401);
  const environment = {
    ...LOGIN,
    AZURE_CLIENT_SECRET: "secret",
    AZURE_AUTHORITY_HOST: url,
    AZURE_POD_IDENTITY_AUTHORITY_HOST: url,
    PATH: "/nonexistent",
  };
  const error = await fromEnvironment(environment)
    .token()
    .catch((error) => error);
  assert.match(
    String(error),
    /client secret: .*AADSTS7000215: Invalid client secret\.; managed identity: .*; Azure CLI: the program az is not there.*set AZURE_TENANT_ID/,
  );
});

test("credentials of the configuration are used and nothing else, one request for all who wait", async (t) => {
  const { url, asked } = await startAzure(t);
  const options = { scopes: SCOPES, authority: url, environment: { AZURE_POD_IDENTITY_AUTHORITY_HOST: url } };
  const secret = new Secret("s");
  const tokens = new AzureTokens({ kind: "client_secret", tenant: "t1", client: "c1", secret }, options);
  assert.deepEqual(await Promise.all([tokens.token(), tokens.token()]), ["token 1", "token 1"]);
  assert.equal(asked[0]!.path, "/t1/oauth2/v2.0/token");
  assert.equal(asked[0]!.body.get("client_secret"), "s");
  const managed = new AzureTokens({ kind: "managed_identity", client: "c2" }, options);
  assert.equal(await managed.token(), "token 2");
  assert.equal(new URL(asked[1]!.path, url).searchParams.get("client_id"), "c2");
  const missing = { kind: "workload_identity", tenant: "t", client: "c", tokenFile: "/nonexistent/token" } as const;
  await assert.rejects(
    new AzureTokens(missing, options).token(),
    /Azure gives no token \(workload identity: ENOENT.*\): check the ids/,
  );
});
