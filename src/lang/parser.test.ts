import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { expressionText, fileText, hostileFileText } from "./arbitrary.ts";
import type { Expression } from "./ast.ts";
import { blockName } from "./ast.ts";
import { codes } from "./codes.ts";
import { parseExpression, parseFile } from "./parser.ts";
import { positionOf } from "./position.ts";

function parse(text: string) {
  return parseFile({ name: "test.alloy", text });
}

/** Every error as `line:column code`. */
function errorsOf(text: string): readonly string[] {
  const { file, diagnostics } = parse(text);
  return diagnostics.map(({ span, code }) => {
    const { line, column } = positionOf(file.source, span!.start);
    return `${line}:${column} ${code}`;
  });
}

/** An expression with all its grouping in brackets. */
function grouped(expression: Expression): string {
  switch (expression.kind) {
    case "literal":
      return expression.raw;
    case "identifier":
      return expression.name;
    case "array":
      return `[${expression.elements.map(grouped).join(", ")}]`;
    case "object":
      return `{${expression.fields.map(({ name, quoted, value }) => `${quoted ? `"${name.name}"` : name.name} = ${grouped(value)}`).join(", ")}}`;
    case "access":
      return `(${grouped(expression.value)}.${expression.name.name})`;
    case "index":
      return `(${grouped(expression.value)}[${grouped(expression.index)}])`;
    case "call":
      return `(${grouped(expression.value)}(${expression.args.map(grouped).join(", ")}))`;
    case "unary":
      return `(${expression.operator}${grouped(expression.value)})`;
    case "binary":
      return `(${grouped(expression.left)} ${expression.operator} ${grouped(expression.right)})`;
    case "paren":
      return grouped(expression.inner);
  }
}

function groupedText(text: string): string {
  const { expression, diagnostics } = parseExpression({ name: "", text });
  assert.deepEqual(diagnostics, []);
  return grouped(expression!);
}

test("blocks, labels and attributes", () => {
  const text = 'a.b "c" {\n  d = 1\n  e { }\n  f "" { g = [] }\n}\n\nh = "x"\n';
  const { file, diagnostics } = parse(text);
  assert.deepEqual(diagnostics, []);
  const [block, attribute] = file.body;
  assert.ok(block?.kind === "block" && attribute?.kind === "attribute");
  assert.equal(blockName(block), "a.b");
  assert.equal(block.label?.text, "c");
  assert.equal(text.slice(block.label.span.start, block.label.span.end), '"c"');
  assert.equal(text[block.open], "{");
  assert.equal(text[block.close], "}");
  assert.equal(text.slice(block.span.start, block.span.end), text.slice(0, text.indexOf("}\n\n") + 1));
  assert.equal(text.slice(attribute.span.start, attribute.span.end), 'h = "x"');
  const [, , empty] = block.body;
  assert.ok(empty?.kind === "block");
  assert.equal(empty.label, undefined);
});

test("comments are kept, in order", () => {
  const { file } = parse("// a\nb = 1 /* c */ // d\n/* e\n */\n");
  assert.deepEqual(
    file.comments.map((comment) => comment.text),
    ["// a", "/* c */", "// d", "/* e\n */"],
  );
});

const groupings: readonly (readonly [text: string, grouped: string])[] = [
  ["1 + 2 * 3", "(1 + (2 * 3))"],
  ["1 - 2 - 3", "((1 - 2) - 3)"],
  ["2 ^ 3 ^ 4", "(2 ^ (3 ^ 4))"],
  ["-2 ^ 2", "((-2) ^ 2)"],
  ["2 ^ -3 ^ 4 * 5", "((2 ^ ((-3) ^ 4)) * 5)"],
  ["!a && b || c == d + 1", "(((!a) && b) || (c == (d + 1)))"],
  ["a < b == c >= d", "(((a < b) == c) >= d)"],
  ["a || b && c", "(a || (b && c))"],
  ["a * b / c % d", "(((a * b) / c) % d)"],
  ["- -!a", "(-(-(!a)))"],
  ["-a.b[c](d).e", "(-((((a.b)[c])(d)).e))"],
  ["(1 + 2) * 3", "((1 + 2) * 3)"],
  ['{ a = 1, "b c" = [1, 2,], }["a"]', '({a = 1, "b c" = [1, 2]}["a"])'],
  ["f(\n1,\n2,\n)", "(f(1, 2))"],
  ["a +\n b", "(a + b)"],
  ["[]", "[]"],
  ["a . b", "(a.b)"],
];
for (const [text, expected] of groupings) {
  test(`${JSON.stringify(text)} is ${expected}`, () => assert.equal(groupedText(text), expected));
}

