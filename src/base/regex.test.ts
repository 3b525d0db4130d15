import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import fc from "fast-check";
import { RE2JS } from "re2js";
import { processorMs } from "#base/processor-time.testing";
import { compileRegex, configureRegexEngine, RegexError } from "./regex.ts";

setFlagsFromString("--enable-experimental-regexp-engine");
setFlagsFromString("--enable-experimental-regexp-engine-on-excessive-backtracks");
configureRegexEngine({ linear: true });

test("rejects what Go rejects, with Go's words", () => {
  const cases: [string, string][] = [
    ["(", "missing closing ): `(`"],
    ["a)", "unexpected ): `a)`"],
    ["[a", "missing closing ]: `[a`"],
    ["[z-a]", "invalid character class range: `z-a`"],
    ["[[:foo:]]", "invalid character class range: `[:foo:]`"],
    ["\\p{Foo}", "invalid character class range: `\\p{Foo}`"],
    ["*a", "missing argument to repetition operator: `*`"],
    ["(|*)", "missing argument to repetition operator: `*`"],
    ["a**", "invalid nested repetition operator: `**`"],
    ["a++", "invalid nested repetition operator: `++`"],
    ["a{2}{3}", "invalid nested repetition operator: `{2}{3}`"],
    ["a{1001}", "invalid repeat count: `{1001}`"],
    ["a{3,2}", "invalid repeat count: `{3,2}`"],
    ["((a{100}){100}){100}", "invalid repeat count: `{100}`"],
    ["a\\", "trailing backslash at end of expression: ``"],
    ["\\8", "invalid escape sequence: `\\8`"],
    ["\\1", "invalid escape sequence: `\\1`"],
    ["\\C", "invalid escape sequence: `\\C`"],
    ["\\x{110000}", "invalid escape sequence: `\\x{110000`"],
    ["(?=a)", "invalid or unsupported Perl syntax: `(?=`"],
    ["(?<=a)b", "invalid named capture: `(?<=a)b`"],
    ["(?!a)", "invalid or unsupported Perl syntax: `(?!`"],
    ["(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"],
    ["(?P<n", "invalid named capture: `(?P<n`"],
    ["(?P<a-b>x)", "invalid named capture: `(?P<a-b>`"],
    ["a\ud800", "invalid UTF-8: `\ud800`"],
    ["(".repeat(1001) + ")".repeat(1001), `expression nests too deeply: \`${"(".repeat(1001) + ")".repeat(1001)}\``],
  ];
  for (const [source, message] of cases) {
    assert.throws(
      () => compileRegex(source),
      (error) => {
        assert.ok(error instanceof RegexError);
        assert.equal(error.message, `error parsing regexp: ${message}`);
        return true;
      },
    );
  }
});

test("accepts a brace that is no repetition, both kinds of named groups, and repeated names", () => {
  assert.deepEqual([...compileRegex("a{,2}").exec("a{,2}")!], ["a{,2}"]);
  const regex = compileRegex("(?P<n>a)(?<m>b)|(?P<n>c)");
  assert.deepEqual(regex.groupNames, ["", "n", "m", "n"]);
  assert.equal(regex.expand("<$n>", regex.exec("c")!), "<c>");
});

/** Where JavaScript would give another answer: [expression, text, offsets]. Answers are Go's. */
const SEMANTICS: [string, string, number[]][] = [
  ["(?:(a)|b)*", "ab", [0, 2, 0, 1]],
  ["(|a)*", "aa", [0, 0, 0, 0]],
  ["(a*)*", "b", [0, 0, 0, 0]],
  ["(a*)?", "b", [0, 0, 0, 0]],
  ["a|ab", "ab", [0, 1]],
  ["(?i)k", "\u212a", [0, 1]],
  ["(?i)\u03c3", "\u03c2", [0, 1]],
  [".", "\u{1f600}x", [0, 2]],
  ["[^a]b", "\u{1f600}b", [0, 3]],
  ["^.$", "\u{1f600}", [0, 2]],
  ["\\s", "\u00a0\v\t", [2, 3]],
  ["(?m)^b", "a\r\nb", [3, 4]],
  ["(?m)^b", "a\u2028b\nb", [4, 5]],
  ["a.b", "a\rb", [0, 3]],
  ["a$", "a\n", []],
  ["\\pL+", "1\u00e9\u4e16", [1, 3]],
  ["[\u{1f600}-\u{1f602}]+", "x\u{1f600}\u{1f602}\u{1f603}", [1, 5]],
  ["\\Bx", "\u{1f600}x", []],
  ["(?U)a+", "aaa", [0, 1]],
  ["(?s:.)(?-s:.)", "a\n\nb", [2, 4]],
];

test("means what RE2 means by an expression", () => {
  for (const [source, text, expected] of SEMANTICS) {
    const found = compileRegex(source).matchRange(text);
    assert.deepEqual(found === null ? [] : [...found], expected, source);
    assert.equal(compileRegex(source).test(text), expected.length > 0, source);
  }
});

const piece = fc.constantFrom(
  ..."a,b,c,.,[ab],[^a],\\d,\\w,\\S,\\b,^,$,(?i:s),\u00e9,\u{1f600},[^\u00e9],\\pL, ,\\.,(?m:^),(?m:$),\\B".split(","),
);
const expression: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    piece,
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => a + b),
    fc.tuple(tie("node"), tie("node")).map(([a, b]) => `(${a}|${b})`),
    fc.tuple(tie("node")).map(([a]) => `(?s:${a})`),
    fc
      .tuple(tie("node"), fc.constantFrom("*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}"))
      .map(([a, quantifier]) => `(?:${a})${quantifier}`),
  ),
})).node;
const subject = fc.string({
  unit: fc.constantFrom("a", "b", "c", "s", "S", "\u017f", "1", " ", "\n", ".", "\u00e9", "\u{1f600}"),
  maxLength: 12,
});

