import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FilterError, type FilterTerm, parseFilter, searchable } from "./filter.ts";

const ITEM = searchable(
  ["app", "shop", "level", "Error", "path", "/a b", "empty", ""],
  'POST /api "quoted" took 12ms: Zeitüberschreitung',
);
const holds = (filter: string) => parseFilter(filter).matches(ITEM);

test("words are found in the text and in labels, whatever their case, and must all be there", () => {
  for (const filter of [
    "took",
    "TOOK",
    "shop",
    "took 12MS",
    '"took 12ms"',
    "zeitÜBER",
    "-missing",
    '"\\"quoted\\""',
    "",
  ])
    assert.ok(holds(filter), filter);
  for (const filter of ["missing", "took missing", '"12ms took"', "-took", "app"]) assert.ok(!holds(filter), filter);
});

test("characters of regular expressions mean themselves in words", () => {
  assert.ok(!holds("t.ok"));
  assert.ok(parseFilter("[a-z]+$(x)").matches(searchable([], "see [a-z]+$(x) there")));
});

test("fields are compared whole, with an expression, or with what is not there", () => {
  for (const filter of [
    "app=shop",
    'path="/a b"',
    "app!=other",
    "none!=x",
    "none=",
    "empty=",
    "app=~^s.*p$",
    "app=~ho",
    "app!~^ho",
    'path=~"a b"',
    "-app=other",
    "-app!=shop",
    "none=~^$",
    "level=error",
    "level=ERROR",
  ])
    assert.ok(holds(filter), filter);
  for (const filter of ["app=sho", "app=Shop", "app!=shop", "app=", "app=~^x", "none=~x", "-app=shop", "level!=error"])
    assert.ok(!holds(filter), filter);
});

test("a quote that is left open lasts until the end", () => {
  assert.ok(holds('"took 12'));
  assert.ok(holds('path="/a b'));
  assert.ok(parseFilter(' "" ').empty);
});

test("a regular expression that is none is an error that says so", () => {
  assert.throws(() => parseFilter("app=~("), {
    name: FilterError.name,
    message: "the regular expression for app cannot be used: error parsing regexp: missing closing ): `(`",
  });
});

test("written terms are read back, with any characters in them", () => {
  const name = fc.stringMatching(/^[a-zA-Z_][\w./:~-]*$/).filter((each) => !each.endsWith("~"));
  const value = fc.string({ unit: "binary" }).filter((each) => !/\\$|\\"/.test(each));
  const term = fc.oneof(
    fc.record({ kind: fc.constant("word"), negated: fc.boolean(), word: value.filter((each) => each !== "") }),
    fc.record({
      kind: fc.constant("equal"),
      negated: fc.boolean(),
      name: name.filter((each) => each !== "level"),
      value,
    }),
  );
  fc.assert(
    fc.property(fc.array(term), (terms) => {
      const quoted = (text: string) => `"${text.replaceAll('"', '\\"')}"`;
      const text = terms.map((each) =>
        "word" in each
          ? `${each.negated ? "-" : ""}${quoted(each.word)}`
          : `${each.name}${each.negated ? "!=" : "="}${quoted(each.value)}`,
      );
      const plain = (each: FilterTerm) => {
        if (each.kind === "word") return { kind: each.kind, negated: each.negated, word: each.word };
        return { kind: each.kind, negated: each.negated, name: each.name, value: "value" in each ? each.value : "" };
      };
      assert.deepEqual(
        parseFilter(text.join("  ")).terms.map(plain),
        terms.map((each) => ({ ...each })),
      );
    }),
  );
});

test("a word is found in what contains it", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string(), (text, around) => {
      const word = text.replace(/[\s"=!-]/g, "");
      if (word !== "") assert.ok(parseFilter(word).matches(searchable([], `${around}${word}${around}`)));
      if (word !== "") assert.ok(parseFilter(word).matches(searchable(["a", `${around}${word}`], "")));
    }),
  );
});

test("any text is a filter or a FilterError, and is done with quickly", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "=", "~", "!", '"', "\\", "-", " ", "("), maxLength: 40 }),
      (text) => {
        try {
          parseFilter(text).matches(ITEM);
        } catch (error) {
          assert.ok(error instanceof FilterError, String(error));
        }
      },
    ),
  );
});
