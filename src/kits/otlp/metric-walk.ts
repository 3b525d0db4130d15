import {
  DATA,
  dataField,
  GROUP,
  METRIC,
  POINT,
  type PointKind,
  pointKindOf,
  RESOURCE,
  SCOPE,
} from "#formats/otlp/fields";
import { type ByteRange, NumberMetricScan, NumberPointScan } from "#formats/otlp/number-scan";
import { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import { members, removeIf, resourceGroups } from "#formats/otlp/walk";
import { asBuffer, type ProtoWriter } from "#formats/protobuf";
import { highHalf, lowHalf } from "./halves.ts";
import { SeriesTable } from "./metric-series.ts";
import { SeriesKey } from "./series-identity.ts";

/** Series and their states may take this much (bytes) in one component; a collector without a bound grows until it is killed. */
export const STATE_LIMIT = 1024 * 1024 * 1024;

/** What a metric is, whether it was read as a record or by a scan. */
export interface MetricHeader {
  readonly name: string;
  /** The field that holds its data (`SUM`, `HISTOGRAM` …); 0 for a metric without. */
  readonly field: number;
  readonly temporality: number;
  readonly isMonotonic: boolean;
}
/** The same with name and unit as they lie in the request. */
export interface MetricParts extends MetricHeader {
  readonly nameRange: ByteRange;
  readonly unitRange: ByteRange;
}

const EMPTY = Buffer.alloc(0);
const emptyRange = (): ByteRange => ({ bytes: EMPTY, start: 0, end: 0 });
function pointAt(range: ByteRange, bytes: Uint8Array): void {
  range.bytes = asBuffer(bytes);
  range.start = 0;
  range.end = bytes.length;
}

/** A metric of a request as a record. One serves all metrics. */
export class VisitedMetric implements MetricParts {
  resourceGroup = new OtlpRecord();
  scopeGroup = this.resourceGroup;
  metric = this.resourceGroup;
  field = 0;
  data = this.resourceGroup;
  kind: PointKind = "number";
  points: RecordList = this.resourceGroup.list(DATA.points);
  readonly #name = emptyRange();
  readonly #unit = emptyRange();

  visit(metric: OtlpRecord): void {
    this.metric = metric;
    this.field = dataField(metric);
    if (this.field === 0) return;
    this.kind = pointKindOf(this.field);
    this.data = metric.record(this.field);
    this.points = this.data.list(DATA.points);
  }

  get name(): string {
    return this.metric.text(METRIC.name);
  }
  get temporality(): number {
    return this.data.int32(DATA.temporality);
  }
  get isMonotonic(): boolean {
    return this.data.bool(DATA.isMonotonic);
  }
  get nameRange(): ByteRange {
    pointAt(this.#name, this.metric.bytes(METRIC.name));
    return this.#name;
  }
  get unitRange(): ByteRange {
    pointAt(this.#unit, this.metric.bytes(METRIC.unit));
    return this.#unit;
  }
}

/** What makes a series, level by level; the attributes of resource and point always do. */
export interface IdentityLevels {
  readonly scope?: (key: SeriesKey, scope: OtlpRecord) => void;
  readonly metric: (key: SeriesKey, metric: MetricParts) => void;
  /** `type` is what the value is, one of the three below; the start time comes in halves. */
  readonly point?: (key: SeriesKey, type: number, startLow: number, startHigh: number) => void;
}
/** Types of values: a point of a sum or gauge may also have none. */
const NO_VALUE = 0;
const INT_OR_BUCKETS = 1;
const DOUBLE = 2;
/** A start time with its tag. */
const START_BYTES = 9;

/**
 * The short way for numbers of series that are known already: their bytes are edited in place, and no object is made.
 * Whatever is not as usual is left to the long way, that of records, which must come to the same.
 */
export interface NumberStep {
  /** Whether points stay in the request. */
  readonly keepsPoints: boolean;
  /** The temporality that metrics have afterwards; undefined for the one that they have. */
  readonly temporality: number | undefined;
  /** Whether the metric's points are to be worked on; the others stay as they are. */
  concerns(metric: MetricHeader): boolean;
  /**
   * Works on a point, whose series is `walk.entryOf(point)` and whose start is set with `walk.setStart`. False, with nothing
   * changed, for what is to go the long way.
   */
  point(point: NumberPointScan): boolean;
}

/** Goes through the metrics of requests and finds the state of each point's series. */
export class MetricWalk<S extends object> {
  readonly table = new SeriesTable<S>();
  readonly #levels: IdentityLevels;
  readonly #limit: number;
  readonly #key = new SeriesKey();
  readonly #lentMetric = new OtlpRecord();
  readonly #lentPoint = new OtlpRecord();
  readonly #place = new VisitedMetric();
  /** Entries of the present resource, scope and metric; 0 for one that was not looked for yet. */
  #resource = 0;
  #scope = 0;
  #metric = 0;
  #parts: MetricParts = this.#place;

  /** Of the short way: the request's bytes, if there is one, and what is done. */
  #bytes: Buffer = EMPTY;
  #view: DataView = new DataView(EMPTY.buffer);
  #step: NumberStep | undefined;
  readonly #numbers = new NumberMetricScan();
  readonly #number = new NumberPointScan();
  readonly #range = emptyRange();
  /** Points of the present metric that went the short way before one that cannot. */
  #done = 0;
  /** Points that get a start although they have no room for one: number and halves of each, three numbers a point. */
  #starts = new Int32Array(3 * 64);
  #started = 0;
  /** Whether bytes of the request were edited in place. */
  hasEdited = false;
  /** Of the last request: points that were removed, … */
  removed = 0;
  /** … and points that went the short way. */
  stepped = 0;

  constructor(levels: IdentityLevels, limit: number) {
    this.#levels = levels;
    this.#limit = limit;
  }

  /** Whether states take as much as they may, so that no series can be added. */
  get isFull(): boolean {
    return this.table.memoryBytes >= this.#limit;
  }

  /**
   * Visits all metrics of a request that consists of `bytes`, which may be written to as far as the step edits points. Those
   * that the step does not do are for `isKept`, as in `keepMetrics`.
   */
  run(request: OtlpRecord, bytes: Buffer, step: NumberStep, isKept: (metric: VisitedMetric) => boolean): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#step = step;
    this.hasEdited = false;
    this.removed = 0;
    this.stepped = 0;
    try {
      this.keepMetrics(request.reset(bytes), isKept);
    } finally {
      this.#step = undefined;
      this.#bytes = EMPTY;
    }
  }

  /** Visits all metrics, with edits kept. Metrics that are not to stay are removed, and groups of which nothing is left. */
  keepMetrics(request: OtlpRecord, isKept: (metric: VisitedMetric) => boolean): void {
    const place = this.#place;
    const resources = resourceGroups(request);
    removeIf(resources, (r) => {
      place.resourceGroup = resources.at(r);
      this.#resource = 0;
      const scopes = members(place.resourceGroup);
      removeIf(scopes, (s) => {
        place.scopeGroup = scopes.at(s);
        this.#scope = 0;
        const metrics = members(place.scopeGroup);
        removeIf(metrics, (m) => !this.#visit(metrics, m, isKept));
        this.#leave(this.#scope);
        return metrics.length === 0;
      });
      this.#leave(this.#resource);
      return scopes.length === 0;
    });
  }

  #visit(metrics: RecordList, m: number, isKept: (metric: VisitedMetric) => boolean): boolean {
    this.#metric = 0;
    this.#done = 0;
    let kept = this.#step === undefined ? undefined : this.#short(metrics, m, this.#step);
    if (kept === undefined) {
      const place = this.#place;
      this.#parts = place;
      place.visit(metrics.borrow(m, this.#lentMetric));
      kept = isKept(place);
      if (kept) metrics.giveBack(m, place.metric);
    }
    this.#leave(this.#metric);
    return kept;
  }
  /** Does as many points of a metric as go the short way; tells whether the metric stays, undefined if points are left. */
  #short(metrics: RecordList, m: number, step: NumberStep): boolean | undefined {
    const range = this.#range;
    const scan = this.#numbers;
    const bytes = this.#bytes;
    if (!metrics.rawAt(m, range) || range.bytes !== bytes) return undefined;
    if (!scan.read(bytes, range.start, range.end) || scan.count === 0) return undefined;
    if (!step.concerns(scan)) return true;
    this.#parts = scan;
    this.#started = 0;
    const { count } = scan;
    let p = 0;
    for (; p < count; p++) {
      if (!this.#number.read(bytes, this.#view, scan.pointBody(p), scan.pointEnd(p))) break;
      this.#done = p;
      if (!step.point(this.#number)) break;
    }
    this.#done = p;
    this.stepped += p;
    const isDone = p === count;
    if (isDone && step.temporality !== undefined && scan.temporalityAt >= 0) {
      bytes[scan.temporalityAt] = step.temporality;
    }
    if (this.#started > 0) metrics.rewrite(m, (from, start, end, out) => this.#withStarts(from, start, end, out));
    if (!isDone) return undefined;
    if (!step.keepsPoints) this.removed += count;
    return step.keepsPoints;
  }
  /** Writes the present metric with the start times for which there was no room. */
  #withStarts(bytes: Buffer, start: number, end: number, out: ProtoWriter): boolean {
    const scan = this.#numbers;
    const starts = this.#starts;
    out.raw(bytes, start, scan.dataAt);
    const mark = out.begin(scan.field);
    let from = scan.dataBody;
    for (let k = 0; k < this.#started; k++) {
      const p = starts[k * 3]!;
      const body = scan.pointBody(p);
      const stop = scan.pointEnd(p);
      out.raw(bytes, from, scan.pointAt(p));
      out.tag(DATA.points, 2);
      out.rawVarint(stop - body + START_BYTES);
      out.fixed64(POINT.start, starts[k * 3 + 1]!, starts[k * 3 + 2]!);
      out.raw(bytes, body, stop);
      from = stop;
    }
    out.raw(bytes, from, scan.dataEnd);
    out.end(mark);
    out.raw(bytes, scan.dataEnd, end);
    return true;
  }

  /** The series of a point that goes the short way; 0 for one that is not known, or has attributes of an unusual form. */
  entryOf(point: NumberPointScan): number {
    const metric = this.metricEntry();
    const key = this.#key.reset();
    if (!key.attributesOf(point)) return 0;
    this.#levels.point?.(key, point.isDouble ? DOUBLE : INT_OR_BUCKETS, point.startLow, point.startHigh);
    return this.table.find(metric, key);
  }
  /** Gives a point that goes the short way a start. */
  setStart(point: NumberPointScan, low: number, high: number): void {
    this.hasEdited = true;
    if (point.startAt >= 0) {
      point.view.setInt32(point.startAt, low, true);
      point.view.setInt32(point.startAt + 4, high, true);
      return;
    }
    if (low === 0 && high === 0) return; // is what a point without one has
    const base = this.#started * 3;
    if (base + 3 > this.#starts.length) {
      const larger = new Int32Array(this.#starts.length * 2);
      larger.set(this.#starts);
      this.#starts = larger;
    }
    this.#starts[base] = this.#done;
    this.#starts[base + 1] = low;
    this.#starts[base + 2] = high;
    this.#started += 1;
  }

  /** An entry below which nothing came is not kept, and those above it are looked for anew. */
  #leave(entry: number): void {
    if (entry === 0 || !this.table.prune(entry)) return;
    this.#resource = this.#scope = this.#metric = 0;
  }

  /**
   * Visits the points of the present metric and removes those that are not to stay; returns how many do. Points that go the
   * short way are not shown.
   */
  keepPoints(isKept: (point: OtlpRecord) => boolean): number {
    const { points, kind } = this.#place;
    const step = kind === "number" ? this.#step : undefined;
    const before = points.length;
    const done = this.#done;
    removeIf(points, (p) => {
      if (step !== undefined && (p < done || this.#isDone(points, p, step))) return !step.keepsPoints;
      const point = points.borrow(p, this.#lentPoint);
      const kept = isKept(point);
      if (kept) points.giveBack(p, point);
      return !kept;
    });
    this.removed += before - points.length;
    return points.length;
  }
  /** Whether a point of a metric that goes the long way went the short one: one that has room for all that it may get. */
  #isDone(points: RecordList, p: number, step: NumberStep): boolean {
    const range = this.#range;
    if (!points.rawAt(p, range) || range.bytes !== this.#bytes) return false;
    const number = this.#number;
    if (!number.read(range.bytes, this.#view, range.start, range.end) || number.startAt < 0) return false;
    if (!step.point(number)) return false;
    this.stepped += 1;
    return true;
  }

  /** The series of a point of the present metric; 0 for one that is not known. */
  find(point: OtlpRecord): number {
    const metric = this.metricEntry();
    const { kind } = this.#place;
    const key = this.#key.reset().attributes(point.map(POINT.attributes[kind]));
    if (this.#levels.point !== undefined) {
      const start = point.fixed64(POINT.start);
      this.#levels.point(key, valueType(point, kind), lowHalf(start), highHalf(start));
    }
    return this.table.find(metric, key);
  }
  /** Adds the series of the point that `find` was asked for last. Give it a state. */
  add(): number {
    return this.table.add(this.#metric, this.#key);
  }

  /** The entry of the present metric, which goes with its last series. */
  metricEntry(): number {
    if (this.#metric !== 0) return this.#metric;
    const key = this.#key;
    const scope = this.scopeEntry();
    this.#levels.metric(key.reset(), this.#parts);
    this.#metric = this.table.findOrAdd(scope, key);
    return this.#metric;
  }
  scopeEntry(): number {
    const resource = this.resourceEntry();
    if (this.#levels.scope === undefined) return resource;
    if (this.#scope !== 0) return this.#scope;
    this.#levels.scope(this.#key.reset(), this.#place.scopeGroup.record(GROUP.scope));
    this.#scope = this.table.findOrAdd(resource, this.#key);
    return this.#scope;
  }
  resourceEntry(): number {
    if (this.#resource !== 0) return this.#resource;
    const resource = this.#place.resourceGroup.record(GROUP.resource);
    this.#resource = this.table.findOrAdd(
      SeriesTable.ROOT,
      this.#key.reset().attributes(resource.map(RESOURCE.attributes)),
    );
    return this.#resource;
  }
}

/** What the value of a point is. */
function valueType(point: OtlpRecord, kind: PointKind): number {
  if (kind !== "number" || point.has(POINT.asInt)) return INT_OR_BUCKETS;
  return point.has(POINT.asDouble) ? DOUBLE : NO_VALUE;
}

const scopeText = emptyRange();
/** Adds a text field of a scope to a key. */
export function addScopeText(key: SeriesKey, scope: OtlpRecord, field: number): void {
  pointAt(scopeText, scope.bytes(field));
  key.text(scopeText);
}
/** Name, version and attributes, as internal/exp/metrics/identity of the Collector has it. */
export function scopeIdentity(key: SeriesKey, scope: OtlpRecord): void {
  addScopeText(key, scope, SCOPE.name);
  addScopeText(key, scope, SCOPE.version);
  key.attributes(scope.map(SCOPE.attributes));
}
/** Name, unit, type, whether it is monotonic, and temporality, as internal/exp/metrics/identity of the Collector has it. */
export function metricIdentity(key: SeriesKey, metric: MetricParts): void {
  key.text(metric.nameRange).text(metric.unitRange);
  key
    .number(metric.field)
    .number(metric.isMonotonic ? 1 : 0)
    .number(metric.temporality & 0xff);
}
