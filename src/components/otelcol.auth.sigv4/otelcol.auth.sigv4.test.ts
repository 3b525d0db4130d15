import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { verifySignature } from "#kits/aws.testing";
import { clientAuth } from "#kits/otelcol/auth";
import { startComponent } from "#pipeline/testing";
import sigv4 from "./otelcol.auth.sigv4.ts";

const SECRET = "wJalrXUtnFEMI";

/** Credentials where AWS's programs look for them. */
function credentials(t: TestContext): void {
  const values = { AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: SECRET, AWS_EC2_METADATA_DISABLED: "true" };
  for (const [name, value] of Object.entries(values)) {
    const before = process.env[name];
    process.env[name] = value;
    cleanUp(t, () => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
  }
}

async function handler(config: string) {
  const component = await startComponent(sigv4, config);
  return { component, value: component.exports.handler };
}

test("requests bear a signature that AWS would accept", async (t) => {
  credentials(t);
  const seen: unknown[] = [];
  const server = createServer(async (request, response) => {
    try {
      seen.push(verifySignature(request, await buffer(request), SECRET));
      response.end();
    } catch (error) {
      seen.push(String(error));
      response.writeHead(403).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  const { component, value } = await handler('region = "eu-west-1"\nservice = "xray"');
  cleanUp(t, () => component.stop());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces?a=b%20c`;
  const body = Buffer.from([10, 0]);
  const headers = new Map([["content-type", "application/x-protobuf"]]);
  await value.client!({ method: "POST", url, headers, body, clientMetadata: undefined }, new AbortController().signal);
  const answer = await fetch(url, { method: "POST", headers: Object.fromEntries(headers), body });
  assert.equal(answer.status, 200);
  assert.deepEqual(seen, [{ accessKey: "AKID", region: "eu-west-1", service: "xray" }]);
});

test("service and region come from the address where it tells", async (t) => {
  credentials(t);
  const { component, value } = await handler("");
  cleanUp(t, () => component.stop());
  const scopeOf = async (url: string) => {
    const headers = new Map<string, string>();
    const request = { method: "POST", url, headers, body: new Uint8Array(0), clientMetadata: undefined };
    await value.client!(request, new AbortController().signal);
    return /Credential=AKID\/\d+\/(.+)\/aws4_request/.exec(headers.get("authorization")!)![1];
  };
  for (const [url, scope] of [
    ["https://xray.eu-north-1.amazonaws.com/v1/traces", "eu-north-1/xray"],
    ["https://aps-workspaces.us-east-2.amazonaws.com/workspaces/w/api/v1/remote_write", "us-east-2/aps"],
    ["https://search-shop.eu-west-3.es.amazonaws.com/x", "eu-west-3/es"],
    ["https://logs.eu-west-1.amazonaws.com/v1/logs", "eu-west-1/logs"],
  ] as const) {
    assert.equal(await scopeOf(url), scope);
  }
  await assert.rejects(scopeOf("https://collector.example/v1/traces"), /the service of collector.example is not known/);
});

test("calls of gRPC cannot be signed, which exporters say at the start", async (t) => {
  const { component, value } = await handler('region = "eu-west-1"\nservice = "xray"');
  cleanUp(t, () => component.stop());
  assert.throws(
    () => clientAuth(value, "grpc"),
    /otelcol.auth.sigv4.* signs HTTP requests only; send with otelcol.exporter.otlphttp/,
  );
});
