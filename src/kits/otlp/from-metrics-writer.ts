import { DATA, NO_RECORDED_VALUE, POINT, SUM } from "#formats/otlp/fields";
import type { ProtoWriter } from "#formats/protobuf";
import { type Exemplar, type MetricBatch, SAMPLE_STALE } from "#pipeline/batch";
import type { SeriesRegistry } from "#pipeline/series";
import { BOUND, COUNT, CREATED, SUM_VALUE } from "./from-metrics-families.ts";
import type { FamilyGroup, Lost } from "./from-metrics-groups.ts";
import {
  Bounds,
  writeCount,
  writeCustomBuckets,
  writeExemplar,
  writeExponential,
  writeStart,
} from "./from-metrics-points.ts";
import { writeNanos } from "./nanos.ts";

/** Tag and content of a field of 64 bits. */
const FIXED_BYTES = 9;
const FLAG_BYTES = 2;
const NOTHING: readonly Exemplar[] = [];

/** Writes the points of the present batch: one group of series at a time, from the chain of its samples. */
export class PointWriter {
  /** Points written so far. */
  count = 0;
  readonly #groups: SeriesRegistry;
  readonly #prefix: number;
  #batch!: MetricBatch;
  #role!: Uint8Array;
  #boundary!: Float64Array;
  #next!: Int32Array;
  #histogramOf!: Int32Array;
  #lost!: Lost;
  readonly #exemplars = new Map<number, Exemplar[]>();
  /** Samples of groups with several times that are in a point already. */
  #done = new Set<number>();
  readonly #bounds = new Bounds();
  #attributes = Buffer.allocUnsafeSlow(4096);
  #attributeBytes = 0;

  /** `groups` has the attributes of each group, behind `prefix` bytes. */
  constructor(groups: SeriesRegistry, prefix: number) {
    this.#groups = groups;
    this.#prefix = prefix;
  }

  /** Points at a batch, and at columns by series and by sample. */
  begin(
    batch: MetricBatch,
    role: Uint8Array,
    boundary: Float64Array,
    next: Int32Array,
    histogramOf: Int32Array,
    lost: Lost,
  ): this {
    this.count = 0;
    this.#batch = batch;
    this.#role = role;
    this.#boundary = boundary;
    this.#next = next;
    this.#histogramOf = histogramOf;
    this.#lost = lost;
    for (const each of batch.exemplars ?? NOTHING) {
      const known = this.#exemplars.get(each.sample);
      if (known === undefined) this.#exemplars.set(each.sample, [each]);
      else known.push(each);
    }
    return this;
  }
  end(): void {
    this.#exemplars.clear();
    this.#done.clear();
  }

  /** Tells of the samples of a family that make no point. */
  skip(family: FamilyGroup, heads: Int32Array, nextGroup: Int32Array): void {
    for (let group = family.firstGroup; group !== 0; group = nextGroup[group]!) this.#incomplete(heads[group]!);
  }

