import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { ConsulServer } from "../../src/components/discovery.consul/consul-server.testing.ts";
import { runInvar, startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { decodeWrite } from "../kit/remote-write.ts";
import { Sink } from "../kit/sink.ts";

/** Answers each path with what is set for it; with 503 when nothing is. */
async function serve(t: TestContext) {
  const pages = new Map<string, string>([["/metrics", "page 1\n"]]);
  const server: Server = createServer((request, response) => {
    const text = pages.get(request.url!);
    if (text === undefined) return void response.writeHead(503).end("not now");
    response.setHeader("content-type", request.url === "/metrics" ? "text/plain; version=0.0.4" : "application/json");
    response.end(text);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUp(t, () => server.close().closeAllConnections());
  return { pages, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

interface Exported {
  readonly exports: readonly { readonly name: string; readonly value: unknown }[];
}

/** How many targets a component exports, as the API shows it. */
async function targetsOf(agent: TestAgent, id: string): Promise<number> {
  const { exports } = await agent.json<Exported>(`/api/v0/web/components/${id}`);
  const { value } = exports.find(({ name }) => name === "targets")!.value as { value: readonly unknown[] };
  return value.length;
}

const write = (url: string) => `prometheus.remote_write "out" {
  endpoint {
    url = "${url}/api/v1/push"
    queue_config { batch_send_deadline = "100ms" }
  }
}
`;

test("targets of all sources are scraped, follow changes, and outlive the source", async (t) => {
  const folder = temporaryFolder(t);
  const { pages, address } = await serve(t);
  const consul = await ConsulServer.start();
  cleanUp(t, () => consul.stop());
  const port = Number(address.split(":")[1]);
  const entry = (id: string) => ({
    Node: { Node: "n", Address: "127.0.0.1" },
    Service: { ID: id, Port: port, Tags: ["a"] },
    Checks: [],
  });
  consul.change("/v1/health/service/web", [entry("web-1")]);
  const targets = join(folder, "targets");
  mkdirSync(targets);
  const groups = (by: string) => JSON.stringify([{ targets: [address], labels: { by } }]);
  writeFileSync(join(targets, "a.json"), groups("file"));
  pages.set("/sd", groups("http"));

  const seen = new Set<string>();
  const sink = await Sink.start((_path, body) => {
    for (const { labels } of decodeWrite(body)) if (labels.get("__name__") === "page") seen.add(labels.get("by")!);
  });
  cleanUp(t, () => sink.stop());
  const agent = await startAgent(
    t,
    `discovery.file "f" {
  files            = ["${targets}/*.json"]
  refresh_interval = "1h"
}
discovery.http "h" {
  url              = "http://${address}/sd"
  refresh_interval = "200ms"
}
discovery.consul "c" {
  server           = "127.0.0.1:${consul.port}"
  services         = ["web"]
  refresh_interval = "50ms"
}
discovery.process "p" {
  refresh_interval = "1s"
}
discovery.relabel "all" {
  targets = array.concat(discovery.file.f.targets, discovery.http.h.targets, discovery.consul.c.targets)
  rule {
    source_labels = ["__meta_consul_service_id"]
    regex         = "(.+)"
    target_label  = "by"
  }
}
prometheus.scrape "s" {
  targets         = discovery.relabel.all.output
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "400ms"
}
${write(sink.url)}`,
  );
  const all = (...wanted: readonly string[]) =>
    agent.until(() => wanted.every((each) => seen.has(each)), `${wanted} of ${[...seen]}`);
  await all("file", "http", "web-1");
  assert.ok((await targetsOf(agent, "discovery.process.p")) > 1);

  // What is told of comes at once, what is asked for with the next question.
  writeFileSync(join(targets, "b.json.new"), groups("another file"));
  renameSync(join(targets, "b.json.new"), join(targets, "b.json"));
  consul.change("/v1/health/service/web", [entry("web-1"), entry("web-2")]);
  pages.set("/sd", groups("http again"));
  await all("another file", "web-2", "http again");

  writeFileSync(join(targets, "a.json"), "[\n{");
  pages.delete("/sd");
  await consul.stop();
  const says = async (id: string, cause: RegExp) => {
    assert.match((await agent.untilRule(id, "refresh_failed", "degraded")).cause, cause);
    assert.equal(await agent.ruleMetric(id, "refresh_failed"), 1);
    assert.equal((await agent.component(id)).health.state, "healthy");
  };
  await says("discovery.file.f", /^the 1 targets of .*a\.json are as of .* ago: line 2: this is no valid JSON/);
  await says("discovery.http.h", /^the 1 targets are as of .* ago: http:.*\/sd answers 503 \(not now\)/);
  await says("discovery.consul.c", /^the 2 targets of web are as of .* ago: /);
  seen.clear();
  await all("file", "another file", "http again", "web-1", "web-2");
});

test("what remote.http reads is there for others from the start, and again when it changes", async (t) => {
  const { pages, address } = await serve(t);
  const targets = (by: string) => JSON.stringify([{ __address__: address, by }]);
  const seen = new Set<string>();
  const sink = await Sink.start((_path, body) => {
    for (const { labels } of decodeWrite(body)) if (labels.get("__name__") === "page") seen.add(labels.get("by")!);
  });
  cleanUp(t, () => sink.stop());
  const config = (path: string) => `remote.http "r" {
  url            = "http://${address}${path}"
  poll_frequency = "2s"
  poll_timeout   = "1900ms"
}
prometheus.scrape "s" {
  targets         = encoding.from_json(remote.http.r.content)
  forward_to      = [prometheus.remote_write.out.receiver]
  scrape_interval = "500ms"
  scrape_timeout  = "400ms"
}
${write(sink.url)}`;

  // Without the content nothing that refers to it can be evaluated.
  const path = join(temporaryFolder(t), "config.alloy");
  writeFileSync(path, config("/targets"));
  const failed = await runInvar(["run", "--server.http.listen-addr=127.0.0.1:0", path]);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /Failed to build component: .*\/targets answers 503; it has to be 200/);

  pages.set("/targets", targets("first"));
  const agent = await startAgent(t, config("/targets"));
  await agent.until(() => seen.has("first"), "the first content is used");
  pages.set("/targets", targets("second"));
  await agent.until(() => seen.has("second"), "the second content is used");
  pages.delete("/targets");
  const { cause } = await agent.untilRule("remote.http.r", "poll_failed", "degraded");
  assert.match(cause, /answers 503; it has to be 200: .*\. What was read .* ago is in use$/);
  assert.equal((await agent.component("remote.http.r")).health.state, "unhealthy");
  const refused = await agent.reload(config("/others"));
  assert.equal(refused.status, 400);
  assert.match(refused.text, /\/others answers 503/);
  pages.set("/targets", targets("third"));
  await agent.until(() => seen.has("third"), "the third content is used");
  await agent.untilRule("remote.http.r", "", "ok");
});
