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
} from "#formats/otlp-fields";
import { OtlpRecord } from "#formats/otlp-record";
import type { RecordList } from "#formats/otlp-record-list";
import { members, removeIf, resourceGroups } from "#formats/otlp-walk";
import { SeriesTable } from "./otlp-metric-series.ts";
import { SeriesKey } from "./otlp-series-identity.ts";

/** Series and their states may take this much (bytes) in one component; a collector without a bound grows until it is killed. */
export const STATE_LIMIT = 1024 * 1024 * 1024;

/** A metric of a request. Its members serve the next metric too. */
export interface VisitedMetric {
  resourceGroup: OtlpRecord;
  scopeGroup: OtlpRecord;
  metric: OtlpRecord;
  /** The field that holds its data (`SUM`, `HISTOGRAM` …); 0 for a metric without. */
  field: number;
  data: OtlpRecord;
  kind: PointKind;
  points: RecordList;
}

/** What makes a series, level by level; the attributes of resource and point always do. */
export interface IdentityLevels {
  readonly scope?: (key: SeriesKey, scope: OtlpRecord) => void;
  readonly metric: (key: SeriesKey, metric: VisitedMetric) => void;
  readonly point?: (key: SeriesKey, point: OtlpRecord, kind: PointKind) => void;
}

/** Goes through the metrics of requests and finds the state of each point's series. */
export class MetricWalk<S extends object> {
  readonly table = new SeriesTable<S>();
  readonly #levels: IdentityLevels;
  readonly #limit: number;
  readonly #key = new SeriesKey();
  readonly #lentMetric = new OtlpRecord();
  /** One a kind: a record keeps the parts of its fields, and those differ in what a field's number means. */
  readonly #lentPoints: Readonly<Record<PointKind, OtlpRecord>> = {
    number: new OtlpRecord(),
    histogram: new OtlpRecord(),
    exponential: new OtlpRecord(),
    summary: new OtlpRecord(),
  };
  readonly #place: VisitedMetric;
  /** Entries of the present resource, scope and metric; 0 for one that was not looked for yet. */
  #resource = 0;
  #scope = 0;
  #metric = 0;

  constructor(levels: IdentityLevels, limit: number) {
    this.#levels = levels;
    this.#limit = limit;
    const none = new OtlpRecord();
    const points = none.list(DATA.points);
    this.#place = {
      resourceGroup: none,
      scopeGroup: none,
      metric: none,
      field: 0,
      data: none,
      kind: "number",
      points,
    };
  }

  /** Whether states take as much as they may, so that no series can be added. */
  get isFull(): boolean {
    return this.table.memoryBytes >= this.#limit;
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
    const place = this.#place;
    place.metric = metrics.borrow(m, this.#lentMetric);
    place.field = dataField(place.metric);
    if (place.field !== 0) {
      place.kind = pointKindOf(place.field);
      place.data = place.metric.record(place.field);
      place.points = place.data.list(DATA.points);
    }
    this.#metric = 0;
    const kept = isKept(place);
    if (kept) metrics.giveBack(m, place.metric);
    this.#leave(this.#metric);
    return kept;
  }
  /** An entry below which nothing came is not kept, and those above it are looked for anew. */
  #leave(entry: number): void {
    if (entry === 0 || !this.table.prune(entry)) return;
    this.#resource = this.#scope = this.#metric = 0;
  }

  /** Visits the points of the present metric and removes those that are not to stay; returns how many do. */
  keepPoints(isKept: (point: OtlpRecord) => boolean): number {
    const { points, kind } = this.#place;
    const lent = this.#lentPoints[kind];
    removeIf(points, (p) => {
      const point = points.borrow(p, lent);
      const kept = isKept(point);
      if (kept) points.giveBack(p, point);
      return !kept;
    });
    return points.length;
  }

  /** The series of a point of the present metric; 0 for one that is not known. */
  find(point: OtlpRecord): number {
    const metric = this.metricEntry();
    const { kind } = this.#place;
    const key = this.#key.reset().attributes(point.map(POINT.attributes[kind]));
    this.#levels.point?.(key, point, kind);
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
    this.#levels.metric(key.reset(), this.#place);
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

/** Name, version and attributes, as internal/exp/metrics/identity of the Collector has it. */
export function scopeIdentity(key: SeriesKey, scope: OtlpRecord): void {
  key.text(scope.bytes(SCOPE.name)).text(scope.bytes(SCOPE.version)).attributes(scope.map(SCOPE.attributes));
}
/** Name, unit, type, whether it is monotonic, and temporality, as internal/exp/metrics/identity of the Collector has it. */
export function metricIdentity(key: SeriesKey, { metric, field, data }: VisitedMetric): void {
  key.text(metric.bytes(METRIC.name)).text(metric.bytes(METRIC.unit));
  key
    .number(field)
    .number(data.bool(DATA.isMonotonic) ? 1 : 0)
    .number(data.int32(DATA.temporality) & 0xff);
}
