import { DATA, EVENT, GROUP, LOG, METRIC, POINT, RESOURCE, SCOPE, SPAN, SUM, TEMPORALITY } from "#formats/otlp/fields";
import type { OtlpKind } from "#formats/otlp/otlp";
import { OtlpRecord } from "#formats/otlp/record";
import type { RecordList } from "#formats/otlp/record-list";
import { type AnyValue, type AttributeKey, KeyValues } from "#formats/otlp/values";
import { members, resourceGroups } from "#formats/otlp/walk";
import { OttlContext } from "#kits/ottl/context";
import type { CompiledCondition } from "#kits/ottl/programs";
import { anyHolds } from "#kits/ottl/transform";
import { attributeText, typeOf } from "#kits/ottl/value";
import { pointsOf } from "#kits/ottl/walk";
import type { OtlpClient } from "#pipeline/batch";

/** Counting what is in requests. Matches connector/countconnector of the Collector. */

const SCOPE_NAME = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector";

export interface CountedAttribute {
  readonly key: AttributeKey;
  /** Counts what does not have the attribute; undefined if that is not counted. */
  readonly fallback: { readonly value: AnyValue } | undefined;
}
/** A metric that counts the items of one kind. */
export interface CountMetric {
  readonly name: string;
  readonly description: string;
  /** Items for which one of these holds; all if there are none. */
  readonly conditions: readonly CompiledCondition[];
  /** Items with different values have counts of their own. */
  readonly attributes: readonly CountedAttribute[];
}

interface Count {
  readonly values: readonly AnyValue[];
  items: number;
}

/** Counts items of one kind within one resource. */
class Counter {
  readonly #metrics: readonly CountMetric[];
  readonly #counts: readonly Map<string, Count>[];
  /** The earliest and the latest time of the items, in nanoseconds; 0 for none. */
  #first = 0n;
  #last = 0n;

  constructor(metrics: readonly CountMetric[]) {
    this.#metrics = metrics;
    this.#counts = metrics.map(() => new Map());
  }

