import { decodeRequest, type OtlpObject, type OtlpValue } from "#formats/otlp/decode";
import { oracleEncode } from "#formats/otlp/oracle.testing";
import { anyText, list, object, text } from "#formats/otlp/text";
import type { Acknowledgement } from "#pipeline/acknowledgement";
import { Acknowledgement as NoAcknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch, OtlpKind } from "#pipeline/batch";

/** For tests of connectors that make metrics of spans: traces in, points out, both easy to read. */

type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface TestSpan {
  readonly name?: string;
  /** As in OTLP: 2 is a server, 3 a client. */
  readonly kind?: number;
  readonly status?: number;
  readonly ms?: number;
  readonly attributes?: Attributes;
  readonly events?: readonly Attributes[];
  readonly traceState?: string;
  /** Ids by their last byte; 0 for none. */
  readonly trace?: number;
  readonly span?: number;
  readonly parent?: number;
}
export interface TestGroup {
  readonly resource: Attributes;
  readonly spans: readonly TestSpan[];
  readonly scope?: { readonly name: string; readonly version: string };
}

const START = 1_700_000_000_000_000_000n;

function pairs(attributes: Attributes = {}): object[] {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }));
}
function anyValue(value: string | number | boolean): object {
  if (typeof value === "string") return { stringValue: value };
  return typeof value === "boolean" ? { boolValue: value } : { intValue: value };
}
function id(bytes: number, last = 0): Buffer {
  const made = Buffer.alloc(bytes);
  made[bytes - 1] = last;
  return made;
}

/** An export request of traces. */
export function traces(...groups: readonly TestGroup[]): Buffer {
  return oracleEncode("traces", {
    resourceSpans: groups.map(({ resource, scope, spans }) => ({
      resource: { attributes: pairs(resource) },
      scopeSpans: [
        {
          scope,
          spans: spans.map((span) => ({
            name: span.name ?? "GET /",
            kind: span.kind ?? 2,
            status: { code: span.status ?? 0 },
            traceId: id(16, span.trace),
            spanId: id(8, span.span),
            parentSpanId: id(8, span.parent),
            traceState: span.traceState,
            startTimeUnixNano: String(START),
            endTimeUnixNano: String(START + BigInt(Math.round((span.ms ?? 0) * 1e6))),
            attributes: pairs(span.attributes),
            events: (span.events ?? []).map((attributes) => ({ name: "event", attributes: pairs(attributes) })),
          })),
        },
      ],
    })),
  });
}

export function batchOf(bytes: Uint8Array, kind: OtlpKind = "traces", acknowledgement?: Acknowledgement): OtlpBatch {
  return {
    signal: "otlp",
    kind,
    parts: [bytes],
    items: 1,
    bytes: bytes.length,
    clientMetadata: undefined,
    acknowledgement: acknowledgement ?? NoAcknowledgement.none,
  };
}

export interface TestPoint {
  readonly metric: string;
  readonly unit: string;
  /** `1` for deltas, `2` for cumulative counts. */
  readonly temporality: OtlpValue | undefined;
  readonly scope: string;
  readonly resource: string;
  /** `name=value` pairs in their order. */
  readonly labels: string;
  /** A sum's value, or how many values a histogram has. */
  readonly count: number;
  /** The decoded point, for all else. */
  readonly point: OtlpObject;
}

const labelsOf = (attributes: OtlpValue | undefined) =>
  list(attributes)
    .map(({ key, value }) => `${text(key)}=${anyText(value)}`)
    .join(" ");

/** All points in requests of metrics, in their order. */
export function pointsOf(batches: readonly OtlpBatch[]): TestPoint[] {
  const points: TestPoint[] = [];
  for (const { parts } of batches) {
    for (const group of list(decodeRequest("metrics", parts).resourceMetrics)) {
      for (const scope of list(group.scopeMetrics)) {
        for (const metric of list(scope.metrics)) {
          const data = object(metric.sum ?? metric.histogram ?? metric.exponentialHistogram);
          for (const point of list(data.dataPoints)) {
            points.push({
              metric: text(metric.name),
              unit: text(metric.unit),
              temporality: data.aggregationTemporality,
              scope: text(object(scope.scope).name),
              resource: labelsOf(object(group.resource).attributes),
              labels: labelsOf(point.attributes),
              count: Number(point.asInt ?? point.count ?? 0),
              point,
            });
          }
        }
      }
    }
  }
  return points;
}

/** `metric{labels} count` of each point, sorted. */
export function countsOf(batches: readonly OtlpBatch[]): string[] {
  return pointsOf(batches)
    .map(({ metric, labels, count }) => `${metric}{${labels}} ${count}`)
    .sort();
}
