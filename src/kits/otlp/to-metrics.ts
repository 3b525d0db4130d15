import {
  DATA,
  dataField,
  EXPONENTIAL,
  GAUGE,
  GROUP,
  HISTOGRAM,
  METRIC,
  POINT,
  pointKindOf,
  RESOURCE,
  SCOPE,
  SUM,
  SUMMARY,
  TEMPORALITY,
} from "#formats/otlp/fields";
import { prometheusName } from "#formats/otlp/metrics-names";
import { OtlpRecord } from "#formats/otlp/record";
import type { KeyValues } from "#formats/otlp/values";
import { members, resourceGroups } from "#formats/otlp/walk";
import { ProtoReader } from "#formats/protobuf";
import type { MetricMetadata } from "#pipeline/batch";
import type { SeriesRef, SeriesRegistry } from "#pipeline/series";
import type { SampleColumns } from "./to-metrics-columns.ts";
import {
  KnownHistogram,
  KnownNative,
  type KnownSeries,
  KnownSummary,
  type PointDropReason,
  SampleSink,
  type SeriesMaker,
} from "./to-metrics-known.ts";
import {
  pointLabels,
  type Scope,
  type Source,
  scopeInfoLabels,
  sourceOf,
  targetInfoLabels,
} from "./to-metrics-labels.ts";
import { DataPoint } from "./to-metrics-points.ts";
import { KnownParts, SeriesTimes } from "./to-metrics-series.ts";

export interface ToMetricsOptions {
  readonly includeTargetInfo: boolean;
  readonly includeScopeInfo: boolean;
  readonly includeScopeLabels: boolean;
  readonly addMetricSuffixes: boolean;
  readonly resourceToTelemetry: boolean;
  readonly keepIdentity: boolean;
  readonly honorMetadata: boolean;
  /** Histograms with bounds become native ones with custom buckets. */
  readonly toCustomBuckets: boolean;
  /** Samples of 0 where series began. */
  readonly zeroSamples: boolean;
}

/** Told of data points that are dropped; `metric` is the name in the request. */
export type Dropped = (reason: PointDropReason, points: number, metric: string) => void;

const KIND_RESOURCE = 1;
const KIND_SCOPE = 2;
const KIND_METRIC = 3;
const KIND_POINT = 4;
const MOST_METADATA = 100_000;

interface KnownResource {
  readonly source: Source;
  /** For `resource_to_telemetry_conversion`. */
  readonly attributes: KeyValues | undefined;
  /** `target_info`; 0 if it is not wanted. */
  readonly info: SeriesRef;
}
interface KnownScope {
  readonly resource: KnownResource;
  readonly scope: Scope;
  readonly info: SeriesRef;
}
interface KnownMetric {
  readonly scope: KnownScope;
  readonly name: string;
  readonly field: number;
  readonly type: MetricMetadata["type"];
}

/**
 * Reads OTLP metrics into samples of Prometheus. What is known of a point is found by its bytes: a series that was there
 * before costs no labels and no text.
 *
 * Matches internal/component/otelcol/exporter/prometheus/internal/convert of Alloy.
 */
export class MetricsDecoder implements SeriesMaker {
  readonly #registry: SeriesRegistry;
  readonly #options: ToMetricsOptions;
  readonly #parts: KnownParts;
  readonly #times: SeriesTimes;
  /** By part. */
  readonly #resources: (KnownResource | undefined)[] = [];
  readonly #scopes: (KnownScope | undefined)[] = [];
  readonly #metrics: (KnownMetric | undefined)[] = [];
  readonly #points: (KnownSeries | undefined)[] = [];
  /** The one series of a point of a number. */
  #single = new Int32Array(1024);
  readonly #metadata = new Map<string, string>();
  readonly #request = new OtlpRecord();
  readonly #metric = new OtlpRecord();
  readonly #reader = new ProtoReader(new Uint8Array(0));
  readonly #point = new DataPoint();
  #key = Buffer.allocUnsafeSlow(512);
  #temporality = 0;
  #isMonotonic = false;
  #now = 0;
  #dropped: Dropped = () => {};
  readonly #sink: SampleSink;
  /** The metric of the present point, for series to be made. */
  #current!: KnownMetric;

  /** `startedAt` (epoch milliseconds): series that began before it are not said to begin. */
  constructor(registry: SeriesRegistry, options: ToMetricsOptions, startedAt: number) {
    this.#registry = registry;
    this.#options = options;
    this.#times = new SeriesTimes(startedAt);
    this.#parts = new KnownParts((part) => this.#forget(part));
    this.#sink = new SampleSink(this.#point, this.#times, options.zeroSamples);
  }

  /** Parts of requests that are known: series and what they belong to. */
  get size(): number {
    return this.#parts.size;
  }

