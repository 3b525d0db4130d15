import type { Labels } from "#base/labels";
import { Request2Encoder, type SampleColumns } from "#formats/remote-write/2";
import type { SeriesSymbols } from "#formats/remote-write/2-series";
import { WriteRequestEncoder } from "#formats/remote-write/remote-write";
import { compress } from "#formats/snappy";
import { RelabelRules } from "#kits/relabel";
import type { RelabelRule } from "#kits/relabel-schema";
import { type Exemplar, type MetricBatch, type NativeHistogram, SAMPLE_STALE } from "#pipeline/batch";
import type { QueueInput } from "#pipeline/disk-queue";
import { REF_DROPPED, REF_UNKNOWN, RefMap } from "#pipeline/ref-map";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import { fragmentTag } from "./fragment-tag.ts";

/** What the content of fragments depends on. Endpoints with equal settings share them. */
export interface FragmentSettings {
  readonly version: 1 | 2;
  readonly externalLabels: Labels;
  readonly rules: readonly RelabelRule[];
  readonly sendExemplars: boolean;
  readonly sendHistograms: boolean;
  /** Whether metadata goes with each sample, in version 2. */
  readonly sendMetadata: boolean;
  readonly maxSamples: number;
  /** Older samples (ms) are left out; 0 for no limit. */
  readonly sampleAgeLimit: number;
}

/** What became of a batch, for the accounting of each endpoint. */
export interface FragmentCounts {
  relabelled: number;
  tooOld: number;
  exemplars: number;
  droppedExemplars: number;
  histograms: number;
  droppedHistograms: number;
  /** Histograms with custom buckets, for which version 1 has no form. */
  droppedCustomBuckets: number;
}

export function noCounts(): FragmentCounts {
  return {
    relabelled: 0,
    tooOld: 0,
    exemplars: 0,
    droppedExemplars: 0,
    histograms: 0,
    droppedHistograms: 0,
    droppedCustomBuckets: 0,
  };
}

/** The schema of histograms with custom buckets. */
const CUSTOM_BUCKETS = -53;
const NO_EXEMPLARS: readonly Exemplar[] = [];
const INITIAL_BYTES = 1024 * 1024;

/** Writes requests of one of the two versions. */
interface RequestWriter {
  reset(): void;
  bytes(): Buffer;
  samples(refs: Int32Array, columns: SampleColumns, from: number, to: number): void;
  sampleWith(
    ref: SeriesRef,
    columns: SampleColumns,
    i: number,
    exemplars: readonly Exemplar[],
    histogram: NativeHistogram | undefined,
  ): void;
}

/** One buffer for all: nothing is left in it between two calls. */
const encoder1 = new WriteRequestEncoder(INITIAL_BYTES);

function version1(registry: SeriesRegistry): RequestWriter {
  return {
    reset: () => encoder1.reset(),
    bytes: () => encoder1.bytes(),
    samples: (refs, { timestamp, value, flags }, from, to) =>
      encoder1.samples(registry, refs, timestamp, value, flags, from, to),
    sampleWith: (ref, { timestamp, value, flags }, i, exemplars, histogram) => {
      const isStale = (flags[i]! & SAMPLE_STALE) !== 0;
      encoder1.sampleWith(registry, ref, timestamp[i]!, value[i]!, isStale, exemplars, histogram);
    },
  };
}

/**
 * Turns batches into fragments: snappy-compressed requests of at most `maxSamples` samples, which may be sent as they are
 * or joined. Which series of a batch becomes which (external labels, write_relabel_config) is remembered by ref.
 */
export class FragmentEncoder {
  readonly #settings: FragmentSettings;
  readonly #registry: SeriesRegistry;
  readonly #writer: RequestWriter;
  readonly #now: () => number;
  readonly #rules: RelabelRules;
  /** Undefined where every series stays as it is. */
  readonly #map: RefMap | undefined;
  #out = new Int32Array(1024);
  #order = new Int32Array(0);

