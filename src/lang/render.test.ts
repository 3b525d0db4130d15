import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Diagnostic } from "./diagnostic.ts";
import { displayWidth } from "./display.ts";
import { parseFile } from "./parser.ts";
import { describeDiagnostic, renderDiagnostics } from "./render.ts";

function at(text: string, marked: string, more: Partial<Diagnostic> = {}): Diagnostic {
  const source = { name: "web.alloy", text };
  const start = text.indexOf(marked);
  const span = { source, start, end: start + marked.length };
  return { severity: "error", code: "config.enum", message: "wrong", span, ...more };
}

function render(...diagnostics: readonly Diagnostic[]): string {
  return renderDiagnostics(diagnostics, { color: false });
}

test("what, where, why, what to do, and the code", () => {
  const diagnostic = at('// c\ndiscovery.dns "web" {\n  type = "TXT"\n}\n', '"TXT"', {
    message: '`type` cannot be "TXT"',
    why: "discovery.dns has no target format for this record",
    hint: 'use "SRV", "A", "AAAA", "MX" or "NS"',
  });
  assert.equal(
    render(diagnostic),
    `Error: web.alloy:3:10: \`type\` cannot be "TXT"

2 | discovery.dns "web" {
3 |   type = "TXT"
  |          ^^^^^
4 | }
why:  discovery.dns has no target format for this record
hint: use "SRV", "A", "AAAA", "MX" or "NS"
code: config.enum
`,
  );
});

test("related places, warnings and places without a name", () => {
  const source = { name: "", text: "a = 1\n\na = 2" };
  const text = render({
    severity: "warning",
    code: "config.duplicate",
    message: "twice",
    span: { source, start: 7, end: 8 },
    related: [{ message: "first here", span: { source, start: 0, end: 1 } }],
  });
  assert.equal(
    text,
    `Warning: 3:1: twice

2 |
3 | a = 2
  | ^
see:  1:1: first here
1 | a = 1
  | ^
2 |
code: config.duplicate
`,
  );
});

test("without a place there is no excerpt", () => {
  assert.equal(render({ severity: "error", code: "x.y", message: "no file" }), "Error: no file\ncode: x.y\n");
});

test("carets stand under what they mark, whatever its width", () => {
  const cases: readonly (readonly [line: string, marked: string, drawn: string, carets: string])[] = [
    ['\ta = "x"', '"x"', '    a = "x"', "        ^^^"],
    ['名前 = "x"', '"x"', '名前 = "x"', "       ^^^"],
    ['a = "名前"', '"名前"', 'a = "名前"', "    ^^^^^^"],
    ['e\u0301 = "x"', '"x"', 'e\u0301 = "x"', "    ^^^"],
    ['a = "👨‍👩‍👧" + b', "b", 'a = "👨‍👩‍👧" + b', "           ^"],
    ["a = 1\r", "1", "a = 1", "    ^"],
    ["a = \x1b[31m", "\x1b", "a = ␛[31m", "    ^"],
    ["a = \u202ex", "x", "a = \ufffdx", "     ^"],
  ];
  for (const [line, marked, drawn, carets] of cases) {
    const lines = render(at(line, marked)).split("\n");
    assert.deepEqual(lines.slice(2, 4), [`1 | ${drawn}`, `  | ${carets}`], line);
  }
});

test("an empty span and a span of several lines are marked where they start", () => {
  const text = "a = [\n  1,\n]\n";
  const source = { name: "x", text };
  const empty = { severity: "error", code: "x.y", message: "m", span: { source, start: 5, end: 5 } } as const;
  assert.match(render(empty), /^1 \| a = \[\n {2}\| {6}\^\n/m);
  assert.match(render({ ...empty, span: { source, start: 4, end: 12 } }), /^1 \| a = \[\n {2}\| {5}\^\n/m);
  assert.match(render({ ...empty, span: { source, start: text.length, end: text.length } }), /^4 \|\n {2}\| \^\n/m);
});

test("of a very long line only the neighbourhood is shown", () => {
  const text = `a = [${"1, ".repeat(100_000)}x, ${"1, ".repeat(100_000)}]`;
  const rendered = render(at(text, "x"));
  assert.ok(rendered.length < 700);
  const [line, carets] = rendered.split("\n").slice(2, 4);
  assert.equal(line![carets!.indexOf("^")], "x");
});

test("colours only if asked for", () => {
  const diagnostic = at("a = 1", "1");
  assert.ok(!render(diagnostic).includes("\x1b"));
  assert.ok(renderDiagnostics([diagnostic], { color: true }).startsWith("\x1b[1;31mError: \x1b[0m"));
});

test("several diagnostics are set apart by a blank line", () => {
  assert.equal(render(at("a = 1", "1"), at("a = 1", "a")).split("\n\n").length, 4);
});

test("a diagnostic in one line", () => {
  assert.equal(describeDiagnostic(at("a = 1", "1")), "web.alloy:1:5: wrong");
});

test("whatever is wrong can be drawn, and controls no terminal", () => {
  const text = fc.string({
    unit: fc.oneof(fc.constantFrom(..."\x1b\u009b\u202e\t\r\n{}\"'`=é名🦄\ufeff\udcff\0"), fc.string()),
  });
  fc.assert(
    fc.property(text, (found) => {
      const { diagnostics } = parseFile({ name: "\x1b", text: found });
      const rendered = renderDiagnostics(diagnostics, { color: false });
      assert.doesNotMatch(rendered, /[^\P{Cc}\n]|\p{Cs}|\u202e/u);
    }),
  );
});

test("the width of text in a terminal", () => {
  for (const [text, width] of [
    ["abc", 3],
    ["名", 2],
    ["é", 1],
    ["e\u0301", 1],
    ["🦄", 2],
    ["👨‍👩‍👧", 2],
    ["❤️", 2],
    ["ｱ", 1],
    ["\u200b", 0],
  ] as const) {
    assert.equal(displayWidth(text), width, text);
  }
});