  /** Adds the samples of a request to `columns`. `now` is in epoch milliseconds. Throws ProtobufError. */
  read(bytes: Uint8Array, columns: SampleColumns, now: number, dropped: Dropped): void {
    this.#now = now;
    this.#sink.columns = columns;
    this.#dropped = dropped;
    const groups = resourceGroups(this.#request.reset(bytes));
    for (let r = 0; r < groups.length; r++) this.#readResource(groups.at(r));
  }

  /** Forgets what nothing was heard of since `time`; returns how many parts. */
  sweep(time: number): number {
    return this.#parts.sweep(time);
  }
  /** Keeps memory bounded, between batches. */
  bound(): void {
    this.#parts.bound(this.#now);
  }
  /** Forgets which metadata was handed on, for consumers that have not heard of it. */
  flushMetadata(): void {
    this.#metadata.clear();
  }
  [Symbol.dispose](): void {
    this.#parts[Symbol.dispose]();
  }

  #readResource(group: OtlpRecord): void {
    const bytes = group.bytes(GROUP.resource);
    const part = this.#parts.find(0, KIND_RESOURCE, bytes, 0, bytes.length, this.#now);
    const known = (this.#resources[part] ??= this.#newResource(bytes));
    if (this.#options.includeTargetInfo) {
      this.#sink.columns.add(known.info, Math.floor(this.#now), 1, false);
      this.#describe("target_info", "gauge", "", "Target metadata");
    }
    const scopes = members(group);
    for (let s = 0; s < scopes.length; s++) this.#readScope(part, known, scopes.at(s));
  }
  #newResource(bytes: Uint8Array): KnownResource {
    const record = new OtlpRecord().reset(Buffer.from(bytes));
    const attributes = record.map(RESOURCE.attributes);
    const source = sourceOf(attributes);
    const { includeTargetInfo, resourceToTelemetry, keepIdentity } = this.#options;
    const info = includeTargetInfo ? this.#registry.intern(targetInfoLabels(source, attributes, keepIdentity)) : 0;
    return { source, attributes: resourceToTelemetry ? attributes : undefined, info };
  }

