import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { decodeRequest } from "#formats/otlp/decode";
import { FakeDocker } from "../../src/kits/docker-engine.testing.ts";
import { JournalWriter } from "../../src/kits/journal-writer.testing.ts";
import { runInvar, startAgent, temporaryFolder } from "../kit/agent.ts";
import { SEQUENCE_MARKER } from "../kit/log-writer.ts";
import { freePort } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** What Promtail left behind: it has sent the entries before 60 of each source, and 100 are there. */
async function promtailWasHere(t: TestContext) {
  const folder = temporaryFolder(t);
  const counters = new Map(["file", "journal", "docker"].map((name) => [name, new SequenceCounter()]));
  const sink = await Sink.start((_path, body) => {
    for (const [name, counter] of counters) countSequences(body, `${name}${SEQUENCE_MARKER}`, counter);
  });
  cleanUp(t, () => sink.stop());

  const logs = join(folder, "logs");
  mkdirSync(logs);
  const line = (source: string, i: number) => `${source}${SEQUENCE_MARKER}${i} of 100`;
  const lines = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `${line("file", from + i)}\n`).join("");
  const log = join(logs, "app.log");
  writeFileSync(log, lines(0, 100));

  const journalFolder = join(folder, "journal");
  const journal = new JournalWriter(journalFolder);
  cleanUp(t, () => journal.close());
  const entries = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => ({ message: line("journal", from + i) }));
  await journal.write(...entries(0, 100));
  await journal.settled();
  const shown = execFileSync("journalctl", ["-o", "export", "-D", journalFolder], { encoding: "utf8" });
  const cursor = [...shown.matchAll(/^__CURSOR=(.*)$/gm)][59]![1]!;

  const docker = await FakeDocker.start(join(folder, "docker.sock"));
  cleanUp(t, () => docker.stop());
  const container = docker.add("0123456789abcdef".repeat(4), "shop");
  const began = BigInt(Math.floor(Date.now() / 1_000) - 1_000);
  const contain = (from: number, to: number) => {
    for (let i = from; i < to; i++) container.write(line("docker", i), "stdout", (began + BigInt(i)) * 1_000_000_000n);
  };
  contain(0, 100);

  const positions = join(folder, "positions.yaml");
  const offset = Buffer.byteLength(lines(0, 60));
  writeFileSync(
    positions,
    `positions:\n  ${log}: "${offset}"\n  cursor-${container.id}: "${began + 60n}"\n  cursor-my-journal: ${cursor}\n  /gone.log: "5"\n`,
  );
  const config = (jobs: string) => `server: {http_listen_port: 9080}
positions: {filename: ${positions}}
clients:
  - url: ${sink.url}/loki/api/v1/push
    batchwait: 50ms
scrape_configs:
  - job_name: files
    static_configs: [{targets: [localhost], labels: {job: app, __path__: ${logs}/*.log}}]
  - job_name: my-journal
    journal: {path: ${journalFolder}, labels: {job: systemd-journal}}
${jobs}`;
  const writeMore = async () => {
    appendFileSync(log, lines(100, 120));
    await journal.write(...entries(100, 120));
    contain(100, 120);
  };
  return { folder, counters, docker, positions, config, writeMore };
}

async function goesOn(
  t: TestContext,
  config: string,
  storage: string,
  counters: Iterable<SequenceCounter>,
  writeMore: () => Promise<void>,
): Promise<void> {
  const agent = await startAgent(t, config, { storage });
  const all = [...counters];
  await agent.until(() => all.every((each) => each.distinct >= 40), "what Promtail had not sent has come");
  await writeMore();
  await agent.until(() => all.every((each) => each.distinct >= 60), "what came later has come");
  assert.equal(await agent.stop(), 0);
  for (const counter of all) assert.deepEqual([counter.distinct, counter.duplicated], [60, 0]);
}

test("the agent goes on where Promtail stopped, from Promtail's own positions file", async (t) => {
  const { folder, counters, config, writeMore } = await promtailWasHere(t);
  const { code, stdout, stderr } = await runInvar(["convert", "-f", "promtail"], { input: config("") });
  assert.equal(code, 0, stderr);
  counters.delete("docker");
  await goesOn(t, stdout, join(folder, "storage"), counters.values(), writeMore);
});

