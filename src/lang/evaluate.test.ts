import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { DiagnosticError } from "./diagnostic.ts";
import { evaluateExpression, references, referencesOf, scopeOf } from "./evaluate.ts";
import { parseExpression, parseFile } from "./parser.ts";
import { standardScope } from "./stdlib.ts";
import { Capsule, Secret, type Value } from "./value.ts";

const standard = standardScope({
  environment: (name) => (name === "HOME" ? "/root" : undefined),
  hostname: "box",
  os: "linux",
  arch: "amd64",
  version: "1.2.3",
});

function evaluate(text: string, variables: Readonly<Record<string, Value>> = {}): Value {
  const { expression, diagnostics } = parseExpression({ name: "test", text });
  assert.deepEqual(diagnostics, [], text);
  return evaluateExpression(expression!, scopeOf(new Map(Object.entries(variables)), standard));
}

/** The error's message, and the part of the text that it points at. */
function failure(text: string, variables: Readonly<Record<string, Value>> = {}): readonly [string, string] {
  try {
    evaluate(text, variables);
  } catch (error) {
    assert.ok(error instanceof DiagnosticError, String(error));
    const { message, span } = error.diagnostics[0]!;
    return [message, text.slice(span!.start, span!.end)];
  }
  throw new assert.AssertionError({ message: `${text} did not fail` });
}

test("operators have Alloy's precedence and Go's arithmetic", () => {
  const cases: [string, Value][] = [
    ["1 + 2 * 3", 7],
    ["(1 + 2) * 3", 9],
    ["2 ^ 3 ^ 2", 512],
    ["-2 ^ 2", 4],
    ["7 / 2", 3],
    ["-7 / 2", -3],
    ["-7 % 3", -1],
    ["7.0 / 2", 3.5],
    ["4.0 / 3", 4 / 3],
    ["4.0 / 2 / 3", 2 / 3],
    ["7.5 % 2", 1.5],
    ["2 ^ 0.5", Math.SQRT2],
    ["2 ^ -1", 2],
    ["9223372036854775807 + 1", -(2n ** 63n)],
    ["9223372036854775807", 9223372036854775807n],
    ["18446744073709551615 + 18446744073709551615", 18446744073709551614n],
    ["18446744073709551615 - 18446744073709551614", 1],
    ["3037000500 * 3037000500", -9223372036709301616n],
    ["1 == 1.0", true],
    ["1 < 1.5 && 2 >= 2", true],
    ['"a" < "b"', true],
    ['"\u{1F600}" > "\uFFFF"', true],
    ['1 == "1"', false],
    ["[1, [2]] == [1.0, [2]]", true],
    ["{ a = 1 } == { a = 1 }", true],
    ["{ a = 1 } == { b = 1 }", false],
    ["null == null", true],
    ["coalesce == coalesce", false],
    ["!true || false", false],
    ['"a" + "b"', "ab"],
    ["-(3)", -3],
    ["0 * -1", 0],
    ["010", 8],
  ];
  for (const [text, expected] of cases) assert.deepEqual(evaluate(text), expected, text);
});

test("errors point at the innermost expression at fault", () => {
  const cases: [string, string, string][] = [
    ["1 + (2 * true)", "true should be one of [number] for binop *, got bool", "true"],
    ['1 + "a"', '"a" should be number, got string', '"a"'],
    ["[1, 2 / 0]", "0 divide by zero error", "0"],
    ["!3", "3 should be bool, got number", "3"],
    ["nothing.here", 'identifier "nothing" does not exist', "nothing"],
    ["{ a = { b = 1 } }.a.c", 'field "c" does not exist', "c"],
    ["(5).x", '(5) cannot access field "x" on value of type number', "(5)"],
    ["[1][1]", "1 index 1 is out of range of array with length 1", "1"],
    ['[1]["a"]', '"a" should be number, got string', '"a"'],
    ["{ a = 1 }[1]", "1 should be string, got number", "1"],
    ["5[0]", "5 expected object or array, got number", "5"],
    ["(5)()", "(5) should be function, got number", "(5)"],
    ['string.join(["a", true], ",")', "true should be string, got bool", "true"],
    ['string.join("a", ",")', '"a" should be array, got string', '"a"'],
    ["string.join([])", "string.join expected 2 args, got 1", "string.join"],
    ["string.format()", "string.format expected at least 1 args, got 0", "string.format"],
  ];
  for (const [text, message, at] of cases) assert.deepEqual(failure(text), [message, at], text);
  assert.throws(
    () => evaluate("{ target = 1 }.targte"),
    (error: DiagnosticError) => error.diagnostics[0]!.hint === 'did you mean "target"?',
  );
});