  #readScope(parent: number, resource: KnownResource, group: OtlpRecord): void {
    const bytes = group.bytes(GROUP.scope);
    const part = this.#parts.find(parent, KIND_SCOPE, bytes, 0, bytes.length, this.#now);
    const known = (this.#scopes[part] ??= this.#newScope(resource, bytes));
    if (this.#options.includeScopeInfo) {
      this.#sink.columns.add(known.info, Math.floor(this.#now), 1, false);
      this.#describe("otel_scope_info", "gauge", "", "");
    }
    const metrics = members(group);
    for (let m = 0; m < metrics.length; m++) this.#readMetric(part, known, metrics.borrow(m, this.#metric));
  }
  #newScope(resource: KnownResource, bytes: Uint8Array): KnownScope {
    const record = new OtlpRecord().reset(bytes);
    const scope = { name: record.text(SCOPE.name), version: record.text(SCOPE.version) };
    const info = this.#options.includeScopeInfo
      ? this.#registry.intern(scopeInfoLabels(resource.source, scope, record.map(SCOPE.attributes)))
      : 0;
    return { resource, scope, info };
  }

  #readMetric(parent: number, scope: KnownScope, metric: OtlpRecord): void {
    const field = dataField(metric);
    if (field === 0) return;
    const data = metric.bytes(field);
    const points = this.#survey(data);
    if (field !== GAUGE && field !== SUMMARY && this.#temporality !== TEMPORALITY.cumulative) {
      const reason = this.#temporality === TEMPORALITY.delta ? "delta_temporality" : "unspecified_temporality";
      this.#dropped(reason, points, metric.text(METRIC.name));
      return;
    }
    const part = this.#findMetric(parent, field, metric);
    const known = (this.#metrics[part] ??= this.#newMetric(scope, field, metric));
    const shape = pointKindOf(field);
    const reader = this.#reader;
    reader.reset(data);
    while (reader.position < reader.end) {
      const tag = reader.tag();
      if (tag !== ((DATA.points << 3) | 2)) {
        reader.skip(tag);
        continue;
      }
      const length = reader.length();
      const from = reader.position;
      reader.position = from + length;
      this.#point.read(shape, data, from, from + length, KnownParts.PREFIX_BYTES);
      this.#readPoint(part, known, metric);
    }
    if (this.#options.honorMetadata) {
      this.#describe(known.name, known.type, metric.text(METRIC.unit), metric.text(METRIC.description));
    }
  }
  /** The number of points; what else the data says goes to `#temporality` and `#isMonotonic`. */
  #survey(data: Uint8Array): number {
    const reader = this.#reader;
    reader.reset(data);
    let points = 0;
    this.#temporality = 0;
    this.#isMonotonic = false;
    while (reader.position < reader.end) {
      const tag = reader.tag();
      if (tag === DATA.temporality << 3) this.#temporality = reader.int32();
      else if (tag === DATA.isMonotonic << 3) this.#isMonotonic = reader.bool();
      else {
        if (tag === ((DATA.points << 3) | 2)) points += 1;
        reader.skip(tag);
      }
    }
    return points;
  }
  #findMetric(parent: number, field: number, metric: OtlpRecord): number {
    const name = metric.bytes(METRIC.name);
    const unit = metric.bytes(METRIC.unit);
    const at = KnownParts.PREFIX_BYTES;
    const end = at + 3 + name.length + unit.length;
    if (end > this.#key.length) this.#key = Buffer.allocUnsafeSlow(end * 2);
    const key = this.#key;
    key[at] = field;
    key[at + 1] = this.#isMonotonic ? 1 : 0;
    key.set(unit, at + 2);
    key[at + 2 + unit.length] = 0xff; // no byte of a text
    key.set(name, at + 3 + unit.length);
    return this.#parts.findPrefixed(parent, KIND_METRIC, key, end, this.#now);
  }
  #newMetric(scope: KnownScope, field: number, metric: OtlpRecord): KnownMetric {
    const isMonotonicSum = field === SUM && this.#isMonotonic;
    const name = prometheusName(
      { name: metric.text(METRIC.name), unit: metric.text(METRIC.unit), isGauge: field === GAUGE, isMonotonicSum },
      this.#options.addMetricSuffixes,
    );
    const type =
      field === HISTOGRAM || field === EXPONENTIAL
        ? "histogram"
        : field === SUMMARY
          ? "summary"
          : isMonotonicSum
            ? "counter"
            : "gauge";
    return { scope, name, field, type };
  }

  #readPoint(parent: number, metric: KnownMetric, record: OtlpRecord): void {
    const point = this.#point;
    const part = this.#parts.findPrefixed(parent, KIND_POINT, point.attributes, point.attributeBytes, this.#now);
    this.#current = metric;
    let problem: PointDropReason | undefined;
    if (metric.field === GAUGE || metric.field === SUM) problem = this.#readNumber(part, metric);
    else problem = (this.#points[part] ??= this.#newSeries(metric.field)).read(this.#sink, this);
    if (problem !== undefined) this.#dropped(problem, 1, record.text(METRIC.name));
  }
  #readNumber(part: number, metric: KnownMetric): PointDropReason | undefined {
    if (part >= this.#single.length) {
      const larger = new Int32Array(Math.max(part + 1, this.#single.length * 2));
      larger.set(this.#single);
      this.#single = larger;
    }
    let ref = this.#single[part]!;
    if (ref === 0) this.#single[part] = ref = this.make("");
    const sink = this.#sink;
    const isCounter = metric.type === "counter";
    if (isCounter) sink.begin(ref);
    if (!sink.add(ref, this.#point.value)) return "out_of_order";
    if (isCounter && this.#point.hasExemplars) sink.exemplars(ref, POINT.exemplars.number);
    return undefined;
  }
  #newSeries(field: number): KnownSeries {
    if (field === SUMMARY) return new KnownSummary();
    if (field === EXPONENTIAL) return new KnownNative(false);
    return this.#options.toCustomBuckets ? new KnownNative(true) : new KnownHistogram(this.#registry);
  }

  /** A series of the present point. */
  make(suffix: string, extra?: readonly [name: string, value: string]): SeriesRef {
    const { scope, name, field } = this.#current;
    const labels = pointLabels(
      name + suffix,
      {
        source: scope.resource.source,
        scope: this.#options.includeScopeLabels ? scope.scope : undefined,
        resource: scope.resource.attributes,
        attributes: this.#point.record().map(POINT.attributes[pointKindOf(field)]),
      },
      extra,
    );
    return this.#registry.intern(labels);
  }

  /** Hands on metadata that has changed, if it is wanted. */
  #describe(family: string, type: MetricMetadata["type"], unit: string, help: string): void {
    if (!this.#options.honorMetadata) return;
    const text = JSON.stringify([type, unit, help]);
    if (this.#metadata.get(family) === text) return;
    if (this.#metadata.size >= MOST_METADATA) this.#metadata.clear();
    this.#metadata.set(family, text);
    this.#sink.columns.addMetadata({ family, type, unit, help });
  }

  #forget(part: number): void {
    const info = this.#resources[part]?.info ?? this.#scopes[part]?.info ?? 0;
    if (info !== 0) this.#registry.release(info);
    this.#resources[part] = undefined;
    this.#scopes[part] = undefined;
    this.#metrics[part] = undefined;
    const single = part < this.#single.length ? this.#single[part]! : 0;
    if (single !== 0) {
      this.#single[part] = 0;
      this.#release(single);
    }
    for (const ref of this.#points[part]?.refs() ?? []) this.#release(ref);
    this.#points[part] = undefined;
  }
  #release(ref: SeriesRef): void {
    this.#times.forget(ref);
    this.#registry.release(ref);
  }
}
