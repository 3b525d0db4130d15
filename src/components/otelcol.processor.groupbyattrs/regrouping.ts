import { DATA, dataField, GROUP, LOG, METRIC, POINT, pointKindOf, RESOURCE, SCOPE, SPAN } from "#formats/otlp/fields";
import type { OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import { type AttributeKey, copyValue, type KeyValues } from "#formats/otlp/values";
import { members, resourceGroups } from "#formats/otlp/walk";
import { ProtoWriter } from "#formats/protobuf";
import { SeriesKey } from "#kits/otlp/series-identity";

/** Items of one metric that became one in its new group: all of it but the points, and the points. */
interface MetricGroup {
  readonly field: number;
  readonly head: Uint8Array;
  readonly dataHead: Uint8Array;
  readonly points: ProtoWriter;
}
interface ScopeGroup {
  /** The scope and the schema URL, as fields. */
  readonly head: Uint8Array;
  readonly items: ProtoWriter;
  /** By name and type; only for metrics. */
  readonly metrics: Map<string, MetricGroup>;
}
interface ResourceGroup {
  readonly head: Uint8Array;
  readonly scopes: Map<string, ScopeGroup>;
}

/** What became of a request. */
export interface Regrouped {
  readonly bytes: Uint8Array;
  readonly groups: number;
  /** Spans, log records or data points with one of the attributes, and without. */
  readonly grouped: number;
  readonly notGrouped: number;
}

/**
 * Moves attributes of items to their resource, and puts items of equal resources and scopes together. Matches
 * processor/groupbyattrsprocessor; schema URLs, which that loses, are those of the first group that came.
 */
export class Regrouping {
  readonly #kind: OtlpKind;
  readonly #keys: readonly AttributeKey[];
  readonly #key = new SeriesKey();
  readonly #lent = new OtlpRecord();
  readonly #point = new OtlpRecord();
  readonly #copy = new OtlpRecord();
  readonly #groups = new Map<string, ResourceGroup>();
  readonly #out = new ProtoWriter(64 * 1024);
  #grouped = 0;
  #notGrouped = 0;
  /** Where items come from. */
  #resource!: OtlpRecord;
  #scope!: OtlpRecord;
  /** The groups of items of this resource and scope that have none of the attributes, found once. */
  #plainResource: ResourceGroup | undefined;
  #plainScope: ScopeGroup | undefined;

  constructor(kind: OtlpKind, keys: readonly AttributeKey[]) {
    this.#kind = kind;
    this.#keys = keys;
  }

  run(request: OtlpRecord): Regrouped {
    this.#grouped = this.#notGrouped = 0;
    try {
      const resources = resourceGroups(request);
      for (let r = 0; r < resources.length; r++) {
        this.#resource = resources.at(r);
        this.#plainResource = undefined;
        const scopes = members(this.#resource);
        for (let i = 0; i < scopes.length; i++) {
          this.#scope = scopes.at(i);
          this.#plainScope = undefined;
          this.#items();
        }
      }
      return { bytes: this.#encode(), groups: this.#groups.size, grouped: this.#grouped, notGrouped: this.#notGrouped };
    } finally {
      this.#groups.clear();
    }
  }

  #items(): void {
    const items = members(this.#scope);
    for (let k = 0; k < items.length; k++) {
      const item = items.borrow(k, this.#lent);
      if (this.#kind === "metrics") this.#metric(item);
      else {
        const group = this.#groupOf(item.map(this.#kind === "traces" ? SPAN.attributes : LOG.attributes));
        item.writeField(group.items, GROUP.members);
      }
    }
  }

  /** Each point finds its group; metrics without points end here. */
  #metric(metric: OtlpRecord): void {
    const field = dataField(metric);
    if (field === 0) return;
    const attributes = POINT.attributes[pointKindOf(field)];
    const data = metric.record(field);
    const points = data.list(DATA.points);
    const name = `${field} ${metric.text(METRIC.name)}`;
    for (let p = 0; p < points.length; p++) {
      const point = points.borrow(p, this.#point);
      const { metrics } = this.#groupOf(point.map(attributes));
      let group = metrics.get(name);
      if (group === undefined) metrics.set(name, (group = this.#newMetric(metric, field)));
      point.writeField(group.points, DATA.points);
    }
  }
  #newMetric(metric: OtlpRecord, field: number): MetricGroup {
    const copy = this.#copy.reset(metric.encode());
    const data = copy.record(field);
    data.remove(DATA.points);
    const dataHead = data.encode();
    copy.remove(field);
    return { field, head: copy.encode(), dataHead, points: new ProtoWriter() };
  }

  /** The group of an item, from which the attributes are taken that become the resource's. */
  #groupOf(attributes: KeyValues): ScopeGroup {
    if (!this.#keys.some((key) => attributes.has(key))) {
      this.#notGrouped += 1;
      this.#plainResource ??= this.#findResource(undefined);
      return (this.#plainScope ??= this.#findScope(this.#plainResource));
    }
    this.#grouped += 1;
    const group = this.#findScope(this.#findResource(attributes));
    for (const key of this.#keys) attributes.remove(key);
    return group;
  }

  #findResource(moved: KeyValues | undefined): ResourceGroup {
    const resource = this.#copy.reset(this.#resource.record(GROUP.resource).encode());
    const attributes = resource.map(RESOURCE.attributes);
    for (const key of moved === undefined ? [] : this.#keys) {
      const i = moved!.find(key);
      if (i >= 0) attributes.set(key, copyValue(moved!.valueAt(i)));
    }
    const { bytes, length } = this.#key.reset().attributes(attributes);
    const name = bytes.toString("latin1", 0, length);
    let group = this.#groups.get(name);
    if (group === undefined) {
      const head = headOf(resource, GROUP.resource, this.#resource);
      this.#groups.set(name, (group = { head, scopes: new Map() }));
    }
    return group;
  }
  #findScope({ scopes }: ResourceGroup): ScopeGroup {
    const scope = this.#scope.record(GROUP.scope);
    const name = JSON.stringify([scope.text(SCOPE.name), scope.text(SCOPE.version)]);
    let group = scopes.get(name);
    if (group === undefined) {
      const head = headOf(scope, GROUP.scope, this.#scope);
      scopes.set(name, (group = { head, items: new ProtoWriter(), metrics: new Map() }));
    }
    return group;
  }

  #encode(): Uint8Array {
    const out = this.#out;
    out.reset();
    for (const { head, scopes } of this.#groups.values()) {
      const group = out.begin(1);
      out.raw(head);
      for (const { head: scopeHead, items, metrics } of scopes.values()) {
        const scope = out.begin(GROUP.members);
        out.raw(scopeHead);
        out.raw(items.view());
        for (const metric of metrics.values()) writeMetric(out, metric);
        out.end(scope);
      }
      out.end(group);
    }
    return out.finish();
  }
}

/** The resource or scope of a group, and its schema URL, as fields. */
function headOf(record: OtlpRecord, field: number, group: OtlpRecord): Uint8Array {
  const writer = new ProtoWriter();
  record.writeField(writer, field);
  const url = group.bytes(GROUP.schemaUrl);
  if (url.length > 0) writer.bytes(GROUP.schemaUrl, url);
  return writer.finish();
}

function writeMetric(out: ProtoWriter, { field, head, dataHead, points }: MetricGroup): void {
  const metric = out.begin(GROUP.members);
  out.raw(head);
  const data = out.begin(field);
  out.raw(points.view());
  out.raw(dataHead);
  out.end(data);
  out.end(metric);
}
