import assert from "node:assert/strict";
import { test } from "node:test";
import { Labels } from "#base/labels";
import { Acknowledgement } from "./acknowledgement.ts";
import { batchBytes, batchItems, cloneBatch, type LogBatch, type MetricBatch, type OtlpBatch } from "./batch.ts";
import { SeriesRegistry } from "./series.ts";

/** Two entries in columns with room for four. */
function logs(acknowledgement = Acknowledgement.none): LogBatch {
  return {
    signal: "logs",
    count: 2,
    data: Buffer.from("onethree??"),
    start: Int32Array.of(0, 3, 0, 0),
    end: Int32Array.of(3, 8, 99, 99),
    ms: Float64Array.of(1, 2, 0, 0),
    ns: Int32Array.of(10, 20, 0, 0),
    stream: Int32Array.of(0, 1, 0, 0),
    streams: [Labels.from([["a", "1"]]), Labels.from([["a", "2"]])],
    metadata: [undefined, ["trace", "x"]],
    acknowledgement,
  };
}

function metrics(): MetricBatch {
  return {
    signal: "metrics",
    count: 2,
    registry: new SeriesRegistry(),
    ref: Int32Array.of(1, 2, 9),
    timestamp: Float64Array.of(5, 6, 9),
    value: Float64Array.of(0.5, 1.5, 9),
    flags: Uint8Array.of(0, 1, 9),
    exemplars: undefined,
    histograms: undefined,
    metadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
}

test("items and bytes are those of the entries, not of the columns' room", () => {
  assert.equal(batchItems(logs()), 2);
  assert.equal(batchBytes(logs()), 8);
  assert.equal(batchItems(metrics()), 2);
  assert.equal(batchBytes(metrics()), 32);
  const profiles = { signal: "profiles", acknowledgement: Acknowledgement.none } as const;
  const two = [new Uint8Array(3), new Uint8Array(4)].map((pprof) => ({ labels: Labels.empty, pprof }));
  assert.equal(batchItems({ ...profiles, profiles: two }), 2);
  assert.equal(batchBytes({ ...profiles, profiles: two }), 7);
});

test("a clone of logs has columns of its own over the same bytes", () => {
  let released = 0;
  const original = logs(new Acknowledgement(() => void (released += 1)));
  const clone = cloneBatch<"logs">(original);
  assert.equal(clone.data, original.data);
  assert.equal(clone.acknowledgement, original.acknowledgement);
  clone.start[0] = 1;
  clone.end[0] = 2;
  clone.ms[0] = 7;
  clone.ns[0] = 7;
  clone.stream[0] = 1;
  clone.streams[0] = Labels.empty;
  clone.metadata![0] = ["b", "c"];
  clone.count = 1;
  assert.deepEqual(original, { ...logs(), acknowledgement: original.acknowledgement });
  assert.equal(released, 0);
});

test("a clone of metrics has columns of its own over the same series", () => {
  const original = metrics();
  const clone = cloneBatch<"metrics">(original);
  assert.equal(clone.registry, original.registry);
  clone.ref[0] = 7;
  clone.timestamp[0] = 7;
  clone.value[0] = 7;
  clone.flags[0] = 7;
  assert.deepEqual([original.ref[0], original.timestamp[0], original.value[0], original.flags[0]], [1, 5, 0.5, 0]);
});

test("immutable batches are their own clones", () => {
  const otlp: OtlpBatch = {
    signal: "otlp",
    kind: "logs",
    parts: [Buffer.from("x")],
    items: 1,
    bytes: 1,
    clientMetadata: undefined,
    acknowledgement: Acknowledgement.none,
  };
  assert.equal(cloneBatch(otlp), otlp);
});
