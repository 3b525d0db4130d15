import assert from "node:assert/strict";
import { Labels } from "#base/labels";
import { RequestParts } from "#formats/remote-write/2-parts";
import { SeriesSymbols } from "#formats/remote-write/2-series";
import { readWriteRequest } from "#formats/remote-write/reader";
import { uncompress } from "#formats/snappy";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { MetricBatch } from "#pipeline/batch";
import { SeriesRegistry } from "#pipeline/series";
import { FragmentEncoder, noCounts } from "./fragments.ts";

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
const settings = {
  rules: [],
  sendExemplars: true,
  sendHistograms: false,
  sendMetadata: true,
  maxSamples: 2000,
  sampleAgeLimit: 0,
};
const symbols = new SeriesSymbols(registry);

for (const [name, version, externalLabels, shards] of [
  ["as they are", 1, Labels.empty, 1],
  ["with an external label", 1, Labels.from([["env", "prod"]]), 1],
  ["in 8 lanes", 1, Labels.empty, 8],
  ["version 2", 2, Labels.empty, 1],
  ["version 2 with an external label", 2, Labels.from([["env", "prod"]]), 1],
  ["version 2 in 8 lanes", 2, Labels.empty, 8],
] as const) {
  const own = version === 2 ? symbols : undefined;
  const encoder = new FragmentEncoder(registry, { ...settings, version, externalLabels }, Date.now, own);
  const counts = noCounts();
  const check = encoder.encode(batch, shards, counts);
  const written = check.flatMap(({ bytes }) => {
    const parts = new RequestParts([{ version, bytes: uncompress(bytes, 10_000_000) }]);
    return readWriteRequest(parts.write(0, parts.count, 1)).series;
  });
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
  const bytes = check.reduce((sum, each) => sum + each.bytes.length, 0) / SERIES;
  console.log(`${name}: ${(rate / 1e6).toFixed(2)} M samples per CPU-second, ${bytes.toFixed(1)} bytes a sample`);
  encoder.close();
}
