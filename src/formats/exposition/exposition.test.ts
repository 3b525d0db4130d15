import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { ExpositionParser, type ExpositionSyntax } from "./exposition.ts";
import type { LabelBytes } from "./labels.ts";

interface Sample {
  readonly series: string;
  readonly value: number;
  readonly timestamp: number | undefined;
}

/** Reads pages and turns refs back into label sets. */
class Reader {
  readonly parser = new ExpositionParser();
  readonly series: string[] = [""];
  resolved = 0;

  read(page: string | Buffer, syntax: ExpositionSyntax = "text"): Sample[] {
    const text = Buffer.from(page);
    const bytes = text.at(-1) === 10 ? text : Buffer.concat([text, Buffer.from("\n")]);
    this.parser.parse(bytes, bytes.length, syntax, this.#resolve);
    return Array.from({ length: this.parser.count }, (_, i) => ({
      series: this.series[this.parser.refOf(i)]!,
      value: this.parser.columns.value[i]!,
      timestamp:
        this.parser.hasTimestamps && !Number.isNaN(this.parser.columns.timestamp[i])
          ? this.parser.columns.timestamp[i]!
          : undefined,
    }));
  }

  /** Commits; returns the series that became stale. */
  commit(): string[] {
    const stale: number[] = [];
    this.parser.commit(stale, []);
    return stale.map((ref) => this.series[ref]!).sort();
  }

  readonly #resolve = (labels: LabelBytes): number => {
    this.resolved += 1;
    labels.sort();
    const pairs = Array.from({ length: labels.count }, (_, i): [string, string] => [labels.name(i), labels.value(i)]);
    return this.series.push(Labels.from(pairs).toString()) - 1;
  };
}

function read(page: string | Buffer, syntax: ExpositionSyntax = "text"): Sample[] {
  return new Reader().read(page, syntax);
}

const values = (samples: readonly Sample[]) => samples.map((each) => [each.series, each.value]);

test("reads the text format", () => {
  const page = `# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\\\DIR\\\\FILE.TXT",error="Cannot find file:\\n\\"FILE.TXT\\""} 1.458255915e9
metric_without_timestamp_and_labels 12.47
	weird { a = "}" , b="c" , }	-Inf
something_weird{problem="division by zero"} +Inf -3982045
`;
  assert.throws(() => read(page), /expected timestamp or new record, got "-" \("INVALID"\)/);
  assert.deepEqual(read(page.replace(" -3982045", "")), [
    { series: '{__name__="http_requests_total", code="200", method="post"}', value: 1027, timestamp: 1395066363000 },
    { series: '{__name__="http_requests_total", code="400", method="post"}', value: 3, timestamp: 1395066363000 },
    {
      series:
        '{__name__="msdos_file_access_time_seconds", error="Cannot find file:\\n\\"FILE.TXT\\"", path="C:\\\\DIR\\\\FILE.TXT"}',
      value: 1458255915,
      timestamp: undefined,
    },
    { series: '{__name__="metric_without_timestamp_and_labels"}', value: 12.47, timestamp: undefined },
    { series: '{__name__="weird", a="}", b="c"}', value: -Infinity, timestamp: undefined },
    { series: '{__name__="something_weird", problem="division by zero"}', value: Infinity, timestamp: undefined },
  ]);
});

test("reads quoted names", () => {
  const page = '{"http.requests",path="/",  "a b"="c"} 1\n{l="1","name\\"d"} 2\n';
  assert.deepEqual(values(read(page)), [
    ['{__name__="http.requests", a b="c", path="/"}', 1],
    ['{__name__="name\\"d", l="1"}', 2],
  ]);
  assert.throws(() => read('{a="b"} 1'), /metric name not set while parsing: "\{a=\\"b\\"\}"/);
  assert.throws(() => read('name{"other"} 1'), /metric name already set/);
});

