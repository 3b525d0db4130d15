import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { Labels } from "#base/labels";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { recordMetrics, startComponent } from "#pipeline/testing";
import enrich from "./prometheus.enrich.ts";

const TARGETS = `targets = [
  { hostname = "web-1", port = "1", rack = "r1", zone = "a" },
  { hostname = "web-2", port = "1", rack = "", zone = "b" },
  { hostname = "web-1", port = "2", rack = "r2" },
  { rack = "r3" },
]`;
const BY_HOST = `${TARGETS}\ntarget_to_metric_match = { "hostname" = "host" }`;

async function start(t: TestContext, config: string) {
  const recorder = recordMetrics();
  const component = await startComponent(enrich, `forward_to = [out]\n${config}`, { scope: { out: recorder.value } });
  cleanUp(t, () => component.stop());
  const { series } = component.services;
  const send = async (...sets: Record<string, string>[]) => {
    recorder.items.length = 0;
    const refs = sets.map((each) => series.intern(Labels.from(Object.entries(each))));
    await component.exports.receiver.consume(
      {
        signal: "metrics",
        count: refs.length,
        registry: series,
        ref: Int32Array.from(refs),
        timestamp: new Float64Array(refs.length),
        value: new Float64Array(refs.length),
        flags: new Uint8Array(refs.length),
        exemplars: undefined,
        histograms: undefined,
        metadata: undefined,
        acknowledgement: Acknowledgement.none,
      },
      new AbortController().signal,
    );
    for (const ref of refs) series.release(ref);
    return recorder.items.map(({ labels }) => labels.toString());
  };
  const judge = () => {
    component.flow.judge();
    return component.flow.status;
  };
  return { component, send, judge, series };
}

test("copies the labels of the last target with the same values; an empty one takes the label off", async (t) => {
  const { component, send, series } = await start(t, BY_HOST);
  assert.deepEqual(
    await send({ host: "web-1", zone: "own" }, { host: "web-2", rack: "own" }, { host: "x" }, { hostname: "web-1" }),
    [
      '{host="web-1", hostname="web-1", port="2", rack="r2", zone="own"}',
      '{host="web-2", hostname="web-2", port="1", zone="b"}',
      '{host="x"}',
      '{hostname="web-1"}',
    ],
  );
  assert.equal(component.metric("alloy_prometheus_target_cache_size"), 2);
  assert.equal(component.metric("prometheus_forwarded_samples_total"), 4);
  assert.equal(series.stored, 0, "nothing keeps series that their source has let go of");
});

test("all labels of the map must match, and just the named ones are copied", async (t) => {
  const config = `${TARGETS}\ntarget_to_metric_match = { "hostname" = "host", "port" = "p" }\nlabels_to_copy = ["rack", "none"]`;
  const { send } = await start(t, config);
  assert.deepEqual(
    await send(
      { host: "web-1", p: "1" },
      { host: "web-1", p: "3" },
      { host: "web-1" },
      { host: "web-2", p: "1", rack: "x" },
    ),
    ['{host="web-1", p="1", rack="r1"}', '{host="web-1", p="3"}', '{host="web-1"}', '{host="web-2", p="1"}'],
  );
});

test("the old arguments do the same with one label, and give way to the new one", async (t) => {
  const old = 'target_match_label = "hostname"\nlabels_to_copy = ["zone"]';
  const { component, send } = await start(t, `${TARGETS}\n${old}`);
  assert.deepEqual(await send({ hostname: "web-2" }, { host: "web-2" }), [
    '{hostname="web-2", zone="b"}',
    '{host="web-2"}',
  ]);
  await component.update(`forward_to = [out]\n${TARGETS}\n${old}\nmetrics_match_label = "host"`);
  assert.deepEqual(await send({ host: "web-2" }), ['{host="web-2", zone="b"}']);
  await component.update(`forward_to = [out]\n${BY_HOST}\n${old}`);
  assert.deepEqual(await send({ host: "web-2" }), ['{host="web-2", zone="b"}']);
});

test("what has to match must be said", async (t) => {
  for (const [config, message] of [
    ["targets = []", /target_to_metric_match` must say which labels have to match/],
    ['targets = []\nmetrics_match_label = "a"', /target_match_label` is required with `metrics_match_label`/],
  ] as const) {
    await assert.rejects(start(t, config), message);
  }
});

test("the status says why nothing is added", async (t) => {
  const match = 'target_to_metric_match = { "a" = "b", "c" = "d" }';
  const none = await start(t, `targets = []\n${match}`);
  assert.deepEqual([none.judge().state, none.judge().rule], ["idle", "no_targets"]);
  const wrong = await start(t, `targets = [{ a = "1" }]\n${match}`);
  assert.match(wrong.judge().cause, /^none of 1 targets has the labels a, c, .*correct `target_to_metric_match`/);
  const { send, judge } = await start(t, BY_HOST);
  await send({ node: "web-1" });
  assert.match(judge().cause, /^no series has met a target by its label host, .* \{node="web-1"\}$/);
  await send({ host: "web-1" });
  assert.equal(judge().state, "ok");
});