test("--convert-positions puts positions where the agent looks for them, containers' too", async (t) => {
  const { folder, counters, docker, positions, config, writeMore } = await promtailWasHere(t);
  const source =
    config(`  - job_name: containers\n    docker_sd_configs: [{host: '${docker.host}', refresh_interval: 1s}]
    relabel_configs: [{source_labels: [__meta_docker_container_name], regex: /(.*), target_label: container}]\n`);
  const storage = join(folder, "storage");
  const args = ["convert", "-f", "promtail", `--convert-positions=${positions}`, `--storage.path=${storage}`];
  const { code, stdout, stderr } = await runInvar(args, { input: source });
  assert.equal(code, 0, stderr);
  for (const taken of [
    "loki.source.file.files: takes over 2 of the 4",
    "journal.my_journal: takes over 1",
    "docker.containers: takes over 1",
  ]) {
    assert.ok(stderr.includes(taken), stderr);
  }
  const file = join(storage, "loki.source.journal.my_journal", "positions.yml");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  rmSync(positions);
  await goesOn(t, stdout, storage, counters.values(), writeMore);
});

test("a Collector's configuration runs once it is converted: a span passes pipelines, connectors and extensions", async (t) => {
  const port = await freePort();
  const requests: { path: string; authorization: string | undefined; text: string }[] = [];
  const server = createServer(async (request, response) => {
    const path = request.url!;
    const content = decodeRequest(path.endsWith("/traces") ? "traces" : "metrics", [await buffer(request)]);
    const text = JSON.stringify(content, (_, value) => (typeof value === "bigint" ? String(value) : value));
    requests.push({ path, authorization: request.headers.authorization, text });
    response.end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanUp(t, () => server.close().closeAllConnections());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const source = `
extensions: {basicauth: {client_auth: {username: me, password: "\${env:CONVERTED_PASSWORD:-s3cret}"}}}
receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:${port}}}}}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 90}
  batch: {timeout: 50ms}
  resource: {attributes: [{key: cluster, value: eu, action: upsert}, {key: host, from_attribute: host.name, action: insert}]}
  filter: {traces: {span: ['span.name == "probe"']}}
connectors:
  forward:
  spanmetrics: {metrics_flush_interval: 200ms, namespace: calls_of}
exporters: {otlphttp: {endpoint: "${url}", auth: {authenticator: basicauth}, compression: none}}
service:
  extensions: [basicauth]
  pipelines:
    traces/in: {receivers: [otlp], processors: [memory_limiter, filter, resource], exporters: [forward]}
    traces: {receivers: [forward], processors: [batch], exporters: [otlphttp, spanmetrics]}
    metrics: {receivers: [spanmetrics], processors: [batch], exporters: [otlphttp]}
`;
  const { code, stdout, stderr } = await runInvar(["convert", "-f", "otelcol"], { input: source });
  assert.equal(code, 0, stderr);
  const agent = await startAgent(t, stdout);
  const span = (name: string) => ({ traceId: "5b8efff798038103d269b633813fc60c", spanId: "eee19b7ec3c1b174", name });
  const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } });
  const resource = { attributes: [attribute("service.name", "shop"), attribute("host.name", "node-1")] };
  const answer = await fetch(`http://127.0.0.1:${port}/v1/traces`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span("pay"), span("probe")] }] }] }),
  });
  assert.equal(answer.status, 200);
  const of = (path: string) => requests.filter((each) => each.path === path);
  await agent.until(
    () => of("/v1/traces").length > 0 && of("/v1/metrics").some(({ text }) => text.includes("calls_of")),
    "the span and its metrics have come",
  );
  const [trace] = of("/v1/traces");
  assert.match(trace!.text, /"pay"/);
  assert.doesNotMatch(trace!.text, /"probe"/);
  assert.match(trace!.text, /"cluster".*"eu"/);
  assert.match(trace!.text, /"host","value":\{"stringValue":"node-1"/);
  for (const { authorization } of requests) {
    assert.equal(authorization, `Basic ${Buffer.from("me:s3cret").toString("base64")}`);
  }
});
