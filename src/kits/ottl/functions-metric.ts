import { DATA, EXPONENTIAL, GAUGE, HISTOGRAM, POINT, SUM, SUMMARY, TEMPORALITY } from "#formats/otlp/fields";
import { OtlpRecord } from "#formats/otlp/record";
import { AttributeKey } from "#formats/otlp/values";
import { aggregationOf, mergePoints } from "./aggregate.ts";
import type { OttlContext } from "./context.ts";
import { bucketsDistribution, explicitCounts, percentileOf } from "./histograms.ts";
import {
  addGauge,
  addMetric,
  addNumberPoint,
  addSum,
  attributesOf,
  dataOf,
  emptyData,
  forPoints,
  type MetricData,
  temporalityOf,
} from "./metrics.ts";
import * as p from "./parameters.ts";
import { define, listOf, type OttlFunction, optional } from "./parameters.ts";
import { OttlError, truncate } from "./value.ts";

/** Functions of metrics and data points only. Matches processor/transformprocessor/internal/metrics. */

const convertSumToGauge = define("convert_sum_to_gauge", {}, () => ({ metric }) => {
  const data = dataOf(metric);
  if (data?.field === SUM) movePoints(metric, data, GAUGE);
  return undefined;
});
const convertGaugeToSum = define(
  "convert_gauge_to_sum",
  { string_agg_temp: p.textLiteral, monotonic: p.boolLiteral },
  ({ string_agg_temp: name, monotonic }) => {
    const temporality = temporalityOf(name);
    return ({ metric }) => {
      const data = dataOf(metric);
      if (data?.field !== GAUGE) return undefined;
      const sum = movePoints(metric, data, SUM);
      sum.setVarint(DATA.temporality, temporality);
      if (monotonic) sum.setBool(DATA.isMonotonic, true);
      return undefined;
    };
  },
);
/** The data points as data of another kind. */
function movePoints(metric: OtlpRecord, { points }: MetricData, field: number): OtlpRecord {
  const copies = new OtlpRecord();
  copies.list(1).assign(points);
  const target = emptyData(metric, field);
  target.list(1).assign(copies.list(1));
  return target;
}

function summaryToSum(name: string, suffix: string, write: (to: OtlpRecord, from: OtlpRecord) => void): OttlFunction {
  return define(
    name,
    { string_agg_temp: p.textLiteral, monotonic: p.boolLiteral, suffix: optional(p.textLiteral) },
    ({ string_agg_temp: temporalityName, monotonic, suffix: ending = suffix }) => {
      const temporality = temporalityOf(temporalityName);
      return (c) => {
        const data = dataOf(c.metric);
        if (data?.field !== SUMMARY) return undefined;
        const points = addSum(addMetric(c, ending, c.metric.text(3)), temporality, monotonic);
        forPoints(data, (point) => write(addNumberPoint(points, point, "summary"), point));
        return undefined;
      };
    },
  );
}

const summaryQuantiles = define(
  "convert_summary_quantile_val_to_gauge",
  { attribute_key: optional(p.textLiteral), suffix: optional(p.textLiteral) },
  ({ attribute_key: name = "quantile", suffix = ".quantiles" }) => {
    const key = new AttributeKey(name);
    return (c) => {
      const data = dataOf(c.metric);
      if (data?.field !== SUMMARY) return undefined;
      const points = addGauge(addMetric(c, suffix, c.metric.text(3)));
      forPoints(data, (point) => {
        const quantiles = point.list(POINT.quantiles);
        for (let i = 0; i < quantiles.length; i++) {
          const quantile = quantiles.at(i);
          const added = addNumberPoint(points, point, "summary");
          attributesOf(added, "number").set(key, quantile.double(1));
          added.setDouble(POINT.asDouble, quantile.double(2));
        }
      });
      return undefined;
    };
  },
);

