import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Labels } from "#base/labels";
import { s } from "#lang/schema";
import { defineComponent } from "#pipeline/component";
import { startComponent } from "#pipeline/testing";
import { scrapeMetricSpecs } from "./metrics.ts";
import { type PoolConfiguration, ScrapePool } from "./pool.ts";

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Of a target beside its series: 2.9 KB were measured. */
const MOST_BYTES = 3_500;
const FEW = 500;
const MANY = 3_500;
/** No turn comes while the test runs. */
const INTERVAL_MS = 24 * 60 * 60_000;

let pool: ScrapePool;
const component = defineComponent({
  name: "test.scrape",
  stability: "experimental",
  summary: "Scrapes what it is given by hand.",
  example: "",
  args: s.object({}),
  metrics: scrapeMetricSpecs,
  start(ctx) {
    pool = new ScrapePool(
      ctx,
      () => {},
      () => {},
    );
    ctx.stack.defer(() => pool.close());
    return {};
  },
});

const targets = Array.from({ length: MANY }, (_, i) => Labels.from([["__address__", `host-${i}:9100`]]));

function configuration(count: number): PoolConfiguration {
  return {
    targets: targets.slice(0, count),
    targetLimit: 0,
    defaults: {
      jobName: "j",
      intervalMs: INTERVAL_MS,
      timeoutMs: INTERVAL_MS,
      metricsPath: "/metrics",
      scheme: "http",
      params: new Map(),
    },
    settings: {
      transport: () => Promise.reject(new Error("no turn has come")),
      accept: "",
      compression: false,
      fallbackProtocol: undefined,
      bodySizeLimit: 0,
      extraMetrics: false,
      sampleLimit: 0,
      page: {
        honorTimestamps: true,
        trackTimestampsStaleness: false,
        nativeHistograms: false,
        classicHistograms: false,
        convertHistograms: false,
        bucketLimit: 0,
        minBucketFactor: 0,
        typeAndUnitLabels: false,
        startTimestamps: false,
        startsAfter: 0,
        labels: { honorLabels: false, legacyNames: false, labelLimit: 0, nameLengthLimit: 0, valueLengthLimit: 0 },
      },
    },
  };
}

test("a target that waits for its turn takes little memory", async (t) => {
  const { services, stop } = await startComponent(component, "");
  t.after(() => stop());
  /** Bytes in use with so many targets. */
  const withTargets = (count: number) => {
    pool.sync(configuration(count));
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external - services.series.memoryBytes;
  };
  const few = withTargets(FEW);
  const perTarget = (withTargets(MANY) - few) / (MANY - FEW);
  assert.ok(perTarget < MOST_BYTES, `${Math.round(perTarget)} bytes`);
});
