import assert from "node:assert/strict";
import { test } from "node:test";
import { Counter, Gauge } from "#base/metrics";
import { NewSeries } from "#kits/new-series";
import { SeriesRegistry } from "#pipeline/series";
import { SeriesCount } from "./series-count.ts";
import { batchOf } from "./testing.ts";

test("shows each new series once to whoever looks for labels that grow, with its job", () => {
  const registry = new SeriesRegistry();
  let now = 0;
  const newSeries = new NewSeries(() => now, 1_000);
  const metrics = { walActiveSeries: new Gauge(), walCreatedSeries: new Counter(), walRemovedSeries: new Counter() };
  using count = new SeriesCount(registry, metrics, newSeries);
  const send = (from: number) => {
    const labels = (i: number) => ({ __name__: "hits", job: "web", path: `/${from + i}` });
    count.add(
      batchOf(
        registry,
        Array.from({ length: 15_000 }, (_, i) => ({ labels: labels(i), value: i })),
      ),
    );
  };
  send(0);
  assert.equal(newSeries.judge(), undefined, "at the start all are new");
  now = 2_000;
  send(0);
  assert.equal(newSeries.judge(), undefined, "these are known");
  send(15_000);
  assert.match(
    newSeries.judge()!.cause,
    /^the label "path" has about 1[456] k values in 15 k new series .*most from the job web/,
  );
  assert.equal(metrics.walCreatedSeries.value, 30_000);
});
