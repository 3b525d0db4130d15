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

/** What Prometheus 3.13's relabel package makes of the same. */
test("odd cases are Prometheus's", () => {
  const replace = (text: string) => rule(`source_labels = ["a"]\ntarget_label = "b"\n${text}`);
  const cases: [Record<string, string>, string, Record<string, string> | undefined][] = [
    [{ a: "straße ﬁ ŉ" }, replace('action = "uppercase"'), { a: "straße ﬁ ŉ", b: "STRAßE ﬁ ŉ" }],
    [{ a: "ΟΔΟΣ İ" }, replace('action = "lowercase"'), { a: "ΟΔΟΣ İ", b: "οδοσ i" }],
    [{ a: "v" }, replace('replacement = "$1_x"'), { a: "v" }],
    [{ a: "v" }, replace('replacement = "${1}_x$"'), { a: "v", b: "v_x$" }],
    [{ a: "v" }, replace('replacement = "$$1 ${2} ${1"'), { a: "v", b: "$1  ${1" }],
    [{ a: "ab" }, replace('regex = "a|ab"\nreplacement = "$0!"'), { a: "ab", b: "ab!" }],
    [{ a: "y", b: "gone" }, replace('regex = "(x)?.*"'), { a: "y" }],
    [
      { a: "one-two" },
      replace('regex = "(?P<left>\\\\w+)-(?P<right>\\\\w+)"\nreplacement = "${right}-${left}-$missing"'),
      { a: "one-two", b: "two-one-" },
    ],
    [
      { a: "1", c: "3" },
      rule('source_labels = ["a", "missing", "c"]\nseparator = ""\ntarget_label = "b"'),
      { a: "1", b: "13", c: "3" },
    ],
    [{ a: "1" }, rule('regex = ""\ntarget_label = "b"\nreplacement = "set"'), { a: "1", b: "set" }],
    [{ a: "not-a-name" }, rule('source_labels = ["a"]\ntarget_label = "${1}"\nreplacement = "v"'), { a: "not-a-name" }],
    [{ a: "1", b: "2" }, rule('regex = "(a|b)"\nreplacement = "b"\naction = "labelmap"'), { a: "1", b: "2" }],
    [
      { __meta_app: "x", __meta_: "y", job: "j" },
      rule('regex = "__meta_(.+)"\naction = "labelmap"') + rule('regex = "__.*"\naction = "labeldrop"'),
      { app: "x", job: "j" },
    ],
    [
      { a: "x", b: "y" },
      rule('source_labels = ["a", "b"]\nmodulus = 16\ntarget_label = "shard"\naction = "hashmod"'),
      { a: "x", b: "y", shard: "14" },
    ],
    [{ a: "", b: "1" }, rule('source_labels = ["a"]\ntarget_label = "missing"\naction = "keepequal"'), { b: "1" }],
    [
      { a: "1", b: "2", c: "1;2" },
      rule('source_labels = ["a", "b"]\ntarget_label = "c"\naction = "dropequal"'),
      undefined,
    ],
    [
      { keep_a: "1", Keep_b: "2", other: "3" },
      rule('regex = "(?i)KEEP_.*"\naction = "labelkeep"'),
      { Keep_b: "2", keep_a: "1" },
    ],
  ];
  for (const [labels, config, expected] of cases) assert.deepEqual(relabel(labels, config), expected, config);
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
