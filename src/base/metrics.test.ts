import assert from "node:assert/strict";
import { test } from "node:test";
import { counter, formatFloat, gauge, histogram, MetricRegistry, summary } from "./metrics.ts";

function samplesOf(registry: MetricRegistry): readonly string[] {
  return registry.collect().flatMap(({ samples }) =>
    samples.map(({ name, labels, value }) => {
      const pairs: string[] = [];
      for (let i = 0; i < labels.length; i += 2) pairs.push(`${labels[i]}=${labels[i + 1]}`);
      return `${name}{${pairs.join(",")}} ${value}`;
    }),
  );
}

test("instruments are collected under their owner's labels and vanish with it", () => {
  const registry = new MetricRegistry();
  const specs = { requests: counter("requests_total", "Requests.", ["code"]), queue: gauge("queue", "Waiting.") };
  const one = registry.register(specs, ["id", "one"]);
  const two = registry.register(specs, ["id", "two"]);
  one.instruments.requests.labels("200").inc(2);
  one.instruments.requests.labels("500").inc();
  two.instruments.queue.read = () => 7;
  assert.deepEqual(samplesOf(registry), [
    "queue{id=one} 0",
    "queue{id=two} 7",
    "requests_total{id=one,code=200} 2",
    "requests_total{id=one,code=500} 1",
  ]);
  one.instruments.requests.remove("500");
  two.dispose();
  assert.deepEqual(samplesOf(registry), ["queue{id=one} 0", "requests_total{id=one,code=200} 2"]);
  assert.throws(() => one.instruments.requests.labels(), /expected 1 label values \(code\), got 0/);
});

test("a histogram's buckets are cumulative, and bounds are written as Go's clients write them", () => {
  const registry = new MetricRegistry();
  const { instruments } = registry.register({ size: histogram("size", "Sizes.", [1, 2.5, 1e6]) });
  for (const value of [0.5, 1, 2, 3e6]) instruments.size.observe(value);
  assert.deepEqual(samplesOf(registry), [
    "size_bucket{le=1} 2",
    "size_bucket{le=2.5} 3",
    "size_bucket{le=1e+06} 3",
    "size_bucket{le=+Inf} 4",
    "size_sum{} 3000003.5",
    "size_count{} 4",
  ]);
});

test("a summary's quantiles are those of the latest observations", () => {
  const registry = new MetricRegistry();
  const { instruments } = registry.register({ wait: summary("wait", "Waits.", [0.5, 0.99]) });
  assert.deepEqual(samplesOf(registry)[0], "wait{quantile=0.5} NaN");
  for (let i = 1; i <= 100; i++) instruments.wait.observe(i);
  assert.deepEqual(samplesOf(registry), [
    "wait{quantile=0.5} 50",
    "wait{quantile=0.99} 99",
    "wait_sum{} 5050",
    "wait_count{} 100",
  ]);
  for (let i = 0; i < 10_000; i++) instruments.wait.observe(7);
  assert.equal(samplesOf(registry)[0], "wait{quantile=0.5} 7");
});

test("numbers are written as Go writes them", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [-0, "-0"],
    [999_999, "999999"],
    [1e6, "1e+06"],
    [-1_234_567.5, "-1.2345675e+06"],
    [1e21, "1e+21"],
    [1e-4, "0.0001"],
    [1e-5, "1e-05"],
    [123e-7, "1.23e-05"],
    [Number.NaN, "NaN"],
    [Infinity, "+Inf"],
    [-Infinity, "-Inf"],
  ];
  for (const [value, text] of cases) assert.equal(formatFloat(value), text);
  assert.equal(formatFloat(1_234_567, 1e21), "1234567");
});
