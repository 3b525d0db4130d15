import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MetricFamily } from "#base/metrics";
import { writeExposition } from "./exposition/writer.ts";
import { parseTextFile, parseTextPage } from "./text-file.ts";

const name = fc.stringMatching(/^[a-zA-Z_:][a-zA-Z0-9_:]{0,10}$/).filter((text) => !/_(bucket|sum|count)$/.test(text));
const label = fc.tuple(
  fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,6}$/),
  fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !/[\r\u2028\u2029]/.test(text)),
);
const family = fc.record({
  name,
  help: fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/),
  type: fc.constantFrom("counter", "gauge", "untyped"),
  samples: fc.array(
    fc.record({
      labels: fc.uniqueArray(label, { selector: ([key]) => key, maxLength: 4 }).map((pairs) => pairs.flat()),
      value: fc.double(),
    }),
    { minLength: 1, maxLength: 4 },
  ),
});

test("what the writer writes is read back", () => {
  fc.assert(
    fc.property(fc.uniqueArray(family, { selector: (each) => each.name, maxLength: 4 }), (families) => {
      const named = families.map(
        (each) =>
          ({ ...each, samples: each.samples.map((sample) => ({ name: each.name, ...sample })) }) as MetricFamily,
      );
      assert.deepEqual(parseTextFile(writeExposition(named).toString()), named);
    }),
  );
});

test("any text is either read or refused with its line", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom(...'ab{}=",\\ \n#1e.+') })),
      (text) => {
        try {
          parseTextFile(text);
        } catch (error) {
          assert.match((error as Error).message, /^line \d+: /);
        }
      },
    ),
  );
});

test("histograms and summaries stay together", () => {
  const text =
    '# TYPE h histogram\nh_bucket{le="1"} 1\nh_bucket{le="+Inf"} 2\nh_sum 3\nh_count 2\nh_other 1\n# TYPE s summary\ns{quantile="0.5"} 1\ns_sum 1\ns_bucket 9\n';
  assert.deepEqual(
    parseTextFile(text).map((each) => [each.name, each.type, each.samples.length]),
    [
      ["h", "histogram", 4],
      ["h_other", "untyped", 1],
      ["s", "summary", 2],
      ["s_bucket", "untyped", 1],
    ],
  );
});

test("what is wrong is said", () => {
  const cases: [string, RegExp][] = [
    ["x 1 5", /line 1: timestamps are not supported/],
    ["\nx abc", /line 2: expected a number/],
    ["x", /expected a number/],
    ['x{a="1",a="2"} 1', /the label a is there twice/],
    ["x{a=1} 1", /expected a label/],
    ["x 1\n# TYPE x gauge", /line 2: the TYPE line stands behind samples/],
    ["# TYPE x nonsense", /unknown type/],
    ["# HELP x a\n# HELP x b", /a second HELP line/],
    ["9x 1", /expected the name of a metric/],
  ];
  for (const [text, message] of cases) assert.throws(() => parseTextFile(text), message, text);
  assert.deepEqual(parseTextFile("# free comment\n\nx{} +Inf\n"), [
    { name: "x", type: "untyped", help: undefined, samples: [{ name: "x", labels: [], value: Infinity }] },
  ]);
});

test("a page may have timestamps, a file of a cron job may not", () => {
  const text = "a 1 1700000000000\nb 2\n";
  assert.deepEqual(
    parseTextPage(text).map(({ samples }) => samples[0]!.timestamp),
    [1_700_000_000_000, undefined],
  );
  assert.throws(() => parseTextFile(text), /^Error: line 1: timestamps are not supported/);
  assert.throws(() => parseTextPage("a 1 1.5"), /^Error: line 1: expected whole milliseconds as the timestamp/);
  assert.throws(() => parseTextPage("a 1 2 3"), /^Error: line 1: unexpected text/);
  assert.equal(
    writeExposition(parseTextPage(text).map((each) => ({ ...each, help: each.help ?? "" }))).toString(),
    "# TYPE a untyped\na 1 1700000000000\n# TYPE b untyped\nb 2\n",
  );
});
