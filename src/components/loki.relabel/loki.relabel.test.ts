import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { cleanUp } from "#base/clean-up.testing";
import { systemClock } from "#base/clock";
import { Labels } from "#base/labels";
import { RelabelRules } from "#kits/relabel";
import { Acknowledgement } from "#pipeline/acknowledgement";
import { logBatch, logEntries } from "#pipeline/log-batch";
import { decodeArguments, recordLogs, startComponent } from "#pipeline/testing";
import relabel from "./loki.relabel.ts";
import { RelabelCache } from "./relabel-cache.ts";

const RULES = `
rule {
  source_labels = ["app"]
  regex         = "noise"
  action        = "drop"
}
rule {
  source_labels = ["app"]
  target_label  = "service"
}
rule {
  regex  = "app"
  action = "labeldrop"
}`;

const app = (name: string) => Labels.from([["app", name]]);

async function start(t: TestContext, config = RULES) {
  const recorder = recordLogs();
  const clock = { ...systemClock, shiftMs: 0, now: () => Date.now() + clock.shiftMs };
  const scope = { out: recorder.value };
  const component = await startComponent(relabel, `forward_to = [out]\n${config}`, { scope, clock });
  cleanUp(t, () => component.stop());
  const send = (apps: readonly string[], acknowledgement?: Acknowledgement) =>
    component.exports.receiver.consume(
      logBatch(
        apps.map((each, i) => ({ labels: app(each), line: `line ${i}`, ms: i, metadata: ["at", String(i)] })),
        acknowledgement,
      ),
      new AbortController().signal,
    );
  const judge = () => {
    component.flow.judge();
    return component.flow.status;
  };
  return { component, recorder, clock, send, judge };
}

test("relabels, drops with a reason, and remembers", async (t) => {
  const { component, recorder, send } = await start(t);
  for (let i = 0; i < 2; i++) await send(["a", "noise", "b", "a"]);
  assert.deepEqual(
    recorder.items.slice(3).map(({ line, labels, ms, metadata }) => [line, labels, ms, metadata]),
    [
      ["line 0", '{service="a"}', 0, ["at", "0"]],
      ["line 2", '{service="b"}', 2, ["at", "2"]],
      ["line 3", '{service="a"}', 3, ["at", "3"]],
    ],
  );
  assert.equal(component.flow.dropped.get("logs")?.get("relabel_rule"), 2);
  const metric = (name: string) => component.metric(`loki_relabel_${name}`);
  assert.deepEqual(
    ["entries_processed", "entries_written", "cache_misses", "cache_hits", "cache_size"].map(metric),
    [8, 6, 3, 5, 3],
  );
});

test("an entry that is left without labels is dropped, and a batch of such is acknowledged", async (t) => {
  const { component, recorder, send } = await start(t, 'rule {\n regex = "app"\n action = "labeldrop"\n}');
  let safe = 0;
  await send(["a"], new Acknowledgement(() => void (safe += 1)));
  assert.equal(safe, 1);
  assert.equal(recorder.items.length, 0);
  assert.equal(component.flow.dropped.get("logs")?.get("relabel_rule"), 1);
});

test("changed rules apply to label sets that are known already; the cache keeps to its size", async (t) => {
  const { component, recorder, send } = await start(t, `max_cache_size = 2\n${RULES}`);
  await send(["a", "b", "c", "c", "a"]);
  assert.equal(component.metric("loki_relabel_cache_size"), 2);
  assert.equal(component.metric("loki_relabel_cache_misses"), 4);
  await component.update('forward_to = [out]\nrule {\n target_label = "x"\n replacement = "y"\n}');
  assert.equal(component.exported.at(-1)?.rules.length, 1);
  await send(["a"]);
  assert.equal(recorder.items.at(-1)?.labels, '{app="a", x="y"}');
});

test("the status says when the rules drop everything, and when only the rules are used", async (t) => {
  const { clock, send, judge } = await start(t);
  await send(["noise", "noise"]);
  assert.equal(judge().state, "ok");
  clock.shiftMs = 120_000;
  assert.deepEqual([judge().state, judge().rule], ["degraded", "all_entries_dropped"]);
  assert.equal(
    judge().cause,
    'the rules have dropped all 2 entries of the last 2 min, such as those with the labels {app="noise"}',
  );
  await send(["a"]);
  assert.equal(judge().state, "ok");
  const rulesOnly = await startComponent(relabel, `forward_to = []\n${RULES}`);
  cleanUp(t, () => rulesOnly.stop());
  rulesOnly.flow.judge();
  assert.deepEqual([rulesOnly.flow.status.state, rulesOnly.flow.status.rule], ["idle", "rules_only"]);
});

test("a cache of any size makes the same labels as none", () => {
  const rules = new RelabelRules(decodeArguments(relabel, `forward_to = []\n${RULES}`).rule);
  const names = fc.array(fc.constantFrom("a", "b", "c", "d", "noise"), { maxLength: 20, size: "max" });
  fc.assert(
    fc.property(fc.array(names, { maxLength: 5 }), fc.integer({ min: 1, max: 4 }), (batches, limit) => {
      const cache = new RelabelCache(rules, limit);
      for (const each of batches) {
        const batch = logBatch(each.map((name, i) => ({ labels: app(name), line: `${i} ${name}` })));
        cache.relabel(batch);
        const expected = each.flatMap((name, i) => {
          const labels = rules.apply(app(name));
          return labels === undefined ? [] : [`${i} ${name} ${labels}`];
        });
        assert.deepEqual(
          [...logEntries(batch)].map(({ line, labels }) => `${line} ${labels}`),
          expected,
        );
        assert.ok(cache.size <= limit);
      }
    }),
  );
});
