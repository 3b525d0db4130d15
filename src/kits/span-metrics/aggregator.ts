import { POINT } from "#formats/otlp/fields";
import type { OtlpBatch } from "#pipeline/batch";
import { AdjustedCounts } from "./adjusted-count.ts";
import { type Dimension, DimensionList, type Labels, textValue } from "./dimensions.ts";
import { KeyBuffer } from "./key.ts";
import { DeltaStarts, MetricSeries, overflowAttributes } from "./metric.ts";
import { MetricRequests, type PointForm, packAttributes } from "./requests.ts";
import { identify, KnownForms, ResourceCache } from "./resources.ts";
import { AttributeRanges, SpanScan, type TraceVisitor, TraceWalk, WantedKeys } from "./scan.ts";
import { MemoryBudget, NO_ROOM } from "./series.ts";

/**
 * Counts spans and their durations by resource, name, kind, status and configured dimensions. Matches
 * connector/spanmetricsconnector of the Collector; docs of otelcol.connector.spanmetrics say where it differs.
 */

const SERVICE_NAME = "service.name";
const SCOPE = "spanmetricsconnector";
const KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"].map(
  (each) => `SPAN_KIND_${each}`,
);
const STATUS_CODES = ["UNSET", "OK", "ERROR"].map((each) => `STATUS_CODE_${each}`);
/** What a resource takes beside its attributes: its tables before they grow. */
const RESOURCE_BYTES = 4096;

export interface SpanMetricsOptions {
  /** Dimensions of all metrics, and those of single ones. */
  readonly dimensions: readonly Dimension[];
  readonly callsDimensions: readonly Dimension[];
  readonly durationDimensions: readonly Dimension[];
  /** No metric of events without them. */
  readonly eventDimensions: readonly Dimension[] | undefined;
  /** Names of dimensions that are there by themselves and not wanted. */
  readonly excluded: ReadonlySet<string>;
  readonly instanceId: string;
  /** Instrumentation scopes whose name and version are labels. */
  readonly scopes: readonly string[];
  /** Attributes that tell resources apart; all if empty. */
  readonly resourceKeys: readonly string[];
  /** Resources that are kept from flush to flush. */
  readonly maxResources: number;
  /** Series of one metric and resource; 0 for no limit. */
  readonly maxSeries: number;
  readonly isDelta: boolean;
  /** No metric of durations without it. Bounds are in the unit and rise; exponential buckets without them. */
  readonly histogram: { readonly bounds: readonly number[] | undefined; readonly maxSize: number } | undefined;
  readonly unit: "ms" | "s";
  /** Exemplars of a data point. */
  readonly maxExemplars: number;
  /** Resources and series that were not seen for so long (ms) are forgotten; 0 for never. */
  readonly resourceExpirationMs: number;
  readonly seriesExpirationMs: number;
  /** Series of which the time of the last flush is kept, for deltas. */
  readonly maxDeltaStarts: number;
  readonly namespace: string;
  /** What all series may take together, in bytes. */
  readonly memoryLimit: number;
}

/** Why spans were not counted. */
type SpanMetricsDropReason = "no_service_name" | "series_memory";
/** The same, or why they were counted in a resource's series of overflow. */
export type SpanMetricsLoss = SpanMetricsDropReason | "overflow_limit" | "overflow_memory";

class ResourceSeries {
  readonly identity: string;
  readonly attributes: Uint8Array;
  lastSeen = 0;
  isGone = false;
  /** One and the same as `calls` where both have the same labels. */
  readonly calls: MetricSeries;
  readonly durations: MetricSeries | undefined;
  readonly events: MetricSeries | undefined;

  constructor(
    identity: string,
    attributes: Uint8Array,
    calls: MetricSeries,
    durations: MetricSeries | undefined,
    events: MetricSeries | undefined,
  ) {
    this.identity = identity;
    this.attributes = attributes;
    this.calls = calls;
    this.durations = durations;
    this.events = events;
  }
  *metrics(): Generator<MetricSeries> {
    yield this.calls;
    if (this.durations !== undefined && this.durations !== this.calls) yield this.durations;
    if (this.events !== undefined) yield this.events;
  }
}

