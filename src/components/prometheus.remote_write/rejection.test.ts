import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { processorMs } from "#base/processor-time.testing";
import { readRejection, seriesIn } from "./rejection.ts";

const mimir = (message: string) =>
  `failed pushing to ingester mimir-ingester-0: user=anonymous: ${message}. The affected sample has timestamp 2026-01-01T00:00:00Z and is from series {__name__="up", instance="a:1", job="x"}`;

const texts: readonly (readonly [status: number, text: string, reason: string, rescue: string])[] = [
  [400, "out of order sample", "out_of_order", "search"],
  [400, "duplicate sample for timestamp", "duplicate_sample", "search"],
  [
    400,
    "duplicate sample for timestamp 17; overrides not allowed: existing 1, new value 2",
    "duplicate_sample",
    "search",
  ],
  [400, "out of bounds", "too_old", "search"],
  [400, "too old sample", "too_old", "search"],
  [400, 'invalid labels for series, labels: {__name__="a", b-c="d"}, invalid label name', "invalid_labels", "search"],
  [
    400,
    mimir(
      "the sample has been rejected because another sample with a more recent timestamp has already been ingested and out-of-order samples are not allowed (err-mimir-sample-out-of-order)",
    ),
    "out_of_order",
    "none",
  ],
  [
    400,
    mimir(
      "the sample has been rejected because another sample with the same timestamp, but a different value, has already been ingested (err-mimir-sample-duplicate-timestamp)",
    ),
    "duplicate_sample",
    "none",
  ],
  [
    400,
    mimir(
      "the sample has been rejected because another sample with a more recent timestamp has already been ingested and this sample is beyond the out-of-order time window of 5m (err-mimir-sample-timestamp-too-old)",
    ),
    "too_old",
    "none",
  ],
  [
    400,
    mimir("received a sample whose timestamp is too far in the future (err-mimir-too-far-in-future)"),
    "too_far_in_future",
    "none",
  ],
  [
    400,
    "failed pushing to ingester: user=1: per-user series limit of 150000 exceeded (err-mimir-max-series-per-user). To adjust the related per-tenant limit, configure -ingester.max-global-series-per-user, or contact your service administrator.",
    "series_limit",
    "none",
  ],
  [
    400,
    "received a series whose number of labels exceeds the limit (actual: 31, limit: 30) series: 'x' (err-mimir-max-label-names-per-series)",
    "invalid_labels",
    "none",
  ],
  [409, "store locally for endpoint a: conflict: out of order sample", "out_of_order", "none"],
  [400, "snappy: corrupt input", "http_400", "records"],
  [404, "404 page not found: too old sample", "http_404", "none"],
  [413, "request entity too large", "payload_too_large", "halves"],
  [429, "ingestion rate limit", "rate_limited", "none"],
];

test("what backends say about samples has a reason of its own", () => {
  for (const [status, text, reason, rescue] of texts) {
    const found = readRejection(status, text);
    assert.deepEqual([found.reason, found.rescue], [reason, rescue], text);
    assert.notEqual(found.remedy, "");
  }
  assert.match(readRejection(404, "").remedy, /\/api\/v1\/write \(Prometheus.*\/api\/v1\/push \(Mimir\)/);
});

test("the series that an answer names is read", () => {
  assert.equal(String(readRejection(400, texts[6]![1]).series), '{__name__="up", instance="a:1", job="x"}');
  assert.equal(
    String(seriesIn('for series up{job="a\\"b",path="C:\\\\x"}')),
    '{__name__="up", job="a\\"b", path="C:\\\\x"}',
  );
  assert.equal(String(seriesIn('series "{__name__=\\"up\\", job=\\"x\\"}"')), '{__name__="up", job="x"}');
  assert.equal(seriesIn("from series up"), undefined);
  assert.equal(seriesIn("{}"), undefined);
});

test("whatever labels there are, what Labels writes is read back", () => {
  const name = fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/);
  const value = fc
    .string({ unit: "grapheme" })
    .filter((text) => text !== "" && !/[\r\n\t\v\f\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text));
  fc.assert(
    fc.property(fc.dictionary(name, value, { minKeys: 1, maxKeys: 5, noNullPrototype: true }), (pairs) => {
      const labels = Labels.from(Object.entries(pairs));
      assert.equal(String(seriesIn(`rejected: ${labels} (err)`)), String(labels));
    }),
  );
});

test("texts of any length are read in no time", () => {
  const ms = processorMs(() => {
    seriesIn(`{${'a="b",'.repeat(2_000)}`);
    seriesIn(`${"a".repeat(4_000)}{${"{".repeat(4_000)}`);
    seriesIn(`x{a="${"\\".repeat(4_001)}`);
  });
  assert.ok(ms < 500, `${ms} ms`);
});
