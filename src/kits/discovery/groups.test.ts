import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { stringify } from "yaml";
import { GroupsError, readGroups } from "./groups.ts";
import { targetsOf } from "./labels.ts";

const read = (text: string, form: "json" | "yaml") =>
  targetsOf(readGroups(Buffer.from(text), form, ["__meta_from", "here"])).map(String);

test("JSON as Go reads it: names of fields in any case, null for nothing", () => {
  const text =
    '[{"targets": ["a:1", "b"], "labels": {"x": "y"}}, {"Targets": ["c"], "LABELS": null}, {"targets": null}]';
  assert.deepEqual(read(text, "json"), [
    '{__address__="a:1", __meta_from="here", x="y"}',
    '{__address__="b", __meta_from="here", x="y"}',
    '{__address__="c", __meta_from="here"}',
  ]);
  for (const nothing of ["null", "[]", "[{}]"]) assert.deepEqual(read(nothing, "json"), []);
});

test("YAML as Go reads it into texts: numbers and dates as they are written, anchors, the first document", () => {
  const text =
    "- targets: [9100, 0x10, yes, ~]\n  labels: &l {n: 010, f: 1.50, d: 2020-01-01, e: , q: ''}\n" +
    "- {targets: [z], labels: {<<: *l, n: own}}\n---\n- targets: [second]\n";
  assert.deepEqual(
    read(text, "yaml").map((each) => each.replace('d="2020-01-01", e="", f="1.50", ', "…")),
    [
      '{__address__="9100", __meta_from="here", …n="010", q=""}',
      '{__address__="0x10", __meta_from="here", …n="010", q=""}',
      '{__address__="yes", __meta_from="here", …n="010", q=""}',
      '{__address__="", __meta_from="here", …n="010", q=""}',
      '{__address__="z", __meta_from="here", …n="own", q=""}',
    ],
  );
  for (const nothing of ["", "# nothing\n", "~\n"]) assert.deepEqual(read(nothing, "yaml"), []);
});

test("what is wrong is told with its line, and without quoting the text", () => {
  for (const [form, text, message] of [
    ["json", "", "line 1: this is no valid JSON: the document ends too early"],
    ["json", '[{"targets": ["a"\n "b"]}]', "line 2: this is no valid JSON: expecting `,` or `]`"],
    ["json", "[]\n\nx", "line 3: this is no valid JSON: something behind the end of the document"],
    ["json", "{}", "it must be a list"],
    ["json", "[\n null]", "line 2: [0] must be a group, with `targets` and `labels`"],
    ["json", '[{"targets": "a"}]', "line 1: [0].targets must be a list"],
    ["json", '[{"targets": [\n1]}]', "line 2: [0].targets[0] must be a text"],
    ["json", '[{"labels": {\n"a b": 1}}]', 'line 2: [0].labels["a b"] must be a text'],
    ["json", '[{"labels": {"": "x"}}]', "line 1: [0].labels has a label without a name"],
    ["json", '[{"job": "x"}]', "line 1: [0].job is not known: a group has `targets` and `labels`"],
    ["yaml", "- Targets: [a]\n", "line 1: [0].Targets is not known: a group has `targets` and `labels`"],
    ["yaml", "- targets: [a]\n  targets: [b]\n", "line 2: this is no valid YAML: duplicate key"],
    ["yaml", "- targets: [a\n- b", "line 2: this is no valid YAML: bad indent"],
    ["yaml", "- targets: [[a]]\n", "line 1: [0].targets[0] must be a text"],
    ["yaml", "&a [*a]\n", "line 1: [0] must be a map"],
  ] as const) {
    assert.throws(() => read(text, form), { name: "GroupsError", message });
  }
});

test("aliases that repeat themselves do not fill the memory", () => {
  const addresses = Array.from({ length: 2_000 }, (_, i) => `a${i}`).join(", ");
  const text = `- &g {targets: [${addresses}]}\n${"- *g\n".repeat(2_000)}`;
  assert.throws(() => read(text, "yaml"), /targets brings more than 1000000 targets/);
});

test("any groups are the same in JSON and in YAML", () => {
  const text = fc.oneof(fc.string(), fc.constantFrom("null", "~", "yes", "0x1", "# a", "a: b", "__proto__", "*a", "|"));
  const name = text.filter((each) => each !== "" && each !== "<<");
  const group = fc.record({ targets: fc.array(text), labels: fc.dictionary(name, text) });
  fc.assert(
    fc.property(fc.array(group), (groups) => {
      assert.deepEqual(read(stringify(groups), "yaml"), read(JSON.stringify(groups), "json"));
    }),
  );
});

test("any text gives groups or a GroupsError", () => {
  const words = fc.constantFrom(
    "- ",
    "targets",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "  ",
    "a",
    ",",
    '"',
    "&a ",
    "*a",
    "labels",
    "<<",
    "null",
    "|",
    "#",
  );
  fc.assert(
    fc.property(
      fc.array(words).map((each) => each.join("")),
      fc.constantFrom("json", "yaml"),
      (text, form) => {
        try {
          read(text, form);
        } catch (error) {
          assert.ok(error instanceof GroupsError, String(error));
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
