import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { ExpositionError } from "./error.ts";
import { ExpositionParser, type ExpositionSyntax } from "./exposition.ts";
import type { ExpositionOptions } from "./groups.ts";
import type { LabelBytes } from "./labels.ts";

const OFF: ExpositionOptions = {
  convertHistograms: false,
  classicHistograms: false,
  startTimestamps: false,
  typeAndUnitLabels: false,
};

/** Reads pages with options; counts the owners of each series that it hands out. */
class Reader {
  readonly parser: ExpositionParser;
  readonly owners = new Map<number, number>();
  readonly #refs = new Map<string, number>();
  readonly #names: string[] = [""];

  constructor(options: Partial<ExpositionOptions>) {
    this.parser = new ExpositionParser({ ...OFF, ...options });
  }

  /** The samples of a page: `series value`, with its start behind it if it has one. */
  read(page: string | Buffer, syntax: ExpositionSyntax = "text", limit = Infinity): string[] {
    const bytes = Buffer.concat([Buffer.from(page), Buffer.from("\n")]);
    const end = bytes.at(-2) === 10 ? bytes.length - 1 : bytes.length;
    this.parser.parse(bytes, end, syntax, (labels) => this.#resolve(labels), limit);
    const { count, columns, starts } = this.parser;
    return Array.from({ length: count }, (_, i) => {
      const start = starts?.[i] ?? NaN;
      const series = this.#names[this.parser.refOf(i)];
      return `${series} ${columns.value[i]}${Number.isNaN(start) ? "" : ` since ${start}`}`;
    });
  }

  /** Commits; returns the series that became stale. */
  commit(): string[] {
    return this.#end((stale, forgotten) => this.parser.commit(stale, forgotten));
  }
  abandon(): string[] {
    return this.#end((stale, forgotten) => this.parser.abandon(stale, forgotten));
  }
  clear(): void {
    this.parser.known.clear((ref) => this.#release(ref));
  }

  #end(end: (stale: number[], forgotten: number[]) => void): string[] {
    const stale: number[] = [];
    const forgotten: number[] = [];
    end(stale, forgotten);
    for (const ref of forgotten) this.#release(ref);
    return stale.map((ref) => this.#names[ref]!).sort();
  }

  #resolve(labels: LabelBytes): number {
    assert.equal(labels.sort(), undefined);
    const pairs = Array.from({ length: labels.count }, (_, i): [string, string] => [labels.name(i), labels.value(i)]);
    const text = Labels.from(pairs).toString();
    let ref = this.#refs.get(text);
    if (ref === undefined) this.#refs.set(text, (ref = this.#names.push(text) - 1));
    this.owners.set(ref, (this.owners.get(ref) ?? 0) + 1);
    return ref;
  }

  #release(ref: number): void {
    const owners = this.owners.get(ref) ?? 0;
    assert.ok(owners > 0, `series ${ref} was released more often than it was taken`);
    if (owners === 1) this.owners.delete(ref);
    else this.owners.set(ref, owners - 1);
  }
}

const HISTOGRAM = `# TYPE lat histogram
lat_bucket{l="1",le="1"} 2
lat_bucket{l="1",le="+Inf"} 3
lat_sum{l="1"} 1.5
lat_count{l="1"} 3
lat_bucket{le="1"} 1
lat_bucket{le="+Inf"} 1
lat_sum 0.5
lat_count 1
# TYPE other gauge
other 7
`;

test("classic histograms become one sample each, and are known by it", () => {
  const reader = new Reader({ convertHistograms: true });
  assert.deepEqual(reader.read(HISTOGRAM), ['{__name__="lat", l="1"} 3', '{__name__="lat"} 1', '{__name__="other"} 7']);
  const [first] = reader.parser.histograms;
  assert.deepEqual([first!.sample, first!.positive, first!.customBounds, first!.sum], [0, [2, -1], [1], 1.5]);
  assert.equal(reader.parser.newSeries, 3);
  assert.deepEqual(reader.commit(), []);
  assert.equal(reader.owners.size, 3, "the pieces are no series of their own");

  reader.read(HISTOGRAM);
  assert.equal(reader.parser.newSeries, 0);
  assert.deepEqual(reader.commit(), []);
  const broken = HISTOGRAM.replace('lat_bucket{le="+Inf"} 1', 'lat_bucket{le="+Inf"} 0');
  assert.deepEqual(reader.read(broken), ['{__name__="lat", l="1"} 3', '{__name__="other"} 7']);
  assert.deepEqual(
    [reader.parser.conversion!.lost, reader.parser.conversion!.reason],
    [4, "count is not cumulative: 0 < 1"],
  );
  assert.deepEqual(reader.commit(), ['{__name__="lat"}']);
  assert.deepEqual(reader.read("other 1"), ['{__name__="other"} 1']);
  assert.deepEqual(reader.commit(), ['{__name__="lat", l="1"}']);
  assert.equal(reader.owners.size, 1);
});

