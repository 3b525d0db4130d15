import type { Labels } from "#base/labels";
import { WriteRequestEncoder } from "#formats/remote-write";
import { compress } from "#formats/snappy";
import { RelabelRules } from "#kits/relabel";
import type { RelabelRule } from "#kits/relabel-schema";
import { type Exemplar, type MetricBatch, type NativeHistogram, SAMPLE_STALE } from "#pipeline/batch";
import type { QueueInput } from "#pipeline/disk-queue";
import { REF_DROPPED, REF_UNKNOWN, RefMap } from "#pipeline/ref-map";
import type { SeriesRegistry } from "#pipeline/series";

/** What the content of fragments depends on. Endpoints with equal settings share them. */
export interface FragmentSettings {
  readonly externalLabels: Labels;
  readonly rules: readonly RelabelRule[];
  readonly sendExemplars: boolean;
  readonly sendHistograms: boolean;
  readonly maxSamples: number;
}

export interface FragmentCounts {
  relabelled: number;
  exemplars: number;
  droppedExemplars: number;
  histograms: number;
  droppedHistograms: number;
}

/** The tag of a fragment that holds the series of `lane` among `shards` lanes. */
export function laneTag(shards: number, lane: number): number {
  return shards * 0x10000 + lane;
}
export function tagShards(tag: number): number {
  return Math.max(1, Math.floor(tag / 0x10000));
}
export function tagLane(tag: number): number {
  return tag % 0x10000;
}

const NO_EXEMPLARS: readonly Exemplar[] = [];
const encoder = new WriteRequestEncoder(1024 * 1024);

/**
 * Turns batches into fragments: snappy-compressed WriteRequests of at most `maxSamples` samples, which may be sent as
 * they are or joined. Which series of a batch becomes which (external labels, write_relabel_config) is remembered by ref.
 */
export class FragmentEncoder {
  readonly #settings: FragmentSettings;
  readonly #registry: SeriesRegistry;
  readonly #rules: RelabelRules;
  /** Undefined where every series stays as it is. */
  readonly #map: RefMap | undefined;
  #out = new Int32Array(1024);
  #order = new Int32Array(0);

  constructor(registry: SeriesRegistry, settings: FragmentSettings) {
    this.#registry = registry;
    this.#settings = settings;
    this.#rules = new RelabelRules(settings.rules);
    const changes = settings.externalLabels.size > 0 || settings.rules.length > 0;
    this.#map = changes ? new RefMap(registry) : undefined;
  }

  /** Forgets the series that were not seen since the last call. */
  sweep(): void {
    this.#map?.sweep();
  }

  close(): void {
    this.#map?.[Symbol.dispose]();
  }

