import assert from "node:assert/strict";
import { test } from "node:test";
import { startComponent } from "#pipeline/testing";
import headersAuth from "./otelcol.auth.headers.ts";

const signal = new AbortController().signal;
const block = (lines: string) => `header {\n${lines}\n}\n`;

async function apply(
  config: string,
  given: [string, string][] = [],
  clientAttributes?: ReadonlyMap<string, string>,
): Promise<Map<string, string>> {
  const component = await startComponent(headersAuth, config);
  const headers = new Map(given);
  const clientMetadata = new Map([["x-tenant", ["a", "b"]]]);
  await component.exports.handler.client!(
    { method: "POST", url: "", headers, body: new Uint8Array(0), clientMetadata, clientAttributes },
    signal,
  );
  await component.stop();
  return headers;
}

test("actions, values and client metadata", async () => {
  const config =
    block('key = "New"\nvalue = "1"') +
    block('key = "Old"\nvalue = "2"\naction = "insert"') +
    block('key = "Gone"\nvalue = ""\naction = "DELETE"') +
    block('key = "Missing"\nvalue = "3"\naction = "update"') +
    block('key = "X-Tenant"\nfrom_context = "X-Tenant"') +
    block('key = "None"\nfrom_context = "nothing"');
  const headers = await apply(config, [
    ["old", "kept"],
    ["gone", "x"],
  ]);
  assert.deepEqual(Object.fromEntries(headers), { old: "kept", new: "1", "x-tenant": "a, b", none: "" });
});

test("headers take what authentication told of the client", async () => {
  const config =
    block('key = "X-Scope-OrgID"\nfrom_attribute = "username"') + block('key = "None"\nfrom_attribute = "membership"');
  const known = await apply(config, [], new Map([["username", "blue"]]));
  assert.deepEqual(Object.fromEntries(known), { "x-scope-orgid": "blue", none: "" });
  assert.deepEqual(Object.fromEntries(await apply(config)), { "x-scope-orgid": "", none: "" });
});

test("a header has one source", async () => {
  await assert.rejects(apply(block('key = "a"')), /must be provided/);
  await assert.rejects(apply(block('key = "a"\nvalue = "b"\nfrom_context = "c"')), /only one may be provided/);
  await assert.rejects(apply(block('key = ""\nvalue = "b"')), /non-empty/);
  await assert.rejects(apply(block('key = "a"\nvalue = "b"\nfrom_attribute = "c"')), /only one may be provided/);
});
