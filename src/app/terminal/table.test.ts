import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { displayWidth } from "#lang/display";
import { type Column, cut, layOutTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { title: "NAME", align: "left" },
  { title: "N", align: "right" },
  { title: "CAUSE", align: "left" },
];
const row = (name: string, n: string, cause: string) => [{ text: name }, { text: n }, { text: cause }];

test("columns are as wide as their cells, and nothing is cut where there is no terminal", () => {
  const cause = "x".repeat(200);
  assert.deepEqual(
    layOutTable(COLUMNS, [row("a", "10", "because"), row("long", "7", cause)], { color: false, columns: undefined }),
    ["NAME   N  CAUSE", "a     10  because", `long   7  ${cause}`],
  );
});

test("in a terminal the last column gives way, then the first one, and the end of names is kept", () => {
  const name = "module.a/loki.process.with_a_long_name";
  const lines = layOutTable(COLUMNS, [row(name, "1", "a cause that does not fit")], { color: false, columns: 64 });
  assert.equal(lines[1], "module.a/loki.process.with_a_long_name  1  a cause that does no…");
  const narrow = layOutTable(COLUMNS, [row(name, "1", "a cause that does not fit")], { color: false, columns: 50 });
  assert.match(narrow[1]!, /^….*with_a_long_name {2}1 {2}a cause that does n…$/);
});

test("colours change nothing about the places", () => {
  const rows = [
    [{ text: "a", color: "red" as const }, { text: "1" }, { text: "c", color: "quiet" as const }],
    row("bb", "22", "d"),
  ];
  const colored = layOutTable(COLUMNS, rows, { color: true, columns: 80 });
  assert.match(colored[1]!, /\x1b\[31ma\x1b\[0m/);
  assert.deepEqual(colored.map(stripVTControlCharacters), layOutTable(COLUMNS, rows, { color: false, columns: 80 }));
});

test("no cell makes a terminal do something, and each row is one line that fits", () => {
  const text = fc.string({ unit: "binary", maxLength: 60 });
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          text,
          text.map((each) => each.slice(0, 5)),
          text,
        ),
        { maxLength: 5 },
      ),
      fc.integer({ min: 60, max: 200 }),
      (rows, columns) => {
        const lines = layOutTable(
          COLUMNS,
          rows.map(([a, b, c]) => row(a, b, c)),
          { color: false, columns },
        );
        assert.equal(lines.length, rows.length + 1);
        for (const line of lines) {
          assert.doesNotMatch(line, /\p{Cc}/u);
          assert.ok(displayWidth(line) <= columns, line);
        }
      },
    ),
  );
});

test("cut keeps what fits", () => {
  assert.equal(cut("abc", 3), "abc");
  assert.equal(cut("abcd", 3), "ab…");
  assert.equal(cut("日本語", 4), "日…");
});
