import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { evaluateExpression } from "#lang/evaluate";
import { parseExpression } from "#lang/parser";
import { standardScope } from "#lang/stdlib";
import { Environment } from "./environment.ts";

function evaluate(expression: string, variables: ReadonlyMap<string, string>) {
  const host = {
    environment: (name: string) => variables.get(name),
    hostname: "h",
    os: "linux",
    arch: "amd64",
    version: "1",
  };
  return evaluateExpression(parseExpression({ name: "", text: expression }).expression!, standardScope(host));
}

const name = fc.constantFrom("A", "HOST", "_x1", "a_b");
const plain = fc.string().map((text) => text.replaceAll(/[$\\]/g, "."));
const fallback = fc.stringMatching(/^[a-z0-9:/ "]{0,8}$/);
const part = fc.oneof(
  plain,
  fc.record({ name }),
  fc.record({ name, operator: fc.constantFrom(":-", ":=", ":", "-", "="), fallback }),
);

test("the expression gives what Promtail would have read", () => {
  fc.assert(
    fc.property(fc.array(part), fc.dictionary(name, fc.string({ minLength: 1 })), (parts, values) => {
      const source = parts
        .map((each) =>
          typeof each === "string"
            ? each
            : `\${${each.name}${"operator" in each ? each.operator + each.fallback : ""}}`,
        )
        .join("");
      const wanted = parts
        .map((each) =>
          typeof each === "string" ? each : (values[each.name] ?? ("fallback" in each ? each.fallback : "")),
        )
        .join("");
      const environment = new Environment(source, true);
      const text = environment.restore(environment.text);
      assert.equal(evaluate(text.expression, new Map(Object.entries(values))), wanted);
    }),
  );
});

test("a reference with two dollars is text, and a backslash is written twice", () => {
  const environment = new Environment("$${A} \\\\d ${A}", true);
  const text = environment.restore(environment.text);
  assert.equal(text.expression, '"${A} \\\\d " + sys.env("A")');
  assert.deepEqual(environment.variables, ["A"]);
  assert.equal(text.fixed, undefined);
});

test("without expansion nothing is a reference", () => {
  const environment = new Environment("${A} \\\\", false);
  assert.equal(environment.restore(environment.text).fixed, "${A} \\\\");
});

test("a text that has the first characters of the private use area", () => {
  const environment = new Environment("\ue000 ${A:-\ue001}", true);
  assert.equal(evaluate(environment.restore(environment.text).expression, new Map()), "\ue000 \ue001");
});
