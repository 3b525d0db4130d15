import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { cleanUp } from "#base/clean-up.testing";
import { Labels } from "#base/labels";
import { logBatch } from "#pipeline/log-batch";
import { recordLogs, startComponent } from "#pipeline/testing";
import enrich from "./loki.enrich.ts";

const TARGETS = `targets = [
  { hostname = "web-1", rack = "r1", zone = "a", __address__ = "10.0.0.1" },
  { hostname = "web-2", rack = "", zone = "b" },
  { rack = "r3" },
]
target_match_label = "hostname"`;

async function start(t: TestContext, config: string) {
  const recorder = recordLogs();
  const component = await startComponent(enrich, `forward_to = [out]\n${config}`, { scope: { out: recorder.value } });
  cleanUp(t, () => component.stop());
  const send = async (...sets: Record<string, string>[]) => {
    recorder.items.length = 0;
    const batch = logBatch(sets.map((each) => ({ labels: Labels.from(Object.entries(each)), line: "x" })));
    await component.exports.receiver.consume(batch, new AbortController().signal);
    return recorder.items.map(({ labels }) => labels);
  };
  const judge = () => {
    component.flow.judge();
    return component.flow.status;
  };
  return { component, send, judge };
}

test("copies all labels of the target with the same value", async (t) => {
  const { send } = await start(t, TARGETS);
  assert.deepEqual(
    await send({ hostname: "web-1", zone: "own" }, { hostname: "web-2" }, { hostname: "x" }, { app: "y" }),
    [
      '{__address__="10.0.0.1", hostname="web-1", rack="r1", zone="a"}',
      '{hostname="web-2", rack="", zone="b"}',
      '{hostname="x"}',
      '{app="y"}',
    ],
  );
});

test("copies just the labels that are named and have a value, by another label of the entries", async (t) => {
  const { send } = await start(t, `${TARGETS}\nlogs_match_label = "host"\nlabels_to_copy = ["rack", "none"]`);
  assert.deepEqual(await send({ host: "web-1" }, { host: "web-2" }, { hostname: "web-1" }), [
    '{host="web-1", rack="r1"}',
    '{host="web-2"}',
    '{hostname="web-1"}',
  ]);
});

test("changed targets count for label sets that were seen before", async (t) => {
  const { component, send } = await start(t, TARGETS);
  await send({ hostname: "web-1" });
  await component.update(
    'forward_to = [out]\ntargets = [{ hostname = "web-1", rack = "new" }]\ntarget_match_label = "hostname"',
  );
  assert.deepEqual(await send({ hostname: "web-1" }), ['{hostname="web-1", rack="new"}']);
});

test("the status says why nothing is added", async (t) => {
  const none = await start(t, 'targets = []\ntarget_match_label = "a"');
  assert.deepEqual([none.judge().state, none.judge().rule], ["idle", "no_targets"]);
  const wrong = await start(t, 'targets = [{ b = "1" }]\ntarget_match_label = "a"');
  assert.match(wrong.judge().cause, /^none of 1 targets has the label a/);
  const { send, judge } = await start(t, TARGETS);
  await send({ host: "web-1" });
  assert.match(judge().cause, /^no entry has met a target by its label hostname, .* \{host="web-1"\}$/);
  await send({ hostname: "web-1" });
  assert.equal(judge().state, "ok");
});
