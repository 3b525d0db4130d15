import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { emptyCriLine, parseCri } from "./cri.ts";
import { LogqlError, parseLogSelector, unquoteGo } from "./logql.ts";

/** Alloy's parse.go on strings, step by step. */
function criOracle(line: string): [time: string, stderr: boolean, partial: boolean, content: string] | undefined {
  const space = line.search(/[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/);
  const time = space === -1 ? "" : line.slice(0, space);
  let rest = space === -1 ? line : line.slice(space);
  if (!rest.startsWith(" ")) return undefined;
  rest = rest.slice(1);
  const stream = /^std(out|err)/.exec(rest)?.[1];
  if (stream === undefined) return undefined;
  rest = rest.slice(6);
  if (!rest.startsWith(" ")) return undefined;
  rest = rest.slice(1);
  const partial = rest.startsWith("P");
  if (/^[PF]/.test(rest)) rest = rest.slice(1);
  return [time, stream === "err", partial, rest.startsWith(" ") ? rest.slice(1) : rest];
}

test("CRI lines: as Alloy's parser takes them", () => {
  const piece = fc.constantFrom(
    "2024-01-01T00:00:00Z",
    " ",
    "stdout",
    "stderr",
    "std",
    "P",
    "F",
    "\t",
    "\u00a0",
    "\u2003",
    "é",
    "message",
    "",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      const line = pieces.join("");
      const bytes = Buffer.from(`x${line} stdout F y`);
      const end = 1 + Buffer.byteLength(line);
      const into = emptyCriLine();
      const text = (from: number, to: number) => bytes.toString("utf8", from, to);
      const found = parseCri(bytes, 1, end, into)
        ? [text(into.timeStart, into.timeEnd), into.stderr, into.partial, text(into.contentStart, end)]
        : undefined;
      assert.deepEqual(found, criOracle(line), line);
    }),
    { numRuns: 2_000 },
  );
});

test("selectors: matchers and filters in order", () => {
  const { matchers, filters } = parseLogSelector(
    '{ a="b" , c!="d",\n e=~"f.*", g!~`h|i` } |= "x" != "y" |~ "z" !~ "w"',
  );
  assert.deepEqual(
    matchers.map(({ name, op, value }) => [name, op, value]),
    [
      ["a", "=", "b"],
      ["c", "!=", "d"],
      ["e", "=~", "f.*"],
      ["g", "!~", "h|i"],
    ],
  );
  assert.deepEqual(
    filters.map(({ op, text }) => [op, text]),
    [
      ["|=", "x"],
      ["!=", "y"],
      ["|~", "z"],
      ["!~", "w"],
    ],
  );
  const [a, c, e, g] = matchers;
  assert.deepEqual(
    [
      a!.matches("b"),
      a!.matches("bb"),
      c!.matches(""),
      e!.matches("f"),
      e!.matches("xf"),
      g!.matches("i"),
      g!.matches("ii"),
    ],
    [true, false, true, true, false, false, true],
  );
});

for (const [text, message] of [
  ['{foo="bar}', "parse error at line 1, col 6: literal not terminated"],
  ['{foo="bar"', "parse error at line 1, col 11: syntax error: unexpected $end, expecting } or ,"],
  ["{}", "parse error at line 1, col 2: syntax error: unexpected }, expecting IDENTIFIER"],
  ['{a="b"} |= ', "parse error at line 1, col 12: syntax error: unexpected $end, expecting STRING"],
  ['{a="b"} | json', "parse error at line 1, col 9: syntax error: unexpected |"],
  ['{a="b",\n c=~"("}', "parse error at line 2, col 5: error parsing regexp: missing closing ): `(`"],
  ['{a="b"} "x"', "parse error at line 1, col 9: syntax error: unexpected STRING, expecting |=, !=, |~ or !~"],
  ['{a="\\q"}', "parse error at line 1, col 4: invalid syntax"],
  ["", "parse error at line 1, col 1: syntax error: unexpected $end, expecting {"],
] as const) {
  test(`refuses the selector ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseLogSelector(text),
      (error) => error instanceof LogqlError && error.message.startsWith(message.slice(0, 60)),
    );
  });
}

test("Go strings", () => {
  assert.equal(unquoteGo(String.raw`\a\b\n\t\\\"\x41\u00e9\U0001F600\303\251`), '\x07\b\n\t\\"Aé😀é');
  for (const text of [
    String.raw`\q`,
    String.raw`\x4`,
    String.raw`\ud800`,
    String.raw`\U00110000`,
    String.raw`\400`,
    "\\",
  ])
    assert.equal(unquoteGo(text), undefined);
  fc.assert(fc.property(fc.string(), (text) => void unquoteGo(text)));
});
