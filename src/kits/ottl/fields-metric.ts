import {
  dataField,
  EXPONENTIAL,
  GAUGE,
  HISTOGRAM,
  POINT,
  type PointKind,
  pointKindOf,
  SUM,
  SUMMARY,
} from "#formats/otlp/fields";
import { ValueList } from "#formats/otlp/values";
import type { OttlContext } from "./context.ts";
import {
  attributesField,
  type Field,
  type Fields,
  idFields,
  mapField,
  messagesField,
  nanosField,
  textField,
  timeField,
  uint32Field,
} from "./fields.ts";
import { asBool, asFloat, asInt, OttlError, OttlMessage, OttlMessages, type OttlValue, typeOf } from "./value.ts";

/** Paths of metrics, data points and exemplars. Matches contexts/internal/ctxmetric, ctxdatapoint and ctxexemplar. */

/** The fields of a metric that hold its data, in the order of `METRIC_DATA_TYPE_…`. */
const METRIC_DATA = [0, GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY] as const;

const ofMetric = (c: OttlContext) => c.metric;
const ofPoint = (c: OttlContext) => c.point;
const ofExemplar = (c: OttlContext) => c.exemplar;

function otherKind(c: OttlContext, path: string): OttlError {
  return OttlError.of(`${path} does not fit a data point of kind ${c.pointKind}`);
}

export const metricFields: Fields = {
  name: textField(ofMetric, 1),
  description: textField(ofMetric, 2),
  unit: textField(ofMetric, 3),
  // Setting the type has no effect, as upstream.
  type: { get: (c) => BigInt(METRIC_DATA.indexOf(dataField(c.metric) as 0)), set: () => {} },
  aggregation_temporality: {
    get: (c) => {
      const field = dataField(c.metric);
      return hasTemporality(field) ? BigInt(c.metric.record(field).int32(2)) : undefined;
    },
    set: (c, value) => {
      const temporality = asInt(value);
      const field = dataField(c.metric);
      if (hasTemporality(field)) c.metric.record(field).setVarint(2, temporality, 32);
    },
  },
  is_monotonic: {
    get: (c) => (dataField(c.metric) === SUM ? c.metric.record(SUM).bool(3) : undefined),
    set: (c, value) => {
      const isMonotonic = asBool(value);
      if (dataField(c.metric) === SUM) c.metric.record(SUM).setBool(3, isMonotonic);
    },
  },
  data_points: {
    get: (c) => {
      const field = dataField(c.metric);
      return field === 0 ? undefined : new OttlMessages(pointsName(field), c.metric.record(field).list(1));
    },
    set: (c, value) => {
      const field = dataField(c.metric);
      if (field === 0) return;
      const list = c.metric.record(field).list(1);
      if (value === undefined) list.removeIf(() => true);
      else if (value instanceof OttlMessages && value.kind === pointsName(field)) list.assign(value.list);
      else throw OttlError.of(`expected ${pointsName(field)}, got ${typeOf(value)}`);
    },
  },
  metadata: attributesField(ofMetric, 12),
};

function hasTemporality(field: number): boolean {
  return field === SUM || field === HISTOGRAM || field === EXPONENTIAL;
}
function pointsName(field: number): string {
  return `${pointKindOf(field)} data points`;
}

function countOf(c: OttlContext, path: string): void {
  if (c.pointKind === "number") throw otherKind(c, path);
}

const exemplars: Field = {
  get: (c) => {
    const field = POINT.exemplars[c.pointKind];
    return field === 0 ? undefined : new OttlMessages("exemplars", c.point.list(field));
  },
  set: (c, value) => {
    const field = POINT.exemplars[c.pointKind];
    if (field === 0) throw otherKind(c, "exemplars");
    messagesField(ofPoint, field, "exemplars").set(c, value);
  },
};

/** A field of one kind of points only: nil for others, which cannot be set. */
function ofKind(kind: PointKind, path: string, field: Field): Field {
  return {
    get: (c) => (c.pointKind === kind ? field.get(c) : undefined),
    set: (c, value) => {
      if (c.pointKind !== kind) throw otherKind(c, path);
      field.set(c, value);
    },
  };
}

function ints(value: OttlValue): bigint[] {
  if (value === undefined) return [];
  if (!(value instanceof ValueList)) throw OttlError.of(`expected a list of ints, got ${typeOf(value)}`);
  return value.items.map(asInt);
}
function floats(value: OttlValue): number[] {
  if (value === undefined) return [];
  if (!(value instanceof ValueList)) throw OttlError.of(`expected a list of doubles, got ${typeOf(value)}`);
  return value.items.map(asFloat);
}

