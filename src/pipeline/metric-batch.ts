import type { MetricBatch } from "./batch.ts";

/**
 * Keeps the samples of which `keep` is true, in place: columns move up, exemplars and histograms follow their samples.
 * `keep` is called once for each sample, in order, before anything at its index moves.
 */
export function selectSamples(batch: MetricBatch, keep: (sample: number) => boolean): void {
  const { ref, timestamp, value, flags, start, count } = batch;
  const movesSides = batch.exemplars !== undefined || batch.histograms !== undefined;
  const places = movesSides ? new Int32Array(count).fill(-1) : undefined;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    if (!keep(i)) continue;
    if (kept !== i) {
      ref[kept] = ref[i]!;
      timestamp[kept] = timestamp[i]!;
      value[kept] = value[i]!;
      flags[kept] = flags[i]!;
      if (start !== undefined) start[kept] = start[i]!;
    }
    if (places !== undefined) places[i] = kept;
    kept += 1;
  }
  batch.count = kept;
  if (places === undefined) return;
  const follow = <T extends { readonly sample: number }>(items: readonly T[] | undefined) =>
    items?.filter((each) => places[each.sample] !== -1).map((each) => ({ ...each, sample: places[each.sample]! }));
  batch.exemplars = follow(batch.exemplars);
  batch.histograms = follow(batch.histograms);
}
