import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpClientError } from "#kits/http-client";
import { judgeAnswer, judgeFailure } from "./answers.ts";

const judge = (status: number, text: string, retryRateLimited = true) =>
  judgeAnswer("loki:3100", { status, text, retryAfter: undefined }, 0, retryRateLimited);

const STREAM = '{app="a", path="C:\\\\x}"}';
/** Texts of Loki's pkg/validation/validate.go and pkg/ingester/stream.go, filled in as Loki does. */
const REJECTIONS: readonly (readonly [reason: string, text: string, says: RegExp])[] = [
  [
    "too_old",
    `entry for stream '${STREAM}' has timestamp too old: 2020-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-01-01T00:00:00Z`,
    /reject_old_samples_max_age/,
  ],
  [
    "too_new",
    `entry for stream '${STREAM}' has timestamp too new: 2036-01-01T00:00:00Z`,
    /location of stage\.timestamp/,
  ],
  [
    "out_of_order",
    `entry with timestamp 2026-01-07 01:35:32 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-01-07T01:35:32Z, oldest acceptable timestamp is: 2026-01-07T03:23:59Z',\nuser 'fake', total ignored: 3 out of 40 for stream: ${STREAM}\n`,
    /stream \{app="a"/,
  ],
  ["out_of_order", "entry out of order for stream", /a label that tells them apart/],
  [
    "line_too_long",
    `Max entry size '262144' bytes exceeded for stream '${STREAM}' while adding an entry with length '300000' bytes`,
    /stage\.truncate/,
  ],
  ["invalid_labels", "error at least one label pair is required per stream", /external_labels/],
  ["invalid_labels", `Error parsing labels '{a-b="c"}' with error: 1:3: parse error`, /mend the labels/],
  ["invalid_labels", `entry for stream '${STREAM}' has 20 label names; limit 15`, /mend the labels/],
  ["invalid_labels", `stream '${STREAM}' has label value too long: 'xxxx'`, /mend the labels/],
  ["invalid_labels", `stream '${STREAM}' has duplicate label name: 'app'`, /mend the labels/],
  ["invalid_labels", `missing required labels cluster for user fake for stream ${STREAM}`, /mend the labels/],
  [
    "invalid_metadata",
    `stream '${STREAM}' includes structured metadata, but this feature is disallowed. Please see \`limits_config.allow_structured_metadata\``,
    /stage\.structured_metadata/,
  ],
  ["bad_request", "could not decode", /sending them again cannot help/],
];

test("tells from Loki's words why it rejects entries, which stream it was, and what to do", () => {
  for (const [reason, text, says] of REJECTIONS) {
    const verdict = judge(400, text);
    assert.deepEqual([verdict.kind, verdict.reason, verdict.problem], ["drop", reason, undefined], text);
    assert.match(verdict.text, /^loki:3100 answered 400: /);
    assert.match(verdict.text, says);
    if (text.includes(STREAM)) assert.equal(verdict.text.split(STREAM).length, 2, "the stream is named once");
  }
  assert.equal(judge(400, REJECTIONS[2]![1]).refused, 3);
  assert.equal(judge(400, "x").refused, undefined);
});

test("limits are waited for, or not, and name their kind", () => {
  const streams = `Maximum active stream limit exceeded when trying to create stream ${STREAM}, reduce the number of active streams (reduce labels or reduce label values), or contact your Loki administrator to see if the limit can be increased, user: 'fake'`;
  const perStream = `entry with timestamp 2026-01-07 01:35:32 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '${STREAM}' totaling 1kB, consider splitting a stream via additional labels',\nuser 'fake', total ignored: 1 out of 1 for stream: ${STREAM}`;
  const tenant =
    "Ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec) while attempting to ingest '1000' lines";
  for (const [text, reason] of [
    [streams, "stream_limit"],
    [perStream, "rate_limited"],
    [tenant, "rate_limited"],
  ] as const) {
    assert.deepEqual([judge(429, text).kind, judge(429, text).reason], ["retry", reason]);
    assert.equal(judge(429, text).problem, "rate_limited");
    assert.deepEqual([judge(429, text, false).kind, judge(429, text, false).reason], ["drop", reason]);
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
    [413, "split", undefined],
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