/** The temporality of sums that are made of a metric's points; 0 for metrics without counts. */
function sourceTemporality({ field, record }: MetricData): number {
  if (field === SUMMARY) return TEMPORALITY.cumulative;
  return field === HISTOGRAM || field === EXPONENTIAL ? record.int32(DATA.temporality) : 0;
}
function extraction(
  name: string,
  suffix: string,
  unitOf: (c: OttlContext) => string,
  write: (to: OtlpRecord, from: OtlpRecord) => void,
  isWanted: (point: OtlpRecord, data: MetricData) => boolean,
): OttlFunction {
  return define(
    name,
    { monotonic: p.boolLiteral, suffix: optional(p.textLiteral) },
    ({ monotonic, suffix: ending = suffix }) =>
      (c) => {
        const data = dataOf(c.metric);
        const temporality = data === undefined ? 0 : sourceTemporality(data);
        if (data === undefined || temporality === 0) {
          throw OttlError.of(`${name} needs a histogram, an exponential histogram or a summary, with a temporality`);
        }
        const wanted: OtlpRecord[] = [];
        forPoints(data, (point) => {
          if (isWanted(point, data)) wanted.push(point);
        });
        if (wanted.length === 0) return undefined;
        const points = addSum(addMetric(c, ending, unitOf(c)), temporality, monotonic);
        for (const point of wanted) write(addNumberPoint(points, point, data.kind), point);
        return undefined;
      },
  );
}
const writeSum = (to: OtlpRecord, from: OtlpRecord) => to.setDouble(POINT.asDouble, from.double(POINT.sum));
const writeCount = (to: OtlpRecord, from: OtlpRecord) => to.setFixed64(POINT.asInt, from.fixed64(POINT.count));

const extractPercentile = define(
  "extract_percentile_metric",
  { percentile: p.floatLiteral, suffix: optional(p.textLiteral) },
  ({ percentile, suffix = "" }) => {
    if (!(percentile > 0 && percentile < 100)) throw OttlError.of("the percentile must lie between 0 and 100");
    const ending = suffix === "" ? `_p${percentile}` : suffix;
    return (c) => {
      const data = dataOf(c.metric);
      if (data === undefined || (data.field !== HISTOGRAM && data.field !== EXPONENTIAL)) return undefined;
      const values: { point: OtlpRecord; value: number }[] = [];
      forPoints(data, (point) => {
        const value = percentileOf(point, data.kind, percentile);
        if (value !== undefined) values.push({ point, value });
      });
      if (values.length === 0) return undefined;
      const before = c.metric.text(2);
      const description = before === "" ? `p${percentile}` : `${before} (p${percentile})`;
      const points = addGauge(addMetric(c, ending, c.metric.text(3), description));
      for (const { point, value } of values) {
        addNumberPoint(points, point, data.kind).setDouble(POINT.asDouble, value);
      }
      return undefined;
    };
  },
);

const copyMetric = define(
  "copy_metric",
  { name: optional(p.text), description: optional(p.text), unit: optional(p.text) },
  ({ name, description, unit }) =>
    (c) => {
      const copy = c.metrics!.append();
      copy.replace(c.metric.encode());
      if (name !== undefined) copy.setText(1, name.get(c));
      if (description !== undefined) copy.setText(2, description.get(c));
      if (unit !== undefined) copy.setText(3, unit.get(c));
      return undefined;
    },
);

function scaleNumber(point: OtlpRecord, asDouble: number, asInt: number, by: number): void {
  if (point.has(asInt)) point.setFixed64(asInt, truncate(Number(point.fixed64(asInt)) * by));
  else if (point.has(asDouble)) point.setDouble(asDouble, point.double(asDouble) * by);
}
function scalePoint(point: OtlpRecord, { field, kind }: MetricData, by: number): void {
  if (field === GAUGE || field === SUM) {
    scaleNumber(point, POINT.asDouble, POINT.asInt, by);
    return;
  }
  if (field === SUMMARY) {
    point.setDouble(POINT.sum, point.double(POINT.sum) * by);
    const quantiles = point.list(POINT.quantiles);
    for (let i = 0; i < quantiles.length; i++) quantiles.at(i).setDouble(2, quantiles.at(i).double(2) * by);
    return;
  }
  for (const each of [POINT.sum, POINT.min[kind], POINT.max[kind]]) {
    if (point.has(each)) point.setDouble(each, point.double(each) * by);
  }
  point.setDoubles(
    POINT.explicitBounds,
    point.doubles(POINT.explicitBounds).map((bound) => bound * by),
  );
  const exemplars = point.list(POINT.exemplars[kind]);
  for (let i = 0; i < exemplars.length; i++) scaleNumber(exemplars.at(i), 3, 6, by);
}
const scaleMetric = define(
  "scale_metric",
  { multiplier: p.floatLiteral, unit: optional(p.text) },
  ({ multiplier, unit }) =>
    (c) => {
      const next = unit?.get(c);
      const data = dataOf(c.metric);
      if (data === undefined) throw OttlError.of("the metric has no data to scale");
      if (data.field === EXPONENTIAL) throw OttlError.of("exponential histograms cannot be scaled");
      forPoints(data, (point) => scalePoint(point, data, multiplier));
      if (next !== undefined) c.metric.setText(3, next);
      return undefined;
    },
);