test("classic series stay beside the native ones where they are wanted", () => {
  const reader = new Reader({ convertHistograms: true, classicHistograms: true });
  const page = '# TYPE lat histogram\nlat_bucket{le="+Inf"} 3\nlat_count 3\nlat_sum 1\n';
  assert.deepEqual(reader.read(page), [
    '{__name__="lat_bucket", le="+Inf"} 3',
    '{__name__="lat_count"} 3',
    '{__name__="lat_sum"} 1',
    '{__name__="lat"} 3',
  ]);
  reader.commit();
  assert.deepEqual(reader.abandon().length, 4);
  reader.clear();
  assert.equal(reader.owners.size, 0);
});

test("exemplars of the pieces go to the histogram if they have a time", () => {
  const reader = new Reader({ convertHistograms: true });
  reader.read(
    '# TYPE lat histogram\nlat_bucket{le="1"} 1 # {t="a"} 0.5 10\nlat_bucket{le="+Inf"} 2 # {t="b"} 5\nlat_count 2\n' +
      '# TYPE c counter\nc_total 1 # {t="c"} 1\n# EOF\n',
    "openmetrics",
  );
  assert.deepEqual(
    reader.parser.exemplars.map(({ sample, labels }) => [sample, labels?.toString()]),
    [
      [0, '{t="a"}'],
      [1, '{t="c"}'],
    ],
  );
});

test("a limit counts histograms, not their pieces", () => {
  const reader = new Reader({ convertHistograms: true });
  reader.read(HISTOGRAM, "text", 3);
  assert.equal(reader.parser.truncated, false);
  const other = new Reader({ convertHistograms: true });
  assert.equal(other.read(HISTOGRAM, "text", 1).length, 3);
  assert.equal(other.parser.truncated, true);
  other.abandon();
  assert.equal(other.owners.size, 0);
});

test("series begin when their created line says", () => {
  const page =
    '# TYPE a counter\na_total{x="1"} 5\na_created{x="1"} 100.5\na_total{x="2"} 6\n' +
    '# TYPE s summary\ns{quantile="0.5"} 1\ns_count 2\ns_sum 3\ns_created 200\n# TYPE g gauge\ng_created 7\n# EOF\n';
  const reader = new Reader({ startTimestamps: true });
  const samples = [
    '{__name__="a_total", x="1"} 5 since 100500',
    '{__name__="a_total", x="2"} 6',
    '{__name__="s", quantile="0.5"} 1 since 200000',
    '{__name__="s_count"} 2 since 200000',
    '{__name__="s_sum"} 3 since 200000',
    '{__name__="g_created"} 7',
  ];
  assert.deepEqual(reader.read(page, "openmetrics"), samples);
  reader.commit();
  assert.deepEqual(reader.read(page, "openmetrics"), samples, "from the cache as well");
  reader.commit();
  reader.clear();
  assert.equal(reader.owners.size, 0);
  assert.equal(new Reader({}).read(page, "openmetrics").length, 8, "without it they are series like others");
});

test("types and units become labels in the place of exposed ones", () => {
  const reader = new Reader({ typeAndUnitLabels: true });
  const page =
    '# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds{__type__="x"} 1\n# TYPE b unknown\nb 2\n# EOF\n';
  assert.deepEqual(reader.read(page, "openmetrics"), [
    '{__name__="a_seconds", __type__="gauge", __unit__="seconds"} 1',
    '{__name__="b"} 2',
  ]);
  reader.commit();
  const without = '# TYPE a_seconds gauge\na_seconds{y="1"} 1\n# EOF\n';
  assert.deepEqual(reader.read(without, "openmetrics"), ['{__name__="a_seconds", __type__="gauge", y="1"} 1']);
});

