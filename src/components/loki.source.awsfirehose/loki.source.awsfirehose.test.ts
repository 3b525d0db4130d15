import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { startPushSource } from "#kits/loki-push.testing";
import { RELABEL_RULES_CAPSULE, type RelabelRule, relabelRuleSchema } from "#kits/relabel-schema";
import { Capsule } from "#lang/value";
import { RetryableError } from "#pipeline/errors";
import { decodeArguments, recordLogs } from "#pipeline/testing";
import firehose from "./loki.source.awsfirehose.ts";

const PUSH = "/awsfirehose/api/v1/push";
const ID = "ed4acda5-034f-9f42-bba1-f29aea6d7d8f";
const ARN = "arn:aws:firehose:us-east-1:123456789012:deliverystream/logs";
const TIME = 1_684_422_829_730;

/** What Firehose sends, by its public protocol: https://docs.aws.amazon.com/firehose/latest/dev/httpdeliveryrequestresponse.html */
const headers = (more: Record<string, string> = {}) => ({
  "content-type": "application/json",
  "x-amz-firehose-protocol-version": "1.0",
  "x-amz-firehose-request-id": ID,
  "x-amz-firehose-source-arn": ARN,
  "user-agent": "Amazon Kinesis Data Firehose Agent/1.0",
  ...more,
});
const body = (...records: (string | Buffer)[]) =>
  JSON.stringify({
    requestId: ID,
    timestamp: TIME,
    records: records.map((data) => ({ data: typeof data === "string" ? data : data.toString("base64") })),
  });
const plain = (text: string) => Buffer.from(text);
const subscription = (events: readonly [number, string][], more: object = {}) =>
  gzipSync(
    JSON.stringify({
      messageType: "DATA_MESSAGE",
      owner: "123456789012",
      logGroup: "/aws/lambda/shop",
      logStream: "2026/05/18/[$LATEST]405d",
      subscriptionFilters: ["one", "two"],
      logEvents: events.map(([timestamp, message], i) => ({ id: `375${i}`, timestamp, message })),
      ...more,
    }),
  );
const CONTROL = subscription([[TIME, "CWL CONTROL MESSAGE: Checking health of destination Firehose."]], {
  messageType: "CONTROL_MESSAGE",
  owner: "CloudwatchLogs",
  logGroup: "",
  logStream: "",
  subscriptionFilters: [],
});

function rules(...bodies: string[]) {
  const decode = (text: string) => decodeArguments({ name: "rule", args: relabelRuleSchema }, text) as RelabelRule;
  return new Capsule(RELABEL_RULES_CAPSULE, bodies.map(decode));
}
const EXPOSE = rules('action = "labelmap"\nregex = "__aws_(.+)"');

const start = (config = "", recorder = recordLogs(), http?: string) =>
  startPushSource(firehose, config, {
    scope: { rules: EXPOSE },
    recorder,
    ...(http === undefined ? {} : { http }),
  });

test("records of direct put are entries, and the answer is what Firehose expects", async () => {
  await using t = await start("use_incoming_timestamp = true\nrelabel_rules = rules");
  for (const [payload, more] of [
    [body(plain('{"price":4.8}'), plain("hola")), {}],
    [gzipSync(body(plain('{"price":4.8}'), plain("hola"))), { "content-encoding": "gzip" }],
  ] as const) {
    t.recorder.items.length = 0;
    const before = Date.now();
    const answer = await t.ask("POST", PUSH, payload, headers({ "x-scope-orgid": "20", ...more }));
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers["content-type"], "application/json");
    const { timestamp, ...rest } = JSON.parse(answer.text);
    assert.deepEqual(rest, { requestId: ID });
    assert.ok(timestamp >= before && timestamp <= Date.now(), "in milliseconds");
    const labels = `{__tenant_id__="20", firehose_request_id="${ID}", firehose_source_arn="${ARN}"}`;
    assert.deepEqual(
      t.recorder.items.map(({ line, ms, ns, labels: own }) => [line, ms, ns, own]),
      [
        ['{"price":4.8}', TIME, 0, labels],
        ["hola", TIME, 0, labels],
      ],
    );
  }
  assert.equal(t.component.metric("loki_source_awsfirehose_entries_written"), 4);
  assert.equal(t.component.metric("loki_source_awsfirehose_records_received", { type: "direct-put" }), 4);
  assert.equal(t.component.metric("loki_source_awsfirehose_batch_size_sum"), 4);
  const served = { route: "awsfirehose_api_v1_push", status_code: "200", method: "POST" };
  assert.equal(t.component.metric("loki_source_awsfirehose_request_duration_seconds_count", served), 2);
  assert.deepEqual([t.findings(), t.status().state], [[], "ok"]);
});

