import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { type Clock, systemClock } from "#base/clock";
import { until } from "#base/until.testing";
import { Secret } from "#lang/value";
import { startComponent } from "#pipeline/testing";
import remoteHttp from "./remote.http.ts";

async function serve(t: TestContext, content: string) {
  const self = { content, status: 200, asked: [] as { request: IncomingMessage; body: string }[], url: "" };
  const server = createServer(async (request, response) => {
    self.asked.push({ request, body: await text(request) });
    if (self.status > 0) response.writeHead(self.status).end(self.content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  self.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/content`;
  return self;
}

const FAST = 'poll_frequency = "3s"\npoll_timeout = "2s"\n';

/** A pause of a second lasts 10 ms; how long an answer may take is what it is. */
const fastClock: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 100, signal) };

async function start(t: TestContext, url: string, more = FAST) {
  const component = await startComponent(remoteHttp, `url = "${url}"\n${more}`, { clock: fastClock });
  cleanUp(t, () => component.stop());
  return component;
}

test("the content is there from the start, follows what is served, and outlives an outage", async (t) => {
  const server = await serve(t, "  one\n");
  const component = await start(t, server.url);
  assert.deepEqual(component.exports, { content: "one" });
  assert.equal(component.flow.status.state, "ok");
  server.content = "two";
  await until(() => component.exports.content === "two", "the change");
  server.status = 503;
  await until(() => component.problem !== undefined, "unhealthy");
  assert.match(component.problem!, /^polling failed: http:.*\/content answers 503; it has to be 200: the server fails/);
  const { state, rule, cause } = component.flow.status;
  assert.deepEqual([state, rule], ["degraded", "poll_failed"]);
  assert.match(cause, /What was read \d+ s ago is in use$/);
  assert.deepEqual(component.exports, { content: "two" });
  server.status = 204;
  await until(() => /answers 204/.test(component.flow.status.cause), "another success");
  server.status = 200;
  await until(() => component.problem === undefined, "healthy again");
  assert.equal(component.flow.status.state, "ok");
  assert.equal(component.exported.length, 3); // empty for those that run nothing, one, two
});

test("method, headers, body and credentials; a secret is exported as one", async (t) => {
  const server = await serve(t, "s3cret");
  const component = await start(
    t,
    server.url,
    `method = "POST"
    body = "please"
    headers = { "X-Tenant" = "a", "User-Agent" = "mine" }
    is_secret = true
    client {
      basic_auth {
        username = "me"
        password = "pass"
      }
    }`,
  );
  const { content } = component.exports;
  assert.ok(content instanceof Secret);
  assert.equal(content.reveal(), "s3cret");
  const [{ request, body } = assert.fail()] = server.asked;
  assert.equal(request.method, "POST");
  assert.equal(body, "please");
  assert.equal(request.headers["x-tenant"], "a");
  assert.equal(request.headers["user-agent"], "mine");
  assert.equal(request.headers.authorization, `Basic ${btoa("me:pass")}`);
});

test("without an answer it does not start; changed arguments are asked for at once, or not carried out", async (t) => {
  const server = await serve(t, "one");
  server.status = 404;
  await assert.rejects(start(t, server.url), /answers 404/);
  server.status = 200;
  const component = await start(t, server.url, 'poll_frequency = "1h"');
  await assert.rejects(component.update('url = "http://127.0.0.1:1/"'), /refuses connections/);
  const silent = await serve(t, "");
  silent.status = -1;
  const slow = component.update(`url = "${silent.url}"\npoll_timeout = "50ms"`);
  await assert.rejects(slow, /did not answer within 50ms/);
  assert.deepEqual(component.exports, { content: "one" });
  const other = await serve(t, "two");
  await component.update(`url = "${other.url}"\nis_secret = true`);
  assert.deepEqual(component.exported.at(-1), { content: new Secret("two") });
  await component.update(`url = "${other.url}"\n${FAST}`);
  assert.equal(component.exports.content, "two");
  other.content = "three";
  await until(() => component.exports.content === "three", "asked again in the new interval");
  assert.equal(server.asked.length, 2);
});

test("arguments that cannot be right", async () => {
  for (const [config, message] of [
    ['url = "file:///etc/passwd"', /is no HTTP URL/],
    ['url = "http://a/"\npoll_frequency = "0s"', /must be greater than 0/],
    ['url = "http://a/"\npoll_timeout = "0s"', /must be greater than 0/],
    ['url = "http://a/"\npoll_timeout = "1m"', /must be less than `poll_frequency`/],
    ['url = "http://a/"\nmethod = "FETCH"', /cannot be "FETCH"/],
  ] as const) {
    await assert.rejects(startComponent(remoteHttp, config), message);
  }
});