test("a series that is spelt in another way is not stale", () => {
  const reader = new Reader({});
  reader.read('a{x="1",y="2"} 1\nb 1\n');
  reader.commit();
  reader.read('a{y="2",x="1"} 1\n');
  assert.deepEqual(reader.commit(), ['{__name__="b"}']);
  reader.read('a{y="2",x="1"} 1\na{x="1",y="2"} 1\n');
  reader.commit();
  reader.read('a{x="1",y="2"} 1\n');
  assert.deepEqual(reader.commit(), []);
});

test("what stands between a name and its labels is no series", () => {
  for (const [line, message] of [
    ['foo\\bar{x="1"} 1', /parsing "\\\\bar": invalid syntax/],
    ["foo-bar 1", /parsing "-bar": invalid syntax/],
  ] as const) {
    assert.throws(() => new Reader({}).read(line), message);
  }
  assert.throws(() => new Reader({}).read('foo\\bar{x="1"} 1\n# EOF', "openmetrics"), /expected value after metric/);
});

const name = fc.constantFrom("a", "lat", "b_total");
const labels = fc.constantFrom(
  "",
  '{x="1"}',
  '{x="2"}',
  '{le="1"}',
  '{le="+Inf"}',
  '{x="1",le="1"}',
  '{x="1",le="+Inf"}',
);
const line = fc.oneof(
  fc
    .tuple(name, fc.constantFrom("", "_bucket", "_sum", "_count", "_created", "_total"), labels, fc.nat(9))
    .map(([base, suffix, rest, value]) => `${base}${suffix}${rest} ${value}`),
  fc
    .tuple(name, fc.constantFrom("histogram", "counter", "gauge", "summary"))
    .map(([base, type]) => `# TYPE ${base} ${type}`),
  fc.constantFrom("# UNIT b_total total", "broken{", '# HELP a "x"', 'a{x="1"} 1 # {t="u"} 1 5'),
);
const options = fc.record({
  convertHistograms: fc.boolean(),
  classicHistograms: fc.boolean(),
  startTimestamps: fc.boolean(),
  typeAndUnitLabels: fc.boolean(),
});

test("whatever pages come, series are taken and given back in equal measure, and markers match samples", () => {
  const pages = fc.array(fc.tuple(fc.array(line, { maxLength: 12 }), fc.boolean(), fc.constantFrom(Infinity, 3)), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(options, pages, (given, all) => {
      const reader = new Reader(given);
      const alive = new Set<string>();
      for (const [lines, openMetrics, limit] of all) {
        const page = `${lines.join("\n")}\n${openMetrics ? "# EOF\n" : ""}`;
        try {
          const samples = reader.read(page, openMetrics ? "openmetrics" : "text", limit);
          if (reader.parser.truncated) throw new ExpositionError("sample limit exceeded");
          const seen = new Set(samples.map((each) => each.replace(/ since \d+$/, "").replace(/ \S+$/, "")));
          assert.equal(
            reader.parser.histograms.every(({ sample }) => sample < samples.length),
            true,
          );
          const expected = [...alive].filter((each) => !seen.has(each)).sort();
          assert.deepEqual(reader.commit(), expected);
          alive.clear();
          for (const each of seen) alive.add(each);
        } catch (error) {
          if (!(error instanceof ExpositionError)) throw error;
          assert.deepEqual(reader.abandon(), [...alive].sort());
          alive.clear();
        }
      }
      reader.clear();
      assert.deepEqual([...reader.owners], []);
    }),
    { numRuns: 500 },
  );
});

test("damaged text fails with an error of the format and no other", () => {
  const good = Buffer.from(`${HISTOGRAM}# UNIT x y\n{"a.b","c d"="e"} 1 123 # {t="u"} 1 5\nlat_created 5\n# EOF\n`);
  const changes = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 5 });
  fc.assert(
    fc.property(options, changes, fc.nat(good.length), fc.boolean(), (given, mutations, length, openMetrics) => {
      const bytes = Buffer.from(good);
      for (const [at, byte] of mutations) bytes[at] = byte;
      const reader = new Reader(given);
      try {
        reader.read(bytes.subarray(0, length), openMetrics ? "openmetrics" : "text");
      } catch (error) {
        if (!(error instanceof ExpositionError) && (error as Error).name !== "AssertionError") throw error;
      }
      reader.abandon();
      reader.clear();
      assert.equal(reader.owners.size, 0);
    }),
    { numRuns: 1000 },
  );
});