test("escape sequences in field names stand for themselves, and an empty name is empty", () => {
  const { expression } = parseExpression({ name: "", text: '{ "a\\n" = 1, "" = 2, `c` = 3 }' });
  assert.ok(expression?.kind === "object");
  assert.deepEqual(
    expression.fields.map((field) => [field.name.name, field.quoted]),
    [
      ["a\\n", true],
      ["", true],
      ["c", true],
    ],
  );
});

test("an expression is the whole text", () => {
  assert.equal(groupedText(" 1 // one\n"), "1");
  for (const text of ["", "1 2", "1\n2", "a =", "1 +", "a {", ")", "\ufeff"]) {
    const { expression, diagnostics } = parseExpression({ name: "", text });
    assert.equal(expression, undefined, text);
    assert.notEqual(diagnostics.length, 0, text);
  }
});

const rejected: readonly (readonly [text: string, errors: readonly string[]])[] = [
  ["a", ["1:2 syntax.unexpected"]],
  ["a = ", ["1:5 syntax.unexpected"]],
  ["a = 1 2", ["1:7 syntax.unexpected"]],
  ["a = 1 b = 2", ["1:7 syntax.unexpected"]],
  ["a { b = 1 c = 2 }", ["1:11 syntax.unexpected"]],
  ["a.b = 1", ["1:1 syntax.attribute_name"]],
  ['a "b" = 1', ["1:3 syntax.attribute_name"]],
  ["a b { }", ["1:3 syntax.unexpected"]],
  ['a "b c" { }', ["1:3 syntax.block_label"]],
  ['a "true" { }', ["1:3 syntax.block_label"]],
  ["a `b` { }", ["1:3 syntax.block_label"]],
  ['a "b"\n{\n}', ["1:6 syntax.unexpected"]],
  ['level "info"', ["1:13 syntax.unexpected"]],
  ["a. { }", ["1:4 syntax.unexpected"]],
  ["true = 1", ["1:1 syntax.unexpected"]],
  ['"a" = 1', ["1:1 syntax.unexpected"]],
  ["}\na = 1", ["1:1 syntax.unexpected"]],
  ["a = [1 2]", ["1:7 syntax.missing_comma"]],
  ["a = [\n  1\n]", ["2:4 syntax.missing_comma"]],
  ["a = {\n  b = 1\n  c = 2,\n}", ["2:8 syntax.missing_comma"]],
  ["a = f(\n  1\n)", ["2:4 syntax.missing_comma"]],
  ["a = [1, 2\nb = 3", ["1:10 syntax.unclosed"]],
  ["a = (1\n)", ["1:7 syntax.unclosed"]],
  ["a = b[1", ["1:8 syntax.unclosed"]],
  ["a {\n  b = 1\n", ["3:1 syntax.unclosed"]],
  ["a = {1 = 2}", ["1:6 syntax.unexpected"]],
  ["a = {true = 2}", ["1:6 syntax.unexpected"]],
  ["a = {b 2}", ["1:8 syntax.unexpected"]],
  ["a = b.true", ["1:7 syntax.unexpected"]],
  ["a = b.", ["1:7 syntax.unexpected"]],
  ["a = b { c = 1 }", ["1:5 syntax.block_as_value"]],
  ['a = b.c "d" {\n  e = 1\n}\nf = 1', ["1:5 syntax.block_as_value"]],
  ['a = b "c"', ["1:10 syntax.unexpected"]],
  ["a = 'b'", ["1:5 syntax.character"]],
  ["a: 1", ["1:2 syntax.character"]],
  ["a = 1 # b\nc = @", ["1:7 syntax.character", "2:5 syntax.character"]],
];
for (const [text, errors] of rejected) {
  test(`${JSON.stringify(text)} is rejected`, () => assert.deepEqual(errorsOf(text), errors));
}

test("all errors of a file are found, and what is right is kept", () => {
  const text = `
logging {
  level = "info
  format =
}

local.file_match "web-1" {
  path_targets = [{ __path__ = "/var/log/*.log" }]
}

loki.source.file web {
  targets    = local.file_match.web.targets
  forward_to = [loki.write.default.receiver
}

loki.write "default" {
  endpoint { url: "http://localhost" }
  external_labels = {
    a = 1
    b = 2,
  }
}

prometheus.scrape "x" {
  targets = [1, , 2]
  forward_to = [] }
}
tracing {
`;
  assert.deepEqual(errorsOf(text), [
    "3:11 syntax.unterminated_string",
    "5:1 syntax.unexpected",
    "7:18 syntax.block_label",
    "11:18 syntax.unexpected",
    "13:44 syntax.unclosed",
    "17:17 syntax.character",
    "19:10 syntax.missing_comma",
    "25:17 syntax.unexpected",
    "27:1 syntax.unexpected",
    "29:1 syntax.unclosed",
  ]);
  const names = parse(text).file.body.map((statement) => (statement.kind === "block" ? blockName(statement) : ""));
  assert.deepEqual(names, [
    "logging",
    "local.file_match",
    "loki.source.file",
    "loki.write",
    "prometheus.scrape",
    "tracing",
  ]);
});

