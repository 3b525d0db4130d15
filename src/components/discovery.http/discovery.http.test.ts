import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { cleanUp } from "#base/clean-up.testing";
import { until } from "#base/until.testing";
import { startComponent } from "#pipeline/testing";
import discoveryHttp from "./discovery.http.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function serve(t: TestContext, first: Handler) {
  const self = { handler: first, asked: [] as IncomingMessage[], url: "" };
  const server = createServer((request, response) => {
    self.asked.push(request);
    self.handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => server.close().closeAllConnections());
  self.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/sd`;
  return self;
}

const json = (text: string, type = "application/json; charset=utf-8") => {
  const handler: Handler = (_, response) => response.setHeader("content-type", type).end(text);
  return handler;
};

async function start(t: TestContext, url: string, more = 'refresh_interval = "250ms"') {
  const component = await startComponent(discoveryHttp, `url = "${url}"\n${more}`);
  cleanUp(t, () => component.stop());
  return component;
}

const GROUPS = '[{"targets": ["a:1", "b:2"], "labels": {"env": "x"}}, {"targets": []}]';

test("targets with their labels and the URL; a change is taken, an outage keeps the last", async (t) => {
  const server = await serve(t, json(GROUPS));
  const component = await start(t, server.url);
  await until(() => component.exported.length === 2, "targets");
  assert.deepEqual(component.exports.targets.map(String), [
    `{__address__="a:1", __meta_url="${server.url}", env="x"}`,
    `{__address__="b:2", __meta_url="${server.url}", env="x"}`,
  ]);
  const { headers } = server.asked[0]!;
  assert.equal(headers.accept, "application/json");
  assert.equal(headers["x-prometheus-refresh-interval-seconds"], "0.25");
  assert.match(headers["user-agent"]!, /^Invar\//);
  server.handler = (_, response) => response.writeHead(503).end("no targets today");
  await until(() => component.flow.status.cause.includes("503"), "the outage");
  assert.match(
    component.flow.status.cause,
    /^the 2 targets are as of .* ago: http:.*\/sd answers 503 \(no targets today\): the server fails; look at its log$/,
  );
  assert.equal(component.exported.length, 2);
  assert.ok(component.metric("prometheus_sd_http_failures_total")! > 0);
  assert.ok(component.metric("prometheus_sd_refresh_failures_total", { mechanism: "http" })! > 0);
  server.handler = (_, response) =>
    response
      .writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" })
      .end(gzipSync('[{"targets": ["c"]}]'));
  await until(() => component.exports.targets.length === 1, "the change");
  assert.equal(component.flow.status.state, "ok");
  server.handler = json("null");
  await until(() => component.flow.status.rule === "nothing_found", "no targets");
  assert.deepEqual(component.exports.targets, []);
});

test("answers that cannot be used, each with what to do", async (t) => {
  const server = await serve(t, json("[]"));
  const component = await start(t, server.url);
  const huge: Handler = (_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(Buffer.alloc(65 * 1024 * 1024, " "));
  };
  for (const [handler, message] of [
    [json("<html>", "text/html"), /answers with the content type "text\/html"; it has to be application\/json/],
    [json("[{]"), /does not answer with a list of targets: line 1: this is no valid JSON: expecting a string/],
    [json('{"targets": []}'), /does not answer with a list of targets: it must be a list/],
    [
      json('[{"targets": [],\n "lables": {}}]'),
      /line 2: \[0\]\.lables is not known: a group has `targets` and `labels`/,
    ],
    [json("[null]"), /\[0\] must be a group/],
    [(_, response) => response.writeHead(401).end(), /answers 401: check the credentials and what they allow/],
    [(_, response) => response.writeHead(404).end("not here"), /answers 404 \(not here\): check the path/],
    [(_, response) => response.writeHead(429).end(), /answers 429: raise `refresh_interval`/],
    [(_, response) => response.socket!.destroy(), /closed the connection/],
    [() => {}, /did not answer within 250ms/],
  ] as readonly (readonly [Handler, RegExp])[]) {
    server.handler = handler;
    await until(
      () => message.test(component.flow.status.cause),
      () => `${message}: ${component.flow.status.cause}`,
    );
  }
  assert.deepEqual(component.exports.targets, []);
  await component.stop();
  server.handler = huge;
  const patient = await start(t, server.url, 'refresh_interval = "1m"');
  await until(() => /larger than the 67108864 bytes allowed/.test(patient.flow.status.cause), "the size");
});

test("an interval that is longer than a timer can be", async (t) => {
  const server = await serve(t, json(GROUPS));
  const component = await start(t, server.url, 'refresh_interval = "10000h"');
  await until(
    () => component.exports.targets.length === 2,
    () => component.flow.status.cause,
  );
});

test("authentication, and what changed arguments do; a password in the URL is not shown", async (t) => {
  const server = await serve(t, (request, response) => {
    const isKnown = request.headers.authorization === `Basic ${btoa("me:pass")}`;
    if (isKnown) json('[{"targets": ["a"]}]')(request, response);
    else response.writeHead(401).end();
  });
  const component = await start(t, server.url, 'refresh_interval = "1h"');
  await until(() => component.flow.status.state === "failing", "no credentials");
  await component.update(`url = "${server.url}"\nbasic_auth {\n username = "me"\n password = "pass"\n}`);
  await until(() => component.exports.targets.length === 1, "credentials");
  const withUser = server.url.replace("//", "//me:pass@");
  await component.update(`url = "${withUser}"`);
  const shown = server.url.replace("//", "//me:xxxxx@");
  await until(() => component.exports.targets[0]?.get("__meta_url") === shown, "the URL without its password");
  for (const [config, message] of [
    ['url = "ftp://x"', /is no HTTP URL/],
    ['url = "http://a/"\nrefresh_interval = "0s"', /must be greater than 0/],
  ] as const) {
    await assert.rejects(startComponent(discoveryHttp, config), message);
  }
});
