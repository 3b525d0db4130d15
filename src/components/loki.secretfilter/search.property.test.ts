import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileRegex } from "#base/regex";
import { parseRegex } from "#base/regex/parser";
import { simplify } from "#base/regex/simplify";
import { sliceable } from "#pipeline/log-batch";
import { findAnchors } from "./anchors.ts";
import { Backtracker } from "./backtracker.ts";
import { DEFAULT_CONFIG } from "./default-rules.gen.ts";
import { resolveConfig } from "./gitleaks-config.ts";
import { LineText } from "./line-text.ts";
import { findOccurrences } from "./occurrences.ts";
import { RuleSearch } from "./rule-search.ts";
import { TailCheck } from "./tail-check.ts";
import { WordSearch } from "./word-search.ts";

/** Expressions with what makes matching hard, over few characters, so that random texts match them. */
const EXPRESSIONS = [
  "ab{0,3}?(?:a|ba)(a{1,4}|b[ab]{2,})(?:[ ;]|$)",
  "(?i)[\\w.-]{0,5}?(?:key|ab)(?:[ \\t\\w.-]{0,3})(?:=|:)(a{2,5})",
  "\\b(ab|ba)+\\B",
  "(?m)^a*(b|é)?$",
  "[^a]b(?s:.){0,3}?a",
  "(a|ab)(c|bcd)?(d*)",
];

const text = fc
  .array(fc.constantFrom("a", "b", "A", "B", "=", ":", " ", ";", "key", "\n", "é", "😀", "c", "d", ".", "K"), {
    maxLength: 24,
  })
  .map((parts) => parts.join(""));

test("property: the backtracker finds what Regex finds, groups included", () => {
  for (const source of EXPRESSIONS) {
    const regex = compileRegex(source);
    const backtracker = new Backtracker(simplify(parseRegex(source).root), regex.groupNames.length);
    fc.assert(
      fc.property(text, (each) => {
        const expected = regex.matchRange(each, 0);
        assert.deepEqual(backtracker.exec(each, 0, each.length), expected);
        if (expected !== null && expected[0]! > 0) assert.equal(backtracker.exec(each, 0, expected[0]! - 1), null);
      }),
    );
  }
});

test("property: looking around anchors finds what looking everywhere finds", () => {
  const rules = EXPRESSIONS.map((regex, i) => ({ id: `rule-${i}`, regex }));
  for (const rule of resolveConfig({ rules }, { defaults: DEFAULT_CONFIG, load: () => undefined }).rules.values()) {
    const search = new RuleSearch(rule);
    if (search.anchors === undefined) continue;
    const words = search.anchors.flatMap(({ literals }, anchor) => literals.map((literal) => ({ literal, anchor })));
    fc.assert(
      fc.property(text, (each) => {
        if (/[K]/.test(each)) return; // lines with letters that fold are not searched for words
        const data = sliceable(Buffer.from(each));
        const line = new LineText(data, 0, data.length);
        const everywhere = [...search.matches(line, data, data.length, undefined)];
        const lower = each.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
        let first = -1;
        for (const { literal, anchor } of words) {
          for (let at = lower.indexOf(literal); at >= 0; at = lower.indexOf(literal, at + 1)) {
            const byte = Buffer.byteLength(lower.slice(0, at));
            if ((first < 0 || byte < first) && search.check(anchor, data, byte, data.length)) first = byte;
          }
        }
        const around = first < 0 ? [] : [...search.matches(line, data, data.length, first)];
        assert.deepEqual(around, everywhere);
      }),
    );
  }
});

test("a check of bytes never says no to a match", () => {
  for (const source of EXPRESSIONS) {
    const root = simplify(parseRegex(source).root);
    const check = new TailCheck([root]);
    const regex = compileRegex(`^(?:${source})`);
    fc.assert(
      fc.property(text, (each) => {
        const bytes = Buffer.from(each);
        if (regex.test(each)) assert.ok(check.test(bytes, 0, bytes.length));
      }),
    );
  }
});

test("property: words are found wherever they are", () => {
  const words = ["ab", "key", "aab=", "b.b", "\u212a"];
  const search = new WordSearch(words.map((each) => Buffer.from(each)));
  fc.assert(
    fc.property(text, (each) => {
      const lower = each.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
      assert.equal(
        search.test(Buffer.from(each)),
        words.some((word) => lower.includes(word)),
      );
    }),
  );
  assert.deepEqual(findAnchors(parseRegex("x*[0-9]{3}").root), undefined);
});

test("property: occurrences of many texts are those of each", () => {
  const texts = fc.uniqueArray(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 9 }), {
    minLength: 1,
    maxLength: 20,
  });
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 60 }), texts, (haystack, all) => {
      const found: string[] = [];
      findOccurrences(haystack, all, (i, at) => found.push(`${i} ${at}`));
      const expected: string[] = [];
      for (const [i, each] of all.entries()) {
        for (let at = haystack.indexOf(each); at >= 0; at = haystack.indexOf(each, at + each.length))
          expected.push(`${i} ${at}`);
      }
      assert.deepEqual(found.sort(), expected.sort());
    }),
  );
});

test("bytes that are no UTF-8 are one character each, and lead back to their place", () => {
  const data = sliceable(Buffer.from([0x61, 0xff, 0xc3, 0xa9, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0x98, 0x80, 0xc3]));
  const line = new LineText(data, 0, data.length);
  assert.equal(line.text, "a\udcffé\udced\udca0\udc80😀\udcc3");
  const places = Array.from({ length: line.text.length + 1 }, (_, unit) => line.byteAt(unit));
  assert.deepEqual(places, [0, 1, 2, 4, 5, 6, 7, 7, 11, 12]);
  assert.equal(line.unitAt(7), 6);
});
