import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { startPushSource } from "#kits/loki-push.testing";
import { RELABEL_RULES_CAPSULE, type RelabelRule, relabelRuleSchema } from "#kits/relabel-schema";
import { Capsule } from "#lang/value";
import { RetryableError } from "#pipeline/errors";
import { decodeArguments, recordLogs } from "#pipeline/testing";
import heroku from "./loki.source.heroku.ts";

const DRAIN = "/heroku/api/v1/drain";
const ROUTER = 'at=info method=GET path="/" host=x.example dyno=web.1 status=200 bytes=6979\n';
const APP = '[GIN] 2026/06/13 - 14:52:23 | 200 |    1.428101ms | GET      "/"\n';
const frame = (text: string) => `${Buffer.byteLength(text)} ${text}`;
const router = frame(`<158>1 2026-06-13T14:52:23.622778+00:00 host heroku router - ${ROUTER}`);
const app = frame(`<190>1 2026-06-13T14:52:23.621815+00:00 host app web.1 - ${APP}`);

/** What Logplex sends beside the messages. */
const headers = (count: number, more: Record<string, string> = {}) => ({
  "content-type": "application/logplex-1",
  "logplex-msg-count": String(count),
  "logplex-frame-id": "09C557EAFCFB6CF2740EE62F62971098",
  "logplex-drain-token": "d.fc6b856b-3332-4546-93de-7d0ee272c3bd",
  "user-agent": "Logplex/v72",
  ...more,
});

function rules(...bodies: string[]) {
  const decode = (body: string) => decodeArguments({ name: "rule", args: relabelRuleSchema }, body) as RelabelRule;
  return new Capsule(RELABEL_RULES_CAPSULE, bodies.map(decode));
}
const EXPOSE = rules('action = "labelmap"\nregex = "__heroku_drain_(.+)"');

test("messages of router and application, with labels for rules, fixed labels, parameters and tenant", async () => {
  await using t = await startPushSource(
    heroku,
    'use_incoming_timestamp = true\nrelabel_rules = rules\nlabels = { platform = "heroku", app = "fixed" }',
    { scope: { rules: EXPOSE } },
  );
  const answer = await t.ask(
    "POST",
    `${DRAIN}?team=a&team=b&empty=`,
    router + app,
    headers(2, { "x-scope-orgid": "42" }),
  );
  assert.deepEqual([answer.status, answer.text], [204, ""]);
  const labels = (name: string, proc: string) =>
    `{__tenant_id__="42", app="${name}", host="host", log_id="-", param_team="a,b", platform="heroku", proc="${proc}"}`;
  assert.deepEqual(
    t.recorder.items.map(({ line, labels, ms, ns }) => [line, labels, ms, ns]),
    [
      [ROUTER, labels("heroku", "router"), Date.UTC(2026, 5, 13, 14, 52, 23, 622), 778_000],
      [APP, labels("app", "web.1"), Date.UTC(2026, 5, 13, 14, 52, 23, 621), 815_000],
    ],
  );
  assert.equal(t.component.metric("loki_source_heroku_drain_entries_total"), 2);
  assert.equal(t.component.metric("loki_source_heroku_drain_parsing_errors_total"), 0);
  const served = { method: "POST", route: "heroku_api_v1_drain", status_code: "204" };
  const prefix = "loki_source_heroku_drain_target";
  assert.equal(t.component.metric(`${prefix}_request_duration_seconds_count`, served), 1);
  assert.equal(t.component.metric(`${prefix}_request_message_bytes_sum`), (router + app).length);
  assert.equal(t.component.metric(`${prefix}_tcp_connections`, { protocol: "http" }), 1);
  assert.equal(t.status().state, "ok");
});

test("rules see the tenant, and cannot take it away", async () => {
  const see = rules(
    'source_labels = ["__tenant_id__"]\ntarget_label = "tenant"',
    'action = "labeldrop"\nregex = "__.*"',
  );
  await using t = await startPushSource(heroku, "relabel_rules = rules", { scope: { rules: see } });
  await t.ask("POST", DRAIN, app, headers(1, { "x-scope-orgid": "42" }));
  assert.equal(t.recorder.items[0]!.labels, '{__tenant_id__="42", tenant="42"}');
});

test("times of arrival by default, in the order of the messages; gzip is read", async () => {
  await using t = await startPushSource(heroku, 'labels = { a = "b" }');
  const before = Date.now();
  const packed = gzipSync(app + router);
  assert.equal((await t.ask("POST", DRAIN, packed, headers(2, { "content-encoding": "gzip" }))).status, 204);
  const [first, second] = t.recorder.items;
  assert.ok(first!.ms >= before && first!.ms <= Date.now());
  assert.deepEqual([first!.line, second!.line], [APP, ROUTER]);
  assert.ok(second!.ns > first!.ns);
});

