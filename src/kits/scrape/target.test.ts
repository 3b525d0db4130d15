import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { pageSyntax } from "./protocol.ts";
import { ScrapeTarget } from "./target.ts";

/** Seeds of two machines. */
const [HERE, THERE] = [0x3a91c5e7, -0x1b7f0d24];
const DEFAULTS = {
  jobName: "j",
  intervalMs: 60_000,
  timeoutMs: 10_000,
  metricsPath: "/metrics",
  scheme: "http",
  params: new Map(),
};
const target = (labels: Record<string, string>) => new ScrapeTarget(Labels.from(Object.entries(labels)), DEFAULTS);

test("turns stay where they are, differ between machines, and spread over the interval", () => {
  const turns = Array.from({ length: 200 }, (_, i) => target({ __address__: `host-${i}:9100` }).offsetMs(0, HERE));
  assert.ok(turns.every((turn) => turn >= 0 && turn < 60_000));
  const quarters = [0, 0, 0, 0];
  for (const turn of turns) quarters[Math.floor(turn / 15_000)]! += 1;
  assert.ok(Math.min(...quarters) > 25, quarters.join());
  const one = target({ __address__: "a:1" });
  assert.notEqual(one.offsetMs(0, HERE), one.offsetMs(0, THERE));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), fc.integer(), (now, seed) => {
      const at = now + one.offsetMs(now, seed);
      assert.equal(at % 60_000, one.offsetMs(0, seed) % 60_000);
    }),
  );
});

test("what is shown of an address: what it is about, and nothing secret", () => {
  const shown = target({ __address__: "me:hush@a:1", __param_apikey: "hush", __param_module: "m" }).shownUrl;
  assert.equal(shown, "http://me:xxxxx@a:1/metrics?apikey=xxxxx&module=m");
  assert.throws(() => target({ __address__: "me:hush@a:port" }), /"http:\/\/me:xxxxx@a:port" is not a valid URL/);
});

test("labels about histograms are read as Go reads booleans", () => {
  assert.deepEqual(target({ __address__: "a:1" }).histograms, {});
  assert.deepEqual(
    target({
      __address__: "a:1",
      __scrape_native_histograms__: "T",
      __always_scrape_classic_histograms__: "FALSE",
      __convert_classic_histograms_to_nhcb__: "1",
    }).histograms,
    { nativeHistograms: true, classicHistograms: false, convertHistograms: true },
  );
  assert.throws(
    () => target({ __address__: "a:1", __scrape_native_histograms__: "yes" }),
    /error parsing scrape native histograms: strconv.ParseBool: parsing "yes": invalid syntax/,
  );
});

test("a content type decides how a page is read, a fallback where it does not", () => {
  const cases: [string | undefined, string][] = [
    ["text/plain; version=0.0.4; charset=utf-8", "text"],
    ["Text/Plain;", "text"],
    ['application/openmetrics-text; version="1.0.0"', "openmetrics"],
    ["application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited", "protobuf"],
  ];
  for (const [type, syntax] of cases) assert.equal(pageSyntax(type, undefined), syntax);
  const wrong: [string | undefined, RegExp][] = [
    [undefined, /sending blank Content-Type and no fallback/],
    ["text/html; charset=utf-8", /unsupported Content-Type "text\/html; charset=utf-8" and no fallback/],
    ["text/plain; charset", /cannot parse Content-Type "text\/plain; charset" and no fallback/],
    [";", /cannot parse Content-Type/],
  ];
  for (const [type, message] of wrong) {
    assert.throws(() => pageSyntax(type, undefined), message, String(type));
    assert.equal(pageSyntax(type, "OpenMetricsText1.0.0"), "openmetrics");
  }
});
