import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import { SAMPLE_STALE } from "#pipeline/batch";
import { SeriesRegistry } from "#pipeline/series";
import { ProtobufError, ProtoReader } from "./protobuf.ts";
import { readWriteRequest1 } from "./remote-write/1-reader.ts";
import { readWriteRequest2 } from "./remote-write/2-reader.ts";
import { readLabel, within } from "./remote-write/reader.ts";
import { WriteColumns, type WriteIntake } from "./write-columns.ts";
import { encodeWrite1, encodeWrite2, type TestSeries } from "./write-request.testing.ts";

interface Item {
  readonly labels: string;
  readonly value: number | "stale";
  readonly timestamp: number;
}
interface Seen {
  readonly items: Item[];
  readonly histograms: object[];
  readonly exemplars: { readonly labels: string; readonly of: string; readonly value: number }[];
  readonly metadata: object[];
  readonly rejected: (readonly [reason: string, items: number, message: string])[];
  readonly steps: number;
}

const OPTIONS = { metadata: true, typeAndUnit: false };

/** Reads a request as a receiver does, with an intake that believes everything. */
function read(version: 1 | 2, bytes: Uint8Array, options = OPTIONS): Seen {
  const registry = new SeriesRegistry();
  const rejected: Seen["rejected"] = [];
  const intake: WriteIntake = {
    latest: 2_000_000_000_000,
    problem: "no labels",
    fresh: 0,
    series(source, start, end) {
      const reader = new ProtoReader(source, start, end);
      const labels: [string, string][] = [];
      while (!reader.done) if (reader.tag() === 0x0a) labels.push(within(reader, readLabel));
      return labels.length === 0 ? 0 : registry.intern(Labels.from(labels));
    },
    reject: (...why) => void rejected.push(why),
    isNews: () => true,
  };
  const columns = new WriteColumns(intake, bytes.length);
  const steps =
    version === 1
      ? readWriteRequest1(bytes, intake, columns, options.metadata)
      : readWriteRequest2(bytes, intake, columns, options);
  const seen = { items: [], histograms: [], exemplars: [], metadata: [], rejected, steps: 0 } as Seen & {
    steps: number;
  };
  for (let isDone = false; !isDone; ) {
    isDone = steps.next().done === true;
    seen.steps += 1;
    for (let i = 0; i < columns.count; i++) {
      const isStale = (columns.flags[i]! & SAMPLE_STALE) !== 0;
      const labels = registry.labels(columns.ref[i]!).toString();
      seen.items.push({ labels, value: isStale ? "stale" : columns.value[i]!, timestamp: columns.timestamp[i]! });
    }
    seen.histograms.push(...columns.histograms);
    for (const { ref, labels, value } of columns.exemplars) {
      seen.exemplars.push({ labels: labels.toString(), of: registry.labels(ref).toString(), value });
    }
    seen.metadata.push(...columns.metadata);
    columns.clear();
  }
  return seen;
}

const encode = (version: 1 | 2, series: readonly TestSeries[]) =>
  version === 1 ? encodeWrite1(series) : encodeWrite2(series);

const text = fc.string({ minLength: 1, maxLength: 8, unit: "grapheme" });
const labels = fc.uniqueArray(fc.tuple(text, text), { minLength: 1, maxLength: 5, selector: ([name]) => name });
const timestamp = fc.integer({ min: -(2 ** 40), max: 2_000_000_000_000 });
const sample = fc.record({ value: fc.double(), timestamp });
const series = fc.record({
  labels,
  samples: fc.array(sample, { minLength: 1, maxLength: 4 }),
  exemplars: fc.array(fc.record({ labels, value: fc.double({ noNaN: true }), timestamp }), { maxLength: 2 }),
});