test("objects, arrays, labels and components are indexed and accessed", () => {
  const exports = new Map<string, Value>([["targets", [Labels.from([["__address__", "a:1"]])]]]);
  const scope = { prometheus: new Map([["exporter", new Map([["unix", new Map([["default", exports]])]])]]) };
  assert.equal(evaluate('prometheus.exporter.unix.default.targets[0]["__address__"]', scope), "a:1");
  assert.equal(evaluate("prometheus.exporter.unix.default.targets[0].__address__", scope), "a:1");
  assert.equal(evaluate('prometheus.exporter.unix.default.targets[0]["other"]', scope), null);
  assert.equal(evaluate('prometheus.exporter.unix.default.targets == [{ "__address__" = "a:1" }]', scope), true);
});

test("values that are too large are errors like others", () => {
  const half = "x".repeat(2 ** 28);
  const [message, at] = failure("half + half", { half });
  assert.deepEqual([message, at], ["half + half is too large or nested too deeply", "half + half"]);
});

test("a name in the scope hides the standard library", () => {
  assert.equal(evaluate("string", { string: 5 }), 5);
});

test("references give the fields behind a name", () => {
  const { expression } = parseExpression({
    name: "t",
    text: 'array.concat(a.b.c[d.e].f, [g], { h = -i.j }, ("k" + l).m) == (n)',
  });
  const found = references(expression!).map((each) => each.path.join("."));
  assert.deepEqual(found, ["array.concat", "a.b.c", "d.e", "g", "i.j", "l", "n"]);
  const text = "x = a.b\ny {\n z = c.d[0].e\n}\n";
  const { file } = parseFile({ name: "t", text });
  assert.deepEqual(
    referencesOf(file.body).map(({ path, span }) => [path.join("."), text.slice(span.start, span.end)]),
    [
      ["a.b", "a.b"],
      ["c.d", "c.d"],
    ],
  );
});

test("text joined with a secret is a secret, whose text no error shows", () => {
  const secret = new Secret("hunter2");
  const joined = evaluate('"user:" + password + "@host"', { password: secret });
  assert.ok(joined instanceof Secret);
  assert.equal(joined.reveal(), "user:hunter2@host");
  assert.equal(evaluate('password == "hunter2"', { password: secret }), true);
  assert.deepEqual(failure('password < "z"', { password: secret }), [
    "password should be one of [number string] for binop <, got capsule",
    "password",
  ]);
  assert.deepEqual(failure("{ hunter3 = 1 }[password]", { password: secret }), [
    "password should be string, got capsule",
    "password",
  ]);
});

const scalar = fc.oneof(
  fc.integer({ min: -3, max: 5 }).map((n) => (n < 0 ? `(${n})` : String(n))),
  fc.constantFrom("1.5", "2.0", "9223372036854775807", "18446744073709551615", "1e300", "true", "false", "null"),
  fc.constantFrom('"a"', '"b c"', '""', "secret", "labels", "capsule", "unknown", "string.to_upper", "coalesce"),
);
const { expression: anyExpression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    scalar,
    fc
      .tuple(
        tie("expression"),
        fc.constantFrom("+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||"),
        tie("expression"),
      )
      .map(([left, operator, right]) => `(${left} ${operator} ${right})`),
    tie("expression").map((inner) => `[${inner}, 1]`),
    tie("expression").map((inner) => `{ a = ${inner} }`),
    fc.tuple(tie("expression"), tie("expression")).map(([value, index]) => `(${value})[${index}]`),
    tie("expression").map((value) => `(${value}).a`),
    fc
      .tuple(
        fc.constantFrom(
          ...["string.format", "string.join", "string.split", "array.concat", "encoding.to_json", "encoding.from_json"],
          ...["encoding.from_yaml", "json_path", "coalesce", "string.trim", "array.combine_maps", "array.group_by"],
          ...["encoding.from_base64", "encoding.url_decode", "file.path_join", "sys.env", "string.replace"],
        ),
        fc.array(tie("expression"), { maxLength: 4 }),
      )
      .map(([name, args]) => `${name}(${args.join(", ")})`),
  ),
}));

test("evaluation ends in a value or a DiagnosticError, and never shows a secret", () => {
  const text = "tOpSeCrEt";
  const variables = {
    secret: new Secret(text),
    labels: Labels.from([["a", "1"]]),
    capsule: new Capsule("loki.LogsReceiver", {}),
  };
  fc.assert(
    fc.property(anyExpression, (expression) => {
      let shown: string;
      try {
        shown = show(evaluate(expression, variables));
      } catch (error) {
        assert.ok(error instanceof DiagnosticError, `${expression}: ${(error as Error).stack}`);
        shown = JSON.stringify(error.diagnostics.map(({ message, why, hint }) => [message, why, hint]));
      }
      assert.ok(!shown.toLowerCase().includes(text.toLowerCase()), `${expression} → ${shown}`);
    }),
    { numRuns: 2_000 },
  );
});

function show(value: Value): string {
  return JSON.stringify(value, (_, each) => {
    if (each instanceof Map) return [...each];
    return typeof each === "bigint" || each instanceof Labels ? String(each) : each;
  });
}