export class SpanMetrics implements TraceVisitor {
  /** Spans counted so far. */
  counted = 0;
  /** Spans by reason, until somebody takes them out. */
  readonly losses = new Map<SpanMetricsLoss, number>();
  readonly budget: MemoryBudget;
  readonly #options: SpanMetricsOptions;
  readonly #serviceSlot: number;
  readonly #dimensions: DimensionList;
  readonly #callsDimensions: DimensionList;
  readonly #durationDimensions: DimensionList;
  readonly #eventDimensions: DimensionList | undefined;
  /** Calls and durations have the same labels, and so share their series. */
  readonly #isShared: boolean;
  readonly #hasService: boolean;
  readonly #hasName: boolean;
  readonly #hasKind: boolean;
  readonly #hasStatus: boolean;
  /** Spans of one resource may have different services when only other attributes tell resources apart. */
  readonly #isServiceInKey: boolean;
  readonly #scopes: readonly Buffer[];
  readonly #nanosPerUnit: number;
  readonly #resourceKeys: ReadonlySet<string>;
  readonly #resources: ResourceCache<ResourceSeries>;
  readonly #requests: MetricRequests;
  readonly #forms = new KnownForms<ResourceSeries>();
  readonly #starts: DeltaStarts;
  readonly #walk: TraceWalk;
  readonly #span: SpanScan;
  readonly #event: AttributeRanges;
  readonly #counts = new AdjustedCounts(Math.random);
  readonly #key = new KeyBuffer();
  readonly #overflowKey = new KeyBuffer();
  #now = 0;
  // Where the request stands:
  #resource: ResourceSeries | undefined;
  #attributes: AttributeRanges;
  #leftOutFor: SpanMetricsLoss = "no_service_name";
  #overflow: SpanMetricsLoss | undefined;
  #scopeNameFrom = 0;
  #scopeNameTo = 0;
  #scopeVersionFrom = 0;
  #scopeVersionTo = 0;
  #isScopeWanted = false;
  #sinceFlush = 0;
  #hasZeros = false;

  constructor(options: SpanMetricsOptions) {
    const { dimensions, callsDimensions, durationDimensions, eventDimensions = [], excluded } = options;
    this.#options = options;
    this.budget = new MemoryBudget(options.memoryLimit);
    const all = [...dimensions, ...callsDimensions, ...durationDimensions, ...eventDimensions];
    const names = all.map(({ name }) => name).filter((name) => name !== "");
    const hasGlobs = all.some(({ glob }) => glob !== "");
    const wanted = new WantedKeys([...names, SERVICE_NAME]);
    this.#serviceSlot = wanted.names.indexOf(SERVICE_NAME);
    this.#dimensions = new DimensionList(dimensions, wanted);
    this.#callsDimensions = new DimensionList(callsDimensions, wanted);
    this.#durationDimensions = new DimensionList(durationDimensions, wanted);
    this.#eventDimensions = options.eventDimensions && new DimensionList(eventDimensions, wanted);
    this.#isShared = JSON.stringify(callsDimensions) === JSON.stringify(durationDimensions);
    this.#hasService = !excluded.has(SERVICE_NAME);
    this.#hasName = !excluded.has("span.name");
    this.#hasKind = !excluded.has("span.kind");
    this.#hasStatus = !excluded.has("status.code");
    const { resourceKeys } = options;
    this.#isServiceInKey = this.#hasService && resourceKeys.length > 0 && !resourceKeys.includes(SERVICE_NAME);
    this.#scopes = options.scopes.filter((name) => name !== "").map((name) => Buffer.from(name));
    this.#nanosPerUnit = options.unit === "s" ? 1e9 : 1e6;
    this.#resourceKeys = new Set(resourceKeys);
    this.#resources = new ResourceCache(options.maxResources);
    this.#requests = new MetricRequests(SCOPE, options.isDelta);
    this.#starts = new DeltaStarts(options.maxDeltaStarts);
    // Names of dimensions are all that is looked for in spans: service.name among them is the resource's.
    const ofSpans = names.length === 0 ? new WantedKeys([]) : wanted;
    this.#attributes = new AttributeRanges(wanted, hasGlobs);
    this.#walk = new TraceWalk(this.#attributes);
    this.#span = new SpanScan(new AttributeRanges(ofSpans, hasGlobs));
    this.#event = new AttributeRanges(wanted, hasGlobs);
  }

