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
  assert.match(component.flow.status.cause, /the rules drop all of 1 targets/);
});

test("labels of targets may have any name in UTF-8, as in Alloy", async () => {
  const rules = 'rule {\n  source_labels = ["a"]\n  target_label = "service.name"\n}';
  await using component = await startComponent(relabel, `targets = [{ a = "app" }]\n${rules}`);
  assert.equal(component.exports.output[0]!.get("service.name"), "app");
});
