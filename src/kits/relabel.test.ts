import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { s } from "#lang/schema";
import { decodeArguments } from "#pipeline/testing";
import { RelabelRules } from "./relabel.ts";
import { relabelRuleSchema } from "./relabel-schema.ts";

const definition = { name: "test", args: s.object({ rule: s.blocks(relabelRuleSchema) }) };
const rules = (config: string) => new RelabelRules(decodeArguments(definition, config).rule);

function relabel(labels: Record<string, string>, config: string): Record<string, string> | undefined {
  const result = rules(config).apply(Labels.from(Object.entries(labels)));
  return result === undefined ? undefined : Object.fromEntries(result);
}

/** One rule from its attributes. */
const rule = (text: string) => `rule {\n${text}\n}\n`;

test("each action does what Prometheus's does", () => {
  const labels = { a: "foo", b: "bar", c: "baz" };
  const cases: [string, Record<string, string> | undefined][] = [
    [
      rule('source_labels = ["a"]\nregex = "f(.*)"\ntarget_label = "d"\nreplacement = "ch${1}-ch$1"'),
      { ...labels, d: "choo-choo" },
    ],
    [
      rule('source_labels = ["a", "b"]\nregex = "f(.*);(.*)r"\ntarget_label = "a"\nreplacement = "b${1}${2}m"'),
      { ...labels, a: "boobam" },
    ],
    [rule('source_labels = ["a"]\nregex = "o"\ntarget_label = "d"'), labels],
    [rule('source_labels = ["a"]\nregex = ".*o.*"\naction = "drop"'), undefined],
    [rule('source_labels = ["a"]\nregex = "o$"\naction = "drop"'), labels],
    [rule('source_labels = ["a"]\nregex = "no-match"\naction = "keep"'), undefined],
    [rule('source_labels = ["a"]\nregex = "f|foo"\naction = "keep"'), labels],
    [rule('target_label = "a"\nreplacement = ""'), { b: "bar", c: "baz" }],
    [rule('source_labels = ["a"]\nregex = "nothing"\ntarget_label = "a"\nreplacement = ""'), labels],
    [rule('source_labels = ["c"]\ntarget_label = "d"\naction = "hashmod"\nmodulus = 1000'), { ...labels, d: "976" }],
    [rule('regex = "(b.*)"\naction = "labeldrop"'), { a: "foo", c: "baz" }],
    [rule('regex = "a|c"\naction = "labelkeep"'), { a: "foo", c: "baz" }],
    [rule('regex = "([ab])"\nreplacement = "x_$1"\naction = "labelmap"'), { ...labels, x_a: "foo", x_b: "bar" }],
    [rule('source_labels = ["a"]\ntarget_label = "d"\naction = "uppercase"'), { ...labels, d: "FOO" }],
    [
      rule('source_labels = ["a", "b"]\nseparator = "É"\ntarget_label = "d"\naction = "lowercase"'),
      { ...labels, d: "fooébar" },
    ],
    [rule('source_labels = ["a"]\ntarget_label = "b"\naction = "keepequal"'), undefined],
    [rule('source_labels = ["a"]\ntarget_label = "b"\naction = "dropequal"'), labels],
    [
      rule('source_labels = ["a"]\nregex = "(f).*"\ntarget_label = "${1}_x"\nreplacement = "$1"'),
      { ...labels, f_x: "f" },
    ],
    [
      rule('source_labels = ["b"]\nregex = "(.*)"\ntarget_label = "$1-x"\nreplacement = "v"').replace("$1-x", "${1}"),
      { ...labels, bar: "v" },
    ],
    [rule('source_labels = ["missing"]\ntarget_label = "d"'), labels],
    [rule('regex = "."\naction = "labeldrop"'), undefined],
  ];
  for (const [config, expected] of cases) assert.deepEqual(relabel(labels, config), expected, config);
});

test("rules are applied in order, and a dropped set is not looked at again", () => {
  const config =
    rule('source_labels = ["a"]\ntarget_label = "b"') +
    rule('source_labels = ["b"]\nregex = "x.*"\naction = "drop"') +
    rule('target_label = "c"\nreplacement = "end"');
  assert.deepEqual(relabel({ a: "y" }, config), { a: "y", b: "y", c: "end" });
  assert.equal(relabel({ a: "x1" }, config), undefined);
});

test("the expression covers line breaks and the whole value", () => {
  assert.equal(
    relabel({ a: "one\ntwo" }, rule('source_labels = ["a"]\nregex = "one.two"\naction = "drop"')),
    undefined,
  );
  assert.deepEqual(relabel({ a: "b;c" }, rule('source_labels = ["a"]\nregex = "b|c"\naction = "drop"')), { a: "b;c" });
});

test("only `replace` looks at the name that it writes", () => {
  assert.deepEqual(relabel({ a: "B" }, rule('source_labels = ["a"]\naction = "lowercase"\ntarget_label = "c.d"')), {
    a: "B",
    "c.d": "b",
  });
});

test("wrong rules are refused with the argument at fault", () => {
  const cases: [string, RegExp][] = [
    ['action = "hashmod"\ntarget_label = "a"', /`modulus` must not be 0/],
    ['source_labels = ["a"]', /`target_label` is required when `action` is "replace"/],
    ['target_label = "a.b"', /`target_label` is not a valid label name for the action "replace", which would never/],
    ['target_label = "1a"', /`target_label` is not a valid label name/],
    ['target_label = "a"\naction = "uppercase"\nreplacement = "x"', /`replacement` cannot be set/],
    ['action = "labelmap"\nreplacement = "a-b"', /`replacement` is not a valid label name/],
    ['action = "labeldrop"\nsource_labels = ["a"]', /"labeldrop" takes only `regex`/],
    ['action = "keepequal"\ntarget_label = "a"\nregex = "b"', /"keepequal" takes only/],
    ['action = "nonsense"', /action/],
    ['regex = "("\naction = "keep"', /regex/],
  ];
  for (const [config, message] of cases) assert.throws(() => rules(rule(config)), message, config);
});

test("run gives the labels also where a rule drops them, as they were until then", () => {
  const compiled = rules(
    rule('target_label = "b"\nreplacement = "1"') +
      rule('source_labels = ["a"]\nregex = "x"\naction = "drop"') +
      rule('target_label = "c"\nreplacement = "2"'),
  );
  const run = (a: string) => {
    const { labels, dropped } = compiled.run(Labels.from([["a", a]]));
    return [labels.toString(), dropped];
  };
  assert.deepEqual(run("x"), ['{a="x", b="1"}', true]);
  assert.deepEqual(run("y"), ['{a="y", b="1", c="2"}', false]);
});
