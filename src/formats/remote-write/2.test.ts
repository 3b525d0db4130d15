import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Labels } from "#base/labels";
import type { Exemplar, MetricMetadata, NativeHistogram } from "#pipeline/batch";
import { SeriesRegistry } from "#pipeline/series";
import { decodeRequest2 as decode, encodeRequest2 } from "./2.testing.ts";
import { Request2Encoder } from "./2.ts";
import { RequestParts } from "./2-parts.ts";
import { SeriesSymbols } from "./2-series.ts";
import { SymbolTable } from "./2-symbols.ts";
import { readWriteRequest } from "./reader.ts";
import { WriteRequestEncoder } from "./remote-write.ts";

const STALE = 0x7ff0000000000002n;

interface Written {
  readonly labels: readonly (readonly [string, string])[];
  readonly value: number;
  readonly timestamp: number;
  readonly stale: boolean;
  readonly start: number;
}

function columnsOf(samples: readonly Written[]) {
  return {
    timestamp: Float64Array.from(samples, (each) => each.timestamp),
    value: Float64Array.from(samples, (each) => each.value),
    flags: Uint8Array.from(samples, (each) => (each.stale ? 1 : 0)),
    start: Float64Array.from(samples, (each) => each.start),
  };
}

function bitsOf({ stale, value }: Written): bigint {
  const view = new DataView(new ArrayBuffer(8));
  if (stale) return STALE;
  if (Number.isNaN(value)) return 0x7ff8000000000001n;
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

const label = fc.tuple(fc.string({ minLength: 1, unit: "grapheme" }), fc.string({ minLength: 1, unit: "grapheme" }));
const written = fc.record({
  labels: fc.array(label, { minLength: 1, maxLength: 5 }),
  value: fc.double(),
  timestamp: fc.integer({ min: -(2 ** 50), max: 2 ** 50 }),
  stale: fc.boolean(),
  start: fc.oneof(fc.constant(0), fc.integer({ min: -(2 ** 50), max: 2 ** 50 })),
});

/** What a decoded request says, in the terms of `Written`. */
function contentOf(bytes: Uint8Array): unknown[] {
  const { symbols, timeseries } = decode(bytes);
  // biome-ignore lint/suspicious/noExplicitAny: whatever the message holds
  return timeseries.map((each: any) => {
    const [sample] = each.samples;
    const texts: string[] = each.labelsRefs.map((index: number) => symbols[index]);
    return [texts, sample.value, sample.timestamp, sample.startTimestamp];
  });
}

function expected(samples: readonly Written[]): unknown[] {
  return samples.map((each) => [
    [...Labels.from(each.labels)].flat(),
    String(bitsOf(each)),
    String(each.timestamp),
    String(each.start),
  ]);
}

test("a decoder by protobufjs reads what was written; each string is there once, the first is empty", () => {
  fc.assert(
    fc.property(fc.array(fc.array(written, { maxLength: 10 }), { maxLength: 3 }), (requests) => {
      const registry = new SeriesRegistry();
      const encoder = new Request2Encoder(new SeriesSymbols(registry), true, 16);
      for (const samples of requests) {
        encoder.reset();
        const refs = Int32Array.from(samples, ({ labels }) => registry.intern(Labels.from(labels)));
        encoder.samples(refs, columnsOf(samples), 0, samples.length);
        const bytes = Buffer.from(encoder.bytes());
        const { symbols } = decode(bytes);
        assert.equal(symbols[0], "");
        assert.equal(new Set(symbols).size, symbols.length);
        assert.deepEqual(contentOf(bytes), expected(samples));
      }
    }),
  );
});

test("requests of both versions, joined, cut and turned into either version, hold the same", () => {
  const part = fc.record({ version: fc.constantFrom(1 as const, 2 as const), samples: fc.array(written) });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), fc.nat(), fc.nat(), (parts, a, b) => {
      const registry = new SeriesRegistry();
      const first = new WriteRequestEncoder(16);
      const second = new Request2Encoder(new SeriesSymbols(registry), true, 16);
      const requests = parts.map(({ version, samples }) => {
        const refs = Int32Array.from(samples, ({ labels }) => registry.intern(Labels.from(labels)));
        const { timestamp, value, flags, start } = columnsOf(samples);
        first.reset();
        second.reset();
        if (version === 1) first.samples(registry, refs, timestamp, value, flags, 0, samples.length);
        else second.samples(refs, { timestamp, value, flags, start }, 0, samples.length);
        return { version, bytes: Buffer.from((version === 1 ? first : second).bytes()) };
      });
      const all = parts.flatMap(({ version, samples }) =>
        samples.map((each) => (version === 1 ? { ...each, start: 0 } : each)),
      );
      const request = new RequestParts(requests);
      assert.equal(request.count, all.length);
      const [from, to] = [a % (all.length + 1), b % (all.length + 1)].sort((x, y) => x - y) as [number, number];
      const cut = request.write(from, to, 2);
      assert.deepEqual(contentOf(cut), expected(all.slice(from, to)));
      const { symbols } = decode(cut);
      assert.equal(new Set(symbols).size, symbols.length);
      const { series } = readWriteRequest(request.write(from, to, 1));
      assert.deepEqual(
        series.map((each) => [String(each.labels), each.samples]),
        all
          .slice(from, to)
          .map(({ labels, value, timestamp, stale }) => [
            String(Labels.from(labels)),
            [{ value: stale ? NaN : value, timestamp, stale }],
          ]),
      );
      for (let i = from; i < to; i++) assert.equal(String(request.labels(i)), String(Labels.from(all[i]!.labels)));
    }),
  );
});

