import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { LiveEvent } from "#app/api/json";
import { cleanUp } from "#base/clean-up.testing";
import { startAgent, type TestAgent, temporaryFolder } from "../kit/agent.ts";
import { freePort, sleep } from "../kit/process.ts";
import { SequenceCounter, Sink } from "../kit/sink.ts";
import { countSequences } from "../kit/walk.ts";

/** Clients that push logs over HTTP, the agent, and what comes out of it. */

async function startSink(t: TestContext) {
  let received = "";
  const lines = new SequenceCounter();
  const sink = await Sink.start((_path, body) => {
    countSequences(body, "seq=", lines);
    received += Buffer.from(body).toString();
  });
  cleanUp(t, () => sink.stop());
  return { sink, lines, count: (text: string) => received.split(text).length - 1 };
}

const http = (port: number, more = "") => `http {
    listen_address = "127.0.0.1"
    listen_port    = ${port}
    ${more}
  }`;
const write = (url: string, more = "") => `loki.write "out" {
  endpoint {
    url        = "${url}/loki/api/v1/push"
    batch_wait = "50ms"
    ${more}
  }
}
`;

async function post(url: string, body: string | Uint8Array, headers: Record<string, string> = {}) {
  const response = await fetch(url, { method: "POST", body: body as string, headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const JSON_TYPE = { "content-type": "application/json" };
const pushBody = (line: string) =>
  JSON.stringify({ streams: [{ stream: { app: "shop" }, values: [[`${Date.now()}000000`, line]] }] });
const frame = (text: string) => `${Buffer.byteLength(text)} ${text}`;
const drain = [
  "<158>1 2026-06-13T14:52:23.622778+00:00 host heroku router - at=info method=GET status=200\n",
  "<190>1 2026-06-13T14:52:23.621815+00:00 host app web.1 - the application speaks\n",
]
  .map(frame)
  .join("");
const subscription = gzipSync(
  JSON.stringify({
    messageType: "DATA_MESSAGE",
    owner: "123456789012",
    logGroup: "/aws/lambda/shop",
    logStream: "one",
    subscriptionFilters: ["all"],
    logEvents: [{ id: "1", timestamp: 1_781_362_343_000, message: "the lambda speaks" }],
  }),
);
const firehose = (...data: Buffer[]) =>
  JSON.stringify({
    requestId: "id-1",
    timestamp: 1_781_362_343_000,
    records: data.map((each) => ({ data: each.toString("base64") })),
  });

test("one agent sends to another: every line once, with its labels, metadata and tenant", async (t) => {
  const { sink, lines, count } = await startSink(t);
  const port = await freePort();
  const receiver = await startAgent(
    t,
    `loki.source.api "in" {
  ${http(port)}
  use_incoming_timestamp = true
  labels                 = { via = "proxy" }
  forward_to             = [loki.write.out.receiver]
}
${write(sink.url)}`,
  );
  const file = join(temporaryFolder(t), "a.log");
  const total = 5_000;
  const numbered = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, i) => `seq=${from + i} ünïcode "quoted"\n`).join("");
  writeFileSync(file, numbered(0, total / 2));
  sink.answer = () => ({ status: 503 });
  const pushed = await freePort();
  const sender = await startAgent(
    t,
    `loki.source.file "a" {
  targets    = [{ __path__ = "${file}", app = "shop" }]
  forward_to = [loki.write.out.receiver]
}
loki.source.api "in" {
  ${http(pushed)}
  forward_to = [loki.write.out.receiver]
}
${write(`http://127.0.0.1:${port}`, 'tenant_id = "team-a"\n    batch_size = "64KiB"')}`,
  );
  const values = [[`${Date.now()}000000`, "with metadata", { trace: "4bf92f3577b34da6" }]];
  const body = JSON.stringify({ streams: [{ stream: { app: "api" }, values }] });
  assert.equal((await post(`http://127.0.0.1:${pushed}/loki/api/v1/push`, body, JSON_TYPE)).status, 204);
  await receiver.until(() => sink.arrivals.length > 2, "the backend refuses for a while");
  sink.answer = () => ({ status: 204 });
  appendFileSync(file, numbered(total / 2, total));
  await receiver.until(() => lines.distinct === total, "all lines have come");
  assert.equal(lines.duplicated, 0);
  await receiver.until(() => count("4bf92f3577b34da6") === 1, "the metadata have come");
  assert.equal(count('{app="api", via="proxy"}'), 1);
  assert.equal(await receiver.metric("loki_source_api_entries_written"), total + 1);
  assert.ok((await receiver.metric("loki_write_sent_entries_total", { tenant: "team-a" }))! >= total);
  assert.equal(await sender.stop(), 0);
  assert.equal(await receiver.stop(), 0);
});

/** The first line that the live view shows of a component, while lines are sent again and again. */
async function seen(agent: TestAgent, id: string, send: () => Promise<unknown>): Promise<string> {
  const response = await agent.api(`/api/v0/web/live?component=${id}&limit=1`);
  assert.equal(response.status, 200);
  let isShown = false;
  const shown = response.text().finally(() => {
    isShown = true;
  });
  while (!isShown) {
    await send();
    await sleep(20);
  }
  for (const line of (await shown).trim().split("\n")) {
    const event = JSON.parse(line) as LiveEvent;
    if (event.event === "item" && event.item.type === "log") return event.item.line;
  }
  return "";
}

test("Promtail's paths, Heroku's drains and Firehose's streams: labels, live view, metrics, no secret shown", async (t) => {
  const { sink, count } = await startSink(t);
  const [api, heroku, aws] = [await freePort(), await freePort(), await freePort()];
  const agent = await startAgent(
    t,
    `livedebugging {
  enabled = true
}
loki.relabel "rules" {
  forward_to = []
  rule {
    action = "labelmap"
    regex  = "__(?:heroku_drain|aws_cw)_(app|proc|param_team|log_group)"
  }
}
loki.source.api "in" {
  ${http(api)}
  labels     = { from = "api" }
  forward_to = [loki.write.out.receiver]
}
loki.source.heroku "in" {
  ${http(heroku)}
  use_incoming_timestamp = true
  labels                 = { from = "heroku" }
  relabel_rules          = loki.relabel.rules.rules
  forward_to             = [loki.write.out.receiver]
}
loki.source.awsfirehose "in" {
  ${http(aws)}
  access_key             = "hunter2-key"
  use_incoming_timestamp = true
  relabel_rules          = loki.relabel.rules.rules
  forward_to             = [loki.write.out.receiver]
}
${write(sink.url)}`,
  );
  for (const name of ["api", "heroku", "awsfirehose"]) {
    const { cause } = await agent.untilRule(`loki.source.${name}.in`, "no_requests", "idle");
    assert.match(cause, /^no client has sent anything to http:\/\/127\.0\.0\.1:\d+\//);
  }
  const base = `http://127.0.0.1:${api}`;
  assert.equal(await (await fetch(`${base}/ready`)).text(), "ready");
  assert.equal((await post(`${base}/loki/api/v1/push`, pushBody("pushed"), JSON_TYPE)).status, 204);
  assert.equal(
    (await post(`${base}/api/v1/push`, gzipSync(pushBody("pushed")), { ...JSON_TYPE, "content-encoding": "gzip" }))
      .status,
    204,
  );
  assert.equal((await post(`${base}/loki/api/v1/raw`, "plain\n")).status, 204);

  assert.equal((await fetch(`http://127.0.0.1:${heroku}/healthy`)).status, 200);
  const drained = await post(`http://127.0.0.1:${heroku}/heroku/api/v1/drain?team=web`, drain, {
    "content-type": "application/logplex-1",
    "logplex-msg-count": "2",
  });
  assert.equal(drained.status, 204);

  const stream = `http://127.0.0.1:${aws}/awsfirehose/api/v1/push`;
  const key = { "x-amz-firehose-access-key": "hunter2-key", "x-amz-firehose-request-id": "id-1" };
  const wrong = await post(stream, firehose(subscription), { ...JSON_TYPE, "x-amz-firehose-request-id": "id-0" });
  assert.deepEqual([wrong.status, JSON.parse(wrong.text).requestId], [401, "id-0"]);
  const attributes = { "x-amz-firehose-common-attributes": '{"commonAttributes":{"lbl_from":"aws"}}' };
  const taken = await post(stream, firehose(subscription, Buffer.from("put"), gzipSync("?")), {
    ...JSON_TYPE,
    ...key,
    ...attributes,
  });
  assert.deepEqual([taken.status, JSON.parse(taken.text).requestId], [200, "id-1"]);

  await agent.until(() => count("the lambda speaks") === 1 && count("plain") === 1, "all has come");
  assert.equal(count("pushed"), 2);
  assert.equal(count('{app="heroku", from="heroku", param_team="web", proc="router"}'), 1);
  assert.equal(count('{app="app", from="heroku", param_team="web", proc="web.1"}'), 1);
  assert.equal(count('{from="aws", log_group="/aws/lambda/shop"}'), 1);
  assert.ok(count('{app="shop", from="api"}') > 0);

  const { cause } = await agent.untilRule("loki.source.awsfirehose.in", "requests_refused", "degraded");
  assert.match(cause, /^clients were refused 1 requests as 401 .*access key not provided or incorrect/);
  const holds = async () => (await agent.ruleMetric("loki.source.awsfirehose.in", "records_unreadable")) === 1;
  await agent.until(holds, "the bad record is in the status");
  assert.equal(await agent.dropped("loki.source.awsfirehose.in", "bad_record"), 1);
  for (const [name, value] of [
    ["loki_source_api_entries_written", 3],
    ["loki_source_heroku_drain_entries_total", 2],
    ["loki_source_awsfirehose_entries_written", 2],
    ["loki_source_awsfirehose_record_errors", 1],
  ] as const) {
    assert.equal(await agent.metric(name), value, name);
  }
  assert.equal(await seen(agent, "loki.source.api.in", () => post(`${base}/api/v1/raw`, "live")), "live");
  assert.equal(
    await seen(agent, "loki.source.awsfirehose.in", () =>
      post(stream, firehose(Buffer.from("live")), { ...JSON_TYPE, ...key }),
    ),
    "live",
  );
  const drainUrl = `http://127.0.0.1:${heroku}/heroku/api/v1/drain`;
  assert.match(await seen(agent, "loki.source.heroku.in", () => post(drainUrl, drain)), /^at=info method=GET/);
  const shown = await Promise.all(
    ["/api/v0/web/status", "/api/v0/web/components/loki.source.awsfirehose.in", "/metrics"].map(async (path) =>
      (await agent.api(path)).text(),
    ),
  );
  assert.doesNotMatch([...shown, agent.log].join("\n"), /hunter2/);
  assert.equal(await agent.stop(), 0);
});

test("while the backend takes nothing, clients are told to come again, and nothing is accepted and lost", async (t) => {
  const { sink, lines, count } = await startSink(t);
  let isAway = true;
  sink.answer = () => ({ status: isAway ? 500 : 204 });
  const [api, heroku, aws] = [await freePort(), await freePort(), await freePort()];
  const timeout = 'server_write_timeout = "400ms"';
  const agent = await startAgent(
    t,
    `loki.source.api "in" {
  ${http(api, timeout)}
  forward_to = [loki.write.out.receiver]
}
loki.source.heroku "in" {
  ${http(heroku, timeout)}
  labels     = { from = "heroku" }
  forward_to = [loki.write.out.receiver]
}
loki.source.awsfirehose "in" {
  ${http(aws, timeout)}
  forward_to = [loki.write.out.receiver]
}
${write(sink.url, 'batch_size = "2KiB"\n    queue_config {\n      capacity = "4KiB"\n    }\n    min_backoff_period = "50ms"\n    max_backoff_period = "100ms"\n    max_backoff_retries = 1000')}`,
  );
  const pad = randomBytes(1_000).toString("hex"); // the queue counts what is compressed
  let sequence = 0;
  let next = `seq=${sequence} ${pad}`;
  const send = () => post(`http://127.0.0.1:${api}/loki/api/v1/push`, pushBody(next), JSON_TYPE);
  const accepted: number[] = [];
  let answer = await send();
  for (; answer.status === 204 && sequence < 100; answer = await send()) {
    accepted.push(sequence);
    sequence += 1;
    next = `seq=${sequence} ${pad}`;
  }
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "5"], answer.text);
  const message = frame(`<190>1 2026-06-13T14:52:23.621815+00:00 host app web.1 - drained ${pad}`);
  const drained = await post(`http://127.0.0.1:${heroku}/heroku/api/v1/drain`, message);
  assert.deepEqual([drained.status, drained.headers.get("retry-after")], [503, "5"]);
  const put = await post(
    `http://127.0.0.1:${aws}/awsfirehose/api/v1/push`,
    firehose(Buffer.from(`put ${pad}`)),
    JSON_TYPE,
  );
  assert.equal(put.status, 503);
  assert.match(JSON.parse(put.text).errorMessage, /the pipeline is full, try again/);

  isAway = false;
  await agent.until(async () => (answer = await send()).status === 204, "it is taken again");
  accepted.push(sequence);
  await agent.until(() => lines.distinct === accepted.length, "what was accepted has come");
  assert.equal(
    (await agent.metric("loki_source_api_request_duration_seconds_count", { status_code: "503" })) !== 0,
    true,
  );
  assert.equal(await agent.stop(), 0);
  assert.deepEqual([lines.distinct, count("put "), count("drained ")], [accepted.length, 0, 0]);
});
