import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { type MetricBatch, SAMPLE_STALE } from "#pipeline/batch";
import { recordMetrics, startComponent } from "#pipeline/testing";
import relabel from "./prometheus.relabel.ts";

const RULES = `
rule {
  source_labels = ["__name__"]
  regex         = "drop_.*"
  action        = "drop"
}
rule {
  target_label = "added"
  replacement  = "yes"
}`;

async function start(t: TestContext, config = RULES) {
  const recorder = recordMetrics();
  const scope = { out: recorder.value };
  const component = await startComponent(relabel, `forward_to = [out]\n${config}`, { scope });
  t.after(() => component.stop());
  const { series } = component.services;
  const owned: number[] = [];
  const batch = (names: readonly string[], onSafe?: () => void): MetricBatch => {
    const refs = names.map((name) => series.intern(Labels.from([["__name__", name]])));
    owned.push(...refs);
    return {
      signal: "metrics",
      count: names.length,
      registry: series,
      ref: Int32Array.from(refs),
      timestamp: Float64Array.from(names, (_, i) => i),
      value: Float64Array.from(names, (_, i) => i * 10),
      flags: new Uint8Array(names.length),
      exemplars: undefined,
      histograms: undefined,
      metadata: undefined,
      acknowledgement: onSafe === undefined ? Acknowledgement.none : new Acknowledgement(onSafe),
    };
  };
  const consume = (of: MetricBatch) => component.exports.receiver.consume(of, new AbortController().signal);
  const release = () => {
    for (const ref of owned.splice(0)) series.release(ref);
  };
  return { component, recorder, series, batch, consume, release };
}

test("relabels, drops, and remembers", async (t) => {
  const { component, recorder, batch, consume } = await start(t);
  const sent = batch(["a", "drop_b", "c"]);
  sent.exemplars = [
    { sample: 1, labels: Labels.empty, value: 1, timestamp: 1 },
    { sample: 2, labels: Labels.empty, value: 2, timestamp: 2 },
  ];
  await consume(sent);
  await consume(batch(["a", "drop_b", "c"]));
  assert.deepEqual(
    recorder.items.slice(0, 2).map(({ labels, value, timestamp }) => [labels.toString(), value, timestamp]),
    [
      ['{__name__="a", added="yes"}', 0, 0],
      ['{__name__="c", added="yes"}', 20, 2],
    ],
  );
  assert.equal(recorder.items.length, 4);
  assert.deepEqual(
    sent.exemplars.map(({ sample, value }) => [sample, value]),
    [[1, 2]],
  );
  assert.equal(component.metric("alloy_prometheus_relabel_metrics_processed"), 6);
  assert.equal(component.metric("alloy_prometheus_relabel_metrics_written"), 4);
  assert.equal(component.metric("alloy_prometheus_relabel_cache_misses"), 3);
  assert.equal(component.metric("alloy_prometheus_relabel_cache_hits"), 3);
  assert.equal(component.metric("alloy_prometheus_relabel_cache_size"), 3);
  assert.equal(component.flow.dropped.get("metrics")!.get("relabel_rule"), 2);
});

test("a batch of which nothing is left is acknowledged", async (t) => {
  const { recorder, batch, consume } = await start(t);
  let safe = 0;
  await consume(batch(["drop_a"], () => safe++));
  assert.equal(safe, 1);
  assert.equal(recorder.items.length, 0);
});

test("the end of a series is handed on, and ends what is remembered of it", async (t) => {
  const { component, recorder, batch, consume, series, release } = await start(t);
  await consume(batch(["a", "b"]));
  const last = batch(["a", "drop_c", "b"]);
  last.flags.set([SAMPLE_STALE, SAMPLE_STALE, 0]);
  await consume(last);
  assert.deepEqual(
    recorder.items.slice(2).map(({ labels, value }) => [labels.get("__name__"), value]),
    [
      ["a", "stale"],
      ["b", 20],
    ],
  );
  assert.equal(component.metric("alloy_prometheus_relabel_cache_deletes"), 2);
  assert.equal(component.metric("alloy_prometheus_relabel_cache_size"), 1);
  release();
  assert.equal(series.stored, 0);
});

test("lets go of series when their sources do", async (t) => {
  const { series, batch, consume, release } = await start(t);
  await consume(batch(["a", "b", "drop_c"]));
  assert.equal(series.stored, 5);
  release();
  assert.equal(series.stored, 0);
});

test("a small cache is right as well, also while a consumer is slow", async (t) => {
  const { component, recorder, series, batch, consume, release } = await start(t, `max_cache_size = 2\n${RULES}`);
  recorder.gate = () => new Promise((resolve) => setImmediate(resolve));
  const names = Array.from({ length: 10 }, (_, i) => `m${i}`);
  await Promise.all([consume(batch(names)), consume(batch(names))]);
  assert.deepEqual(
    recorder.items.map(({ labels }) => labels.get("__name__")),
    [...names, ...names],
  );
  assert.equal(component.metric("alloy_prometheus_relabel_cache_size"), 2);
  release();
  assert.equal(series.stored, 0);
});

test("changed rules count at once", async (t) => {
  const { component, recorder, batch, consume } = await start(t);
  await consume(batch(["a"]));
  await component.update('forward_to = [out]\nrule {\ntarget_label = "other"\nreplacement = "1"\n}');
  await consume(batch(["a"]));
  assert.equal(recorder.items[1]!.labels.toString(), '{__name__="a", other="1"}');
  assert.equal(component.exports.rules.length, 1);
});

test("the cache is bounded in one way", async (t) => {
  const cases: [string, RegExp][] = [
    ['cache_ttl = "5m"', /exclude each other/],
    ["max_cache_size = 0", /must be greater than 0/],
    ['max_cache_size = 0\ncache_ttl = "10s"', /at least 1m/],
  ];
  for (const [config, message] of cases) await assert.rejects(start(t, config), message, config);
  await start(t, 'max_cache_size = 0\ncache_ttl = "5m"');
});

test("a rule that looks at a label of targets degrades the flow until it is gone", async (t) => {
  const { component } = await start(t, 'rule {\n  regex  = "__meta_kubernetes_(.*)"\n  action = "labelmap"\n}');
  component.flow.judge();
  assert.deepEqual([component.flow.status.state, component.flow.status.rule], ["degraded", "misplaced_label"]);
  assert.match(
    component.flow.status.cause,
    /^rule 1 uses __meta_kubernetes_\(\.\*\), .*; move the rule to a discovery\.rel/,
  );
  await component.update("forward_to = [out]");
  assert.equal(component.flow.status.state, "idle");
});