const HISTOGRAM: NativeHistogram = {
  sample: 0,
  schema: -53,
  zeroThreshold: 0,
  zeroCount: 0,
  count: 9.5,
  sum: 12.5,
  positiveSpans: [{ offset: 0, length: 3 }],
  negativeSpans: [],
  positive: [3, 1.5, 5],
  negative: [],
  isFloat: true,
  customBounds: [0.5, 2.5],
  resetHint: "gauge",
};
const EXEMPLAR: Exemplar = {
  sample: 0,
  labels: Labels.from([
    ["trace_id", "abc"],
    ["job", "j"],
  ]),
  value: 1.5,
  timestamp: 1_700_000_000_000,
};

test("exemplars, histograms of both kinds and when they began go along, and survive being joined", () => {
  const registry = new SeriesRegistry();
  const encoder = new Request2Encoder(new SeriesSymbols(registry), true);
  const ref = registry.intern(
    Labels.from([
      ["__name__", "latency"],
      ["job", "j"],
    ]),
  );
  const columns = {
    timestamp: Float64Array.of(5, 6, 7),
    value: Float64Array.of(7, 0, 0),
    flags: Uint8Array.of(0, 0, 1),
    start: Float64Array.of(0, 3, 0),
  };
  encoder.sampleWith(ref, columns, 0, [EXEMPLAR], undefined);
  encoder.sampleWith(ref, columns, 1, [EXEMPLAR], HISTOGRAM);
  encoder.sampleWith(ref, columns, 2, [], { ...HISTOGRAM, schema: 2, isFloat: false, count: 3, positive: [1, 1, -1] });
  const check = (bytes: Uint8Array) => {
    const { symbols, timeseries } = decode(bytes);
    const [plain, float, integer] = timeseries;
    const texts = (refs: readonly number[]) => refs.map((index) => symbols[index]);
    assert.deepEqual(texts(plain.exemplars[0].labelsRefs), ["job", "j", "trace_id", "abc"]);
    assert.deepEqual([plain.exemplars[0].value, plain.exemplars[0].timestamp], [1.5, "1700000000000"]);
    assert.deepEqual([plain.samples.length, plain.histograms.length], [1, 0]);
    assert.deepEqual([float.samples.length, float.histograms.length, float.exemplars.length], [0, 1, 1]);
    const [nhcb] = float.histograms;
    assert.deepEqual([nhcb.schema, nhcb.countFloat, nhcb.timestamp, nhcb.startTimestamp], [-53, 9.5, "6", "3"]);
    assert.deepEqual([nhcb.customValues, nhcb.positiveCounts, nhcb.resetHint], [[0.5, 2.5], [3, 1.5, 5], 3]);
    const [stale] = integer.histograms;
    assert.deepEqual([stale.sum, stale.positiveDeltas], [String(STALE), ["1", "1", "-1"]]);
  };
  check(encoder.bytes());
  const request = new RequestParts([{ version: 2, bytes: Buffer.from(encoder.bytes()) }]);
  check(request.write(0, 3, 2));
  const older = request.write(0, 3, 1);
  const { series } = readWriteRequest(older);
  assert.deepEqual(
    series[0]!.exemplars.map((each) => ({ ...each, labels: String(each.labels) })),
    [{ labels: '{job="j", trace_id="abc"}', value: 1.5, timestamp: 1_700_000_000_000 }],
  );
  assert.deepEqual(
    series.map((each) => each.samples.length),
    [1, 0, 0],
  );
  check(insertStart(new RequestParts([{ version: 1, bytes: older }]).write(0, 3, 2)));
});