  /** Writes the points of a group as members of a metric's data. */
  write(writer: ProtoWriter, family: FamilyGroup, group: number, head: number): void {
    this.#load(group);
    switch (family.kind) {
      case "number":
        this.#numbers(writer, family, head);
        return;
      case "histogram":
      case "summary":
        this.#distributions(writer, family, head);
        return;
      default:
        for (let i = head; i >= 0; i = this.#next[i]!) this.#native(writer, family, i);
    }
  }

  #load(group: number): void {
    const length = this.#groups.encodedLength(group);
    if (length > this.#attributes.length) this.#attributes = Buffer.allocUnsafeSlow(length * 2);
    this.#attributeBytes = this.#groups.copyEncoded(group, this.#attributes, 0);
  }

  #numbers(writer: ProtoWriter, family: FamilyGroup, head: number): void {
    const { timestamp, value, flags, ref } = this.#batch;
    const start = family.field === SUM ? this.#startOf(head) : 0;
    const attributes = this.#attributes;
    const prefix = this.#prefix;
    const to = this.#attributeBytes;
    for (let i = head; i >= 0; i = this.#next[i]!) {
      if (this.#role[ref[i]!] === CREATED) continue;
      this.count += 1;
      const isStale = (flags[i]! & SAMPLE_STALE) !== 0;
      if (start === 0 && this.#exemplars.size === 0) {
        // The common form: the length is known beforehand, so nothing is moved.
        writer.tag(DATA.points, 2);
        writer.rawVarint(FIXED_BYTES + (isStale ? FLAG_BYTES : FIXED_BYTES) + to - prefix);
        writeNanos(writer, POINT.time, timestamp[i]!, 0);
        if (isStale) writer.uint32(POINT.flags.number, NO_RECORDED_VALUE);
        else writer.double(POINT.asDouble, value[i]!);
        writer.raw(attributes, prefix, to);
        continue;
      }
      const point = writer.begin(DATA.points);
      writeStart(writer, start);
      writeNanos(writer, POINT.time, timestamp[i]!, 0);
      if (isStale) writer.uint32(POINT.flags.number, NO_RECORDED_VALUE);
      else writer.double(POINT.asDouble, value[i]!);
      writer.raw(attributes, prefix, to);
      this.#writeExemplars(writer, POINT.exemplars.number, i);
      writer.end(point);
    }
  }

  /** Histograms and summaries: one point for each time of the group's samples. */
  #distributions(writer: ProtoWriter, family: FamilyGroup, head: number): void {
    const { timestamp } = this.#batch;
    let from = head;
    let isMixed = false;
    while (from >= 0) {
      const time = timestamp[from]!;
      let later = -1;
      for (let i = from; i >= 0; i = this.#next[i]!) {
        if (timestamp[i] !== time && later < 0 && !this.#done.has(i)) later = i;
      }
      isMixed ||= later >= 0;
      if (isMixed) for (let i = from; i >= 0; i = this.#next[i]!) if (timestamp[i] === time) this.#done.add(i);
      this.#distribution(writer, family, from, time);
      from = later;
    }
  }
  #distribution(writer: ProtoWriter, family: FamilyGroup, from: number, time: number): void {
    const { timestamp, value, flags, ref, start: starts } = this.#batch;
    const bounds = this.#bounds;
    bounds.reset();
    let count: number | undefined;
    let sum: number | undefined;
    let start = 0;
    let isStale = false;
    let samples = 0;
    for (let i = from; i >= 0; i = this.#next[i]!) {
      if (timestamp[i] !== time) continue;
      samples += 1;
      if (starts !== undefined && starts[i]! > 0) start = starts[i]! / 1000;
      const series = ref[i]!;
      switch (this.#role[series]) {
        case SUM_VALUE:
          sum = value[i]!;
          if ((flags[i]! & SAMPLE_STALE) !== 0) isStale = true;
          break;
        case COUNT:
          count = value[i]!;
          if ((flags[i]! & SAMPLE_STALE) !== 0) isStale = true;
          break;
        case CREATED:
          if ((flags[i]! & SAMPLE_STALE) === 0) start = value[i]!;
          break;
        case BOUND:
          bounds.add(this.#boundary[series]!, value[i]!);
      }
    }
    if (count === undefined) {
      this.#tell(from, samples);
      return;
    }
    this.count += 1;
    const isHistogram = family.kind === "histogram";
    const point = writer.begin(DATA.points);
    writeStart(writer, start);
    writeNanos(writer, POINT.time, time, 0);
    if (isStale) writer.uint32(isHistogram ? POINT.flags.histogram : POINT.flags.summary, NO_RECORDED_VALUE);
    else {
      writeCount(writer, POINT.count, count);
      if (sum !== undefined) writer.double(POINT.sum, sum);
    }
    if (isHistogram) bounds.writeBuckets(writer, count, isStale);
    else bounds.writeQuantiles(writer, isStale);
    writer.raw(this.#attributes, this.#prefix, this.#attributeBytes);
    if (isHistogram && this.#exemplars.size > 0) {
      for (let i = from; i >= 0; i = this.#next[i]!) {
        if (timestamp[i] === time) this.#writeExemplars(writer, POINT.exemplars.histogram, i);
      }
    }
    writer.end(point);
  }

  #native(writer: ProtoWriter, family: FamilyGroup, i: number): void {
    const { timestamp, flags, histograms, start } = this.#batch;
    const isCustom = family.kind === "custom";
    const isStale = (flags[i]! & SAMPLE_STALE) !== 0;
    const histogram = isStale ? undefined : histograms![this.#histogramOf[i]!]!;
    if (isCustom && histogram !== undefined && (histogram.customBounds ?? []).length === 0) {
      this.#tell(i, 1); // as in Alloy: without bounds it would say no more than a count
      return;
    }
    this.count += 1;
    const kind = isCustom ? "histogram" : "exponential";
    const point = writer.begin(DATA.points);
    writer.raw(this.#attributes, this.#prefix, this.#attributeBytes);
    writeStart(writer, (start?.[i] ?? 0) / 1000);
    writeNanos(writer, POINT.time, timestamp[i]!, 0);
    if (histogram === undefined) writer.uint32(POINT.flags[kind], NO_RECORDED_VALUE);
    else if (isCustom) writeCustomBuckets(writer, histogram);
    else writeExponential(writer, histogram);
    this.#writeExemplars(writer, POINT.exemplars[kind], i);
    writer.end(point);
  }

  /** Seconds since when a group counts; 0 where nothing says it. */
  #startOf(head: number): number {
    const { ref, value, start, flags } = this.#batch;
    let seconds = 0;
    for (let i = head; i >= 0; i = this.#next[i]!) {
      if (this.#role[ref[i]!] === CREATED && (flags[i]! & SAMPLE_STALE) === 0) seconds = value[i]!;
      else if (start !== undefined && start[i]! > 0) seconds = start[i]! / 1000;
    }
    return seconds;
  }

  #writeExemplars(writer: ProtoWriter, field: number, sample: number): void {
    for (const each of this.#exemplars.get(sample) ?? NOTHING) writeExemplar(writer, field, each);
  }

  #incomplete(head: number): void {
    let samples = 0;
    for (let i = head; i >= 0; i = this.#next[i]!) if (this.#role[this.#batch.ref[i]!] !== CREATED) samples += 1;
    if (samples > 0) this.#tell(head, samples);
  }
  #tell(sample: number, samples: number): void {
    const { registry, ref } = this.#batch;
    this.#lost("incomplete_histogram", samples, () => registry.labels(ref[sample]!).toString());
  }
}