test("entries without labels, and rules that drop, are forwarded as in Alloy, and the status tells of both", async () => {
  const drop = rules('action = "drop"\nsource_labels = ["__heroku_drain_app"]\nregex = "heroku"');
  await using t = await startPushSource(heroku, "relabel_rules = rules", { scope: { rules: drop } });
  assert.equal(t.status().rule, "no_requests");
  assert.match(
    t.status().cause,
    /^no client has sent anything to http:\/\/127\.0\.0\.1:\d+\/heroku\/api\/v1\/drain since/,
  );
  await t.ask("POST", DRAIN, router + app, headers(2));
  assert.equal(t.recorder.items.length, 2);
  assert.deepEqual(t.findings(), ["no_labels", "rules_cannot_drop"]);
  const causes = t.component.flow.findings.map(({ cause }) => cause);
  assert.ok(
    causes.some((cause) => cause.startsWith("2 entries without labels came in the last 5 min")),
    String(causes),
  );
  assert.ok(
    causes.some((cause) => cause.startsWith("`relabel_rules` would drop 1 entries")),
    String(causes),
  );
});

test("one bad message costs none of the others, and is counted", async () => {
  await using t = await startPushSource(heroku, 'labels = { a = "b" }');
  const bad = frame("<190>1 yesterday host app web.1 - lost");
  const answer = await t.ask("POST", DRAIN, app + bad + router, headers(3));
  assert.equal(answer.status, 400);
  assert.match(answer.text, /expecting a time such as .*found "<190>1 yesterday/);
  assert.deepEqual(
    t.recorder.items.map(({ line }) => line),
    [APP, ROUTER],
  );
  assert.equal(t.component.flow.dropped.get("logs")?.get("bad_message"), 1);
  assert.equal(t.component.metric("loki_source_heroku_drain_parsing_errors_total"), 1);
  assert.deepEqual(t.findings(), ["messages_unreadable", "requests_refused"]);
  assert.equal(t.status().state, "degraded");
});

test("where messages cannot be told apart, those before are kept and the rest is counted by Heroku's own count", async () => {
  await using t = await startPushSource(heroku, 'labels = { a = "b" }');
  for (const [count, lost] of [
    ["7", 6],
    ["", 1],
    ["x", 1],
  ] as const) {
    const before = t.component.flow.droppedItems;
    const answer = await t.ask("POST", DRAIN, `${app}99 short`, { ...headers(0), "logplex-msg-count": count });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /ends within a message: it has 5 of 99 bytes/);
    assert.equal(t.component.flow.droppedItems - before, lost);
  }
  assert.equal(t.recorder.items.length, 3);
  const plain = await t.ask("POST", DRAIN, "no drain at all", headers(1));
  assert.match(plain.text, /is the sender a Heroku drain\?/);
  assert.equal(t.component.flow.dropped.get("logs")?.get("bad_frame"), 9);
});

test("the drain is told to come again while the pipeline takes nothing", async () => {
  const recorder = recordLogs();
  await using t = await startPushSource(heroku, 'labels = { a = "b" }', { recorder });
  recorder.gate = () => {
    throw new RetryableError("full");
  };
  const answer = await t.ask("POST", DRAIN, app, headers(1));
  assert.deepEqual([answer.status, answer.headers["retry-after"]], [503, "5"]);
  assert.equal(t.component.metric("loki_source_heroku_drain_entries_total"), 0);
  recorder.gate = () => {};
  assert.equal((await t.ask("POST", DRAIN, app, headers(1))).status, 204);
  assert.equal(t.recorder.items.length, 1);
});

test("health, other methods and other paths", async () => {
  await using t = await startPushSource(heroku);
  assert.deepEqual([(await t.ask("GET", "/healthy")).status, (await t.ask("GET", "/")).status], [200, 404]);
  const method = await t.ask("GET", DRAIN);
  assert.deepEqual([method.status, method.headers.allow], [405, "POST"]);
  assert.equal(t.status().rule, "no_requests");
  const path = await t.ask("POST", "/drain", app, headers(1));
  assert.deepEqual([path.status, path.text], [404, "/drain not found: use /heroku/api/v1/drain\n"]);
  assert.match(t.status().cause, /^clients were refused 1 requests as 404 in the last 5 min: \/drain not found/);
  assert.deepEqual(t.component.instance.debugInfo!(), { ready: true, address: t.address() });
});

test("changed arguments count without a restart", async () => {
  await using t = await startPushSource(heroku, 'labels = { v = "1" }');
  const address = t.address();
  await t.component.update(t.configText('labels = { v = "2" }\nuse_incoming_timestamp = true'));
  assert.equal(t.address(), address);
  await t.ask("POST", DRAIN, app, headers(1));
  assert.deepEqual([t.recorder.items[0]!.labels, t.recorder.items[0]!.ns], ['{v="2"}', 815_000]);
});
