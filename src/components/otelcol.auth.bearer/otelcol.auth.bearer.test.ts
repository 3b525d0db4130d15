import assert from "node:assert/strict";
import { test } from "node:test";
import { startComponent } from "#pipeline/testing";
import bearer from "./otelcol.auth.bearer.ts";

const signal = new AbortController().signal;

test("sends and checks the token, in the header and with the scheme of choice", async () => {
  const cases: [config: string, header: string, value: string][] = [
    ['token = "t"', "authorization", "Bearer t"],
    ['token = "t"\nscheme = ""\nheader = "X-Key"', "x-key", "t"],
    ['token = "t"\nscheme = "Token"', "authorization", "Token t"],
  ];
  for (const [config, header, value] of cases) {
    const component = await startComponent(bearer, config);
    const { client, server } = component.exports.handler;
    const headers = new Map<string, string>();
    await client!({ method: "POST", url: "", headers, body: new Uint8Array(0), clientMetadata: undefined }, signal);
    assert.deepEqual([...headers], [[header, value]]);
    server!(headers);
    assert.throws(() => server!(new Map()), /missing or empty authorization header/);
    assert.throws(() => server!(new Map([[header, `${value}x`]])), { name: "AuthenticationError" });
    await component.stop();
  }
});
