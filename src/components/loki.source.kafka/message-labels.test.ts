import assert from "node:assert/strict";
import { test } from "node:test";
import { relabelRuleSchema } from "#kits/relabel-schema";
import { s } from "#lang/schema";
import { decodeArguments } from "#pipeline/testing";
import { MessageLabels } from "./message-labels.ts";

const rulesSchema = s.object({ rule: s.blocks(relabelRuleSchema).doc("Rules.") });
const FACTS = { topic: "app", partition: 3, memberId: "invar-1", group: "g" };

/** The labels of messages with these keys, as text. */
function labels(rules: string, keys: readonly string[], own: Record<string, string> = {}): string[] | string {
  const decoded = decodeArguments({ name: "rules", args: rulesSchema }, rules).rule;
  const all = new MessageLabels(new Map(Object.entries(own)), decoded);
  const ofPartition = all.ofPartition(FACTS);
  if (ofPartition === undefined) return "dropped";
  const partition = all.forPartition(ofPartition);
  return keys.map((key, i) => {
    const data = Buffer.from(`..${key}`);
    return partition.of(data, 2, data.length, 40 + i).toString();
  });
}
const rule = (source: string, target: string, more = "") =>
  `rule {\n source_labels = [${source}]\n target_label = "${target}"\n ${more}\n}\n`;

test("without rules the labels are those of the component", () => {
  assert.deepEqual(labels("", ["k"], { job: "x", empty: "" }), ['{job="x"}']);
  assert.deepEqual(labels("", ["k"]), ["{}"]);
});

test("rules see the partition, and key and offset of each message", () => {
  const all =
    rule('"__meta_kafka_topic"', "topic") +
    rule('"__meta_kafka_partition"', "partition") +
    rule('"__meta_kafka_member_id"', "member") +
    rule('"__meta_kafka_group_id"', "group") +
    rule('"__meta_kafka_message_key"', "key") +
    rule('"__meta_kafka_message_offset"', "offset");
  const base = '{group="g", job="x", key="KEY", member="invar-1", offset="OFF", partition="3", topic="app"}';
  const wanted = [
    ["a", "40"],
    ["none", "41"],
    ["a", "42"],
  ].map(([key, offset]) => base.replace("KEY", key!).replace("OFF", offset!));
  assert.deepEqual(labels(all, ["a", "", "a"], { job: "x" }), wanted);
});

test("labels of the component stand in the way of what is discovered; a rule for messages does not see partitions", () => {
  assert.deepEqual(labels(rule('"__meta_kafka_topic"', "topic"), ["k"], { __meta_kafka_topic: "mine" }), [
    '{topic="mine"}',
  ]);
  // As in Alloy, a rule over both finds the other one empty, and the message's turn wins.
  const both = rule('"__meta_kafka_topic", "__meta_kafka_message_key"', "both");
  assert.deepEqual(labels(both, ["k"]), ['{both=";k"}']);
});

test("a rule may drop partitions, and has no say over single messages", () => {
  const keep = (value: string) =>
    `rule {\n source_labels = ["__meta_kafka_topic"]\n regex = "${value}"\n action = "keep"\n}\n`;
  assert.equal(labels(keep("other"), ["k"], { job: "x" }), "dropped");
  assert.deepEqual(labels(keep("app"), ["k"], { job: "x" }), ['{job="x"}']);
});

test("labelmap copies what it matches, keys included", () => {
  const map = 'rule {\n action = "labelmap"\n regex = "__meta_kafka_(message_key|topic)"\n}\n';
  assert.deepEqual(labels(map, ["k", "l"]), ['{message_key="k", topic="app"}', '{message_key="l", topic="app"}']);
});

test("messages of one key share their label set, unless offsets are asked for", () => {
  const decoded = decodeArguments({ name: "rules", args: rulesSchema }, rule('"__meta_kafka_message_key"', "key")).rule;
  const all = new MessageLabels(new Map(), decoded);
  const partition = all.forPartition(all.ofPartition(FACTS)!);
  const data = Buffer.from("kkl");
  assert.equal(partition.of(data, 0, 1, 1), partition.of(data, 1, 2, 2));
  assert.notEqual(partition.of(data, 0, 1, 1), partition.of(data, 2, 3, 3));
});