test("records of a subscription give an entry for each event, control messages included", async () => {
  await using t = await start("use_incoming_timestamp = true\nrelabel_rules = rules");
  const data = subscription([
    [1_684_424_003_641, "START RequestId: 1\n"],
    [1_684_424_003_820, '{"level":"info"}'],
  ]);
  assert.equal((await t.ask("POST", PUSH, body(CONTROL, data), headers())).status, 200);
  assert.deepEqual(
    t.recorder.items.map(({ line, ms }) => [line, ms]),
    [
      ["CWL CONTROL MESSAGE: Checking health of destination Firehose.", TIME],
      ["START RequestId: 1\n", 1_684_424_003_641],
      ['{"level":"info"}', 1_684_424_003_820],
    ],
  );
  const common = `firehose_request_id="${ID}", firehose_source_arn="${ARN}", owner=`;
  assert.equal(t.recorder.items[0]!.labels, `{cw_msg_type="CONTROL_MESSAGE", ${common}"CloudwatchLogs"}`);
  assert.equal(
    t.recorder.items[1]!.labels,
    `{cw_log_group="/aws/lambda/shop", cw_log_stream="2026/05/18/[$LATEST]405d", cw_matched_filters="one,two", cw_msg_type="DATA_MESSAGE", ${common}"123456789012"}`,
  );
  assert.equal(t.component.metric("loki_source_awsfirehose_records_received", { type: "cloudwatch-logs" }), 2);
});

test("times of arrival by default; entries without labels are told of", async () => {
  await using t = await start();
  assert.equal(t.status().rule, "no_requests");
  const before = Date.now();
  await t.ask(
    "POST",
    PUSH,
    body(
      subscription([
        [1, "a"],
        [2, "b"],
      ]),
      plain("c"),
    ),
    headers(),
  );
  assert.ok(t.recorder.items.every(({ ms, labels }) => ms >= before && ms <= Date.now() && labels === "{}"));
  assert.deepEqual(
    t.recorder.items.map(({ ns }) => ns),
    [0, 1, 2],
  );
  assert.equal(t.status().rule, "no_labels");
  assert.match(t.status().cause, /^3 entries without labels came .* `relabel_rules`.*`lbl_`/);
});

test("a bad record costs none of the others: 200, since Firehose would send all of it again, and counted", async () => {
  await using t = await start("relabel_rules = rules");
  const bomb = gzipSync(Buffer.alloc(33 * 1024 * 1024));
  const half = subscription([[1, "x"]]).subarray(0, 60);
  const records = [plain("first"), "H4sIAAAA!!", half, gzipSync("no JSON"), bomb, CONTROL, plain("last")];
  const answer = await t.ask("POST", PUSH, body(...records), headers());
  assert.equal(answer.status, 200);
  assert.deepEqual(
    t.recorder.items.map(({ line }) => line.slice(0, 11)),
    ["first", "CWL CONTROL", "last"],
  );
  for (const reason of ["base64-decode", "gzip-deflate", "cw-json-decode", "too-large"]) {
    assert.equal(t.component.metric("loki_source_awsfirehose_record_errors", { reason }), 1, reason);
  }
  assert.deepEqual(Object.fromEntries(t.component.flow.dropped.get("logs")!), { bad_record: 3, record_too_large: 1 });
  const { state, rule, cause } = t.status();
  assert.deepEqual([state, rule], ["degraded", "records_unreadable"]);
  assert.match(cause, /^dropped 3 records as bad_record and 1 as record_too_large in the last 5 min: .*CloudWatch/);
});

test("JSON that somebody else has packed is an entry; Alloy would lose it", async () => {
  await using t = await start();
  await t.ask("POST", PUSH, body(gzipSync('{"own":"format"}')), headers());
  assert.equal(t.recorder.items[0]!.line, '{"own":"format"}');
});

test("the access key: constant in time, hidden, and changed without a restart", async () => {
  await using t = await start('access_key = "hunter2"\nrelabel_rules = rules');
  const address = t.address();
  const send = async (key?: string) =>
    t.ask("POST", PUSH, body(plain("x")), headers(key === undefined ? {} : { "x-amz-firehose-access-key": key }));
  for (const key of [undefined, "", "hunter", "hunter22"]) {
    const answer = await send(key);
    assert.equal(answer.status, 401);
    const { requestId, errorMessage } = JSON.parse(answer.text);
    assert.deepEqual([requestId, /^access key not provided or incorrect/.test(errorMessage)], [ID, true]);
  }
  assert.equal((await send("hunter2")).status, 200);
  assert.match(t.status().cause, /^clients were refused 4 requests as 401/);
  assert.doesNotMatch(JSON.stringify([t.component.logs, t.status(), t.component.instance.debugInfo!()]), /hunter/);
  await t.component.update(t.configText('access_key = "another"'));
  assert.deepEqual([(await send("hunter2")).status, (await send("another")).status, t.address()], [401, 200, address]);
});

