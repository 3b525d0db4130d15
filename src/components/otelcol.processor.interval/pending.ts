import { DATA, GROUP, METRIC, POINT } from "#formats/otlp/fields";
import type { NumberPointScan } from "#formats/otlp/number-scan";
import type { OtlpRecord } from "#formats/otlp/record";
import { asBuffer, ProtoWriter } from "#formats/protobuf";
import { highHalf, isBelow, lowHalf } from "#kits/otlp/halves";
import {
  type MetricHeader,
  MetricWalk,
  metricIdentity,
  type NumberStep,
  scopeIdentity,
  type VisitedMetric,
} from "#kits/otlp/metric-walk";

/** The newest point of a series. */
export class PendingPoint {
  /** Nanoseconds since 1970, in halves. */
  timeLow = 0;
  timeHigh = 0;
  /** The encoded point. */
  bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}
/** What a point takes beside its bytes. */
const POINT_BYTES = 96;
/** A group, or a metric, without its members. `header` holds its other fields. */
interface Pending<M> {
  readonly header: Uint8Array;
  readonly members: M[];
}
interface PendingMetric extends Pending<PendingPoint> {
  /** The field of its data, and what that holds beside points. */
  readonly field: number;
  readonly dataHeader: Uint8Array;
}
type PendingScope = Pending<PendingMetric>;
type PendingResource = Pending<PendingScope>;

/** The newest point of each series since the last export, with all that is needed to make a request of them. */
export class PendingPoints implements NumberStep {
  readonly walk: MetricWalk<PendingPoint>;
  readonly keepsPoints = false;
  readonly temporality = undefined;
  readonly #waits: (metric: MetricHeader) => boolean;
  readonly #resources = new Map<number, PendingResource>();
  readonly #scopes = new Map<number, PendingScope>();
  readonly #metrics = new Map<number, PendingMetric>();
  /** Bytes of all points that wait. */
  bytes = 0;

  /** `waits` tells whether the points of a metric are taken over. */
  constructor(limit: number, waits: (metric: MetricHeader) => boolean) {
    this.#waits = waits;
    this.walk = new MetricWalk({ scope: scopeIdentity, metric: metricIdentity }, limit);
  }

  get points(): number {
    return this.walk.table.series;
  }

  concerns(metric: MetricHeader): boolean {
    return this.#waits(metric);
  }
  /** Takes over a point of a known series if it is newer than what is there. */
  point(point: NumberPointScan): boolean {
    const entry = this.walk.entryOf(point);
    if (entry === 0 || this.walk.table.state(entry) === undefined) return false;
    this.#renew(entry, point.timeLow, point.timeHigh, point.bytes, point.start, point.end);
    return true;
  }

  /** Takes over the points of the walk's present metric that are newer than what is there. */
  take(visited: VisitedMetric): void {
    const { walk } = this;
    walk.keepPoints((point) => {
      const bytes = asBuffer(point.encode()); // before anything is looked up in it, since that makes it write itself anew
      const time = point.fixed64(POINT.time);
      const [timeLow, timeHigh] = [lowHalf(time), highHalf(time)];
      const entry = walk.find(point);
      if (entry !== 0 && walk.table.state(entry) !== undefined) {
        this.#renew(entry, timeLow, timeHigh, bytes, 0, bytes.length);
        return false;
      }
      const added = new PendingPoint(copyOf(bytes));
      added.timeLow = timeLow;
      added.timeHigh = timeHigh;
      this.bytes += bytes.length;
      this.#metric(visited).members.push(added);
      walk.find(point); // the metric may have been looked for in between
      walk.table.put(walk.add(), added, 0, POINT_BYTES + bytes.length);
      return false;
    });
  }
  #renew(entry: number, timeLow: number, timeHigh: number, bytes: Buffer, start: number, end: number): void {
    const known = this.walk.table.state(entry)!;
    if (!isBelow(known.timeLow, known.timeHigh, timeLow, timeHigh)) return;
    known.timeLow = timeLow;
    known.timeHigh = timeHigh;
    const length = end - start;
    if (known.bytes.length !== length) {
      this.bytes += length - known.bytes.length;
      this.walk.table.weigh(entry, POINT_BYTES + length);
      known.bytes = Buffer.allocUnsafeSlow(length);
    }
    bytes.copy(known.bytes, 0, start, end);
  }

  #metric(visited: VisitedMetric): PendingMetric {
    const entry = this.walk.metricEntry();
    let metric = this.#metrics.get(entry);
    if (metric === undefined) {
      const { field } = visited;
      metric = { header: metricHeader(visited.metric), dataHeader: dataHeader(visited.data), field, members: [] };
      this.#metrics.set(entry, metric);
      this.#scope(visited).members.push(metric);
    }
    return metric;
  }
  #scope({ resourceGroup, scopeGroup }: VisitedMetric): PendingScope {
    const entry = this.walk.scopeEntry();
    let scope = this.#scopes.get(entry);
    if (scope === undefined) {
      scope = { header: groupHeader(scopeGroup), members: [] };
      this.#scopes.set(entry, scope);
      this.#resource(resourceGroup).members.push(scope);
    }
    return scope;
  }
  #resource(group: OtlpRecord): PendingResource {
    const entry = this.walk.resourceEntry();
    let resource = this.#resources.get(entry);
    if (resource === undefined) {
      resource = { header: groupHeader(group), members: [] };
      this.#resources.set(entry, resource);
    }
    return resource;
  }

  /** All of it as one request. */
  encode(): Uint8Array {
    const writer = new ProtoWriter(this.bytes * 2 + 1024);
    for (const resource of this.#resources.values()) {
      const inResource = writer.begin(1);
      writer.raw(resource.header);
      for (const scope of resource.members) {
        const inScope = writer.begin(GROUP.members);
        writer.raw(scope.header);
        for (const metric of scope.members) {
          const inMetric = writer.begin(GROUP.members);
          writer.raw(metric.header);
          const inData = writer.begin(metric.field);
          for (const { bytes } of metric.members) writer.bytes(DATA.points, bytes);
          writer.raw(metric.dataHeader);
          writer.end(inData);
          writer.end(inMetric);
        }
        writer.end(inScope);
      }
      writer.end(inResource);
    }
    return writer.finish();
  }
}

/** A request that is over would live as long as a view of it does. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

/** Resource or scope, and the schema URL. */
function groupHeader(group: OtlpRecord): Uint8Array {
  const writer = new ProtoWriter(256);
  if (group.has(GROUP.resource)) group.record(GROUP.resource).writeField(writer, GROUP.resource);
  if (group.has(GROUP.schemaUrl)) writer.bytes(GROUP.schemaUrl, group.bytes(GROUP.schemaUrl));
  return writer.finish();
}
function metricHeader(metric: OtlpRecord): Uint8Array {
  const writer = new ProtoWriter(128);
  for (const field of [METRIC.name, METRIC.description, METRIC.unit]) {
    if (metric.has(field)) writer.bytes(field, metric.bytes(field));
  }
  metric.map(METRIC.metadata).writeField(writer, METRIC.metadata);
  return writer.finish();
}
function dataHeader(data: OtlpRecord): Uint8Array {
  const writer = new ProtoWriter(8);
  for (const field of [DATA.temporality, DATA.isMonotonic]) {
    if (data.has(field)) writer.int64(field, data.int64(field));
  }
  return writer.finish();
}