test("of several open blocks, indentation tells which one is not closed", () => {
  const { diagnostics, file } = parse('a "x" {\n  b {\n    c = 1\n\nd "y" {\n  e = 1\n}\n');
  const [place] = diagnostics[0]!.related!;
  assert.equal(file.source.text.slice(place!.span.start, place!.span.end), "b");
});

test("every diagnostic has a known code, a span inside of the text and something to go by", () => {
  for (const [text] of rejected) {
    for (const { code, span, why, hint, related } of parse(text).diagnostics) {
      assert.ok(code in codes, code);
      assert.ok(span!.start <= span!.end && span!.end <= text.length);
      assert.ok(why !== undefined || hint !== undefined || related !== undefined, text);
    }
  }
});

const deep = 100_000;
const bounded: readonly (readonly [what: string, text: string])[] = [
  ["parentheses", `a = ${"(".repeat(deep)}`],
  ["lists", `a = ${"[".repeat(deep)}`],
  ["objects", `a = ${"{a=".repeat(deep)}`],
  ["unary operators", `a = ${"!".repeat(deep)}1`],
  ["powers", `a = ${"1^".repeat(deep)}1`],
  ["sums", `a = ${"1+".repeat(deep)}1`],
  ["accesses", `a = b${".c".repeat(deep)}`],
  ["calls", `a = b${"()".repeat(deep)}`],
  ["blocks", "a {\n".repeat(deep)],
  ["blocks as values", "a = b {".repeat(deep)],
];
for (const [what, text] of bounded) {
  test(`endless ${what} end in one diagnostic`, () => {
    assert.deepEqual(
      parse(text).diagnostics.map(({ code }) => code),
      ["syntax.too_deep"],
    );
  });
}

test("nesting and chains that people write are accepted", () => {
  assert.deepEqual(errorsOf(`a = ${"[".repeat(200)}${"]".repeat(200)}`), []);
  assert.deepEqual(errorsOf(`a = ${"x + ".repeat(900)}x`), []);
  assert.deepEqual(errorsOf(`${"a {\n".repeat(200)}${"}\n".repeat(200)}`), []);
  assert.deepEqual(errorsOf(`a = [${"1, ".repeat(100_000)}]`), []);
});

test("a flood of errors is cut off", () => {
  const { diagnostics } = parse("= 1\n".repeat(10_000));
  assert.equal(diagnostics.length, 501);
  assert.equal(diagnostics.at(-1)!.code, "syntax.too_many_errors");
});

test("random text never throws", () => {
  const fragment = fc.constantFrom(
    ..."{}[]()=.,\"`'\n \t/*\\!-^&|+1eax#:;é\ufeff\0\udcff".split(""),
    "//",
    "/*",
    "*/",
    'a "b" {',
    "a = ",
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(fragment, { maxLength: 60, size: "max" }).map((fragments) => fragments.join("")),
  );
  fc.assert(
    fc.property(text, (found) => {
      parse(found);
      parseExpression({ name: "", text: found });
    }),
    { numRuns: 1000 },
  );
});

test("a truncated file never throws, and its diagnostics are inside of it", () => {
  fc.assert(
    fc.property(fc.oneof(fileText, hostileFileText), fc.double({ min: 0, max: 1, noNaN: true }), (text, part) => {
      const cut = text.slice(0, Math.floor(text.length * part));
      for (const { span } of parse(cut).diagnostics) assert.ok(span!.end <= cut.length);
    }),
  );
});

test("the spans of an expression's parts lie within its own, in order", () => {
  const check = (expression: Expression, start: number, end: number) => {
    assert.ok(
      expression.span.start >= start && expression.span.end <= end && expression.span.start < expression.span.end,
    );
    let at = expression.span.start;
    for (const child of childrenOf(expression)) {
      check(child, at, expression.span.end);
      at = child.span.end;
    }
  };
  fc.assert(
    fc.property(expressionText, (text) => {
      const { expression } = parseExpression({ name: "", text });
      fc.pre(expression !== undefined);
      check(expression, 0, text.length);
    }),
  );
});

function childrenOf(expression: Expression): readonly Expression[] {
  switch (expression.kind) {
    case "array":
      return expression.elements;
    case "object":
      return expression.fields.map((field) => field.value);
    case "index":
      return [expression.value, expression.index];
    case "call":
      return [expression.value, ...expression.args];
    case "binary":
      return [expression.left, expression.right];
    case "access":
    case "unary":
      return [expression.value];
    case "paren":
      return [expression.inner];
    default:
      return [];
  }
}