const aggregateOnAttributes = define(
  "aggregate_on_attributes",
  { aggregation_function: p.textLiteral, attributes: optional(listOf(p.textLiteral)) },
  ({ aggregation_function: name, attributes }) => {
    const aggregation = aggregationOf(name);
    const kept = attributes === undefined ? undefined : new Set(attributes);
    return ({ metric }) => {
      const data = dataOf(metric);
      if (data === undefined) {
        metric.remove(12);
        return undefined;
      }
      if (data.field === SUMMARY) throw OttlError.of("summaries cannot be aggregated");
      if (kept !== undefined) {
        forPoints(data, (point) => {
          const map = attributesOf(point, data.kind);
          map.removeIf((i) => !kept.has(map.keyAt(i)));
        });
      }
      mergePoints(metric, data, aggregation);
      return undefined;
    };
  },
);
const aggregateOnValue = define(
  "aggregate_on_attribute_value",
  {
    aggregation_function: p.textLiteral,
    attribute: p.textLiteral,
    values: listOf(p.textLiteral),
    new_value: p.textLiteral,
  },
  ({ aggregation_function: name, attribute, values, new_value: next }) => {
    const aggregation = aggregationOf(name);
    const key = new AttributeKey(attribute);
    const wanted = new Set(values);
    return ({ metric }) => {
      const data = dataOf(metric);
      if (data === undefined) {
        metric.remove(12);
        return undefined;
      }
      if (data.field === SUMMARY) throw OttlError.of("summaries cannot be aggregated");
      forPoints(data, (point) => {
        const map = attributesOf(point, data.kind);
        const i = map.find(key);
        if (i < 0) return;
        const value = map.valueAt(i);
        // What is no text counts as an empty one, as upstream.
        if (wanted.has(typeof value === "string" ? value : "")) map.setAt(i, next);
      });
      mergePoints(metric, data, aggregation);
      return undefined;
    };
  },
);

const exponentialToExplicit = define(
  "convert_exponential_histogram_to_histogram",
  { distribution_fn: p.textLiteral, explicit_bounds: listOf(p.floatLiteral) },
  ({ distribution_fn: name, explicit_bounds: bounds }) => {
    const distribute = bucketsDistribution(name === "" ? "random" : name);
    if (bounds.length === 0) throw OttlError.of("explicit_bounds is empty");
    return ({ metric }) => {
      const data = dataOf(metric);
      if (data?.field !== EXPONENTIAL) return undefined;
      const made = new OtlpRecord();
      const temporality = data.record.int32(DATA.temporality);
      if (temporality !== 0) made.setVarint(DATA.temporality, temporality);
      const points = made.list(1);
      forPoints(data, (from) => {
        const to = points.append();
        to.setFixed64(POINT.start, from.fixed64(POINT.start));
        to.setFixed64(POINT.time, from.fixed64(POINT.time));
        to.setFixed64(POINT.count, from.fixed64(POINT.count));
        to.setDouble(POINT.sum, from.double(POINT.sum));
        to.setDouble(POINT.min.histogram, from.double(POINT.min.exponential));
        to.setDouble(POINT.max.histogram, from.double(POINT.max.exponential));
        to.list(POINT.exemplars.histogram).assign(from.list(POINT.exemplars.exponential));
        to.setDoubles(POINT.explicitBounds, bounds);
        to.setFixed64s(POINT.bucketCounts, explicitCounts(from, bounds, distribute));
        attributesOf(to, "histogram").assign(attributesOf(from, "exponential"));
      });
      const bytes = made.encode();
      emptyData(metric, HISTOGRAM).replace(bytes);
      metric.remove(12);
      return undefined;
    };
  },
);