for (const version of [1, 2] as const) {
  test(`version ${version}: what protobufjs writes is read as it was`, () => {
    fc.assert(
      fc.property(fc.array(series, { maxLength: 8 }), (all) => {
        const seen = read(version, encode(version, all));
        const given = all.map((each) => Labels.from(each.labels).toString());
        assert.deepEqual(
          seen.items,
          all.flatMap(({ samples }, i) => samples.map((each) => ({ labels: given[i], ...each }))),
        );
        assert.deepEqual(
          seen.exemplars,
          all.flatMap(({ exemplars }, i) =>
            exemplars.map((each) => ({ labels: Labels.from(each.labels).toString(), of: given[i], value: each.value })),
          ),
        );
        assert.deepEqual(seen.rejected, []);
      }),
    );
  });

  test(`version ${version}: damaged messages are refused, and nothing worse`, () => {
    fc.assert(
      fc.property(
        fc.array(series, { maxLength: 4 }),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat()),
        (all, changes, cut) => {
          let bytes = Buffer.from(encode(version, all));
          for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
          if (cut !== null && bytes.length > 0) bytes = bytes.subarray(0, cut % bytes.length);
          try {
            read(version, bytes);
          } catch (error) {
            assert.ok(error instanceof ProtobufError, String(error));
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  test(`version ${version}: native histograms, and the marker of series that have ended`, () => {
    const stale = Buffer.alloc(8);
    stale.writeBigUInt64LE(0x7ff0000000000002n);
    const shape = {
      countInt: 9,
      sum: 1.5,
      schema: 1,
      zeroThreshold: 0.001,
      zeroCountInt: 1,
      positiveSpans: [{ offset: -2, length: 2 }],
      positiveDeltas: [3, 2],
      timestamp: 5,
      resetHint: 3,
    };
    const float = { countFloat: 2.5, sum: 3, zeroCountFloat: 0.5, negativeSpans: [{ length: 1 }], negativeCounts: [2] };
    const custom = {
      countInt: 3,
      schema: -53,
      positiveSpans: [{ length: 2 }],
      positiveDeltas: [1, 1],
      customValues: [1],
    };
    const fine = { countInt: 6, schema: 9, positiveSpans: [{ offset: 1, length: 3 }], positiveDeltas: [1, 1, 1] };
    const name = [["__name__", "h"]] as const;
    const bytes = encode(version, [{ labels: name, histograms: [shape, float, custom, fine] }]);
    const seen = read(version, bytes);
    assert.deepEqual(seen.rejected, []);
    const [first, second, third, fourth] = seen.histograms as { [key: string]: unknown }[];
    assert.deepEqual(first, {
      sample: 0,
      schema: 1,
      zeroThreshold: 0.001,
      zeroCount: 1,
      count: 9,
      sum: 1.5,
      positiveSpans: [{ offset: -2, length: 2 }],
      negativeSpans: [],
      positive: [3, 2],
      negative: [],
      isFloat: false,
      customBounds: undefined,
      resetHint: "gauge",
    });
    assert.deepEqual([second!.isFloat, second!.count, second!.zeroCount, second!.negative], [true, 2.5, 0.5, [2]]);
    assert.deepEqual(third!.customBounds, [1]);
    // Buckets 1 and 2 of schema 9 are bucket 1 of schema 8.
    assert.deepEqual(
      [fourth!.schema, fourth!.positiveSpans, fourth!.positive],
      [8, [{ offset: 1, length: 2 }], [3, 0]],
    );
    assert.deepEqual(seen.items[0], { labels: '{__name__="h"}', value: 9, timestamp: 5 });

    const marked = encode(version, [{ labels: name, samples: [{ value: 1.25, timestamp: 1 }] }]);
    const value = Buffer.alloc(8);
    value.writeDoubleLE(1.25);
    stale.copy(marked, Buffer.from(marked).indexOf(value));
    assert.deepEqual(read(version, marked).items, [{ labels: '{__name__="h"}', value: "stale", timestamp: 1 }]);
  });

  test(`version ${version}: histograms that contradict themselves are left out`, () => {
    const wrong: [object, RegExp][] = [
      [{ countInt: 1 }, /0 observations found in buckets, but the Count field is 1/],
      [{ countInt: 0, schema: 53 }, /invalid schema/],
      [
        { countInt: 1, positiveSpans: [{ length: 4_000_000_000 }], positiveDeltas: [1] },
        /spans need 4000000000 buckets/,
      ],
      [{ countInt: 0, customValues: [1] }, /must not have custom bounds/],
      [{ countInt: 0, schema: -53, customValues: [2, 1] }, /strictly increasing/],
      [{ countInt: 0, schema: -53, customValues: [NaN] }, /must not be NaN/],
      [{ countInt: 0, schema: -53, customValues: [Infinity] }, /\+Inf bound/],
      [{ countInt: 0, schema: -53, zeroThreshold: 1 }, /zero threshold/],
      [{ countInt: 2, schema: -53, positiveSpans: [{ length: 2 }], positiveDeltas: [1, 0] }, /insufficient/],
      [{ countInt: 0, schema: -53, positiveSpans: [{ offset: -1 }] }, /offset -1/],
      [{ countInt: 0, timestamp: 3_000_000_000_000 }, /too far in the future/],
      [{ countInt: 0, positiveSpans: Array.from({ length: 600_000 }, () => ({})) }, /1200000 bytes|too large/],
    ];
    for (const [histogram, message] of wrong) {
      const seen = read(version, encode(version, [{ labels: [["__name__", "h"]], histograms: [histogram] }]));
      assert.deepEqual(seen.items, []);
      assert.match(seen.rejected[0]![2], message);
      assert.equal(seen.rejected.length, 1);
    }
  });

  test(`version ${version}: a large request comes in batches of bounded size`, () => {
    const samples = Array.from({ length: 25_000 }, (_, i) => ({ value: i, timestamp: i }));
    const seen = read(version, encode(version, [{ labels: [["__name__", "a"]], samples }]));
    assert.equal(seen.items.length, 25_000);
    assert.deepEqual(seen.items.at(-1), { labels: '{__name__="a"}', value: 24_999, timestamp: 24_999 });
    assert.equal(seen.steps, 3);
  });

  test(`version ${version}: long exemplars and future samples are left out, others not`, () => {
    const exemplar = { value: 1, timestamp: 1 };
    const seen = read(
      version,
      encode(version, [
        {
          labels: [["__name__", "a"]],
          samples: [
            { value: 1, timestamp: 2_000_000_000_001 },
            { value: 2, timestamp: 1 },
          ],
          exemplars: [
            { ...exemplar, labels: [["trace_id", "x".repeat(120)]] },
            { ...exemplar, labels: [["trace_id", "x".repeat(121)]] },
            { ...exemplar, labels: [["trace_id", "x".repeat(100_000)]] },
            { ...exemplar, labels: [], timestamp: 2_000_000_000_001 },
          ],
        },
      ]),
    );
    assert.deepEqual(
      seen.items.map(({ value }) => value),
      [2],
    );
    assert.equal(seen.exemplars.length, 1);
    assert.deepEqual(seen.rejected.map(([reason]) => reason).sort(), [
      "invalid_exemplar",
      "invalid_exemplar",
      "invalid_exemplar",
      "too_far_in_future",
    ]);
  });
}

test("version 1: labels that do not stand in one place, and metadata", () => {
  const whole = Buffer.from(
    encodeWrite1(
      [
        {
          labels: [
            ["__name__", "a"],
            ["b", "c"],
          ],
          samples: [{ value: 1, timestamp: 2 }],
        },
      ],
      [{ type: 1, metricFamilyName: "a", help: "A.", unit: "s" }],
    ),
  );
  // The last label behind the sample.
  const label = Buffer.from([0x0a, 6, 0x0a, 1, 0x62, 0x12, 1, 0x63]);
  const at = whole.indexOf(label);
  const end = 2 + whole[1]!;
  const moved = Buffer.concat([whole.subarray(0, at), whole.subarray(at + 8, end), label, whole.subarray(end)]);
  for (const bytes of [whole, moved]) {
    const seen = read(1, bytes);
    assert.deepEqual(seen.items, [{ labels: '{__name__="a", b="c"}', value: 1, timestamp: 2 }]);
    assert.deepEqual(seen.metadata, [{ family: "a", type: "counter", help: "A.", unit: "s" }]);
  }
});

test("version 2: references out of the table concern their series alone", () => {
  const one = { labels: [["__name__", "a"]], samples: [{ value: 1, timestamp: 1 }] } as const;
  const cases: [(series: { labelsRefs: number[]; metadata?: object }) => void, RegExp][] = [
    [(series) => void (series.labelsRefs[1] = 99), /a label refers to symbol 99, outside of the table of 4/],
    [(series) => void (series.labelsRefs[0] = 4_294_967_295), /symbol 4294967295/],
    [(series) => void series.labelsRefs.pop(), /a name without a value|name without a value/],
    [(series) => void (series.metadata = { helpRef: 77 }), /the help text refers to symbol 77/],
    [(series) => void (series.metadata = { unitRef: 78 }), /the unit refers to symbol 78/],
    [(series) => void (series.labelsRefs = new Array(20_002).fill(1)), /more than 10000 labels/],
  ];
  for (const [spoil, message] of cases) {
    const bytes = encodeWrite2([one, { ...one, labels: [["__name__", "b"]] }], ({ timeseries }) =>
      spoil(timeseries[0]!),
    );
    const seen = read(2, bytes);
    assert.deepEqual(
      seen.items.map((each) => each.labels),
      ['{__name__="b"}'],
    );
    assert.equal(seen.rejected.length, 1);
    assert.match(seen.rejected[0]![2], message);
    assert.equal(seen.rejected[0]![1], 1);
  }
});

test("version 2: a symbol that many labels share does not multiply", () => {
  const bytes = encodeWrite2(
    [{ labels: [["__name__", "x".repeat(300_000)]], samples: [{ value: 1, timestamp: 1 }] }],
    (m) => {
      m.timeseries[0]!.labelsRefs = [1, 2, 3, 2, 4, 2, 5, 2];
      m.symbols.push("b", "c", "d");
    },
  );
  assert.match(read(2, bytes).rejected[0]![2], /more than 1048576 bytes/);
});

test("version 2: metadata belongs to the family, type and unit become labels where that is wanted", () => {
  const samples = [{ value: 1, timestamp: 1 }];
  const bytes = encodeWrite2([
    { labels: [["__name__", "a_seconds_bucket"]], samples, metadata: { type: 3, help: "Help.", unit: "seconds" } },
    { labels: [["__name__", "b_total"]], samples, metadata: { type: 1, help: "", unit: "" } },
    { labels: [["__name__", "c"]], samples, metadata: { type: 0, help: "", unit: "" } },
  ]);
  assert.deepEqual(read(2, bytes).metadata, [
    { family: "a_seconds", type: "histogram", help: "Help.", unit: "seconds" },
    { family: "b_total", type: "counter", help: "", unit: "" },
  ]);
  assert.deepEqual(
    read(2, bytes, { metadata: false, typeAndUnit: true }).items.map((each) => each.labels),
    [
      '{__name__="a_seconds_bucket", __type__="histogram", __unit__="seconds"}',
      '{__name__="b_total", __type__="counter"}',
      '{__name__="c"}',
    ],
  );
});

test("version 2: a series without samples is refused, one with exemplars alone is not", () => {
  const bytes = encodeWrite2([
    { labels: [["__name__", "a"]] },
    { labels: [["__name__", "b"]], exemplars: [{ labels: [["t", "1"]], value: 1, timestamp: 1 }] },
  ]);
  const seen = read(2, bytes);
  assert.match(seen.rejected[0]![2], /must contain at least one sample or histogram/);
  assert.deepEqual(seen.exemplars, [{ labels: '{t="1"}', of: '{__name__="b"}', value: 1 }]);
});