  reset(): void {
    for (const counts of this.#counts) counts.clear();
    this.#first = 0n;
    this.#last = 0n;
  }
  sawTime(signed: bigint): void {
    const nanos = BigInt.asUintN(64, signed);
    if (nanos === 0n) return;
    if (this.#first === 0n || nanos < this.#first) this.#first = nanos;
    if (nanos > this.#last) this.#last = nanos;
  }

  /** Counts the item that the context is at. Throws OttlError for a condition that fails. */
  add(c: OttlContext, attributes: KeyValues): void {
    for (let i = 0; i < this.#metrics.length; i++) {
      const metric = this.#metrics[i]!;
      const values = valuesOf(metric, c, attributes);
      if (values === undefined) continue;
      if (metric.conditions.length > 0) {
        c.clearCache();
        if (!anyHolds(metric.conditions, c, "propagate", () => {})) continue;
      }
      const counts = this.#counts[i]!;
      const key = values.length === 0 ? "" : keyOf(values);
      const known = counts.get(key);
      if (known === undefined) counts.set(key, { values, items: 1 });
      else known.items += 1;
    }
  }

  /** Adds the metrics that counted something, and tells how many data points they have. */
  writeTo(list: RecordList, now: bigint): number {
    const [start, end] = this.#first === 0n ? [now, now] : [this.#first, this.#last];
    let points = 0;
    for (const [i, { name, description, attributes }] of this.#metrics.entries()) {
      const counts = this.#counts[i]!;
      if (counts.size === 0) continue;
      const metric = list.append();
      metric.setText(METRIC.name, name);
      if (description !== "") metric.setText(METRIC.description, description);
      const sum = metric.record(SUM);
      sum.setVarint(DATA.temporality, TEMPORALITY.delta);
      sum.setBool(DATA.isMonotonic, true);
      const into = sum.list(DATA.points);
      for (const { values, items } of counts.values()) {
        const point = into.append();
        point.setFixed64(POINT.start, start);
        point.setFixed64(POINT.time, end);
        point.setFixed64(POINT.asInt, BigInt(items));
        const map = point.map(POINT.attributes.number);
        for (const [k, value] of values.entries()) map.append(attributes[k]!.key, value);
        points += 1;
      }
    }
    return points;
  }
}

const NONE: readonly AnyValue[] = [];

/** The values to count by: of the item, its scope or its resource; undefined where one is missing. */
function valuesOf(
  { attributes: wanted }: CountMetric,
  { scopeGroup, resourceGroup }: OttlContext,
  own: KeyValues,
): readonly AnyValue[] | undefined {
  if (wanted.length === 0) return NONE;
  const values: AnyValue[] = [];
  for (const { key, fallback } of wanted) {
    const scope = scopeGroup.record(GROUP.scope).map(SCOPE.attributes);
    const resource = resourceGroup.record(GROUP.resource).map(RESOURCE.attributes);
    const map = own.has(key) ? own : scope.has(key) ? scope : resource.has(key) ? resource : undefined;
    if (map !== undefined) values.push(map.get(key));
    else if (fallback !== undefined) values.push(fallback.value);
    else return undefined;
  }
  return values;
}
/** Equal for equal values only. */
function keyOf(values: readonly AnyValue[]): string {
  let key = "";
  for (const value of values) {
    const text = attributeText(value);
    key += `${typeOf(value)}${text.length}:${text}`;
  }
  return key;
}

/** The metrics that count a signal's items, and what is in those. */
export type CountMetrics = readonly [outer: readonly CountMetric[], inner: readonly CountMetric[]];

/** What a request's counts are; no bytes if there are none. */
export interface Counted {
  readonly bytes: Uint8Array | undefined;
  readonly points: number;
}

const NO_ATTRIBUTES = new KeyValues();

/** Counts requests of one signal. */
export class RequestCounter {
  readonly #kind: OtlpKind;
  /** Spans, metrics or log records. */
  readonly #outer: Counter;
  /** Span events or data points. */
  readonly #inner: Counter;
  readonly #innerCounts: boolean;
  readonly #context = new OttlContext();
  readonly #request = new OtlpRecord();
  readonly #entry = new OtlpRecord();
  readonly #event = new OtlpRecord();
  readonly #point = new OtlpRecord();

  constructor(kind: OtlpKind, [outer, inner]: CountMetrics) {
    this.#kind = kind;
    this.#outer = new Counter(outer);
    this.#inner = new Counter(inner);
    this.#innerCounts = inner.length > 0;
  }

  /**
   * The counts of each resource as delta sums; `now`, in nanoseconds, is the time of what has none. Throws ProtobufError for
   * what is no request, and OttlError for a condition that fails.
   */
  count(bytes: Uint8Array, client: OtlpClient, now: bigint): Counted {
    const c = this.#context;
    c.setClient(client);
    const resources = resourceGroups(this.#request.reset(bytes));
    const out = new OtlpRecord();
    let points = 0;
    for (let r = 0; r < resources.length; r++) {
      c.resourceGroup = resources.at(r);
      this.#outer.reset();
      this.#inner.reset();
      const scopes = members(c.resourceGroup);
      for (let s = 0; s < scopes.length; s++) {
        c.scopeGroup = scopes.at(s);
        this.#scope(members(c.scopeGroup));
      }
      const metrics = new OtlpRecord();
      const list = members(metrics);
      const made = this.#outer.writeTo(list, now) + this.#inner.writeTo(list, now);
      if (made === 0) continue;
      points += made;
      const group = resourceGroups(out).append();
      group.record(GROUP.resource).map(RESOURCE.attributes).assign(attributesOf(c.resourceGroup));
      const scope = members(group).append();
      scope.record(GROUP.scope).setText(SCOPE.name, SCOPE_NAME);
      members(scope).assign(list);
    }
    return { bytes: points === 0 ? undefined : out.encode(), points };
  }

  #scope(entries: RecordList): void {
    const c = this.#context;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries.borrow(i, this.#entry);
      if (this.#kind === "traces") this.#span(entry);
      else if (this.#kind === "metrics") this.#metric(entry);
      else {
        c.log = entry;
        this.#outer.sawTime(entry.fixed64(LOG.time));
        this.#outer.add(c, entry.map(LOG.attributes));
      }
    }
  }
  #span(span: OtlpRecord): void {
    const c = this.#context;
    c.span = span;
    this.#outer.sawTime(span.fixed64(SPAN.start));
    this.#outer.sawTime(span.fixed64(SPAN.end));
    this.#outer.add(c, span.map(SPAN.attributes));
    if (!this.#innerCounts || !span.has(SPAN.events)) return;
    const events = span.list(SPAN.events);
    c.eventIndex = undefined;
    for (let i = 0; i < events.length; i++) {
      c.event = events.borrow(i, this.#event);
      this.#inner.sawTime(c.event.fixed64(EVENT.time));
      this.#inner.add(c, c.event.map(EVENT.attributes));
    }
  }
  #metric(metric: OtlpRecord): void {
    const c = this.#context;
    c.metric = metric;
    this.#outer.add(c, NO_ATTRIBUTES);
    const points = this.#innerCounts ? pointsOf(c) : undefined;
    for (let i = 0; i < (points?.length ?? 0); i++) {
      c.point = points!.borrow(i, this.#point);
      this.#inner.sawTime(c.point.fixed64(POINT.time));
      this.#inner.add(c, c.point.map(POINT.attributes[c.pointKind]));
    }
  }
}

function attributesOf(group: OtlpRecord): KeyValues {
  return group.record(GROUP.resource).map(RESOURCE.attributes);
}