const REMOVE_BOUND = "remove_explicit_bound";
const LIMIT_BUCKETS = "limit_buckets";
const mergeBuckets = define(
  "merge_histogram_buckets",
  { target_value: p.floatLike, method: optional(p.textLiteral) },
  ({ target_value: target, method = REMOVE_BOUND }) => {
    if (method !== REMOVE_BOUND && method !== LIMIT_BUCKETS) {
      throw OttlError.of(`the method is "${REMOVE_BOUND}" or "${LIMIT_BUCKETS}", not ${JSON.stringify(method)}`);
    }
    const check = (value: number | undefined): number => {
      if (value === undefined) throw OttlError.of("target_value is nil");
      if (method === LIMIT_BUCKETS && !(value >= 1 && Number.isInteger(value))) {
        throw OttlError.of("the number of buckets must be a whole number of at least 1");
      }
      return value;
    };
    if (target.literal !== undefined) check(target.literal.value);
    return (c) => {
      if (c.pointKind !== "histogram") return undefined;
      const value = check(target.get(c));
      const bounds = c.point.doubles(POINT.explicitBounds);
      const counts = c.point.fixed64s(POINT.bucketCounts);
      if (bounds.length + 1 !== counts.length || counts.length === 1) return undefined;
      const merged = method === REMOVE_BOUND ? withoutBound(bounds, counts, value) : limited(bounds, counts, value);
      if (merged === undefined) return undefined;
      c.point.setDoubles(POINT.explicitBounds, merged.bounds);
      c.point.setFixed64s(POINT.bucketCounts, merged.counts);
      return undefined;
    };
  },
);
interface Buckets {
  readonly bounds: readonly number[];
  readonly counts: readonly bigint[];
}
function withoutBound(bounds: readonly number[], counts: readonly bigint[], bound: number): Buckets | undefined {
  const at = bounds.findIndex((each) => Math.abs(each - bound) < 1e-12);
  if (at < 0) return undefined;
  const sum = counts[at]! + counts[at + 1]!;
  return {
    bounds: bounds.filter((_, i) => i !== at),
    counts: counts.flatMap((count, i) => (i === at ? [] : i === at + 1 ? [sum] : [count])),
  };
}
function limited(bounds: readonly number[], counts: readonly bigint[], most: number): Buckets | undefined {
  if (counts.length <= most || bounds.some((bound, i) => i > 0 && !(bound > bounds[i - 1]!))) return undefined;
  const by = Math.ceil(counts.length / most);
  const merged: bigint[] = [];
  for (let i = 0; i < counts.length; i += by) {
    merged.push(counts.slice(i, i + by).reduce((sum, count) => sum + count, 0n));
  }
  return { bounds: bounds.filter((_, i) => i % by === by - 1), counts: merged };
}

export const metricFunctions: readonly OttlFunction[] = [
  convertSumToGauge,
  convertGaugeToSum,
  summaryQuantiles,
  extraction(
    "extract_sum_metric",
    "_sum",
    (c) => c.metric.text(3),
    writeSum,
    (point, { field }) => {
      return field === SUMMARY || point.has(POINT.sum);
    },
  ),
  extraction(
    "extract_count_metric",
    "_count",
    () => "1",
    writeCount,
    () => true,
  ),
  extractPercentile,
  copyMetric,
  scaleMetric,
  aggregateOnAttributes,
  aggregateOnValue,
  exponentialToExplicit,
];

export const pointFunctions: readonly OttlFunction[] = [
  summaryToSum("convert_summary_sum_val_to_sum", "_sum", writeSum),
  summaryToSum("convert_summary_count_val_to_sum", "_count", writeCount),
  mergeBuckets,
];

/** Whether some data point of the metric has an attribute, with a value if one is given. For conditions only. */
function onPoint(c: OttlContext, key: AttributeKey, value: string | undefined): boolean {
  const data = dataOf(c.metric);
  if (data === undefined) throw OttlError.of("the metric has no data");
  for (let i = 0; i < data.points.length; i++) {
    const attributes = attributesOf(data.points.at(i), data.kind);
    const at = attributes.find(key);
    if (at < 0) continue;
    if (value === undefined) return true;
    // Only the first point that has the attribute is looked at, as upstream.
    const found = attributes.valueAt(at);
    return (typeof found === "string" ? found : "") === value;
  }
  return false;
}
export const metricConditions: readonly OttlFunction[] = [
  define("HasAttrKeyOnDatapoint", { key: p.textLiteral }, ({ key }) => {
    const wanted = new AttributeKey(key);
    return (c) => onPoint(c, wanted, undefined);
  }),
  define("HasAttrOnDatapoint", { key: p.textLiteral, expected_val: p.textLiteral }, ({ key, expected_val: value }) => {
    const wanted = new AttributeKey(key);
    return (c) => onPoint(c, wanted, value);
  }),
];