test("finds what the reference engine finds, in text and in bytes", () => {
  fc.assert(
    fc.property(expression, fc.array(subject, { minLength: 1, maxLength: 4 }), (source, texts) => {
      const regex = compileRegex(source);
      const reference = RE2JS.compile(source);
      for (const text of texts) {
        const matcher = reference.matcher(text);
        const groups = regex.groupNames.map((_, i) => i);
        const expected = matcher.find() ? groups.flatMap((i) => [matcher.start(i), matcher.end(i)]) : null;
        const range = regex.matchRange(text);
        assert.deepEqual(range === null ? null : [...range], expected, JSON.stringify([source, text]));
        const strings =
          expected &&
          groups.map((i) => (expected[2 * i]! < 0 ? undefined : text.slice(expected[2 * i], expected[2 * i + 1])));
        const bytes = new TextEncoder().encode(`<${text}>`);
        assert.deepEqual(spread(regex.exec(text)), strings);
        assert.deepEqual(spread(regex.execBytes(bytes, 1, bytes.length - 1)), strings);
        assert.equal(regex.test(text), expected !== null);
        assert.equal(regex.testBytes(bytes, 1, bytes.length - 1), expected !== null);
      }
    }),
    { numRuns: 2000 },
  );
});

function spread(match: readonly (string | undefined)[] | null) {
  return match === null ? null : [...match];
}

test("any text compiles or raises a RegexError", () => {
  const parts = fc.array(
    fc.oneof(piece, fc.constantFrom(..."(,),[,],{,},|,*,?,\\,(?,(?P<,\\x,{2,[:,-,\\Q".split(","))),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        parts.map((each) => each.join("")),
      ),
      (source) => {
        try {
          compileRegex(source).test("abc");
        } catch (error) {
          assert.ok(error instanceof RegexError, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

const CATASTROPHIC = [
  "(a+)+$",
  "(a*)*b",
  "(a|a)*b",
  "(a|aa)+$",
  "([a-zA-Z]+)*!",
  "(.*)(.*)(.*)(.*)b",
  ".*x.*",
  "a.*b.*c.*d.*e",
  "(a{0,30}){30}b",
  "(a?){100}a{100}b",
  "^(\\w+\\s?)*$",
  "\\d+ms",
  "a+ms",
  "(\\S+) (\\S+) (\\S+)$",
  "(x+x+)+y",
  "(?i:(a+)+b)",
  "a{500,1000}b",
  "(?m)^(a+)+$",
  "(.|\\n)*z",
  "(\u{1f600}+)+\u00e9",
  "(.*?,){25}P",
  "(|a)*b",
  "(.{1,30}){33}b",
];

test("no expression runs away on 100 KB, with and without V8's linear-time engine", () => {
  const length = 100_000;
  const texts = ["a", "a ", "ab", "a\n", "a,", "1", "\u{1f600}a"].map((unit) => unit.repeat(length / unit.length));
  for (const linear of [true, false]) {
    configureRegexEngine({ linear });
    for (const source of CATASTROPHIC) {
      const regex = compileRegex(source);
      for (const text of texts) {
        const ms = processorMs(() => {
          regex.test(text);
          regex.exec(text);
        });
        // Backtracking would take seconds for the tamest and centuries for the others.
        assert.ok(ms < 1500, `${source} took ${ms} ms (${linear ? "with" : "without"})`);
      }
    }
  }
  configureRegexEngine({ linear: true });
});

test("anchored expressions match whole texts, newlines included", () => {
  const regex = compileRegex("a.*|b", { anchored: true });
  assert.equal(regex.source, "a.*|b");
  assert.ok(regex.test("a\nx"));
  assert.ok(!regex.test("xb"));
});

test("fills templates as Go's Expand", () => {
  const regex = compileRegex("(?P<first>a)(b)?");
  const match = regex.exec("a")!;
  const cases: [string, string][] = [
    ["$1", "a"],
    ["${1}x", "ax"],
    ["$1x", ""],
    ["$first-$0", "a-a"],
    ["${first}", "a"],
    ["$$1", "$1"],
    ["$2$9$01", ""],
    ["$ $- ${ ${x", "$ $- ${ ${x"],
    ["$", "$"],
  ];
  for (const [template, expected] of cases) assert.equal(regex.expand(template, match), expected, template);
});

test("replaces all matches as Go does", () => {
  const cases: [string, string, string, string][] = [
    ["a*", "baac", "x", "xbxcx"],
    ["", "\u{1f600}a", "-", "-\u{1f600}-a-"],
    ["(\\w+) (\\w+)", "hello world", "$2 $1", "world hello"],
    ["\\bb", "b bb", "x", "x xb"],
    ["^a", "aaa", "", "aa"],
  ];
  for (const [source, text, template, expected] of cases) {
    assert.equal(compileRegex(source).replaceAll(text, template), expected, source);
  }
});

test("bytes that are not UTF-8 count as one unknown character each", () => {
  const bytes = new Uint8Array([0x22, 0xff, 0x61, 0xfe, 0x22]);
  assert.ok(compileRegex('^"[^"]*"$').testBytes(bytes, 0, 5));
  assert.deepEqual([...compileRegex('"([^"]*)"').execBytes(bytes, 0, 5)!], ['"\ufffda\ufffd"', "\ufffda\ufffd"]);
  assert.ok(compileRegex("^.a.$").testBytes(bytes, 1, 4));
});
