import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { hostPort, sanitizeLabelName, TargetLabels, targetsOf } from "./labels.ts";

test("names of labels are sanitised character by character, as Prometheus does it", () => {
  const names = ["a.b/c-d", "größe", "\u{1f600}x", "0x", "", "A_9", "tag:{0}"].map(sanitizeLabelName);
  assert.deepEqual(names, ["a_b_c_d", "gr__e", "_x", "0x", "", "A_9", "tag__0_"]);
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (name) => {
      assert.match(sanitizeLabelName(name), /^[a-zA-Z0-9_]*$/);
      assert.equal(sanitizeLabelName(name).length, [...name].length);
    }),
  );
});

test("addresses have brackets where they need them", () => {
  assert.deepEqual([hostPort("a", 1), hostPort("::1", 2), hostPort("", 3)], ["a:1", "[::1]:2", ":3"]);
});

test("labels of a target: its address, meta labels with the prefix, what is empty", () => {
  const target = new TargetLabels("__meta_x_")
    .address("a:1")
    .set("base", "b")
    .meta("zone", "")
    .metaEach(
      "tag_",
      new Map([
        ["a-b", "1"],
        ["c", "2"],
      ]),
    )
    .build();
  assert.equal(
    String(target),
    '{__address__="a:1", __meta_x_tag_a_b="1", __meta_x_tag_c="2", __meta_x_zone="", base="b"}',
  );
});

test("a target's own labels win over those of its group", () => {
  const [target] = targetsOf([
    {
      targets: [Labels.from([["a", "own"]])],
      labels: Labels.from([
        ["a", "group"],
        ["b", "group"],
      ]),
    },
  ]);
  assert.equal(String(target), '{a="own", b="group"}');
});
