import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import protobuf from "protobufjs";
import { Labels } from "#base/labels";
import { SeriesRegistry } from "#pipeline/series";
import { readWriteRequest } from "./reader.ts";
import { WriteRequestEncoder } from "./remote-write.ts";

const { root } = protobuf.parse(`syntax = "proto3"; package prometheus;
  message Label { string name = 1; string value = 2; }
  message Sample { fixed64 value = 1; int64 timestamp = 2; }
  message Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
  message BucketSpan { sint32 offset = 1; uint32 length = 2; }
  message Histogram { uint64 count_int = 1; double count_float = 2; double sum = 3; sint32 schema = 4;
    double zero_threshold = 5; uint64 zero_count_int = 6; double zero_count_float = 7;
    repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9; repeated double negative_counts = 10;
    repeated BucketSpan positive_spans = 11; repeated sint64 positive_deltas = 12; repeated double positive_counts = 13;
    int32 reset_hint = 14; int64 timestamp = 15; repeated double custom_values = 16; }
  message TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3;
    repeated Histogram histograms = 4; }
  message MetricMetadata { int32 type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
  message WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }`);
const oracle = root.lookupType("prometheus.WriteRequest");
// biome-ignore lint/suspicious/noExplicitAny: whatever the message holds
const decode = (bytes: Uint8Array): any =>
  oracle.toObject(oracle.decode(bytes), { longs: String, arrays: true, defaults: true });

test("a decoder by protobufjs reads what was written", () => {
  const label = fc.tuple(fc.string({ minLength: 1, unit: "grapheme" }), fc.string({ minLength: 1, unit: "grapheme" }));
  const sample = fc.record({
    labels: fc.array(label, { minLength: 1, maxLength: 5 }),
    value: fc.double(),
    timestamp: fc.integer({ min: -(2 ** 50), max: 2 ** 50 }),
    stale: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 20, size: "max" }), (samples) => {
      const registry = new SeriesRegistry();
      const encoder = new WriteRequestEncoder(16);
      for (const { labels, value, timestamp, stale } of samples) {
        encoder.sample(registry, registry.intern(Labels.from(labels)), timestamp, value, stale);
      }
      const { timeseries } = decode(encoder.bytes());
      const own = readWriteRequest(encoder.bytes()).series;
      assert.equal(timeseries.length, samples.length);
      for (const [i, { labels, value, timestamp, stale }] of samples.entries()) {
        const series = timeseries[i];
        const expected = [...Labels.from(labels)].map(([name, text]) => ({ name, value: text }));
        assert.deepEqual(series.labels, expected);
        assert.equal(series.samples[0].timestamp, String(timestamp));
        const bits = new DataView(new ArrayBuffer(8));
        if (stale) bits.setBigUint64(0, 0x7ff0000000000002n);
        else if (Number.isNaN(value)) bits.setBigUint64(0, 0x7ff8000000000001n);
        else bits.setFloat64(0, value);
        assert.equal(series.samples[0].value, String(bits.getBigUint64(0)));
        assert.equal(own[i]!.labels.toString(), Labels.from(labels).toString());
        assert.deepEqual(own[i]!.samples, [{ value: stale ? NaN : value, timestamp, stale }]);
      }
    }),
  );
});

test("exemplars, histograms and metadata go along", () => {
  const registry = new SeriesRegistry();
  const encoder = new WriteRequestEncoder();
  const ref = registry.intern(Labels.from([["__name__", "latency"]]));
  const exemplar = { sample: 0, labels: Labels.from([["trace_id", "abc"]]), value: 1.5, timestamp: 1_700_000_000_000 };
  encoder.sampleWith(registry, ref, 5, 7, false, [exemplar], undefined);
  encoder.sampleWith(registry, ref, 6, 9, false, [], {
    sample: 1,
    schema: -2,
    zeroThreshold: 0.5,
    zeroCount: 2,
    count: 9,
    sum: 12.5,
    positiveSpans: [{ offset: -3, length: 2 }],
    negativeSpans: [],
    positive: [3, -1],
    negative: [],
    isFloat: false,
    customBounds: undefined,
    resetHint: "no",
  });
  encoder.metadata({ family: "latency", type: "histogram", help: "Some help", unit: "s" });
  const decoded = decode(encoder.bytes());
  assert.deepEqual(decoded.timeseries[0].exemplars, [
    { labels: [{ name: "trace_id", value: "abc" }], value: 1.5, timestamp: "1700000000000" },
  ]);
  assert.equal(decoded.timeseries[0].samples.length, 1);
  assert.equal(decoded.timeseries[1].samples.length, 0);
  const [histogram] = decoded.timeseries[1].histograms;
  assert.deepEqual(
    [
      histogram.countInt,
      histogram.sum,
      histogram.schema,
      histogram.zeroCountInt,
      histogram.resetHint,
      histogram.timestamp,
    ],
    ["9", 12.5, -2, "2", 2, "6"],
  );
  assert.deepEqual(histogram.positiveDeltas, ["3", "-1"]);
  assert.deepEqual(histogram.positiveSpans, [{ offset: -3, length: 2 }]);
  assert.deepEqual(decoded.metadata, [{ type: 3, metricFamilyName: "latency", help: "Some help", unit: "s" }]);
  assert.deepEqual(readWriteRequest(encoder.bytes()).metadata, [
    { family: "latency", type: "histogram", help: "Some help", unit: "s" },
  ]);
});

test("the buffer is used again after reset", () => {
  const registry = new SeriesRegistry();
  const encoder = new WriteRequestEncoder(8);
  const ref = registry.intern(Labels.from([["a", "b"]]));
  encoder.sample(registry, ref, 1, 1, false);
  const first = Buffer.from(encoder.bytes());
  encoder.reset();
  assert.equal(encoder.length, 0);
  encoder.sample(registry, ref, 1, 1, false);
  assert.deepEqual(encoder.bytes(), first);
});
