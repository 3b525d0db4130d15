import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { AuthenticationError, type AuthHandler } from "#kits/otelcol/auth";
import { startComponent } from "#pipeline/testing";
import basic from "./otelcol.auth.basic.ts";

const signal = new AbortController().signal;

async function sent(handler: AuthHandler): Promise<string | undefined> {
  const headers = new Map<string, string>();
  const request = { method: "POST", url: "http://x", headers, body: new Uint8Array(0), clientMetadata: undefined };
  await handler.client!(request, signal);
  return headers.get("authorization");
}

const header = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const check = (handler: AuthHandler, value?: string) =>
  (async () => handler.server!(new Map(value === undefined ? [] : [["authorization", value]])))();

test("the old arguments serve clients and servers", async () => {
  const component = await startComponent(basic, 'username = "u"\npassword = "p:w"');
  const { handler } = component.exports;
  assert.equal(await sent(handler), header("u", "p:w"));
  const attributes = { username: "u", raw: Buffer.from("u:p:w").toString("base64") };
  assert.deepEqual(Object.fromEntries((await check(handler, header("u", "p:w")))!), attributes);
  await assert.rejects(check(handler, header("u", "x")), {
    name: "AuthenticationError",
    message: "invalid credentials",
  });
  await assert.rejects(check(handler), AuthenticationError);
  await assert.rejects(check(handler, "Bearer x"), AuthenticationError);
  await assert.rejects(check(handler, "Basic dXNlcg=="), /invalid authorization format/);
  await component.stop();
});

test("files are read again after they changed; updates change the handler", async () => {
  const dir = mkdtempSync(join(tmpdir(), "auth-basic-"));
  const file = join(dir, "password");
  writeFileSync(file, "one\n");
  let now = 0;
  const clock = { now: () => now, monotonic: () => now, sleep: () => Promise.resolve() };
  const component = await startComponent(basic, `client_auth {\nusername = "u"\npassword_file = "${file}"\n}`, {
    clock,
  });
  assert.equal(await sent(component.exports.handler), header("u", "one"));
  writeFileSync(file, "two\n");
  now += 10_000;
  assert.equal(await sent(component.exports.handler), header("u", "two"));
  rmSync(dir, { recursive: true });
  now += 10_000;
  assert.equal(await sent(component.exports.handler), header("u", "two"));
  await component.update('htpasswd {\ninline = "a:b"\n}');
  await check(component.exports.handler, header("a", "b"));
  await component.stop();
});

test("without credentials there is nothing to start", async () => {
  await assert.rejects(startComponent(basic, ""), /no credential source/);
  await assert.rejects(startComponent(basic, 'username = "u"'), /`password` is required with/);
  const half = (line: string) => startComponent(basic, `client_auth {\n${line}\n}`);
  await assert.rejects(half('username = "u"'), /`client_auth` has no password, or an empty one: set `password` or/);
  await assert.rejects(half('username_file = "/u"\npassword = ""'), /has no password, or an empty one/);
  await assert.rejects(half('password_file = "/p"'), /`client_auth` has no user: set `username` or `username_file`/);
});