  /** The batch's fragments for `shards` lanes: each series is always in the same lane. Synchronous: the batch is free afterwards. */
  encode(batch: MetricBatch, shards: number, counts: FragmentCounts): QueueInput[] {
    const { count } = batch;
    const relabelledBefore = counts.relabelled;
    const refs = this.#map === undefined ? batch.ref : this.#mapped(batch, counts);
    const exemplars = this.#settings.sendExemplars ? bySample(batch.exemplars) : undefined;
    const histograms = bySample(batch.histograms);
    if (!this.#settings.sendExemplars) counts.droppedExemplars += batch.exemplars?.length ?? 0;
    const fragments: QueueInput[] = [];
    if (shards === 1 && exemplars === undefined && histograms === undefined && counts.relabelled === relabelledBefore) {
      return this.#encodePlain(batch, refs);
    }
    const lanes = shards === 1 ? undefined : this.#sortByLane(refs, count, shards);
    let from = 0;
    for (let lane = 0; lane < shards; lane++) {
      const to = lanes === undefined ? count : lanes[lane]!;
      let samples = 0;
      encoder.reset();
      for (let k = from; k < to; k++) {
        const i = lanes === undefined ? k : this.#order[k]!;
        const ref = refs[i]!;
        if (ref === REF_DROPPED) continue;
        const stale = (batch.flags[i]! & SAMPLE_STALE) !== 0;
        const exemplar = exemplars?.get(i);
        const histogram = histograms?.get(i)?.[0];
        if (exemplar === undefined && histogram === undefined) {
          encoder.sample(this.#registry, ref, batch.timestamp[i]!, batch.value[i]!, stale);
        } else if (!this.#encodeWithSides(batch, i, ref, stale, exemplar, histogram, counts)) continue;
        samples += 1;
        if (samples >= this.#settings.maxSamples) {
          fragments.push(fragment(samples, laneTag(shards, lane)));
          samples = 0;
        }
      }
      if (samples > 0) fragments.push(fragment(samples, laneTag(shards, lane)));
      from = to;
    }
    return fragments;
  }

  /** The usual case: one lane, no side columns, nothing dropped. */
  #encodePlain(batch: MetricBatch, refs: Int32Array): QueueInput[] {
    const { count, timestamp, value, flags } = batch;
    const { maxSamples } = this.#settings;
    const fragments: QueueInput[] = [];
    encoder.reset();
    for (let from = 0; from < count; from += maxSamples) {
      const to = Math.min(count, from + maxSamples);
      encoder.samples(this.#registry, refs, timestamp, value, flags, from, to);
      fragments.push(fragment(to - from, laneTag(1, 0)));
    }
    return fragments;
  }

  #encodeWithSides(
    batch: MetricBatch,
    i: number,
    ref: number,
    stale: boolean,
    exemplars: readonly Exemplar[] | undefined,
    histogram: NativeHistogram | undefined,
    counts: FragmentCounts,
  ): boolean {
    if (histogram !== undefined && !this.#settings.sendHistograms) {
      counts.droppedHistograms += 1;
      return false;
    }
    if (histogram !== undefined) counts.histograms += 1;
    counts.exemplars += exemplars?.length ?? 0;
    const [timestamp, value] = [batch.timestamp[i]!, batch.value[i]!];
    encoder.sampleWith(this.#registry, ref, timestamp, value, stale, exemplars ?? NO_EXEMPLARS, histogram);
    return true;
  }

  #mapped(batch: MetricBatch, counts: FragmentCounts): Int32Array {
    const map = this.#map!;
    const { count, ref } = batch;
    if (count > this.#out.length) this.#out = new Int32Array(Math.ceil(count * 1.2));
    const out = this.#out;
    for (let i = 0; i < count; i++) {
      let to = map.get(ref[i]!);
      if (to === REF_UNKNOWN) {
        const labels = this.#rules.apply(this.#settings.externalLabels.merge(this.#registry.labels(ref[i]!)));
        map.set(ref[i]!, labels === undefined ? REF_DROPPED : this.#registry.intern(labels));
        to = map.get(ref[i]!);
      }
      if (to === REF_DROPPED) counts.relabelled += 1;
      out[i] = to;
    }
    return out;
  }

  /** Orders the samples by lane, each lane in the order of the batch; returns where each lane ends. */
  #sortByLane(refs: Int32Array, count: number, shards: number): Int32Array {
    if (count > this.#order.length) this.#order = new Int32Array(Math.ceil(count * 1.2));
    const ends = new Int32Array(shards + 1);
    const laneOf = (ref: number) => (ref === REF_DROPPED ? 0 : (this.#registry.hash(ref) >>> 0) % shards);
    for (let i = 0; i < count; i++) ends[laneOf(refs[i]!) + 1]! += 1;
    for (let lane = 1; lane <= shards; lane++) ends[lane]! += ends[lane - 1]!;
    for (let i = 0; i < count; i++) this.#order[ends[laneOf(refs[i]!)]!++] = i;
    return ends;
  }
}

function fragment(samples: number, tag: number): QueueInput {
  const bytes = compress(encoder.bytes());
  encoder.reset();
  return { bytes, items: samples, tag };
}

function bySample<T extends { readonly sample: number }>(
  items: readonly T[] | undefined,
): Map<number, T[]> | undefined {
  if (items === undefined || items.length === 0) return undefined;
  const map = new Map<number, T[]>();
  for (const each of items) {
    const known = map.get(each.sample);
    if (known === undefined) map.set(each.sample, [each]);
    else known.push(each);
  }
  return map;
}
