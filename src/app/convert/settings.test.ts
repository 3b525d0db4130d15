import assert from "node:assert/strict";
import { test } from "node:test";
import { Environment } from "./environment.ts";
import { labelFor, Names } from "./names.ts";
import { Report } from "./report.ts";
import { Section } from "./settings.ts";
import { readYaml } from "./yaml-tree.ts";

function sectionOf(yaml: string, expand = false) {
  const report = new Report();
  const { root } = readYaml(new Environment(yaml, expand));
  if (root?.kind !== "map") throw new Error("no map");
  return { section: new Section(root, "", report), report };
}

test("scalars are what their setting says, as for Go's yaml.v2", () => {
  const { section, report } = sectionOf(
    "id: 007\nyes: yes\noff: Off\nquoted: 'no'\nempty:\ntilde: ~\ntext: \"\"\nhex: 0x10\nunder: 1_000\nfloat: 1e3\n",
  );
  assert.equal(section.text("id")!.expression, '"007"');
  assert.equal(section.flag("yes")!.fixed, true);
  assert.equal(section.flag("off")!.fixed, false);
  assert.equal(section.text("quoted")!.fixed, "no");
  assert.equal(section.text("empty"), undefined);
  assert.equal(section.text("tilde"), undefined);
  assert.equal(section.text("text")!.fixed, "");
  assert.equal(section.number("hex")!.fixed, 16);
  assert.equal(section.number("under")!.expression, "1000");
  assert.equal(section.number("float")!.expression, "1000");
  section.rest();
  assert.deepEqual(report.findings, []);
});

test("durations of Go stay as they are, Prometheus's become Go's", () => {
  const { section } = sectionOf("go: 1h30m\nday: 1d\nyear: 1y\nnone: 0\nfraction: 1.5h\nmicro: 5us\n");
  const shown = ["go", "day", "year", "none", "fraction", "micro"].map((name) => section.duration(name)!.expression);
  assert.deepEqual(shown, ['"1h30m"', '"24h0m0s"', '"8760h0m0s"', '"0"', '"1.5h"', '"5us"']);
});

test("sizes have powers of two, any case and maybe no unit", () => {
  const { section } = sectionOf("a: 256kb\nb: 2M\nc: 100 KB\nd: 8192\ne: 1.5MB\nf: 0\n");
  assert.deepEqual(
    ["a", "b", "c", "d", "f"].map((name) => section.size(name)!.fixed),
    [262_144, 2_097_152, 102_400, 8_192, 0],
  );
  assert.equal(section.size("e"), undefined);
});

test("what is wrong is an error with its path and line, without the value", () => {
  const { section, report } = sectionOf("a:\n  password: [hunter2]\n  typo: hunter2\nb: {c: 1}\n");
  const inner = section.section("a")!;
  assert.equal(inner.text("password"), undefined);
  inner.text("typos");
  inner.rest();
  assert.equal(section.number("b"), undefined);
  assert.deepEqual(
    report.findings.map(({ severity, message }) => `${severity} ${message}`),
    [
      "Error a.password (line 2): must be a text; it is left out",
      "Error a.typo (line 3): this setting is not known, and is left out; is it meant to be typos?",
      "Error b (line 4): must be a number; it is left out",
    ],
  );
});

test("anchors, merges and further documents", () => {
  const tree = readYaml(
    new Environment(
      "base: &b {x: 1, y: 2}\none: {<<: *b, y: 3}\ntwo: {<<: [*b, {z: 4}]}\ntwo: {q: 1}\n---\na: 1\n---\n",
      false,
    ),
  );
  assert.deepEqual(tree.furtherDocuments, [6]);
  assert.deepEqual(tree.repeatedKeys, [{ key: "two", line: 4 }]);
  if (tree.root?.kind !== "map") throw new Error("no map");
  const one = new Section(tree.root, "", new Report()).textMap("one")!;
  assert.deepEqual([...one].map(([key, text]) => [key, text.fixed]).sort(), [
    ["x", "1"],
    ["y", "3"],
  ]);
});

test("labels are valid and unique, as Alloy writes them", () => {
  assert.deepEqual(["a-b", "1st", "job/pods.x", "größe", "if", " "].map(labelFor), [
    "a_b",
    "_1st",
    "job_pods_x",
    "größe",
    "if",
    "_",
  ]);
  const names = new Names();
  assert.deepEqual(
    ["x", "x", "x_2", "x"].map((wanted) => names.take("loki.write", wanted)),
    ["x", "x_2", "x_2_2", "x_3"],
  );
  assert.equal(names.take("loki.process", "x"), "x");
});

test("the report has Alloy's lines: all when there is an output, else what prevents it", () => {
  const report = new Report();
  report.add("Info", "a (line 1)", "one");
  report.add("Warning", "", "two");
  report.add("Warning", "", "two");
  assert.equal(report.text(false), "(Info) a (line 1): one\n(Warning) two\n\nA configuration was written.\n");
  report.add("Error", "b", "three");
  assert.match(report.text(false), /^\(Error\) b: three\n\nNo configuration was written: there are errors/);
  assert.match(
    report.text(true),
    /^\(Info\) .*\n\(Warning\) two\n\(Error\) b: three\n\nA configuration was written\.\n$/,
  );
  report.add("Critical", "", "four");
  assert.match(report.text(true), /^\(Critical\) four\n\nNo configuration was written: the critical/);
});
