import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { Secret } from "#lang/value";
import { verifySignature } from "./aws.testing.ts";
import { Aws, type AwsIdentity } from "./aws.ts";
import { clientDefaults, HttpClient } from "./http/client.ts";

const KEYS = { accessKey: "AKIDEXAMPLE", secretKey: new Secret("top/secret+key") };
const NOBODY: AwsIdentity = {
  region: "",
  accessKey: "",
  secretKey: new Secret(""),
  profile: "",
  roleArn: "",
  externalId: "",
  useFips: false,
};

/** Variables of the environment for as long as the test runs; all others of AWS are gone. */
function environment(t: TestContext, variables: Readonly<Record<string, string>>): void {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  Object.assign(process.env, { HOME: "/nonexistent", AWS_EC2_METADATA_DISABLED: "true" }, variables);
  cleanUp(t, () => {
    process.env = before;
  });
}

async function serve(t: TestContext, answer: (request: IncomingMessage, body: Buffer) => string | number) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    try {
      const result = answer(request, Buffer.concat(chunks));
      if (typeof result === "number") response.writeHead(result).end();
      else response.end(result);
    } catch (error) {
      response.writeHead(500).end(String(error));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Sends a signed request and gives who the server says it came from. */
async function whoAmI(t: TestContext, identity: AwsIdentity, secretKey: string, body?: Buffer): Promise<string> {
  const url = await serve(t, (request, content) => {
    const { accessKey, region, service } = verifySignature(request, content, secretKey);
    return `${accessKey} ${region} ${service} ${request.headers["x-amz-security-token"] ?? ""}`.trim();
  });
  const client = HttpClient.create(clientDefaults(), { userAgent: "test", sign: new Aws(identity).signer("aps") });
  cleanUp(t, () => client.close());
  const response = await client.request(
    {
      method: body === undefined ? "GET" : "POST",
      url: `${url}/api//v1/a b/ü%2F?x=1&b=%20y&b=2`,
      headers: { "x-extra": "  some   text " },
      timeoutMs: 10_000,
      ...(body !== undefined && { body }),
    },
    new AbortController().signal,
  );
  return response.body.toString();
}

test("requests are signed as AWS checks them, with a body and without", async (t) => {
  environment(t, {});
  const identity = { ...NOBODY, ...KEYS, region: "eu-west-1" };
  assert.equal(await whoAmI(t, identity, "top/secret+key"), "AKIDEXAMPLE eu-west-1 aps");
  assert.equal(await whoAmI(t, identity, "top/secret+key", Buffer.from([0, 255, 1])), "AKIDEXAMPLE eu-west-1 aps");
  assert.match(await whoAmI(t, identity, "another key"), /signature is wrong/);
});

test("keys and region come from the environment", async (t) => {
  environment(t, {
    AWS_ACCESS_KEY_ID: "ENV",
    AWS_SECRET_ACCESS_KEY: "env-secret",
    AWS_SESSION_TOKEN: "token",
    AWS_REGION: "ap-south-1",
  });
  assert.equal(await whoAmI(t, NOBODY, "env-secret"), "ENV ap-south-1 aps token");
});

test("keys and region come from a profile of the shared files", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "aws-"));
  cleanUp(t, () => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "credentials"), "[team]\naws_access_key_id = FILE\naws_secret_access_key = file-secret\n");
  writeFileSync(join(folder, "config"), "[profile team]\nregion = sa-east-1\n");
  environment(t, {
    AWS_SHARED_CREDENTIALS_FILE: join(folder, "credentials"),
    AWS_CONFIG_FILE: join(folder, "config"),
  });
  assert.equal(await whoAmI(t, { ...NOBODY, profile: "team" }, "file-secret"), "FILE sa-east-1 aps");
});

test("a role is assumed with the keys, and its credentials are kept", async (t) => {
  let asked = 0;
  const sts = await serve(t, (request, body) => {
    assert.equal(verifySignature(request, body, "top/secret+key").service, "sts");
    const form = new URLSearchParams(body.toString());
    assert.equal(form.get("Action"), "AssumeRole");
    assert.equal(form.get("RoleArn"), "arn:aws:iam::1:role/writer");
    assert.equal(form.get("ExternalId"), "outside");
    asked += 1;
    return `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
      <AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>session</SessionToken>
      <Expiration>${new Date(Date.now() + 3_600_000).toISOString()}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;
  });
  environment(t, { AWS_ENDPOINT_URL_STS: sts });
  const role = { roleArn: "arn:aws:iam::1:role/writer", externalId: "outside" };
  const aws = new Aws({ ...NOBODY, ...KEYS, ...role, region: "eu-west-1" });
  const sign = aws.signer("aps");
  const request = { method: "GET", url: new URL("http://h/"), headers: {}, body: undefined };
  for (let i = 0; i < 3; i++) {
    const headers = await sign(request, new AbortController().signal);
    assert.match(headers.authorization!, /Credential=ROLE\//);
    assert.equal(headers["x-amz-security-token"], "session");
  }
  assert.equal(asked, 1);
});

test("the region of the instance is used where nothing names one", async (t) => {
  const metadata = await serve(t, (request) => {
    if (request.method === "PUT") return request.url === "/latest/api/token" ? "t1" : 404;
    return request.headers["x-aws-ec2-metadata-token"] === "t1" ? "us-west-2" : 401;
  });
  environment(t, { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata, AWS_EC2_METADATA_DISABLED: "false" });
  assert.equal(await new Aws(NOBODY).region(), "us-west-2");
});

test("without region or credentials the message says where they can be set", async (t) => {
  environment(t, {});
  await assert.rejects(new Aws(NOBODY).region(), /no AWS region is known: set `region` .*or AWS_REGION/);
  await assert.rejects(
    whoAmI(t, { ...NOBODY, region: "eu-west-1" }, ""),
    /no AWS credentials could be had: .*Set access_key and secret_key/,
  );
});
