import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseCondition, parseStatement } from "./parser.ts";
import { OttlSyntaxError, pointAt } from "./syntax.ts";

function faultOf(parse: () => unknown): OttlSyntaxError {
  try {
    parse();
  } catch (error) {
    if (error instanceof OttlSyntaxError) return error;
    throw error;
  }
  throw new Error("the text was taken");
}

/** The text with `‸` before the character at fault. */
const STATEMENTS: readonly (readonly [marked: string, message: RegExp])[] = [
  ["‸", /expected an editor/],
  ["‸name", /expected an editor/],
  ['‸Concat([name], "")', /begins with an editor/],
  ['set(name, "x"‸', /expected .*found the end/],
  ['set(name ‸"x")', /expected ","/],
  ["set(name, ‸'x')", /strings stand in double quotes/],
  ['set(name, ‸"x)', /a string begins that does not end/],
  ['set(name, "a‸\\d")', /unknown escape sequence \\d/],
  ['set(name, "a‸\nb")', /may not have a line break/],
  ["set(name, ‸lower(name))", /lower is used as a value/],
  ['set(name, "x") ‸when true', /expected "where" or the end/],
  ['set(name, "x") where name == ‸', /expected a value, found the end/],
  ['set(name, "x") where name ‸= "y"', /expected a comparison/],
  ['set(name, "x") where (name == "y"‸', /expected .*found the end/],
  ["set(attributes[‸], 1)", /expected a value/],
  ['set(attributes["a"‸, 1)', /expected "]"/],
  ["set(status.‸, 1)", /expected a name/],
  ["set(name, ‸0x123)", /even number of hexadecimal digits/],
  ["set(name, ‸9223372036854775808)", /does not fit 64 bits/],
  ['set(name, {"a" ‸1})', /expected ":"/],
  ["set(name, [1, ‸, 2])", /expected a value/],
  ["set(name, 1 + ‸)", /expected a value/],
  ["set(name, ‸é)", /unexpected "é"/],
  ['set(name, "x")[‸0]', /only paths and converters may be indexed/],
];

test("errors of statements point at the character", () => {
  for (const [marked, message] of STATEMENTS) {
    const text = marked.replace("‸", "");
    const fault = faultOf(() => parseStatement(text));
    assert.equal(`${text.slice(0, fault.at)}‸${text.slice(fault.at)}`, marked);
    assert.match(fault.message, message, marked);
  }
});

test("errors of conditions point at the character", () => {
  for (const [marked, message] of [
    ["name ==‸", /found the end/],
    ['name == "a" and‸', /found the end/],
    ['name == "a" ‸name', /expected "and", "or" or the end/],
    ["not ‸not true", /expected a value|a condition/],
    ['(name == "a" or true‸', /expected/],
  ] as const) {
    const text = marked.replace("‸", "");
    const fault = faultOf(() => parseCondition(text));
    assert.equal(`${text.slice(0, fault.at)}‸${text.slice(fault.at)}`, marked);
    assert.match(fault.message, message, marked);
  }
});

test("a mark stands under the character, in its line", () => {
  const text = "set(\n\tname,\n\t\tNope(1))";
  assert.equal(
    pointAt(text, text.indexOf("Nope"), "no such function"),
    "no such function at line 3, character 3\n  \t\tNope(1))\n  \t\t^",
  );
});

test("operators bind as in arithmetic, and and before or", () => {
  const sum = parseCondition("1 + 2 * 3 == 7");
  assert.ok(sum.kind === "comparison" && sum.left.kind === "math" && sum.left.math.kind === "operation");
  assert.equal(sum.left.math.operator, "+");
  const logic = parseCondition("true or false and true");
  assert.ok(logic.kind === "or");
  assert.deepEqual(
    logic.terms.map((each) => each.kind),
    ["constant", "and"],
  );
});

test("deep nesting is refused, and nothing takes long", () => {
  assert.match(faultOf(() => parseCondition("(".repeat(100_000))).message, /nested more than/);
  assert.match(faultOf(() => parseStatement(`set(name, ${"[".repeat(100_000)}`)).message, /nested more than/);
  // Each lambda could be a value or a condition, and each condition a comparison or a call.
  let text = "true";
  for (let i = 0; i < 25; i++) text = `When(() => ${text}, 1, 2) == 1`;
  assert.equal(parseCondition(text).kind, "comparison");
  let lists = "1";
  for (let i = 0; i < 25; i++) lists = `() => [${lists}] == 1`;
  assert.equal(parseStatement(`set(name, ${lists})`).editor.arguments.length, 2);
});

const PIECES = [
  ..."()[]{}.,:=+-*/\"'\\ _é\n",
  ...'== != <= >= => and or not where nil true false name attributes cache set Concat When SHA256 0x01 1 2.5 "a" (k, v) =>'.split(
    " ",
  ),
];

test("whatever the text, it is taken or refused at a place in it", () => {
  const texts = fc.oneof(
    fc.array(fc.constantFrom(...PIECES), { maxLength: 60, size: "max" }).map((pieces) => pieces.join(" ")),
    fc.array(fc.constantFrom(...PIECES), { maxLength: 60, size: "max" }).map((pieces) => pieces.join("")),
    fc.string({ unit: "binary", maxLength: 80 }),
  );
  fc.assert(
    fc.property(texts, (text) => {
      for (const parse of [parseStatement, parseCondition]) {
        try {
          parse(text);
        } catch (error) {
          assert.ok(error instanceof OttlSyntaxError, String(error));
          assert.ok(error.at >= 0 && error.at <= text.length);
          pointAt(text, error.at, error.message);
        }
      }
    }),
    { numRuns: 300 },
  );
});
