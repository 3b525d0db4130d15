import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBody } from "#lang/decode";
import { parseFile } from "#lang/parser";
import { s } from "#lang/schema";
import { relabelRuleSchema } from "./relabel-schema.ts";
import { judgeMisplacedLabels, misplacedLabels, type RelabelSubject } from "./relabel-suspects.ts";

const body = s.object({ rule: s.blocks(relabelRuleSchema) });

function rules(text: string) {
  const { file } = parseFile({ name: "t.alloy", text });
  const { value, diagnostics } = decodeBody(body, file.body, { lookup: () => undefined }, { name: "t" });
  assert.deepEqual(diagnostics, []);
  return value!.rule;
}
const fields = (text: string, subject: RelabelSubject) =>
  misplacedLabels(rules(text), subject, "rule").map(({ field }) => field);
const from = (label: string, more = "") =>
  `rule {\n  source_labels = ["job", "${label}"]\n  regex = "a"\n  action = "drop"\n  ${more}\n}\n`;

test("labels of samples in rules for targets, and the reverse, each with its rule", () => {
  assert.deepEqual(fields(from("__meta_x") + from("__name__"), "targets"), ["rule[1].source_labels"]);
  assert.deepEqual(fields(from("__name__") + from("__meta_x") + from("__address__"), "samples"), [
    "rule[1].source_labels",
    "rule[2].source_labels",
  ]);
  assert.deepEqual(fields('rule {\n  regex = "__meta_pod_(.*)"\n  action = "labelmap"\n}', "samples"), [
    "rule[0].regex",
  ]);
  assert.deepEqual(
    fields('rule {\n  source_labels = ["a"]\n  target_label = "__name__"\n  action = "keepequal"\n}', "targets"),
    ["rule[0].target_label"],
  );
});

test("a label that an earlier rule wrote is there, and labels of one's own are nobody's business", () => {
  const write = 'rule {\n  target_label = "__address__"\n  replacement = "x"\n}\n';
  assert.deepEqual(fields(write + from("__address__"), "samples"), []);
  assert.deepEqual(fields(from("__address__") + write, "samples"), ["rule[0].source_labels"]);
  assert.deepEqual(fields(from("__tmp_x") + from("pod"), "samples"), []);
  assert.deepEqual(fields(from("__tmp_x") + from("pod"), "targets"), []);
});

test("the status says which rule, why, and where to move it", () => {
  assert.deepEqual(judgeMisplacedLabels(rules(from("job") + from("__name__")), "targets"), {
    state: "degraded",
    cause:
      "rule 2 uses __name__, which no target has: it comes into being with the scrape; move the rule to a prometheus.relabel behind the scrape",
  });
  assert.match(
    judgeMisplacedLabels(rules(from("__meta_a")), "samples", "write_relabel_config")!.cause,
    /^write_relabel_config 1 uses __meta_a, which no sample has: .*; move the rule to a discovery.relabel/,
  );
  assert.equal(judgeMisplacedLabels(rules(from("job")), "samples"), undefined);
});
