import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { verifySignature } from "#kits/aws.testing";
import { startComponent } from "#pipeline/testing";
import remoteWrite from "./prometheus.remote_write.ts";
import { batchOf, endpoint, folder, receiver } from "./testing.ts";

const CLIENT = "11111111-2222-3333-4444-555555555555";

async function start(t: TestContext, config: string) {
  const component = await startComponent(remoteWrite, config, { dataPath: await folder(t) });
  cleanUp(t, () => component.stop());
  const samples = [{ labels: { __name__: "up" }, value: 1 }];
  await component.exports.receiver.consume(batchOf(component.services.series, samples), new AbortController().signal);
  return component;
}

/** Gives a token to those who log in with the secret. */
async function startLogin(t: TestContext) {
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    const form = new URLSearchParams(await text(request));
    asked.push(`${request.url} ${form.get("client_id")} ${form.get("scope")}`);
    const isRight = form.get("client_secret") === "right";
    const refusal = { error: "invalid_client", error_description: "AADSTS7000215: Invalid client secret." };
    response.writeHead(isRight ? 200 : 401);
    response.end(JSON.stringify(isRight ? { access_token: "azure-token", expires_in: 3_600 } : refusal));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  const before = process.env.AZURE_AUTHORITY_HOST;
  process.env.AZURE_AUTHORITY_HOST = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  cleanUp(t, () => {
    if (before === undefined) delete process.env.AZURE_AUTHORITY_HOST;
    else process.env.AZURE_AUTHORITY_HOST = before;
  });
  return asked;
}

test("sigv4: each request is signed over its body, for Amazon's Prometheus unless another service is named", async (t) => {
  const { url, requests } = await receiver(t);
  const sigv4 = (more: string) =>
    `sigv4 {\nregion = "eu-central-1"\naccess_key = "AKID"\nsecret_key = "secret"\n${more}\n}`;
  await start(t, endpoint(url, sigv4("")));
  await start(t, endpoint(url, sigv4('service_name = "other"')));
  await until(() => requests.length >= 2, "both have sent");
  const services = requests.map(({ method, path, headers, raw }) =>
    verifySignature({ method, url: path, headers }, raw, "secret"),
  );
  assert.deepEqual(services.map(({ accessKey, region, service }) => `${accessKey} ${region} ${service}`).sort(), [
    "AKID eu-central-1 aps",
    "AKID eu-central-1 other",
  ]);
});

test("azuread: the token of the login is sent, for Azure Monitor unless another scope is set", async (t) => {
  const asked = await startLogin(t);
  const { url, requests } = await receiver(t);
  const oauth = `oauth {\nclient_id = "${CLIENT}"\nclient_secret = "right"\ntenant_id = "example.org"\n}`;
  await start(t, endpoint(url, `azuread {\n${oauth}\n}`));
  await start(t, endpoint(url, `azuread {\ncloud = "AzureChina"\nscope = "api://mine/.default"\n${oauth}\n}`));
  await until(() => requests.length >= 2, "both have sent");
  for (const { headers } of requests) assert.equal(headers.authorization, "Bearer azure-token");
  assert.deepEqual(asked.sort(), [
    `/example.org/oauth2/v2.0/token ${CLIENT} api://mine/.default`,
    `/example.org/oauth2/v2.0/token ${CLIENT} https://monitor.azure.com//.default`,
  ]);
});

test("a login that is refused holds samples back, and says why without the secret", async (t) => {
  await startLogin(t);
  const { url, state } = await receiver(t);
  const oauth = `oauth {\nclient_id = "${CLIENT}"\nclient_secret = "hush"\ntenant_id = "t"\n}`;
  const component = await start(t, endpoint(url, `azuread {\n${oauth}\n}`));
  await until(() => component.flow.status.state === "failing", "it shows");
  assert.match(
    component.flow.status.cause,
    /Azure gives no token \(client secret: .*AADSTS7000215: Invalid client secret/,
  );
  assert.ok(!JSON.stringify([component.logs, component.flow.status]).includes("hush"));
  assert.equal(state.asked, 0);
});

test("google_iam: without an identity it says what to set", async (t) => {
  const { url } = await receiver(t);
  const component = await start(t, endpoint(url, 'google_iam {\ncredentials_file = "/nonexistent/key.json"\n}'));
  await until(() => component.flow.status.state === "failing", "it shows");
  assert.match(component.flow.status.cause, /Google gives no token: .*ENOENT.*Set `credentials_file`/);
});

for (const [block, problem] of [
  ['sigv4 {\naccess_key = "only"\n}', /`access_key` and `secret_key` must be set together/],
  ['sigv4 {\nexternal_id = "x"\n}', /`external_id` can only be used with `role_arn`/],
  ["sigv4 { }\ngoogle_iam { }", /at most one of sigv4, azuread, google_iam, basic_auth/],
  ['sigv4 { }\nbearer_token = "t"', /at most one of sigv4/],
  ["azuread { }", /exactly one of them/],
  ['azuread {\nmanaged_identity {\nclient_id = "me"\n}\n}', /`client_id` is no UUID/],
  [`azuread {\nsdk {\ntenant_id = "a b"\n}\n}`, /`tenant_id` is no tenant/],
  [`azuread {\nscope = "a$b"\nsdk {\ntenant_id = ""\n}\n}`, /`scope` contains characters/],
  [`azuread {\nsdk {\ntenant_id = ""\n}\nmanaged_identity {\nclient_id = "${CLIENT}"\n}\n}`, /exactly one of them/],
] as const) {
  test(`refused: ${block.replaceAll("\n", " ")}`, async () => {
    await assert.rejects(startComponent(remoteWrite, endpoint("http://127.0.0.1:1/", block)), problem);
  });
}