/** Version 1 does not know when a histogram began: the test's check wants it back. */
function insertStart(bytes: Uint8Array): Uint8Array {
  const message = decode(bytes);
  message.timeseries[1].histograms[0].startTimestamp = 3;
  return encodeRequest2(message);
}

test("metadata is that of the family, whose series may have other names, and changes at once", () => {
  const registry = new SeriesRegistry();
  const symbols = new SeriesSymbols(registry);
  const encoder = new Request2Encoder(symbols, true);
  const names = ["rpc_seconds_bucket", "rpc_seconds_sum", "jobs_total", "temperature", "temperature_sum", "other"];
  const refs = Int32Array.from(names, (name) => registry.intern(Labels.from([["__name__", name]])));
  const columns = columnsOf(names.map(() => ({ labels: [], value: 1, timestamp: 1, stale: false, start: 0 })));
  const metadata = (withMetadata = encoder): string[] => {
    withMetadata.reset();
    withMetadata.samples(refs, columns, 0, refs.length);
    const { symbols: texts, timeseries } = decode(withMetadata.bytes());
    // biome-ignore lint/suspicious/noExplicitAny: whatever the message holds
    return timeseries.map(({ metadata: own }: any) =>
      own == null ? "" : [own.type, texts[own.helpRef], texts[own.unitRef]].join(),
    );
  };
  assert.deepEqual(metadata(), ["", "", "", "", "", ""]);
  const families: MetricMetadata[] = [
    { family: "rpc_seconds", type: "histogram", help: "How long.", unit: "seconds" },
    { family: "jobs", type: "counter", help: "Jobs.", unit: "" },
    { family: "temperature", type: "gauge", help: "", unit: "" },
  ];
  for (const each of families) symbols.describe(each);
  const known = ["3,How long.,seconds", "3,How long.,seconds", "1,Jobs.,", "2,,", "", ""];
  assert.deepEqual(metadata(), known);
  symbols.describe({ ...families[1]!, help: "All jobs." });
  assert.equal(metadata()[2], "1,All jobs.,");
  assert.deepEqual(new Set(metadata(new Request2Encoder(symbols, false))), new Set([""]));
});

test("what was known of a series goes with it, and its strings with the last series that has them", () => {
  const registry = new SeriesRegistry();
  using symbols = new SeriesSymbols(registry);
  const encoder = new Request2Encoder(symbols, true);
  const columns = columnsOf([{ labels: [], value: 1, timestamp: 1, stale: false, start: 0 }]);
  const write = (labels: Record<string, string>) => {
    const ref = registry.intern(Labels.from(Object.entries(labels)));
    encoder.reset();
    encoder.samples(Int32Array.of(ref), columns, 0, 1);
    assert.deepEqual(contentOf(encoder.bytes()), [
      [Object.entries(labels).flat(), String(bitsOf({ value: 1 } as Written)), "1", "0"],
    ]);
    return ref;
  };
  const kept = write({ a: "b", c: "d" });
  const { size } = symbols.strings;
  const { length } = symbols.runs;
  for (let i = 0; i < 10_000; i++) registry.release(write({ a: "b", c: `value ${i}`, [`name ${i}`]: "d" }));
  assert.equal(symbols.strings.size, size);
  assert.ok(symbols.runs.length <= length);
  registry.release(kept);
  assert.equal(symbols.strings.size, 0);
});

test("a table of symbols has each string once, however many there are", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "grapheme" }), { maxLength: 200, size: "max" }),
      fc.boolean(),
      (texts, again) => {
        const table = new SymbolTable();
        if (again) for (let i = 0; i < 3_000; i++) table.internText(`filler ${i}`);
        if (again) table.reset();
        const indexes = texts.map((text) => table.internText(text));
        const { symbols } = decode(table.bytes());
        assert.deepEqual(symbols, [...new Set(["", ...texts])]);
        assert.deepEqual(
          indexes.map((index) => symbols[index]),
          texts,
        );
      },
    ),
  );
});
