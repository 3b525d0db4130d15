import assert from "node:assert/strict";
import { test } from "node:test";
import { requestFromJson } from "#formats/otlp/json";
import { runStatements } from "./run.testing.ts";

/** Statements that would need more time or memory than there is, with what they say instead. */
const big = "a".repeat(100_000);
const attributes = {
  big: { stringValue: big },
  list: { arrayValue: { values: Array.from({ length: 60 }, () => ({ intValue: "1" })) } },
  deep: { stringValue: "[".repeat(50_000) + "]".repeat(50_000) },
  xml: { stringValue: "<a>".repeat(20_000) + "</a>".repeat(20_000) },
  wide: { stringValue: `<a>${"<b>x</b>".repeat(3000)}</a>` },
};
const INPUT = requestFromJson(
  "traces",
  JSON.stringify({
    resourceSpans: [
      {
        scopeSpans: [{ spans: [{ attributes: Object.entries(attributes).map(([key, value]) => ({ key, value })) }] }],
      },
    ],
  }),
);

const REFUSED: readonly (readonly [value: string, message: RegExp])[] = [
  ['Reduce(attributes["list"], "ab", (all, k, v) => Concat([all, all], ""))', /more than 16777216 characters/],
  ['Reduce(attributes["list"], "ab", (all, k, v) => Format("%s%s", [all, all]))', /more than 16777216 characters/],
  ['Reduce(attributes["list"], [1], (all, k, v) => [all, all])', /more than 100000 others/],
  ['Reduce(attributes["list"], {}, (all, k, v) => {"x": all, "y": all})', /more than 100000 others/],
  ['MapEach(attributes["list"], (a, b) => Split(attributes["big"], ""))', /more than 100000 others/],
  [
    'MapEach(attributes["list"], (a, b) => MapEach(attributes["list"], (c, d) => attributes["big"]))',
    /more than 16777216 characters/,
  ],
  [
    'All(Split(attributes["big"], ""), (a, b) => not Any(attributes["list"], (c, d) => false))',
    /lambdas are called more than 1000000 times/,
  ],
  ['ParseJSON(attributes["deep"])', /nested more than/],
  ['ParseXML(attributes["xml"])', /nest more than/],
  ['ParseSimplifiedXML(attributes["xml"])', /nest more than/],
  ['GetXML(attributes["xml"], "//a")', /nest more than/],
  ['GetXML(attributes["wide"], "//b[count(//b) > 0]")', /XPath takes more than/],
  ['GetXML(attributes["wide"], "//b[. = //b[. != \'x\']]")', /XPath takes more than/],
  ['InsertXML(attributes["wide"], "//b", attributes["wide"])', /more than 16777216 characters/],
];

test("what would grow without end is refused", () => {
  for (const [value, message] of REFUSED) {
    const outcome = runStatements("traces", "span", [`set(attributes["x"], ${value})`], INPUT);
    assert.ok("failed" in outcome, value);
    assert.match(outcome.failed, message, value);
    assert.ok(outcome.failed.length < 2000, value);
  }
  const replaced = runStatements(
    "traces",
    "span",
    ['replace_pattern(attributes["big"], "a", attributes["big"])'],
    INPUT,
  );
  assert.ok("failed" in replaced && /more than 16777216 characters/.test(replaced.failed));
});

test("patterns that try all ways elsewhere take linear time", () => {
  for (const statement of [
    'set(attributes["x"], IsMatch(attributes["big"], "(a*)*b"))',
    'set(attributes["x"], ExtractPatterns(attributes["big"], "(?P<a>(a|a)*b)"))',
    'set(attributes["x"], ExtractGrokPatterns(attributes["big"], "(?P<a>(a*)*b)"))',
    'replace_match(attributes["big"], "*a*a*a*a*a*a*b", "x")',
    'set(attributes["x"], RemoveXML(attributes["wide"], "//b[matches(., \'(x+x+)+y\')]"))',
  ]) {
    assert.ok("bytes" in runStatements("traces", "span", [statement], INPUT), statement);
  }
});