test("reads numbers as Go does", () => {
  const cases: [string, number | undefined][] = [
    ["0", 0],
    ["-0", -0],
    ["1.", 1],
    [".5", 0.5],
    ["+3", 3],
    ["1e3", 1000],
    ["1E-7", 1e-7],
    ["123456789012345678", 123456789012345678],
    ["0.1234567890123456789", 0.1234567890123456789],
    ["4.9e-324", 5e-324],
    ["1.7976931348623157e308", Number.MAX_VALUE],
    ["1e400", undefined],
    ["nan", NaN],
    ["NaN", NaN],
    ["+nan", undefined],
    ["-Inf", -Infinity],
    ["infinity", Infinity],
    ["0x10", undefined],
    ["1_000", undefined],
    ["1e", undefined],
    ["e5", undefined],
    [".", undefined],
    ["-", undefined],
    ["1.2.3", undefined],
    ["true", undefined],
    ["1,5", undefined],
  ];
  for (const [text, expected] of cases) {
    if (expected === undefined) {
      assert.throws(
        () => read(`a ${text}\n`),
        /(?:strconv.ParseFloat: parsing ".*": (?:invalid syntax|value out of range)|unsupported character in float) while parsing: "a /,
        text,
      );
    } else assert.ok(Object.is(read(`a ${text}\n`)[0]!.value, expected), text);
  }
});

test("numbers survive their way through text, plain and predicted", () => {
  fc.assert(
    fc.property(fc.array(fc.double(), { minLength: 1, maxLength: 20 }), (numbers) => {
      const spell = (n: number) => (n === Infinity ? "+Inf" : n === -Infinity ? "-Inf" : String(n));
      const page = numbers.map((n, i) => `m${i} ${spell(n)}\n`).join("");
      const reader = new Reader();
      for (let round = 0; round < 2; round++) {
        const samples = reader.read(page);
        for (const [i, n] of numbers.entries()) {
          const expected = Object.is(n, -0) ? 0 : n; // String(-0) is "0"
          assert.ok(Object.is(samples[i]!.value, expected), `${n}`);
        }
        reader.commit();
      }
    }),
  );
});

test("words errors as Prometheus does", () => {
  const cases: [string, string][] = [
    ["a 1e400", 'strconv.ParseFloat: parsing "1e400": value out of range while parsing: "a 1e400"'],
    ["a 1p5", 'unsupported character in float while parsing: "a 1p5"'],
    ["a", 'expected value after metric, got "\\n" ("INVALID") while parsing: "a\\n"'],
    ["a{b=", 'expected label value, got "\\n" ("INVALID") while parsing: "a{b=\\n"'],
    ["a{b", 'expected equal, got "\\n" ("INVALID") while parsing: "a{b\\n"'],
    ["a{,} 1", 'expected label name, got "," ("COMMA") while parsing: "a{,"'],
    ['a{b="c"', 'expected label name, got "\\n" ("INVALID") while parsing: "a{b=\\"c\\"\\n"'],
    ["a 1 1z", 'expected next entry after timestamp, got "z" ("INVALID") while parsing: "a 1 1z"'],
    ["8a 1", 'expected a valid start token, got "8" ("INVALID") while parsing: "8"'],
    ["# TYPE a nonsense", 'invalid metric type "nonsense"'],
    ["a{b='c'} 1", `expected label value, got "'" ("INVALID") while parsing: "a{b='"`],
  ];
  for (const [page, message] of cases) assert.throws(() => read(page), { name: "ExpositionError", message });
  const invalid = Buffer.concat([Buffer.from('a{b="'), Buffer.from([0xff]), Buffer.from('"} 1')]);
  assert.throws(() => read(invalid), /invalid UTF-8 label value/);
});

test("reads OpenMetrics with exemplars, timestamps and units", () => {
  const page = `# HELP foo Counter with and without labels to certify CT is parsed for both cases
# TYPE foo counter
foo_total 17.0 1520879607.789 # {id="counter-test"} 5
foo_total{a="b"} 17.0 1520879607.789 # {id="counter-test"} 5 1520872607.123
foo_created{a="b"} 1520872607.123
# TYPE rpc_seconds histogram
# UNIT rpc_seconds seconds
rpc_seconds_bucket{le="1"} 1
rpc_seconds_bucket{le="+Inf"} 2 # {} 7
# EOF
`;
  const reader = new Reader();
  assert.deepEqual(reader.read(page, "openmetrics"), [
    { series: '{__name__="foo_total"}', value: 17, timestamp: 1520879607789 },
    { series: '{__name__="foo_total", a="b"}', value: 17, timestamp: 1520879607789 },
    { series: '{__name__="foo_created", a="b"}', value: 1520872607.123, timestamp: undefined },
    { series: '{__name__="rpc_seconds_bucket", le="1.0"}', value: 1, timestamp: undefined },
    { series: '{__name__="rpc_seconds_bucket", le="+Inf"}', value: 2, timestamp: undefined },
  ]);
  const { exemplars } = reader.parser;
  assert.deepEqual(
    exemplars.map((each) => [each.sample, each.labels?.toString(), each.value, each.timestamp]),
    [
      [0, '{id="counter-test"}', 5, NaN],
      [1, '{id="counter-test"}', 5, 1520872607123],
      [4, "{}", 7, NaN],
    ],
  );
  assert.deepEqual(reader.parser.metadata.get("rpc_seconds"), {
    family: "rpc_seconds",
    type: "histogram",
    help: "",
    unit: "seconds",
  });
  assert.equal(reader.parser.metadata.takeChanged().length, 2);
  reader.commit();
  reader.read(page, "openmetrics");
  assert.equal(reader.parser.metadata.takeChanged().length, 0);
});

