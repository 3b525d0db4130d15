import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpClientError } from "#kits/http/client";
import { judgeAnswer, judgeFailure } from "./answers.ts";

const NOTHING = { type: undefined, date: undefined, retryAfter: undefined };
const judge = (status: number, text: string, options: { retryRateLimited?: boolean; isOwnTenant?: boolean } = {}) =>
  judgeAnswer(
    "loki:3100",
    { ...NOTHING, status, text },
    { now: 0, retryRateLimited: true, isOwnTenant: true, ...options },
  );

const STREAM = '{app="a", path="C:\\\\x}", service_name="a"}';
/** Answers of Loki 3.7.6 to requests that were made so, with status 400; the last three are of its source, for other settings. */
const REJECTIONS: readonly (readonly [reason: string, entries: number, text: string, says: RegExp])[] = [
  [
    "too_old",
    1,
    `entry for stream '${STREAM}' has timestamp too old: 2026-11-21T10:51:31Z, oldest acceptable timestamp is: 2026-11-21T12:51:32Z`,
    /reject_old_samples_max_age/,
  ],
  [
    "too_far_in_future",
    1,
    `entry for stream '${STREAM}' has timestamp too new: 2026-11-21T14:51:31Z`,
    /location of stage\.timestamp/,
  ],
  [
    "out_of_order",
    3,
    `entry with timestamp 2026-11-21 10:51:31.735 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-11-21T10:51:31Z, oldest acceptable timestamp is: 2026-11-21T12:51:31Z',\nuser 't1', total ignored: 3 out of 40 for stream: ${STREAM}`,
    /stream \{app="a"/,
  ],
  [
    "line_too_long",
    3,
    `2 errors like: max entry size '100' bytes exceeded for stream '${STREAM}' while adding an entry with length '150' bytes; 1 errors like: max entry size '100' bytes exceeded for stream '${STREAM}' while adding an entry with length '151' bytes`,
    /stage\.truncate/,
  ],
  ["invalid_labels", 0, "error at least one label pair is required per stream", /external_labels/],
  ["invalid_labels", 0, `entry for stream '${STREAM}' has 4 label names; limit 3`, /mend the labels: fewer of them/],
  ["invalid_labels", 0, `stream '${STREAM}' has label name too long: 'aaaaaaaaaaaaaaaaaaaa'`, /mend the labels/],
  ["invalid_labels", 0, `stream '${STREAM}' has label value too long: 'xxxx'`, /mend the labels/],
  ["invalid_labels", 0, `stream '${STREAM}' has duplicate label name: 'a'`, /mend the labels/],
  [
    "invalid_labels",
    0,
    `missing required labels 'cluster,namespace' for user 'enforced' for stream '${STREAM}' (policy: '')`,
    /external_labels gives them to all/,
  ],
  [
    "invalid_metadata",
    1,
    `stream '${STREAM}' includes structured metadata, but this feature is disallowed. Please see \`limits_config.allow_structured_metadata\` or contact your Loki administrator to enable it`,
    /stage\.structured_metadata/,
  ],
  [
    "invalid_metadata",
    1,
    `stream '${STREAM}' has structured metadata too large: '201' bytes, limit: '100' bytes. Please see \`limits_config.max_structured_metadata_size\` or contact your Loki administrator to increase it`,
    /stage\.structured_metadata/,
  ],
  [
    "invalid_metadata",
    1,
    `stream '${STREAM}' has too many structured metadata labels: '3', limit: '2'. Please see \`limits_config.max_structured_metadata_entries_count\` or contact your Loki administrator to increase it`,
    /stage\.structured_metadata/,
  ],
  ["out_of_order", 1, "entry out of order for stream", /a label that tells them apart/],
  ["invalid_labels", 0, `Error parsing labels '{a-b="c"}' with error: 1:3: parse error`, /mend the labels/],
  [
    "stream_limit",
    0,
    `maximum active stream limit exceeded when trying to create stream ${STREAM}, reduce the number of active streams`,
    /max_global_streams_per_user/,
  ],
];

test("tells from Loki's words why it rejects entries, which stream it was, and what to do", () => {
  for (const [reason, entries, text, says] of REJECTIONS) {
    const verdict = judge(400, `${text}\n`);
    assert.deepEqual([verdict.kind, verdict.reason, verdict.problem], ["drop", reason, undefined], text);
    assert.match(verdict.text, /^loki:3100 answered 400: /);
    assert.match(verdict.text, says);
    const [rejection, ...others] = verdict.rejections!;
    assert.deepEqual([rejection!.reason, rejection!.entries, others], [reason, entries, []]);
    const stream = text.includes(STREAM) ? STREAM : "{}";
    assert.deepEqual(rejection!.streams, entries === 0 ? [stream] : [], "a stream that was refused as a whole");
    assert.equal(rejection!.text, verdict.text);
    if (text.includes(STREAM)) assert.equal(verdict.text.split(STREAM).length, 2, "the stream is named once");
  }
});

/** What Loki 3.7.6 answers to a request of which it takes nothing. */
const REFUSALS: readonly (readonly [status: number, text: string, kind: string, reason: string, says: RegExp])[] = [
  [
    400,
    "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '.'",
    "part",
    "invalid_labels",
    /mend/,
  ],
  [400, "couldn't parse labels: 1:67: parse error: invalid UTF-8 rune", "part", "invalid_labels", /mend/],
  [413, "request body too large: stream labels size 17 MB exceeds limit of 16 MB", "part", "invalid_labels", /mend/],
  [
    413,
    "request body too large: message size too large than max (2372689 vs 1000000)",
    "halve",
    "payload_too_large",
    /batch_size/,
  ],
  [
    400,
    "decompressed message size too large than max (10001116 vs 8000000)",
    "halve",
    "payload_too_large",
    /max_decompressed_size/,
  ],
  [
    500,
    "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (6003034 vs. 4194304)",
    "halve",
    "payload_too_large",
    /grpc_server_max_recv_msg_size/,
  ],
  [
    260,
    "ingestion blocked for user 'blocked' until '2030-01-01T00:00:00Z' with status code '260'",
    "drop",
    "blocked",
    /owner/,
  ],
  [
    403,
    "ingestion blocked for user 'b' until '2030-01-01T00:00:00Z' with status code '403'",
    "drop",
    "blocked",
    /owner/,
  ],
  [400, "tenant ID 'a/b' contains unsupported character '/'", "refused", "invalid_tenant", /check tenant_id/],
  [400, "tenant ID is too long: max 150 characters", "refused", "invalid_tenant", /check tenant_id/],
  [400, "tenant ID is '.' or '..'", "refused", "invalid_tenant", /check tenant_id/],
  [400, "multiple org IDs present", "refused", "invalid_tenant", /check tenant_id/],
  [401, "no org id", "refused", "unauthorized", /set tenant_id/],
  [404, "404 page not found", "refused", "not_found", /\/loki\/api\/v1\/push/],
  [405, "", "refused", "not_found", /check the url/],
  [422, "error at least one valid stream is required for ingestion", "drop", "bad_request", /cannot help/],
  [400, "snappy: corrupt input", "drop", "bad_request", /cannot help/],
  [400, "proto: illegal wireType 7", "drop", "bad_request", /cannot help/],
];

test("a request that Loki does not take at all is parted, kept or dropped", () => {
  for (const [status, text, kind, reason, says] of REFUSALS) {
    const verdict = judge(status, `${text}\n`);
    assert.deepEqual([verdict.kind, verdict.reason, verdict.rejections], [kind, reason, undefined], text);
    assert.match(verdict.text, says);
  }
  const ofEntries = judge(400, "tenant ID 'a/b' contains unsupported character '/'", { isOwnTenant: false });
  assert.deepEqual([ofEntries.kind, ofEntries.reason], ["drop", "invalid_tenant"]);
});

test("limits are waited for, or not, and name their kind", () => {
  const streams = `maximum active stream limit exceeded when trying to create stream ${STREAM}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: 'streams'`;
  const perStream = `entry with timestamp 2026-11-21 13:52:21.817 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 1KB/sec) while attempting to ingest for stream '${STREAM}' totaling 301B, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased',\nuser 'perstream', total ignored: 1 out of 1 for stream: ${STREAM}`;
  const tenant =
    "ingestion rate limit exceeded for user rate (limit: 4194304 bytes/sec) while attempting to ingest '1000' lines totaling '3000' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased";
  const DROP = { retryRateLimited: false };
  for (const [text, reason] of [
    [streams, "stream_limit"],
    [perStream, "rate_limited"],
    [tenant, "rate_limited"],
  ] as const) {
    assert.deepEqual([judge(429, text).kind, judge(429, text).reason], ["retry", reason]);
    assert.equal(judge(429, text).problem, "rate_limited");
    assert.equal(judge(429, text.replace("4194304", "2999")).kind, text === tenant ? "halve" : "retry");
    assert.deepEqual([judge(429, text, DROP).kind, judge(429, text, DROP).reason], ["drop", reason]);
  }
});

test("tells what the endpoint's owner has to mend from what passes by itself", () => {
  assert.match(judge(401, "no org id\n").text, /answered 401: no org id; this Loki has several tenants: set tenant_id/);
  assert.match(judge(403, "forbidden").text, /check the endpoint's credentials/);
  for (const [status, kind, problem] of [
    [401, "refused", "unauthorized"],
    [403, "refused", "unauthorized"],
    [404, "refused", "wrong_url"],
    [302, "refused", "wrong_url"],
    [500, "retry", "endpoint_down"],
    [503, "retry", "endpoint_down"],
    [408, "retry", "endpoint_down"],
    [413, "halve", undefined],
    [204, "delivered", undefined],
  ] as const) {
    assert.deepEqual([judge(status, "").kind, judge(status, "").problem], [kind, problem], String(status));
  }
  assert.deepEqual(
    [
      judge(260, "ingestion blocked for user fake until '2026-01-01' with status code '260'").kind,
      judge(260, "").reason,
    ],
    ["drop", "blocked"],
  );
  const failure = (kind: "authentication" | "redirect" | "timeout" | "dns") =>
    judgeFailure("loki:3100", new HttpClientError(kind, "words"));
  assert.deepEqual(
    (["authentication", "redirect", "timeout", "dns"] as const).map((kind) => failure(kind).problem),
    ["unauthorized", "wrong_url", "endpoint_down", "endpoint_down"],
  );
  assert.equal(failure("timeout").reason, "timeout");
});

test("Retry-After: seconds, or a date by the server's clock, five minutes at most", () => {
  const pause = (retryAfter: string, date?: string) =>
    judgeAnswer(
      "loki:3100",
      { ...NOTHING, status: 503, text: "", retryAfter, date },
      { now: Date.parse("2026-11-21T12:00:00Z"), retryRateLimited: true, isOwnTenant: true },
    ).retryAfterMs;
  assert.equal(pause("3"), 3_000);
  assert.equal(pause("0"), undefined);
  assert.equal(pause("soon"), undefined);
  assert.equal(pause("100000"), 5 * 60_000);
  assert.equal(pause("Sat, 21 Nov 2026 12:00:07 GMT"), 7_000);
  assert.equal(pause("Sat, 21 Nov 2026 11:59:59 GMT"), undefined);
  assert.equal(pause("Sat, 21 Nov 2026 11:00:07 GMT", "Sat, 21 Nov 2026 11:00:00 GMT"), 7_000);
});
