import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Gauge } from "#base/metrics";
import { hashBytes } from "#pipeline/series-hash";
import { DistinctSketch } from "./distinct-sketch.ts";
import { NewSeries } from "./new-series.ts";

const MINUTE_MS = 60_000;

class Fixture {
  now = 0;
  readonly series: NewSeries;
  constructor(quietMs = 0) {
    this.series = new NewSeries(() => this.now, quietMs);
  }
  /** Adds `count` series, a thousand each tenth of a second, with labels by number. */
  add(count: number, labels: (i: number) => Record<string, string>, source = "http://a/metrics"): void {
    this.series.source = source;
    for (let i = 0; i < count; i++) {
      if (i % 1_000 === 0) this.now += 100;
      if (!this.series.begin()) continue;
      for (const [name, value] of Object.entries(labels(i))) {
        const text = Buffer.from(name + value);
        this.series.label(text, 0, name.length, name.length, text.length);
      }
    }
  }
  get shown(): Record<string, number> {
    const gauge = new Gauge(["label"]);
    this.series.show(gauge);
    const samples: { labels: readonly string[]; value: number }[] = [];
    gauge.collect("x", [], samples as never);
    return Object.fromEntries(samples.map(({ labels, value }) => [labels[1]!, value]));
  }
}

test("the sketch estimates what was added, to both of two, within a few per cent", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60_000 }), fc.nat(), (count, seed) => {
      const [one, other] = [new DistinctSketch(), new DistinctSketch()];
      for (let i = 0; i < count; i++) {
        const text = Buffer.from(`/path/${seed}/${i}`);
        (i % 2 === 0 ? one : other).add(hashBytes(text, 0, text.length));
        if (i % 7 === 0) one.add(hashBytes(text, 0, text.length));
      }
      const estimate = one.countWith(other);
      assert.ok(Math.abs(estimate - count) <= Math.max(3, count * 0.15), `${estimate} for ${count}`);
    }),
    { numRuns: 40 },
  );
});

test("a label that takes ever more values is named, with how many, its share and where from", () => {
  const fixture = new Fixture();
  fixture.add(48_000, (i) => ({ __name__: "http_requests_total", code: String(i % 5), path: `/user/${i}` }));
  fixture.add(1_500, () => ({ __name__: "other", le: "1" }), "http://b/metrics");
  const found = fixture.series.judge()!;
  assert.equal(found.state, "degraded");
  assert.match(found.cause, /^the label "path" has about (4[5-9]|5[0-1]) k values in 50 k new series within \d+ s/);
  assert.match(found.cause, /\(it is in 97 % of them\), most from http:\/\/a\/metrics: .*"labeldrop"/);
  assert.deepEqual(Object.keys(fixture.shown), ["path"]);
});

test("many series with few values of each label are none, nor is a large share of few series", () => {
  const fixture = new Fixture();
  fixture.add(100_000, (i) => ({ __name__: `m_${i % 500}`, pod: `pod-${i % 2_000}`, le: String(i % 20) }));
  assert.equal(fixture.series.judge(), undefined);
  assert.deepEqual(Object.keys(fixture.shown), ["pod", "__name__"]);
  const few = new Fixture();
  few.add(5_000, (i) => ({ __name__: "a", path: String(i) }));
  assert.equal(few.series.judge(), undefined);
  const rare = new Fixture();
  rare.add(60_000, (i) => ({ __name__: `m_${i % 50}`, ...(i % 4 === 0 ? { path: String(i) } : { kind: "x" }) }));
  assert.equal(rare.series.judge(), undefined, "a quarter of the series");
});

test("ten minutes later it is forgotten, five minutes later it is not", () => {
  const fixture = new Fixture();
  fixture.add(20_000, (i) => ({ __name__: "a", path: String(i) }));
  fixture.now += 5 * MINUTE_MS;
  assert.ok(fixture.series.judge());
  fixture.now += 5 * MINUTE_MS;
  assert.equal(fixture.series.judge(), undefined);
  assert.deepEqual(fixture.shown, {});
  fixture.add(20_000, (i) => ({ __name__: "a", path: String(i) }));
  fixture.now += 24 * 60 * MINUTE_MS;
  assert.equal(fixture.series.judge(), undefined);
});

test("names of metrics count as well; a quiet time at the start does not", () => {
  const fixture = new Fixture(MINUTE_MS);
  const names = (i: number) => ({ __name__: `metric_${i}` });
  fixture.add(20_000, names);
  assert.equal(fixture.series.judge(), undefined);
  fixture.now += MINUTE_MS;
  fixture.add(20_000, names);
  assert.match(fixture.series.judge()!.cause, /^the names of metrics have about (19|20|21) k values/);
});

test("a flood is not looked at as a whole, nor are more labels than a few dozen", () => {
  const fixture = new Fixture();
  let looked = 0;
  for (let i = 0; i < 100_000; i++) if (fixture.series.begin()) looked += 1;
  assert.equal(looked, 20_000);
  const wide = new Fixture();
  for (let i = 0; i < 1_000; i++) wide.add(200, (n) => ({ [`label_${i}`]: String(n) }));
  assert.ok(Object.keys(wide.shown).length <= 10);
});