test("refuses what OpenMetrics forbids", () => {
  const cases: [string, RegExp][] = [
    ["a 1\n", /data does not end with # EOF/],
    ["", /expected a valid start token|data does not end with # EOF/],
    ["\n# EOF", /expected a valid start token/],
    ["a  1\n# EOF", /expected value after metric/],
    ["a\t1\n# EOF", /expected value after metric/],
    ["a 1\n# EOF\na 2\n", /unexpected data after # EOF/],
    ["# UNIT a_seconds meters\n# EOF", /unit "meters" not a suffix of metric "a_seconds"/],
    ["# TYPE a untyped\n# EOF", /invalid metric type "untyped"/],
    ["a 1 NaN\n# EOF", /invalid timestamp NaN/],
    ['a{b="c" d="e"} 1\n# EOF', /expected label name|expected comma or brace close/],
    ["a 1 # 1\n# EOF", /expected timestamp or new record/],
  ];
  for (const [page, message] of cases) assert.throws(() => read(page, "openmetrics"), message, page);
  assert.equal(read("a 1\n# EOF", "openmetrics").length, 1);
});

test("knows an unchanged page again, and finds its way after an inserted and a removed line", () => {
  const reader = new Reader();
  const line = (name: string, value: number) => `${name}{a="x"} ${value}\n`;
  const page = (names: string[], value: number) => `# TYPE a gauge\n${names.map((each) => line(each, value)).join("")}`;
  const names = Array.from({ length: 100 }, (_, i) => `m${i}`);
  reader.read(page(names, 1));
  assert.deepEqual(reader.commit(), []);
  assert.equal(reader.resolved, 100);
  assert.deepEqual(
    reader.read(page(names, 2)).map((each) => each.value),
    names.map(() => 2),
  );
  assert.deepEqual(reader.commit(), []);
  const changed = [...names.slice(0, 50), "inserted", ...names.slice(51).reverse()];
  assert.deepEqual(
    values(reader.read(page(changed, 3))),
    changed.map((name) => [`{__name__="${name}", a="x"}`, 3]),
  );
  assert.equal(reader.resolved, 101);
  assert.deepEqual(reader.commit(), ['{__name__="m50", a="x"}']);
});

test("a series that is the beginning of another is not taken for it", () => {
  const reader = new Reader();
  reader.read("foo 1\nbar 1\n");
  reader.commit();
  assert.deepEqual(values(reader.read('foo{a="b"} 2\nfoo 3\nbarn 4\n')), [
    ['{__name__="foo", a="b"}', 2],
    ['{__name__="foo"}', 3],
    ['{__name__="barn"}', 4],
  ]);
});

test("finds repeated series and counts beyond the limit without resolving", () => {
  const reader = new Reader();
  reader.read("a 1\nb 1\na 2\na 3 1000\n");
  assert.deepEqual(reader.parser.duplicates, [2]);
  reader.commit();
  let resolved = 0;
  const parser = new ExpositionParser();
  const page = Buffer.from("a 1\nb 2\nc 3\nd 4\n");
  parser.parse(page, page.length, "text", () => ++resolved, 2);
  assert.equal(parser.count, 4);
  assert.equal(resolved, 2);
  const forgotten: number[] = [];
  parser.abandon([], forgotten);
  assert.deepEqual(forgotten, [1, 2]);
  assert.equal(parser.cache.live, 0);
});

test("a page that fails makes everything emitted stale, and nothing else", () => {
  const reader = new Reader();
  reader.read("a 1\nb 1\n");
  reader.commit();
  assert.throws(() => reader.read("b 2\nc 3\nd\n"));
  const stale: number[] = [];
  const forgotten: number[] = [];
  reader.parser.abandon(stale, forgotten);
  assert.deepEqual(
    stale.map((ref) => reader.series[ref]),
    ['{__name__="a"}', '{__name__="b"}'],
  );
  assert.deepEqual(
    forgotten.map((ref) => reader.series[ref]),
    ['{__name__="c"}', '{__name__="d"}'],
  );
  reader.read("a 4\n");
  assert.deepEqual(reader.parser.added, []);
  assert.deepEqual(reader.commit(), []);
});

test("any page, changed in any way, reads as it would without a memory", () => {
  const name = fc.constantFrom("a", "b", "ab", "a_total", "abc");
  const labels = fc.constantFrom("", '{x="1"}', '{x="2"}', '{x="}"}', '{x="\\"",y="z"}');
  const line = fc.oneof(
    fc.tuple(name, labels, fc.integer()).map(([n, l, v]) => `${n}${l} ${v}`),
    fc.constantFrom("", "# TYPE a counter", "# HELP a text", "# a comment", "# TYPE b histogram", "   "),
  );
  fc.assert(
    fc.property(fc.array(fc.array(line, { maxLength: 12 }), { maxLength: 6 }), (pages) => {
      const reader = new Reader();
      for (const lines of pages) {
        const page = `${lines.join("\n")}\n`;
        assert.deepEqual(reader.read(page), read(page));
        const fresh = new Reader();
        fresh.read(page);
        assert.deepEqual(reader.parser.duplicates, fresh.parser.duplicates);
        reader.commit();
        assert.equal(reader.parser.cache.live, (fresh.commit(), fresh.parser.cache.live));
      }
    }),
    { numRuns: 500 },
  );
});

test("no bytes make the parser fail in another way than with its error", () => {
  const bits = fc.constantFrom(
    "a",
    "{",
    "}",
    '"',
    "\\",
    "\n",
    " ",
    "#",
    "=",
    ",",
    "1",
    "# TYPE ",
    "HELP",
    "é",
    "\0",
    "\t",
  );
  fc.assert(
    fc.property(
      fc.array(bits, { maxLength: 40 }),
      fc.constantFrom("text" as const, "openmetrics" as const),
      (parts, syntax) => {
        try {
          read(parts.join(""), syntax);
        } catch (error) {
          assert.equal((error as Error).name, "ExpositionError", String((error as Error).stack));
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test("the memory of the cache follows the page", () => {
  const reader = new Reader();
  const page = (from: number, to: number) =>
    Array.from(
      { length: to - from },
      (_, i) => `metric{number="${from + i}",more="some more text to remember"} 1\n`,
    ).join("");
  reader.read(page(0, 20_000));
  reader.commit();
  const large = reader.parser.cache.memoryBytes;
  for (let round = 1; round < 20; round++) {
    reader.read(page(round * 100, 20_000 + round * 100));
    assert.equal(reader.commit().length, 100);
  }
  assert.ok(reader.parser.cache.memoryBytes < large * 1.6, `${reader.parser.cache.memoryBytes} of ${large}`);
  reader.read(page(0, 10));
  reader.commit();
  assert.ok(reader.parser.cache.memoryBytes < large / 20);
});

test("a page in any order, with all that may follow a value, has the samples of the page that it was", () => {
  const line = fc.constantFrom(
    'plain{a="b"} 1',
    "bare 2",
    'brace_in_value{a="x} 3",b=" "} 4',
    'spaces{a="b c d"} 5',
    'timestamp{a="1"} 6 1395066363000',
    'exemplar_total{a="1"} 7 # {trace="x y"} 1',
    'exemplar_total{a="2"} 8 # {trace="}"} 1 1.5',
    'number{a="1"} -1.5e-300',
    'number{a="2"} NaN',
    'two{a="1"} 9',
    'two{a="2"} 9',
    'two{a="3"} 9',
  );
  fc.assert(
    fc.property(
      fc.uniqueArray(line, { minLength: 1 }),
      fc.array(fc.array(fc.nat(99), { maxLength: 12 })),
      (lines, orders) => {
        const reader = new Reader();
        const page = (texts: readonly string[]) =>
          reader.read(`${texts.join("\n")}\n# EOF\n`, "openmetrics").map((each) => JSON.stringify(each));
        const first = page(lines).sort();
        reader.commit();
        for (const order of orders) {
          const shuffled = [...lines];
          for (const [i, number] of order.entries()) {
            const [taken] = shuffled.splice(number % shuffled.length, 1);
            shuffled.splice(i % (shuffled.length + 1), 0, taken!);
          }
          assert.deepEqual(page(shuffled).sort(), first);
          assert.deepEqual(reader.commit(), []);
        }
        assert.equal(reader.resolved, lines.length);
      },
    ),
  );
});
