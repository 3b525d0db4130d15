import type { OtlpRecord } from "./record.ts";

/** Numbers of OTLP's fields by name, for those who work on requests with `OtlpRecord`. See opentelemetry-proto 1.x. */

/** ResourceSpans, ResourceMetrics, ResourceLogs with their scopes, and ScopeSpans … with their entries. */
export const GROUP = { resource: 1, scope: 1, members: 2, schemaUrl: 3 } as const;
export const RESOURCE = { attributes: 1, droppedAttributesCount: 2 } as const;
export const SCOPE = { name: 1, version: 2, attributes: 3, droppedAttributesCount: 4 } as const;

export const SPAN = {
  traceId: 1,
  spanId: 2,
  traceState: 3,
  parentSpanId: 4,
  name: 5,
  kind: 6,
  start: 7,
  end: 8,
  attributes: 9,
  droppedAttributesCount: 10,
  events: 11,
  droppedEventsCount: 12,
  links: 13,
  droppedLinksCount: 14,
  status: 15,
  flags: 16,
} as const;
export const SPAN_KIND = { unspecified: 0, internal: 1, server: 2, client: 3, producer: 4, consumer: 5 } as const;
export const EVENT = { time: 1, name: 2, attributes: 3, droppedAttributesCount: 4 } as const;
export const LINK = {
  traceId: 1,
  spanId: 2,
  traceState: 3,
  attributes: 4,
  droppedAttributesCount: 5,
  flags: 6,
} as const;
export const STATUS = { message: 2, code: 3 } as const;
export const STATUS_CODE = { unset: 0, ok: 1, error: 2 } as const;

export const LOG = {
  time: 1,
  severityNumber: 2,
  severityText: 3,
  body: 5,
  attributes: 6,
  droppedAttributesCount: 7,
  flags: 8,
  traceId: 9,
  spanId: 10,
  observedTime: 11,
  eventName: 12,
} as const;

export const METRIC = { name: 1, description: 2, unit: 3, metadata: 12 } as const;
/** The fields of a metric that hold its data, one of which there is. */
export const GAUGE = 5;
export const SUM = 7;
export const HISTOGRAM = 9;
export const EXPONENTIAL = 10;
export const SUMMARY = 11;
/** The fields of a metric's data; a gauge has only points, a summary too. */
export const DATA = { points: 1, temporality: 2, isMonotonic: 3 } as const;
export const TEMPORALITY = { unspecified: 0, delta: 1, cumulative: 2 } as const;

/** What a data point is, which says where its fields are. */
export type PointKind = "number" | "histogram" | "exponential" | "summary";

/** Where the fields of data points are; 0 for those that a kind does not have. */
export const POINT = {
  attributes: { number: 7, histogram: 9, exponential: 1, summary: 7 },
  start: 2,
  time: 3,
  asDouble: 4,
  asInt: 6,
  count: 4,
  sum: 5,
  exemplars: { number: 5, histogram: 8, exponential: 11, summary: 0 },
  flags: { number: 8, histogram: 10, exponential: 10, summary: 8 },
  min: { number: 0, histogram: 11, exponential: 12, summary: 0 },
  max: { number: 0, histogram: 12, exponential: 13, summary: 0 },
  bucketCounts: 6,
  explicitBounds: 7,
  scale: 6,
  zeroCount: 7,
  positive: 8,
  negative: 9,
  zeroThreshold: 14,
  quantiles: 6,
} as const;
/** The buckets of one sign of an exponential histogram. */
export const BUCKETS = { offset: 1, bucketCounts: 2 } as const;
export const QUANTILE = { quantile: 1, value: 2 } as const;
/** A point's flag: there is no value, as when a series is stale. */
export const NO_RECORDED_VALUE = 1;

export const EXEMPLAR = { time: 2, asDouble: 3, spanId: 4, traceId: 5, asInt: 6, attributes: 7 } as const;

const METRIC_DATA = [GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY] as const;

/** The field that holds a metric's data; 0 for a metric without. */
export function dataField(metric: OtlpRecord): number {
  for (const field of METRIC_DATA) if (metric.has(field)) return field;
  return 0;
}
/** The kind of the points in this field of a metric. */
export function pointKindOf(field: number): PointKind {
  if (field === HISTOGRAM) return "histogram";
  if (field === EXPONENTIAL) return "exponential";
  return field === SUMMARY ? "summary" : "number";
}