  /** Resources and series that are kept. */
  get sizes(): { readonly resources: number; readonly series: number } {
    let series = 0;
    for (const resource of this.#resources.values()) {
      for (const metric of resource.metrics()) series += metric.table.size;
    }
    return { resources: this.#resources.size, series };
  }
  /** Whether something was counted that no flush has told of. */
  get isPending(): boolean {
    return this.#sinceFlush > 0 || this.#hasZeros;
  }

  /** Counts the spans of a request. Throws ProtobufError for what is none. */
  add(request: Uint8Array, now: number): void {
    this.#now = now;
    this.#counts.reset();
    this.#walk.run(request, this);
    this.#resource = undefined;
  }

  enterResource(bytes: Buffer, attributes: AttributeRanges, pieces: readonly number[]): boolean {
    if (attributes.slots[this.#serviceSlot * 2]! < 0) {
      this.#leftOutFor = "no_service_name";
      return false;
    }
    const resource = this.#resourceOf(bytes, pieces);
    if (resource === undefined) {
      this.#leftOutFor = "series_memory";
      return false;
    }
    resource.lastSeen = this.#now;
    this.#resource = resource;
    return true;
  }
  leftOut(spans: number): void {
    this.#lose(this.#leftOutFor, spans);
  }

  enterScope(bytes: Buffer, nameFrom: number, nameTo: number, versionFrom: number, versionTo: number): void {
    this.#isScopeWanted = this.#scopes.some((name) => name.compare(bytes, nameFrom, nameTo) === 0);
    this.#scopeNameFrom = nameFrom;
    this.#scopeNameTo = nameTo;
    this.#scopeVersionFrom = versionFrom;
    this.#scopeVersionTo = versionTo;
  }

  span(bytes: Buffer, body: number, end: number): void {
    const span = this.#span;
    const key = this.#key;
    const resource = this.#resource!;
    span.read(bytes, body, end);
    const duration = span.nanoseconds / this.#nanosPerUnit;
    const times = this.#counts.of(bytes, span.traceStateFrom, span.traceStateTo);
    this.#overflow = undefined;
    this.#beginKey(bytes);
    const prefix = key.length;
    this.#dimensions.addTo(key, bytes, span.attributes, undefined, this.#attributes);
    const common = key.length;
    this.#callsDimensions.addTo(key, bytes, span.attributes, undefined, this.#attributes);
    this.#count(resource.calls, this.#callsDimensions, bytes, undefined, duration, times);
    if (resource.durations !== undefined && !this.#isShared) {
      key.length = common;
      this.#durationDimensions.addTo(key, bytes, span.attributes, undefined, this.#attributes);
      this.#count(resource.durations, this.#durationDimensions, bytes, undefined, duration, times);
    }
    if (resource.events !== undefined) {
      for (let i = 0; i < span.events.count; i++) this.#addEvent(bytes, resource.events, i, prefix, duration, times);
    }
    this.counted += 1;
    this.#sinceFlush += 1;
    if (this.#overflow !== undefined) this.#lose(this.#overflow, 1);
  }

  #lose(reason: SpanMetricsLoss, spans: number): void {
    if (spans > 0) this.losses.set(reason, (this.losses.get(reason) ?? 0) + spans);
  }

  #addEvent(bytes: Buffer, events: MetricSeries, i: number, prefix: number, duration: number, times: number): void {
    const { attributes } = this.#span;
    const { ends } = this.#span.events;
    const dimensions = this.#eventDimensions!;
    this.#event.clear();
    this.#event.addField(bytes, ends[i * 2]!, ends[i * 2 + 1]!, 3);
    this.#key.length = prefix;
    this.#dimensions.addTo(this.#key, bytes, attributes, this.#event, this.#attributes);
    dimensions.addTo(this.#key, bytes, attributes, this.#event, this.#attributes);
    this.#count(events, dimensions, bytes, this.#event, duration, times);
  }

  /** What is in the keys of all metrics of a span. */
  #beginKey(bytes: Buffer): void {
    const key = this.#key;
    const span = this.#span;
    key.reset();
    const kind = this.#hasKind ? Math.min(span.kind >>> 0, KINDS.length) : 0;
    const status = this.#hasStatus ? Math.min(span.statusCode >>> 0, STATUS_CODES.length) : 0;
    key.byte(kind * 8 + status);
    if (this.#hasName) key.part(bytes, span.nameFrom, span.nameTo);
    if (this.#isServiceInKey) {
      const { slots } = this.#attributes;
      key.value(bytes, slots[this.#serviceSlot * 2]!, slots[this.#serviceSlot * 2 + 1]!);
    }
    if (this.#scopes.length === 0) return;
    key.byte(this.#isScopeWanted ? 1 : 0);
    if (!this.#isScopeWanted) return;
    key.part(bytes, this.#scopeNameFrom, this.#scopeNameTo);
    key.part(bytes, this.#scopeVersionFrom, this.#scopeVersionTo);
  }

  /** Counts the span in the series of the present key. */
  #count(
    metric: MetricSeries,
    dimensions: DimensionList,
    bytes: Buffer,
    event: AttributeRanges | undefined,
    duration: number,
    times: number,
  ): void {
    const { table, sums, histogram, exemplars } = metric;
    const hash = this.#key.hash();
    let id = table.find(this.#key, hash);
    if (id < 0) id = this.#newSeries(metric, hash, dimensions, bytes, event);
    table.lastSeen[id] = this.#now;
    sums?.add(id, times);
    histogram?.observe(id, duration, times);
    if (exemplars !== undefined && id !== metric.overflow && this.#span.traceId >= 0) {
      exemplars.add(id, bytes, this.#span.traceId, this.#span.spanId, duration);
    }
  }

  /** A series for the present key, or the one for all that have no room of their own. */
  #newSeries(
    metric: MetricSeries,
    hash: number,
    dimensions: DimensionList,
    bytes: Buffer,
    event: AttributeRanges | undefined,
  ): number {
    const { maxSeries } = this.#options;
    if (maxSeries > 0 && metric.table.size >= maxSeries) this.#overflow = "overflow_limit";
    else {
      const attributes = packAttributes(this.#describe(bytes, dimensions, event).values());
      const id = metric.table.add(this.#key, hash, attributes, this.#now, false);
      if (id !== NO_ROOM) return id;
      this.#overflow = "overflow_memory";
    }
    if (metric.overflow < 0) {
      metric.overflow = metric.table.add(this.#overflowKey, 0, overflowAttributes, this.#now, true);
    }
    return metric.overflow;
  }

  #describe(bytes: Buffer, dimensions: DimensionList, event: AttributeRanges | undefined): Labels {
    const span = this.#span;
    const { excluded, instanceId } = this.#options;
    const labels: Labels = new Map();
    const set = (name: string, value: Buffer) => void labels.set(name, { name: Buffer.from(name), value });
    const text = (from: number, to: number) => textValue(bytes.subarray(from, to));
    if (this.#hasService) set(SERVICE_NAME, this.#serviceName(bytes));
    if (this.#hasName) set("span.name", text(span.nameFrom, span.nameTo));
    if (this.#hasKind) set("span.kind", textValue(KINDS[span.kind] ?? ""));
    if (this.#hasStatus) set("status.code", textValue(STATUS_CODES[span.statusCode] ?? ""));
    if (!excluded.has("collector.instance.id")) set("collector.instance.id", textValue(instanceId));
    if (this.#isScopeWanted) {
      set("span.instrumentation.scope.name", text(this.#scopeNameFrom, this.#scopeNameTo));
      if (this.#scopeVersionTo > this.#scopeVersionFrom) {
        set("span.instrumentation.scope.version", text(this.#scopeVersionFrom, this.#scopeVersionTo));
      }
    }
    for (const each of [this.#dimensions, dimensions])
      each.describe(labels, bytes, span.attributes, event, this.#attributes);
    return labels;
  }

  /** The service's name as an AnyValue; a value that is no text is an empty name. */
  #serviceName(bytes: Buffer): Buffer {
    const { slots } = this.#attributes;
    const value = bytes.subarray(slots[this.#serviceSlot * 2]!, slots[this.#serviceSlot * 2 + 1]!);
    return value[0] === 10 ? value : textValue("");
  }

  #resourceOf(bytes: Buffer, pieces: readonly number[]): ResourceSeries | undefined {
    const known = pieces.length === 2 ? this.#forms.find(bytes, pieces[0]!, pieces[1]!) : undefined;
    if (known !== undefined && !known.isGone) return this.#resources.get(known.identity);
    const { key, attributes } = identify(bytes, pieces, this.#resourceKeys);
    let resource = this.#resources.get(key);
    if (resource === undefined) {
      if (!this.budget.take(RESOURCE_BYTES + attributes.length)) return undefined;
      resource = this.#newResource(key, attributes);
      this.#resources.add(key, resource);
    }
    if (pieces.length === 2) this.#forms.add(bytes, pieces[0]!, pieces[1]!, resource);
    return resource;
  }

  #newResource(key: string, attributes: Uint8Array): ResourceSeries {
    const { budget } = this;
    const { histogram, maxExemplars, eventDimensions } = this.#options;
    const shared = this.#isShared && histogram !== undefined;
    const calls = new MetricSeries(budget, true, shared ? histogram : undefined, maxExemplars);
    const own = histogram && !shared ? new MetricSeries(budget, false, histogram, maxExemplars) : undefined;
    const events = eventDimensions && new MetricSeries(budget, true, undefined, maxExemplars);
    return new ResourceSeries(key, attributes, calls, shared ? calls : own, events);
  }

  #forget(resources: readonly ResourceSeries[]): void {
    for (const resource of resources) {
      for (const metric of resource.metrics()) metric.table.close();
      this.budget.giveBack(RESOURCE_BYTES + resource.attributes.length);
    }
  }

  /**
   * The metrics as they are, for the time `now` (epoch ms), one request at a time: spans may be counted in between. A
   * cumulative count is 0 in the first request that has it, so that backends see it rise from there. At the end what is
   * over is forgotten.
   */
  *flush(now: number): Generator<OtlpBatch> {
    const { isDelta } = this.#options;
    this.#sinceFlush = 0;
    this.#hasZeros = false;
    // What goes is out of reach of the spans that come meanwhile.
    const gone = isDelta ? this.#resources.takeAll() : this.#resources.takeEvicted();
    for (const resource of gone) resource.isGone = true;
    try {
      for (const resource of [...this.#resources.values(), ...gone]) yield* this.#write(resource, now);
      const last = this.#requests.take();
      if (last !== undefined) yield last;
    } finally {
      this.#requests.reset();
      this.#starts.commit(now);
      this.#forget(gone);
      if (!isDelta) this.#forgetUnseen(now);
    }
  }

  *#write(resource: ResourceSeries, now: number): Generator<OtlpBatch> {
    const { namespace, unit } = this.#options;
    const { calls, durations, events, attributes } = resource;
    const prefix = namespace === "" ? "" : `${namespace}.`;
    const requests = this.#requests;
    requests.resource(attributes);
    requests.metric(`${prefix}calls`, "", "number");
    yield* this.#writePoints(resource, calls, "number", "c", now);
    if (durations?.histogram !== undefined) {
      const { kind } = durations.histogram;
      requests.metric(`${prefix}duration`, unit, kind);
      yield* this.#writePoints(resource, durations, kind, this.#isShared ? "c" : "d", now);
    }
    if (events !== undefined) {
      requests.metric(`${prefix}events`, "", "number");
      yield* this.#writePoints(resource, events, "number", "e", now);
    }
    for (const metric of resource.metrics()) metric.exemplars?.clear();
  }

  *#writePoints(
    resource: ResourceSeries,
    metric: MetricSeries,
    form: PointForm,
    group: string,
    now: number,
  ): Generator<OtlpBatch> {
    const requests = this.#requests;
    const { table, sums, histogram, exemplars } = metric;
    for (let id = 0; id < table.limit; id++) {
      if (!table.has(id)) continue;
      const mark = requests.beginPoint(table, id, this.#startOf(resource, metric, group, id), now);
      if (form === "number") {
        const isZero = !this.#options.isDelta && sums!.takeNew(id);
        if (isZero) this.#hasZeros = true;
        sums!.write(requests.writer, id, isZero);
      } else histogram!.write(requests.writer, id);
      exemplars?.write(requests.writer, POINT.exemplars[form], id, now);
      if (requests.endPoint(mark)) yield requests.take()!;
    }
  }

  /** When the series began to count: for deltas when the one before ended, as long as that is known. */
  #startOf(resource: ResourceSeries, metric: MetricSeries, group: string, id: number): number {
    const own = metric.table.start[id]!;
    return this.#options.isDelta ? this.#starts.next(resource.identity, group, metric.table.key(id), own) : own;
  }

  #forgetUnseen(now: number): void {
    const { seriesExpirationMs, resourceExpirationMs } = this.#options;
    if (seriesExpirationMs === 0 && resourceExpirationMs === 0) return;
    for (const [key, resource] of [...this.#resources.recent()]) {
      if (seriesExpirationMs > 0) for (const metric of resource.metrics()) metric.expire(now - seriesExpirationMs);
      // It goes with the next flush, as in the Collector, and stays if it is seen again by then.
      if (resourceExpirationMs > 0 && now - resource.lastSeen >= resourceExpirationMs) this.#resources.evict(key);
    }
  }
}