function bucketsFields(name: string, field: number): Fields {
  const buckets = (c: OttlContext) => c.point.record(field);
  const kind = "buckets";
  return {
    [name]: ofKind("exponential", name, {
      get: (c) => new OttlMessage(kind, buckets(c)),
      set: (c, value) => {
        if (!(value instanceof OttlMessage) || value.kind !== kind) {
          throw OttlError.of(`expected buckets, got ${typeOf(value)}`);
        }
        buckets(c).assign(value.record);
      },
    }),
    [`${name}.offset`]: ofKind("exponential", `${name}.offset`, {
      get: (c) => BigInt(buckets(c).sint32(1)),
      set: (c, value) => buckets(c).setSint32(1, Number(BigInt.asIntN(32, asInt(value)))),
    }),
    [`${name}.bucket_counts`]: ofKind("exponential", `${name}.bucket_counts`, {
      get: (c) => new ValueList([...buckets(c).varints(2)]),
      set: (c, value) => buckets(c).setVarints(2, ints(value)),
    }),
  };
}

export const pointFields: Fields = {
  attributes: mapField((c) => c.point.map(POINT.attributes[c.pointKind])),
  start_time_unix_nano: nanosField(ofPoint, POINT.start),
  time_unix_nano: nanosField(ofPoint, POINT.time),
  start_time: timeField(ofPoint, POINT.start),
  time: timeField(ofPoint, POINT.time),
  value_double: ofKind("number", "value_double", {
    get: (c) => c.point.double(POINT.asDouble),
    set: (c, value) => {
      c.point.setDouble(POINT.asDouble, asFloat(value));
      c.point.remove(POINT.asInt);
    },
  }),
  value_int: ofKind("number", "value_int", {
    get: (c) => c.point.fixed64(POINT.asInt),
    set: (c, value) => {
      c.point.setFixed64(POINT.asInt, asInt(value));
      c.point.remove(POINT.asDouble);
    },
  }),
  exemplars,
  flags: {
    get: (c) => c.point.int64(POINT.flags[c.pointKind]) & 0xffff_ffffn,
    set: (c, value) => c.point.setUint32(POINT.flags[c.pointKind], asInt(value)),
  },
  count: {
    get: (c) => (c.pointKind === "number" ? undefined : c.point.fixed64(POINT.count)),
    set: (c, value) => {
      const count = asInt(value);
      countOf(c, "count");
      c.point.setFixed64(POINT.count, count);
    },
  },
  sum: {
    get: (c) => (c.pointKind === "number" ? undefined : c.point.double(POINT.sum)),
    set: (c, value) => {
      const sum = asFloat(value);
      countOf(c, "sum");
      c.point.setDouble(POINT.sum, sum);
    },
  },
  bucket_counts: ofKind("histogram", "bucket_counts", {
    get: (c) => new ValueList([...c.point.fixed64s(POINT.bucketCounts)]),
    set: (c, value) => c.point.setFixed64s(POINT.bucketCounts, ints(value)),
  }),
  explicit_bounds: ofKind("histogram", "explicit_bounds", {
    get: (c) => new ValueList([...c.point.doubles(POINT.explicitBounds)]),
    set: (c, value) => c.point.setDoubles(POINT.explicitBounds, floats(value)),
  }),
  scale: ofKind("exponential", "scale", {
    get: (c) => BigInt(c.point.sint32(POINT.scale)),
    set: (c, value) => c.point.setSint32(POINT.scale, Number(BigInt.asIntN(32, asInt(value)))),
  }),
  zero_count: ofKind("exponential", "zero_count", nanosField(ofPoint, POINT.zeroCount)),
  ...bucketsFields("positive", POINT.positive),
  ...bucketsFields("negative", POINT.negative),
  quantile_values: ofKind("summary", "quantile_values", messagesField(ofPoint, POINT.quantiles, "quantile values")),
};

export const exemplarFields: Fields = {
  time_unix_nano: nanosField(ofExemplar, 2),
  time: timeField(ofExemplar, 2),
  double_value: {
    get: (c) => c.exemplar.double(3),
    set: (c, value) => {
      c.exemplar.setDouble(3, asFloat(value));
      c.exemplar.remove(6);
    },
  },
  int_value: {
    get: (c) => c.exemplar.fixed64(6),
    set: (c, value) => {
      c.exemplar.setFixed64(6, asInt(value));
      c.exemplar.remove(3);
    },
  },
  ...idFields("trace_id", ofExemplar, 5, "trace"),
  ...idFields("span_id", ofExemplar, 4, "span"),
  filtered_attributes: attributesField(ofExemplar, 7),
};

const ofResource = (c: OttlContext) => c.resourceGroup.record(1);
const ofScope = (c: OttlContext) => c.scopeGroup.record(1);

export const resourceFields: Fields = {
  attributes: attributesField(ofResource, 1),
  dropped_attributes_count: uint32Field(ofResource, 2),
  schema_url: textField((c) => c.resourceGroup, 3),
};
export const scopeFields: Fields = {
  name: textField(ofScope, 1),
  version: textField(ofScope, 2),
  attributes: attributesField(ofScope, 3),
  dropped_attributes_count: uint32Field(ofScope, 4),
  schema_url: textField((c) => c.scopeGroup, 3),
};