  /** `symbols` are needed for version 2. `now` is in epoch milliseconds. */
  constructor(
    registry: SeriesRegistry,
    settings: FragmentSettings,
    now: () => number,
    symbols: SeriesSymbols | undefined,
  ) {
    this.#registry = registry;
    this.#settings = settings;
    this.#now = now;
    this.#writer =
      symbols === undefined ? version1(registry) : new Request2Encoder(symbols, settings.sendMetadata, INITIAL_BYTES);
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
    const droppedBefore = counts.relabelled + counts.tooOld;
    const mapped = this.#map === undefined ? batch.ref : this.#mapped(batch, counts);
    const refs = this.#settings.sampleAgeLimit > 0 ? this.#withoutOld(batch, mapped, counts) : mapped;
    const isWhole = counts.relabelled + counts.tooOld === droppedBefore;
    const exemplars = this.#settings.sendExemplars ? bySample(batch.exemplars) : undefined;
    const histograms = bySample(batch.histograms);
    if (!this.#settings.sendExemplars) counts.droppedExemplars += batch.exemplars?.length ?? 0;
    if (shards === 1 && exemplars === undefined && histograms === undefined && isWhole) {
      return this.#encodePlain(batch, refs);
    }
    const fragments: QueueInput[] = [];
    const lanes = shards === 1 ? undefined : this.#sortByLane(refs, count, shards);
    let from = 0;
    for (let lane = 0; lane < shards; lane++) {
      const to = lanes === undefined ? count : lanes[lane]!;
      let samples = 0;
      this.#writer.reset();
      for (let k = from; k < to; k++) {
        const i = lanes === undefined ? k : this.#order[k]!;
        const ref = refs[i]!;
        if (ref === REF_DROPPED) continue;
        const exemplar = exemplars?.get(i);
        const histogram = histograms?.get(i)?.[0];
        if (exemplar === undefined && histogram === undefined) this.#writer.samples(refs, batch, i, i + 1);
        else if (!this.#encodeWithSides(batch, i, ref, exemplar, histogram, counts)) continue;
        samples += 1;
        if (samples >= this.#settings.maxSamples) {
          fragments.push(this.#fragment(samples, shards, lane));
          samples = 0;
        }
      }
      if (samples > 0) fragments.push(this.#fragment(samples, shards, lane));
      from = to;
    }
    return fragments;
  }

  /** The usual case: one lane, no side columns, nothing dropped. */
  #encodePlain(batch: MetricBatch, refs: Int32Array): QueueInput[] {
    const { count } = batch;
    const { maxSamples } = this.#settings;
    const fragments: QueueInput[] = [];
    this.#writer.reset();
    for (let from = 0; from < count; from += maxSamples) {
      const to = Math.min(count, from + maxSamples);
      this.#writer.samples(refs, batch, from, to);
      fragments.push(this.#fragment(to - from, 1, 0));
    }
    return fragments;
  }

  #encodeWithSides(
    batch: MetricBatch,
    i: number,
    ref: number,
    exemplars: readonly Exemplar[] | undefined,
    histogram: NativeHistogram | undefined,
    counts: FragmentCounts,
  ): boolean {
    if (histogram !== undefined) {
      if (!this.#settings.sendHistograms) {
        counts.droppedHistograms += 1;
        return false;
      }
      if (this.#settings.version === 1 && histogram.schema === CUSTOM_BUCKETS) {
        counts.droppedCustomBuckets += 1;
        return false;
      }
      counts.histograms += 1;
    }
    counts.exemplars += exemplars?.length ?? 0;
    this.#writer.sampleWith(ref, batch, i, exemplars ?? NO_EXEMPLARS, histogram);
    return true;
  }

  #fragment(samples: number, shards: number, lane: number): QueueInput {
    const bytes = compress(this.#writer.bytes());
    this.#writer.reset();
    return { bytes, items: samples, tag: fragmentTag(this.#settings.version, shards, lane) };
  }

  #mapped(batch: MetricBatch, counts: FragmentCounts): Int32Array {
    const map = this.#map!;
    const { count, ref } = batch;
    const out = this.#room(count);
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

  /** Marks the samples that are older than the limit as dropped. */
  #withoutOld(batch: MetricBatch, refs: Int32Array, counts: FragmentCounts): Int32Array {
    const { count, timestamp } = batch;
    const oldest = this.#now() - this.#settings.sampleAgeLimit;
    const out = this.#room(count);
    for (let i = 0; i < count; i++) {
      const isOld = timestamp[i]! < oldest && refs[i] !== REF_DROPPED;
      if (isOld) counts.tooOld += 1;
      out[i] = isOld ? REF_DROPPED : refs[i]!;
    }
    return out;
  }

  #room(count: number): Int32Array {
    if (count > this.#out.length) this.#out = new Int32Array(Math.ceil(count * 1.2));
    return this.#out;
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