test("labels in the header of common attributes, mended or counted", async () => {
  await using t = await start();
  const attributes = (value: unknown) =>
    typeof value === "string" ? value : JSON.stringify({ commonAttributes: value });
  for (const [value, labels, reason] of [
    [{ lbl_mylabel1: "v1", lbl_mylabel2: "v2", other: "x" }, '{mylabel1="v1", mylabel2="v2"}', undefined],
    [{ "lbl_l@bel1": "v" }, '{l_bel1="v"}', undefined],
    [{ "lbl_L@bEl1%": "v" }, '{l_b_el1_percent="v"}', undefined],
    [{ lbl_0mylabel: "v", lbl_ok: "w" }, '{ok="w"}', "invalid_label_name"],
    ["!@#$%^&*()_", "{}", "invalid_json_format"],
    [{ lbl_number: 1 }, "{}", "invalid_json_format"],
    ["[]", "{}", "invalid_json_format"],
    ["{}", "{}", undefined],
    [{ lbl_big: "x".repeat(60_000) }, `{big="${"x".repeat(60_000)}"}`, undefined],
  ] as const) {
    t.recorder.items.length = 0;
    const name = "loki_source_awsfirehose_invalid_static_labels_errors";
    const before = t.component.metric(name) ?? 0;
    const more = { "x-amz-firehose-common-attributes": attributes(value) };
    assert.equal((await t.ask("POST", PUSH, body(plain("x")), headers(more))).status, 200);
    assert.equal(t.recorder.items[0]!.labels, labels);
    assert.equal((t.component.metric(name) ?? 0) - before, reason === undefined ? 0 : 1, String(value));
    if (reason !== undefined) assert.ok(t.component.metric(name, { reason, tenant_id: "" })! > 0);
  }
  const utf8 = Buffer.from(attributes({ lbl_city: "Zürich" })).toString("latin1");
  await t.ask("POST", PUSH, body(plain("x")), headers({ "x-amz-firehose-common-attributes": utf8 }));
  assert.equal(t.recorder.items.at(-1)!.labels, '{city="Zürich"}');
});

test("tenants that clients invent do not fill the metrics", async () => {
  await using t = await start();
  for (let i = 0; i < 105; i++) {
    const more = { "x-scope-orgid": `t${i}`, "x-amz-firehose-common-attributes": "x" };
    await t.ask("POST", PUSH, body(), headers(more));
  }
  const name = "loki_source_awsfirehose_invalid_static_labels_errors";
  assert.deepEqual([t.component.metric(name), t.component.metric(name, { tenant_id: "other" })], [105, 5]);
});

test("requests that are none are refused in Firehose's form, and counted by reason", async () => {
  await using t = await start();
  for (const [payload, more, status, reason, message] of [
    ["{", {}, 400, "read_or_format", /^not a request of Firehose: /],
    ['{"records":[{"data":1}]}', {}, 400, "read_or_format", /expecting a string at byte/],
    ["[".repeat(100_000), {}, 400, "read_or_format", /expecting an object/],
    ["no gzip", { "content-encoding": "gzip" }, 400, "pre_read", /the gzip body is damaged/],
    [gzipSync(Buffer.alloc(129 * 1024 * 1024)), { "content-encoding": "gzip" }, 413, "pre_read", /after decompression/],
    ["x", { "content-encoding": "br" }, 415, "pre_read", /not supported/],
  ] as const) {
    const before = t.component.metric("loki_source_awsfirehose_request_errors", { reason }) ?? 0;
    const answer = await t.ask("POST", PUSH, payload, headers(more));
    assert.equal(answer.status, status, answer.text);
    const { requestId, timestamp, errorMessage } = JSON.parse(answer.text);
    assert.deepEqual([requestId, typeof timestamp], [ID, "number"]);
    assert.match(errorMessage, message);
    assert.equal(t.component.metric("loki_source_awsfirehose_request_errors", { reason })! - before, 1);
  }
  assert.deepEqual([t.status().state, t.status().rule], ["failing", "requests_refused"]);
  const answer = await t.ask("POST", PUSH, body(plain("x")), { "content-type": "application/json" });
  assert.equal(JSON.parse(answer.text).requestId, ID, "from the body");
});

test("Firehose is told to come again while the pipeline takes nothing, and thousands of events come whole", async () => {
  const recorder = recordLogs();
  await using t = await start("relabel_rules = rules", recorder);
  recorder.gate = () => {
    throw new RetryableError("full");
  };
  const refused = await t.ask("POST", PUSH, body(plain("x"), "?"), headers());
  assert.deepEqual([refused.status, refused.headers["retry-after"]], [503, "5"]);
  assert.match(JSON.parse(refused.text).errorMessage, /the pipeline is full/);
  assert.equal(t.component.flow.droppedItems, 0, "the bad record is counted once, with the request that is accepted");
  recorder.gate = () => {};
  const many = Array.from({ length: 40_000 }, (_, i): [number, string] => [i, `event ${i} "quoted"`]);
  const records = [many.slice(0, 20_000), many.slice(20_000)].map((events) => subscription(events));
  assert.equal((await t.ask("POST", PUSH, body(...records, plain("y".repeat(5_000_000))), headers())).status, 200);
  assert.equal(t.recorder.items.length, 40_001);
  assert.deepEqual(
    [t.recorder.items[39_999]!.line, t.recorder.items[40_000]!.line.length],
    ['event 39999 "quoted"', 5_000_000],
  );
});
