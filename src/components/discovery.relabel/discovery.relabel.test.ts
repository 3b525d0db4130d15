import assert from "node:assert/strict";
import { test } from "node:test";
import { startComponent } from "#pipeline/testing";
import relabel from "./discovery.relabel.ts";

const config = (targets: string) => `
targets = ${targets}
rule {
  source_labels = ["__meta_env"]
  regex         = "prod"
  action        = "keep"
}
rule {
  source_labels = ["__address__"]
  regex         = "(.*):.*"
  target_label  = "host"
}`;

test("exports the targets that the rules keep, again after each change", async () => {
  const targets = '[{ __address__ = "a:1", __meta_env = "prod" }, { __address__ = "b:1", __meta_env = "test" }]';
  await using component = await startComponent(relabel, config(targets));
  assert.deepEqual(component.exports.output.map(String), ['{__address__="a:1", __meta_env="prod", host="a"}']);
  assert.equal(component.exports.rules.length, 2);
  assert.equal(component.flow.status.state, "ok");
  await component.update(config('[{ __address__ = "c:1" }]'));
  assert.deepEqual(component.exports.output, []);
  assert.equal(component.flow.status.rule, "all_targets_dropped");
  assert.equal(component.flow.status.cause, "the rules drop all of 1 targets; rule 1 drops the last of them");
});

test("without targets the status says who should have given some", async () => {
  const references = { targets: ["discovery.dns.web"] };
  await using component = await startComponent(relabel, config("[]"), { references });
  const { state, rule, cause } = component.flow.status;
  assert.deepEqual([state, rule], ["idle", "no_targets"]);
  assert.match(cause, /^`targets` is empty.*: discovery\.dns\.web gives none/);
});

test("a rule that looks at a label of samples degrades the flow until it is gone", async () => {
  const byName = 'rule {\n  source_labels = ["__name__"]\n  regex = "go_.*"\n  action = "drop"\n}';
  await using component = await startComponent(relabel, `targets = [{ __address__ = "a:1" }]\n${byName}`);
  assert.deepEqual([component.flow.status.state, component.flow.status.rule], ["degraded", "misplaced_label"]);
  assert.match(component.flow.status.cause, /^rule 1 uses __name__, .*; move the rule to a prometheus\.relabel/);
  await component.update('targets = [{ __address__ = "a:1" }]');
  assert.equal(component.flow.status.state, "ok");
});

test("labels of targets may have any name in UTF-8, as in Alloy", async () => {
  const rules = 'rule {\n  source_labels = ["a"]\n  target_label = "service.name"\n}';
  await using component = await startComponent(relabel, `targets = [{ a = "app" }]\n${rules}`);
  assert.equal(component.exports.output[0]!.get("service.name"), "app");
});
