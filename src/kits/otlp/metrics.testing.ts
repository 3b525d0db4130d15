/** For tests of processors of metrics: requests made and read by protobufjs. */

import { oracleDecode, oracleEncode } from "#formats/otlp/oracle.testing";
import { countItems } from "#formats/otlp/otlp";
import { Acknowledgement } from "#pipeline/acknowledgement";
import type { OtlpBatch } from "#pipeline/batch";

export type Plain = Record<string, unknown>;

/** A batch of a request whose only resource and scope hold these metrics. */
export function metricsBatch(metrics: readonly Plain[], more: Partial<OtlpBatch> = {}): OtlpBatch {
  return batchOf({ resourceMetrics: [{ resource: {}, scopeMetrics: [{ scope: {}, metrics }] }] }, more);
}
export function batchOf(request: Plain, more: Partial<OtlpBatch> = {}): OtlpBatch {
  const bytes = oracleEncode("metrics", request);
  const base = { signal: "otlp", kind: "metrics", clientMetadata: undefined } as const;
  const items = countItems("metrics", bytes);
  return { ...base, parts: [bytes], items, bytes: bytes.length, acknowledgement: Acknowledgement.none, ...more };
}

/** All metrics of a batch. */
export function metricsOf(batch: OtlpBatch): Plain[] {
  const list = (value: unknown) => (value ?? []) as Plain[];
  return batch.parts.flatMap((part) =>
    list(oracleDecode("metrics", part).resourceMetrics).flatMap((resource) =>
      list(resource.scopeMetrics).flatMap((scope) => list(scope.metrics)),
    ),
  );
}
/** The points of all metrics of some batches, whatever their types, without attributes. */
export function pointsOf(batches: readonly OtlpBatch[]): Plain[] {
  return batches.flatMap(metricsOf).flatMap((metric) => {
    const data = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"].map((each) => metric[each] as Plain);
    return data.flatMap((each) => (each?.dataPoints ?? []) as Plain[]).map(({ attributes: _, ...point }) => point);
  });
}

export const DELTA = 1;
export const CUMULATIVE = 2;

export function sum(points: readonly Plain[], more: Plain = {}): Plain {
  return { name: "sum", sum: { dataPoints: points, aggregationTemporality: CUMULATIVE, isMonotonic: true, ...more } };
}
export function histogram(points: readonly Plain[], more: Plain = {}): Plain {
  return { name: "histogram", histogram: { dataPoints: points, aggregationTemporality: CUMULATIVE, ...more } };
}
export function exponential(points: readonly Plain[], more: Plain = {}): Plain {
  return {
    name: "exponential",
    exponentialHistogram: { dataPoints: points, aggregationTemporality: CUMULATIVE, ...more },
  };
}
/** A whole second as OTLP writes times. */
export const at = (seconds: number) => ({ timeUnixNano: String(BigInt(seconds) * 1_000_000_000n) });
export const from = (seconds: number) => ({ startTimeUnixNano: String(BigInt(seconds) * 1_000_000_000n) });
export const attribute = (value: string) => ({ attributes: [{ key: "a", value: { stringValue: value } }] });
