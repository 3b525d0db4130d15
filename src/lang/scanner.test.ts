import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hostileFileText } from "./arbitrary.ts";
import { type ScanError, Scanner } from "./scanner.ts";
import { isIdentifier } from "./token.ts";

function scan(text: string): { tokens: string[]; errors: ScanError[] } {
  const errors: ScanError[] = [];
  const scanner = new Scanner({ name: "x", text }, (error) => errors.push(error));
  const tokens: string[] = [];
  for (scanner.next(); scanner.kind !== "end of file"; scanner.next()) {
    const raw = text.slice(scanner.start, scanner.end);
    tokens.push(scanner.kind === raw ? raw : scanner.kind === "end of line" ? "¶" : `${scanner.kind}:${raw}`);
  }
  return { tokens, errors };
}

test("tokens", () => {
  const { tokens, errors } = scan('a_1.b == 1 + 2.5e3 != .5 "x\\"y" `r\n` true null <= >= < > && || ! ^ % {}()[],');
  assert.deepEqual(errors, []);
  assert.equal(
    tokens.join(" "),
    'identifier:a_1 . identifier:b == number:1 + float:2.5e3 != float:.5 string:"x\\"y" string:`r\n` bool:true null <= >= < > && || ! ^ % { } ( ) [ ] ,',
  );
});

test("a line end counts behind what can end a statement, and comments belong to the line behind it", () => {
  assert.deepEqual(scan("a =\n 1\n\n+\n").tokens, ["identifier:a", "=", "number:1", "¶", "+"]);
  assert.deepEqual(scan("a // x\n").tokens, ["identifier:a", "¶", "comment:// x"]);
  assert.deepEqual(scan("a /* x */ /* y */ // z").tokens, [
    "identifier:a",
    "¶",
    "comment:/* x */",
    "comment:/* y */",
    "comment:// z",
  ]);
  assert.deepEqual(scan("a /* x */ b").tokens, ["identifier:a", "comment:/* x */", "identifier:b", "¶"]);
  assert.deepEqual(scan("a /* x \n */ b").tokens, ["identifier:a", "¶", "comment:/* x \n */", "identifier:b", "¶"]);
});

test("identifiers may have letters and digits of any script", () => {
  for (const name of ["a", "_", "été", "名前", "x9", "a٣", "𝒳y"]) assert.ok(isIdentifier(name), name);
  for (const name of ["", "9a", "a-b", "a b", "true", "false", "null", "a.b", " a", "a\n", "²"]) {
    assert.ok(!isIdentifier(name), name);
  }
});

test("a byte order mark may stand at the start only", () => {
  assert.deepEqual(scan("\ufeffa").errors, []);
  assert.deepEqual(
    scan("a\ufeff").errors.map((error) => [error.message, error.start]),
    [["illegal byte order mark", 1]],
  );
});

const faults: readonly (readonly [text: string, code: string, start: number, end: number])[] = [
  ["a = 'x'", "syntax.character", 4, 7],
  ["a = @", "syntax.character", 4, 5],
  ["a # b", "syntax.character", 2, 3],
  ["a : 1", "syntax.character", 2, 3],
  ["a = 1;", "syntax.character", 5, 6],
  ["“x", "syntax.character", 0, 1],
  ["a = \0", "syntax.encoding", 4, 5],
  ["// \udcff", "syntax.encoding", 3, 4],
  ['"a\nb', "syntax.unterminated_string", 0, 2],
  ['"a\r\nb', "syntax.unterminated_string", 0, 2],
  ["`a\nb", "syntax.unterminated_string", 0, 4],
  ["/* a", "syntax.unterminated_comment", 0, 2],
  ['"\\d"', "syntax.escape", 1, 3],
  ['"\\x4"', "syntax.escape", 1, 3],
  ['"\\400"', "syntax.escape", 1, 5],
  ['"\\ud800"', "syntax.escape", 1, 7],
  ['"\\U00110000"', "syntax.escape", 1, 11],
  ["1e+", "syntax.number", 0, 3],
  ["a & b", "syntax.operator", 2, 3],
  ["a | b", "syntax.operator", 2, 3],
];
for (const [text, code, start, end] of faults) {
  test(`${JSON.stringify(text)} is reported as ${code}`, () => {
    const { errors } = scan(text);
    assert.deepEqual(
      errors.map((error) => [error.code, error.start, error.end]),
      [[code, start, end]],
    );
  });
}

test("any text is scanned to its end, with tokens in order", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), hostileFileText), (text) => {
      const scanner = new Scanner({ name: "x", text }, () => {});
      let end = 0;
      let steps = 0;
      for (scanner.next(); scanner.kind !== "end of file"; scanner.next()) {
        assert.ok(scanner.start >= end && scanner.end >= scanner.start && scanner.end <= text.length);
        end = scanner.end;
        assert.ok(++steps <= 2 * text.length + 2);
      }
    }),
  );
});
