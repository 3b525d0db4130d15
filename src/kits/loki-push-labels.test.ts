import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeArguments } from "#pipeline/testing";
import { InternalLabels, TENANT_LABEL } from "./loki-push-labels.ts";
import { type RelabelRule, relabelRuleSchema } from "./relabel-schema.ts";

const rules = (...bodies: string[]) =>
  bodies.map((body) => decodeArguments({ name: "rule", args: relabelRuleSchema }, body) as RelabelRule);
const EXPOSE = 'action = "labelmap"\nregex = "__in_(.+)"';
const GIVEN = ["__in_a", "1", "__in_b", "", "c", "3", TENANT_LABEL, "t"];

test("rules make labels of internal ones, which go; fixed ones give way", () => {
  const labels = new InternalLabels({ rules: rules(EXPOSE), fixed: new Map([["a", "0"]]), rulesOwnTenant: false });
  const made = labels.make(GIVEN);
  assert.equal(made.labels.toString(), '{__tenant_id__="t", a="1", c="3"}');
  assert.deepEqual([made.ruledOut, made.unlabelled], [false, false]);
  assert.equal(labels.make([...GIVEN]), made, "remembered");
});

test("equal labels are one object, whatever they are made of", () => {
  const labels = new InternalLabels({ rules: rules(EXPOSE), rulesOwnTenant: false });
  const [one, other] = [labels.make(["__in_a", "1", "__id", "x"]), labels.make(["__in_a", "1", "__id", "y"])];
  assert.equal(one.labels, other.labels);
});

test("of what rules drop, nothing is left but fixed labels, and the tenant where rules do not own it", () => {
  for (const [rulesOwnTenant, text] of [
    [false, '{__tenant_id__="t", f="0"}'],
    [true, '{f="0"}'],
  ] as const) {
    const drop = rules(EXPOSE, 'action = "drop"\nsource_labels = ["__in_a"]\nregex = "1"');
    const made = new InternalLabels({ rules: drop, fixed: new Map([["f", "0"]]), rulesOwnTenant }).make(GIVEN);
    assert.deepEqual([made.labels.toString(), made.ruledOut, made.unlabelled], [text, true, false]);
  }
});

test("a tenant is no label; rules that own it may change it", () => {
  const none = new InternalLabels({ rules: undefined, rulesOwnTenant: true }).make([TENANT_LABEL, "t", "__x", "y"]);
  assert.deepEqual([none.labels.toString(), none.unlabelled], ['{__tenant_id__="t"}', true]);
  const change = rules('target_label = "__tenant_id__"\nreplacement = "other"');
  const changed = new InternalLabels({ rules: change, rulesOwnTenant: true }).make([TENANT_LABEL, "t"]);
  assert.equal(changed.labels.get(TENANT_LABEL), "other");
});

test("what is remembered is bounded", () => {
  const labels = new InternalLabels({ rules: undefined, rulesOwnTenant: true });
  const first = labels.make(["a", "first"]);
  for (let i = 0; i < 10_000; i++) labels.make(["a", String(i)]);
  assert.notEqual(labels.make(["a", "first"]), first);
});
