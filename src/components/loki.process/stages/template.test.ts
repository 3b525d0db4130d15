import assert from "node:assert/strict";
import { test } from "node:test";
import { runStages, startStages } from "../pipeline-testing.ts";

const JSON_STAGE = 'stage.json {\n expressions = { app = "", n = "", gone = "" }\n}\n';
const LINE = '{"app":"Web","n":5}';

for (const [what, source, template, expected] of [
  ["sets a new value", "x", "{{ .app }}-{{ .n }}", '{x="Web-5"}'],
  [".Value is the source", "app", "{{ .Value | ToLower }}", '{app="web"}'],
  [".Entry is the line", "x", "{{ len .Entry }}", '{x="19"}'],
  ["labels are among the values", "x", "{{ .job }}", '{x="j"}'],
  ["null and missing values print as no value", "x", "{{ .gone }}{{ .never }}", '{x="<no value><no value>"}'],
  ["an empty result removes the value", "app", "{{ if false }}x{{ end }}", "{}"],
  ["a failure leaves the value", "app", "{{ ToUpper .never }}", '{app="Web"}'],
  ["plain text", "x", "fixed", '{x="fixed"}'],
] as const) {
  test(`template: ${what}`, async () => {
    const config = `${JSON_STAGE}stage.template {\n source = "${source}"\n template = ${JSON.stringify(template)}\n}
      stage.label_drop {\n values = ["job"]\n}\nstage.labels {\n values = { ${source} = "" }\n}`;
    assert.deepEqual(await runStages(config, [{ line: LINE, labels: { job: "j" } }]), [`${expected} ${LINE}`]);
  });
}

test("template: values that no other stage names", async () => {
  const config =
    'stage.logfmt {\n regex = ".*"\n}\nstage.template {\n source = "out"\n template = "{{ .a }}{{ .b }}"\n}\nstage.output {\n source = "out"\n}';
  assert.deepEqual(await runStages(config, ["a=1 b=2", "b=3 a=4"]), ["{} 12", "{} 43"]);
});

test("template: what fails is counted; bad templates are refused", async () => {
  await using run = await startStages('stage.template {\n source = "a"\n template = "{{ fail .Entry }}"\n}');
  await run.send(["x", "y"]);
  assert.equal(run.component.metric("loki_process_unmatched_lines_total", { stage: "0.template" }), 2);
  await assert.rejects(
    runStages('stage.template {\n source = "a"\n template = "{{ nope }}"\n}', []),
    /cannot be parsed: .*function "nope" not defined/,
  );
  await assert.rejects(runStages('stage.template {\n source = ""\n template = "x"\n}', []), /must not be empty/);
});

// Expected lines are those of Alloy's stages/replace_test.go and of its algorithm worked by hand.
for (const [what, expression, replace, line, expected] of [
  ["every group of every match", "(\\\\d{2}) - (\\\\S+)", "*", "11 - ab 22 - cd", "* - * * - *"],
  ["without groups nothing", "\\\\d+", "*", "a1b", "a1b"],
  ["with .Value", "password=(\\\\w+)", "{{ .Value | ToUpper }}", "password=abc x", "password=ABC x"],
  ["nested groups once", "((a)b)", "<{{ .Value }}>", "xabx", "x<ab>x"],
  ["groups without part", "(a)|(b)", "[{{ .Value }}]", "ba", "[b][a]"],
  ["empty matches", "(x*)", "-", "axb", "-a-b-"],
  ["no match", "(z)", "*", "abc", "abc"],
  ["to nothing", "(secret) ?", "", "a secret b", "a  b"],
  ["dollars stay", "(a)", "$1", "a", "$1"],
  ["beyond ASCII", "(✓+)", "{{ len .Value }}", "é✓✓!", "é6!"],
] as const) {
  test(`replace: ${what}`, async () => {
    const config = `stage.replace {\n expression = "${expression}"\n replace = "${replace}"\n}`;
    assert.deepEqual(await runStages(config, [line]), [`{} ${expected}`]);
  });
}

test("replace: in a source, with named groups and other values in the template", async () => {
  const config = `${JSON_STAGE}stage.replace {
      source = "app"
      expression = "^(?P<first>\\\\w)"
      replace = "{{ .n }}{{ .Value }}{{ .never }}"
    }
    stage.labels {\n values = { app = "", first = "" }\n}`;
  assert.deepEqual(await runStages(config, [LINE, "{}"]), [
    `{app="5W<no value>eb", first="5W<no value>"} ${LINE}`,
    "{} {}",
  ]);
  await assert.rejects(runStages('stage.replace {\n expression = ""\n}', []), /must not be empty/);
  await assert.rejects(runStages('stage.replace {\n expression = "a"\n replace = "{{"\n}', []), /unclosed action/);
});
