import assert from "node:assert/strict";
import { Labels } from "#base/labels";
import { readWriteRequest } from "#formats/remote-write-reader";
import { uncompress } from "#formats/snappy";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { MetricBatch } from "#pipeline/batch";
import { SeriesRegistry } from "#pipeline/series";
import { FragmentEncoder } from "./fragments.ts";

/** Encodes batches of 50,000 samples into fragments: `node …/fragments.bench.ts`. Prints samples per CPU-second. */
const SERIES = 50_000;
const registry = new SeriesRegistry();
const refs = Int32Array.from({ length: SERIES }, (_, i) =>
  registry.intern(
    Labels.from([
      ["__name__", `metric_${Math.floor(i / 100)}_total`],
      ["cluster", "eu-west-1"],
      ["namespace", `team-${i % 17}`],
      ["pod", `app-${i % 1000}-x7k2p`],
      ["instance", "10.0.0.1:9090"],
      ["job", "integrations/app"],
      ["method", "GET"],
      ["code", `${200 + (i % 5)}`],
      ["path", "/api/v1/items"],
      ["le", `0.${i}`],
    ]),
  ),
);
const batch: MetricBatch = {
  signal: "metrics",
  count: SERIES,
  registry,
  ref: refs,
  timestamp: new Float64Array(SERIES).fill(1_795_170_000_000),
  value: Float64Array.from({ length: SERIES }, (_, i) => i / 7),
  flags: new Uint8Array(SERIES),
  exemplars: undefined,
  histograms: undefined,
  metadata: undefined,
  acknowledgement: Acknowledgement.none,
};
const settings = { rules: [], sendExemplars: true, sendHistograms: false, maxSamples: 2000 };

for (const [name, externalLabels, shards] of [
  ["as they are", Labels.empty, 1],
  ["with an external label", Labels.from([["env", "prod"]]), 1],
  ["in 8 lanes", Labels.empty, 8],
] as const) {
  const encoder = new FragmentEncoder(registry, { ...settings, externalLabels });
  const counts = { relabelled: 0, exemplars: 0, droppedExemplars: 0, histograms: 0, droppedHistograms: 0 };
  const check = encoder.encode(batch, shards, counts);
  const written = check.flatMap(({ bytes }) => readWriteRequest(uncompress(bytes, 10_000_000)).series);
  assert.equal(written.length, SERIES);
  assert.equal(
    written.every(({ labels }) => labels.get("env") === externalLabels.get("env")),
    true,
  );
  const began = process.cpuUsage();
  const rounds = 20;
  for (let round = 0; round < rounds; round++) encoder.encode(batch, shards, counts);
  const used = process.cpuUsage(began);
  const rate = (rounds * SERIES) / ((used.user + used.system) / 1e6);
  console.log(`${name}: ${(rate / 1e6).toFixed(2)} M samples per CPU-second`);
  encoder.close();
}
