import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { numberLiteralValue, quoteString, stringLiteralValue } from "./literal.ts";

test("escape sequences stand for their characters", () => {
  assert.equal(stringLiteralValue('"plain"'), "plain");
  assert.equal(stringLiteralValue('"\\a\\b\\f\\n\\r\\t\\v\\\\\\""'), '\x07\b\f\n\r\t\v\\"');
  assert.equal(stringLiteralValue('"\\101\\x42\\u00e9\\U0001F984"'), "ABé🦄");
  assert.equal(stringLiteralValue('""'), "");
});

test("byte escapes are joined to UTF-8", () => {
  assert.equal(stringLiteralValue('"\\xc3\\xa9 \\303\\251"'), "é é");
  assert.equal(stringLiteralValue('"\\xff."'), "\ufffd.");
  assert.equal(stringLiteralValue('"\\xef\\xbb\\xbfx"'), "\ufeffx");
});

test("raw strings keep backslashes and lose carriage returns", () => {
  assert.equal(stringLiteralValue("`a\\n\r\nb`"), "a\\n\nb");
});

test("malformed literals never throw", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (raw) => typeof stringLiteralValue(raw) === "string"));
  fc.assert(
    fc.property(fc.string(), (inner) => {
      stringLiteralValue(`"${inner}`);
      numberLiteralValue(inner);
    }),
  );
});

test("integers are exact, with an octal form, up to 64 bits", () => {
  const cases: readonly (readonly [string, number | bigint])[] = [
    ["0", 0],
    ["42", 42],
    ["010", 8],
    ["08", 8],
    ["0777", 511],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
    ["9007199254740992", 9007199254740992n],
    ["9223372036854775808", 9223372036854775808n],
    ["18446744073709551615", 18446744073709551615n],
    ["18446744073709551616", 2 ** 64],
    ["01777777777777777777777", 18446744073709551615n],
  ];
  for (const [raw, value] of cases) assert.equal(numberLiteralValue(raw), value, raw);
  assert.equal(numberLiteralValue("9".repeat(1_000_000)), Number.POSITIVE_INFINITY);
});

test("floats", () => {
  assert.equal(numberLiteralValue("1."), 1);
  assert.equal(numberLiteralValue(".5"), 0.5);
  assert.equal(numberLiteralValue("2.5E-3"), 0.0025);
  assert.equal(numberLiteralValue("1e400"), Number.POSITIVE_INFINITY);
});

test("quoting escapes what cannot be seen", () => {
  assert.equal(quoteString('a"b\\c\n\t\x00\x7f'), '"a\\"b\\\\c\\n\\t\\x00\\x7f"');
  assert.equal(quoteString("é 名\u00a0\ufeff\u{e0001}"), '"é 名\\u00a0\\ufeff\\U000e0001"');
  assert.equal(quoteString("\ud800"), '"\\ufffd"');
});

test("a quoted text is that text again", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => stringLiteralValue(quoteString(text)) === text));
});
