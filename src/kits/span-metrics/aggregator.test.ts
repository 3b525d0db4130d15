import assert from "node:assert/strict";
import { test } from "node:test";
import type { OtlpBatch } from "#pipeline/batch";
import { SpanMetrics, type SpanMetricsOptions } from "./aggregator.ts";
import { pointsOf, type TestSpan, traces } from "./span-metrics.testing.ts";

function make(more: Partial<SpanMetricsOptions> = {}): SpanMetrics {
  return new SpanMetrics({
    dimensions: [],
    callsDimensions: [],
    durationDimensions: [],
    eventDimensions: undefined,
    excluded: new Set(["collector.instance.id"]),
    instanceId: "",
    scopes: [],
    resourceKeys: [],
    maxResources: 1000,
    maxSeries: 0,
    isDelta: false,
    histogram: { bounds: [1, 10], maxSize: 0 },
    unit: "ms",
    maxExemplars: 0,
    resourceExpirationMs: 0,
    seriesExpirationMs: 0,
    maxDeltaStarts: 100_000,
    namespace: "",
    memoryLimit: 1e9,
    ...more,
  });
}

const shop = (...spans: readonly TestSpan[]) => traces({ resource: { "service.name": "shop" }, spans });
const many = Array.from({ length: 8000 }, (_, i) => ({ name: `operation ${i} ${"x".repeat(60)}` }));
const sum = (batches: readonly OtlpBatch[], metric: string) =>
  pointsOf(batches).reduce((total, each) => total + (each.metric === metric ? each.count : 0), 0);

test("many series go in several requests, and spans between them are counted once", () => {
  for (const isDelta of [false, true]) {
    const counter = make({ isDelta });
    counter.add(shop(...many), 1);
    const first: OtlpBatch[] = [];
    let between = 0;
    for (const batch of counter.flush(10)) {
      first.push(batch);
      counter.add(shop(...many.slice(0, 10), { name: `new ${between}` }), 11);
      between += 11;
    }
    assert.ok(first.length > 2, `${first.length} requests`);
    for (const { bytes, items, parts } of first) {
      assert.ok(bytes < 1.1 * 2 ** 20);
      assert.equal(items, pointsOf([{ ...first[0]!, parts }]).length);
    }
    const second = [...counter.flush(20)];
    if (isDelta) assert.equal(sum(first, "calls") + sum(second, "calls"), many.length + between);
    else {
      const third = [...counter.flush(30)];
      assert.equal(sum(third, "calls"), many.length + between);
      assert.equal(sum(third, "duration"), many.length + between);
    }
    assert.equal(counter.counted, many.length + between);
    assert.deepEqual([...counter.losses], []);
  }
});

test("a flush that nobody reads to its end leaves the counter whole", () => {
  const counter = make();
  counter.add(shop(...many), 1);
  for (const _ of counter.flush(10)) break;
  assert.equal(sum([...counter.flush(20)], "duration"), many.length);
});

test("without memory spans count as overflow, those of new resources are dropped, and all memory comes back", () => {
  for (const isDelta of [false, true]) {
    const counter = make({
      memoryLimit: 100_000,
      isDelta,
      maxExemplars: 2,
      histogram: { bounds: undefined, maxSize: 160 },
    });
    counter.add(shop(...many.map((span) => ({ ...span, trace: 1, ms: 5 }))), 1);
    const overflow = counter.losses.get("overflow_memory")!;
    assert.ok(overflow > 7000 && overflow < many.length);
    counter.add(traces({ resource: { "service.name": "other" }, spans: [{}, {}] }), 2);
    assert.equal(counter.losses.get("series_memory"), 2);
    assert.ok(counter.budget.used < 110_000, `${counter.budget.used}`);
    const points = pointsOf([...counter.flush(10)]).filter(({ metric }) => metric === "duration");
    assert.equal(
      points.reduce((total, each) => total + each.count, 0),
      many.length,
    );
    assert.equal(points.find(({ labels }) => labels === "otel.metric.overflow=true")!.count, overflow);
    if (isDelta) assert.equal(counter.budget.used, 0);
  }
});

test("what is no request is refused", () => {
  const whole = shop({ name: "a", attributes: { b: "c" }, traceState: "d=e", status: 2 });
  for (let cut = whole.length - 1; cut > 0; cut--) {
    assert.throws(() => make().add(whole.subarray(0, cut), 1), { name: "ProtobufError" }, `${cut} bytes`);
  }
});
